"""Checks one model in a process of its own. If the network crashes, only that process ends, and the check continues.

The process is a fork of this one, so nothing is imported twice. This works on Linux only: elsewhere a fork of a process
with threads is not safe, and the check runs in this process.
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

GRACE = 2  # seconds in which the process must end by itself after its time is up
SHARE = 0.9  # share of the free memory that the process may take


def in_own_process(steps: Generator, seconds: float) -> Generator:
    """Runs the generator in another process; yields and returns the same values.

    Raises OutOfTime ``GRACE`` after the time is up, and UserError if the generator raises anything or its process ends.
    """
    if sys.platform != "linux" or torch.cuda.is_initialized():  # a fork cannot use a GPU that is in use
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
    """The next message; None if there is none and the process has ended."""
    with suppress(EOFError):
        return here.recv() if here.poll() else None
    return None


def _send(steps: Generator, there: Connection) -> None:
    """Runs in the process: sends what the generator yields, returns or, in words, raises."""
    _first_to_go()
    try:
        while True:
            there.send(("line", next(steps)))
    except StopIteration as stopped:
        there.send(("done", stopped.value))
    except BaseException as error:  # a network may also raise what is not an Exception
        there.send(("error", in_a_line(error)))


def _first_to_go() -> None:
    """Makes this process the first to fail or be killed if memory runs out."""
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
        "SIGILL": "code for another processor",
        "SIGKILL": "by the system if it takes too much memory",
    }.get(name)
    return f"the network's process was killed by {name}" + (f": {why}" if why else "")
