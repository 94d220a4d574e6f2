"""After a change exactly the dependent jobs rerun: jobs of a dry run on the real DAG, after a complete run.

The tests share a copy of one finished run (two models, five sections, see checkout.py), and undo their changes.
"""

import os
import re
import shutil
from contextlib import contextmanager

import pytest
import torch

from tests.checkout import ROOT, Finished

PAGES = {"model_pages": 2, "picture_pages": 1, "index": 1}
ONE_MODEL = {"model_pages": 1, "picture_pages": 1, "index": 1}
COMPUTED = ("forward", "first_layer_filters", "maximal_patches", "pca", "saliency", "class_visualization")
WHOLE_MODEL = dict.fromkeys(("network", "model", "look", *COMPUTED), 1) | {"view": 5, "first_layers": 1} | ONE_MODEL
# Of two models, what looks at pictures
LOOKING = dict.fromkeys(("forward", "maximal_patches", "pca", "saliency", "class_visualization"), 2)
OTHER_PICTURES = LOOKING | {"look": 2}


@pytest.fixture(scope="module")
def checkout(finished, tmp_path_factory) -> Finished:
    return finished.copied(tmp_path_factory.mktemp("incremental") / "checkout")


@contextmanager
def replaced(path, content: bytes | None):
    """Replaces or removes a file's content; then restores it with its time."""
    before = path.read_bytes() if path.exists() else None
    times = path.stat() if path.exists() else None
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
    try:
        yield
    finally:
        if before is None:
            path.unlink()
        else:
            path.write_bytes(before)
            os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def test_a_finished_run_has_nothing_to_do(checkout):
    assert not checkout.planned()


@pytest.mark.parametrize(
    ("path", "old", "new", "rerun"),
    [
        pytest.param(
            "cnnviz/attribution/saliency.py", ".abs().amax(1)", ".abs().sum(1)", {"saliency": 2, "view": 2} | PAGES,
            id="a technique",
        ),
        pytest.param(
            "tiny.yaml", "samples: 2", "samples: 3", {"saliency": 2, "view": 2} | PAGES, id="a parameter"
        ),
        pytest.param(
            "cnnviz/views/saliency.py", "Saliency maps", "Maps of saliency", {"view": 2} | PAGES, id="words of a view"
        ),
        pytest.param(
            "cnnviz/views/kit/colour.py", '"magma"', '"inferno"', {"view": 10} | PAGES | {"first_layers": 1},
            id="colours of all views",
        ),
        pytest.param(
            "tiny.yaml", "samples: 2", "samples: 2\n    view: {percentile: 90}", {"view": 2} | PAGES,
            id="what a view shows",
        ),
        pytest.param("templates/section.html", "About this section", "About it", PAGES, id="a template"),
        pytest.param("templates/assets/site.css", "{", "{ ", PAGES, id="the style"),
        pytest.param("cnnviz/site/model_pages.py", '"missing"', '"lacking"', PAGES, id="how pages are made"),
        pytest.param(
            "tiny.yaml", "probes: 2", "probes: 3",
            {"saliency": 1, "class_visualization": 1, "view": 2} | ONE_MODEL, id="a model's probes",
        ),
        pytest.param("tiny.yaml", "device: cpu", "device: auto", {}, id="the device"),
        pytest.param(
            "tiny.yaml", "\ntitle: '{x}", "\ntitle: '{y}", {"index": 1}, id="the gallery's title"
        ),
    ],
)  # fmt: skip
def test_a_change_reruns_what_depends_on_it_and_nothing_else(checkout, path, old, new, rerun):
    with checkout.edited(path, old, new):
        assert checkout.planned() == rerun


def test_comments_docstrings_and_touched_files_rerun_nothing(checkout):
    source = "cnnviz/attribution/saliency.py"
    with (
        checkout.edited(source, "\n\ndef gradient", "\n\n# a comment\ndef gradient"),
        checkout.edited("cnnviz/network/layers.py", '"""', '"""More words: '),
        checkout.edited("cnnviz/views/saliency.py", "\nfrom ", "\n# why\nfrom "),
        checkout.edited("rules/attribution.smk", "rule bias_probe:", "# on a rule\nrule bias_probe:"),
        checkout.edited("tiny.yaml", "models:", "# about the models\nmodels:"),
    ):
        os.utime(checkout.folder / "weights.pt")
        shutil.copy(checkout.folder / "twin.pt", checkout.folder / "copy.pt")
        os.replace(checkout.folder / "copy.pt", checkout.folder / "twin.pt")
        os.utime(checkout.folder / "net.py")
        os.utime(next((checkout.folder / "pictures").rglob("*.png")))
        assert not checkout.planned()


def test_another_checkpoint_reruns_its_model_and_no_other(checkout):
    torch.save(checkout.state(shift=1), checkout.folder / "other.pt")
    with replaced(checkout.folder / "twin.pt", (checkout.folder / "other.pt").read_bytes()):
        assert checkout.planned() == WHOLE_MODEL
        planned = checkout.snakemake("--dry-run", "--quiet", "host").stdout
        assert set(re.findall(r"wildcards: .*?model=(\w+)", planned)) <= {"twin"}


def test_another_network_reruns_all_that_use_it_and_not_the_pictures(checkout):
    with checkout.edited("net.py", "nn.Linear(486, 8)", "nn.Linear(486, 8, bias=True)"):
        planned = checkout.planned()
    both = {rule: 2 for rule in ("network", "model", "look", *COMPUTED)} | {"view": 10, "first_layers": 1}
    assert planned == both | PAGES


def test_another_model_adds_its_own_jobs_and_the_shared_pages(checkout):
    """model_pages of the others run too: their sections link to the same section of the new one."""
    checkout.configure(models=checkout.config["models"] | {"third": checkout.model("weights.pt")})
    try:
        assert checkout.planned() == WHOLE_MODEL | {"model_pages": 3}
    finally:
        checkout.configure()


def test_a_model_less_computes_nothing(checkout):
    checkout.configure(models={"tiny": checkout.config["models"]["tiny"]})
    try:
        assert checkout.planned() == ONE_MODEL
    finally:
        checkout.configure()


def test_more_pictures_rerun_what_looks_at_pictures(checkout):
    picture = checkout.picture(checkout.folder, 18)
    try:
        planned = checkout.planned()
    finally:
        picture.unlink()
    assert planned == {"images": 1, "view": 10} | OTHER_PICTURES | PAGES  # sections of weights alone do not rerun


# Deleted together → all reruns. No file of a row depends on another one of the row, so each is noticed by itself.
DELETED = [
    (["models/tiny/network.json"], WHOLE_MODEL),
    (["models/tiny/model.json", "models/twin/sections/pca/result.npz"], {"model": 1, "pca": 1, "view": 6} | PAGES),
    (
        ["models/tiny/forward/result.npz", "models/twin/forward/features.npy"],
        {"forward": 2, "maximal_patches": 2, "pca": 2, "view": 4} | PAGES,
    ),
    (
        ["models/tiny/forward/logits.npy", "models/tiny/forward/untrained.npz"],
        {"forward": 1, "maximal_patches": 1, "pca": 1, "view": 2} | ONE_MODEL,
    ),
    (["models/tiny/sections/pca/section.json", "models/twin/sections/saliency/figures.zip"], {"view": 2} | PAGES),
    (["models/tiny/look.json"], {"look": 1} | ONE_MODEL),
    (["models/tiny/model_pages.json"], ONE_MODEL),
    (["site/models/twin/index.html", "gallery/first_layers/section.json"], ONE_MODEL | {"first_layers": 1}),
    (["image_sets/drawn/images.json"], {"images": 1, "view": 10} | LOOKING | PAGES),
    (["image_sets/drawn/thumbnails.npy"], {"images": 1, "view": 10} | LOOKING | PAGES),
    (
        ["image_sets/drawn/picture_pages.json", "gallery/first_layers/figures.zip"],
        {"picture_pages": 1, "first_layers": 1, "index": 1},
    ),
    (["gallery/first_layers/result.npz"], {"first_layers": 1, "index": 1}),
    (["site/index.html"], {"index": 1}),
    (["site/manifest.json"], {"index": 1}),
    (["site-size.json"], {"index": 1}),
]


@pytest.mark.parametrize(("files", "rerun"), DELETED, ids=lambda value: value[0] if isinstance(value, list) else "")
def test_deleted_files_are_made_again(checkout, files, rerun):
    paths = [checkout.folder / "results" / name for name in files]
    for path in paths:
        path.rename(path.with_name(f"{path.name}.kept"))
    try:
        assert checkout.planned() == rerun
    finally:
        for path in paths:
            path.with_name(f"{path.name}.kept").rename(path)


def test_a_site_that_was_deleted_is_drawn_again_and_nothing_is_computed(checkout):
    site = checkout.folder / "results/site"
    site.rename(checkout.folder / "kept")
    try:
        assert checkout.planned() == PAGES
    finally:
        (checkout.folder / "kept").rename(site)


def test_every_kind_of_file_is_among_the_deleted(checkout):
    summary = checkout.snakemake("--summary").stdout.splitlines()[1:]
    made = [line.split("\t")[0].removeprefix("results/") for line in summary]

    def kind(name: str) -> str:
        return re.sub(r"models/\w+", "models/M", re.sub(r"sections/\w+", "sections/S", name))

    assert len(made) > 40
    assert {kind(name) for name in made} == {kind(name) for files, _ in DELETED for name in files}


KEEP = "--rerun-triggers mtime input"


def test_what_older_code_computed_can_be_kept(checkout):
    """`make report KEEP=1` makes only missing or new files."""
    assert f"$(if $(KEEP),{KEEP})" in (ROOT / "Makefile").read_text()
    with (
        checkout.edited("cnnviz/attribution/saliency.py", ".abs().amax(1)", ".abs().sum(1)"),
        checkout.edited("cnnviz/views/kit/colour.py", '"magma"', '"inferno"'),
        checkout.edited("cnnviz/network/layers.py", "import ", "import os as more\nimport "),
        checkout.edited("tiny.yaml", "samples: 2", "samples: 3"),
        checkout.edited("tiny.yaml", "  occlusion: false", "  occlusion: {}"),
    ):
        assert checkout.planned(*KEEP.split()) == {"occlusion": 2, "view": 2} | PAGES
        assert checkout.planned()["forward"] == 2


def test_only_models_of_which_something_is_to_be_computed_get_an_allocation(checkout):
    """Pages and jobs about all models are in the job that follows."""
    one = {"image_allocation": 1, "model_allocation": 1, "allocations": 1}
    assert checkout.planned("allocations") == {"allocations": 1}
    with checkout.edited("templates/section.html", "About this section", "About it"):
        assert checkout.planned("allocations") == {"allocations": 1}
    with checkout.edited("tiny.yaml", "probes: 2", "probes: 3"):
        assert checkout.planned("allocations") == one
    with checkout.edited("cnnviz/attribution/saliency.py", ".abs().amax(1)", ".abs().sum(1)"):
        assert checkout.planned("allocations") == one | {"model_allocation": 2}
        assert checkout.planned(*KEEP.split(), "--", "allocations") == {"allocations": 1}
    with replaced(next(checkout.folder.glob("results/models/*/sections/pca/result.npz")), None):
        assert checkout.planned("allocations") == one
