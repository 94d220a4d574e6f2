"""Progress bars that say whose they are, since many jobs share one terminal: "model · section: what"."""

from collections.abc import Iterable

from tqdm import tqdm

_whose: list[str] = []  # of this process: a job is a process of its own


def belongs_to(*parts: str) -> None:
    """Name what this process works at; said before every bar from here on."""
    _whose[:] = parts


def bar(items: Iterable | None = None, what: str = "", total: int | None = None, **how) -> tqdm:
    """A progress bar over ``items``; or, without them, one of ``total`` steps to be moved by hand."""
    whose = " · ".join(_whose)
    return tqdm(items, f"{whose}: {what}" if whose and what else whose or what, total, mininterval=1, **how)
