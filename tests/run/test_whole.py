"""Truncated files are found and renamed; stale locks are told from active ones."""

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from cnnviz.errors import UserError
from cnnviz.run import alone, atomic, whole

ROOT = Path(__file__).parents[2]


@pytest.fixture
def files(tmp_path) -> list[Path]:
    """A file of each kind that jobs pass on."""
    made = [tmp_path / f"a.{kind}" for kind in ("npz", "zip", "npy", "json", "tsv")]
    np.savez(made[0], a=np.arange(300))
    made[1].write_bytes(made[0].read_bytes())
    np.save(made[2], np.arange(300))
    made[3].write_text(json.dumps({"a": list(range(99))}))
    made[4].write_text("s\n")
    return made


def test_complete_and_missing_files_pass(files):
    whole.check([*files, files[0].with_name("nothing.npz")])
    assert all(path.is_file() for path in files)


@pytest.mark.parametrize("share", [0, 0.02, 0.5, 0.99])
@pytest.mark.parametrize("number", range(4))
def test_truncated_files_are_named_and_renamed(files, number, share):
    path = files[number]
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(UserError, match=rf"damaged: {path} \(.*Run the same command again"):
        whole.check(files)
    assert not path.exists() and path.with_name(f"{path.name}.damaged").is_file()
    whole.check(files)


def test_files_of_killed_writers_are_removed_and_nothing_else(tmp_path):
    path = tmp_path / "result.npz"
    with pytest.raises(FileNotFoundError), atomic.replacing(path) as temporary:
        (tmp_path / "result.npz.kept").touch()
        (tmp_path / ".other.npz.12345678.npz").touch()
        atomic.sweep([path])  # as the next job does, while this writer is still running
        assert not temporary.exists()
    assert {p.name for p in tmp_path.iterdir()} == {"result.npz.kept", ".other.npz.12345678.npz"}


HOLD = "from cnnviz.run.alone import claim; assert claim(sys.argv[1]); print('held', flush=True); input()"


def hold(folder: Path, results: str) -> subprocess.Popen:
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r}); {HOLD}", results]
    held = subprocess.Popen(command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert held.stdout.readline() == "held\n"
    return held


@pytest.fixture
def notes(tmp_path) -> Path:
    """A working folder with Snakemake's locks of two runs, which both read the same checkpoint."""
    folder = tmp_path / ".snakemake"
    (folder / "locks").mkdir(parents=True)
    for i, results in enumerate(("results-a", "results-b")):
        (folder / f"locks/{i}.output.lock").write_text(f"{results}/index.html\n{results}/models/m.npz\n")
        (folder / f"locks/{i}.input.lock").write_text(f"weights.pt\n{results}/models/m.npz\n")
    return folder


def locked(notes: Path) -> set[str]:
    alone.remove_stale_locks(notes)
    return {path.name[0] for path in notes.glob("locks/*")}


def test_the_lock_of_a_killed_run_is_removed_and_that_of_an_active_run_is_kept(notes, tmp_path):
    first, second = hold(tmp_path, "results-a"), hold(tmp_path, "./results-b/")
    try:
        assert locked(notes) == {"0", "1"}
        first.kill()  # SIGKILL
        first.wait()
        assert locked(notes) == {"1"} and len(list(notes.glob("locks/*"))) == 2
    finally:
        second.kill()
        second.wait()
    assert locked(notes) == set()


def test_results_are_claimed_by_one_run_at_a_time(notes, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    other = hold(tmp_path, "results-a")
    assert not alone.claim("results-a/", notes) and not alone.claim("./results-a", notes)
    other.communicate("\n")  # it ends by itself
    assert [path.read_text() for path in notes.glob("claims/*")] == [""]
    again = hold(tmp_path, "results-a")
    again.kill()
    again.wait()
    with hold(tmp_path, "results-a") as third:
        third.kill()


def test_a_lock_of_another_machine_stays(notes, tmp_path):
    held = hold(tmp_path, "results-a")
    held.kill()
    held.wait()
    for claim in notes.glob("claims/*"):
        claim.write_text(claim.read_text().replace(socket.gethostname(), "another-machine"))
    assert locked(notes) == {"0", "1"}  # the other lock's owner is unknown, and a run is active


def test_an_unclaimed_lock_is_removed_after_a_while(notes):
    """A run locks its results just after Snakemake's own lock."""
    assert locked(notes) == {"0", "1"}
    for lock in notes.glob("locks/*"):
        os.utime(lock, (0, time.time() - 100))
    assert locked(notes) == set()
