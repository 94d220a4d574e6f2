"""Reports a failed job by a sentence and the path of its log, instead of the whole command."""

import logging
import re
from pathlib import Path

from cnnviz.errors import printable

_FAILED = re.compile(r"CalledProcessError in file .*\| tee ([^\s']+)' (returned non-zero|died with)", re.DOTALL)

_ENDS = ("error: ", "killed by", "Traceback (most recent call last)", "Fatal Python error")


def shorten_reports() -> None:
    """Shortens Snakemake's reports of failed jobs in this process from now on, see :func:`sentence`."""
    from snakemake.logging import logger

    if not any(isinstance(f, _Sentence) for f in logger.filters):
        logger.addFilter(_Sentence())


class _Sentence(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        if found := _FAILED.search(record.getMessage()):
            record.msg, record.args = sentence(Path(found[1])), ()
        return True


def sentence(log: Path) -> str:
    """The report of a failed job: its last error, or else its log's last line; the lines before it; the log's path."""
    try:
        text = log.read_bytes().decode("utf-8", "replace").rstrip()
    except OSError:
        text = ""
    lines = [printable(line.rsplit("\r", 1)[-1].strip()) for line in text.split("\n")]
    told = [line for line in lines if line.startswith("error: ")]  # lines to paste may follow it
    last = (told[-1] if told and not lines[-1].startswith("killed by") else lines[-1]).removeprefix("error: ")[:1000]
    _, _, place = log.with_suffix("").as_posix().rpartition("/logs/")
    job = place.replace(".view", ", its figures").replace("/", " · ")
    failed = f"{job} failed: {last or 'its log is empty'}"
    return "\n".join([failed, *_before(text)] + ([f"Its log: {log}"] if str(log) not in last else []))


def _before(text: str) -> list[str]:
    """The last three lines of a log before an error, or before its last line, without progress bars."""
    lines = [line for line in text.split("\n")[:-1] if line.strip() and "\r" not in line]
    ends = [i for i, line in enumerate(lines) if line.startswith(_ENDS)]
    return [f"    {printable(line[:200])}" for line in lines[: ends[0] if ends else None][-3:]]
