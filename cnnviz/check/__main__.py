"""The command: see the package."""

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


# Seconds from the start until the networks, and then Snakemake's plan, have to be done: less than a minute under load.
NETWORKS, PLAN = 45, 55
_FRAME = re.compile(r"\s*(File \".*, line \d+|\w+ in file \".*:$)")  # where in our code it was raised helps nobody
LEAST = 10, 5  # that they have all the same where the machine is so busy that starting took most of the minute


def lines(config: dict, dry_run: subprocess.Popen, output: IO[str], started: float) -> Iterator[Line]:
    """started: by the monotonic clock."""
    from cnnviz.check import apart, networks, plan  # torch takes seconds, in which Snakemake plans

    def left(until: float, least: float) -> float:
        return max(least, started + until - time.monotonic())

    costs = yield from networks.check(config, left(NETWORKS, LEAST[0]), apart.apart)
    yield Line("", "Plan", "")
    try:
        failed = dry_run.wait(left(PLAN, LEAST[1]))
    except subprocess.TimeoutExpired:
        dry_run.kill()
        words = "no time left for Snakemake's plan;  .venv/bin/snakemake -n --configfile CONFIG  lists the jobs"
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
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # on a busy machine, threads that wait by spinning take minutes
    print(f"Checking {path}: this takes up to a minute.")
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
