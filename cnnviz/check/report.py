"""Lines of the report, and numbers in words."""

import math
import shutil
import sys
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import yaml

from cnnviz.network.class_names import short


@dataclass(frozen=True)
class Line:
    """One line of the report. mark: ✓ fine, · a fact, ! a doubt, ✗ clearly wrong, or "" for a heading.

    more: lines below it that are printed unchanged, such as text for the config.
    """

    mark: str
    name: str
    text: str
    more: tuple[str, ...] = ()


def show(line: Line) -> None:
    """Prints the line. Its first line is wrapped at the terminal's width; others, such as lines to paste, are not."""
    width = max(60, min(110, shutil.get_terminal_size((100, 24)).columns))
    if not line.mark:
        print(f"\n{line.name}" + (f" ({line.text})" if line.text else ""), flush=True)
        return
    start = f"  {line.mark} {line.name:<13} "
    indent = " " * len(start)
    first, *others = line.text.splitlines() or [""]
    whole = {"break_on_hyphens": False, "break_long_words": False}  # users copy paths from here
    print(textwrap.fill(first, width, initial_indent=start, subsequent_indent=indent, **whole))
    for other in (*others, *line.more):
        print((indent + other).rstrip())
    sys.stdout.flush()


def some(names: Sequence[str], most: int = 3) -> str:
    """The first names; of several names of one class the first."""
    shown = [short(str(name)) for name in names[:most]]
    return ", ".join(n if len(n) <= 30 else f"{n[:28]}…" for n in shown) + (", …" if len(names) > most else "")


def percent(share: float, interval: Sequence[float] = ()) -> str:
    """A percentage with enough decimals to differ from 0 and 100, and its interval's ends from each other."""
    left = min(share, 1 - share)
    digits = 0 if left >= 0.0095 or left < 1e-9 else math.ceil(-math.log10(100 * left))
    while interval and digits < 4 and len({f"{100 * end:.{digits}f}" for end in interval}) < 2:
        digits += 1
    between = f" ({' to '.join(f'{100 * end:.{digits}f}' for end in interval)})" if interval else ""
    return f"{100 * share:.{digits}f} %{between}"


def size(count: float) -> str:
    """A number of bytes, in words."""
    for unit, name in ((2**30, "GB"), (2**20, "MB")):
        if count >= unit:
            return f"{count / unit:.{0 if count >= 10 * unit else 1}f} {name}"
    return f"{count / 1024:.0f} KB"


def duration(seconds: float) -> str:
    if seconds < 90:
        return f"{max(1, seconds):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def flow(value: dict | list) -> str:
    """YAML on one line, to paste into a config."""
    return yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=10_000, allow_unicode=True).strip()
