"""What colours mean, said once for all figures of a page that share it; each figure keeps its own end values."""

import re
from collections import Counter
from collections.abc import Iterable

_NUMBER = r"[-−]?\d[\d.]*(?:e[-+]?\d+)?"
_RANGE = rf"(?:±{_NUMBER}|{_NUMBER} … {_NUMBER})"
_SYMMETRIC = re.compile(r"-([\d.]+(?:e[-+]?\d+)?) … \1(?![\d.])")
_RANGES = re.compile(rf"(?:: )?({_RANGE}(?:, {_RANGE})*)")


def split(mapping: str) -> tuple[str, str]:
    """A figure's mapping → its words without end values, and the end values: ("0 to the largest, magma", "0 … 2.3")."""
    ends = "; ".join(_RANGES.findall(mapping))
    return _RANGES.sub("", mapping), _SYMMETRIC.sub(r"±\1", ends)


def sentences(parts: Iterable[str]) -> str:
    """ "left: noise", "0 is white" → "Left: noise. 0 is white."."""
    return " ".join(f"{part[:1].upper()}{part[1:].removesuffix('.')}." for part in parts if part)


def legends(groups: Iterable[list[str]]) -> tuple[list[str], list[list[str]]]:
    """The mappings of each group's figures → a line above each group, and what each figure still says itself.

    A line holds what several figures of the page share, above the first group that has it; "" is none. The fold of
    every figure has its whole mapping besides.
    """
    groups = [list(group) for group in groups]
    exact = Counter(mapping for group in groups for mapping in group)
    alike = Counter(split(mapping)[0] for group in groups for mapping in group)
    lines, own, said = [], [], set()
    for group in groups:
        new, rest = {}, []
        for mapping in group:
            words, ends = split(mapping)
            same = exact[mapping] == alike[words]
            rest.append(mapping if alike[words] == 1 else "" if same else f"Range: {ends}")
            if alike[words] > 1 and words not in said:
                new[words] = mapping if same else words
        said |= set(new)
        lines.append(sentences(dict.fromkeys(part for line in new.values() for part in line.split("; "))))
        own.append(rest)
    return lines, own
