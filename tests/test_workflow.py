"""The real DAG on a tiny config: it runs, and afterwards a change reruns what depends on it and nothing else.

The tests share one finished run in a copy of the checkout, and put back what they change.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
import yaml

ROOT = Path(__file__).parents[1]
NET = """
import torch
from torch import nn

def tiny(classes=12):
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 5, stride=2), nn.ReLU(), nn.Conv2d(4, 6, 3), nn.ReLU(), nn.MaxPool2d(3),
        nn.Flatten(), nn.Linear(486, 8), nn.ReLU(), nn.Linear(8, classes))
"""
SECTIONS = (
    *("predictions", "first_layer_filters", "maximal_patches", "nearest_neighbors", "pca", "tsne", "tsne_grid"),
    *("saliency", "class_visualization", "style_transfer"),
)  # a few of each kind; tests/test_architectures.py runs them all
ALL = yaml.safe_load((ROOT / "rules/schemas/config.schema.yaml").read_text())["properties"]["sections"]["properties"]
CONFIG = {
    "threads": 1,
    "device": "cpu",
    "image_sets": {"drawn": {"kind": "demo", "count": 36}},
    "models": {
        "tiny": {
            "factory": "net.py:tiny",
            "checkpoint": "weights.pt",
            "probes": 2,
            "preprocess": {"mean": 0.5, "std": 0.25, "resize": [64, 64], "crop": None},
        }
    },
    "sections": {name: False for name in ALL if name not in SECTIONS}
    | {
        "tsne": {"perplexity": 5},
        "saliency": {"samples": 2},
        "class_visualization": {"classes": 2, "steps": 3},
        "style_transfer": {"size": 64, "steps": 3, "variant_size": 32, "variant_steps": 2},
    },
}
VIEWS = {"view", "model_pages", "picture_pages", "index"}


class Checkout:
    """A copy of the repository to run in, with a config, a network and its weights."""

    def __init__(self, folder: Path):
        self.folder = folder
        for name in ("cnnviz", "rules", "templates", "profiles", "Snakefile", "environment.yaml"):
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
            copy(ROOT / name, folder / name)
        (folder / "net.py").write_text(NET)
        namespace: dict = {}
        exec(NET, namespace)
        torch.save(namespace["tiny"]().state_dict(), folder / "weights.pt")
        self.configure()

    def configure(self, **changes) -> None:
        (self.folder / "tiny.yaml").write_text(yaml.safe_dump(CONFIG | changes))

    def snakemake(self, *arguments: str) -> subprocess.CompletedProcess:
        command = [sys.executable, "-m", "snakemake", "--cores", "2", "--configfile", "tiny.yaml", *arguments]
        return subprocess.run(command, cwd=self.folder, text=True, capture_output=True)

    def make(self) -> str:
        done = self.snakemake()
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return done.stdout + done.stderr

    def planned(self) -> Counter:
        """Rule → how many of its jobs would run now."""
        done = self.snakemake("--dry-run")
        text = done.stdout + done.stderr
        assert done.returncode == 0, text[-3000:]
        if "Nothing to be done" in text:
            return Counter()
        table = text.split("Job stats:")[1].split("total")[0]
        counted = Counter({name: int(n) for name, n in re.findall(r"^(\w+)\s+(\d+)$", table, re.M)})
        del counted["all"]
        return counted

    def manifest(self) -> dict:
        model = json.loads((self.folder / "results/site/manifest.json").read_text())["models"][0]
        return {section["id"]: section for section in model["sections"]}

    @contextmanager
    def edited(self, path: str, old: str, new: str):
        """Replace ``old`` by ``new`` in a file, and put it back with its time of change."""
        file = self.folder / path
        before, status = file.read_text(), file.stat()
        assert old in before
        file.write_text(before.replace(old, new, 1))
        try:
            yield
        finally:
            file.write_text(before)
            os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.fixture(scope="module")
def checkout(tmp_path_factory) -> Checkout:
    made = Checkout(tmp_path_factory.mktemp("checkout"))
    made.make()
    return made


def test_every_section_is_in_the_gallery_with_its_page(checkout):
    manifest = checkout.manifest()
    assert tuple(manifest) == SECTIONS
    for section in manifest.values():
        assert section["status"] == "ok", section
        page = (checkout.folder / "results/site" / section["page"]).read_text()
        assert section["figures"] == page.count("<figure") > 0
    assert (checkout.folder / "results/site/index.html").is_file()


def test_a_second_run_has_nothing_to_do_and_where_to_look_is_said(checkout):
    assert not checkout.planned()
    command = [sys.executable, "-m", "cnnviz.config", "tiny.yaml", "--where"]
    said = subprocess.run(command, cwd=checkout.folder, text=True, capture_output=True, check=True).stdout
    assert "results/site/index.html" in said


def test_results_are_data_with_parameters_seed_and_code(checkout):
    from cnnviz import result

    left = result.read(checkout.folder / "results/models/tiny/sections/saliency/result.npz")
    assert left.parameters["samples"] == 2 and left.parameters["noise"] == 0.15 and "view" not in left.parameters
    assert left.seed == 0
    assert left.provenance["device"] == "cpu" and left.provenance["code"] and left.provenance["checkpoint"]


PROBES = {"predictions": 1, "saliency": 1, "nearest_neighbors": 1, "class_visualization": 1, "view": 4}


@pytest.mark.parametrize(
    ("path", "old", "new", "rerun"),
    [
        ("cnnviz/views/saliency.py", "Saliency maps", "Maps of saliency", {"view": 1}),
        ("cnnviz/views/colour.py", '"magma"', '"inferno"', {"view": 6}),
        ("cnnviz/attribution/saliency.py", ".abs().amax(1)", ".abs().sum(1)", {"saliency": 1, "view": 1}),
        ("cnnviz/attribution/saliency.py", "\n\ndef gradient", "\n\n# a comment\ndef gradient", {}),
        ("cnnviz/attribution/saliency.py", "S_c is the logit", "S_c: the logit", {}),
        ("tiny.yaml", "samples: 2", "samples: 3", {"saliency": 1, "view": 1}),
        ("tiny.yaml", "device: cpu", "device: auto", {}),
        ("tiny.yaml", "samples: 2", "samples: 2\n    view: {percentile: 90}", {"view": 1}),
        ("tiny.yaml", "probes: 2", "probes: 3", PROBES),
        ("net.py", "nn.Linear(486, 8)", "nn.Linear(486, 8, bias=True)", None),
    ],
)
def test_a_change_reruns_what_depends_on_it_and_nothing_else(checkout, path, old, new, rerun):
    with checkout.edited(path, old, new):
        planned = checkout.planned()
    if rerun is None:  # the network itself: everything that uses it
        assert planned["network"] == planned["forward"] == planned["class_visualization"] == 1
        assert not planned["image_set"]
    else:
        assert {k: v for k, v in planned.items() if k not in ("model_pages", "picture_pages", "index")} == rerun
        assert bool(planned["model_pages"]) == bool(rerun)


def test_touched_inputs_rerun_nothing_and_a_changed_byte_does(checkout):
    file = checkout.folder / "weights.pt"
    os.utime(file)
    assert not checkout.planned()
    before = file.read_bytes()
    state = torch.load(file, weights_only=True)
    state["0.bias"][0] += 1
    torch.save(state, file)
    try:
        planned = checkout.planned()
        assert planned["network"] == planned["forward"] == planned["saliency"] == 1 and not planned["image_set"]
    finally:
        file.write_bytes(before)
    assert not checkout.planned()


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("models/tiny/sections/pca/section.json", "view"),
        ("models/tiny/sections/pca/figures.zip", "view"),
        ("models/tiny/sections/pca/result.npz", "pca"),
        ("models/tiny/pages.json", "model_pages"),
        ("site/models/tiny/index.html", "model_pages"),
        ("site/manifest.json", "index"),
    ],
)
def test_a_deleted_file_is_made_again(checkout, name, rule):
    file = checkout.folder / "results" / name
    kept = file.with_name("kept")
    file.rename(kept)
    try:
        assert checkout.planned()[rule] == 1
    finally:
        kept.rename(file)


def test_a_failing_technique_leaves_the_rest_and_is_made_up_for(checkout):
    with checkout.edited("cnnviz/attribution/saliency.py", "\nmain =", "\nraise ValueError('planted')\n\nmain ="):
        done = checkout.snakemake()
        assert done.returncode != 0
        section = checkout.manifest()["saliency"]
        assert section["status"] == "missing"
        page = (checkout.folder / "results/site" / section["page"]).read_text()
        assert "planted" in page and str(checkout.folder) not in page
        assert checkout.manifest()["pca"]["status"] == "ok"
        planned = checkout.planned()
        assert planned["saliency"] == 1 and not set(planned) - {"saliency", *VIEWS}
    checkout.make()
    assert checkout.manifest()["saliency"]["status"] == "ok"


def test_the_pass_over_the_pictures_in_shards_leaves_the_same_bytes(checkout):
    left = [f"models/tiny/forward/{name}" for name in ("result.npz", "features.npy", "logits.npy")]
    checkout.configure(forward_shards=2, results="results-sharded")  # of 36 pictures, 32 at a time
    try:
        done = checkout.snakemake("--", f"results-sharded/{left[0]}")
    finally:
        checkout.configure()
    assert done.returncode == 0, done.stderr[-3000:]
    assert len(list((checkout.folder / "results-sharded/logs/tiny").glob("forward.shard-*.log"))) == 2
    assert not list((checkout.folder / "results-sharded").rglob("shard-*.npz"))  # they are not kept
    for name in left:
        one, other = ((checkout.folder / folder / name).read_bytes() for folder in ("results", "results-sharded"))
        assert one == other, name


def test_a_section_that_is_turned_off_loses_its_page_and_nothing_is_computed(checkout):
    page = checkout.folder / "results/site" / checkout.manifest()["pca"]["page"]
    checkout.configure(sections=CONFIG["sections"] | {"pca": False})
    try:
        assert set(checkout.planned()) == {"model_pages", "picture_pages", "index"}
        checkout.make()
        assert not page.exists() and "pca" not in checkout.manifest()
    finally:
        checkout.configure()
        checkout.make()
    assert page.exists()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"colour": 1}, "Valid: title"),
        ({"models": {"tiny": {"factory": "nett.py:tiny"}}}, "Did you mean 'net.py'"),
        ({"sections": {"saliencies": {}}}, "Did you mean 'saliency'"),
    ],
)
def test_a_wrong_config_stops_before_anything_runs(checkout, changes, said):
    checkout.configure(**changes)
    try:
        done = checkout.snakemake()
    finally:
        checkout.configure()
    assert done.returncode != 0 and said in done.stderr and "Traceback" not in done.stderr
    assert "Job stats" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("model", "sections", "said"),
    [
        ({"layers": ["conv7"]}, {}, "conv1, conv2, fc1, fc2"),
        ({"feature_layer": "fc7"}, {}, "conv1, conv2, fc1, fc2"),
        ({}, {"class_visualization": {"classes": ["fisch"]}}, "Did you mean 'fish'"),
    ],
)
def test_a_wrong_layer_or_class_stops_in_the_models_first_job(checkout, model, sections, said):
    models = {"tiny": CONFIG["models"]["tiny"] | model}
    checkout.configure(models=models, sections=sections, results="results-wrong")
    try:
        done = checkout.snakemake()
    finally:
        checkout.configure()
    text = done.stdout + done.stderr
    assert done.returncode != 0 and said in text and "Traceback" not in text
    assert not list((checkout.folder / "results-wrong").rglob("*.npz"))
