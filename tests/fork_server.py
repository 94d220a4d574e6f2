"""A process that has imported what takes seconds, and forks for each ``python -m`` that fork_client.py asks for.

``python fork_server.py NUMBER``: requests come from the listening socket of this file number; the server ends with its
standard input. To the tests a fork is like a new interpreter: its standard files, environment, working folder,
arguments, paths and exit status are its own, and ``sys.modules`` holds a module of PACKAGES only after its import,
since results name the packages that made them.
"""

import atexit
import contextlib
import copy
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import sys
import threading
import warnings
from typing import NoReturn

import numpy

PACKAGES = ("PIL", "openTSNE", "scipy", "sklearn", "torch")
IMPORTED = ("jinja2", "jsonschema", "yaml", "PIL.Image", "scipy.ndimage", "openTSNE", "torch")
SNAKEMAKES = ("snakemake.cli", "snakemake.report.html_reporter", "requests", "smart_open")  # also what it imports late


class Kept:
    """Finds a package that was imported before the fork, and its modules, when the fork imports it."""

    def __init__(self):
        self.modules = {
            package: {name: sys.modules.pop(name) for name in [*sys.modules] if name.split(".")[0] == package}
            for package in PACKAGES
        }

    def find_spec(self, name: str, path=None, target=None):
        if self.modules.get(name):
            spec = copy.copy(self.modules[name][name].__spec__)
            spec.loader = self
            return spec

    def create_module(self, spec):
        modules = self.modules.pop(spec.name)
        sys.modules.update(modules)
        self.spec = modules[spec.name].__spec__
        return modules[spec.name]

    def exec_module(self, module) -> None:
        module.__spec__ = self.spec  # it has been executed


def fork() -> int:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the threads of numpy's BLAS, which ends them before a fork
        return os.fork()


def reap() -> None:
    """Ends zombies, so that their processor time counts as this process's."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def requested(server: socket.socket) -> dict:
    """Answers requests for ever; returns, with the request, in each process that is to do what is asked for."""
    while server in select.select([server, sys.stdin], [], [])[0]:
        client, _ = server.accept()
        if fork():
            client.close()
            reap()
            continue
        length, files, _, _ = socket.recv_fds(client, 8, 3)
        with client.makefile("rb") as text:
            request = json.loads(text.read(int(length)))
        ended, running = os.pipe()
        if not (child := fork()):
            for number, file in enumerate(files):
                os.dup2(file, number)
            for file in (*files, ended, client.detach(), server.detach()):
                os.close(file)
            return request
        os.close(running)
        for file in files:
            os.close(file)
        while ended not in select.select([ended, client], [], [])[0]:
            with contextlib.suppress(ProcessLookupError):
                told = client.recv(1)  # a signal's number; nothing if the client was killed
                os.kill(child, told[0] if told else signal.SIGKILL)
                if not told:
                    break
        with contextlib.suppress(OSError):
            client.sendall(b"%8d" % os.waitpid(child, 0)[1])
        os._exit(0)
    reap()
    os._exit(0)


def become(request: dict) -> str:
    """Makes this process that of the request; returns the module to run."""
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["folder"])
    _, module, *arguments = request["arguments"]
    sys.stdin = sys.__stdin__ = os.fdopen(0, closefd=False)
    sys.stdout = sys.__stdout__ = os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.__stderr__ = os.fdopen(2, "w", 1, errors="backslashreplace", closefd=False)
    sys.executable = request["python"]
    sys.orig_argv = [sys.executable, *request["arguments"]]
    sys.argv = [module, *arguments]
    paths = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    sys.path[:] = [*paths, *sys.path[1:]]
    if paths:
        sys.modules.pop("sitecustomize", None)
        with contextlib.suppress(ModuleNotFoundError):
            importlib.import_module("sitecustomize")
    sys.path.insert(0, os.getcwd())
    numpy.random.seed()  # as in a new interpreter; Python's own generator does so by itself
    return module


def run(module: str) -> NoReturn:
    """Runs the module, then ends this process as Python does, without freeing its memory first, which takes longer."""
    status = 0
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as stop:
        status = stop.code or 0
        if not isinstance(status, int):
            print(status, file=sys.stderr)
            status = 1
    except BaseException:
        sys.excepthook(*sys.exc_info())
        status = 1
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    os._exit(status & 255)


if __name__ == "__main__":
    for name in (*IMPORTED, *SNAKEMAKES):
        importlib.import_module(name)
    sys.meta_path.insert(0, Kept())
    gc.freeze()
    run(become(requested(socket.socket(fileno=int(sys.argv[1])))))
