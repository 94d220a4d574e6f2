"""The zoomable grid in a real browser, from disk: nothing fails, keys and pointer name pictures, names stay text."""

import os
import re

import pytest

from cnnviz.features import tsne
from cnnviz.features import tsne_grid as technique
from cnnviz.site.environment import TEMPLATES, environment
from cnnviz.views import tsne_grid as view
from tests.site import browser

if browser.chromium() is None and not os.environ.get("CI"):
    pytest.skip("no Chromium here", allow_module_level=True)


@pytest.fixture
def page(case):
    """The widget's page, opened from disk at 1000 px; ``page.said`` collects what the console says."""
    case.run(tsne, iterations=100)
    context = case.context()
    shown = view.view(case.run(technique), context)
    shown["widget_data"]["names"][0] = "</script><script>document.title='broken'</script>"
    for name, content in context.files.items():
        path = case.folder / "figures" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    widget = environment().get_template("widgets/tsne_grid.html").render(section=shown, base="figures")
    (case.folder / "page.html").write_text(
        f'<!DOCTYPE html><html lang="en"><meta charset="utf-8"><title>grid</title>{widget}'
        f'<script src="{(TEMPLATES / "assets" / "grid.js").as_uri()}" defer></script></html>'
    )
    with browser.launched() as chromium:
        page = chromium.new_page(viewport={"width": 1000, "height": 800})
        page.said = []
        page.on("console", lambda message: page.said.append(message.text))
        page.on("pageerror", lambda error: page.said.append(str(error)))
        page.on("requestfailed", lambda request: page.said.append(request.url))
        page.data = shown["widget_data"]
        page.goto((case.folder / "page.html").as_uri())
        page.wait_for_timeout(300)
        yield page


def painted(page) -> int:
    """How many pixels of the canvas are not empty."""
    return page.evaluate(
        "() => { const c = document.querySelector('canvas'), k = document.createElement('canvas');"
        "return c.width && c.height ? (() => {"
        "try { const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;"
        "let n = 0; for (let i = 3; i < d.length; i += 4) n += d[i] > 0; return n } catch { return -1 } })() : 0 }"
    )


def test_draws_names_and_fails_nowhere(page):
    assert page.title() == "grid"  # the hostile name is text
    assert painted(page) != 0  # -1: drawn from files, so the browser hides the pixels
    status = page.locator(".grid-status")
    canvas = page.locator("canvas")
    box = canvas.bounding_box()
    # the whole grid stands in the middle: point at the middle of the third picture of the second row
    cell = min(box["width"] / page.data["columns"], box["height"] / page.data["rows"])
    left = box["x"] + (box["width"] - cell * page.data["columns"]) / 2
    top = box["y"] + (box["height"] - cell * page.data["rows"]) / 2
    page.mouse.move(left + 2.5 * cell, top + 1.5 * cell)
    name = page.data["names"][page.data["columns"] + 2]
    assert name in status.inner_text()
    canvas.focus()
    page.keyboard.press("ArrowRight")
    assert page.data["names"][page.data["columns"] + 3] in status.inner_text()
    page.keyboard.press("ArrowDown")
    assert page.data["names"][2 * page.data["columns"] + 3] in status.inner_text()
    assert page.said == []


def test_zoom_drag_and_back(page):
    box = page.locator("canvas").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    status = page.locator(".grid-status")
    page.mouse.move(x, y)
    before = status.inner_text()
    page.mouse.wheel(0, -900)
    page.wait_for_timeout(100)
    page.mouse.move(x + 1, y)
    assert status.inner_text() == before  # what is under the pointer stays there
    page.mouse.down()
    page.mouse.move(x + 300, y, steps=4)
    page.mouse.up()
    page.mouse.move(x + 2, y)
    assert status.inner_text() != before
    page.get_by_role("button", name="Show all").click()
    page.mouse.move(x, y)
    assert status.inner_text() == before
    page.get_by_role("combobox").select_option("1")
    assert re.search(r"40 pictures", status.inner_text())
    assert page.said == []


def test_fits_a_phone(page):
    page.set_viewport_size({"width": 320, "height": 600})
    page.wait_for_timeout(200)
    assert not page.evaluate("document.documentElement.scrollWidth > innerWidth")
