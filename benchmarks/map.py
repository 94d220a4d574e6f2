"""The map of 10 000 and 50 000 pictures in a real browser: ``python -m benchmarks.map [--keep FOLDER]``.

It generates the results of sets of this size, without networks and techniques: drawn thumbnails, clusters for a t-SNE
map, cells by halving. It renders only the map, and opens it from disk in headless Chromium, without a GPU.
"""

import argparse
import functools
import json
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from cnnviz.features import tsne_grid
from cnnviz.run import result
from cnnviz.site import model_pages
from cnnviz.views import tsne_grid as view
from cnnviz.views.kit import section
from cnnviz.views.kit.section import Section

RESULTS = {  # what: bar
    "first picture, ms": 300,
    "interactive, ms": None,
    "p95 frame while panning, ms": 33,
    "bytes before the first zoom, MB": 2,
    "JS heap, MB": 150,
}
INTERACTIVE = {10_000: 1000, 50_000: 1500}
MARKS = {"first picture, ms": "first-picture", "interactive, ms": "ready"}  # marks of the page's script
VIEWS = {
    "grid, all": "",
    "grid, zoomed": "#z=8",
    "grid, class": "#z=3&colour=class",
    "grid, seams": "#z=5&colour=seams",
    "grid, frames": "#z=8&colour=class",
    "scatter, all": "#mode=scatter&colour=class",
    "scatter, nearer": "#mode=scatter&colour=error&z=3&x=0.4&y=0.4",
    "scatter, thumbnails": "#mode=scatter&colour=error&z=20&x=0.55&y=0.3",
}
WORDS = dict.fromkeys(("question", "how_to_read", "do_not_conclude"), "…")
PAN = """async (mode) => {
  const canvas = document.querySelector(".map canvas"), box = canvas.getBoundingClientRect();
  const send = (type, x, y) => canvas.dispatchEvent(new PointerEvent(type,
    { clientX: x, clientY: y, pointerId: 1, pointerType: "mouse", bubbles: true }));
  canvas.setPointerCapture = () => {};
  const x = box.left + box.width / 2, y = box.top + box.height / 2, times = [];
  send("pointerdown", x, y);
  let last = await new Promise(requestAnimationFrame);
  for (let k = 1; k <= 150; k++) {
    send("pointermove", x + 300 * Math.sin(k / 20), y + 200 * Math.sin(k / 13));
    const now = await new Promise(requestAnimationFrame);
    times.push(now - last);
    last = now;
  }
  send("pointercancel", x, y);
  times.sort((a, b) => a - b);
  return [times[Math.floor(times.length * 0.5)], times[Math.floor(times.length * 0.95)]];
}"""


def make_results(folder: Path, count: int, names=None, classes: int = 10) -> Path:
    """Writes a model's results as the pipeline does, with ``count`` pictures of ``classes`` classes; their folder."""
    rng = np.random.default_rng(0)
    label = rng.integers(classes, size=count)
    centres = rng.uniform(-60, 60, (classes, 2))
    map = (centres[label] + rng.normal(0, 6, (count, 2))).astype(np.float32)
    columns, rows = tsne_grid.shape(count)
    cells = tsne_grid.halved(tsne_grid.places(map.astype(np.float64), columns, rows), columns, rows)
    thumbnails = pictures(rng, label)
    grid = view.holders(cells, columns, rows)
    names = names or [f"ILSVRC2012_val_{i:08d}.JPEG" for i in range(1, count + 1)]
    images = {"schema": 2, "classes": [f"class {c}" for c in range(classes)], "skipped": []}
    images["pictures"] = [
        {"id": name, "name": name, "label": int(c), "width": 64, "height": 64}
        for name, c in zip(names, label, strict=True)
    ]
    of_set = folder / "image_sets" / "set"
    of_set.mkdir(parents=True)
    (of_set / "images.json").write_text(json.dumps(images))
    np.save(of_set / "thumbnails.npy", thumbnails)
    model = folder / "models" / "net"
    model.mkdir(parents=True)
    facts = {
        "schema": 1, "id": "net", "title": "Net", "described": "A net", "checkpoint": "none", "parameters": 1,
        "input": [3, 64, 64], "layers": [], "chosen": [], "feature": {"at": ["", ""], "name": "fc", "size": 2},
        "classes": images["classes"], "label_to_output": list(range(classes)), "torch": "2",
    }  # fmt: skip
    (model / "model.json").write_text(json.dumps(facts))
    predicted = np.where(rng.random(count) < 0.8, label, rng.integers(classes, size=count)).astype(np.int32)
    right, down = tsne_grid.seams(map, cells, columns, rows)
    made = {
        "predictions": {"predicted": predicted, "probability": rng.uniform(0.2, 1, count).astype(np.float32)},
        "tsne": {"map": map},
        "tsne_grid": {"cells": cells.astype(np.int32), "right": right, "down": down},
    }
    for id, arrays in made.items():
        context = section.Context({}, {}, None, None, {})
        figures, widget = (), ""
        if id == "tsne_grid":
            for z, x, y, pixels in view.tiles(thumbnails, grid):
                context.file(f"tiles/{z}/{x}_{y}.webp", view._webp(pixels, 80))
            figures, widget = (
                context.picture(
                    "overview", view.overview(thumbnails, grid)[..., :3], alt="All pictures.", caption="All.",
                    mapping="as they are", data="cells", lossless=False,
                ),
            ), "map"  # fmt: skip
        path = model / "sections" / id
        shown = Section(id=id, title=id, papers=(), figures=figures, widget=widget, **WORDS)
        section.write(shown, context.files, path / "section.json", path / "figures.zip")
        numbers = {"columns": columns, "rows": rows} if id == "tsne_grid" else {}
        result.write(path / "result.npz", result.Result(arrays, "ok", "", numbers, {}, 0, {}))
    return model


@functools.cache
def made(count: int) -> tempfile.TemporaryDirectory:
    """The results of :func:`make_results`, once for all benchmarks of this process: they take a minute and a half."""
    folder = tempfile.TemporaryDirectory()
    make_results(Path(folder.name), count)
    return folder


def pictures(rng: np.random.Generator, label: np.ndarray) -> np.ndarray:
    """(n, 64, 64, 3) uint8: a soft texture in the class's hue, with noise; photographs compress about as well."""
    small = rng.integers(30, 226, (len(label), 5, 5, 3))
    hue = rng.integers(40, 216, (label.max() + 1, 1, 1, 3))[label]
    small = ((small + hue) // 2).astype(np.uint8)
    whole = small.repeat(13, 1).repeat(13, 2)[:, :64, :64]
    for a in range(0, len(whole), 1024):
        noise = rng.integers(-14, 15, whole[a : a + 1024].shape, np.int16)
        whole[a : a + 1024] = np.clip(whole[a : a + 1024] + noise, 0, 255)
    return whole


def render(model: Path, out: Path) -> Path:
    """Renders the model's pages; returns the map's path."""
    words = {"model": "net", "title": "Net", "sections": ["predictions", "tsne", "tsne_grid"], "image_set": "set"}
    model_pages.render(words, model / "model.json", model / "sections", out)
    assets = Path(__file__).parents[1] / "templates" / "assets"
    for asset in assets.iterdir():
        (out / "assets").mkdir(exist_ok=True)
        (out / "assets" / asset.name).write_bytes(asset.read_bytes())
    return out / "models" / "net" / "map.html"


def look(page_path: Path, browser) -> dict[str, float]:
    """Opens the map as in a first visit, and uses it."""
    # playwright's waiting needs scripts that the pages' policy forbids
    page = browser.new_page(viewport={"width": 1280, "height": 900}, bypass_csp=True)
    files, site = [], page_path.parents[2]
    page.on("request", lambda request: files.append(site / request.url.split(f"{site.as_uri()}/")[-1].split("#")[0]))
    page.goto(page_path.as_uri())
    page.wait_for_function("performance.getEntriesByName('map-ready').length")
    page.wait_for_timeout(1200)
    since = "name => performance.getEntriesByName(name)[0].startTime"
    found = {what: page.evaluate(since, f"map-{mark}") for what, mark in MARKS.items()}
    found["bytes before the first zoom, MB"] = sum(path.stat().st_size for path in set(files)) / 1e6
    for mode, hash in VIEWS.items():
        page.evaluate("hash => { location.hash = hash }", hash or "#")
        page.wait_for_timeout(400)
        page.evaluate(PAN, mode)  # so that the tiles are loaded
        median, slow = page.evaluate(PAN, mode)
        found[f"p95 frame while panning, ms ({mode}; median {median:.1f})"] = slow
    session = page.context.new_cdp_session(page)
    session.send("HeapProfiler.collectGarbage")
    used = session.send("Runtime.getHeapUsage")
    found["JS heap, MB"] = (
        used["usedSize"] + used.get("embedderHeapUsedSize", 0) + used.get("backingStorageSize", 0)
    ) / 1e6
    page.close()
    return found


def measure(
    counts: Iterable[int] = tuple(INTERACTIVE), keep: Path | None = None, browser: str | None = None
) -> Iterator[tuple[str, float, float]]:
    """(what, value, limit). keep: leave the generated results and sites in this folder. browser: path, else Chromium.

    Raises FileNotFoundError where there is no browser.
    """
    browser = browser or shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not browser:
        raise FileNotFoundError("no Chromium was found; install it, or use python -m benchmarks.map --browser PATH")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox", "--disable-gpu"])
        for count in counts:
            folder = keep / str(count) if keep else Path(made(count).name)
            if not (folder / "models").exists():
                make_results(folder, count)
            page = render(folder / "models" / "net", folder / "site")
            for what, value in look(page, launched).items():
                bar = INTERACTIVE[count] if what.startswith("interactive") else RESULTS[what.split(" (")[0]]
                yield f"map of {count}: {what}", value, bar
        launched.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--keep", type=Path, help="leave the generated results and sites in this folder")
    parser.add_argument("--counts", type=int, nargs="+", default=list(INTERACTIVE), choices=list(INTERACTIVE))
    parser.add_argument("--browser", help="its path; default: the Chromium that is found")
    options = parser.parse_args()
    for what, value, bar in measure(options.counts, options.keep, options.browser):
        print(f"{'ok  ' if value <= bar else 'OVER'}  {value:8.2f}  bar {bar:<5} {what}", flush=True)


if __name__ == "__main__":
    main()
