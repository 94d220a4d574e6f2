"""Every file of a folder is a picture, left out with its reason, or another file. No bits or bands are lost."""

import json
import os
import struct
import sys
import zlib

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from cnnviz.check import image_sets as check
from cnnviz.errors import UserError
from cnnviz.pictures import decoding, images, listing
from cnnviz.site import missing

RAMP = np.stack(np.broadcast_arrays(np.arange(24)[:, None], np.arange(30), 9), -1).astype(np.uint16)  # (24, 30, 3)
BANDS = np.concatenate([RAMP, RAMP[..., :2]], -1)


def look(root, out, monkeypatch, **keys) -> tuple[images.ImageSet, dict]:
    """The pipeline's look at a folder, and its index."""
    block = {"kind": "folder", "path": str(root)} | keys
    listing._rows.cache_clear()
    arguments = ["--index", str(out / "images.json"), "--thumbnails", str(out / "thumbnails.npy")]
    monkeypatch.setattr(sys, "argv", ["images", "--config", json.dumps(block), *arguments])
    images.main()
    return images.read(out / "images.json", block), json.loads((out / "images.json").read_text())


@pytest.fixture
def mixed(tmp_path):
    """A folder of files that are common in real folders."""
    root = tmp_path / "set"
    for name in ("cat", "dog", "empty"):
        (root / name).mkdir(parents=True)
    picture = Image.fromarray(RAMP.astype(np.uint8))
    taken = {"cat/a.PNG": "PNG", "cat/b": "PNG", "cat/c.jp2": "JPEG2000", "cat/d.heic": "JPEG", "dog/e.dat": "GIF",
             "dog/f.jpg~": "JPEG", "dog/g.j2k": "JPEG2000", "dog/h.webp": "PNG"}  # fmt: skip
    for name, form in taken.items():
        picture.save(root / name, form)
    np.save(root / "dog" / "array.npy", RAMP.astype(np.uint8))
    (root / "dog" / "array.npy").rename(root / "dog" / "array")
    dicom = bytes(128) + b"DICM" + bytes(40)
    others = {"cat/1.dcm": dicom, "cat/IM7": dicom, "dog/2.dcm": dicom, "cat/x.svg": b"<svg/>", "cat/x.npz": b"PK",
              "dog/y.exr": b"v/1", "dog/z.webm": b"\x1aE", "dog/p.pdf": b"%PDF", "Thumbs.db": b"x", "cat/cat.txt": b"x",
              "labels.csv": b"path,label", "README": b"read me", ".DS_Store": b"x", "cat/._a.PNG": b"x",
              "dog/nil": b""}  # fmt: skip
    bad = {"cat/zero.jpg": b"", "cat/lfs.png": b"version https://git-lfs", "dog/cut.jp2": b"\0\0\0\x0cjP",
           "dog/page.jpg": b"<!DOCTYPE html>", "dog/scan.png": dicom, "dog/text.gif": b"hello"}  # fmt: skip
    for name, content in (others | bad).items():
        (root / name).write_bytes(content)
    return root, {*taken, "dog/array"}, others, bad


def test_every_file_is_in_one_of_three_lists(mixed, tmp_path, monkeypatch):
    root, taken, others, bad = mixed
    found, index = look(root, tmp_path, monkeypatch)
    assert {p.name for p in found.pictures} == taken
    reasons = dict(found.skipped)
    assert reasons.keys() == bad.keys()
    assert sum(other["count"] for other in index["others"]) == len(others)
    assert "0 bytes" in reasons["cat/zero.jpg"] and "git lfs pull" in reasons["cat/lfs.png"]
    assert "web page" in reasons["dog/page.jpg"] and "DICOM" in reasons["dog/scan.png"]
    assert not [name for name, words in reasons.items() if str(tmp_path) in words]
    told = {(other["kind"], bool(other["reason"])): other["count"] for other in index["others"]}
    assert told[".dcm", True] == 2 and told["without an ending", True] == 1 and told["without an ending", False] == 2
    assert all(told[kind, True] == 1 for kind in (".svg", ".npz", ".exr", ".webm", ".pdf"))
    assert told[".txt", False] == told[".db", False] == told[".csv", False] == 1
    assert found.classes == ("cat", "dog") and index["told"] == [
        "no pictures in the folder empty: not among the classes"
    ]
    for publish in ("everything", "derived"):
        sets = {s["kind"]: s for s in missing.words([], [], {"s": index}, publish)["sets"]}
        assert sets["skipped"]["count"] == 6 and len(sets["others"]["pictures"]) >= len(index["others"])


def test_the_check_says_what_is_taken_and_what_is_not(mixed):
    root, _, others, _ = mixed
    listing._rows.cache_clear()
    lines = list(check.about(check.listed({"kind": "folder", "path": str(root), "limit": 10}), "set", 1))
    words = "\n".join(f"{line.mark} {line.name}: {line.text}" for line in lines)
    assert "✓ pictures: 10 of 15 (limit) in 2 classes" in words
    assert "! left out: 2 .dcm, such as" in words and "1 .exr" in words and "without an ending" in words
    assert "· no pictures: " in words and "1 .txt" in words and "2 hidden" in words


def test_folders_called_by_numbers_are_doubted_in_the_check_and_in_the_gallery(tmp_path, monkeypatch):
    root = tmp_path / "set"
    for name in ("1", "2", "10"):
        (root / name).mkdir(parents=True)
        Image.new("L", (8, 8)).save(root / name / "x.png")
    found, index = look(root, tmp_path, monkeypatch)
    assert found.classes == ("1", "10", "2")
    assert index["notes"][0]["name"] == "order of the classes" and "(1, 2, 10, …)" in index["notes"][0]["reason"]
    lines = list(check.about(check.listed({"kind": "folder", "path": str(root)}), "set", 1))
    assert [line.mark for line in lines if line.name == "order"] == ["!"]
    (root / "10").rename(root / "3")
    assert not look(root, tmp_path, monkeypatch)[1]["notes"]


def test_a_folder_of_other_files_says_what_there_is(tmp_path):
    for i in range(3):
        (tmp_path / f"{i}.dcm").write_bytes(bytes(128) + b"DICM")
    listing._rows.cache_clear()
    with pytest.raises(UserError, match=r"no pictures .* but 3 \.dcm\. DICOM needs a loader"):
        listing.found({"kind": "folder", "path": str(tmp_path)})


def test_heic_is_read_where_its_reader_is_installed(tmp_path, monkeypatch):
    pytest.importorskip("pillow_heif")
    decoding.formats()
    Image.fromarray(RAMP.astype(np.uint8) * 8).save(tmp_path / "phone.heic", "HEIF", quality=100)
    Image.fromarray(RAMP.astype(np.uint8)).save(tmp_path / "a.png")
    found, _ = look(tmp_path, tmp_path, monkeypatch)
    (index,) = (i for i, p in enumerate(found.pictures) if p.name == "phone.heic")
    assert np.abs(np.asarray(found.pixels(index)).astype(int) - RAMP * 8).mean() < 4
    monkeypatch.setattr(decoding, "formats", lambda: decoding._FORMATS)
    _, index = look(tmp_path, tmp_path, monkeypatch)
    assert index["others"][0]["kind"] == ".heic" and "pip install pillow-heif" in index["others"][0]["reason"]


def saved(path, form) -> None:
    """RAMP or BANDS in one of the formats that pillow reduces, refuses or misreads."""
    contiguous = {"planarconfig": "contig", "photometric": "minisblack"}
    match form:
        case "png" | "ppm":
            cv2.imwrite(str(path), RAMP[..., ::-1])
        case "rgb":
            tifffile.imwrite(path, RAMP, photometric="rgb")
        case "packed":
            tifffile.imwrite(path, RAMP, photometric="rgb", compression="zlib", predictor=True)
        case "planes":
            tifffile.imwrite(path, np.moveaxis(RAMP, -1, 0), photometric="rgb", planarconfig="separate")
        case "five":
            tifffile.imwrite(path, BANDS, **contiguous)
        case "five planes":
            tifffile.imwrite(path, np.moveaxis(BANDS, -1, 0), photometric="minisblack", planarconfig="separate")
        case "pages":
            tifffile.imwrite(path, BANDS)  # rows become pages, unless the axes are stated
        case "first":
            np.save(path, np.moveaxis(BANDS, -1, 0))


FORMS = {"png": ".png", "ppm": ".ppm", "rgb": ".tif", "packed": ".tif", "planes": ".tiff", "five": ".tif",
         "five planes": ".tif", "pages": ".tif"}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_no_bits_and_no_bands_are_lost(form, tmp_path):
    path = tmp_path / f"x{FORMS[form]}"
    saved(path, form)
    values, notes = decoding.read(path)
    wanted = BANDS if form in ("five", "five planes", "pages") else RAMP
    assert values.dtype == np.uint16 and not notes
    np.testing.assert_array_equal(values, wanted)


@pytest.mark.parametrize("shape", [(3, 40, 50), (1, 40, 50), (12, 32, 32), (3, 8, 8), (200, 9, 9)])
def test_channels_that_come_first_are_turned_and_told(shape):
    values, notes = decoding.numbers(np.zeros(shape))
    assert values.shape == (*shape[1:], shape[0]) and "come first" in notes[0]


@pytest.mark.parametrize("shape", [(40, 50, 3), (32, 32, 12), (9, 9, 200), (145, 145, 200), (3, 50, 3), (16, 3, 3)])
def test_channels_that_come_last_stay(shape):
    values, notes = decoding.numbers(np.zeros(shape))
    assert values.shape == shape and not notes


def test_a_fourth_band_is_dropped_and_told_laid_on_a_colour_or_kept(tmp_path):
    colours = RAMP.astype(np.uint8)
    clear = np.where(np.arange(30) < 15, 0, 255).astype(np.uint8) * np.ones((24, 1), np.uint8)
    Image.fromarray(np.dstack([colours, clear])).save(tmp_path / "a.png")
    tifffile.imwrite(tmp_path / "b.tif", np.dstack([RAMP, clear]), photometric="rgb", extrasamples=["unassalpha"])
    tifffile.imwrite(tmp_path / "c.tif", np.dstack([colours, clear]), photometric="rgb", extrasamples=["unspecified"])
    for name in ("a.png", "b.tif", "c.tif"):
        values, notes = decoding.read(tmp_path / name)
        np.testing.assert_array_equal(values, RAMP)
        assert "alpha:" in notes[0]
        kept, notes = decoding.read(tmp_path / name, "channel")
        np.testing.assert_array_equal(kept, np.dstack([RAMP, clear]))
        assert not notes
    white, black = (np.asarray(decoding.read(tmp_path / "a.png", ground)[0]) for ground in ("white", "black"))
    assert (white[:, :15] == 255).all() and (black[:, :15] == 0).all()
    np.testing.assert_array_equal(white[:, 15:], colours[:, 15:])
    Image.fromarray(np.dstack([colours, clear * 0 + 255])).save(tmp_path / "opaque.png")
    assert decoding.read(tmp_path / "opaque.png")[1] == []


def test_a_stack_says_that_its_first_page_is_taken(tmp_path):
    tifffile.imwrite(tmp_path / "s.tif", np.moveaxis(BANDS, -1, 0), photometric="minisblack")
    tifffile.imwrite(tmp_path / "j.tif", np.zeros((3, 2, 24, 30), np.uint16), imagej=True, metadata={"axes": "ZCYX"})
    frames = [Image.new("L", (9, 9), shade) for shade in (10, 200)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    for name in ("s.tif", "j.tif", "a.gif"):
        assert "the first is used" in decoding.read(tmp_path / name)[1][0]


def test_pictures_beyond_the_largest_say_so(tmp_path):
    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", 20_000, 10_000, 8, 0, 0, 0, 0)
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b""))
    np.lib.format.open_memmap(tmp_path / "b.npy", "w+", np.uint8, (14_000, 14_000)).flush()
    tifffile.memmap(tmp_path / "c.tif", shape=(14_000, 14_000, 5), dtype=np.uint8, planarconfig="contig").flush()
    for name, count in (("a.png", 200), ("b.npy", 196), ("c.tif", 196)):
        with pytest.raises(ValueError, match=f"^{count} million pixels; at most 179 million"):
            decoding.read(tmp_path / name)


def test_pictures_of_another_number_of_channels_than_most_are_left_out(tmp_path, monkeypatch):
    root = tmp_path / "set"
    root.mkdir()
    for i in range(3):
        Image.fromarray(RAMP.astype(np.uint8)).save(root / f"{i}.png")
    Image.new("L", (30, 24), 200).save(root / "grey.png")
    saved(root / "0five.tif", "five")
    found, _ = look(root, tmp_path, monkeypatch)
    assert dict(found.skipped) == {"0five.tif": "it has 5 channels, most pictures of this set have 1 or 3"}
    thumbnails = np.load(tmp_path / "thumbnails.npy")
    assert len(thumbnails) == 4 and (thumbnails[3] == 200).all() and (thumbnails[:3] < 30).all()
    for i in range(4):
        saved(root / f"{i}more.tif", "five")
    found, _ = look(root, tmp_path, monkeypatch)
    assert len(found) == 5 and {name for name, _ in found.skipped} == {"0.png", "1.png", "2.png", "grey.png"}


def test_what_is_no_file_is_named_for_what_it_is(tmp_path):
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "lost.png").symlink_to("nowhere")
    os.mkfifo(tmp_path / "pipe.png")
    for name, said in (
        ("folder", "a folder"),
        ("lost", "a link to nothing"),
        ("pipe", "a device"),
        ("no", "no such file"),
    ):
        with pytest.raises(ValueError, match=said):
            decoding.read(tmp_path / f"{name}.png")
