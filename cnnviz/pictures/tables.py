"""A table of pictures: a text file with a row for each, in any format. Assumptions are reported.

To read another column, add a key to ``COLUMNS`` (and to the config's schema), a field to :class:`Row`, and a line to
``_row``.
"""

import math
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

from cnnviz.errors import UserError, unknown
from cnnviz.pictures import sheets
from cnnviz.pictures.paths import Places
from cnnviz.pictures.rows import ROLES, Row, in_order
from cnnviz.pictures.sheets import LIST, USUAL, Sheet, names_a_picture, plain

COLUMNS = ("path", "label", "mask", "credit", "licence", "role")  # in the config: path_column and so on
_BINARY = {"0": False, "1": True, "-1": False, "": False, "false": False, "true": True}


def read(config: dict) -> tuple[list[Row], tuple[str, ...], list[str]]:
    """Rows in the table's order, those of one picture joined; names of the classes in order; and the assumptions.

    Raises UserError with the problem and what is valid.
    """
    path, told = config["path"], []
    sheet = sheets.read(config, told)
    at, one_hot = _columns(sheet, config, told)
    lines = [(number, cells) for number, cells in sheet.lines if any(cell.strip() for cell in cells)]
    if not lines:
        raise UserError(f"{path}: no rows")
    width = len(sheet.header or lines[0][1])
    uneven = [number for number, cells in lines if len(cells) != width]
    if uneven:
        told.append(
            f"{len(uneven)} of {len(lines)} lines have another number of cells than the first (line {uneven[0]})"
        )
    lines = [(number, cells + [""] * (width - len(cells))) for number, cells in lines]
    places = Places(config, [cells[at["path"]] for _, cells in lines], told)
    labels = _labels(sheet, lines, at.get("label"), one_hot, config, told)
    boxes = _box_columns(sheet, config)
    values = [(str(column), _known(sheet, column, config)) for column in config.get("target_columns") or []]
    found: dict[str, Row] = {}
    for (number, cells), of_line in zip(lines, labels, strict=True):
        row = _row(cells, of_line, at, boxes, places, f"{path}, line {number}", config)
        targets = (_value(cells[place], f"{path}, line {number}: {name}", sheet.comma) for name, place in values)
        row = replace(row, targets=tuple(targets))
        if row.name in found:
            row = replace(row, labels=tuple(dict.fromkeys([*found[row.name].labels, *row.labels])))
        found[row.name] = row
    places.tell(told)
    names = tuple(_title(sheet, c) for c in one_hot) or in_order(
        (n for row in found.values() for n in row.labels), True
    )
    return list(found.values()), names, told


def _row(cells, labels, at, boxes, places: Places, where: str, config: dict) -> Row:
    cell = {key: cells[place].strip() for key, place in at.items()}
    if not cell["path"]:
        raise UserError(f"{where}: the column {config['path_column']!r} is empty")
    role = cell.get("role") or ROLES[0]
    if role not in ROLES:
        raise unknown(f"{where}: role", role, ROLES)
    name, file = places.of(cell["path"])
    mask = cell.get("mask") and places.of(cell["mask"])
    return Row(
        name,
        labels,
        role=role,
        box=_box([cells[c] for c in boxes], where),
        mask=(mask[1] or mask[0]) if mask else None,
        credit=cell.get("credit", ""),
        licence=cell.get("licence", ""),
        file=file,
    )


# ------------------------------------------------------------------------------------------------ which column is what


def _columns(sheet: Sheet, config: dict, told: list[str]) -> tuple[dict[str, int], list[int]]:
    """Key → index of its column; and the indices of columns of 0 and 1, one per class, if these are the labels."""
    wanted = {key: config.get(f"{key}_column") for key in COLUMNS}
    listed = wanted["label"] if isinstance(wanted["label"], list) else None
    at = {}
    for key, column in wanted.items():
        if column is None or (key == "label" and listed):
            continue
        place = _place(sheet, column, key, config, told)
        without = column == "label" and (config.get("target_columns") or config.get("mask_column"))
        if key == "label" and without and _called(sheet, column, config) is None:
            continue  # values and label maps need no classes
        if place is None and key == "label":
            return _guessed_labels(sheet, at, wanted["label"], config, told)
        if place is None:
            raise _no_column(sheet, column, config)
        at[key] = place
    return at, list(dict.fromkeys(_known(sheet, column, config) for column in listed or []))


def _guessed_labels(
    sheet: Sheet, at: dict, column: str, config: dict, told: list[str]
) -> tuple[dict[str, int], list[int]]:
    """The label columns if none has that name: the only other column, or all others if they hold 0 and 1."""
    others = [c for c in range(len(sheet.header or sheet.lines[0][1])) if c != at["path"]]
    if column == "label" and config.get("target_columns"):
        return at, []
    keys = [key for key in config if key.endswith(("_column", "_columns")) and config[key] is not None]
    if column != "label" or set(keys) > {"path_column", "label_column"}:
        raise _no_column(sheet, column, config)
    if not others:
        told.append("there is no column of labels")
        return at, []
    if len(others) == 1:
        title = _title(sheet, others[0])
        if len({"".join(cells[others[0] : others[0] + 1]) for _, cells in sheet.lines}) > max(2, len(sheet.lines) / 2):
            told.append(f"{title!r} has too many values to be the classes (label_column: {title} uses them anyway)")
            return at, []
        told.append(f"the column {title!r} is assumed to hold the labels")
        return at | {"label": others[0]}, []
    cells = [[cells[c].strip() if c < len(cells) else "" for c in others] for _, cells in sheet.lines]
    if all(_binary(cell) in _BINARY for row in cells for cell in row):
        titles = ", ".join(_title(sheet, c) for c in others[:8]) + (", …" if len(others) > 8 else "")
        told.append(f"{len(others)} columns of 0 and 1 are assumed to be the classes: {titles}")
        return at, others
    raise _no_column(sheet, column, config)


def _place(sheet: Sheet, column: str | int, key: str, config: dict, told: list[str]) -> int | None:
    """Index of the column with the config's name, or with a common other name, or None."""
    if sheet.header is None and isinstance(column, str):
        return _without_header(sheet, column, key, config, told)
    place = _called(sheet, column, config)
    if place is None and column == key:
        for name in USUAL.get(key, ()):
            matching = [c for c, title in enumerate(sheet.header) if plain(title) == name]
            if matching:
                told.append(f"the column {sheet.header[matching[0]]!r} is used as {key}_column")
                return matching[0]
    return place


def _called(sheet: Sheet, column: str | int, config: dict) -> int | None:
    if isinstance(column, int):
        return column if column < len(sheet.header or sheet.lines[0][1]) else None
    for matching in (
        [c for c, title in enumerate(sheet.header or []) if title == column],
        [c for c, title in enumerate(sheet.header or []) if plain(title) == plain(column)],
    ):
        if len(matching) > 1:
            raise UserError(
                f"{config['path']}: {len(matching)} columns are called {column!r}; give the number of one, counted "
                f"from 0: {' or '.join(map(str, matching))}"
            )
        if matching:
            return matching[0]
    return None


def _without_header(sheet: Sheet, column: str, key: str, config: dict, told: list[str]) -> int | None:
    """In a table without titles and with at most two columns, the path is the column that looks like one."""
    first = sheet.lines[0][1]
    paths = [c for c, cell in enumerate(first) if names_a_picture([cell])]
    if len(first) > 2 or len(paths) != 1 or key not in ("path", "label"):
        raise UserError(
            f"{config['path']}: there is no {column!r}, as the first line has no titles ({', '.join(first[:6])}); give "
            "the columns by number, counted from 0: path_column: 0, label_column: 1"
        )
    if key == "path":
        told.append(
            f"the first line has no titles: column {paths[0]} is the path"
            + f", {1 - paths[0]} the label" * (len(first) > 1)
        )
        return paths[0]
    return 1 - paths[0] if len(first) > 1 else None


def _known(sheet: Sheet, column: str | int, config: dict) -> int:
    place = _called(sheet, column, config)
    if place is None:
        raise _no_column(sheet, column, config)
    return place


def _no_column(sheet: Sheet, column: str | int, config: dict) -> UserError:
    titles = sheet.header if sheet.header is not None else map(str, range(len(sheet.lines[0][1])))
    return unknown(f"{config['path']}: column", str(column), titles)


def _box_columns(sheet: Sheet, config: dict) -> list[int]:
    return [_known(sheet, column, config) for column in config.get("box_columns") or []]


def _title(sheet: Sheet, place: int) -> str:
    return sheet.header[place] if sheet.header else str(place)


# ----------------------------------------------------------------------------------------------------- what cells say


def _labels(
    sheet: Sheet, lines: list, place: int | None, one_hot: list[int], config: dict, told: list[str]
) -> list[tuple[str, ...]]:
    """The names of each line's classes."""
    if one_hot:
        return [_hot(sheet, cells, one_hot, f"{config['path']}, line {number}") for number, cells in lines]
    if place is None:
        return [()] * len(lines)
    separator, none = config.get("label_separator"), set(config.get("missing_labels") or ())
    parted = [
        [
            part.strip()
            for entry in cells[place].split(LIST)
            for part in (entry.split(separator) if separator else [entry])
        ]
        for _, cells in lines
    ]
    gone = Counter(part for parts in parted for part in parts if part and part in none)
    for word, count in gone.most_common(3):
        told.append(f"the label {word!r} ({count} ×) counts as missing (missing_labels: [] makes it a class)")
    kept = [[part for part in parts if part and part not in none] for parts in parted]
    whole = [part for parts in kept for part in parts]
    if whole and all(re.fullmatch(r"[+-]?\d+[.,]0+", part, re.ASCII) for part in whole):
        told.append(f"labels such as {whole[0]} are read as {re.split('[.,]', whole[0])[0]}")
        kept = [[re.split("[.,]", part)[0] for part in parts] for parts in kept]
    return [tuple(dict.fromkeys(parts)) for parts in kept]


def _hot(sheet: Sheet, cells: list[str], columns: Iterable[int], where: str) -> tuple[str, ...]:
    found = []
    for c in columns:
        cell = _binary(cells[c] if c < len(cells) else "")
        if cell not in _BINARY:
            raise UserError(
                f"{where}: the column {_title(sheet, c)!r} has {cells[c]!r}; the column of a class has 0 or 1"
            )
        if _BINARY[cell]:
            found.append(_title(sheet, c))
    return tuple(found)


def _binary(cell: str) -> str:
    return re.sub(r"[.,]0+$", "", cell.strip().casefold())  # a spreadsheet's decimal comma is read as a point


def _value(cell: str, where: str, comma: bool) -> float | None:
    """The number in a cell, None if there is none: 1234.5, 1,234.5 and, as in German, 1.234,5 or 1234,5."""
    text = cell.strip().replace("\N{MINUS SIGN}", "-")
    if text.casefold() in ("", "nan", "na", "n/a", "none", "null", "-"):
        return None
    try:
        value = float(_plain_number(text, comma))
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise UserError(f"{where}: {text!r} is not a number; leave the cell empty if the value is not known")
    return value


def _plain_number(text: str, comma: bool) -> str:
    """A number in common spelling → in Python's. comma: see sheets.Sheet."""
    if re.fullmatch(r"-?\d{1,3}(,\d{3})+(\.\d+)?", text) and (comma or "." in text or text.count(",") > 1):
        return text.replace(",", "")
    if re.fullmatch(r"-?\d{1,3}(\.\d{3})+,\d+", text) or re.fullmatch(r"-?\d{1,3}(\.\d{3}){2,}", text):
        return text.replace(".", "").replace(",", ".")
    return text.replace(",", ".") if text.count(",") == 1 else text


def _box(cells: list[str], where: str) -> tuple[float, ...] | None:
    if not any(cell.strip() for cell in cells):
        return None
    try:
        box = tuple(float(_plain_number(cell.strip(), False)) for cell in cells)
    except ValueError:
        box = ()
    if not box or not all(map(math.isfinite, box)):
        raise UserError(f"{where}: a box is four numbers, not {cells}")
    return tuple(int(side) if side == int(side) else side for side in box)
