"""Makes missing files first, and only then decides which jobs to rerun.

Snakemake decides before any job runs. If a file is missing, it would rerun everything that was computed from that file,
although the file's content is the same when it is made again. After it is made, Snakemake compares its checksum with
the one stored for each result. A file larger than ``--max-checksum-file-size`` counts as changed.
"""

import ctypes
import os
import signal
import subprocess
import sys
from pathlib import Path

TRIED = "CNNVIZ_MADE_FIRST"  # the restarted run reads here which files were tried, and does not retry them first


def lost(dag, persistence) -> list[str]:
    """Sorted missing files that other existing results were computed from.

    A file that depends on another missing file is left out: whether it must be made is decided afterwards.
    """
    gone: dict = {}
    for job in dag.needrun_jobs():
        if job.output and dag.reason(job).derived and all(Path(path).exists() for path in job.output):
            for maker, paths in dag.dependencies[job].items():
                # without stored checksums of its inputs, a result is made again anyway
                noted = not any(None in persistence.input_checksums(job, path) for path in paths)
                if noted and not dag.reason(maker).params_changed:
                    gone[maker] = {path for path in maker.output if not Path(path).exists()}
    gone = {maker: paths for maker, paths in gone.items() if paths}
    before = {maker: set(dag.bfs(dag.dependencies, maker)) - {maker} for maker in gone}
    return sorted(path for maker, paths in gone.items() if gone.keys().isdisjoint(before[maker]) for path in paths)


def make_first(workflow) -> None:
    """Makes the missing files and restarts the same command in this process; returns if no file is missing.

    For ``onstart:``, after all decisions and before any job. Dry runs do not call it.
    """
    if workflow.touch or not workflow.is_main_process:
        return
    tried = os.environ.get(TRIED, "").splitlines()
    paths = [path for path in lost(workflow.dag, workflow.persistence) if path not in tried]
    if not paths:
        return
    some = ", ".join(paths[:3]) + (f" and {len(paths) - 3} more" if len(paths) > 3 else "")
    print(f"Missing: {some}. Made first; jobs that depend on it rerun only if its content changes.", flush=True)
    snakemake = [sys.executable, "-m", "snakemake"]
    # this process holds the lock, and the restarted run reports what failed
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
    """Kills this process when its parent process is killed. Otherwise it would continue without a lock."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG, see prctl(2)
