"""The Slurm profiles on a real Slurm of three nodes: jobs run in their partitions, failed ones are retried.

Needs root, slurmctld, slurmd and munge, and no other Slurm. Skipped without them, except in CI. CI also runs the demo's
whole report through the same Slurm before the tests (.ci/run); here there are a small network and few sections.
"""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
import yaml

from tests.checkout import ROOT, copy_code

CLUSTER = ROOT / "tests/slurm/cluster.sh"
SECONDS = 600  # for a whole run, which takes a fifth of that on an idle machine
NET = {
    "factory": "cnnviz/demo/nets.py:demo_net",
    "checkpoint": "cnnviz/demo/weights/biased.safetensors",
    "probes": 1,
    "preprocess": {"mean": 0.5, "std": 0.25, "resize": [64, 64], "crop": None},
}
CONFIG = {"threads": 1, "image_sets": {"drawn": {"kind": "demo", "count": 24}}, "models": {"one": NET}}

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def slurm(tmp_path_factory) -> Iterator[Path]:
    """The folder of a Slurm that runs until the last test of this file is over."""
    missing = [name for name in ("slurmctld", "slurmd", "munged", "sbatch") if not shutil.which(name)]
    missing += [] if os.geteuid() == 0 else ["root"]
    missing += [] if importlib.util.find_spec("snakemake_executor_plugin_slurm") else ["Snakemake's Slurm plugin"]
    if missing and not os.environ.get("CI"):
        pytest.skip(f"no Slurm can be started here: {', '.join(missing)} missing")
    folder = tmp_path_factory.mktemp("slurm")
    up = subprocess.run([CLUSTER, "up", folder], text=True, stderr=subprocess.PIPE)
    if up.returncode == 3 and not os.environ.get("CI"):
        pytest.skip(up.stderr)
    assert up.returncode == 0, up.stderr
    yield folder
    subprocess.run([CLUSTER, "down", folder], check=True)
    # Slurm does not end processes on a failed node; without a cgroup, a job's outermost process waits forever
    for process in psutil.process_iter(["cmdline"]):
        if any(f"{tmp_path_factory.getbasetemp()}/" in word for word in process.info["cmdline"] or ()):
            process.kill()


@dataclass
class Job:
    """One line of squeue. what: rule and wildcards, from the plugin's comment of the job."""

    id: str
    state: str
    node: str
    what: str


def queue() -> list[Job]:
    lines = subprocess.run(["squeue", "-h", "-o", "%i|%T|%N|%k"], text=True, capture_output=True, check=True).stdout
    return [Job(*line.split("|")) for line in lines.splitlines()]


def scontrol(*words: str) -> None:
    subprocess.run(["scontrol", "update", *words], check=True)


class Run:
    """Snakemake with a profile, in a copy of the checkout; its output is in ``log``."""

    def __init__(self, folder: Path, config: dict, *arguments: str):
        copy_code(folder)
        (folder / "small.yaml").write_text(yaml.safe_dump(config))
        self.folder, self.log = folder, folder / "run.log"
        command = [sys.executable, "-m", "snakemake", *arguments, "--configfile", "small.yaml"]
        command += ["--slurm-init-seconds-before-status-checks", "2", "--latency-wait", "20"]
        with self.log.open("w") as log:
            self.process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=subprocess.STDOUT)
        self.end = time.monotonic() + SECONDS

    def until(self, found: Callable, what: str):
        """Waits for the first true value of ``found`` and returns it."""
        while not (value := found()):
            assert self.process.poll() is None and time.monotonic() < self.end, f"no {what}: {self.tail()}"
            time.sleep(0.3)
        return value

    def running(self, rule: str) -> Job:
        return self.until(
            lambda: next((job for job in queue() if job.state == "RUNNING" and rule in job.what), None),
            f"running job of {rule}",
        )

    def finish(self) -> None:
        try:
            assert self.process.wait(self.end - time.monotonic()) == 0, self.tail()
        finally:
            self.process.kill()

    def tail(self) -> str:
        return self.log.read_text()[-4000:]

    def jobs(self, slurm: Path) -> dict[str, list[dict]]:
        """Rule → Slurm's records of its ended jobs: Partition, NodeList, JobState, …"""
        ended = [dict(re.findall(r"(\w+)=(\S+)", line)) for line in (slurm / "jobs.txt").read_text().splitlines()]
        rules = dict(re.findall(r"SLURM jobid (\d+) \(log: \S+/rule_(\w+)", self.log.read_text()))
        found = {}
        for job in ended:
            if job["JobId"] in rules:
                found.setdefault(rules[job["JobId"]], []).append(job)
        return found

    def sections(self) -> dict[str, str]:
        """model/section → its status in the gallery."""
        models = json.loads((self.folder / "results/site/manifest.json").read_text())["models"]
        return {f"{m['id']}/{s['id']}": s["status"] for m in models for s in m["sections"]}


def test_a_cancelled_job_and_a_failed_node_are_retried(slurm, tmp_path):
    wanted = [f"results/models/one/{name}/result.npz" for name in ("forward", "sections/activation_maps")]
    run = Run(tmp_path, CONFIG, *wanted, "--workflow-profile", "profiles/slurm")
    subprocess.run(["scancel", run.running("forward").id], check=True)
    lost = run.running("activation_maps").node
    scontrol(f"nodename={lost}", "state=down", "reason=test")
    try:
        run.finish()
    finally:
        scontrol(f"nodename={lost}", "state=resume")
    assert all((tmp_path / name).is_file() for name in wanted)
    jobs = run.jobs(slurm)
    assert [job["JobState"] for job in jobs["forward"]] == ["CANCELLED", "COMPLETED"]
    assert jobs["activation_maps"][-1]["JobState"] == "COMPLETED" and jobs["activation_maps"][-1]["NodeList"] != lost
    with_gpu = {rule for rule, ended in jobs.items() if {job["Partition"] for job in ended} == {"gpu"}}
    assert with_gpu == {"forward", "activation_maps"}
    assert all(job["NodeList"] == "n1" for rule in jobs.keys() - with_gpu for job in jobs[rule])
    asked = re.findall(r"rule forward:.*?mem_mb=(\d+)", run.log.read_text(), re.S)
    assert asked == ["6000", "12000"]  # the second attempt gets twice the memory


def test_an_allocation_per_model_continues_where_it_was_interrupted(slurm, tmp_path):
    """One model's job is cancelled after its last task except the pages; the other's node fails during a task."""
    config = CONFIG | {"models": {"one": NET, "two": NET}, "sections": ["predictions"]}
    run = Run(
        tmp_path,
        config,
        *("allocations", "--workflow-profile", "profiles/slurm-models", "--set-threads", "model_allocation=1"),
    )
    last = {"one": "models/one/sections/predictions/result.npz", "two": "logs/two/predictions.log"}
    cut, before = {}, {}
    try:
        while len(cut) < 2:  # whichever is first
            model = run.until(
                lambda: next((m for m in last if m not in cut and (tmp_path / "results" / last[m]).exists()), ""),
                "file to cut off after",
            )
            cut[model] = run.running(f"model_allocation_wildcards_{model}")
            before[model] = forward(tmp_path, model)
            if model == "one":
                subprocess.run(["scancel", cut["one"].id], check=True)
            else:
                scontrol(f"nodename={cut['two'].node}", "state=down", "reason=test")
        run.finish()
    finally:
        if "two" in cut:
            scontrol(f"nodename={cut['two'].node}", "state=resume")
    assert run.sections() == {"one/predictions": "ok", "two/predictions": "ok"}
    assert before == {model: forward(tmp_path, model) for model in last}
    ended = run.jobs(slurm)["model_allocation"]
    assert {job["Partition"] for job in ended} == {"gpu"} and {cut[m].node for m in last} == {"n2", "n3"}
    assert [job["JobState"] for job in ended if job["JobId"] == cut["one"].id] == ["CANCELLED"]
    completed = [job for job in ended if job["JobState"] == "COMPLETED"]
    assert [job["NodeList"] for job in completed] == [cut["one"].node] * 2  # the remaining node
    assert cut["two"].id in {job["JobId"] for job in completed}  # Slurm itself restarted it


def forward(folder: Path, model: str) -> int:
    """Time at which the model's forward pass finished."""
    return (folder / f"results/models/{model}/forward/result.npz").stat().st_mtime_ns
