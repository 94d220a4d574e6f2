"""Comparison of two models, section by section: the contents of the pages in ``compare/``, from the models' stamps."""

from collections.abc import Iterable
from itertools import combinations, groupby
from operator import itemgetter

from cnnviz.site import contact_sheets, disagreement, picture_pages, sliders
from cnnviz.site.environment import about, number, share
from cnnviz.site.ranking import differences
from cnnviz.site.stamp import Entry, Stamp
from cnnviz.slug import slug

LARGEST = 5  # number of differences at the top of the page


def page(a: str, b: str) -> str:
    """Address of the comparison of two model ids, from the site's root."""
    return f"compare/{slug(a)}-and-{slug(b)}.html"


def of(id: str, models: Iterable[dict]) -> list[dict]:
    """Links of a model to its comparisons, for its own pages. models: {id, title} of all models, in order."""
    ids = [model["id"] for model in models]
    return [
        {"href": page(*sorted((id, model["id"]), key=ids.index)), "label": model.get("title") or model["id"]}
        for model in models
        if id in ids and model["id"] != id
    ]


def pairs(models: list[Stamp]) -> list[tuple[Stamp, Stamp]]:
    """All pairs of models that have pages, in the order of the config."""
    return list(combinations([model for model in models if model.page], 2))


def words(a: Stamp, b: Stamp) -> dict:
    """Further variables of the template: basics, sections, differences (of :mod:`ranking`), disagree, explored."""
    ids = dict.fromkeys(entry.id for model in (a, b) for entry in model.sections)
    of = [{entry.id: entry for entry in model.sections} for model in (a, b)]
    titles = a.title, b.title
    sections = [
        _section(of[0].get(id), of[1].get(id))
        | {"slider": sliders.of_pair(of[0].get(id), of[1].get(id), titles, "../", a.image_set == b.image_set)}
        for id in ids
    ]
    measured = any(section["measures"] for section in sections if section["id"] == "predictions")
    apart = differences(a, b)[:LARGEST]
    return {
        "basics": list(_basics(a, b, measured)),
        "sections": sections,
        "differences": apart,
        "disagree": _disagreements(a, b),
        "explored": _explored(a, b),
    }


def _explored(a: Stamp, b: Stamp) -> list[tuple[str, list[dict]]]:
    """Pictures with maps of both models: name → what the viewer needs to know of each section's maps.

    Equal names in two image sets are two pictures.
    """
    if a.image_set != b.image_set:
        return []
    return [
        (name, sources)
        for name in a.pictures
        if name in b.pictures and all(parts := [_maps(model, name) for model in (a, b)])
        for sources in [[*parts[0], *parts[1]]]
    ]


def _maps(model: Stamp, name: str) -> list[dict]:
    return [
        {"model": model.title, "id": entry["id"], "title": entry["title"], "image": seen["file"]}
        | {"maps": f"{seen['file'].rpartition('/')[0]}/{seen['figure']['maps']}"}
        for entry in model.pictures[name]
        for seen in entry["figures"]
        if seen["figure"]["maps"]
    ]


def _disagreements(a: Stamp, b: Stamp) -> dict | None:
    """:func:`disagreement.words` with each picture's page and its box on the sheet."""
    told = disagreement.words(a, b)
    if told is None:
        return None
    close, count = a.pictures.keys() | b.pictures.keys(), len(a.said)
    for k, picture in enumerate(told["pictures"]):
        picture |= {"href": picture_pages.page_of(a.image_set, picture["name"], close, count)}
        picture |= {"box": contact_sheets.box(k)}
    groups = [(heading, list(group)) for heading, group in groupby(told["pictures"], key=itemgetter("heading"))]
    return told | {"groups": groups, "sheet": contact_sheets.described(told["file"], len(told["pictures"]))}


def _basics(a: Stamp, b: Stamp, measured: bool):
    """measured: whether the accuracies are among the sections' numbers, with their intervals."""
    both = (a, b)
    if all(model.parameters is not None for model in both):
        yield {"name": "parameters", "cells": [about(model.parameters) for model in both]}
    if measured:
        return
    for key, name in (("top1", "top-1 accuracy"), ("top5", "top-5 accuracy")):
        if all(key in model.accuracy for model in both):
            yield {"name": name, "cells": [share(model.accuracy[key]) for model in both]}


def _section(a: Entry | None, b: Entry | None) -> dict:
    one = a or b
    measures = [{m["name"]: m for m in entry.measures} if entry else {} for entry in (a, b)]
    rows = []
    for name in dict.fromkeys(name for named in measures for name in named):
        found = [named.get(name) for named in measures]
        rows.append(
            {"name": name, "better": next(m["better"] for m in found if m), "metrics": found, "best": best(*found)}
            | {"gap": gap(*found)}
        )
    return {"id": one.id, "title": one.title, "entries": [a, b], "measures": rows}


def best(a: dict | None, b: dict | None) -> int | None:
    """0 or 1, the better of two metrics; None if one is missing or has no interval, or if their intervals overlap."""
    if not (a and b) or not a["better"] or not (a["interval"] and b["interval"]):
        return None
    if a["interval"][0] <= b["interval"][1] and b["interval"][0] <= a["interval"][1]:
        return None
    return int((b["value"] > a["value"]) == (a["better"] == "higher"))


def gap(a: dict | None, b: dict | None) -> str:
    """Difference of the second metric to the first, in its unit; "" if one is missing or they are equal."""
    if not (a and b) or a["value"] == b["value"]:
        return ""
    apart = b["value"] - a["value"]
    if a["unit"] == "share":
        return f"{100 * apart:+.1f}\u00a0points"
    sign = "+" if apart > 0 else "−"
    return f"{sign}{number(abs(apart))} {a['unit']}".rstrip()
