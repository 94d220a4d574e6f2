"""`make fetch` is sufficient: the whole workflow then runs without any connection."""

import os
import subprocess
import sys

import pytest
import torch
import torchvision.models as zoo
import yaml

from cnnviz import config as configs
from cnnviz import fetch
from cnnviz.errors import UserError
from tests.checkout import copy_code

REFUSE = """
import socket, sys

def refuse(*arguments, **named):
    with open({log!r}, "a") as log:
        print(sys.argv, arguments, file=log)
    raise OSError("there is no network")

socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse
"""
NET = {"torchvision": "squeezenet1_1", "probes": 1, "preprocess": {"resize": [64, 64], "crop": None}}
CONFIG = {
    "cache": "cache",
    "threads": 1,
    "device": "cpu",
    "image_sets": {"drawn": {"kind": "demo", "count": 12}},
    "models": {"net": NET},
    "sections": ["predictions"],
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A checkout with the config, as the working directory, and an environment that is restored."""
    copy_code(tmp_path)
    (tmp_path / "net.yaml").write_text(yaml.safe_dump(CONFIG))
    monkeypatch.chdir(tmp_path)
    for name in ("TORCH_HOME", "HF_HOME", "HF_HUB_OFFLINE"):
        monkeypatch.setenv(name, "")
    return tmp_path


def test_after_fetch_nothing_asks_the_network(folder, monkeypatch):
    asked = []

    def download(url, path, *arguments, **named):
        asked.append(url)
        torch.save(zoo.squeezenet1_1().state_dict(), path)

    monkeypatch.setattr(torch.hub, "download_url_to_file", download)
    config = configs.complete(CONFIG)
    assert fetch.fetch(config) == ["net"]
    assert len(asked) == 1 and list((folder / "cache").rglob("squeezenet1_1-*.pth"))
    assert fetch.fetch(config) == ["net"] and len(asked) == 1  # it is already there

    (folder / "refuse").mkdir()
    (folder / "refuse/sitecustomize.py").write_text(REFUSE.format(log=str(folder / "attempts.txt")))
    environment = os.environ | {"PYTHONPATH": "refuse"}
    command = [sys.executable, "-m", "snakemake", "--cores", "2", "--configfile", "net.yaml"]
    done = subprocess.run(command, text=True, capture_output=True, env=environment)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert (folder / "results/site/index.html").is_file()
    assert not (folder / "attempts.txt").exists()
    # and the guard does refuse
    done = subprocess.run(
        [sys.executable, "-c", "import socket; socket.create_connection(('127.0.0.1', 9))"], env=environment
    )
    assert done.returncode == 1 and (folder / "attempts.txt").exists()


def test_weights_that_are_not_there_name_make_fetch(folder, monkeypatch):
    def download(*arguments, **named):
        raise OSError("there is no network")

    monkeypatch.setattr(torch.hub, "download_url_to_file", download)
    with pytest.raises(UserError, match="make fetch"):
        fetch.fetch(configs.complete(CONFIG))


@pytest.mark.parametrize(
    ("model", "wanted"),
    [
        ({"torchvision": "alexnet"}, True),
        ({"torchvision": "alexnet", "weights": "random"}, False),
        ({"torchvision": "alexnet", "checkpoint": "net.yaml"}, False),
        ({"timm": "resnet18.a1_in1k"}, True),
        ({"factory": "cnnviz/demo/nets.py:demo_net"}, False),
    ],
)
def test_only_published_weights_are_fetched(folder, model, wanted):
    block = configs.complete(CONFIG | {"models": {"net": model | {"preprocess": NET["preprocess"]}}})["models"]["net"]
    assert fetch.published(block) == wanted


def test_published_weights_need_a_folder(folder):
    with pytest.raises(UserError, match="cache: name a folder for the weights of net"):
        fetch.fetch(configs.complete(CONFIG | {"cache": None}))


def test_a_fetched_timm_model_does_not_ask_the_hub(folder):
    """The hub's client is told by the environment, before it is imported."""
    program = (
        "from cnnviz import config; config.keep_weights('cache'); from huggingface_hub import constants;"
        "print(constants.HF_HUB_OFFLINE, constants.HF_HUB_CACHE)"
    )
    said = subprocess.run([sys.executable, "-c", program], text=True, capture_output=True, check=True).stdout.split()
    assert said[0] == "True" and said[1].startswith(str(folder / "cache"))
