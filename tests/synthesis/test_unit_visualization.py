"""Unit visualisation: pictures activate their units, also those inactive at the start; shards change nothing."""

import io
import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from cnnviz.ascent.objective_functions import read, takes
from cnnviz.ascent.unit_pictures import largest, picture_size, strongest, views_of
from cnnviz.demo import scenes
from cnnviz.network import network
from cnnviz.network.layers import Layer
from cnnviz.network.loaded import Model
from cnnviz.pictures.preprocess import Preprocess
from cnnviz.run import result
from cnnviz.synthesis import unit_visualization
from cnnviz.synthesis.unit_visualization import best_patches, draw, lost, main, plan, visualise
from cnnviz.views import unit_visualization as view
from cnnviz.views.kit.section import Context


@pytest.fixture(scope="module")
def photographs():
    """The pictures of the demo's set."""
    return np.stack([scenes.draw(1, i).image for i in range(960)])


@pytest.mark.parametrize("name", ["conv2", "conv4"])
def test_pictures_excite_the_demos_units_more_than_any_of_its_960_pictures(demo, photographs, name):
    layer = demo.layer(name)
    units = list(range(3, layer.units, layer.units // 10))
    ascent = visualise(demo, layer, units, units, (64, 64), 80, 0)
    values = largest(demo, layer, (ascent.pictures * 255).round().byte().permute(0, 2, 3, 1).numpy(), units)
    best = np.full(len(units), -np.inf)
    for first in range(0, len(photographs), 240):
        maps = read(demo, demo.pictures(list(photographs[first : first + 240])), [layer.module])[layer.module]
        best = np.maximum(best, maps[:, units].amax((0, 2, 3)).numpy())
    assert (values > best).mean() >= 0.8


def blocks(in_place: bool = False) -> Model:
    """One layer, a block that ends in a ReLU, of the units red, green and blue, which are inactive on grey."""

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Conv2d(3, 2, 3, padding=1), nn.Conv2d(3, 1, 1)
            self.relu = nn.ReLU(inplace=in_place)

        def forward(self, x):
            return torch.cat([self.relu(self.a(x)), torch.relu(self.b(x))], 1)

    net = nn.Sequential(Block(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    for conv, first in ((net[0].a, 0), (net[0].b, 2)):
        conv.weight.data.fill_(-0.2 if conv is net[0].b else 0)
        conv.bias.data.fill_(-0.5)
        middle = conv.kernel_size[0] // 2
        for unit in range(conv.out_channels):
            conv.weight.data[unit, :, middle, middle] = -0.5
            conv.weight.data[unit, first + unit, middle, middle] = 1
    return Model(
        "blocks", net.eval().requires_grad_(False), Preprocess(resize=(24, 24)),
        (Layer("block", "0", "Block", 3, 24, 24),), ("block",), ("0", "output"), "block", 3, ("r", "g", "b"),
        (0, 1, 2), torch.device("cpu"), {},
    )  # fmt: skip


@pytest.mark.parametrize("in_place", [False, True])
def test_units_that_are_inactive_at_first_are_ascended_through_the_last_relu_of_their_block(in_place):
    model = blocks(in_place)
    ascent = visualise(model, model.layers[0], [0, 1, 2], [4, 5, 6], (24, 24), 40, 0)
    assert ascent.curves["excitation"][0].tolist() == [0, 0, 0]
    assert ascent.pictures.mean((2, 3)).argmax(1).tolist() == [0, 1, 2]
    assert (ascent.curves["excitation"][-1] > 0).all()


def depthwise(dead: bool = False) -> Model:
    """A ReLU6 before a depthwise convolution, as in MobileNet: its units read one unit each, inactive on grey.

    dead: unit 2 is inactive on every picture.
    """
    net = nn.Sequential(
        nn.Conv2d(3, 3, 1), nn.ReLU6(), nn.Conv2d(3, 3, 3, padding=1, groups=3), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )  # fmt: skip
    net[0].weight.data.fill_(-0.5)
    net[0].weight.data[range(3), range(3)] = 1
    net[0].bias.data.fill_(-0.4)
    if dead:
        net[0].bias.data[2] = -9
    net[2].weight.data.fill_(1)
    net[2].bias.data.fill_(0.001)
    return Model(
        "depthwise", net.eval().requires_grad_(False), Preprocess(resize=(24, 24)),
        (Layer("conv2", "2", "Conv2d", 3, 24, 24),), ("conv2",), ("2", "output"), "conv2", 3, ("r", "g", "b"),
        (0, 1, 2), torch.device("cpu"), {},
    )  # fmt: skip


def test_units_of_a_depthwise_convolution_are_ascended_through_the_relu_of_the_one_unit_that_they_read():
    model = depthwise()
    ascent = visualise(model, model.layers[0], [0, 1, 2], [4, 5, 6], (24, 24), 40, 0)
    np.testing.assert_allclose(ascent.curves["excitation"][0], 0.002)  # twice the bias: no input
    assert ascent.pictures.mean((2, 3)).argmax(1).tolist() == [0, 1, 2]
    assert (ascent.curves["excitation"][-1] > 0.1).all()


def fields(side, margin=0, best=()):
    """The forward pass of a layer whose neurons see one pixel, and within ``margin`` of the edge padding too."""
    ends, at = np.stack([np.arange(side), np.arange(side) + 1], 1), np.arange(side)
    cross = (at < margin) | (at >= side - margin)
    kept = {"rows": ends, "columns": ends, "rows_cross": cross, "columns_cross": cross}
    return kept | {"all_value": np.float32(best)[:, None]}


def test_a_lost_picture_is_tried_from_other_starts_and_a_unit_without_any_is_marked(make_job, monkeypatch):
    model, batches = depthwise(dead=True), []
    starts = unit_visualization.visualise

    def stuck(model, layer, units, seeds, *rest):
        """The first start of unit 1 leads nowhere."""
        batches.append(list(units))
        ascent = starts(model, layer, units, seeds, *rest)
        for i, seed in enumerate(seeds):
            if seed == job.seed_for("start", "conv2", 1):
                ascent.pictures[i] = 0.5
        return ascent

    monkeypatch.setattr(unit_visualization, "visualise", stuck)
    job = replace(make_job({"torchvision": "alexnet"}, "unit_visualization"), parameters={"steps": 40})
    made = draw(job, model, model.layers[0], [0, 1, 2], (24, 24), fields(24, best=[0.2, 0.2, 0.2]))
    assert made["lost"].tolist() == [False, False, True] and made["starts"].tolist() == [1, 5, 5]
    assert made["value"][1] > 0.05 and made["pictures"][1].mean((0, 1)).argmax() == 1
    assert batches == [[0, 1, 2], [1, 1, 1], [1, 2, 2], [2, 2]]  # no batch is larger than the first


def test_grey_pictures_those_without_response_and_those_far_below_real_ones_are_lost():
    pictures = np.full((6, 4, 4, 3), 120, np.uint8)
    pictures[0, 0, 0] = 145  # as grey as a start
    pictures[1:, 0, 0, 0] = 220
    value, best = np.float32([9, 0.0066, 0.7, -1, -0.1, 1.9]), np.float32([1, 6.71, 6.71, -0.2, -0.2, 1.9])
    climb = np.tile(np.float16([0.1, 0.5, 1]), (6, 1))
    climb[5] = 1  # nothing changes the unit
    made = {"pictures": pictures, "value": value, "climb": climb}
    assert lost(made, best).tolist() == [True, True, False, True, False, True]


def test_a_units_value_is_its_largest_anywhere():
    model = blocks()
    pictures = np.zeros((2, 24, 24, 3), np.uint8)
    pictures[0, 3, 20, 0] = pictures[1, 23, 0, 2] = 255
    pictures[1, 5, 5, 2] = 240
    np.testing.assert_allclose(largest(model, model.layers[0], pictures, [0, 2]), [0.5, 0.5], atol=1e-6)
    value, field = strongest(model, model.layers[0], pictures, [0, 2], fields(24, margin=2))
    np.testing.assert_allclose(value, [0.5, 0.5], atol=1e-6)
    assert field.tolist() == [[3, 20, 4, 21], [5, 5, 6, 6]]  # that at the second picture's edge is not a whole field


def test_pictures_are_as_large_as_it_takes(demo):
    def kept(sees):
        return {side: np.array([[0, sees - 3], [1, 1 + sees]]) for side in ("rows", "columns")}

    assert picture_size(demo, demo.layer("conv1"), kept(9), None) == (64, 64)
    large = replace(demo, preprocess=replace(demo.preprocess, resize=(224, 224)))
    assert picture_size(large, demo.layer("conv1"), kept(9), None) == (128, 128)
    assert picture_size(large, demo.layer("conv3"), kept(90), None) == (180, 180)
    assert picture_size(large, demo.layer("conv5"), kept(150), None) == (224, 224)
    assert picture_size(large, demo.layer("conv5"), kept(150), 96) == (96, 96)
    vector = Layer("fc8", "classifier.6", "Linear", 12, 1, 1, "vector")
    assert picture_size(demo, vector, kept(64), 96) == (64, 64)
    assert takes(demo, (40, 40), demo.layer("conv5")) and not takes(demo, (40, 40), vector)


@pytest.mark.parametrize("step", [1, 32, 64])
def test_views_of_other_sizes_are_tried_at_sizes_above_the_pictures(demo, monkeypatch, step):
    tried = []
    monkeypatch.setattr("cnnviz.ascent.unit_pictures.takes", lambda model, size, layer: tried.append(size) or True)
    views_of(replace(demo, trial={"step": step}), demo.layer("conv5"), (64, 64))
    assert len(set(tried)) == 4 and all(side >= 64 and side % step == 0 for size in tried for side in size)


def test_best_patches_are_those_of_the_forward_pass():
    kept = {
        "all_value": np.float32([[5, 1], [7, 6]]),
        "all_image": np.int32([[3, 2], [8, 1]]),
        "all_position": np.int32([[[0, 1], [1, 1]], [[1, 0], [0, 0]]]),
        "peak": np.float32([1, 2]),
        "rows": np.int32([[0, 4], [2, 8]]),
        "columns": np.int32([[0, 5], [3, 8]]),
        "rows_cross": np.array([True, False]),
        "columns_cross": np.array([False, False]),
    }
    found = best_patches(kept, np.array([1, 0]))
    assert found["best"].tolist() == [7, 5] and found["image"].tolist() == [8, 3]
    assert found["box"].tolist() == [[2, 0, 8, 5], [0, 3, 4, 8]] and found["border"].tolist() == [False, True]
    assert plan({"a": [4, 2, 0], "b": [1]}, 2) == [("a", [4, 2]), ("a", [0]), ("b", [1])]


def test_shards_merge_to_the_bytes_of_one_job(make_job, tmp_path):
    """Two layers, two batches of one: five units in shards of one or two batches, merged."""
    (tmp_path / "net.py").write_text(
        "import torch\nfrom torch import nn\n\ndef tiny():\n    torch.manual_seed(0)\n    return nn.Sequential("
        "nn.Conv2d(3, 4, 5, stride=2), nn.ReLU(), nn.Conv2d(4, 3, 3), nn.ReLU(), nn.Flatten(), nn.LazyLinear(12))"
        ".eval().requires_grad_(False)\n".replace("nn.LazyLinear(12)", "nn.Linear(432, 12)")
    )
    block = {"factory": f"{tmp_path}/net.py:tiny", "preprocess": {"mean": 0.5, "std": 0.25, "resize": [32, 32]}}
    network.main(make_job(block, set_classes=[str(i) for i in range(12)]))
    rng = np.random.default_rng(0)
    arrays = {}
    for name, units, side in (("conv1", 4, 14), ("conv2", 3, 12)):
        ends = np.stack([np.arange(side), np.arange(side) + 5], 1).astype(np.int32)
        arrays |= {
            f"{name}/all_value": np.sort(rng.random((units, 2), np.float32))[:, ::-1],
            f"{name}/all_image": rng.integers(0, 9, (units, 2)).astype(np.int32),
            f"{name}/all_position": rng.integers(0, side, (units, 2, 2)).astype(np.int32),
            f"{name}/peak": np.ones(units, np.float32),
            f"{name}/rows": ends,
            f"{name}/columns": ends,
            f"{name}/rows_cross": np.zeros(side, bool),
            f"{name}/columns_cross": np.zeros(side, bool),
        }
        arrays |= {f"{name}/inside_{what}": arrays[f"{name}/all_{what}"] for what in ("value", "image", "position")}
    around = {name: {"made_by": "convolution"} for name in ("conv1", "conv2")}
    numbers = {"layers": list(around), "size": [32, 32], "geometry": {}, "pictures": 9, "around": around}
    forward = tmp_path / "forward.npz"
    result.write(forward, result.Result(arrays, "ok", "", numbers, {}, 0, {}))
    parameters = {"units": "all", "steps": 3, "batch": 2, "size": None}
    inputs = {"network": tmp_path / "network.json", "forward": forward}
    job = make_job(block, "unit_visualization", parameters={}, inputs=inputs)
    job = replace(job, parameters=parameters)

    def left(name, **changes):
        path = tmp_path / f"{name}.npz"
        main(replace(job, outputs={"result": path}, **changes))
        return path

    whole = left("whole")
    for count in (2, 3, 7):
        paths = [left(f"{i}-of-{count}", parameters=parameters | {"shard": [i, count]}) for i in range(count)]
        shards = {f"shard-{i}": path for i, path in enumerate(paths)}
        assert left("merged", inputs=inputs | shards).read_bytes() == whole.read_bytes()
    read_back = result.read(whole)
    assert sorted(read_back.arrays["conv2/unit"].tolist()) == [0, 1, 2]
    assert read_back.arrays["conv1/pictures"].shape == (4, 32, 32, 3)
    assert "shard" not in json.dumps(read_back.parameters)


def test_each_units_place_on_its_sheet_shows_its_own_picture():
    levels = np.arange(20, 230, 25)  # nine grey pictures
    pictures = np.broadcast_to(levels[:, None, None, None], (9, 8, 8, 3)).astype(np.uint8)
    arrays = {"conv1/pictures": pictures, "conv1/unit": np.arange(9) + 3, "conv1/value": np.ones(9)}
    made = result.Result(arrays | {"conv1/best": np.ones(9), "conv1/lost": np.arange(9) == 4}, "ok", "", {}, {}, 0, {})
    context = Context({}, {}, SimpleNamespace(config={}), None, {})
    figure = view._sheet_figure(made, context, "conv1", range(9))
    shown = np.asarray(Image.open(io.BytesIO(context.files[figure.file])).convert("RGB")).astype(int)
    assert "No picture was found for unit 7:" in figure.caption and "1.0 times as much" in figure.caption
    assert "8 of 9 units are excited less" in figure.caption
    places = {s.name: s.box for s in figure.subjects if s.kind == "unit"}
    assert len(places) == 9 and None not in places.values()
    for name, (left, top, width, height) in places.items():
        assert np.abs(shown[top : top + height, left : left + width] - levels[int(name) - 3]).max() < 16


def test_of_a_small_field_the_part_that_one_neuron_sees_is_shown_and_a_dead_unit_is_named():
    pictures = np.zeros((2, 16, 16, 3), np.uint8)
    pictures[0, 4:7, 8:11], pictures[1, 1:4, 2:5] = 200, 90
    arrays = {"conv1/pictures": pictures, "conv1/unit": np.arange(2), "conv1/value": np.float32([3, 1])}
    arrays |= {"conv1/best": np.float32([2, 0]), "conv1/lost": np.zeros(2, bool)}
    arrays["conv1/field"] = np.int32([[4, 8, 7, 11], [1, 2, 4, 5]])
    made = result.Result(arrays, "ok", "", {}, {}, 0, {})
    context = Context({}, {}, SimpleNamespace(config={}), None, {})
    figure = view._sheet_figure(made, context, "conv1", range(2))
    assert "1.5 times" in figure.caption and "3 × 3 pixels that one neuron sees" in figure.caption
    assert "dead" in figure.mapping
    shown = np.asarray(Image.open(io.BytesIO(context.files[figure.file])).convert("RGB")).astype(int)
    for level, (left, top, width, height) in zip((200, 90), (s.box for s in figure.subjects[1:]), strict=True):
        assert np.abs(shown[top : top + height, left : left + width] - level).max() < 16
    arrays["conv1/field"][0] = 0, 0, 16, 16
    assert "Shown" not in view._sheet_figure(made, replace_files(context), "conv1", range(2)).caption


def replace_files(context: Context) -> Context:
    """The context for another page."""
    return Context(context.model, context.show, context.image_set, None, {})
