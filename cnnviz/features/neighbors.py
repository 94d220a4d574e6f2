"""Exact search for the nearest pictures in any space, and the classes of neighbours.

Squared distances come from one float32 matrix product, ‖a − b‖² = ‖a‖² + ‖b‖² − 2 a·b, with a bounded error (below).
All candidates that could be among the k nearest within that bound are ranked again in float64. Only a block of queries
× pictures is in memory, so the features may be a memory map.
"""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from threadpoolctl import threadpool_limits

from cnnviz.pictures import images

BLOCK = 8 << 20  # numbers in one float32 block of a thread: 32 MB
GROUP = 64  # queries whose scores are searched together, while they are in the processor's cache
UNIT = 2.0**-24  # float32's rounding error


def nearest(
    data: np.ndarray, queries: np.ndarray, k: int, threads: int = 2, among: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Exact search for the k rows of ``data`` nearest to each row in ``queries``, without that row itself.

    data: (n, d) of float32 or smaller, finite, maybe memory-mapped. queries: (q,) indices. among: (n,) bool, candidate
    rows; None: all. Returns indices (q, k) int64, nearest first and ties by index, and distances (q, k) float64. They
    do not depend on the number of threads. Raises ValueError if a query has fewer than k candidates, or if k < 1.

    Proof of exactness. With c = x − mean, a query's ranking by −D/2 + ‖c_i‖²/2 = c_i·c_j − ‖c_j‖²/2 is its ranking by
    −D. In float32 the error of this score is at most E_i = γ ‖c_i‖ R + 4u (‖c_i‖ + R)². R is the largest ‖c_j‖, u =
    2⁻²⁴, and γ = du / (1 − du) bounds a dot product's error in any order of summation (Higham 2002, §3.1). The second
    term is the rounding of c and of the norms. The k-th best score s is at most the score of k rows, so the true k-th
    best is ≥ s − E. So any row that belongs to the k nearest has a score ≥ s − 2E. All such rows are measured again in
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
    # one thread per block of queries: threads within a matrix product would wait for each other
    with threadpool_limits(1), ThreadPoolExecutor(threads) as pool:
        found = list(pool.map(search, [q for q in np.array_split(queries, pieces) if len(q)]))
    if not found:
        return np.empty((0, k), np.int64), np.empty((0, k))
    return np.concatenate([f[0] for f in found]), np.concatenate([f[1] for f in found])


def _best(
    data: np.ndarray, rows: np.ndarray, scores: np.ndarray, half: np.ndarray, errors: np.ndarray, k: int
) -> tuple[np.ndarray, np.ndarray]:
    """The k nearest of a few ``rows`` (q,), from their products ``scores`` (q, n), which are overwritten."""
    scores -= half
    scores[np.arange(len(rows)), rows] = -np.inf
    kth = np.partition(scores, scores.shape[1] - k, axis=1)[:, -k]
    # rounding the threshold to float32 must not drop a row, so take the next smaller number
    least = np.nextafter((kth - 2 * errors).astype(np.float32), np.float32(-np.inf))
    found = np.flatnonzero(scores >= least[:, None])  # ten times as fast as np.nonzero
    query, candidate = np.divmod(found, scores.shape[1])
    exact = _distances(data, rows[query], candidate)
    order = np.lexsort((candidate, exact, query))
    first = np.searchsorted(query, np.arange(len(rows)))  # query is already sorted, so lexsort keeps its order
    chosen = order[first[:, None] + np.arange(k)]
    return candidate[chosen], exact[chosen]


def _distances(data: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """‖data[a] − data[b]‖ of pairs (m,) in float64. All sums have the same order, so equal rows tie exactly."""
    distances = np.empty(len(a))
    step = max(1, BLOCK // (8 * data.shape[1]))
    for start in range(0, len(a), step):
        part = slice(start, start + step)
        difference = data[a[part]].astype(np.float64)
        difference -= data[b[part]]
        distances[part] = np.sqrt(np.square(difference, out=difference).sum(1))
    return distances


def in_common(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Share of each row's neighbours in ``a`` (q, k) that are in its row of ``b`` (q, k), too: (q,) float32."""
    return (a[:, :, None] == b[:, None]).any(2).mean(1, dtype=np.float32)


def others(among: np.ndarray, queries: np.ndarray) -> np.ndarray:
    """Number of candidates of each query, (q,): the pictures ``among`` (n,) bool without the query itself."""
    return among.sum() - among[queries]


def pixels(thumbnails: np.ndarray) -> np.ndarray:
    """(n, 64, 64, 3) uint8 thumbnails → (n, 3072) uint8: 32 × 32 × 3, each the rounded mean of 2 × 2 pixels."""
    small = np.empty((len(thumbnails), 32 * 32 * 3), np.uint8)
    for a in range(0, len(thumbnails), 1024):
        part = thumbnails[a : a + 1024].reshape(-1, 32, 2, 32, 2, 3).sum((2, 4), dtype=np.uint16)
        small[a : a + 1024] = ((part + 2) // 4).reshape(len(part), -1)
    return small


def majority(labels: np.ndarray, neighbors: np.ndarray) -> np.ndarray:
    """The most frequent class of the neighbours, (q,); of equally frequent classes the one nearer by rank."""
    q, k = neighbors.shape
    votes = np.zeros((q, labels.max(initial=0) + 2))  # the last column counts neighbours without a class
    weight = 1 + np.arange(k, 0, -1) / (2 * k * k)
    np.add.at(votes, (np.arange(q)[:, None], labels[neighbors]), weight)
    return votes[:, :-1].argmax(1)


def labels_of(image_set: images.ImageSet) -> np.ndarray:
    """(n,) int64: each picture's class, an index into the set's classes, or −1 without one.

    It is also −1 if no other picture has the class: no neighbour could agree with it. If that is so of most pictures,
    all are −1: of one class-mate among a picture's neighbours, a share of a few per cent is all that there can be.
    """
    labels = np.array([-1 if p.label is None else p.label for p in image_set.pictures], np.int64)
    counts = np.bincount(labels[labels >= 0], minlength=len(image_set.classes) + 1)
    shares = counts[labels] > 1
    return np.where(shares & (2 * shares.sum() >= counts.sum()), labels, -1)


def sample(labels: np.ndarray, most: int, seed: int) -> np.ndarray:
    """Sorted indices of at most ``most`` pictures that have a class (a label ≥ 0), drawn by ``seed``."""
    known = np.flatnonzero(labels >= 0)
    if len(known) <= most:
        return known
    return np.sort(np.random.default_rng(seed).choice(known, most, replace=False))
