"""Files cut short are told from whole ones and put aside; locks of the dead are told from those of the living."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cnnviz import atomic, whole
from cnnviz.errors import UserError

ROOT = Path(__file__).parents[1]


@pytest.fixture
def files(tmp_path) -> list[Path]:
    """A file of each kind that jobs hand on."""
    made = [tmp_path / f"a.{kind}" for kind in ("npz", "zip", "npy", "json", "tsv")]
    np.savez(made[0], a=np.arange(300))
    made[1].write_bytes(made[0].read_bytes())
    np.save(made[2], np.arange(300))
    made[3].write_text(json.dumps({"a": list(range(99))}))
    made[4].write_text("s\n")
    return made


def test_whole_files_and_those_that_are_not_there_pass(files):
    whole.check([*files, files[0].with_name("nothing.npz")])
    assert all(path.is_file() for path in files)


@pytest.mark.parametrize("share", [0, 0.02, 0.5, 0.99])
@pytest.mark.parametrize("number", range(4))
def test_what_is_cut_short_is_named_and_put_aside(files, number, share):
    path = files[number]
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(UserError, match=rf"damaged: {path} \(.*Run the same command again"):
        whole.check(files)
    assert not path.exists() and path.with_name(f"{path.name}.damaged").is_file()
    whole.check(files)


def test_what_a_killed_writer_left_is_swept_and_nothing_else(tmp_path):
    path = tmp_path / "result.npz"
    with pytest.raises(FileNotFoundError), atomic.replacing(path) as temporary:
        (tmp_path / "result.npz.kept").touch()
        (tmp_path / ".other.npz.12345678.npz").touch()
        atomic.sweep([path])  # as the next job does, while this writer is still at work
        assert not temporary.exists()
    assert {p.name for p in tmp_path.iterdir()} == {"result.npz.kept", ".other.npz.12345678.npz"}


HOLD = "from cnnviz.alone import at_work; at_work(); print('held', flush=True); input()"


def hold(folder: Path) -> subprocess.Popen:
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r}); {HOLD}"]
    held = subprocess.Popen(command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert held.stdout.readline() == "held\n"
    return held


def test_a_lock_goes_only_when_nobody_is_at_work(tmp_path):
    lock = tmp_path / ".snakemake/locks/0.output.lock"

    def locked() -> None:
        lock.parent.mkdir(exist_ok=True)
        lock.write_text("results/a\n")

    first = hold(tmp_path)
    locked()
    second = hold(tmp_path)
    assert lock.is_file()
    first.kill()
    first.wait()
    third = hold(tmp_path)
    assert lock.is_file()  # the second, a dry run say, may have begun before the lock was made
    for one in (second, third):
        one.kill()
        one.wait()
    hold(tmp_path).kill()
    assert not lock.exists()

    locked()
    (tmp_path / ".snakemake/at-work").write_text("another-machine")
    for _ in range(2):
        held = hold(tmp_path)
        held.kill()
        held.wait()
        assert lock.is_file()
