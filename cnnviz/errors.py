"""Errors whose message is all that a user or a reader needs: no traceback is shown of them."""

import contextlib
import difflib
import faulthandler
import os
import re
import sys
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

LOG = "CNNVIZ_LOG"  # names the file that a job's log goes to
OUT_OF_MEMORY = (
    "Where a cluster's limit was met, --retries 2 asks for more each time; else a smaller batch: or smaller limits: "
    "in the config needs less"
)


class UserError(Exception):
    """Something in the config or in a file named there is wrong; the message says what, and what is valid."""


class NotApplicable(Exception):
    """A technique says nothing about this network; the message says why, for a reader of the gallery.

    A job that ends so leaves a result that holds the reason: see :func:`cnnviz.run.job.perform`.
    """

    def __init__(self, reason: str, provenance: dict | None = None):
        super().__init__(reason)
        self.provenance = provenance or {}


def unknown(what: str, name: str, valid: Iterable[str], most: int = 30) -> UserError:
    """An error for a ``name`` that is none of the ``valid`` ones: nearest names first, then what is valid."""
    valid = [str(v) for v in valid]
    near = difflib.get_close_matches(str(name)[:200], valid, n=3, cutoff=0.5)
    hint = f" Did you mean {' or '.join(quoted(n) for n in near)}?" if near else ""
    while most > 1 and sum(map(len, valid[:most])) > 600:
        most -= 1
    listed = ", ".join(v[:600] for v in valid[:most]) + (f", … ({len(valid)} in all)" if len(valid) > most else "")
    return UserError(f"{what}: there is no {quoted(name)}.{hint} Valid: {listed or '(none)'}")


def quoted(value: object, most: int = 100) -> str:
    """A value as Python writes it, for a message: in one line, its middle left out where it is long."""
    text = printable(ascii(value) if isinstance(value, str) and not value.isprintable() else repr(value))
    return text if len(text) <= most else f"{text[: most // 2]} … {text[-most // 3 :]}"


def printable(text: str) -> str:
    """The text with codes in place of what a terminal or page obeys or cannot show, such as colours or directions."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def words_of(error: BaseException) -> str:
    """An exception's words, "" where its own code fails to say them."""
    try:
        return str(error)
    except Exception:
        return ""


def in_a_line(error: BaseException, most: int = 300) -> str:
    """An exception's kind and words, for a message: in one line, cut where it is long."""
    words = printable(" ".join(words_of(error).split()))
    return f"{type(error).__name__}: {words[:most]}{' …' * (len(words) > most)}".removesuffix(": ")


@contextmanager
def reporting() -> Iterator[None]:
    """Turn an error into one message on standard error and exit status 1; say of memory what can be done.

    Of an error that no user can mend the message says where it came from, and the log, if there is one, how. Where a
    library crashes, the log says from where it was called.
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
    except BaseException as error:  # whatever libraries, or a user's own code, raise
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
    """Write a traceback into the job's log, past the terminal, which shows the rest of the log; say where it is."""
    path = os.environ.get(LOG)
    if path and os.path.isfile(path):
        sys.stdout.flush()
        with open(path, "a", encoding="utf-8", errors="replace") as log:
            log.write(story)
        return f"How it came about is in {path}"
    return "It came about " + " < ".join(
        f"in {frame.name} ({os.path.basename(frame.filename)}:{frame.lineno})"
        for frame in traceback.extract_tb(sys.exc_info()[2])[:-4:-1]
    )
