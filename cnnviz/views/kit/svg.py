"""The one writer of drawings as SVG: escaped text, the style that all share, embedded pictures, axes with ticks."""

import base64
import io
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from typing import NamedTuple

import numpy as np
from PIL import Image

BLUE, ORANGE = "#2f7fc4", "#d9730d"  # distinct with any colour vision, on white and on near-black
GREY = "#8a9099"

STYLE = (
    "text{font:13px system-ui,sans-serif;fill:#15171c}.small{font-size:11px}.strong{font-weight:650}"
    ".quiet{fill:#5b616b}.end{text-anchor:end}.middle{text-anchor:middle}"
    ".ground{fill:#fff}.plate{fill:none;stroke:#c9cdd3}.line{fill:none;stroke:#8a9099}"
    f".track{{fill:{GREY};fill-opacity:.16}}.other,.right{{fill:{GREY}}}.plain{{fill:{BLUE}}}.wrong{{fill:{ORANGE}}}"
    ".on{fill:#15171c}"  # words on a full colour
)
DARK = "text{fill:#f2f3f5}.quiet{fill:#aab0b9}.ground{fill:#15171c}.plate{stroke:#5b616b}"


class Mark(NamedTuple):
    """A thing of a figure that can be pointed at: a dot, a bar, a cell or a picture, in the drawing's pixels.

    x, y, width, height: its box; a dot has no width and height, and x and y are its centre. name, value: what a reader
    is told, the number as exactly as it is known. kind, of: what it leads to, as in :class:`section.Subject`, "" for
    nothing; ``layer`` of units. group: marks of one group are shown together, those of a class, for example. hue: of
    the group, "" for the page's own.
    """

    x: float
    y: float
    name: str
    value: str
    width: float = 0
    height: float = 0
    kind: str = ""
    of: str = ""
    layer: str = ""
    group: str = ""
    hue: str = ""

    def scaled(self, scale: float) -> "Mark":
        sides = {side: float(round(getattr(self, side) * scale, 1)) for side in ("x", "y", "width", "height")}
        return self._replace(**sides)


class Drawing(NamedTuple):
    """An SVG file, its width and height in CSS pixels, and what can be pointed at."""

    content: bytes
    width: int
    height: int
    marks: tuple[Mark, ...] = ()


def document(
    width: int,
    height: int,
    parts: Sequence[str],
    *,
    style: str = "",
    dark: str = "",
    ground: bool = True,
    marks: Sequence[Mark] = (),
) -> Drawing:
    """Elements on a background of the reader's scheme, light or dark.

    style: rules beside those that all drawings share; dark: those for the dark scheme. ground: False where ``parts``
    bring one.
    """
    own = f'<rect class="ground" width="{width}" height="{height}" rx="4"/>' if ground else ""
    dark = f"@media(prefers-color-scheme:dark){{{DARK}{dark}}}"
    content = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">'
        f"<style>{STYLE}{style}{dark}</style>{own}{''.join(parts)}</svg>"
    )
    return Drawing(content.encode(), width, height, tuple(marks))


# ------------------------------------------------------------------------------------------------------------ elements


def text(words: object, kind: str = "", **at: object) -> str:
    """A line of text. kind: its classes. at: x and y, or transform."""
    return f"<text{_attributes({'class': kind} | at)}>{escape(str(words))}</text>"


def upwards(words: object, kind: str, x: float, y: float, turn: int = -90) -> str:
    """Text that is read from below, from x and y on: at the side of an axis, or slanted over a column."""
    return text(words, kind, transform=f"translate({x} {y}) rotate({turn})")


def swatch(hue: str, x: float, y: float) -> str:
    """A dot of a class's colour beside its name; "" for a class without one."""
    return f'<circle cx="{x:g}" cy="{y:g}" r="4.5" fill="{hue}"/>' if hue else ""


def embedded(
    pixels: np.ndarray | Image.Image,
    width: float,
    height: float,
    *,
    x: float | None = None,
    y: float | None = None,
    quality: int | None = None,
    method: int = 4,
    stretched: bool = False,
    crisp: bool = False,
) -> str:
    """A picture within a drawing. quality: of WebP, None is lossless. stretched: to a shape that is not its own.

    crisp: enlarged by repeating pixels.
    """
    stream = io.BytesIO()
    # more effort for what is lossless takes twice the time for files 2 % smaller
    how = {"lossless": True, "quality": 40, "method": 2} if quality is None else {"quality": quality, "method": method}
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(stream, "WEBP", **how)
    attributes = {
        "style": "image-rendering:pixelated" if crisp else "",
        **{"x": x, "y": y, "width": width, "height": height},
        "preserveAspectRatio": "none" if stretched else "",
        "href": f"data:image/webp;base64,{base64.b64encode(stream.getvalue()).decode()}",
    }
    return f"<image{_attributes(attributes)}/>"


def _attributes(values: dict) -> str:
    return "".join(f' {name}="{escape(str(value))}"' for name, value in values.items() if value not in ("", None))


# ---------------------------------------------------------------------------------------------------------------- axes


@dataclass(frozen=True)
class Axis:
    """Numbers from ``low`` to ``high`` → pixels from ``start`` to ``stop``."""

    low: float
    high: float
    start: float
    stop: float

    def __call__(self, value: float | np.ndarray) -> float | np.ndarray:
        return self.start + (value - self.low) / (self.high - self.low) * (self.stop - self.start)

    def ticks(self, count: int) -> list[float]:
        """Round numbers on the axis, about ``count`` of them and at least two: multiples of 1, 2 or 5 × 10ⁿ."""
        if self.high == self.low:
            return [self.low]
        largest = 10.0 ** math.ceil(math.log10(abs(self.high - self.low)))
        for step in (largest * part / 10**n for n in range(3) for part in (1, 0.5, 0.2)):
            first, last = sorted((self.low / step, self.high / step))
            found = [i * step for i in range(math.ceil(first - 1e-9), math.floor(last + 1e-9) + 1)]
            if len(found) >= max(2, count - 1):
                break
        return found


Say = Callable[[float], object]


def ticks_left(axis: Axis, x: float, say: Say, count: int = 3, kind: str = "small end") -> list[str]:
    """The numbers of an axis that goes up, which end at ``x``. say: number → words."""
    return [text(say(tick), kind, x=x, y=f"{axis(tick) + 4:.0f}") for tick in axis.ticks(count)]


def ticks_below(axis: Axis, y: float, say: Say, count: int = 3, kind: str = "small middle") -> list[str]:
    """The numbers of an axis that goes to the right."""
    return [text(say(tick), kind, x=f"{axis(tick):.0f}", y=y) for tick in axis.ticks(count)]
