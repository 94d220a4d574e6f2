"""Objectives equal plain indexing and naive loops."""

import dataclasses
from functools import partial

import pytest
import torch
from torch.nn import functional

from cnnviz.ascent.objective_functions import (
    Objective,
    diversity,
    gram,
    layer,
    logit,
    match,
    neuron,
    past_relus,
    probability,
    read,
    unit,
    waking,
)


@pytest.fixture
def seen(model):
    x = torch.rand(3, 3, 16, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return read(model, x, ["one", "two", ""]) | {"x": x}


def test_values_are_each_pictures_own_target(model, seen):
    torch.testing.assert_close(seen[""], model.logits(seen["x"]))
    assert logit([4, 0, 2]).value(seen).tolist() == [float(seen[""][i, c]) for i, c in enumerate([4, 0, 2])]
    for i, u in enumerate([5, 1, 0]):
        assert float(unit("two", [5, 1, 0]).value(seen)[i]) == pytest.approx(float(seen["two"][i, u].mean()))
        assert float(neuron("two", [5, 1, 0]).value(seen)[i]) == float(seen["two"][i, u, 3, 3])


def test_arithmetic(seen):
    a, b = logit([0, 1, 2]), unit("one", [3, 4, 5])
    weights = torch.tensor([0.0, 1.0, 2.0], dtype=torch.float64)
    mixed = 2 * a - b * weights + -a
    assert mixed.modules == ("", "one", "")
    torch.testing.assert_close(mixed.value(seen), a.value(seen) - weights * b.value(seen))
    assert isinstance(mixed, Objective)


def test_wrong_number_of_targets(seen):
    with pytest.raises(ValueError, match="2 targets for 3 pictures"):
        logit([0, 1]).value(seen)


def test_gram_equals_naive_loops_and_ignores_positions():
    f = torch.randn(2, 4, 3, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    g = gram(f)
    for n in range(2):
        for i in range(4):
            for j in range(4):
                expected = sum(
                    max(float(f[n, i, y, x]), 0) * max(float(f[n, j, y, x]), 0) for y in range(3) for x in range(5)
                )
                assert float(g[n, i, j]) == pytest.approx(expected / 15, rel=1e-12)
    order = torch.randperm(15, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(gram(f.flatten(2)[:, :, order].reshape(f.shape)), g)
    torch.testing.assert_close(gram(f.repeat(1, 1, 2, 3)), g)  # a larger picture of the same texture


def test_match_is_relative(seen):
    target = torch.relu(seen["two"])
    assert match("two", target).value(seen).tolist() == [0, 0, 0]
    torch.testing.assert_close(
        match("two", target).value({"two": torch.zeros_like(target)}), -torch.ones(3, dtype=torch.float64)
    )
    assert float(match("two", target[:1]).value(seen)[0]) == 0
    large = torch.full((2, 3), 1e30)  # its square is beyond float32
    assert match("two", large).value({"two": large / 2}).tolist() == [-0.25, -0.25]


def test_read_stops_before_the_rest_of_the_net(model):
    called = []
    handle = model.net.score.register_forward_hook(lambda *_: called.append(1))
    read(model, torch.rand(1, 3, 40, 30, dtype=torch.float64), ["one", "two"])
    handle.remove()
    assert not called


def test_a_probability_is_the_softmaxs_or_the_sigmoids(model, seen):
    own = torch.arange(3)
    expected = seen[""].softmax(1)[own, own].log()
    torch.testing.assert_close(probability(model, [0, 1, 2]).value(seen), expected)
    sigmoid = dataclasses.replace(model, kind="sigmoid")
    torch.testing.assert_close(probability(sigmoid, [0, 1, 2]).value(seen), seen[""].sigmoid()[own, own].log())


def test_a_layers_objective_is_the_mean_square_of_what_is_rectified(seen):
    maps = seen["two"].clamp(min=0).flatten(1)
    torch.testing.assert_close(layer("two").value(seen), (maps**2).sum(1) / maps.shape[1])


def test_diversity_is_minus_the_mean_cosine_of_grams_within_a_group():
    maps = torch.rand(5, 4, 6, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    maps[2] = 3 * maps[0].flip(1, 2)  # the same texture, brighter and elsewhere
    value = diversity("m", [7, 7, 7, 1, 8]).value({"m": maps})
    grams = [g.flatten() / g.norm() for g in gram(maps)]
    assert float(value[0]) == pytest.approx(-float(grams[0] @ grams[1] + grams[0] @ grams[2]) / 2)
    assert value[3:].tolist() == [0, 0]
    assert float(diversity("m", [7, 7]).value({"m": maps[[0, 1]]})[0]) > -1
    assert float(diversity("m", [7, 7]).value({"m": maps[[0, 0]]})[0]) == pytest.approx(-1)


def test_the_mean_of_a_units_strongest_positions(model):
    x = torch.rand(2, 3, 16, 16, dtype=torch.float64)
    maps = read(model, x, ["two"])
    for share, count in ((0.25, 12), (1.0, 49), (0.001, 1)):
        expected = [
            maps["two"][i, u].flatten().sort(descending=True).values[:count].mean() for i, u in ((0, 4), (1, 1))
        ]
        torch.testing.assert_close(unit("two", [4, 1], share).value(maps), torch.stack(expected))


def test_past_relus_is_the_gradient_before_them():
    """Through joining and pooling, in place or not; what no ReLU made keeps its own gradient."""

    def gradient(rectify, wrap):
        x = torch.linspace(-1, 1, 32, dtype=torch.float64).reshape(1, 2, 4, 4).requires_grad_()
        maps = torch.nn.functional.avg_pool2d(torch.cat([rectify(x * 1.0), rectify(x * 2.0)], 1), 2)
        return torch.autograd.grad(wrap(unit("m", [2])).value({"m": maps}).sum(), x)[0]

    before = gradient(lambda x: x, lambda objective: objective)
    for rectify in (torch.relu, torch.relu_, lambda x: x.clamp(min=0), torch.nn.functional.relu6):
        torch.testing.assert_close(gradient(rectify, past_relus), before)
        assert (gradient(rectify, lambda objective: objective) != before).any()
    torch.testing.assert_close(gradient(torch.tanh, past_relus), gradient(torch.tanh, lambda objective: objective))


@pytest.mark.parametrize("rectify", [torch.relu, torch.relu_, torch.nn.functional.relu6, lambda x: x.clamp(min=0)])
def test_waking_passes_a_blocked_gradient_of_one_picture_and_changes_no_other(rectify):
    x = torch.linspace(-1, 1, 32, dtype=torch.float64).reshape(2, 1, 4, 4).requires_grad_()  # the first is below 0
    weight = torch.tensor([[[[3.0]]]], dtype=torch.float64)

    def gradient(wrap):
        maps = torch.nn.functional.conv2d(rectify(torch.sin(x)), weight)
        return torch.autograd.grad(wrap(unit("m", [0, 0])).value({"m": maps}).sum(), x)[0]

    plain, woken = gradient(lambda objective: objective), gradient(waking)
    assert not plain[0].any() and plain[1].all()
    torch.testing.assert_close(woken[0], 3 / 16 * torch.cos(x[0]).detach())
    assert woken[1].equal(plain[1])


@pytest.mark.parametrize(
    "curve",
    [
        *(functional.hardswish, functional.silu, functional.mish, functional.gelu, functional.hardsigmoid),
        *(partial(curve, inplace=True) for curve in (functional.hardswish, functional.silu, functional.hardsigmoid)),
    ],
)
def test_waking_leads_out_of_the_valley_of_a_curve_that_falls_before_it_rises(curve):
    """Plain ascent of a picture in the valley goes down to where nothing moves; the one beside it climbs as before."""
    ends = {}
    for name, wrap in (("plain", lambda objective: objective), ("woken", waking)):
        x = torch.tensor([-3.5, -2.0, 1.0], dtype=torch.float64).reshape(3, 1, 1, 1).repeat(1, 1, 2, 2)
        for _ in range(60):
            x.requires_grad_()
            maps = curve(x * 1.0)
            climbed = wrap(unit("m", [0, 0, 0])).value({"m": maps}).sum()
            x = (x + 0.1 * torch.autograd.grad(climbed, x)[0].sign()).detach()  # as far as Adam goes
        ends[name] = x
    assert (ends["woken"] > 0).all()
    assert (ends["plain"][0] < -1).all() and ends["woken"][2].equal(ends["plain"][2])
