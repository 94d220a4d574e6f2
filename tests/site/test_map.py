"""The map page: its data holds each picture's position and facts; its script shows, finds, filters and opens them."""

import io
import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from benchmarks.map import make_results, render
from cnnviz.run.result import Result
from cnnviz.site import map_page, model_pages, picture_pages
from cnnviz.views.kit import colour
from tests.site import browser, static
from tests.site.synthetic import NASTY

COUNT = 240
ODD = ["Zoë 🦓 1.jpg", "Zoë 🦓 2.jpg", "a/b/c.png", "A/B/C.png", NASTY, "…", "fish-0000"]
NAMES = ODD + [f"ILSVRC2012_val_{i:08d}.JPEG" for i in range(COUNT - len(ODD))]


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return make_results(tmp_path_factory.mktemp("map"), COUNT, NAMES, classes=20)


@pytest.fixture(scope="module")
def path(results):
    """The map of a site that has the pictures' pages too."""
    out = results.parents[1] / "site"
    made = render(results, out)
    words = {"model": "net", "title": "Net", "sections": ["predictions", "tsne", "tsne_grid"], "image_set": "set"}
    stamp = model_pages.render(words, results / "model.json", results / "sections", out)
    images = results.parents[1] / "image_sets" / "set" / "images.json"
    told = {"prediction": "class 1", "probability": 0.9, "verdict": "not labelled", "label": ""}
    picture_pages.publish("set", images, images.parent / "thumbnails.npy", [replace(stamp, said={NAMES[0]: told})], out)
    for name in ("index", "methods", "credits", "missing"):
        (out / f"{name}.html").write_text((out / "models/net/index.html").read_text("utf-8"), "utf-8")
    return made


@pytest.fixture(scope="module")
def data(path):
    text = (path.parent / "map-data.js").read_text("ascii")
    return json.loads(text.removeprefix("window.cnnvizMap = ").removesuffix(";\n"))


def numbers(text: str, width: int) -> np.ndarray:
    values = np.array([map_page.DIGITS.index(c) for c in text]).reshape(-1, width)
    return values @ 64 ** np.arange(width - 1, -1, -1)


# ------------------------------------------------------------------------------------------------------------ the files


def test_page_is_whole(path):
    site = path.parents[2]
    page = static.Page(path.read_text("utf-8"))
    found = [line for line in static.problems(site) if line.startswith("models/net/map.html")]
    assert found == [] and page.problems == []
    assert page.all("body")[0]["data-kind"] == "map" and len(page.all("noscript")) == 1
    assert [f["data-technique"] for f in page.all("figure")] == ["tsne_grid"]
    section = static.Page((path.parent / "sections" / "tsne_grid.html").read_text("utf-8"))
    assert "../map.html" in [a.get("href") for a in section.all("a")]
    assert "map.html" in [a.get("href") for a in static.Page((path.parent / "index.html").read_text("utf-8")).all("a")]


def test_data_says_where_and_what(results, data):
    read = {id: map_page.read(results / "sections" / id / "result.npz", COUNT).arrays for id in map_page.USED}
    cells, map, said = read["tsne_grid"]["cells"], read["tsne"]["map"], read["predictions"]
    np.testing.assert_array_equal(numbers(data["place"], 3), cells)
    steps = np.stack([numbers(data["x"], 2), -numbers(data["y"], 2)], 1)
    offset = (steps - steps[0]) / map_page.STEPS * (map.max(0) - map.min(0)).max()
    np.testing.assert_allclose(offset, map - map[0], atol=0.05)
    np.testing.assert_array_equal(numbers(data["prediction"], 2) - 1, said["predicted"])
    np.testing.assert_allclose(numbers(data["probability"], 2) / map_page.SHARES, said["probability"], atol=0.0006)
    label = numbers(data["label"], 2) - 1
    np.testing.assert_array_equal(numbers(data["verdict"], 1), np.where(label == said["predicted"], 1, 2))
    assert data["classes"] == [f"class {c}" for c in range(20)]
    border = np.concatenate([numbers(data[name], 1) for name in ("right", "down")])
    true = np.concatenate([read["tsne_grid"][name].ravel() for name in ("right", "down")])
    np.testing.assert_array_equal(border == 0, np.isnan(true))
    order = np.argsort(true[border > 0])
    assert (np.diff(border[border > 0][order]) >= 0).all()


def test_shortened_names_come_back(data):
    before, found = "", []
    for text in data["names"]:
        start, end = (map_page.DIGITS.index(c) for c in text[:2])
        before = before[:start] + text[2:] + (before[-end:] if end else "")
        found.append(before)
    assert found == NAMES
    assert sum(map(len, data["names"])) < sum(map(len, NAMES)) / 3
    overlapping = ["aaaa", "aa", "aaaaaa", "a" * 200, "a" * 201, "", "b"]
    before = ""
    for name, text in zip(overlapping, map_page.shortened(overlapping), strict=True):
        start, end = (map_page.DIGITS.index(c) for c in text[:2])
        before = before[:start] + text[2:] + (before[-end:] if end else "")
        assert before == name


def test_several_labels_none_and_classes_without_an_output():
    pictures = [{"label": 0, "labels": [0, 2]}, {"label": 1, "labels": ()}, {"label": None}, {"label": 2}]
    facts = {"classes": ["x", "y"], "label_to_output": [0, None, 1]}
    said = Result({"predicted": np.array([1, 0, 0, 0]), "probability": np.ones(4)}, "ok", "", {}, {}, 0, {})
    places = {"grid": np.array([[0, 0], [1, 0], [0, 1], [1, 1]])}
    found = map_page.outcomes(pictures, ["a", "b", "c"], facts, said, places)
    assert found["classes"] == ["x", "y", "b"] and found["islands"] == {"grid": []}  # nothing gathers
    assert found["hues"] == [colour.CLASSES[0], colour.CLASSES[2], colour.CLASSES[1]]  # of a, c and b
    assert numbers(found["label"], 2).tolist() == [1, 3, 0, 2]
    assert numbers(found["verdict"], 1).tolist() == [1, 0, 0, 2]
    found = map_page.outcomes(pictures[2:3], [], {}, None, {"grid": np.zeros((1, 2))})
    assert found["label"] == found["prediction"] == found["verdict"] == "" and found["classes"] == []


def test_islands_are_where_the_pictures_of_a_class_are(data):
    label = numbers(data["label"], 2)
    places = {"scatter": (numbers(data["x"], 2), numbers(data["y"], 2)),
              "grid": (numbers(data["place"], 3) % 16, numbers(data["place"], 3) // 16)}  # fmt: skip
    assert data["hues"] == [""] * 20 and set(data["islands"]) == set(places)  # more classes than colours
    assert len(data["islands"]["scatter"]) > 5
    for mode, (x, y) in places.items():
        for which, u, v in data["islands"][mode]:
            near = np.bincount(label[np.argsort(np.hypot(x - u, y - v))[:7]], minlength=21)
            assert near[which] == near.max(), mode


def test_no_map_without_places_nor_in_the_derived_edition(results, tmp_path):
    words = {"model": "net", "sections": ["predictions", "tsne", "tsne_grid"], "image_set": "set"}
    for n, change in enumerate(({"publish": "derived"}, {"sections": ["predictions"]}, {"image_set": None})):
        stamp = model_pages.render(words | change, results / "model.json", results / "sections", tmp_path / str(n))
        assert stamp.map == "" and not list((tmp_path / str(n)).rglob("map*"))


@pytest.mark.parametrize("alone", ["tsne", "tsne_grid"])
def test_one_arrangement_alone(results, tmp_path, alone):
    words = {"model": "net", "sections": [alone], "image_set": "set"}
    stamp = model_pages.render(words, results / "model.json", results / "sections", tmp_path)
    page = (tmp_path / stamp.map).read_text("utf-8")
    assert 'name="mode"' not in page and 'value="error"' not in page
    assert ("seams of the grid" in page) == (alone == "tsne_grid")


def test_a_result_of_other_pictures_is_not_drawn(results, tmp_path):
    copy = tmp_path / "tsne" / "result.npz"
    copy.parent.mkdir()
    shutil.copy(results / "sections" / "tsne" / "result.npz", copy)
    assert map_page.read(copy, COUNT) and map_page.read(copy, COUNT - 1) is None
    copy.write_bytes(b"none")
    assert map_page.read(copy, COUNT) is None and map_page.read(None, COUNT) is None


def test_digits_refuse_what_does_not_fit():
    assert map_page.digits(np.array([0, 63, 64, 4095]), 2) == "AAA-".replace("-", "_") + "BA__"
    for wrong in (-1, 4096):
        with pytest.raises(ValueError, match="2 digits"):
            map_page.digits(np.array([wrong]), 2)


# ---------------------------------------------------------------------------------------------------------- the browser


@pytest.fixture
def page(chrome, path):
    """The map, opened from disk; no error may be logged by the end."""
    page = chrome.new_page(viewport={"width": 1000, "height": 900}, reduced_motion="reduce")
    found = []
    browser.watch(page, path.parents[2].as_uri(), found)
    show(page, path)
    yield page
    page.close()
    assert found == []


def show(page, path, view: str = "") -> None:
    page.goto("about:blank")
    page.goto(path.as_uri() + view)
    browser.wait(page, "performance.getEntriesByName('map-ready').length")


def said(page) -> str:
    return page.locator(".map .said").inner_text()


def noted(page, pattern: str) -> str:
    """The address's fragment when it matches."""
    browser.wait(page, "p => new RegExp(p).test(location.hash)", arg=pattern)
    return page.evaluate("location.hash")


def test_every_picture_can_be_found_and_its_page_is_the_right_one(page, path):
    find = page.locator("[name=find]")
    close = json.loads(re.search(r'id="map-view">(.*?)</script>', path.read_text("utf-8"))[1])["pages"]["own"]
    assert close == []
    for name in NAMES[:12] + NAMES[-2:]:
        find.fill(name)
        find.press("Enter")
        link = page.locator(".said a")
        assert name in said(page)
        where = picture_pages.page_of("set", name, (), COUNT)
        assert link.get_attribute("href") == f"../../{where}", name
        assert (path.parents[2] / where.partition("#")[0]).is_file()
        noted(page, "picture=")


def test_click_and_enter_lead_to_the_picture(page, path, data):
    cell, across = numbers(data["place"], 3), 16
    places = {"grid": (cell % across, cell // across), "scatter": (numbers(data["x"], 2), numbers(data["y"], 2))}
    for mode, place in places.items():  # a picture in the centre, so that the map can be centred on it
        x, y = (axis - (axis.min() + axis.max()) / 2 for axis in place)
        name = NAMES[int(np.argmin(np.hypot(x, y)))]
        where = picture_pages.page_of("set", name, (), COUNT)
        show(page, path, f"#mode={mode}&picture={name}")
        box = page.locator("canvas").bounding_box()
        middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        page.mouse.move(middle[0] + 2, middle[1] + 2)
        assert name in said(page)
        with page.expect_navigation(url=f"**/{where}"):
            page.mouse.click(*middle)
        page.go_back()
        browser.wait(page, "performance.getEntriesByName('map-ready').length")
        assert name in said(page)  # Back returns to it
        page.locator("canvas").focus()
        with page.expect_navigation(url=f"**/{where}"):
            page.keyboard.press("Enter")


def test_deep_link_restores_the_view(page, path):
    page.get_by_label("Scatter").check()
    page.locator("[name=colour]").select_option("error")
    page.locator("[name=class]").select_option("class 3")
    box = page.locator("canvas").bounding_box()
    page.mouse.move(box["x"] + 300, box["y"] + 200)
    page.mouse.wheel(0, -600)
    page.mouse.move(box["x"] + 320, box["y"] + 220)
    page.mouse.down()
    page.mouse.move(box["x"] + 380, box["y"] + 250, steps=3)
    page.mouse.up()
    view = noted(page, "mode=scatter.*z=4.*colour=error.*class=class")
    before = said(page)
    for width in (1000, 700):  # the same place, however large the window
        page.set_viewport_size({"width": width, "height": 900})
        show(page, path, view)
        page.wait_for_timeout(400)
        assert page.get_by_label("Scatter").is_checked()
        assert page.locator("[name=colour]").input_value() == "error"
        assert re.fullmatch(r"#mode=scatter&x=.*&colour=error&class=class\+3", page.evaluate("location.hash"))
        old, new = (dict(re.findall(r"([xyz])=([\d.]+)", v)) for v in (view, page.evaluate("location.hash")))
        assert {k: float(v) for k, v in new.items()} == pytest.approx({k: float(v) for k, v in old.items()}, abs=0.02)
        assert said(page).startswith(before.split(" ")[0])
    page.locator("canvas").focus()
    page.keyboard.press("0")
    page.get_by_label("Grid", exact=True).check()
    page.locator("[name=colour]").select_option("")
    page.locator("[name=class]").select_option("")
    browser.wait(page, "location.hash === ''")  # the page as it opens has no fragment
    for wrong in ("#mode=none&x=a&z=-3&colour=blue&class=nobody&picture=nothing", "#%%%", "#z=1e9&x=9&y=-9"):
        show(page, path, wrong)
        assert page.locator("canvas").is_visible()


def test_filter_hides(page, path, data):
    label, verdict = numbers(data["label"], 2), numbers(data["verdict"], 1)
    page.locator("[name=class]").select_option("class 3")
    expected = int((label == 4).sum())
    assert said(page).startswith(f"{expected} of {COUNT} pictures")
    page.get_by_label("mistakes only").check()
    wrong = {NAMES[i] for i in np.flatnonzero((label == 4) & (verdict == 2))}
    assert said(page).startswith(f"{len(wrong)} of {COUNT}")
    for mode in ("Scatter", "Grid"):  # the others cannot be walked to
        page.get_by_label(mode, exact=True).check()
        page.locator("canvas").focus()
        for key in ("ArrowLeft", "ArrowDown", "ArrowRight", "ArrowRight", "ArrowUp", "Shift+ArrowLeft"):
            page.keyboard.press(key)
            assert said(page).split(", ")[0] in wrong
        page.keyboard.press("Escape")
    box = page.locator("canvas").bounding_box()
    named = set()
    for k in range(1, 60):  # nor pointed at
        page.mouse.move(box["x"] + box["width"] / 2 + 4 * (k - 30), box["y"] + box["height"] / 2 + 3 * (k % 20 - 10))
        if page.locator(".said a").count():
            named.add(said(page).split(", ")[0])
    assert named <= wrong
    page.locator("[name=find]").fill("no such name")
    assert said(page).startswith("0 of")


def test_colours_are_explained(page):
    tint, legend = page.locator("[name=colour]"), page.locator(".legend")
    tint.select_option("class")
    assert legend.get_by_role("button").count() == 20
    assert "20 classes are too many to tell apart by colour" in legend.inner_text()
    legend.get_by_role("button").first.click()
    assert legend.locator("[aria-pressed=true]").count() == 1
    chosen = legend.locator("[aria-pressed=true]").inner_text()
    assert page.locator("[name=class] option:checked").inner_text() == chosen
    legend.locator("[aria-pressed=true]").click()
    tint.select_option("prediction")
    assert page.get_by_label("Predicted as").is_visible()
    tint.select_option("error")
    assert "wrong, drawn on top" in legend.inner_text()
    page.get_by_label("Scatter").check()
    tint.select_option("seams")
    assert (
        page.get_by_label("Grid", exact=True).is_checked()
        and "from black over red to pale yellow" in legend.inner_text()
    )
    page.get_by_label("Scatter").check()
    assert tint.input_value() == "" and not legend.is_visible()


def test_scatter_paints_the_right_colours(page, path, data):
    """Mistakes are orange, right ones are left as they are; of many classes only a chosen one has a colour."""

    def painted():
        page.wait_for_timeout(300)
        return np.asarray(Image.open(io.BytesIO(page.locator("canvas").screenshot())).convert("RGB"), int)

    def near(ink):
        return int((np.abs(painted() - ink).max(-1) < 8).sum())

    orange = [0xFF, 0x8A, 0x1F]
    chosen = list(bytes.fromhex(colour.CHOSEN[1:]))
    show(page, path, "#mode=scatter&colour=error")
    page.mouse.move(1, 1)
    assert near(orange) > 300
    shots = []
    for view in ("", "#colour=error"):
        show(page, path, view)
        page.mouse.move(1, 1)
        shots.append(painted())
    tinted = (np.abs(shots[0] - shots[1]).max(-1) > 8).sum()
    cell = page.evaluate("(page.cell * eye.scale) ** 2")
    wrong = int((numbers(data["verdict"], 1) == 2).sum())
    assert 0.2 * wrong < tinted / cell < 0.4 * wrong  # frames around the mistakes, and nothing else
    show(page, path, "#mode=scatter&colour=class")
    page.mouse.move(1, 1)
    assert near(chosen) == 0
    page.locator(".legend").get_by_role("button").first.click()
    assert near(chosen) > 100


def test_keyboard_journey(page):
    """Tab to the map, walk, zoom, go to the picture, and back."""
    for _ in range(30):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.matches('.map canvas')"):
            break
    else:
        pytest.fail("Tab never reaches the map")
    page.keyboard.press("ArrowRight")
    first = said(page)
    page.keyboard.press("ArrowRight")
    assert said(page) != first
    page.keyboard.press("ArrowLeft")
    assert said(page) == first
    page.keyboard.press("+")
    noted(page, "z=1.6")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "Zoom in"
    page.keyboard.press("Shift+Tab")
    with page.expect_navigation(url="**/images/set/**"):
        page.keyboard.press("Enter")
    page.go_back()
    browser.wait(page, "performance.getEntriesByName('map-ready').length")
    assert said(page) == first


def test_finger_names_first_and_then_opens(chrome, path):
    context = chrome.new_context(viewport={"width": 320, "height": 640}, has_touch=True, is_mobile=True)
    page = context.new_page()
    show(page, path)
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    page.locator("canvas").scroll_into_view_if_needed()
    box = page.locator("canvas").bounding_box()
    at = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.touchscreen.tap(*at)
    assert page.locator(".said a").count() == 1
    with page.expect_navigation(url="**/images/set/**"):
        page.touchscreen.tap(*at)
    context.close()


def test_names_stay_text(page):
    opened = []
    page.on("dialog", lambda d: (opened.append(d.message), d.dismiss()))
    page.locator("[name=find]").fill("<script>")
    page.locator("[name=find]").press("Enter")
    assert NASTY in said(page) and opened == []


def test_without_javascript_there_is_a_picture(chrome, path):
    context = chrome.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(path.as_uri())
    assert page.locator("figure.figure img").is_visible() and not page.locator(".map canvas").is_visible()
    context.close()


def test_works_from_a_server(chrome, path):
    with browser.served(path.parents[2]) as server:
        page, found = chrome.new_page(), []
        browser.watch(page, server, found)
        page.goto(f"{server}models/net/map.html#mode=scatter&z=3&x=0.5&y=0.5")
        browser.wait(page, "performance.getEntriesByName('map-ready').length")
        page.wait_for_timeout(300)
        page.close()
    assert found == []
