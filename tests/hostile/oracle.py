"""The requirement for hostile input: it works, or the user gets one or two sentences, quickly, and nothing else."""

import signal
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from cnnviz.errors import UserError

LINES, LETTERS = 4, 1200  # a message lists up to thirty valid names


class Wrong(AssertionError):
    """A behaviour that no user should meet; the message describes it."""


class _TooLong(BaseException):
    pass


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Raises Wrong if the block takes longer.

    CPU seconds count, so that other programs do not matter; the wall-clock limit is 30 times as long.
    """

    def ring(number, frame):
        raise _TooLong

    clocks = {signal.ITIMER_PROF: (signal.SIGPROF, seconds), signal.ITIMER_REAL: (signal.SIGALRM, 30 * seconds)}
    before = {number: signal.signal(number, ring) for number, _ in clocks.values()}
    try:
        for clock, (_, most) in clocks.items():
            signal.setitimer(clock, most)
        yield
    except _TooLong as late:
        place = traceback.extract_tb(late.__traceback__)[-2]
        raise Wrong(f"takes longer than {seconds} s, in {place.filename}:{place.lineno}") from late
    finally:
        for clock in clocks:
            signal.setitimer(clock, 0)
        for number, handler in before.items():
            signal.signal(number, handler)


def said_by(call: Callable[[], object], seconds: float) -> str:
    """The message of ``call`` to the user: "" if it works. Raises Wrong."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with within(seconds):
                call()
        except UserError as error:
            return plain(str(error))
        except (Wrong, KeyboardInterrupt):
            raise
        except BaseException as error:
            trace = traceback.extract_tb(error.__traceback__)
            ours = [f"{f.filename.rpartition('cnnviz/')[2]}:{f.lineno}" for f in trace if "cnnviz/" in f.filename]
            places = [p for p in ours if not p.startswith("tests/")] or ours
            raise Wrong(f"{type(error).__name__}: {str(error)[:300]} in {' < '.join(places[::-1][:3])}") from error
    return ""


def plain(message: str) -> str:
    """The message, if it is short, printable text. Raises Wrong."""
    if not (5 < len(message) <= LETTERS and len(message.splitlines()) <= LINES):
        raise Wrong(f"a message of {len(message)} letters in {len(message.splitlines())} lines: {message[:300]!r}")
    if "Traceback" in message or not all(c.isprintable() or c == "\n" for c in message):
        raise Wrong(f"no plain message: {message[:300]!r}")
    return message
