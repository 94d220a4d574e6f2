"""The user's own Python code that a config names: ``file.py:function`` or ``module:function``.

:func:`function` runs it as it would run beside its neighbouring files, inside its package or its ``src/`` layout.
:func:`files` lists the user's own files that it imports, without running anything. A change of these reruns its jobs.
"""

import contextlib
import functools
import importlib.machinery
import importlib.util
import os
import sys
import sysconfig
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from cnnviz.errors import UserError, in_a_line, unknown
from cnnviz.run.fingerprint import imports

# Files that mark a project's top folder.
_MARKS = ("pyproject.toml", "setup.py", "setup.cfg", ".git", "requirements.txt")
_ABOVE = 3  # number of parent folders to search if there is no such file
_INSTALLED = {os.path.realpath(sysconfig.get_paths()[key]) for key in ("stdlib", "platstdlib", "purelib", "platlib")}
_ALONE = threading.RLock()  # guards the command line and the folder of the process, which `guarded` sets


@dataclass(frozen=True)
class Module:
    """A Python file. name: its dotted import name. root: the folder of the first part of that name."""

    name: str
    file: Path
    root: Path

    @property
    def package(self) -> str:
        """The package that its relative imports refer to."""
        return self.name if self.file.name == "__init__.py" else self.name.rpartition(".")[0]


def located(place: str, where: str) -> tuple[Module, str]:
    """The module of ``file.py:function`` or ``module:function``, and the function's name. Nothing is run.

    where: the config key with this value. Raises UserError if there is no such module.
    """
    path, _, name = place.rpartition(":")
    if path.endswith(".py"):
        return _of_file(Path(os.path.abspath(path))), name
    top, *parts = path.split(".")
    with contextlib.suppress(ImportError, ValueError, AttributeError):
        found = importlib.util.find_spec(top)
        for i, _ in enumerate(parts, 2):  # find_spec itself would run the parent packages
            folders = found.submodule_search_locations
            found = importlib.machinery.PathFinder.find_spec(".".join(path.split(".")[:i]), folders)
        if found and found.origin and found.origin.endswith(".py"):
            file = Path(found.origin)
            depth = len(parts) + (file.name == "__init__.py")
            return Module(path, file, file.parents[depth]), name
    if inside := _below([Path.cwd(), Path.cwd() / "src"], path):
        return inside, name
    raise UserError(
        f"{where}: there is no Python module {path}. Install it beside cnnviz (uv pip install -e FOLDER), or name its "
        f"file: path/to/file.py:{name}"
    )


def _of_file(file: Path) -> Module:
    """``file`` inside its package: up to the last folder with an ``__init__.py``, or as its relative imports need."""
    depth = max((level for level, _ in imports(file)), default=0)
    root, parts = file.parent, [] if file.name == "__init__.py" else [file.stem]
    while root != root.parent and (os.path.isfile(root / "__init__.py") or depth > 0):
        parts.insert(0, root.name)
        root, depth = root.parent, depth - 1
    return Module(".".join(parts) or file.stem, file, root)


def _below(folders: list[Path], name: str) -> Module | None:
    """The module of that dotted name in the first folder that has it."""
    for folder in folders:
        *packages, last = name.split(".")
        inside = folder.joinpath(*packages)
        for file in (inside / last / "__init__.py", inside / f"{last}.py"):
            if os.path.isfile(file):
                return Module(name, file, folder)
    return None


def files(place: str) -> list[str]:
    """The user's own files of ``place``: its module's, and those that it imports, directly or not.

    Paths are relative if ``place`` is. Installed files do not count. The list is empty if ``place`` cannot be found.
    """
    try:
        reached = _reached(located(place, "")[0])
    except UserError:
        return []
    found = [str(module.file) for module in reached if not _installed(module.file)]
    return found if os.path.isabs(place) else [os.path.relpath(file) for file in found]


@functools.cache
def _reached(start: Module) -> tuple[Module, ...]:
    """``start``, the user's own modules that it imports, directly or not, and their parent packages."""
    if _installed(start.file) or start.name.startswith("cnnviz."):  # the demo's code, whose package holds the version
        return (start,)
    folders = _folders(start)
    found: dict[str, Module] = {}
    waiting = [start]
    while waiting:
        module = waiting.pop()
        if module.name in found:
            continue
        found[module.name] = module
        for level, name in [(0, module.package), *imports(module.file)]:  # a package runs before its modules
            places = [module.root] if level else _places(name.split(".")[0], start, folders)
            if level:
                around = module.package.split(".") if module.package else []
                name = ".".join([*around[: len(around) - level + 1], *([name] if name else [])])
            parts = name.split(".")
            for i in range(1, len(parts) + 1):
                if inner := _below(places, ".".join(parts[:i])):
                    waiting.append(inner)
    return start, *(module for module in found.values() if module is not start)


def _folders(start: Module) -> list[Path]:
    """Folders for the absolute imports of ``start``: its own, as for a script, then up to its project's top folder."""
    above = [start.root, *start.root.parents]
    top = next((i for i, folder in enumerate(above) if any(os.path.exists(folder / mark) for mark in _MARKS)), _ABOVE)
    found = [inner for folder in above[: top + 1] for inner in (folder, folder / "src")]
    return [*dict.fromkeys([start.file.parent, *found])]


def _places(top: str, start: Module, folders: list[Path]) -> list[Path]:
    """Folders that may hold the user's module of that first name; none for Python's and installed modules."""
    if top == start.name.split(".")[0]:
        return [start.root]
    if not top or top in sys.stdlib_module_names or top == "cnnviz":
        return []
    if _below(folders[:1], top):
        return folders[:1]
    found = None
    with contextlib.suppress(ImportError, ValueError, AttributeError):
        found = importlib.util.find_spec(top)
    if found is None or not found.origin:
        return folders
    if _installed(found.origin):
        return []
    return [*folders, Path(found.origin).parents[found.submodule_search_locations is not None]]


def _installed(file: str | os.PathLike) -> bool:
    return any(Path(os.path.realpath(file)).is_relative_to(folder) for folder in _INSTALLED)


# ------------------------------------------------------------------------------------------------------- running it


def function(place: str, where: str) -> Callable:
    """The function that ``place`` names. Its module is run in its current version, with the user's files it imports.

    Two projects may have files of one name. That name then refers to the project that was requested last. Raises
    UserError for any error of the code, and if there is no such function.
    """
    module, name = located(place, where)
    with guarded(place, where):
        loaded = _loaded(module)
    found = loaded
    for part in name.split("."):
        if not hasattr(found, part):
            functions = [n for n, value in vars(found).items() if callable(value) and not n.startswith("_")]
            own = [n for n in functions if getattr(getattr(found, n), "__module__", "") == loaded.__name__]
            raise unknown(f"{where} {place.rpartition(':')[0]}", name, own or functions)
        found = getattr(found, part)
    return found


def _loaded(module: Module) -> ModuleType:
    reached = _reached(module)
    if not _installed(module.file):
        tops = {m.name.split(".")[0] for m in reached} - {"cnnviz"}
        for name, old in [*sys.modules.items()]:
            if name.split(".")[0] in tops and not _installed(getattr(old, "__file__", None) or ""):
                del sys.modules[name]
    for folder in reversed(dict.fromkeys([module.file.parent, module.root, *(m.root for m in reached)])):
        if str(folder) in sys.path[_after_python() :]:
            sys.path.remove(str(folder))
        if str(folder) not in sys.path:
            sys.path.insert(_after_python(), str(folder))
    importlib.invalidate_caches()
    top = importlib.util.find_spec(module.name.split(".")[0])
    at = [os.path.dirname(p) for p in (top.origin, *(top.submodule_search_locations or ())) if p] if top else []
    if str(module.root) in at:  # and it is this module, not another of that name
        try:
            return importlib.import_module(module.name)
        except Exception:
            if "." not in module.name or any(level for level, _ in imports(module.file)):
                raise  # otherwise perhaps only a parent package fails, which is not needed
    name = f"cnnviz_user_{module.file.stem}"
    spec = importlib.util.spec_from_file_location(name, module.file)
    loaded = sys.modules[name] = importlib.util.module_from_spec(spec)  # dataclasses look up their module there
    spec.loader.exec_module(loaded)
    return loaded


def _after_python() -> int:
    """Index in sys.path after Python's own modules, which keep precedence, and before installed ones."""
    own = os.path.realpath(sysconfig.get_paths()["stdlib"])
    return 1 + max(i for i, p in enumerate(sys.path) if os.path.realpath(p).startswith(own) and "-packages" not in p)


@contextlib.contextmanager
def guarded(place: str, where: str) -> Iterator[None]:
    """Context for the user's code: no command line; it may change the folder, warn, print and fail.

    Raises UserError, in one line, for everything that it raises except Ctrl-C.
    """
    with _ALONE:
        arguments, folder = sys.argv, os.getcwd()
        sys.argv = [place.rpartition(":")[0]]
        try:
            # keeps warnings and standard error out of the report
            with warnings.catch_warnings(), contextlib.redirect_stderr(sys.stdout):
                yield
        except (UserError, KeyboardInterrupt):
            raise
        except BaseException as error:
            home = getattr(sys.modules.get(type(error).__module__), "__file__", "")
            if not isinstance(error, Exception | SystemExit | GeneratorExit) and not _users(home):
                raise
            raise UserError(f"{where} {place} failed: {_told(error)}") from error
        finally:
            sys.argv = arguments
            os.chdir(folder)


def _told(error: BaseException) -> str:
    words = in_a_line(error)
    lines = [frame for frame in traceback.extract_tb(error.__traceback__) if _users(frame.filename)]
    if isinstance(error, ModuleNotFoundError) and error.name:
        return f"{words}. It is neither installed (uv pip install {error.name.split('.')[0]}) nor beside that file"
    if isinstance(error, FileNotFoundError) and error.filename and not os.path.isabs(str(error.filename)):
        words += f". Relative paths are relative to {os.getcwd()}; write Path(__file__).parent / {error.filename!r}"
    return words + (f" ({Path(lines[-1].filename).name}, line {lines[-1].lineno})" if lines else "")


def _users(file: str | None) -> bool:
    """Whether it is one of the user's own files."""
    return (
        bool(file)
        and os.path.isabs(file)
        and not _installed(file)
        and Path(__file__).parents[1] not in Path(file).parents
    )
