"""Reads picture files of any format: their own values, upright. Pillow reads most; other readers read the rest.

Optional readers, if installed: pillow-heif for HEIC, imagecodecs for TIFF files that tifffile alone cannot decode.
"""

import contextlib
import functools
import importlib.util
import logging
import os
import re
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

HEIC = {".heic", ".heif", ".hif"}
TIFF = {".tif", ".tiff"}
ENDINGS = {
    *(".jpg", ".jpeg", ".jfif", ".mpo", ".png", ".webp", ".avif", ".bmp", ".gif", ".ppm", ".pgm", ".pbm", ".pnm"),
    *(".jp2", ".j2k", ".jpx", ".jpf", ".j2c", ".npy", *TIFF),
}
# Endings of files that are not pictures. A folder's listing does not open them, as there may be one per picture.
NO_PICTURES = {
    *(".txt", ".csv", ".tsv", ".json", ".jsonl", ".xml", ".yaml", ".yml", ".md", ".html", ".htm", ".py", ".ipynb"),
    *(".log", ".db", ".ini", ".doc", ".docx", ".xls", ".xlsx", ".cfg", ".toml", ".sh", ".bat", ".lnk", ".url", ".pyc"),
}
_CONVERT = "convert them to PNG or TIFF, or write a loader"
_ARRAYS = "array files are not read; save each picture as .npy, or write a loader"
_LEFT_OUT = {
    "DICOM needs a loader (for example pydicom's dcmread(path).pixel_array)": (".dcm", ".dicom", ".ima"),
    f"OpenEXR is not read; {_CONVERT}": (".exr",),
    f"camera raw files are not read; {_CONVERT}": (".cr2", ".cr3", ".nef", ".arw", ".dng", ".orf", ".rw2", ".raf"),
    f"vector graphics are not read; {_CONVERT}": (".svg", ".eps", ".ai", ".ps", ".wmf", ".emf"),
    "documents are not read; save their pictures as files": (".pdf", ".djvu", ".ppt", ".pptx"),
    f"this format is not read; {_CONVERT}": (
        *(".psd", ".psb", ".xcf", ".tga", ".ico", ".icns", ".cur", ".dds", ".jxl", ".pcx", ".sgi", ".qoi", ".hdr"),
    ),
    "videos are not read; save their frames as files": (
        *(".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".wmv", ".mpg", ".mpeg", ".ogv", ".flv"),
    ),
    "archives are not read; unpack them": (".zip", ".tar", ".gz", ".tgz", ".7z", ".rar", ".bz2", ".xz"),
    _ARRAYS: (
        *(".npz", ".mat", ".h5", ".hdf5", ".nii", ".nrrd", ".mha", ".mhd", ".fits", ".nc", ".parquet", ".arrow"),
        *(".tfrecord", ".pkl", ".pickle", ".pt", ".pth", ".mdb"),
    ),
}
LEFT_OUT = {ending: reason for reason, endings in _LEFT_OUT.items() for ending in endings}
_NO_HEIC = "HEIC is read if pillow-heif is installed (pip install pillow-heif)"
# Formats to read, whatever the ending. Not all of pillow's: for PostScript it would start another program.
_FORMATS = ["JPEG", "PNG", "GIF", "TIFF", "WEBP", "BMP", "PPM", "AVIF", "JPEG2000"]
_CODECS = "it is read if imagecodecs is installed (pip install imagecodecs)"
_FIRST = "it has several pages or frames; the first is used"
_BAND = "its band {} is left out (image_sets: alpha: channel keeps it)"
LARGEST = 2 * Image.MAX_IMAGE_PIXELS  # pillow's limit
ALPHA = {"white": 255, "black": 0}


def left_out(path: str) -> str | None:
    """Why a file with another ending than ``ENDINGS`` is left out: "" if it is not a picture; None if it is one."""
    ending = os.path.splitext(path)[1].lower()
    if ending in LEFT_OUT:
        return LEFT_OUT[ending]
    try:
        with open(path, "rb") as file:
            head = file.read(132)
        if head.startswith(b"\x93NUMPY"):
            return None
        with Image.open(path, formats=formats()):
            return None
    except Image.DecompressionBombError:
        return None
    except OSError as error:
        if not isinstance(error, UnidentifiedImageError):
            return f"cannot be opened ({error.strerror})"
    except Exception:  # pillow raises anything for other files
        pass
    if head[128:] == b"DICM":
        return LEFT_OUT[".dcm"]
    return _NO_HEIC if ending in HEIC and "HEIF" not in formats() else "broken, or empty" if ending in HEIC else ""


@functools.cache
def formats() -> list[str]:
    """Pillow's names of the formats that are read."""
    if importlib.util.find_spec("pillow_heif") is None:
        return _FORMATS
    import pillow_heif

    pillow_heif.register_heif_opener()
    return [*_FORMATS, "HEIF"]


def readers(endings: set[str]) -> list[str]:
    """The installed optional readers that files with such endings may need."""
    wanted = [name for name, of in (("pillow_heif", HEIC), ("imagecodecs", TIFF)) if of & endings]
    return [name for name in wanted if importlib.util.find_spec(name)]


# ----------------------------------------------------------------------------------------------------------- reading


def read(path: Path, alpha: str = "drop") -> tuple[Image.Image | np.ndarray, list[str]]:
    """A file's own values, upright, and notes about it.

    The values are an RGB or L picture of 8 bits, or (h, w, c) finite numbers of any kind. alpha: treatment of
    transparency, or of a fourth band: "drop", "white" or "black" for that background, or "channel" to keep it. Raises
    any error of a decoder; a ValueError is a complete message.
    """
    regular(path)
    if reason := LEFT_OUT.get(path.suffix.lower()):
        raise ValueError(reason)
    with open(path, "rb") as file:
        head = file.read(512)
    if path.suffix.lower() == ".npy" or head.startswith(b"\x93NUMPY"):
        return numbers(np.lib.format.open_memmap(path, mode="r"))
    try:
        return _pillow(path, alpha)
    except UnidentifiedImageError as error:
        if head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
            try:
                return _faded(*_tiff(path), alpha)
            except KeyError as packed:
                raise ValueError(f"a TIFF file with an uncommon compression; {_CODECS}") from packed
        raise ValueError(_instead(head, path.suffix.lower())) from error
    except Image.DecompressionBombError as error:
        count = re.search(r"(\d+) pixels", str(error))
        raise ValueError(too_many(int(count[1]) if count else LARGEST + 1)) from error


def regular(path: Path) -> None:
    """Raises an error if path is not a regular file, with what it is instead: opening a pipe would block forever."""
    if path.is_file():
        return
    if path.is_dir():
        os.listdir(path)
        raise ValueError("a folder")
    if path.is_symlink():
        raise ValueError("a link to nothing")
    if any(part in ("http:", "https:", "ftp:", "s3:", "gs:") for part in path.parts):
        raise ValueError("a URL, not a file: download the pictures, and put their paths into the table")
    raise ValueError("a device" if path.exists() else "there is no such file")


def too_many(pixels: int) -> str:
    return (
        f"{pixels / 1e6:,.0f} million pixels; at most {LARGEST / 1e6:,.0f} million are read. Make it smaller, or cut "
        "it into parts"
    )


def _instead(head: bytes, ending: str) -> str:
    """What a file that is not a picture appears to be, by its first bytes."""
    start = head.lstrip()[:100].lower()
    if not head:
        return "empty: 0 bytes"
    if start.startswith(b"version https://git-lfs"):
        return "a pointer of Git LFS, not the picture itself; git lfs pull fetches it"
    if start.startswith((b"<!doctype html", b"<html")):
        return "a web page, not a picture"
    if head[128:132] == b"DICM":
        return LEFT_OUT[".dcm"]
    heic = head[4:8] == b"ftyp" and (ending in HEIC or head[8:12] in (b"heic", b"heix", b"mif1", b"hevc"))
    if heic and "HEIF" not in formats():
        return _NO_HEIC
    return "not a picture of a known format, or damaged at its start"


def _pillow(path: Path, alpha: str) -> tuple[Image.Image | np.ndarray, list[str]]:
    with Image.open(path, formats=formats()) as picture:
        layout, kind = str(picture.tile), picture.format  # the file's storage layout; pillow drops it after loading
        notes = [_FIRST] if _frames(picture) > 1 and kind != "MPO" else []  # further frames of MPO are not pages
        if kind == "TIFF":
            bands, bits = _stored_as(picture)
            if bands == 4 and picture.mode == "RGB" and bits <= 8 and alpha == "drop":
                notes.append(_BAND.format(4))
            elif _beyond_pillow(picture, bands, bits):
                with contextlib.suppress(KeyError):  # compressed in a way that tifffile alone cannot decode
                    return _faded(*_tiff(path), alpha)
        deep = "16" in layout if kind == "PNG" else kind == "PPM" and re.search(r", \d{4,}\)", layout)
        picture.load()
        if picture.mode in ("RGB", "RGBA") and (deep or (kind == "TIFF" and bits > 8)):
            return _faded(_upright(_opencv(path), picture.getexif().get(0x0112, 1)), notes, alpha)
        with contextlib.suppress(Exception):  # broken EXIF: the picture stays as stored
            ImageOps.exif_transpose(picture, in_place=True)
        if picture.mode == "F":
            return numbers(picture, notes)
        if picture.mode == "I":  # pillow has no unsigned 32-bit mode
            signed = "16S" in layout or "16BS" in layout
            values = np.int16 if signed else np.uint16 if ";16" in layout or kind == "PPM" else np.int32
            return numbers(np.asarray(picture).astype(values), notes)
        if picture.mode.startswith("I;16"):
            return numbers(np.asarray(picture).astype(np.uint16), notes)
        if picture.mode in ("RGB", "L"):
            return picture, notes
        return _opaque(picture, notes, alpha)


def _frames(picture: Image.Image) -> int:
    """1 for one picture, 2 for more."""
    try:  # counting all frames of a GIF would decode all of them
        return 1 + bool(getattr(picture, "is_animated", False))
    except Exception:  # damaged after its first picture
        return 1


def _opaque(picture: Image.Image, notes: list[str], alpha: str) -> tuple[Image.Image | np.ndarray, list[str]]:
    """A picture of another mode as RGB, or with transparency as a fourth channel; see :func:`read`."""
    if not picture.has_transparency_data:
        return picture.convert("RGB"), notes
    full = picture.convert("RGBA")
    if alpha == "channel":
        return numbers(np.asarray(full), notes)
    if alpha in ALPHA:
        below = Image.new("RGBA", full.size, (ALPHA[alpha],) * 3 + (255,))
        return Image.alpha_composite(below, full).convert("RGB"), notes
    if full.getextrema()[3][0] < 255:
        notes = [
            *notes,
            "it is transparent in places; the colours below are used (image_sets: alpha: white changes this)",
        ]
    return picture.convert("RGB"), notes


def _faded(values: np.ndarray, notes: list[str], alpha: str) -> tuple[np.ndarray, list[str]]:
    """(h, w, c) values of a file of 2 or 4 bands, without the last one or blended with a colour; others unchanged."""
    values, notes = numbers(values, notes)
    if values.shape[2] not in (2, 4) or alpha == "channel":
        return values, notes
    last = values[..., -1:]
    white = 1 if values.dtype.kind == "f" else np.iinfo(values.dtype).max if values.dtype.kind in "iu" else 1
    if alpha in ALPHA:
        share = last.astype(np.float64) / white
        ground = white * (ALPHA[alpha] / 255)
        return (values[..., :-1] * share + ground * (1 - share)).astype(values.dtype), notes
    if (last != white).any():
        notes = [*notes, _BAND.format(values.shape[2])]
    return values[..., :-1], notes


def _stored_as(picture: Image.Image) -> tuple[int, int]:
    """Number of bands and of bits per value of a TIFF file."""
    bits = picture.tag_v2.get(258, 1)
    return picture.tag_v2.get(277, 1), max(bits) if isinstance(bits, tuple) else bits


def _beyond_pillow(picture: Image.Image, bands: int, bits: int) -> bool:
    """Whether pillow would drop bands, bits or signs of a TIFF file, or read an array of one-row pages as a stack."""
    lost = bands > len(picture.getbands()) and picture.mode not in ("P", "1")
    unsigned = picture.tag_v2.get(339, (1,)) in (1, (1,) * bands)
    if bits == 32 and picture.mode == "I" and unsigned:  # pillow treats every such number as signed
        return True
    return lost or (bands > 1 and bits > 8) or (picture.width <= 16 and _frames(picture) > 1)


def _tiff(path: Path) -> tuple[np.ndarray, list[str]]:
    """The first picture of a TIFF file, (h, w) or (h, w, c). Raises KeyError for an uncommon compression."""
    import tifffile

    logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # errors are reported once, as the picture's reason
    with tifffile.TiffFile(path) as tiff:
        series, page = tiff.series[0], tiff.pages[0]
        if (size := page.imagelength * page.imagewidth) > LARGEST:
            raise ValueError(too_many(size))
        as_rows = len(series.shape) == 3 and series.shape[2] <= 16 < min(series.shape[:2])
        values, axes = (series.asarray(), "YXS") if as_rows else (page.asarray(), page.axes)
        turn = getattr(page.tags.get("Orientation"), "value", 1)
        notes = [_FIRST] if len(tiff.pages) > 1 and not as_rows else []
    for gone in set(axes) - set("YXS"):
        values, axes = values.take(0, axes.index(gone)), axes.replace(gone, "")
    return _upright(np.moveaxis(values, 0, -1) if axes.startswith("S") else values, turn), notes


def _upright(values: np.ndarray, turn: int) -> np.ndarray:
    """The values in EXIF's orientation, 1 to 8."""
    if turn in (2, 4, 5, 7):
        values = values[:, ::-1] if turn in (2, 5, 7) else values[::-1]
    return np.rot90(values, {3: 2, 5: 1, 6: 3, 7: 3, 8: 1}.get(turn, 0))


def _opencv(path: Path) -> np.ndarray:
    """Colours of 16 bits, which pillow reduces to 8: (h, w, 3 or 4)."""
    import cv2

    values = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
    if values is None or values.ndim == 2:
        raise ValueError(f"its 16-bit colours have an uncommon compression; {_CODECS}")
    return values[..., [2, 1, 0, *range(3, values.shape[2])]]


def numbers(values, notes: list[str] | None = None) -> tuple[np.ndarray, list[str]]:
    """(h, w) or (h, w, c) numbers → (h, w, c), and notes. Raises ValueError if they cannot be a picture.

    (c, h, w) is transposed if the channels clearly come first: few of them before sides that are long or equal.
    """
    values, notes = np.asarray(values), [*(notes or [])]
    if values.dtype.kind not in "buif":
        raise ValueError(f"values of type {values.dtype}; a picture has bool, integer or float values")
    if values.ndim not in (2, 3) or 0 in values.shape:
        raise ValueError(f"an array of shape {values.shape}; a picture is (height, width) or (height, width, channels)")
    if values.ndim == 3 and _channels_first(values.shape):
        notes.append(f"an array of shape {values.shape}: its channels are assumed to come first")
        values = np.moveaxis(values, 0, -1)
    if values.shape[0] * values.shape[1] > LARGEST:
        raise ValueError(too_many(values.shape[0] * values.shape[1]))
    if values.dtype.kind == "f" and (odd := values.size - np.count_nonzero(np.isfinite(values))):
        raise ValueError(f"{odd} of its {values.size} values are not finite")
    return values.reshape(*values.shape[:2], -1), notes


def _channels_first(shape: tuple[int, int, int]) -> bool:
    first, height, width = shape
    return (first <= 4 and min(height, width) > 16) or (first != height == width > 4)


def reason(error: Exception) -> str:
    """Why a file could not be read, in one line without its path."""
    words = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    words = visible(" ".join(words.split())[:300])
    if type(error) is ValueError and words:  # is a complete message
        return words
    return f"{type(error).__name__}: {words}".removesuffix(": ")


def visible(name: str) -> str:
    """A name that can be written as UTF-8: other bytes, which Python has as lone surrogates, become \\udc…"""
    return name.encode("utf-8", "backslashreplace").decode()
