"""Multifaceted visualisation: real clusters are found, and each facet's picture belongs to its own."""

import numpy as np
import pytest
import torch

from cnnviz.demo.scenes import draw
from cnnviz.synthesis.multifaceted import (
    Goal,
    cluster,
    denoised,
    features_of,
    largest_classes,
    middle,
    stability,
)
from cnnviz.synthesis.multifaceted import draw as grow


@pytest.fixture(scope="module")
def flowers(demo):
    """60 drawn flowers, and their features and scores."""
    pictures = np.stack([draw(1, 12 * i + 2).image for i in range(60)])
    with torch.no_grad():
        scores = demo.logits(demo.pictures(list(pictures))).numpy()
    return pictures, features_of(demo, pictures), scores


def facets(demo, flowers, k, iterations, pull):
    pictures, features, scores = flowers
    found = cluster(features, np.arange(60), k, 0)
    rows = [found.nearest(facet, 15 if k > 1 else None) for facet in range(k)]
    inside = [found.members[found.facet == facet] for facet in range(k)]
    goal = Goal(
        [2] * k,
        torch.tensor([float(scores[r, 2].mean()) for r in inside]),
        torch.from_numpy(np.stack([features[r].mean(0) for r in inside])),
    )
    starts = torch.stack([demo.pictures(list(pictures[r])).mean(0) for r in rows])
    return found, starts, grow(demo, goal, starts, iterations, pull, 0)


def test_each_facets_picture_is_nearest_to_its_own_cluster(demo, flowers):
    """Without the pull all pictures end in the same facet; the start alone is not enough."""
    found, _, (made, scores) = facets(demo, flowers, 3, [30, 20, 5, 5], 6.0)
    shown = (made * 255).round().byte().permute(0, 2, 3, 1).numpy()
    assert found.of(features_of(demo, shown)).tolist() == [0, 1, 2]
    with torch.no_grad():
        assert demo.logits(made).argmax(1).tolist() == [2, 2, 2]
    assert scores.shape == (3, 60) and (scores[:, -1] > scores[:, 0]).all()
    _, _, (forgot, _) = facets(demo, flowers, 3, [30, 20, 5, 5], 0.0)
    shown = (forgot * 255).round().byte().permute(0, 2, 3, 1).numpy()
    assert len(set(found.of(features_of(demo, shown)).tolist())) == 1


def test_one_facet_starts_at_the_mean_of_the_class_and_moves_from_its_middle(demo, flowers):
    _, starts, (made, _) = facets(demo, flowers, 1, [6, 0, 0, 0], 0.0)
    np.testing.assert_allclose(starts[0].permute(1, 2, 0).numpy(), flowers[0].mean(0) / 255, atol=1e-5)
    moved = (made - torch.nn.functional.interpolate(starts, scale_factor=1))[0].abs().mean(0)
    assert moved[24:40, 24:40].mean() > 3 * moved[:6, :6].mean()


def test_planted_clusters_are_found_the_largest_first():
    rng = np.random.default_rng(0)
    planted = np.repeat([0, 1, 2], [10, 30, 20])
    features = (rng.normal(size=(60, 40)) * 0.1 + np.eye(40)[planted] * 3).astype(np.float32)
    found = cluster(features, np.arange(60), 3, 7)
    assert np.bincount(found.facet).tolist() == [30, 20, 10]
    assert [planted[found.facet == facet].tolist() for facet in range(3)] == [[1] * 30, [2] * 20, [0] * 10]
    assert (found.of(features) == found.facet).all()
    nearest = found.nearest(1, 4)
    distance = np.linalg.norm(features[planted == 2] - features[planted == 2].mean(0), axis=1)
    assert nearest.tolist() == (np.flatnonzero(planted == 2)[np.argsort(distance)[:4]]).tolist()
    again = cluster(features, np.arange(60), 3, 7)
    assert (again.facet == found.facet).all() and (again.centres == found.centres).all()


def test_planted_clusters_are_stable_and_those_of_one_cloud_are_not():
    rng = np.random.default_rng(0)
    points = np.repeat(rng.normal(0, 10, (3, 8)), 20, 0) + rng.normal(0, 1, (60, 8))
    real, control = stability(points, 3, 5)
    assert (real == 1).all() and control.mean() < 0.9
    assert np.isnan(stability(points, 1, 5)).all()
    assert np.array_equal(stability(points, 3, 5), [real, control])


def test_no_cluster_is_a_single_picture():
    features = np.random.default_rng(0).normal(size=(20, 8)).astype(np.float32)
    features[7] += 50  # an outlier, which k-means gives a cluster of its own
    found = cluster(features, np.arange(20), 3, 0)
    assert np.bincount(found.facet).min() >= 3 and len(found.centres) < 3


def test_classes_with_the_most_pictures_come_first_and_small_ones_are_left_out(demo):
    labels = [[3]] * 12 + [[5]] * 30 + [[7]] * 4 + [[]] + [[3, 5]]
    assert list(largest_classes(demo, labels, 2)) == [5, 3]
    assert list(largest_classes(demo, labels, "all")) == [5, 3]
    assert [len(rows) for rows in largest_classes(demo, labels, ["3", "7"]).values()] == [13]


def test_denoising_is_the_minimum_of_its_functional():
    """ROF's functional, compared with its gradient descent; flat pictures do not change."""
    x = torch.rand(1, 1, 12, 12, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    def cost(u):
        down, right = torch.zeros_like(u), torch.zeros_like(u)
        down = torch.cat([u.diff(dim=2), torch.zeros_like(u[:, :, :1])], 2)
        right = torch.cat([u.diff(dim=3), torch.zeros_like(u[..., :1])], 3)
        return (u - x).square().sum() / 2 + 0.1 * torch.sqrt(down**2 + right**2 + 1e-12).sum()

    ours = denoised(x, 0.1, steps=400)
    u = x.clone().requires_grad_()
    adam = torch.optim.Adam([u], lr=0.01)
    for step in range(800):
        adam.param_groups[0]["lr"] = 0.01 * 0.99 ** (step / 4)
        adam.zero_grad()
        cost(u).backward()
        adam.step()
    u = u.detach()
    assert float(cost(ours)) <= float(cost(u)) + 1e-3 and float(cost(ours)) < float(cost(x)) * 0.9
    flat = torch.full((1, 3, 8, 8), 0.3)
    torch.testing.assert_close(denoised(flat, 0.5), flat)


def test_the_middle_weighs_most():
    weights = middle((9, 5), 0.5)
    assert weights[4, 2] == 1 and weights.argmax() == 4 * 5 + 2
    assert float(weights[0, 2]) == pytest.approx(np.exp(-2)) and float(weights[4, 0]) == pytest.approx(np.exp(-2))
