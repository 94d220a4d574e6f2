"""Oracles: captum's Saliency, NoiseTunnel's definition, and known gradients of linear networks."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from captum.attr import InputXGradient, Saliency
from torch import nn
from torch.nn import functional as F

from cnnviz.attribution.gradients import gradient, saliency
from cnnviz.attribution.saliency import gradient_x_input, integrated_gradients, noise_of, smoothgrad


class Functional(nn.Module):
    """No activation is a module; one works in place."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = nn.Conv2d(3, 6, 3), nn.Conv2d(6, 8, 3, stride=2), nn.Linear(8, 4)

    def forward(self, x):
        x = F.relu(self.a(x))
        return self.c(F.relu(self.b(F.max_pool2d(x, 2)), inplace=True).mean((2, 3)))


@pytest.fixture
def net():
    torch.manual_seed(0)
    return Functional().eval().requires_grad_(False)


@pytest.fixture
def x():
    return torch.rand(3, 3, 16, 16, generator=torch.Generator().manual_seed(1))


TARGET = torch.tensor([0, 3, 1])


def integrated(net, x, **words):
    """The maps of several pictures, for a target each."""
    return torch.cat([integrated_gradients(net, x[i : i + 1], TARGET[i : i + 1], **words) for i in range(len(x))])


def test_equals_captum(net, x):
    expected = Saliency(net).attribute(x.clone(), TARGET, abs=True).amax(1)
    torch.testing.assert_close(saliency(net, x, TARGET), expected, rtol=1e-6, atol=0)
    expected = InputXGradient(net).attribute(x.clone(), TARGET).sum(1)
    torch.testing.assert_close(gradient_x_input(net, x, TARGET), expected, rtol=1e-6, atol=1e-9)


def test_a_map_does_not_depend_on_its_batch(net, x):
    net, x = net.double(), x.double()
    together = saliency(net, x, TARGET)
    apart = torch.cat([saliency(net, x[i : i + 1], TARGET[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(together, apart, rtol=1e-12, atol=0)


def test_gradient_equals_finite_differences(net, x):
    net, x = net.double(), x[:1].double()
    got = gradient(net, x, TARGET[:1])[0]
    for c, i, j in [(0, 3, 5), (1, 8, 8), (2, 12, 1)]:
        step = torch.zeros_like(x)
        step[0, c, i, j] = 1e-6
        difference = (net(x + step) - net(x - step))[0, 0] / 2e-6
        assert got[c, i, j] == pytest.approx(float(difference), rel=1e-4, abs=1e-9)


def test_smoothgrad_is_the_mean_gradient_over_its_noise(net, x):
    made = smoothgrad(
        net, x[:1], TARGET[:1], samples=10, noise=0.2, generator=torch.Generator().manual_seed(5), batch=10
    )
    sigma = 0.2 * (x[:1].max() - x[:1].min())
    noise = torch.randn((10, 3, 16, 16), generator=torch.Generator().manual_seed(5))
    total = torch.zeros(3, 16, 16)
    for epsilon in noise:
        copy = (x[:1] + sigma * epsilon).requires_grad_(True)
        net(copy)[0, TARGET[0]].backward()
        total += copy.grad[0]
    torch.testing.assert_close(made[0], (total / 10).abs().amax(0), rtol=1e-5, atol=1e-8)


def test_smoothgrad_does_not_depend_on_its_batches_and_repeats(net, x):
    def made(batch):
        generator = torch.Generator().manual_seed(5)
        return smoothgrad(net, x[:1], TARGET[:1], samples=12, noise=0.2, generator=generator, batch=batch)

    torch.testing.assert_close(made(12), made(5), rtol=1e-5, atol=1e-8)
    assert torch.equal(made(5), made(5))


def test_on_a_linear_net_all_is_known(x):
    linear = nn.Sequential(nn.Flatten(), nn.Linear(3 * 256, 4, bias=False)).requires_grad_(False)
    weights = linear[1].weight[TARGET].reshape(3, 3, 16, 16)
    torch.testing.assert_close(saliency(linear, x, TARGET), weights.abs().amax(1))
    owed = gradient_x_input(linear, x, TARGET).sum((1, 2))
    torch.testing.assert_close(owed, linear(x).gather(1, TARGET[:, None])[:, 0], rtol=1e-4, atol=1e-5)
    generator = torch.Generator().manual_seed(0)
    smooth = smoothgrad(linear, x[:1], TARGET[:1], samples=4, noise=0.5, generator=generator)
    torch.testing.assert_close(smooth, weights[:1].abs().amax(1), rtol=1e-5, atol=1e-6)
    assert np.isfinite(smooth.numpy()).all()


def test_integrated_gradients_equals_captum_and_adds_up(net, x):
    from captum.attr import IntegratedGradients

    net, x = net.double(), x.double()
    made = integrated(net, x, steps=64, missing=1)
    expected = IntegratedGradients(net).attribute(x, target=TARGET, n_steps=64, method="riemann_middle").sum(1)
    torch.testing.assert_close(made, expected, rtol=1e-6, atol=1e-12)
    owed = (net(x) - net(torch.zeros_like(x))).gather(1, TARGET[:, None])[:, 0]
    torch.testing.assert_close(integrated(net, x, steps=400).sum((1, 2)), owed, rtol=1e-3, atol=1e-4)


def test_integrated_gradients_takes_steps_until_little_is_missing(net, x):
    net, x = net.double(), x.double()
    owed = (net(x) - net(torch.zeros_like(x))).gather(1, TARGET[:, None])[:, 0]
    made = integrated(net, x, steps=8)
    assert ((made.sum((1, 2)) - owed).abs() <= 0.01 * owed.abs()).all()
    assert ((integrated(net, x, steps=8, missing=1).sum((1, 2)) - owed).abs() > 0.01 * owed.abs()).any()
    exact = integrated(net, x, steps=2000)
    plain, fine = (integrated(net, x, steps=8, missing=m) - exact for m in (1, 1e-4))
    assert fine.norm() < 0.5 * plain.norm() and fine.norm() < 0.1 * exact.norm()


def test_outputs_explained_together_have_the_maps_that_each_has_alone(net, x):
    words = {"samples": 5, "noise": 0.2}
    for method in (
        lambda targets: integrated_gradients(net, x[:1], targets, steps=8, missing=1e-4),
        lambda targets: smoothgrad(net, x[:1], targets, **words, generator=torch.Generator().manual_seed(5)),
    ):
        assert torch.equal(method(TARGET), torch.cat([method(target[None]) for target in TARGET]))


def test_integrated_gradients_computes_no_score_twice(net, x):
    seen = []

    def scores(z):
        if not torch.is_grad_enabled():
            seen.extend(z.flatten(1))
        return net(z)

    integrated_gradients(scores, x[:1], TARGET[:1], steps=8, missing=1e-4)
    assert len(seen) > 9 and len({tuple(point.tolist()) for point in seen}) == len(seen)


def test_what_is_missing_from_the_sum_is_stated():
    from types import SimpleNamespace

    from cnnviz.views import saliency as view

    arrays = {"targets": np.array([[0, 1], [1, -1]]), "logits": np.array([[3.0, 5.0], [2.0, np.nan]])}
    arrays |= {"black": np.array([1.0, 0.0]), "maps/integrated_gradients": np.zeros((2, 2, 2, 2))}
    arrays["maps/integrated_gradients"][:, :, 0, 0] = [[1.9, 5.0], [1.0, 7.0]]
    assert view.missing(SimpleNamespace(arrays=arrays)) == pytest.approx([0.05, 0, 0.5])


def test_smoothgrads_noise_falls_with_the_pictures_size():
    assert [round(noise_of("auto", side), 3) for side in (32, 112, 224, 500)] == [0.021, 0.075, 0.15, 0.15]
    assert noise_of(0.3, 32) == 0.3


def test_maps_that_keep_to_a_part_more_than_with_random_weights_come_first_and_wrong_answers_last():
    from cnnviz.views import saliency as view

    even, spot = np.ones((10, 10)), np.zeros((10, 10))
    spot[2:4, 3:5] = 1
    np.testing.assert_allclose(view.concentration(np.stack([even, spot, -spot, 0 * spot])), [0.1, 1, 1, 0])
    maps = np.stack([even, spot, spot, even])[:, None]
    arrays = {"maps/m": maps, "random/m": np.stack([even, spot, even, spot])}
    arrays |= {"label": np.array([1, -1, 0, 0]), "targets": np.zeros((4, 1), int)}
    order, own, untrained = view.gathered(SimpleNamespace(arrays=arrays), "m")
    assert np.argsort(-order, kind="stable").tolist() == [2, 1, 3, 0]
    assert own[2] == "100\u00a0% in a tenth" and untrained[2] == "random weights: 10\u00a0%"
    del arrays["random/m"]
    assert np.argsort(-view.gathered(SimpleNamespace(arrays=arrays), "m")[0], kind="stable").tolist() == [1, 2, 3, 0]


def test_maps_are_drawn_with_a_blur_that_keeps_their_sum_and_leaves_the_pictures():
    from cnnviz.run.result import Result
    from cnnviz.views import saliency as view

    point = np.zeros((1, 1, 100, 200), np.float32)
    point[..., 50, 100] = 1
    arrays = {"pictures": np.ones((1, 100, 200, 3), np.uint8), "maps/m": point, "random/m": point[0]}
    made = view.smoothed(Result(arrays, "ok", "", {}, {}, 0, {}))
    assert view.blur_of(made) == 2 and made.arrays["pictures"] is arrays["pictures"]
    for name in ("maps/m", "random/m"):
        assert made.arrays[name].sum() == pytest.approx(1, abs=1e-5) and 0.03 < made.arrays[name].max() < 0.05
