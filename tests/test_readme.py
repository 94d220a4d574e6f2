"""The README's instructions work: every block of YAML, every row of its tables "you have | write".

Each is taken literally from README.md and run on small placeholders for its files. A row without a placeholder here
fails, and so does a placeholder without a row. To add a row, write a function named after its first words below.
"""

import argparse
import json
import re
import runpy
import shutil
import sys
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import save_file
from torch import nn

from cnnviz import config
from cnnviz.errors import UserError
from cnnviz.network import building
from cnnviz.pictures import images, listing

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text("utf-8")
NET = """
import torch
from torch import nn

def build(width=8, classes=3):
    return nn.Sequential(nn.Conv2d(3, width, 3), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, classes))
"""


def table(head: str, number: int = 0) -> dict[str, str]:
    """First column → second column of the table with this head; ``number`` chooses among several."""
    rows = re.findall(rf"^\| {head} \| write \|\n\|---\|---\|\n((?:\|.*\n)+)", TEXT, re.M)[number]
    return dict(re.findall(r"^\| (.*?) \| (.*) \|$", rows, re.M))


TABLES = {"Weights": table("you have"), "Pictures": table("you have", 1), "Outputs": table("your network puts out")}


def spans(cell: str) -> list[dict]:
    """The config of each code span of a cell, without spans that are not mappings (a command, the name of a key)."""
    values = [yaml.safe_load(span) for span in re.findall(r"`([^`]+)`", cell) if ":" in span]
    return [value for value in values if isinstance(value, dict)]


def said(cell: str) -> dict:
    """All of a cell's config together; the first value of a repeated key."""
    return {key: value for span in reversed(spans(cell)) for key, value in span.items()}


def stand_in(row: str, functions: dict):
    """The function whose name starts the row's words."""
    words = re.sub(r"\W+", "_", row.lower())
    fitting = [function for name, function in functions.items() if words.startswith(name)]
    assert len(fitting) == 1, f"the README's row {row!r} has no stand-in, or more than one, in {__file__}"
    return fitting[0]


def complete(model: dict | None = None, image_set: dict | None = None, **more) -> dict:
    sets, nets = {"s": image_set or {"kind": "demo", "count": 24}}, {"m": model or {"torchvision": "x"}}
    return config.complete({"image_sets": sets, "models": nets} | more)


def draw(*paths: str, size: tuple[int, int] = (40, 30)) -> None:
    rng = np.random.default_rng(0)
    for path in paths:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (*size[::-1], 3), np.uint8)).save(path)


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """A working folder like a clone of the repository, with a network in mynets.py."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cnnviz").symlink_to(ROOT / "cnnviz")
    (tmp_path / "mynets.py").write_text(NET)
    return tmp_path


def without_random_weights(monkeypatch) -> None:
    """All weights come from a file; drawing random ones for resnet50 takes a second each time."""
    for name in ("kaiming_normal_", "kaiming_uniform_"):
        monkeypatch.setattr(nn.init, name, lambda tensor, *how, **more: tensor)


def net(width: int = 8) -> nn.Module:
    namespace: dict = {}
    exec(NET, namespace)
    torch.manual_seed(width)
    return namespace["build"](width)


def of_torchvision(name: str) -> dict[str, torch.Tensor]:
    """Weights of the right names and shapes, made without the network's own: constant, in half precision."""
    import torchvision

    with torch.device("meta"):
        state = torchvision.models.get_model(name, weights=None).state_dict()
    return {name: torch.full(value.shape, 0.5, dtype=torch.half) for name, value in state.items()}


OWN = {"factory": "mynets.py:build"}


# ------------------------------------------------------------------------------------------------------------- weights


def read(block: dict, like: dict) -> None:
    """Build the network of a model's block, and compare its weights with those it should have."""
    built = building.build(complete(block)["models"]["m"], "m", 0)
    mine = {name: value for name, value in built.net.state_dict().items() if value.is_floating_point()}
    assert mine and all(torch.equal(value, like[name].to(value)) for name, value in mine.items())


def published_weights(folder, write, monkeypatch):
    import huggingface_hub.constants
    import torchvision

    without_random_weights(monkeypatch)
    state = of_torchvision(write["torchvision"])
    weights = torchvision.models.get_model_weights(write["torchvision"])[write["weights"]]
    (folder / "torch/hub/checkpoints").mkdir(parents=True)
    torch.save(state, folder / "torch/hub/checkpoints" / weights.url.rpartition("/")[2])
    monkeypatch.setenv("TORCH_HOME", str(folder / "torch"))
    read({"torchvision": write["torchvision"], "weights": write["weights"]}, state)

    at = folder / f"hub/models--timm--{write['timm']}"
    (at / "refs").mkdir(parents=True)
    (at / "refs/main").write_text("0" * 40)
    (at / "snapshots" / ("0" * 40)).mkdir(parents=True)
    save_file(state, at / "snapshots" / ("0" * 40) / "model.safetensors")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(folder / "hub"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    read({"timm": write["timm"]}, state)


def a_file_of_torch_save(folder, write, monkeypatch):
    state = net().state_dict()
    arrays = {name: value.numpy() for name, value in state.items()}
    torch.save(state, "w.pt")
    save_file(state, "w.safetensors")
    Path("w.pkl").write_bytes(__import__("pickle").dumps(arrays))
    np.savez("w.npz", **arrays)
    with zipfile.ZipFile("w.zip", "w") as archive:
        archive.write("w.pt")
    with tarfile.open("w.tar", "w") as archive:
        archive.add("w.pt")
    assert write["checkpoint"] == "FILE" and write.keys() == {"checkpoint", "torchvision", "timm", "factory"}
    for file in ("w.pt", "w.safetensors", "w.pkl", "w.npz", "w.zip", "w.tar"):
        read(OWN | {"checkpoint": file}, state)
    for door, name in (("torchvision", "squeezenet1_1"), ("timm", "test_vit")):
        other = building.build(complete({door: name, "weights": "random"})["models"]["m"], "m", 1).net.state_dict()
        torch.save(other, "other.pt")
        read({door: name, "checkpoint": "other.pt"}, other)


def a_folder_of_hugging_face(folder, write, monkeypatch):
    import torch.distributed.checkpoint as dcp

    state = net().state_dict()
    assert write == {"checkpoint": "FOLDER"}
    Path("hugging").mkdir()
    Path("hugging/config.json").write_text("{}")
    save_file(state, "hugging/model.safetensors")
    dcp.save({"model": state}, checkpoint_id="dcp", no_dist=True)
    Path("shards").mkdir()
    names = sorted(state)
    places = {name: f"model-{1 + i % 2:05}-of-00002.safetensors" for i, name in enumerate(names)}
    for shard in set(places.values()):
        save_file({name: state[name] for name in names if places[name] == shard}, f"shards/{shard}")
    Path("shards/model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))
    for checkpoint in ("hugging", "dcp", "shards", "shards/model.safetensors.index.json"):
        read(OWN | {"checkpoint": checkpoint}, state)


def a_training_script(folder, write, monkeypatch):
    state = net().state_dict()
    for prefix in ("", "module.", "model."):
        weights = {f"{prefix}{name}": value for name, value in state.items()}
        for key in ("state_dict", "model_state_dict", "model"):
            more = {"optimizer": {"state": {}}, "epoch": 3, "args": argparse.Namespace(lr=0.1)}
            torch.save(more | {key: weights}, "last.ckpt")
            read(OWN | {"checkpoint": "last.ckpt"}, state)


def several_sets(folder, write, monkeypatch):
    state, other = net().state_dict(), {name: value + 1 for name, value in net().state_dict().items()}
    torch.save({"model": other, write["checkpoint_key"]: state}, "both.pt")
    read(OWN | {"checkpoint": "both.pt"} | write, state)


def your_own_network(folder, write, monkeypatch):
    state = net(**write["arguments"]).state_dict()
    torch.save(state, "w.pt")
    read(write | {"checkpoint": "w.pt"}, state)
    factories = [span["factory"] for span in spans(TABLES["Weights"]["your own network"]) if "factory" in span]
    (installed,) = (place for place in factories if ".py:" not in place)
    package, _, module = installed.partition(":")[0].rpartition(".")
    (folder / "site" / package).mkdir(parents=True)
    (folder / "site" / package / f"{module}.py").write_text(NET)
    monkeypatch.syspath_prepend(folder / "site")
    read(write | {"factory": installed, "checkpoint": "w.pt"}, state)


def a_network_of_torchvision(folder, write, monkeypatch):
    import torchvision

    like = torchvision.models.resnet18(weights=None, num_classes=5)
    like.conv1 = nn.Conv2d(1, 64, 7, 2, 3, bias=False)
    torch.save(like.state_dict(), "w.pt")
    read({"torchvision": "resnet18", "checkpoint": "w.pt"}, like.state_dict())


def a_whole_pickled_model(folder, write, monkeypatch):
    whole, x = net().eval(), torch.zeros(1, 3, 9, 9)
    torch.save(whole, "whole.pt")
    torch.jit.script(whole).save("scripted.pt")
    torch.export.save(torch.export.export(whole, (x,)), "exported.pt2")
    Path("net.onnx").write_bytes(b"\x08\x08\x12\x07pytorch\x1a\x052.0.0:\x00")
    for file in ("whole.pt", "scripted.pt", "exported.pt2", "net.onnx"):
        with pytest.raises(UserError, match="import"):
            read(OWN | {"checkpoint": file}, {})


WEIGHTS = {f.__name__: f for f in (published_weights, a_file_of_torch_save, a_folder_of_hugging_face)}
WEIGHTS |= {f.__name__: f for f in (a_training_script, several_sets, your_own_network, a_network_of_torchvision)}
WEIGHTS |= {f.__name__: f for f in (a_whole_pickled_model,)}


@pytest.mark.parametrize("row", TABLES["Weights"])
def test_each_row_about_weights(row, folder, monkeypatch):
    stand_in(row, WEIGHTS)(folder, said(TABLES["Weights"][row]), monkeypatch)


# ------------------------------------------------------------------------------------------------------------ pictures


def looked_at(image_set: dict, **more) -> dict:
    """The images.json of the set's job."""
    full = complete(image_set=image_set, **more)["image_sets"]["s"]
    with pytest.MonkeyPatch.context() as patch:
        arguments = ["--config", json.dumps(full), "--index", "images.json", "--thumbnails", "thumbnails.npy"]
        patch.setattr(sys, "argv", ["images", *arguments, "--threads", "1"])
        listing._rows.cache_clear()  # a job is a process of its own
        runpy.run_module("cnnviz.pictures.images", run_name="__main__")
    return json.loads(Path("images.json").read_text())


def names(index: dict) -> set[str]:
    assert not index["skipped"]
    return {picture["name"] for picture in index["pictures"]}


def a_folder_with_a_subfolder(write):
    draw("data/a/1.png", "data/b/2.jpg")
    index = looked_at(write)
    assert names(index) == {"a/1.png", "b/2.jpg"} and index["classes"] == ["a", "b"]
    shutil.rmtree("data")
    draw("data/1.png", "data/2.png")
    assert names(looked_at(write)) == {"1.png", "2.png"}


def training_and_test(write):
    draw("data/train/a/1.png", "data/test/a/2.png", "data/test/b/3.png")
    index = looked_at({"kind": "folder", "path": "data"} | write)
    assert [picture.get("role") for picture in index["pictures"]].count("query") == 2
    assert index["classes"] == ["a", "b"]


def a_table(write):
    draw("1.png", "2.png", "1-mask.png")
    plain = {key: write[key] for key in ("kind", "path", "path_column", "label_column")}
    columns = {key: key.removesuffix("_column") for key in ("mask_column", "role_column", "credit_column")}
    columns |= {"licence_column": "licence", "box_columns": ["x0", "y0", "x1", "y1"]}
    missing = [key for key in columns if f"`{key}`" not in TABLES["Pictures"]["a table"]]
    assert not missing
    Path(write["path"]).write_text("file,class\n1.png,cat;dog\n2.png,dog\n")
    index = looked_at(plain | {"label_separator": write["label_separator"]})
    assert names(index) == {"1.png", "2.png"} and index["classes"] == ["cat", "dog"]
    head = "file\tclass\tmask\trole\tcredit\tlicence\tx0\ty0\tx1\ty1\r\n"
    Path(write["path"]).write_text(f"{head}.\\1\tcat\t1-mask.png\tquery\tJoão\tCC0\t0\t0\t9\t9\r\n", "utf-16")
    (picture,) = looked_at(plain | columns)["pictures"]
    assert (picture["role"], picture["credit"], picture["licence"]) == ("query", "João", "CC0")
    assert picture["mask"] == "1-mask.png" and list(picture["box"]) == [0, 0, 9, 9]
    Path("table.jsonl").write_text('{"file": "1.png", "class": "cat"}\n')
    assert names(looked_at(plain | {"path": "table.jsonl"})) == {"1.png"}


def a_column_of_0_and_1(write):
    draw("1.png", "2.png")
    Path("table.csv").write_text("file,cat,dog\n1.png,0,1\n2.png,1,1\n")
    index = looked_at({"kind": "csv", "path": "table.csv", "path_column": "file"} | write)
    assert sorted(index["classes"]) == sorted(write["label_column"]) and names(index) == {"1.png", "2.png"}


def a_table_whose_paths(write):
    draw(f"{write['root']}/1.png")
    Path("table.csv").write_text("file,class\n1.png,cat\n")
    block = {"kind": "csv", "path": "table.csv", "path_column": "file", "label_column": "class"}
    assert names(looked_at(block | write)) == {"1.png"}


def _16_bit_or_float(write):
    Path("data").mkdir()
    black, white = write["window"]
    values = np.linspace(black, white, 64).reshape(8, 8)
    np.save("data/1.npy", values.astype(np.float32))
    Image.fromarray(values.astype(np.uint16)).save("data/2.png")
    block = complete(image_set={"kind": "folder", "path": "data"} | write)["image_sets"]["s"]
    assert names(looked_at({"kind": "folder", "path": "data"} | write)) == {"1.npy", "2.png"}
    for array in images.read("images.json", block).arrays(np.asarray, range(2)):
        assert array.min() == 0 and array.max() in (1, 255)


def transparency(write):
    Path("data").mkdir()
    Image.new("RGBA", (9, 9), (10, 20, 30, 0)).save("data/1.png")
    folder, seen = {"kind": "folder", "path": "data"}, []
    for alpha in (write["alpha"], "black", "channel", None):
        more = {"alpha": alpha} if alpha else {}
        block = complete(image_set=folder | more)["image_sets"]["s"]
        looked_at(folder | more)
        pixel = next(iter(images.read("images.json", block).arrays(np.asarray, range(1))))[0, 0]
        seen.append((pixel if pixel.dtype == np.uint8 else (255 * pixel).round()).tolist())
    assert seen == [[255, 255, 255], [0, 0, 0], [10, 20, 30, 0], [10, 20, 30]]


def heic(write):
    draw("data/1.png")
    Path("data/2.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    index = looked_at({"kind": "folder", "path": "data"})
    told = json.dumps([index["skipped"], index.get("others", ())])
    assert "heic" in told.lower()  # it is no whole one; where its reader is missing, that is the reason
    try:
        import pillow_heif  # noqa: F401
    except ImportError:
        assert "pillow-heif" in told


def dicom(write):
    file, _, function = write["loader"].partition(":")
    code = f"import numpy\n\ndef {function}(path):\n    return numpy.fromfile(path, 'u1').reshape(4, 4)\n"
    Path(file).write_text(code)
    Path("data").mkdir()
    Path("data/1.dcm").write_bytes(bytes(range(16)))
    assert names(looked_at({"kind": "folder", "path": "data"} | write)) == {"1.dcm"}


def more_than_three(write):
    Path("data").mkdir()
    np.save("data/1.npy", np.full((8, 8, 5), 9, np.uint8) * np.arange(5, dtype=np.uint8))
    looked_at({"kind": "folder", "path": "data"} | write)
    shown = np.load("thumbnails.npy")[0]
    assert shown.reshape(-1, 3).max(0).tolist() == [9 * band for band in write["show"]]


def too_many(write):
    draw("data/a/1.png", "data/a/2.png", "data/b/3.png")
    full = complete(image_set={"kind": "folder", "path": "data"}, **write)
    assert full["image_sets"]["s"]["limit"] == write["limits"]["images"]


PICTURES = {f.__name__: f for f in (a_folder_with_a_subfolder, training_and_test, a_table_whose_paths, transparency)}
PICTURES |= {f.__name__: f for f in (a_column_of_0_and_1, heic, dicom, more_than_three, too_many)}
PICTURES |= {"16_bit_or_float": _16_bit_or_float}


@pytest.mark.parametrize("row", TABLES["Pictures"])
def test_each_row_about_pictures(row, folder):
    functions = {"a_table": a_table} if row == "a table" else PICTURES
    stand_in(row, functions)(said(TABLES["Pictures"][row]))


# ------------------------------------------------------------------------------------------------------------- outputs

PIXELS = """
from torch import nn

def build():
    return nn.Conv2d(3, 4, 1)
"""
TWO = """
import torch
from torch import nn

class build(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, 4, 1), nn.Linear(7, 2)

    def forward(self, picture, metadata):
        return self.fc(torch.cat([self.conv(picture).mean((2, 3)), metadata.float().expand(len(picture), 3)], 1))
"""


def numbers_age(write):
    draw("1.png", "2.png")
    Path("table.csv").write_text(f"file,{','.join(write['target_columns'])}\n1.png,3,1.2\n2.png,30,1.7\n")
    block = {"kind": "csv", "path": "table.csv", "path_column": "file", "target_columns": write["target_columns"]}
    assert names(looked_at(block)) == {"1.png", "2.png"}
    return OWN | {"arguments": {"classes": 2}, "outputs": write["outputs"]}, block, 4  # each value up and down


def numbers_standardised(write):
    built = building.build(
        complete(OWN | {"arguments": {"classes": 2}, "outputs": write["outputs"]})["models"]["m"], "m", 0
    )
    plain = building.build(complete(OWN | {"arguments": {"classes": 2}})["models"]["m"], "m", 0)
    x = torch.rand(1, 3, 16, 16)
    scale, shift = (torch.tensor(write["outputs"][key]) for key in ("scale", "shift"))
    torch.testing.assert_close(built.net(x)[:, :2], plain.net(x) * scale + shift)
    return OWN | {"arguments": {"classes": 2}, "outputs": write["outputs"]}, None, 4


def a_class_for_each_pixel(write):
    draw("data/pictures/1.png")
    Path(write["masks"]).mkdir()
    Image.fromarray(np.arange(1200, dtype=np.uint8).reshape(30, 40) % 4).save(f"{write['masks']}/1.png")
    block = {"kind": "folder", "path": "data/pictures", "masks": write["masks"], "mask_ignore": write["mask_ignore"]}
    assert [bool(picture["mask"]) for picture in looked_at(block)["pictures"]] == [True]
    Path("pixels.py").write_text(PIXELS)
    return {"factory": "pixels.py:build", "outputs": write["outputs"]}, block, 4


def classes_of_a_picture(write):
    Path("two.py").write_text(TWO)
    return {"factory": "two.py:build", "inputs": write["inputs"]}, None, 2


OUTPUTS = {f.__name__: f for f in (numbers_age, numbers_standardised, a_class_for_each_pixel, classes_of_a_picture)}


@pytest.mark.parametrize("row", TABLES["Outputs"])
def test_each_row_about_outputs(row, folder):
    block, image_set, count = stand_in(row, OUTPUTS)(said(TABLES["Outputs"][row]))
    built = building.build(complete(block, image_set)["models"]["m"], "m", 0)
    assert built.net(torch.zeros(1, 3, 16, 16)).shape[:2] == (1, count)


# -------------------------------------------------------------------------------------------------------------- blocks


def test_no_stand_in_is_left_over():
    for functions, heading in ((WEIGHTS, "Weights"), (PICTURES, "Pictures"), (OUTPUTS, "Outputs")):
        rows = [re.sub(r"\W+", "_", row.lower()) for row in TABLES[heading]]
        assert not [name for name in functions if not any(row.startswith(name) for row in rows)]


@pytest.mark.parametrize("block", re.findall(r"^```yaml\n(.*?)^```", TEXT, re.M | re.S))
def test_each_block_of_yaml_is_a_config_that_works(block, folder, monkeypatch):
    """Makes every folder of pictures and checkpoint that it names; then builds its networks."""
    without_random_weights(monkeypatch)
    given = yaml.safe_load(block)
    for image_set in given["image_sets"].values():
        draw(*(f"{image_set['path']}/{name}/{i}.png" for name in ("jay", "owl") for i in range(3)))
    for model in given["models"].values():
        Path(model["checkpoint"]).parent.mkdir(parents=True, exist_ok=True)
        state = {f"model.{name}": value for name, value in of_torchvision(model["torchvision"]).items()}
        torch.save({"state_dict": state, "epoch": 3}, model["checkpoint"])
    full = config.complete(given)
    for id, model in full["models"].items():
        image_set = full["image_sets"][model["image_set"]]
        assert len(listing.rows(image_set)) == 6
        built = building.build(model, id, full["seed"])
        weights = built.net.state_dict()
        assert weights["fc.weight"].shape[0] == 1000 and torch.all(weights["layer4.2.conv3.weight"] == 0.5)
        assert listing.classes(image_set) == ["jay", "owl"] and model["outputs"]["kind"] == "softmax"
