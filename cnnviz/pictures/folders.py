"""A folder of pictures: each file is a picture of the set, or is counted among the other files."""

import contextlib
import os
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from cnnviz.errors import UserError
from cnnviz.pictures import decoding
from cnnviz.pictures.decoding import visible
from cnnviz.pictures.rows import ROLES, Other, Row

HIDDEN = "hidden (their names begin with a dot)"
NAMELESS = "without an ending"


class _File(NamedTuple):
    name: str  # in valid UTF-8
    path: str
    regular: bool
    trouble: str = ""  # why it cannot be opened


def listed(config: dict) -> tuple[list[Row], list[Other], list[str]]:
    """The pictures below a folder by name, its other files, and assumptions. Raises UserError without pictures.

    The first folder level, below that of a role, is the class.
    """
    root, roles = config["path"], config.get("roles") or {}
    inside = {f"{folder.strip('/')}/": role for role, folders in roles.items() for folder in folders} or {"": ROLES[0]}
    found, others = [], {}
    masks = _masks(config)
    inner = os.path.relpath(config["masks"], root) + "/" if masks is not None else None  # masks are not pictures
    for folder, role in inside.items():
        for file in _walk(root, folder):
            if inner is not None and file.name.startswith(inner):
                continue
            label, deeper, _ = file.name[len(visible(folder)) :].partition("/")
            kind, reason = _sorted_out(file, bool(config.get("loader")))
            if kind is None:
                labels, mask = (label,) if deeper else (), _mask_of(file.name, masks, root)
                below = os.path.relpath(file.path, root) if "\\" in file.name else file.name  # see visible
                below = None if below == file.name else below
                found.append(Row(file.name, labels, role=role, mask=mask, file=below))
            else:
                count, example = others.get((kind, reason), (0, file.name))
                others[kind, reason] = count + 1, example
    others = [Other(kind, *counted, reason) for (kind, reason), counted in sorted(others.items())]
    if not found:
        kinds = "files" if config.get("loader") else f"pictures ({', '.join(sorted(decoding.ENDINGS))})"
        where = f"the folders {', '.join(inside)} of {root}" if roles else f"{root}"
        raise UserError(f"{where}: no {kinds} there{_instead(others)}")
    return sorted(found, key=lambda row: row.name), others, _told(root, inside, found, inner)


def _masks(config: dict) -> dict[str, str] | None:
    """Name without its ending → path, of every file below the folder of masks; None if the set has none."""
    folder = config.get("masks")
    if folder is None:
        return None
    found = {os.path.splitext(file.name)[0]: file.path for file in _walk(folder, "") if file.regular}
    if not found:
        raise UserError(f"{folder}: there are no masks")
    return dict(sorted(found.items()))


def _mask_of(name: str, masks: dict[str, str] | None, root: str) -> str | None:
    """The mask of a picture, as a path below the root: its name is the picture's, or the only one starting with it."""
    if masks is None:
        return None
    name = os.path.splitext(name)[0]
    path = masks.get(name) or masks.get(os.path.basename(name))
    if path is None:
        names = [n for n in masks if n.startswith((f"{name}_", f"{name}-", f"{name}."))]
        path = masks[names[0]] if len(names) == 1 else None
    return None if path is None else os.path.relpath(path, root)


def _sorted_out(file: _File, every: bool) -> tuple[str | None, str]:
    """(None, "") for a picture; for another file its kind, and the reason why it is left out if it may be a picture."""
    if os.path.basename(file.path).startswith("."):
        return HIDDEN, ""
    if file.trouble:
        return "folders", f"cannot be opened ({file.trouble})"
    ending = os.path.splitext(file.name)[1].lower()
    if every or ending in decoding.ENDINGS:
        return None, ""
    kind = ending or NAMELESS
    if ending in decoding.NO_PICTURES or not file.regular:
        return kind, ""
    reason = decoding.left_out(file.path)
    return (None, "") if reason is None else (kind, reason)


def _instead(others: list[Other]) -> str:
    """The files that are there instead, and the first reason for leaving one out."""
    counts = ", ".join(f"{other.count} {other.kind}" for other in others[:5])
    reasons = [other.reason for other in others if other.reason]
    return (f", but {counts}" if counts else "") + (f". {reasons[0]}" if reasons else "")


def _told(root: str, inside: Iterable[str], found: list[Row], masks: str | None) -> list[str]:
    told = []
    folders = set()
    for above in (os.path.join(root, folder) for folder in inside):
        with contextlib.suppress(OSError):  # folders that cannot be opened are already reported
            folders |= {visible(n) for n in os.listdir(above) if n[0] != "." and os.path.isdir(os.path.join(above, n))}
    without = sorted(folders - {label for row in found for label in row.labels} - {(masks or "").partition("/")[0]})
    if without:
        told.append(
            f"no pictures in the folder{'s' * (len(without) > 1)} {', '.join(without[:5])}: not among the classes"
        )
    tables = [os.path.join(root, f, t) for f in ("", *sorted(folders)) for t in ("metadata.csv", "metadata.jsonl")]
    for path in tables:
        if os.path.isfile(path):
            table = os.path.relpath(path, root)
            told.append(f"the classes are those of the folders; for those of {table} write {{kind: csv, path: {path}}}")
    return told


def _walk(root: str, start: str) -> Iterator[_File]:
    """Every file below ``root``/``start``.

    Links to folders are followed, but never into a folder that contains them. A folder that cannot be opened, or has a
    name such as x.jpg, is yielded, too, and reported later.
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
                entries = list(entries)
        except OSError as error:
            yield _File(visible(folder.rstrip("/")), here.rstrip("/"), False, error.strerror or "")
            continue
        for entry in entries:
            hidden = entry.name.startswith(".")
            try:
                is_folder, is_file = entry.is_dir(), entry.is_file()
            except OSError:  # a link to itself
                is_folder = is_file = False
            if is_folder and not hidden:
                waiting.append((f"{folder}{entry.name}/", above | {(status.st_dev, status.st_ino)}))
                if os.path.splitext(entry.name)[1].lower() not in decoding.ENDINGS:
                    continue
            yield _File(visible(folder + entry.name), entry.path, is_file)
