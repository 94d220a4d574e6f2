"""Shared fixtures: the real pictures and networks beside the checkout, and jobs as the Snakefile makes them."""

import copy
import functools
import json
import os
from pathlib import Path

import pytest

# Waiting threads must not spin: beside those of another worker, tests would take three times as long.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read when torch is loaded
import torch

from cnnviz import config
from cnnviz.demo import scenes
from cnnviz.run.job import Job
from tests.checkout import Finished, Photographed

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared"

# With pytest-xdist a file runs in one worker. Those of a quarter of a minute and more start first, so that no worker is
# left with one of them at the end while the others wait.
LONG = (
    *("test_slurm", "test_incremental", "test_findings", "test_architectures", "test_faults", "test_budgets"),
    *("test_strangers", "test_networks", "test_published", "test_workflow", "test_publish_run", "test_fetch"),
    *("test_new_method", "test_techniques", "test_map", "test_site_pages", "test_publish"),
)


def drawn_once(draw):
    """``scenes.draw`` with a memory: the tests draw the same few scenes thousands of times. Nobody may change them."""

    @functools.lru_cache(maxsize=2000)
    @functools.wraps(draw)
    def drawn(*what, **how):
        scene = draw(*what, **how)
        for array in (scene.image, scene.mask, scene.background_mask, *scene.parts.values()):
            array.flags.writeable = False
        return scene

    return drawn


scenes.draw = drawn_once(scenes.draw)  # before any module imports it by name


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: LONG.index(item.path.stem) if item.path.stem in LONG else len(LONG))


def pytest_addoption(parser):
    parser.addoption("--hostile-all", action="store_true", help="all of what tests/hostile makes, not a part of it")


@pytest.fixture(scope="session")
def hostile_all(request) -> bool:
    """Whether all cases of tests/hostile run, which takes many minutes."""
    return request.config.getoption("--hostile-all")


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real pictures and pretrained networks; tests that use it are skipped if it is missing."""
    if not (SHARED / "data" / "nets.py").is_file():
        pytest.skip("the shared data are not here")
    return SHARED / "data"


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Finished:
    """A finished run of two tiny models. Do not change it: work in ``finished.copied(…)``."""
    return Finished.once(tmp_path_factory)


@pytest.fixture(scope="session")
def photographed(tmp_path_factory) -> Photographed:
    """A finished run of one model and many sections. Do not change it: work in ``photographed.copied(…)``."""
    return Photographed.once(tmp_path_factory)


@pytest.fixture
def make_job(tmp_path):
    """make_job(model block, section, …) → a Job with every default of the schema, and outputs in tmp_path."""

    def make(model: dict, section: str = "model", image_set: dict | None = None, **changes) -> Job:
        image_set = image_set or {"kind": "demo", "count": 24}
        block = {section: changes.pop("parameters", {})} if section != "model" else {}
        full = config.complete(
            {
                "image_sets": {"set": copy.deepcopy(image_set)},
                "models": {"net": copy.deepcopy(model)},
                "sections": block,
            }
        )
        parameters = {k: v for k, v in full["sections"].get(section, {"checkpoint": ""}).items() if k != "view"}
        if section == "model":
            parameters |= {"set_classes": changes.pop("set_classes", [])}
        job = dict(
            model_id="net",
            section=section,
            model=full["models"]["net"],
            image_set=full["image_sets"]["set"],
            parameters=parameters,
            seed=0,
            device="cpu",
            threads=2,
            code="",
            inputs={"network": tmp_path / "network.json", "images": tmp_path / "images.json"},
            outputs={"network": tmp_path / "network.json", "result": tmp_path / "result.npz"},
        )
        return Job(**job | changes)

    return make


@pytest.fixture(autouse=True)
def _threads():
    torch.set_num_threads(2)


@pytest.fixture
def index():
    """index(path, [(name, label), …], classes): write an images.json that lists these pictures."""

    def write(path: Path, names_and_labels: list[tuple[str, int | None]], classes: list[str]) -> None:
        pictures = [{"id": n, "name": n, "label": label, "width": 64, "height": 64} for n, label in names_and_labels]
        path.write_text(json.dumps({"schema": 2, "classes": classes, "pictures": pictures, "skipped": []}))

    return write
