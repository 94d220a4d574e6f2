"""What can be pointed at on a section's charts, as a script for ``assets/charts.js``, and as a CSV file for each chart.

``data/<section>/points.js`` is loaded when a reader first points at a chart: a page opened from disk can load other
files only as scripts.
"""

import csv
import io
import json
from collections.abc import Callable

from cnnviz.site.environment import href
from cnnviz.slug import slug
from cnnviz.views.kit.section import Figure, Section, Subject, fit


def address(folder: str, section: str) -> str:
    """The script's address from the site's root. folder: the model's."""
    return f"{folder}/data/{slug(section)}/points.js"


def table(figure: Figure) -> str:
    """The CSV file's name, in the script's folder."""
    return f"points-{slug(figure.id)}.csv"


def script(section: Section, address: str, link: Callable[[Subject], str]) -> str:
    """The script: figure → [x, y, width, height, name, value, address from the root, group, colour] of its marks."""
    charts = {
        figure.id: [
            [m.x, m.y, m.width, m.height, fit(m.name), fit(m.value), _page(m, link), fit(m.group), m.hue]
            for m in figure.marks
        ]
        for figure in section.figures
        if figure.marks
    }
    written = json.dumps(charts, ensure_ascii=True, separators=(",", ":"))
    return f"(window.cnnvizPoints ??= {{}})[{json.dumps(address)}] = {written};\n"


def rows(figure: Figure) -> str:
    """A chart's marks as CSV: what they are called, of which group, and their values in words or numbers."""
    stream = io.StringIO()
    lines = [(m.name, m.group, m.value) for m in figure.marks]
    csv.writer(stream, lineterminator="\n").writerows([("name", "group", "value"), *lines])
    return stream.getvalue()


def _page(mark, link: Callable[[Subject], str]) -> str:
    return href(link(Subject(mark.kind, mark.of, mark.layer or None))) if mark.kind else ""
