"""Image sets: which pictures there are, what they are called, and their pixels. No torch here.

``python -m cnnviz.images`` is the pipeline's one look at every picture: it decodes each once, lists what could not be
read, and leaves ``images.json`` (the index) and ``thumbnails.npy`` (n, 64, 64, 3) uint8, which the views and
pixel-space neighbours use. Everything later opens the set through :class:`ImageSet`.
"""

import csv
import hashlib
import json
import os
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from cnnviz import atomic
from cnnviz.errors import UserError, reporting, unknown
from cnnviz.fingerprint import content_hash
from cnnviz.slug import slug

SCHEMA = 1
THUMBNAIL = 64
_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm"}


@dataclass(frozen=True)
class Picture:
    """One picture: id (a slug, stable when others come or go), its name, its class (index into the set's classes)."""

    id: str
    name: str
    label: int | None
    width: int
    height: int


@dataclass(frozen=True)
class ImageSet:
    """The pictures of a set that can be read, in the order of their names (the demo's: of their numbers).

    config: the set's block of the config. pictures, classes: see :class:`Picture`. skipped: [name, reason] pairs.
    """

    config: dict
    pictures: tuple[Picture, ...]
    classes: tuple[str, ...]
    skipped: tuple[tuple[str, str], ...]

    def __len__(self) -> int:
        return len(self.pictures)

    def open(self, index: int) -> Image.Image:
        """The picture as RGB, upright (EXIF rotation applied), at its full size."""
        return _decode(self.config, self.pictures[index].name)

    def arrays(self, geometry, indices: Sequence[int] | None = None, threads: int = 2) -> Iterator[np.ndarray]:
        """``geometry(picture)`` of each picture, (h, w, 3) uint8, in order, decoded ahead by ``threads`` threads."""
        indices = range(len(self)) if indices is None else indices
        yield from _ahead(lambda i: geometry(self.open(i)), indices, threads)

    def probes(self, wanted: int | Sequence[str]) -> list[int]:
        """Indices of the probe pictures: the named ones, or so many chosen by a hash of their names, class by class.

        Adding pictures moves no other probe out except by a smaller hash. Raises UserError for an unknown name.
        """
        if not isinstance(wanted, int):
            by_name = {name: i for i, p in enumerate(self.pictures) for name in (p.id, p.name)}
            missing = [name for name in wanted if name not in by_name]
            if missing:
                raise unknown("probes", missing[0], [p.name for p in self.pictures])
            return [by_name[name] for name in wanted]
        order = sorted(range(len(self)), key=lambda i: hashlib.sha256(self.pictures[i].name.encode()).digest())
        seen: dict[int | None, int] = {}
        ranked = []
        for i in order:
            label = self.pictures[i].label
            ranked.append((seen.get(label, 0), len(ranked), i))
            seen[label] = seen.get(label, 0) + 1
        return [i for _, _, i in sorted(ranked)[:wanted]]


def read(path: str | os.PathLike, config: dict) -> ImageSet:
    """The set that ``images.json`` at ``path`` lists; ``config`` is the set's block, for where the pixels are."""
    data = json.loads(Path(path).read_text("utf-8"))
    if data["schema"] != SCHEMA:
        raise UserError(f"{path}: schema {data['schema']}, this code reads {SCHEMA}; run the pipeline again")
    return ImageSet(
        config,
        tuple(Picture(**p) for p in data["pictures"]),
        tuple(data["classes"]),
        tuple((s["name"], s["reason"]) for s in data["skipped"]),
    )


def listing(config: dict) -> list[tuple[str, str | None]]:
    """(name, class name) of every picture that a set's config block names, without opening any. Raises UserError."""
    match config["kind"]:
        case "demo":
            from cnnviz.demo.pictures import CLASSES

            return [(f"{CLASSES[i % len(CLASSES)]}-{i:04d}", CLASSES[i % len(CLASSES)]) for i in range(config["count"])]
        case "folder":
            root = Path(config["path"])
            names = sorted(
                str(p.relative_to(root).as_posix())
                for p in root.rglob("*")
                if p.suffix.lower() in _SUFFIXES and not any(part.startswith(".") for part in p.relative_to(root).parts)
            )
            if not names:
                raise UserError(f"{root}: no pictures ({', '.join(sorted(_SUFFIXES))}) in this folder")
            found = [(name, name.split("/")[0] if "/" in name else None) for name in names]
        case "csv":
            found = _csv(config)
    limit = config.get("limit") or len(found)
    return [found[i * len(found) // limit] for i in range(min(limit, len(found)))]  # spread over the set


def classes(config: dict) -> list[str]:
    """Names of a set's classes in the order of their labels: by name, numbers by value."""
    if config["kind"] == "demo":
        from cnnviz.demo.pictures import CLASSES

        return list(CLASSES)
    return sorted({label for _, label in listing(config) if label is not None}, key=_natural)


def check_probes(config: dict, wanted: int | Sequence[str]) -> None:
    """Raise UserError where ``wanted`` names a picture that the set does not list."""
    if not isinstance(wanted, int):
        names = [name for name, _ in listing(config)]
        for name in set(wanted) - set(names) - {slug(n) for n in names}:
            raise unknown("probes", name, names)


def fingerprint(config: dict) -> str:
    """A hash of what the set is: each picture's name, class and bytes (the demo's bytes follow from its code)."""
    digest = hashlib.sha256()
    for name, label in listing(config):
        digest.update(f"{name}\0{label}\0".encode())
        if config["kind"] != "demo":
            path = _path(config, name)
            digest.update(content_hash(path).encode() if path.is_file() else b"missing")
    return digest.hexdigest()[:16]


def main() -> None:
    import argparse

    from tqdm import tqdm

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", type=json.loads, required=True, help="the set's config block, as JSON")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--index", required=True, help="images.json, to write")
    parser.add_argument("--thumbnails", required=True, help="thumbnails.npy, to write")
    options = parser.parse_args()
    config = options.config

    found = listing(config)
    names = classes(config)
    index_of = {name: i for i, name in enumerate(names)}

    def look(item: tuple[str, str | None]):
        name, label = item
        try:
            picture = _decode(config, name)
        except Exception as error:  # whatever a decoder raises on a bad file, the file is skipped and listed
            return name, f"{type(error).__name__}: {error}"
        thumbnail = np.asarray(ImageOps.fit(picture, (THUMBNAIL, THUMBNAIL), Image.Resampling.LANCZOS))
        return Picture(slug(name), name, index_of.get(label), *picture.size), thumbnail

    pictures, skipped = [], []
    with atomic.replacing(options.thumbnails) as temporary:
        thumbnails = np.lib.format.open_memmap(temporary, "w+", np.uint8, (len(found), THUMBNAIL, THUMBNAIL, 3))
        for first, second in tqdm(_ahead(look, found, options.threads), "pictures", len(found), mininterval=1):
            if isinstance(first, Picture):
                thumbnails[len(pictures)] = second
                pictures.append(first)
            else:
                skipped.append({"name": first, "reason": second})
        del thumbnails
        if not pictures:
            reasons = "; ".join(f"{s['name']}: {s['reason']}" for s in skipped[:3])
            raise UserError(f"none of the {len(found)} pictures could be read ({reasons})")
        if skipped:
            _shorten(temporary, len(pictures))
    data = {
        "schema": SCHEMA,
        "classes": names,
        "pictures": [asdict(p) for p in pictures],
        "skipped": skipped,
    }
    atomic.write_text(options.index, json.dumps(data, indent=1))
    print(f"{len(pictures)} pictures in {len(names)} classes, {len(skipped)} skipped")


def _csv(config: dict) -> list[tuple[str, str | None]]:
    path = Path(config["path"])
    with open(path, newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        columns = reader.fieldnames or []
        for column in (config["path_column"], config["label_column"]):
            if column is not None and column not in columns:
                raise unknown(f"{path}: column", column, columns)
        label = config["label_column"]
        found = [(row[config["path_column"]], row[label] if label is not None else None) for row in reader]
    if not found:
        raise UserError(f"{path}: no rows")
    return found


def _path(config: dict, name: str) -> Path:
    root = Path(config["path"])
    return (root.parent if config["kind"] == "csv" else root) / name


def _decode(config: dict, name: str) -> Image.Image:
    if config["kind"] == "demo":
        from cnnviz.demo.pictures import draw

        return Image.fromarray(draw(config["seed"], int(name.rsplit("-", 1)[1])).image)
    with Image.open(_path(config, name)) as picture:
        picture = ImageOps.exif_transpose(picture)
        if picture.mode in ("I;16", "I;16B", "I;16L", "I"):  # 16-bit grey: pillow's own conversion would clip at 255
            return Image.fromarray((np.asarray(picture).astype(np.float64) / 257).round().astype(np.uint8)).convert(
                "RGB"
            )
        return picture.convert("RGB")


def _ahead(function, items: Sequence, threads: int) -> Iterator:
    """``map(function, items)`` by a few threads, at most 32 results a thread ahead of the reader: a batch or two."""
    with ThreadPoolExecutor(threads) as pool:
        waiting, items = [], iter(items)
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) >= 32 * threads:
                    yield waiting.pop(0).result()
            while waiting:
                yield waiting.pop(0).result()
        finally:
            for future in waiting:
                future.cancel()


def _shorten(path: Path, count: int) -> None:
    """Keep the first ``count`` rows of the ``.npy`` file at ``path``, without reading the rest into memory."""
    rows = np.load(path, mmap_mode="r")
    short = path.with_suffix(".short.npy")
    try:
        copy = np.lib.format.open_memmap(short, "w+", rows.dtype, (count, *rows.shape[1:]))
        for start in range(0, count, 4096):
            copy[start : start + 4096] = rows[start : min(start + 4096, count)]
        copy.flush()
        os.replace(short, path)
    finally:
        short.unlink(missing_ok=True)


def _natural(name: str) -> list:
    return [(0, int(part), "") if part.isdigit() else (1, 0, part.casefold()) for part in re.split(r"(\d+)", name)]


if __name__ == "__main__":
    with reporting():
        main()
