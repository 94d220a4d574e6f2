"""The control of statements about the features: the same architecture with random weights, and the pixels."""

from collections.abc import Mapping

import numpy as np

from cnnviz.views.kit import findings
from cnnviz.views.kit.findings import Measured, mean_interval, percent

WORDS = {"untrained": "with random weights", "pixels": "in pixels"}


def apart(own: np.ndarray, controls: Mapping[str, np.ndarray], said: float, margin: float) -> tuple[Measured, str, str]:
    """How far each picture's share ``own`` (n,) is above the larger of its controls: pixels and, if known, the
    untrained network. Returns the number, its strength and the controls in words.

    said: the share that the sentence states. With the untrained network the strength is FOUND or NOT: the interval is
    over pictures, and another draw of its weights can differ by up to ``margin``. Without it the strength is WEAK at
    most, since its neighbours, too, are more often of the picture's class than those in pixels.
    """
    means = {name: float(shares.mean()) for name, shares in controls.items()}
    gap, low, high = mean_interval(own - controls[max(means, key=means.get)])
    low, high = max(low, -1.0), min(high, 1.0)
    strength = findings.FOUND if low > margin else findings.NOT
    words = [f"{percent(means[name])} {WORDS[name]}" for name in WORDS if name in means]
    if "untrained" not in means:
        strength = findings.not_learned(findings.strength(low, high, margin))
        words.append(findings.UNTRIED)
    return Measured(", ".join([percent(said), *words]), gap, low, high), strength, ", ".join(words)
