"""Lists of class names in common formats: a name per line, numbered lines, tables, JSON, YAML, Python literals.

:func:`read` gives all names of each output; the last one is shown. Nothing in a file is ever executed.
"""

import ast
import csv
import io
import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import yaml

from cnnviz.errors import UserError

FORMS = (
    "a name a line, numbered or not; a table with a column of names; or JSON or YAML: a list, {index: name}, "
    "{index: [id, name]}, {name: index}, or a file with such a part under classes, names, class_to_idx or id2label"
)
# Keys of names in common files. Index → name comes before name → index.
_PARTS = (
    *("id2label", "idx_to_class", "index_to_class", "idx2label", "idx_to_label"),
    *("class_to_idx", "class_to_index", "label2id", "label_to_idx", "class_indices"),
    *("classes", "class_names", "names", "label_names", "labels", "categories"),
)
_NAMES = ("name", "names", "class", "classes", "class_name", "classname", "label", "labels", "category", "species")
_IDS = ("wnid", "id", "synset", "code", "folder")
_INDICES = ("index", "idx", "id", "class_id", "label_id", "class_index", "class_idx")
WNID = re.compile(r"n[0-9]{8}")  # a WordNet noun's id, as in ImageNet's folder names
_NUMBER_FIRST = re.compile(r"\W*([0-9]+)[\W_]+(.+)")
_NUMBER_LAST = re.compile(r"(.+?)[\W_]+([0-9]+)\W*")
_WNID_FIRST = re.compile(r"(n[0-9]{8})[\s,:;]+(.+)")

Names = list[str]


def read(path: str, where: str) -> list[Names]:
    """The names of each output, from the list at ``path``. Raises UserError, starting with ``where``."""
    try:
        names = _read(decoded(Path(path).read_bytes()), Path(path).suffix.lower())
    except (
        OSError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        SyntaxError,
        RecursionError,
        MemoryError,
    ) as error:
        words = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(
            f"{where}: classes: {path} cannot be read as a list of names ({words}). Valid: {FORMS}"
        ) from error
    except yaml.YAMLError as error:
        raise UserError(f"{where}: classes: {path} is not valid YAML. Valid: {FORMS}") from error
    if not names:
        raise UserError(f"{where}: classes: {path} is empty. Valid: {FORMS}")
    return names


def decoded(content: bytes) -> str:
    """A file's text: UTF-8, UTF-16 with a byte order mark, or an older Windows encoding."""
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return content.decode("utf-16")
    if b"\0" in content:
        raise ValueError("it is not text")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("cp1252")


def _read(text: str, ending: str) -> list[Names]:
    if ending in (".yaml", ".yml"):
        return of_data(yaml.load(text, yaml.BaseLoader))  # reads `no` and `off` as names
    if ending == ".json":
        return of_data(json.loads(text))
    if text.lstrip()[:1] in ("{", "["):
        try:
            return of_data(_literal(text))
        except (ValueError, SyntaxError, TypeError):
            pass  # lines such as "[0] cat"
    return (_of_table(text) if ending in (".csv", ".tsv") else []) or _of_lines(text)


def _literal(text: str):
    try:
        return json.loads(text)
    except ValueError:
        return ast.literal_eval(text.strip())  # a printed Python dict


# ---------------------------------------------------------------------------------------------------- JSON and the like


def of_data(data) -> list[Names]:
    """The names in the data of a JSON or YAML file, or a config's own list. Raises ValueError and others."""
    if isinstance(data, dict):
        keys = {str(key).casefold(): key for key in data}
        part = next((keys[p] for p in _PARTS if isinstance(data.get(keys.get(p)), list | dict)), None)
        if part is not None:
            return of_data(data[part])
        return _of_dict(data)
    if not isinstance(data, list):
        raise ValueError("it holds neither a list nor keys and values")
    entries = [_entry(value) for value in data]
    if all(isinstance(value, dict) for value in data):
        indices = [_index(value) for value in data]
        if None not in indices and len(set(indices)) == len(indices):  # COCO's numbers have gaps
            return [names for _, names in sorted(zip(indices, entries, strict=True))]
        return entries
    if entries and all(len(names) == 2 for names in entries) and _permuted([names[0] for names in entries]):
        return _ordered((names[0], names[1:]) for names in entries)
    return entries


def _of_dict(data: dict) -> list[Names]:
    if data and all(_number(value) and not (_number(key) and isinstance(value, str)) for key, value in data.items()):
        return _ordered((value, [str(key).strip()]) for key, value in data.items())  # name → index
    if all(map(_number, data)):
        return _ordered((key, _entry(value)) for key, value in data.items())
    if all(WNID.fullmatch(str(key)) for key in data):  # ImageNet's outputs are in the order of these
        return [[key, *_entry(data[key])] for key in sorted(data)]
    raise ValueError("its keys are neither indices nor names of them")


def _entry(value) -> Names:
    """The names of one output."""
    if isinstance(value, dict):
        named = next(key for key in ("name", "label", "class", "class_name", "category", None) if key in (*value, None))
        if named is None:
            raise KeyError("no name in " + str(value)[:60])
        return [*(str(value[key]) for key in _IDS if key in value and not _number(value[key])), str(value[named])]
    if isinstance(value, list):
        if not value or any(isinstance(part, list | dict) for part in value):
            raise ValueError("nested lists")
        return [str(part).strip() for part in value]
    if value is None:
        raise ValueError("an empty entry")
    return [str(value).strip()]


def _index(value: dict) -> int | None:
    return next((int(value[key]) for key in _INDICES if key in value and _number(value[key])), None)


# ----------------------------------------------------------------------------------------------------- lines and tables


def _of_lines(text: str) -> list[Names]:
    lines = [line.strip() for line in re.split(r"[\r\n]+", text) if line.strip()]
    for pattern, number in ((_NUMBER_FIRST, 0), (_NUMBER_LAST, 1)):
        parts = [match.groups() for line in lines if (match := pattern.fullmatch(line))]
        names = [part[1 - number].strip("'\" ,;") for part in parts]
        if len(parts) == len(lines) and len(set(names)) == len(names) and _permuted([part[number] for part in parts]):
            # the whole line is another name, since a folder may have it
            entries = ([line, *_split(name)] for line, name in zip(lines, names, strict=True))
            return _ordered((part[number], entry) for part, entry in zip(parts, entries, strict=True))
    entries = [_split(line) for line in lines]
    return entries if all(len(entry) == 2 for entry in entries) else [[line] for line in lines]


def _split(line: str) -> Names:
    """ "n01440764 tench, Tinca tinca" → the id and the name."""
    found = _WNID_FIRST.fullmatch(line)
    return [found[1], found[2]] if found else [line]


def _of_table(text: str) -> list[Names]:
    """The names in a table with a column of names, and optionally of indices and ids. [] if it is not a table."""
    for delimiter in ",;\t|":
        read = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True)
        rows = [[cell.strip() for cell in row] for row in read if any(cell.strip() for cell in row)]
        if rows and len(rows[0]) > 1 and len({len(row) for row in rows}) == 1:
            break
    else:
        lines = [line for line in re.split(r"[\r\n]+", text) if line.strip()]
        headed = len(lines) > 1 and lines[0].strip(" \"'").casefold() in _NAMES
        return [[line.strip(" \"'")] for line in lines[1:]] if headed else []
    known = [cell.casefold() in (*_NAMES, *_IDS, *_INDICES) for cell in rows[0]]
    for start in (0, 1):
        columns = list(zip(*rows[start:], strict=True))
        index = next((i for i, column in enumerate(columns) if _permuted(column)), None)
        if index is not None:
            break
    if index is None:
        start = int(any(known))
        columns = list(zip(*rows[start:], strict=True))
    header = [cell.casefold() for cell in rows[0]] if start else [""] * len(columns)
    ids = [i for i, column in enumerate(columns) if i != index and all(map(WNID.fullmatch, column))]
    rest = [i for i in range(len(columns)) if i != index and i not in ids]
    named = next((header.index(word) for word in _NAMES if word in header), rest[0] if rest else ids[0])
    ids += [i for i in rest if i != named and (header[i] in _IDS or not start)]
    entries = [[*(columns[i][row] for i in ids), columns[named][row]] for row in range(len(columns[0]))]
    return entries if index is None else _ordered(zip(columns[index], entries, strict=True))


# ---------------------------------------------------------------------------------------------------------- by an index


def _number(value) -> bool:
    return not isinstance(value, bool) and (isinstance(value, int) or bool(re.fullmatch("[0-9]+", str(value))))


def _permuted(values: Sequence) -> bool:
    """Whether these are the numbers from 0, or from 1, each once."""
    if len(values) < 2 or not all(map(_number, values)):
        return False
    found = sorted(map(int, values))
    return found == list(range(found[0], found[0] + len(found))) and found[0] in (0, 1)


def _ordered(pairs: Iterable[tuple[str | int, Names]]) -> list[Names]:
    """Names by their index, which counts from 0 or from 1; several names of one index are joined."""
    found: dict[int, Names] = {}
    for index, names in pairs:
        found[int(index)] = [*names, *found.get(int(index), [])]
    first = min(found, default=0)
    missing = next((i for i in range(first, first + len(found)) if i not in found), None)
    if first > 1 or missing is not None:
        raise ValueError(f"no name has the index {0 if first > 1 else missing}")
    return [found[i] for i in sorted(found)]
