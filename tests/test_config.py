"""A wrong config gets one line that names valid values; a right one is returned with every default."""

import copy
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from cnnviz import config
from cnnviz.errors import UserError

GOOD = {"image_sets": {"a": {"kind": "demo"}}, "models": {"m": {"torchvision": "alexnet"}}}


def changed(*path, value):
    made = copy.deepcopy(GOOD)
    *folders, last = path
    node = made
    for key in folders:
        node = node.setdefault(key, {})
    node[last] = value
    return made


def test_the_demo_config_is_complete():
    demo = config.complete(yaml.safe_load(Path("config.yaml").read_text()))
    assert list(demo["models"]) == ["biased", "unbiased"]
    assert demo["models"]["unbiased"]["probes"] == 12
    assert demo["sections"]["saliency"]["view"]["percentile"] == 99


ORDER = list(config.whole_schema()["properties"]["sections"]["properties"])


def test_sections_are_on_in_the_schemas_order_and_can_be_turned_off():
    full = config.complete(changed("sections", value={"tsne": {"perplexity": 5}, "pca": False, "saliency": True}))
    assert list(full["sections"]) == [name for name in ORDER if name != "pca"]
    assert full["sections"]["tsne"]["perplexity"] == 5


def test_pictures_that_are_a_default_are_found_from_any_working_directory(tmp_path, monkeypatch):
    here = config.complete(GOOD)["sections"]
    assert here["style_transfer"]["style"]["path"] == "cnnviz/demo/style.png"
    monkeypatch.chdir(tmp_path)
    there = config.complete(GOOD | {"sections": {"pca": {}}})["sections"]
    given = [there["style_transfer"][key] for key in ("content", "style", "second_style")]
    for picture in given + there["texture_synthesis"]["pictures"]:
        assert Path(picture["path"]).is_file() and not Path(picture["path"]).is_absolute()
    with pytest.raises(UserError, match="does not exist"):  # a user's path is relative to the working directory
        config.complete(changed("sections", "style_transfer", value={"style": "cnnviz/demo/style.png"}))


def test_a_list_of_sections_turns_on_those_only():
    full = config.complete(changed("sections", value=["saliency", "pca"]))
    assert list(full["sections"]) == [name for name in ORDER if name in ("saliency", "pca")]
    assert full["sections"]["saliency"]["samples"] == 30
    assert full["techniques"]["tsne"]["perplexity"] == 30  # a section that is on may need it
    with pytest.raises(UserError, match="'saliency'"):
        config.complete(changed("sections", value=["salency"]))


def test_presets_change_what_the_config_leaves_out():
    plain, quick, full = (config.complete(GOOD | {"preset": p}) for p in (None, "quick", "full"))
    steps = [c["sections"]["class_visualization"]["steps"] for c in (quick, plain, full)]
    probes = [c["models"]["m"]["probes"] for c in (quick, plain, full)]
    assert steps[0] < steps[1] < steps[2] and probes[0] < probes[1] < probes[2]
    assert quick["image_sets"]["a"]["count"] == 300
    # a first look is small
    sheets = [c["sections"]["maximal_patches"]["view"]["sheets"] for c in (quick, plain, full)]
    assert sheets == [False, True, True] and quick["limits"]["download"] == 1 and plain["limits"]["download"] is None
    own = config.complete(changed("sections", "saliency", "samples", value=7) | {"preset": "quick"})
    assert own["sections"]["saliency"]["samples"] == 7
    with pytest.raises(UserError, match="'quick'"):
        config.complete(GOOD | {"preset": "quik"})


def test_every_key_of_a_preset_is_one_of_the_schema():
    presets = config.presets(config.whole_schema())
    assert all(any(presets[name].values()) for name in ("quick", "full")) and not any(presets[None].values())
    for preset in presets.values():
        model = {"torchvision": "alexnet"} | preset.pop("model")
        config.complete(GOOD | preset | {"models": {"m": model}})


def test_limits_cap_numbers_and_leave_lists_alone():
    given = changed("sections", "class_visualization", "classes", value="all")
    given["limits"] = {"images": 5, "probes": 20, "classes": 4, "units": 3}
    full = config.complete(given)
    assert full["image_sets"]["a"]["count"] == 5
    assert full["models"]["m"]["probes"] == 12  # less than the limit already
    assert full["sections"]["class_visualization"]["classes"] == 4
    assert full["sections"]["linear_templates"]["classes"] == 100  # fewer would be an easier task than the network's
    assert full["sections"]["maximal_patches"]["view"]["units"] == 3
    given["sections"]["class_visualization"]["classes"] = [f"c{i}" for i in range(6)]
    given["models"]["m"]["probes"] = ["a", "b"]
    full = config.complete(given | {"limits": {"classes": 4, "probes": 1}})
    assert len(full["sections"]["class_visualization"]["classes"]) == 6 and full["models"]["m"]["probes"] == ["a", "b"]


def test_models_stay_in_the_order_of_the_config():
    names = ["zebra", "alpha", "middle"]
    full = config.complete(changed("models", value={n: {"torchvision": "alexnet"} for n in names}))
    assert list(full["models"]) == names


def test_the_given_config_is_left_alone():
    given = copy.deepcopy(GOOD)
    config.complete(given)
    assert given == GOOD


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (["sede"], 1, "'seed'"),
        (["models", "m", "preproces"], {}, "'preprocess'"),
        (["sections", "salency"], {}, "'saliency'"),
        (["sections", "saliency", "sample"], 3, "'samples'"),
        (["sections", "saliency", "view", "colour"], "x", "'colours'"),
        (["models", "m", "preprocess"], {"channels": "GBR"}, "RGB, BGR"),
        (["models", "m", "preprocess"], {"crop": None}, "size is not fixed"),
        (["models", "m", "checkpoint"], "cnnviz/network/modell.py", "'model.py'"),
        (["models", "m", "factory"], "tests/conftest.py:x", "exactly one of"),
        (["models", "m", "image_set"], "b", "Valid: a"),
        (["models", "M!"], {"torchvision": "alexnet"}, "lower-case letters"),
        (["models", "m", "probes"], "some", "integer or array"),
        (["models"], [], "not of type object"),
        (["models"], {}, "models"),
        (["image_sets", "a"], {"kind": "folder"}, "'path' is missing"),
        (["image_sets", "a"], {"kind": "folder", "path": "README.md"}, "kind: csv"),
        (["image_sets", "a"], {"kind": "csv", "path": "tests"}, "kind: folder"),
        (["sections", "style_transfer"], {"style": "no/such.png"}, "does not exist"),
        (["device"], "gpu", "auto takes the GPU"),
        (["seed"], -1, "seed"),
    ],
)
def test_a_wrong_config_is_told_what_is_valid(path, value, said):
    with pytest.raises(UserError) as error:
        config.complete(changed(*path, value=value))
    assert said in str(error.value)
    assert len(str(error.value).splitlines()) == 1


def test_two_image_sets_need_a_choice():
    both = changed("image_sets", value={"a": {"kind": "demo"}, "b": {"kind": "demo"}})
    with pytest.raises(UserError, match="a, b"):
        config.complete(both)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("models: [", "not valid YAML"),
        ("- a\n- b\n", "list instead of keys"),
        ("", "NoneType instead of keys"),
        ("models: {m: {torchvision: alexnet}}\n", "'image_sets' is missing"),
        (None, "does not exist"),
    ],
)
def test_the_command_line_says_what_is_wrong_without_a_traceback(tmp_path, text, said):
    if text is not None:
        (tmp_path / "c.yaml").write_text(text)
    command = [sys.executable, "-m", "cnnviz.config", str(tmp_path / "c.yaml")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1 and said in done.stderr and "Traceback" not in done.stderr
