"""Every section on every common architecture: ok, or not applicable for the reason in docs/architectures.md.

Each network has random weights and sees two dozen drawn pictures, and each technique takes the fewest steps. The tests
check that channels-last maps, tokens, shared modules, in-place operations and odd sizes are read well enough to give a
result and its figures, or a plain reason.
"""

import re

import pytest

from cnnviz import config
from cnnviz.network import building, loaded, network
from cnnviz.site import model_pages
from tests import narrow_nets
from tests.every_section import LEAST, ROOT, Run, listed

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
NARROW = NETS.keys() & vars(narrow_nets).keys()  # a quarter as wide
DRAWN = ("vgg16", "densenet121", "vit_b_16", "swin_t")  # views read arrays: one network of each layout is enough
PICTURES = {"kind": "demo", "count": 24}


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
    listed(full["image_sets"]["set"], folder)
    return folder


def _render(net, run):
    """The model's pages, from the sections that were drawn."""
    config = {"model": net, "sections": list(run.found)}
    stamp = model_pages.render(config, run.inputs["model"], run.work / "sections", run.work / "site")
    shown = {entry.id: entry.status == "ok" for entry in stamp.sections}
    assert shown == {section: said == "ok" for section, said in run.found.items()}


@pytest.mark.parametrize("net", NETS)
def test_every_section_is_ok_or_says_why_not(net, pictures, tmp_path, monkeypatch):
    door = {"factory": f"tests/narrow_nets.py:{net}"} if net in NARROW else {"torchvision": net, "weights": "random"}
    block = door | {"arguments": {"num_classes": 12}, "probes": 1, "preprocess": {"resize": [NETS[net]] * 2}}
    built = {}

    def build_once(*arguments):
        if not built:
            built["net"] = build(*arguments)
        return built["net"]

    build = building.build
    for module in (network, loaded):
        monkeypatch.setattr(module, "build", build_once)
    run = Run(tmp_path, PICTURES, pictures, block, SECTIONS, few=True)
    for section in run.full["sections"]:
        left = run.section(section)
        if net in DRAWN:
            shown = run.draw(section)
            assert left.status != "ok" or shown.figures or shown.tables, f"{section} shows nothing"
            assert left.status != "ok" or shown.findings, f"{section} finds nothing, not even that nothing is found"
    if net in DRAWN:
        _render(net, run)
    expected = committed().get(net, {})
    assert run.found == expected, f"docs/architectures.md should say of {net}: {run.found}"
