"""The real DAG on a tiny config: it runs, and a wrong config stops it before any job.

The tests share a copy of one finished run (one model, ten sections, see checkout.py), and undo their changes.
test_incremental.py tests reruns after changes, test_faults.py tests faults.
"""

import pytest

from tests import forked
from tests.checkout import Photographed


@pytest.fixture(scope="module")
def checkout(photographed, tmp_path_factory) -> Photographed:
    return photographed.copied(tmp_path_factory.mktemp("workflow") / "checkout")


def test_every_section_is_in_the_gallery_with_its_page(checkout):
    manifest = checkout.manifest()
    assert tuple(manifest) == Photographed.SECTIONS
    for section in manifest.values():
        assert section["status"] == "ok", section
        page = (checkout.folder / "results/site" / section["page"]).read_text()
        assert section["figures"] == page.count("<figure") > 0
    assert (checkout.folder / "results/site/index.html").is_file()


def test_a_second_run_has_nothing_to_do_and_where_to_look_is_said(checkout):
    assert not checkout.planned()
    said = forked.run(["-m", "cnnviz.config", "tiny.yaml", "--where"], checkout.folder)
    assert said.returncode == 0 and "results/site/index.html" in said.stdout


def test_results_are_data_with_parameters_seed_and_code(checkout):
    from cnnviz.run import result

    left = result.read(checkout.folder / "results/models/tiny/sections/saliency/result.npz")
    assert left.parameters["samples"] == 2 and left.parameters["noise"] == "auto" and "view" not in left.parameters
    assert left.seed == 0
    assert left.provenance["device"] == "cpu" and left.provenance["code"] and left.provenance["checkpoint"]


def test_jobs_find_bytecode_and_their_threads_wait_without_spinning(checkout):
    assert list((checkout.folder / "cnnviz/run/__pycache__").glob("job.*.pyc"))
    net = checkout.folder / "net.py"
    text = net.read_text()
    net.write_text("import os\nraise ValueError('they wait: ' + os.environ['OMP_WAIT_POLICY'])")
    checkout.configure(results="results-threads")
    try:
        done = checkout.snakemake("--", "results-threads/models/tiny/network.json")
    finally:
        net.write_text(text)
        checkout.configure()
    assert "they wait: PASSIVE" in done.stdout + done.stderr


def test_the_pass_over_the_pictures_in_shards_leaves_the_same_bytes(checkout):
    left = [f"models/tiny/forward/{name}" for name in ("result.npz", "features.npy", "logits.npy")]
    checkout.configure(forward_shards=2, results="results-sharded")  # of 36 pictures, 32 at a time
    try:
        done = checkout.snakemake("--", f"results-sharded/{left[0]}")
    finally:
        checkout.configure()
    assert done.returncode == 0, done.stderr[-3000:]
    assert len(list((checkout.folder / "results-sharded/logs/tiny").glob("forward.shard-*.log"))) == 2
    assert not list((checkout.folder / "results-sharded").rglob("shard-*.npz"))  # shards are not kept
    for name in left:
        one, other = ((checkout.folder / folder / name).read_bytes() for folder in ("results", "results-sharded"))
        assert one == other, name


def test_a_section_that_is_turned_off_loses_its_page_and_nothing_is_computed(checkout):
    page = checkout.folder / "results/site" / checkout.manifest()["pca"]["page"]
    checkout.configure(sections=checkout.config["sections"] | {"pca": False})
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
    models = {"tiny": checkout.config["models"]["tiny"] | model}
    checkout.configure(models=models, sections=sections, results="results-wrong")
    try:
        done = checkout.snakemake()
    finally:
        checkout.configure()
    text = done.stdout + done.stderr
    assert done.returncode != 0 and said in text and "Traceback" not in text
    assert not list((checkout.folder / "results-wrong").rglob("*.npz"))
