"""From a picture to what a network takes, as data. Geometry is pillow's (no torch); values are mapped in models.py.

Order: a fractional crop, then the resize, then a crop in pixels, then channels, range, mean and std.
"""

from dataclasses import dataclass, field

import numpy as np
from PIL import Image

_FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


@dataclass(frozen=True)
class Preprocess:
    """How a picture becomes a network's input.

    resize: short side in pixels (aspect kept), or (height, width) to warp to, or None.
    crop: central square in pixels taken after the resize, or a fraction (< 1) of each side taken before it, or None.
    channels: "RGB" or "BGR". range: the value of white, 1 or 255.
    mean, std: in the network's channel order and range: shape (), (3,) or (3, height, width).
    """

    resize: int | tuple[int, int] | None = None
    crop: int | float | None = None
    interpolation: str = "bilinear"
    channels: str = "RGB"
    range: float = 1.0
    mean: np.ndarray = field(default_factory=lambda: np.zeros(()))
    std: np.ndarray = field(default_factory=lambda: np.ones(()))

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the network's input. Raises ValueError where neither resize nor crop fixes it."""
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

    def geometry(self, picture: Image.Image) -> np.ndarray:
        """Resize and crop an RGB picture: (height, width, 3) uint8, the pixels the network sees."""
        box = self._before(*picture.size)
        if box != (0, 0, *picture.size):
            picture = picture.crop(box)
        size = self._resized(*picture.size)
        if size != picture.size:
            picture = picture.resize(size, _FILTERS[self.interpolation])
        if isinstance(self.crop, int):
            left, top = round((size[0] - self.crop) / 2), round((size[1] - self.crop) / 2)
            picture = picture.crop((left, top, left + self.crop, top + self.crop))
        return np.asarray(picture)

    def _before(self, width: int, height: int) -> tuple[int, int, int, int]:
        if isinstance(self.crop, float):
            x, y = width * (1 - self.crop) / 2, height * (1 - self.crop) / 2
            return int(x), int(y), int(width - x), int(height - y)
        return 0, 0, width, height

    def _resized(self, width: int, height: int) -> tuple[int, int]:
        if self.resize is None:
            return width, height
        if isinstance(self.resize, tuple):
            return self.resize[1], self.resize[0]
        short = min(width, height)  # as torchvision does it: the long side is cut down to whole pixels
        return (self.resize if width == short else int(self.resize * width / short)), (
            self.resize if height == short else int(self.resize * height / short)
        )
