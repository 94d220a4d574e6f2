"""The wall of a layer's units: a tile for each unit with a picture, and the sections' numbers and words about it.

The tiles can be sorted by the numbers and filtered by the words (``wall.js``). Without scripts they are in the order of
the units' numbers.
"""

from collections.abc import Mapping
from itertools import chain

MOST = 1024  # largest number of tiles of a wall; further units are shown as numbers
FIRST = ("unit_visualization", "maximal_patches")  # sections whose picture represents a unit, if they have one


def wall(units: list[dict], found: Mapping[str, Mapping]) -> dict:
    """``tiles`` and ``columns`` (names of the numbers to sort by).

    units: href and label of each unit's page. found: number of a unit → section id → the section's entries, see
    :class:`cnnviz.site.subjects.Told`. A tile: href, label, ``seen`` (the picture), numbers (one for each column, or
    None) and words.
    """
    pictured = [(unit, told) for unit in units if (told := found.get(unit["label"])) and _picture(told)][:MOST]
    facts = [dict(chain.from_iterable(entry.facts for entry in told.values())) for _, told in pictured]
    columns = list(dict.fromkeys(column for said in facts for column, value in said.items() if _number(value)))
    tiles = [
        unit
        | {
            "seen": _picture(told),
            "numbers": [said[c] if _number(said.get(c)) else None for c in columns],
            "words": [value for value in said.values() if isinstance(value, str)],
        }
        for (unit, told), said in zip(pictured, facts, strict=True)
    ]
    return {"tiles": tiles, "columns": columns}


def _number(value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _picture(told: Mapping):
    """The figure that represents a unit: that of the first section with one."""
    entries = [told[id] for id in FIRST if id in told] + [entry for id, entry in told.items() if id not in FIRST]
    return next((entry.figures[0] for entry in entries if entry.figures), None)
