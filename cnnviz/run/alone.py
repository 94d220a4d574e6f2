"""Allows one run at a time for each results folder, and removes locks of killed runs.

Snakemake's own lock is a file with the names of a run's inputs and outputs. It stays when the run is killed. It is
removed too early when another run in the same working folder, for other results, ends first. So each run also holds an
operating system lock on its results, which ends with the process in any case. If no process holds the lock on the
results named in one of Snakemake's lock files, that file is stale and can be removed.
"""

import atexit
import contextlib
import fcntl
import hashlib
import json
import os
import socket
import time
from pathlib import Path

NOTES = Path(".snakemake")
_NEW = 60  # seconds: a run locks its results just after Snakemake has written its lock file
_held = []  # stays open until this process ends; jobs do not inherit it


def claim(results: str, notes: Path = NOTES) -> bool:
    """Locks these results until this process ends. Returns False if another run holds them."""
    results = os.path.normpath(results)
    folder = notes / "claims"
    folder.mkdir(parents=True, exist_ok=True)
    name = hashlib.sha256(os.path.abspath(results).encode("utf-8", "surrogateescape")).hexdigest()[:16]
    file = open(folder / name, "a+", encoding="utf-8")  # noqa: SIM115 (it stays open)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a disk without such locks: only Snakemake's lock counts
        return True
    _held.append(file)
    file.truncate(0)
    file.write(json.dumps({"results": results, "host": socket.gethostname()}))
    file.flush()
    atexit.register(file.truncate, 0)
    return True


def remove_stale_locks(notes: Path = NOTES) -> None:
    """Removes Snakemake's stale lock files.

    On some shared disks system locks work within one machine only. So lock files of other machines are kept.
    """
    claims = {}
    for path in notes.glob("claims/*"):
        with contextlib.suppress(OSError, ValueError, KeyError), open(path, "a+", encoding="utf-8") as file:
            file.seek(0)
            said = json.loads(file.read())
            held = said["host"] != socket.gethostname() or not _free(file)
            # a copied folder also has claims of the original, which nobody holds
            claims[said["results"]] = claims.get(said["results"], False) or held
    for lock in notes.glob("locks/*.lock"):
        with contextlib.suppress(OSError):
            named = [os.path.normpath(line) for line in lock.read_text("utf-8", "replace").splitlines()]
            owners = [results for results in claims if any(name.startswith(f"{results}/") for name in named)]
            nobody = not any(claims.values()) and lock.stat().st_mtime < time.time() - _NEW
            if (not any(claims[owner] for owner in owners)) if owners else nobody:
                lock.unlink()


def _free(file) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # released when the file is closed
    except OSError:
        return False
    return True
