"""Every picture that can be read is listed once, whatever its kind; the others are listed with the reason."""

import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from cnnviz import images
from cnnviz.errors import UserError

FOLDER = {"kind": "folder", "path_column": "path", "label_column": "label", "limit": None}


def look(config: dict, out) -> images.ImageSet:
    """Run the pipeline's look at a set, as the Snakefile does."""
    command = [sys.executable, "-m", "cnnviz.images", "--config", json.dumps(config)]
    command += ["--index", str(out / "images.json"), "--thumbnails", str(out / "thumbnails.npy")]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise UserError(done.stderr.strip().splitlines()[-1])
    return images.read(out / "images.json", config)


def gradient(width=40, height=30) -> Image.Image:
    y, x = np.mgrid[:height, :width]
    return Image.fromarray(np.stack([x * 255 // width, y * 255 // height, 0 * x + 90], -1).astype(np.uint8))


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "set"
    for name in ("cat", "dog"):
        (root / name).mkdir(parents=True)
    picture = gradient()
    picture.save(root / "cat" / "plain.png")
    picture.convert("L").save(root / "cat" / "grey.png")
    picture.convert("P").save(root / "cat" / "palette.gif")
    picture.convert("CMYK").save(root / "dog" / "print.jpg")
    picture.convert("RGBA").save(root / "dog" / "alpha.webp")
    Image.fromarray(np.asarray(picture.convert("L")).astype(np.uint16) * 257).save(root / "dog" / "deep.png")
    exif = Image.Exif()
    exif[0x0112] = 6  # stored lying on its side
    picture.save(root / "dog" / "turned.jpg", exif=exif)
    (root / "dog" / "broken.png").write_bytes(b"not a picture")
    whole = (root / "cat" / "plain.png").read_bytes()
    (root / "cat" / "cut.png").write_bytes(whole[: len(whole) // 2])
    (root / "notes.txt").write_text("no picture")
    return root


def test_every_readable_picture_is_listed_and_every_other_one_with_its_reason(folder, tmp_path):
    found = look(FOLDER | {"path": str(folder)}, tmp_path)
    assert found.classes == ("cat", "dog")
    assert [p.name for p in found.pictures] == sorted(p.name for p in found.pictures) and len(found) == 7
    assert {name for name, _ in found.skipped} == {"cat/cut.png", "dog/broken.png"}
    assert all(reason for _, reason in found.skipped)
    assert [found.classes[p.label] for p in found.pictures] == [p.name.split("/")[0] for p in found.pictures]
    assert np.load(tmp_path / "thumbnails.npy").shape == (7, 64, 64, 3)


def test_kinds_of_file_all_show_the_same_picture(folder, tmp_path):
    found = look(FOLDER | {"path": str(folder)}, tmp_path)
    by_name = {p.name: found.open(i) for i, p in enumerate(found.pictures)}
    assert {p.mode for p in by_name.values()} == {"RGB"}
    assert by_name["dog/turned.jpg"].size == (30, 40)
    grey = np.asarray(by_name["cat/grey.png"]).astype(int)
    assert np.abs(grey - np.asarray(by_name["dog/deep.png"])).max() <= 1  # 16 bits are not clipped to white
    plain = np.asarray(by_name["cat/plain.png"]).astype(int)
    assert np.abs(plain - np.asarray(by_name["dog/print.jpg"])).mean() < 12


def test_thumbnails_belong_to_their_pictures_also_after_skipped_ones(folder, tmp_path):
    found = look(FOLDER | {"path": str(folder)}, tmp_path)
    thumbnails = np.load(tmp_path / "thumbnails.npy")
    means = np.array([np.asarray(found.open(i)).mean((0, 1)) for i in range(len(found))])
    assert np.abs(thumbnails.mean((1, 2)) - means).max() < 15


def test_csv(folder, tmp_path):
    table = folder / "labels.csv"
    table.write_text("file,label\ncat/plain.png,10\ndog/turned.jpg,2\nmissing.png,2\n")
    config = {"kind": "csv", "path": str(table), "path_column": "file", "label_column": "label", "limit": None}
    found = look(config, tmp_path)
    assert found.classes == ("2", "10")  # numbers in the order of numbers
    assert [found.classes[p.label] for p in found.pictures] == ["10", "2"]
    assert found.skipped[0][0] == "missing.png"
    with pytest.raises(UserError, match="file, label"):
        look(config | {"label_column": "labels"}, tmp_path)


def test_an_empty_folder_is_told_so(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="no pictures"):
        look(FOLDER | {"path": str(tmp_path / "empty")}, tmp_path)


def test_probes_cover_the_classes_and_stay_when_pictures_are_added():
    def made(n: int) -> images.ImageSet:
        pictures = tuple(images.Picture(f"p{i}", f"p{i}", i % 5, 1, 1) for i in range(n))
        return images.ImageSet({}, pictures, tuple("abcde"), ())

    few, more = made(100), made(110)
    chosen = few.probes(10)
    assert sorted(few.pictures[i].label for i in chosen) == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    kept = {few.pictures[i].id for i in chosen} & {more.pictures[i].id for i in more.probes(10)}
    assert len(kept) >= 8
    assert few.probes(["p7", "p3"]) == [7, 3]
    with pytest.raises(UserError, match="p10"):
        few.probes(["p1000"])


def test_a_limit_takes_pictures_of_every_class(folder, tmp_path):
    found = look(FOLDER | {"path": str(folder), "limit": 4}, tmp_path)
    assert {p.name.split("/")[0] for p in found.pictures} == {"cat", "dog"}
