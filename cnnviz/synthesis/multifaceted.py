"""Multifaceted visualisation: the different appearances of one class (Nguyen, Yosinski & Clune 2016).

The feature vectors of a class's pictures (FC7, in AlexNet) are reduced to 50 principal components and clustered by
k-means. Each cluster is a facet. A facet's picture is ascended on the class score, starting from the mean of the 15
real pictures nearest to its centre,

    I ← TV(I + η m · g / mean|g|, λ),   m = exp(-r² / 2σ²),
    g = ∂/∂I [ -log(1 + exp(s - S_c)) - γ ‖φ - μ‖² / ‖μ‖² ] under a random shift,

over four rounds of increasing resolution. r is the distance from the centre in half sides. m makes the centre change
most, so that one object is drawn instead of many. TV is total-variation denoising after every step, argmin_u ‖u - I‖² /
2 + λ TV(u), by some steps of Chambolle's (2004) algorithm. With k = 1 the only facet is the whole class, and its
picture starts at the class's mean.

Two things are not in the paper, which ascends S_c alone and relies on the start. The score is ascended to s, the
average of the facet's real pictures. And the features φ are pulled to the facet's centre μ (γ = 0 omits this). Without
these a picture may lose its facet: the demo's pictures all ended nearest to the same one. The paper clusters a t-SNE
map of the components; k-means on the components needs no second choice of parameters.

The result holds, for n facets, class by class and within a class by descending size: ``pictures``, ``starts``
(n, h, w, c) uint8; ``target``, ``facet``, ``size`` (n,): output, number of the facet within its class, number of
pictures in its cluster; ``nearest`` (n, 5) int32: the pictures of the image set nearest to its centre, −1 for none;
``scores`` (n, steps) float32: the first term in the brackets before each step, 0 if the score is reached; ``logits``,
``probabilities``, ``ranks`` (n,) of the 8-bit picture; ``own`` (n,) int32: the facet of the class whose centre is
nearest to that picture's features. ``stability`` (classes, 2, REPEATS): how far facets stay the same if a class is
clustered again, see :func:`stability`: of its features, and of a normal distribution of the same spread. NaN if it has
one facet only.
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
from cnnviz.ascent.loop import ascend, normalised, to_bytes
from cnnviz.ascent.objective_functions import OUTPUT, Objective, logit, reach
from cnnviz.ascent.parametrisations import pixels
from cnnviz.ascent.transforms import in_turn, jitter, resize
from cnnviz.errors import NotApplicable
from cnnviz.network import loaded
from cnnviz.network.halving import in_batches
from cnnviz.network.hooks import hook
from cnnviz.network.loaded import Model
from cnnviz.pictures import images
from cnnviz.run.job import Job, run

COMPONENTS = 50
NEAREST = 15  # a facet starts from the mean of this many pictures
SHOWN = 5
REPEATS, KEPT, ENOUGH = 5, 0.8, 1000  # repeated clusterings, each of this share of the pictures, of at most so many
FEWEST = 10  # smallest number of pictures of a class with facets
A_FACET, LEAST = 5, 3  # smallest number of pictures of a facet, on average and of each
# For each round: side as a share of the input size, η and λ in units of the picture, σ in half sides.
ROUNDS = ((0.5, 0.02, 0.002, 0.5), (0.75, 0.012, 0.0015, 0.6), (1.0, 0.006, 0.001, 0.8), (1.0, 0.003, 0.0005, 1.2))


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

    The second row is the control, points without groups: normally distributed, with the spread of each component.
    """
    found = np.full((2, REPEATS), np.nan)
    if k < 2:
        return found
    generator = np.random.default_rng(seed)
    part = min(max(k, round(KEPT * len(points))), ENOUGH)
    for row, values in enumerate((points, generator.normal(0, points.std(0), points.shape))):
        whole = KMeans(k, n_init=10, random_state=seed % 2**32).fit(values).labels_
        for i in range(REPEATS):
            some = generator.choice(len(values), part, replace=False)
            again = KMeans(k, n_init=10, random_state=(seed + i + 1) % 2**32).fit(values[some]).labels_
            found[row, i] = adjusted_rand_score(whole[some], again)
    return found


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


def denoised(x: Tensor, weight: float, steps: int = 10) -> Tensor:
    """Approximately argmin_u ‖u - x‖² / 2 + weight · TV(u), for each channel by itself (Chambolle 2004)."""
    down, right = torch.zeros_like(x), torch.zeros_like(x)
    for _ in range(steps):
        slack = _divergence(down, right) - x / weight
        steeper = torch.zeros_like(x), torch.zeros_like(x)
        steeper[0][:, :, :-1], steeper[1][..., :-1] = slack.diff(dim=2), slack.diff(dim=3)
        size = 1 + 0.25 * torch.hypot(*steeper)
        down, right = (down + 0.25 * steeper[0]) / size, (right + 0.25 * steeper[1]) / size
    return x - weight * _divergence(down, right)


def _divergence(down: Tensor, right: Tensor) -> Tensor:
    """The negative adjoint of forward differences with a last row and column of 0."""
    first, second = down.clone(), right.clone()
    first[:, :, 1:] -= down[:, :, :-1]
    second[..., 1:] -= right[..., :-1]
    return first + second


def middle(size: tuple[int, int], width: float) -> Tensor:
    """exp(-r² / 2 width²), (h, w). r is the distance from the centre in half sides."""
    down, right = (torch.linspace(-1, 1, side) for side in size)
    return torch.exp(-(down[:, None] ** 2 + right[None] ** 2) / (2 * width**2))


@dataclass(frozen=True)
class Goal:
    """Goals of n facets: targets, outputs; scores (n,), averages of the real pictures; centres (n, d) of features."""

    targets: Sequence[int]
    scores: Tensor
    centres: Tensor

    def on(self, device: torch.device) -> "Goal":
        return Goal(self.targets, self.scores.to(device), self.centres.to(device))


def draw(
    model: Model, goal: Goal, starts: Tensor, iterations: Sequence[int], pull: float, seed: int
) -> tuple[Tensor, np.ndarray]:
    """Four rounds from ``starts`` (n, c, h, w): the pictures, and the first term (n, steps). seed: of the shifts."""
    own, x, scores = model.preprocess.size, starts, []
    norm = goal.centres.square().sum(1)
    with feature_vectors(model) as kept:

        def likeness(read: Mapping[str, Tensor]) -> Tensor:
            return -(kept["vector"] - goal.centres).square().sum(1) / norm

        for number, (steps, (share, rate, weight, width)) in enumerate(zip(iterations, ROUNDS, strict=True)):
            size = tuple(max(16, round(side * share)) for side in own)
            where = middle(size, width).to(x)

            def climb(x: Tensor, gradient: Tensor, step: int, where=where, rate=rate) -> Tensor:
                mean = gradient.abs().flatten(1).mean(1).clamp(min=torch.finfo(x.dtype).tiny)
                return (x - rate * where * gradient / mean[:, None, None, None]).clamp(0, 1)

            def smooth(x: Tensor, gradient: Tensor, step: int, weight=weight) -> Tensor:
                return denoised(x, weight)

            if steps:
                ascent = ascend(
                    model,
                    {
                        "score": reach(logit(goal.targets), goal.scores),
                        "likeness": pull * Objective((OUTPUT,), likeness),
                    },
                    pixels(resize(x, size)),
                    steps=steps,
                    optimiser=normalised(0.0),  # the operations between steps make the steps, weighted by position
                    between=[climb, smooth],
                    transform=in_turn(jitter(max(1, round(0.06 * min(size)))), lambda x, *_: resize(x, own)),
                    seed=seed + number,
                    progress=f"{len(goal.targets)} facets, round {number + 1}",
                )
                x = ascent.pictures
                scores.append(ascent.curves["score"].T)
    return resize(x, own).clamp(0, 1), np.concatenate(scores, 1)


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
    classes = largest_classes(model, labels, p["classes"])
    if not classes or not np.isfinite(features[:FEWEST]).all():
        raise NotApplicable(
            f"Facets are clusters of a class's pictures, and no class has {FEWEST} of them in this set."
        )
    facets, clusters, stable = [], {}, []
    with threadpool_limits(job.threads):
        for target, members in classes.items():
            k = max(1, min(p["facets"], len(members) // A_FACET))
            seed = job.seed_for("clusters", model.classes[target])
            clusters[target] = cluster(features, members, k, seed)
            stable.append(stability(clusters[target].points, len(clusters[target].centres), seed))
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
        pictures, scores = draw(model, goal, torch.stack(starts), p["iterations"], p["pull"], seed)
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

    found = list(in_batches(batch, facets, p["batch"]))
    arrays = {name: np.concatenate([f[name] for f in found]) for name in found[0]}
    geometry = {key: getattr(model.preprocess, key) for key in ("resize", "crop", "interpolation")}
    numbers = {
        "classes": [model.classes[target] for target in classes],
        "pictures": {model.classes[target]: len(members) for target, members in classes.items()},
        "geometry": geometry,
        "fewest": FEWEST,
    }
    arrays["stability"] = np.stack(stable)
    return job.write(arrays, numbers=numbers, provenance=model.provenance)


if __name__ == "__main__":
    run(main)
