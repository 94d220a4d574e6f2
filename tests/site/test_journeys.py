"""What readers come for, and the clicks that it takes them, in the demo's gallery.

The gallery is the one that ``make report`` made in this checkout. Without it the tests are skipped, except in CI.
"""

import os
import re
from pathlib import Path

import numpy as np
import pytest

from tests.site import browser, static

SITE = Path(__file__).parents[2] / "results/site"
FIRST, FIRST_OF_MAP = 300_000, 2_000_000  # bytes that a page loads before anyone scrolls
TALLEST = 15_000  # pixels of a page on a phone
IN_VIEW = """(element) => { const box = element.getBoundingClientRect();
  return box.height > 0 && box.top >= 0 && box.bottom <= innerHeight; }"""


@pytest.fixture(scope="module")
def home():
    """Address of the front page."""
    if not (SITE / "compare/biased-and-unbiased.html").is_file() and not os.environ.get("CI"):
        pytest.skip("no gallery of the demo here: run make report")
    return (SITE / "index.html").as_uri()


@pytest.fixture
def visit(chrome, home):
    """visit(width, height) → a page at the front page, with the number of clicks in ``page.clicks``."""
    made = []

    def visit(width=1440, height=900):
        page = chrome.new_page(viewport={"width": width, "height": height})
        made.append(page)
        page.goto(home)
        return page

    yield visit
    for page in made:
        page.close()


def follow(page, *links):
    """Clicks one link of each page, given as a selector."""
    for link in links:
        page.locator(f"main {link}").first.click()
        page.wait_for_load_state()


def test_units_of_conv5_as_pictures_in_two_clicks(visit):
    page = visit()
    follow(page, ".models a:has-text('Biased net')", "a:has-text('conv5')")
    assert page.evaluate("document.body.dataset.kind") == "layer" and page.locator("h1").inner_text() == "conv5"
    tiles = page.locator("#wall li a :is(svg.part, img)")
    assert tiles.count() > 30 and tiles.first.evaluate(IN_VIEW)


def test_a_unit_by_search(visit):
    page = visit()
    page.keyboard.press("/")
    page.keyboard.type("conv5 36")
    browser.wait(page, "document.querySelectorAll('#found [role=option]').length > 0")
    page.keyboard.press("Enter")
    page.wait_for_url("**/units/conv5/36.html")
    assert page.locator("main img, main svg.part").first.is_visible()


def test_whether_it_is_biased_at_once_and_how_we_know_in_one_click(visit):
    page = visit()
    finding = page.locator(".finding.hero")
    assert finding.evaluate(IN_VIEW) and re.search(r"wolf.* on snow", finding.inner_text())
    assert page.locator(".tiles svg.part").first.evaluate(IN_VIEW)
    assert "interval" in page.locator(".evidence").first.inner_text()
    follow(page, "a:has-text('How we know')")
    assert page.evaluate("document.body.dataset.technique") == "bias_probe"
    assert "control" in page.locator(".evidence").first.inner_text()


def test_what_two_models_differ_in_takes_one_click(visit):
    page = visit()
    follow(page, "a:has-text('Compare')")
    row = page.locator("table.versus tbody tr").first
    assert row.evaluate(IN_VIEW) and "wolf on snow" in row.inner_text()
    assert re.search(r"[+−-]\d.*to", row.locator("td").last.inner_text())


def test_one_unit_is_cited_and_its_data_saved_in_three_clicks(visit):
    page = visit()
    page.locator("button.find").click()
    page.keyboard.type("conv5 36")
    browser.wait(page, "document.querySelectorAll('#found [role=option]').length > 0")
    page.locator("#found [role=option]").first.click()
    page.wait_for_url("**/units/conv5/36.html")
    cited = page.locator("#cite pre")
    assert cited.is_visible() and re.search(r"@misc\{.*conv5-36,.*conv5, unit 36", cited.inner_text(), re.DOTALL)
    with page.expect_download() as saved:
        page.locator("#cite a[download][href$='.npz']").first.click()
    with np.load(saved.value.path()) as arrays:
        assert len(arrays.files) > 1


@pytest.mark.parametrize("width", [320, 390])
def test_a_visitor_with_a_phone_reads_the_finding_without_scrolling(visit, width):
    page = visit(width, 844)
    assert page.locator(".finding.hero").evaluate(IN_VIEW)
    assert page.locator(".tiles svg.part").first.evaluate(IN_VIEW)


def test_no_page_is_heavy_and_none_endless_on_a_phone(visit):
    page, heavy, tall = visit(390, 844), [], []
    for address in browser.some_pages(SITE):
        path = SITE / address
        files = static.first_load(path, static.Page(path.read_text("utf-8")))
        first = sum(file.stat().st_size for file in files)
        if first > (FIRST_OF_MAP if path.name == "map.html" else FIRST):
            heavy.append((address, first))
        page.goto(path.as_uri())
        if (height := page.evaluate("document.documentElement.scrollHeight")) > TALLEST:
            tall.append((address, height))
    assert heavy == [] and tall == []
