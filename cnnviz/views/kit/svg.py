"""Drawings as SVG."""

from collections.abc import Sequence
from typing import NamedTuple

BLUE, ORANGE = "#2f7fc4", "#d9730d"  # distinct with any colour vision, on white and on near-black

STYLE = (
    "text{font:13px system-ui,sans-serif;fill:#15171c}.small{font-size:11px}.strong{font-weight:650}"
    ".quiet{fill:#5b616b}.end{text-anchor:end}.middle{text-anchor:middle}.on-right{fill:#fff}.on-wrong{fill:#15171c}"
    ".line{stroke:#8a9099;fill:none}.ground{fill:#fff}.plate{fill:none;stroke:#c9cdd3}.track{fill:#8a9099;fill-opacity:.16}"
    f".right{{fill:{BLUE}}}.wrong{{fill:{ORANGE}}}.other{{fill:#8a9099}}"
    "@media(prefers-color-scheme:dark){text{fill:#f2f3f5}.on-wrong{fill:#15171c}.quiet{fill:#aab0b9}.ground{fill:#15171c}.plate{stroke:#5b616b}}"
)


class Drawing(NamedTuple):
    """An SVG file, and its width and height in CSS pixels."""

    content: bytes
    width: int
    height: int


def document(width: int, height: int, parts: Sequence[str]) -> Drawing:
    """Elements on a background of the reader's scheme."""
    content = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">'
        f'<style>{STYLE}</style><rect class="ground" width="{width}" height="{height}" rx="4"/>'
        f"{''.join(parts)}</svg>"
    )
    return Drawing(content.encode(), width, height)
