"""Checks an image set, by its list and by a sample of its pictures."""

import os
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import PurePosixPath

import numpy as np

from cnnviz.check.report import Line, flow, some
from cnnviz.errors import UserError
from cnnviz.pictures import images, listing, pixels
from cnnviz.pictures.images import ImageSet, Picture
from cnnviz.pictures.paths import root_of
from cnnviz.pictures.rows import Found, doubtful_level, doubtful_order

SAMPLE = 24


def listed(config: dict) -> ImageSet:
    """All pictures that a set's config names, unopened, so without sizes."""
    names = listing.classes(config)
    index = {name: i for i, name in enumerate(names)}
    pictures = []
    for row in listing.rows(config):
        labels = tuple(index[name] for name in row.labels)
        known = vars(row) | {"labels": labels}
        pictures.append(Picture(id=row.name, label=labels[0] if labels else None, width=0, height=0, **known))
    return ImageSet(config, tuple(pictures), tuple(names), ())


def chosen(image_set: ImageSet, most: int) -> ImageSet:
    """Labelled pictures (queries, if any), spread over the classes by a hash of their names; else any pictures."""
    labelled = [p for p in image_set.pictures if p.labels]
    queries = [p for p in labelled if p.role == "query"]
    candidates = replace(image_set, pictures=tuple(queries or labelled or image_set.pictures))
    return replace(candidates, pictures=tuple(candidates.pictures[i] for i in candidates.probes(most)))


def read(image_set: ImageSet, index: int, what: Callable):
    """``what(pixels)`` of a picture, or the error: an unreadable picture is listed and does not stop the check."""
    try:
        return what(image_set.pixels(index))
    except Exception as error:
        return error


def reason(error: Exception) -> str:
    """Why a picture could not be read, in a few words."""
    cause = error.__cause__ or error
    return str(cause) if isinstance(cause, UserError) else images.reason(cause)


def form(pixels) -> tuple[int, int, str]:
    """Width, height and kind."""
    if isinstance(pixels, np.ndarray):
        channels = pixels.shape[2]
        return pixels.shape[1], pixels.shape[0], f"deep, {channels} channel{'s' if channels > 1 else ''}"
    return *pixels.size, "grey" if pixels.mode == "L" else "colour"


def about(image_set: ImageSet, name: str, threads: int) -> Iterator[Line]:
    """Lines about an image set. name: the set's name in the config."""
    pictures = image_set.pictures
    labels = [len(p.labels) for p in pictures]
    without, most = labels.count(0), max(labels)
    found = listing.found(image_set.config)
    words = f"{len(pictures):,}" + (f" of {found.total:,} (limit)" if len(pictures) < found.total else "")
    if image_set.classes:
        words += f" in {len(image_set.classes)} class{'es' * (len(image_set.classes) > 1)}: {some(image_set.classes)}"
    words += f"; up to {most} labels each" if most > 1 else ""
    words += "; without labels" if not most else f"; {without:,} without a label" if without else ""
    roles = Counter(p.role for p in pictures)
    if roles["query"]:
        words += f"; {roles['query']:,} queries, {roles['reference']:,} references"
    yield Line("✓", "pictures", words)
    yield from as_listed(found, image_set.config)
    sample = of_each_ending(image_set, SAMPLE)
    with ThreadPoolExecutor(threads) as pool:
        seen = list(pool.map(lambda i: read(sample, i, form), range(len(sample))))
    forms = [f for f in seen if not isinstance(f, Exception)]
    bad = [f"{p.name}: {reason(f)}" for p, f in zip(sample.pictures, seen, strict=True) if isinstance(f, Exception)]
    words = f"{len(forms)} of {len(seen)} could be read"
    if forms:
        small, large = (f"{f[0]} × {f[1]}" for f in (min(forms, key=_area), max(forms, key=_area)))
        words += f"; {small}" + (f" to {large}" if large != small else "") + " pixels"
        words += f", {' and '.join(sorted({kind for *_, kind in forms}))}"
    yield Line("✗" if not forms else "!" if bad else "✓", "a sample", words, tuple(bad[:3]))
    good = [p.file or p.name for p, f in zip(sample.pictures, seen, strict=True) if not isinstance(f, Exception)]
    if image_set.config["kind"] != "demo" and good:
        yield from values(image_set.config, name, good, threads)


def values(config: dict, name: str, files: list[str], threads: int) -> Iterator[Line]:
    """The values of pictures with more than 8 bits, and a window if they would be nearly black, white or clipped."""
    with ThreadPoolExecutor(threads) as pool:
        found = [ends for ends in pool.map(lambda file: pixels.ends(config, file), files) if ends]
    if not found:
        return
    words, window = pixels.extent(found, bool(config.get("window")))
    if window is None:
        yield Line("✓", "values", words)
        return
    words += ". Write the values that become black and white, at best those that were 0 and 1 in the training, such as"
    yield Line("!", "values", words, (f"write under image_sets.{name}:", f"  window: {flow(window)}"))


def as_listed(found: Found, config: dict) -> Iterator[Line]:
    """Assumptions about a table or folder, and the files that are not pictures of the set."""
    for told in found.told:
        yield Line("·", "read as", told)
    if config["kind"] == "folder":
        if doubt := doubtful_order(found.classes):
            yield Line("!", "order", doubt)
        if doubt := doubtful_level(config["path"], found):
            yield Line("!", "classes", doubt)
        endings = Counter(PurePosixPath(row.name).suffix.lower() or "without an ending" for row in found.rows)
        yield Line("·", "files", ", ".join(f"{count:,} {ending}" for ending, count in endings.most_common(12)))
    for other in (other for other in found.others if other.reason):
        yield Line("!", "left out", f"{other.count:,} {other.kind}, such as {other.example}: {other.reason}")
    if beside := [f"{other.count:,} {other.kind}" for other in found.others if not other.reason]:
        yield Line("·", "no pictures", ", ".join(beside[:20]) + (", …" if len(beside) > 20 else ""))
    if config["kind"] == "csv":
        root = root_of(config)
        missing = [row.name for row in found.rows if not os.path.exists(os.path.join(root, row.file or row.name))]
        if missing:
            words = (
                f"{len(missing):,} of {len(found.rows):,} files do not exist below {root or 'the working directory'}"
            )
            yield Line("✗" if len(missing) == len(found.rows) else "!", "missing", f"{words}, such as {missing[0]}")


def of_each_ending(image_set: ImageSet, most: int) -> ImageSet:
    """A sample of pictures, spread over the classes, with a few of each kind of file."""
    spread = chosen(image_set, most).pictures
    endings = Counter()
    few = []
    for picture in image_set.pictures:
        ending = PurePosixPath(picture.name).suffix.lower()
        endings[ending] += 1
        if endings[ending] <= 2 and len(endings) <= most // 2:
            few.append(picture)
    pictures = dict.fromkeys([*few, *spread]) if len(endings) > 1 else dict.fromkeys(spread)
    return replace(image_set, pictures=tuple(pictures)[:most])


def _area(form: tuple[int, int, str]) -> int:
    return form[0] * form[1]
