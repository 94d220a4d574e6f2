"""The check of one model in a process of its own: a network that crashes ends that one, and the others are looked at.

The process is a copy of this one, so that nothing is imported twice. Linux only: elsewhere a copy of a process with
threads is not safe, and the check is done in this one.
"""

import multiprocessing
import signal
import sys
import time
from collections.abc import Generator
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from pathlib import Path

import torch

from cnnviz.check.limit import OutOfTime
from cnnviz.errors import UserError, in_a_line

GRACE = 2  # seconds that the process has to end by itself, once its time is up
SHARE = 0.9  # of the memory that is free: what the process may take


def apart(steps: Generator, seconds: float) -> Generator:
    """The same generator, run in another process; gives back what that does.

    What it yields and gives back is sent from there. Raises OutOfTime ``GRACE`` after the time is up, and UserError
    where it raises anything or its process ends.
    """
    if sys.platform != "linux" or torch.cuda.is_initialized():  # a GPU in use cannot be used by a copy
        return (yield from steps)
    end = time.monotonic() + seconds + GRACE
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_send, args=(steps, there))
    process.start()
    there.close()
    try:
        while wait([here, process.sentinel], max(0.0, end - time.monotonic())):
            kind, value = _received(here) or ("ended", None)
            if kind == "line":
                yield value
            elif kind == "done":
                return value
            else:
                process.join(GRACE)
                raise UserError(value or _ending(process.exitcode))
        raise OutOfTime
    finally:
        process.kill()
        process.join()
        here.close()


def _received(here: Connection) -> tuple | None:
    """What was sent last; None where nothing is left and the process has ended."""
    with suppress(EOFError):
        return here.recv() if here.poll() else None
    return None


def _send(steps: Generator, there: Connection) -> None:
    """In the process: send what the generator yields and gives back, or, in words, what it raises."""
    _first_to_go()
    try:
        while True:
            there.send(("line", next(steps)))
    except StopIteration as stopped:
        there.send(("done", stopped.value))
    except BaseException as error:  # a network may raise what is no Exception, too
        there.send(("error", in_a_line(error)))


def _first_to_go() -> None:
    """Where memory runs out, this process fails or is killed, and no other one."""
    import resource

    with suppress(OSError, ValueError, StopIteration):
        Path("/proc/self/oom_score_adj").write_text("1000")
        free, own = (
            next(int(line.split()[1]) for line in Path(path).read_text().splitlines() if line.startswith(key))
            for path, key in (("/proc/meminfo", "MemAvailable:"), ("/proc/self/status", "VmData:"))
        )
        resource.setrlimit(resource.RLIMIT_DATA, (int(1024 * (own + SHARE * free)), resource.RLIM_INFINITY))


def _ending(code: int | None) -> str:
    if code is None or code >= 0:
        return "the network ended the process that ran it, as os._exit() and quit() do"
    name = signal.Signals(-code).name
    why = {
        "SIGSEGV": "a crash in compiled code",
        "SIGABRT": "a crash in compiled code",
        "SIGFPE": "a crash in compiled code",
        "SIGILL": "code that is not for this processor",
        "SIGKILL": "by the system where it takes too much memory",
    }.get(name)
    return f"the network's process was killed by {name}" + (f": {why}" if why else "")
