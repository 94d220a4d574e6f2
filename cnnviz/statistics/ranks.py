"""Ranks and their correlation. numpy alone: scipy.stats takes as long to import as many a job to run."""

import numpy as np


def rank_correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Spearman's coefficient of arrays of one shape, in −1 … 1; 0 if one is constant, NaN if one has a NaN."""
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return 0.0
    if np.isnan(a).any() or np.isnan(b).any():
        return np.nan
    return float(np.corrcoef(ranks(a), ranks(b))[0, 1])


def ranks(values: np.ndarray) -> np.ndarray:
    """The ranks of all values, (values.size,); equal ones share the mean of theirs."""
    _, place, counts = np.unique(values.ravel(), return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[place]
