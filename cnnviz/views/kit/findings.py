"""A section's findings: sentences about this network, each with its number, its interval and its control.

A view returns ``findings`` and, for comparison with other models, ``measured``. A finding without an interval or a
control is refused, since a number alone does not show what was learnt.
"""

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from cnnviz.statistics.shares import share_interval

UNTRIED = "not compared with random weights"
FOUND, WEAK, NOT, UNMEASURED = STRENGTHS = ("found", "weakly found", "not found", "not measured")


@dataclass(frozen=True)
class Measured:
    """A number that can be compared between models.

    short: the number in words without a subject, "100 % and 14 %". effect: its distance from its control as a share
    of the largest possible distance, −1 … 1, with its 95 % interval ``low`` … ``high``. values: a number 0 … 1 for
    each tile of the figure that proves it, or nothing. interval: that of ``short``, in words, where it is stated.
    Ends beyond −1 … 1 are cut, as the infinite ones of a single number.
    """

    short: str
    effect: float
    low: float
    high: float
    values: tuple[float, ...] = ()
    interval: str = ""

    def __post_init__(self):
        object.__setattr__(self, "low", max(-1.0, self.low))
        object.__setattr__(self, "high", min(1.0, self.high))


@dataclass(frozen=True)
class Finding:
    """A sentence about this network.

    key: what was measured, in the same words for every model: "wolf on snow". says: the sentence. strength: one of
    STRENGTHS. interval: the 95 % interval in words, with its unit. control: what the number is compared with, and the
    control's own number, in words. basis: the data behind it: "20 wolves, 8 backgrounds". figure: id of the figure that
    proves it. labels: a word for each tile of that figure, which is then a row of tiles of equal width with the numbers
    of ``measured[key].values`` below them. caution: whether, where found, it is a reason not to trust the predictions.
    Raises ValueError for a finding with neither an interval nor a control.
    """

    key: str
    says: str
    strength: str
    interval: str = ""
    control: str = ""
    basis: str = ""
    figure: str = ""
    labels: tuple[str, ...] = ()
    caution: bool = False

    def __post_init__(self):
        if self.strength not in STRENGTHS:
            raise ValueError(f"strength is one of {', '.join(STRENGTHS)}, not {self.strength!r}")
        if not self.says or not (self.interval or self.control or self.strength in (NOT, UNMEASURED)):
            raise ValueError(f"the finding {self.key!r} has neither an interval nor a control")


def strength(low: float, high: float, margin: float = 0) -> str:
    """The strength of a difference from a control, by its 95 % interval.

    FOUND: the whole interval is above ``margin``. WEAK: it only excludes zero. Otherwise NOT. Both mean above the
    control. See :func:`not_learned` for statements without random weights as a control.
    """
    if low > margin and low > 0:
        return FOUND
    return WEAK if low > 0 else NOT


def not_learned(strength: str) -> str:
    """The strength of a statement that holds for random weights too, or is not compared with them: WEAK at most.

    Of the network it says what its form, the pictures or the method make of it, and not what it learned.
    """
    return WEAK if strength == FOUND else strength


def weakly(low: float) -> str:
    """:func:`not_learned` of a difference whose 95 % interval starts at ``low``."""
    return not_learned(strength(low, low))


def share(hits: int, count: int, control: float = 0.0) -> Measured:
    """A share with its interval, relative to its ``control``: the expected share if nothing had been learnt."""
    low, high = share_interval(hits, count)
    largest = max(control, 1 - control)
    effect, low, high = ((value - control) / largest for value in (hits / count if count else control, low, high))
    return Measured(f"{hits} of {count}", effect, low, high)


def mean_interval(values, asked: int = 1) -> tuple[float, float, float]:
    """Mean of numbers with its 95 % interval by Student's t: (mean, low, high). For one number it is infinite.

    asked: number of means from which this one was selected, as in :func:`share_interval`.
    """
    from scipy.special import stdtrit  # imported here, since most views need no scipy

    values = np.asarray(values, float)
    n, mean = len(values), float(np.mean(values))
    if n < 2:
        return mean, -math.inf, math.inf
    half = float(stdtrit(n - 1, 1 - 0.025 / asked) * values.std(ddof=1) / math.sqrt(n))
    return mean, mean - half, mean + half


def difference(a: Measured, b: Measured) -> tuple[float, float, float]:
    """Effect of ``a`` minus that of ``b`` with its 95 % interval, from the two intervals (Newcombe 1998, method 10).

    The two are assumed to be independent. For the same pictures this is cautious: the interval is then too wide.
    """
    gap = a.effect - b.effect
    return (
        gap,
        gap - math.hypot(a.effect - a.low, b.high - b.effect),
        gap + math.hypot(a.high - a.effect, b.effect - b.low),
    )


def paired_difference(only_b: int, only_a: int, count: int) -> tuple[float, float, float]:
    """Share of ``b`` minus share of ``a`` among the same ``count`` cases, with its 95 % interval.

    only_b, only_a: number of cases that hold for one of the two only. The interval is that of Bonett and Price (2012),
    which is valid for small counts, too.
    """
    p_b, p_a = (only_b + 1) / (count + 2), (only_a + 1) / (count + 2)
    half = NormalDist().inv_cdf(0.975) * math.sqrt((p_a + p_b - (p_b - p_a) ** 2) / (count + 2))
    gap = (only_b - only_a) / count
    return gap, min(gap, max(-1.0, p_b - p_a - half)), max(gap, min(1.0, p_b - p_a + half))


def percent(share: float) -> str:
    """A share in whole percent, with decimals if 0 or 100 would be wrong: 99.6 %, 0.2 %. Without line breaks."""
    for decimals in range(4):
        text = f"{100 * share:.{decimals}f}"
        if float(text) not in (0, 100) or share in (0, 1):
            return f"{text}\u00a0%"
    return f"{100 * share:.2g}\u00a0%"


def span(low: float, high: float, form: str = ".2f") -> str:
    """An interval of other numbers: "−0.04 to 0.28"."""
    return f"{low:{form}} to {high:{form}}".replace("-", "−")


def between(low: float, high: float) -> str:
    """An interval of shares: "83 to 100 %"."""
    return f"{percent(low).removesuffix(chr(0xA0) + '%')} to {percent(high)}"
