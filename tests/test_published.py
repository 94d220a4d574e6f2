"""Published files of a finished run: the same bytes on every machine, no trace of it, hostile names as text only.

It also tests moving the results to another place. See checkout.py for the run.
"""

import getpass
import html
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from cnnviz import __version__
from cnnviz.views.kit.section import fit
from tests.checkout import CLASSES, SECTIONS, TITLE, Finished
from tests.site import static


def everywhere(site: Path) -> dict[str, bytes]:
    return {str(path.relative_to(site)): path.read_bytes() for path in sorted(site.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def published(finished) -> dict[str, bytes]:
    """Address → content of the whole site."""
    return everywhere(finished.folder / "results/site")


@pytest.mark.slow
def test_two_clones_at_different_paths_make_the_same_site(finished, published, tmp_path):
    (tmp_path / "a longer way/to another").mkdir(parents=True)
    other = Finished(tmp_path / "a longer way/to another")
    command = [sys.executable, "-m", "snakemake", *other.ARGUMENTS]  # not forked, as the other one
    done = subprocess.run(command, cwd=other.folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    again = everywhere(other.folder / "results/site")
    assert again.keys() == published.keys() and len(again) > 80
    assert {name for name in again if again[name] != published[name]} <= {"timings.js"}


def test_no_path_and_no_user_of_this_machine(finished, published):
    words = {str(finished.folder), str(Path.home()), os.uname().nodename, getpass.getuser()}
    words = {word for word in words - {"runner", "localhost"} if len(word) > 4}  # shorter words occur in any text
    assert not [
        (word, name)
        for word in words
        for name, content in published.items()
        if re.search(rb"(?<![\w-])" + re.escape(word.encode()) + rb"(?![\w-])", content)
    ]


def test_hostile_names_are_text(finished, published):
    assert static.problems(finished.folder / "results/site") == []
    index = json.loads((finished.folder / "results/image_sets/drawn/images.json").read_text())
    assert set(index["classes"]) == set(CLASSES) and len(index["pictures"]) == 18
    pages = {name: content.decode() for name, content in published.items() if name.endswith(".html")}
    assert not [name for name, page in pages.items() if "<script>alert" in page]
    shown = " ".join(html.unescape(page) for page in pages.values())
    assert all(fit(name) in shown for name in (*CLASSES, TITLE) if "\n" not in name)
    assert {name.split("/")[0] for name in published if "/" in name} == {"assets", "compare", "images", "models"}
    assert not [name for name in published if not re.fullmatch(r"[a-z0-9/._-]+", name) or ".." in name.split("/")]


def test_nothing_is_written_beside_the_results(finished):
    assert {path.name for path in finished.folder.iterdir()} == {
        *("cnnviz", "rules", "templates", "profiles", "Snakefile", "environment.yaml"),
        *("net.py", "weights.pt", "twin.pt", "pictures", "tiny.yaml", "results", ".snakemake"),
    }
    assert len(list((finished.folder / "pictures").rglob("*.png"))) == 19


def test_every_section_says_what_made_it(finished, published):
    network = json.loads((finished.folder / "results/models/twin/network.json").read_text())
    index = json.loads((finished.folder / "results/image_sets/drawn/images.json").read_text())
    timings = json.loads(published["timings.js"].decode().split("=", 1)[1].rstrip(" ;\n"))
    for name, section in finished.manifest("twin").items():
        page = published[section["page"]].decode()
        said = dict(re.findall(r'<tr><th scope="row">([^<]*)</th><td[^>]*>(.*?)</td></tr>', page))
        assert "<code>" + name + "</code>" == said["rule"] and said["seed"] == "0", name
        assert said["checkpoint"] == network["checkpoint"] and "twin.pt:" in said["checkpoint"]
        assert said["pictures"] == index["fingerprint"] and len(index["fingerprint"]) >= 16
        assert re.fullmatch(r"[0-9a-f]{16}", said["code"]) and said["version"] == f"cnnviz {__version__}"
        assert said["device"] == "cpu" and re.match(r"Python 3\.[\d.]+, numpy \d", said["packages"]), name
        assert ("torch" in said["packages"]) == (name not in ("maximal_patches", "pca")), name
        assert {"seconds"} <= timings["twin"][name].keys() <= {"seconds", "peak_memory_mb"}
    assert set(finished.manifest("twin")) == set(SECTIONS)


def test_results_unpacked_elsewhere_leave_nothing_to_do(finished, tmp_path):
    """With the command of the README, in another clone at another path."""
    pack = "tar -cf results.tar results .snakemake/metadata"
    assert pack in (Path(__file__).parents[1] / "README.md").read_text()
    archive = tmp_path / "results.tar"
    subprocess.run(pack.replace("results.tar", str(archive)).split(), cwd=finished.folder, check=True)
    (tmp_path / "elsewhere/cnnviz").mkdir(parents=True)
    other = Finished(tmp_path / "elsewhere/cnnviz")
    subprocess.run(["tar", "-xf", archive], cwd=other.folder, check=True)
    assert not other.planned()
    with other.edited("tiny.yaml", "samples: 2", "samples: 3"):
        assert other.planned()["saliency"] == 2
