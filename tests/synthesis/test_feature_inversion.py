"""Feature inversion: what is invertible is inverted, and what is lost stays lost."""

import numpy as np
import pytest
import torch
from torch import nn

from cnnviz.ascent.loop import to_bytes
from cnnviz.ascent.places import Place, rectified
from cnnviz.network.loaded import Layer, Model
from cnnviz.pictures.preprocess import Preprocess
from cnnviz.synthesis.feature_inversion import answers, errors, invert, places, stuck_at

SIDE = 32


@pytest.fixture(scope="module")
def model() -> Model:
    """conv1 mixes colours and is invertible; conv2 halves the positions, and conv3 again; the scores are means."""
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 3, 1),
        nn.Conv2d(3, 12, 4, stride=2), nn.ReLU(),
        nn.Conv2d(12, 16, 4, stride=2), nn.BatchNorm2d(16), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 4),
    )  # fmt: skip
    net[0].weight.data = torch.tensor([[1.0, 0.5, 0], [0, 1, -0.5], [0.5, 0, 1]])[:, :, None, None]
    net[4].weight.data, net[4].bias.data = torch.tensor([1.0, -1.0] * 8), torch.linspace(-0.5, 0.5, 16)
    found = (
        Layer("conv1", "0", "Conv2d", 3, 32, 32),
        Layer("conv2", "1", "Conv2d", 12, 15, 15),
        Layer("conv3", "3", "Conv2d", 16, 6, 6),
        Layer("fc1", "8", "Linear", 4, 1, 1),
    )
    prepared = Preprocess(resize=(SIDE, SIDE), mean=np.float32([0.5] * 3), std=np.float32(0.25))
    return Model(
        *("small", net.eval().requires_grad_(False), prepared, found, ("conv1", "conv2", "conv3"), ("8", "input")),
        *("fc1", 16, tuple("abcd"), (), torch.device("cpu"), {}),
    )


@pytest.fixture(scope="module")
def originals() -> torch.Tensor:
    """A bright square on blue, and a disc on a slope."""
    x = torch.zeros(2, 3, SIDE, SIDE)
    x[0] = torch.tensor([0.2, 0.4, 0.7])[:, None, None]
    x[0, :, 8:20, 10:24] = torch.tensor([0.9, 0.6, 0.3])[:, None, None]
    down, right = torch.meshgrid(torch.linspace(-1, 1, SIDE), torch.linspace(-1, 1, SIDE), indexing="ij")
    x[1] = 0.5 + 0.3 * right
    x[1, 1] = torch.where(down**2 + right**2 < 0.3, 0.1, x[1, 1])
    return (x * 255).round() / 255


def test_layers_from_the_first_to_the_scores_and_what_of_them_is_used(model):
    shown = places(model, 8)
    assert [p.name for p in shown] == ["conv1", "conv2", "conv3", "scores"]
    assert [p.rectified for p in shown] == [False, True, False, False]  # batch norm sees all of conv3
    assert [p.depth for p in shown] == [0.25, 0.5, 0.75, 1]
    assert [p.name for p in places(model, 2)] == ["conv1", "scores"]
    assert [p.name for p in places(model, ["scores", "conv2"])] == ["conv2", "scores"]
    assert rectified(model, "2")


def test_errors_fall_with_steps_and_pixels_get_lost_with_depth(model, originals):
    every, found = places(model, 8), []
    for place in every:
        ascent = invert(model, originals, place, [1, 2], steps=60, roughness=0.2, distance=0.1)
        curve = -ascent.curves["match"].mean(1)
        checkpoints = curve[[0, 15, 30, 59]]
        assert (np.diff(checkpoints) < 0).all() or curve[-1] < 1e-5, place
        cross, pixel_error = errors(model, originals, to_bytes(ascent.pictures), every)
        np.testing.assert_allclose(cross[:, every.index(place)], -ascent.curves["match"][-1], atol=0.02)
        found.append((cross.mean(0), pixel_error.mean()))
    cross, pixel_errors = map(np.array, zip(*found, strict=True))
    assert (np.diff(pixel_errors) > 0).all() and pixel_errors[-1] > 20 * pixel_errors[0]
    for i in range(len(every)):  # no picture from a deeper layer is nearer to the original in this one
        assert cross[i, i] <= cross[i:, i].min()


def test_what_can_be_undone_is_undone(model, originals):
    first = places(model, 8)[:1]
    ascent = invert(model, originals, first[0], [1, 2], steps=60, roughness=0, distance=0)
    error, pixel_error = errors(model, originals, to_bytes(ascent.pictures), first)
    assert (error < 2e-5).all() and (pixel_error < 0.5).all()


def test_black_and_white_are_reached_under_the_usual_penalties(model):
    """No black holes in white, and none that the search cannot leave."""
    board = (torch.arange(SIDE)[:, None] // 8 + torch.arange(SIDE) // 8) % 2
    x = board.float().expand(1, 3, -1, -1).contiguous()
    pictures = invert(model, x, places(model, 8)[0], [1], steps=60).pictures
    assert (pictures - x).abs().max() < 0.1


def test_a_search_is_repeated_where_a_deeper_copy_fits_better():
    cross = np.full((2, 3, 3), 0.5)
    cross[:, range(3), range(3)] = 0.02
    cross[1, 2, 0] = 0.01  # the second picture, rebuilt from the last layer, in the first
    assert [stuck_at(cross, k) for k in range(3)] == [[1], [], []]


def test_the_published_method_lowers_the_error_too(model, originals):
    for place in places(model, 8)[:2]:
        curve = -invert(model, originals, place, [1, 2], steps=60, method="published").curves["match"]
        assert (curve[-1] < 0.5 * curve[0]).all()


def test_pictures_of_a_batch_do_not_see_each_other(model, originals):
    place = places(model, 8)[1]
    together = invert(model, originals, place, [1, 2], steps=5).pictures
    alone = invert(model, originals[1:], place, [2], steps=5).pictures
    torch.testing.assert_close(alone[0], together[1], atol=1e-5, rtol=0)


def test_judge_gives_the_errors_of_the_definition(model, originals):
    place = places(model, 8)[0]
    pictures = to_bytes(1 - originals)
    (error,), pixel_error = (e.T for e in errors(model, originals, pictures, [place]))
    f, g = (model.net[0](model.normalise(x)) for x in (originals, model.pictures(list(pictures))))
    np.testing.assert_allclose(error, ((f - g) ** 2).sum((1, 2, 3)) / (f**2).sum((1, 2, 3)), rtol=1e-4)
    levels = to_bytes(originals).astype(float) - pictures
    np.testing.assert_allclose(pixel_error, np.sqrt((levels**2).mean((1, 2, 3))), rtol=1e-4)


def test_a_layer_with_features_of_0_is_detected(model, originals):
    assert answers(model, originals, Place("conv1", "0", False, 1.0))
    dark = originals * 0 + 0.5  # 0 after preprocessing
    model.net[0].bias.data.zero_()
    assert not answers(model, dark, Place("conv1", "0", False, 1.0))
