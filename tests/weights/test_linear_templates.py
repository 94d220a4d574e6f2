"""Template · picture + bias are the classifier's logits; it is tested on unseen pictures."""

import json

import numpy as np
import pytest
from scipy.special import log_softmax
from sklearn.linear_model import LogisticRegression

from cnnviz.pictures.images import ImageSet, Picture
from cnnviz.run import result
from cnnviz.run.job import perform
from cnnviz.run.result import Result
from cnnviz.views.kit.section import Context
from cnnviz.views.linear_templates import found, tile, view
from cnnviz.weights import linear_templates
from cnnviz.weights.linear_templates import chosen, fit, pixels


def coloured(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """(n, 64, 64, 3) uint8 noise, brighter in the class's channel, and labels 0 … 2."""
    generator = np.random.default_rng(seed)
    labels = generator.permutation(np.arange(n) % 3)
    pictures = generator.integers(0, 160, (n, 64, 64, 3), np.uint8)
    pictures[np.arange(n), :, :, labels] += 40
    return pictures, labels


def test_template_times_picture_plus_bias_is_the_classifiers_logit():
    pictures, labels = coloured(60)
    x = pixels(pictures, np.arange(60), 8)
    for classes in (3, 2):
        keep = labels < classes
        templates, bias = fit(x[keep], labels[keep], 0.01)
        assert templates.shape == (classes, 192)
        mean, spread = x[keep].mean(0, dtype=float), x[keep].std(0, dtype=float)
        z = (x - mean) / spread / 192**0.5
        own = LogisticRegression(C=1 / (0.01 * keep.sum()), max_iter=300, tol=1e-5).fit(z[keep], labels[keep])
        logits = x @ templates.T + bias
        if classes == 2:
            np.testing.assert_allclose(logits[:, 1] - logits[:, 0], own.decision_function(z), atol=1e-5)
        else:
            np.testing.assert_allclose(log_softmax(logits, 1), own.predict_log_proba(z), atol=1e-5)


def test_it_is_the_minimum_of_the_stated_objective():
    pictures, labels = coloured(45, seed=1)
    x = pixels(pictures, np.arange(45), 8).astype(np.float64)
    templates, _ = fit(x, labels, 0.05)
    spread = x.std(0) * 192**0.5
    z = (x - x.mean(0)) / spread
    assert np.square(z).sum(1).mean() == pytest.approx(1)
    w, b = templates * spread, x.mean(0) @ templates.T + fit(x, labels, 0.05)[1]

    def objective(w, b):
        return -log_softmax(z @ w.T + b, 1)[np.arange(45), labels].mean() + 0.05 / 2 * np.square(w).sum()

    generator = np.random.default_rng(0)
    for _ in range(20):
        step = generator.normal(size=w.shape) * 0.05
        assert objective(w + step, b) > objective(w, b)


def test_pixels_are_means_of_blocks():
    pictures, _ = coloured(3)
    assert np.allclose(pixels(pictures, np.array([2]), 64)[0], pictures[2].ravel() / 255)
    assert pixels(pictures, np.array([1]), 8)[0, 3] == pytest.approx(pictures[1, :8, 8:16, 0].mean() / 255)


def test_which_pictures_are_used():
    labels = np.repeat([0, 1, 2, 3, -1], [4, 30, 10, 20, 7])
    assert set(labels[chosen(labels, 10, 1000, 0)]) == {1, 2, 3}  # four pictures are too few
    assert set(labels[chosen(labels, 2, 1000, 0)]) == {1, 3}
    some = chosen(labels, 10, 36, 0)
    assert np.bincount(labels[some]).tolist() == [0, 13, 10, 13] and (np.diff(some) > 0).all()
    assert np.array_equal(some, chosen(labels, 10, 36, 0)) and not np.array_equal(some, chosen(labels, 10, 36, 1))
    assert len(chosen(np.full(5, -1), 10, 10, 0)) == 0


@pytest.fixture
def made(make_job, index, tmp_path):
    """made(pictures, labels, roles) → the result, of a network that is right on every other picture."""

    def make(pictures, labels, roles=None, outputs=(0, 1, 2), **parameters):
        names = [(f"p{i:03d}", None if c < 0 else int(c)) for i, c in enumerate(labels)]
        index(tmp_path / "images.json", names, ["red", "green", "blue"])
        if roles:
            data = json.loads((tmp_path / "images.json").read_text())
            for picture, role in zip(data["pictures"], roles, strict=True):
                picture["role"] = role
            (tmp_path / "images.json").write_text(json.dumps(data))
        np.save(tmp_path / "thumbnails.npy", pictures)
        known = np.array([*outputs, -1])[labels]
        best = np.where(np.arange(len(labels)) % 2, known, known + 1)
        forward = {"top_classes": best[:, None].astype(np.int32), "label": known.astype(np.int32)}
        result.write(tmp_path / "forward.npz", Result(forward, "ok", "", {}, {}, 0, {"code": "abc"}))
        files = {n: tmp_path / f for n, f in (("images", "images.json"), ("thumbnails", "thumbnails.npy"))}
        given = {"size": 8, "penalty": 0.002, "sample": 4000, "classes": 100} | parameters
        job = make_job(
            {"torchvision": "alexnet"},
            "linear_templates",
            inputs=files | {"forward": tmp_path / "forward.npz"},
            parameters=given,
        )
        perform(linear_templates.main, job)
        return result.read(job.outputs["result"])

    return make


def test_colours_are_told_apart_and_noise_is_not(made):
    pictures, labels = coloured(90)
    left = made(pictures, labels)
    assert left.numbers["linear"] > 0.95 and left.numbers["cnn"] == 0.5
    best = left.arrays["templates"].mean((1, 2)).argmax(1)
    assert best.tolist() == [0, 1, 2]  # the red class's template is red
    random = np.random.default_rng(3).permutation(labels)
    left = made(pictures, random)  # on the fitted pictures this would be far above chance
    assert left.numbers["linear"] < 0.5


def test_with_queries_it_is_fitted_to_the_references_alone(made):
    pictures, labels = coloured(60)
    roles = ["query" if i >= 45 else "reference" for i in range(60)]
    left = made(pictures, labels, roles)
    assert left.arrays["tested"].tolist() == list(range(45, 60)) and left.arrays["fitted"].max() < 45
    other = pictures.copy()
    other[45:] = 255 - other[45:]
    again = made(other, labels, roles)
    assert np.array_equal(again.arrays["templates"], left.arrays["templates"])
    assert again.numbers["linear"] < left.numbers["linear"]


def test_where_there_is_nothing_to_tell_apart(made):
    pictures, labels = coloured(30)
    for few in (np.full(30, -1), np.zeros(30, int), np.where(np.arange(30) < 4, 1, 0)):
        assert made(pictures, few).status == "not_applicable"


def test_a_class_that_the_network_lacks_is_no_fault_of_it(made):
    pictures, labels = coloured(30)
    left = made(pictures, labels, outputs=(0, 1, -1))
    assert (left.arrays["cnn_right"][labels == 2] == -1).all()
    assert left.numbers["cnn"] == pytest.approx((np.flatnonzero(labels < 2) % 2).mean())
    assert made(pictures, labels, outputs=(-1, -1, -1)).numbers["cnn"] is None


def test_the_figure_of_each_class_is_its_template(made):
    pictures, labels = coloured(60)
    left = made(pictures, labels)
    listed = tuple(Picture(f"p{i}", f"p{i}", int(c), 64, 64) for i, c in enumerate(labels))
    context = Context({}, {}, ImageSet({}, listed, ("red", "green", "blue"), ()), None, {})
    drawn = view(left, context)
    best, *each = drawn["figures"]
    assert best.id == "best" and [f.subjects[0].name for f in each] == ["red", "green", "blue"]
    assert not any(f.from_dataset for f in drawn["figures"])
    template = left.arrays["templates"][0]
    end = np.abs(template).max()
    np.testing.assert_array_equal(tile(template), np.rint((template + end) / (2 * end) * 255))
    metrics = {m.name: m for m in drawn["metrics"]}
    low, high = metrics["linear_accuracy"].interval
    assert 0 <= low < metrics["linear_accuracy"].value <= high <= 1 and metrics["network_accuracy"].value == 0.5


def test_what_the_network_adds_to_the_templates_is_found_where_it_adds_something():
    linear = np.arange(100) % 5 == 0

    def said(cnn, chance=0.1):
        arrays = {"linear_right": linear, "cnn_right": np.array(cnn, np.int8)}
        return found(Result(arrays, "ok", "", {"chance": chance}, {}, 0, {}))

    better, gap = said(np.ones(100))
    assert better.strength == "found" and gap.effect == 0.8 and "20\u00a0%" in better.says
    assert said(linear)[0].strength == "not found"
    alone, _ = said(np.full(100, -1))
    assert alone.strength == "weakly found" and "10\u00a0%" in alone.control  # 13 to 29 % is above, but not by 5
