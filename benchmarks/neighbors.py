"""Exact nearest neighbours, compared with scikit-learn's brute force, in seconds, on the same float32 vectors.

``python -m benchmarks.neighbors`` prints a table. Both run with the same threads. Runs alternate and the minimum
counts, since other work on a machine only adds time. Recall is measured against brute force in float64.
"""

import os
import time

import numpy as np
from sklearn.neighbors import NearestNeighbors

from cnnviz.features.neighbors import nearest

K = 6
CASES = ((10_000, 4096, 1000), (10_000, 4096, 5000), (10_000, 512, 10_000))  # pictures, dimensions, queries
BAR = 0.7


def vectors(n: int, d: int, seed: int = 0) -> np.ndarray:
    """(n, d) float32 like features after a ReLU: sparse, not negative, in clusters."""
    generator = np.random.default_rng(seed)
    centres = generator.standard_normal((50, d), dtype=np.float32)
    noise = generator.standard_normal((n, d), dtype=np.float32)
    return np.maximum(centres[generator.integers(50, size=n)] + noise, 0)


def recall(data: np.ndarray, queries: np.ndarray, found: np.ndarray) -> float:
    """Share of the true neighbours that were found, over the given queries, by brute force in float64."""
    hits = 0
    for query, row in zip(queries, found, strict=True):
        distances = np.square(data.astype(np.float64) - data[query].astype(np.float64)).sum(1)
        distances[query] = np.inf
        hits += len(np.intersect1d(np.argsort(distances, kind="stable")[: len(row)], row))
    return hits / found.size


def measure(repeats: int = 3) -> list[tuple[str, float, float]]:
    """(what, our seconds / scikit-learn's, limit) for each case. Raises AssertionError if recall is not 1."""
    table = []
    for n, d, q in CASES:
        data = vectors(n, d)
        queries = np.sort(np.random.default_rng(1).choice(n, q, replace=False))

        def ours(data=data, queries=queries):
            return nearest(data, queries, K, os.cpu_count())

        def theirs(data=data, queries=queries):  # one more, since it finds the query itself
            return NearestNeighbors(n_neighbors=K + 1, algorithm="brute").fit(data).kneighbors(data[queries])

        seconds = {ours: [], theirs: []}
        for _ in range(repeats):
            for search in seconds:
                start = time.perf_counter()
                found = search()
                seconds[search].append(time.perf_counter() - start)
                if search is ours:
                    assert recall(data, queries[:5], found[0][:5]) == 1
        best = {search: min(times) for search, times in seconds.items()}
        name = f"{K} nearest of {n} x {d}, {q} queries ({best[ours]:.2f} s, scikit-learn {best[theirs]:.2f} s)"
        table.append((name, best[ours] / best[theirs], BAR))
    return table


def main() -> None:
    for name, ratio, bar in measure():
        print(f"{'ok  ' if ratio <= bar else 'SLOW'}  {ratio:.2f} (bar {bar})  {name}")


if __name__ == "__main__":
    main()
