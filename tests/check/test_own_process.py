"""The check of one model in its own process: any ending is one line, and the lines before it are kept."""

import faulthandler
import os
import sys
import time

import pytest

from cnnviz.check import own_process as module
from cnnviz.check.limit import OutOfTime
from cnnviz.check.own_process import in_own_process
from cnnviz.errors import UserError

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere all is done in one process")


class Odd(BaseException):
    pass


def raises():
    raise Odd("this\nway")


def steps(ending):
    yield "first"
    yield str(os.getpid())
    faulthandler.disable()  # pytest's
    ending()
    return "cost"


def got(ending, seconds=20):
    lines = []
    run = in_own_process(steps(ending), seconds)
    try:
        while True:
            lines.append(next(run))
    except StopIteration as stopped:
        lines.append(stopped.value)
    except UserError as error:
        lines.append(str(error))
    return lines


def test_what_a_process_of_its_own_yields_and_gives_back_comes_here():
    first, process, cost = got(lambda: None)
    assert (first, cost) == ("first", "cost") and process != str(os.getpid())


@pytest.mark.parametrize(
    ("ending", "said"),
    [
        (lambda: os.kill(os.getpid(), 11), "SIGSEGV: a crash in compiled code"),
        (lambda: os.kill(os.getpid(), 9), "SIGKILL.*memory"),
        (os.abort, "SIGABRT"),
        (lambda: os._exit(0), "ended the process"),
        (raises, "Odd: this way"),
    ],
)
def test_lines_before_any_ending_are_kept(ending, said):
    first, _, words = got(ending)
    assert first == "first"
    with pytest.raises(UserError, match=said):
        raise UserError(words)


def test_what_no_signal_stops_is_killed(monkeypatch):
    monkeypatch.setattr(module, "GRACE", 0)
    started = time.monotonic()
    with pytest.raises(OutOfTime):
        got(lambda: time.sleep(30), 0.3)
    assert time.monotonic() - started < 10
