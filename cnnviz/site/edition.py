"""Two editions of the site: ``publish: everything``, and ``derived``, without the data set's pictures, names and files.

``derived`` is for pictures that may be viewed but not redistributed. What a network makes of them is kept (weights,
curves, scatter plots, synthesised pictures, numbers). Everything that shows a picture, names one or can be downloaded
is left out.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, replace
from pathlib import PurePosixPath

from cnnviz.views.kit.section import Section

EVERYTHING, DERIVED = "everything", "derived"
SHORTEST = 4  # shortest name of a picture to search for; a shorter one ("1") is in every text

_FILE = re.compile(r"[/\\]|\.(jpe?g|png|webp|bmp|gif|tiff?|p[gp]m|npy|npz|csv|dcm)$", re.IGNORECASE)


def names(index: dict) -> list[str]:
    """Possible names of the pictures of an ``images.json`` in texts: names, ids, file names; longer ones first."""
    found = set()
    for picture in (*index.get("pictures", ()), *index.get("skipped", ())):
        name = picture["name"]
        file = PurePosixPath(name.replace("\\", "/")).name
        found |= {name, picture.get("id", name), file if "." in file else name}
    return sorted((name for name in found if len(name) >= SHORTEST), key=lambda name: (-len(name), name))


def derived(section: Section, names: Iterable[str]) -> Section:
    """The section in the derived edition.

    Figures and tables that are ``from_dataset`` are removed, and so are those whose text names a picture, whatever
    their flag. The widget is removed, since it can show anything. In the rest, names become "a picture", files "a
    file".
    """
    text = "\n".join(_strings(asdict(section)))
    found = [name for name in names if name in text]

    def tells(part) -> bool:
        return any(name in words for words in _strings(asdict(part)) for name in found)

    figures = [
        replace(
            f,
            subjects=tuple(s for s in f.subjects if s.kind != "image"),
            marks=tuple(mark for mark in f.marks if mark.kind != "image"),
        )
        for f in section.figures
        if not f.from_dataset
    ]
    kept = {f.id for f in figures if not tells(f)}
    return replace(
        section,
        findings=tuple(
            replace(f, **({} if f.figure in kept else {"figure": "", "labels": ()}))
            for f in section.findings
            if not tells(f)
        ),
        measured={key: measured for key, measured in section.measured.items() if not any(n in key for n in found)},
        **{
            word: without(getattr(section, word), found)
            for word in ("reason", "question", "how_to_read", "do_not_conclude")
        },
        figures=tuple(f for f in figures if not tells(f)),
        tables=tuple(t for t in section.tables if not t.from_dataset and not tells(t)),
        about=tuple(a for a in section.about if not a.from_dataset and not tells(a)),
        widget="",
        widget_data={},
        parameters=_each_string(
            lambda words: "a file" if _FILE.search(words) else words, without(section.parameters, found)
        ),
        provenance=without(section.provenance, found),
    )


def left_out(whole: Section, shown: Section) -> str:
    """One sentence about the parts of ``whole`` that ``shown`` lacks; "" if there are none."""
    figures, tables = (len(getattr(whole, kind)) - len(getattr(shown, kind)) for kind in ("figures", "tables"))
    widget = bool(whole.widget) - bool(shown.widget)
    things = [f"{n} {word}{'' if n == 1 else 's'}" for n, word in ((figures, "figure"), (tables, "table")) if n]
    things += ["the interactive view"] if widget else []
    if not things:
        return ""
    one = figures + tables + widget == 1
    show = ("shows" if one else "show") + (" or names" if one else " or name") * bool(tables)
    what = " and ".join([", ".join(things[:-1]), things[-1]] if things[1:] else things)
    what = what[0].upper() + what[1:]
    return f"{what} that {show} pictures of the data set {'is' if one else 'are'} left out of this edition."


def without(value, names: Iterable[str]):
    """A JSON value in which "a picture" replaces every one of ``names``, in their order."""
    text = "\n".join(_strings(value))
    found = [name for name in names if name in text]  # a few of perhaps very many names

    def unnamed(words: str) -> str:
        for name in found:
            words = words.replace(name, "a picture")
        return words

    return _each_string(unnamed, value) if found else value


def _each_string(function: Callable[[str], str], value):
    """A JSON value with ``function`` applied to each of its strings, including keys."""
    if isinstance(value, str):
        return function(value)
    if isinstance(value, dict):
        return {function(k): _each_string(function, v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_each_string(function, v) for v in value]
    return value


def _strings(value) -> Iterator[str]:
    """Every string in a JSON value, including keys."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for k, v in value.items():
            yield str(k)
            yield from _strings(v)
    elif isinstance(value, list | tuple):
        for v in value:
            yield from _strings(v)
