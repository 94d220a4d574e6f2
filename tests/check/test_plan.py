"""Snakemake's dry run becomes a few lines, and the command works as a whole."""

import subprocess
import sys
from pathlib import Path

import pytest

from cnnviz import config
from cnnviz.check.plan import Cost, plan
from cnnviz.site.size import expected

DRY_RUN = """
[Fri Nov 20 17:23:35 2026]
rule images:
    output: r/image_sets/s/images.json, r/image_sets/s/thumbnails.npy
    log: r/logs/image_sets/s.images.log
rule forward:
    input: r/models/m/network.json
    output: r/models/m/forward/result.npz, r/models/m/forward/features.npy
rule saliency:
    output: r/models/m/sections/saliency/result.npz
rule view:
    output: r/models/m/sections/saliency/section.json
localrule all:
    input: r/site/index.html
"""


def test_the_plan_counts_jobs_files_and_bytes():
    full = config.complete(
        {"image_sets": {"s": {"kind": "demo", "count": 1000}}, "models": {"m": {"torchvision": "x"}}}
    )
    cost = Cost("m", 1000, features=512, outputs=24, layers=5, units=100, pixels=64 * 64, probes=12, seconds=100.0)
    text = {line.name: line.text for line in plan(DRY_RUN, [cost], full)}
    assert text["jobs"] == "4: 1 techniques, 1 views, 1 forward passes, 1 others"
    assert text["disk"].startswith("6 files") and "14 MB of features" in text["disk"]  # 4 000 × 536 + 12 288 000 bytes
    assert "2 min" in text["time"]


def test_the_gallerys_size_is_stated_beforehand():
    """The demo's own site, as measured: 1 994 files, 106 MB."""
    demo = config.complete(config.read(Path("config.yaml")))
    costs = [Cost(id, 960, 256, 12, layers=5, units=352, pixels=64 * 64, probes=12, seconds=0) for id in demo["models"]]
    files, made, written = expected(costs, demo)
    assert files == pytest.approx(1994, rel=0.2)
    assert made + written == pytest.approx(106e6, rel=0.2)
    one = expected(costs[:1], demo | {"models": {"biased": demo["models"]["biased"]}})
    assert files / 2.2 < one[0] < files and one[1] == pytest.approx(made / 2)
    nets = {"alexnet": (5, 1152), "vgg16": (13, 4224)}  # numbers of layers and units shown by default
    two = config.complete(
        {"image_sets": {"s": {"kind": "demo"}}, "models": {name: {"torchvision": name} for name in nets}}
    )
    costs = [Cost(id, 5000, 4096, 1000, *shown, 224 * 224, 12, 0) for id, shown in nets.items()]
    files, made, written = expected(costs, two)
    assert files < 12_000 and made + written < 2**30  # a rough estimate, but hosts take no more


def test_nothing_to_do_is_said():
    full = config.complete({"image_sets": {"s": {"kind": "demo"}}, "models": {"m": {"torchvision": "x"}}})
    assert [line.text.split(":")[0] for line in plan("Nothing to be done (all …).\n", [], full)] == ["none"]


def run(path):
    command = [sys.executable, "-m", "cnnviz.check", str(path)]
    return subprocess.run(command, capture_output=True, text=True, encoding="utf-8")


def test_the_command_tells_all_of_a_small_config(tmp_path):
    path = tmp_path / "small.yaml"
    path.write_text(f"""
image_sets: {{drawn: {{kind: demo, count: 48}}}}
models:
  net:
    factory: cnnviz/demo/nets.py:demo_net
    checkpoint: cnnviz/demo/weights/unbiased.safetensors
    preprocess: {{mean: 0.5, std: 0.25, resize: [64, 64]}}
sections: [saliency]
results: {tmp_path}/results
""")
    done = run(path)
    assert done.returncode == 0, done.stdout + done.stderr
    for word in ("Image set drawn", "Model net", "✓ accuracy", "· jobs", "nothing clearly wrong"):
        assert word in done.stdout
    assert not (tmp_path / "results").exists()  # it writes nothing


def test_an_invalid_config_and_a_wrong_one_exit_with_1(tmp_path):
    path = tmp_path / "bad.yaml"
    path.write_text("image_sets: {drawn: {kind: demo}}\nmodels: {net: {torchvisoin: alexnet}}\n")
    done = run(path)
    assert done.returncode == 1 and "torchvision" in done.stderr and "Traceback" not in done.stderr
