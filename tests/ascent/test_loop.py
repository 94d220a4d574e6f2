"""The loop: gradients equal finite differences; batch mates do not matter; optimisers; no state is left behind."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from cnnviz.ascent import loop
from cnnviz.ascent.loop import adam, ascend, banded, lbfgs, momentum, normalised, to_bytes
from cnnviz.ascent.objective_functions import logit, neuron, unit
from cnnviz.ascent.parametrisations import Parametrisation, fourier, pixels
from cnnviz.ascent.regularisers import l2, total_variation
from cnnviz.ascent.transforms import random_view
from cnnviz.network.halving import in_batches

VIEW = random_view(resolution=(0.6, 0.95), rotation=10, shift=0.05, zoom=0.08)
PENALTIES = {"tv": lambda x: 0.01 * total_variation(x), "l2": lambda x: 0.01 * l2(x, (0.5, 0.5, 0.5))}


def climb(model, objective, seeds, **changes):
    words = {"steps": 12, "optimiser": adam(0.05, 0.02), "penalties": PENALTIES, "transform": VIEW, "seed": 7} | changes
    return ascend(model, {"score": objective}, fourier((16, 16), seeds, dtype=torch.float64), **words)


@pytest.mark.parametrize(
    ("objective", "targets"),
    [(logit, [0, 3, 4]), (lambda t: unit("two", t), [5, 1, 0]), (lambda t: neuron("one", t), [7, 2, 0])],
)
@pytest.mark.parametrize(
    "optimiser", [adam(0.05, 0.02), momentum(0.1), normalised(0.01), normalised(0.1, norm="l2", factor=0.9), lbfgs()]
)
def test_a_batch_equals_single_runs(model, objective, targets, optimiser):
    together = climb(model, objective(targets), [10, 11, 12], optimiser=optimiser)
    for i, target in enumerate(targets):
        alone = climb(model, objective([target]), [10 + i], optimiser=optimiser)
        torch.testing.assert_close(together.pictures[i], alone.pictures[0], rtol=0, atol=1e-11)
        for name, values in together.curves.items():
            np.testing.assert_allclose(values[:, i], alone.curves[name][:, 0], rtol=1e-9, atol=1e-9)


def test_gradient_equals_finite_differences(model):
    """One plain step of rate 1 moves the variable by the gradient of score - penalties under the first view."""
    start = fourier((16, 16), [3], dtype=torch.float64, deviation=0.05)
    moved = {}

    def record(variable):
        moved["variable"] = variable
        return torch.optim.SGD([variable], lr=1.0)

    optimiser = loop.Optimiser(record, lambda progress: 1.0)
    smooth = {"tv2": lambda x: 0.1 * total_variation(x, 2), "l2": lambda x: 0.1 * l2(x, (0.5, 0.5, 0.5))}
    arguments = {"transform": VIEW, "penalties": smooth, "seed": 7, "optimiser": optimiser, "steps": 1}
    ascend(model, {"score": logit([2])}, start, **arguments)
    gradient = (moved["variable"] - start.variable).detach()

    def value(variable):
        here = Parametrisation(variable, start.picture)
        curves = ascend(model, {"score": logit([2])}, here, **arguments).curves
        return curves["score"][0, 0] - curves["tv2"][0, 0] - curves["l2"][0, 0]

    generator = torch.Generator().manual_seed(0)
    for flat in torch.randint(start.variable.numel(), (12,), generator=generator).tolist():
        h = torch.zeros_like(start.variable)
        h.view(-1)[flat] = 1e-5
        numeric = (value(start.variable + h) - value(start.variable - h)) / 2e-5
        assert float(gradient.view(-1)[flat]) == pytest.approx(float(numeric), rel=1e-5, abs=1e-8)


@pytest.mark.parametrize("optimiser", [adam(0.05), momentum(0.5), normalised(0.02), lbfgs()])
def test_every_optimiser_climbs(model, optimiser):
    ascent = climb(model, logit([1]), [0], optimiser=optimiser, transform=None, penalties={}, steps=20)
    assert ascent.curves["score"][-1, 0] > ascent.curves["score"][0, 0] + 1


def test_target_becomes_the_arg_max(model):
    ascent = climb(model, logit([0, 1, 2, 3, 4]), range(5), steps=30)
    assert model.logits(ascent.pictures).argmax(1).tolist() == [0, 1, 2, 3, 4]


def test_penalties_fall_as_their_weights_grow(model):
    for measure in (total_variation, lambda x: l2(x, (0.5, 0.5, 0.5))):
        found = []
        for weight in (0, 0.1, 1.0):
            penalties = {"one": lambda x, w=weight, m=measure: w * m(x)}
            found.append(
                float(measure(climb(model, logit([1]), [0], penalties=penalties, transform=None, steps=20).pictures))
            )
        assert found == sorted(found, reverse=True) and found[-1] < found[0] / 2


def test_forward_stops_at_the_deepest_module(model):
    called = []
    handle = model.net.score.register_forward_hook(lambda *_: called.append(1))
    climb(model, unit("two", [1]), [0], steps=2)
    assert not called
    climb(model, logit([1]) + unit("two", [1]), [0], steps=2)
    assert called
    handle.remove()


def test_weights_are_frozen_meanwhile_and_nothing_is_left(model):
    model.net.one.weight.requires_grad_(True)
    before = model.net.one.weight.clone()
    seen = []
    handle = model.net.one.register_forward_hook(lambda module, *_: seen.append(module.weight.requires_grad))
    climb(model, logit([1]), [0], steps=2)
    handle.remove()
    assert seen == [False, False] and model.net.one.weight.requires_grad
    assert torch.equal(model.net.one.weight, before) and model.net.one.weight.grad is None
    assert not any(module._forward_hooks for module in model.net.modules())


def test_start_is_left_as_it_is_and_bounds_hold(model):
    x = torch.full((1, 3, 16, 16), 0.99, dtype=torch.float64)
    start = pixels(x)
    ascent = ascend(model, {"score": logit([1])}, start, steps=5, optimiser=normalised(0.5), snapshots={0, 2, 5})
    assert torch.equal(start.variable, x)
    assert float(ascent.pictures.min()) >= 0 and float(ascent.pictures.max()) <= 1
    assert sorted(ascent.snapshots) == [0, 2, 5]
    assert (ascent.snapshots[0] == 252).all()
    assert np.array_equal(ascent.snapshots[5], to_bytes(ascent.pictures))


def test_snapshots_are_the_pictures_of_a_shorter_run(model):
    long = climb(model, logit([1]), [0], steps=8, optimiser=adam(0.05), transform=None, snapshots={3})
    short = climb(model, logit([1]), [0], steps=3, optimiser=adam(0.05), transform=None)
    assert np.array_equal(long.snapshots[3], to_bytes(short.pictures))


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (adam(0.05, 0.02), lambda v: torch.optim.Adam([v])),
        (momentum(0.5, 0.1), lambda v: torch.optim.SGD([v], lr=0.5, momentum=0.9)),
    ],
    ids=["adam", "momentum"],
)
def test_steps_equal_torchs_in_every_bit(model, ours, theirs):
    pictures = [
        climb(model, logit([1, 2]), [0, 1], optimiser=one).pictures for one in (ours, loop.Optimiser(theirs, ours.rate))
    ]
    assert torch.equal(*pictures)


USES = """
import sys, torch
from cnnviz.activations.rectified import around
from cnnviz.ascent import loop
from cnnviz.network.marks import Marks
x = torch.zeros(1, 3, 8, 8)
net = torch.nn.Sequential(torch.nn.Conv2d(3, 2, 3), torch.nn.ReLU())
around(net, ["0"], (3, 8, 8))
with torch.no_grad(), Marks():
    net(x)
for optimiser in (loop.adam(1), loop.momentum(1), loop.normalised(1), loop.lbfgs()):
    x.grad = torch.ones_like(x)
    optimiser.make(x).step(lambda: torch.zeros(1))
print(*(name for name in ("torch._dynamo", "torchvision", "sympy") if name in sys.modules))
"""


def test_no_job_waits_for_torchs_compiler():
    """Importing it takes two seconds, more than many jobs; torch does so when it makes one of its own optimisers."""
    done = subprocess.run([sys.executable, "-c", USES], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_lbfgs_of_one_picture_equals_torchs(model):
    theirs = loop.Optimiser(
        lambda v: torch.optim.LBFGS([v], max_iter=1, history_size=5, tolerance_grad=0, tolerance_change=0),
        lambda _: 1.0,
    )
    ours, peer = (
        climb(model, logit([1]), [0], optimiser=optimiser, transform=None, steps=15) for optimiser in (lbfgs(5), theirs)
    )
    np.testing.assert_allclose(ours.curves["score"], peer.curves["score"], rtol=1e-7)
    torch.testing.assert_close(ours.pictures, peer.pictures, rtol=0, atol=1e-8)


def test_lbfgs_takes_back_a_step_that_fails(model):
    """High on the wall of a narrow well the curvature is negative; a full step ends in the plain beyond."""

    def well(x):
        return 1 - torch.exp(-((x - 0.6) / 0.05).square()).flatten(1).mean(1)

    start = torch.linspace(0.5, 0.58, 5, dtype=torch.float64).reshape(5, 1, 1, 1).expand(5, 3, 8, 8)
    ascent = ascend(
        model, {"score": 0.0 * logit([0] * 5)}, pixels(start), steps=40, optimiser=lbfgs(), penalties={"well": well}
    )
    assert (well(ascent.pictures) < 1e-6).all()


def test_pictures_that_have_stopped_no_longer_change(model):
    """Each picture stops as it does alone, and the ascent with the last one."""

    def until(pictures):
        scores = model.logits(pictures)
        return scores[:, 1] > threshold

    words = {"optimiser": adam(0.05), "transform": None, "penalties": {}, "steps": 40}
    plain = climb(model, logit([1, 1]), [0, 1], **words)
    threshold = float(plain.curves["score"][10].mean())
    together = climb(model, logit([1, 1]), [0, 1], until=until, **words)
    expected = (plain.curves["score"] <= threshold).argmin(0)  # the first step before which it is above
    assert together.steps.tolist() == expected.tolist() and len(together.curves["score"]) == expected.max() < 40
    for i, steps in enumerate(expected):
        short = climb(model, logit([1]), [i], **words | {"steps": int(steps)})
        torch.testing.assert_close(together.pictures[i], short.pictures[0], rtol=0, atol=1e-9)


def test_operations_between_steps_see_the_step_and_its_gradient(model):
    seen = []

    def operation(x, gradient, step):
        seen.append((step, gradient.clone()))
        return x * 0.5

    start = pixels(torch.full((1, 3, 16, 16), 0.8, dtype=torch.float64))
    ascent = ascend(model, {"score": logit([1])}, start, steps=2, optimiser=momentum(0.0), between=[operation])
    torch.testing.assert_close(ascent.pictures, torch.full_like(ascent.pictures, 0.2))
    assert [step for step, _ in seen] == [1, 2] and float(seen[0][1].abs().max()) > 0


def test_momentum_of_normalised_steps_is_torchs_for_a_gradient_that_stays(model):
    """A penalty linear in x has one gradient, so a normalised step is that gradient over its mean size."""
    start = pixels(torch.full((1, 3, 16, 16), 0.5, dtype=torch.float64))
    pull = torch.linspace(-1, 1, 3 * 16 * 16, dtype=torch.float64).reshape(1, 3, 16, 16)
    words = {"penalties": {"line": lambda x: (x * pull).flatten(1).sum(1)}, "steps": 4}
    ours, torchs = (
        ascend(model, {"score": 0.0 * logit([1])}, start, optimiser=optimiser, **words).pictures
        for optimiser in (normalised(0.001, factor=0.9), momentum(0.001 / float(pull.abs().mean())))
    )
    torch.testing.assert_close(ours, torchs)


def test_batches_halve_when_memory_runs_out():
    sizes = []

    def function(items):
        sizes.append(len(items))
        if len(items) > 3:
            raise torch.OutOfMemoryError
        return list(items)

    found = [item for part in in_batches(function, list(range(11)), 8) for item in part]
    assert found == list(range(11)) and sizes == [8, 4, 2, 2, 2, 2, 2, 1]
    with pytest.raises(torch.OutOfMemoryError):
        list(in_batches(lambda items: function([0] * 9), [1], 1))


def test_bytes_are_rounded():
    x = torch.tensor([0.0, 0.4999 / 255, 0.5001 / 255, 1.0]).reshape(1, 1, 2, 2).expand(1, 3, 2, 2)
    assert to_bytes(x)[0, :, :, 0].tolist() == [[0, 0], [1, 255]]


def test_eased_penalties_do_nothing_at_first_and_all_in_the_end(model):
    heavy = {"l2": lambda x: 100 * l2(x, (0.5, 0.5, 0.5))}
    words = {"penalties": heavy, "transform": None, "optimiser": momentum(1e-3)}
    free = climb(model, logit([1]), [0], **words | {"penalties": {}}, steps=1)
    first = climb(model, logit([1]), [0], **words, steps=1, easing=0.5)
    assert torch.equal(first.pictures, free.pictures)
    curve = climb(model, logit([1]), [0], **words | {"optimiser": adam(0.05)}, steps=40, easing=0.5).curves["l2"][:, 0]
    assert curve[-1] < 0.5 * curve.max()


@pytest.mark.parametrize("size", [(16, 16), (13, 7), (1, 9)])
def test_banded_steps_have_the_mean_asked_for_and_treat_bands_and_colours_alike(size):
    rng = torch.Generator().manual_seed(0)
    gradient = torch.randn(2, 3, *size, generator=rng, dtype=torch.float64)

    def step(g: torch.Tensor) -> torch.Tensor:
        variable = torch.zeros_like(g)
        stepper = banded(0.5).make(variable)
        stepper.param_groups[0]["lr"] = 0.5
        variable.grad = g
        stepper.step(lambda: torch.zeros(len(g)))
        return -variable

    made = step(gradient)
    assert made.abs().mean((1, 2, 3)).tolist() == pytest.approx([0.5, 0.5])
    assert torch.equal(step(gradient[1:])[0], made[1])  # each picture by itself
    colours = torch.tensor([1.0, 1e-3, 50.0], dtype=torch.float64)[:, None, None]
    torch.testing.assert_close(step(gradient * colours), made)  # a strong colour does not drown the others
    assert not step(torch.zeros_like(gradient)).any()


def test_banded_steps_are_the_normalised_laplacian_pyramid():
    """The same by Kronecker products of matrices that average and interpolate, for one channel of 8 × 8."""
    gradient = np.random.default_rng(0).normal(size=(8, 8))
    half = {n: np.kron(np.eye(n // 2), [[0.5, 0.5]]) for n in (8, 4, 2)}
    twice = {
        n: np.array([np.interp((np.arange(n) + 0.5) / 2 - 0.5, range(n // 2), e) for e in np.eye(n // 2)]).T
        for n in half
    }
    bands, g = [], gradient
    for n in half:
        coarse = half[n] @ g @ half[n].T
        bands.append((n, g - twice[n] @ coarse @ twice[n].T))
        g = coarse
    expected = np.sign(g)
    for n, band in reversed(bands):
        expected = twice[n] @ expected @ twice[n].T + band / np.sqrt((band**2).mean())
    variable = torch.zeros(1, 1, 8, 8, dtype=torch.float64)
    variable.grad = torch.tensor(gradient)[None, None]
    banded(1.0).make(variable).step(lambda: torch.zeros(1))
    np.testing.assert_allclose(-variable[0, 0], expected / np.abs(expected).mean(), rtol=1e-9, atol=1e-9)
