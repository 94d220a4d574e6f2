"""The tiles on the page are the weights, by the stated mapping."""

import dataclasses
import io

import numpy as np
import pytest
import torch
from PIL import Image

from cnnviz.network import loaded, network
from cnnviz.run import result
from cnnviz.views.first_layer_filters import BETWEEN, kinds, layout, view
from cnnviz.views.kit.filters import tiles
from cnnviz.views.kit.section import Context
from cnnviz.views.kit.tiles import FRAME, montage
from cnnviz.weights import first_layer_filters


def made(make_job, channels: str):
    block = {"torchvision": "squeezenet1_1", "weights": "random", "preprocess": {"channels": channels}}
    job = make_job(block | {"arguments": {"num_classes": 2}})
    network.main(job)
    job = dataclasses.replace(job, section="first_layer_filters")
    first_layer_filters.main(job)
    return loaded.load(job), result.read(job.outputs["result"])


def test_the_weights_are_the_nets_in_rgb(make_job):
    for channels, order in (("RGB", [0, 1, 2]), ("BGR", [2, 1, 0])):
        model, left = made(make_job, channels)
        own = next(m for m in model.net.modules() if isinstance(m, torch.nn.Conv2d)).weight.numpy()
        assert np.array_equal(left.arrays["weights"], own[:, order])


def test_tile_pixels_are_the_mapped_weights():
    weights = np.random.default_rng(0).normal(size=(5, 3, 4, 4))
    shared, single = tiles(weights, per_filter=False), tiles(weights, per_filter=True)
    low, high = weights.min(), weights.max()
    for u in range(5):
        end = np.abs(weights[u]).max()
        for c in range(3):
            np.testing.assert_array_equal(shared[u, :, :, c], np.rint((weights[u, c] - low) / (high - low) * 255))
            np.testing.assert_array_equal(single[u, :, :, c], np.rint((weights[u, c] + end) / (2 * end) * 255))


def test_other_channel_counts_are_grey_and_a_dead_filter_is_mid_grey():
    for channels in (1, 2, 5, 8, 9):
        weights = np.random.default_rng(0).normal(size=(2, channels, 3, 3))
        weights[1] = 0
        shown = tiles(weights, per_filter=True)
        assert (shown[..., 0] == shown[..., 1]).all() and (shown[..., 1] == shown[..., 2]).all()
        values = weights if channels <= 8 else weights.mean(1, keepdims=True)  # of many channels the mean
        assert shown.shape[1:3] == (3, 4 * values.shape[1] - 1)  # side by side, a gap between
        end = np.abs(values[0]).max()
        for c, channel in enumerate(values[0]):
            tile = shown[0, :, 4 * c : 4 * c + 3]
            np.testing.assert_array_equal(tile[..., 0], np.rint((channel + end) / (2 * end) * 255))
            assert tile.shape[2] == 3 or (tile[..., 3] == 255).all()
            assert (shown[1, :, 4 * c : 4 * c + 3, 0] == 128).all()


@pytest.mark.parametrize("shape", [(64, 3, 11, 11), (768, 3, 16, 16), (96, 3, 4, 4), (20, 1, 5, 5), (16, 4, 7, 7)])
def test_the_figures_say_what_is_drawn_and_fit_the_page(shape):
    weights = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    stride = [4, 4] if shape[2] != 16 else [16, 16]
    left = result.Result({"weights": weights}, "ok", "", {"layer": "conv1", "stride": stride}, {}, 0, {})
    figures = view(left, Context({}, {}, None, None, {}))["figures"]
    for figure in figures:
        assert figure.width <= 760 and figure.from_dataset is False
    words = {1: "grey, as the input is", 3: "as red, green and blue", 4: "4 input channels side by side"}[shape[1]]
    assert words in figures[0].caption
    assert ("cut into patches" in figures[0].caption) == (stride == list(shape[2:]))


@pytest.mark.parametrize("count, size", [(8, 3), (16, 3), (32, 5), (64, 7), (96, 11)])
def test_few_small_filters_fill_the_sheet_as_many_large_ones_do(count, size):
    columns, zoom = layout(count, size, size)
    rows = -(-count // columns)
    across, down = (n * (size * zoom + BETWEEN) - BETWEEN for n in (columns, rows))
    assert across <= 760 and down <= 520 and max(across, down) > 500
    weights = np.random.default_rng(0).normal(size=(count, 3, size, size)).astype(np.float32)
    left = result.Result({"weights": weights}, "ok", "", {"layer": "conv1", "stride": [1, 1]}, {}, 0, {})
    context = Context({}, {}, None, None, {})
    figure = view(left, context)["figures"][0]
    shown = np.asarray(Image.open(io.BytesIO(context.files[figure.file])))
    assert (figure.width, figure.height) == (across, down) == shown.shape[1::-1]
    y, x = (size * zoom + BETWEEN) * ((count - 1) // columns), (size * zoom + BETWEEN) * ((count - 1) % columns)
    last = shown[y : y + size * zoom, x : x + size * zoom, :3]
    expected = tiles(weights, per_filter=True)[-1].repeat(zoom, 0).repeat(zoom, 1)
    np.testing.assert_array_equal(last, expected)


def test_the_montage_holds_every_tile_unscaled():
    pictures = np.random.default_rng(0).integers(0, 256, (7, 4, 6, 3), np.uint8)
    sheet = montage(pictures, columns=3, gap=2)
    assert sheet.shape == (3 * 6 - 2, 3 * 8 - 2, 4)
    for i, tile in enumerate(pictures):
        y, x = i // 3 * 6, i % 3 * 8
        assert np.array_equal(sheet[y : y + 4, x : x + 6, :3], tile)
    assert (sheet[..., 3] > 0).sum() == 7 * 24  # gaps are transparent


def test_a_filter_is_named_after_what_it_answers_to_and_a_weak_one_is_framed():
    kernels = np.zeros((6, 3, 3, 3), np.float32)
    kernels[0, 0], kernels[0, 2] = 1, -1  # red against blue
    kernels[1] = 1
    kernels[2, :, :, 0], kernels[2, :, :, 2] = 1, -1
    kernels[3] = [[-1, -1, -1], [-1, 8, -1], [-1, -1, -1]]
    kernels[4] = [[0, 1, 0], [-1, 0, -1], [0, 1, 0]]
    kernels[5] = 0.01 * kernels[3]
    expected = ["colour", "even brightness", "edge", "spot", "stripe", "with hardly any weight"]
    assert kinds(kernels) == expected and kinds(kernels[:, :1])[1:] == expected[1:]
    left = result.Result({"weights": kernels}, "ok", "", {"layer": "conv1", "stride": [1, 1]}, {}, 0, {})
    context = Context({}, {}, None, None, {})
    figure, shared = view(left, context)["figures"]
    assert "1 colour, 1 even brightness" in figure.caption and "Orange frame" in figure.caption and shared.folded
    shown = np.asarray(Image.open(io.BytesIO(context.files[figure.file])))
    orange = (shown[..., :3] == FRAME).all(2)
    assert orange.any() and not orange[: shown.shape[0] // 2 - 9, : shown.shape[1] // 2].any()  # only around the last
