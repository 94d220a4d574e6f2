"""Progress bars with the name of their job, since many jobs share one terminal: "model · section: what"."""

from collections.abc import Iterable

from tqdm import tqdm

_whose: list[str] = []  # one per process, since each job is a process


def belongs_to(*parts: str) -> None:
    """Sets the name that stands before every progress bar of this process."""
    _whose[:] = parts


def bar(items: Iterable | None = None, what: str = "", total: int | None = None, **how) -> tqdm:
    """A progress bar over ``items``; or, without items, one with ``total`` steps that the caller updates."""
    whose = " · ".join(_whose)
    return tqdm(items, f"{whose}: {what}" if whose and what else whose or what, total, mininterval=1, **how)
