"""Hundreds of damaged and odd files: each can be read, also later, or is listed with its reason. None ends the run."""

import io
import json
import os
import random
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
from PIL import Image

from cnnviz.pictures import images
from cnnviz.pictures.preprocess import Preprocess

MADE_BROKEN = 360
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def gradient(width=40, height=30) -> Image.Image:
    y, x = np.mgrid[:height, :width]
    return Image.fromarray(np.stack([x * 255 // width, y * 255 // height, (x + y) % 256], -1).astype(np.uint8))


def encoded(picture: Image.Image, kind: str, **words) -> bytes:
    stream = io.BytesIO()
    if "append_images" in words:
        words["append_images"] = [frame.copy() for frame in words["append_images"]]
    picture.copy().save(stream, kind, **words)  # a copy: saving leaves its mark on a picture
    return stream.getvalue()


def exif(orientation: int) -> Image.Exif:
    made = Image.Exif()
    made[0x0112] = orientation
    made[0x010E] = "x" * 40
    return made


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(width: int, height: int, pixels: bytes = b"") -> bytes:
    """A grey PNG that states this size, whatever its content."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(pixels)) + chunk(b"IEND", b"")


def npy(values: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, values)
    return stream.getvalue()


def whole_files() -> dict[str, bytes]:
    """An intact file of every format, by name."""
    plain = gradient()
    grey = np.asarray(plain.convert("L"))
    palette = plain.quantize(16)
    frames = [plain, plain.transpose(Image.Transpose.FLIP_LEFT_RIGHT), plain.rotate(90)]
    made = {
        "rgb.jpg": encoded(plain, "JPEG", exif=exif(6)),
        "progressive.jpg": encoded(plain, "JPEG", progressive=True),
        "grey.jpg": encoded(plain.convert("L"), "JPEG"),
        "cmyk.jpg": encoded(plain.convert("CMYK"), "JPEG"),
        "mpo.jpg": encoded(plain, "MPO", save_all=True, append_images=frames[1:]),
        "rgb.png": encoded(plain, "PNG", exif=exif(5)),
        "rgba.png": encoded(plain.convert("RGBA"), "PNG"),
        "la.png": encoded(plain.convert("LA"), "PNG"),
        "1bit.png": encoded(plain.convert("1"), "PNG"),
        "16bit.png": encoded(Image.fromarray(grey.astype(np.uint16) * 257), "PNG"),
        "palette.png": encoded(palette, "PNG", transparency=bytes(range(0, 256, 16))),
        "plain.gif": encoded(palette, "GIF", transparency=3),
        "animated.gif": encoded(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=50),
        "rgb.webp": encoded(plain, "WEBP"),
        "animated.webp": encoded(frames[0], "WEBP", save_all=True, append_images=frames[1:], exif=exif(8)),
        "rgb.bmp": encoded(plain, "BMP"),
        "rgb.tif": encoded(plain, "TIFF", compression="tiff_lzw"),
        "cmyk.tif": encoded(plain.convert("CMYK"), "TIFF"),
        "lab.tif": encoded(plain.convert("LAB"), "TIFF"),
        "float.tif": encoded(Image.fromarray(grey.astype(np.float32) / 255), "TIFF"),
        "32bit.tif": encoded(Image.fromarray(grey.astype(np.int32)), "TIFF"),
        "pages.tif": encoded(frames[0], "TIFF", save_all=True, append_images=frames[1:]),
        "rgb.ppm": encoded(plain, "PPM"),
        "1bit.pbm": encoded(plain.convert("1"), "PPM"),
        "16bit.pgm": b"P5 40 30 65535\n" + (grey * np.uint16(257)).astype(">u2").tobytes(),
        "rgb.npy": npy(np.asarray(plain)),
        "float.npy": npy(grey / 255),
        "1x1.png": encoded(gradient(1, 1), "PNG"),
        "1x5000.png": encoded(gradient(1, 5000), "PNG"),
        "5000x1.jpg": encoded(gradient(5000, 1), "JPEG"),
        "really-a.png": encoded(plain, "JPEG"),
        "really-b.jpg": encoded(plain, "WEBP"),
        "broken-exif.jpg": encoded(plain, "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\x7f" + b"\xee" * 40),
        "broken-xmp.jpg": encoded(plain, "JPEG", exif=exif(3), xmp=b"<x:xmpmeta tiff:Orientation=\xff\xfe>"),
        "odd-turn.jpg": encoded(plain, "JPEG", exif=exif(77)),
    }  # fmt: skip
    return made


def hopeless_files() -> dict[str, bytes]:
    """Unreadable files."""
    return {
        "zero.jpg": b"", "zero.npy": b"", "text.png": b"not a picture", "page.jpg": b"<html></html>",
        "script.jpg": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(touched) (w) file\n",
        "huge.png": png(60_000, 60_000), "largest.png": png(2**31 - 1, 2**31 - 1), "none.png": png(0, 5),
        "hollow.png": png(300, 300, b"\0" * 50), "bomb.png": png(14_000, 14_000, b"\0" * 14_001 * 50),
        "huge.bmp": b"BM" + struct.pack("<IHHIIiiHHIIiiII", 60, 0, 0, 54, 40, 2**30, 2**30, 1, 24, 0, 0, 0, 0, 0, 0),
        "huge.ppm": b"P6 99999999 99999999 255\n...", "huge.gif": b"GIF89a" + b"\xff" * 60,
        "huge.npy": b"\x93NUMPY\x01\0" + struct.pack("<H", 70)
        + b"{'descr': '<f8', 'fortran_order': False, 'shape': (9999999, 9999999)}\n".ljust(70),
        "pickle.npy": b"\x93NUMPY\x01\0" + struct.pack("<H", 70)
        + b"{'descr': '|O', 'fortran_order': False, 'shape': (2, 2)}".ljust(69) + b"\n" + b"cos\nsystem\n" * 9,
        "picture.npy": encoded(gradient(), "PNG"), "nan.npy": npy(np.full((4, 4), np.nan)),
    }  # fmt: skip


def broken(whole: dict[str, bytes], count: int, seed: int) -> dict[str, bytes]:
    """``count`` files with bytes changed, truncated, removed, doubled or of another file; mostly near the start."""
    chance = random.Random(seed)
    sources = sorted(whole)
    made = {}
    for i in range(count):
        name = sources[i % len(sources)]
        content = bytearray(whole[name])
        for _ in range(chance.choice((1, 1, 2, 5, 30))):
            place = chance.randrange(min(len(content), chance.choice((24, 200, len(content)))))
            match chance.choice(("flip", "flip", "byte", "byte", "ones", "cut", "lose", "double", "mix")):
                case "flip":
                    content[place] ^= 1 << chance.randrange(8)
                case "byte":
                    content[place] = chance.randrange(256)
                case "ones":
                    content[place : place + 4] = b"\xff" * 4
                case "cut":
                    del content[max(1, chance.randrange(len(content))) :]
                case "lose":
                    del content[1 + place : place + chance.choice((2, 3, 17))]
                case "double":
                    content[place:place] = content[place : place + 64]
                case "mix":
                    content[place : place + 32] = whole[chance.choice(sources)][place : place + 32]
        stem, suffix = os.path.splitext(name)
        made[f"broken-{i:03d}-{stem}{suffix}"] = bytes(content)
    return made


@pytest.fixture(scope="module")
def heap(tmp_path_factory):
    """A folder of all files, and of other entries of a file system."""
    root = tmp_path_factory.mktemp("heap")
    whole = whole_files()
    for name, content in (whole | hopeless_files() | broken(whole, MADE_BROKEN, 20)).items():
        (root / name).write_bytes(content)
    (root / "folder.jpg").mkdir()
    (root / "loop.png").symlink_to("loop.png")
    (root / "round").symlink_to(root)
    (root / "gone.jpg").symlink_to("nowhere")
    os.mkfifo(root / "pipe.png")
    for name in ("new\nline.png", "quote\"'`$(x).png", "%s{0}\\.png", "é\u0301\u200b😀.png", "long" * 60 + ".png"):
        (root / name).write_bytes(whole["rgb.png"])
    return root


def look(root, out, monkeypatch) -> images.ImageSet:
    config = {"kind": "folder", "path": str(root)}
    arguments = ["--index", str(out / "images.json"), "--thumbnails", str(out / "thumbnails.npy")]
    monkeypatch.setattr(sys, "argv", ["images", "--config", json.dumps(config), *arguments])
    images.main()
    return images.read(out / "images.json", config)


def test_each_file_can_be_read_or_is_listed_with_its_reason(heap, tmp_path, monkeypatch):
    found = look(heap, tmp_path, monkeypatch)
    skipped = dict(found.skipped)
    readable = [p.name for p in found.pictures]
    there = {name for name in os.listdir(heap) if name != "round"}
    assert {*readable, *skipped} == there and len(readable) + len(skipped) == len(there) > 400
    assert not set(whole_files()) & set(skipped)
    assert not set(hopeless_files()) & set(readable)
    assert {"folder.jpg", "loop.png", "gone.jpg", "pipe.png"} <= skipped.keys()
    assert 50 < sum(name.startswith("broken") for name in skipped) < MADE_BROKEN - 50  # both outcomes occur
    for name, reason in skipped.items():
        assert reason and len(reason) < 400 and "\n" not in reason and str(heap) not in reason, (name, reason)
    # a file that passes the first look passes every later one, with any geometry
    for way in ({"resize": 40, "crop": 32}, {"resize": (16, 16), "crop": 0.5}, {"resize": None, "crop": 50}):
        for inputs in (1, 3):
            prepared = Preprocess(**way, inputs=inputs)
            arrays = list(found.arrays(prepared.geometry))
            assert {a.shape for a in arrays} == {(*prepared.size, inputs)} and len(arrays) == len(found)
            assert {a.dtype.name for a in arrays} == {"uint8", "float32"}
            assert all(np.isfinite(a).all() for a in arrays)
    thumbnails = np.load(tmp_path / "thumbnails.npy")
    assert thumbnails.shape == (len(found), 64, 64, 3)
    json.dumps([found.skipped, readable], ensure_ascii=False).encode()  # can be written on a page


def test_the_command_says_little_and_nothing_of_pillows(heap, tmp_path):
    config = {"kind": "folder", "path": str(heap)}
    command = [sys.executable, "-m", "cnnviz.pictures.images", "--config", json.dumps(config)]
    command += ["--index", str(tmp_path / "images.json"), "--thumbnails", str(tmp_path / "thumbnails.npy")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0
    lines = done.stderr.replace("\r", "\n").splitlines()
    said = [line for line in lines if line and not line.startswith("image set · ")]  # the progress bar
    assert not said, said[:5]
    assert len(done.stdout.splitlines()) <= 2


def test_sound_files_of_every_kind_show_the_same_picture(heap, tmp_path, monkeypatch):
    found = look(heap, tmp_path, monkeypatch)
    index = {p.name: i for i, p in enumerate(found.pictures)}
    wanted = np.asarray(gradient()).astype(int)
    turned = {"rgb.jpg": 3, "rgb.png": None, "animated.webp": 1}  # quarter turns that EXIF asks for; None: transposed
    colours = ["rgb.jpg", "progressive.jpg", "cmyk.jpg", "mpo.jpg", "rgb.png", "rgba.png", "animated.gif", "rgb.webp"]
    colours += ["animated.webp", "rgb.bmp", "rgb.tif", "cmyk.tif", "pages.tif", "rgb.ppm", "rgb.npy", "really-a.png"]
    colours += ["really-b.jpg", "broken-exif.jpg", "odd-turn.jpg", "plain.gif", "palette.png"]
    for name in colours:
        got = np.asarray(found.open(index[name])).astype(int)
        expected = wanted
        if name in turned:
            expected = wanted.transpose(1, 0, 2) if turned[name] is None else np.rot90(wanted, turned[name])
        assert got.shape == expected.shape, name
        assert np.abs(got - expected).mean() < (25 if name in ("plain.gif", "palette.png") else 14), name
    grey = np.asarray(gradient().convert("L")).astype(int)
    for name in ("grey.jpg", "la.png", "16bit.png", "float.tif", "16bit.pgm", "float.npy"):
        assert np.abs(np.asarray(found.open(index[name]))[..., 0] - grey).mean() < 3, name
