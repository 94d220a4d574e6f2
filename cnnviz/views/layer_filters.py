"""A later layer's filters as a sheet of grey tiles: a row for each unit, a column for each of its inputs."""

import base64
import io

import numpy as np
from PIL import Image

from cnnviz.run.result import Result
from cnnviz.views import papers
from cnnviz.views.kit import colour, section
from cnnviz.views.kit.filters import GAP
from cnnviz.views.kit.section import Context, Figure, Subject, Table
from cnnviz.views.kit.svg import Drawing
from cnnviz.views.kit.tiles import montage

SIDE = 720  # of a sheet, about, in CSS pixels
ACROSS = 32  # tiles in a row where units have one input each
LARGEST = 18  # CSS pixels a weight
LEFT, TOP, EDGE, FONT = 46, 48, 4, 12


def tiles(weights: np.ndarray, ends: tuple[float, float] | None = None) -> np.ndarray:
    """(u, c, h, w) weights → (u × c, h, w, 3) uint8 grey tiles, unit after unit.

    ends: the numbers that are black and white; None gives each unit its own range, symmetric about 0.
    """
    if ends:
        levels = colour.fixed(*ends).grey(weights)
    else:
        levels = np.stack([colour.symmetric(unit, colour.GREY).grey(unit) for unit in weights])
    return np.repeat(levels.reshape(-1, *weights.shape[2:])[..., None], 3, axis=3)


def view(result: Result, context: Context) -> dict:
    figures, rows = [], []
    order = result.parameters["order"]
    for layer in result.numbers["layers"]:
        name, (units, inputs, h, w), groups = layer["name"], layer["shape"], layer["groups"]
        shown = result.arrays[f"{name}/weights"]
        rows.append(
            (name, units, inputs, f"{h} × {w}", groups, *layer["range"], f"{shown.shape[0]} × {shown.shape[1]}")
        )
        figures += _sheets(
            context, layer, shown, result.arrays[f"{name}/units"], result.arrays[f"{name}/inputs"], order
        )
    caption = "The layers above: their units, the input channels that each unit sees, and how much of them is drawn."
    columns = ("layer", "units", "inputs of a unit", "kernel", "groups", "smallest", "largest weight", "drawn")
    return {"figures": tuple(figures), "tables": (Table("layers", caption, columns, tuple(rows)),)}


def _sheets(
    context: Context, layer: dict, weights: np.ndarray, units: np.ndarray, inputs: np.ndarray, order: str
) -> tuple[Figure, Figure]:
    """A layer's two figures: one range for the whole layer, and one a unit."""
    name, (all_units, all_inputs, h, w), groups = layer["name"], layer["shape"], layer["groups"]
    low, high = layer["range"]
    count, shown, single = *weights.shape[:2], all_inputs == 1
    sorted_by = ", those of the largest norm first" if order == "norm" else " in their order"
    if single:
        columns = min(count, ACROSS)
        rows = [f"{units[i]}" if order == "index" else f"{i + 1}." for i in range(0, count, columns)]
        # one row is labelled by its units, more by where each begins
        labels = (rows, [f"+{i}" for i in range(columns)]) if len(rows) > 1 else ([""], [str(u) for u in units])
        axes = ("unit" if order == "index" or len(rows) == 1 else "rank", "")
        what = (
            f"{_of(count, all_units)} units of {name}, in reading order{sorted_by if order == 'norm' else ''}. It is a "
            f"depthwise convolution: each unit has one filter of {h} × {w}, on one input channel."
        )
    else:
        columns = shown
        labels = [str(u) for u in units], [str(i) for i in inputs]
        axes = ("unit", "input")
        what = (
            f"{_of(count, all_units)} units of {name} (rows) and {_of(shown, all_inputs).lower()} of each unit's "
            f"inputs (columns){sorted_by}; a tile is the {h} × {w} weights of one unit on one input channel"
        )
        if h * w == 1:
            what = what.replace("a tile is the 1 × 1 weights", "a square is the one weight")
            what += ": the layer mixes channels and looks at no neighbours"
        if groups > 1:
            what += (
                f". The layer has {groups} groups of {all_units // groups} units; a column is a place within the "
                "unit's own group, not one channel for all rows"
            )
        what += "."
    per_unit = "filter" if single else "unit"
    common = {
        "subjects": (Subject("layer", name),),
        "data": f"{name}/weights",
        "group": f"{name}: {all_units} × {all_inputs} × {h} × {w}",
        "from_dataset": False,
    }
    shape = f"{-(-count * shown // columns)} rows of {columns} grey tiles, {h} by {w} weights each"
    file, made = f"{name.replace('/', '_')}", []
    for id, ends, alt, words, mapping in (
        (
            "per-unit",
            None,
            f"each {per_unit} at full contrast",
            f"Every {per_unit} has its own range, so that weak ones are as visible as strong ones"
            + ("." if single else "; along a row tiles can be compared."),
            f"each {per_unit} symmetric about 0 to its own largest magnitude; mid-grey is 0",
        ),
        (
            "shared-range",
            (low, high),
            "with one range: strong weights stand out, weak ones are alike",
            "One range for the whole layer: what is nearly as grey as 0 has small weights.",
            colour.Mapping(low, high, colour.GREY, "smallest to largest weight of the layer").words
            + f"; 0 is grey level {colour.fixed(low, high).grey(np.zeros(1))[0]} of 255",
        ),
    ):
        made.append(
            context.drawing(
                f"{file}-{id}", _drawn(tiles(weights, ends), columns, *labels, *axes),
                alt=f"{name}: {shape}, {alt}.", caption=f"{what} {words}",
                mapping=f"{mapping}; enlarged by repeating pixels", **common,
            )
        )  # fmt: skip
    return tuple(made)


def _of(count: int, all: int) -> str:
    return f"All {all}" if count == all else f"{count} of the {all}"


def _drawn(pictures: np.ndarray, columns: int, rows: list[str], across: list[str], down: str, along: str) -> Drawing:
    """The tiles enlarged, with a label before every row and above every column."""
    _, h, w, _ = pictures.shape
    gap = GAP if h * w > 1 else 0
    sheet = montage(pictures, columns, gap)
    scale = max(1, min(LARGEST, SIDE // max(sheet.shape[:2])))
    width, height = LEFT + sheet.shape[1] * scale + EDGE, TOP + sheet.shape[0] * scale + EDGE
    stream = io.BytesIO()
    Image.fromarray(sheet.repeat(scale, 0).repeat(scale, 1)).save(stream, "WEBP", lossless=True, method=4)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}">'
        f"<style>text{{font:{FONT}px system-ui,sans-serif;fill:#222}}</style>"  # its ground is light in both schemes
        f'<image x="{LEFT}" y="{TOP}" width="{sheet.shape[1] * scale}" height="{sheet.shape[0] * scale}" '
        f'href="data:image/webp;base64,{base64.b64encode(stream.getvalue()).decode()}"/>'
    ]
    for i in range(0, len(rows), _every(scale * (h + gap))):
        y = TOP + (i * (h + gap) + h / 2) * scale + FONT / 3
        parts.append(f'<text x="{LEFT - 6}" y="{y:.1f}" text-anchor="end">{rows[i]}</text>')
    for i in range(0, len(across), _every(scale * (w + gap))):
        x = LEFT + (i * (w + gap) + w / 2) * scale + FONT / 3
        parts.append(f'<text transform="translate({x:.1f} {TOP - 6}) rotate(-90)">{across[i]}</text>')
    parts.append(f'<text x="2" y="{TOP - 6}">{down}</text><text x="{LEFT}" y="{FONT}">{along}</text></svg>')
    return Drawing("".join(parts).encode(), width, height)


def _every(pitch: float) -> int:
    """Every how many tiles a label has room."""
    return int(-(-FONT // pitch))


if __name__ == "__main__":
    section.run(
        view,
        id="layer_filters",
        title="Filters of later layers",
        question="How does a later layer put together what the layer before it found?",
        tour="Deeper weights are no pictures any more: they join what the layer before found.",
        how_to_read="A row is a unit, a column one of the channels it reads. A bright spot: that channel, at that "
        "place, speaks for the unit; a dark one: against it. A tile with a bright and a dark side compares two "
        "places; a flat one only adds the channel up. A bright or dark column is a channel that many units use, a "
        "grey one is hardly used.",
        do_not_conclude="The channels are not colours: without knowing what each input unit stands for, a tile does "
        "not say what the unit looks for, and similar tiles on different channels mean different things. A small "
        "weight on a channel with large values may count more than a large one on a quiet channel.",
        equation="y_u(p) = b_u + Σ_c Σ_d w[u, c, d] · x_c(p + d)",
        papers=(papers.VOSS_2021,),
    )
