"""A small image set with features, in files as the pipeline's jobs find them, and a way to run a job on it."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnnviz.pictures import images
from cnnviz.run import result
from cnnviz.run.job import Job, perform
from cnnviz.views.kit import section
from cnnviz.views.kit.section import Context

PARAMETERS = {
    "nearest_neighbors": {"k": 6, "queries": None, "sample": 2000},
    "pca": {"components": 50},
    "tsne": {"components": 50, "perplexity": 30, "iterations": 750, "sample": 2000},
    "tsne_grid": {"exact_up_to": 2500},
}


@dataclass
class Case:
    folder: Path
    config: dict
    features: np.ndarray
    labels: np.ndarray

    def run(self, technique, **parameters) -> result.Result:
        """Runs a technique's main as its job, with the case's files; returns its result."""
        name = technique.__name__.rsplit(".", 1)[1]
        inputs = {
            "features": "features.npy",
            "images": "images.json",
            "thumbnails": "thumbnails.npy",
            "network": "network.json",
            "tsne": "tsne.npz",
            "untrained": "untrained.npz",
        }
        job = Job(
            "net", name, {"probes": 5, "feature_layer": "auto"}, self.config,
            PARAMETERS[name] | parameters, 7, "cpu", 2, "",
            {key: self.folder / file for key, file in inputs.items()}, {"result": self.folder / f"{name}.npz"},
        )  # fmt: skip
        perform(technique.main, job)
        return result.read(job.outputs["result"])

    def context(self) -> Context:
        """The view's context."""
        return Context(
            json.loads((self.folder / "network.json").read_text()), {},
            images.read(self.folder / "images.json", self.config), np.load(self.folder / "thumbnails.npy"), {},
        )  # fmt: skip

    @staticmethod
    def section(shown: dict) -> section.Section:
        """The Section of a view's output; it fails for a wrong field name."""
        words = {key: "…" for key in ("id", "title", "question", "how_to_read", "do_not_conclude")}
        return section.Section(papers=(), **words | shown)


def make(folder: Path, features: np.ndarray, names: list[str], labels: bool = True) -> Case:
    """Writes pictures (24 px, noise in their class's grey) and other files for these features. Class i % len(names)."""
    generator = np.random.default_rng(3)
    index = np.arange(len(features)) % len(names)
    for i, c in enumerate(index):
        pixels = np.clip(generator.normal(60 + 30 * c, 40, (24, 24, 3)), 0, 255).astype(np.uint8)
        path = folder / "set" / (names[c] if labels else "") / f"{i:04d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
    config = {"kind": "folder", "path": str(folder / "set"), "limit": None}
    before = sys.argv
    try:
        sys.argv = [
            "images", "--config", json.dumps(config),
            "--index", str(folder / "images.json"), "--thumbnails", str(folder / "thumbnails.npy"),
        ]  # fmt: skip
        images.main()
    finally:
        sys.argv = before
    # the set is in the order of the names: class by class
    order = np.argsort(index, kind="stable") if labels else np.arange(len(features))
    features = features[order].astype(np.float32)
    np.save(folder / "features.npy", features)
    noise = {"index": np.arange(len(features)), "features": np.float32(generator.normal(size=features.shape))}
    result.write(folder / "untrained.npz", result.Result(noise, "ok", "", {}, {}, 0, {}))
    facts = {"schema": 1, "classes": ["x"], "label_to_output": [None] * len(names)}
    facts["feature"] = {"name": "fc7", "size": features.shape[1]}
    (folder / "network.json").write_text(json.dumps(facts))
    return Case(folder, config, features, index[order])


@pytest.fixture
def case(tmp_path) -> Case:
    """120 pictures of three classes with hostile names, in three clusters of 20 features far from the origin."""
    generator = np.random.default_rng(0)
    centres = generator.normal(0, 3, (3, 20))
    features = 100 + centres[np.arange(120) % 3] + generator.normal(0, 1, (120, 20))
    return make(tmp_path, features, ["a & b", "b'<i>x", "c"])


@pytest.fixture
def unlabelled(tmp_path) -> Case:
    """40 pictures without classes."""
    return make(tmp_path, np.random.default_rng(0).normal(0, 1, (40, 20)), [""], labels=False)
