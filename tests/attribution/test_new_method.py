"""Adds CONTRIBUTING.md's example method to a copy of the checkout; it must appear everywhere."""

import json
import re
import zipfile
from pathlib import Path

import pytest
import yaml

from cnnviz.config import whole_schema
from tests import forked
from tests.checkout import ROOT, copy_code

# Files of CONTRIBUTING.md's example: file → block of code.
TEXT = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
FILES = dict(re.findall(r"^`([\w./]+)` [^\n]*:\n\n```\w+\n(.*?)```", TEXT, re.M | re.S))
TECHNIQUES, SCHEMA = "rules/techniques.yaml", "rules/schemas/attribution.yaml"

CONFIG = {
    "threads": 1,
    "device": "cpu",
    "image_sets": {"drawn": {"kind": "demo", "count": 36}},
    "models": {
        "tiny": {
            "factory": "cnnviz/demo/nets.py:demo_net",
            "checkpoint": "cnnviz/demo/weights/biased.safetensors",
            "probes": 2,
            "preprocess": {"mean": 0.5, "std": 0.25, "resize": [64, 64], "crop": None},
        }
    },
}


def snakemake(folder: Path, *arguments: str) -> str:
    done = forked.snakemake(["--cores", "2", "--configfile", "tiny.yaml", *arguments], folder)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A finished run of a copy with Score-CAM."""
    folder = tmp_path_factory.mktemp("checkout")
    copy_code(folder)
    for file in FILES.keys() - {TECHNIQUES, SCHEMA}:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_text(FILES[file])
    rows, schema = folder / TECHNIQUES, folder / SCHEMA
    rows.write_text(rows.read_text() + FILES[TECHNIQUES])
    before = "  attribution_check:\n"
    schema.write_text(schema.read_text().replace(before, FILES[SCHEMA] + before))
    sections = {"attribution_check": {"steps": 4, "blocks": 2, "randomised": 1, "resamples": 200}}
    sections |= {"saliency": {"samples": 2, "steps": 2}}
    off = {name: False for name in whole_schema()["properties"]["sections"]["properties"] if name not in sections}
    (folder / "tiny.yaml").write_text(yaml.safe_dump(CONFIG | {"sections": sections | off}))
    snakemake(folder)
    return folder


def test_its_own_test_passes(folder):
    (file,) = (file for file in FILES if file.startswith("tests/"))
    done = forked.run(["-m", "pytest", "-q", file], folder)
    assert done.returncode == 0 and len(FILES) == 5, done.stdout


def test_it_is_in_the_check_the_comparison_the_methods_page_and_the_manifest(folder):
    made = folder / "results/models/tiny/sections/attribution_check"
    section = json.loads((made / "section.json").read_text())
    tables = {table["id"]: table for table in section["tables"]}
    assert "score cam" in [row[0] for row in tables["verdicts"]["rows"]]
    compared = [figure for figure in section["figures"] if figure["group"] == "Picture by picture"]
    assert len(compared) == 2 and all("score cam" in figure["alt"] for figure in compared)
    of = {subject["name"] for figure in compared for subject in figure["subjects"] if subject["kind"] == "image"}
    assert of == {figure["alt"].split()[0] for figure in compared} and len(of) == 2
    for name in of:  # the picture's own page shows the method's map
        page = (folder / f"results/site/images/drawn/{name}.html").read_text()
        assert 'id="of-score_cam" data-technique="score_cam"' in page
    with zipfile.ZipFile(made / "figures.zip") as figures:
        drawn = [figures.read(figure["file"]).decode() for figure in compared]
        assert all(">score cam</text>" in svg for svg in drawn)
        # the same layout for every picture
        titles = [[part.split("</text>")[0] for part in svg.split("<text ")[1:]] for svg in drawn]
        assert titles[0] == titles[1]
    assert "Score-CAM" in (folder / "results/site/methods.html").read_text()
    manifest = json.loads((folder / "results/site/manifest.json").read_text())
    assert {"score_cam", "attribution_check"} <= {s["id"] for s in manifest["models"][0]["sections"]}


def test_a_change_of_the_method_reruns_its_checks(folder):
    file = folder / "cnnviz/attribution/score_cam.py"
    file.write_text(file.read_text().replace("clamp(min=1e-12)", "clamp(min=1e-9)"))
    table = snakemake(folder, "--dry-run").split("Job stats:")[1].split("total")[0]
    planned = dict(re.findall(r"^(\w+)\s+(\d+)$", table, re.M))
    assert planned["score_cam"] == planned["attribution_check"] == "1" and "saliency" not in planned
