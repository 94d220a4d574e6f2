"""Preprocessing of pictures into network inputs, as data. pillow does the geometry; network/loaded.py the values.

Order: a fractional crop, then the resize, then a crop in pixels, then channels, range, mean and std.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from PIL import Image

from cnnviz.errors import UserError

_FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
# torchvision's values for ImageNet. There is no such default for other numbers of channels.
IMAGENET = {
    "resize": 256,
    "crop": 224,
    "interpolation": "bilinear",
    "mean": [0.485, 0.456, 0.406],
    "std": [0.229, 0.224, 0.225],
}
PLAIN = {"mean": 0.0, "std": 1.0}
LUMINANCE = 0.299, 0.587, 0.114  # weights of red, green and blue: ITU-R 601, as in pillow's mode L
LARGEST = 1 << 26  # largest resized picture, in pixels, that is computed in full before the crop


@dataclass(frozen=True)
class Preprocess:
    """Preprocessing of a picture into a network's input.

    resize: short side in pixels (aspect kept), or (height, width) to warp to, or None. crop: central square in pixels
    taken after the resize, or a fraction (< 1) of each side taken before it, or None. channels: "RGB" or "BGR". range:
    the value of white, 1 or 255. mean, std: in the network's channel order and range: shape (), (c,) or
    (c, height, width). inputs: the network's input channels c: 3 (grey pictures are repeated), 1 (coloured ones become
    grey), or another number, which must be the pictures' own.
    """

    resize: int | tuple[int, int] | None = None
    crop: int | float | None = None
    interpolation: str = "bilinear"
    channels: str = "RGB"
    range: float = 1.0
    mean: np.ndarray = field(default_factory=lambda: np.zeros(()))
    std: np.ndarray = field(default_factory=lambda: np.ones(()))
    inputs: int = 3

    def __post_init__(self) -> None:
        if isinstance(self.resize, list):  # JSON has lists only
            object.__setattr__(self, "resize", tuple(self.resize))

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the network's input. Raises ValueError if neither resize nor crop fixes it."""
        if isinstance(self.crop, int):
            return self.crop, self.crop
        if isinstance(self.resize, tuple):
            return self.resize
        raise ValueError("resize: [height, width] or crop: pixels must fix the size of the network's input")

    def box(self, width: int, height: int) -> tuple[float, float, float, float]:
        """The part (left, top, right, bottom) of a width × height picture that the network sees, in picture pixels."""
        left, top, right, bottom = self._before(width, height)
        if isinstance(self.crop, int):
            w, h = self._resized(right - left, bottom - top)
            scale_x, scale_y = (right - left) / w, (bottom - top) / h
            x, y = round((w - self.crop) / 2), round((h - self.crop) / 2)
            left, top = left + x * scale_x, top + y * scale_y
            right, bottom = left + self.crop * scale_x, top + self.crop * scale_y
        return left, top, right, bottom

    def geometry(self, picture: Image.Image | np.ndarray) -> np.ndarray:
        """Resizes and crops a picture: (height, width, ``inputs``), the network's input before normalisation.

        picture: pillow's, RGB or L, which gives uint8; or (h, w, c) float32 in [0, 1], which gives the same. Raises
        UserError if the picture's number of channels does not suit the network.
        """
        if isinstance(picture, np.ndarray):
            planes = [self._cut(Image.fromarray(plane)) for plane in self._fitting(picture)]
            return np.stack(planes * (self.inputs // len(planes)), -1)
        if self.inputs == 1 and picture.mode != "L":
            picture = picture.convert("L")
        elif self.inputs not in (1, 3):
            raise self._misfit(len(picture.getbands()))
        pixels = self._cut(picture)
        return np.repeat(pixels[..., None], self.inputs, 2) if pixels.ndim == 2 else pixels

    def _fitting(self, picture: np.ndarray) -> Iterator[np.ndarray]:
        """(h, w, c) → the planes (h, w) to cut, contiguous: ``inputs`` of them, or one to be repeated."""
        channels = picture.shape[2]
        if self.inputs == 1 and channels == 3:
            yield picture @ np.array(LUMINANCE, picture.dtype)
        elif channels != self.inputs and (channels, self.inputs) != (1, 3):
            raise self._misfit(channels)
        else:
            yield from (np.ascontiguousarray(picture[..., c]) for c in range(channels))

    def _misfit(self, channels: int) -> UserError:
        if (channels, self.inputs) == (3, 4):
            words = "alpha: channel in the image set's block keeps the fourth band of a file that has one"
        else:
            words = f"a loader: of the image set can give an array (height, width, {self.inputs})"
            words += f"; if it takes {channels}, write preprocess: {{input_channels: {channels}}}"
        return UserError(f"it has {channels} channels and the network takes {self.inputs}; {words}")

    def _cut(self, picture: Image.Image) -> np.ndarray:
        """Resizes and crops in the picture's mode: (height, width, 3) uint8, or (height, width) uint8 or float32."""
        box = self._before(*picture.size)
        if box != (0, 0, *picture.size):
            picture = picture.crop(box)
        size = self._resized(*picture.size)
        if not isinstance(self.crop, int):
            return np.asarray(self._resize(picture, size))
        left, top = round((size[0] - self.crop) / 2), round((size[1] - self.crop) / 2)
        if size != picture.size and size[0] * size[1] > LARGEST and max(size) > 8 * self.crop:
            # a picture a few pixels wide would become gigabytes: compute only the kept part
            x, y = max(left, 0), max(top, 0)
            kept = min(self.crop, size[0]), min(self.crop, size[1])
            scale = picture.width / size[0], picture.height / size[1]
            part = x * scale[0], y * scale[1], (x + kept[0]) * scale[0], (y + kept[1]) * scale[1]
            picture, left, top = self._resize(picture, kept, part), left - x, top - y
        else:
            picture = self._resize(picture, size)
        return np.asarray(picture.crop((left, top, left + self.crop, top + self.crop)))

    def _resize(
        self, picture: Image.Image, size: tuple[int, int], part: tuple[float, float, float, float] | None = None
    ) -> Image.Image:
        """``picture``, or a ``part`` of it, resized; the same in 8 bits and in float."""
        if part is None and size == picture.size:
            return picture
        kind = _FILTERS[self.interpolation]
        if picture.mode != "F":
            return picture.resize(size, kind, part)
        # in 8 bits, values beyond black or white are clipped after the columns as well as after the rows
        left, top, right, bottom = part or (0, 0, *picture.size)
        across = picture.resize((size[0], picture.height), kind, (left, 0, right, picture.height))
        across = Image.fromarray(np.clip(np.asarray(across), 0, 1))
        both = across.resize(size, kind, (0, top, size[0], bottom))
        return Image.fromarray(np.clip(np.asarray(both), 0, 1))

    def _before(self, width: int, height: int) -> tuple[int, int, int, int]:
        if isinstance(self.crop, float):
            x, y = width * (1 - self.crop) / 2, height * (1 - self.crop) / 2
            # something must remain of a picture of one or two pixels
            return int(x), int(y), max(int(width - x), int(x) + 1), max(int(height - y), int(y) + 1)
        return 0, 0, width, height

    def _resized(self, width: int, height: int) -> tuple[int, int]:
        if self.resize is None:
            return width, height
        if isinstance(self.resize, tuple):
            return self.resize[1], self.resize[0]
        short = min(width, height)  # as in torchvision: the long side is rounded down to whole pixels
        return (self.resize if width == short else int(self.resize * width / short)), (
            self.resize if height == short else int(self.resize * height / short)
        )


def complete(given: dict, authors: dict, channels: int) -> dict:
    """A config's preprocessing block, with missing keys from the network's authors.

    A given size is complete: ``resize: [64, 64]`` is not followed by a crop to 224, and ``crop: 299`` alone comes after
    a resize with the authors' margin.
    """
    default = IMAGENET | authors
    if channels != 3:
        default |= PLAIN
    full = {"channels": "RGB", "range": 1} | default | given
    if "resize" in given and "crop" not in given:
        full["crop"] = given["resize"] if isinstance(given["resize"], int) else None
    if "crop" in given and "resize" not in given and isinstance(given["crop"], int):
        full["resize"] = round(given["crop"] * default["resize"] / default["crop"])
    return full


def geometry(block: dict) -> Preprocess:
    """The geometry of a complete block; the values are as without preprocessing."""
    return Preprocess(resize=block["resize"], crop=block["crop"], interpolation=block["interpolation"])


def prepared(config: dict, channels: int = 3) -> Preprocess:
    """The complete block as data; a mean or std may be a number, one for each channel, or a ``.npy`` picture."""

    def constant(key: str) -> np.ndarray:
        value = config[key]
        if isinstance(value, str):
            try:
                value = np.load(value, allow_pickle=False).astype(np.float32)
            except (OSError, ValueError, EOFError) as error:
                raise UserError(f"preprocess.{key}: {value} is not a .npy file of numbers: {error}") from error
            if value.ndim == 3 and value.shape[2] == channels:
                value = value.transpose(2, 0, 1)
        array = np.asarray(value, dtype=np.float32)
        if array.shape not in ((), (channels,)) and not (array.ndim == 3 and array.shape[0] == channels):
            raise UserError(
                f"preprocess.{key}: a number, {channels} numbers or a ({channels}, h, w) array for a network of "
                f"{channels} channels, not an array of shape {array.shape}"
            )
        return array

    resize = config["resize"]
    return Preprocess(
        resize=resize,
        crop=config["crop"],
        interpolation=config["interpolation"],
        channels=config["channels"],
        range=float(config["range"]),
        mean=constant("mean"),
        std=constant("std"),
        inputs=channels,
    )
