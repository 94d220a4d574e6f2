"""``python -m`` in processes that are forked from one that has imported torch and Snakemake, which takes seconds.

The tests run Snakemake a hundred times, and its jobs several hundred times. Tests of Slurm, of fetching, of a killed
Snakemake and of two clones start Python as a user does; the last shows that forks make the same bytes.
"""

import atexit
import functools
import os
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from subprocess import CompletedProcess


def run(arguments: list[str], folder: Path) -> CompletedProcess:
    """``python ARGUMENTS`` in a folder, with the environment of this process."""
    python, _ = started()
    return subprocess.run([python, *arguments], cwd=folder, capture_output=True, text=True)


def snakemake(arguments: list[str], folder: Path) -> CompletedProcess:
    return run(["-m", "snakemake", *arguments], folder)


@functools.cache
def started() -> tuple[str, subprocess.Popen]:
    """An executable in place of Python's, and the server that it asks, which ends with this process."""
    folder, here = Path(tempfile.mkdtemp(prefix="forked-")), Path(__file__).parent
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    python, address = folder / "python", folder / "server"
    client = shlex.join([sys.executable, "-IS", f"{here}/fork_client.py", str(address), str(python)])
    python.write_text(f'#!/bin/sh\nexec {client} "$@"\n')
    python.chmod(0o755)
    with socket.socket(socket.AF_UNIX) as listening, open(folder / "server.log", "w") as log:
        listening.bind(str(address))
        listening.listen(100)
        server = subprocess.Popen(
            [sys.executable, f"{here}/fork_server.py", str(listening.fileno())],
            **{"stdin": subprocess.PIPE, "stdout": log, "stderr": log, "start_new_session": True},
            env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
            pass_fds=[listening.fileno()],
        )
    atexit.register(server.communicate)  # ends its input, and waits for it
    return str(python), server
