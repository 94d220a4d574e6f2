"""Processes batches that are halved when a GPU's memory runs out."""

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import torch

Item, Found = TypeVar("Item"), TypeVar("Found")


def in_batches(function: Callable[[Sequence[Item]], Found], items: Sequence[Item], size: int) -> Iterator[Found]:
    """``function`` of ``size`` items at a time; after running out of GPU memory, of half as many."""
    done = 0
    while done < len(items):
        try:
            found = function(items[done : done + size])
        except torch.OutOfMemoryError:
            size = min(size, len(items) - done) // 2
            if size == 0:
                raise
            logging.warning("out of GPU memory: continuing with batches of %d", size)
            torch.cuda.empty_cache()
            continue
        done += size
        yield found
