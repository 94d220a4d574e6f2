"""Image sets: their pictures, the pictures' names, and their pixels. No torch here.

``python -m cnnviz.pictures.images`` is the pipeline's only pass over all picture files. It decodes each once, lists the
unreadable ones, and writes ``images.json`` (the index) and ``thumbnails.npy`` (n, 64, 64, 3) uint8, for the views and
for neighbours in pixel space. Later jobs open the set through :class:`ImageSet`.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from PIL import Image

from cnnviz.errors import UserError, reporting, unknown
from cnnviz.pictures import first_look, listing, pixels
from cnnviz.pictures.decoding import reason
from cnnviz.pictures.rows import Facts, doubtful_order, truth_columns
from cnnviz.run import atomic
from cnnviz.slug import slug

SCHEMA = 2


@dataclass(frozen=True)
class Picture(Facts):
    """One picture: id (a slug that does not depend on other pictures), name, label (index into the set's classes).

    width, height: of the upright picture. labels: all its classes; ``label`` is the first of them, or None.
    """

    id: str
    name: str
    label: int | None
    width: int
    height: int
    labels: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not self.labels and self.label is not None:
            object.__setattr__(self, "labels", (self.label,))


@dataclass(frozen=True)
class ImageSet:
    """The readable pictures of a set, in the order of their names (for a table: of its rows).

    config: the set's block of the config. pictures, classes: see :class:`Picture`. skipped: [name, reason] pairs.
    notes: [name, note] pairs of accepted pictures.
    """

    config: dict
    pictures: tuple[Picture, ...]
    classes: tuple[str, ...]
    skipped: tuple[tuple[str, str], ...]
    notes: tuple[tuple[str, str], ...] = ()

    def __len__(self) -> int:
        return len(self.pictures)

    def targets(self) -> np.ndarray:
        """The true values (n, columns) of the pictures, NaN if not known."""
        if not self.config.get("target_columns") and truth_columns(self.config, self.classes):
            labels = [None if picture.label is None else self.classes[picture.label] for picture in self.pictures]
            return np.array(labels, np.float64)[:, None]
        columns = len(self.config.get("target_columns") or ())
        rows = [picture.targets or (None,) * columns for picture in self.pictures]
        return np.array(rows, np.float64).reshape(len(rows), columns)

    def open(self, index: int) -> Image.Image:
        """The picture for display: RGB, upright, at its full size, with window and ``show`` applied."""
        return pixels.shown(self.pixels(index), self.config.get("show"))

    def pixels(self, index: int) -> Image.Image | np.ndarray:
        """The file's values, upright (EXIF rotation applied): an RGB or L picture, or (h, w, c) float32 in [0, 1].

        Raises UserError if the file was readable before and has changed.
        """
        picture = self.pictures[index]
        name = picture.file or picture.name
        try:
            return pixels.decoded(self.config, name)
        except UserError:
            raise
        except Exception as error:
            raise UserError(
                f"{pixels.path_of(self.config, name)} could be read when the set was listed, and now cannot "
                f"({reason(error)}); if the file has changed, run the pipeline again"
            ) from error

    def arrays(
        self,
        geometry: Callable[[Image.Image | np.ndarray], np.ndarray],
        indices: Sequence[int] | None = None,
        threads: int = 2,
        shown: bool = False,
    ) -> Iterator[np.ndarray]:
        """``geometry(picture)`` of each picture, in order, computed ahead by ``threads`` threads.

        With :meth:`Preprocess.geometry` that is the network's input before normalisation: (h, w, c), uint8 or, in [0,
        1], float32. shown: use the picture for display, which is RGB. Raises UserError with the picture's name.
        """

        def made(index: int) -> np.ndarray:
            picture = self.open(index) if shown else self.pixels(index)
            try:
                return geometry(picture)
            except UserError as error:
                raise UserError(f"picture {self.pictures[index].name}: {error}") from error

        yield from pixels.ahead(made, range(len(self)) if indices is None else indices, threads)

    def probes(self, wanted: int | Sequence[str]) -> list[int]:
        """Indices of the probe pictures: the named ones, or a number, chosen by a hash of their names, class by class.

        Pictures of the role "query" come first. A new picture replaces a probe only if its hash is smaller. Raises
        UserError for an unknown name.
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
    """The set that ``images.json`` at ``path`` lists. ``config`` is the set's block, which locates the pixels."""
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


def _entry(look: first_look.Look, index_of: dict[str, int]) -> dict:
    """A picture's entry in ``images.json``, without default values."""
    labels = tuple(index_of[name] for name in look.row.labels)
    values = vars(look.row) | {"id": slug(look.row.name), "width": look.size[0], "height": look.size[1]}
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
    listed = listing.found(config)
    index_of = {name: i for i, name in enumerate(listed.classes)}
    if config.get("loader"):
        pixels.loader(config["loader"])  # once, before the threads use it

    with atomic.replacing(options.thumbnails) as temporary:
        shape = len(listed.rows), first_look.THUMBNAIL, first_look.THUMBNAIL, 3
        thumbnails = np.lib.format.open_memmap(temporary, "w+", np.uint8, shape)
        looks = first_look.at_all(config, listed.rows, thumbnails, options.threads)
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
        words, window = pixels.extent(known, bool(config.get("window")))
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


def _shorten(path: Path, count: int) -> None:
    """Keeps the first ``count`` rows of the ``.npy`` file at ``path``, without reading the rest into memory."""
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
