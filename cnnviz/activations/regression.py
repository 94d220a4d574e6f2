"""Errors of a regression network's values, and those of the control "always the mean".

For the m pictures with a known value t, and the network's value v:

    R² = 1 − Σ (v − t)² / Σ (t − mean t)²        MAE = mean |v − t|

R² is 1 for perfect values, 0 for "always the mean", and below 0 for worse ones. The control's value is always the mean
of the same pictures' true values. Intervals: percentiles over pictures drawn with replacement (95 %).

A network trained on standardised targets may be right on another scale. So the straight line a · v + b with the
smallest error is tested, too.
"""

import numpy as np

RESAMPLES = 2000
FEWEST = 6  # smallest number of pictures for an interval
FEWEST_FOR_LINE = 12
EXPLAINS = 0.25  # smallest R² of a reported line; it must also halve the error


def r2(truth: np.ndarray, value: np.ndarray) -> np.ndarray:
    """R² of (…, m) true values and the network's: (…), NaN if all true values are the same."""
    spread = np.square(truth - truth.mean(-1, keepdims=True)).sum(-1)
    return 1 - np.square(value - truth).sum(-1) / np.where(spread > 0, spread, np.nan)


def measured(truth: np.ndarray, value: np.ndarray, rng: np.random.Generator) -> dict:
    """Numbers about one value: truth, value (m,). Each is a float, or None if it is not defined.

    ``line`` exists only if the values are clearly right on another scale: {"scale": a, "shift": b, "r2"} of a · v + b.
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
    """The straight line of the values (m,) if it is much nearer to the truth (m,) than the values are, else None."""
    if len(truth) < FEWEST_FOR_LINE or not value.std() or not truth.std():
        return None
    scale, shift = np.polyfit(value, truth, 1)
    better = scale * value + shift
    fit = float(r2(truth, better))
    if fit < EXPLAINS or np.abs(better - truth).mean() > 0.5 * np.abs(value - truth).mean():
        return None
    return {"scale": float(scale), "shift": float(shift), "r2": fit}


def verdict(numbers: dict) -> str:
    """Whether the network is better than "always the mean", by the interval of the paired difference."""
    low, high = numbers.get("gain_interval", (-1, 1))
    return "yes" if low > 0 else "no" if high < 0 else "cannot tell"


def _defined(value: np.ndarray) -> float | None:
    return float(value) if np.isfinite(value) else None
