"""What has changed since the last run? Hashes of code without its comments, and of files by their content.

The Snakefile puts these into ``params:``, so a job runs again when, and only when, what it computes could differ.
"""

import ast
import atexit
import functools
import hashlib
import os
import sqlite3
from pathlib import Path


def code_hash(module: str) -> str:
    """A hash of the syntax trees of ``module`` and of all it imports from this package, directly or not.

    Comments, docstrings and layout do not count. Nothing is imported, so this is fast and needs no torch.
    """
    digest = hashlib.sha256()
    for name in sorted(_reachable(module)):
        digest.update(f"{name}\0{_stripped(_source(name))}\0".encode())
    return digest.hexdigest()[:16]


def content_hash(path: str | os.PathLike) -> str:
    """A hash of the bytes at ``path``. It is remembered by (path, size, time of change), so a second call is cheap."""
    path = Path(path)
    status = path.stat()
    key = f"{path.resolve()}|{status.st_size}|{status.st_mtime_ns}"
    memory = _memory()
    row = memory.execute("select hash from content where key = ?", (key,)).fetchone()
    if row:
        return row[0]
    with open(path, "rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    memory.execute("insert or replace into content values (?, ?)", (key, found))
    return found


def folder_hash(folder: str | os.PathLike) -> str:
    """A hash of the names and bytes of all files below ``folder``."""
    files = sorted(path for path in Path(folder).rglob("*") if path.is_file())
    return hashlib.sha256("".join(f"{p}\0{content_hash(p)}\0" for p in files).encode()).hexdigest()[:16]


@functools.cache
def _memory() -> sqlite3.Connection:
    """What is remembered between runs. It sits with Snakemake's own notes and may be deleted at any time."""
    folder = Path(".snakemake")
    folder.mkdir(exist_ok=True)
    memory = sqlite3.connect(folder / "content-hashes.sqlite", timeout=30)
    memory.execute("create table if not exists content (key text primary key, hash text)")
    atexit.register(lambda: (memory.commit(), memory.close()))
    return memory


def _source(module: str) -> Path:
    root = Path(__file__).parent.parent
    path = root.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def _reachable(module: str) -> set[str]:
    found, waiting = set(), [module]
    while waiting:
        name = waiting.pop()
        if name not in found and _source(name).is_file():
            found.add(name)
            waiting.extend(_imports(_source(name)))
    return found


@functools.cache
def _imports(path: Path) -> tuple[str, ...]:
    names = []
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return tuple(name for name in names if name.split(".")[0] == "cnnviz")


@functools.cache
def _stripped(path: Path) -> str:
    tree = ast.parse(path.read_text("utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and ast.get_docstring(
            node, clean=False
        ):
            node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(tree)  # steadier from one Python version to the next than ast.dump
