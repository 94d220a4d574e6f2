"""Scores of one map, baselines that do not depend on the network, and statistics over pictures.

Pointing game (Zhang et al. 2018, doi:10.1007/s11263-017-1059-x): whether the map's maximum lies on the object, here
without a tolerance around the object. Mass in mask: the share of the map's positive part that lies on the object. A
constant map scores the object's share of the picture in both; this is chance.

Maps are (h, w) floats, larger is more evidence; masks (h, w) bool.
"""

import numpy as np
from scipy import ndimage, special  # scipy.stats takes as long to import as many a job to run

YES, NO, UNKNOWN = "yes", "no", "cannot tell"
FEWEST = 6  # pictures: five of one sign have a probability of 1/16 by chance, which is more than 5 %


# ------------------------------------------------------------------------------------------------------------- one map


def pointing(map: np.ndarray, mask: np.ndarray) -> float:
    """1 if the largest value lies on the object, else 0; with several largest values, the share that lies on it."""
    return float(mask[map == map.max()].mean())


def mass(map: np.ndarray, mask: np.ndarray) -> float:
    """Share of the map's positive part that lies on the object, in 0 … 1. Without a positive part it is chance."""
    positive = np.maximum(map, 0).astype(np.float64)
    total = positive.sum()
    return float(positive[mask].sum() / total) if total > 0 else float(mask.mean())


def ranking(map: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Pixels (h · w,) in descending order of value; equal values in random order."""
    return np.lexsort((rng.random(map.size), -map.ravel()))


def area(curve: np.ndarray) -> np.ndarray:
    """The mean height of curves (…, steps + 1) over equal steps, by the trapezoid rule."""
    return np.trapezoid(curve, dx=1 / (curve.shape[-1] - 1), axis=-1)


# ----------------------------------------------------------------------------------------------------------- baselines


def edges(picture: np.ndarray) -> np.ndarray:
    """Edge magnitude: Sobel's gradient of the mean channel of (h, w, c)."""
    grey = picture.astype(np.float32).mean(2)
    return np.hypot(ndimage.sobel(grey, 0), ndimage.sobel(grey, 1))


def centre(height: int, width: int) -> np.ndarray:
    """A Gaussian blob in the centre; its standard deviation is a quarter of each side."""
    y, x = (np.linspace(-2, 2, side) for side in (height, width))
    return np.exp(-(y[:, None] ** 2 + x[None, :] ** 2) / 2).astype(np.float32)


# -------------------------------------------------------------------------------------------------------- many pictures


def interval(
    values: np.ndarray,
    rng: np.random.Generator,
    *,
    bounds: tuple[float, float],
    resamples: int,
    level: float = 0.95,
) -> tuple[float, float]:
    """Bootstrap interval (low, high) of the mean of ``values`` (n,), with pictures drawn with replacement.

    The percentiles are moved outwards as far as Student's t quantiles lie outside the normal ones, since few values
    give intervals that are too narrow (Hesterberg 2015, doi:10.1080/00031305.2015.1089789). Identical values have no
    spread. Then the interval is the exact one for n out of n, towards both ``bounds`` of a value.
    """
    n = len(values)
    if n < 2:
        return bounds
    tail = (1 - level) / 2
    if np.ptp(values) == 0:
        room = (1 - tail ** (1 / n)) * (bounds[1] - bounds[0])
        return float(max(bounds[0], values[0] - room)), float(min(bounds[1], values[0] + room))
    tail = special.ndtr(np.sqrt(n / (n - 1)) * special.stdtrit(n - 1, tail))
    means = values[rng.integers(n, size=(resamples, n))].mean(1)
    low, high = np.quantile(means, [tail, 1 - tail])
    return float(low), float(high)


def verdict(n: int, low: float, high: float) -> str:
    """Whether a mean of n differences is above 0, by its interval: YES, NO (it is below), or UNKNOWN."""
    if n < FEWEST or low <= 0 <= high:
        return UNKNOWN
    return YES if low > 0 else NO


def holm(p: np.ndarray) -> np.ndarray:
    """p-values (k,) of k comparisons, corrected by Holm's step-down method."""
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate((len(p) - np.arange(len(p))) * p[order])
    corrected = np.empty(len(p))
    corrected[order] = np.minimum(stepped, 1)
    return corrected


def beyond(differences: np.ndarray, margin: float) -> float:
    """p-value of the hypothesis that the mean of ``differences`` (n,) is within ``margin`` of 0: Student's t,
    two-sided.
    """
    n = len(differences)
    if n < FEWEST:
        return 1.0
    away = abs(differences.mean()) - margin
    spread = differences.std(ddof=1) / np.sqrt(n)
    if spread == 0:
        return 1.0 if away <= 0 else 2.0 ** (1 - n)  # a sign test, since all values are equal
    return float(min(1.0, 2 * special.stdtr(n - 1, -away / spread)))
