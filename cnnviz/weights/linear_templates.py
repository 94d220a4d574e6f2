"""A linear softmax classifier on the raw pixels: one template per class, and its accuracy (Krizhevsky 2009, ch. 3).

p(class k | x) = softmax_k(W x + b), with W, b = arg min of mean cross-entropy + λ/2 ‖W‖². The pixels are standardised
and divided by √d. Then ‖x‖² is 1 on average, and λ means the same for any number of pixels or pictures. The row W_k as
a picture is the class's template: the classifier uses only the dot product with it.

The classifier is tested on pictures that it was not fitted to: in 5 stratified folds; or, if the image set has queries,
on those, fitted to the references. The templates are fitted to all pictures that may be used. The network's accuracy is
measured on the same pictures. The pictures, the folds and the templates are the same for all models of an image set
with these labels.

The result holds, for k classes and s × s pixels: ``templates`` (k, s, s, 3) float32, RGB, and ``bias`` (k,): the logit
of a picture in [0, 1] is Σ template · picture + bias. ``classes`` (k,) indices into the set's classes, ``fitted`` and
``tested`` indices of the pictures, ``linear_right`` (t,) bool for the tested ones, and ``cnn_right`` (t,) int8: 1, 0,
or −1 if the network lacks the class.
"""

import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from threadpoolctl import threadpool_limits

from cnnviz.errors import NotApplicable
from cnnviz.pictures import images
from cnnviz.run import result
from cnnviz.run.job import Job, run

FOLDS = 5
FEWEST = 5  # smallest number of pictures of a class


def pixels(thumbnails: np.ndarray, indices: np.ndarray, size: int) -> np.ndarray:
    """Rows of (n, 64, 64, 3) uint8 thumbnails → (m, size × size × 3) float32 in [0, 1], means of blocks of pixels."""
    block = thumbnails.shape[1] // size
    parts = [thumbnails[i].reshape(size, block, size, block, 3).mean((1, 3), dtype=np.float32).ravel() for i in indices]
    return np.stack(parts) / 255


def fit(x: np.ndarray, labels: np.ndarray, penalty: float) -> tuple[np.ndarray, np.ndarray]:
    """Template and bias of each class, in the units of x: logits = x @ templates.T + bias.

    x: (n, d) in [0, 1]. labels: (n,) with each of 0 … k − 1. Returns (k, d) and (k,) float64.
    """
    n, d = x.shape
    mean, spread = x.mean(0, dtype=np.float64), x.std(0, dtype=np.float64)
    spread = np.maximum(spread, 1e-3) * d**0.5  # limits the weight of constant pixels
    # float64: in float32 the templates would visibly depend on the number of threads
    model = LogisticRegression(C=1 / (penalty * n), max_iter=300, tol=1e-5)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # by then the templates no longer change visibly
        model.fit((x - mean) / spread, labels)
    weights, bias = model.coef_, model.intercept_
    if len(weights) == 1:  # for two classes sklearn keeps only the second one's weights
        weights, bias = np.concatenate([-weights, weights]) / 2, np.concatenate([-bias, bias]) / 2
    templates = weights / spread
    return templates, bias - templates @ mean


def chosen(labels: np.ndarray, classes: int, most: int, seed: int) -> np.ndarray:
    """Sorted indices of the pictures to use. labels: (n,), −1 for none.

    They are of the ``classes`` classes with the most pictures, at least FEWEST, ties by index. There are at most
    ``most`` pictures, shared equally among the classes as far as possible, drawn by ``seed``.
    """
    counts = np.bincount(labels[labels >= 0])
    ranked = np.argsort(-counts, kind="stable")[:classes]
    kept = np.sort(ranked[counts[ranked] >= FEWEST])
    generator = np.random.default_rng(seed)
    shuffled = [generator.permutation(np.flatnonzero(labels == c)) for c in kept]
    places = np.concatenate([np.arange(len(s)) for s in shuffled] or [np.empty(0, int)])
    pictures = np.concatenate([*shuffled, np.empty(0, int)])
    return np.sort(pictures[np.argsort(places, kind="stable")[:most]])


def by_folds(x: np.ndarray, y: np.ndarray, penalty: float, seed: int) -> np.ndarray:
    """Each picture's class, predicted by a classifier fitted to the other folds: (n,)."""
    best = np.empty_like(y)
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed % 2**32)
    for train, test in folds.split(x, y):
        w, b = fit(x[train], y[train], penalty)
        best[test] = (x[test] @ w.T + b).argmax(1)
    return best


def main(job: Job) -> None:
    asked = job.parameters
    image_set = images.read(job.inputs["images"], job.image_set)
    labels = np.array([-1 if p.label is None else p.label for p in image_set.pictures], np.int64)
    query = np.array([p.role == "query" for p in image_set.pictures])
    held_out = bool((query & (labels >= 0)).any() and (~query & (labels >= 0)).any())
    # the config's own seed, so that all models of the image set are compared with the same classifier
    fitted = chosen(np.where(query & held_out, -1, labels), asked["classes"], asked["sample"], job.seed)
    classes = np.unique(labels[fitted])
    if len(classes) < 2:
        raise NotApplicable(
            f"A classifier needs labels: at least two classes with {FEWEST} pictures each; "
            f"this image set has {len(classes)}."
        )
    tested = fitted
    if held_out:
        asked_of = np.where(query & np.isin(labels, classes), labels, -1)
        tested = np.flatnonzero(asked_of >= 0)
        if len(tested) > asked["sample"]:
            tested = np.sort(np.random.default_rng(job.seed).choice(tested, asked["sample"], replace=False))
    thumbnails = np.load(job.inputs["thumbnails"], mmap_mode="r")
    x, y = pixels(thumbnails, fitted, asked["size"]), np.searchsorted(classes, labels[fitted])
    with threadpool_limits(job.threads):
        templates, bias = fit(x, y, asked["penalty"])
        if held_out:
            best = (pixels(thumbnails, tested, asked["size"]) @ templates.T + bias).argmax(1)
        else:
            best = by_folds(x, y, asked["penalty"], job.seed)
    right = classes[best] == labels[tested]
    forward = result.read(job.inputs["forward"])
    known = forward.arrays["label"][tested]
    cnn = np.where(known < 0, -1, forward.arrays["top_classes"][tested, 0] == known).astype(np.int8)
    size = asked["size"]
    job.write(
        {
            "templates": templates.reshape(-1, size, size, 3).astype(np.float32),
            "bias": bias.astype(np.float32),
            "classes": classes,
            "fitted": fitted,
            "tested": tested,
            "linear_right": right,
            "cnn_right": cnn,
        },
        numbers={
            "linear": float(right.mean()),
            "cnn": float(cnn[known >= 0].mean()) if (known >= 0).any() else None,
            "chance": float(np.bincount(np.searchsorted(classes, labels[tested])).max() / len(tested)),
            "held_out": held_out,
            "pictures": len(image_set),
            "all_classes": len(image_set.classes),
        },
        provenance=result.inherited(forward, "forward"),
    )


if __name__ == "__main__":
    run(main)
