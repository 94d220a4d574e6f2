"""Each job has its own GPU: real processes compete for devices that are only names here."""

import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from cnnviz.errors import UserError
from cnnviz.network import gpus

JOB = """
import sys, time
from pathlib import Path
from unittest.mock import Mock
sys.modules["torch"] = Mock()  # which takes seconds to import, and holding a device needs nothing of it
from cnnviz.network.gpus import hold

folder, names = Path(sys.argv[1]), sys.argv[2].split(",")
device = names[hold(names, folder / "locks")]
inside = folder / f"{device}.taken"
inside.touch(exist_ok=False)  # fails where another job is on the same device
print(device, flush=True)
time.sleep(float(sys.argv[3]))
inside.unlink()
"""


def start(folder: Path, names: str, seconds: float) -> subprocess.Popen:
    command = [sys.executable, "-c", JOB, str(folder), names, str(seconds)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_five_jobs_share_two_devices_one_at_a_time(tmp_path):
    jobs = [start(tmp_path, "a,b", 0.5) for _ in range(5)]
    said = [job.communicate(timeout=120) for job in jobs]
    assert [job.returncode for job in jobs] == [0] * 5, said
    assert {out.split()[-1] for out, _ in said} == {"a", "b"}
    assert any("waiting" in out for out, _ in said)


def test_a_killed_job_releases_its_device(tmp_path):
    killed = start(tmp_path, "a", 600)
    while not (tmp_path / "a.taken").exists():
        time.sleep(0.1)
    waits = start(tmp_path, "a", 0)
    assert "waiting" in waits.stdout.readline()
    (tmp_path / "a.taken").unlink()
    killed.kill()
    out, error = waits.communicate(timeout=60)
    assert waits.returncode == 0 and out.strip() == "a", error
    killed.communicate()


@pytest.fixture
def two_gpus(monkeypatch, tmp_path):
    """torch with two fake devices, the second with more free memory."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda i: (10 + i, 20))
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda i: SimpleNamespace(uuid="ab"[i]))
    monkeypatch.setattr(gpus, "LOCKS", tmp_path / "locks")
    gpus.pick_device.cache_clear()
    yield
    gpus.pick_device.cache_clear()


def test_the_emptiest_free_device_is_taken_and_kept(two_gpus, tmp_path):
    assert gpus.pick_device("auto") == gpus.pick_device("auto") == torch.device("cuda:1")
    other = start(tmp_path, "b,a", 0)
    assert other.communicate(timeout=60)[0].strip() == "a"


def test_a_device_that_is_not_there_is_named(two_gpus):
    assert gpus.pick_device("cpu") == torch.device("cpu")
    with pytest.raises(UserError, match="torch sees 2 GPUs"):
        gpus.pick_device("cuda:2")


def test_without_a_gpu_auto_is_the_cpu_and_cuda_an_error(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    gpus.pick_device.cache_clear()
    assert gpus.pick_device("auto") == torch.device("cpu")
    with pytest.raises(UserError, match="sees no GPU"):
        gpus.pick_device("cuda")
