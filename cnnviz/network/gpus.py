"""Gives each process its own GPU: the first one that no other job on this machine holds, or waits for one.

A job holds a device by a lock on a file of that name. The kernel releases it when the process ends in any way. So
several jobs are spread over several GPUs, and queue on one. Slurm's choice is kept: torch sees no other device.
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

# On this machine, not in the results folder, which several machines may share.
LOCKS = Path(tempfile.gettempdir(), f"cnnviz-gpus-{os.getuid()}")
_held: list = []  # the locked files, which stay open until this process ends


@functools.cache  # a job with two networks has both on one device, and closing a file twice would unlock it
def pick_device(wanted: str) -> torch.device:
    """``cpu``, ``cuda:N``, ``cuda`` or ``auto``, which is the CPU if torch sees no GPU; a GPU is then locked.

    Of several free GPUs it is the one with the most free memory. Raises UserError if no GPU is visible.
    """
    seen = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if wanted == "cpu" or wanted == "auto" and not seen:
        return torch.device("cpu")
    if ":" in wanted:
        order = [int(wanted.partition(":")[2])]
        if order[0] >= seen:
            raise UserError(f"device: {wanted} is set, but torch sees {seen} GPUs, counted from 0")
    elif not seen:
        raise UserError("device: cuda is set, but torch sees no GPU; use auto or cpu")
    else:
        order = sorted(range(seen), key=lambda i: -torch.cuda.mem_get_info(i)[0])
    # by hardware id, not by number: two Slurm jobs may see different devices as device 0
    names = [str(torch.cuda.get_device_properties(i).uuid) for i in order]
    return torch.device("cuda", order[hold(names, LOCKS)])


def hold(names: Sequence[str], folder: Path) -> int:
    """Waits until one of these is free, locks it until this process ends, and returns its index in ``names``."""
    folder.mkdir(parents=True, exist_ok=True)
    told = False
    while True:
        for place, name in enumerate(names):
            file = open(folder / name, "w")  # noqa: SIM115 (closing it would unlock it)
            with contextlib.suppress(BlockingIOError):
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _held.append(file)
                return place
            file.close()
        if not told:
            print("waiting for a GPU: other jobs hold them all", flush=True)
            told = True
        time.sleep(1)
