"""What can be pointed at on a section's figures, as scripts for ``assets/charts.js``, and as a CSV file for each chart.

``data/<section>/points.js`` is loaded when a reader first points at a figure: a page opened from disk can load other
files only as scripts. A sheet has its own script, since a large network has many. On the section's page its subjects'
parts can be pointed at, on a subject's page the marks within its part.
"""

import csv
import io
import json
from collections.abc import Callable
from functools import cache

from cnnviz.site.environment import href
from cnnviz.slug import slug
from cnnviz.views.kit.section import Figure, Section, Subject, fit
from cnnviz.views.kit.svg import Mark


def address(folder: str, section: str, figure: Figure) -> str:
    """Address of the script with a figure's marks, from the site's root; "" if it has none. folder: the model's."""
    own = f"-{slug(figure.id)}" if parts(figure) else ""
    return f"{folder}/data/{slug(section)}/points{own}.js" if own or figure.marks else ""


def parts(figure: Figure) -> list[Mark]:
    """A mark for each subject that only a part of the figure is about."""
    return [
        Mark(s.box[0], s.box[1], f"{s.layer}, unit {s.name}" if s.layer else s.name, "", *s.box[2:], s.kind, s.name,
             s.layer or "")
        for s in figure.subjects
        if s.box
    ]  # fmt: skip


def key(figure: Figure, part: bool) -> str:
    """Name in the script of what can be pointed at: on the whole figure, or on a subject's part of it."""
    return f"{figure.id}/parts" if part else figure.id


def table(folder: str, section: str, figure: Figure) -> str:
    """Address of a chart's CSV file, from the site's root; "" for figures that are made of pictures, not numbers."""
    pictures = any(mark.kind == "image" and mark.width for mark in figure.marks)
    return f"{folder}/data/{slug(section)}/points-{slug(figure.id)}.csv" if figure.marks and not pictures else ""


def scripts(section: Section, folder: str, link: Callable[[Subject], str]) -> dict[str, str]:
    """Address → script: :func:`key` → its marks.

    A mark: x, y, width, height, name, value, address from the root, group, colour; the last two only within a group.
    """
    page = cache(lambda kind, name, layer: href(link(Subject(kind, name, layer or None))) if kind else "")
    charts: dict[str, dict[str, list]] = {}
    for figure in section.figures:
        whole = parts(figure)
        for name, marks in ((key(figure, False), whole or figure.marks), (key(figure, True), whole and figure.marks)):
            if marks:
                charts.setdefault(address(folder, section.id, figure), {})[name] = [
                    [m.x, m.y, m.width, m.height, fit(m.name), fit(m.value), page(m.kind, m.of, m.layer)]
                    + ([fit(m.group), m.hue] if m.group else [])
                    for m in marks
                ]
    return {file: _script(file, marks) for file, marks in charts.items()}


def _script(address: str, charts: dict[str, list]) -> str:
    written = json.dumps(charts, ensure_ascii=True, separators=(",", ":"))
    return f"(window.cnnvizPoints ??= {{}})[{json.dumps(address)}] = {written};\n"


def rows(figure: Figure) -> str:
    """A chart's marks as CSV: what they are called, of which group, and their values in words or numbers."""
    stream = io.StringIO()
    lines = [(m.name, m.group, m.value) for m in figure.marks]
    csv.writer(stream, lineterminator="\n").writerows([("name", "group", "value"), *lines])
    return stream.getvalue()
