"""Stops work after a time limit, whatever a network does."""

import signal
import threading
import time
from collections.abc import Generator


class OutOfTime(BaseException):
    """The time is up. It is not an Exception, so that a network's code does not catch it."""


def within(steps: Generator, seconds: float) -> Generator:
    """The same generator, stopped by OutOfTime if its own work takes longer; the caller's time does not count.

    Python stops between two operations, so a single one can take longer. Without signals (in a thread, on Windows) it
    stops between two steps only.
    """
    can_stop = hasattr(signal, "setitimer") and threading.current_thread() is threading.main_thread()
    left = seconds

    def stop(*_) -> None:
        raise OutOfTime

    while True:
        if left <= 0:
            steps.close()
            raise OutOfTime
        before = signal.signal(signal.SIGALRM, stop) if can_stop else None
        started = time.monotonic()
        try:
            if can_stop:
                signal.setitimer(signal.ITIMER_REAL, left)
            step = next(steps)
        except StopIteration as stopped:
            return stopped.value
        finally:
            if can_stop:
                signal.setitimer(signal.ITIMER_REAL, 0)
                signal.signal(signal.SIGALRM, before)
            left -= time.monotonic() - started
        yield step
