"""Hundreds of hostile configs, from a seed: valid ones with one to three faults, derived from the schema.

A config gets a fault at a key of the schema, so that every key has its turn, by a value made for that key (a wrong
type, a value just outside its bounds, a wrong case, a path that is a folder). Or its structure gets a fault: keys that
are missing, misspelt, moved, combined with keys that they exclude, or that contain themselves.
"""

import copy
import datetime
import json
import os
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import yaml
from PIL import Image

from cnnviz import config

SCHEMA = config.whole_schema()
NETS = """
from torch import nn

def build(width=4, num_classes=2, **more):
    return nn.Sequential(nn.Conv2d(3, width, 3, stride=2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(width, num_classes))

number = 3

def nothing():
    pass

def fails():
    raise LookupError("two\\nlines")
"""
LOADER = """
import numpy as np
from PIL import Image

def read(path):
    return np.asarray(Image.open(path))

def word(path):
    return "a word"

def fails(path):
    raise ValueError("not today")
"""


@dataclass(frozen=True)
class Broken:
    """A config, the words of which one must be in the message, and its faults."""

    config: object
    names: tuple[str, ...]
    done: str


def materials(folder: Path) -> dict[str, str]:
    """Files for valid configs, and places that are not files. Returns name → path."""
    for name, level in (("cat", 40), ("dog", 200)):
        for i in range(3):
            for path in (f"flat/{name}", f"split/train/{name}", f"split/test/{name}"):
                (folder / path).mkdir(parents=True, exist_ok=True)
                Image.new("RGB", (20 + i, 24), (level, 90, 10 * i)).save(folder / path / f"{i}.png")
    rows = [f"flat/{name}/{i}.png,{name},1,1,9,9,query,me" for name in ("cat", "dog") for i in range(3)]
    (folder / "table.csv").write_text("\n".join(["path,label,l,t,r,b,role,credit", *rows]) + "\n")
    (folder / "nets.py").write_text(NETS)
    (folder / "loader.py").write_text(LOADER)
    (folder / "broken.py").write_text("def build(:\n")
    (folder / "exits.py").write_text("raise SystemExit(3)\n")
    (folder / "names.txt").write_text("cat\ndog\n")
    (folder / "names.json").write_text(json.dumps({"0": "cat", "1": "dog"}))
    np.save(folder / "mean.npy", np.full((3, 8, 8), 0.5))
    np.save(folder / "words.npy", np.array(["a", "b"]))
    namespace: dict = {}
    exec(NETS, namespace)
    torch.save(namespace["build"]().state_dict(), folder / "best.pt")
    (folder / "empty").mkdir()
    (folder / "nothing").write_bytes(b"")
    os.mkfifo(folder / "pipe")
    (folder / "itself").symlink_to(folder / "itself")
    (folder / "nowhere").symlink_to(folder / "gone")
    (folder / "locked.txt").write_text("secret")
    (folder / "locked.txt").chmod(0)
    return {p.name: str(p) for p in folder.iterdir()} | {"folder": str(folder)}


def valid(at: dict[str, str]) -> dict[str, dict]:
    """Configs that are accepted, by name: the demo's own, and the README's with every kind of block."""
    small = {"resize": [24, 24], "crop": None, "mean": 0.5, "std": 0.25}
    own = {"factory": f"{at['nets.py']}:build", "preprocess": small}
    return {
        "demo": yaml.safe_load((Path(__file__).parents[2] / "config.yaml").read_text("utf-8")),
        "folder": {
            "image_sets": {
                "birds": {"kind": "folder", "path": at["flat"], "limit": 5},
                "split": {
                    "kind": "folder",
                    "path": at["split"],
                    "roles": {"reference": ["train"], "query": ["test"]},
                    "loader": f"{at['loader.py']}:read",
                },
            },
            "models": {"own": own | {"checkpoint": at["best.pt"], "image_set": "birds", "classes": at["names.txt"]}},
            "sections": {"pca": False, "saliency": {"samples": 3, "view": {"percentile": 90}}},
            "limits": {"images": 4},
        },
        "table": {
            "image_sets": {
                "birds": {
                    "kind": "csv",
                    "path": at["table.csv"],
                    "box_columns": ["l", "t", "r", "b"],
                    "role_column": "role",
                    "credit_column": "credit",
                }
            },
            "models": {
                "own": own | {"preprocess": small | {"mean": at["mean.npy"]}, "classes": ["cat", "dog"], "probes": 3}
            },
            "sections": ["predictions", "pca"],
            "preset": "quick",
        },
        "torchvision": {
            "image_sets": {"birds": {"kind": "demo", "count": 12}},
            "models": {
                "own": {
                    "torchvision": "squeezenet1_1",
                    "weights": "random",
                    "arguments": {"num_classes": 12},
                    "layers": ["conv1", "conv3"],
                    "preprocess": {"resize": 64, "crop": 64},
                }
            },
            "preset": "full",
            "seed": 7,
        },
    }


def settable(rule: dict, path: tuple = ()) -> Iterator[tuple[tuple, str, dict]]:
    """(path, key, the schema's rule) of every key; "*" stands for a user's own name."""
    for key, inner in rule.get("properties", {}).items():
        yield path, key, inner
        yield from settable(inner, (*path, key))
    if isinstance(rule.get("additionalProperties"), dict):
        yield from settable(rule["additionalProperties"], (*path, "*"))


KEYS = list(settable(SCHEMA))
ODD = (
    *(None, True, False, 0, -1, 1, 2, 3.5, 32.0, 10**9, 10**30, -(10**30), 1e308, 1e-320, -0.0),
    *(float("nan"), float("inf"), float("-inf"), "", " ", "x", "default", "DEFAULT", "all", "auto", "1", "-1", "0.5"),
    *("a" * 5000, "a\0b", "a\nb", "ünïcode 🐺", "\u202eabc", "\ud800", "{{x}}", "<b>", "%s", "../../..", "/", "~", "."),
    *([], [[]], [None], ["x", 1], [1, 2, 3], [0, 0], [0.5] * 3, ["x"] * 300, [True], {}, {"x": 1}, {1: 2}, {None: 1}),
    *(b"bytes", {1, 2}, datetime.date(2024, 2, 3), datetime.datetime(2024, 2, 3, 4), [{}], {"view": []}, (1, 2)),
)
FILES = ("flat", "empty", "nothing", "pipe", "itself", "nowhere", "locked.txt", "nets.py", "best.pt", "table.csv")
PLACES = (*FILES, "names.json", "words.npy", "mean.npy", "folder", "/dev/null", "/dev/zero", "/proc/self/mem", "gone")


def made_for(rule: dict, hand: random.Random, at: dict[str, str]) -> object:
    """A value for a key with the schema's ``rule``: right, nearly right, or just wrong."""
    kinds = rule.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    values: list = []
    for bound in ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"):
        if bound in rule:
            values += [rule[bound], rule[bound] - 1, rule[bound] + 1, float(rule[bound]), str(rule[bound])]
    if "enum" in rule:
        words = [v for v in rule["enum"] if isinstance(v, str)] or ["1"]
        word = hand.choice(words)
        values += [*rule["enum"], word.upper(), word.title(), f"{word} ", word[:-1], [word], {word: True}]
    if "integer" in kinds or "number" in kinds:
        values += [0, 1, 7, 10**6, 10**12, 0.5, "7", 7.0, [7], -7]
    if "boolean" in kinds:
        values += ["yes", "no", "true", 1, 0]
    if "array" in kinds:
        inner = rule.get("items", {})
        values += [[made_for(inner, hand, at) for _ in range(n)] for n in (0, 1, 2, 3, 4, 5)]
        values += [[[1]], [None] * 4, list(range(200)), "a, b", {"0": 1}]
    if "object" in kinds:
        values += [{"x": 1}, [], [{}], "x", {k: None for k in rule.get("properties", {})}]
        known = list(rule.get("properties", {}).items())
        values += [{key: made_for(inner, hand, at)} for key, inner in hand.sample(known, min(2, len(known)))]
    if "string" in kinds or not kinds:
        place = hand.choice(PLACES)
        path = at.get(place, place)
        values += [
            path,
            f"{path}/x",
            f"{path}:build",
            f"{at['nets.py']}:{hand.choice(['number', 'nothing', 'fails', 'no'])}",
        ]
        values += [f"{at[f]}:build" for f in ("broken.py", "exits.py")] + [f"{at['loader.py']}:word", "conv1", "fc99"]
    return hand.choice(values or list(ODD))


def nodes(tree, path: tuple = ()) -> Iterator[tuple]:
    """The paths of all nodes of a config, from the root down; a config may contain itself."""
    if len(path) > 9:
        return
    steps = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for step, inner in steps:
        yield (*path, step)
        yield from nodes(inner, (*path, step))


def at_path(tree, path: tuple):
    for step in path:
        tree = tree[step]
    return tree


def put(tree: dict, path: tuple, value) -> tuple | None:
    """Sets the value, and makes blocks on the way; a "*" is one of the existing names. Returns the real path."""
    real: list = []
    for step in path[:-1]:
        if step == "*":
            names = [name for name, inner in tree.items() if isinstance(inner, dict)] if isinstance(tree, dict) else []
            if not names:
                return None
            step = names[len(real) % len(names)]
        if not isinstance(tree, dict):
            return None
        if not isinstance(tree.get(step), dict):
            tree[step] = {}
        tree = tree[step]
        real.append(step)
    if not isinstance(tree, dict):
        return None
    tree[path[-1]] = value
    return (*real, path[-1])


def misspelt(name: str, hand: random.Random) -> str:
    i = hand.randrange(len(name))
    return hand.choice([name[:i] + name[i + 1 :], name[:i] + name[i] + name[i:], name.upper(), f"{name}s", f" {name}"])


def restructured(tree: dict, hand: random.Random) -> tuple[tuple, str]:
    """Changes the structure of a config at one of its nodes, in place. Returns the node's path, and the fault."""
    path = hand.choice(list(nodes(tree)))
    holder, key = at_path(tree, path[:-1]), path[-1]
    value = holder[key]
    done = hand.choice(
        ("lose", "misspell", "wrap", "unwrap", "move", "swap", "cycle", "deep", "twice", "share", "text")
    )
    match done:
        case "lose":
            del holder[key]
        case "misspell" if isinstance(key, str):
            holder[misspelt(key, hand)] = holder.pop(key)
        case "wrap":
            holder[key] = hand.choice(([value], {key: value}, {"path": value}, (value,)))
        case "unwrap" if isinstance(value, dict | list) and value:
            holder[key] = next(iter(value.values())) if isinstance(value, dict) else value[0]
        case "move":
            del holder[key]
            tree[str(key)] = value
        case "swap":
            other = hand.choice(list(nodes(tree)))
            holder[key] = at_path(tree, other)
        case "cycle":
            holder[key] = hand.choice((tree, holder, {"x": holder}, [holder]))
        case "deep":
            for _ in range(hand.choice((5, 30, 3000))):
                value = hand.choice(([value], {"x": value}))
            holder[key] = value
        case "twice" if isinstance(holder, dict):
            holder[
                hand.choice((f"{key}-2", str(key).upper(), f"{key} ", "", "a" * 60, "../x", "Ä", ".hidden", "con"))
            ] = value
        case "share" if isinstance(holder, dict):
            for name in list(holder):
                holder[name] = value
        case "text":
            holder[key] = repr(value)[:3000]
        case _:
            holder[key] = hand.choice(ODD)
    return (*path, *holder) if done == "share" and isinstance(holder, dict) else path, done


# Keys that are valid one by one, and wrong or odd together.
TOGETHER = (
    {"image_sets.*.kind": "csv", "image_sets.*.roles": {"reference": ["train"]}},
    {"image_sets.*.roles": {"reference": ["cat"], "query": ["cat"]}},
    {"image_sets.*.roles": {"reference": ["cat"], "query": ["./cat/"]}},
    {"image_sets.*.roles": {"reference": [".."], "query": ["/"]}},
    {"image_sets.*.roles": {}},
    {"image_sets.*.window": [5, 5]},
    {"image_sets.*.window": [9, 1]},
    {"image_sets.*.window": [-1e308, 1e308]},
    {"image_sets.*.show": [0, 1, 900]},
    {"image_sets.*.show": 900},
    {"image_sets.*.box_columns": ["l", "l", "l", "l"]},
    {"image_sets.*.box_columns": ["path", "label", "no", "b"]},
    {"image_sets.*.path_column": "label", "image_sets.*.label_column": "path"},
    {"image_sets.*.label_separator": "a"},
    {"image_sets.*.kind": "demo", "image_sets.*.count": 10**9},
    {"image_sets.*.limit": 10**12},
    {"limits.images": 1, "limits.probes": 10**9, "limits.classes": 1, "limits.units": 1},
    {"models.*.probes": 10**9},
    {"models.*.probes": []},
    {"models.*.probes": ["no-such-picture.png"]},
    {"models.*.probes": ["0.png", "0.png"]},
    {"models.*.layers": []},
    {"models.*.layers": ["conv1", "conv1"]},
    {"models.*.layers": ["conv99"]},
    {"models.*.feature_layer": "conv99"},
    {"models.*.image_set": "no-such-set"},
    {"models.*.torchvision": "alexnet"},
    {"models.*.torchvision": "no-such-net"},
    {"models.*.torchvision": "raft_large"},
    {"models.*.timm": "no_such_net"},
    {"models.*.arguments": {"num_classes": 0}},
    {"models.*.arguments": {"num_classes": -3}},
    {"models.*.arguments": {"num_classes": "two"}},
    {"models.*.arguments": {"no_such_argument": 1}},
    {"models.*.arguments": {"self": 1, "": 2}},
    {"models.*.weights": "IMAGENET1K_V99"},
    {"models.*.checkpoint_key": "no-such-key"},
    {"models.*.outputs": {"kind": "binary"}},
    {"models.*.outputs": {"kind": "sigmoid", "returns": "probabilities"}},
    {"models.*.outputs": {"select": 7}},
    {"models.*.outputs": {"select": ""}},
    {"models.*.outputs": {"select": "a.b.c"}},
    {"models.*.outputs": {"offset": 1}},
    {"models.*.outputs": {"offset": 10**9}},
    {"models.*.classes": []},
    {"models.*.classes": ["cat"]},
    {"models.*.classes": ["cat", "cat"]},
    {"models.*.classes": ["", " "]},
    {"models.*.classes": [str(i) for i in range(1000)]},
    {"models.*.preprocess": {"resize": 20, "crop": 30}},
    {"models.*.preprocess": {"resize": 10**6}},
    {"models.*.preprocess": {"resize": [10**5, 10**5], "crop": None}},
    {"models.*.preprocess": {"resize": [1, 1], "crop": None}},
    {"models.*.preprocess": {"resize": [10**5, 1], "crop": None}},
    {"models.*.preprocess": {"crop": 1}},
    {"models.*.preprocess": {"crop": 0.5}},
    {"models.*.preprocess": {"crop": 1e-9, "resize": [9, 9]}},
    {"models.*.preprocess": {"crop": 1.0, "resize": 9}},
    {"models.*.preprocess": {"std": 0}},
    {"models.*.preprocess": {"std": [1, 0, 1]}},
    {"models.*.preprocess": {"std": [1, 1]}},
    {"models.*.preprocess": {"mean": []}},
    {"models.*.preprocess": {"mean": 1e308, "std": 1e-308}},
    {"models.*.preprocess": {"mean": 10**400}},
    {"sections.saliency": {"targets": []}},
    {"sections.saliency": {"targets": ["no such class", "predicted"]}},
    {"sections.class_visualization": {"classes": ["no such class"]}},
    {"sections.bias_probe": {"classes": []}},
    {"sections.deepdream": {"pictures": ["no/such.png"]}},
    {"sections.texture_synthesis": {"loss_net": "no-such-model"}},
    {"sections.style_transfer": {"content": {"path": "cnnviz/demo/style.png", "box": [9, 9, 1, 1]}}},
    {"sections.style_transfer": {"content": {"path": "/dev/null"}}},
    {"sections.grad_cam": {"layer": "no-such-layer"}},
    {"sections.grad_cam": {"view": {"colours": "no-such-map"}}},
    {"sections.occlusion": {"window": 0.1, "stride": 0.5}},
    {"sections.occlusion": {"mask": [0.5]}},
    {"sections": {}},
    {"sections": []},
    {"sections": ["pca", "pca"]},
    {"sections": [["pca"]]},
    {"sections": {"tsne_grid": {}, "tsne": False}},
    {"preset": "quick", "sections": {"tsne": None}},
    {"results": "/proc/1/results"},
    {"results": "."},
    {"results": "a\nb"},
    {"cache": "/dev/null"},
    {"device": "cuda:99"},
    {"threads": 10**9},
    {"batch": 10**12},
    {"seed": 2**70},
)


def broken(number: int, at: dict[str, str]) -> Broken:
    """The config of that number: the first len(TOGETHER) are odd combinations, each later one has its own key."""
    hand = random.Random(number)
    base = hand.choice(sorted(valid(at)))
    tree = copy.deepcopy(valid(at)[base])
    names, done = [], [base]
    if number < len(TOGETHER):
        for key, value in TOGETHER[number].items():
            real = put(tree, tuple(key.split(".")), copy.deepcopy(value))
            names += real or ()
        done.append(str(TOGETHER[number])[:150])
    else:
        for i in range(hand.choice((1, 1, 1, 2, 3))):
            if i == 0 and hand.random() < 0.7:
                path, key, rule = KEYS[(number * 7) % len(KEYS)]
                value = hand.choice(ODD) if hand.random() < 0.4 else made_for(rule, hand, at)
                real = put(tree, (*path, key), copy.deepcopy(value))
                names += real or ()
                done.append(f"{'.'.join((*path, key))} = {value!r:.80}")
            else:
                real, what = restructured(tree, hand)
                names += real
                done.append(f"{what} {'.'.join(map(str, real))}")
                if not isinstance(tree, dict) or not list(nodes(tree)):
                    break
    return Broken(tree, tuple(str(n) for n in names), "; ".join(done))
