"""A model's map: every picture of its image set at its position, as a zoomable grid and as a scatter plot.

``models/<model>/map.html`` draws with ``assets/map*.js`` from ``map-data.js`` beside it and the tiles of the section
tsne_grid. A page opened from disk can load other files only as scripts, so the data is ``window.cnnvizMap = …``.
Numbers are base-64 digits. Names are stored as their difference to the name before. The addresses of 50 000 pictures'
pages are not stored: the script derives them from the names, as :mod:`cnnviz.site.picture_pages` does.
"""

import json
import zipfile
from collections.abc import Container, Iterable
from os.path import commonprefix
from pathlib import Path

import numpy as np
from jinja2 import Environment

from cnnviz.run import result
from cnnviz.run.result import Result
from cnnviz.site import picture_pages
from cnnviz.site.environment import href
from cnnviz.site.folder import Publication
from cnnviz.slug import slug
from cnnviz.views import tsne_grid
from cnnviz.views.kit import colour, islands
from cnnviz.views.kit.section import Section

# in this order: the first one holds what all share, the last one starts the map
SCRIPTS = [f"map{part}.js" for part in ("", "-pages", "-eye", "-draw", "-colours", "-pictures", "-hands")]
DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
STEPS = 4095  # along the scatter's longer side
SHARES = 1000  # steps of a probability
SEAMS = 63  # levels of a seam; 0 means no seam
USED = {"tsne": "map", "tsne_grid": "cells", "predictions": "predicted"}  # section → its array with a row per picture
STILLS = {"tsne": "scatter", "tsne_grid": "overview"}  # section → its figure of the whole map


def publish(
    page: Environment, site: Publication, folder: str, parts: Iterable, words: dict, index: dict, facts: dict
) -> str:
    """Publishes the map of the model in ``folder``; returns its address, "" if there is no data for it.

    parts: the model's sections (:class:`model_pages.Part`). words: root, model, image_set, close (the names of the
    pictures that have their own page), shown. index: images.json. facts: model.json.
    """
    pictures = index.get("pictures", [])
    sections = {part.id: part.section for part in parts if part.status == "ok"}
    done = {part.id: read(part.data, len(pictures)) for part in parts if part.id in USED and part.id in sections}
    map, grid = done.get("tsne"), done.get("tsne_grid")
    if not (map or grid):
        return ""
    view, columns, places = layout(map.arrays["map"] if map else None, grid)
    view["count"] = len(pictures)
    view["modes"] = [mode for mode, there in (("grid", grid), ("scatter", map)) if there]
    view["pages"] = pages(words["image_set"], [picture["name"] for picture in pictures], words["close"])
    columns |= outcomes(pictures, index.get("classes", []), facts, done.get("predictions"), places)
    view["chosen"] = colour.CHOSEN
    view["outcomes"] = [name for name in ("label", "prediction", "verdict") if columns[name]]
    columns["names"] = shortened([picture["name"] for picture in pictures])
    site.write(f"{folder}/map-data.js", script(columns))
    address = f"{folder}/map.html"
    shown = [sections[id] for id in ("tsne_grid", "tsne") if done.get(id)]
    html = page.get_template("map.html").render(
        root="../../",
        scripts=SCRIPTS,
        title=words["title"],
        view=view,
        stills=[still for section in shown if (still := _still(section))],
        sections=shown,
        image_set=words["image_set"],
    )
    site.write(address, html)
    return address


def read(path: Path | None, count: int) -> Result | None:
    """A section's result; None if it cannot be read, or is not about ``count`` pictures."""
    try:
        made = result.read(path)
        return made if len(made.arrays[USED[path.parent.name]]) == count else None
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile):
        return None


def layout(map: np.ndarray | None, grid: Result | None) -> tuple[dict, dict[str, object], dict[str, np.ndarray]]:
    """The page's two modes, the data file's columns of positions, and the places: mode → (n, 2).

    map: (n, 2), y upwards. Places are in steps of the scatter or cells of the grid, y downwards.
    """
    view: dict = {"tile": tsne_grid.TILE, "cell": tsne_grid.CELL}
    places: dict[str, np.ndarray] = {}
    data: dict[str, object] = {"x": "", "y": "", "place": "", "right": "", "down": ""}
    if map is not None:
        low, high = map.min(0), map.max(0)
        steps = np.rint((map - low) / max(float((high - low).max()), 1e-30) * STEPS).astype(int)
        steps[:, 1] = steps[:, 1].max() - steps[:, 1]  # the map's y axis points up, the page's down
        view["scatter"] = [int(v) + 1 for v in steps.max(0)]
        data |= {"x": digits(steps[:, 0], 2), "y": digits(steps[:, 1], 2)}
        places["scatter"] = steps
    if grid is not None:
        numbers, arrays = grid.numbers, grid.arrays
        columns, rows = numbers["columns"], numbers["rows"]
        view |= {"columns": columns, "rows": rows, "levels": tsne_grid.levels(columns, rows)}
        view["tiles"] = f"figures/{slug('tsne_grid')}/tiles/"
        borders = np.concatenate([arrays["right"].ravel(), arrays["down"].ravel()])
        low, high = np.percentile(borders[np.isfinite(borders)], [5, 95])
        seams = colour.Mapping(float(low), float(high), colour.POSITIVE, "5th to 95th percentile of the borders")
        levels = seams(np.linspace(low, high, SEAMS))
        view |= {"seams": seams.words, "seam_colours": ["#" + bytes(level).hex() for level in levels]}
        data["place"] = digits(arrays["cells"], 3)
        places["grid"] = np.stack([arrays["cells"] % columns, arrays["cells"] // columns], 1)
        for name in ("right", "down"):
            level = np.clip((arrays[name] - low) / max(high - low, 1e-30), 0, 1) * (SEAMS - 1) + 1
            data[name] = digits(np.nan_to_num(level).round().astype(int).ravel(), 1)
    return view, data, places


def outcomes(
    pictures: list[dict], classes: list[str], facts: dict, predictions: Result | None, places: dict[str, np.ndarray]
) -> dict[str, object]:
    """Right class, predicted class, probability and verdict of each picture: 1 right, 2 wrong, 0 unknown.

    Classes are the network's; those of the image set without an output follow. Only classes that occur are listed, with
    their colours. Digits are the index in that list plus one; 0 means none. islands: mode → [class, x, y] of each
    island, where its name goes. places: see :func:`layout`.
    """
    names = list(facts.get("classes", ()))
    to_output = list(facts.get("label_to_output", ()))
    to_output += [None] * (len(classes) - len(to_output))
    place = [output if output is not None else len(names) + i for i, output in enumerate(to_output)]
    right = [picture.get("labels") or [picture["label"]] for picture in pictures]
    right = [[place[label] for label in labels if label is not None] for labels in right]
    label = np.array([labels[0] if labels else -1 for labels in right])
    said = np.full(len(pictures), -1) if predictions is None else predictions.arrays["predicted"]
    verdict = [
        0 if p < 0 or not any(c < len(names) for c in labels) else 1 if p in labels else 2
        for p, labels in zip(said.tolist(), right, strict=True)
    ]
    occurring = np.unique(np.concatenate([label, said]))
    occurring = occurring[occurring >= 0]
    width = 2 if len(occurring) < 64**2 else 3
    sure = None if predictions is None else np.rint(predictions.arrays["probability"] * SHARES).astype(int)

    def digits_of(which: np.ndarray) -> str:
        return (
            digits(np.where(which < 0, 0, np.searchsorted(occurring, which) + 1), width) if (which >= 0).any() else ""
        )

    shown = label if (label >= 0).any() else said
    which = np.where(shown < 0, -1, np.searchsorted(occurring, shown))
    hues = colour.of_classes(classes, [] if "values" in facts else names, to_output)
    listed = [(names + classes)[c] for c in occurring]
    return {
        "classes": listed,
        "hues": [hues.get(name, "") for name in listed],
        "islands": {
            mode: [[at.label + 1, *(round(v, 1) for v in at.place)] for at in islands.find(place, which)]
            for mode, place in places.items()
        },
        "label": digits_of(label),
        "prediction": digits_of(said),
        "probability": "" if sure is None else digits(sure, 2),
        "verdict": digits(np.array(verdict), 1) if any(verdict) else "",
    }


def pages(image_set: str, names: list[str], close: Container[str]) -> dict:
    """Data from which the script derives the pictures' pages: folder, number of shared pages, pictures with one."""
    return {
        "folder": href(f"../../{picture_pages.folder(image_set)}/"),
        "shared": picture_pages.buckets(len(set(names))),
        "own": [i for i, name in enumerate(names) if name in close],
    }


def digits(values: np.ndarray, width: int) -> str:
    """Integers ≥ 0 as ``width`` base-64 digits each, the highest first. Raises ValueError for larger ones."""
    values = np.asarray(values, np.int64)
    if values.size and (values.min() < 0 or values.max() >= 64**width):
        raise ValueError(f"{values.min()} … {values.max()} do not fit {width} digits")
    powers = 64 ** np.arange(width - 1, -1, -1)
    return np.frombuffer(DIGITS.encode(), np.uint8)[values[:, None] // powers % 64].tobytes().decode()


def shortened(names: list[str]) -> list[str]:
    """Each name without the start and end that it shares with the name before; two digits before it give their lengths.

    Only ASCII is shared, since the browser's strings may hold two units for other characters.
    """
    found, before = [], ""
    for name in names:
        start = min(63, _ascii(commonprefix([before, name])))
        rest, old = name[start:][::-1], before[start:][::-1]
        end = min(63, _ascii(commonprefix([rest, old])))
        found.append(DIGITS[start] + DIGITS[end] + name[start : len(name) - end])
        before = name
    return found


def _ascii(text: str) -> int:
    """Number of leading ASCII characters."""
    return next((i for i, letter in enumerate(text) if not letter.isascii()), len(text))


def script(columns: dict[str, object]) -> str:
    """The data file. It is a script of its own, so names need only JSON's escapes."""
    return f"window.cnnvizMap = {json.dumps(columns, ensure_ascii=True, separators=(',', ':'))};\n"


def _still(section: Section) -> dict | None:
    """The section's picture of the whole map, for browsers without scripts."""
    figure = next((figure for figure in section.figures if figure.id == STILLS[section.id]), None)
    return figure and {"figure": figure, "technique": section.id, "file": f"figures/{slug(section.id)}/{figure.file}"}
