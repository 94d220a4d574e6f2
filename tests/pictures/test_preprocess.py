"""Pictures of any kind become network inputs: 8 bits exactly as by pillow, floats with the same values."""

import numpy as np
import pytest
from PIL import Image

from cnnviz.errors import UserError
from cnnviz.pictures import preprocess
from cnnviz.pictures.preprocess import Preprocess

WAYS = [
    {"resize": 32, "crop": 24},
    {"resize": (20, 30), "crop": None},
    {"resize": (20, 30), "crop": 0.875},
    {"resize": None, "crop": 60},  # larger than the picture: black around it
    {"resize": 24, "crop": 32},
    {"resize": 90, "crop": 64},  # enlarged
]
FILTERS = ["nearest", "bilinear", "bicubic", "lanczos"]


def noise(width=57, height=41, channels=3) -> np.ndarray:
    """Blocks of extreme colours beside noise, where a sharpening filter overshoots."""
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 256, (height, width, channels), np.uint8)
    pixels[:, : width // 2] = (
        255
        * generator.integers(0, 2, (height // 5 + 1, width // 5 + 1, channels))
        .repeat(5, 0)
        .repeat(5, 1)[:height, : width // 2]
    )
    return pixels


def by_pillow(picture: Image.Image, resize, crop, interpolation) -> np.ndarray:
    """The geometry step by step, written independently."""
    width, height = picture.size
    if isinstance(crop, float):
        x, y = width * (1 - crop) / 2, height * (1 - crop) / 2
        picture = picture.crop((int(x), int(y), int(width - x), int(height - y)))
    if isinstance(resize, tuple):
        picture = picture.resize(resize[::-1], Image.Resampling[interpolation.upper()])
    elif resize:
        width, height = picture.size
        size = (resize, int(resize * height / width)) if width < height else (int(resize * width / height), resize)
        picture = picture.resize(size, Image.Resampling[interpolation.upper()])
    if isinstance(crop, int):
        left, top = round((picture.width - crop) / 2), round((picture.height - crop) / 2)
        picture = picture.crop((left, top, left + crop, top + crop))
    return np.asarray(picture)


@pytest.mark.parametrize("interpolation", FILTERS)
@pytest.mark.parametrize("way", WAYS, ids=str)
def test_8_bit_pictures_are_pillows_bit_by_bit(way, interpolation):
    picture = Image.fromarray(noise())
    prepared = Preprocess(**way, interpolation=interpolation)
    got = prepared.geometry(picture)
    assert got.dtype == np.uint8 and got.shape == (*prepared.size, 3)
    np.testing.assert_array_equal(got, by_pillow(picture, **way, interpolation=interpolation))
    grey = picture.convert("L")
    wanted = by_pillow(grey.convert("RGB"), **way, interpolation=interpolation)
    np.testing.assert_array_equal(prepared.geometry(grey), wanted)
    one = Preprocess(**way, interpolation=interpolation, inputs=1).geometry(picture)
    assert one.shape == (*prepared.size, 1)
    np.testing.assert_array_equal(one, wanted[..., :1])


@pytest.mark.parametrize("interpolation", FILTERS)
@pytest.mark.parametrize("way", WAYS, ids=str)
@pytest.mark.parametrize("channels", [1, 3])
def test_floats_agree_with_8_bits(way, interpolation, channels):
    pixels = noise(channels=channels)
    whole = Image.fromarray(pixels.squeeze())
    for inputs in (1, 3):
        prepared = Preprocess(**way, interpolation=interpolation, inputs=inputs)
        got = prepared.geometry(pixels.astype(np.float32) / 255)
        assert got.dtype == np.float32 and got.shape == (*prepared.size, inputs)
        assert got.min() >= 0 and got.max() <= 1
        # rounded once after the columns, once after the rows, and once where colours become grey; both sharpen
        difference = np.abs(got * 255 - prepared.geometry(whole))
        assert difference.max() <= (0.6 if interpolation == "nearest" else 2.5) and difference.mean() < 0.5


def test_other_channels_are_kept_in_their_order():
    pixels = noise(channels=5).astype(np.float32) / 255
    prepared = Preprocess(resize=32, crop=24, inputs=5)
    got = prepared.geometry(pixels)
    for c in range(5):
        alone = Preprocess(resize=32, crop=24, inputs=1).geometry(pixels[..., c : c + 1])
        np.testing.assert_array_equal(got[..., c], alone[..., 0])


@pytest.mark.parametrize(
    ("channels", "inputs"), [(5, 3), (5, 1), (2, 3), (4, 3), (1, 2), (3, 5), (1, 5)], ids=lambda v: str(v)
)
def test_channels_that_do_not_fit_are_told_so(channels, inputs):
    with pytest.raises(UserError, match=rf"{channels} channels .* takes {inputs}; a loader"):
        Preprocess(resize=32, crop=24, inputs=inputs).geometry(np.zeros((30, 30, channels), np.float32))
    if channels in (1, 3) and inputs not in (1, 3):
        with pytest.raises(UserError, match=rf"{channels} channels .* takes {inputs}"):
            Preprocess(resize=32, crop=24, inputs=inputs).geometry(Image.new("L" if channels == 1 else "RGB", (30, 30)))


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1), (2, 3), (3, 999)])
@pytest.mark.parametrize("way", [*WAYS, {"resize": 256, "crop": 224}, {"resize": (8, 8), "crop": 0.5}], ids=str)
def test_thin_pictures_are_accepted(size, way):
    width, height = size
    pixels = np.random.default_rng(1).integers(0, 256, (height, width, 3), np.uint8)
    prepared = Preprocess(**way)
    got = prepared.geometry(Image.fromarray(pixels))
    assert got.shape == (*prepared.size, 3)
    floats = prepared.geometry(pixels.astype(np.float32) / 255)
    assert np.abs(floats * 255 - got).max() <= 2.5


def test_the_part_of_a_thin_picture_is_the_same_as_the_middle_of_the_whole(monkeypatch):
    pixels = np.random.default_rng(1).integers(0, 256, (3, 500, 3), np.uint8)
    for way in ({"resize": 40, "crop": 30}, {"resize": 40, "crop": 60}):
        prepared = Preprocess(**way, interpolation="bicubic")
        for picture, white in ((Image.fromarray(pixels), 255), (pixels.astype(np.float32) / 255, 1)):
            monkeypatch.setattr(preprocess, "LARGEST", 1 << 26)
            whole = prepared.geometry(picture).astype(float)
            monkeypatch.setattr(preprocess, "LARGEST", 1)
            assert np.abs(prepared.geometry(picture) - whole).max() <= white / 255


def test_a_size_read_from_json_is_a_size():
    prepared = Preprocess(**{"resize": [48, 64], "interpolation": "bilinear"})
    assert prepared.resize == prepared.size == (48, 64)
