"""Snakemake in a process that is forked from one that has imported it, which takes a second and more.

The tests run Snakemake a hundred times. Tests of Slurm, of fetching and of a killed Snakemake start it as a user does.
This file imports nothing of cnnviz, since a run imports it from its own folder.
"""

import multiprocessing
import os
import sys
import tempfile
from pathlib import Path
from subprocess import CompletedProcess

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["snakemake.cli", "tests.forked"])


def snakemake(arguments: list[str], folder: Path) -> CompletedProcess:
    """``snakemake ARGUMENTS`` in a folder, with the environment of this process."""
    with tempfile.TemporaryDirectory() as written:
        files = [Path(written, name) for name in ("stdout", "stderr")]
        process = FORKS.Process(target=_snakemake, args=(arguments, folder, dict(os.environ), files))
        process.start()
        process.join()
        return CompletedProcess(arguments, process.exitcode, *(file.read_text("utf-8") for file in files))


def _snakemake(arguments: list[str], folder: Path, environment: dict, files: list[Path]) -> None:
    for number, file in enumerate(files, start=1):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT), number)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.path[:] = ["", *(path for path in sys.path if Path(path).resolve() != Path(__file__).parents[1])]
    sys.argv = ["snakemake", *arguments]
    from snakemake import cli

    cli.main(arguments)
