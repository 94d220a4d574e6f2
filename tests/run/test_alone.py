"""A run's lock stays while the run is at work."""

import fcntl
import json
import socket

from cnnviz.run import alone


def test_claims_copied_from_another_folder_do_not_make_a_lock_stale(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lock = tmp_path / ".snakemake/locks/0.output.lock"
    lock.parent.mkdir(parents=True)
    lock.write_text("results/a.npz\n")
    assert alone.claim("results")
    for name in ("0" * 16, "f" * 16):  # listed before and after the true one
        said = {"results": "results", "host": socket.gethostname()}
        (tmp_path / ".snakemake/claims" / name).write_text(json.dumps(said))
    alone.remove_stale_locks()
    assert lock.exists()
    fcntl.flock(alone._held.pop(), fcntl.LOCK_UN)
    alone.remove_stale_locks()
    assert not lock.exists()
