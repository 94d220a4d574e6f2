"""The site's folder: only changed bytes are written, and what a renderer no longer makes is deleted.

Each renderer (one a model, and the index) keeps a listing of its own files beside the site, in ``<site>-files/``.
A file that is in no listing (a CNAME, say) is never touched.
"""

import json
import os
import re
import shutil
from filecmp import cmp
from pathlib import Path, PurePosixPath

from cnnviz.run import atomic


class Publication:
    """The files of one renderer. Use as a context manager: only a rendering that succeeds deletes what it left out.

    out: the site's folder. owner: the renderer, a slug. Addresses are relative to ``out``, with forward slashes.
    """

    def __init__(self, out: str | os.PathLike, owner: str):
        self.out = Path(out)
        self.listing = listings(out) / f"{owner}.json"
        self.files: set[str] = set()

    def write(self, address: str, content: bytes | str) -> None:
        """Publish ``content``; a file that holds it already keeps its date."""
        path = self._claim(address)
        content = content.encode("utf-8") if isinstance(content, str) else content
        if not (path.is_file() and path.stat().st_size == len(content) and path.read_bytes() == content):
            atomic.write_bytes(path, content)

    def copy(self, address: str, source: Path) -> None:
        """Publish the file at ``source``, however large."""
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
    """Where the renderers of the site at ``out`` keep their listings."""
    return Path(out).parent / f"{Path(out).name}-files"


def withdraw(out: str | os.PathLike, owners: set[str]) -> None:
    """Delete the files of every renderer that is not among ``owners``."""
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
    """Remove what killed writers of these files left beside them; see :mod:`cnnviz.run.atomic`, whose names these
    are."""
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
            except OSError:  # not empty: somebody else's files are in it
                break
