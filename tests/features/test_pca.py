"""PCA equals scikit-learn's and the plain SVD; and the scatter plot that all maps share."""

import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from sklearn.decomposition import PCA

from cnnviz.features import pca as technique
from cnnviz.features import vectors
from cnnviz.features.vectors import principal_components
from cnnviz.run import result
from cnnviz.views import pca as view
from cnnviz.views.kit import colour, scatter


@pytest.mark.parametrize("n, d", [(300, 40), (40, 300), (50, 50)])
@pytest.mark.parametrize("offset", [0, 1000])
def test_equals_scikit_learn_up_to_sign(n, d, offset):
    generator = np.random.default_rng(0)
    data = (offset + generator.normal(0, np.linspace(3, 0.1, d), (n, d))).astype(np.float32)
    scores, explained, fitted = principal_components(data, 10)
    peer = PCA(10, svd_solver="full").fit(data.astype(np.float64))
    expected = peer.transform(data.astype(np.float64))
    signs = np.sign((scores * expected).sum(0))
    np.testing.assert_allclose(scores * signs, expected, atol=2e-5 * np.abs(expected).max())
    np.testing.assert_allclose(explained, peer.explained_variance_ratio_, rtol=1e-9)
    assert fitted == n


def test_equals_the_svd_and_its_sign_is_fixed():
    data = np.random.default_rng(1).normal(0, 1, (60, 12)).astype(np.float32)
    centred = data.astype(np.float64) - data.mean(0, dtype=np.float64)
    _, s, vt = np.linalg.svd(centred, full_matrices=False)
    vt *= np.sign(vt[np.arange(12), np.abs(vt).argmax(1)])[:, None]
    scores, explained, _ = principal_components(data, 12)
    np.testing.assert_allclose(scores, centred @ vt.T, atol=1e-5)
    np.testing.assert_allclose(explained, s**2 / (s**2).sum(), rtol=1e-9)


def test_chunks_change_nothing(monkeypatch):
    data = np.random.default_rng(1).normal(5, 1, (90, 12)).astype(np.float32)
    whole = principal_components(data, 5)
    monkeypatch.setattr(vectors, "CHUNK", 7)
    np.testing.assert_allclose(principal_components(data, 5)[0], whole[0], atol=1e-5)


def test_a_sample_stands_in_where_both_sides_are_long(monkeypatch):
    data = (np.random.default_rng(1).normal(0, 1, (90, 60)) * np.r_[20, 10, np.ones(58)]).astype(np.float32)
    whole = principal_components(data, 2)
    monkeypatch.setattr(vectors, "EXACT", 50)
    scores, _, fitted = principal_components(data, 2, seed=3)
    assert fitted == 50 and scores.shape == (90, 2)
    assert abs(np.corrcoef(scores[:, 0], whole[0][:, 0])[0, 1]) > 0.99


def test_no_variance_is_zero_not_noise():
    scores, explained, _ = principal_components(np.full((20, 5), 7, np.float32), 3)
    assert not scores.any() and not explained.any()
    line = np.outer(np.arange(20), [1, 2, 0]).astype(np.float32)
    scores, explained, _ = principal_components(line, 2)
    assert explained[0] == pytest.approx(1) and explained[1] == 0 and not scores[:, 1].any()


def test_job_and_view(case):
    made = case.run(technique)
    assert made.arrays["explained"].sum() == pytest.approx(1)
    context = case.context()
    shown = view.view(made, context)
    case.section(shown)
    for name, content in context.files.items():
        if name.endswith(".svg"):
            ET.fromstring(content)
    assert {f.id for f in shown["figures"]} == {"scatter", "each-class", "pictures", "ends", "explained-variance"}
    assert b"&lt;i&gt;" in context.files["scatter.svg"] and b"<i>" not in context.files["scatter.svg"]


def test_scatter_has_y_upwards_and_one_scale():
    places, height = scatter.to_canvas(np.array([[0.0, 0], [10, 0], [0, 5]]))
    assert places[2, 1] < places[0, 1] and places[1, 0] > places[0, 0]
    assert places[1, 0] - places[0, 0] == pytest.approx(2 * (places[0, 1] - places[2, 1]))
    assert (places >= 0).all() and (places <= [scatter.SIZE, height]).all()


@pytest.mark.parametrize("n", [3, 400, 5200])
def test_every_picture_is_drawn_once(n):
    """As a dot of a path, or, of many, in an embedded picture."""
    generator = np.random.default_rng(0)
    places, labels = generator.normal(0, 1, (n, 2)), generator.integers(-1, 4, n)
    names = tuple(f"picture {i}" for i in range(n))
    hues = dict(zip("abcd", colour.CLASSES, strict=False))
    drawing = scatter.by_class(places, labels, tuple("abcd"), ("", ""), hues, names)
    svg = drawing.content.decode()
    ET.fromstring(svg)
    words = {e.text for e in ET.fromstring(svg).iter() if e.tag.endswith("text")}
    assert words == set("abcd"[c] for c in labels if c >= 0)  # every colour is named: at its island, or in the corner
    assert tuple(mark.of for mark in drawing.marks) == (names if n <= scatter.AS_PATHS else ())
    assert {(mark.group, mark.hue) for mark in drawing.marks if mark.group} <= set(hues.items())
    if n <= scatter.AS_PATHS:
        assert svg.count("h0") == n and "<image" not in svg
    else:
        assert "<path" not in svg and svg.count("data:image/webp") == 1


def test_classes_without_colours_have_their_names_where_they_gather():
    rng, labels = np.random.default_rng(0), np.arange(300) % 30
    names, pictures = tuple(f"class {c}" for c in range(30)), tuple(map(str, range(300)))
    spread = scatter.by_class(rng.normal(0, 1, (300, 2)), labels, names, ("", ""), {}, pictures).content.decode()
    assert "<text" not in spread and spread.count("<path") == 300
    islands = np.stack([labels % 6, labels // 6], 1) * 10 + rng.normal(0, 0.5, (300, 2))
    gathered = scatter.by_class(islands, labels, names, ("", ""), {}, pictures).content.decode()
    words = [e for e in ET.fromstring(gathered).iter() if e.tag.endswith("text")]
    assert sorted(e.text for e in words if e.get("class") == "wide") == sorted(names)
    assert 0 < sum(e.get("class") == "narrow" for e in words) < 30  # larger letters leave room for fewer
    assert not set(colour.CLASSES) & set(re.findall("#[0-9a-f]{6}", gathered))


def test_picture_scatter_hides_nothing():
    map = np.random.default_rng(0).normal(0, 1, (300, 2))
    thumbnails = np.full((300, 64, 64, 3), 200, np.uint8)
    sheet, count = scatter.pictures_at(map, thumbnails, width=400, tile=20)
    area = (sheet[..., 3] > 0).sum() / 400
    assert 20 < count < 300
    assert 0.75 * count < area <= count  # corners may overlap, never more than an eighth of each side


def test_classes_that_the_plane_parts_are_found_and_random_ones_are_not():
    rng, labels = np.random.default_rng(0), np.arange(120) % 3
    places = rng.normal(size=(120, 2)) + 20 * labels[:, None]
    thumbnails = rng.integers(0, 256, (120, 64, 64, 3), dtype=np.uint8)

    def said(places, labels, before=None):
        arrays = {"map": places, "untrained_index": np.arange(0 if before is None else 120)}
        arrays["untrained_map"] = np.zeros((0, 2)) if before is None else before
        arrays["explained"] = np.array([0.005, 0.005, 0.99])
        return view.found(result.Result(arrays, "ok", "", {}, {}, 0, {}), labels, thumbnails, "scatter")

    assert said(places, labels)[0].strength == "weakly found"  # an untrained network might part them, too
    assert said(places, labels, places[::-1] * [1, -1])[0].strength == "not found"
    finding, measured = said(places, labels, rng.permutation(places))
    assert "with random weights" in finding.control
    assert finding.strength == "found" and "100\u00a0% of a picture's 10 nearest" in finding.says
    assert measured["same class in the plane"].effect == pytest.approx(1 - 0.33, abs=0.1)  # controls are noise
    assert said(rng.permutation(places), labels)[0].strength == "not found"
    for few in (np.full(120, -1), np.arange(120)):  # no labels; no two of a class
        finding, measured = said(places, few)
        assert finding.strength == "not found" and not measured
        assert "1\u00a0% of the features' variance" in finding.says and "the pixels' own plane" in finding.control
    assert view.same_class(np.zeros((4, 2)), np.array([0, 0, 1, 1])) == pytest.approx(1 / 3)  # equal places


def test_the_pixels_plane_is_that_of_their_first_components():
    thumbnails = np.random.default_rng(0).integers(0, 256, (50, 64, 64, 3), dtype=np.uint8)
    small = thumbnails.reshape(50, 8, 8, 8, 8, 3).mean((2, 4)).reshape(50, -1)
    scores, _, _ = principal_components(small.astype(np.float32), 2)
    plane = view.pixel_plane(thumbnails)[:, ::-1]
    assert np.abs(plane) == pytest.approx(np.abs(scores), rel=1e-3, abs=0.1)  # but for the sign
