"""Every section on every common architecture: ok, or not applicable for the reason that docs/architectures.md states.

Each net has random weights and looks at two dozen drawn pictures, and each technique takes the least steps it can: what
is tested is that channels-last maps, tokens, shared modules, in-place operations and odd sizes are read rightly enough
to give a result and its figures, or a plain reason why not.
"""

import importlib
import json
import re
import runpy
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cnnviz import config, facts, images, models, result
from cnnviz.views.section import Context

ROOT = Path(__file__).parents[1]
TABLE = ROOT / "docs" / "architectures.md"
NETS = {
    "alexnet": 96,
    "vgg16": 64,
    "googlenet": 64,
    "inception_v3": 96,
    "resnet18": 64,
    "resnet50": 64,
    "densenet121": 64,
    "squeezenet1_0": 64,
    "mobilenet_v2": 64,
    "mobilenet_v3_large": 64,
    "efficientnet_b0": 64,
    "convnext_tiny": 64,
    "vit_b_16": 64,
    "swin_t": 64,
}
SECTIONS = {
    "saliency": {"samples": 1},
    "tsne": {"iterations": 50},
    "class_visualization": {"classes": 1, "steps": 1},
    "style_transfer": {"size": 64, "steps": 1},
    "activation_maps": {},
    "linear_templates": {},
}
PICTURES = {"kind": "demo", "count": 24}


def compute(job):
    """Run the job's technique as the pipeline does, but in this process, which has imported torch already."""
    (file,) = (f for f in (ROOT / "cnnviz").glob(f"*/{job.section}.py") if f.parent.name != "views")
    blocks = {name: getattr(job, name) for name in ("model_id", "section", "model", "image_set", "parameters", "seed")}
    command = [str(file), "--job", json.dumps(blocks), "--device", "cpu", "--threads", "2"]
    command += ["--input", *(f"{name}={path}" for name, path in job.inputs.items())]
    command += ["--output", *(f"{name}={path}" for name, path in job.outputs.items())]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", command)
        runpy.run_module(f"cnnviz.{file.parent.name}.{job.section}", run_name="__main__")


def committed():
    """net → section → "ok" or the reason, as docs/architectures.md has it."""
    text = TABLE.read_text("utf-8")
    notes = dict(re.findall(r"^\[\^(\d+)\]: (.+)$", text, re.MULTILINE))
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]
    head, body = rows[0], rows[2:]
    return {
        row[0].strip("`"): {
            section.strip("`"): "ok" if cell == "ok" else notes[re.search(r"\d+", cell)[0]]
            for section, cell in zip(head[1:], row[1:], strict=True)
        }
        for row in body
    }


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    full = config.complete({"image_sets": {"set": PICTURES}, "models": {"net": {"torchvision": "alexnet"}}})
    block = json.dumps(full["image_sets"]["set"])
    command = [sys.executable, "-m", "cnnviz.images", "--config", block, "--index", folder / "images.json"]
    subprocess.run([*command, "--thumbnails", folder / "thumbnails.npy"], cwd=ROOT, check=True, capture_output=True)
    return folder


@pytest.mark.parametrize("net", NETS)
def test_every_section_is_ok_or_says_why_not(net, make_job, pictures, tmp_path, monkeypatch):
    size = NETS[net]
    block = {"torchvision": net, "weights": "random", "arguments": {"num_classes": 12}, "probes": 1}
    block["preprocess"] = {"resize": [size, size]}
    if net == "vit_b_16":
        block["arguments"]["image_size"] = size
    built = {}

    def build_once(*arguments):
        if not built:
            built["net"] = models_build(*arguments)
        return built["net"]

    models_build = models.build
    monkeypatch.setattr(models, "build", build_once)
    classes = images.classes(PICTURES | {"seed": 1})
    models.main(make_job(block, image_set=PICTURES, set_classes=classes))
    network = facts.read(tmp_path / "network.json")
    model = network | {"chosen": network["default_layers"]}
    (tmp_path / "model.json").write_text(json.dumps(model))

    full = config.complete({"image_sets": {"set": PICTURES}, "models": {"net": block}, "sections": SECTIONS})
    names = ("network", "model", "forward", "features", "logits", "images", "thumbnails", "content", "style")
    inputs = {name: tmp_path / f"{name}.json" for name in names}
    inputs |= {"images": pictures / "images.json", "thumbnails": pictures / "thumbnails.npy"}
    inputs |= {"forward": tmp_path / "forward.npz"}
    inputs |= {name: tmp_path / f"{name}.npy" for name in ("features", "logits")}
    inputs |= {name: ROOT / full["sections"]["style_transfer"][name] for name in ("content", "style")}
    job = make_job(block, image_set=PICTURES)
    outputs = {"result": inputs["forward"], "features": inputs["features"], "logits": inputs["logits"]}
    forward = importlib.import_module("cnnviz.activations.forward")
    forward.main(replace(job, section="forward", parameters={"batch": 8, "top": 9}, inputs=inputs, outputs=outputs))

    found = {}
    for section, parameters in full["sections"].items():
        path = inputs[section] = tmp_path / f"{section}.npz"
        parameters = {k: v for k, v in parameters.items() if k != "view"}
        compute(replace(job, section=section, parameters=parameters, inputs=inputs, outputs={"result": path}))
        left = result.read(path)
        found[section] = "ok" if left.status == "ok" else left.reason
        if left.status == "ok":
            context = Context(
                model,
                full["sections"][section]["view"],
                images.read(inputs["images"], full["image_sets"]["set"]),
                np.load(inputs["thumbnails"], mmap_mode="r"),
                inputs | {"result": path},
            )
            shown = importlib.import_module(f"cnnviz.views.{section}").view(left, context)
            assert shown.get("figures") or shown.get("tables"), f"{section} shows nothing"
    expected = committed().get(net, {})
    assert found == expected, f"docs/architectures.md should say of {net}: {found}"
