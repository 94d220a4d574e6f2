"""What is known of the pictures of a set before any of them is opened, and in what order their classes are."""

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import NamedTuple

ROLES = ("reference", "query")
LABEL = "label"  # what the default config calls a table's column of labels
_PARTS = ("train", "training", "val", "valid", "validation", "test", "testing", "dev", "eval", "trainset", "testset")


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What a set says of a picture.

    role: "reference", or "query" for pictures whose neighbours are wanted. box: (left, top, right, bottom) of the thing
    in pixels of the upright picture, half open, or None. mask: path of a picture that marks the thing, or None.
    credit, licence: what to say when it is shown. file: its path, where that is not its name; paths are below the set's
    root, or absolute. targets: the true values of the set's ``target_columns``, None where one is not known.
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
    """A picture before it is opened. name: what it is called; labels: names of its classes."""

    name: str
    labels: tuple[str, ...] = ()


class Other(NamedTuple):
    """Files of a set's folder that are not among its pictures. reason: "" where they are none and are not meant to be.

    kind: their ending, such as .txt, or words for it. example: the name of one.
    """

    kind: str
    count: int
    example: str
    reason: str = ""


class Found(NamedTuple):
    """All that a set names. classes: names in the order of their labels, of all its pictures, beyond a limit too.

    total: pictures before the limit. others: files that are no pictures of the set. told: what was assumed on the way.
    """

    rows: tuple[Row, ...]
    classes: tuple[str, ...]
    total: int
    others: tuple[Other, ...] = ()
    told: tuple[str, ...] = ()


def limited(rows: Sequence[Row], limit: int | None) -> tuple[Row, ...]:
    """At most ``limit`` of the rows, each once and in their order, spread evenly over roles and classes.

    Each class and role keeps its share of the whole, to within one picture.
    """
    count = min(limit or len(rows), len(rows))
    grouped = sorted(range(len(rows)), key=lambda i: (rows[i].role, rows[i].labels))
    return tuple(rows[i] for i in sorted(grouped[k * len(rows) // count] for k in range(count)))


def in_order(names: Iterable[str], numbers: bool) -> tuple[str, ...]:
    """Names of classes, each once, sorted as text, as torchvision's ImageFolder and scikit-learn's LabelEncoder do it.

    numbers: where all of them are numbers they are sorted by value, as a network trained on numbers has them.
    """
    names = set(names)
    if numbers and all(map(is_number, names)):
        return tuple(sorted(names, key=lambda name: (float(name), name)))
    return tuple(sorted(names))


def doubtful_order(names: Sequence[str]) -> str:
    """A word where classes that are folders are numbers, whose order may be meant by value; else ""."""
    by_value = in_order(names, numbers=True)
    if tuple(names) == by_value:
        return ""
    few = ", ".join(names[:4])
    return (
        f"the folders are called by numbers; their classes are in the order of text ({few}, …), as torchvision's "
        f"ImageFolder has them, and not of value ({', '.join(by_value[:4])}, …)"
    )


def doubtful_level(root: str, found: Found) -> str:
    """A word where the folders taken for classes are most likely one level too high; else "".

    They are called like parts of a data set (train, val), or there is one and the pictures lie in several below it.
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
    words = (
        f"the {folders} {', '.join(names[:4])} {taken}. If the classes are the folders in there, write  path: {path}"
    )
    if split and len(names) > 1:
        roles = sorted(names, key=lambda name: not name.casefold().startswith("train"))
        words += f"  or  roles: {{reference: [{roles[0]}], query: [{', '.join(roles[1:])}]}}"
    return words


def is_number(name: str) -> bool:
    """Is it written in the digits 0 to 9? Others, such as ①, are names."""
    return re.fullmatch(r"[+-]?\d+(\.\d+)?", name, re.ASCII) is not None


def truth_columns(config: dict, set_classes: Sequence[str]) -> list[str]:
    """Where an image set says the true values: its ``target_columns``, else its labels where all are numbers.

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
