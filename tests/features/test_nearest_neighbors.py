"""The search equals brute force in float64, on data that breaks float32; agreement equals explicit counting."""

import json
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from cnnviz.features import nearest_neighbors as technique
from cnnviz.features import neighbors
from cnnviz.features.nearest_neighbors import agreement, chance
from cnnviz.features.neighbors import majority, nearest, pixels
from cnnviz.features.vectors import unusable
from cnnviz.pictures import images
from cnnviz.run import result
from cnnviz.views import nearest_neighbors as view


def brute(data, queries, k, among=None):
    """Indices and distances by sorting every distance in float64, ties by index; only those ``among`` count."""
    whole = data.astype(np.float64)
    indices, distances = [], []
    for q in queries:
        d = np.square(whole - whole[q]).sum(1)
        d[q] = np.inf
        if among is not None:
            d[~among] = np.inf
        indices.append(np.argsort(d, kind="stable")[:k])
        distances.append(np.sqrt(d[indices[-1]]))
    return np.array(indices), np.array(distances)


def float32_only(data, queries, k):
    """The answer of the matrix product alone."""
    squares = np.square(data).sum(1)
    d = squares[None] - 2 * data[queries] @ data.T
    d[np.arange(len(queries)), queries] = np.inf
    return np.argsort(d, axis=1, kind="stable")[:, :k]


def gaussian(n, d, offset=0.0, scale=1.0):
    return (offset + scale * np.random.default_rng(0).standard_normal((n, d))).astype(np.float32)


CASES = {
    "plain": gaussian(400, 64),
    "large offset": gaussian(400, 64, 1000.0),
    "huge offset, few distinct values": gaussian(300, 16, 1e6, 0.5),
    "ties everywhere": np.random.default_rng(1).integers(0, 2, (300, 6)).astype(np.float32),
    "all equal": np.full((50, 8), 3.7, np.float32),
    "one outlier": np.concatenate([gaussian(300, 32), np.full((1, 32), 1e4, np.float32)]),
    "near duplicates": (
        np.repeat(gaussian(30, 128, 5.0), 10, 0) + 1e-4 * np.random.default_rng(2).standard_normal((300, 128))
    ).astype(np.float32),
    "pixels": np.random.default_rng(3).integers(0, 256, (300, 3072), np.uint8),
}


@pytest.mark.parametrize("name", CASES)
def test_equals_brute_force_in_float64(name):
    data = CASES[name]
    queries = np.random.default_rng(4).permutation(len(data))[:120]
    indices, distances = nearest(data, queries, 6)
    expected, far = brute(data, queries, 6)
    np.testing.assert_array_equal(indices, expected)
    np.testing.assert_allclose(distances, far, rtol=1e-12, atol=0)


@pytest.mark.parametrize("name", CASES)
def test_equals_brute_force_among_the_pictures_of_a_role(name):
    data = CASES[name]
    generator = np.random.default_rng(5)
    queries, among = generator.permutation(len(data))[:120], generator.random(len(data)) < 0.3
    indices, distances = nearest(data, queries, 6, among=among)
    expected, far = brute(data, queries, 6, among)
    np.testing.assert_array_equal(indices, expected)
    np.testing.assert_allclose(distances, far, rtol=1e-12, atol=0)
    assert among[indices].all() and not among[queries].all()


@pytest.mark.parametrize("name", ["large offset", "near duplicates"])
def test_float32_alone_is_wrong(name):
    """The cases above are hard: a search that trusts float32 fails them."""
    data = CASES[name]
    queries = np.arange(len(data))
    assert (float32_only(data, queries, 6) != brute(data, queries, 6)[0]).any()


def test_blocks_change_nothing(monkeypatch, tmp_path):
    data = CASES["large offset"]
    whole = nearest(data, np.arange(100), 5)
    np.save(tmp_path / "x.npy", data)
    monkeypatch.setattr(neighbors, "BLOCK", 3000)  # 46 rows of the data at a time, 7 queries
    monkeypatch.setattr(neighbors, "GROUP", 3)
    parts = nearest(np.load(tmp_path / "x.npy", mmap_mode="r"), np.arange(100), 5, threads=3)
    np.testing.assert_array_equal(whole[0], parts[0])
    np.testing.assert_array_equal(whole[1], parts[1])


def test_k_is_less_than_the_number_of_pictures():
    with pytest.raises(ValueError, match="4 rows"):
        nearest(gaussian(4, 3), np.arange(4), 4)
    among = np.array([True, True, False, False])
    assert nearest(gaussian(4, 3), np.array([2, 3]), 2, among=among)[0].shape == (2, 2)
    with pytest.raises(ValueError, match="1 to 1 neighbours"):  # the first is among them itself
        nearest(gaussian(4, 3), np.array([0, 2]), 2, among=among)


def test_pixels_are_rounded_means_of_two_by_two():
    thumbnails = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), np.uint8)
    small = pixels(thumbnails).reshape(3, 32, 32, 3)
    mean = thumbnails[1, 10:12, 20:22, 2].astype(float).mean()
    assert small[1, 5, 10, 2] == int(mean + 0.5)


def test_agreement_and_its_chance():
    labels = np.array([0, 0, 0, 1, 1, -1])
    queries = np.array([0, 3])
    neighbors = np.array([[1, 3, 5], [4, 0, 2]])
    np.testing.assert_allclose(agreement(labels, queries, neighbors), [1 / 3, 1 / 3])
    np.testing.assert_allclose(chance(labels, queries), [2 / 5, 1 / 5])
    among = np.array([False, True, True, True, False, True])
    np.testing.assert_allclose(chance(labels, np.array([0, 1, 4]), among), [2 / 4, 1 / 3, 1 / 4])


def test_random_features_agree_at_chance():
    """400 pictures with random features: agreement is within 4 standard errors of chance."""
    labels = np.random.default_rng(5).integers(0, 4, 400)
    queries = np.arange(400)
    shares = agreement(labels, queries, nearest(gaussian(400, 8), queries, 6)[0])
    error = shares.std() / 400**0.5
    assert abs(shares.mean() - chance(labels, queries).mean()) < 4 * error


def test_majority_is_the_mode_and_ties_go_to_the_nearer():
    labels = np.array([0, 1, 2, -1])
    assert majority(labels, np.array([[0, 1, 1], [2, 1, 0], [3, 3, 1]])).tolist() == [1, 2, 1]
    random = np.random.default_rng(0).integers(0, 5, 200)
    neighbors = np.random.default_rng(1).integers(0, 200, (50, 11))
    for row, found in zip(random[neighbors], majority(random, neighbors), strict=True):
        counts = np.bincount(row, minlength=5)
        assert counts[found] == counts.max()


def test_features_that_are_no_numbers_are_named():
    data = gaussian(10, 4)
    data[3, 1] = np.nan
    assert "1 of the 10" in unusable(data, 3)
    assert "at least 20" in unusable(data, 20)
    assert unusable(gaussian(10, 4), 3) == ""


def test_job_and_view(case):
    made = case.run(technique)
    a = made.arrays
    assert a["feature_neighbors"].shape == (5, 6)
    assert (a["feature_neighbors"] == brute(case.features, a["queries"], 6)[0]).all()
    assert a["feature_agreement"].mean() > 0.95 > a["chance"].mean() + 0.5  # the clusters are the classes
    assert a["pixel_distances"].max() < (3 * 32 * 32) ** 0.5  # pixels in [0, 1]
    context = case.context()
    shown = view.view(made, context)
    case.section(shown)
    assert len(shown["figures"]) == 5
    for figure in shown["figures"]:
        root = ET.fromstring(context.files[figure.file])  # well formed for any class names
        assert int(root.get("width")) == figure.width
        shown_at = [tuple(int(e.get(side)) for side in ("x", "y", "width")) for e in root.findall(".//{*}image")]
        assert len(shown_at) == 1 + 6 + 6
        assert [(mark.x, mark.y, mark.width) for mark in figure.marks] == shown_at  # each picture leads to its page
    agree = [
        (case.labels[a[f"{space}_neighbors"]] == case.labels[a["queries"]][:, None]).sum(1) for space in view.SPACES
    ]
    pictures = context.image_set.pictures
    ordered = np.argsort(
        agree[1] - agree[0], kind="stable"
    )  # where the features' neighbours agree most, and least pixels'
    assert [f.id for f in shown["figures"]] == [f"query-{pictures[a['queries'][q]].id}" for q in ordered]
    (q, *_), leading = ordered, shown["figures"][0]
    ticks = context.files[leading.file].decode().count(f'd="{view.MARKS["same"]}"')
    query = a["queries"][q]
    both = np.concatenate([a["feature_neighbors"][q], a["pixel_neighbors"][q]])
    marks = leading.marks
    chance = 6 * (np.sum(case.labels == case.labels[query]) - 1) / (len(case.labels) - 1)
    assert (
        f"{agree[0][q]} of its 6 nearest in features" in leading.caption
        and f"{chance:.2g} by chance" in leading.caption
    )
    assert [(mark.kind, mark.of) for mark in marks] == [("image", pictures[i].name) for i in (query, *both)]
    assert marks[7].value.endswith(f", distance {a['pixel_distances'][q, 0]:.3g}")
    assert ticks == (case.labels[both] == case.labels[query]).sum()


def with_roles(case, query):
    """Makes the pictures at these indices of the case's set queries."""
    index = json.loads((case.folder / "images.json").read_text())
    for i in query:
        index["pictures"][i]["role"] = "query"
    (case.folder / "images.json").write_text(json.dumps(index))


def test_neighbours_of_query_pictures_are_sought_among_reference_pictures(case):
    query = np.arange(2, 120, 3)  # 40, of all classes
    with_roles(case, query)
    among = ~np.isin(np.arange(120), query)
    made = case.run(technique)
    a = made.arrays
    assert np.isin(a["queries"], query).all() and len(a["queries"]) == 5
    assert (a["feature_neighbors"] == brute(case.features, a["queries"], 6, among)[0]).all()
    small = pixels(np.load(case.folder / "thumbnails.npy"))
    assert (a["pixel_neighbors"] == brute(small, a["queries"], 6, among)[0]).all()
    assert a["sample"].tolist() == query.tolist()
    labels = case.labels
    for q, share, random in zip(a["sample"], a["feature_agreement"], a["chance"], strict=True):
        found = brute(case.features, [q], 6, among)[0][0]
        assert share == pytest.approx((labels[found] == labels[q]).mean())
        assert random == pytest.approx((labels[among] == labels[q]).mean())
    shown = view.view(made, case.context())
    case.section(shown)
    assert all("among the 80 reference pictures" in figure.caption for figure in shown["figures"])
    assert "over 40 query pictures" in shown["tables"][0].caption and "80 reference" in shown["tables"][0].caption
    named = case.context().image_set.pictures[0].name  # a named reference picture finds the others
    a = case.run(technique, queries=[named]).arrays
    assert (a["feature_neighbors"] == brute(case.features, [0], 6, among)[0]).all()


def test_a_query_of_a_class_without_reference_pictures_is_not_measured(case):
    with_roles(case, np.arange(40))  # the first class, and nothing else
    made = case.run(technique)
    assert not len(made.arrays["sample"]) and len(made.arrays["queries"]) == 5
    shown = view.view(made, case.context())
    assert not shown["tables"] and "of its class" not in shown["figures"][0].caption


def test_probes_that_share_their_class_with_no_picture_are_joined_by_some_that_do(case):
    index = json.loads((case.folder / "images.json").read_text())
    probes = case.run(technique).arrays["queries"]
    for i, picture in enumerate(index["pictures"]):
        picture["label"] = i if i in probes else 0
    index["classes"] = [f"class {i}" for i in range(120)]
    (case.folder / "images.json").write_text(json.dumps(index))
    left = case.run(technique)
    made, context = left.arrays, case.context()
    context.model["label_to_output"] = [None] * 120
    shown, pictures = [figure.id for figure in view.view(left, context)["figures"]], context.image_set.pictures
    assert set(shown[:4]) == {f"query-{pictures[q].id}" for q in made["queries"][5:]}  # where there is something to see
    assert sorted(made["queries"][:5]) == sorted(probes) and len(made["queries"]) == 5 + technique.SPARE
    gain = made["feature_agreement"] - made["pixel_agreement"]
    best = np.argsort(-gain, kind="stable")[: technique.SPARE]
    assert made["queries"][5:].tolist() == made["sample"][best].tolist()
    labels = np.array([picture["label"] for picture in index["pictures"]])
    agree = (labels[made["feature_neighbors"][5:]] == labels[made["queries"][5:], None]).mean(1)
    np.testing.assert_allclose(agree, made["feature_agreement"][best])


def test_a_share_that_small_classes_limit_is_said_with_its_limit(case):
    index = json.loads((case.folder / "images.json").read_text())
    for i, picture in enumerate(index["pictures"]):
        picture["label"] = i // 2  # pairs: one of six neighbours can agree
    index["classes"] = [f"class {i}" for i in range(60)]
    (case.folder / "images.json").write_text(json.dumps(index))
    made = case.run(technique)
    finding, _ = view.found(made, case.context())
    assert "17\u00a0% at most" in finding.control


def test_no_reference_picture_is_said(case):
    with_roles(case, np.arange(120))
    made = case.run(technique)
    assert made.status == "not_applicable" and "reference" in made.reason


def test_without_classes(unlabelled):
    made = unlabelled.run(technique, queries=3)
    shown = view.view(made, unlabelled.context())
    assert not shown["tables"] and len(shown["figures"]) == 3
    assert not any("same class" in metric.name for metric in shown["metrics"])


def test_too_few_pictures_is_said(unlabelled):
    np.save(unlabelled.folder / "features.npy", unlabelled.features[:2])
    assert unlabelled.run(technique).status == "not_applicable"


def test_a_class_of_one_picture_is_not_measured():
    """A set with one picture a class must not report that no neighbour is right."""
    pictures = [images.Picture(f"p{i}", f"p{i}", label, 1, 1) for i, label in enumerate([0, 1, 1, 2, None])]
    image_set = images.ImageSet({}, tuple(pictures), ("a", "b", "c"), ())
    assert neighbors.labels_of(image_set).tolist() == [-1, 1, 1, -1, -1]


def test_where_most_classes_have_one_picture_none_is_measured():
    pictures = [images.Picture(f"p{i}", f"p{i}", label, 1, 1) for i, label in enumerate([0, 1, 1, 2, 3, 4])]
    image_set = images.ImageSet({}, tuple(pictures), tuple("abcde"), ())
    assert neighbors.labels_of(image_set).tolist() == [-1] * 6


def test_what_is_said_of_neighbours_of_the_same_class(case, unlabelled):
    context, rng = case.context(), np.random.default_rng(0)
    arrays = {"sample": np.arange(60), "chance": np.full(60, 0.3), "queries": np.array([0, 1]),
              "feature_agreement": rng.choice([0.8, 1], 60), "pixel_agreement": rng.choice([0.2, 0.4], 60),
              "feature_neighbors": np.array([[1, 2], [2, 3]]),
              "pixel_neighbors": np.array([[5, 6], [2, 3]])}  # fmt: skip
    numbers = {"k": 2, "reference": 60, "pictures": 60}
    finding, measured = view.found(result.Result(arrays, "ok", "", numbers, {}, 0, {}), context)
    assert finding.strength == "weakly found" and "30\u00a0% by chance" in finding.control
    assert "not compared with random weights" in finding.control
    gap = (arrays["feature_agreement"] - arrays["pixel_agreement"]).mean()
    assert measured["neighbours of the same class"].effect == pytest.approx(gap)
    for before, strength in ((np.full(60, 0.5), "found"), (arrays["feature_agreement"], "not found")):
        control = {"feature": arrays["feature_agreement"], "pixel": arrays["pixel_agreement"], "untrained": before}
        control = {f"control/{name}": values for name, values in control.items()}
        finding, measured = view.found(result.Result(arrays | control, "ok", "", numbers, {}, 0, {}), context)
        assert finding.strength == strength and f"{before.mean():.0%}"[:-1] + "\u00a0% with random" in finding.control
        gap = (arrays["feature_agreement"] - before).mean()  # less the larger control
        assert measured["neighbours of the same class"].effect == pytest.approx(gap)
    same = arrays | {"pixel_agreement": arrays["feature_agreement"]}
    assert view.found(result.Result(same, "ok", "", numbers, {}, 0, {}), context)[0].strength == "not found"
    none = arrays | {"sample": np.empty(0, int), "chance": np.empty(0)}
    finding, measured = view.found(result.Result(none, "ok", "", numbers, {}, 0, {}), unlabelled.context())
    assert "nothing can be told" in finding.says and not measured and finding.strength == "not found"
    few, half = rng.choice([0, 0.5], 60, p=[0.8, 0.2]), np.full(60, 0.5)
    for shares, before, strength in ((few, few, "found"), (few, None, "weakly found"), (few, half, "not found")):
        none |= {"shared/pixels": shares} | ({} if before is None else {"shared/untrained": before})
        finding, measured = view.found(result.Result(none, "ok", "", numbers, {}, 0, {}), unlabelled.context())
        assert finding.strength == strength and f"{shares.mean():.0%}"[:-1] + "\u00a0% in pixels" in finding.says
        assert ("not compared with random weights" in finding.control) == (before is None)
        assert measured["neighbours by pixels, too"].effect == pytest.approx(
            1 - (half if before is half else few).mean()
        )
        none.pop("shared/untrained", None)


def test_neighbours_shared_by_spaces_are_those_of_plain_lists(unlabelled):
    made = unlabelled.run(technique, queries=3)
    near = {}
    for name, data in {
        "feature": unlabelled.features,
        "pixels": neighbors.pixels(unlabelled.context().thumbnails),
    }.items():
        apart = np.linalg.norm(data[:, None].astype(float) - data[None].astype(float), axis=2)
        np.fill_diagonal(apart, np.inf)
        near[name] = [set(row) for row in np.argsort(apart, axis=1)[:, :6].tolist()]
    both = [len(a & b) / 6 for a, b in zip(near["feature"], near["pixels"], strict=True)]
    assert made.arrays["shared/pixels"] == pytest.approx(both)
    mutual = [sum(i in near["feature"][j] for j in own) / 6 for i, own in enumerate(near["feature"])]
    assert made.arrays["shared/mutual"] == pytest.approx(mutual)
