"""Imports run one way, torch stays out of the views and the site, and nothing is called utils."""

import ast
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import yaml

from cnnviz import config
from cnnviz.views import papers
from cnnviz.views.kit.section import Paper

PACKAGE = Path("cnnviz")
# The floors, from the ground up: a room imports from those below it, and from itself.
GROUND = ["errors", "slug", "statistics", "demo", "run", "pictures", "network", "config"]
FAMILIES = {"weights", "activations", "features", "attribution", "synthesis", "style", "adversarial"}
LOOSE = {"__init__", "errors", "slug", "config", "fetch"}  # modules in no room


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def rooms(path: Path) -> set[str]:
    """The rooms of the package that a file imports from: a family, views, site, or a module of the ground floor."""
    return {n.split(".")[1] for n in imports(path) if n.startswith("cnnviz.") and n != "cnnviz.__version__"}


def below(room: str) -> set[str]:
    """The rooms that a room may import from."""
    if room in GROUND:
        return set(GROUND[: GROUND.index(room)])
    no_torch = set(GROUND) - {"demo"}
    return {
        "ascent": set(GROUND),
        "views": no_torch,
        "site": no_torch | {"views"},
        "check": set(GROUND) | {"site", "activations"},  # how large a gallery gets, how near values come
        "fetch": set(GROUND),
        "__init__": set(),
    }.get(room, set(GROUND) | {"ascent"})


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=str)
def test_imports_run_one_way(path):
    room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    assert rooms(path) <= below(room) | {room}
    if room in FAMILIES:  # techniques of a family stand alone; one that compares methods imports the pure functions
        assert not rooms(path) & (FAMILIES - {room})
    if path.name != "building.py":
        assert not {n for n in imports(path) if n.split(".")[0] == "torchvision"}


def test_no_file_imports_itself_by_way_of_others():
    files = {".".join(path.with_suffix("").parts): path for path in PACKAGE.rglob("*.py")}
    waiting = {name: imports(path) & files.keys() for name, path in files.items()}
    while free := {name for name, others in waiting.items() if not others & waiting.keys()}:
        waiting = {name: others for name, others in waiting.items() if name not in free}
    assert not waiting


def test_a_name_stands_for_one_file():
    """Only what computes a thing and what shows it have the same name."""
    stems = Counter(path.stem for path in PACKAGE.rglob("*.py"))
    twice = {stem for stem, count in stems.items() if count > 1} - {"__init__", "__main__"}
    assert twice - set(yaml.safe_load(Path("rules/techniques.yaml").read_text())) <= {"projections"}
    assert all(stems[stem] == 2 for stem in twice)


def test_no_technique_imports_a_technique():
    """What several need is a module beside them. (``attribution_check`` loads the methods that it compares by name.)"""
    rows = yaml.safe_load(Path("rules/techniques.yaml").read_text())
    techniques = {f"cnnviz.{row['room']}.{name}" for name, row in rows.items()}
    found = {name: techniques & imports(PACKAGE / row["room"] / f"{name}.py") for name, row in rows.items()}
    assert not {name: others for name, others in found.items() if others}


def test_no_sections_view_knows_another_sections_view():
    """What several draw with lies in views/kit, which knows none of them. Some sections are in more than one module."""
    parts = {"class_visualization": {"published_settings"}, "predictions": {"predicted_maps", "predicted_values"}}
    for path in (PACKAGE / "views").rglob("*.py"):
        found = {n.split(".")[2] for n in imports(path) if n.startswith("cnnviz.views.")} - {"kit"}
        allowed = set() if path.parent.name == "kit" else {"papers"} | parts.get(path.stem, set())
        assert found <= allowed, path
    sections = set(yaml.safe_load(Path("rules/techniques.yaml").read_text()))
    beside = {path.stem for path in (PACKAGE / "views").glob("*.py")} - sections - {"__init__"}
    assert beside == {"first_layers", "papers"}.union(*parts.values())


def test_drawings_are_written_in_one_place():
    """What escapes text and holds the style: shapes may stand in the views, files, words and pictures may not.

    The viewer's files hold numbers in the encoding that drawings use for pictures.
    """
    for by_hand, files in (
        ("<svg|<style|<text|<image|prefers-color-scheme", ["svg"]),
        ("b64encode", ["svg", "viewer"]),
    ):
        found = {path for path in (PACKAGE / "views").rglob("*.py") if re.search(by_hand, path.read_text())}
        assert found == {PACKAGE / "views" / "kit" / f"{file}.py" for file in files}


def test_functions_of_views_are_short():
    """A function a figure: none has more than 80 lines, and one in twenty more than 35, docstrings left out."""
    lengths = []
    for path in (PACKAGE / "views").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef):
                words = ast.get_docstring(node, clean=False)
                lengths.append(node.end_lineno - node.lineno + 1 - (len(words.splitlines()) if words else 0))
    assert max(lengths) <= 80 and sorted(lengths)[len(lengths) * 19 // 20] <= 35


def test_each_paper_is_written_once():
    for path in (PACKAGE / "views").glob("*.py"):
        assert path.stem == "papers" or not re.search(r"\bPaper\(", path.read_text()), path
    known = [paper for paper in vars(papers).values() if isinstance(paper, Paper)]
    assert len({paper.title for paper in known}) == len({paper.url for paper in known}) == len(known) > 30


def test_names_of_classes_are_shortened_in_one_place():
    cut = [path for path in PACKAGE.rglob("*.py") if re.search(r"""\.split\(["'],["']\)\[0\]""", path.read_text())]
    assert cut == [PACKAGE / "network" / "class_names.py"]


def test_modules_have_a_room():
    assert {path.stem for path in PACKAGE.glob("*.py")} == LOOSE
    assert {path.name for path in PACKAGE.iterdir() if path.is_dir() and list(path.glob("*.py"))} == (
        FAMILIES | {"statistics", "demo", "run", "pictures", "network", "ascent", "views", "site", "check"}
    )


def test_nothing_is_called_utils():
    assert not [p for p in PACKAGE.rglob("*.py") if p.stem in ("utils", "helpers", "common", "misc", "base")]


def test_views_and_site_never_load_torch():
    modules = [p for room in ("views", "site") for p in sorted((PACKAGE / room).rglob("*.py"))]
    names = [".".join(p.with_suffix("").parts) for p in modules] + ["cnnviz.pictures.images", "cnnviz.config"]
    program = f"import importlib, sys\nfor n in {names!r}: importlib.import_module(n)\nprint('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_no_job_loads_scipy_stats():
    """It takes longer than many of the jobs; scipy.special has the distributions, too."""
    techniques = yaml.safe_load(Path("rules/techniques.yaml").read_text())
    need_sklearn = {"linear_templates", "multifaceted", "tsne"}  # which loads it
    names = [f"cnnviz.{row['room']}.{name}" for name, row in techniques.items() if name not in need_sklearn]
    names += ["cnnviz.network.network", "cnnviz.check.look", "cnnviz.activations.forward", "cnnviz.site.index"]
    program = (
        f"import importlib, sys\nfor n in {names!r}: importlib.import_module(n)\nprint('scipy.stats' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_the_garbage_collector_walks_over_no_library_at_the_end():
    program = "import atexit, gc; atexit.register(lambda: print(gc.get_freeze_count() > 1000)); import cnnviz"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True"


def test_every_section_has_its_compute_file_view_rule_and_test():
    sections = config.complete({"image_sets": {"a": {"kind": "demo"}}, "models": {"m": {"torchvision": "x"}}})[
        "sections"
    ]
    rules = "".join(p.read_text() for p in Path("rules").glob("*.smk"))
    techniques = yaml.safe_load(Path("rules/techniques.yaml").read_text())
    assert set(techniques) == set(sections)
    reads = {"network", "judge", "pictures", "facts", "images", "thumbnails", "forward", "features", "untrained"}
    reads |= {"logits", "tsne"}
    for section in sections:
        row = techniques[section]
        compute = [p for p in PACKAGE.glob(f"*/{section}.py") if p.parent.name in FAMILIES]
        assert len(compute) == 1, section
        assert (PACKAGE / "views" / f"{section}.py").is_file()
        assert row["room"] == compute[0].parent.name
        assert ("\nMETHODS = {" in compute[0].read_text()) == (row.get("explains") == "pictures")
        if row.get("rule") == "own":
            assert row.keys() == {"room", "rule"} and f"rule {section}:" in rules
        else:
            assert row.keys() <= {"room", "reads", "of_model", "memory", "runtime", "threads", "device", "explains"}
            assert set(row["reads"]) <= reads
        assert list(Path("tests", compute[0].parent.name).glob(f"test_{section}.py")), section
