"""The command; see the package."""

import argparse
import contextlib
import io
import os
import re
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from cnnviz import check
from cnnviz import config as configs
from cnnviz.check.report import Line, show
from cnnviz.errors import reporting

SNAKEFILE = Path(__file__).parents[2] / "Snakefile"


# Seconds from the start to the deadlines of the networks and of Snakemake's plan: under a minute even under load.
NETWORKS, PLAN = 45, 55
_FRAME = re.compile(r"\s*(File \".*, line \d+|\w+ in file \".*:$)")  # positions in our own code do not help the user
LEAST = 10, 5  # smallest times, also if starting took most of the minute on a busy machine


def lines(config: dict, dry_run: subprocess.Popen, output: IO[str], started: float) -> Iterator[Line]:
    """Lines of the report. started: a time of the monotonic clock."""
    from cnnviz.check import networks, own_process, plan  # importing torch takes seconds, while Snakemake plans

    def left(until: float, least: float) -> float:
        return max(least, started + until - time.monotonic())

    costs = yield from networks.check(config, left(NETWORKS, LEAST[0]), own_process.in_own_process)
    yield Line("", "Plan", "")
    try:
        failed = dry_run.wait(left(PLAN, LEAST[1]))
    except subprocess.TimeoutExpired:
        dry_run.kill()
        words = "there was no time for Snakemake's plan;  .venv/bin/snakemake -n --configfile CONFIG  lists the jobs"
        yield Line("!", "jobs", words)
        return
    output.seek(0)
    said = output.read()
    if failed:
        words = [line for line in said.strip().splitlines() if not _FRAME.match(line)]
        yield Line("✗", "jobs", "Snakemake cannot plan the run:", tuple(words[-3:]))
    else:
        yield from plan.plan(said, costs, config)


def main() -> None:
    parser = argparse.ArgumentParser(description=check.__doc__.splitlines()[0])
    parser.add_argument("config")
    path = parser.parse_args().config
    started, marks = time.monotonic(), Counter()
    sys.stdout.reconfigure(errors="replace")
    config = configs.complete(configs.read(configs.exists("the config", path)))
    configs.keep_weights(config["cache"])
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # on a busy machine, spinning threads take minutes
    print(f"Checking {path}. This takes up to a minute.")
    command = [sys.executable, "-m", "snakemake", "--snakefile", SNAKEFILE, "-n", "--quiet", "progress", "--nocolor"]
    command += ["--cores", "1", "--configfile", path]
    report = sys.stdout
    warnings.simplefilter("ignore")
    with (
        contextlib.redirect_stdout(io.StringIO()),  # what a network prints is not part of the report
        tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as output,
        subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT) as dry_run,
    ):
        for line in lines(config, dry_run, output, started):
            marks[line.mark] += 1
            with contextlib.redirect_stdout(report):
                show(line)
    verdict = f"{marks['✗']} clearly wrong (✗)" if marks["✗"] else "nothing clearly wrong"
    doubts = f", {marks['!']} to look at (!)" if marks["!"] else ""
    print(f"\nChecked in {time.monotonic() - started:.0f} s: {verdict}{doubts}.")
    sys.exit(1 if marks["✗"] else 0)


if __name__ == "__main__":
    with reporting():
        main()
