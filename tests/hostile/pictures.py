"""Hundreds of odd and damaged pictures, from a seed: every mode and format that pillow, tifffile and numpy write.

``made(number)`` is a file's name and content. The first ones are intact and of every format; the later ones are
damaged. ``places(folder)`` makes entries that are not files.
"""

import io
import os
import random
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image

from tests.pictures.test_image_files import chunk, encoded, exif, hopeless_files, npy, png

WIDTH, HEIGHT = 40, 30
MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "LAB", "HSV", "I", "I;16", "I;16B", "F")
KINDS = {
    **{"JPEG": "jpg", "PNG": "png", "WEBP": "webp", "GIF": "gif", "BMP": "bmp", "TIFF": "tif", "PPM": "ppm"},
    **{
        "AVIF": "avif",
        "JPEG2000": "jp2",
        "TGA": "tga",
        "PCX": "pcx",
        "ICO": "ico",
        "DDS": "dds",
        "SGI": "sgi",
        "IM": "im",
    },
    **{
        "QOI": "qoi",
        "MPO": "mpo",
        "DIB": "dib",
        "XBM": "xbm",
        "PDF": "pdf",
        "EPS": "eps",
        "SPIDER": "spi",
        "ICNS": "icns",
    },
}
BOMB = "bomb"


def scene() -> Image.Image:
    """The picture in every intact file, in all channels: dark in the upper left corner, bright in the lower right."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    light = 20 + 150 * x / WIDTH + 60 * y / HEIGHT
    return Image.fromarray(np.stack([light, light + 15, light + 25], -1).astype(np.uint8))


def by_pillow() -> Iterator[tuple[str, bytes]]:
    for mode in MODES:
        picture = scene()
        try:
            if mode.startswith("I") or mode == "F":
                grey = np.asarray(picture.convert("L")).astype(np.int64)
                kinds = {"I": np.int32, "I;16": np.uint16, "I;16B": ">u2", "F": np.float32}
                picture = Image.fromarray((grey * (1 / 255 if mode == "F" else 257)).astype(kinds[mode]))
            elif mode == "PA":
                picture = picture.convert("P").convert("PA")
            elif mode != "RGB":
                picture = picture.convert("RGBA").convert(mode) if mode == "LA" else picture.convert(mode)
        except (ValueError, TypeError):  # pillow cannot convert to this mode
            continue
        deep = mode[0] in "IF"
        for kind, ending in KINDS.items():
            if deep and kind in ("GIF", "WEBP", "AVIF", "ICO"):  # pillow writes them white
                continue
            try:
                yield f"{mode.replace(';', '-')}.{ending}", encoded(picture, kind)
            except (OSError, ValueError, KeyError, TypeError, AttributeError):  # not in this format
                continue


def by_tifffile() -> Iterator[tuple[str, bytes]]:
    values = np.asarray(scene()).astype(np.float64) / 255

    def tif(array: np.ndarray, **words) -> bytes:
        stream = io.BytesIO()
        tifffile.imwrite(stream, array, **words)
        return stream.getvalue()

    for dtype in (
        np.uint8,
        np.uint16,
        np.uint32,
        np.uint64,
        np.int8,
        np.int16,
        np.int32,
        np.float16,
        np.float32,
        np.float64,
        bool,
        np.complex64,
    ):
        top = np.iinfo(dtype).max if np.dtype(dtype).kind in "iu" else 1
        for channels in (0, 1, 2, 3, 4, 5, 7):
            band = values[..., 0] if not channels else np.stack([values[..., i % 3] for i in range(channels)], -1)
            array = band > 0.5 if dtype is bool else (band * float(top) * (1 - 1e-9)).astype(dtype)
            name = f"{np.dtype(dtype).name}-{channels}"
            kind = {"photometric": "rgb" if channels in (3, 4) else "minisblack"}
            if channels < 2:
                yield f"{name}.tif", tif(array, **kind)
                continue
            first = np.ascontiguousarray(array.transpose(2, 0, 1))
            yield f"{name}.tif", tif(array, planarconfig="contig", **kind)
            yield f"{name}-planar.tif", tif(first, planarconfig="separate", **kind)
            yield f"{name}-pages.tif", tif(first, photometric="minisblack")
    rgb = (values * 255).astype(np.uint8)
    for compression in ("zlib", "lzw", "packbits", "lzma", "jpeg", "zstd", "webp", "jpegxl"):
        try:
            yield f"{compression}.tif", tif(rgb, compression=compression, photometric="rgb")
        except (ImportError, ValueError, RuntimeError, KeyError, TypeError):  # this codec is not installed
            continue
    yield "big.tif", tif(rgb, bigtiff=True)
    yield "tiles.tif", tif(rgb, tile=(16, 16))
    yield "other-end.tif", tif(rgb, byteorder=">")
    yield "imagej.tif", tif((values[..., 0] * 65535).astype(np.uint16), imagej=True)
    yield "imagej-stack.tif", tif(np.stack([(values[..., 0] * 65535).astype(np.uint16)] * 5), imagej=True)
    yield "ome.ome.tif", tif(rgb, ome=True, metadata={"axes": "YXS"})
    yield "pages.tif", tif(np.stack([rgb] * 3), photometric="rgb")
    yield "white-is-0.tif", tif(255 - rgb[..., 0], photometric="miniswhite")
    yield (
        "colour-map.tif",
        tif(rgb[..., 0], photometric="palette", colormap=np.stack([np.arange(256, dtype=np.uint16) * 257] * 3)),
    )


def by_numpy() -> Iterator[tuple[str, bytes]]:
    values = np.asarray(scene())
    for dtype in ("u1", "i1", "u2", ">u2", "i4", "u8", "f2", "f4", ">f8", "c8", "?", "S3", "U3", "M8[s]", "V4"):
        try:
            made = values / 255
            if np.dtype(dtype).kind in "iu":  # the full range of the type
                ends = np.iinfo(dtype)
                made = ends.min + made * (float(ends.max) - ends.min) * (1 - 1e-9)
            name = dtype.replace(">", "other-end-").replace("?", "bool").replace("[s]", "")
            yield f"{name}.npy", npy(made > 0.5 if dtype == "?" else made.astype(dtype))
        except (TypeError, ValueError):
            continue
    for shape in (
        (),
        (5,),
        (0, 0),
        (30, 40),
        (1, 30, 40),
        (3, 30, 40),
        (30, 40, 1),
        (30, 40, 3, 1),
        (1, 30, 40, 3),
        (30, 40, 300),
        (0, 4, 3),
        (1, 1),
    ):
        yield (
            f"shape-{'x'.join(map(str, shape))}.npy",
            npy(
                np.resize(values[..., :1] / 255, shape)
                if 1200 in (np.prod(shape), np.prod(shape[:2]))
                else np.full(shape, 0.5)
            ),
        )
    yield "fortran.npy", npy(np.asfortranarray(values))
    yield "fields.npy", npy(np.zeros((4, 4), [("r", "u1"), ("g", "u1")]))
    for word in (np.nan, np.inf, -np.inf, 1e300, 5e-324):
        odd = np.full((30, 40), 0.5)
        odd[3, 4] = word
        yield f"with-{word}.npy", npy(odd)
    objects = io.BytesIO()
    np.save(objects, np.array([[{}, None], [3, "x"]], object), allow_pickle=True)
    yield "objects.npy", objects.getvalue()
    archive = io.BytesIO()
    np.savez(archive, a=values)
    yield "archive.npz", archive.getvalue()
    yield "archive.npy", archive.getvalue()


def others() -> Iterator[tuple[str, bytes]]:
    plain, jpeg = scene(), encoded(scene(), "JPEG")
    for turn in range(10):
        yield f"turned-{turn}.jpg", encoded(plain, "JPEG", exif=exif(turn))
        yield f"turned-{turn}.webp", encoded(plain, "WEBP", exif=exif(turn))
    yield "palette-see-through.png", encoded(plain.quantize(8), "PNG", transparency=bytes([0, 128, 255] * 2))
    yield "grey-see-through.png", encoded(plain.convert("L"), "PNG", transparency=7)
    yield "animated.png", encoded(plain, "PNG", save_all=True, append_images=[plain.rotate(90), plain.rotate(180)])
    yield "profile.jpg", encoded(plain, "JPEG", icc_profile=b"no profile")
    for name in (
        "upper.JPG",
        "no-ending",
        "two.tar.jpg",
        "wrong.png",
        "wrong.tif",
        "wrong.npy",
        "wrong.txt",
        "x.jpg~",
        "Thumbs.db",
    ):
        yield name, jpeg
    yield "vector.svg", b"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>"
    yield "notes.txt", b"not a picture"
    yield "page.html.jpg", b"<!doctype html><title>404</title>"
    yield "pointer.jpg", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
    yield "slide.dcm", b"\0" * 128 + b"DICM" + b"\x02\0\0\0UL\x04\0\0\0\0\0" + b"\0" * 40
    yield "photo.heic", struct.pack(">I", 24) + b"ftypheic\0\0\0\0mif1heic" + b"\0" * 60
    yield "raw.nef", b"II*\0\x08\0\0\0\0\0"
    yield "fits.fits", b"SIMPLE  =                    T".ljust(80) + b"BITPIX  = 8".ljust(80) + b"END".ljust(2720)
    yield "hdf.h5", b"\x89HDF\r\n\x1a\n" + b"\0" * 90
    yield "film.mp4", struct.pack(">I", 24) + b"ftypisom\0\0\2\0isomiso2" + b"\0" * 60
    yield "zip.png", b"PK\x03\x04" + b"\0" * 40
    yield f"{BOMB}-16384.png", png(16_384, 16_384)
    yield (
        f"{BOMB}.tif",
        struct.pack("<2sHI", b"II", 42, 8)
        + struct.pack("<H", 4)
        + b"".join(
            struct.pack("<HHII", tag, 4, 1, value) for tag, value in ((256, 10**9), (257, 10**9), (259, 1), (273, 8))
        ),
    )
    yield "text-bomb.png", png(4, 4)[:-12] + chunk(b"zTXt", b"a\0\0" + b"\xff" * 30) + png(4, 4)[-12:]
    yield "itself.tif", struct.pack("<2sHIHI", b"II", 42, 8, 0, 8)
    for name in (
        "new\nline",
        "tab\t",
        "bell\x07",
        "-dash",
        "spaces  ",
        "#?%&'\"<b>",
        "\u202edlo",
        "🐺",
        "é",
        "e\u0301",
        "a" * 240,
        "..x",
        "con",
    ):
        yield f"{name}.jpg", jpeg
    yield os.fsdecode(b"no \xff utf-8.jpg"), jpeg


def whole() -> dict[str, bytes]:
    """Name → content of every intact file (some of them are not pictures)."""
    sources: tuple[Callable, ...] = (others, by_pillow, by_tifffile, by_numpy)
    return {name: content for source in sources for name, content in source()} | hopeless_files()


def damaged(sound: dict[str, bytes], count: int, seed: int = 0) -> dict[str, bytes]:
    """``count`` files with bytes changed, removed, doubled, of another file, or with another file's name."""
    hand = random.Random(seed)
    sources = [name for name in sorted(sound) if BOMB not in name and len(sound[name]) > 8]
    made = {}
    for i in range(count):
        name = hand.choice(sources)
        content = bytearray(sound[name])
        for _ in range(hand.choice((1, 1, 3, 20))):
            place = hand.randrange(min(len(content), hand.choice((32, 256, len(content)))))
            match hand.randrange(7):
                case 0:
                    content[place] ^= 1 << hand.randrange(8)
                case 1:
                    content[place : place + 4] = hand.choice((b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff"))
                case 2:
                    del content[max(4, place) :]
                case 3:
                    del content[place : place + hand.choice((1, 2, 40))]
                case 4:
                    content[place:place] = content[place : place + 99]
                case 5:
                    other = sound[hand.choice(sources)]
                    content[place : place + 64] = other[place : place + 64]
                case 6:
                    content += bytes(hand.choices(range(256), k=99))
            content = content or bytearray(b"x")
        stem, ending = os.path.splitext(hand.choice(sources) if hand.random() < 0.1 else name)
        made[f"damaged-{i:03d}-{stem[:40]}{ending}"] = bytes(content)
    return made


def places(folder: Path) -> list[str]:
    """Names of entries in a folder that are not files, or cannot be opened."""
    (folder / "folder.jpg").mkdir()
    os.mkfifo(folder / "pipe.png")
    for name, to in (
        ("loop.png", "loop.png"),
        ("gone.jpg", "nowhere"),
        ("zero.png", "/dev/zero"),
        ("null.npy", "/dev/null"),
    ):
        (folder / name).symlink_to(to)
    (folder / "round").symlink_to(folder)
    return ["folder.jpg", "pipe.png", "loop.png", "gone.jpg", "zero.png", "null.npy"]
