"""The tiles of a sheet are the weights of the stated units and inputs, by the stated mapping."""

import base64
import dataclasses
import io
import re

import numpy as np
import pytest
from PIL import Image

from cnnviz.errors import UserError
from cnnviz.network import loaded, network
from cnnviz.run import result
from cnnviz.run.job import perform
from cnnviz.run.result import Result
from cnnviz.views.kit.section import Context
from cnnviz.views.layer_filters import tiles, view
from cnnviz.weights import layer_filters
from cnnviz.weights.layer_filters import chosen

NET = """
from torch import nn

def net():
    return nn.Sequential(
        nn.Conv2d(3, 8, 5, 2), nn.ReLU(), nn.Conv2d(8, 6, 1), nn.ReLU(), nn.Conv2d(6, 12, 3, groups=6), nn.ReLU(),
        nn.Conv2d(12, 40, 3, groups=2), nn.ReLU(), nn.Conv2d(40, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
    )

def patches():
    return nn.Sequential(nn.Conv2d(3, 8, 8, 8), nn.ReLU(), nn.Flatten(), nn.Linear(512, 2))
"""


@pytest.fixture
def made(make_job, tmp_path):
    """made(factory, parameters) → the model, and the technique's result."""
    (tmp_path / "net.py").write_text(NET)

    def make(factory: str = "net", **parameters):
        plain = {"mean": 0.5, "std": 0.25, "resize": [64, 64], "crop": None}
        job = make_job({"factory": f"{tmp_path}/net.py:{factory}", "preprocess": plain})
        network.main(job)
        given = {"layers": "auto", "units": 32, "inputs": 32, "order": "index"} | parameters
        job = dataclasses.replace(job, section="layer_filters", parameters=given)
        perform(layer_filters.main, job)
        return loaded.load(job), result.read(job.outputs["result"])

    return make


def test_the_weights_left_are_the_nets(made):
    for order in ("index", "norm"):
        model, left = made(order=order, units=5, inputs=3, layers=["conv2", "conv4", "conv5"])
        for name in ("conv2", "conv4", "conv5"):
            own = model.module(name).weight.numpy()
            units, inputs = left.arrays[f"{name}/units"], left.arrays[f"{name}/inputs"]
            np.testing.assert_array_equal(left.arrays[f"{name}/weights"], own[np.ix_(units, inputs)])
            assert left.arrays[f"{name}/weights"].shape[:2] == (min(5, len(own)), 3)


def test_by_default_the_second_wide_convolution_a_middle_one_and_the_last(made):
    _, left = made()
    assert [layer["name"] for layer in left.numbers["layers"]] == ["conv3", "conv4", "conv5"]  # conv2 is 1 × 1
    assert [layer["groups"] for layer in left.numbers["layers"]] == [6, 2, 1]


def test_a_net_without_later_convolutions_and_a_layer_that_is_none(made):
    _, left = made("patches")
    assert left.status == "not_applicable"
    with pytest.raises(UserError, match="Valid: conv1"):
        made("patches", layers=["fc1"])


def test_the_largest_norms_come_first_and_ties_by_index():
    weights = np.ones((6, 4, 3, 3))
    weights[4] *= 2
    weights[:, 2] *= 3
    units, inputs = chosen(weights, 3, 2, "norm")
    assert units.tolist() == [4, 0, 1] and inputs.tolist() == [2, 0]
    _, inputs = chosen(weights, 3, 2, "norm", groups=2)
    assert inputs.tolist() == [0, 1]  # a column is another channel in every group


def test_tile_pixels_are_the_mapped_weights():
    weights = np.random.default_rng(0).normal(size=(4, 5, 3, 3))
    shared, single = tiles(weights, (weights.min(), weights.max())), tiles(weights)
    assert shared.shape == (20, 3, 3, 3) and (shared[..., 0] == shared[..., 2]).all()
    for u in range(4):
        end = np.abs(weights[u]).max()
        for c in range(5):
            level = (weights[u, c] - weights.min()) / (weights.max() - weights.min())
            np.testing.assert_array_equal(shared[u * 5 + c, :, :, 0], np.rint(level * 255))
            level = (weights[u, c] + end) / (2 * end)
            np.testing.assert_array_equal(single[u * 5 + c, :, :, 0], np.rint(level * 255))


def sheet(context: Context, file: str) -> tuple[np.ndarray, str]:
    """The picture inside a figure, RGBA, and the figure's other marks."""
    svg = context.files[file].decode()
    coded = re.search(r"base64,([^\"]+)", svg)[1]
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(coded))).convert("RGBA")), svg.replace(coded, "")


@pytest.mark.parametrize("shape", [(6, 4, 3, 3), (6, 4, 1, 1), (70, 1, 5, 5)])
def test_a_figure_holds_every_weight_enlarged_by_repeating(shape):
    weights = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    layer = {"name": "conv2", "shape": list(shape), "groups": shape[0] if shape[1] == 1 else 1}
    layer["range"] = [float(weights.min()), float(weights.max())]
    arrays = {"conv2/weights": weights, "conv2/units": np.arange(shape[0]), "conv2/inputs": np.arange(shape[1])}
    left = Result(arrays, "ok", "", {"layers": [layer]}, {"order": "index"}, 0, {})
    context = Context({}, {}, None, None, {})
    drawn = view(left, context)
    figures = [f.id for f in drawn["figures"]]
    assert figures == [f"conv2-{what}" for what in ("patterns",) * (shape[2] > 1) + ("per-unit", "shared-range")]
    assert not any(f.from_dataset for f in drawn["figures"])
    pixels, _ = sheet(context, "conv2-shared-range.svg")
    pixels = pixels[pixels[..., 3].any(1)][:, pixels[..., 3].any(0)]  # without the gaps
    columns = shape[1] if shape[1] > 1 else 16  # 70 filters in five rows
    scale = pixels.shape[1] // (columns * shape[3])
    assert scale >= 3
    expected = tiles(weights, tuple(layer["range"]))[..., 0]
    for i in range(len(expected)):
        y, x = i // columns * shape[2] * scale, i % columns * shape[3] * scale
        tile = pixels[y : y + shape[2] * scale, x : x + shape[3] * scale, 0]
        np.testing.assert_array_equal(tile, expected[i].repeat(scale, 0).repeat(scale, 1))


def test_a_pattern_shows_its_clearest_kernels_and_whose_they_are():
    weights = np.random.default_rng(0).normal(scale=0.05, size=(6, 5, 3, 3)).astype(np.float32)
    weights[4, 3] = [[-1, -1, -1], [-1, 8, -1], [-1, -1, -1]]
    layer = {"name": "conv2", "shape": [9, 7, 3, 3], "groups": 1, "range": [-1.0, 8.0]}
    arrays = {"conv2/weights": weights, "conv2/units": np.arange(6) + 3, "conv2/inputs": np.arange(5) + 2}
    context = Context({}, {}, None, None, {})
    view(Result(arrays, "ok", "", {"layers": [layer]}, {"order": "index"}, 0, {}), context)
    _, marks = sheet(context, "conv2-patterns.svg")
    labels = re.findall(r">([^<>]+)</text>", marks)
    assert labels[0].startswith("spots: ") and labels[1].startswith("noise: 22")
    assert labels[2] == "7 ← 5"


@pytest.mark.parametrize("flat, words", [((1, 2, 4), "flatter with depth"), ((4, 1, 2), "Most typical kernels")])
def test_the_headline_is_about_all_layers_with_a_pattern(flat, words):
    rng, arrays, layers = np.random.default_rng(0), {}, []
    for i, level in enumerate(flat):
        weights = np.float32(rng.normal(size=(20, 5, 3, 3)) + level * rng.choice([-1, 1], (20, 5, 1, 1)))
        arrays |= {f"conv{i}/weights": weights, f"conv{i}/units": np.arange(20), f"conv{i}/inputs": np.arange(5)}
        layers.append({"name": f"conv{i}", "shape": [20, 5, 3, 3], "groups": 1, "range": [-9.0, 9.0]})
    shown = view(
        Result(arrays, "ok", "", {"layers": layers}, {"order": "index"}, 0, {}), Context({}, {}, None, None, {})
    )
    (said,) = shown["findings"]
    assert words in said.says and all(f"conv{i}" in said.says for i in range(3)) and said.strength == "found"
    assert said.figure == f"conv{int(np.argmax(flat))}-patterns" and said.interval.endswith(
        f"conv{int(np.argmax(flat))}"
    )
    assert [f.id for f in shown["figures"] if not f.folded] == [f"conv{i}-patterns" for i in range(3)]


def test_rows_and_columns_name_the_units_and_inputs(made):
    _, left = made(layers=["conv5"], order="norm", units=3, inputs=2)
    context = Context({}, {}, None, None, {})
    view(left, context)
    _, marks = sheet(context, "conv5-per-unit.svg")
    labels = re.findall(r">([^<>]+)</text>", marks)
    units, inputs = left.arrays["conv5/units"], left.arrays["conv5/inputs"]
    assert labels[:5] == [str(i) for i in (*units, *inputs)]
