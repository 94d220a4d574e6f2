"""What kernels are made of: four parts that add up to the kernel, so that their squares add up to its energy.

- flat: the mean, the same at every place
- edge: what changes its sign when the kernel is turned by half a turn: one side against the other
- spot: what of the rest depends only on the distance from the middle: a centre against its surround
- stripe: what is left: one direction against another; a line is half a stripe and half a spot

The four subspaces are orthogonal, so independent random weights have, on average, the share of each part's dimensions.
"""

import numpy as np

from cnnviz.views.kit import findings
from cnnviz.views.kit.findings import Finding, Measured, between, percent

PARTS = ("flat", "edge", "spot", "stripe")
ARE = {
    "flat": ("flat", "the same at every place"),
    "edge": ("edges", "one side against the other"),
    "spot": ("spots", "a centre against its surround"),
    "stripe": ("stripes", "one direction against another"),
}
MARGIN = 0.1  # a share of the energy is found beyond this, above chance


def rings(height: int, width: int) -> np.ndarray:
    """(h, w) int: places that turns and reflections of the kernel exchange have one number."""
    y, x = (np.abs(2 * np.arange(side) - side + 1) for side in (height, width))
    y, x = np.broadcast_arrays(y[:, None], x)
    if height == width:
        y, x = np.maximum(y, x), np.minimum(y, x)
    return np.unique(y * (height + width) + x, return_inverse=True)[1].reshape(height, width)


def parts(kernels: np.ndarray) -> dict[str, np.ndarray]:
    """Kernels (…, h, w) → each of :data:`PARTS` (…, h, w); their sum is the kernel."""
    kernels = kernels.astype(float)
    flat = np.broadcast_to(kernels.mean((-2, -1), keepdims=True), kernels.shape)
    edge = (kernels - kernels[..., ::-1, ::-1]) / 2
    ring = rings(*kernels.shape[-2:])
    spot = np.empty_like(kernels)
    for number in range(ring.max() + 1):
        spot[..., ring == number] = kernels[..., ring == number].mean(-1, keepdims=True)
    spot -= flat
    return {"flat": flat, "edge": edge, "spot": spot, "stripe": kernels - flat - edge - spot}


def energies(weights: np.ndarray) -> np.ndarray:
    """(units, c, h, w) → (parts, units, c): energy of each part, as a share of that of all kernels of its unit.

    Units without any weight are 0.
    """
    each = np.stack([np.square(part).sum((2, 3)) for part in parts(weights).values()])
    whole = each.sum((0, 2), keepdims=True)
    return each / np.where(whole > 0, whole, 1)


def chance(height: int, width: int) -> np.ndarray:
    """Expected share of each part in independent random weights, (parts,): its dimensions over h × w."""
    places, spots = height * width, int(rings(height, width).max())
    edges = places // 2
    return np.array([1, edges, spots, places - 1 - edges - spots]) / places


def found(weights: np.ndarray, layer: str, figure: str, layers: int = 1) -> tuple[Finding, Measured]:
    """The part that the kernels of a layer have most of, beyond chance. weights: (units, c, h, w), h × w > 1.

    layers: number of layers asked about. The interval holds for all of their parts at once, since the largest is said.
    """
    shares = energies(weights).sum(2)
    shares = shares[:, shares.any(0)]
    key, even = f"patterns of {layer}", chance(*weights.shape[2:])
    if shares.shape[1] < 2:
        says = f"Fewer than two units of {layer} differ from 0: nothing can be said about their kernels."
        return Finding(key, says, findings.NOT, basis="no energy", figure=figure), Measured("", 0, -1, 1)
    best = int(np.argmax((shares.mean(1) - even) / (1 - even)))
    mean, low, high = findings.mean_interval(shares[best], layers * len(PARTS))
    low, high, plain = max(low, 0.0), min(high, 1.0), even[best]
    strength = findings.strength(low - plain, high - plain, MARGIN)
    kind, means = ARE[PARTS[best]]
    said = {
        findings.FOUND: f"Kernels of {layer} are mainly {kind}"
        if mean > 0.5
        else f"Many kernels of {layer} are {kind}",
        findings.WEAK: f"A few more kernels of {layer} are {kind} than in noise",
    }.get(strength, f"Kernels of {layer} have no pattern that noise lacks")
    finding = Finding(
        key, f"{said}: {percent(mean)} of their energy is {means}.", strength, between(low, high),
        f"{percent(plain)} of random weights", f"{shares.shape[1]} units; energy: squared weights", figure,
    )  # fmt: skip
    effect, low, high = ((value - plain) / (1 - plain) for value in (mean, low, high))
    return finding, Measured(f"{kind} {percent(mean)}", effect, max(low, -1.0), high)
