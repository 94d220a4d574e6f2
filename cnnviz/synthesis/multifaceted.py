"""Multifaceted visualisation: the different appearances of one class (Nguyen, Yosinski & Clune 2016).

The feature vectors of a class's pictures (FC7, in AlexNet) are reduced to 50 principal components and clustered by
k-means. Each cluster is a facet. A facet's picture is ascended on the class score, starting from the mean of the 15
real pictures nearest to its centre, blurred and paled, so that only its layout and its colours are left:

    I* = argmax_I E_v[ -log(1 + exp(s - S_c(v(I)))) - γ ‖φ(v(I)) - μ‖² / ‖μ‖² ] - λ₁ TV₁(I) - λ₂ ‖I - grey‖² - λ₃ B(I)

with the random views v of :mod:`cnnviz.synthesis.class_visualization`; the last quarter of the steps sees the whole
picture. The gradient of the brackets has the same length in every step (:func:`cnnviz.ascent.climb.levelled`), so the λ
mean the same for every network: without this, pictures of 32 pixels were coloured noise. B, the distance to grey near
the edge, keeps the object in the centre; the paper weighs the gradient there. The optimiser is Adam, in the waves of
the start's spectrum (:func:`cnnviz.ascent.parametrisations.waves`).

Not in the paper, which ascends S_c alone in pixels and relies on the start: the score is ascended to s, the average of
the facet's real pictures, and the features φ are pulled to the facet's centre μ (γ = 0 omits this). Without these a
picture may lose its facet: the demo's pictures all ended nearest to the same one. In pixels, with total-variation
denoising after every step, pictures were blurred spots. The paper clusters a t-SNE map of the components; k-means on
the components needs no second choice of parameters.

k-means finds clusters in everything. So the number of facets is the one whose clusters most stay the same if a part of
the pictures is clustered again (:func:`stability`), and more than those of a normal distribution of the same spread. If
there is none, the class has one facet, the whole of it, whose picture starts at the class's mean. Of more classes than
are wanted, those whose facets are most stable are shown. What is shown of them is measured once more, on other parts.

The result holds, for n facets, class by class and within a class by descending size: ``pictures``, ``starts``
(n, h, w, c) uint8; ``target``, ``facet``, ``size`` (n,): output, number of the facet within its class, number of
pictures in its cluster; ``nearest`` (n, 6) int32: the pictures of the image set nearest to its centre, −1 for none;
``near`` (n,) int32: the other class that is the second choice of more of its pictures than of the class's others, −1 if
there are not three classes, and ``near_share`` (n, 2) float32: these two shares; ``scores`` (n, steps) float32: the
first term in the brackets before each step, 0 if the score is reached; ``logits``, ``probabilities``, ``ranks`` (n,) of
the 8-bit picture; ``own`` (n,) int32: the facet of the class whose centre is nearest to that picture's features.
``stability`` (classes, 2, REPEATS): how far facets stay the same if a class is clustered again, see :func:`stability`:
of its features, and of a normal distribution of the same spread; for a class of one facet, of the best attempt at more,
NaN if it has too few pictures for that.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.metrics import adjusted_rand_score
from threadpoolctl import threadpool_limits
from torch import Tensor

from cnnviz.ascent.class_scores import judge
from cnnviz.ascent.climb import levelled_views, rates
from cnnviz.ascent.loop import ascend, to_bytes
from cnnviz.ascent.objective_functions import OUTPUT, Objective, logit, reach
from cnnviz.ascent.parametrisations import waves
from cnnviz.ascent.regularisers import border, grey, l2, total_variation
from cnnviz.ascent.transforms import resize
from cnnviz.errors import NotApplicable
from cnnviz.network import loaded
from cnnviz.network.halving import in_batches
from cnnviz.network.hooks import hook
from cnnviz.network.loaded import Model
from cnnviz.pictures import images
from cnnviz.run.job import Job, run

COMPONENTS = 50
NEAREST = 15  # a facet starts from the mean of this many pictures
SHOWN = 6
REPEATS, KEPT, ENOUGH = 5, 0.8, 1000  # repeated clusterings, each of this share of the pictures, of at most so many
FEWEST = 10  # smallest number of pictures of a class with facets
A_FACET, LEAST = 5, 3  # smallest number of pictures of a facet, on average and of each
CLEAR = 0.1  # by how much facets are more stable than clusters of one cloud, at least
TRIED = 12  # classes whose facets are looked for, at least
COARSE, PALE = 12, 0.8  # side in pixels that a start is reduced to, and the share of its contrast that is left
SMOOTH, GREYING, EDGE = 0.15, 0.02, 0.05  # λ₁ to λ₃, in root mean squares of the gradient


@dataclass(frozen=True)
class Clusters:
    """Facets of the n pictures of a class.

    members (n,): rows of the features. facet (n,): of each member, numbered by descending size. points (n, p):
    principal components. centres (k, p). reduce: features (m, d) → components (m, p).
    """

    members: np.ndarray
    facet: np.ndarray
    points: np.ndarray
    centres: np.ndarray
    reduce: Callable[[np.ndarray], np.ndarray]

    def nearest(self, facet: int, count: int | None) -> np.ndarray:
        """Rows of the ``count`` members of a facet nearest to its centre, nearest first, ties by row; None: all."""
        inside = self.facet == facet
        distance = np.square(self.points[inside] - self.centres[facet]).sum(1)
        return self.members[inside][np.argsort(distance, kind="stable")[:count]]

    def of(self, features: np.ndarray) -> np.ndarray:
        """(m, d) features → the facet with the nearest centre, (m,)."""
        return np.square(self.reduce(features)[:, None] - self.centres[None]).sum(2).argmin(1)


def cluster(features: np.ndarray, members: np.ndarray, k: int, seed: int) -> Clusters:
    """k-means of the rows ``members`` of the features, on their first principal components.

    There are fewer than ``k`` clusters if one would have fewer than LEAST pictures.
    """
    vectors = np.asarray(features[members], np.float64)
    seed %= 2**32
    components = min(COMPONENTS, len(vectors) - 1, vectors.shape[1])
    pca = PCA(components, svd_solver="full").fit(vectors)
    points = pca.transform(vectors)
    found = KMeans(k, n_init=10, random_state=seed).fit(points)
    while k > 1 and np.bincount(found.labels_, minlength=k).min() < LEAST:
        k -= 1
        found = KMeans(k, n_init=10, random_state=seed).fit(points)
    order = np.argsort(-np.bincount(found.labels_, minlength=k), kind="stable")
    return Clusters(members, np.argsort(order)[found.labels_], points, found.cluster_centers_[order], pca.transform)


def stability(points: np.ndarray, k: int, seed: int) -> np.ndarray:
    """Adjusted Rand index (1: the same, 0: as by chance) of k-means on all points and on random parts: (2, REPEATS).

    The second row is the control, points without groups: normally distributed, with the spread of each component, drawn
    anew each time.
    """
    found = np.full((2, REPEATS), np.nan)
    if k < 2:
        return found
    generator = np.random.default_rng(seed)
    part = min(max(k, round(KEPT * len(points))), ENOUGH)

    def labels(values: np.ndarray, i: int) -> np.ndarray:
        return KMeans(k, n_init=4, random_state=(seed + i) % 2**32).fit(values).labels_

    whole = labels(points, 0)
    for i in range(REPEATS):
        cloud = generator.normal(0, points.std(0), points.shape)
        for row, (values, before) in enumerate(((points, whole), (cloud, None))):
            before = labels(values, 0) if before is None else before
            some = generator.choice(len(values), part, replace=False)
            found[row, i] = adjusted_rand_score(before[some], labels(values[some], i + 1))
    return found


def best_clusters(features: np.ndarray, members: np.ndarray, most: int, seed: int) -> tuple[Clusters, np.ndarray]:
    """The clusters of a class that are most stable beside their control, and their :func:`stability`.

    There are at most ``most``; one if none are stable.
    """
    tried = []
    for k in range(2, most + 1):
        found = cluster(features, members, k, seed)
        stable = stability(found.points, len(found.centres), seed).mean(1)
        if len(found.centres) == k:
            tried.append((stable[0] - stable[1] > CLEAR, round(float(stable[0]), 2), k, found))
    if not tried:
        return cluster(features, members, 1, seed), np.full((2, REPEATS), np.nan)
    *_, best = max(tried, key=lambda one: one[:3])
    stable = stability(best.points, len(best.centres), seed + 1)  # measured again: the best of several is often luck
    clear = np.diff(stable.mean(1)) < -CLEAR
    return best if clear else cluster(features, members, 1, seed), stable


def largest_classes(
    model: Model, labels: Sequence[Sequence[int]], wanted: str | int | list[str]
) -> dict[int, np.ndarray]:
    """Output → rows of its pictures. wanted: "all", names of classes, or a number: those with the most pictures.

    labels: outputs of each picture. Classes with fewer than FEWEST pictures are omitted.
    """
    rows: dict[int, list[int]] = {}
    for row, outputs in enumerate(labels):
        for output in outputs:
            rows.setdefault(output, []).append(row)
    if isinstance(wanted, list):
        order = [model.output(name) for name in wanted]
    else:
        order = sorted(rows, key=lambda output: (-len(rows[output]), output))
        order = order if wanted == "all" else order[:wanted]
    return {output: np.array(rows[output]) for output in order if len(rows.get(output, ())) >= FEWEST}


def second_choice(scores: np.ndarray, facet: np.ndarray, target: int) -> tuple[np.ndarray, np.ndarray]:
    """The class that tells each of k facets apart, (k,), −1 for none; and its shares of the facet and of the rest.

    scores: (n, classes) of a class's pictures. facet: (n,). The second choice is the highest score of another class.
    """
    k, classes = facet.max() + 1, scores.shape[1]
    if classes < 3:
        return np.full(k, -1), np.zeros((k, 2))
    others = np.array(scores, np.float64)
    others[:, target] = -np.inf
    chosen = np.eye(classes)[others.argmax(1)]
    inside = np.stack([chosen[facet == f].mean(0) for f in range(k)])
    outside = np.stack([chosen[facet != f].mean(0) if k > 1 else np.zeros(classes) for f in range(k)])
    near = (inside - outside).argmax(1)
    return near, np.stack([inside[np.arange(k), near], outside[np.arange(k), near]], 1)


@dataclass(frozen=True)
class Goal:
    """Goals of n facets: targets, outputs; scores (n,), averages of the real pictures; centres (n, d) of features."""

    targets: Sequence[int]
    scores: Tensor
    centres: Tensor

    def on(self, device: torch.device) -> "Goal":
        return Goal(self.targets, self.scores.to(device), self.centres.to(device))


def draw(model: Model, goal: Goal, starts: Tensor, steps: int, pull: float, seed: int) -> tuple[Tensor, np.ndarray]:
    """Pictures from ``starts`` (n, c, h, w), and the first term (n, steps). seed: of the views."""
    size = model.preprocess.size
    centre, norm = grey(model.channels), goal.centres.square().sum(1)
    small = tuple(min(COARSE, side) for side in size)
    pale = 0.5 + PALE * (resize(resize(starts, small), size) - 0.5)
    with feature_vectors(model) as kept:

        def likeness(read: Mapping[str, Tensor]) -> Tensor:
            return -(kept["vector"] - goal.centres).square().sum(1) / norm

        ascent = ascend(
            model,
            {
                "score": reach(logit(goal.targets), goal.scores),
                "likeness": pull * Objective((OUTPUT,), likeness),
            },
            waves(pale),
            steps=steps,
            optimiser=rates(steps),
            penalties={
                "total variation": lambda x: SMOOTH * total_variation(x),
                "distance to grey": lambda x: GREYING * l2(x, centre),
                "border": lambda x: EDGE * border(x, centre),
            },
            transform=levelled_views(model, size),
            seed=seed,
            progress=f"{len(goal.targets)} facets",
        )
    return ascent.pictures, ascent.curves["score"].T


@contextmanager
def feature_vectors(model: Model) -> Iterator[dict[str, Tensor]]:
    """Yields a dict. After a forward pass its ``vector`` (n, d) holds the features that the forward pass job keeps."""
    name, side = model.feature
    kept: dict[str, Tensor] = {}

    def keep(value: Tensor) -> None:
        value = value if side == "input" else model.maps_of([name])[name](value)
        kept["vector"] = value.flatten(1).clone() if side == "input" or value.ndim == 2 else value.mean((2, 3))

    handle = hook(model.net, name, keep, input=side == "input")
    try:
        yield kept
    finally:
        handle.remove()


def features_of(model: Model, pictures: np.ndarray) -> np.ndarray:
    """The feature vectors of (n, h, w, c) uint8 pictures: (n, d) float32."""
    with torch.no_grad(), feature_vectors(model) as kept:
        model.logits(model.pictures(list(pictures)))
        return kept["vector"].float().cpu().numpy()


def main(job: Job) -> None:
    p = job.parameters
    features, logits = (np.load(job.inputs[name], mmap_mode="r") for name in ("features", "logits"))
    model, image_set = loaded.load(job, gradients="scores"), images.read(job.inputs["images"], job.image_set)
    outputs = ([model.label_to_output[label] for label in picture.labels] for picture in image_set.pictures)
    labels = [[output for output in found if output is not None] for found in outputs]
    wanted = p["classes"]
    classes = largest_classes(model, labels, max(TRIED, 2 * wanted) if isinstance(wanted, int) else wanted)
    if not classes or not np.isfinite(features[:FEWEST]).all():
        raise NotApplicable(
            f"Facets are clusters of a class's pictures, and no class has {FEWEST} of them in this set."
        )
    found = {}
    with threadpool_limits(job.threads):
        for target, members in classes.items():
            most = max(1, min(p["facets"], len(members) // A_FACET))
            found[target] = best_clusters(features, members, most, job.seed_for("clusters", model.classes[target]))
    shown = list(found)
    if isinstance(wanted, int):
        clear = {t: np.nan_to_num(-np.diff(stable.mean(1))[0], nan=-1) for t, (_, stable) in found.items()}
        shown = sorted(found, key=lambda t: (len(found[t][0].centres) == 1, -clear[t]))[:wanted]
    clusters, facets = {t: found[t][0] for t in shown}, []
    for target in shown:
        facets += [(target, facet) for facet in range(len(clusters[target].centres))]

    def batch(some: Sequence[tuple[int, int]]) -> dict[str, np.ndarray]:
        starts, nearest = [], np.full((len(some), SHOWN), -1, np.int32)
        for i, (target, facet) in enumerate(some):
            of = clusters[target]
            rows = of.nearest(facet, NEAREST if len(of.centres) > 1 else None)
            nearest[i, : min(SHOWN, len(rows))] = rows[:SHOWN]
            arrays = image_set.arrays(model.preprocess.geometry, [int(row) for row in rows], job.threads)
            starts.append(model.pictures(list(arrays)).mean(0))
        targets = [target for target, _ in some]
        of_cluster = [clusters[target].members[clusters[target].facet == facet] for target, facet in some]
        goal = Goal(
            targets,
            torch.tensor([float(np.mean(logits[rows, t])) for rows, t in zip(of_cluster, targets, strict=True)]),
            torch.from_numpy(np.stack([features[rows].mean(0) for rows in of_cluster]).astype(np.float32)),
        ).on(model.device)
        seed = job.seed_for("shifts")
        pictures, scores = draw(model, goal, torch.stack(starts).to(model.device), p["steps"], p["pull"], seed)
        shown = to_bytes(pictures)
        vectors = features_of(model, shown)
        return {
            "pictures": shown,
            "starts": to_bytes(torch.stack(starts)),
            "target": np.array(targets, np.int32),
            "facet": np.array([facet for _, facet in some], np.int32),
            "size": np.array([(clusters[target].facet == facet).sum() for target, facet in some], np.int32),
            "nearest": nearest,
            "scores": scores,
            "own": np.array([int(clusters[t].of(v[None])[0]) for t, v in zip(targets, vectors, strict=True)], np.int32),
        } | judge(model, shown, targets)

    made = list(in_batches(batch, facets, p["batch"]))
    arrays = {name: np.concatenate([f[name] for f in made]) for name in made[0]}
    near = [second_choice(logits[of.members], of.facet, target) for target, of in clusters.items()]
    arrays["near"], arrays["near_share"] = (np.concatenate(each) for each in zip(*near, strict=True))
    arrays["stability"] = np.stack([found[target][1] for target in shown])
    geometry = {key: getattr(model.preprocess, key) for key in ("resize", "crop", "interpolation")}
    numbers = {
        "classes": [model.classes[target] for target in shown],
        "looked_at": len(classes),
        "pictures": {model.classes[target]: len(clusters[target].members) for target in shown},
        "geometry": geometry,
        "fewest": FEWEST,
    }
    return job.write(arrays, numbers=numbers, provenance=model.provenance)


if __name__ == "__main__":
    run(main)
