"""The only module that maps numbers and classes to colours. Every mapping of numbers states its end values in words."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

# Colour maps that readers with any colour vision can order; two-sided ones are neutral in the centre.
POSITIVE, SIGNED, GREY = "magma", "RdBu_r", "gray"
NAMES = {
    POSITIVE: "from black over red to pale yellow",
    SIGNED: "from blue over white to red",
    GREY: "from black to white",
    "BrBG": "from brown over white to blue-green",
}

# The colours of classes. With any colour vision they differ by more than 16 in CIE Lab, and each has a contrast of
# 3 : 1 to the light page, the dark page and the map; a test measures both.
CLASSES = (
    *("#4860f0", "#849c00", "#9c5454", "#489c90", "#fc5490", "#906000"),
    *("#489ccc", "#a83c90", "#c08448", "#3c90fc", "#8454c0", "#9c603c"),
)
NEUTRAL, PLAIN, CHOSEN = "#868b92", "#2f7fc4", "#fc5490"  # no class; all pictures alike; the one that is looked at


def of_class(index: int, count: int) -> str:
    """The colour of the ``index``-th of ``count`` classes; "" where they are more than can be told apart by colour."""
    return CLASSES[index] if 0 <= index < count <= len(CLASSES) else ""


def of_classes(of_set: Sequence[str], outputs: Sequence[str], label_to_output: Sequence[int | None]) -> dict[str, str]:
    """Name of a class → its colour, the same on all pages about an image set; {} for more classes than colours.

    The image set's classes count, so that its models agree; without any, a network's outputs. An output has the colour
    of its class of the set.
    """
    names = list(of_set) or list(outputs)
    found = {name: of_class(i, len(names)) for i, name in enumerate(names)}
    if of_set:
        pairs = zip(of_set, label_to_output, strict=False)
        found |= {outputs[output]: found[name] for name, output in pairs if output is not None}
    return {name: hue for name, hue in found.items() if hue}


def number(value: float, digits: int = 3) -> str:
    """``digits`` significant digits, without an unnecessary exponent: 1190, not 1.19e+03."""
    text = f"{value:.{digits}g}"
    return f"{float(text):.0f}" if 10**digits <= abs(float(text)) < 1e7 else text


@dataclass(frozen=True)
class Mapping:
    """numbers → colours: ``low`` and ``high`` get the ends of ``colours`` (a matplotlib colour map).

    how: source of the ends, in words: "smallest to largest value", "symmetric about 0", …
    """

    low: float
    high: float
    colours: str
    how: str

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """Any shape → the same shape + (3,), uint8. Values beyond the ends get the colour of the end."""
        span = self.high - self.low
        level = np.full(np.shape(values), 0.5) if span == 0 else (np.asarray(values, float) - self.low) / span
        return table(self.colours)[np.clip(np.rint(level * 255), 0, 255).astype(np.uint8)]

    def grey(self, values: np.ndarray) -> np.ndarray:
        """Maps each number to a level 0 … 255 (uint8, same shape), for values that are already colour channels."""
        span = self.high - self.low
        level = np.full(np.shape(values), 0.5) if span == 0 else (np.asarray(values, float) - self.low) / span
        return np.clip(np.rint(level * 255), 0, 255).astype(np.uint8)

    @property
    def words(self) -> str:
        """Text for the page: the range, how it was chosen, and the colours."""
        colours = NAMES.get(self.colours, f"colours {self.colours}")
        return f"{self.how}: {number(self.low)} … {number(self.high)}, {colours}"


def min_max(values: np.ndarray, colours: str = GREY) -> Mapping:
    """The smallest value gets the first colour, the largest the last."""
    return Mapping(float(np.min(values)), float(np.max(values)), colours, "smallest to largest value")


def symmetric(values: np.ndarray, colours: str = SIGNED, percentile: float = 100) -> Mapping:
    """0 gets the central colour; both ends have the largest magnitude (or its ``percentile``)."""
    end = float(np.percentile(np.abs(values), percentile))
    clipped = "" if percentile == 100 else f", ends at the {percentile:g}th percentile of the magnitude"
    return Mapping(-end, end, colours, f"symmetric about 0{clipped}")


def up_to(values: np.ndarray, colours: str = POSITIVE, percentile: float = 99) -> Mapping:
    """From 0 to the ``percentile`` of the values, for maps that are never negative."""
    return Mapping(0.0, float(np.percentile(values, percentile)), colours, f"0 to the {percentile:g}th percentile")


def fixed(low: float, high: float, colours: str = GREY) -> Mapping:
    """The same two ends for all values."""
    return Mapping(low, high, colours, "fixed range")


def by_name(name: str, values: np.ndarray, colours: str | None = None, percentile: float = 99) -> Mapping:
    """The mapping with a config's name: min_max, symmetric or percentile. Raises ValueError for another name."""
    match name:
        case "min_max":
            return min_max(values, colours or GREY)
        case "symmetric":
            return symmetric(values, colours or SIGNED, percentile)
        case "percentile":
            return up_to(values, colours or POSITIVE, percentile)
    raise ValueError(f"range mapping {name!r}: one of min_max, symmetric, percentile")


def rgb(pixels: np.ndarray, show: int | list[int] | None = None) -> np.ndarray:
    """Pictures (…, c), uint8 or float in [0, 1] → (…, 3) uint8: one channel as grey, three unchanged.

    For other numbers of channels ``show`` selects them (one is grey), by default the first three; of two the first.
    """
    if pixels.dtype != np.uint8:
        pixels = (np.clip(pixels, 0, 1) * 255).round().astype(np.uint8)
    channels = pixels.shape[-1]
    if channels not in (1, 3):
        pixels = pixels[..., np.atleast_1d(show if show is not None else ([0, 1, 2] if channels > 3 else [0]))]
    return np.broadcast_to(pixels, (*pixels.shape[:-1], 3))


@cache
def table(name: str) -> np.ndarray:
    """The 256 colours of a colour map, (256, 3) uint8."""
    if name == "gray":  # needs no matplotlib
        return np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)
    from matplotlib import colormaps

    return (colormaps[name](np.arange(256))[:, :3] * 255).round().astype(np.uint8)
