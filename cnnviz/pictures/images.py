"""Image sets: which pictures there are, what they are called, and their pixels. No torch here.

``python -m cnnviz.pictures.images`` is the pipeline's one look at every picture: it decodes each once, lists what could
not be read, and leaves ``images.json`` (the index) and ``thumbnails.npy`` (n, 64, 64, 3) uint8, which the views and
pixel-space neighbours use. Everything later opens the set through :class:`ImageSet`.
"""

import functools
import hashlib
import json
import os
import warnings
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from cnnviz.errors import UserError, reporting, unknown
from cnnviz.pictures import files, folders, tables
from cnnviz.pictures.files import reason, visible
from cnnviz.pictures.places import root_of
from cnnviz.pictures.rows import Found, Row, doubtful_order, in_order, limited, truth_columns
from cnnviz.run import atomic, user_code
from cnnviz.run.fingerprint import content_hashes
from cnnviz.slug import slug

SCHEMA = 2
THUMBNAIL = 64
Ends = tuple[float, float, float, float]
_AHEAD = 256 << 20  # bytes of pictures that wait for their reader, at most

# Broken metadata, and sizes below pillow's limit: a picture that can be shown needs no word about them in the log.
warnings.filterwarnings("ignore", module=r"PIL\.|cnnviz\.(images|pictures)")


@dataclass(frozen=True)
class Picture:
    """One picture: id (a slug, stable when others come or go), its name, its class (index into the set's classes).

    width, height: of the upright picture. labels: all its classes; ``label`` is the first of them, or None.
    role: "reference", or "query" for pictures whose neighbours are wanted. box: (left, top, right, bottom) of the thing
    in pixels of the upright picture, half open, or None. mask: path of a picture that marks the thing, or None.
    credit, licence: what to say when it is shown. file: its path, where that is not its name; paths are below the set's
    root, or absolute. targets: the true values of the set's ``target_columns``, None where one is not known.
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
    file: str | None = None
    targets: tuple[float | None, ...] = ()

    def __post_init__(self) -> None:
        if not self.labels and self.label is not None:
            object.__setattr__(self, "labels", (self.label,))


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

    def targets(self) -> np.ndarray:
        """The true values (n, columns) of the pictures, NaN where one is not known."""
        if not self.config.get("target_columns") and truth_columns(self.config, self.classes):
            labels = [None if picture.label is None else self.classes[picture.label] for picture in self.pictures]
            return np.array(labels, np.float64)[:, None]
        columns = len(self.config.get("target_columns") or ())
        rows = [picture.targets or (None,) * columns for picture in self.pictures]
        return np.array(rows, np.float64).reshape(len(rows), columns)

    def open(self, index: int) -> Image.Image:
        """The picture as it is shown: RGB, upright, at its full size, window and ``show`` applied."""
        return _shown(self.pixels(index), self.config.get("show"))

    def pixels(self, index: int) -> Image.Image | np.ndarray:
        """What the file holds, upright (EXIF rotation applied): an RGB or L picture, or (h, w, c) float32 in [0, 1].

        Raises UserError where the file, which could be read once, has changed.
        """
        picture = self.pictures[index]
        name = picture.file or picture.name
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
    """Every picture of a set, without opening any. Raises UserError."""
    return found(config).rows


def listing(config: dict) -> list[tuple[str, str | None]]:
    """(name, name of its first class) of every picture of :func:`rows`."""
    return [(row.name, row.labels[0] if row.labels else None) for row in rows(config)]


def classes(config: dict) -> list[str]:
    """Names of a set's classes in the order of their labels.

    Folders and words are sorted as text, capitals first; where all labels of a table are numbers, by value.
    """
    return list(found(config).classes)


def found(config: dict) -> Found:
    """All that a set's config block names, without opening any picture. Raises UserError.

    Remembered within the process, since each model asks again.
    """
    return _rows(json.dumps(config, sort_keys=True))


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
def _rows(text: str) -> Found:
    config = json.loads(text)
    match config["kind"]:
        case "demo":
            from cnnviz.demo.pictures import CLASSES

            drawn = ((i, CLASSES[i % len(CLASSES)]) for i in range(config.get("count", 0)))
            every = tuple(Row(f"{name}-{i:04d}", (name,)) for i, name in drawn)
            return Found(every, tuple(CLASSES), len(every))
        case "folder":
            every, others, told = folders.listed(config)
            names = in_order((label for row in every for label in row.labels), numbers=False)
        case "csv":
            (every, names, told), others = tables.read(config), []
    return Found(limited(every, config.get("limit")), names, len(every), tuple(others), tuple(told))


@functools.cache
def _fingerprint(text: str) -> str:
    config, listed = json.loads(text), _rows(text)
    known = {key: config.get(key) for key in ("window", "show", "loader", "alpha")}
    digest = hashlib.sha256(json.dumps([known, listed.classes, listed.rows]).encode())
    if config["kind"] != "demo":
        paths = [path for row in listed.rows for path in (row.file or row.name, row.mask) if path is not None]
        digest.update(json.dumps(files.readers({Path(path).suffix.lower() for path in paths})).encode())
        paths = [os.path.join(root_of(config), path) for path in paths]
        if config.get("loader"):
            paths += user_code.files(config["loader"])
        digest.update(json.dumps(content_hashes(paths)).encode())
    return digest.hexdigest()[:16]


def _path(config: dict, name: str) -> Path:
    return Path("demo" if config["kind"] == "demo" else root_of(config), name)


# ------------------------------------------------------------------------------------------------------------- pixels


def _decode(config: dict, name: str) -> Image.Image | np.ndarray:
    """See :meth:`ImageSet.pixels`. Raises whatever a decoder raises."""
    return _windowed(_stored(config, name)[0], config.get("window"))


def _stored(config: dict, name: str) -> tuple[Image.Image | np.ndarray, list[str]]:
    """A file's own values, upright, and what is odd about it: see :func:`files.read`. name: its path below the root."""
    if config["kind"] == "demo":
        from cnnviz.demo.pictures import draw

        return Image.fromarray(draw(config["seed"], int(name.rsplit("-", 1)[1])).image), []
    path = _path(config, name)
    if config.get("loader") and path.is_file():
        return files.numbers(_loader(config["loader"])(str(path)))
    return files.read(path, config.get("alpha") or "drop")


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
    """The user's function at ``place``. Its module is run. Raises UserError where there is none."""
    found = user_code.function(place, "loader")
    if not callable(found):
        raise UserError(f"loader {place} is no function but {type(found).__name__}")
    return found


# ------------------------------------------------------------------------------------------------------ the first look


@dataclass(frozen=True)
class _Look:
    """What the first look at a picture found: what its :class:`Picture` says beside the row, or why there is none.

    channels: how many the file holds. thumbnail: (64, 64, 3) uint8. ends: see :func:`ends`.
    """

    row: Row
    reason: str = ""
    size: tuple[int, int] = (0, 0)
    channels: int = 0
    thumbnail: np.ndarray | None = None
    notes: tuple[str, ...] = ()
    ends: Ends | None = None


def _look(config: dict, row: Row) -> _Look:
    try:
        stored, notes = _stored(config, row.file or row.name)
        found = _extent(stored, config.get("window"))
        channels = stored.shape[2] if isinstance(stored, np.ndarray) else len(stored.getbands())
        picture = _shown(_windowed(stored, config.get("window")), config.get("show"))
        thumbnail = np.asarray(ImageOps.fit(picture, (THUMBNAIL, THUMBNAIL), Image.Resampling.LANCZOS))
    except UserError:
        raise
    except Exception as error:  # whatever a decoder or the user's loader raises on a bad file, it is skipped and listed
        return _Look(row, reason=reason(error))
    if row.box is not None:
        left, top, right, bottom = row.box
        if not (0 <= left < right <= picture.width and 0 <= top < bottom <= picture.height):
            notes.append(f"its box {list(row.box)} is left out: outside the {picture.width} × {picture.height} pixels")
            row = row._replace(box=None)
    if row.mask is not None:
        try:
            mask, _ = _stored({key: config.get(key) for key in ("kind", "path", "root")}, row.mask)
            height, width = mask.shape[:2] if isinstance(mask, np.ndarray) else mask.size[::-1]
            if not alike((height, width), picture.size[::-1]):
                raise ValueError(f"it has {width} × {height} pixels, the picture {picture.width} × {picture.height}")
        except Exception as error:
            notes.append(f"its mask {visible(row.mask)} is left out: {reason(error)}")
            row = row._replace(mask=None)
    return _Look(row, "", picture.size, channels, thumbnail, tuple(notes), found)


def alike(a: tuple[int, int], b: tuple[int, int]) -> bool:
    """Whether two sizes have one shape: a mask may be smaller than its picture, and is then rounded to pixels."""
    return abs(a[0] * b[1] - a[1] * b[0]) <= (0.02 * max(a) + 1) * b[1]


def _looks(config: dict, rows: Sequence[Row], thumbnails: np.ndarray, threads: int) -> list[_Look]:
    """A look at every picture. ``thumbnails`` then begins with those of the pictures that can be used."""
    from cnnviz.run.progress import bar

    looks = []
    for look in bar(_ahead(functools.partial(_look, config), rows, threads), "pictures", len(rows)):
        if look.thumbnail is not None:
            thumbnails[len(looks)] = look.thumbnail
        looks.append(replace(look, thumbnail=None))
    looks = _of_one_kind(looks)
    for place, i in enumerate(i for i, look in enumerate(looks) if not look.reason):
        if place != i:
            thumbnails[place] = thumbnails[i]
    return looks


def _of_one_kind(looks: list[_Look]) -> list[_Look]:
    """Without the few pictures that no network takes that takes the others: those of another number of channels.

    Grey and coloured pictures go together.
    """
    counts = Counter(3 if look.channels == 1 else look.channels for look in looks if not look.reason)
    usual = max(counts, key=lambda channels: (counts[channels], channels == 3), default=3)
    words = "1 or 3" if usual == 3 else str(usual)

    def judged(look: _Look) -> _Look:
        fits = look.reason or look.channels == usual or (look.channels == 1 and usual == 3)
        return look if fits else replace(look, reason=f"it has {look.channels} channels, most of this set have {words}")

    return [judged(look) for look in looks]


def ends(config: dict, name: str) -> Ends | None:
    """The values in a file: the smallest, the largest, and the two that are black and white.

    None for 8-bit pictures of a set without a window. Raises whatever a decoder raises.
    """
    return _extent(_stored(config, name)[0], config.get("window"))


def _extent(stored: Image.Image | np.ndarray, window: Sequence[float] | None) -> Ends | None:
    if window is None and isinstance(stored, Image.Image):
        return None
    stored = np.asarray(stored)
    return stored.min().item(), stored.max().item(), *(window or _ends(stored.dtype))


def extent(found: Sequence[Ends], stated: bool) -> tuple[str, list[float] | None]:
    """What range the values of pictures have, in words, and the window to write where they show little in theirs.

    stated: whether the window is the config's. One that cuts values off is then meant so, if it shows some of them.
    """
    low, high = min(e[0] for e in found), max(e[1] for e in found)
    black, white = min(e[2] for e in found), max(e[3] for e in found)
    words = f"the values of {len(found)} picture{'s' * (len(found) > 1)} lie in {low:g} … {high:g}"
    words += f", while {black:g} is black and {white:g} white"
    shown = min(high, white) - max(low, black)
    if stated:
        good = shown > (white - black) / 100 and white - black > (high - low) / 1000
    else:
        good = black <= low and high <= white and shown > (white - black) / 4
    return words, None if good or low == high else [int(v) if v == int(v) else float(f"{v:g}") for v in (low, high)]


def _entry(look: _Look, index_of: dict[str, int]) -> dict:
    """A picture as ``images.json`` has it: without what is as usual."""
    labels = tuple(index_of[name] for name in look.row.labels)
    values = look.row._asdict() | {"id": slug(look.row.name), "width": look.size[0], "height": look.size[1]}
    values |= {"label": labels[0] if labels else None, "labels": labels if len(labels) > 1 else ()}
    return {field.name: values[field.name] for field in fields(Picture) if values[field.name] != field.default}


def main() -> None:
    import argparse

    from cnnviz.run.progress import belongs_to

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", type=json.loads, required=True, help="the set's config block, as JSON")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--fingerprint", default="", help="of the set, for provenance")
    parser.add_argument("--index", required=True, help="images.json, to write")
    parser.add_argument("--thumbnails", required=True, help="thumbnails.npy, to write")
    options = parser.parse_args()
    config = options.config
    belongs_to("image set", Path(options.index).parent.name)

    atomic.sweep([options.index, options.thumbnails])
    listed = found(config)
    index_of = {name: i for i, name in enumerate(listed.classes)}
    if config.get("loader"):
        _loader(config["loader"])  # once, before the threads ask

    with atomic.replacing(options.thumbnails) as temporary:
        shape = len(listed.rows), THUMBNAIL, THUMBNAIL, 3
        thumbnails = np.lib.format.open_memmap(temporary, "w+", np.uint8, shape)
        looks = _looks(config, listed.rows, thumbnails, options.threads)
        del thumbnails
        good = [look for look in looks if not look.reason]
        skipped = [{"name": look.row.name, "reason": look.reason} for look in looks if look.reason]
        if not good:
            reasons = "; ".join(f"{s['name']}: {s['reason']}" for s in skipped[:3])
            raise UserError(f"none of the {len(looks)} pictures could be read ({reasons})")
        if skipped:
            _shorten(temporary, len(good))
    pictures = [_entry(look, index_of) for look in good]
    notes = [{"name": look.row.name, "reason": note} for look in good for note in look.notes]
    if known := [look.ends for look in good if look.ends]:
        words, window = extent(known, bool(config.get("window")))
        if window:
            advice = f"{words}; image_sets: window: [{window[0]:g}, {window[1]:g}] would show them all"
            notes.insert(0, {"name": "window", "reason": advice})
            print(f"note: {advice}")
    if config["kind"] == "folder" and (doubt := doubtful_order(listed.classes)):
        notes.insert(0, {"name": "order of the classes", "reason": doubt})
    data = {"schema": SCHEMA, "fingerprint": options.fingerprint, "classes": listed.classes, "pictures": pictures}
    data |= {"skipped": skipped, "notes": notes, "told": listed.told}
    data |= {"others": [other._asdict() for other in listed.others]}
    atomic.write_text(options.index, json.dumps(data))
    print(f"{len(pictures)} pictures in {len(listed.classes)} classes, {len(skipped)} skipped, {len(notes)} notes")


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
