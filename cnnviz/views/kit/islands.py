"""Islands of a map: where a class's pictures lie densest, if they gather there and are most of the pictures there."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

GATHERED = 0.25  # share of its pictures that a class must have in one place to be named there
EVEN = 1.5  # times the shares that it would have there if its pictures were spread over the whole map
OWN, MOST_OWN = 0.5, 0.75  # share of the pictures in that place that must be its own; of a large class, up to
FEWEST = 3  # pictures in one place
LETTER, LINE = 9.4, 19  # average width of a letter and height of a line of names in CSS pixels


class Island(NamedTuple):
    """label: the class; place: (x, y), the mean of its ``count`` pictures there."""

    label: int
    place: tuple[float, float]
    count: int


def find(map: np.ndarray, labels: np.ndarray) -> list[Island]:
    """The islands of a map (n, 2), the largest first; labels (n,): class, or −1.

    A place is a square of three by three cells, a third of a class's share of a map that all fill evenly.
    """
    present = np.unique(labels[labels >= 0])
    if not len(present):
        return []
    side = int(np.clip(5 * np.sqrt(len(present)), 5, 160))
    low = map.min(0)
    size = max(float((map.max(0) - low).max()), 1e-30)
    cells = np.minimum((map - low) / size * side, side - 1).astype(int) + 1  # a margin of one cell around all
    at = cells[:, 0] * (side + 2) + cells[:, 1]
    around = np.add.outer(np.arange(-1, 2) * (side + 2), np.arange(-1, 2)).ravel()
    every = np.bincount(at, minlength=(side + 2) ** 2)
    order = np.argsort(labels, kind="stable")
    starts = np.searchsorted(labels[order], present)
    found = []
    for label, own in zip(present.tolist(), np.split(order, starts)[1:], strict=True):
        used, counts = np.unique(at[own], return_counts=True)
        places, where = np.unique(np.add.outer(around, used), return_inverse=True)
        totals = np.bincount(where.ravel(), np.tile(counts, len(around)))[np.searchsorted(places, used)]
        count, here = int(totals.max()), used[totals.argmax()] + around
        gathered = max(GATHERED, EVEN * 9 / side**2) * len(own)
        least = np.clip(EVEN * len(own) / len(map), OWN, MOST_OWN) * every[here].sum()
        if count >= max(FEWEST, gathered, least):
            x, y = map[own[np.isin(at[own], here)]].mean(0)
            found.append(Island(label, (float(x), float(y)), count))
    return sorted(found, key=lambda island: (-island.count, island.label))


def apart(places: np.ndarray, names: Sequence[str], width: float, height: float) -> dict[int, tuple[float, float]]:
    """Index of a name → where its middle goes, near its place (n, 2) in CSS pixels, inside the canvas.

    No two overlap: a name is moved up or down by a line or two, or left out; the first ones go first.
    """
    taken: list[tuple[float, float, float]] = []
    found = {}
    for i, ((x, y), name) in enumerate(zip(places, names, strict=True)):
        half = LETTER * len(name) / 2 + 4
        if 2 * half > width:
            continue
        x = float(np.clip(x, half, width - half))
        for step in (0, -1, 1, -2, 2):
            at = float(np.clip(y + step * LINE, LINE, height - LINE / 2))
            if all(abs(x - other) >= half + far or abs(at - level) >= LINE for other, level, far in taken):
                taken.append((x, at, half))
                found[i] = (x, at)
                break
    return found
