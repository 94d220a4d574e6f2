"""Deliberate mistakes in configs of real networks are found, with the right fix; correct configs raise no suspicion."""

import copy
import csv
import json

import numpy as np
import pytest
import yaml
from PIL import Image

from cnnviz import config
from cnnviz.check import feeding, image_sets, networks, preprocessing
from cnnviz.demo.scenes import CLASSES, draw

DEMO = {
    "factory": "cnnviz/demo/nets.py:demo_net",
    "checkpoint": "cnnviz/demo/weights/biased.safetensors",
    "preprocess": {"mean": 0.5, "std": 0.25, "resize": [64, 64]},
}
CIFAR = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
FACTORY = """
import sys
import torch
sys.path[:0] = ["."]

def net(checkpoint="cnnviz/demo/weights/biased.safetensors"):
    from safetensors.torch import load_file
    from cnnviz.demo.nets import demo_net
    made = demo_net()
    made.load_state_dict(load_file(checkpoint))
    return made

def probabilities():
    return torch.nn.Sequential(net(), torch.nn.Softmax(1))

def background():
    made = net()
    behind = torch.nn.ConstantPad1d((1, 0), -20.0)
    return torch.nn.Sequential(made, behind)

def constant():
    made = net()
    made.classifier[-1].weight.data.zero_()
    return made

def broken():
    made = net()
    made.classifier[-1].bias.data[3] = float("nan")
    return made

def masked():
    hidden = torch.nn.ConstantPad1d((0, -2), 0), torch.nn.ConstantPad1d((0, 2), -torch.inf)
    return torch.nn.Sequential(net(), *hidden)

def overflowing():
    made = net()
    made.classifier[-1].weight.data *= 1e38
    return made
"""


@pytest.fixture
def factory(tmp_path):
    path = tmp_path / "nets.py"
    path.write_text(FACTORY)
    return lambda name: {"factory": f"{path}:{name}", "preprocess": DEMO["preprocess"]}


@pytest.fixture(autouse=True)
def fewer(monkeypatch):
    """Only the five likeliest other preprocessings, on few pictures at first; the full list is tested elsewhere."""
    every = preprocessing.alternatives
    monkeypatch.setattr(preprocessing, "alternatives", lambda *args: every(*args)[:5])
    monkeypatch.setattr(feeding, "FIRST", (12, 12))


def checked(model, image_set=None, seconds=2000):
    """The report's lines, without a time limit; "" if it returns no cost."""
    image_set = image_set or {"kind": "demo", "count": 120}
    full = config.complete({"image_sets": {"set": image_set}, "models": {"net": copy.deepcopy(model)}, "device": "cpu"})
    return list(networks.check(full, seconds))


def wrong(lines):
    """name → line that is marked as clearly wrong."""
    return {line.name: line for line in lines if line.mark == "✗"}


def doubts(lines):
    return [line for line in lines if line.mark in ("✗", "!")]


def pasted(model, line):
    """The model's block with the line's fix pasted into it, as a reader would."""
    at = next(i for i, text in enumerate(line.more) if text.startswith("write under models.net:"))
    return {**model, **yaml.safe_load(line.more[at + 1])}


def test_the_demo_raises_no_suspicion():
    lines = checked(DEMO)
    assert doubts(lines) == []
    assert {"pictures", "network", "input", "outputs", "accuracy", "preprocessing"} <= {line.name for line in lines}


@pytest.mark.parametrize("mistake", [{"range": 255}, {"mean": 127.5, "std": 63.75}])
def test_a_wrong_preprocessing_of_the_demo_is_mended(mistake):
    model = {**DEMO, "preprocess": DEMO["preprocess"] | mistake}
    found = wrong(checked(model))["preprocessing"]
    mended = checked(pasted(model, found))
    assert doubts(mended) == []


@pytest.mark.parametrize("order", ["reversed", "swapped", "shuffled"])
def test_classes_in_a_wrong_order_are_mended(order):
    names = list(CLASSES)
    swapped = [names[i] for i in (0, 1, 2, 3, 7, 5, 6, 4, 8, 9, 10, 11)]
    shuffled = [names[i] for i in (5, 3, 9, 0, 11, 1, 8, 2, 4, 10, 6, 7)]
    model = {**DEMO, "classes": {"reversed": names[::-1], "swapped": swapped, "shuffled": shuffled}[order]}
    found = wrong(checked(model))["label order"]
    assert "mostly called" in found.more[0]
    assert pasted(model, found)["classes"] == names
    assert doubts(checked(pasted(model, found))) == []


def test_a_wrong_order_and_a_wrong_preprocessing_at_once_are_mended():
    names = list(CLASSES)
    shuffled = [names[i] for i in (5, 3, 9, 0, 11, 1, 8, 2, 4, 10, 6, 7)]
    model = {**DEMO, "classes": shuffled, "preprocess": DEMO["preprocess"] | {"range": 255}}
    lines = checked(model)
    found = wrong(lines)
    assert set(found) == {"accuracy", "both"} and not [line for line in lines if line.name == "why"]
    assert found["both"].more[0] == "write under models.net:"
    mended = yaml.safe_load("\n".join(found["both"].more[1:]))
    assert mended == {"preprocess": DEMO["preprocess"] | {"range": 1}, "classes": names}
    assert doubts(checked(model | mended)) == []


def test_a_background_class_is_found(factory):
    model = factory("background")
    lines = checked(model)
    assert "offset" in wrong(lines)["label order"].more[-1]
    assert doubts(checked(pasted(model, wrong(lines)["label order"]))) == []


def test_probabilities_constants_and_nan(factory):
    assert "returns: probabilities" in wrong(checked(factory("probabilities")))["scores"].text
    assert doubts(checked(factory("probabilities") | {"outputs": {"returns": "probabilities"}})) == []
    assert "same for every picture" in wrong(checked(factory("constant")))["scores"].text
    assert "not finite" in wrong(checked(factory("overflowing")))["scores"].text
    assert "2 of its 12 outputs (" in wrong(checked(factory("masked")))["error"].text
    assert "not finite" in wrong(checked(factory("broken")))["error"].text


def test_an_untrained_network_is_no_better_than_guessing_and_no_cause_is_made_up():
    model = {key: value for key, value in DEMO.items() if key != "checkpoint"}
    lines = checked(model)
    assert set(wrong(lines)) == {"accuracy"} and "guessing" in wrong(lines)["accuracy"].text
    assert [line.name for line in lines if line.mark == "!"] == ["why"]


def test_too_few_labelled_pictures_and_none_are_said(tmp_path):
    for i in range(12):
        Image.new("RGB", (64, 64), (20 * i, 0, 0)).save(tmp_path / f"{i}.png")
    without = checked(DEMO, {"kind": "folder", "path": str(tmp_path)})
    assert wrong(without) == {} and "without labels" in next(line.text for line in without if line.name == "accuracy")
    few = checked(DEMO, {"kind": "demo", "count": 12})
    assert wrong(few) == {} and any(line.name == "few labels" for line in few)


def test_several_labels_a_picture(tmp_path):
    rows = ["path,label"]
    for i in range(48):
        Image.fromarray(draw(1, i).image).save(tmp_path / f"{i}.png")
        rows.append(f"{i}.png,{CLASSES[i % 12]};{CLASSES[(i + 1) % 12]}")
    (tmp_path / "labels.csv").write_text("\n".join(rows))
    table = {"kind": "csv", "path": str(tmp_path / "labels.csv"), "label_separator": ";"}
    model = {**DEMO, "classes": list(CLASSES)}
    lines = checked(model, table)
    assert [line.more for line in doubts(lines)] == [("under models.net:  outputs: {kind: sigmoid}",)]
    lines = checked(model | {"outputs": {"kind": "sigmoid"}}, table)
    assert doubts(lines) == []
    assert "mean average precision" in next(line.text for line in lines if line.name == "accuracy")


def test_unreadable_pictures_are_told_and_a_set_of_nothing_else_is_wrong(tmp_path):
    for folder in ("some", "all"):
        (tmp_path / folder / "a").mkdir(parents=True)
        (tmp_path / folder / "a" / "bad.png").write_bytes(b"not a picture")
    for i in range(3):
        Image.new("RGB", (64, 64)).save(tmp_path / "some" / "a" / f"{i}.png")
    assert "a sample" in wrong(checked(DEMO, {"kind": "folder", "path": str(tmp_path / "all")}))
    lines = checked(DEMO, {"kind": "folder", "path": str(tmp_path / "some")})
    assert wrong(lines) == {}
    assert any(more.startswith("a/bad.png: not a picture") for line in lines for more in line.more)


@pytest.mark.parametrize(
    ("name", "low", "high", "kind", "window", "advised"),
    [
        ("a.png", 0, 4095, np.uint16, None, [0, 4095]),
        ("a.tif", 200, 900, np.uint16, None, [200, 900]),
        ("a.png", 0, 65535, np.uint16, None, None),
        ("a.npy", 0, 255, np.float32, None, [0, 255]),
        ("a.tif", -1000, 1000, np.float32, None, [-1000, 1000]),
        ("a.tif", 0, 1, np.float32, None, None),
        ("a.npy", 0.5, 0.625, np.float32, None, [0.5, 0.625]),
        ("a.npy", 3, 3, np.float32, None, None),  # a constant picture cannot be shown
        ("a.png", 0, 4095, np.uint16, [1000, 1400], None),  # intended
        ("a.png", 0, 4095, np.uint16, [5000, 9000], [0, 4095]),
        ("a.png", 0, 4095, np.uint16, [0, 1], [0, 4095]),
        ("a.png", 0, 255, np.uint8, None, None),
        ("a.png", 0, 255, np.uint8, [0, 1], None),
    ],
)
def test_the_range_of_values_is_said_and_a_window_where_little_would_show(
    tmp_path, name, low, high, kind, window, advised
):
    values = np.linspace(low, high, 400).reshape(20, 20).astype(kind)
    if name.endswith("npy"):
        np.save(tmp_path / name, values)
    else:
        Image.fromarray(values).save(tmp_path / name)
    block = {"kind": "folder", "path": str(tmp_path), "window": window}
    full = config.complete({"image_sets": {"scans": block}, "models": {"m": DEMO}})["image_sets"]["scans"]
    found = [line for line in image_sets.about(image_sets.listed(full), "scans", 1) if line.name == "values"]
    if kind is np.uint8 and window is None:
        assert found == []
        return
    (line,) = found
    assert f"lie in {low:g} … {high:g}, while" in line.text
    assert line.mark == ("!" if advised else "✓")
    if advised:
        assert line.more[0] == "write under image_sets.scans:"
        assert yaml.safe_load(line.more[1]) == {"window": advised}


def test_what_is_wrong_with_a_model_is_said_and_the_next_is_looked_at_all_the_same():
    block = {
        "image_sets": {"set": {"kind": "demo", "count": 24}},
        "models": {"bad": {**DEMO, "layers": ["conv99"]}, "good": DEMO},
    }
    lines = list(networks.check(config.complete(block)))
    assert "conv99" in wrong(lines)["error"].text
    assert [line.name for line in lines if line.mark == ""] == ["Image set set", "Model bad", "Model good"]


def test_only_labelled_queries_count_where_there_are_any(tmp_path):
    for role in ("train", "test"):
        for label in ("a", "b"):
            (tmp_path / role / label).mkdir(parents=True)
            for i in range(4):
                Image.new("RGB", (8, 8)).save(tmp_path / role / label / f"{i}.png")
    block = {"kind": "folder", "path": str(tmp_path), "roles": {"reference": ["train"], "query": ["test"]}}
    full = config.complete({"image_sets": {"s": block}, "models": {"m": DEMO}})["image_sets"]["s"]
    sample = image_sets.chosen(image_sets.listed(full), 6)
    assert len(sample) == 6 and all(p.role == "query" for p in sample.pictures)
    assert sorted(p.label for p in sample.pictures) == [0, 0, 0, 1, 1, 1]


# ------------------------------------------------------------------------------------------------------ the real nets


def real(shared, arch, **preprocess):
    arguments = {"arch_json_path": str(shared / "models" / f"{arch}.arch.json")}
    return {"factory": f"{shared}/nets.py:load", "arguments": arguments, "preprocess": preprocess}


@pytest.fixture
def quick(shared):
    mean = str(shared / "cifar10_mean.npy")
    return real(shared, "cifar10_quick", channels="RGB", range=255, mean=mean, std=1, resize=[32, 32])


@pytest.fixture
def squeezenet(shared):
    how = {"channels": "BGR", "range": 255, "mean": [104, 117, 123], "std": 1, "interpolation": "bicubic"}
    model = real(shared, "squeezenet_v1.0_imagenet", **how, resize=[256, 256], crop=227)
    return model | {"classes": str(shared / "imagenet_classes.json")}


@pytest.fixture
def cifar(shared):
    return {"kind": "folder", "path": str(shared / "cifar10"), "limit": 400}


@pytest.fixture
def imagenet(shared):
    return {
        "kind": "csv",
        "path": str(shared / "imagenet" / "labels.csv"),
        "path_column": "file",
        "label_column": "index",
    }


def test_cifar10_quick_raises_no_suspicion(quick, cifar):
    assert doubts(checked(quick, cifar)) == []


@pytest.mark.parametrize("mistake", [{"range": 1}, {"channels": "BGR"}])
def test_cifar10_quick_fed_wrongly_is_mended(quick, cifar, mistake):
    model = {**quick, "preprocess": quick["preprocess"] | mistake}
    found = wrong(checked(model, cifar))["preprocessing"]
    assert pasted(model, found)["preprocess"] == quick["preprocess"]


@pytest.mark.parametrize("true", [[0, 1, 2, 5, 4, 3, 6, 7, 8, 9], [3, 7, 0, 9, 1, 8, 2, 6, 5, 4]])
def test_cifar10_quick_labelled_wrongly_is_mended(quick, cifar, shared, tmp_path, true):
    """Labels that no common mistake leads to: a table gives pictures of class i another name."""
    other = dict(zip(CIFAR, [CIFAR[i] for i in true], strict=True))
    table = tmp_path / "labels.csv"
    with open(table, "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["path", "label"])
        for folder in CIFAR:
            names = sorted((shared / "cifar10" / folder).glob("*.jpg"))[:40]
            rows.writerows([str(name), other[folder]] for name in names)
    found = wrong(checked(quick, {"kind": "csv", "path": str(table)}))["label order"]
    assert pasted(quick, found)["classes"] == [other[name] for name in CIFAR]


def test_squeezenet_raises_no_suspicion(squeezenet, imagenet):
    assert doubts(checked(squeezenet, imagenet | {"limit": 60})) == []


@pytest.mark.parametrize(("mistake", "limit"), [({"channels": "RGB"}, 60), ({"range": 1}, 24)])
def test_squeezenet_fed_wrongly_is_mended(squeezenet, imagenet, mistake, limit):
    model = {**squeezenet, "preprocess": squeezenet["preprocess"] | mistake}
    found = wrong(checked(model, imagenet | {"limit": limit}))["preprocessing"]
    assert pasted(model, found)["preprocess"] == squeezenet["preprocess"]


def relabelled(shared, path, label, rows=40):
    with open(shared / "imagenet" / "labels.csv", newline="") as file:
        found = list(csv.DictReader(file))[:rows]
    with open(path, "w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["path", "label"])
        table.writerows([str(shared / "imagenet" / row["file"]), label(i, found)] for i, row in enumerate(found))
    return {"kind": "csv", "path": str(path)}


def test_squeezenet_with_labels_that_are_off_by_one(squeezenet, shared, tmp_path):
    table = relabelled(shared, tmp_path / "labels.csv", lambda i, rows: int(rows[i]["index"]) + 1)
    found = wrong(checked(squeezenet, table))["label order"]
    assert "one output earlier" in found.text and "count from 1" in found.more[-1]


def test_squeezenet_with_labels_in_any_other_order_though_there_is_one_picture_a_class(squeezenet, shared, tmp_path):
    table = relabelled(shared, tmp_path / "labels.csv", lambda i, rows: rows[(7 * i + 3) % len(rows)]["index"])
    found = wrong(checked(squeezenet, table))["label order"]
    assert "another order" in found.text
    assert any("labels are not" in more for more in found.more)  # the file names agree with the outputs' names


def test_mobilenets_background_class_is_found(shared, imagenet):
    model = real(
        shared, "mobilenet_v1_025_128_dequant", range=255, mean=127.5, std=127.5, resize=[128, 128], crop=0.875
    )
    found = wrong(checked(model, imagenet))["label order"]
    assert pasted(model, found)["outputs"] == {"offset": 1}
    names = [entry["name"] for entry in json.loads((shared / "imagenet_classes.json").read_text())]
    assert doubts(checked({**model, "outputs": {"offset": 1}, "classes": names}, imagenet)) == []
