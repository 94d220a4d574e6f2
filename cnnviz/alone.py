"""One run at a time in a folder, and no lock left behind by a run that was killed.

Snakemake's own lock is a file, which a killed run leaves there. Beside it every run, also a dry one, holds a lock of
the operating system, which ends with the process however that ends. So where nobody else holds that one, Snakemake's is
of a run that is no more, and can go.
"""

import contextlib
import fcntl
import shutil
import socket
from pathlib import Path

_held = []  # open for as long as this process lives; no job inherits it


def at_work(notes: Path = Path(".snakemake")) -> None:
    """Say that a run is at work in this folder, and remove Snakemake's lock where no other one is.

    Some shared disks know such locks only within one machine, so the lock of a run on another machine stays.
    """
    notes.mkdir(exist_ok=True)
    file = open(notes / "at-work", "a+", encoding="utf-8")  # noqa: SIM115 (it stays open)
    _held.append(file)
    with contextlib.suppress(OSError):  # somebody else's, or a disk without such locks: then all is Snakemake's to say
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        file.seek(0)
        if file.read() in ("", socket.gethostname()) or not any(notes.glob("locks/*")):
            shutil.rmtree(notes / "locks", ignore_errors=True)
            file.truncate(0)
            file.write(socket.gethostname())
            file.flush()
    with contextlib.suppress(OSError):
        fcntl.flock(file, fcntl.LOCK_SH)
