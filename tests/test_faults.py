"""Real faults of a run: killed, out of memory, out of disk, truncated files, NaN, two runs at once.

In each case everything else is finished, the site shows it and lists the missing parts with the end of their logs, the
exit code is not 0, and the next run makes only what is missing.

A fault is injected into a job by a ``sitecustomize.py``, which Python runs at its start. The code does not change,
since Snakemake would rerun the job for that. A failing node is among the tests of Slurm.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest
import torch

from tests.checkout import SECTIONS, Finished
from tests.test_incremental import WHOLE_MODEL

VIEWS = {"view", "first_layers", "model_pages", "picture_pages", "index"}
SABOTAGE = """
import os, sys
line = " ".join(sys.orig_argv)
faults = {faults!r}
meant = [(module, model) for module, model in faults if f"-m {{module}} " in line and f"/models/{{model}}/" in line]
fault = faults[meant[0]] if meant else ""
if fault:
    sys.path.insert(0, os.getcwd())
    from cnnviz.run import job
    run = job.run

    def broken(technique):
        def failing(given):
            print("sabotaged", flush=True)
            exec(fault, {{"job": given}})
            technique(given)
        run(failing)

    job.run = broken
"""


@contextlib.contextmanager
def sabotaged(checkout: Finished, faults: dict[tuple[str, str], str]) -> Iterator[None]:
    """Makes jobs fail. faults: (module, model) → Python to run before their work."""
    folder = checkout.folder / "sabotage"
    folder.mkdir(exist_ok=True)
    (folder / "sitecustomize.py").write_text(SABOTAGE.format(faults=faults))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(folder))
        yield


def lost(checkout: Finished, *names: str) -> None:
    """Deletes results, so that there are jobs to run."""
    for name in names:
        (checkout.folder / "results/models" / name).unlink()


def until(condition: Callable[[], bool], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.1)


def statuses(checkout: Finished, model: str) -> dict[str, str]:
    return {name: section["status"] for name, section in checkout.manifest(model).items()}


@pytest.fixture
def checkout(finished, tmp_path) -> Finished:
    return finished.copied(tmp_path / "checkout")


# ------------------------------------------------------------------------------------------- several in one run of all

FAULTS = {
    ("cnnviz.attribution.saliency", "tiny"): "raise ValueError('planted')",
    ("cnnviz.attribution.saliency", "twin"): "import os; os.kill(os.getpid(), 9)",
    ("cnnviz.features.pca", "twin"): "import os; os.kill(os.getpid(), 15)",  # as clusters do at the end of its time
    ("cnnviz.activations.maximal_patches", "tiny"): (
        "import resource, numpy; resource.setrlimit(resource.RLIMIT_AS, (2**33, 2**33)); numpy.ones(2**32)"
    ),
}
SAID = {
    ("tiny", "saliency"): "ValueError: planted",
    ("twin", "saliency"): "killed by signal 9 (SIGKILL): out of memory",
    ("twin", "pca"): "killed by signal 15 (SIGTERM): its time limit was reached",
    ("tiny", "maximal_patches"): "error: out of memory",
}


@pytest.fixture(scope="module")
def broken(finished, tmp_path_factory) -> tuple[Finished, subprocess.CompletedProcess]:
    """Five results of two models are missing, four of their jobs fail again, and a third model has NaN weights."""
    checkout = finished.copied(tmp_path_factory.mktemp("faults") / "checkout")
    lost(checkout, *(f"{model}/sections/{section}/result.npz" for model, section in SAID))
    lost(checkout, "tiny/sections/pca/result.npz")
    state = checkout.state()
    state["2.weight"][1, 2] = float("nan")
    torch.save(state, checkout.folder / "nan.pt")
    checkout.configure(models=checkout.config["models"] | {"nan": checkout.model("nan.pt")})
    with sabotaged(checkout, FAULTS):
        return checkout, checkout.snakemake()


def test_the_rest_is_finished_and_the_exit_code_is_not_0(broken):
    checkout, done = broken
    text = done.stdout + done.stderr
    assert done.returncode == 1 and "Fix the cause and run the same command again" in text
    missing = {model: {s for m, s in SAID if m == model} for model in ("tiny", "twin")}
    for model, failed in missing.items():
        assert statuses(checkout, model) == {s: "missing" if s in failed else "ok" for s in SECTIONS}
    assert set(statuses(checkout, "nan").values()) == {"missing"}


def test_the_terminal_has_a_sentence_for_each_failure_and_neither_tracebacks_nor_commands(broken):
    text = broken[1].stdout + broken[1].stderr
    for (model, section), said in SAID.items():
        assert f"{model} · {section} failed: {said.removeprefix('error: ')}" in text
        assert f"results/logs/{model}/{section}.log" in text
    assert "Traceback" not in text and "--job" not in text
    log = (broken[0].folder / "results/logs/tiny/saliency.log").read_text()
    assert "Traceback" in log


@pytest.mark.parametrize(("place", "said"), SAID.items(), ids=["failing", "killed", "time limit", "out of memory"])
def test_the_page_of_what_failed_shows_the_end_of_its_log(broken, place, said):
    page = broken[0].page("models/{}/sections/{}.html".format(*place))
    assert "The last run of this technique failed" in page and said in page
    assert str(broken[0].folder) not in page


def test_nan_weights_are_said_by_the_models_first_job(broken):
    page = broken[0].page("models/nan/index.html")
    assert "weights that are not finite (NaN or infinite): 2.weight" in page and "Traceback" not in page


def test_the_next_run_does_what_is_missing_and_nothing_else(broken):
    checkout, _ = broken
    checkout.configure()  # without the third model
    computed = {"saliency": 2, "pca": 1, "maximal_patches": 1}
    planned = checkout.planned()
    assert {rule: count for rule, count in planned.items() if rule not in VIEWS} == computed
    assert planned["view"] == 4  # pca of the first model was drawn while others failed
    checkout.make()
    assert set(statuses(checkout, "tiny").values()) | set(statuses(checkout, "twin").values()) == {"ok"}
    assert not checkout.planned()
    assert not [path for path in checkout.folder.glob("results/**/.*") if path.name != ".nojekyll"]


# ------------------------------------------------------------------------------------------------- Snakemake itself


def test_a_killed_snakemake_needs_no_other_command_and_a_second_run_is_refused(checkout):
    lost(checkout, "tiny/sections/pca/result.npz", "twin/sections/saliency/result.npz")
    log = checkout.folder / "results/logs/tiny/pca.log"
    wait = "import os, time; open('job', 'w').write(str(os.getpid())); time.sleep(600)"
    with sabotaged(checkout, {("cnnviz.features.pca", "tiny"): wait}):
        command = [sys.executable, "-m", "snakemake", *checkout.ARGUMENTS]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        first = subprocess.Popen(command, cwd=checkout.folder, **quiet)
    orphan = checkout.folder / "job"
    try:
        until(lambda: orphan.is_file() and orphan.read_text() != "" and "sabotaged" in log.read_text())
        second = checkout.snakemake()
        assert second.returncode == 1 and "cannot be locked" in second.stderr and "Traceback" not in second.stderr
        assert first.poll() is None
    finally:
        first.kill()  # SIGKILL: Snakemake cannot clean up, and its job continues
        first.wait()
    try:
        planned = checkout.planned()
        assert {"saliency": 1, "pca": 1}.items() <= planned.items() or planned["pca"] == 1
        assert not planned.keys() - {"saliency", "pca"} - VIEWS
        checkout.make()
        assert not checkout.planned()
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(orphan.read_text()), signal.SIGKILL)
    assert set(statuses(checkout, "tiny").values()) == {"ok"}


# ------------------------------------------------------------------------------------------------------------- files


PAGES = {"model_pages": 1, "picture_pages": 1, "index": 1}


@pytest.mark.parametrize(
    ("name", "redone"),
    [
        ("models/tiny/sections/pca/result.npz", {"pca": 1, "view": 1}),
        ("models/tiny/sections/pca/figures.zip", {"view": 1}),
    ],
)
def test_a_truncated_file_is_named_renamed_and_made_again(checkout, name, redone):
    path = checkout.folder / "results" / name
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    done = checkout.snakemake()
    text = done.stdout + done.stderr
    assert done.returncode == 1 and f"damaged: results/{name}" in text and "Run the same command again" in text
    assert checkout.done(checkout.make()) == redone | PAGES
    assert path.stat().st_size == len(whole) and not checkout.planned()


def test_inputs_of_a_missing_file_are_made_by_the_same_run(checkout):
    lost(checkout, "tiny/sections/pca/result.npz")
    features = checkout.folder / "results/models/tiny/forward/features.npy"
    features.write_bytes(features.read_bytes()[:99])
    text = checkout.make()
    assert "damaged: results/models/tiny/forward/features.npy" in text
    assert checkout.done(text) == {"forward": 1, "pca": 1, "view": 1} | PAGES  # not what else the pass left results for
    assert not checkout.planned()


def test_missing_files_are_made_and_nothing_else_runs(checkout):
    """Many results were made from each; features.npy and section.json depend on missing files themselves."""
    names = ["network.json", "forward/features.npy", "../twin/model.json", "../twin/sections/pca/section.json"]
    lost(checkout, *(f"tiny/{name}" for name in names), "../image_sets/drawn/thumbnails.npy")
    text = checkout.make()
    assert checkout.done(text) == {"network": 1, "forward": 1, "model": 1, "view": 1, "images": 1}
    assert text.count("Missing: ") == 2 and not checkout.planned()


def test_a_missing_file_with_new_content_reruns_what_depends_on_it(checkout):
    lost(checkout, "twin/network.json")
    torch.save(checkout.state(shift=1), checkout.folder / "twin.pt")
    assert checkout.planned() == WHOLE_MODEL
    keep = ("--rerun-triggers", "mtime", "input")  # ignores changes of the config and the checkpoint
    checkout.make(*keep, "--until", "network")
    assert checkout.planned(*keep) == {rule: count for rule, count in WHOLE_MODEL.items() if rule != "network"}


def test_a_missing_file_that_cannot_be_made_leaves_no_stale_pages(checkout):
    pages = {path: path.read_bytes() for path in checkout.folder.glob("results/site/**/*.html")}
    lost(checkout, "tiny/forward/result.npz")
    with sabotaged(checkout, {("cnnviz.activations.forward", "tiny"): "raise ValueError('planted')"}):
        done = checkout.snakemake()
    assert done.returncode == 1 and any(path.read_bytes() != page for path, page in pages.items())
    assert checkout.done(checkout.make()) == {"forward": 1} | PAGES
    assert not [str(path) for path, page in pages.items() if path.read_bytes() != page]


def test_a_corrupt_picture_is_left_out_and_listed(finished):
    assert "broken.png" in finished.page("missing.html")
    assert "missing.html#skipped" in finished.page("models/tiny/index.html")
    assert not [section for section in finished.manifest().values() if section["status"] != "ok"]


def test_a_full_disk_loses_nothing(checkout):
    results = checkout.folder / "results"
    kept = results.rename(checkout.folder / "kept")
    results.mkdir()
    size = sum(path.stat().st_blocks * 512 for path in kept.rglob("*")) + 4_000_000
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(results)]
    if os.geteuid() or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("only root can mount a small disk")
    try:
        subprocess.run(["cp", "-a", f"{kept}/.", str(results)], check=True)
        assert not checkout.planned()
        lost(checkout, "tiny/sections/saliency/result.npz")
        with contextlib.suppress(OSError), open(results / "filler", "wb", buffering=0) as filler:
            while True:
                filler.write(bytes(4096))
        done = checkout.snakemake()
        text = done.stdout + done.stderr
        assert done.returncode == 1 and "No space left on device" in text
        assert "Fix the cause and run the same command again" in text
        (results / "filler").unlink()
        planned = checkout.planned()
        assert planned == {"saliency": 1, "view": 1, "model_pages": 1, "picture_pages": 1, "index": 1}
        checkout.make()
        assert not checkout.planned() and set(statuses(checkout, "tiny").values()) == {"ok"}
    finally:
        subprocess.run(["umount", str(results)], check=True)
