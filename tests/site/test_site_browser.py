"""The site in a real browser."""

import shutil
from pathlib import Path

import pytest

from tests.site import browser, synthetic

ROOT = Path(__file__).parents[2]


@pytest.fixture
def page(chrome):
    made = chrome.new_page(viewport={"width": 1280, "height": 800})
    yield made
    made.close()


def open_section(page, site, id="class_visualization", model="alexnet"):
    page.goto((site / "models" / model / "sections" / f"{id}.html").as_uri())


def test_lightbox_by_keyboard_alone(page, site):
    found = []
    browser.watch(page, site.as_uri(), found)
    open_section(page, site)
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.matches('.figure a.picture')"):
            break
    first = page.evaluate("document.activeElement.href")
    url = page.url
    dialog = page.locator("dialog")

    page.keyboard.press("Enter")
    assert dialog.evaluate("d => d.open") and page.url == url
    assert dialog.locator("img").get_attribute("src") == first
    assert dialog.locator(".caption").inner_text().startswith("goose")
    page.keyboard.press("ArrowRight")
    assert dialog.locator("img").get_attribute("src") != first
    assert "ostrich" in dialog.locator(".caption").inner_text()
    assert dialog.locator("output").inner_text() == "2 of 13"
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    assert dialog.locator("output").inner_text() == "13 of 13"
    before = dialog.locator("img").bounding_box()["width"]
    page.keyboard.press("z")
    assert dialog.locator("img").bounding_box()["width"] > before
    for _ in range(12):
        page.keyboard.press("Tab")
        inside = page.evaluate("document.activeElement === document.body || !!document.activeElement.closest('dialog')")
        assert inside, "focus leaves the open lightbox"
    page.keyboard.press("Escape")
    dialog.wait_for(state="detached")
    assert page.evaluate("document.activeElement.href") == first
    assert found == []


def test_a_long_name_of_a_number_makes_no_page_scroll_sideways(page, site):
    page.set_viewport_size({"width": 320, "height": 640})
    open_section(page, site, "first_layer_filters")
    assert page.locator(".metrics dt").last.inner_text() == "w" * 90
    assert page.evaluate("document.documentElement.scrollWidth") == 320


def test_pixel_pictures_are_enlarged_by_whole_numbers(page, site):
    open_section(page, site, "first_layer_filters")
    page.locator("a.picture").first.click()
    browser.wait(page, "document.querySelector('dialog img').naturalWidth > 0")
    shown = page.locator("dialog img")
    assert shown.evaluate("i => getComputedStyle(i).imageRendering") == "pixelated"
    for width, height in ((2000, 1900), (1280, 800), (500, 700)):
        page.set_viewport_size({"width": width, "height": height})
        page.wait_for_timeout(50)
        assert shown.evaluate("i => i.width / i.naturalWidth") in range(1, 100)


def test_check_site_finds_what_is_broken(chrome, site, tmp_path):
    broken = tmp_path / "site"
    shutil.copytree(site, broken, ignore=shutil.ignore_patterns("sections", "units", "layers", "classes", "compare"))
    page = broken / "methods.html"
    wide = '<svg width="900" height="9"></svg><img src="none.webp" alt="x"><script>nothing()</script>'
    wide += '<p style="color: red">x</p><img src="https://example.org/x.png" alt="x"><script src="data:,x"></script>'
    page.write_text(page.read_text("utf-8").replace("</main>", wide + "</main>"), "utf-8")
    found = "\n".join(browser.check_site(broken, chrome))
    for word in ("scrolls sideways", "404", "picture is not shown"):
        assert word in found
    for what in ("inline script", "inline style", "loading the image 'https://", "loading the script 'data:"):
        assert what in found.lower(), "the policy forbids it"


def test_time_is_shown_where_it_was_measured(page, site):
    open_section(page, site)
    page.locator(".fold:has([data-timing-model]) > summary").click()
    assert page.locator("[data-timing-model] dd").inner_text() == "12.5 s, peak memory 812 MB"
    open_section(page, site, "pca")
    page.locator(".fold:has([data-timing-model]) > summary").click()
    assert not page.locator("[data-timing-model]").is_visible()


def test_without_javascript_a_click_opens_the_picture(chrome, site):
    context = chrome.new_context(java_script_enabled=False)
    page = context.new_page()
    open_section(page, site)
    page.locator("a.picture").first.click()
    page.wait_for_url("**/class-0.webp")
    context.close()


def test_nasty_names_run_nothing(page, site):
    opened = []
    page.on("dialog", lambda d: (opened.append(d.message), d.dismiss()))
    for address in ("index.html", "models/nasty-1/index.html", "models/nasty-1/sections/cam.html"):
        page.goto((site / address).as_uri())
    open_section(page, site, model="nasty-1")
    page.locator("a.picture").nth(2).click()
    assert synthetic.NASTY in page.locator("dialog .caption").inner_text()
    assert opened == []


def test_keyboard_from_index_to_figure(page, site):
    page.goto((site / "index.html").as_uri())
    for matches in (".models .card a", ".cards:not(.models) .card a", ".figure a.picture"):
        for _ in range(80):
            page.keyboard.press("Tab")
            if page.evaluate("s => document.activeElement.matches(s)", matches):
                break
        else:
            pytest.fail(f"Tab never reaches {matches}")
        if "picture" in matches:
            page.keyboard.press("Enter")
        else:
            with page.expect_navigation():
                page.keyboard.press("Enter")
    assert page.locator("dialog").evaluate("d => d.open")


def test_parts_of_a_figure_by_keyboard_alone(page, site):
    """A slider over the steps of an ascent, and a divider that uncovers what is below."""
    found = []
    browser.watch(page, site.as_uri(), found)
    open_section(page, site)
    steps = page.locator("#fig-steps .scrub")
    steps.locator(".moves").focus()
    browser.wait(page, "document.querySelector('#fig-steps .pane image')")
    assert steps.locator(".moves").evaluate("s => s.labels[0].textContent.trim()") == "Step"
    for key, at, said in (("Home", 0, "0: logit 0"), ("ArrowRight", 1, "4: logit 1"), ("End", 3, "512: logit 3")):
        page.keyboard.press(key)
        assert steps.locator("output").inner_text() == f"{said}, {synthetic.NASTY}"
        assert steps.locator(".moves").get_attribute("aria-valuetext") == f"{said}, {synthetic.NASTY}"
        left = float(steps.locator(".pane svg svg").get_attribute("viewBox").split()[0])
        assert left == pytest.approx(224 * at, abs=1)
    steps.locator(".play").press("Enter")
    assert steps.locator("output").inner_text().startswith("0: ")
    browser.wait(page, "document.querySelector('#fig-steps output').textContent.startsWith('4: ')")
    page.emulate_media(reduced_motion="reduce")
    assert not steps.locator(".play").is_visible()

    open_section(page, site, "first_layer_filters")
    pair = page.locator("#fig-per-filter .scrub")
    browser.wait(page, "document.querySelectorAll('#fig-per-filter .pane image').length === 2")
    pair.locator(".divider").focus()
    assert "solid" in pair.locator(".pane").evaluate("p => getComputedStyle(p).outline")
    for key, share in (("Home", 0), ("ArrowRight", 0.01), ("End", 1)):
        page.keyboard.press(key)
        covers = pair.locator(".pane svg svg").last
        assert float(covers.get_attribute("width")) == pytest.approx((1 - share) * 352)  # 88 pixels, 4 times
    assert pair.locator(".part").evaluate("s => getComputedStyle(s).imageRendering") == "pixelated"
    assert pair.locator(".sides").inner_text().split("\n")[0].startswith(synthetic.NASTY)
    assert found == []


def test_a_large_wall_shows_its_first_tiles_until_asked_for_all(page):
    tiles = "".join(f'<li data-numbers="[{i}]" data-words="unit {i}">{i}</li>' for i in range(300))
    page.set_content(
        '<section class="wall"><p class="tools" hidden><select><option value="-1"><option value="0"></select><input>'
        f'<span role="status"></span></p><ol>{tiles}</ol><button hidden></button></section>'
    )
    page.add_script_tag(path=ROOT / "templates/assets/wall.js")
    shown, button = page.locator("li:visible"), page.locator("button")
    assert shown.count() == 200 and button.inner_text() == "Show all 300"
    page.locator("select").select_option("0")  # the largest number first
    assert shown.first.inner_text() == "299" and shown.count() == 200
    page.locator("input").fill("unit 29")  # 29, 129, 229, 290 … 299
    assert shown.count() == 13 and not button.is_visible()
    assert page.locator("[role=status]").inner_text() == "13 of 300"
    page.locator("input").fill("")
    button.click()
    assert shown.count() == 300 and not button.is_visible()
