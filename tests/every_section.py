"""Runs every section on one network, in this process and with the fewest steps; records results and reasons."""

import importlib
import json
import runpy
import sys
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import yaml

from cnnviz import config
from cnnviz.network import facts, network
from cnnviz.run import result
from cnnviz.run.job import Job, perform

ROOT = Path(__file__).parents[1]
ROWS = yaml.safe_load((ROOT / "rules" / "techniques.yaml").read_text("utf-8"))
METHODS = [name for name, row in ROWS.items() if row.get("explains") == "pictures"]
ONE = {"targets": ["predicted"]}
LEAST = {
    "activation_maps": {"pictures": 1},
    "maximal_patches": {"patches": 2, "view": {"units": 1}},
    "deconvnet": ONE | {"units": 1, "patches": 1},
    "guided_backprop": ONE | {"units": 1, "patches": 1},
    "tsne": {"iterations": 50},
    "occlusion": ONE | {"window": 0.5, "stride": 0.25},
    "saliency": ONE | {"samples": 2, "steps": 1},
    "saliency_segmentation": ONE | {"iterations": 1},
    "lime": ONE | {"superpixels": 6, "samples": 10},
    "grad_cam": ONE,
    "attribution_check": {"steps": 2, "randomised": 1, "blocks": 1, "resamples": 100},
    "bias_probe": {"resamples": 100, "pictures": 6, "placements": 2},
    "multifaceted": {"facets": 1, "steps": 1, "classes": 1},
    "class_visualization": {"classes": 2, "steps": 2, "settings_classes": 0},
    "logit_vs_probability": {"classes": 1, "steps": 2},
    "objectives": {"steps": 2},
    "unit_visualization": {"units": 1, "steps": 2},
    "diversity": {"units": 1, "pictures": 2, "steps": 1},
    "feature_inversion": {"pictures": 1, "layers": 3, "steps": 2},
    "deepdream": {"pictures": 1, "layers": 2, "size": 45, "steps": 1, "octaves": 3},
    "fooling_images": {"steps": 2, "noise": 1},
    "texture_synthesis": {"size": 37, "steps": 1},
    "style_transfer": {"size": 37, "steps": 1, "variant_size": 33, "variant_steps": 1}
    | {"ratios": [1], "mix": [0.5], "style_sizes": [2]},
}


def arrays(folder: Path, channels: int, count: int = 24, classes: int = 4, side=(24, 24), black=False) -> dict:
    """The config block of an image set of random pictures as arrays, a subfolder per class (0, 1, …)."""
    rng = np.random.default_rng(0)
    for i in range(count):
        path = folder / f"{i % classes}" / f"{i:03d}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        plane = rng.random((*side, channels)) * 0.3 + 0.7 * rng.random(channels)
        np.save(path, np.float32(plane * (0 if black else 1)))
    return {"kind": "folder", "path": str(folder)} | ({"show": [0, 1, 2]} if channels > 3 else {})


def listed(block: dict, folder: Path) -> None:
    """images.json and thumbnails.npy of an image set in ``folder``."""
    words = [
        "--config",
        json.dumps(block),
        "--index",
        folder / "images.json",
        "--thumbnails",
        folder / "thumbnails.npy",
    ]
    call("cnnviz.pictures.images", *words)


def call(module: str, *arguments) -> None:
    """``python -m module …`` in this process, which has imported torch already."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [module, *map(str, arguments)])
        runpy.run_module(module, run_name="__main__")


def apart(figure) -> int:
    """The number of the figure's series of parts; they lie within it, side by side, each with its label."""
    for parts in figure.stages:
        assert len(parts.labels) == len(parts.boxes) >= 2 - bool(parts.below), figure.id
        for x, y, width, height in parts.every:
            assert min(x, y) >= 0 and x + width <= figure.width + 0.5 and y + height <= figure.height + 0.5, figure.id
        for (x, y, width, height), (u, v, *_) in combinations(parts.every, 2):
            assert abs(x - u) >= width or abs(y - v) >= height, figure.id
    return len(figure.stages)


class Run:
    """A network on an image set. work: a folder. found: section → "ok", why it does not apply, or the error.

    few: only the first, the middle and the last of the layers that are shown by default.
    """

    def __init__(
        self, work: Path, image_set: dict, index: Path, model: dict, sections: dict | None = None, few: bool = False
    ):
        wanted = {name: LEAST.get(name, {}) for name in LEAST} | (sections or {})
        self.full = config.complete({"image_sets": {"s": image_set}, "models": {"m": model}, "sections": wanted})
        self.work, self.found = work, {}
        names = {"network": "network.json", "model": "model.json", "forward": "forward.npz"}
        self.inputs = {name: work / file for name, file in names.items()}
        self.inputs |= {name: work / f"{name}.npy" for name in ("features", "logits")}
        self.inputs |= {"untrained": work / "untrained.npz"}
        self.inputs |= {"images": index / "images.json", "thumbnails": index / "thumbnails.npy"}
        classes = json.loads((index / "images.json").read_text())["classes"]
        network.main(self.job("model", {"checkpoint": "", "set_classes": classes}, {"network": self.inputs["network"]}))
        self.facts = facts.read(self.inputs["network"])
        shown = self.facts["default_layers"]
        if few:
            self.full["models"]["m"]["layers"] = shown = [shown[0], shown[len(shown) // 2], shown[-1]]
        self.inputs["model"].write_text(json.dumps(self.facts | {"chosen": shown}))
        outputs = {"result": self.inputs["forward"]}
        outputs |= {name: self.inputs[name] for name in ("features", "logits", "untrained")}
        self.do("forward", {"batch": 8, "top": 2}, outputs)

    def job(self, section: str, parameters: dict, outputs: dict, inputs: dict | None = None) -> Job:
        block = self.full["models"]["m"]
        chosen = {"image_set": self.full["image_sets"]["s"], "parameters": parameters, "seed": 0, "device": "cpu"}
        more = {"threads": 1, "code": "", "inputs": inputs or self.inputs, "outputs": outputs}
        return Job(model_id="m", section=section, model=block, **chosen, **more)

    def do(self, section: str, parameters: dict, outputs: dict, inputs: dict | None = None) -> None:
        (file,) = (f for f in (ROOT / "cnnviz").glob(f"*/{section}.py") if f.parent.name not in ("views", "ascent"))
        technique = importlib.import_module(f"cnnviz.{file.parent.name}.{section}").main
        perform(technique, self.job(section, parameters, outputs, inputs))

    def section(self, name: str) -> result.Result:
        """Computes a section, and its inputs before it; returns its result."""
        path = self.work / "sections" / name / "result.npz"
        path.parent.mkdir(parents=True, exist_ok=True)
        parameters = {k: v for k, v in self.full["sections"][name].items() if k != "view"}
        given = self.inputs
        if name == "attribution_check":  # treats all other inputs as results of methods
            given = {key: self.inputs[key] for key in ("network", "images", *METHODS) if key in self.inputs}
        elif name == "bias_probe":
            given = {key: self.inputs[key] for key in ("network", "images")}
        self.do(name, parameters, {"result": path}, given)
        left = result.read(path)
        self.inputs = self.inputs | {name: path}
        self.found[name] = "ok" if left.status == "ok" else left.reason
        return left

    def draw(self, name: str):
        """The section's figures and texts, from its result."""
        from cnnviz.views.kit.section import load

        folder = self.work / "sections" / name
        show, of_set = (
            json.dumps(block) for block in (self.full["sections"][name]["view"], self.full["image_sets"]["s"])
        )
        words = ["--show", show, "--image-set", of_set, "--section", folder / "section.json"]
        words += ["--figures", folder / "figures.zip", "--input"]
        call(
            f"cnnviz.views.{name}",
            *words,
            *(f"{k}={v}" for k, v in (self.inputs | {"result": folder / "result.npz"}).items()),
        )
        drawn = load(folder / "section.json")
        for figure in drawn.figures:
            apart(figure)
        return drawn

    def every(self, only=None) -> dict[str, str]:
        for name in only or self.full["sections"]:
            try:
                self.section(name)
            except Exception as error:
                self.found[name] = f"RAISED {type(error).__name__}: {error}"
        return self.found
