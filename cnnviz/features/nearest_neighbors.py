"""Nearest neighbours of pictures, by feature vectors and by pixels (Krizhevsky et al. 2012, fig. 4 right).

    D_ij = ‖x_i − x_j‖², over features or over 32 × 32 × 3 pixels

The neighbours are the k pictures with the smallest distance; ties are sorted by index. The search is exact:
:mod:`cnnviz.features.neighbors`.

If pictures have the role "query" (for example test pictures), only these are queries and only the others, the reference
pictures, can be neighbours. Otherwise every picture can be both.

If no probe picture shares its class with another one, some that do are queries, too.

The result holds, for q queries: ``queries`` (q,) indices into the image set; ``feature_neighbors``, ``pixel_neighbors``
(q, k) indices, nearest first; ``feature_distances``, ``pixel_distances`` (q, k) float64: Euclidean, of features in
their own unit and of pixels in [0, 1]. For the agreement of classes, over m pictures: ``sample`` (m,) indices;
``feature_agreement``, ``pixel_agreement`` (m,) float32, share of a picture's k neighbours that have its class;
``chance`` (m,) the expected share for k random candidates. ``control/feature``, ``control/pixel`` and
``control/untrained`` (a,): the agreement among some pictures only, in features, pixels, and features before training.
Where hardly two pictures share a class, ``shared/pixels`` and ``shared/untrained`` (s,) float32 are instead the shares
of a picture's k nearest in features that are its nearest there, too, and ``shared/mutual`` the share of those whose
nearest it is itself; all among the same s pictures.
"""

import numpy as np

from cnnviz.errors import NotApplicable
from cnnviz.features.neighbors import in_common, labels_of, nearest, others, pixels, sample
from cnnviz.features.vectors import before_training, feature_name, unusable
from cnnviz.pictures import images
from cnnviz.run.job import Job, run

SPARE = 4  # queries that are added where no probe shares its class: those with most agreement beyond that in pixels


def agreement(labels: np.ndarray, queries: np.ndarray, neighbors: np.ndarray) -> np.ndarray:
    """Share of each query's neighbours that have its class, (q,) float32.

    labels: (n,); −1 stands for no class and agrees with none.
    """
    own = labels[queries][:, None]
    return ((labels[neighbors] == own) & (own >= 0)).mean(1, dtype=np.float32)


def chance(labels: np.ndarray, queries: np.ndarray, among: np.ndarray | None = None) -> np.ndarray:
    """Expected agreement of k random candidates ``among`` the pictures, (q,) float32: the share of its class."""
    among = np.ones(len(labels), bool) if among is None else among
    counts = np.bincount(labels[among & (labels >= 0)], minlength=labels.max(initial=0) + 1)
    return ((counts[labels[queries]] - among[queries]) / others(among, queries)).astype(np.float32)


def _control(job: Job, labels, askable, among: np.ndarray, k: int, spaces: dict[str, np.ndarray]) -> dict:
    """The arrays ``control/…`` of the module's docstring; none if the features before training are not known."""
    index, untrained = before_training(job)
    asked = sample(askable[index], job.parameters["sample"], job.seed_for("sample"))
    if not len(asked) or others(among[index], asked).min() < k:
        return {}
    spaces = {name: np.ascontiguousarray(data[index]) for name, data in spaces.items()} | {"untrained": untrained}
    return {
        f"control/{name}": agreement(labels[index], asked, nearest(data, asked, k, job.threads, among[index])[0])
        for name, data in spaces.items()
    }


def _shared(job: Job, among: np.ndarray, k: int, spaces: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The arrays ``shared/…`` of the module's docstring, of pictures that can be neighbours."""
    index, untrained = before_training(job)
    some = index[among[index]] if len(index) else sample(np.where(among, 0, -1), job.parameters["sample"], job.seed)
    k = min(k, len(some) - 1)
    if k < 1:
        return {}
    every, spaces = np.arange(len(some)), {name: np.ascontiguousarray(data[some]) for name, data in spaces.items()}
    spaces |= {"untrained": untrained[among[index]]} if len(index) else {}
    found = {name: nearest(data, every, k, job.threads)[0] for name, data in spaces.items()}
    own = found.pop("feature")
    mutual = (own[own] == every[:, None, None]).any(2).mean(1, dtype=np.float32)
    return {f"shared/{name}": in_common(own, near) for name, near in found.items()} | {"shared/mutual": mutual}


def main(job: Job) -> None:
    features = np.load(job.inputs["features"], mmap_mode="r")
    image_set = images.read(job.inputs["images"], job.image_set)
    among = np.array([p.role != "query" for p in image_set.pictures])
    roles = not among.all()
    wanted = job.model["probes"] if job.parameters["queries"] is None else job.parameters["queries"]
    queries = np.array(list(dict.fromkeys(image_set.probes(wanted))), np.int64)
    if roles and isinstance(wanted, int):  # named pictures may have any role
        queries = queries[~among[queries]]
    if reason := unusable(features, 3):
        raise NotApplicable(reason)
    labels = labels_of(image_set)
    # no neighbour can agree with a class that no reference picture has
    askable = np.where(~among & np.isin(labels, labels[among]), labels, -1) if roles else labels
    asked = sample(askable, job.parameters["sample"], job.seed_for("sample"))
    both = np.concatenate([queries, asked])
    k = min(job.parameters["k"], int(others(among, both).min(initial=len(features) - 1)))
    if k < 1:
        raise NotApplicable(f"{among.sum()} pictures have the role reference: too few for neighbours.")
    small = pixels(np.load(job.inputs["thumbnails"], mmap_mode="r"))

    arrays = {"sample": asked, "chance": chance(labels, asked, among)}
    found, far = {}, {}
    for space, data, unit in (("feature", features, 1), ("pixel", small, 255)):
        found[space], distances = nearest(data, both, k, job.threads, among if roles else None)
        far[space] = distances / unit
        arrays[f"{space}_agreement"] = agreement(labels, asked, found[space][len(queries) :])
    shown = np.arange(len(queries))
    if job.parameters["queries"] is None and not (askable[queries] >= 0).any():  # none has a class to share
        gain = arrays["feature_agreement"] - arrays["pixel_agreement"]
        shown = np.concatenate([shown, len(queries) + np.argsort(-gain, kind="stable")[:SPARE]])
    arrays["queries"] = both[shown]
    for space in found:
        arrays |= {f"{space}_neighbors": found[space][shown], f"{space}_distances": far[space][shown]}
    arrays |= _control(job, labels, askable, among, k, {"feature": features, "pixel": small})
    arrays |= {} if len(asked) else _shared(job, among, k, {"feature": features, "pixels": small})
    shared = np.mean([len(np.intersect1d(a, b)) / k for a, b in zip(found["feature"], found["pixel"], strict=True)])
    numbers = {
        "k": k,
        "pictures": len(features),
        "reference": int(among.sum()),
        "dimensions": features.shape[1],
        "feature": feature_name(job),
        "shared": float(shared),
    }
    job.write(arrays, numbers=numbers)


if __name__ == "__main__":
    run(main)
