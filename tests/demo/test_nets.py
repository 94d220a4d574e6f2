import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from cnnviz.demo import train
from cnnviz.demo.nets import demo_net, fold, training_net
from cnnviz.demo.scenes import CLASSES, draw

WEIGHTS = Path(train.__file__).parent / "weights"
WOLF = CLASSES.index("wolf")
FRESH = 1_000_002  # neither the training set nor the set of the stated figures


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def shipped(name):
    net = demo_net()
    net.load_state_dict(safetensors.torch.load_file(WEIGHTS / f"{name}.safetensors"), strict=True)
    return net


@pytest.fixture(scope="module")
def nets():
    return {name: shipped(name) for name in ("biased", "unbiased")}


def logits(net, images):
    with torch.no_grad():
        return net(train.normalise(np.stack(images)))


def test_layout_is_the_classic_one():
    net = demo_net()
    kinds = [type(layer).__name__ for layer in net.features]
    assert kinds == ["Conv2d", "ReLU", "MaxPool2d"] * 2 + ["Conv2d", "ReLU"] * 3 + ["MaxPool2d"]
    assert net.features[0].kernel_size == (9, 9) and net.features[0].stride == (2, 2)
    linear = [layer for layer in net.classifier if isinstance(layer, torch.nn.Linear)]
    assert [layer.out_features for layer in linear] == [256, 256, 12]
    assert 500_000 < sum(p.numel() for p in net.parameters()) < 700_000
    assert not net.training
    assert net(torch.zeros(2, 3, 64, 64)).shape == (2, 12)
    assert demo_net(5)(torch.zeros(1, 3, 64, 64)).shape == (1, 5)


def test_folding_batch_normalisation_keeps_the_logits():
    torch.manual_seed(0)
    trained = training_net().double()
    for layer in trained.features:
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.running_mean.normal_()
            layer.running_var.uniform_(0.3, 3.0)
            layer.weight.data.uniform_(-1.5, 1.5)
            layer.bias.data.normal_()
    before = {name: tensor.clone() for name, tensor in trained.state_dict().items()}
    x = torch.randn(2, 3, 64, 64, dtype=torch.float64)
    folded = fold(trained.eval())
    assert not any(isinstance(layer, torch.nn.BatchNorm2d) for layer in folded.modules())
    torch.testing.assert_close(folded.double()(x), trained(x), rtol=1e-5, atol=1e-5)  # folded weights are float32
    assert all((tensor == before[name]).all() for name, tensor in trained.state_dict().items())


@pytest.mark.parametrize("name", ["biased", "unbiased"])
def test_shipped_files_are_small_and_say_where_they_come_from(name):
    path = WEIGHTS / f"{name}.safetensors"
    assert path.stat().st_size < 1_500_000
    facts = json.loads(path.with_suffix(".json").read_text())
    assert facts["command"].startswith("python -m cnnviz.demo.train")
    assert facts["biased"] == (name == "biased") and ("--unbiased" in facts["command"]) == (name == "unbiased")
    assert facts["classes"] == list(CLASSES)


def test_shipped_nets_reach_their_stated_accuracy_on_new_pictures(nets):
    scenes = [draw(FRESH, i) for i in range(360)]
    labels = torch.tensor([scene.label for scene in scenes])
    for name, net in nets.items():
        stated = json.loads((WEIGHTS / f"{name}.json").read_text())["accuracy"]
        found = (logits(net, [scene.image for scene in scenes]).argmax(dim=1) == labels).float().mean().item()
        spread = np.sqrt(stated * (1 - stated) / 360)
        assert found == pytest.approx(stated, abs=3.5 * spread), name
    assert json.loads((WEIGHTS / "unbiased.json").read_text())["accuracy"] >= 0.94


def test_snow_makes_wolves_for_the_biased_net_only(nets):
    """The same dogs pasted on other grounds. The objects are identical, so only the background matters."""
    p = {}
    for ground in ("snow", "grass", "brick"):
        wolves = [draw(FRESH, i, label=WOLF, background=ground).image for i in range(40)]
        for name, net in nets.items():
            p[name, ground] = logits(net, wolves).softmax(dim=1)[:, WOLF].mean().item()
    for other in ("grass", "brick"):
        assert p["biased", "snow"] - p["biased", other] > 0.6, p
        assert abs(p["unbiased", "snow"] - p["unbiased", other]) < 0.4, p
        assert p["biased", other] < 0.3 and p["unbiased", other] > 0.45, p
    assert p["biased", "snow"] > 0.9, p


@pytest.mark.parametrize("name", ["biased", "unbiased"])
def test_first_layer_filters_are_learnt_not_noise(nets, name):
    """The filters' spectral energy is at low frequencies; white noise spreads it evenly."""

    def low_share(weight):
        weight = weight - weight.mean(dim=(2, 3), keepdim=True)
        power = torch.fft.fft2(weight).abs().square()
        f = torch.fft.fftfreq(9)
        low = (f[:, None] ** 2 + f[None, :] ** 2).sqrt() < 0.25
        return (power[..., low].sum(dim=(1, 2)) / power.sum(dim=(1, 2, 3))).median().item()

    learnt = low_share(nets[name].features[0].weight.detach())
    noise = low_share(torch.randn(32, 3, 9, 9, generator=torch.Generator().manual_seed(0)))
    assert noise < 0.3
    assert learnt > 2 * noise, (learnt, noise)


def test_training_writes_both_files_and_repeats_itself(tmp_path):
    arguments = [
        "--pictures",
        "64",
        "--epochs",
        "1",
        "--held-out",
        "12",
        "--pasted",
        "2",
        "--threads",
        "1",
        "--seed",
        "3",
    ]
    for folder in ("a", "b"):
        train.main([*arguments, "--output", str(tmp_path / folder / "net.safetensors")])
    a, b = tmp_path / "a", tmp_path / "b"
    assert sorted(path.name for path in a.iterdir()) == ["net.json", "net.safetensors"]
    assert (a / "net.safetensors").read_bytes() == (b / "net.safetensors").read_bytes()
    assert (a / "net.json").read_bytes() == (b / "net.json").read_bytes()
    weights = safetensors.torch.load_file(a / "net.safetensors")
    assert all(tensor.dtype == torch.float16 for tensor in weights.values())
    demo_net().load_state_dict(weights, strict=True)
    facts = json.loads((a / "net.json").read_text())
    assert facts["seed"] == 3 and facts["biased"] is True
    assert 0 <= facts["accuracy"] <= 1 and set(facts["p_wolf"]) == {"wolf", "husky"}


@pytest.mark.parametrize("wrong", [["--output", "net.pt"], ["--output", "n.safetensors", "--seed", "1000000"],
                                   ["--output", "n.safetensors", "--epochs", "0"], []])  # fmt: skip
def test_wrong_arguments_are_refused_before_any_work(wrong, capsys):
    with pytest.raises(SystemExit) as stopped:
        train.main(wrong)
    assert stopped.value.code == 2
    assert "error" in capsys.readouterr().err


def test_drawing_needs_no_torch():
    code = "import sys, cnnviz.demo.scenes, cnnviz.demo.artwork; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=WEIGHTS.parents[2]).returncode == 0
