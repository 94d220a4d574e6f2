"""The feature vectors of an image set: their name and control, whether they can be used, and their components."""

import numpy as np
from scipy.linalg import eigh

from cnnviz.network import facts
from cnnviz.run import result
from cnnviz.run.job import Job

EXACT = 6000  # with more pictures *and* features the components are fitted to a sample
CHUNK = 1024
TOO_LARGE = 1e15  # squares of larger features overflow float32


def unusable(features: np.ndarray, fewest: int) -> str:
    """Reason for readers why these features cannot be used, or ""."""
    if len(features) < fewest:
        there_are = "1 picture" if len(features) == 1 else f"{len(features)} pictures"
        return f"The image set has {there_are}; this needs at least {fewest}."
    bad = sum(int((~(np.abs(features[a : a + 1024]) < TOO_LARGE).all(1)).sum()) for a in range(0, len(features), 1024))
    if bad:
        return (
            f"The network's features of {bad} of the {len(features)} pictures are not finite, or exceed {TOO_LARGE:g}."
        )
    return ""


def feature_name(job: Job) -> str:
    """Name of the feature vector, in words."""
    return facts.feature(facts.read(job.inputs["network"]), job.model["feature_layer"])["name"]


def before_training(job: Job) -> tuple[np.ndarray, np.ndarray]:
    """Indices of some pictures (m,), and their features (m, d) by the untrained network; none if there are no such."""
    left = result.read(job.inputs["untrained"])
    if left.status != "ok" or unusable(left.arrays["features"], 1):
        return np.empty(0, np.int64), np.empty((0, 1), np.float32)
    return left.arrays["index"], left.arrays["features"]


def principal_components(data: np.ndarray, count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, int]:
    """Scores (n, count) float32, explained shares (count,) float64 in descending order, and the number of fitted rows.

    data: (n, d) float32, maybe memory-mapped; count ≤ min(n, d). Computed in float64. Each component's sign makes its
    largest weight positive. The result is exact unless n and d are both above EXACT; then it is fitted to a seeded
    sample. A component without variance has scores and a share of 0.
    """
    n, d = data.shape
    fitted = data
    if min(n, d) > EXACT:
        fitted = data[np.sort(np.random.default_rng(seed).choice(n, EXACT, replace=False))]
    m = len(fitted)
    mean = sum(fitted[a : a + CHUNK].sum(0, dtype=np.float64) for a in range(0, m, CHUNK)) / m
    if m > d:
        spread = np.zeros((d, d))
        for a in range(0, m, CHUNK):
            part = fitted[a : a + CHUNK] - mean
            spread += part.T @ part
        values, axes = eigh(spread, subset_by_index=[d - count, d - 1])
    else:
        centred = fitted - mean
        spread = centred @ centred.T
        values, left = eigh(spread, subset_by_index=[m - count, m - 1])
        axes = centred.T @ left
        axes /= np.maximum(np.linalg.norm(axes, axis=0), np.finfo(float).tiny)
    total = np.trace(spread)
    real = values > max(total, np.finfo(float).tiny) * 1e-13  # smaller values are rounding errors
    values, axes = np.where(real, values, 0)[::-1], np.where(real, axes, 0)[:, ::-1]
    axes = axes * np.where(axes[np.abs(axes).argmax(0), np.arange(count)] < 0, -1, 1)
    scores = np.concatenate([((data[a : a + CHUNK] - mean) @ axes).astype(np.float32) for a in range(0, n, CHUNK)])
    return scores, values / (total or 1), m
