"""Each kind of model loads and is described; if it is wrong, the message says what is wrong."""

import json

import numpy as np
import pytest
import torch
from torch import nn

from cnnviz.errors import UserError
from cnnviz.network import loaded, network
from cnnviz.pictures.preprocess import Preprocess, complete, prepared

FACTORY = '''
import torch
from torch import nn

def small(classes=3, width=4):
    """conv-relu-conv-relu-pool-linear-relu-linear-relu-linear, 16 x 16 px."""
    return nn.Sequential(nn.Conv2d(3, width, 3), nn.ReLU(inplace=True), nn.Conv2d(width, 6, 3), nn.ReLU(inplace=True),
        nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(24, 10), nn.ReLU(), nn.Linear(10, 8), nn.ReLU(),
        nn.Linear(8, classes))

def broken():
    raise RuntimeError("no such luck")

def number():
    return 3

class All(nn.Module):
    """Fully convolutional, with a functional ReLU, a block, and BatchNorm."""
    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3)
        self.block = Block()
        self.last = nn.Conv2d(5, 3, 1)
    def forward(self, x):
        return self.last(self.block(torch.relu(self.first(x)))).mean((2, 3))

class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.bn = nn.Conv2d(4, 5, 3), nn.Conv2d(5, 5, 1), nn.BatchNorm2d(5)
    def forward(self, x):
        return torch.relu(self.bn(self.b(torch.relu(self.a(x)))))

def convolutional():
    return All()

def scores_as_map():
    return nn.Conv2d(3, 3, 1)
'''


@pytest.fixture
def factory(tmp_path):
    (tmp_path / "mine.py").write_text(FACTORY)
    return lambda name, **more: (
        {
            "factory": f"{tmp_path / 'mine.py'}:{name}",
            "preprocess": {"resize": [16, 16], "crop": None},
        }
        | more
    )


def built(make_job, block, **changes):
    job = make_job(block, set_classes=["ant", "bee", "cat"], **changes)
    network.main(job)
    return loaded.load(job), json.loads(job.inputs["network"].read_text())


def test_layers_get_short_names_in_execution_order(make_job, factory):
    model, facts = built(make_job, factory("small"))
    assert [layer.name for layer in model.layers] == ["conv1", "conv2", "fc6", "fc7", "fc8"]
    assert (model.layer("conv2").units, model.layer("conv2").height) == (6, 12)
    assert model.layer("2").name == "conv2"  # the dotted name
    assert model.chosen == ("conv1", "conv2") and facts["default_layers"] == ["conv1", "conv2"]
    assert model.feature == ("10", "input") and model.feature_size == 8
    with pytest.raises(UserError, match="conv1, conv2, fc6"):
        model.layer("conv9")


def test_a_net_without_linear_layers_has_the_pooled_last_convolution_as_feature(make_job, factory):
    model, facts = built(make_job, factory("convolutional"))
    assert model.feature == ("block", "output") and model.feature_size == 5
    assert [layer.name for layer in model.layers] == ["conv1", "conv2", "conv3", "block", "conv4"]


def test_the_feature_layer_can_be_chosen(make_job, factory):
    model, _ = built(make_job, factory("small", feature_layer="conv2"))
    assert model.feature == ("2", "output") and model.feature_size == 6
    with pytest.raises(UserError, match="feature_layer.*fc6"):
        built(make_job, factory("small", feature_layer="fc5"))


def test_random_weights_are_the_seeds(make_job, factory):
    first, _ = built(make_job, factory("small"))
    torch.rand(3)
    same, _ = built(make_job, factory("small"))
    other, _ = built(make_job, factory("small"), seed=1)
    weights = [m.net[0].weight for m in (first, same, other)]
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])
    assert not first.net.training and not any(p.requires_grad for p in first.net.parameters())


@pytest.mark.parametrize("kind", ["pt", "half", "safetensors"])
def test_checkpoints(make_job, factory, tmp_path, kind):
    from safetensors.torch import save_file

    model, _ = built(make_job, factory("small"))
    state = {k: torch.randn_like(v) for k, v in model.net.state_dict().items()}
    path = tmp_path / ("w.safetensors" if kind == "safetensors" else "w.pt")
    if kind == "safetensors":
        save_file(state, path)
    else:
        torch.save({k: v.half() for k, v in state.items()} if kind == "half" else state, path)
    model, _ = built(make_job, factory("small", checkpoint=str(path)))
    assert model.net[0].weight.dtype == torch.float32
    torch.testing.assert_close(model.net[0].weight, state["0.weight"], rtol=1e-3 if kind == "half" else 0, atol=1e-3)


def test_a_checkpoint_that_does_not_fit_names_the_keys(make_job, factory, tmp_path):
    model, _ = built(make_job, factory("small"))
    state = model.net.state_dict()
    state["0.wait"] = state.pop("0.weight")
    torch.save(state, tmp_path / "w.pt")
    with pytest.raises(UserError, match="0.wait"):
        built(make_job, factory("small", checkpoint=str(tmp_path / "w.pt")))


@pytest.mark.parametrize(
    ("name", "more", "said"),
    [
        ("smal", {}, "Did you mean 'small'"),
        ("broken", {}, "RuntimeError: no such luck"),
        ("number", {}, "not a torch.nn.Module"),
        ("scores_as_map", {}, r"\(n, classes\)"),
        ("small", {"arguments": {"colour": 1}}, "there is no 'colour'. Valid: classes, width"),
        ("small", {"layers": ["conv3"]}, "conv1, conv2"),
        ("small", {"classes": ["one"]}, "1 names, the network has 3 outputs"),
        ("small", {"preprocess": {"resize": [2, 2], "crop": None}}, "does not take a picture"),
    ],
)
def test_what_is_wrong_is_said(make_job, factory, name, more, said):
    with pytest.raises(UserError, match=said):
        built(make_job, factory(name, **more), check=more)


def test_a_wrong_class_of_a_section_is_said_in_the_models_first_job(make_job, factory):
    with pytest.raises(UserError, match="wasp.*ant, bee, cat"):
        built(make_job, factory("small"), check={"classes": {"class_visualization": ["bee", "wasp"]}})


def test_torchvision_by_name(make_job, factory):
    block = {"torchvision": "squeezenet1_1", "weights": "random", "arguments": {"num_classes": 3}}
    model, facts = built(make_job, block)
    assert facts["described"] == "torchvision's squeezenet1_1, random weights"
    assert model.chosen[0] == "conv1" and len(model.chosen) <= 12
    with pytest.raises(UserError, match="Did you mean 'alexnet'"):
        built(make_job, {"torchvision": "alexnett"})
    with pytest.raises(UserError, match="IMAGENET1K_V1"):
        built(make_job, {"torchvision": "alexnet", "weights": "IMAGENET"})


def test_alexnets_layers_and_feature(make_job, factory):
    model, _ = built(make_job, {"torchvision": "alexnet", "weights": "random", "arguments": {"num_classes": 3}})
    assert [layer.name for layer in model.layers] == ["conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8"]
    assert model.feature == ("classifier.6", "input") and model.feature_size == 4096


# ------------------------------------------------------------------------------------------------------ preprocessing


def model_with(preprocess: Preprocess, channels: int = 3) -> loaded.Model:
    return loaded.Model(
        *("m", nn.Identity(), preprocess, (), (), ("", "input"), "", 0, (), (), torch.device("cpu"), {}, channels),
    )


@pytest.mark.parametrize(
    ("given", "resize", "crop"),
    [
        ({}, 232, 224),  # the authors'
        ({"resize": [64, 64]}, [64, 64], None),
        ({"resize": 64}, 64, 64),
        ({"crop": 299}, 310, 299),
        ({"resize": 300, "crop": 299}, 300, 299),
        ({"resize": 256, "crop": None}, 256, None),
    ],
)
def test_what_a_block_leaves_out_is_as_the_authors_have_it(given, resize, crop):
    full = complete(given, {"resize": 232, "crop": 224, "mean": [1, 2, 3]}, 3)
    assert (full["resize"], full["crop"]) == (resize, crop)
    assert full["mean"] == [1, 2, 3] and full["std"] == [0.229, 0.224, 0.225] and full["channels"] == "RGB"


def test_of_other_than_three_channels_nothing_is_assumed():
    full = complete({}, {}, 1)
    assert (full["mean"], full["std"]) == (0, 1)
    assert complete({"mean": 0.5}, {}, 1)["mean"] == 0.5


@pytest.mark.parametrize("channels", [1, 2, 5])
def test_normalise_takes_any_number_of_channels(channels):
    rng = np.random.default_rng(0)
    picture = rng.random((4, 6, channels), dtype=np.float32)
    block = complete({"resize": [4, 6], "mean": [0.1] * channels, "std": [0.2] * channels}, {}, channels)
    model = model_with(prepared(block, channels), channels)
    got = model.normalise(model.pictures([picture]))[0].permute(1, 2, 0).numpy()
    np.testing.assert_allclose(got, (picture - 0.1) / 0.2, rtol=1e-5)
    with pytest.raises(UserError, match=f"{channels} numbers"):
        prepared(block | {"mean": [0.0] * 9}, channels)


def test_normalise_equals_the_formula_on_bytes():
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 256, (5, 7, 3), dtype=np.uint8)
    mean, std = np.array([104.0, 117, 123]), np.array([1.0, 2, 3])
    model = model_with(Preprocess(resize=(5, 7), channels="BGR", range=255.0, mean=mean, std=std))
    naive = (picture[:, :, ::-1].astype(float) - mean) / std
    got = model.normalise(model.pictures([picture]))[0].permute(1, 2, 0).numpy()
    np.testing.assert_allclose(got, naive, atol=1e-4)


def test_a_mean_picture_is_used_pixel_by_pixel_and_resized_for_other_sizes():
    mean = np.random.default_rng(0).normal(size=(3, 8, 8)).astype(np.float32)
    model = model_with(Preprocess(resize=(8, 8), mean=mean))
    torch.testing.assert_close(model.normalise(torch.zeros(1, 3, 8, 8))[0], -torch.from_numpy(mean))
    assert model.normalise(torch.zeros(1, 3, 16, 16)).shape == (1, 3, 16, 16)


def test_a_batch_may_mix_bytes_and_floats():
    bytes_ = np.random.default_rng(0).integers(0, 256, (4, 5, 3), dtype=np.uint8)
    model = model_with(Preprocess(resize=(4, 5)))
    mixed = model.pictures([bytes_, np.float32(bytes_) / 255])
    torch.testing.assert_close(mixed[0], mixed[1])
    torch.testing.assert_close(mixed[0], model.pictures([bytes_])[0])


def test_bounds_are_black_and_white():
    model = model_with(Preprocess(crop=4, mean=np.float32(0.5), std=np.float32(0.25)))
    black, white = model.bounds()
    assert (black == -2).all() and (white == 2).all()


@pytest.mark.parametrize("name", ["squeezenet", "cifar10_quick", "cifar_resnet20", "mobilenet"])
def test_preprocessing_as_data_equals_the_published_code(shared, name):
    """The nets' own preprocessing functions, written as config blocks: the same network input."""
    import importlib.util

    from PIL import Image

    spec = importlib.util.spec_from_file_location("nets", shared / "nets.py")
    nets = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(nets)
    arch = next((shared / "models").glob(f"{name}*.arch.json"))
    facts = json.loads(arch.read_text())
    block = {
        "squeezenet": {"channels": "BGR", "range": 255, "mean": [104, 117, 123], "std": 1, "resize": [256, 256]}
        | {"crop": 227, "interpolation": "bicubic"},
        "cifar10_quick": {"range": 255, "mean": str(shared / "cifar10_mean.npy"), "std": 1, "resize": [32, 32]},
        "cifar_resnet20": {"mean": facts.get("mean"), "std": facts.get("std"), "resize": [32, 32]},
        "mobilenet": {"range": 255, "mean": 127.5, "std": 127.5, "resize": [128, 128], "crop": 0.875},
    }[name]
    full = {"channels": "RGB", "range": 1, "crop": None, "interpolation": "bilinear"} | block
    model = model_with(prepared(full))
    folder = "imagenet" if name in ("squeezenet", "mobilenet") else "cifar10/cat"
    for path in sorted((shared / folder).glob("*.jpg"))[:3]:
        picture = Image.open(path).convert("RGB")
        expected = nets.preprocess(arch)(picture)
        got = model.normalise(model.pictures([model.preprocess.geometry(picture)]))[0]
        torch.testing.assert_close(got, expected, atol=2e-4 * full["range"], rtol=0)
