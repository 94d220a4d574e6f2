"""A results tree as from the pipeline, with every kind of page content, and hostile names."""

import io
import json
import tempfile
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from cnnviz.run import result
from cnnviz.site import index, model_pages, picture_pages
from cnnviz.views import tsne_grid
from cnnviz.views.kit import colour, section, stages, tiles, viewer
from cnnviz.views.kit.section import About, Context, Metric, Paper, Section, Subject, Table
from cnnviz.views.kit.svg import Mark

NASTY = "<script>alert(1)</script> & \"quotes\" 'n' {{ 7 * 7 }}"
LONG = "encoder_layers_encoder_layer_11_mlp_linear_2_" * 2  # an unbreakable name
SECTIONS = ["first_layer_filters", "predictions", "class_visualization", "pca", "cam", "tsne_grid"]
FAMILIES = {
    "Weights": ["first_layer_filters"],
    "Activations": ["predictions"],
    "Feature space": ["pca", "tsne_grid"],
    "Attribution": ["cam"],
    "Synthesis": ["class_visualization"],
}
MODELS = {"alexnet": "AlexNet", "nasty-1": NASTY}
GALLERY = {"title": "What the networks learned", "subtitle": "Two networks, taken apart.", "models": list(MODELS)}
PAPER = Paper(
    "K. Simonyan, A. Vedaldi, A. Zisserman", 2014, "Deep Inside Convolutional Networks", "ICLR workshop",
    "https://arxiv.org/abs/1312.6034",
)  # fmt: skip


def config(model: str, sections: list[str] = SECTIONS, publish: str = "everything") -> dict:
    models = [{"id": id, "title": title, "sections": sections} for id, title in MODELS.items()]
    return {
        "model": model,
        "title": None,
        "sections": sections,
        "image_set": "set",
        "families": FAMILIES,
        "models": models,
        "publish": publish,
    }


MADE: dict[str, bytes] = {}  # file → content of the tree, which takes a second to make


def make_results(root: Path) -> Path:
    """Writes the tree; the second model lacks ``cam`` (its log exists), and ``pca`` does not apply to it."""
    if not MADE:
        with tempfile.TemporaryDirectory() as folder:
            _make_results(Path(folder))
            files = [path for path in Path(folder).rglob("*") if path.is_file()]
            files.sort(key=lambda path: path.stat().st_mtime_ns)  # what was written last counts as measured last
            MADE.update({str(path.relative_to(folder)): path.read_bytes() for path in files})
    for name, content in MADE.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


def _make_results(root: Path) -> None:
    for number, (id, title) in enumerate(MODELS.items()):
        _make_model(root / "models" / id, id, title, seed=number)
    _missing(root, "nasty-1", "cam")
    benchmark = root / "benchmarks" / "alexnet" / "class_visualization.tsv"
    benchmark.parent.mkdir(parents=True)
    benchmark.write_text("s\th:m:s\tmax_rss\tmax_vms\n12.5\t0:00:12\t812.4\t-\n")


def make_gallery(root: Path, count: int = 150) -> Path:
    """The tree of :func:`make_results`, with contents for every kind of page, and long names and tables.

    ``count`` pictures, some with their own page, some skipped, some odd; a map; units, classes and pictures with many
    facts; layers and classes with unbreakable names; sheets of which each unit has a part.
    """
    make_results(root)
    rng = np.random.default_rng(5)
    names = [f"photo {i} #1 100%.jpg" for i in range(4)] + [f"{LONG}{i}.jpeg" for i in range(count - 4)]
    skipped = [{"name": f"bad/{LONG}.png", "reason": f"UnidentifiedImageError: cannot identify '/home/alice/{LONG}'"}]
    path = add_images(root, [{"name": name, "label": i % 3} for i, name in enumerate(names)], skipped)
    index = json.loads(path.read_text()) | {"classes": ["cat", "dog", NASTY]}
    path.write_text(json.dumps(index | {"notes": [{"name": names[5], "reason": "its box is left out"}]}))
    np.save(path.parent / "thumbnails.npy", rng.integers(0, 255, (count, 64, 64, 3)).astype(np.uint8))
    for id in MODELS:
        _make_long(root / "models" / id, names, rng)
    return root


def _make_long(folder: Path, names: list[str], rng) -> None:
    facts = json.loads((folder / "model.json").read_text())
    facts["layers"].append({"name": LONG, "module": LONG, "kind": "Linear", "units": 5, "height": 1, "width": 1})
    facts |= {"chosen": ["conv1", LONG], "classes": ["cat", "dog", NASTY, LONG]}
    (folder / "model.json").write_text(json.dumps(facts))
    columns = tuple(f"fact number {i} of this one, in words" for i in range(12)) + ("most like it",)
    rows = {str(u): (*rng.random(11).round(4).tolist(), NASTY, [str(o) for o in range(5)]) for u in range(5)}
    classes = {name: ("83.1 %", 12, ["cat", "dog", LONG]) for name in ("cat", NASTY, LONG)}
    said = {name: (NASTY, LONG, 0.5123, "wrong") for name in names}
    abouts = (
        About("unit", columns, rows, "conv1"), About("unit", columns, rows, LONG),
        About("class", ("accuracy", "pictures", "taken for"), classes),
        About("image", ("label", "prediction", "its probability", "verdict"), said),
    )  # fmt: skip
    boxes = tuple(Subject("unit", str(u), LONG, (32 * u, 0, 32, 32)) for u in range(5))
    many = [(f"many-{i}", (Subject("class", LONG), Subject("image", names[4])), 120 + 30 * i) for i in range(12)]
    context = Context({}, {}, None, None, {})
    figures = tuple(
        context.picture(
            id, texture(rng, size)[:64], alt=f"{id} of {LONG}", caption=f"{LONG} and its parts.", data="weights",
            mapping=f"0 … 3.2, colours magma, {LONG}", subjects=subjects, lossless=False,
        )
        for id, subjects, size in [("sheet", boxes, 160), *many]
    )  # fmt: skip
    figures += (_patches(context, "parts", names, rng, [0, 1]), _patches(context, "whole", names, rng, [2]))
    lead = Mark(0, 0, names[0], "itself", 160, 64, "image", names[0])
    figures += (replace(figures[1], id="card", marks=(lead,), subjects=(Subject("image", names[0]),)),)
    _add(folder / "sections" / "predictions", context.files, about=abouts, figures=figures)
    count = len(names)
    columns, rows = 15, -(-count // 15)
    arrays = {"cells": np.arange(count, dtype=np.int32), "right": rng.random((rows, columns - 1), np.float32)}
    arrays |= {"down": rng.random((rows - 1, columns), np.float32)}
    predicted = {"predicted": np.zeros(count, np.int32), "probability": np.full(count, 0.5, np.float32)}
    for id, more, numbers in (
        ("tsne_grid", arrays, {"columns": columns, "rows": rows}),
        ("predictions", predicted, {}),
    ):
        path = folder / "sections" / id / "result.npz"
        result.write(path, result.Result(more, "ok", "", numbers, {}, 42, result.read(path).provenance))
    tile = _webp(texture(rng, 512))
    places = [(z, x, y) for z in range(tsne_grid.levels(columns, rows)) for x in range(2**z) for y in range(2**z)]
    _add(folder / "sections" / "tsne_grid", {f"tiles/{z}/{x}_{y}.webp": tile for z, x, y in places})


def _patches(context: Context, id: str, names: list[str], rng, units: list[int]):
    """A block of four pictures for each of these units of conv1; of several, each has its part of the figure."""
    block = tiles.places(4, 240, 240, 0, 2)
    marks = [
        Mark(480 * i + x, y, names[k], f"of unit {unit}", width, height, "image", names[k])
        for i, unit in enumerate(units)
        for k, (x, y, width, height) in enumerate(block)
    ]
    boxes = [(480 * i, 0, 480, 480) if len(units) > 1 else None for i in range(len(units))]
    return context.picture(
        id, np.concatenate([texture(rng, 480) for _ in units], 1), alt=f"{id}: patches of conv1",
        caption="Four pictures.", mapping="pixels as they are", data="weights", lossless=False, marks=marks,
        subjects=tuple(Subject("unit", str(u), "conv1", box) for u, box in zip(units, boxes, strict=True)),
    )  # fmt: skip


def _add(folder: Path, files: dict[str, bytes], figures=(), **more) -> None:
    """Adds figures, files and texts to a section on disk."""
    made = section.load(folder / "section.json")
    with zipfile.ZipFile(folder / "figures.zip") as archive:
        files = {name: archive.read(name) for name in archive.namelist()} | files
    made = replace(made, figures=(*made.figures, *figures), **more)
    section.write(made, files, folder / "section.json", folder / "figures.zip")


def add_images(results: Path, pictures: list[dict], skipped: list[dict] = ()) -> Path:
    """Writes the image set's images.json. pictures: name, and optionally credit and licence."""
    whole = [{"id": p["name"], "label": None, "width": 64, "height": 64} | p for p in pictures]
    path = results / "image_sets" / "set" / "images.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"schema": 1, "classes": [], "pictures": whole, "skipped": list(skipped)}))
    return path


def render(
    results: Path,
    out: Path | None = None,
    sections: list[str] = SECTIONS,
    models=tuple(MODELS),
    publish: str = "everything",
) -> dict:
    """Renders the whole site; returns the manifest."""
    out = out or results / "site"
    stamps = {}
    for id in models:
        folder = results / "models" / id
        stamps[id] = model_pages.render(
            config(id, sections, publish), folder / "model.json", folder / "sections", out, results / "logs" / id
        )
    gallery = GALLERY | {"models": list(models), "publish": publish, "image_sets": ["set"]}
    images = {"set": results / "image_sets" / "set" / "images.json"}
    picture_pages.publish("set", images["set"], images["set"].parent / "thumbnails.npy", list(stamps.values()), out)
    return index.render(gallery, stamps, out, results / "benchmarks", images)


def _missing(root: Path, model: str, id: str) -> None:
    for file in ("section.json", "figures.zip", "result.npz"):
        (root / "models" / model / "sections" / id / file).unlink()
    log = root / "logs" / model / f"{id}.log"
    log.parent.mkdir(parents=True)
    lines = [f"line {i}" for i in range(40)]
    lines += [
        "units:  10%|#   \runits: 100%|####",
        f"  File /home/alice/net/{id}.py, in {NASTY}",
        "\x1b[31mRuntimeError: no\x1b[0m",
    ]
    log.write_text("\n".join(lines) + "\n")


def _make_model(folder: Path, id: str, title: str, seed: int) -> None:
    layers = [("conv1", "Conv2d", 64, 55), ("conv2", "Conv2d", 192, 27), ("conv3", "Conv2d", 384, 13)]
    layers += [("conv4", "Conv2d", 256, 13), ("conv5", "Conv2d", 32, 13), ("fc6", "Linear", 4096, 1)]
    layers += [("fc7", "Linear", 4096, 1), ("fc8", "Linear", 1000, 1)]
    facts = {
        "schema": 1, "id": id, "title": title, "described": f"Eight layers of {title}, ImageNet weights",
        "checkpoint": "sha256:5b2e9d0f1c", "parameters": 61_100_840, "input": [3, 224, 224],
        "layers": [
            {"name": n, "module": f"features.{i}", "kind": k, "units": u, "height": s, "width": s}
            for i, (n, k, u, s) in enumerate(layers)
        ],
        "chosen": ["conv1", "conv5"],
        "feature": {"at": ["features.6", "output"], "name": "fc7, as fc8 reads it", "size": 4096},
        "classes": ["cat", "dog", NASTY, "eel", "fox", "gnu"], "label_to_output": [0, 1, 2], "torch": "2.15.0",
    }  # fmt: skip
    folder.mkdir(parents=True)
    (folder / "model.json").write_text(json.dumps(facts))
    (folder / "forward").mkdir()
    numbers = {"top1": 0.5652, "top5": 0.7907, "pictures": 2000}
    result.write(folder / "forward" / "result.npz", result.Result({}, "ok", "", numbers, {}, 0, {}))
    for draw in (_filters, _predictions, _classes, _pca, _cam, _grid):
        context = Context({}, {}, None, None, {})
        made = draw(context, np.random.default_rng(seed + 1))
        if id == "nasty-1" and made["id"] == "pca":
            made |= {"status": "not_applicable", "reason": f"It has no features. {NASTY}", "figures": (), "metrics": ()}
        path = folder / "sections" / made["id"]
        provenance = {"code": "c0ffee12", "checkpoint": "sha256:5b2e9d0f1c", "device": "cpu", "torch": "2.15.0"}
        common = {"papers": (PAPER,), "provenance": provenance, "seed": 42}
        common["parameters"] = {
            "steps": 512,
            "step_size": 0.05,
            "style": "/home/alice/styles/wave.jpg",
            "octaves": [1, 1.4],
        }
        section.write(Section(**common | made), context.files, path / "section.json", path / "figures.zip")
        arrays = {"weights": np.random.default_rng(0).random((8, 8), np.float32)}
        result.write(path / "result.npz", result.Result(arrays, "ok", "", {}, {}, 42, provenance))


WORDS = {
    "question": "What does the network look for, in the pixels themselves?",
    "how_to_read": "Each picture was grown from noise until the network was sure of its class. Shapes that return in "
    "many runs are what the class score asks for; colours and scale are less certain.",
    "do_not_conclude": "The picture is one of very many that score as high. That a feature is absent here does not "
    "mean the network ignores it.",
    "equation": "I* = arg max S_c(I) − λ‖I‖²",
}


def texture(rng: np.random.Generator, size: int) -> np.ndarray:
    """(size, size, 3) uint8 noise with a 1/f spectrum, colourful."""
    f = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.fftfreq(size)[None]) + 0.02
    waves = np.fft.ifft2(np.fft.fft2(rng.standard_normal((3, size, size))) / f).real
    waves = (waves - waves.mean((1, 2), keepdims=True)) / waves.std((1, 2), keepdims=True)
    return np.clip(128 + 58 * waves, 0, 255).astype(np.uint8).transpose(1, 2, 0)


def _filters(context: Context, rng) -> dict:
    y, x = np.mgrid[-1:1:11j, -1:1:11j]
    sheet = np.zeros((8 * 12 - 1, 8 * 12 - 1, 4), np.uint8)
    for i in range(64):
        a, f, p = rng.uniform(0, np.pi), rng.uniform(2, 8), rng.uniform(0, 6)
        wave = np.cos(f * (x * np.cos(a) + y * np.sin(a)) + p) * np.exp(-2 * (x**2 + y**2))
        tile = 128 + 110 * wave[..., None] * (1 if i % 2 else rng.uniform(-1, 1, 3))
        r, c = i // 8 * 12, i % 8 * 12
        sheet[r : r + 11, c : c + 11, :3] = np.clip(tile, 0, 255)
        sheet[r : r + 11, c : c + 11, 3] = 255
    words = {
        "alt": "64 filters of 11 by 11 pixels in 8 columns.", "data": "weights", "scale": 8, "pixelated": True,
        "caption": "All 64 filters of conv1, 11 × 11 weights each, as red, green and blue; every filter has its own "
        "range, so weak ones are as visible as strong ones.",
        "mapping": "each filter symmetric about 0 to its own largest magnitude; mid-grey is 0",
        "subjects": (Subject("layer", "conv1"),), "from_dataset": False,
    }  # fmt: skip
    row = stages.covering(NASTY, tiles.places(3, 11, 11, 1), ["second", "third"], moves="Filter")
    return WORDS | {
        "id": "first_layer_filters",
        "title": "First-layer filters",
        "figures": (
            context.picture("per-filter", sheet, stages=(row,), **words),
            context.picture("shared", sheet, **words | {"alt": "The same 64 filters in one range."}),
        ),
        "metrics": (Metric("filters", 64), Metric("w" * 90, 1)),
    }


def _predictions(context: Context, rng) -> dict:
    columns = ("Class", "Pictures", "Accuracy", "Most confused with")
    rows = tuple(
        (f"class {i}", int(rng.integers(0, 50)), float(rng.random()), NASTY if i == 3 else "tabby, tabby cat")
        for i in range(200)
    )
    return WORDS | {
        "id": "predictions",
        "title": "Predictions",
        "equation": "",
        "tables": (Table("classes", f"Accuracy a class {NASTY}", columns, rows),),
        "metrics": (
            Metric("top-1 accuracy", 56.52, "%", "higher", (54.3, 58.7)),
            Metric("calibration error", 0.0231, "", "lower"),
        ),
    }  # fmt: skip


def _classes(context: Context, rng) -> dict:
    names = [
        "goose",
        "ostrich",
        NASTY,
        "kelpie",
        "limousine",
        "dumbbell",
        "cup",
        "bell pepper",
        "lemon",
        "husky",
        "wolf",
        "washing machine",
    ]
    figures = tuple(
        context.picture(
            f"class-{i}", texture(rng, 224), alt=f"A colourful texture grown for {name}.", data="weights",
            caption=f"{name}: logit {rng.uniform(20, 60):.1f}, probability {rng.uniform(0.9, 1):.3f} after 512 steps.",
            mapping="pixels as they are, 0 … 255", subjects=(Subject("class", name),), lossless=False,
            group="Fourier, robust to jitter" if i < 8 else "Plain pixels with L2", from_dataset=False,
            compared="Class",
        )
        for i, name in enumerate(names)
    )  # fmt: skip
    labels = ["0", "4", NASTY, "512"]
    steps = stages.series("Step", labels, tiles.places(4, 224, 224, 0), [f"logit {i}, {NASTY}" for i in range(4)])
    wide = context.picture(
        "steps", np.concatenate([texture(rng, 224) for _ in range(4)], axis=1), alt="Four stages side by side.",
        caption="The same class at steps 0, 4, 48 and 512.", mapping="pixels as they are, 0 … 255", data="weights",
        subjects=(Subject("unit", "17", layer="conv5"),), lossless=False, group="On the way",
        from_dataset=False, stages=steps,
    )  # fmt: skip
    metrics = (Metric("classes reached", 11, "of 12", "higher"),)
    return WORDS | {
        "id": "class_visualization",
        "title": "Class visualization",
        "figures": (*figures, wide),
        "metrics": metrics,
    }


def _pca(context: Context, rng) -> dict:
    colours = ["#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee"]
    dots, marks = "", []
    for i in range(400):
        x, y = 60 + 640 * rng.beta(2, 2) * (0.5 + i % 5 / 8), 30 + 400 * rng.beta(2, 2)
        dots += f'<circle cx="{x:.0f}" cy="{y:.0f}" r="3" fill="{colours[i % 5]}"/>'
        if i < 40:
            lead = {"kind": "image", "of": f"photo {i} #1 100%.jpg"} if i < 4 else {}
            marks.append(Mark(round(x, 1), round(y, 1), f"{NASTY} {i}", "dog", group="dog", hue=colours[0], **lead))
    axes = '<path d="M40 10v440h710" fill="none" stroke="#333"/><text x="380" y="475">component 1 (12.3 %)</text>'
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 760 480">{dots}{axes}</svg>'
    figure = context.figure(
        "scatter", "scatter.svg", svg.encode(), 760, 480, alt="Scatter of 400 pictures in five clouds.",
        caption="Each dot is a picture, coloured by class.", mapping="a colour a class", data="weights", subjects=(),
        from_dataset=False, marks=tuple(marks),
    )  # fmt: skip
    return WORDS | {
        "id": "pca",
        "title": "Principal components",
        "figures": (figure,),
        "metrics": (Metric("explained", 0.312),),
    }


def _cam(context: Context, rng) -> dict:
    figures = tuple(
        context.picture(
            f"map {i} #100% é", texture(rng, 448), alt=f"A heat map over picture {i}.", data="weights", lossless=False,
            mapping="0 to the 99th percentile: 0 … 3.2, colours magma", caption="Class activation map of a dog.",
            maps=viewer.write(
                context, f"map {i} #100% é", (0, 0, 448, 448), ["dog", NASTY], ["dog", f"{NASTY} (p = 0.1)"], _maps(rng)
            ),
            subjects=(Subject("image", f"photo {i} #1 100%.jpg"), Subject("class", "dog")),
        )
        for i in range(4)
    )  # fmt: skip
    return WORDS | {"id": "cam", "title": "Class activation maps (CAM)", "figures": figures}


def _maps(rng) -> dict:
    """Two methods' maps of two classes: one of them signed, and another averaged over blocks."""
    signed, large = rng.standard_normal((2, 6, 8)), rng.random((2, 200, 300))
    return {
        "signed": (signed, [colour.symmetric(values) for values in signed]),
        NASTY: (large, [colour.up_to(values) for values in large]),
    }


def _webp(pixels: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "WEBP", quality=80)
    return stream.getvalue()


def _grid(context: Context, rng) -> dict:
    tile = np.zeros((512, 512, 3), np.uint8)
    tile[:128, :128] = texture(rng, 128)
    context.file("tiles/0/0_0.webp", _webp(tile))
    figure = context.picture(
        "overview", texture(rng, 760), alt="Every picture in a cell of its own.", caption="The map.", data="weights",
        mapping="pixels as they are", lossless=False,
    )  # fmt: skip
    return WORDS | {
        "id": "tsne_grid",
        "title": "t-SNE grid",
        "figures": (figure,),
        "widget": "map",
    }
