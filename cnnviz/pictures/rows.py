"""Facts about the pictures of a set before any is opened, and the order of their classes."""

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import NamedTuple

ROLES = ("reference", "query")
LABEL = "label"  # name of the label column in the default config
_PARTS = ("train", "training", "val", "valid", "validation", "test", "testing", "dev", "eval", "trainset", "testset")


@dataclass(frozen=True, kw_only=True)
class Facts:
    """Facts about a picture that the set states.

    role: "reference", or "query" for pictures whose neighbours are searched. box: (left, top, right, bottom) of the
    object in pixels of the upright picture, half open, or None. mask: path of a picture that marks the object, or None.
    credit, licence: texts to show with it. file: its path if that is not its name; paths are below the set's root, or
    absolute. targets: the true values of the set's ``target_columns``, None if one is not known.
    """

    role: str = ROLES[0]
    box: tuple[float, float, float, float] | None = None
    mask: str | None = None
    credit: str = ""
    licence: str = ""
    file: str | None = None
    targets: tuple[float | None, ...] = ()


@dataclass(frozen=True)
class Row(Facts):
    """A picture before it is opened. name: its name. labels: names of its classes."""

    name: str
    labels: tuple[str, ...] = ()


class Other(NamedTuple):
    """Files of a set's folder that are not among its pictures.

    reason: "" if they are not meant to be pictures. kind: their ending, such as .txt, or words for it. example: the
    name of one.
    """

    kind: str
    count: int
    example: str
    reason: str = ""


class Found(NamedTuple):
    """The contents of a set.

    classes: names in the order of their labels, of all its pictures, also those beyond a limit. total: number of
    pictures before the limit. others: files that are not pictures of the set. told: assumptions.
    """

    rows: tuple[Row, ...]
    classes: tuple[str, ...]
    total: int
    others: tuple[Other, ...] = ()
    told: tuple[str, ...] = ()


def limited(rows: Sequence[Row], limit: int | None) -> tuple[Row, ...]:
    """At most ``limit`` of the rows, without duplicates and in order, spread evenly over roles and classes.

    Each class and role keeps its share of the total, to within one picture.
    """
    count = min(limit or len(rows), len(rows))
    grouped = sorted(range(len(rows)), key=lambda i: (rows[i].role, rows[i].labels))
    return tuple(rows[i] for i in sorted(grouped[k * len(rows) // count] for k in range(count)))


def in_order(names: Iterable[str], numbers: bool) -> tuple[str, ...]:
    """Names of classes, without duplicates, sorted as text, as torchvision's ImageFolder and sklearn's LabelEncoder do.

    numbers: if all names are numbers they are sorted by value, as for a network trained on numbers.
    """
    names = set(names)
    if numbers and all(map(is_number, names)):
        return tuple(sorted(names, key=lambda name: (float(name), name)))
    return tuple(sorted(names))


def doubtful_order(names: Sequence[str]) -> str:
    """A warning if class folders have numbers as names, which may be meant in order of value; else ""."""
    by_value = in_order(names, numbers=True)
    if tuple(names) == by_value:
        return ""
    few = ", ".join(names[:4])
    return (
        f"the folders' names are numbers; their classes are in the order of text ({few}, …), as torchvision's "
        f"ImageFolder has them, and not in the order of value ({', '.join(by_value[:4])}, …)"
    )


def doubtful_level(root: str, found: Found) -> str:
    """A warning if the folders taken as classes are most likely one level too high; else "".

    They have names of parts of a data set (train, val), or there is only one and the pictures lie in several below it.
    """
    names = found.classes
    if not names:
        return ""
    split = all(name.casefold() in _PARTS for name in names)
    below = {row.name.split("/")[1] for row in found.rows if row.labels == names[:1] and row.name.count("/") > 1}
    if not split and (len(names) > 1 or len(below) < 2):
        return ""
    path = os.path.join(root, names[0])
    folders, taken = ("folders", "are taken for classes") if len(names) > 1 else ("folder", "is taken for a class")
    words = f"the {folders} {', '.join(names[:4])} {taken}. If the classes are the folders inside, write  path: {path}"
    if split and len(names) > 1:
        roles = sorted(names, key=lambda name: not name.casefold().startswith("train"))
        words += f"  or  roles: {{reference: [{roles[0]}], query: [{', '.join(roles[1:])}]}}"
    return words


def is_number(name: str) -> bool:
    """Whether it is written in the digits 0 to 9. Other characters, such as ①, make a name."""
    return re.fullmatch(r"[+-]?\d+(\.\d+)?", name, re.ASCII) is not None


def truth_columns(config: dict, set_classes: Sequence[str]) -> list[str]:
    """Columns of an image set with the true values: its ``target_columns``, else its labels if all are numbers.

    config: the set's block. A folder's labels, and a table's without a name, are "label".
    """
    columns = config.get("target_columns")
    if columns or not set_classes:
        return [str(column) for column in columns or ()]
    label = config.get("label_column")
    name = label if isinstance(label, str) and config.get("kind") == "csv" else LABEL
    try:
        return [name] if all(isfinite(float(name)) for name in set_classes) else []
    except ValueError:
        return []
