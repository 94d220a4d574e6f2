"""Damaged copies of a file, for tests of what reads it."""

from collections.abc import Iterator

import numpy as np


def damaged(good: bytes, count: int, head: int, seed: int) -> Iterator[bytes]:
    """Truncated, with a bit flipped, with random bytes, with a part zeroed, in turns; half of it in the first ``head``
    bytes, where names and shapes are."""
    random = np.random.default_rng(seed)
    for i in range(count):
        bad = bytearray(good)
        at = int(random.integers(len(bad) if i % 2 else min(len(bad), head)))
        match i % 4:
            case 0:
                bad = bad[:at]
            case 1:
                bad[at] ^= 1 << int(random.integers(8))
            case 2:
                run = random.bytes(int(random.integers(1, 40)))
                bad[at : at + len(run)] = run
            case 3:
                bad[at : at + 64] = bytes(len(bad[at : at + 64]))
        yield bytes(bad)
