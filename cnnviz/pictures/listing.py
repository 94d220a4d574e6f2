"""Lists an image set without opening its pictures. The Snakefile calls this while it is parsed. No torch here."""

import functools
import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path

from cnnviz.errors import unknown
from cnnviz.pictures import decoding, folders, tables
from cnnviz.pictures.paths import root_of
from cnnviz.pictures.rows import Found, Row, in_order, limited
from cnnviz.run import user_code
from cnnviz.run.fingerprint import content_hashes
from cnnviz.slug import slug


def rows(config: dict) -> tuple[Row, ...]:
    """Every picture of a set, without opening it. Raises UserError."""
    return found(config).rows


def classes(config: dict) -> list[str]:
    """Names of a set's classes in the order of their labels.

    Folders and words are sorted as text, capitals first. If all labels of a table are numbers, they are sorted by
    value.
    """
    return list(found(config).classes)


def found(config: dict) -> Found:
    """The contents of a set's config block, without opening a picture. Raises UserError.

    The result is cached within the process, since each model needs it.
    """
    return _rows(json.dumps(config, sort_keys=True))


def check_probes(config: dict, wanted: int | Sequence[str]) -> None:
    """Raises UserError if the set cannot be listed, or if ``wanted`` names a picture that is not in it."""
    names = [row.name for row in rows(config)]
    if not isinstance(wanted, int):
        for name in set(wanted) - set(names) - {slug(n) for n in names}:
            raise unknown("probes", name, names)


def fingerprint(config: dict) -> str:
    """Hash of the set: the facts of each picture, its bytes, its mask's bytes and the loader's code.

    The demo's bytes follow from its code.
    """
    return _fingerprint(json.dumps(config, sort_keys=True))


@functools.cache
def _rows(text: str) -> Found:
    config = json.loads(text)
    match config["kind"]:
        case "demo":
            from cnnviz.demo.scenes import CLASSES

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
    digest = hashlib.sha256(json.dumps([known, listed.classes, [*map(vars, listed.rows)]]).encode())
    if config["kind"] != "demo":
        paths = [path for row in listed.rows for path in (row.file or row.name, row.mask) if path is not None]
        digest.update(json.dumps(decoding.readers({Path(path).suffix.lower() for path in paths})).encode())
        paths = [os.path.join(root_of(config), path) for path in paths]
        if config.get("loader"):
            paths += user_code.files(config["loader"])
        digest.update(json.dumps(content_hashes(paths)).encode())
    return digest.hexdigest()[:16]
