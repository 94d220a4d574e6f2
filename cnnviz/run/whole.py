"""Are the files that an earlier job left whole? Those that are not are put aside, and the next run makes them anew.

A crash of the machine, a full disk or a broken copy can cut a file short long after its job succeeded.
"""

import json
import os
import zipfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from cnnviz.errors import UserError


def check(paths: Iterable[Path]) -> None:
    """Raise UserError naming those of ``paths`` that are cut short; they then go by another name, ``….damaged``.

    Looks at the ends of ``.npz`` and ``.zip`` files, at the sizes of ``.npy`` files and at all of ``.json`` files; what
    is read later is summed up by zip itself. Others, and what is not there, are passed over.
    """
    damaged = {path: reason for path in map(Path, paths) if path.is_file() and (reason := _damage(path))}
    for path in damaged:
        os.replace(path, path.with_name(f"{path.name}.damaged"))
    if damaged:
        listed = "; ".join(f"{path} ({reason})" for path, reason in damaged.items())
        raise UserError(
            f"damaged: {listed}. It was made whole and has been cut short since; it now ends in .damaged. "
            "Run the same command again: what is missing is made anew"
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
