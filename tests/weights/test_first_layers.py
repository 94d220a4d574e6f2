"""All models' first layers in one figure: the models' names, one scale, and models without such filters."""

import base64
import io
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnnviz.run import result
from cnnviz.run.result import Result
from cnnviz.site import index, model_pages
from cnnviz.site.partial import partial
from cnnviz.views import first_layers
from cnnviz.views.first_layers import LABELS, compare, strongest
from tests.site import browser, static, synthetic

SHAPES = {
    "a": (64, 3, 11, 11),
    "b": (96, 3, 7, 7),
    "grey": (16, 1, 5, 5),
    "bands": (8, 5, 3, 3),
    "vit": (80, 3, 16, 16),
}


def left(shape: tuple[int, ...], seed: int = 0) -> Result:
    weights = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
    return Result({"weights": weights}, "ok", "", {"layer": "conv1", "stride": [4, 4]}, {}, 0, {"checkpoint": "c0"})


def models(*ids: str) -> list[dict]:
    return [{"id": id, "title": f"Net {id}"} for id in ids]


def panels(svg: str) -> list[tuple[str, str, int, int, np.ndarray]]:
    """Title, shape, position and picture (RGBA) of each panel."""
    found = []
    form = (
        r'<text class="name"[^>]*>([^<]*)</text><text[^>]*>([^<]*)</text><image x="(\d+)" y="(\d+)"[^>]*base64,([^"]+)'
    )
    for title, shape, x, y, coded in re.findall(form, svg):
        picture = Image.open(io.BytesIO(base64.b64decode(coded))).convert("RGBA")
        found.append((title, shape, int(x), int(y), np.asarray(picture)))
    return found


def test_every_panel_is_its_models_filters_at_the_same_zoom():
    results = {id: left(shape, seed) for seed, (id, shape) in enumerate(SHAPES.items())}
    made, files, data = compare(models(*SHAPES), results)
    (figure,) = made.figures
    zoom = int(re.search(r"one weight is (\d) ×", figure.mapping)[1])
    drawn = panels(files[figure.file].decode())
    assert [p[0] for p in drawn] == [f"Net {id}" for id in SHAPES]
    for (id, shape), (_, said, _, _, picture) in zip(SHAPES.items(), drawn, strict=True):
        assert said == " × ".join(map(str, shape)) and said in figure.alt
        weights = results[id].arrays["weights"]
        np.testing.assert_array_equal(data.arrays[f"{id}/weights"], weights)
        first = weights[strongest(weights)[0]]
        first = first if len(first) == 3 else np.repeat(first.mean(0, keepdims=True), 3, 0)
        end = np.abs(first).max()
        expected = np.rint((first + end) / (2 * end) * 255).transpose(1, 2, 0).repeat(zoom, 0).repeat(zoom, 1)
        np.testing.assert_allclose(picture[: shape[2] * zoom, : shape[3] * zoom, :3], expected, atol=1)
        opaque = int((picture[..., 3] > 0).sum())
        assert opaque == min(64, shape[0]) * shape[2] * shape[3] * zoom**2  # none twice, none cut off
    assert not figure.from_dataset and not made.tables[0].from_dataset


@pytest.mark.parametrize("count", [1, 2, 7, 20])
def test_panels_do_not_overlap_nor_leave_the_figure(count):
    ids = [f"net-{i}" for i in range(count)]
    shapes = list(SHAPES.values())
    made, files, _ = compare(models(*ids), {id: left(shapes[i % len(shapes)]) for i, id in enumerate(ids)})
    (figure,) = made.figures
    boxes = [(x, y - LABELS, x + p.shape[1], y + p.shape[0]) for _, _, x, y, p in panels(files[figure.file].decode())]
    assert len(boxes) == count
    for i, (left_, top, right, bottom) in enumerate(boxes):
        assert min(left_, top) >= 0 and right <= figure.width <= 760 and bottom <= figure.height
        for other in boxes[:i]:
            assert right <= other[0] or other[2] <= left_ or bottom <= other[1] or other[3] <= top


def test_nets_without_such_filters_are_named_with_the_reason():
    none = Result({}, "not_applicable", "This network has no convolution.", {}, {}, 0, {})
    made, _, _ = compare(models("a", "mixer", "failed"), {"a": left(SHAPES["a"]), "mixer": none})
    assert "Net mixer (This network has no convolution); Net failed (not computed)" in made.figures[0].caption
    assert [row[-1] for row in made.tables[0].rows][1:] == ["This network has no convolution.", "not computed"]
    made, files, _ = compare(models("mixer", "failed"), {"mixer": none})
    assert made.status == "not_applicable" and "Net mixer" in made.reason and not files


def test_the_strongest_filters_in_their_order():
    weights = np.ones((5, 1, 2, 2))
    weights[3] *= -4
    weights[1] *= 2
    assert strongest(weights, 2).tolist() == [1, 3] and strongest(weights, 3).tolist() == [0, 1, 3]


# ------------------------------------------------------------------------------------------------------------ the site

COMPARE = {"compare": {"first_layers": "first_layer_filters"}}
PAGE = Path("compare", "sections", "first_layers.html")


@pytest.fixture
def results(tmp_path):
    """A results tree whose two models have first-layer filters, and the section about both."""
    made = synthetic.make_results(tmp_path / "results")
    inputs = {}
    for seed, id in enumerate(synthetic.MODELS):
        inputs[id] = made / "models" / id / "sections" / "first_layer_filters" / "result.npz"
        result.write(inputs[id], left(SHAPES["a"], seed))
    titles = [{"id": id, "title": title} for id, title in synthetic.MODELS.items()]
    first_layers.write(titles, inputs, made / "gallery" / "first_layers")
    return made


def render(results: Path, gallery: dict) -> dict:
    """Render the whole site with its gallery sections; returns the manifest."""
    stamps = {}
    for id in synthetic.MODELS:
        folder = results / "models" / id
        stamps[id] = model_pages.render(
            synthetic.config(id), folder / "model.json", folder / "sections", results / "site"
        )
    return index.render(synthetic.GALLERY | gallery, stamps, results / "site", gallery=results / "gallery")


def test_it_has_a_page_a_card_and_an_entry_and_goes_when_it_is_not_listed(results):
    manifest = render(results, COMPARE)
    (entry,) = manifest["compare"]
    assert entry["id"] == "first_layers" and entry["page"] == PAGE.as_posix() and entry["figures"] == 1
    page = static.Page((results / "site" / PAGE).read_text("utf-8"))
    assert page.all("body")[0]["data-kind"] == "compare" and len(page.all("figure")) == 1
    front = (results / "site" / "index.html").read_text("utf-8")
    assert PAGE.as_posix() in front and static.problems(results / "site") == []
    assert synthetic.NASTY not in (results / "site" / PAGE).read_text("utf-8")  # only escaped
    manifest = render(results, {})
    assert manifest["compare"] == [] and not (results / "site" / "compare" / "sections").exists()
    assert static.problems(results / "site") == []


def test_a_failed_model_does_not_take_it_away(results):
    (results / "models" / "nasty-1" / "sections" / "first_layer_filters" / "result.npz").unlink()
    (results / "gallery" / "first_layers" / "section.json").unlink()  # Snakemake deletes outdated files
    partial(results, [synthetic.config(id) for id in synthetic.MODELS], synthetic.GALLERY | COMPARE)
    page = static.Page((results / "site" / PAGE).read_text("utf-8"))
    assert len(page.all("figure")) == 1 and "not computed" in page.text
    assert not (results / "gallery" / "first_layers" / "section.json").exists()  # there is work left


@pytest.mark.skipif(browser.chromium() is None, reason="no Chromium here")
def test_the_page_on_a_narrow_dark_screen_without_scripts(results):
    render(results, COMPARE)
    with browser.launched() as chrome:
        context = chrome.new_context(
            viewport={"width": 320, "height": 700}, color_scheme="dark", java_script_enabled=False
        )
        page = context.new_page()
        page.goto((results / "site" / PAGE).as_uri())
        picture = page.locator("figure img")
        assert picture.is_visible() and picture.bounding_box()["width"] <= 320
        context.close()
        page = chrome.new_page(viewport={"width": 320, "height": 700})
        page.goto((results / "site" / PAGE).as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") <= 320
