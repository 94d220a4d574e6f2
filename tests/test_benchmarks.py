"""The benchmarks that call a job by hand call it as it is called today; their figures are not tested here."""

import sys

from benchmarks import __main__ as benchmarks
from benchmarks import memory


def test_the_forward_pass_is_measured_to_its_end():
    assert memory.peak(20) > 0


def test_a_machine_without_a_browser_measures_the_rest(monkeypatch, capsys):
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(sys, "argv", ["benchmarks", "map"])
    benchmarks.main()
    assert "map: not measured, no Chromium was found" in capsys.readouterr().out
