"""The viewer of maps in a browser: opened by the keyboard, its value is the map's, two maps stand side by side."""

import re

from tests.site import browser, synthetic


def test_maps_over_a_picture(chrome, site):
    page, found = chrome.new_page(viewport={"width": 320, "height": 700}, color_scheme="dark"), []
    browser.watch(page, site.as_uri(), found)
    page.goto((site / "models/alexnet/sections/cam.html").as_uri())
    button = page.locator("button.explore").first
    button.focus()
    page.keyboard.press("Enter")
    viewer = page.locator("dialog.viewer")
    browser.wait(page, "document.querySelector('.viewer [name=map]').options.length === 2")
    assert viewer.locator("[name=map]").first.locator("option").all_inner_texts() == ["signed", synthetic.NASTY]

    viewer.locator(".stack").first.focus()
    page.keyboard.press("ArrowRight")
    read = viewer.locator("output").first
    assert re.fullmatch(r"-?[\d.]+ ± [\d.]+ at 4, 3", read.inner_text())
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    assert read.inner_text().endswith("at 5, 4") and read.get_attribute("aria-live") == "polite"

    pixels = "document.querySelector('.viewer .stack canvas').toDataURL()"
    before = page.evaluate(pixels)
    viewer.locator("[name=class]").first.select_option(f"{synthetic.NASTY} (p = 0.1)")
    assert page.evaluate(pixels) != before
    viewer.locator("[name=colours]").select_option("gray")
    viewer.locator("[name=opacity]").fill("25")
    assert page.evaluate("document.querySelector('.viewer .stack canvas').style.opacity") == "0.25"

    assert not viewer.locator(".look").last.is_visible()
    viewer.locator("[name=pin]").press("Enter")
    assert viewer.locator(".look").last.is_visible()
    assert "mean of about 3 × 3 pixels" in viewer.locator("output").last.inner_text()
    assert page.evaluate("document.querySelector('.viewer').scrollWidth <= innerWidth")
    page.keyboard.press("Escape")
    assert button.evaluate("b => b === document.activeElement") and found == []
    page.close()


def test_without_javascript_there_is_no_button(chrome, site):
    context = chrome.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto((site / "models/alexnet/sections/cam.html").as_uri())
    assert page.locator(".figure .caption").first.is_visible() and not page.locator("button.explore").first.is_visible()
    context.close()
