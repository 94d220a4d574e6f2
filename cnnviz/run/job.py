"""Command line of a compute job: ``python -m cnnviz.ROOM.TECHNIQUE --job JSON --input name=path … --output path``.

The rules write the command. This module parses it, and turns errors that a user can fix into one plain message.
"""

import argparse
import hashlib
import json
import os
import platform
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from cnnviz import __version__
from cnnviz.errors import NotApplicable, reporting
from cnnviz.run import atomic, whole
from cnnviz.run.applies import why_not
from cnnviz.run.progress import belongs_to
from cnnviz.run.result import Result, write

PACKAGES = ("numpy", "scipy", "sklearn", "skimage", "openTSNE", "PIL", "torch", "torchvision", "timm")


@dataclass(frozen=True)
class Job:
    """One job: one technique on one model.

    model_id, section: ids of the config. model, image_set: their config blocks. parameters: the section's config block.
    seed: the config's seed; all random numbers derive from it by :meth:`seed_for`. inputs: name → path of the files
    that the job reads. outputs: name → path of the files that it writes. code: hash of the computing code, for
    provenance. check: config values that are checked and do not affect the result.
    """

    model_id: str
    section: str
    model: dict
    image_set: dict
    parameters: dict
    seed: int
    device: str
    threads: int
    code: str
    inputs: dict[str, Path]
    outputs: dict[str, Path]
    check: dict = field(default_factory=dict)

    def seed_for(self, *item: str | int) -> int:
        """Seed for one item (a class, a picture, …), in 0 … 2**63 - 1. It does not depend on loops or shards."""
        text = json.dumps([self.seed, self.model_id, self.section, *item])
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1

    def write(
        self, arrays: dict, *, numbers: dict | None = None, not_applicable: str = "", provenance: dict | None = None
    ) -> None:
        """Writes the result to the output named ``result``. ``not_applicable``: why there is nothing to show."""
        status = "not_applicable" if not_applicable else "ok"
        # jobs that load no network run on the CPU
        made_by = {"code": self.code, "version": f"cnnviz {__version__}", "packages": packages(), "device": "cpu"}
        provenance = made_by | (provenance or {})
        result = Result(arrays, status, not_applicable, numbers or {}, self.parameters, self.seed, provenance)
        write(self.outputs["result"], result)


def packages() -> str:
    """Versions of Python and of the packages that this process has used."""
    named = {name: module for name in PACKAGES if (module := sys.modules.get(name))}
    versions = [f"{name} {module.__version__}" for name, module in named.items()]
    return ", ".join([f"Python {platform.python_version()}", *versions])


def run(technique: Callable[[Job], None]) -> None:
    """Parses the command line and runs the job. Exits with 1 and one plain message if the user can fix the error."""
    parser = argparse.ArgumentParser(description=(sys.modules["__main__"].__doc__ or "").split("\n")[0])
    parser.add_argument("--job", type=json.loads, required=True, help="ids, config blocks and seed, as JSON")
    parser.add_argument("--code", default="", help="hash of the code, for provenance")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--check", type=json.loads, default={}, help="config values to check early, as JSON")
    parser.add_argument("--input", nargs="*", default=[], metavar="NAME=PATH")
    parser.add_argument("--output", nargs="+", required=True, metavar="NAME=PATH")
    options = parser.parse_args()

    def paths(pairs: list[str]) -> dict[str, Path]:
        return {name: Path(path) for name, path in (pair.split("=", 1) for pair in pairs)}

    job = Job(
        **options.job,
        device=options.device,
        threads=options.threads,
        code=options.code,
        check=options.check,
        inputs=paths(options.input),
        outputs=paths(options.output),
    )
    belongs_to(job.model_id, job.section)
    with reporting():
        atomic.sweep(job.outputs.values())
        whole.check(job.inputs.values())
        perform(technique, job)
    if sys._getframe(1).f_globals is vars(sys.modules["__main__"]):  # this process has nothing else to do
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)  # the libraries take a tenth of a second to free, one by one, what the system frees at once


def perform(technique: Callable[[Job], None], job: Job) -> None:
    """Runs the job. If the technique does not apply to the network, the result holds the reason."""
    try:
        if reason := why_not(job.model.get("outputs", {}).get("kind", ""), job.section):
            raise NotApplicable(reason)
        technique(job)
    except NotApplicable as reason:
        job.write({}, not_applicable=str(reason), provenance=reason.provenance)
