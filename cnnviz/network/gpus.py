"""A GPU for each process of its own: the first that no other job on this machine holds, or wait for one.

A job holds a device by a lock on a file of that name, which the kernel lets go when the process ends, however it ends.
So several jobs spread over several GPUs, and on one they queue. Slurm's choice holds: torch sees no other device.
"""

import contextlib
import fcntl
import functools
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from cnnviz.errors import UserError

# On this machine, not among the results, which several machines may share.
LOCKS = Path(tempfile.gettempdir(), f"cnnviz-gpus-{os.getuid()}")


@functools.cache  # a job that loads two networks has them on one device, and closing a file twice would unlock it
def pick_device(wanted: str) -> torch.device:
    """``cpu``, ``cuda:N``, ``cuda`` or ``auto``, which is the CPU where torch sees no GPU; a GPU is then held.

    Of several free GPUs it is the one with the most free memory. Raises UserError where no GPU is seen.
    """
    seen = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if wanted == "cpu" or wanted == "auto" and not seen:
        return torch.device("cpu")
    if ":" in wanted:
        order = [int(wanted.partition(":")[2])]
        if order[0] >= seen:
            raise UserError(f"device: {wanted} was asked for, but torch sees {seen} GPUs, counted from 0")
    elif not seen:
        raise UserError("device: cuda was asked for, but torch sees no GPU; use auto or cpu")
    else:
        order = sorted(range(seen), key=lambda i: -torch.cuda.mem_get_info(i)[0])
    # by what they are, not by number: each of two Slurm jobs may see another device as its device 0
    names = [str(torch.cuda.get_device_properties(i).uuid) for i in order]
    return torch.device("cuda", order[hold(names, LOCKS)])


def hold(names: Sequence[str], folder: Path) -> int:
    """Wait until one of these is free, hold it until this process ends, and say which: its place among ``names``."""
    folder.mkdir(parents=True, exist_ok=True)
    said = False
    while True:
        for place, name in enumerate(names):
            file = open(folder / name, "w")  # noqa: SIM115 -- closing it would let go
            with contextlib.suppress(BlockingIOError):
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _held.append(file)
                return place
            file.close()
        if not said:
            print("waiting for a GPU: other jobs hold them all", flush=True)
            said = True
        time.sleep(1)


_held: list = []
