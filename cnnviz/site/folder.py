"""The site's folder: only changed files are written, and files that a renderer no longer makes are deleted.

Each renderer (one per model, and the index) keeps a list of its files beside the site, in ``<site>-files/``. A file
that is in no list (a CNAME, for example) is never changed.
"""

import json
import os
import re
import shutil
from filecmp import cmp
from pathlib import Path, PurePosixPath

from cnnviz.run import atomic


class Publication:
    """The files of one renderer, as a context manager: only a successful rendering deletes its old files.

    out: the site's folder. owner: the renderer, a slug. Addresses are relative to ``out``, with forward slashes.
    """

    def __init__(self, out: str | os.PathLike, owner: str):
        self.out = Path(out)
        self.listing = listings(out) / f"{owner}.json"
        self.files: set[str] = set()

    def write(self, address: str, content: bytes | str) -> None:
        """Publishes ``content``. A file with the same content keeps its date."""
        path = self._claim(address)
        content = content.encode("utf-8") if isinstance(content, str) else content
        if not (path.is_file() and path.stat().st_size == len(content) and path.read_bytes() == content):
            atomic.write_bytes(path, content)

    def copy(self, address: str, source: Path) -> None:
        """Publishes the file at ``source``, of any size."""
        path = self._claim(address)
        if not (path.is_file() and cmp(source, path, shallow=False)):
            with atomic.replacing(path) as temporary:
                shutil.copyfile(source, temporary)

    def _claim(self, address: str) -> Path:
        if not _inside(address):
            raise ValueError(f"{address!r} is outside the site")
        self.files.add(address)
        return self.out / address

    def __enter__(self) -> "Publication":
        return self

    def __exit__(self, kind, *_) -> None:
        if kind is None:
            _delete(self.out, _listed(self.listing) - self.files)
            _sweep(self.out, self.files)
            atomic.write_text(self.listing, json.dumps(sorted(self.files), indent=0))


def listings(out: str | os.PathLike) -> Path:
    """The folder with the lists of the renderers of the site at ``out``."""
    return Path(out).parent / f"{Path(out).name}-files"


def withdraw(out: str | os.PathLike, owners: set[str]) -> None:
    """Deletes the files of every renderer that is not among ``owners``."""
    for listing in sorted(listings(out).glob("*.json")):
        if listing.stem not in owners:
            _delete(Path(out), _listed(listing))
            listing.unlink()


def _listed(listing: Path) -> set[str]:
    return set(json.loads(listing.read_text("utf-8"))) if listing.is_file() else set()


def _inside(address: str) -> bool:
    path = PurePosixPath(address)
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts and "\\" not in address


def _sweep(out: Path, addresses: set[str]) -> None:
    """Removes temporary files that killed writers of these files left; :mod:`cnnviz.run.atomic` sets their names."""
    names: dict[str, set[str]] = {}
    for address in addresses:
        folder, _, name = address.rpartition("/")
        names.setdefault(folder, set()).add(name)
    for folder, own in names.items():
        for entry in os.scandir(out / folder):
            left = re.fullmatch(r"\.(.+)\.[a-z0-9_]{8}(\.\w+)?", entry.name)
            if left and left[1] in own:
                os.unlink(entry)


def _delete(out: Path, addresses: set[str]) -> None:
    for address in sorted(a for a in addresses if _inside(a)):
        path = out / address
        path.unlink(missing_ok=True)
        for folder in path.parents:
            if folder == out:
                break
            try:
                folder.rmdir()
            except OSError:  # not empty: it holds other files
                break
