"""The map's quality compared with scikit-learn's, and its determinism. Coordinates are not tested."""

import re

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.manifold import TSNE, trustworthiness
from threadpoolctl import threadpool_limits

from cnnviz.features import pca
from cnnviz.features import tsne as technique
from cnnviz.features.neighbors import nearest
from cnnviz.features.pca import principal_components
from cnnviz.features.tsne import embed, usable_perplexity, vote_accuracy
from cnnviz.run import result
from cnnviz.site import map_page
from cnnviz.views import pca as pca_view
from cnnviz.views import tsne as view
from cnnviz.views.kit import colour, confusion


@pytest.fixture(scope="module")
def digits():
    data, labels = load_digits(return_X_y=True)
    return principal_components(data[:500].astype(np.float32), 50)[0], labels[:500]


@pytest.fixture(scope="module")
def map(digits):
    return embed(digits[0], 30, 750, seed=1, threads=2)[0]


def test_as_trustworthy_as_scikit_learn(digits, map):
    with threadpool_limits(1):  # its threads spin, which takes a minute on busy cores
        peer = TSNE(perplexity=30, random_state=0, init="pca").fit_transform(digits[0])
    ours, theirs = (trustworthiness(digits[0], m, n_neighbors=12) for m in (map, peer))
    assert ours > theirs - 0.01


def test_same_seed_same_map(digits, map):
    again, _ = embed(digits[0], 30, 750, seed=1, threads=2)
    np.testing.assert_array_equal(map, again)


def test_kl_is_that_of_the_map(digits):
    """The divergence reported falls with iterations."""
    early, late = (embed(digits[0], 30, iterations, seed=1, threads=1)[1] for iterations in (300, 750))
    assert 0 < late < early


def test_vote_equals_scikit_learns_and_noise_votes_at_chance(digits, map):
    from sklearn.neighbors import KNeighborsClassifier

    data, labels = digits
    queries = np.arange(len(labels))
    ours = vote_accuracy(labels, map, queries)
    indices, _ = nearest(map, queries, 10)
    theirs = np.mean([np.bincount(labels[row]).argmax() == label for row, label in zip(indices, labels, strict=True)])
    assert ours == pytest.approx(theirs, abs=0.02)  # they differ in ties only
    peer = KNeighborsClassifier(10).fit(data, labels)
    assert vote_accuracy(labels, data, queries) <= peer.score(data, labels) + 0.01  # theirs counts the picture itself
    shuffled = np.random.default_rng(0).permutation(labels)
    assert vote_accuracy(shuffled, map, queries) < 0.2


def test_perplexity_is_lowered_only_where_it_must():
    assert usable_perplexity(30, 1000) == 30
    assert usable_perplexity(30, 31) == 10


@pytest.mark.parametrize("n", [8, 20, 40])
def test_small_sets(n):
    map, divergence = embed(
        np.random.default_rng(0).normal(0, 1, (n, 5)).astype(np.float32), usable_perplexity(30, n), 200, 1, 1
    )
    assert np.isfinite(map).all() and np.isfinite(divergence) and np.ptp(map, axis=0).min() > 0


def test_equal_pictures():
    map, _ = embed(np.ones((30, 4), np.float32), 5, 200, 1, 1)
    assert not map.any()
    twins = np.repeat(np.random.default_rng(0).normal(0, 1, (20, 4)), 2, 0).astype(np.float32)
    assert np.isfinite(embed(twins, 5, 200, 1, 1)[0]).all()


def test_fft_above_the_limit_is_as_good(digits, map, monkeypatch):
    monkeypatch.setattr(technique, "FFT_FROM", 100)
    other, _ = embed(digits[0], 30, 300, seed=1, threads=1)
    a, b = (trustworthiness(digits[0], m, n_neighbors=12) for m in (map, other))
    assert b > a - 0.01 and not np.array_equal(map, other)


def test_job_and_view(case):
    made = case.run(technique)
    assert made.numbers["votes"]["map"] > 0.95  # the clusters are the classes
    shown = view.view(made, case.context())
    case.section(shown)
    assert [f.id for f in shown["figures"]] == ["scatter", "each-class", "pictures"]
    assert shown["figures"][0].data in made.arrays


def test_a_class_has_one_colour_on_the_map_in_scatter_plots_and_in_predictions(case):
    context, plots = case.context(), {}
    for job, page in ((technique, view), (pca, pca_view)):
        scatter, *_ = page.view(case.run(job), context)["figures"]
        plots[page.__name__] = {mark.group: mark.hue for mark in scatter.marks}
        for name in ("scatter.svg", "each-class.svg"):
            assert all(hue in context.files[name].decode() for hue in context.hues.values())
        context.files.clear()
    names = list(context.image_set.classes)
    pictures = [{"label": picture.label} for picture in context.image_set.pictures]
    facts = {"classes": ["other", *names[::-1]], "label_to_output": [3, 2, 1]}
    on_map = map_page.outcomes(pictures, names, facts, None, {})
    matrix, _ = confusion.matrix(np.eye(3, dtype=int), np.zeros(3), np.ones(3), names, context.hues, "pictures")
    drawn = re.findall('<circle[^>]*fill="(#[0-9a-f]{6})"', matrix.content.decode())
    expected = dict(zip(names, colour.CLASSES, strict=False))
    assert plots == dict.fromkeys(plots, expected) and context.hues == expected
    assert dict(zip(on_map["classes"], on_map["hues"], strict=True)) == expected
    assert drawn == [hue for name in names for hue in (expected[name], expected[name])]


def test_without_classes(unlabelled):
    made = unlabelled.run(technique)
    assert made.numbers["votes"] == {} and made.numbers["perplexity"] == 13
    shown = view.view(made, unlabelled.context())
    assert [f.id for f in shown["figures"]] == ["pictures"] and "lowered" in shown["figures"][0].more
    own, *controls = (made.arrays[f"kept/{space}"] for space in ("features", "pixels", "untrained"))
    assert own.mean() > max(near.mean() for near in controls) + 0.1  # the map is that of the features
    assert "nearest in the features" in shown["findings"][0].says and "island" not in shown["how_to_read"]


def test_what_is_said_of_classes_on_the_map():
    numbers = {"votes": {"map": 0.9, "features": 0.95, "pixels": 0.2}, "largest_class": 0.1}
    made = result.Result({}, "ok", "", numbers, {"sample": 300}, 0, {})
    finding, measured = view.found(made, np.array([100, 100, 1]), "scatter")
    assert finding.strength == "weakly found" and "not compared with random weights" in finding.control
    assert finding.basis == "200 pictures" and "20\u00a0% in pixels" in finding.control
    assert measured["classes on the map"].effect == pytest.approx(0.7)
    for before, strength in ((60, "found"), (180, "not found")):
        hits = {"map": 180, "pixels": 40, "untrained": before}
        made.arrays.update({f"control/{name}": np.arange(200) < count for name, count in hits.items()})
        finding, measured = view.found(made, np.array([100, 100, 1]), "scatter")
        assert finding.strength == strength and f"{before // 2}\u00a0% with random weights" in finding.control
        assert measured["classes on the map"].effect == pytest.approx(0.9 - before / 200)
    made.arrays.clear()
    numbers["votes"]["map"] = 0.2
    assert view.found(made, np.array([100, 100, 1]), "scatter")[0].strength == "not found"
    numbers |= {"votes": {}}
    spread = np.linspace(-0.1, 0.1, 50)
    made.arrays.update({"kept/features": 0.5 + spread, "kept/pixels": 0.1 - spread})
    for counts, why in ((np.empty(0, int), "without classes"), (np.ones(5, int), "hardly two share a class")):
        finding, measured = view.found(made, counts, "scatter")
        assert "50\u00a0% of a picture's 10 nearest" in finding.says and why in finding.basis
        assert finding.strength == "weakly found" and "10\u00a0% in pixels" in finding.control
        assert measured["neighbours on the map"].effect == pytest.approx(0.4, abs=0.05)
    for before, strength in ((0.1, "found"), (0.5, "not found")):
        made.arrays["kept/untrained"] = np.full(50, before)
        assert view.found(made, np.ones(5, int), "scatter")[0].strength == strength
