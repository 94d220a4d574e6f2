"""One run at a time for each folder of results, and no lock left behind by a run that was killed.

Snakemake's own lock is a file with the names of what a run makes and reads. It stays when the run is killed, and goes
too early when another run in the same working folder, for other results, ends first. So each run also claims its
results by a lock of the operating system, which ends with the process, however that ends. Where nobody holds the
claim to what one of Snakemake's locks names, that lock is of a run that is no more, and can go.
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
_NEW = 60  # seconds: a run claims its results just after Snakemake has written its lock
_held = []  # open for as long as this process lives; no job inherits it


def claim(results: str, notes: Path = NOTES) -> bool:
    """Hold these results until this process ends. False where another run holds them."""
    results = os.path.normpath(results)
    folder = notes / "claims"
    folder.mkdir(parents=True, exist_ok=True)
    name = hashlib.sha256(os.path.abspath(results).encode("utf-8", "surrogateescape")).hexdigest()[:16]
    file = open(folder / name, "a+", encoding="utf-8")  # noqa: SIM115 (it stays open)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a disk without such locks: then all is Snakemake's to say
        return True
    _held.append(file)
    file.truncate(0)
    file.write(json.dumps({"results": results, "host": socket.gethostname()}))
    file.flush()
    atexit.register(file.truncate, 0)
    return True


def clear(notes: Path = NOTES) -> None:
    """Remove Snakemake's locks of runs that are no more.

    Some shared disks know locks of the system only within one machine, so those of runs on other machines stay.
    """
    claims = {}
    for path in notes.glob("claims/*"):
        with contextlib.suppress(OSError, ValueError, KeyError), open(path, "a+", encoding="utf-8") as file:
            file.seek(0)
            said = json.loads(file.read())
            claims[said["results"]] = said["host"] != socket.gethostname() or not _free(file)
    for lock in notes.glob("locks/*.lock"):
        with contextlib.suppress(OSError):
            named = [os.path.normpath(line) for line in lock.read_text("utf-8", "replace").splitlines()]
            owners = [results for results in claims if any(name.startswith(f"{results}/") for name in named)]
            nobody = not any(claims.values()) and lock.stat().st_mtime < time.time() - _NEW
            if (not any(claims[owner] for owner in owners)) if owners else nobody:
                lock.unlink()


def _free(file) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # given back when the file is closed
    except OSError:
        return False
    return True
