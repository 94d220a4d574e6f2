"""Pictures of one small size determine the input size of a factory's network."""

import os

import numpy as np
import pytest
import tifffile
from PIL import Image

from cnnviz import config
from cnnviz.errors import UserError
from cnnviz.network import building, network
from cnnviz.pictures import label_maps, sizes

NETS = """
from torch import nn

def any_size():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))

def fixed():
    return nn.Sequential(nn.Conv2d(3, 1, 32, stride=32), nn.ReLU(), nn.Flatten(), nn.Linear(49, 2))
"""


def folder(root, *shapes, kind="png"):
    """Pictures of these (height, width), as the set's complete block."""
    for i, (height, width) in enumerate(shapes):
        (root / "ab"[i % 2]).mkdir(parents=True, exist_ok=True)
        path = root / "ab"[i % 2] / f"{i:03}.{kind}"
        if kind == "npy":
            np.save(path, np.zeros((height, width, 3), np.uint8))
        else:
            Image.new("RGB", (width, height)).save(path)
    return block(path=str(root))


def block(**keys):
    given = {"image_sets": {"s": {"kind": "folder"} | keys}, "models": {"m": {"torchvision": "alexnet"}}}
    return config.complete(given)["image_sets"]["s"]


@pytest.mark.parametrize(
    ("shapes", "kind", "size"),
    [
        ([(32, 32)] * 20, "png", (32, 32)),
        ([(28, 20)] * 3, "jpg", (28, 20)),
        ([(64, 64)] * 3, "npy", (64, 64)),
        ([(96, 96)] * 2, "png", (96, 96)),
        ([(97, 97)] * 4, "png", None),
        ([(32, 32)] * 5 + [(32, 40)], "png", None),
        ([(300, 200)] * 3, "png", None),
    ],
)
def test_one_small_size_is_seen_and_nothing_else(tmp_path, shapes, kind, size):
    assert sizes.common(folder(tmp_path, *shapes, kind=kind)) == size


@pytest.mark.parametrize("write", ["bands.tif", "first.npy", "last.npy"])
def test_a_header_that_does_not_tell_the_bands_is_not_believed(tmp_path, write):
    values = np.random.default_rng(0).integers(0, 4000, (40, 40, 13), np.uint16)
    for name in "ab":
        (tmp_path / name).mkdir()
        path = tmp_path / name / write
        if write.endswith(".tif"):
            tifffile.imwrite(path, values)  # which says 40 pages of 40 × 13 pixels
        else:
            np.save(path, values.transpose(2, 0, 1) if write == "first.npy" else values)
    assert sizes.common(block(path=str(tmp_path))) == (40, 40)


def test_the_pictures_of_a_table_are_found_under_its_root_and_without_endings(tmp_path):
    folder(tmp_path / "data", (24, 30), (24, 30))
    (tmp_path / "table.csv").write_text("id,class\na/000,a\nb/001,b\n")
    keys = {"path_column": "id", "label_column": "class", "root": str(tmp_path / "data")}
    assert sizes.common(block(kind="csv", path=str(tmp_path / "table.csv"), **keys)) == (24, 30)


def test_of_broken_files_and_loaders_nothing_is_said(tmp_path):
    folder(tmp_path, (32, 32), (32, 32))
    (tmp_path / "a" / "zzz.png").write_bytes(b"no picture")
    assert sizes.common(block(path=str(tmp_path))) == (32, 32)
    (tmp_path / "read.py").write_text("")
    assert sizes.common(block(path=str(tmp_path), loader=f"{tmp_path}/read.py:read")) is None


@pytest.mark.parametrize(
    ("net", "given", "fed"),
    [
        ("any_size", {}, [3, 32, 32]),
        ("any_size", {"mean": 0.5}, [3, 32, 32]),
        ("any_size", {"resize": 48}, [3, 48, 48]),
        ("any_size", {"crop": 40}, [3, 40, 40]),
        ("fixed", {}, [3, 224, 224]),
    ],
)
def test_a_factorys_network_is_fed_with_small_pictures_as_they_are(tmp_path, net, given, fed):
    (tmp_path / "nets.py").write_text(NETS)
    model = {"factory": f"{tmp_path}/nets.py:{net}", "preprocess": given}
    full = config.complete({"image_sets": {"s": {"kind": "demo"}}, "models": {"m": model}})["models"]["m"]
    facts = network.describe(building.build(full, "m", 0), full, "m", ("a", "b"), picture_size=(32, 32))
    assert facts["input"] == fed


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    assert sizes.of_file(str(tmp_path / "pipe.png")) is None
    with pytest.raises(UserError, match="a device"):
        label_maps.numbers(tmp_path / "pipe.png", 2)
