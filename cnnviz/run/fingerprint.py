"""Detects changes since the last run, by hashes of code without comments and of files' content.

The rules put these into ``params:``, so a job runs again if, and only if, its result could differ.
"""

import ast
import atexit
import functools
import hashlib
import json
import os
import sqlite3
import stat
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from cnnviz.errors import UserError

_HOW = Path(__file__).read_bytes()  # cached entries of a module also depend on this file's code


@functools.cache
def code_hash(module: str) -> str:
    """Hash of the syntax trees of ``module`` and of everything that it imports from this package, directly or not.

    Comments, docstrings and layout do not count. Nothing is imported, so this is fast and needs no torch.
    """
    digest = hashlib.sha256()
    with _memory():  # commits the new cache entries
        for name in sorted(_reachable(module)):
            digest.update(f"{name}\0{_parsed(_source(name))[1]}\0".encode())
    return digest.hexdigest()[:16]


def content_hash(path: str | os.PathLike) -> str:
    """Hash of the bytes at ``path``; see :func:`content_hashes`. Raises UserError if it is not a readable file."""
    found = content_hashes([path])[0]
    if found is None:
        raise UserError(f"{path} is not a readable file")
    return found


def content_hashes(paths: Iterable[str | os.PathLike]) -> list[str | None]:
    """Hash of the bytes at each path, None if it is not a readable file.

    Hashes are cached by (path, size, time of change). So a second call costs one status call per file and one query to
    the cache, even for many thousands of files.
    """
    paths = [os.path.abspath(path) for path in paths]
    keys = [_key(path) for path in paths]
    memory = _memory()
    asked = (json.dumps([key for key in keys if key is not None]),)
    known = dict(memory.execute("select key, hash from content where key in (select value from json_each(?))", asked))
    new = {key: path for key, path in zip(keys, paths, strict=True) if key is not None and key not in known}
    with ThreadPoolExecutor(4) as pool:
        found = {key: digest for key, digest in zip(new, pool.map(_digest, new.values()), strict=True) if digest}
    if found:
        with memory:  # commits, so that another run does not wait for the end of this one
            memory.executemany("insert or replace into content values (?, ?)", found.items())
    known |= found
    return [known.get(key) for key in keys]


def imports(path: Path) -> list[tuple[int, str]]:
    """(level, name) of the imports of the Python file at ``path``, see _imports; empty if it cannot be read."""
    with _memory():
        try:
            return _parsed(path)[0]
        except (OSError, SyntaxError, ValueError, RecursionError):
            return []


def source_hash(path: str | os.PathLike) -> str:
    """Hash of a Python file's code, without comments and docstrings; of its bytes if it is not valid code."""
    try:
        with _memory():
            return hashlib.sha256(_parsed(Path(path))[1].encode()).hexdigest()
    except (SyntaxError, ValueError, RecursionError):
        return content_hash(path)


def folder_hash(folder: str | os.PathLike) -> str:
    """Hash of the names and bytes of all files below ``folder``."""
    files = sorted(path for path in Path(folder).rglob("*") if path.is_file())
    hashed = zip(files, content_hashes(files), strict=True)
    return hashlib.sha256("".join(f"{p}\0{digest}\0" for p, digest in hashed).encode()).hexdigest()[:16]


def _key(path: str) -> str | None:
    try:
        status = os.stat(path)
    except (OSError, ValueError):  # missing, or not a valid file name
        return None
    if not stat.S_ISREG(status.st_mode):
        return None
    name = path.encode("utf-8", "backslashreplace").decode()  # a name may hold bytes that are not UTF-8
    return f"{name}|{status.st_size}|{status.st_mtime_ns}"


def _digest(path: str) -> str | None:
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None


@functools.cache
def _memory() -> sqlite3.Connection:
    """The cache between runs. It is beside Snakemake's metadata and may be deleted at any time."""
    folder = Path(".snakemake")
    folder.mkdir(exist_ok=True)
    memory = sqlite3.connect(folder / "content-hashes.sqlite", timeout=30)
    memory.execute("create table if not exists content (key text primary key, hash text)")
    memory.execute("create table if not exists code (key text primary key, imports text, stripped text)")
    atexit.register(memory.close)
    return memory


def _source(module: str) -> Path:
    root = Path(__file__).parents[2]
    path = root.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def _reachable(module: str) -> set[str]:
    found, waiting = set(), [module]
    while waiting:
        name = waiting.pop()
        if name not in found and _source(name).is_file():
            found.add(name)
            # without the package itself, which holds the version: a new version alone must not rerun anything
            waiting.extend(n for level, n in _parsed(_source(name))[0] if not level and n.startswith("cnnviz."))
    return found


@functools.cache
def _parsed(path: Path) -> tuple[list[tuple[int, str]], str]:
    """The imports of the module at ``path``, see :func:`_imports`, and its code without comments and docstrings.

    Parsing a hundred modules takes longer than all of Snakemake's planning. So the result is cached by the file's
    content, this file's content and the version of Python.
    """
    source, how = path.read_bytes(), _HOW
    key = hashlib.sha256(b"\0".join([source, how, sys.version.encode()])).hexdigest()
    known = _memory().execute("select imports, stripped from code where key = ?", (key,)).fetchone()
    if known is None:
        tree = ast.parse(source)
        known = json.dumps(_imports(tree)), _stripped(tree)
        _memory().execute("insert or replace into code values (?, ?, ?)", (key, *known))
    return json.loads(known[0]), known[1]


def _imports(tree: ast.Module) -> list[tuple[int, str]]:
    """(level, name) of every import that may be a module: level 0 is absolute, 1 the module's package, and so on."""
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [(0, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            start = f"{node.module}." if node.module else ""
            names += [(node.level, start[:-1]), *((node.level, start + alias.name) for alias in node.names)]
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("import_module", "__import__")):
            names += [(0, a.value) for a in node.args[:1] if isinstance(a, ast.Constant) and isinstance(a.value, str)]
    return names


def _stripped(tree: ast.Module) -> str:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and ast.get_docstring(
            node, clean=False
        ):
            node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(tree)  # more stable across Python versions than ast.dump
