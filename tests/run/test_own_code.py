"""Factories in common places: beside other files, in packages, behind a command line; with any return value."""

import sys

import pytest
import torch

from cnnviz import config
from cnnviz.errors import UserError
from cnnviz.network import building
from cnnviz.pictures import images, listing
from cnnviz.run import fingerprint, user_code

NET = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, outputs=3):
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, 4, 3), nn.Linear(4, outputs)
    def forward(self, x):
        return self.fc(torch.relu(self.conv(x)).mean((2, 3)))
"""
BUILD = "def build(outputs=3):\n    return Net(outputs)\n"


@pytest.fixture(autouse=True)
def _python(monkeypatch, tmp_path):
    """Each test has its own code cache, and leaves none of the user's modules imported."""
    monkeypatch.chdir(tmp_path)
    for cached in (fingerprint._memory, fingerprint._parsed, user_code._reached):
        cached.cache_clear()
    path = list(sys.path)
    yield
    for name, module in [*sys.modules.items()]:
        if str(getattr(module, "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]
    sys.path[:] = path
    for cached in (fingerprint._memory, fingerprint._parsed, user_code._reached):
        cached.cache_clear()


@pytest.fixture
def write(tmp_path):
    def write(files: dict[str, str]) -> None:
        for name, text in files.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)

    return write


def built(place: str, arguments: dict | None = None) -> building.Built:
    model = {"factory": place, "arguments": arguments or {}, "preprocess": {"resize": [8, 8]}}
    block = config.complete({"image_sets": {"s": {"kind": "demo"}}, "models": {"m": model}, "sections": []})
    return building.build(block["models"]["m"], "m", 0)


LAYOUTS = {
    "sibling": ("net.py", {"net.py": f"from blocks import Net\n{BUILD}", "blocks.py": NET}),
    "package": (
        "models/net.py",
        {"models/net.py": f"from .parts.core import Net\n{BUILD}", "models/parts/core.py": NET}
        | dict.fromkeys(["models/__init__.py", "models/parts/__init__.py"], ""),
    ),
    "package without __init__": (
        "lab/models/net.py",
        {"lab/models/net.py": f"from ..core import Net\n{BUILD}", "lab/core.py": NET},
    ),
    "beside src": (
        "tools/net.py",
        {"tools/net.py": f"from mine.core import Net\n{BUILD}", "src/mine/core.py": NET, "src/mine/__init__.py": ""},
    ),
    "inside src": (
        "src/mine/net.py",
        {"src/mine/net.py": f"from mine import core\nNet = core.Net\n{BUILD}", "src/mine/core.py": NET}
        | {"src/mine/__init__.py": "", "pyproject.toml": ""},
    ),
    "from the project's top": (
        "models/net.py",
        {"models/net.py": f"from utils.core import Net\n{BUILD}", "utils/core.py": NET, "requirements.txt": ""},
    ),
    "late import": (
        "net.py",
        {"net.py": "def build(outputs=3):\n    import blocks\n    return blocks.Net(outputs)\n", "blocks.py": NET},
    ),
    "dataclass": (
        "my-net.v2.py",
        {
            "my-net.v2.py": "from __future__ import annotations\nfrom dataclasses import dataclass\n"
            f"{NET}\n@dataclass\nclass Settings:\n    outputs: int\n\n"
            "def build(outputs=3):\n    return Net(Settings(outputs).outputs)\n"
        },
    ),
    "named as a module of Python's": ("random.py", {"random.py": NET + BUILD}),
    "command line": (
        "train.py",
        {
            "train.py": f"import argparse\n{NET}\nparser = argparse.ArgumentParser()\nparser.add_argument('--x')\n"
            f"options = parser.parse_args()\n{BUILD}\nif __name__ == '__main__':\n    raise SystemExit\n"
        },
    ),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_factory_finds_what_it_imports_and_its_changes_are_seen(write, layout):
    file, files = LAYOUTS[layout]
    write(files)
    net = built(f"{file}:build", {"outputs": 5}).net
    assert net(torch.zeros(2, 3, 8, 8)).shape == (2, 5)
    counted = user_code.files(f"{file}:build")
    assert counted[0] == file and {name for name in files if name.endswith(".py")} == set(counted)


def test_two_projects_with_files_of_one_name_do_not_mix(write):
    for name, outputs in (("a", 3), ("b", 7)):
        write({f"{name}/net.py": f"from blocks import Net\ndef build():\n    return Net({outputs})\n"})
        write({f"{name}/blocks.py": NET.replace("4, 3)", f"{outputs}, 3)").replace("(4, out", f"({outputs}, out")})
    for name, outputs in (("a", 3), ("b", 7), ("a", 3)):
        net = built(f"{name}/net.py:build").net
        assert (net.conv.out_channels, net.fc.out_features) == (outputs, outputs)


def test_a_module_by_name_is_one_installed_or_below_the_folder(write):
    assert built("torch.nn:Linear", {"in_features": 4, "out_features": 2}).described == "Linear() of torch.nn"
    assert user_code.files("torch.nn:Linear") == []
    write({"src/mine/core.py": NET, "src/mine/__init__.py": ""})
    assert built("mine.core:Net", {"outputs": 4}).net.fc.out_features == 4
    assert set(user_code.files("mine.core:Net")) == {"src/mine/core.py", "src/mine/__init__.py"}
    with pytest.raises(UserError, match="no Python module mine.cores. Install it"):
        built("mine.cores:Net")


GIVES = """
class Stop(BaseException): pass
class Learner:
    def __init__(self): self.model = Net()
class Holder:
    @staticmethod
    def small(): return Net()
ready = Net()
seven = 7
def nothing(): Net()
def pair(): return Net(), ["a", "b", "c"]
def named(): return {"net": Net(), "transform": nn.ReLU()}
def two(): return [Net(), Net()]
def kind(): return Net
def weights(): return Net().state_dict()
def path(): return "runs/best.pt"
def one_by_one(): yield Net()
async def later(): return Net()
def learner(): return Learner()
def deep(depth, width=2): return Net()
def stops(): raise Stop("enough")
def leaves(): raise SystemExit("usage: …")
def digs(): return digs()
def lacks(): import no_such_package
def reads(): return open("settings.json")
def warns():
    import warnings
    warnings.simplefilter("error")
    return Net()
def sets():
    torch.set_default_dtype(torch.float64)
    torch.set_grad_enabled(False)
    torch.set_default_device("meta")
    torch.set_default_device("cpu")
    return Net()
def moves():
    import os
    os.chdir("/")
    return Net()
"""


@pytest.mark.parametrize("function", ["ready", "Net", "Holder.small", "pair", "named", "warns", "sets", "moves"])
def test_whatever_holds_a_network_is_read_and_leaves_the_process_as_it_was(write, tmp_path, function):
    write({"net.py": NET + GIVES})
    net = built("net.py:" + function).net
    assert net(torch.zeros(2, 3, 8, 8)).shape == (2, 3)
    assert torch.get_default_dtype() == torch.float32 and torch.is_grad_enabled()
    assert torch.zeros(1).device.type == "cpu" and str(tmp_path) == str(tmp_path.cwd())


@pytest.mark.parametrize(
    ("function", "said"),
    [
        ("nothing", "returned None.* `return net`"),
        ("two", "returned 2 networks"),
        ("kind", r"the class Net.* Return Net\("),
        ("weights", "a state dict"),
        ("path", "'runs/best.pt'.* checkpoint:"),
        ("one_by_one", "a generator.* plain function"),
        ("later", "a coroutine.* plain function"),
        ("learner", "returned Learner.* attribute model is one"),
        ("deep", r"needs a value for depth; write arguments: \{depth: …\}"),
        ("seven", "is not a function but int; name one"),
        ("stops", r"Stop: enough \(net.py, line \d+\)"),
        ("leaves", "SystemExit: usage"),
        ("digs", "RecursionError"),
        ("lacks", r"'no_such_package'. It is neither installed \(uv pip install no_such_package\) nor beside"),
        ("reads", r"are relative to .*; write Path\(__file__\).parent / 'settings.json'"),
        ("nowhere", "there is no 'nowhere'"),
    ],
)
def test_anything_else_gets_one_line(write, function, said):
    write({"net.py": NET + GIVES})
    with pytest.raises(UserError, match=said) as told:
        built("net.py:" + function)
    assert len(str(told.value).splitlines()) == 1


def test_code_that_cannot_be_read_is_told_by_its_line(write):
    write({"net.py": "def build(:\n"})
    with pytest.raises(UserError, match=r"SyntaxError.*\(net.py, line 1\)"):
        built("net.py:build")


def test_a_loader_of_pictures_may_import_what_is_beside_it(write, tmp_path):
    write({"data/a/1.raw": "7", "data/b/2.raw": "9", "code/side.py": "SIDE = 4\n"})
    write({"code/read.py": "import numpy\nimport side\ndef read(path):\n    return numpy.full((side.SIDE, 5), 7)\n"})
    block = {"kind": "folder", "path": "data", "loader": "code/read.py:read"}
    given = {"image_sets": {"s": block}, "models": {"m": {"torchvision": "x"}}, "sections": []}
    full = config.complete(given)["image_sets"]["s"]
    picture = images.ImageSet(full, (images.Picture("a/1.raw", "a/1.raw", 0, 5, 4),), ("a",), ()).pixels(0)
    assert picture.shape == (4, 5, 1)
    before = listing.fingerprint(full)
    write({"code/side.py": "SIDE = 44\n"})
    listing._fingerprint.cache_clear()
    assert listing.fingerprint(full) != before
