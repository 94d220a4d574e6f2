"""Atomic file replacement: a file has either its old or its new content."""

import glob
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: str | os.PathLike) -> Iterator[Path]:
    """Yields a temporary path beside ``path``; moves it to ``path`` at the end, or removes it after an exception.

    So a killed or failed job leaves the last good result unchanged.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)  # mkstemp makes files that only their owner may read
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def sweep(paths: Iterable[str | os.PathLike]) -> None:
    """Removes temporary files that killed writers of the files at ``paths`` left.

    If such a writer is still running, although its job was abandoned, it then fails instead of replacing the file.
    """
    for path in map(Path, paths):
        for left in path.parent.glob(f".{glob.escape(path.name)}.*"):
            left.unlink(missing_ok=True)


def write_bytes(path: str | os.PathLike, content: bytes) -> None:
    """Replaces the file at ``path`` by ``content``."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: str | os.PathLike, content: str) -> None:
    """Replaces the file at ``path`` by ``content`` in UTF-8."""
    write_bytes(path, content.encode("utf-8"))
