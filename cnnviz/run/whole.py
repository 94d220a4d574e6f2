"""Checks that files of earlier jobs are complete. Truncated files are renamed, and the next run makes them again.

A crash of the machine, a full disk or a broken copy can truncate a file long after its job succeeded.
"""

import json
import os
import zipfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from cnnviz.errors import UserError


def check(paths: Iterable[Path]) -> None:
    """Raises UserError with the truncated ``paths``; these are renamed to ``….damaged``.

    It reads the ends of ``.npz`` and ``.zip`` files, the sizes of ``.npy`` files and all of ``.json`` files; zip checks
    the rest when it is read. Other files and missing files are skipped.
    """
    damaged = {path: reason for path in map(Path, paths) if path.is_file() and (reason := _damage(path))}
    for path in damaged:
        os.replace(path, path.with_name(f"{path.name}.damaged"))
    if damaged:
        listed = "; ".join(f"{path} ({reason})" for path, reason in damaged.items())
        raise UserError(
            f"damaged: {listed}. It was complete once and was truncated later; it is renamed to .damaged. "
            "Run the same command again: missing files are made again"
        )


def _damage(path: Path) -> str:
    try:
        if path.suffix in (".npz", ".zip"):
            zipfile.ZipFile(path).close()
        elif path.suffix == ".npy":
            np.load(path, mmap_mode="r", allow_pickle=False)
        elif path.suffix == ".json":
            json.loads(path.read_text("utf-8"))
    except (zipfile.BadZipFile, ValueError, EOFError) as error:
        return str(error).split("\n")[0]
    return ""
