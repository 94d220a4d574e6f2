"""PCA: the two directions of largest variance of the features (Pearson 1901).

The components are the eigenvectors v of the covariance XᵀX / (n − 1), by descending eigenvalue λ, of the centred
features X (n, d). A picture's coordinates are X v. A component explains the share λ / Σλ of the variance. With fewer
pictures than features, the eigenvectors u of XXᵀ / (n − 1) give the same result faster: v ∝ Xᵀu.

The result holds ``map`` (n, 2) float32, coordinates in the features' unit; ``explained`` (components,) float64, shares
of the total variance; and for some pictures ``untrained_index`` (m,) the ``untrained_map`` (m, 2) of their features
before training. Number ``untrained_plane``: the share of these features' variance in their own plane, 0 if unknown.
"""

import numpy as np
from threadpoolctl import threadpool_limits

from cnnviz.errors import NotApplicable
from cnnviz.features.vectors import before_training, feature_name, principal_components, unusable
from cnnviz.run.job import Job, run


def main(job: Job) -> None:
    features = np.load(job.inputs["features"], mmap_mode="r")
    if reason := unusable(features, 3):
        raise NotApplicable(reason)
    count = min(job.parameters["components"], *features.shape)
    if count < 2:
        raise NotApplicable("The network's feature vector is a single number; two are needed for a map.")
    with threadpool_limits(job.threads):
        scores, explained, fitted = principal_components(features, count, job.seed_for("sample"))
        index, untrained = before_training(job)
        few = min(untrained.shape) < 2
        nothing = np.zeros((0, 2), np.float32), np.zeros(2), 0
        plane, share, _ = nothing if few else principal_components(untrained, 2, job.seed_for("sample"))
    numbers = {"untrained_plane": float(share.sum())}
    numbers |= {"dimensions": features.shape[1], "fitted": fitted, "feature": feature_name(job)}
    arrays = {"map": scores[:, :2], "explained": explained}
    job.write(arrays | {"untrained_index": index[: len(plane)], "untrained_map": plane}, numbers=numbers)


if __name__ == "__main__":
    run(main)
