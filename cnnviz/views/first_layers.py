"""First-layer filters of all models of a gallery in one figure, at one scale.

``python -m cnnviz.views.first_layers --models JSON --input id=…/result.npz … --folder …``

The section is about the gallery, not about one model. It reads the existing ``first_layer_filters`` results of the
models.
"""

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cnnviz.errors import reporting
from cnnviz.network.class_names import cut
from cnnviz.run import result, whole
from cnnviz.run.result import Result
from cnnviz.views import papers
from cnnviz.views.kit import section
from cnnviz.views.kit.filters import GAP, as_what, drawn, tiles
from cnnviz.views.kit.section import Context, Section, Table
from cnnviz.views.kit.svg import Drawing, document, embedded, text
from cnnviz.views.kit.tiles import montage

ID = "first_layers"
MOST, COLUMNS = 64, 8  # largest number of filters per model, and per row
WIDTH = 664  # width of the figure: two panels fit side by side, and labels are readable on a narrow screen
ZOOM = (2, 4)  # CSS pixels per weight
SPACE, LABELS, LETTER = 28, 54, 11
STYLE = "text{font-size:16px}.name{font-weight:600;font-size:18px}"


@dataclass(frozen=True)
class Panel:
    """One model's filters. tiles: (n, h, w, 3) uint8. shape: of all weights."""

    title: str
    shape: tuple[int, ...]
    tiles: np.ndarray


def strongest(weights: np.ndarray, most: int = MOST) -> np.ndarray:
    """Sorted indices of the ``most`` filters of the largest Euclidean norm; ties by index."""
    norms = np.square(weights, dtype=np.float64).sum((1, 2, 3))
    return np.sort(np.argsort(-norms, kind="stable")[:most])


def compare(models: list[dict], results: dict[str, Result]) -> tuple[Section, dict[str, bytes], Result]:
    """The section, its files and its data.

    models: {id, title} of all models, in order. results: of ``first_layer_filters``, by id; a model without one is
    listed as missing.
    """
    panels, rows, without = [], [], []
    arrays, checkpoints = {}, {}
    for model in models:
        id, title = model["id"], model["title"]
        left = results.get(id)
        if left is None or left.status != "ok":
            reason = "not computed" if left is None else left.reason
            rows.append((title, None, None, None, None, None, reason))
            without.append(f"{title} ({reason.rstrip('.')})")
            continue
        weights = left.arrays["weights"]
        units, channels, h, w = weights.shape
        shown = weights[strongest(weights)]
        grey = drawn(shown) if channels in (1, 3) else shown.mean(1, keepdims=True)
        panels.append(Panel(title, weights.shape, tiles(grey, per_filter=True)))
        stride = " × ".join(str(s) for s in left.numbers["stride"])
        how = as_what(channels) if channels in (1, 3) else f"grey, averaged over the {channels} input channels"
        count = f"all {units}" if len(shown) == units else f"the {len(shown)} of the largest norm"
        rows.append((title, left.numbers["layer"], units, channels, f"{h} × {w}", stride, f"{count}, {how}"))
        arrays[f"{id}/weights"] = weights
        checkpoints[id] = left.provenance.get("checkpoint", "")
    context = Context({}, {}, None, None, {})
    figures = (_figure(context, panels, without),) if panels else ()
    columns = ("model", "layer", "filters", "channels", "kernel", "stride", "drawn")
    caption = "The networks in the order of the figure, and the first convolution of each."
    parameters, provenance = {"filters": MOST}, {"checkpoints": checkpoints}
    reason = "" if panels else f"No network's first layer can be drawn: {'; '.join(without)}."
    status = "ok" if panels else "not_applicable"
    shown = Section(
        id=ID,
        title="First layers side by side",
        question="Do different networks begin by looking for the same things?",
        how_to_read="Each panel holds one network's first filters, all panels to one scale: a filter's size here is "
        "the size of the patch of its input that it looks at. Networks trained on photographs nearly always find "
        "oriented edges and colour blobs, whatever their architecture; a panel that looks like noise beside them was "
        "trained less, or otherwise.",
        do_not_conclude="Alike first layers do not make networks alike: the differences come later. A scale in weights "
        "is one in pixels of each network's own input, which may have another resolution than its neighbour's. Every "
        "filter is at full contrast, so nothing here says how strong it is.",
        equation="score(x) = Σ w · x + b",
        papers=(papers.KRIZHEVSKY_2012,),
        status=status,
        reason=reason,
        figures=figures,
        tables=(Table("networks", caption, columns, tuple(rows)),),
        parameters=parameters,
        provenance=provenance,
    )
    return shown, context.files, Result(arrays, status, reason, {}, parameters, 0, provenance)


def write(models: list[dict], inputs: dict[str, Path], folder: Path) -> None:
    """Writes result.npz, section.json and figures.zip to ``folder``, from the existing ``inputs``."""
    results = {id: result.read(path) for id, path in inputs.items() if path.is_file()}
    shown, files, data = compare(models, results)
    result.write(folder / "result.npz", data)
    section.write(shown, files, folder / "section.json", folder / "figures.zip")


def _figure(context: Context, panels: list[Panel], without: list[str]) -> section.Figure:
    drawing, zoom = _drawn(panels)
    listed = ", ".join(f"{p.title} {' × '.join(str(n) for n in p.shape)}" for p in panels)
    some = any(len(p.tiles) < p.shape[0] for p in panels)
    return context.drawing(
        "side-by-side", drawing,
        alt=f"First-layer filters of {len(panels)} networks to one scale: {listed}.",
        caption="Filters × channels × height × width of each network's first convolution"
        + (f"; of more than {MOST}, the {MOST} of the largest norm" if some else "")
        + "."
        + (f" Not shown: {'; '.join(without)}." if without else ""),
        mapping="each filter symmetric about 0 to its own largest magnitude; mid-grey is 0; three channels are red, "
        f"green and blue, others are averaged; one weight is {zoom} × {zoom} pixels everywhere",
        data="<model>/weights", subjects=(), from_dataset=False,
    )  # fmt: skip


def _drawn(panels: list[Panel]) -> tuple[Drawing, int]:
    """Panels from left to right, as many per row as fit, and the zoom."""
    widest = max(p.tiles.shape[2] for p in panels)
    zoom = max(ZOOM[0], min(ZOOM[1], WIDTH // (COLUMNS * (widest + GAP))))
    x = y = tallest = across = 0
    parts = []
    for panel in panels:
        pitch = (panel.tiles.shape[2] + GAP) * zoom
        sheet = montage(panel.tiles, max(1, min(COLUMNS, WIDTH // pitch)), GAP)
        h, w = sheet.shape[0] * zoom, sheet.shape[1] * zoom
        shape = " × ".join(str(n) for n in panel.shape)
        room = max(w, 9 * len(shape), min(LETTER * len(panel.title), 200))
        if x and x + room > WIDTH:
            x, y, tallest = 0, y + tallest + SPACE, 0
        title = cut(panel.title, room // LETTER)
        parts += [
            text(title, "name", x=x, y=y + 18),
            text(shape, x=x, y=y + 40),
            embedded(sheet.repeat(zoom, 0).repeat(zoom, 1), w, h, x=x, y=y + LABELS),
        ]
        tallest, across = max(tallest, LABELS + h), max(across, x + room)
        x += room + SPACE
    return document(across, y + tallest, parts, style=STYLE), zoom


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--models", type=json.loads, required=True, help="id and title of each, as JSON")
    parser.add_argument("--input", nargs="+", required=True, metavar="ID=result.npz")
    parser.add_argument("--folder", type=Path, required=True, help="for result.npz, section.json and figures.zip")
    options = parser.parse_args()
    inputs = {id: Path(path) for id, path in (pair.split("=", 1) for pair in options.input)}
    with reporting():
        whole.check(inputs.values())
        write(options.models, inputs, options.folder)


if __name__ == "__main__":
    main()
