"""A mask goes through the network's resize and crop just as its picture does."""

import json

import numpy as np
import pytest
from PIL import Image

from cnnviz.demo.scenes import draw
from cnnviz.pictures import images
from cnnviz.pictures.masks import as_seen
from cnnviz.pictures.preprocess import Preprocess

THING = np.s_[4:10, 24:36]  # rows, columns of the 24 × 40 picture


def a_set(folder, values=255, columns="mask", channels=3):
    """A table of one picture whose THING is bright, with that marked by a mask file, a box, or nothing."""
    pixels = np.full((24, 40, channels), 20, np.uint8)
    pixels[THING] = 220
    if channels == 3:
        Image.fromarray(pixels).save(folder / "a.png")
    else:
        np.save(folder / "a.npy", pixels)
    marked = np.zeros((24, 40), np.uint8)
    marked[THING] = values
    Image.fromarray(marked).save(folder / "m.png")
    row = {"mask": "m.png,,,,", "box": ",24,4,36,10", "none": ",,,,"}[columns]
    (folder / "t.csv").write_text(f"path,mask,l,t,r,b\na.{'png' if channels == 3 else 'npy'},{row}\n")
    config = {"kind": "csv", "path": str(folder / "t.csv"), "path_column": "path", "label_column": None}
    box = (24, 4, 36, 10) if columns == "box" else None
    name = "a.png" if channels == 3 else "a.npy"
    picture = images.Picture("a", name, None, 40, 24, box=box, mask="m.png" if columns == "mask" else None)
    return images.ImageSet(config, (picture,), (), ())


@pytest.mark.parametrize(
    "preprocess",
    [
        Preprocess(resize=(24, 40)),
        Preprocess(resize=(48, 48)),
        Preprocess(resize=24, crop=24),
        Preprocess(resize=36, crop=30, interpolation="bicubic"),
        Preprocess(resize=(24, 24), crop=0.8),
        Preprocess(resize=24, crop=24, inputs=1),
    ],
)
@pytest.mark.parametrize("columns", ["mask", "box"])
def test_the_mask_lies_on_the_thing(tmp_path, preprocess, columns):
    image_set = a_set(tmp_path, columns=columns)
    mask = as_seen(image_set, 0, preprocess.geometry)
    seen = next(image_set.arrays(preprocess.geometry))[..., 0] > 120
    np.testing.assert_array_equal(mask.pixels, seen)
    assert mask.is_box == (columns == "box") and mask.pixels.dtype == bool and 0 < seen.mean() < 1


@pytest.mark.parametrize("values", [1, 200, 255])
def test_any_bright_value_marks(tmp_path, values):
    mask = as_seen(a_set(tmp_path, values), 0, Preprocess(resize=(24, 40)).geometry)
    assert mask.pixels.sum() == 6 * 12 and mask.pixels[THING].all()


def test_pictures_of_many_channels(tmp_path):
    mask = as_seen(a_set(tmp_path, channels=5), 0, Preprocess(resize=(24, 40), inputs=5).geometry)
    assert mask.pixels.sum() == 6 * 12 and mask.pixels[THING].all()


def test_no_mask_and_nothing_of_it_in_the_crop(tmp_path):
    assert as_seen(a_set(tmp_path, columns="none"), 0, Preprocess(resize=(24, 40)).geometry) is None
    assert as_seen(a_set(tmp_path), 0, Preprocess(resize=(24, 24), crop=0.1).geometry) is None


def test_the_demo_knows_its_masks(tmp_path):
    (tmp_path / "images.json").write_text(
        json.dumps(
            {
                "schema": images.SCHEMA,
                "classes": ["wolf"],
                "pictures": [{"id": "wolf-0011", "name": "wolf-0011", "label": 0, "width": 64, "height": 64}],
                "skipped": [],
            }
        )
    )
    image_set = images.read(tmp_path / "images.json", {"kind": "demo", "count": 24, "seed": 1})
    mask = as_seen(image_set, 0, Preprocess(resize=(64, 64)).geometry)
    np.testing.assert_array_equal(mask.pixels, draw(1, 11).mask)
    assert not mask.is_box
