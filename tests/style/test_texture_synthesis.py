"""Texture synthesis on a small network: properties of the errors."""

import numpy as np
import pytest
import torch

from cnnviz.ascent.objective_functions import gram, read
from cnnviz.ascent.parametrisations import frequencies
from cnnviz.errors import UserError
from cnnviz.network import network
from cnnviz.run import result
from cnnviz.style import texture_synthesis
from cnnviz.style.sources import first_stride, noise
from cnnviz.style.texture_synthesis import depths, errors, synthesise

LAYERS = ["conv1", "conv2", "conv3"]


@pytest.fixture(scope="module")
def exemplars() -> torch.Tensor:
    """Short strokes, horizontal in one picture and vertical in the other."""
    x = torch.rand(2, 3, 48, 48, generator=torch.Generator().manual_seed(3))
    lying, standing = (torch.nn.functional.avg_pool2d(x[i : i + 1], size, 1, tuple(s // 2 for s in size))
                       for i, size in enumerate([(1, 7), (7, 1)]))  # fmt: skip
    return torch.cat([lying, standing]).clamp(0, 1)


@pytest.fixture(scope="module")
def made(model, exemplars):
    start = noise(exemplars, [1, 2])
    return start, [synthesise(model, exemplars, start, LAYERS[: k + 1], 60).pictures for k in range(3)]


def test_the_error_falls_by_orders_of_magnitude_also_in_8_bits(model, exemplars, made):
    start, pictures = made
    for k, picture in enumerate(pictures):
        shown = (picture * 255).round() / 255
        after, before = (errors(model, x, exemplars, LAYERS[: k + 1])[0].mean(1) for x in (shown, start))
        assert (after < before / 100).all()


def test_a_deeper_texture_matches_all_shallower_layers_too(model, exemplars, made):
    start, pictures = made
    relative = np.stack([errors(model, x, exemplars, LAYERS)[0] for x in pictures], 1)  # exemplar, depth, layer
    before = errors(model, start, exemplars, LAYERS)[0]
    for k in range(3):
        assert (relative[:, k, : k + 1] < before[:, : k + 1] / 20).all()
    assert (relative[:, 0, 2] > 5 * relative[:, 2, 2]).all()  # and layers that were not matched do not match


def test_a_textures_own_grams_give_no_error_and_anothers_do(model, exemplars):
    relative, absolute = errors(model, exemplars, exemplars, LAYERS)
    assert not relative.any() and not absolute.any()
    assert (errors(model, exemplars.flip(0), exemplars, LAYERS)[0] > 0.01).any(1).all()


def test_errors_are_those_of_the_definitions(model, exemplars, made):
    relative, absolute = errors(model, made[0], exemplars, LAYERS)
    maps = [torch.relu(read(model, x, ["3"])["3"]).flatten(2).double() for x in (made[0], exemplars)]
    units, positions = maps[0].shape[1:]
    g, wanted = (f @ f.transpose(1, 2) for f in maps)  # sums over positions, as in the paper
    np.testing.assert_allclose(
        absolute[:, 1], (g - wanted).square().sum((1, 2)) / (4 * units**2 * positions**2), rtol=1e-4
    )
    for i, (ours, theirs) in enumerate(zip(*maps, strict=True)):
        off = (ours.mean(1) - theirs.mean(1)).square().sum() / theirs.var(1, correction=0).sum()
        c, wanted = (f.cov(correction=0) for f in (ours, theirs))
        off = (off + (c - wanted).square().sum() / wanted.square().sum()) / 2
        np.testing.assert_allclose(relative[i, 1], off, rtol=1e-4)


def test_a_picture_without_texture_is_far_from_one_with_it_and_near_to_another_without(model):
    """Half an error for the missing covariance; and nothing is divided by 0."""
    grey, grain = torch.full((1, 3, 48, 48), 0.5), torch.rand(1, 3, 48, 48, generator=torch.Generator().manual_seed(1))
    assert errors(model, grey, grain, LAYERS)[0].min() > 0.45
    assert errors(model, grey, grey, LAYERS)[0].max() == 0


def test_grams_do_not_depend_on_positions(model, exemplars):
    maps = read(model, exemplars, ["3"])["3"]
    shuffled = maps.flatten(2)[:, :, torch.randperm(maps[0, 0].numel())].view_as(maps)
    torch.testing.assert_close(gram(shuffled), gram(maps), rtol=1e-5, atol=1e-7)


def test_noise_has_the_exemplars_colours_and_little_that_strides_cannot_see(exemplars):
    x = noise(exemplars, [0, 1])
    torch.testing.assert_close(x.mean((2, 3)), exemplars.mean((2, 3)), rtol=0, atol=0.03)
    covariances = [torch.cov(pictures[0].flatten(1)) for pictures in (x, exemplars)]
    torch.testing.assert_close(*covariances, rtol=0, atol=0.2 * float(covariances[1].max()))
    power = torch.fft.rfft2(x - x.mean((2, 3), keepdim=True)).abs().square().mean((0, 1))
    fine = frequencies((48, 48)) > 0.4
    assert power[fine].sum() < 0.02 * power.sum()
    torch.testing.assert_close(noise(exemplars[1:], [1])[0], x[1])  # depends on its seed, not on its batch


def test_choice_of_layers(model):
    assert depths(model, "default") == LAYERS
    assert depths(model, ["conv3", "0", "conv1"]) == ["conv1", "conv3"]
    with pytest.raises(UserError, match="conv9"):
        depths(model, ["conv9"])
    assert first_stride(model) == 1


NET = """
from torch import nn

def strided():
    return nn.Sequential(nn.Conv2d(3, 4, 5, stride=2), nn.ReLU(), nn.Conv2d(4, 5, 3), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, 2))
"""


def test_the_job_leaves_what_it_says_and_the_stride(make_job, tmp_path):
    (tmp_path / "net.py").write_text(NET)
    block = {"factory": f"{tmp_path}/net.py:strided", "preprocess": {"resize": [32, 32], "crop": None}}
    network.main(make_job(block))
    job = make_job(block, "texture_synthesis", parameters={"size": 40, "steps": 2, "batch": 1})
    texture_synthesis.main(job)
    left = result.read(job.outputs["result"])
    assert left.numbers == {"layers": ["conv1", "conv2"], "stride": 2}
    assert left.arrays["pictures"].shape == (2, 2, 40, 40, 3) and left.arrays["pictures"].dtype == np.uint8
    assert left.arrays["curves"].shape == (2, 2, 2) and left.arrays["relative"].shape == (2, 4, 2)
    assert not left.arrays["relative"][:, -1].any()
