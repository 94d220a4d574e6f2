"""The two directions in which the features vary most (Pearson 1901).

With the features centred, X (n, d), the components are the eigenvectors v of the covariance XᵀX / (n − 1), by falling
eigenvalue λ; a picture's coordinates are X v, and λ / Σλ is the share of the variance that a component explains.
Where there are fewer pictures than features the same comes, faster, from the eigenvectors u of XXᵀ / (n − 1): v ∝ Xᵀu.

Leaves ``map`` (n, 2) float32, coordinates in the features' unit; ``explained`` (components,) float64, shares of the
whole variance.
"""

import numpy as np
from scipy.linalg import eigh
from threadpoolctl import threadpool_limits

from cnnviz.features.nearest_neighbors import feature_name, unusable
from cnnviz.run.job import Job, run

EXACT = 6000  # beyond so many pictures *and* features the components are those of a sample
CHUNK = 1024


def principal_components(data: np.ndarray, count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, int]:
    """Scores (n, count) float32, explained shares (count,) float64 by falling share, and how many rows were fitted.

    data: (n, d) float32, maybe memory-mapped; count ≤ min(n, d). Computed in float64. Each component's sign is chosen
    so that its largest weight is positive. Exact but where n and d are both above EXACT: then fitted to a seeded
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
    real = values > max(total, np.finfo(float).tiny) * 1e-13  # what is below is rounding
    values, axes = np.where(real, values, 0)[::-1], np.where(real, axes, 0)[:, ::-1]
    axes = axes * np.where(axes[np.abs(axes).argmax(0), np.arange(count)] < 0, -1, 1)
    scores = np.concatenate([((data[a : a + CHUNK] - mean) @ axes).astype(np.float32) for a in range(0, n, CHUNK)])
    return scores, values / (total or 1), m


def main(job: Job) -> None:
    features = np.load(job.inputs["features"], mmap_mode="r")
    if reason := unusable(features, 3):
        return job.write({}, not_applicable=reason)
    count = min(job.parameters["components"], *features.shape)
    if count < 2:
        return job.write(
            {}, not_applicable="The network's feature vector is a single number; two are needed for a map."
        )
    with threadpool_limits(job.threads):
        scores, explained, fitted = principal_components(features, count, job.seed_for("sample"))
    numbers = {"dimensions": features.shape[1], "fitted": fitted, "feature": feature_name(job)}
    job.write(
        {"map": scores[:, :2], "explained": explained},
        numbers=numbers,
    )
    return None


if __name__ == "__main__":
    run(main)
