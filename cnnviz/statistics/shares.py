"""Confidence intervals of shares, for the techniques and the views."""

import math
from statistics import NormalDist


def share_interval(hits: int, count: int, asked: int = 1) -> tuple[float, float]:
    """95 % interval of a share (Wilson 1927), within 0 … 1 and valid for few pictures, too; (0, 1) for none.

    asked: number of shares from which this one was selected, as the largest, for example. The interval then holds for
    all of them at once (Bonferroni); otherwise the largest of many chance results would seem a finding.
    """
    if not count:
        return 0.0, 1.0
    z = NormalDist().inv_cdf(1 - 0.025 / asked)
    share, spread = hits / count, z * z / count
    middle = (share + spread / 2) / (1 + spread)
    half = math.sqrt(share * (1 - share) * spread + spread * spread / 4) / (1 + spread)
    # so that rounding does not exclude the share itself
    return max(0.0, min(share, middle - half)), min(1.0, max(share, middle + half))
