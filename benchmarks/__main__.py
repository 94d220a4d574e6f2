"""Compares our speed with other packages, as ratios measured in one run: ``python -m benchmarks [--runs] [names …]``.

Every benchmark measures both sides alternately in this process and takes the minimum of each, so a busy machine slows
both. ``--runs`` also times the committed configs (the demo and AlexNet) from an empty results folder. The last
reference table, with device and date, is ``benchmarks/RESULTS.md``. :mod:`benchmarks.real_nets` measures the pictures
of finished runs.
"""

import argparse
import importlib
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

BENCHMARKS = ("forward", "ascent", "neighbors", "memory", "occlusion", "lime", "units", "site", "map")
RUNS = {
    "demo, both nets, all sections": ("config.yaml", 180),
    "AlexNet, 1 000 pictures": ("benchmarks/alexnet.yaml", 360),
}


def run_seconds(path: str) -> tuple[float, float]:
    """Seconds of a first run of a config into an empty folder, and of a second one without pending jobs."""
    with tempfile.TemporaryDirectory() as folder:
        config = yaml.safe_load(Path(path).read_text("utf-8")) | {"results": f"{folder}/results"}
        copy = Path(folder) / "config.yaml"
        copy.write_text(yaml.safe_dump(config))
        command = [sys.executable, "-m", "snakemake", "--cores", "all", "--configfile", str(copy)]
        seconds = []
        for _ in range(2):
            start = time.perf_counter()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            seconds.append(time.perf_counter() - start)
    return seconds[0], seconds[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", action="store_true", help="also time whole runs of the committed configs")
    parser.add_argument("names", nargs="*", default=BENCHMARKS, metavar="name", help=f"of {', '.join(BENCHMARKS)}")
    options = parser.parse_args()
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}\n")
    print(f"| {'measured':<72} | {'here':>8} | {'bar':>8} |\n|{'-' * 74}|{'-' * 10}|{'-' * 10}|")

    def line(name: str, value: float, bar: float, unit: str = "") -> None:
        print(f"| {name:<72} | {value:>7.2f}{unit or ' '} | {'≤ ' + format(bar, 'g') + unit:>8} |", flush=True)

    for name in options.names:
        try:
            for what, ratio, bar in importlib.import_module(f"benchmarks.{name}").measure():
                line(what, ratio, bar)
        except FileNotFoundError as missing:  # the others can still be measured
            print(f"| {f'{name}: not measured, {missing}':<94} |", flush=True)
    for what, (path, bar) in RUNS.items() if options.runs else ():
        first, second = run_seconds(path)
        line(f"run: {what}", first, bar, "s")
        line(f"second run: {what}", second, 5, "s")


if __name__ == "__main__":
    main()
