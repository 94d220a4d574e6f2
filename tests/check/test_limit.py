"""A check ends in time and continues with the next model, whatever one model or image set does."""

import time

import pytest
from PIL import Image

from cnnviz import config
from cnnviz.check import feeding, networks
from cnnviz.check.limit import OutOfTime, within

NETS = """
import sys, time
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, doing=""):
        super().__init__()
        self.conv, self.fc, self.doing, self.calls = nn.Conv2d(3, 4, 3), nn.Linear(4, 3), doing, 0

    def forward(self, x):
        self.calls += 1
        if self.doing == "later" and self.calls > 3:
            raise IndexError("list index out of range")
        if self.doing == "leaves" and self.calls > 3:
            sys.exit("done here")
        if self.doing == "hangs":
            time.sleep(1000)
        return self.fc(self.conv(x).mean((2, 3)))
"""


def steps(*seconds):
    for wait in seconds:
        try:
            time.sleep(wait)
        except Exception:  # as a network's own code may catch everything
            continue
        yield wait
    return "end"


def test_work_is_stopped_in_the_middle_of_a_step():
    started, got = time.monotonic(), []
    with pytest.raises(OutOfTime):
        for step in within(steps(0, 30), 0.2):
            got.append(step)
    assert got == [0] and time.monotonic() - started < 5


def test_the_time_that_the_caller_takes_is_not_counted():
    def given_back():
        return (yield from within(steps(0.01, 0.01), 0.5))

    seen = given_back()
    assert next(seen) == 0.01
    time.sleep(0.6)
    assert next(seen) == 0.01
    with pytest.raises(StopIteration) as stopped:
        next(seen)
    assert stopped.value.value == "end"


@pytest.fixture
def checked(tmp_path):
    """checked(seconds, id=(what it does, keys of the model) …) → id → lines of the check, after the sets' own."""
    (tmp_path / "nets.py").write_text(NETS)

    def check(seconds=60, sets=None, **models):
        blocks = {
            id: {"factory": f"{tmp_path}/nets.py:Net", "arguments": {"doing": doing}, "image_set": "s"}
            | {"preprocess": {"resize": [16, 16]}}
            | more
            for id, (doing, more) in models.items()
        }
        for i in range(24):
            path = tmp_path / "s" / "abc"[i % 3] / f"{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (16, 16), (10 * i, 0, 0)).save(path)
        sets = {"s": {"kind": "folder", "path": str(tmp_path / "s")}} | (sets or {})
        found, at = {}, None
        for line in networks.check(config.complete({"image_sets": sets, "models": blocks, "device": "cpu"}), seconds):
            if not line.mark:
                at = found.setdefault(line.name, [])
            else:
                at.append(line)
        return found

    return check


def test_any_error_of_a_model_is_one_line_and_the_others_continue(checked):
    found = checked(later=("later", {}), leaves=("leaves", {}), layers=("", {"layers": ["conv9"]}), good=("", {}))
    for id, said in (("later", "IndexError: list index"), ("leaves", "SystemExit: done here"), ("layers", "conv9")):
        wrong = [line.text for line in found[f"Model {id}"] if line.mark == "✗"]
        assert len(wrong) == 1 and said in wrong[0]
    assert "accuracy" in [line.name for line in found["Model good"]]


def test_any_error_of_an_image_set_is_one_line_and_the_others_continue(checked, tmp_path):
    (tmp_path / "bad.py").write_text("def read(path): raise KeyError('no such tag')\n")
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.bin").write_bytes(b"1")
    bad = {"kind": "folder", "path": str(tmp_path / "a"), "loader": f"{tmp_path}/bad.py:read"}
    found = checked(sets={"bad": bad}, first=("", {"image_set": "bad"}), second=("", {}))
    assert any(line.mark == "✗" for line in found["Image set bad"]), found
    assert "accuracy" in [line.name for line in found["Model second"]]


def test_a_model_that_hangs_costs_its_share_only(checked):
    found = checked(4, hangs=("hangs", {}), good=("", {}))
    assert (found["Model hangs"][-1].name, found["Model hangs"][-1].mark) == ("time", "!")
    assert "Model good" in found


def test_checks_without_time_are_reported(checked, monkeypatch):
    tried = feeding.check
    monkeypatch.setattr(feeding, "check", lambda seen, mapping, seconds: tried(seen, mapping, 0))
    line = next(line for line in checked(good=("", {}))["Model good"] if line.name == "preprocessing")
    assert line.mark == "!" and "0 others tested" in line.text and "no time for 1" in line.text


def test_too_few_pictures_for_lack_of_time_are_told_from_too_few_labels(checked, monkeypatch):
    run_sample = networks.run_sample
    monkeypatch.setattr(networks, "run_sample", lambda *given: run_sample(*given[:-1], 0))
    line = next(line for line in checked(good=("", {}))["Model good"] if line.name == "few labels")
    assert line.text.startswith("there was time for 2 labelled pictures only")
