"""The templates, and their filters for numbers, papers and addresses. Everything reaches HTML escaped."""

import re
from functools import cache
from pathlib import Path
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from cnnviz.site import edition
from cnnviz.slug import slug
from cnnviz.views.kit.findings import percent
from cnnviz.views.kit.section import fit

TEMPLATES = Path(__file__).parents[2] / "templates"


def number(value) -> str:
    """A number for readers: integers with thin spaces between thousands, others with 4 significant digits."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if isinstance(value, int) or (value == int(value) and abs(value) < 1e15):
        return f"{int(value):,}".replace(",", "\u2009") if abs(value) >= 10_000 else str(int(value))
    return f"{value:.4g}".replace("e-0", "e-").replace("e+0", "e")


def about(count: int) -> str:
    """A large count with three digits: 61.1 M."""
    for size, letter in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if count >= size:
            return f"{count / size:.3g}{letter}"
    return str(count)


def words(name: str) -> str:
    """A metric's or parameter's name as words: "fooling_rate" → "fooling rate"."""
    return name.replace("_", " ")


def share(value: float) -> str:
    """A fraction 0 … 1 as a percentage."""
    return f"{value * 100:.1f} %"


def measure(metric, value: float | None = None) -> str:
    """A metric's value, or ``value`` in its unit (an end of its interval). metric: a Metric, or its dict."""
    kept, unit = (metric["value"], metric["unit"]) if isinstance(metric, dict) else (metric.value, metric.unit)
    value = kept if value is None else value
    if unit == "share":
        return share(value)
    rounded = value if value == int(value) or abs(value) >= 1000 else float(f"{value:.3g}")
    return f"{number(rounded)} {unit}".rstrip()


def short(paper: dict) -> str:
    """ "Krizhevsky et al. 2012" """
    authors = [a.strip() for a in paper["authors"].replace(" and ", ",").replace("&", ",").split(",") if a.strip()]
    first = authors[0].split()[-1] if authors and authors[0] != "et al." else paper["title"]
    return f"{first}{' et al.' if len(authors) > 1 else ''} {paper['year']}"


def plain(value) -> str:
    """A config value as one line of text."""
    if isinstance(value, dict):
        return ", ".join(f"{k}: {plain(v)}" for k, v in value.items()) or "none"
    if isinstance(value, list | tuple):
        return ", ".join(plain(v) if not isinstance(v, list | dict) else f"({plain(v)})" for v in value) or "none"
    if value is None:
        return "none"
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)


def linkable(url: str) -> bool:
    """Whether an address may become a link. A paper's address is written by the author of its view."""
    return url.startswith(("https://", "http://"))


def formula(text: str) -> Markup:
    """An equation as HTML: the word or ``{…}`` after ``_`` becomes a subscript."""
    return Markup(re.sub(r"_(?:\{([^{}]*)\}|(\w+))", r"<sub>\1\2</sub>", str(escape(text))))


def address(path: str) -> str:
    """A relative path as a URL: ``#``, ``?``, ``%`` and spaces of file names are quoted."""
    return quote(path)


def href(target: str) -> str:
    """A relative path as a URL, with its anchor kept."""
    path, _, anchor = target.partition("#")
    return quote(path) + (f"#{quote(anchor)}" if anchor else "")


@cache
def environment(publish: str = edition.EVERYTHING) -> Environment:
    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        finalize=lambda value: fit(value) if type(value) is str else value,  # Markup is already made of such text
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters |= {
        "number": number,
        "about": about,
        "words": words,
        "share": share,
        "percent": percent,
        "slug": slug,
        "measure": measure,
        "plain": plain,
        "formula": formula,
        "address": address,
        "href": href,
    }
    made.tests |= {"linkable": linkable}
    made.globals["publish"] = publish
    return made
