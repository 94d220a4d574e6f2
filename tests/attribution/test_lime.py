"""Oracles: black boxes that are sums over superpixels, the lime package, and LIME in explicit loops."""

import numpy as np
import pytest
import torch
from lime import lime_image
from sklearn.linear_model import Ridge
from sklearn.metrics import pairwise_distances, r2_score
from torch import nn

from cnnviz.attribution import lime
from cnnviz.attribution.lime import explain, mean_colours, neutral, superpixels, switches
from cnnviz.network import network
from cnnviz.network.loaded import Model
from cnnviz.pictures.preprocess import Preprocess
from cnnviz.run import result

SIDE = 24
GRID = torch.arange(SIDE)[:, None] // 6 * 4 + torch.arange(SIDE) // 6  # 16 squares of 6 × 6 pixels
TARGETS = torch.tensor([2, 0])


def as_model(net: nn.Module, kind: str = "softmax", **preprocess) -> Model:
    return Model(
        *("m", net.eval().requires_grad_(False), Preprocess(resize=(SIDE, SIDE), **preprocess), (), (), ("", "input")),
        *("", 0, ("a", "b", "c"), (), torch.device("cpu"), {}),
        kind=kind,
    )


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def model():
    torch.manual_seed(0)
    layers = nn.Conv2d(3, 8, 5, stride=2), nn.ReLU(), nn.Conv2d(8, 16, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1)
    return as_model(nn.Sequential(*layers, nn.Flatten(), nn.Linear(16, 3)), mean=np.full(3, 0.4), std=np.full(3, 0.05))


@pytest.fixture
def x():
    return torch.rand(1, 3, SIDE, SIDE, generator=generator(1))


class Additive(nn.Module):
    """p_c = 0.5 + Σ_s a[c, s] · visible share of the pattern in square s of GRID; the logits of independent p_c."""

    def __init__(self, a: torch.Tensor, pattern: torch.Tensor):
        super().__init__()
        self.a, self.pattern = a, pattern

    def forward(self, z):
        there = (z * self.pattern).sum(1).flatten(1)
        squares = torch.stack([there[:, (s == GRID).flatten()].mean(1) for s in range(16)], 1)
        return (0.5 + squares @ self.a.T).logit()


@pytest.mark.parametrize("hide", ["mean_colour", "grey"])
def test_an_additive_black_box_gets_its_coefficients_back(hide):
    a = (torch.rand(3, 16, generator=generator(2)) - 0.5) * 0.05
    checks = (torch.arange(SIDE)[:, None] + torch.arange(SIDE)) % 2 * 2.0 - 1
    pattern = checks if hide == "mean_colour" else torch.ones(SIDE, SIDE)  # a flat square equals its mean colour
    z = torch.zeros(1, 3, SIDE, SIDE)
    z[0, 1] = pattern
    model = as_model(Additive(a, z), "sigmoid", mean=np.float32(0.5), std=np.float32(0.25))
    found = explain(model, 0.5 + 0.25 * z, TARGETS, GRID, samples=1000, hide=hide, generator=generator())
    assert (found.r2 >= 0.99).all()
    np.testing.assert_allclose(found.coefficients, a[TARGETS], rtol=0.03, atol=2e-4)  # the ridge takes about 1 %
    assert torch.equal(found.maps[:, 7, 13], found.coefficients[:, GRID[7, 13]]) and found.maps.shape == (2, SIDE, SIDE)


def test_equals_lime_written_out(model, x):
    found = explain(model, x, TARGETS, GRID, samples=200, hide="mean_colour", generator=generator(3))
    shown = switches(200, 16, generator(3)).numpy()
    scores = []
    for row in shown:
        copy = x.clone()
        for s in np.flatnonzero(~row):
            for c in range(3):
                copy[0, c][s == GRID] = x[0, c][s == GRID].mean()
        scores.append(model.probabilities(model.logits(copy))[0, TARGETS].numpy())
    distance = pairwise_distances(shown.astype(float), np.ones((1, 16)), metric="cosine").ravel()
    weights = np.sqrt(np.exp(-(distance**2) / 0.25**2))
    for t, y in enumerate(np.float64(scores).T):
        line = Ridge(alpha=1).fit(shown, y, weights)
        np.testing.assert_allclose(found.coefficients[t], line.coef_, rtol=1e-4, atol=1e-7)
        held = [np.arange(200) % 5 == k for k in range(5)]
        guess = np.empty(200)
        for out in held:
            guess[out] = Ridge(alpha=1).fit(shown[~out], y[~out], weights[~out]).predict(shown[out])
        assert found.r2[t] == pytest.approx(r2_score(y, guess, sample_weight=weights), abs=1e-4)


def test_a_fit_of_noise_explains_nothing_that_was_held_out():
    rng = np.random.default_rng(0)
    shown, noise = rng.random((300, 60)) < 0.5, rng.random((300, 2))
    coefficients, r2 = lime.local_fit(shown, noise)
    assert (r2 < 0.05).all() and coefficients.shape == (2, 60)
    assert (lime.local_fit(shown, shown @ rng.random((60, 2)))[1] > 0.95).all()


def test_equals_the_lime_package(model, x):
    shown = switches(120, 16, generator(4)).numpy()

    class Given(np.random.RandomState):
        def randint(self, low, high=None, size=None):
            return shown.astype(int).ravel() if size == shown.size else 0

    def predict(pictures):
        return model.probabilities(model.logits(model.pictures(list(pictures)))).numpy()

    peer = lime_image.LimeImageExplainer(random_state=Given(0)).explain_instance(
        x[0].permute(1, 2, 0).numpy(),
        predict,
        labels=TARGETS.tolist(),
        top_labels=None,
        num_samples=120,
        segmentation_fn=lambda picture: GRID.numpy(),
    )
    found = explain(model, x, TARGETS, GRID, samples=120, hide="mean_colour", generator=generator(4))
    for t, target in enumerate(TARGETS.tolist()):
        expected = dict(peer.local_exp[target])
        np.testing.assert_allclose(found.coefficients[t], [expected[s] for s in range(16)], rtol=1e-4, atol=1e-7)


def test_the_seed_decides_and_batches_do_not(model, x, monkeypatch):
    def made(seed):
        return explain(model, x, TARGETS, GRID, samples=90, hide="grey", generator=generator(seed)).coefficients

    first = made(0)
    assert torch.equal(first, made(0)) and not torch.allclose(first, made(1), rtol=1e-3)
    monkeypatch.setattr(lime, "BATCH", 7)
    torch.testing.assert_close(made(0), first, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("channels", [1, 3, 5])
def test_superpixels_are_numbered_patches_of_any_picture(channels):
    x = torch.rand(1, channels, 64, 48, generator=generator(5))
    segments = superpixels(x, 40)
    sizes = torch.bincount(segments.flatten())
    assert segments.shape == (64, 48) and 25 <= len(sizes) <= 60 and (sizes > 0).all()
    hidden = mean_colours(x, segments)
    for s in (0, len(sizes) // 2, len(sizes) - 1):
        inside = segments == s
        torch.testing.assert_close(hidden[0, :, inside], x[0, :, inside].mean(1, keepdim=True).expand(-1, sizes[s]))


@pytest.mark.parametrize("channels", ["RGB", "BGR"])
def test_grey_is_what_becomes_0(channels):
    mean, std = np.float32([104, 117, 123]), np.float32([1, 2, 3])
    model = as_model(nn.Identity(), channels=channels, range=255.0, mean=mean, std=std)
    grey = neutral(model)
    torch.testing.assert_close(model.normalise(grey), torch.zeros(1, 3, *grey.shape[2:]), rtol=0, atol=1e-4)
    assert grey[0, 0].mean() * 255 == pytest.approx(123 if channels == "BGR" else 104, abs=1e-3)


FACTORY = """
import torch
from torch import nn

def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 12, 5, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(12, 12))
"""


def test_a_picture_s_map_does_not_depend_on_the_others(make_job, tmp_path, index):
    (tmp_path / "net.py").write_text(FACTORY)
    names = [("wolf-0011", 11), ("husky-0010", 10), ("fish-0000", 0)]
    index(tmp_path / "images.json", names, [f"c{i}" for i in range(12)])
    left = []
    for probes in (["fish-0000", "wolf-0011", "husky-0010"], ["husky-0010"]):
        block = {"factory": f"{tmp_path}/net.py:net", "preprocess": {"resize": [32, 32]}, "probes": probes}
        network.main(make_job(block, set_classes=[f"c{i}" for i in range(12)]))
        lime.main(job := make_job(block, "lime", parameters={"samples": 60, "superpixels": 12}))
        left.append(result.read(job.outputs["result"]))
    (many, one) = (r.arrays for r in left)
    at = len(left[1].numbers["r2"][0])
    assert at >= 2
    np.testing.assert_array_equal(many["maps/lime"][2, :at], one["maps/lime"][0])
    assert left[0].numbers["r2"][2] == left[1].numbers["r2"][0]
    for i, r2 in enumerate(left[0].numbers["r2"]):
        painted = many["coefficients"][i][:, many["segments"][i]]
        np.testing.assert_array_equal(painted, many["maps/lime"][i])
        assert (many["targets"][i] >= 0).sum() == len(r2) and all(value <= 1 for value in r2)
    assert left[0].numbers["methods"] == [{"name": "lime", "signed": True, "caveat": ""}]


def test_scores_in_bfloat16_move_coefficients_far_less_than_another_seed_does(model, x, monkeypatch):
    monkeypatch.setattr(lime, "fast", lambda device: True)

    def made(seed, precision):
        words = {"samples": 300, "hide": "mean_colour", "generator": generator(seed), "precision": precision}
        return explain(model, x, TARGETS, GRID, **words)

    exact, rounded, other = made(0, "float32"), made(0, "auto"), made(1, "float32")
    assert (exact.precision, rounded.precision) == ("float32", "bfloat16")
    assert not torch.equal(exact.coefficients, rounded.coefficients)
    by_rounding, by_seed = ((exact.coefficients - e.coefficients).norm(dim=1) for e in (rounded, other))
    assert (by_rounding < 0.3 * by_seed).all()
    assert next(model.net.parameters()).dtype == torch.float32


def test_bfloat16_is_not_used_if_slow_wrong_or_impossible(model, x, monkeypatch):
    monkeypatch.setattr(lime, "fast", lambda device: False)
    assert lime.network(model, x, "auto") == (model.net, "float32")
    monkeypatch.setattr(lime, "fast", lambda device: True)
    assert lime.network(model, x, "float32") == (model.net, "float32")

    class Steep(nn.Module):  # its class differences are less than 1/256 of its sums
        def forward(self, z):
            return torch.stack([z.mean((1, 2, 3)) * 0 + 300.0, z.mean((1, 2, 3)) + 300.4], 1)

    steep = as_model(Steep(), mean=np.float32(0), std=np.float32(1))
    assert lime.network(steep, x, "auto")[1] == "float32"

    class Mixing(nn.Module):
        def __init__(self):
            super().__init__()
            self.line = nn.Linear(3, 3)

        def forward(self, z):
            return self.line(z.mean((2, 3)) @ torch.eye(3))

    assert lime.network(as_model(Mixing(), mean=np.float32(0), std=np.float32(1)), x, "auto")[1] == "float32"


@pytest.mark.parametrize(
    ("fits", "strength", "words"),
    [
        ([0.8, 0.82, 0.79], "weakly found", "describe the network near"),  # lines fit random weights, too
        ([0.3, 0.6, 0.45], "weakly found", "describe a part only"),
        ([-0.1], "not found", "not shown to describe"),
    ],
)
def test_the_finding_is_how_well_the_patches_predict(fits, strength, words):
    from types import SimpleNamespace

    from cnnviz.views import lime as view

    left = SimpleNamespace(numbers={"r2": [[fit, 0.9] for fit in fits]}, parameters={"samples": 300})
    said, measured = view.fit(left)
    assert said.strength == strength and measured.effect == pytest.approx(np.mean(fits))
    assert words in said.says
    assert "noise" in said.control and (len(fits) == 1) == (said.interval == "")


def test_the_score_is_the_one_that_the_sum_of_patches_describes_better(x):
    class Sure(nn.Module):  # its logits are sums of patches, and its probabilities saturate
        def forward(self, z):
            sums = torch.stack([z[:, 0, :8].mean((1, 2)), z[:, 1, 8:].mean((1, 2)), z[:, 2].mean((1, 2))], 1)
            return 60 * sums + torch.tensor([9.0, 0.0, 0.0])

    model = as_model(Sure(), mean=np.float32(0), std=np.float32(1))
    words = {"samples": 200, "hide": "grey"}
    both = {
        score: explain(model, x, TARGETS, GRID, **words, generator=generator(1), score=score)
        for score in ("probability", "logit", "auto")
    }
    assert [both[score].scored for score in ("probability", "logit")] == ["probability", "logit"]
    r2 = {score: float(found.r2.mean()) for score, found in both.items()}
    assert r2["logit"] > r2["probability"] + 0.1
    assert both["auto"].scored == "logit" and torch.equal(both["auto"].coefficients, both["logit"].coefficients)


def test_small_pictures_have_fewer_superpixels():
    for side, low, high in ((32, 16, 30), (64, 50, 70), (128, 50, 70)):
        count = int(superpixels(torch.full((1, 3, side, side), 0.5), "auto").max()) + 1
        assert low <= count <= high
