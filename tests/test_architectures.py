"""Every section on every common architecture: ok, or not applicable for the reason in docs/architectures.md.

Each network has random weights and sees two dozen drawn pictures, and each technique takes the fewest steps. The tests
check that channels-last maps, tokens, shared modules, in-place operations and odd sizes are read well enough to give a
result and its figures, or a plain reason.
"""

import json
import re
import subprocess
import sys
from dataclasses import replace

import pytest

from cnnviz import config
from cnnviz.network import doors, facts, loaded, network
from cnnviz.pictures import listing
from cnnviz.run import result
from cnnviz.site import model_pages
from cnnviz.views.kit.section import load
from tests.every_section import LEAST, METHODS, ROOT, call

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
SECTIONS = LEAST | {
    "linear_templates": False,  # these three depend on the pictures, not on the architecture
    "bias_probe": False,
    "multifaceted": False,
    "lime": LEAST["lime"] | {"superpixels": 9},
    "deepdream": LEAST["deepdream"] | {"size": 64, "octaves": 2},  # deep networks take no smaller pictures
    "texture_synthesis": LEAST["texture_synthesis"] | {"size": 64},
    "style_transfer": LEAST["style_transfer"] | {"size": 64, "variant_size": 64},
}
DRAWN = ("alexnet", "densenet121", "vit_b_16", "swin_t")  # views read arrays: one network of each layout is enough
PICTURES = {"kind": "demo", "count": 24}


def pairs(paths):
    return [f"{name}={path}" for name, path in paths.items()]


def compute(job):
    (file,) = (f for f in (ROOT / "cnnviz").glob(f"*/{job.section}.py") if f.parent.name not in ("views", "ascent"))
    blocks = {name: getattr(job, name) for name in ("model_id", "section", "model", "image_set", "parameters", "seed")}
    words = ["--job", json.dumps(blocks), "--device", "cpu", "--threads", "2"]
    files = ["--input", *pairs(job.inputs), "--output", *pairs(job.outputs)]
    call(f"cnnviz.{file.parent.name}.{job.section}", *words, *files)


def draw(section, full, inputs):
    folder = inputs["result"].parent
    words = ["--show", json.dumps(full["sections"][section]["view"])]
    words += ["--image-set", json.dumps(full["image_sets"]["set"])]
    words += ["--section", folder / "section.json", "--figures", folder / "figures.zip"]
    call(f"cnnviz.views.{section}", *words, "--input", *pairs(inputs))
    return load(folder / "section.json")


def committed():
    """net → section → "ok" or the reason, as docs/architectures.md has it."""
    text = TABLE.read_text("utf-8").split("\n## ")[0]
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
    command = [sys.executable, "-m", "cnnviz.pictures.images", "--config", block, "--index", folder / "images.json"]
    subprocess.run([*command, "--thumbnails", folder / "thumbnails.npy"], cwd=ROOT, check=True, capture_output=True)
    return folder


def _render(net, folder, found):
    """The model's pages, from the sections that were drawn."""
    config = {"model": net, "sections": list(found)}
    stamp = model_pages.render(config, folder / "model.json", folder / "models" / net / "sections", folder / "site")
    shown = {entry.id: entry.status == "ok" for entry in stamp.sections}
    assert shown == {section: said == "ok" for section, said in found.items()}


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
            built["net"] = build(*arguments)
        return built["net"]

    build = doors.build
    for module in (network, loaded):
        monkeypatch.setattr(module, "build", build_once)
    classes = listing.classes(PICTURES | {"seed": 1})
    network.main(make_job(block, image_set=PICTURES, set_classes=classes))
    known = facts.read(tmp_path / "network.json")
    shown = known["default_layers"]
    block["layers"] = [shown[0], shown[len(shown) // 2], shown[-1]]
    model = known | {"chosen": block["layers"]}
    (tmp_path / "model.json").write_text(json.dumps(model))

    full = config.complete({"image_sets": {"set": PICTURES}, "models": {"net": block}, "sections": SECTIONS})
    names = ("network", "model", "forward", "features", "logits", "images", "thumbnails")
    inputs = {name: tmp_path / f"{name}.json" for name in names}
    inputs |= {"images": pictures / "images.json", "thumbnails": pictures / "thumbnails.npy"}
    inputs |= {"forward": tmp_path / "forward.npz"}
    inputs |= {name: tmp_path / f"{name}.npy" for name in ("features", "logits")}
    job = make_job(block, image_set=PICTURES)
    outputs = {"result": inputs["forward"], "features": inputs["features"], "logits": inputs["logits"]}
    compute(replace(job, section="forward", parameters={"batch": 8, "top": 2}, inputs=inputs, outputs=outputs))

    found = {}
    for section, parameters in full["sections"].items():
        path = tmp_path / "models" / net / "sections" / section / "result.npz"
        parameters = {k: v for k, v in parameters.items() if k != "view"}
        given = inputs
        if section == "attribution_check":  # treats all other inputs as results of methods
            given = {name: inputs[name] for name in ("network", "images", *METHODS) if name in inputs}
        compute(replace(job, section=section, parameters=parameters, inputs=given, outputs={"result": path}))
        left = result.read(path)
        inputs[section] = path
        found[section] = "ok" if left.status == "ok" else left.reason
        if net in DRAWN:
            shown = draw(section, full, inputs | {"result": path})
            assert shown.status != "ok" or shown.figures or shown.tables, f"{section} shows nothing"
    if net in DRAWN:
        _render(net, tmp_path, found)
    expected = committed().get(net, {})
    assert found == expected, f"docs/architectures.md should say of {net}: {found}"
