"""t-SNE: a map in which pictures with similar features are close (van der Maaten & Hinton 2008), by openTSNE.

Similarities in feature space are p_ij ∝ exp(−‖x_i − x_j‖² / 2σ_i²), symmetrised. Each picture's width σ_i is set so
that its effective number of neighbours is the perplexity. Similarities in the map are q_ij ∝ 1 / (1 + ‖y_i − y_j‖²).
The map Y minimises KL(P ‖ Q) = Σ p_ij log(p_ij / q_ij). The features are first reduced to 50 principal components; the
first two are the initial map. The neighbours are exact. Gradients are Barnes & Hut's approximation below 10 000
pictures, and FFT interpolation from there on.

The result holds ``map`` (n, 2) float32, y upwards, without a unit. Numbers: the perplexity used; KL; trustworthiness
(Venna & Kaski 2001) of the map; and the accuracy of predicting a picture's class from its 10 nearest, in the map, in
feature space and in pixels. ``control/map``, ``control/pixels`` and ``control/untrained`` (m,) bool say whether that
names the class of each of some pictures, by their 10 nearest among these: on the map, in pixels, and in the features
before training. Where hardly two pictures share a class, ``kept/features``, ``kept/pixels`` and ``kept/untrained`` (m,)
float32 are the shares of each picture's 10 nearest on the map that are its 10 nearest there, too, all among these m.
"""

import os

# Must be set before openTSNE is imported: spinning threads made 1000 pictures take 28 s instead of 3.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import openTSNE
from openTSNE.nearest_neighbors import PrecomputedNeighbors
from sklearn.manifold import trustworthiness
from threadpoolctl import threadpool_limits

from cnnviz.errors import NotApplicable
from cnnviz.features.neighbors import in_common, labels_of, majority, nearest, pixels, sample
from cnnviz.features.vectors import before_training, feature_name, principal_components, unusable
from cnnviz.pictures import images
from cnnviz.run.job import Job, run

FEWEST = 8
FFT_FROM = 10_000
VOTERS = 10
THREADS_FROM = 3000  # with fewer pictures a step takes less time than waking a thread


def usable_perplexity(wanted: float, n: int) -> float:
    """The perplexity, reduced if 3 × perplexity neighbours are more than there are pictures."""
    return min(wanted, (n - 1) / 3)


def embed(data: np.ndarray, perplexity: float, iterations: int, seed: int, threads: int) -> tuple[np.ndarray, float]:
    """(n, d) float32 → the map (n, 2) float32 and its KL divergence in nats. Same ``seed``, ``threads``: same map."""
    n = len(data)
    k = min(n - 1, int(3 * perplexity))
    indices, distances = nearest(data, np.arange(n), k, threads)
    threads = threads if n >= THREADS_FROM else 1
    if not distances.any():  # all pictures are equal, so every map is right
        return np.zeros((n, 2), np.float32), 0.0
    affinities = openTSNE.affinity.PerplexityBasedNN(
        perplexity=perplexity, knn_index=PrecomputedNeighbors(indices, distances), n_jobs=threads
    )
    start = openTSNE.initialization.rescale(data[:, :2].astype(np.float64), inplace=False)
    # equal pictures would start at the same point and stay there
    start += np.random.default_rng(seed).normal(0, 1e-7, start.shape)
    map = openTSNE.TSNEEmbedding(
        start,
        affinities,
        negative_gradient_method="bh" if n < FFT_FROM else "fft",
        random_state=seed % 2**32,
        n_jobs=threads,
    )
    early = min(250, iterations // 3)
    map = map.optimize(early, exaggeration=12, momentum=0.5)
    map = map.optimize(iterations - early, momentum=0.8)
    return np.asarray(map, np.float32), float(map.kl_divergence)


def votes_right(labels: np.ndarray, data: np.ndarray, queries: np.ndarray, threads: int = 2) -> np.ndarray:
    """Whether each query's class is the most frequent one of its 10 nearest pictures."""
    neighbors, _ = nearest(data, queries, min(VOTERS, len(data) - 1), threads)
    return majority(labels, neighbors) == labels[queries]


def vote_accuracy(labels: np.ndarray, data: np.ndarray, queries: np.ndarray, threads: int = 2) -> float:
    return float(votes_right(labels, data, queries, threads).mean())


def _control(job: Job, labels: np.ndarray, spaces: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The arrays ``control/…`` of the module's docstring; none if the features before training are not known."""
    index, untrained = before_training(job)
    asked = sample(labels[index], job.parameters["sample"], job.seed_for("votes")) if spaces else []
    if not len(asked):
        return {}
    of = {name: np.ascontiguousarray(spaces[name][index]) for name in ("map", "pixels")} | {"untrained": untrained}
    return {f"control/{name}": votes_right(labels[index], data, asked, job.threads) for name, data in of.items()}


def _kept(job: Job, some: np.ndarray, spaces: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The arrays ``kept/…`` of the module's docstring; of ``some`` pictures if the untrained features are unknown."""
    index, untrained = before_training(job)
    known = len(index) > 1
    index = index if known else some
    spaces = {name: np.ascontiguousarray(data[index]) for name, data in spaces.items()}
    spaces |= {"untrained": untrained} if known else {}
    k, every = min(VOTERS, len(index) - 1), np.arange(len(index))
    found = {name: nearest(data, every, k, job.threads)[0] for name, data in spaces.items()}
    return {f"kept/{name}": in_common(found["map"], near) for name, near in found.items() if name != "map"}


def main(job: Job) -> None:
    features = np.load(job.inputs["features"], mmap_mode="r")
    if reason := unusable(features, FEWEST):
        raise NotApplicable(reason)
    labels = labels_of(images.read(job.inputs["images"], job.image_set))
    p = job.parameters
    with threadpool_limits(job.threads):
        count = min(p["components"], *features.shape)
        reduced, explained, _ = principal_components(features, count, job.seed_for("pca"))
        if count == 1:
            reduced = np.pad(reduced, ((0, 0), (0, 1)))
        perplexity = usable_perplexity(p["perplexity"], len(features))
        map, divergence = embed(reduced, perplexity, p["iterations"], job.seed_for("map"), job.threads)
        some = np.sort(np.random.default_rng(job.seed_for("sample")).permutation(len(map))[: p["sample"]])
        faithful = float(trustworthiness(reduced[some], map[some], n_neighbors=min(12, (len(some) - 1) // 2)))
        asked = sample(labels, p["sample"], job.seed_for("votes"))
        spaces = {"map": map, "features": features, "pixels": pixels(np.load(job.inputs["thumbnails"], mmap_mode="r"))}
        kept = {} if len(asked) else _kept(job, some, spaces)
        spaces = spaces if len(asked) else {}
        votes = {name: vote_accuracy(labels, data, asked, job.threads) for name, data in spaces.items()}
        control = _control(job, labels, spaces)
    numbers = {
        "perplexity": perplexity,
        "components": count,
        "kept_variance": float(explained.sum()),
        "gradient": "Barnes-Hut" if len(map) < FFT_FROM else "FFT interpolation",
        "kl_divergence": divergence,
        "trustworthiness": faithful,
        "sample": len(some),
        "votes": votes,
        "largest_class": float(np.bincount(labels[asked]).max() / len(asked)) if len(asked) else 0.0,
        "dimensions": features.shape[1],
        "feature": feature_name(job),
    }
    job.write({"map": map} | control | kept, numbers=numbers, provenance={"threads": job.threads})


if __name__ == "__main__":
    run(main)
