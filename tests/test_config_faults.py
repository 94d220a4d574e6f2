"""Hundreds of wrong configs: each is accepted, or gets one message that names valid values."""

import contextlib
import copy
import datetime
import random
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from cnnviz import config
from cnnviz.errors import UserError

DEMO = Path("config.yaml").read_text("utf-8")
SCHEMA = config.whole_schema()
ODD = [
    *(None, True, False, 0, -1, 1, 3.5, 32.0, 10**30, -(10**30), 1e308, float("nan"), float("inf"), float("-inf")),
    *("", " ", "x", "default", "all", "auto", "1", "a" * 5000, "a\0b", "ünïcode", "../../..", "/", "no/such/file.py:f"),
    *([], [[]], [None], ["x", 1], [1, 2, 3], [0.5] * 3, {}, {"x": 1}, {1: 2}, {None: None}, b"bytes", {1, 2}),
    *(datetime.date(2024, 2, 3), datetime.datetime(2024, 2, 3), [{}], {"view": []}, {"view": {"view": {}}}),
]


@pytest.fixture(scope="module")
def mine(tmp_path_factory) -> dict:
    """A config as in the README, with existing files and every kind of block."""
    folder = tmp_path_factory.mktemp("mine")
    (folder / "pictures" / "cats").mkdir(parents=True)
    (folder / "table.csv").write_text("path,label\n")
    (folder / "nets.py").write_text("def build(): pass\n")
    (folder / "names.txt").write_text("cat\ndog\n")
    np.save(folder / "mean.npy", np.zeros((3, 8, 8)))
    torch.save({}, folder / "best.pt")
    return {
        "title": "Birds",
        "seed": 3,
        "device": "cpu",
        "limits": {"images": 100},
        "image_sets": {
            "birds": {"kind": "folder", "path": f"{folder}/pictures", "limit": 10, "roles": {"reference": ["cats"]}},
            "table": {"kind": "csv", "path": f"{folder}/table.csv", "label_column": "label"},
            "drawn": {"kind": "demo", "count": 24, "seed": 1},
        },
        "models": {
            "resnet": {
                "torchvision": "resnet18",
                "arguments": {"num_classes": 20},
                "checkpoint": f"{folder}/best.pt",
                "image_set": "birds",
                "layers": ["conv1"],
                "probes": 3,
                "outputs": {"kind": "sigmoid"},
            },
            "own": {
                "factory": f"{folder}/nets.py:build",
                "image_set": "table",
                "classes": f"{folder}/names.txt",
                "preprocess": {"mean": f"{folder}/mean.npy", "std": [1, 2, 3], "resize": [8, 8], "crop": None},
            },
        },
        "sections": {"pca": False, "saliency": {"samples": 3, "view": {"percentile": 90}}, "tsne": {"perplexity": 5}},
        "results": "results-birds",
    }


def outcome(broken) -> str:
    """The message about a config: "" if it is accepted, else one line."""
    try:
        config.complete(broken)
    except UserError as error:
        message = str(error)
        assert len(message.splitlines()) == 1 and 10 < len(message) < 20_000
        return message
    return ""


def at(tree, path):
    for step in path:
        tree = tree[step]
    return tree


def leaves(tree, path=()):
    """(path, value) of every node of a config, from the root down."""
    if path:
        yield path, tree
    for key, value in tree.items() if isinstance(tree, dict) else ():
        yield from leaves(value, (*path, key))


def settable(rule: dict, path=()):
    """(path, key, its rule) of every key that the schema knows, with a model and an image set to put it into."""
    for key, inner in rule.get("properties", {}).items():
        yield path, key, inner
        yield from settable(inner, (*path, key))
    if isinstance(rule.get("additionalProperties"), dict):
        name = {"models": "own", "image_sets": "birds"}[path[-1]]
        yield from settable(rule["additionalProperties"], (*path, name))


KEYS = list(settable(SCHEMA))


def put(tree: dict, path, key, value) -> dict:
    tree = copy.deepcopy(tree)
    node = tree
    for step in path:
        if not isinstance(node.get(step), dict):
            node[step] = {}
        node = node[step]
    node[key] = value
    return tree


def misspelt(name: str, valid, random: random.Random) -> str:
    """The name with one typing error that makes it invalid."""
    while True:
        i = random.randrange(len(name))
        slip = random.choice(
            [
                name[:i] + name[i + 1 :],
                name[:i] + name[i] + name[i:],
                name[:i] + name[i + 1 : i + 2] + name[i] + name[i + 2 :],
                name[:i] + random.choice("aeinst_") + name[i + 1 :],
                name.capitalize(),
                name.replace("_", "-"),
                name + "s",
            ]
        )
        if slip and slip not in valid:
            return slip


def test_the_configs_that_are_broken_here_are_good(mine):
    assert outcome(mine) == "" and outcome(yaml.safe_load(DEMO)) == ""
    assert len(KEYS) > 100


@pytest.mark.parametrize("number", range(len(KEYS)), ids=lambda i: ".".join((*KEYS[i][0], KEYS[i][1])))
def test_a_misspelt_key_is_told_the_right_one(mine, number):
    """Every key that the schema knows, at its place."""
    path, key, rule = KEYS[number]
    wrong = misspelt(key, known(path), random.Random(number))
    said = outcome(put(mine, path, wrong, rule.get("default", "x")))
    assert repr(wrong) in said and f"'{key}'" in said.replace(f"{key},", f"'{key}'"), said


def known(path) -> dict:
    """The keys that the schema knows at a place; none where any key is allowed."""
    node = SCHEMA
    for step in path:
        inner = node.get("properties", {})
        node = inner[step] if step in inner else node["additionalProperties"]
    return node.get("properties", {})


def test_keys_that_are_given_and_misspelt(mine):
    """As above, but instead of the right key: the missing key must not hide the misspelt one."""
    hand = random.Random(0)
    for base in (mine, yaml.safe_load(DEMO)):
        for path, value in leaves(base):
            free = path[:-1] and path[-2] in ("image_sets", "models", "arguments")  # names of the user's own
            if free:
                continue
            wrong = misspelt(path[-1], {**at(base, path[:-1]), **known(path[:-1])}, hand)  # not step for steps
            changed = put(base, path[:-1], wrong, value)
            del at(changed, path[:-1])[path[-1]]
            said = outcome(changed)
            assert path[-1] in said.replace(repr(wrong), ""), (path, wrong, said)


def test_misspelt_values_are_told_the_right_ones(mine):
    hand = random.Random(1)
    for path, key, rule in KEYS:
        for value in rule.get("enum", ()):
            if isinstance(value, str):
                wrong = misspelt(value, [*rule["enum"]], hand)
                said = outcome(put(mine, path, key, wrong))
                assert repr(wrong) in said and value in said.replace(repr(wrong), ""), said


def test_misspelt_sections_in_a_list_and_image_sets(mine):
    hand = random.Random(2)
    names = list(SCHEMA["properties"]["sections"]["properties"])
    for name in names:
        assert f"'{name}'" in outcome(mine | {"sections": ["pca", misspelt(name, names, hand)]})
    for name in mine["image_sets"]:
        wrong = misspelt(name, mine["image_sets"], hand)
        assert f"{name}" in outcome(put(mine, ("models", "own"), "image_set", wrong))


def test_misspelt_paths_are_told_the_right_ones(mine):
    hand = random.Random(3)
    for path, value in leaves(mine):
        if isinstance(value, str) and "/" in value:
            folder, _, name = value.rpartition("/")
            stem, _, rest = name.partition(".")
            wrong = misspelt(stem, [stem, *(p.name for p in Path(folder).iterdir())], hand)
            for broken in (
                f"{folder}/{wrong}{'.' * bool(rest)}{rest}",
                f"{folder}x/{name}",
                f"{value}/x",
                f"{folder}/",
            ):
                said = outcome(put(mine, path[:-1], path[-1], broken))
                if broken.startswith(f"{folder}/{wrong}"):
                    assert name.split(":")[0] in said, said


@pytest.mark.parametrize("number", range(0, len(KEYS)), ids=lambda i: ".".join((*KEYS[i][0], KEYS[i][1])))
def test_odd_values_are_accepted_or_told(mine, number):
    """A dozen odd values for every key, and every odd value for many."""
    path, key, _ = KEYS[number]
    for value in random.Random(number).sample(ODD, 12):
        outcome(put(mine, path, key, value))


def test_odd_blocks_are_accepted_or_told(mine):
    for base in (mine, yaml.safe_load(DEMO)):
        for path, _ in leaves(base):
            for value in (None, [], "x", 3, {"x": 1}):
                outcome(put(base, path[:-1], path[-1], value))
            without = copy.deepcopy(base)
            del at(without, path[:-1])[path[-1]]
            outcome(without)
    for value in ODD:
        outcome(value)


@pytest.mark.parametrize(
    "value", [5, 2.5, None, True, datetime.date(2024, 1, 1), "", "A", "a b", "a/b", "..", "a" * 41]
)
@pytest.mark.parametrize("kind", ["models", "image_sets"])
def test_ids_that_are_no_words_are_told(mine, kind, value):
    said = "lower-case letters" if isinstance(value, str) else "put it into quotes"
    assert said in outcome(mine | {kind: {value: next(iter(mine[kind].values()))}})


@pytest.mark.parametrize("value", [32.0, 0.5, True, "32"])
def test_a_whole_number_is_one(mine, value):
    assert "integer" in outcome(mine | {"batch": value})


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_number_is_finite(mine, value):
    assert "not a finite number" in outcome(put(mine, ("sections", "tsne"), "perplexity", value))


@pytest.mark.parametrize("value", [datetime.date(2024, 2, 3), b"x", {1, 2}, {"a": [{2: 3}]}, {"a": b"x"}])
def test_arguments_are_plain_data(mine, value):
    assert "models.own.arguments" in outcome(put(mine, ("models", "own", "arguments"), "x", value))


def test_long_arguments_are_no_paths(mine):
    assert outcome(put(mine, ("models", "own", "arguments"), "x", "a" * 5000)) == ""


@pytest.mark.parametrize("value", ["", " ", "/", "..", "a{x}b"])
def test_results_are_in_a_folder_of_their_own(mine, value):
    assert "Folder of all results" in outcome(mine | {"results": value})


def test_a_path_that_snakemake_cannot_read_is_refused(mine, tmp_path):
    (tmp_path / "{x}").mkdir()
    path = str(shutil.copy(mine["models"]["own"]["classes"], tmp_path / "{x}" / "names.txt"))
    assert "has braces" in outcome(put(mine, ("models", "own"), "classes", path))


def test_a_missing_block_is_named(mine):
    for key in ("image_sets", "models"):
        assert f"the key '{key}' is missing" in outcome({k: v for k, v in mine.items() if k != key})


# --------------------------------------------------------------------------------------------------------- as text

TEXTS = {
    "empty": "",
    "comment": "# nothing\n",
    "null": "null\n",
    "number": "3\n",
    "words": "just some words\n",
    "list": "- a\n- b\n",
    "two documents": "a: 1\n---\nb: 2\n",
    "tab": "models:\n\tm: {torchvision: alexnet}\n",
    "tab in a line": "image_sets:\n  a:\t{kind: demo}\n",
    "open bracket": "models: [\n",
    "open quote": "title: 'what\n",
    "colon in a value": "title: what: this\n",
    "bad indentation": "models:\n    m:\n  x: 1\n y: 2\n",
    "percent": "%YAML 9.9\n---\na: 1\n",
    "at": "title: @home\n",
    "unknown alias": "a: *nowhere\n",
    "anchor twice": "a: &x 1\nb: &x 2\nc: *x\n",
    "merge of a number": "models:\n  <<: 3\n",
    "merge of a list": "models:\n  <<: [1, 2]\n",
    "merge of itself": "models: &m\n  <<: *m\n",
    "a key twice": "image_sets: {a: {kind: demo}}\nimage_sets: {b: {kind: demo}}\nmodels: {m: {torchvision: x}}\n",
    "list as a key": "? [a, b]\n: 1\n",
    "map as a key": "? {a: b}\n: 1\n",
    "dates as keys": "2024-02-03: 1\n",
    "impossible date": "title: 2024-13-45\n",
    "impossible time": "title: 2024-01-01 25:61:61\n",
    "numbers as keys": "1: 2\n3.5: 4\n",
    "null as a key": "~: 1\n",
    "yes as a key": "yes: no\n",
    "a tag of Python": "title: !!python/object/apply:os.system [ls]\n",
    "an unknown tag": "title: !mine x\n",
    "binary": "title: !!binary aGVsbG8=\n",
    "bad binary": "title: !!binary '***'\n",
    "set": "title: !!set {a, b}\n",
    "bad integer": "seed: !!int x\n",
    "bad float": "seed: !!float x\n",
    "bad boolean": "seed: !!bool x\n",
    "ordered map": "title: !!omap [a: 1]\n",
    "bad pairs": "title: !!pairs {a: 1}\n",
    "long integer": f"seed: {'9' * 5000}\n",
    "hexadecimal": "seed: 0x\n",
    "sexagesimal": "seed: 12:30:45\n",
    "underscores": "seed: 1_000\n",
    "octal": "seed: 0o9\n",
    "deep lists": "title: " + "[" * 1000 + "]" * 1000 + "\n",
    "deep maps": "title: " + "{a: " * 1000 + "1" + "}" * 1000 + "\n",
    "itself": "image_sets: &a {a: *a}\nmodels: {m: {torchvision: x}}\n",
    "itself in arguments": "image_sets: {a: {kind: demo}}\nmodels: {m: {torchvision: x, arguments: &a {b: *a}}}\n",
    "itself in a list": "image_sets: {a: {kind: demo}}\nmodels: {m: {torchvision: x, layers: &a [*a]}}\n",
    "latin-1": "title: Füchse\n".encode("latin-1"),
    "utf-16": "title: x\n".encode("utf-16"),
    "byte order mark": b"\xef\xbb\xbftitle: x\n",
    "nul": b"title: a\0b\n",
    "control characters": b"title: \x07\n",
    "picture": b"\x89PNG\r\n\x1a\n" + bytes(range(256)),
    "windows line ends": b"title: x\r\nmodels: {}\r\n",
    "json": b'{"image_sets": {"a": {"kind": "demo"}}, "modles": {"m": {"torchvision": "x"}}}',
    "line separator": "title: a\u2028b\n",
    "emoji": "title: 🦊\n",
    "json that is cut off": b'{"image_sets": {"a": {"kind"',
}


def of_main(path, monkeypatch, capsys) -> str:
    """What ``python -m cnnviz.config`` prints as its error, "" where the config is accepted; no other exception."""
    monkeypatch.setattr(sys, "argv", ["cnnviz.config", str(path)])
    stopped = None
    with contextlib.suppress(SystemExit):
        try:
            config.main()
        except SystemExit as stop:
            stopped = stop.code
            raise
    said = capsys.readouterr().err
    assert (stopped == 1 and said.startswith("error: ")) or (stopped is None and not said)
    assert said.count("error: ") <= 1 and "Traceback" not in said and len(said) < 20_000
    return said


@pytest.mark.parametrize("kind", TEXTS)
def test_odd_files_are_told(tmp_path, monkeypatch, capsys, kind):
    path = tmp_path / "mine.yaml"
    text = TEXTS[kind]
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    said = of_main(path, monkeypatch, capsys)
    assert said or kind in ("a key twice",)
    if kind == "json":
        assert "'models'" in said


def test_a_folder_in_place_of_a_config_is_told(tmp_path, monkeypatch, capsys):
    assert "directory" in of_main(tmp_path, monkeypatch, capsys)


@pytest.mark.parametrize("seed", range(10))
def test_slips_of_the_hand_in_the_demos_text(tmp_path, monkeypatch, capsys, seed):
    """Characters removed, doubled or replaced; lines removed, moved or indented; the end cut off."""
    hand = random.Random(seed)
    path = tmp_path / "mine.yaml"
    for _ in range(20):
        text = DEMO
        for _ in range(hand.randint(1, 3)):
            i, lines = hand.randrange(len(text)), text.splitlines(keepends=True)
            j = hand.randrange(len(lines))
            match hand.randrange(7):
                case 0:
                    text = text[:i] + text[i + 1 :]
                case 1:
                    text = text[:i] + hand.choice("\t:-[]{}&*!|>'\"%@`,#?\n 0é\x07") + text[i + hand.randrange(2) :]
                case 2:
                    del lines[j]
                    text = "".join(lines)
                case 3:
                    lines[j] = " " * hand.randint(1, 3) + lines[j]
                    text = "".join(lines)
                case 4:
                    lines[j] = lines[j].lstrip()
                    text = "".join(lines)
                case 5:
                    lines.insert(hand.randrange(len(lines)), lines[j])
                    text = "".join(lines)
                case 6:
                    text = text[:i] if hand.random() < 0.3 else text
        path.write_text(text, "utf-8")
        of_main(path, monkeypatch, capsys)


@pytest.mark.parametrize("kind", ["latin-1", "deep lists", "impossible date"])
def test_the_command_line_shows_no_traceback(tmp_path, kind):
    path = tmp_path / "mine.yaml"
    text = TEXTS[kind]
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    done = subprocess.run([sys.executable, "-m", "cnnviz.config", str(path)], capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr.startswith("error: ") and "Traceback" not in done.stderr
