"""Credits and licences of a set's pictures, as ``images.json`` states them for each picture."""

import csv
import io
import json
from pathlib import Path

NO_LICENCE = "licence not stated"
MOST_ON_A_LINE = 3
MOST_NAMES = 200  # largest number of names of a credit on the page; credits.csv has all


def read(path: Path | None, of_set: dict | None = None) -> dict:
    """An ``images.json``; {} if there is none. of_set: credit and licence of pictures that state none themselves."""
    index = json.loads(path.read_text("utf-8")) if path is not None and path.is_file() else {}
    for picture in index.get("pictures", ()):
        for key, value in (of_set or {}).items():
            picture[key] = picture.get(key) or value
    return index


def terms(picture: dict) -> tuple[str, str]:
    """(credit, licence) of a picture of ``images.json``; "" if not stated."""
    return (picture.get("credit") or "").strip(), (picture.get("licence") or "").strip()


def line(stated: list[tuple[str, str]]) -> str:
    """The distinct (credit, licence) pairs in one line, a few at most; "" if none is stated.

    For pictures without a licence the set states it, not each of them.
    """
    different = [", ".join(filter(None, pair)) for pair in dict.fromkeys(stated) if any(pair)]
    more = len(different) - MOST_ON_A_LINE
    return "; ".join(different[:MOST_ON_A_LINE]) + (f"; and {more} more" if more > 0 else "")


def groups(index: dict, named: bool = True) -> list[dict]:
    """Licence → credit → pictures of a set, most pictures first, for the credits page.

    named: with the pictures' names.
    """
    found: dict[str, dict[str, list[str]]] = {}
    for picture in index.get("pictures", ()):
        credit, licence = terms(picture)
        found.setdefault(licence, {}).setdefault(credit, []).append(picture["name"])
    made = [
        {
            "licence": licence or NO_LICENCE,
            "pictures": sum(map(len, credits.values())),
            "credits": [
                {"credit": credit, "pictures": len(names), "names": names if named else []}
                for credit, names in sorted(credits.items(), key=lambda item: (-len(item[1]), item[0]))
            ],
        }
        for licence, credits in found.items()
    ]
    return sorted(made, key=lambda group: (-group["pictures"], group["licence"]))


def summary(index: dict) -> str:
    """A set's licences and credits in a line: "12 pictures: CC BY 4.0 (A, B, C and 3 more); 2 pictures: …"."""
    parts = []
    for group in groups(index):
        named = [c["credit"] for c in group["credits"] if c["credit"]]
        more = len(named) - MOST_ON_A_LINE
        who = f" ({', '.join(named[:MOST_ON_A_LINE])}{f' and {more} more' if more > 0 else ''})" if named else ""
        count = f"{group['pictures']} picture{'' if group['pictures'] == 1 else 's'}"
        parts.append(f"{count}: {group['licence']}{who}")
    return "; ".join(parts)


def table(indices: dict[str, dict]) -> str:
    """Every picture that states a credit or a licence, as CSV; "" if none does. indices: set → images.json."""
    rows = [
        (name, picture["name"], *terms(picture))
        for name, index in indices.items()
        for picture in index.get("pictures", ())
        if any(terms(picture))
    ]
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows([("image_set", "picture", "credit", "licence"), *rows])
    return stream.getvalue() if rows else ""
