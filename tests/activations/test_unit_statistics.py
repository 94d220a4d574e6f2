"""Dead means ≤ 0 before a ReLU; numbers equal numpy's on plain activations; the view names the dead units."""

import json
import re
from types import SimpleNamespace

import numpy as np
import pytest
from torch import nn

from cnnviz.activations import forward, responses, unit_statistics
from cnnviz.activations.unit_statistics import CONSTANT, DEAD, LIVES, states
from cnnviz.network import loaded, network
from cnnviz.pictures import images, listing
from cnnviz.run import result
from cnnviz.run.result import Result
from cnnviz.views import unit_statistics as drawn
from cnnviz.views.kit import colour
from cnnviz.views.kit.section import Context

FACTORY = """
import torch
from torch import nn
def net():
    layers = [nn.Conv2d(3, 5, 5, 2), nn.ReLU(inplace=True), nn.Conv2d(5, 4, 3), nn.BatchNorm2d(4), nn.ReLU(),
              nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 12)]
    for conv in (layers[0], layers[2]):
        conv.weight.data[1] = 0
        conv.bias.data[1] = -0.3  # never above 0
    layers[0].weight.data[3] = 0
    layers[0].bias.data[3] = 0.7  # always the same
    return nn.Sequential(*layers)
"""


def test_dead_needs_a_relu_and_constant_needs_no_spread():
    mean, largest = np.array([-1, -0.3, 0.5, 0.7, 0.0]), np.array([2, -0.3, 0.5000001, 3, 0.0])
    assert states(mean, largest, True).tolist() == [LIVES, DEAD, CONSTANT, LIVES, DEAD]
    assert states(mean, largest, False).tolist() == [LIVES, CONSTANT, CONSTANT, LIVES, CONSTANT]


@pytest.fixture
def done(make_job, index, tmp_path):
    """The pass and the section over 24 pictures, and the plain activations of conv1 and conv2."""
    (tmp_path / "factory.py").write_text(FACTORY)
    block = {
        "factory": f"{tmp_path}/factory.py:net",
        "preprocess": {"mean": 0.5, "std": 0.25, "resize": None, "crop": 64},
        "image_set": "set",
    }
    config = {"kind": "demo", "count": 24}
    listed = [(row.name, row.labels[0]) for row in listing.rows(config)]
    classes = sorted({label for _, label in listed})
    index(tmp_path / "images.json", [(name, classes.index(label)) for name, label in listed], classes)
    network.main(make_job(block, set_classes=classes))
    outputs = {name: tmp_path / f"forward-{name}" for name in ("result", "features", "logits")}
    job = make_job(block, outputs=outputs)
    job = type(job)(**vars(job) | {"parameters": {"batch": 5, "top": 4}})
    forward.main(job)
    section = {"inputs": {"forward": outputs["result"]}, "outputs": {"result": tmp_path / "result.npz"}}
    unit_statistics.main(type(job)(**vars(job) | section))
    model, image_set = loaded.load(job), images.read(job.inputs["images"], job.image_set)
    x = model.normalise(model.pictures(list(image_set.arrays(model.preprocess.geometry))))
    first = model.net[0](x)
    plain = {"conv1": first.numpy().copy(), "conv2": model.net[2](nn.functional.relu(first)).numpy()}
    return result.read(tmp_path / "result.npz"), plain


def test_numbers_equal_numpys_on_plain_activations(done):
    got, plain = done
    edges = got.arrays["histogram_edges"]
    for name, maps in plain.items():
        arrays = {what: got.arrays[f"{name}/{what}"] for what in ("mean", "max", "active", "histogram")}
        np.testing.assert_allclose(arrays["mean"], maps.mean((0, 2, 3)), rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(arrays["max"], maps.max((0, 2, 3)), rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(arrays["active"], (maps > 0).mean((0, 2, 3)), atol=1e-4)
        y, x = responses.sampled(0, 24, *maps.shape[2:], responses.SAMPLES)
        for unit in (0, 2):
            chosen = maps[np.arange(24)[:, None], unit, y, x]
            expected = np.histogram(chosen, np.concatenate([[-np.inf], edges, [np.inf]]))[0]
            assert np.abs(arrays["histogram"][unit] - expected).sum() <= 4  # a value on an edge, in float32
            whole = np.histogram(maps[:, unit], np.concatenate([[-np.inf], edges, [np.inf]]))[0] / maps[:, unit].size
            assert np.abs(expected / expected.sum() - whole).sum() / 2 < 0.15  # a fair sample of all neurons


def test_only_a_unit_before_a_relu_is_called_dead(done):
    got, _ = done
    assert got.arrays["conv1/state"].tolist() == [LIVES, DEAD, LIVES, CONSTANT, LIVES]
    assert got.arrays["conv2/state"].tolist() == [LIVES, CONSTANT, LIVES, LIVES]  # a batch normalisation follows
    layers = {layer["name"]: layer for layer in got.numbers["layers"]}
    assert layers["conv1"]["dead"] == 1 and layers["conv2"]["dead"] == 0 and not layers["conv2"]["rectified"]


def test_the_view_names_dead_and_constant_units(done):
    got, _ = done
    context = Context({}, {}, SimpleNamespace(), None, {})
    shown = drawn.view(got, context)
    tables = {table.id: table for table in shown["tables"]}
    assert [row[:3] for row in tables["dead_units"].rows] == [
        ("conv1", 1, "dead"), ("conv1", 3, "constant"), ("conv2", 1, "constant")
    ]  # fmt: skip
    assert tables["layers"].rows[1][5] == "cannot be told"
    metrics = {metric.name: metric.value for metric in shown["metrics"]}
    assert metrics["dead_units"] == pytest.approx(1 / 5) and metrics["constant_units"] == 2
    assert {figure.file for figure in shown["figures"]} == set(context.files)
    assert not any(figure.from_dataset for figure in shown["figures"]) and json.dumps(metrics)


def test_the_strip_puts_zero_between_small_negative_and_positive_values():
    edges = responses.EDGES
    zero = len(edges) // 2
    count = np.zeros((2, len(edges) + 1), int)
    count[0, zero], count[1, zero + 6] = 8, 8
    text, width, height, marks = drawn.strip(count, edges, colour.fixed(0, 1), np.array([7, 3]), "conv1")
    assert [(m.of, m.layer, m.value[:4]) for m in marks] == [("7", "conv1", "0.0%"), ("3", "conv1", "100.")]
    assert text.count(b'class="end"') >= 2 and width == drawn.STRIP + 82
    assert height == 6 * drawn.ROW + drawn.BARS + 38  # the row of 0 is bars below
    bars = re.search(r'class="box" d="M74 (\S+?)V(\S+?)H\S+?V(\S+?)H', text.decode())
    bottom, full, none = map(float, bars.groups())
    assert (bottom - full, bottom - none) == (drawn.BARS, 0)  # all of unit 7's neurons are at 0, none of unit 3's


def test_layers_of_many_units_do_not_make_large_drawings():
    count = np.random.default_rng(0).integers(0, 9, (5000, len(responses.EDGES) + 1))
    drawing = drawn.all_strips({"fc6": count, "fc7": count}, colour.fixed(0, 1))
    assert len(drawing.content) < 120_000 and [mark.name for mark in drawing.marks] == ["fc6", "fc7"]


def test_the_colours_of_values_do_not_depend_on_how_many_are_zero():
    count = np.random.default_rng(0).integers(0, 9, (4, len(responses.EDGES) + 1))
    often = count.copy()
    often[:, count.shape[1] // 2] = 10_000
    assert drawn._colours([often]) == drawn._colours([count])


def test_what_is_said_of_dead_units_and_of_depth():
    rng = np.random.default_rng(0)
    layer = {"units": 50, "dead": 0, "rectified": True}
    arrays = {"a/active": rng.uniform(0.4, 0.6, 50), "b/active": rng.uniform(0.1, 0.3, 50)}

    def said(*layers):
        return drawn.found(Result(arrays, "ok", "", {"layers": list(layers), "pictures": 9}, {}, 0, {}))

    (depth, dead), measured = said(layer | {"name": "a"}, layer | {"name": "b"})
    assert (depth.strength, dead.strength) == ("found", "not found")
    assert depth.says.startswith("Fewer neurons are active in b (") and "than in a (5" in depth.says
    assert dead.says == "None of 100 units is dead."
    assert measured[depth.key].effect == pytest.approx(arrays["a/active"].mean() - arrays["b/active"].mean())
    (_, same), _ = said(layer | {"name": "a"}, layer | {"name": "a"})
    assert same.strength == "not found" and same.says.startswith("About as many")
    (many,), _ = said(layer | {"name": "a", "dead": 9})
    assert many.strength == "found" and "9 of 50 units are dead" in many.says
    (none,), measured = said(layer | {"name": "a", "rectified": False})
    assert none.strength == "not found" and "cannot be told" in none.says and not measured


@pytest.mark.parametrize(
    ("levels", "strength"),
    [((0.8, 0.7, 0.6, 0.5, 0.4, 0.3), "found"), ((0.8, 0.3, 0.9, 0.9, 0.95, 0.4), "not found")],
)
def test_a_trend_with_depth_needs_all_layers_and_not_only_its_ends(levels, strength):
    rng = np.random.default_rng(0)
    arrays = {f"{i}/active": level + rng.uniform(-0.05, 0.05, 50) for i, level in enumerate(levels)}
    layers = [{"units": 50, "dead": 0, "rectified": True, "name": str(i)} for i in range(len(levels))]
    said, _ = drawn.found(Result(arrays, "ok", "", {"layers": layers, "pictures": 9}, {}, 0, {}))
    depth = next(finding for finding in said if finding.key.startswith("active neurons"))
    assert depth.strength == strength and "random order" in depth.control
    assert depth.says.startswith("Fewer" if strength == "found" else "No trend") and depth.basis == "6 layers"


def test_the_rank_correlation_of_a_falling_row_is_minus_one_and_five_in_order_are_rare():
    trend, by_chance = drawn._trend(np.array([5.0, 4, 3, 2, 1]))
    assert trend == pytest.approx(-1) and 0.8 < by_chance < 1
