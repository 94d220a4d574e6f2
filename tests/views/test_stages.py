"""Sliders over a figure's parts: their boxes hold the pictures that their labels and numbers name."""

import base64
import io
import json
import re
import zipfile
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from cnnviz.run.result import read
from cnnviz.site import sliders
from cnnviz.site.stamp import Entry
from cnnviz.views.kit import panels, section, stages
from cnnviz.views.kit.section import Context, Section
from tests.every_section import apart
from tests.site import static

WORDS = {"alt": "", "caption": "", "mapping": "", "data": ""}


def test_lists_of_different_lengths_and_sizes_are_refused():
    box = (0, 0, 4, 4)
    for labels, boxes, numbers in (
        (["a"], [box, box], []),
        (["a", "b"], [box, box], ["1"]),
        (["a", "b"], [box, (4, 0, 5, 4)], []),
    ):
        with pytest.raises(ValueError, match="Step"):
            stages.series("Step", labels, boxes, numbers)
    assert stages.series("Step", ["a"], [box]) == ()  # one part alone has no slider
    with pytest.raises(ValueError, match="boxes"):
        stages.covering("a", [box], [])


def test_a_slider_opens_on_the_part_that_its_figure_names():
    box = (0, 0, 4, 4)
    for opens in (-1, 0):
        parts = stages.covering("a", [box, box, box], ["b", "c"], opens=opens)
        figure = SimpleNamespace(stages=(parts,), width=12, height=4, pixelated=False)
        assert sliders.of_figure(figure, "file")[0]["opens"] == opens


def test_a_part_outside_of_its_figure_is_refused():
    context = Context({}, {}, None, None, {})
    row = stages.series("Step", ["a", "b"], [(0, 0, 4, 4), (6, 0, 4, 4)])
    figure = context.picture("x", np.zeros((4, 9, 3), np.uint8), stages=row, scale=3, **WORDS)
    with pytest.raises(ValueError, match="'x' lies outside"):
        section.checked(Section("s", "", "", "", "", (), figures=(figure,)))


def test_boxes_of_panels_lie_where_the_sheet_shows_the_pictures():
    rng = np.random.default_rng(0)
    shown = [(f"{i}", rng.integers(0, 255, (8, 6, 3)).astype(np.uint8)) for i in range(5)]
    boxes = panels.boxes(shown, 3)
    content = panels.sheet(shown, across=3).content.decode()
    embedded = re.search(r'<image[^>]* href="data:image/webp;base64,([^"]+)"', content)[1]
    sheet = Image.open(io.BytesIO(base64.b64decode(embedded))).convert("RGB")
    for (_, picture), (x, y, width, height) in zip(shown, boxes, strict=True):
        part = sheet.crop((x, y, x + width, y + height)).resize((6, 8), Image.Resampling.NEAREST)
        assert np.array_equal(np.asarray(part), picture)


def _section(run, name: str) -> tuple:
    folder = next((run.folder / "results/models").glob(f"tiny/sections/{name}"))
    return section.load(folder / "section.json"), read(folder / "result.npz"), folder / "figures.zip"


def test_parts_of_a_run_lie_in_their_figures_side_by_side(photographed):
    sections = [_section(photographed, name)[0] for name in ("class_visualization", "style_transfer")]
    assert sum(apart(figure) for made in sections for figure in made.figures) >= 4  # of a class and of a transfer


def test_steps_of_a_class_are_those_of_the_result(photographed):
    made, result, archive = _section(photographed, "class_visualization")
    for i, target in enumerate(result.arrays["targets"]):
        figure = next(f for f in made.figures if f.id == f"steps-{target}")
        (steps,) = figure.stages
        assert steps.labels == tuple(map(str, result.numbers["snapshot_steps"])) == ("0", "1", "3")
        with zipfile.ZipFile(archive) as files:
            sheet = Image.open(io.BytesIO(files.read(figure.file))).convert("RGB")
        for k, (x, y, width, height) in enumerate(steps.boxes):
            times = sheet.width / figure.width
            corners = [round(side * times) for side in (x, y, x + width, y + height)]
            assert np.array_equal(np.asarray(sheet.crop(corners)), result.arrays["snapshots"][i, k])
            logit, p = (result.arrays[f"snapshot_{what}"][i, k] for what in ("logits", "probabilities"))
            assert steps.numbers[k] == f"logit {logit:.1f}, probability {p:.2g}"
        assert result.arrays["snapshot_logits"][i, -1] == pytest.approx(result.arrays["logits"][i], abs=1e-4)


def test_steps_of_a_transfer_are_those_of_the_result(photographed):
    made, result, _ = _section(photographed, "style_transfer")
    (steps,) = next(f for f in made.figures if f.id == "stages").stages
    assert np.array_equal(result.arrays["stages"][0], result.arrays["content"])
    assert np.array_equal(result.arrays["stages"][-1], result.arrays["result"])
    errors = result.arrays["style_losses"].mean(1)
    said = [float(number.split("style error ")[1]) for number in steps.numbers]
    at = result.numbers["stage_steps"][:-1]
    assert said == pytest.approx([*errors[at], result.numbers["style_loss"]], rel=0.06)


def test_the_comparison_lays_the_same_class_of_both_models_over_each_other(finished):
    site = finished.folder / "results/site"
    page = static.Page((site / "compare/tiny-and-twin.html").read_text("utf-8"))
    options = [attributes for tag, attributes in page.elements if tag == "option"]
    stated = json.loads((finished.folder / "results/models/tiny/model.json").read_text())["classes"]
    assert len(options) == 2 and len({o["label"] for o in options}) == 2 and len(stated) > 2
    for option in options:
        files = [option[name] for name in ("data-file", "data-below-file")]
        assert [file.split("/")[2] for file in files] == ["twin", "tiny"]
        assert files[0].rsplit("/", 1)[1] == files[1].rsplit("/", 1)[1]  # the class's number
        assert all((site / "compare" / file).is_file() for file in files)


def test_two_models_are_compared_in_what_both_have_and_of_one_shape():
    def entry(*keys, side=(8, 4), of_set=False):
        every = {"moves": "Class", "pixelated": False, "size": [8, 4], "box": [0, 0, *side], "of_set": of_set}
        parts = [{"key": k, "label": k, "file": f"{k}.webp"} for k in keys]
        return Entry("s", "S", "", "ok", compared=[p | every for p in parts])

    def of_pair(a, b, one_set=True):
        return sliders.of_pair(a, b, ("A", "B"), "../", one_set)

    slider = of_pair(entry("a", "b", "c"), entry("c", "b", "d"), one_set=False)
    assert [part["label"] for part in slider["parts"]] == ["b", "c"] and slider["below"] == "A"
    assert slider["parts"][1]["data"]["side"] == "B" and (slider["width"], slider["height"]) == (384, 192)
    assert of_pair(entry("a"), entry("b")) is None
    assert of_pair(entry("a"), entry("a", side=(4, 4))) is None
    assert of_pair(entry("a"), None) is None
    pictures = entry("a", of_set=True)
    assert of_pair(pictures, pictures) and of_pair(pictures, pictures, one_set=False) is None  # two pictures, one name
