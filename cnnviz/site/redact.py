"""Removes this machine's paths and users from logs and configs."""

import re
from pathlib import Path

_HOME = re.compile(r"(?<![\w./])/(?:home|Users)/[^/\s'\"]+(?![^\s'\"])|(?<![\w./])/root(?![\w/.-])")
_UNIX = re.compile(r"(?<![\w./])/(?:[^/\s'\"<>|:*?]+/)+([^/\s'\"<>|:*?]*)")
_WINDOWS = re.compile(r"\b[A-Za-z]:\\(?:[^\\\s'\"<>|]+\\)*([^\\\s'\"<>|]*)")
_HOME_PART = re.compile(r"~[\w.-]+/")
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def redact(value):
    """Replaces absolute paths by their file names, in a string or anywhere in a JSON value (including keys)."""
    if isinstance(value, str):
        value = _HOME.sub("~", value)
        value = _UNIX.sub(lambda m: m[1] or "…", value)
        return _HOME_PART.sub("", _WINDOWS.sub(lambda m: m[1] or "…", value))
    if isinstance(value, dict):
        return {redact(k): redact(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [redact(v) for v in value]
    return value


def log_end(path: Path | None, lines: int = 15) -> str:
    """The last lines of a log, redacted, with only the last state of a progress bar. "" if there is no log.

    If the log ends with an error in words, only that is returned.
    """
    if path is None or not path.is_file():
        return ""
    with open(path, "rb") as file:
        file.seek(max(0, path.stat().st_size - 64_000))
        text = file.read().decode("utf-8", "replace")
    text = _ESCAPES.sub("", text.replace("\r\n", "\n"))
    last = [line.rstrip("\r").rsplit("\r", 1)[-1].rstrip()[:400] for line in text.rstrip().split("\n")]
    words = [i for i, line in enumerate(last) if line.startswith("error: ")]
    last = last[words[-1] :] if words else last[-lines:]
    clean = "".join(c for c in "\n".join(last) if c in "\n\t" or c.isprintable())
    return redact(clean)
