"""Seven hundred odd and damaged pictures in one folder: each is accepted, or left out for a reason in one line.

Accepted intact files show the right picture, and can be read again.
"""

import json

import numpy as np
import pytest
from PIL import Image

from cnnviz import config
from cnnviz.pictures import images
from cnnviz.pictures.preprocess import Preprocess
from tests.every_section import call
from tests.hostile import pictures
from tests.hostile.oracle import plain, within

DAMAGED, STEP = 500, 4  # every fourth, unless pytest is told --hostile-all
# The rotations of EXIF's orientations, and intact files that do not show the scene.
TURNED = {
    **{2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM},
    **{5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE},
    8: Image.Transpose.ROTATE_90,
}
OTHERS = ("I.tif", "shape-1x1.npy", "shape-3x30x40.npy", "shape-30x40x300.npy", "with-1e+300.npy", "with-5e-324.npy")


@pytest.fixture(scope="module")
def heap(tmp_path_factory, hostile_all):
    """The folder of all files, and names → contents of the intact ones."""
    root = tmp_path_factory.mktemp("heap")
    sound = pictures.whole()
    every = sound | pictures.damaged(sound, DAMAGED)
    step = 1 if hostile_all else STEP
    every = {name: every[name] for name in list(every)[::step]}
    for name, content in every.items():
        (root / name).write_bytes(content)
    places = pictures.places(root)
    return root, {name: every[name] for name in every if name in sound}, {*every, *places}


def look(root, out) -> tuple[images.ImageSet, dict, np.ndarray]:
    full = config.complete(
        {"image_sets": {"set": {"kind": "folder", "path": str(root)}}, "models": {"net": {"torchvision": "alexnet"}}}
    )["image_sets"]["set"]
    index, thumbnails = out / "images.json", out / "thumbnails.npy"
    with within(60):
        call("cnnviz.pictures.images", "--config", json.dumps(full), "--index", index, "--thumbnails", thumbnails)
    return images.read(index, full), json.loads(index.read_text("utf-8")), np.load(thumbnails)


def test_each_is_taken_or_left_out_for_a_reason(heap, tmp_path):
    root, sound, there = heap
    found, index, thumbnails = look(root, tmp_path)
    taken, left = [p.name for p in found.pictures], dict(found.skipped)
    assert not set(taken) & set(left) and len(set(taken)) == len(taken)
    assert {*taken, *left} <= {name.encode("utf-8", "backslashreplace").decode() for name in there}
    assert len(taken) + len(left) + sum(other["count"] for other in index["others"]) == len(there)
    reasons = [reason for _, reason in (*found.skipped, *found.notes)]
    for reason in [*reasons, *(other["reason"] for other in index["others"] if other["reason"])]:
        assert len(plain(reason).splitlines()) == 1 and str(root) not in reason, reason
    assert len(taken) > len(there) / 4 and len(left) > len(there) / 8 and index["others"]
    wrong = {}
    for i, picture in enumerate(found.pictures):
        pixels = found.pixels(i)
        height, width = pixels.shape[:2] if isinstance(pixels, np.ndarray) else pixels.size[::-1]
        assert (width, height) == (picture.width, picture.height), picture.name
        channels = pixels.shape[2] if isinstance(pixels, np.ndarray) else 3
        array = Preprocess(resize=16, crop=16, interpolation="bilinear", inputs=channels).geometry(pixels)
        assert array.shape[:2] == (16, 16) and np.isfinite(array).all(), picture.name
        if picture.name in sound and picture.name not in OTHERS and "palette" not in picture.name:
            alike = likeness(picture, thumbnails[i])
            if alike < (0.3 if picture.name.startswith("1.") else 0.8):  # of two levels, dithered
                wrong[picture.name] = round(alike, 2)
    assert not wrong, f"they do not show what is in them: {wrong}"


def likeness(picture: images.Picture, thumbnail: np.ndarray) -> float:
    """Correlation with the scene, rotated as the picture's EXIF states."""
    scene = np.asarray(pictures.scene().convert("L"))
    turn = int(picture.name[7]) if picture.name.startswith("turned-") else 0
    if turn in TURNED:
        scene = np.asarray(Image.fromarray(scene).transpose(TURNED[turn]))
    assert (picture.height, picture.width) == scene.shape
    scene = np.asarray(Image.fromarray(scene).resize((64, 64)))
    return float(np.corrcoef(scene.ravel(), thumbnail.mean(-1).ravel())[0, 1])
