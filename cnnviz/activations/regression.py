"""How near the values of a regression network come to the truth, and what a network that knew nothing would reach.

Of the m pictures whose value t is known, v being the network's:

    R² = 1 − Σ (v − t)² / Σ (t − mean t)²        MAE = mean |v − t|

R² is 1 where all is right, 0 for "always the mean", and below 0 for worse than that. The control says the mean of the
same pictures' true values every time. Intervals: percentiles over pictures drawn with replacement (95 %).

A network trained on standardised targets may know the truth and say it on another scale. So beside v the straight line
a · v + b that comes nearest to the truth is tried.
"""

import numpy as np

RESAMPLES = 2000
FEWEST = 6  # pictures; fewer give no interval
FEWEST_FOR_LINE = 12
EXPLAINS = 0.25  # R² that a line has at least to be worth mention; and half of the error, at most, is left


def r2(truth: np.ndarray, value: np.ndarray) -> np.ndarray:
    """Of (…, m) true values and the network's: (…), NaN where all true values are the same."""
    spread = np.square(truth - truth.mean(-1, keepdims=True)).sum(-1)
    return 1 - np.square(value - truth).sum(-1) / np.where(spread > 0, spread, np.nan)


def measured(truth: np.ndarray, value: np.ndarray, rng: np.random.Generator) -> dict:
    """What may be said of one value: truth, value (m,). Every number is a float, or None where it is not defined.

    ``line``, only where the truth is clearly known on another scale: {"scale": a, "shift": b, "r2"} of a · v + b.
    """
    error, always = np.abs(value - truth), np.abs(truth.mean() - truth)
    found = {
        "n": len(truth),
        "r2": _defined(r2(truth, value)),
        "mae": float(error.mean()),
        "control_mae": float(always.mean()),
        "bias": float((value - truth).mean()),
        "spread": float(truth.std()),
    }
    if len(truth) < FEWEST:
        return found
    if line := another_scale(truth, value):
        found["line"] = line
    drawn = rng.integers(len(truth), size=(RESAMPLES, len(truth)))
    for name, values in (
        ("r2", r2(truth[drawn], value[drawn])),
        ("mae", error[drawn].mean(1)),
        ("gain", (always - error)[drawn].mean(1)),
    ):
        values = values[np.isfinite(values)]
        if len(values) > RESAMPLES / 2:
            found[f"{name}_interval"] = [float(v) for v in np.quantile(values, [0.025, 0.975])]
    return found


def another_scale(truth: np.ndarray, value: np.ndarray) -> dict | None:
    """The straight line of the values (m,) that comes far nearer to the truth (m,) than the values do, or None."""
    if len(truth) < FEWEST_FOR_LINE or not value.std() or not truth.std():
        return None
    scale, shift = np.polyfit(value, truth, 1)
    better = scale * value + shift
    fit = float(r2(truth, better))
    if fit < EXPLAINS or np.abs(better - truth).mean() > 0.5 * np.abs(value - truth).mean():
        return None
    return {"scale": float(scale), "shift": float(shift), "r2": fit}


def verdict(numbers: dict) -> str:
    """Is the network nearer to the truth than "always the mean"? By the interval of the paired difference."""
    low, high = numbers.get("gain_interval", (-1, 1))
    return "yes" if low > 0 else "no" if high < 0 else "cannot tell"


def _defined(value: np.ndarray) -> float | None:
    return float(value) if np.isfinite(value) else None
