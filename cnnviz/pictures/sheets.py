"""Reads the cells of a text table in any format and encoding. Assumptions are reported."""

import csv
import io
import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass

from cnnviz.errors import UserError, quoted
from cnnviz.pictures import decoding
from cnnviz.pictures.decoding import visible
from cnnviz.pictures.paths import ENCODINGS

# Common other names of these columns, tried if there is none of the default name.
USUAL = {
    "path": [
        *("filename", "file", "image", "img", "imagepath", "imgpath", "filepath", "imagename", "imgname", "imageid"),
        *("imagefile", "fname", "filenames", "filepaths", "images", "photo", "picture", "id", "name"),
    ],
    "label": ["labels", "class", "classname", "category", "target", "classid", "labelid"],
}
_DELIMITERS = (",", ";", "\t", "|", " ")
_SAMPLE, _HEAD = 40, 4000  # lines and characters of the sample; clevercsv's time is quadratic in them
_MARKS = (
    *((b"\xff\xfe\0\0", "utf-32"), (b"\0\0\xfe\xff", "utf-32")),
    *((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"), (b"\xef\xbb\xbf", "utf-8-sig")),
)
LIST = "\x1f"  # separates the entries of a JSON list


@dataclass(frozen=True)
class Sheet:
    """The cells of a table. lines: (line number, cells). header: None if the first line is a picture's.

    comma: whether commas separate columns. If so, a comma in a number of four digits separates thousands.
    """

    header: list[str] | None
    lines: list[tuple[int, list[str]]]
    comma: bool = False


def read(config: dict, told: list[str]) -> Sheet:
    """The cells of the file at a set's ``path``. told: gets the assumptions. Raises UserError if it is not a table."""
    path = config["path"]
    try:
        with open(path, "rb") as file:
            content = file.read()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error
    for start, form in ((b"PK\3\4", "an Excel workbook or a zip archive"), (b"PAR1", "a Parquet file"),
                        (b"\xd0\xcf\x11\xe0", "an Excel workbook"), (b"\x80", "a pickle")):  # fmt: skip
        if content.startswith(start):
            raise UserError(f"{path} is {form}, not a text table; save it as CSV (pandas: frame.to_csv(path))")
    text = _decoded(content, config, told)
    if text.lstrip()[:1] in ("{", "["):
        return _from_json(text, path)
    return _from_text(text, config, told)


def _decoded(content: bytes, config: dict, told: list[str]) -> str:
    stated = config.get("encoding")
    marked = next((name for mark, name in _MARKS if content.startswith(mark)), None)
    if not (stated or marked) and (zeros := content[:1000].count(0)):
        if zeros < len(content[:1000]) / 4:
            raise UserError(f"{config['path']} is not a text table: it contains zero bytes")
        marked = "utf-16-le" if content[1:2] == b"\0" else "utf-16-be"
    for name in (stated,) if stated else (marked,) if marked else ("utf-8", _fitting_encoding(content, config)):
        try:
            text = content.decode(name)
        except UnicodeError as error:
            problem = error
            continue
        except (LookupError, ValueError):
            words = f"there is no encoding {quoted(name)}; utf-8, cp1252 and utf-16 are usual"
            raise UserError(f"{config['path']}: {words}") from None
        if name not in ("utf-8", "utf-8-sig", stated):
            told.append(f"it is {'' if marked else 'not in UTF-8 and '}read as {name} (encoding: sets another)")
        return text
    raise UserError(
        f"{config['path']} is not {name} text: {problem}; encoding: sets another, for example encoding: cp1252"
    )


def _fitting_encoding(content: bytes, config: dict) -> str:
    """The first encoding with which the files named in the lines that are not ASCII are found; else Windows-1252."""
    folder = os.path.dirname(config["path"])
    odd = [line for line in content.splitlines() if not line.isascii()][:_SAMPLE]
    best, most = ENCODINGS[0], 0
    for encoding in ENCODINGS:
        try:
            lines = [line.decode(encoding) for line in odd]
        except UnicodeError:
            continue
        cells = [cell for line in lines for cell in re.split(r'[,;\t|"]', line) if not cell.isascii()]
        hits = sum(
            os.path.exists(os.path.join(folder, cell.strip().replace("\\", "/"))) for cell in cells if cell.strip()
        )
        if hits > most:
            best, most = encoding, hits
    return best


def _from_text(text: str, config: dict, told: list[str]) -> Sheet:
    stated = re.match(r"sep=(.)\r?\n", text)  # a first line that Excel reads
    text = text[stated.end() :] if stated else text
    delimiter = stated[1] if stated else _delimiter(text, config)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True)
    try:
        lines = [(reader.line_num, cells) for cells in reader]
        if lines and any("\n" in cell for cell in lines[-1][1]):
            _closed(text, delimiter, config["path"])
    except csv.Error as error:
        raise UserError(f"{config['path']} is not a CSV file: {error}") from error
    if delimiter != ",":
        told.append(f"columns are separated by {({' ': 'spaces', chr(9): 'tabs'}).get(delimiter, delimiter)}")
    if not lines:
        raise UserError(f"{config['path']} is empty")
    first = [cell.strip() for cell in lines[0][1]]
    if names_a_picture(first):
        return Sheet(None, lines, delimiter == ",")
    return Sheet(first, lines[1:], delimiter == ",")


def _delimiter(text: str, config: dict) -> str:
    """The delimiter with which the first line has the columns that the config names; else clevercsv's guess."""
    head = "\n".join(text[:_HEAD].splitlines()[:_SAMPLE])
    first = head.partition("\n")[0]
    wanted = plain(config["path_column"]) if isinstance(config["path_column"], str) else None
    names = {wanted, *(USUAL["path"] if wanted == "path" else ())}
    fitting = [d for d in _DELIMITERS if names & {plain(cell.strip('"')) for cell in first.split(d)}]
    fitting = [d for d in fitting if d in first] or ([","] if fitting else [])
    if len(fitting) == 1:
        return fitting[0]
    import clevercsv

    try:
        found = clevercsv.Detector().detect(head, delimiters=fitting or [d for d in _DELIMITERS if d in first])
    except (clevercsv.exceptions.Error, ValueError):
        found = None
    return (found.delimiter if found else "") or ","


def _closed(text: str, delimiter: str, path: str) -> None:
    """Raises UserError if a quotation mark is not closed, so that the last cell holds all following lines."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True, strict=True)
    line = 1
    try:
        for _ in reader:
            line = reader.line_num + 1
    except csv.Error as error:
        if "unexpected end" in str(error):
            raise UserError(f"{path}, line {line}: a quotation mark is not closed") from None


def _from_json(text: str, path: str) -> Sheet:
    """Lines of JSON objects, as in metadata.jsonl, or one list of them."""
    try:
        whole = text.lstrip().startswith("[")
        numbered = [(i, line) for i, line in enumerate(text.splitlines(), 1) if line.strip()]
        entries = [(0, e) for e in json.loads(text)] if whole else [(i, json.loads(line)) for i, line in numbered]
        header = list(dict.fromkeys(key for _, entry in entries for key, _ in entry.items()))
        cells = [(i, [_cell(entry.get(key)) for key in header]) for i, entry in entries]
    except (ValueError, AttributeError, TypeError, RecursionError) as error:
        raise UserError(
            f"{path} is not a table: its JSON is neither one object per line nor a list of objects ({error})"
        ) from None
    if len(entries) == 1 and all(isinstance(value, dict | list) for value in entries[0][1].values()):  # COCO, pandas
        raise UserError(
            f"{path} is one JSON object of lists, not one object per picture; write one line per picture (pandas: "
            "frame.to_json(path, orient='records', lines=True))"
        )
    return Sheet([visible(key) for key in header], cells)


def _cell(value) -> str:
    if isinstance(value, list):
        return LIST.join(map(_cell, value))
    return "" if value is None else visible(str(value))


def names_a_picture(cells: Sequence[str]) -> bool:
    """Whether one of these cells is the path of a picture, rather than a title."""
    return any(
        os.path.splitext(cell.strip())[1].lower() in decoding.ENDINGS | decoding.HEIC | decoding.LEFT_OUT.keys()
        for cell in cells
    )


def plain(title: str) -> str:
    return re.sub(r"[\s_-]+", "", title.casefold())
