"""Errors with a message that is complete for users and readers, so that no traceback is shown."""

import contextlib
import difflib
import faulthandler
import os
import re
import sys
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

LOG = "CNNVIZ_LOG"  # environment variable with the path of the job's log
OUT_OF_MEMORY = (
    "If a cluster's limit was reached, --retries 2 requests more each time; else a smaller batch: or smaller limits: "
    "in the config needs less"
)


class UserError(Exception):
    """Something in the config or in one of its files is wrong; the message states what, and what is valid."""


class NotApplicable(Exception):
    """A technique does not apply to this network; the message states why, for readers of the gallery.

    The job's result then holds the reason: see :func:`cnnviz.run.job.perform`.
    """

    def __init__(self, reason: str, provenance: dict | None = None):
        super().__init__(reason)
        self.provenance = provenance or {}


def unknown(what: str, name: str, valid: Iterable[str], most: int = 30) -> UserError:
    """An error for a ``name`` that is not valid: with the nearest valid names, then all."""
    valid = [str(v) for v in valid]
    near = difflib.get_close_matches(str(name)[:200], valid, n=3, cutoff=0.5)
    hint = f" Did you mean {' or '.join(quoted(n) for n in near)}?" if near else ""
    while most > 1 and sum(map(len, valid[:most])) > 600:
        most -= 1
    listed = ", ".join(v[:600] for v in valid[:most]) + (f", … ({len(valid)} in all)" if len(valid) > most else "")
    return UserError(f"{what}: there is no {quoted(name)}.{hint} Valid: {listed or '(none)'}")


def quoted(value: object, most: int = 100) -> str:
    """A value in Python notation, for a message: in one line, its middle cut if it is long."""
    text = printable(ascii(value) if isinstance(value, str) and not value.isprintable() else repr(value))
    return text if len(text) <= most else f"{text[: most // 2]} … {text[-most // 3 :]}"


def printable(text: str) -> str:
    """The text with escape codes instead of control characters, such as colours or directions."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def words_of(error: BaseException) -> str:
    """An exception's message, "" if its own code fails."""
    try:
        return str(error)
    except Exception:
        return ""


def in_a_line(error: BaseException, most: int = 300) -> str:
    """An exception's class and message, in one line, cut if it is long."""
    words = printable(" ".join(words_of(error).split()))
    return f"{type(error).__name__}: {words[:most]}{' …' * (len(words) > most)}".removesuffix(": ")


@contextmanager
def reporting() -> Iterator[None]:
    """Turns an error into one message on standard error and exit status 1; for memory errors with advice.

    For an error that no user can fix, the message states its origin, and the log, if there is one, holds the traceback.
    If a library crashes, the log holds its caller.
    """
    with contextlib.suppress(KeyError, OSError):
        faulthandler.enable(open(os.environ[LOG], "a"))  # noqa: SIM115 (it stays open)
    try:
        yield
    except UserError as error:
        said = str(error)
    except SystemExit:
        raise
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        sys.exit(130)
    except BaseException as error:  # libraries and users' code raise anything
        how = _logged(traceback.format_exc())
        if isinstance(error, MemoryError) or re.search("out of memory|n't allocate memory", str(error), re.IGNORECASE):
            said = f"out of memory. {OUT_OF_MEMORY}"
        else:
            said = f"{in_a_line(error).rstrip('.')}. {how}"
    else:
        return
    print(f"error: {said}", file=sys.stderr)
    sys.exit(1)


def _logged(story: str) -> str:
    """Writes a traceback into the job's log, but not to the terminal, which shows its other lines; returns where."""
    path = os.environ.get(LOG)
    if path and os.path.isfile(path):
        sys.stdout.flush()
        with open(path, "a", encoding="utf-8", errors="replace") as log:
            log.write(story)
        return f"The traceback is in {path}"
    return "It was raised " + " < ".join(
        f"in {frame.name} ({os.path.basename(frame.filename)}:{frame.lineno})"
        for frame in traceback.extract_tb(sys.exc_info()[2])[:-4:-1]
    )
