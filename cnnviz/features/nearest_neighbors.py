"""The pictures whose feature vectors are nearest, beside those whose pixels are (Krizhevsky et al. 2012, fig. 4 right).

D_ij = ‖x_i − x_j‖², over features or over 32 × 32 × 3 pixels; the k smallest of a row are the neighbours, ties by
index.

The search is exact. Squared distances come from one float32 matrix product, ‖a − b‖² = ‖a‖² + ‖b‖² − 2 a·b, whose
error has a bound (below); whatever could be among the k nearest within that bound is ranked again in float64. Only a
block of queries times the number of pictures is ever in memory, so the features may be a memory map.

Where pictures have the role "query" (test pictures, say), only these are asked for, and only the others, the reference
pictures, can be neighbours; else each picture can be either.

Leaves, for q queries: ``queries`` (q,) indices into the image set; ``feature_neighbors``, ``pixel_neighbors`` (q, k)
indices, nearest first; ``feature_distances``, ``pixel_distances`` (q, k) float64: Euclidean, of features in their own
unit and of pixels in [0, 1]. For the agreement of classes, over m pictures: ``sample`` (m,) indices;
``feature_agreement``, ``pixel_agreement`` (m,) float32, share of a picture's k neighbours that have its class;
``chance`` (m,) the same for k random pictures among which neighbours are sought.
"""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from threadpoolctl import threadpool_limits

from cnnviz.network import facts
from cnnviz.pictures import images
from cnnviz.run.job import Job, run

BLOCK = 8 << 20  # numbers in one float32 block of a thread: 32 MB
GROUP = 64  # queries whose scores are looked through together, while they are in the processor's cache
UNIT = 2.0**-24  # float32's rounding error
TOO_LARGE = 1e15  # squares of larger features overflow float32


def nearest(
    data: np.ndarray, queries: np.ndarray, k: int, threads: int = 2, among: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """The k rows of ``data`` nearest to each row that ``queries`` names, that row itself left out. Exact.

    data: (n, d) of float32 or smaller, finite, maybe memory-mapped. queries: (q,) indices. among: (n,) bool, rows that
    can be neighbours; None: all. Gives indices (q, k) int64, nearest first and ties by index, and distances (q, k)
    float64; the number of threads changes nothing. Raises ValueError where a query has fewer than k others, or k < 1.

    Why it is exact. With c = x − mean, a query's ranking by −D/2 + ‖c_i‖²/2 = c_i·c_j − ‖c_j‖²/2 is its ranking by
    −D. In float32 this score is off by at most E_i = γ ‖c_i‖ R + 4u (‖c_i‖ + R)², where R is the largest ‖c_j‖, u =
    2⁻²⁴, and γ = du / (1 − du) bounds a dot product's error in any order of summation (Higham 2002, §3.1); the rest
    is the rounding of c and of the norms. The k-th best score s is at least that of k rows, so the true k-th best is
    ≥ s − E, and any row that truly belongs to the k has a score ≥ s − 2E. All such rows are measured again in
    float64.
    """
    n, d = data.shape
    queries = np.asarray(queries)
    most = n - 1 if among is None else int(others(among, queries).min(initial=n))
    if not 1 <= k <= most:
        raise ValueError(f"{n} rows have 1 to {most} neighbours, not {k}")
    never = np.empty(0, np.int64) if among is None else np.flatnonzero(~among)
    height = max(1, BLOCK // d)
    blocks = [slice(start, min(start + height, n)) for start in range(0, n, height)]
    mean = (sum(data[b].sum(0, dtype=np.float64) for b in blocks) / n).astype(np.float32)
    squares = np.concatenate([np.einsum("ij,ij->i", c, c, dtype=np.float64) for c in (data[b] - mean for b in blocks)])
    half = (squares / 2).astype(np.float32)
    largest = np.sqrt(squares.max())
    gamma = d * UNIT / (1 - d * UNIT)

    def search(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        own = data[rows] - mean
        scores = np.empty((len(rows), n), np.float32)
        for b in blocks:
            np.matmul(own, (data[b] - mean).T, out=scores[:, b])
        norms = np.sqrt(squares[rows])
        errors = gamma * norms * largest + 4 * UNIT * (norms + largest) ** 2
        parts = [slice(start, start + GROUP) for start in range(0, len(rows), GROUP)]
        scores[:, never] = -np.inf
        found = [_best(data, rows[p], scores[p], half, errors[p], k) for p in parts]
        return np.concatenate([f[0] for f in found]), np.concatenate([f[1] for f in found])

    most = max(1, BLOCK // max(n, d))  # queries at once
    pieces = threads * max(1, -(-len(queries) // (threads * most)))
    # one thread a block of queries: threads within a matrix product would wait for one another
    with threadpool_limits(1), ThreadPoolExecutor(threads) as pool:
        found = list(pool.map(search, [q for q in np.array_split(queries, pieces) if len(q)]))
    if not found:
        return np.empty((0, k), np.int64), np.empty((0, k))
    return np.concatenate([f[0] for f in found]), np.concatenate([f[1] for f in found])


def pixels(thumbnails: np.ndarray) -> np.ndarray:
    """(n, 64, 64, 3) uint8 thumbnails → (n, 3072) uint8: 32 × 32 × 3, each the rounded mean of 2 × 2 pixels."""
    small = np.empty((len(thumbnails), 32 * 32 * 3), np.uint8)
    for a in range(0, len(thumbnails), 1024):
        part = thumbnails[a : a + 1024].reshape(-1, 32, 2, 32, 2, 3).sum((2, 4), dtype=np.uint16)
        small[a : a + 1024] = ((part + 2) // 4).reshape(len(part), -1)
    return small


def agreement(labels: np.ndarray, queries: np.ndarray, neighbors: np.ndarray) -> np.ndarray:
    """Share of each query's neighbours that have its class, (q,) float32. labels: (n,); −1, no class, agrees with
    none."""
    own = labels[queries][:, None]
    return ((labels[neighbors] == own) & (own >= 0)).mean(1, dtype=np.float32)


def others(among: np.ndarray, queries: np.ndarray) -> np.ndarray:
    """How many pictures can be neighbours of each query, (q,): those ``among`` (n,) bool, but for itself."""
    return among.sum() - among[queries]


def chance(labels: np.ndarray, queries: np.ndarray, among: np.ndarray | None = None) -> np.ndarray:
    """The agreement to be expected of k random others ``among`` the pictures, (q,) float32: the share of its class."""
    among = np.ones(len(labels), bool) if among is None else among
    counts = np.bincount(labels[among & (labels >= 0)], minlength=labels.max(initial=0) + 1)
    return ((counts[labels[queries]] - among[queries]) / others(among, queries)).astype(np.float32)


def majority(labels: np.ndarray, neighbors: np.ndarray) -> np.ndarray:
    """The class most neighbours have, (q,); of classes with as many, the one whose neighbours are nearer by rank."""
    q, k = neighbors.shape
    votes = np.zeros((q, labels.max(initial=0) + 2))  # the last column takes neighbours without a class
    weight = 1 + np.arange(k, 0, -1) / (2 * k * k)
    np.add.at(votes, (np.arange(q)[:, None], labels[neighbors]), weight)
    return votes[:, :-1].argmax(1)


def labels_of(image_set: images.ImageSet) -> np.ndarray:
    """(n,) int64: each picture's class, an index into the set's classes, or −1 without one.

    Also −1 where no other picture has the class: nothing could agree with it, and a share of 0 would be no fault.
    """
    labels = np.array([-1 if p.label is None else p.label for p in image_set.pictures], np.int64)
    counts = np.bincount(labels[labels >= 0], minlength=len(image_set.classes) + 1)
    return np.where(counts[labels] > 1, labels, -1)


def sample(labels: np.ndarray, most: int, seed: int) -> np.ndarray:
    """Sorted indices of at most so many pictures that have a class (a label ≥ 0), drawn by ``seed``."""
    known = np.flatnonzero(labels >= 0)
    if len(known) <= most:
        return known
    return np.sort(np.random.default_rng(seed).choice(known, most, replace=False))


def unusable(features: np.ndarray, fewest: int) -> str:
    """Why these features have no geometry to show, in words for the page, or ""."""
    if len(features) < fewest:
        there_are = "1 picture" if len(features) == 1 else f"{len(features)} pictures"
        return f"The image set has {there_are}; this needs at least {fewest}."
    bad = sum(int((~(np.abs(features[a : a + 1024]) < TOO_LARGE).all(1)).sum()) for a in range(0, len(features), 1024))
    if bad:
        return (
            f"The network's features of {bad} of the {len(features)} pictures are not finite, or beyond {TOO_LARGE:g}."
        )
    return ""


def feature_name(job: Job) -> str:
    """What the feature vector is, in words."""
    return facts.feature(facts.read(job.inputs["network"]), job.model["feature_layer"])["name"]


def main(job: Job) -> None:
    features = np.load(job.inputs["features"], mmap_mode="r")
    image_set = images.read(job.inputs["images"], job.image_set)
    among = np.array([p.role != "query" for p in image_set.pictures])
    roles = not among.all()
    wanted = job.model["probes"] if job.parameters["queries"] is None else job.parameters["queries"]
    queries = np.array(list(dict.fromkeys(image_set.probes(wanted))), np.int64)
    if roles and isinstance(wanted, int):  # those named may be any
        queries = queries[~among[queries]]
    if reason := unusable(features, 3):
        return job.write({}, not_applicable=reason)
    labels = labels_of(image_set)
    # of a class that no reference picture has, no neighbour could be right
    askable = np.where(~among & np.isin(labels, labels[among]), labels, -1) if roles else labels
    asked = sample(askable, job.parameters["sample"], job.seed_for("sample"))
    both = np.concatenate([queries, asked])
    k = min(job.parameters["k"], int(others(among, both).min(initial=len(features) - 1)))
    if k < 1:
        return job.write({}, not_applicable=f"{among.sum()} pictures have the role reference: too few for a neighbour.")
    small = pixels(np.load(job.inputs["thumbnails"], mmap_mode="r"))

    arrays = {"queries": queries, "sample": asked, "chance": chance(labels, asked, among)}
    found = {}
    for space, data, unit in (("feature", features, 1), ("pixel", small, 255)):
        found[space], distances = nearest(data, both, k, job.threads, among if roles else None)
        arrays[f"{space}_neighbors"] = found[space][: len(queries)]
        arrays[f"{space}_distances"] = distances[: len(queries)] / unit
        arrays[f"{space}_agreement"] = agreement(labels, asked, found[space][len(queries) :])
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
    return None


def _best(
    data: np.ndarray, rows: np.ndarray, scores: np.ndarray, half: np.ndarray, errors: np.ndarray, k: int
) -> tuple[np.ndarray, np.ndarray]:
    """The k nearest of a few ``rows`` (q,), from their products ``scores`` (q, n), which are overwritten."""
    scores -= half
    scores[np.arange(len(rows)), rows] = -np.inf
    kth = np.partition(scores, scores.shape[1] - k, axis=1)[:, -k]
    # rounding the threshold to float32 must not drop a row: go one number down
    least = np.nextafter((kth - 2 * errors).astype(np.float32), np.float32(-np.inf))
    query, candidate = np.nonzero(scores >= least[:, None])
    exact = _distances(data, rows[query], candidate)
    order = np.lexsort((candidate, exact, query))
    first = np.searchsorted(query, np.arange(len(rows)))  # query is sorted already, so lexsort leaves it as it is
    chosen = order[first[:, None] + np.arange(k)]
    return candidate[chosen], exact[chosen]


def _distances(data: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """‖data[a] − data[b]‖ of pairs (m,) in float64, each summed in the same order, so that equal rows tie exactly."""
    distances = np.empty(len(a))
    step = max(1, BLOCK // (8 * data.shape[1]))
    for start in range(0, len(a), step):
        part = slice(start, start + step)
        difference = data[a[part]].astype(np.float64)
        difference -= data[b[part]]
        distances[part] = np.sqrt(np.square(difference, out=difference).sum(1))
    return distances


if __name__ == "__main__":
    run(main)
