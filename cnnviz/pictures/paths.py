"""Finds the files that a table names: paths in other spellings, of another machine, or without endings."""

import contextlib
import functools
import os
import unicodedata
from collections.abc import Iterator, Sequence

from cnnviz.pictures import decoding
from cnnviz.pictures.decoding import visible

_SAMPLE = 60
# For texts that are not UTF-8. Detectors fail on a few short words, so existing files decide.
ENCODINGS = ("cp1252", "mac_roman", "cp1250", "cp1251", "cp932", "gb18030", "cp949", "big5")


class Places:
    """Finds the file of a path in a table, by what most of a sample of its paths have in common.

    A path is relative to the set's root (its ``root``, else the table's folder) or, if more files are found there, to
    the working directory. It may start with folders that do not exist, such as those of another machine.
    """

    def __init__(self, config: dict, paths: Sequence[str], told: list[str]):
        self.root = root_of(config)
        sample = [path.strip() for path in paths[:: max(1, len(paths) // _SAMPLE)] if path.strip()]
        slashed = any("\\" in path for path in paths)
        self.slashes = slashed and not any(
            os.path.lexists(self._below(path)) or self._found(path, self.root, 0) for path in sample if "\\" in path
        )
        if self.slashes:
            told.append("backslashes in paths are read as slashes")
        sample = [self._slashed(path) for path in sample]
        self.plain = all(os.path.isfile(self._below(path)) for path in sample)
        self.base, self.drop = self.root, 0
        if not self.plain:
            self._search(sample, told)
        absolute = [os.path.dirname(self._slashed(path)) for path in paths if os.path.isabs(self._slashed(path))]
        self.common = os.path.commonpath(absolute) if absolute else None
        self.completed = 0

    def of(self, path: str) -> tuple[str, str | None]:
        """The picture's name, and its path below the root if it differs."""
        plain = self.plain and path.isascii() and "\0" not in path  # other letters may have several encodings
        path = visible(self._slashed(path))
        plain = plain and os.path.splitext(path)[1]
        if plain and not os.path.isabs(path):
            return os.path.normpath(path), None
        file = self._below(path)
        if not plain:
            found = self._found(path, self.base, self.drop)
            if found is None:
                return self._name(path), None if self._name(path) == path else path
            self.completed += not found.endswith("/".join(path.split("/")[self.drop :]).removeprefix("./"))
            file = found
        name = visible(self._name(os.path.relpath(file, self.base) if self.drop or not os.path.isabs(path) else file))
        below = file if os.path.isabs(path) and not self.drop else os.path.relpath(file, self.root or ".")
        return name, None if below == name else below

    def tell(self, told: list[str]) -> None:
        """Appends to ``told`` how file names were changed, once all were looked up."""
        if self.completed:
            told.append(f"{self.completed} × the file's name differs from the table's in its ending or capitals")

    def _slashed(self, path: str) -> str:
        return path.strip().replace("\\", "/") if self.slashes else path.strip()

    def _below(self, path: str) -> str:
        return os.path.join(self.root, path)

    def _name(self, path: str) -> str:
        """A name for publication, which does not show the machine's folders."""
        if os.path.isabs(path):
            path = os.path.relpath(path, self.common) if self.common else os.path.basename(path)
        return path

    def _search(self, sample: list[str], told: list[str]) -> None:
        """Chooses the base folder, and the number of first folders to drop, with which most of the sample is found."""
        most = 0
        deepest = max(path.count("/") for path in sample)
        for drop in range(deepest + 1):
            for base in dict.fromkeys([self.root, "."]):
                count = sum(self._found(path, base, drop) is not None for path in sample)
                if count > most:
                    most, self.base, self.drop = count, base, drop
            if most > len(sample) / 2:
                break
        if self.base != self.root:
            told.append("paths are relative to the working directory")
        if self.drop:
            told.append(f"the first {self.drop} folders of paths are dropped, as they do not exist here")

    def _found(self, path: str, base: str, drop: int) -> str | None:
        """The file below ``base``, with any ending, capitals and form of accents, or None."""
        if os.path.isabs(path) and not drop:
            base, path = "/", path.lstrip("/")
        elif drop > path.count("/"):
            return None
        here = os.path.join(base, *path.split("/")[drop:])
        if os.path.isfile(here):
            return here
        here = base
        for part in (parts := path.split("/")[drop:])[:-1]:
            here = os.path.join(here, part if part in (".", "..", "") else _inside(here)[0].get(_key(part), part))
        whole, stems = _inside(here)
        last = whole.get(_key(parts[-1])) or stems.get(_key(parts[-1]))
        return os.path.join(here, last) if last and os.path.isfile(os.path.join(here, last)) else None


def root_of(config: dict) -> str:
    """The folder that a set's paths are relative to."""
    return config["path"] if config["kind"] == "folder" else config.get("root") or os.path.dirname(config["path"])


@functools.lru_cache(10_000)
def _inside(folder: str) -> tuple[dict[str, str], dict[str, str]]:
    """A folder's files by possible spellings of their names; and its pictures by names without endings."""
    try:
        names = sorted(os.listdir(folder or "."))
    except (OSError, ValueError):
        return {}, {}
    whole, stems, readable = {}, {}, decoding.ENDINGS | decoding.HEIC
    for name in reversed(names):
        for spelt in _spellings(name):
            whole[_key(spelt)] = name
            stem, ending = os.path.splitext(spelt)
            if ending.lower() in readable:
                stems[_key(stem)] = name
    return whole, stems


def _spellings(name: str) -> Iterator[str]:
    """A file's name as text; for a name that is not UTF-8, its possible spellings in a table."""
    yield visible(name)
    if visible(name) != name:
        for encoding in ENCODINGS:
            with contextlib.suppress(UnicodeError):
                yield os.fsencode(name).decode(encoding)


def _key(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()
