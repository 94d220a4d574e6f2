"""Checks of a site that need a browser. ``python tests/site/browser.py SITE`` checks a finished one.

The pages are opened from disk and from a server under a sub-path, at 320 px and on a desktop, light and dark, with and
without JavaScript.
"""

import functools
import http.server
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from playwright.sync_api import Browser, Error, Page, sync_playwright

ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

_DECODES = """async () => {
  document.querySelectorAll("details").forEach((d) => (d.open = true));
  const images = [...document.images];
  images.forEach((image) => (image.loading = "eager"));
  await Promise.allSettled(images.map((image) => image.decode()));
  return images.filter((image) => !image.naturalWidth || !image.checkVisibility()).map((image) => image.src);
}"""
_WIDE = """() => document.documentElement.scrollWidth <= innerWidth ? null :
  [...document.querySelectorAll("main *, .bar *")].filter((e) => e.getBoundingClientRect().right > innerWidth + 1)
    .slice(0, 3).map((e) => e.outerHTML.slice(0, 80)).join(" ")"""
_RESIZED = """() => [...document.querySelectorAll("foreignObject img")].filter((i) => i.checkVisibility() &&
  (Math.abs(i.offsetWidth - i.getAttribute("width")) > 1 || Math.abs(i.offsetHeight - i.getAttribute("height")) > 1))
  .slice(0, 3).map((i) => i.getAttribute("src"))"""  # then a part shows another place of its sheet
_PAINT = "() => getComputedStyle(document.body).backgroundColor + getComputedStyle(document.body).color"
_SHIFT = """() => new Promise((done) => { let sum = 0;
  new PerformanceObserver((list) => list.getEntries().forEach((e) => (sum += e.hadRecentInput ? 0 : e.value)))
    .observe({ type: "layout-shift", buffered: true });
  setTimeout(() => done(sum), 100); })"""


def chromium() -> str | None:
    """The path of an installed Chromium or Chrome."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@contextmanager
def launched() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def served(site: Path) -> Iterator[str]:
    """The site under a sub-path of a server on loopback; gives its address, with a slash at the end."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def translate_path(self, path):
            prefix = "/some/where"
            return super().translate_path(path.removeprefix(prefix) if path.startswith(f"{prefix}/") else "/none/")

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=site)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/some/where/"
        server.shutdown()


def wait(page: Page, expression: str, arg=None, seconds: float = 20) -> None:
    """Waits until the expression, or function of ``arg``, is true. Playwright's own wait violates the pages' policy."""
    until = time.monotonic() + seconds
    while True:
        with suppress(Error):  # the page may be loading another
            if page.evaluate(expression, arg):
                return
        if time.monotonic() > until:
            raise TimeoutError(f"{page.url}: never true: {expression}")
        page.wait_for_timeout(30)


def watch(page: Page, root: str, found: list[str]) -> None:
    """Records console errors, failed requests, and requests that leave ``root``."""

    def request(r) -> None:
        if not r.url.startswith((root, "data:")):
            found.append(f"{page.url}: asks for {r.url}")

    def failed(r) -> None:
        if r.failure != "net::ERR_ABORTED":  # requests of a page that was left
            found.append(f"{page.url}: failed: {r.url}")

    page.on("console", lambda m: found.append(f"{page.url}: console: {m.text}") if m.type == "error" else None)
    page.on("pageerror", lambda e: found.append(f"{page.url}: script: {e}"))
    page.on("requestfailed", failed)
    page.on("response", lambda r: found.append(f"{page.url}: {r.status}: {r.url}") if r.status >= 400 else None)
    page.on("request", request)


def some_pages(site: Path) -> Iterator[str]:
    """Every page; for pages of units, classes and pictures from one template, two of each folder."""
    for folder in sorted({path.parent for path in site.rglob("*.html")}):
        pages = [path.relative_to(site).as_posix() for path in sorted(folder.glob("*.html"))]
        many = {"units", "classes", "images"} & set(folder.relative_to(site).parts)
        yield from pages[:2] if many else pages


def check_site(site: Path, browser: Browser | None = None) -> list[str]:
    """Every problem of every page of the site, as lines of text. Starts a browser unless one is given."""
    if browser is None:
        with launched() as browser:
            return check_site(site, browser)
    site, found = Path(site).resolve(), []
    addresses = list(some_pages(site))
    with served(site) as server:
        for root, options in (
            (server, {"viewport": {"width": 1440, "height": 900}}),
            (f"{site.as_uri()}/", {"viewport": {"width": 320, "height": 640}, "color_scheme": "dark"}),
            (f"{site.as_uri()}/", {"viewport": {"width": 768, "height": 900}, "java_script_enabled": False}),
        ):
            context = browser.new_context(**options)
            page = context.new_page()
            watch(page, root, found)
            for address in addresses:
                page.goto(root + address)
                found += [f"{address} at {options['viewport']['width']} px: {p}" for p in _page(page, options)]
            context.close()
    return found + _dark(browser, f"{site.as_uri()}/{addresses[0]}")


def _page(page: Page, options: dict) -> list[str]:
    found = []
    if options.get("java_script_enabled") is False:
        # playwright's own evaluation still runs; the page's scripts do not
        page.evaluate("document.querySelectorAll('details').forEach((d) => (d.open = true))")  # as a click does
        if page.locator("figure.figure").count() != page.locator(".caption:visible").count():
            found.append("captions are hidden without JavaScript")
    elif (shift := page.evaluate(_SHIFT)) > 0.1:
        found.append(f"layout shift {shift:.2f}")
    found += [f"picture is not shown: {src}" for src in page.evaluate(_DECODES)]
    found += [f"a part's sheet has another size: {src}" for src in page.evaluate(_RESIZED)]
    if wide := page.evaluate(_WIDE):
        found.append(f"scrolls sideways: {wide}")
    return found


def _dark(browser: Browser, url: str) -> list[str]:
    paints = []
    for scheme in ("light", "dark"):
        page = browser.new_page(color_scheme=scheme)
        page.goto(url)
        paints.append(page.evaluate(_PAINT))
        page.close()
    return ["the dark scheme does not differ"] if paints[0] == paints[1] else []


if __name__ == "__main__":
    problems = check_site(Path(sys.argv[1]))
    print("\n".join(problems) or "no problems")
    sys.exit(bool(problems))
