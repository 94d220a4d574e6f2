"""The site of a large set and a large network: 50 000 pictures, 10 000 units: ``python -m benchmarks site``.

It generates results as the pipeline does (see :func:`benchmarks.map.made`), with 20 layers of 500 units, sheets of
their patches, and facts of every unit, class and picture. It renders the whole site twice, the second time without
changes.
"""

import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.map import WORDS, made
from cnnviz import config
from cnnviz.check.plan import Cost
from cnnviz.run import result
from cnnviz.site import index, model_pages, picture_pages
from cnnviz.site.size import expected
from cnnviz.views.kit import section
from cnnviz.views.kit.section import About, Section, Subject

PICTURES, LAYERS, UNITS, A_SHEET = 50_000, 20, 500, 25
SECTIONS = ["predictions", "tsne", "tsne_grid", "maximal_patches"]
PLAN = {"image_sets": {"set": {"kind": "demo", "count": PICTURES}}, "models": {"net": {"torchvision": "alexnet"}}}


def make_units(model: Path) -> None:
    """Adds layers to the model of :func:`benchmarks.map.make_results`, and a section with each unit's patches."""
    facts = json.loads((model / "model.json").read_text())
    names = [f"layer{i:02d}" for i in range(LAYERS)]
    layers = [{"name": n, "module": n, "kind": "Conv2d", "units": UNITS, "height": 14, "width": 14} for n in names]
    path = model / "model.json"
    path.unlink()  # a link to that of the map's benchmark
    path.write_text(json.dumps(facts | {"layers": layers, "chosen": names}))
    rng, context = np.random.default_rng(1), section.Context({}, {}, None, None, {})
    figures, abouts = [], []
    for name in names:
        for first in range(0, UNITS, A_SHEET):
            boxes = [(80 * (i % 5), 80 * (i // 5), 76, 76) for i in range(A_SHEET)]
            units = tuple(Subject("unit", str(first + i), name, box) for i, box in enumerate(boxes))
            pixels = rng.integers(0, 255, (50, 50, 3), np.uint8).repeat(8, 0).repeat(8, 1)
            figures.append(
                context.picture(
                    f"{name}-{first}", pixels, alt="The nine best patches of 25 units.", caption="Patches.",
                    mapping="the picture's own pixels", data="units", subjects=(Subject("layer", name), *units),
                )
            )  # fmt: skip
        like = rng.integers(UNITS, size=(UNITS, 5)).astype(str).tolist()
        columns = ("mean", "largest value", "share active", "most frequent class", "units with the same pictures")
        rows = {str(u): (0.1 * u, 8.3, "37.6%", "class 3 (5 of 9)", like[u]) for u in range(UNITS)}
        abouts.append(About("unit", columns, rows, name))
    made = Section(
        id="maximal_patches", title="Patches", papers=(), figures=tuple(figures), about=tuple(abouts), **WORDS
    )
    folder = model / "sections" / "maximal_patches"
    section.write(made, context.files, folder / "section.json", folder / "figures.zip")
    result.write(folder / "result.npz", result.Result({"units": np.zeros(3)}, "ok", "", {}, {}, 0, {}))
    images = json.loads((model.parents[1] / "image_sets" / "set" / "images.json").read_text())["pictures"]
    path = model / "sections" / "predictions" / "section.json"
    said = {p["name"]: (f"class {p['label']}", "class 1", 0.5, "wrong") for p in images}
    columns = ("label", "prediction", "its probability", "verdict")
    told = replace(section.load(path), about=(About("image", columns, said),))
    section.write(told, {}, path, path.with_name("figures.zip"))


def render(folder: Path) -> dict[str, float]:
    """Renders the whole site at ``folder``/site; returns the seconds of each renderer."""
    model, of_set, out = folder / "models" / "net", folder / "image_sets" / "set", folder / "site"
    started = time.perf_counter()
    words = {"model": "net", "title": "Net", "sections": SECTIONS, "image_set": "set"}
    stamp = model_pages.render(words, model / "model.json", model / "sections", out)
    pages = time.perf_counter()
    picture_pages.publish("set", of_set / "images.json", of_set / "thumbnails.npy", [stamp], out)
    pictures = time.perf_counter()
    index.render(
        {"title": "Large", "models": ["net"], "image_sets": ["set"]}, {"net": stamp}, out, None,
        {"set": of_set / "images.json"},
    )  # fmt: skip
    return {"model": pages - started, "pictures": pictures - pages, "index": time.perf_counter() - pictures}


def files(site: Path) -> dict[str, tuple[int, int]]:
    """Address → time of writing, and bytes."""
    found = [(path, path.stat()) for path in site.rglob("*") if path.is_file()]
    return {path.relative_to(site).as_posix(): (stat.st_mtime_ns, stat.st_size) for path, stat in found}


def measure() -> Iterator[tuple[str, float, float]]:
    """(what, value, limit)."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "results"
        shutil.copytree(made(PICTURES).name, folder, copy_function=os.link, ignore=shutil.ignore_patterns("site"))
        make_units(folder / "models" / "net")
        first = render(folder)
        before = files(folder / "site")
        units = sum(name.startswith("models/net/units/") for name in before)
        yield f"{units} unit pages, and their model's, rendered, s", first["model"], 60
        yield f"pages of {PICTURES} pictures rendered, s", first["pictures"], 60
        yield "front page, credits, search index rendered, s", first["index"], 60
        second = render(folder)
        after = files(folder / "site")
        yield "the same again, s", sum(second.values()), 60
        yield "files written by that", sum(before.get(name) != stat for name, stat in after.items()), 0
        size = sum(size for _, size in after.values())
        yield f"size of {len(after)} files, MB", size / 1e6, 1000
        yield "the largest of them, MB", max(size for _, size in after.values()) / 1e6, 100
        pages = sum(size for name, (_, size) in after.items() if name.startswith("models/net/units/"))
        yield "a unit's page, KB", pages / units / 1e3, 20
        cost = Cost("net", PICTURES, 2, 10, LAYERS, LAYERS * UNITS, 64 * 64, 0, 0)
        stated, *_ = expected([cost], config.complete(PLAN))
        yield f"files stated beforehand ({stated}) / files", max(stated / len(after), len(after) / stated), 1.2
