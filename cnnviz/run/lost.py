"""What was lost is made first, and only then is it decided what else has to run.

Snakemake decides before anything is made. Of a lost file everything that was ever computed from it would run again,
although the file comes back with the same bytes. Once it is back, Snakemake itself compares it, by checksum, with what
each result was made from; what is larger than ``--max-checksum-file-size`` counts as another.
"""

import ctypes
import os
import signal
import subprocess
import sys
from pathlib import Path

TRIED = "CNNVIZ_MADE_FIRST"  # the run that goes on then knows what has been tried: it tries once more, with all else


def lost(dag, persistence) -> list[str]:
    """Missing files whose job has left what other results were made from that still stand; the first of them.

    Not those that are themselves made from another one of them: whether they are to be made turns out then.
    """
    gone: dict = {}
    for job in dag.needrun_jobs():
        if job.output and dag.reason(job).derived and all(Path(path).exists() for path in job.output):
            for maker, paths in dag.dependencies[job].items():
                # without a note of what it was made from, a result would be made again anyhow
                noted = not any(None in persistence.input_checksums(job, path) for path in paths)
                if noted and not dag.reason(maker).params_changed:
                    gone[maker] = {path for path in maker.output if not Path(path).exists()}
    gone = {maker: paths for maker, paths in gone.items() if paths}
    before = {maker: set(dag.bfs(dag.dependencies, maker)) - {maker} for maker in gone}
    return sorted(path for maker, paths in gone.items() if gone.keys().isdisjoint(before[maker]) for path in paths)


def make_first(workflow) -> None:
    """Make the lost files and begin anew, in this very process, with the same command; return if nothing is lost.

    For ``onstart:``, where all is decided and nothing done; dry runs and the like do not come there.
    """
    if workflow.touch or not workflow.is_main_process:
        return
    tried = os.environ.get(TRIED, "").splitlines()
    paths = [path for path in lost(workflow.dag, workflow.persistence) if path not in tried]
    if not paths:
        return
    some = ", ".join(paths[:3]) + (f" and {len(paths) - 3} more" if len(paths) > 3 else "")
    print(f"Lost: {some}. Made first; what depends on that runs only if it comes back as something else.", flush=True)
    snakemake = [sys.executable, "-m", "snakemake"]
    # this process holds the lock, and the run that goes on has the last word on what failed
    making = subprocess.Popen(
        [*snakemake, "--until", *paths, "--nolock", "--no-hooks", *sys.argv[1:]], preexec_fn=_end_with_the_other
    )
    stopped: list[None] = []
    signal.signal(signal.SIGTERM, lambda *_: stopped.append(making.terminate()))
    signal.signal(signal.SIGINT, lambda *_: stopped.append(None))  # a terminal sends Ctrl-C to both
    making.wait()
    if stopped:
        sys.exit(1)
    workflow.persistence.unlock()
    os.environ[TRIED] = "\n".join([*tried, *paths])
    os.execv(sys.executable, [*snakemake, *sys.argv[1:]])


def _end_with_the_other() -> None:
    """Let this process be killed when the one that started it is: else it would go on without a lock."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG, see prctl(2)
