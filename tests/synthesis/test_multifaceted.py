"""Multifaceted visualisation: real clusters are found, and each facet's picture belongs to its own."""

import numpy as np
import pytest
import torch

from cnnviz.demo.scenes import draw
from cnnviz.synthesis.multifaceted import (
    Goal,
    best_clusters,
    cluster,
    features_of,
    largest_classes,
    second_choice,
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


def facets(demo, flowers, k, steps, pull):
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
    return found, starts, grow(demo, goal, starts, steps, pull, 0)


def test_each_facets_picture_is_nearest_to_its_own_cluster(demo, flowers):
    """Without the pull pictures lose their facet; the start alone is not enough."""
    found, _, (made, scores) = facets(demo, flowers, 3, 40, 30.0)
    shown = (made * 255).round().byte().permute(0, 2, 3, 1).numpy()
    assert found.of(features_of(demo, shown)).tolist() == [0, 1, 2]
    with torch.no_grad():
        assert demo.logits(made).argmax(1).tolist() == [2, 2, 2]
    assert scores.shape == (3, 40) and (scores[:, -1] > scores[:, 0]).all()
    _, _, (forgot, _) = facets(demo, flowers, 3, 40, 0.0)
    shown = (forgot * 255).round().byte().permute(0, 2, 3, 1).numpy()
    assert found.of(features_of(demo, shown)).tolist() != [0, 1, 2]


def test_one_facet_starts_at_the_mean_of_the_class_blurred_and_paled(demo, flowers):
    _, starts, (made, _) = facets(demo, flowers, 1, 1, 0.0)
    np.testing.assert_allclose(starts[0].permute(1, 2, 0).numpy(), flowers[0].mean(0) / 255, atol=1e-5)
    rough = torch.nn.functional.adaptive_avg_pool2d(made, 4) - 0.5
    assert (rough - 0.8 * (torch.nn.functional.adaptive_avg_pool2d(starts, 4) - 0.5)).abs().max() < 0.1


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


def test_the_number_of_facets_is_that_of_the_planted_clusters_and_one_for_a_cloud():
    rng = np.random.default_rng(1)
    planted = np.repeat(rng.normal(0, 10, (3, 8)), 20, 0) + rng.normal(0, 1, (60, 8))
    found, stable = best_clusters(planted.astype(np.float32), np.arange(60), 4, 5)
    assert len(found.centres) == 3 and stable[0].mean() > 0.95
    cloud = rng.normal(0, 1, (60, 8)).astype(np.float32)
    found, stable = best_clusters(cloud, np.arange(60), 4, 5)
    assert len(found.centres) == 1 and np.isfinite(stable).all()
    found, stable = best_clusters(cloud[:8], np.arange(8), 1, 5)
    assert len(found.centres) == 1 and np.isnan(stable).all()


def test_a_facet_is_told_apart_by_its_second_choice():
    scores = np.zeros((6, 4))
    scores[:, 1] = 9  # the class itself
    scores[[0, 1, 2], [2, 2, 3]], scores[3:, 3] = 5, 5
    near, share = second_choice(scores, np.array([0, 0, 0, 1, 1, 1]), 1)
    assert near.tolist() == [2, 3]
    np.testing.assert_allclose(share, [[2 / 3, 0], [1, 1 / 3]])
    assert second_choice(scores[:, :2], np.array([0] * 6), 1)[0].tolist() == [-1]
