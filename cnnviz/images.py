"""Image sets: which pictures there are, what they are called, and their pixels. No torch here.

``python -m cnnviz.images`` is the pipeline's one look at every picture: it decodes each once, lists what could not be
read, and leaves ``images.json`` (the index) and ``thumbnails.npy`` (n, 64, 64, 3) uint8, which the views and
pixel-space neighbours use. Everything later opens the set through :class:`ImageSet`.
"""

import contextlib
import csv
import functools
import hashlib
import importlib.util
import json
import math
import os
import re
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from cnnviz import atomic
from cnnviz.errors import UserError, in_a_line, reporting, unknown
from cnnviz.fingerprint import content_hashes
from cnnviz.slug import slug

SCHEMA = 2
THUMBNAIL = 64
ROLES = ("reference", "query")
_SUFFIXES = {
    *(".jpg", ".jpeg", ".jfif", ".mpo", ".png", ".webp", ".avif", ".bmp", ".gif", ".tif", ".tiff"),
    *(".ppm", ".pgm", ".pbm", ".pnm", ".npy"),
}
# What a file may be, whatever it is called. Not all that pillow knows: for PostScript it would start another program.
_FORMATS = ("JPEG", "PNG", "GIF", "TIFF", "WEBP", "BMP", "PPM", "AVIF", "JPEG2000")
_AHEAD = 256 << 20  # bytes of pictures that wait for their reader, at most

# Broken metadata, and sizes below pillow's limit: a picture that can be shown needs no word about them in the log.
warnings.filterwarnings("ignore", module=r"PIL\.|cnnviz\.images")


@dataclass(frozen=True)
class Picture:
    """One picture: id (a slug, stable when others come or go), its name, its class (index into the set's classes).

    width, height: of the upright picture. labels: all its classes; ``label`` is the first of them, or None.
    role: "reference", or "query" for pictures whose neighbours are wanted. box: (left, top, right, bottom) of the thing
    in pixels of the upright picture, half open, or None. mask: name of a picture that marks the thing, or None.
    credit, licence: what to say when it is shown.
    """

    id: str
    name: str
    label: int | None
    width: int
    height: int
    labels: tuple[int, ...] = ()
    role: str = "reference"
    box: tuple[float, float, float, float] | None = None
    mask: str | None = None
    credit: str = ""
    licence: str = ""

    def __post_init__(self) -> None:
        if not self.labels and self.label is not None:
            object.__setattr__(self, "labels", (self.label,))


class Row(NamedTuple):
    """What is known of a picture before it is opened. labels: names of its classes; the rest as in :class:`Picture`."""

    name: str
    labels: tuple[str, ...] = ()
    role: str = "reference"
    box: tuple[float, float, float, float] | None = None
    mask: str | None = None
    credit: str = ""
    licence: str = ""


@dataclass(frozen=True)
class ImageSet:
    """The pictures of a set that can be read, in the order of their names (a table's: of its rows).

    config: the set's block of the config. pictures, classes: see :class:`Picture`. skipped: [name, reason] pairs.
    notes: [name, what is odd] pairs of pictures that are there all the same.
    """

    config: dict
    pictures: tuple[Picture, ...]
    classes: tuple[str, ...]
    skipped: tuple[tuple[str, str], ...]
    notes: tuple[tuple[str, str], ...] = ()

    def __len__(self) -> int:
        return len(self.pictures)

    def open(self, index: int) -> Image.Image:
        """The picture as it is shown: RGB, upright, at its full size, window and ``show`` applied."""
        return _shown(self.pixels(index), self.config.get("show"))

    def pixels(self, index: int) -> Image.Image | np.ndarray:
        """What the file holds, upright (EXIF rotation applied): an RGB or L picture, or (h, w, c) float32 in [0, 1].

        Raises UserError where the file, which could be read once, has changed.
        """
        name = self.pictures[index].name
        try:
            return _decode(self.config, name)
        except UserError:
            raise
        except Exception as error:
            raise UserError(
                f"{_path(self.config, name)} could be read when the set was listed, and now cannot ({reason(error)}); "
                "if the file has changed, run the pipeline again"
            ) from error

    def arrays(
        self,
        geometry: Callable[[Image.Image | np.ndarray], np.ndarray],
        indices: Sequence[int] | None = None,
        threads: int = 2,
        shown: bool = False,
    ) -> Iterator[np.ndarray]:
        """``geometry(picture)`` of each picture, in order, made ahead by ``threads`` threads.

        With :meth:`Preprocess.geometry` that is what the network takes: (h, w, c), uint8 or, in [0, 1], float32.
        shown: make it of the picture as it is shown, RGB whatever the file holds. Raises UserError naming the picture.
        """

        def made(index: int) -> np.ndarray:
            picture = self.open(index) if shown else self.pixels(index)
            try:
                return geometry(picture)
            except UserError as error:
                raise UserError(f"picture {self.pictures[index].name}: {error}") from error

        yield from _ahead(made, range(len(self)) if indices is None else indices, threads)

    def probes(self, wanted: int | Sequence[str]) -> list[int]:
        """Indices of the probe pictures: the named ones, or so many chosen by a hash of their names, class by class.

        Pictures of the role "query" come first. Adding pictures moves no other probe out except by a smaller hash.
        Raises UserError for an unknown name.
        """
        if not isinstance(wanted, int):
            by_name = {name: i for i, p in enumerate(self.pictures) for name in (p.id, p.name)}
            missing = [name for name in wanted if name not in by_name]
            if missing:
                raise unknown("probes", missing[0], [p.name for p in self.pictures])
            return [by_name[name] for name in wanted]
        order = sorted(range(len(self)), key=lambda i: hashlib.sha256(self.pictures[i].name.encode()).digest())
        seen: dict[tuple, int] = {}
        ranked = []
        for i in order:
            kind = self.pictures[i].role != "query", self.pictures[i].label
            ranked.append((kind[0], seen.get(kind, 0), len(ranked), i))
            seen[kind] = seen.get(kind, 0) + 1
        return [i for *_, i in sorted(ranked)[:wanted]]


def read(path: str | os.PathLike, config: dict) -> ImageSet:
    """The set that ``images.json`` at ``path`` lists; ``config`` is the set's block, for where the pixels are."""
    data = json.loads(Path(path).read_text("utf-8"))
    if data["schema"] != SCHEMA:
        raise UserError(f"{path}: schema {data['schema']}, this code reads {SCHEMA}; run the pipeline again")
    return ImageSet(
        config,
        tuple(Picture(**{k: tuple(v) if isinstance(v, list) else v for k, v in p.items()}) for p in data["pictures"]),
        tuple(data["classes"]),
        tuple((s["name"], s["reason"]) for s in data["skipped"]),
        tuple((s["name"], s["reason"]) for s in data.get("notes", ())),
    )


# ------------------------------------------------------------------------- what there is, while the Snakefile is read


def rows(config: dict) -> tuple[Row, ...]:
    """Every picture that a set's config block names, without opening any. Raises UserError.

    Remembered within the process, since each model asks again.
    """
    return _rows(json.dumps(config, sort_keys=True))


def listing(config: dict) -> list[tuple[str, str | None]]:
    """(name, name of its first class) of every picture of :func:`rows`."""
    return [(row.name, row.labels[0] if row.labels else None) for row in rows(config)]


def classes(config: dict) -> list[str]:
    """Names of a set's classes in the order of their labels: by name, numbers by value."""
    if config["kind"] == "demo":
        from cnnviz.demo.pictures import CLASSES

        return list(CLASSES)
    return sorted({label for row in rows(config) for label in row.labels}, key=lambda label: (_natural(label), label))


def check_probes(config: dict, wanted: int | Sequence[str]) -> None:
    """Raise UserError where the set cannot be listed, or where ``wanted`` names a picture that is not in it."""
    names = [row.name for row in rows(config)]
    if not isinstance(wanted, int):
        for name in set(wanted) - set(names) - {slug(n) for n in names}:
            raise unknown("probes", name, names)


def fingerprint(config: dict) -> str:
    """A hash of what the set is: all that is known of each picture, its bytes, its mask's and the loader's.

    The demo's bytes follow from its code.
    """
    return _fingerprint(json.dumps(config, sort_keys=True))


@functools.cache
def _rows(text: str) -> tuple[Row, ...]:
    config = json.loads(text)
    match config["kind"]:
        case "demo":
            from cnnviz.demo.pictures import CLASSES

            drawn = ((i, CLASSES[i % len(CLASSES)]) for i in range(config["count"]))
            found = [Row(f"{name}-{i:04d}", (name,)) for i, name in drawn]
        case "folder":
            found = _folder(config)
        case "csv":
            found = _table(config)
    limit = (config.get("limit") if config["kind"] != "demo" else None) or len(found)
    return tuple(found[i * len(found) // limit] for i in range(min(limit, len(found))))  # spread over the set


@functools.cache
def _fingerprint(text: str) -> str:
    config, listed = json.loads(text), _rows(text)
    known = {key: config.get(key) for key in ("window", "show", "loader")}
    digest = hashlib.sha256(json.dumps([known, listed]).encode())
    if config["kind"] != "demo":
        root = _root(config)
        files = [os.path.join(root, name) for row in listed for name in (row.name, row.mask) if name is not None]
        if config.get("loader"):
            files.append(config["loader"].rpartition(":")[0])
        digest.update(json.dumps(content_hashes(files)).encode())
    return digest.hexdigest()[:16]


def _folder(config: dict) -> list[Row]:
    """The pictures below a folder, by name. The first folder level, below that of a role, is the class."""
    root = config["path"]
    roles = config.get("roles") or {}
    inside = {f"{folder.strip('/')}/": role for role, folders in roles.items() for folder in folders} or {"": ROLES[0]}
    found = []
    for folder, role in inside.items():
        for name in _walk(root, folder, every=bool(config.get("loader"))):
            label, deeper, _ = name[len(folder) :].partition("/")
            found.append(Row(name, (label,) if deeper else (), role))
    if not found:
        kinds = "files" if config.get("loader") else f"pictures ({', '.join(sorted(_SUFFIXES))})"
        where = f"the folders {', '.join(inside)} of {root}" if roles else f"{root}"
        raise UserError(f"{where}: no {kinds} in there")
    return sorted(found, key=lambda row: row.name)


def _walk(root: str, start: str, every: bool) -> Iterator[str]:
    """Names of the files below ``root``/``start``: of pictures, or of every file; what starts with a dot is hidden.

    Links to folders are followed, but never into a folder that they are in. What can be seen to be no file (a folder
    called x.jpg) is named all the same, to be told about later.
    """
    waiting = [(start, frozenset())]
    while waiting:
        folder, above = waiting.pop()
        here = os.path.join(root, folder)
        try:
            status = os.stat(here)
            if (status.st_dev, status.st_ino) in above:
                continue
            with os.scandir(here) as entries:
                entries = [entry for entry in entries if not entry.name.startswith(".")]
        except OSError:
            yield _text(folder.rstrip("/"))
            continue
        for entry in entries:
            try:
                is_folder = entry.is_dir()
            except OSError:  # a link to itself
                is_folder = False
            if is_folder:
                waiting.append((f"{folder}{entry.name}/", above | {(status.st_dev, status.st_ino)}))
            if os.path.splitext(entry.name)[1].lower() in _SUFFIXES or (every and not is_folder):
                yield _text(folder + entry.name)


def _table(config: dict) -> list[Row]:
    """The pictures of a CSV file in its order. Rows of the same picture are one: their labels are joined."""
    path = config["path"]
    columns = {key: config.get(f"{key}_column") for key in ("path", "label", "mask", "credit", "licence", "role")}
    separator, corners = config.get("label_separator"), config.get("box_columns") or []
    found: dict[str, Row] = {}
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            known = reader.fieldnames or []
            for column in (*columns.values(), *corners):
                if column is not None and column not in known:
                    raise unknown(f"{path}: column", column, known)
            for line in reader:
                where = f"{path}, line {reader.line_num}"
                cell = {key: (line[c] or "") if c is not None else "" for key, c in columns.items()}
                name, label = _text(cell["path"]), cell["label"]
                if not name:
                    raise UserError(f"{where}: the column {columns['path']!r} is empty")
                labels = [part.strip() for part in (label.split(separator) if separator else [label])]
                before = found[name].labels if name in found else ()
                role = cell["role"].strip() or ROLES[0]
                if role not in ROLES:
                    raise unknown(f"{where}: role", role, ROLES)
                found[name] = Row(
                    name,
                    tuple(dict.fromkeys([*before, *filter(None, labels)])),
                    role,
                    _box([line[c] for c in corners], where),
                    cell["mask"].strip() or None,
                    cell["credit"].strip(),
                    cell["licence"].strip(),
                )
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path} is not a CSV file in UTF-8: {error}") from error
    if not found:
        raise UserError(f"{path}: no rows")
    return list(found.values())


def _box(cells: list[str | None], where: str) -> tuple[float, ...] | None:
    if not any(cell and cell.strip() for cell in cells):
        return None
    try:
        box = tuple(float(cell) for cell in cells)
    except (TypeError, ValueError):
        raise UserError(f"{where}: a box is four numbers, not {cells}") from None
    if not all(map(math.isfinite, box)):
        raise UserError(f"{where}: a box is four numbers, not {cells}")
    return tuple(int(side) if side == int(side) else side for side in box)


def _text(name: str) -> str:
    """A name that can be written down: bytes that are no UTF-8 become visible (and the file is then not found)."""
    return name.encode("utf-8", "backslashreplace").decode()


def _natural(name: str) -> list:
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part.casefold()) for part in re.split(r"(\d+)", name)]


def _root(config: dict) -> str:
    return os.path.dirname(config["path"]) if config["kind"] == "csv" else config["path"]


def _path(config: dict, name: str) -> Path:
    return Path("demo" if config["kind"] == "demo" else _root(config), name)


# ------------------------------------------------------------------------------------------------------------- pixels


def _decode(config: dict, name: str) -> Image.Image | np.ndarray:
    """See :meth:`ImageSet.pixels`. Raises whatever a decoder raises."""
    return _windowed(_stored(config, name), config.get("window"))


def _stored(config: dict, name: str) -> Image.Image | np.ndarray:
    """A file's own values, upright: an RGB or L picture of 8 bits, or (h, w, c) finite numbers of any kind."""
    if config["kind"] == "demo":
        from cnnviz.demo.pictures import draw

        return Image.fromarray(draw(config["seed"], int(name.rsplit("-", 1)[1])).image)
    path = _path(config, name)
    if not path.is_file():
        raise ValueError("a folder or a device" if path.exists() else "there is no such file, or its name is no UTF-8")
    if config.get("loader"):
        return _numbers(_loader(config["loader"])(str(path)))
    if path.suffix.lower() == ".npy":
        return _numbers(np.lib.format.open_memmap(path, mode="r"))
    with Image.open(path, formats=_FORMATS) as picture:
        layout, kind = str(picture.tile), picture.format  # how the file stores its values; gone after loading
        picture.load()
        with contextlib.suppress(Exception):  # broken EXIF: then the picture stays as it is stored
            ImageOps.exif_transpose(picture, in_place=True)
        if picture.mode == "F":
            return _numbers(picture)
        if picture.mode == "I":  # pillow's only signed kind of number, whatever the file has
            signed = "16S" in layout or "16BS" in layout
            values = np.int16 if signed else np.uint16 if ";16" in layout or kind == "PPM" else np.int32
            return _numbers(np.asarray(picture).astype(values))
        if picture.mode.startswith("I;16"):
            return _numbers(np.asarray(picture).astype(np.uint16))
        if picture.mode not in ("RGB", "L"):
            picture = picture.convert("RGB")
    return picture


def _numbers(values) -> np.ndarray:
    """(h, w) or (h, w, c) numbers → (h, w, c). Raises ValueError for what can be no picture."""
    values = np.asarray(values)
    if values.dtype.kind not in "buif":
        raise ValueError(f"values of type {values.dtype}; a picture has bool, integer or float ones")
    if values.ndim not in (2, 3) or 0 in values.shape:
        raise ValueError(f"an array of shape {values.shape}; a picture is (height, width) or (height, width, channels)")
    if values.ndim == 3 and values.shape[0] <= 4 and min(values.shape[1:]) > 16:
        raise ValueError(f"an array of shape {values.shape}: the channels must come last")
    if values.dtype.kind == "f" and (odd := values.size - np.count_nonzero(np.isfinite(values))):
        raise ValueError(f"{odd} of its {values.size} values are not finite")
    return values.reshape(*values.shape[:2], -1)


def _windowed(values: Image.Image | np.ndarray, window: Sequence[float] | None) -> Image.Image | np.ndarray:
    """A file's values → (h, w, c) float32 in [0, 1]; an 8-bit picture is left as it is where no window is set."""
    if window is None and isinstance(values, Image.Image):
        return values
    values = np.atleast_3d(np.asarray(values))
    low, high = window or _ends(values.dtype)
    # float32 holds 16-bit numbers exactly; others are brought into the window before they are rounded to it
    scaled = values.astype(np.float32 if values.dtype.itemsize <= 2 or values.dtype == np.float32 else np.float64)
    with np.errstate(over="ignore"):
        scaled -= low
        scaled /= high - low
    return np.clip(scaled, 0, 1, out=scaled).astype(np.float32, copy=False)


def _ends(dtype: np.dtype) -> tuple[float, float]:
    """The values that are black and white where no window is set."""
    if dtype.kind in "bf":
        return 0, 1
    return int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)


def _shown(pixels: Image.Image | np.ndarray, show: int | Sequence[int] | None) -> Image.Image:
    """Pixels of any number of channels as an RGB picture; ``show`` names those to show where there are not 1 or 3."""
    if isinstance(pixels, Image.Image):
        return pixels if pixels.mode == "RGB" else pixels.convert("RGB")
    channels = pixels.shape[2]
    if channels in (1, 3):
        show = range(channels)
    elif show is None:
        show = range(3 if channels > 3 else 1)
    elif isinstance(show, int):
        show = [show]
    if max(show) >= channels:
        raise ValueError(f"show: there is no channel {max(show)}; it has {channels}, numbered from 0")
    levels = [np.rint(pixels[..., c] * 255).astype(np.uint8) for c in show]
    return Image.fromarray(np.stack(levels * 3 if len(levels) == 1 else levels, -1))


@functools.cache
def _loader(place: str) -> Callable[[str], object]:
    """The user's function at ``file.py:function``. Its module is run. Raises UserError where there is none."""
    path, _, name = place.rpartition(":")
    spec = importlib.util.spec_from_file_location(f"cnnviz_loader_{Path(path).stem}", path)
    try:
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # the user's own code: whatever it raises is theirs to read
        raise UserError(f"loader {place} failed: {in_a_line(error)}") from error
    if not callable(getattr(module, name, None)):
        functions = [n for n, v in vars(module).items() if callable(v) and not n.startswith("_")]
        raise unknown(f"loader {path}", name, functions)
    return getattr(module, name)


def reason(error: Exception) -> str:
    """Why a file could not be read, in a line without its path."""
    if isinstance(error, UnidentifiedImageError):
        return "not a picture of a known kind, or broken at its beginning"
    words = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    words = _text(" ".join(words.split())[:300])
    if type(error) is ValueError and words:  # says all there is to say
        return words
    return f"{type(error).__name__}: {words}".removesuffix(": ")


# ------------------------------------------------------------------------------------------------------ the first look


@dataclass(frozen=True)
class _Look:
    """What the first look at a picture found: what its :class:`Picture` says beside the row, or why there is none.

    thumbnail: (64, 64, 3) uint8. ends: the smallest and largest value in a file without a window, and the two values
    that are black and white; None for 8-bit pictures.
    """

    row: Row
    reason: str = ""
    size: tuple[int, int] = (0, 0)
    thumbnail: np.ndarray | None = None
    notes: tuple[str, ...] = ()
    ends: tuple[float, float, float, float] | None = None


def _look(config: dict, row: Row) -> _Look:
    try:
        stored = _stored(config, row.name)
        ends = None
        if isinstance(stored, np.ndarray) and not config.get("window"):
            ends = (stored.min().item(), stored.max().item(), *_ends(stored.dtype))
        picture = _shown(_windowed(stored, config.get("window")), config.get("show"))
        thumbnail = np.asarray(ImageOps.fit(picture, (THUMBNAIL, THUMBNAIL), Image.Resampling.LANCZOS))
    except UserError:
        raise
    except Exception as error:  # whatever a decoder or the user's loader raises on a bad file, it is skipped and listed
        return _Look(row, reason=reason(error))
    notes = []
    if row.box is not None:
        left, top, right, bottom = row.box
        if not (0 <= left < right <= picture.width and 0 <= top < bottom <= picture.height):
            notes.append(f"its box {list(row.box)} is left out: outside the {picture.width} × {picture.height} pixels")
            row = row._replace(box=None)
    if row.mask is not None:
        try:
            mask = _stored({"kind": config["kind"], "path": config["path"]}, row.mask)
            height, width = mask.shape[:2] if isinstance(mask, np.ndarray) else mask.size[::-1]
            if (width, height) != picture.size:
                raise ValueError(f"it has {width} × {height} pixels, the picture {picture.width} × {picture.height}")
        except Exception as error:
            notes.append(f"its mask {row.mask} is left out: {reason(error)}")
            row = row._replace(mask=None)
    return _Look(row, "", picture.size, thumbnail, tuple(notes), ends)


def _advice(ends: list[tuple[float, float, float, float]]) -> str:
    """A word about ``window`` where the values of deep pictures use little of it or lie outside; else ""."""
    low, high = min(e[0] for e in ends), max(e[1] for e in ends)
    black, white = min(e[2] for e in ends), max(e[3] for e in ends)
    if low == high or (low >= black and high <= white and high - low > (white - black) / 4):
        return ""
    return (
        f"the values of {len(ends)} pictures lie in {low:g} … {high:g}, while {black:g} is black and {white:g} white; "
        f"image_sets: window: [{low:g}, {high:g}] would show them all"
    )


def _entry(look: _Look, index_of: dict[str, int]) -> dict:
    """A picture as ``images.json`` has it: without what is as usual."""
    labels = tuple(index_of[name] for name in look.row.labels)
    values = look.row._asdict() | {"id": slug(look.row.name), "width": look.size[0], "height": look.size[1]}
    values |= {"label": labels[0] if labels else None, "labels": labels if len(labels) > 1 else ()}
    return {field.name: values[field.name] for field in fields(Picture) if values[field.name] != field.default}


def main() -> None:
    import argparse

    from tqdm import tqdm

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", type=json.loads, required=True, help="the set's config block, as JSON")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--fingerprint", default="", help="of the set, for provenance")
    parser.add_argument("--index", required=True, help="images.json, to write")
    parser.add_argument("--thumbnails", required=True, help="thumbnails.npy, to write")
    options = parser.parse_args()
    config = options.config

    atomic.sweep([options.index, options.thumbnails])
    found = rows(config)
    names = classes(config)
    index_of = {name: i for i, name in enumerate(names)}
    if config.get("loader"):
        _loader(config["loader"])  # once, before the threads ask

    pictures, skipped, notes, ends = [], [], [], []
    with atomic.replacing(options.thumbnails) as temporary:
        thumbnails = np.lib.format.open_memmap(temporary, "w+", np.uint8, (len(found), THUMBNAIL, THUMBNAIL, 3))
        looks = _ahead(functools.partial(_look, config), found, options.threads)
        for look in tqdm(looks, "pictures", len(found), mininterval=1):
            if look.reason:
                skipped.append({"name": look.row.name, "reason": look.reason})
                continue
            thumbnails[len(pictures)] = look.thumbnail
            pictures.append(_entry(look, index_of))
            notes += [{"name": look.row.name, "reason": note} for note in look.notes]
            ends += [look.ends] if look.ends else []
        del thumbnails
        if not pictures:
            reasons = "; ".join(f"{s['name']}: {s['reason']}" for s in skipped[:3])
            raise UserError(f"none of the {len(found)} pictures could be read ({reasons})")
        if skipped:
            _shorten(temporary, len(pictures))
    if ends and (advice := _advice(ends)):
        notes.insert(0, {"name": "window", "reason": advice})
        print(f"note: {advice}")
    data = {"schema": SCHEMA, "fingerprint": options.fingerprint, "classes": names, "pictures": pictures}
    data |= {"skipped": skipped, "notes": notes}
    atomic.write_text(options.index, json.dumps(data))
    print(f"{len(pictures)} pictures in {len(names)} classes, {len(skipped)} skipped, {len(notes)} notes")


def _ahead(function, items: Sequence, threads: int) -> Iterator:
    """``map(function, items)`` by a few threads: a batch or two ahead of the reader, but at most 256 MB of arrays."""
    most = threads
    with ThreadPoolExecutor(threads) as pool:
        waiting = deque()
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) > most:
                    result = waiting.popleft().result()
                    most = min(32 * threads, max(threads, _AHEAD // max(1, getattr(result, "nbytes", 1))))
                    yield result
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _shorten(path: Path, count: int) -> None:
    """Keep the first ``count`` rows of the ``.npy`` file at ``path``, without reading the rest into memory."""
    stored = np.load(path, mmap_mode="r")
    short = path.with_suffix(".short.npy")
    try:
        copy = np.lib.format.open_memmap(short, "w+", stored.dtype, (count, *stored.shape[1:]))
        for start in range(0, count, 4096):
            copy[start : start + 4096] = stored[start : min(start + 4096, count)]
        copy.flush()
        os.replace(short, path)
    finally:
        short.unlink(missing_ok=True)


if __name__ == "__main__":
    with reporting():
        main()
