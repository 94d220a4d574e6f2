"""Checks of a site without a browser: ``problems(site)`` lists faults of its files."""

import functools
import io
import json
import os
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

from PIL import Image

VOID = {"meta", "link", "img", "br", "hr", "input", "rect", "path", "circle"}
SAID = (
    "constant",
    "dead",
    "nothing",
    "empty",
    "blank",
    "uniform",
    "never",
    "zero",
)  # words in the alt text of a picture of one colour
LINKS = {"href", "src"}
KINDS = (
    *("index", "model", "section", "layer", "unit", "class", "image", "pictures", "image_set"),
    *("compare", "methods", "credits", "map", "missing"),
)


class Page(HTMLParser):
    """The elements, ids and nesting of one page."""

    def __init__(self, text: str):
        super().__init__()
        self.elements: list[tuple[str, dict]] = []
        self.problems: list[str] = []
        self.open: list[str] = []
        self.text = ""
        self.parts: list[dict] = []  # pictures that show a part of a file: src, box, label
        self.feed(text)
        self.close()
        if self.open:
            self.problems.append(f"never closed: {self.open}")

    def handle_starttag(self, tag, attributes):
        names = [name for name, _ in attributes]
        if len(set(names)) < len(names):
            self.problems.append(f"<{tag}> has an attribute twice: {names}")
        attributes = dict(attributes)
        if tag == "svg" and attributes.get("role") == "img":
            self.parts.append({"src": "", "box": attributes.get("viewbox"), "alt": attributes.get("aria-label")})
        elif tag == "img" and "foreignobject" in self.open:
            self.parts[-1]["src"] = attributes["src"]
            attributes["part"] = self.parts[-1]["alt"]
        elif tag == "image":
            self.parts[-1]["src"] = attributes["href"]
        self.elements.append((tag, attributes))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.problems.append(f"</{tag}> closes another element")

    def handle_data(self, data):
        self.text += data

    def all(self, tag: str) -> list[dict]:
        return [attributes for name, attributes in self.elements if name == tag]

    @functools.cached_property
    def ids(self) -> list[str]:
        return [a["id"] for _, a in self.elements if "id" in a]


def pages(site: Path) -> dict[Path, Page]:
    return {path: Page(path.read_text("utf-8")) for path in sorted(site.rglob("*.html"))}


def first_load(path: Path, page: Page) -> set[Path]:
    """The files that a browser loads before anyone scrolls: the page, its style and scripts, and pictures at once.

    A picture of an SVG in the page is never lazy.
    """
    found = [script["src"] for script in page.all("script") if "src" in script]
    found += [link["href"] for link in page.all("link") if link.get("rel") == "stylesheet"]
    found += [image["src"] for image in page.all("img") if image.get("loading") != "lazy"]
    found += [image["href"] for image in page.all("image")]
    return {path, *((path.parent / unquote(url)).resolve() for url in found)}


def problems(site: Path) -> list[str]:
    """Every broken link, anchor, picture or heading of the site at ``site``, as lines of text."""
    site, found = Path(site).resolve(), []
    parsed = pages(site)
    shown: dict[Path, set[str]] = {}  # picture → its texts
    for path, page in parsed.items():

        def say(what, path=path):
            found.append(f"{path.relative_to(site)}: {what}")

        for problem in page.problems:
            say(problem)
        _whole(page, say)
        for tag, attributes in page.elements:
            for name in LINKS & set(attributes):
                _link(tag, attributes[name], path, site, parsed, say)
        for chart in page.all("div"):
            if "data-points" in chart:
                _points(chart, path, site, parsed, say)
        _told_apart(page, say)
        for image in page.all("img"):
            _image(image, path, say)
            if image.get("part"):
                continue
            file = _target(path, image["src"])
            shown.setdefault(file, set()).add(image.get("alt") or "")
    for (
        file,
        alts,
    ) in shown.items():  # pages of several sections say first whose picture it is: "Occlusion, AlexNet – …"
        own = {min(alts, key=len)} if len(alts) > 1 else alts
        if not all(alt in own or alt.partition(" – ")[2] in own | {a.partition(" – ")[2] for a in own} for alt in alts):
            found.append(f"{file.relative_to(site)} is shown as several things: {sorted(alts)}")
    return found


def _told_apart(page: Page, say) -> None:
    """Two pictures of a page have different texts."""
    whole = [{"src": i["src"], "box": None, "alt": i.get("alt")} for i in page.all("img") if not i.get("part")]
    said: dict[str, tuple] = {}
    for picture in (*whole, *page.parts):
        shows = picture["src"], picture["box"]
        if said.setdefault(picture["alt"], shows) != shows:
            say(f"{shows} and {said[picture['alt']]} are both called {picture['alt']!r}")


def _whole(page: Page, say) -> None:
    if len(page.all("h1")) != 1:
        say(f"{len(page.all('h1'))} h1")
    if len(set(page.ids)) < len(page.ids):
        say(f"ids used twice: {sorted({i for i in page.ids if page.ids.count(i) > 1})}")
    if not page.all("html")[0].get("lang"):
        say("no lang")
    metas = {m.get("name", m.get("http-equiv")): m.get("content") for m in page.all("meta")}
    if "default-src 'none'" not in (policy := metas.get("Content-Security-Policy") or "") or "unsafe" in policy:
        say("a policy that lets in what is not of the site")
    for name in ("description", "viewport"):
        if not (metas.get(name) or "").strip():
            say(f"no {name}")
    if page.all("body")[0].get("data-kind") not in KINDS:
        say("data-kind")
    for tag, attributes in page.elements:
        if tag == "figure" and not (attributes.get("id") and attributes.get("data-technique")):
            say("a figure without id or technique")
        if any(name.startswith("on") or name == "style" for name in attributes):
            say(f"code or style in an attribute of <{tag}>")


def _link(tag: str, url: str, path: Path, site: Path, parsed: dict[Path, Page], say) -> None:
    parts = urlsplit(url)
    if parts.scheme in ("http", "https") and tag == "a":
        return
    if parts.scheme or parts.netloc or url.startswith("/"):
        say(f"<{tag}> leads out of the site: {url}")
        return
    target = _target(path, parts.path) if parts.path else path
    if not target.is_relative_to(site) or not target.is_file():
        say(f"dead link {url}")
    elif parts.fragment and unquote(parts.fragment) not in parsed[target].ids:
        if target.name == "map.html" and parts.fragment.startswith("picture="):
            return  # a point of the map: browser tests check it
        say(f"dead anchor {url}")


def _target(page: Path, address: str) -> Path:
    """The file that an address on a page leads to. ``resolve()`` would ask the disk about each folder of each path."""
    return Path(os.path.normpath(page.parent / unquote(address)))


def _points(chart: dict, path: Path, site: Path, parsed: dict[Path, Page], say) -> None:
    """What can be pointed at on a chart: its script is there, has its marks, and each leads to a page."""
    script = (path.parent / chart["data-root"] / chart["data-points"]).resolve()
    if not script.is_relative_to(site) or not script.is_file():
        return say(f"no points of {chart['data-figure']}")
    name, _, marks = script.read_text("ascii").removesuffix(";\n").partition("] = ")
    if json.loads(name.partition("[")[2]) != chart["data-points"]:
        say(f"{chart['data-points']} calls itself {name}")
    for mark in json.loads(marks).get(chart["data-figure"]) or [say(f"no marks of {chart['data-figure']}")]:
        if mark and mark[6]:
            _link("a", chart["data-root"] + mark[6], path, site, parsed, say)


def _image(image: dict, path: Path, say) -> None:
    if not (image.get("alt") or image.get("part") or "").strip() or not image.get("width") or not image.get("height"):
        say(f"picture without alt, width or height: {image.get('src')}")
    file = path.parent / unquote(image["src"])
    if file.is_file() and file.suffix != ".svg":
        constant, shape = _looks(file.read_bytes())
        if constant and not any(word in (image.get("part") or image["alt"]).lower() for word in SAID):
            say(f"{image['src']} is of one colour, and its alt does not say so")
        shown = int(image["width"]) / int(image["height"])
        if abs(shape / shown - 1) > 0.03:
            say(f"{image['src']} is stretched")


@functools.lru_cache(maxsize=500)  # many pages show the same sheet
def _looks(content: bytes) -> tuple[bool, float]:
    """Whether a picture is of one colour, and its width over its height."""
    with Image.open(io.BytesIO(content)) as picture:
        picture.load()
        constant = all(low == high for low, high in picture.convert("RGBA").getextrema())
        return constant, picture.width / picture.height
