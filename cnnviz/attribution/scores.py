"""How good is a map? Scores of one map, baselines that know nothing of the network, and what may be said of a few.

Pointing game (Zhang et al. 2018, doi:10.1007/s11263-017-1059-x): does the map's maximum lie on the object? Here without
a tolerance around the object. Mass in mask: the share of the map's positive part that lies on it. By both, a map that
is the same everywhere scores the object's share of the picture: that is chance. Rank correlation: Spearman's.

Maps are (h, w) floats, larger is more evidence; masks (h, w) bool.
"""

import numpy as np
from scipy import ndimage, stats

YES, NO, UNKNOWN = "yes", "no", "cannot tell"
FEWEST = 6  # pictures: five of one sign happen by chance once in sixteen times, which is more often than 5 %


# ---------------------------------------------------------------------------------------------------------- of one map


def pointing(map: np.ndarray, mask: np.ndarray) -> float:
    """Whether the largest value lies on the object; of several largest values, the share that does. In 0 … 1."""
    return float(mask[map == map.max()].mean())


def mass(map: np.ndarray, mask: np.ndarray) -> float:
    """The share of the map's positive part on the object, in 0 … 1. A map without one says nothing: chance."""
    positive = np.maximum(map, 0).astype(np.float64)
    total = positive.sum()
    return float(positive[mask].sum() / total) if total > 0 else float(mask.mean())


def rank_correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Spearman's coefficient over pixels, in −1 … 1; 0 where one of the maps is the same everywhere."""
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return 0.0
    return float(stats.spearmanr(a.ravel(), b.ravel()).statistic)


def ranking(map: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Pixels (h · w,) from the largest value to the smallest; equal values in random order."""
    return np.lexsort((rng.random(map.size), -map.ravel()))


def area(curve: np.ndarray) -> np.ndarray:
    """The mean height of curves (…, steps + 1) over equal steps, by the trapezoid rule."""
    return np.trapezoid(curve, dx=1 / (curve.shape[-1] - 1), axis=-1)


# ----------------------------------------------------------------------------------------------------------- baselines


def edges(picture: np.ndarray) -> np.ndarray:
    """What an edge detector draws: the magnitude of Sobel's gradient of the mean channel of (h, w, c)."""
    grey = picture.astype(np.float32).mean(2)
    return np.hypot(ndimage.sobel(grey, 0), ndimage.sobel(grey, 1))


def centre(height: int, width: int) -> np.ndarray:
    """A Gaussian blob in the middle; its standard deviation is a quarter of each side."""
    y, x = (np.linspace(-2, 2, side) for side in (height, width))
    return np.exp(-(y[:, None] ** 2 + x[None, :] ** 2) / 2).astype(np.float32)


# ----------------------------------------------------------------------------------------------------- of many pictures


def interval(
    values: np.ndarray,
    rng: np.random.Generator,
    *,
    bounds: tuple[float, float],
    resamples: int,
    level: float = 0.95,
) -> tuple[float, float]:
    """Bootstrap interval of the mean of ``values`` (n,), pictures drawn with replacement; (low, high).

    The percentiles are moved outwards as far as Student's t lies outside the normal distribution, since those of few
    values are too narrow (Hesterberg 2015, doi:10.1080/00031305.2015.1089789). Values that are all the same show no
    spread: then the interval is the exact one for n out of n, towards both ``bounds`` that a value can have.
    """
    n = len(values)
    if n < 2:
        return bounds
    tail = (1 - level) / 2
    if np.ptp(values) == 0:
        room = (1 - tail ** (1 / n)) * (bounds[1] - bounds[0])
        return float(max(bounds[0], values[0] - room)), float(min(bounds[1], values[0] + room))
    tail = stats.norm.cdf(np.sqrt(n / (n - 1)) * stats.t.ppf(tail, n - 1))
    means = values[rng.integers(n, size=(resamples, n))].mean(1)
    low, high = np.quantile(means, [tail, 1 - tail])
    return float(low), float(high)


def verdict(n: int, low: float, high: float) -> str:
    """Is a mean of n differences above 0, by its interval? YES, NO (it is below), or UNKNOWN."""
    if n < FEWEST or low <= 0 <= high:
        return UNKNOWN
    return YES if low > 0 else NO


def holm(p: np.ndarray) -> np.ndarray:
    """p-values (k,) of k questions asked at once, by Holm's step-down correction."""
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate((len(p) - np.arange(len(p))) * p[order])
    corrected = np.empty(len(p))
    corrected[order] = np.minimum(stepped, 1)
    return corrected


def beyond(differences: np.ndarray, margin: float) -> float:
    """p-value of "the mean of ``differences`` (n,) is no further than ``margin`` from 0": Student's t, two-sided."""
    n = len(differences)
    if n < FEWEST:
        return 1.0
    away = abs(differences.mean()) - margin
    spread = differences.std(ddof=1) / np.sqrt(n)
    if spread == 0:
        return 1.0 if away <= 0 else 2.0 ** (1 - n)  # a sign test: one value n times
    return float(min(1.0, 2 * stats.t.sf(away / spread, n - 1)))
