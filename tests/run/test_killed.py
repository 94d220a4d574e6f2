"""The shell's message about a killed job, and the name on a progress bar."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from cnnviz.run import progress
from cnnviz.run.failures import sentence

ROOT = Path(__file__).parents[2]


def prefix() -> str:
    """The rules' prefix of each command."""
    text = (ROOT / "rules/common.smk").read_text("utf-8")
    code = re.search(r"^shell\.prefix\((.*?)^\)", text, re.M | re.S)[1]
    return eval(f"({code})", {"shlex": shlex, "sys": sys, "Path": Path}).format()


@pytest.mark.parametrize(
    ("signal", "said"),
    [
        ("KILL", "killed by signal 9 (SIGKILL): out of memory, or killed by a user"),
        ("TERM", "killed by signal 15 (SIGTERM): its time limit was reached, or it was killed by a user"),
        ("SEGV", "(SIGSEGV): a crash inside an operator of the network, or inside a library"),
        ("ABRT", "(SIGABRT): a crash inside"),
        ("ILL", "(SIGILL): a crash inside"),
        ("FPE", "(SIGFPE): a crash inside"),
        ("XCPU", "(SIGXCPU): its limit of processor time was reached"),
        ("HUP", "(SIGHUP): killed by a user"),
    ],
)
def test_each_signal_is_reported_in_the_log_and_the_shell_is_silent(tmp_path, signal, said):
    log = tmp_path / "my results/pca.log"
    log.parent.mkdir()
    work = f"echo at work; echo Fatal Python error: here >> $CNNVIZ_LOG; kill -{signal} $$"
    command = f"{prefix()} sh -c '{work}' 2>&1 | tee {shlex.quote(str(log))}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert done.returncode > 128 and (done.stdout, done.stderr) == ("at work\n", "")
    *before, last = log.read_text().splitlines()
    assert sorted(before) == ["Fatal Python error: here", "at work"] and said in last
    assert last in sentence(log)


def test_a_progress_bar_names_its_job(capsys, monkeypatch):
    monkeypatch.setattr(progress, "_whose", [])
    assert list(progress.bar(range(2), "scores")) == [0, 1]
    progress.belongs_to("alexnet", "lime")
    list(progress.bar(range(2), "scores"))
    list(progress.bar(range(2)))
    told = capsys.readouterr().err
    assert "\rscores: 100%" in told and "alexnet · lime: scores: 100%" in told and "alexnet · lime: 100%" in told
