"""Oracles: the grad-cam package, explicit CAM, and explicit hooks. A named layer's output is the one it returned."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image
from pytorch_grad_cam import GradCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import nn
from torch.nn import functional as F

from cnnviz.attribution import grad_cam
from cnnviz.attribution.grad_cam import METHODS, cam, enlarged, evidence, guided_heat, heat, weighted
from cnnviz.attribution.probes import NotApplicable
from cnnviz.attribution.projections import of_classes
from cnnviz.errors import UserError
from cnnviz.network import layers, loaded, network
from cnnviz.network.loaded import Model
from cnnviz.network.relu import GUIDED
from cnnviz.pictures import images
from cnnviz.pictures.preprocess import Preprocess
from cnnviz.run import result
from cnnviz.views import grad_cam as drawn
from cnnviz.views.kit import colour
from cnnviz.views.kit.section import Context

TARGETS = torch.tensor([2, 0])
PARAMETERS = {"layer": "auto"}


def model_of(net: nn.Module, size: int) -> Model:
    net = net.double().eval().requires_grad_(False)
    calls = layers.trace(net, torch.zeros(1, 3, size, size, dtype=torch.float64), "test")
    found, outputs = layers.named(net, calls), calls[""].output[1]
    return Model(
        *("m", net, Preprocess(resize=(size, size)), tuple(found), tuple(layers.default(found)), ("", "input"), "", 0),
        *(tuple(str(i) for i in range(outputs)), (), torch.device("cpu"), {}),
    )


def real(name: str) -> nn.Module:
    torch.manual_seed(0)
    if name == "swin":
        arguments = {
            "patch_size": [4, 4],
            "embed_dim": 12,
            "depths": [1, 2],
            "num_heads": [1, 2],
            "window_size": [4, 4],
        }
        return torchvision.models.SwinTransformer(num_classes=5, **arguments)
    return torchvision.models.get_model(name, weights=None, num_classes=5)


def picture(size: int) -> torch.Tensor:
    return torch.rand(1, 3, size, size, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


@pytest.mark.parametrize(
    ("name", "layer", "module"),
    [("resnet18", "auto", "layer4.1"), ("resnet18", "layer3.1", "layer3.1"), ("alexnet", "auto", "features.11")],
)
def test_equals_the_package(name, layer, module):
    """For AlexNet we use the last convolution's maps after the ReLU that follows, which is a module there."""
    net, x = real(name).double().eval(), picture(64)
    for relu in (m for m in net.modules() if isinstance(m, nn.ReLU)):
        relu.inplace = False  # otherwise the package gets the maps after a later ReLU
    found = evidence(model_of(net, 64), x, TARGETS, layer)
    expected = []
    with GradCAM(net, [net.get_submodule(module)]) as package:
        for c in TARGETS:
            targets = [ClassifierOutputTarget(int(c))]
            package(x.clone().requires_grad_(), targets)
            seen = package.activations_and_grads
            kept = seen.activations[0].numpy(), seen.gradients[0].numpy()
            # the package scales its result to 0 … 1 with a constant that is not small compared to these values
            expected.append(package.get_cam_image(x, None, targets, *kept, False)[0])
    assert np.linalg.norm(expected) > 0
    assert np.linalg.norm(weighted(found).numpy() - expected) <= 1e-6 * np.linalg.norm(expected)


def naively(net, module, x):
    kept = []
    handle = net.get_submodule(module).register_forward_hook(lambda m, i, output: kept.append(output))
    logits = net(x.detach().requires_grad_())[0]
    handle.remove()
    made = []
    for c in TARGETS:
        (g,) = torch.autograd.grad(logits[c], kept[0], retain_graph=True)
        alpha = g[0].mean((1, 2))
        made.append(sum(a * each for a, each in zip(alpha, kept[0][0].detach(), strict=True)))
    return torch.stack(made)


@pytest.mark.parametrize("inplace", [False, True])
def test_a_layer_given_by_name_is_taken_as_it_comes_out(inplace):
    """An in-place ReLU that follows must not change it."""

    def net(inplace):
        torch.manual_seed(0)
        return nn.Sequential(
            *(nn.Conv2d(3, 6, 3), nn.ReLU(inplace), nn.MaxPool2d(2), nn.Conv2d(6, 8, 3), nn.ReLU(inplace)),
            *(nn.Flatten(), nn.Linear(8 * 25, 4)),
        )

    x, model = picture(16), model_of(net(inplace), 16)
    before = evidence(model, x, TARGETS, "conv2")
    assert (before.maps < 0).any()
    naive = naively(net(False).double(), "3", x)
    torch.testing.assert_close(weighted(before), naive, rtol=1e-12, atol=1e-15)
    after = evidence(model, x, TARGETS)
    torch.testing.assert_close(after.maps, before.maps.clamp(min=0))
    torch.testing.assert_close(weighted(after), naively(net(False).double(), "4", x), rtol=1e-12, atol=1e-15)
    with pytest.raises(UserError, match="one position"):
        evidence(model, x, TARGETS, "fc1")


@pytest.mark.parametrize("name", ["resnet18", "densenet121", "mobilenet_v2", "shufflenet_v2_x0_5", "swin"])
def test_where_a_net_ends_in_means_and_a_linear_layer_grad_cam_is_cam(name):
    """Also if normalisation, a functional ReLU, or a permutation is between the last block and the means."""
    model, x = model_of(real(name), 64), picture(64)
    found, expected = evidence(model, x, TARGETS), cam(model, x, TARGETS)
    positions = found.maps[0].numel()
    assert positions > 1 and expected.norm() > 0
    torch.testing.assert_close(weighted(found), expected / positions, rtol=1e-6, atol=1e-9)
    linear = [m for m in model.net.modules() if isinstance(m, nn.Linear)][-1]
    logits = model.logits(x)[0, TARGETS]
    torch.testing.assert_close(expected.mean((1, 2)) + linear.bias[TARGETS], logits)


@pytest.mark.parametrize("name", ["alexnet", "squeezenet1_1"])
def test_cam_is_not_claimed_of_other_nets(name):
    model, x = model_of(real(name), 96), picture(96)
    with pytest.raises(NotApplicable, match="means of their last maps"):
        cam(model, x, TARGETS)
    maps = METHODS["grad_cam"].maps(model, x, TARGETS, PARAMETERS, torch.Generator())
    assert maps.shape == (2, 96, 96) and (maps >= 0).all()


def test_maps_that_are_the_scores_themselves_are_not_the_last():
    model = model_of(real("squeezenet1_1"), 96)
    found = evidence(model, picture(96), TARGETS)
    assert found.layer.name == "features.12" and found.maps.shape[0] == 512


def test_a_class_token_reads_the_block_before_the_last():
    torch.manual_seed(0)
    vit = torchvision.models.VisionTransformer(
        image_size=32, patch_size=8, num_layers=3, num_heads=2, hidden_dim=16, mlp_dim=32, num_classes=5
    )
    nn.init.normal_(vit.heads.head.weight)  # torchvision starts with zeros
    model = model_of(vit, 32)
    found = evidence(model, picture(32), TARGETS)
    blocks = [layer.name for layer in model.layers if layer.layout == "tokens" and layer.kind == "EncoderBlock"]
    assert found.layer.name.startswith(blocks[-2]) or blocks[-1] not in found.layer.name
    assert found.maps.shape == (16, 4, 4) and found.gradients.any()


def test_a_net_of_vectors_only_is_told_so():
    model = model_of(nn.Sequential(nn.Flatten(), nn.Linear(3 * 64, 8), nn.ReLU(), nn.Linear(8, 4)), 8)
    with pytest.raises(NotApplicable, match="single position"):
        evidence(model, picture(8), TARGETS)


def test_enlarging_is_bilinear():
    maps = torch.rand(2, 5, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for size in ((5, 7), (64, 48), (13, 14)):
        expected = F.interpolate(maps[None], size, mode="bilinear", align_corners=False)[0]
        torch.testing.assert_close(enlarged(maps, size), expected, rtol=1e-12, atol=1e-12)


def test_guided_grad_cam_is_guided_backprop_times_the_heat():
    model, x = model_of(real("resnet18"), 64), picture(64)
    product = of_classes(model, x, TARGETS, GUIDED) * heat(evidence(model, x, TARGETS), (64, 64))[:, None]
    assert torch.equal(guided_heat(model, x, TARGETS), product) and product.any()
    maps = METHODS["guided_grad_cam"].maps(model, x, TARGETS, PARAMETERS, torch.Generator())
    assert torch.equal(maps, product.abs().amax(1))


def test_hooks_are_gone_also_after_an_error():
    model, x = model_of(real("resnet18"), 64), picture(64)
    with pytest.raises(IndexError):
        evidence(model, x, torch.tensor([77]))
    with pytest.raises(RuntimeError):
        cam(model, x[:, :2], TARGETS)
    assert not any(m._forward_hooks for m in model.net.modules())


FACTORY = """
from torch import nn

def net(activation):
    return nn.Sequential(nn.Conv2d(3, 8, 3), getattr(nn, activation)(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(392, 12))
"""


@pytest.mark.parametrize("activation", ["ReLU", "SiLU"])
def test_a_job_leaves_out_what_does_not_apply_and_says_so(activation, make_job, tmp_path, index):
    (tmp_path / "net.py").write_text(FACTORY)
    generator = np.random.default_rng(0)
    names = [("a.png", 0), ("b.png", 1)]
    for name, _ in names:
        Image.fromarray(generator.integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(tmp_path / name)
    classes = [f"c{i}" for i in range(12)]
    index(tmp_path / "images.json", names, classes)
    block = {"factory": f"{tmp_path}/net.py:net", "arguments": {"activation": activation}, "probes": 2}
    block["preprocess"] = {"resize": [16, 16]}
    job = make_job(block, "grad_cam", {"kind": "folder", "path": str(tmp_path)})
    network.main(make_job(block, set_classes=classes))
    grad_cam.main(job)
    left = result.read(job.outputs["result"])
    shown = [m["name"] for m in left.numbers["methods"]]
    assert shown == (["grad_cam", "guided_grad_cam"] if activation == "ReLU" else ["grad_cam"])
    assert left.numbers["layer"] == {"name": "conv1", "height": 14, "width": 14}
    assert ("guided" in left.arrays) == (activation == "ReLU") == ("maps/guided_grad_cam" in left.arrays)
    image_set = images.read(tmp_path / "images.json", job.image_set)
    for scale in ("class", "picture"):
        show = {"scale": scale, "alpha": 0.6, "colours": "magma", "percentile": 99.5}
        section = drawn.view(left, Context({"classes": classes}, show, image_set, None, {}))
        assert len(section["figures"]) == 3 and "CAM is left out" in section["do_not_conclude"]
        assert section["figures"][0].id == "lead" and section["findings"]
        assert ("Guided Grad-CAM is left out" in section["do_not_conclude"]) == (activation == "SiLU")
        ranges = section["figures"][1].mapping.split("; ")[0].count("…")
        assert ranges == (1 if scale == "picture" else len(left.numbers["kinds"][0]))
        left.arrays["maps/grad_cam"][1] = 0
        cold = drawn._figure(left, Context({"classes": classes}, show, image_set, None, {}), 1, ["grad_cam"])
        assert "no heat at all" in cold.caption and "no heat at all" in cold.alt
    json.dumps(left.numbers)


def test_over_mixes():
    photo, colours = np.full((1, 1, 3), 100, np.uint8), np.full((1, 1, 3), 200, np.uint8)
    assert [int(drawn.over(photo, colours, alpha)[0, 0, 0]) for alpha in (0, 0.5, 1)] == [100, 150, 200]


def test_the_heat_leaves_the_photo_where_it_is_cold():
    photo = np.full((1, 3, 3), 100, np.uint8)
    heat = colour.Mapping(0, 2, "magma", "")
    shown = drawn.glowing(photo, np.array([[0.0, 1, 2]]), heat, 1)
    assert shown[0, 0].tolist() == [100] * 3 and (shown[0, 2] == heat(np.array([2.0]))[0]).all()


def test_the_closest_calls_of_right_answers_lead():
    logits = np.array([[9.0, 1, 0], [5, 4, 0], [3, 0, 2.9], [8, 2, 0]])
    kinds = [["predicted and true", "runner_up"]] * 2 + [["predicted", "true", "runner_up"]] * 2
    arrays = {"logits": logits, "label": np.array([0, 0, 1, -1]), "targets": np.tile([0, 1, 2], (4, 1))}
    arrays["maps/grad_cam"] = np.ones((4, 3, 2, 2))
    left = SimpleNamespace(arrays=arrays, numbers={"kinds": kinds})
    assert drawn.rivals(left) == [(1, 1), (0, 1), (3, 2), (2, 2)]
    arrays["maps/grad_cam"][1, 1] = 0  # no heat, so no place
    assert drawn.rivals(left) == [(0, 1), (3, 2), (2, 2)]


def test_a_cat_and_a_dog_light_up_for_their_classes(shared, make_job):
    arch = shared / "models" / "squeezenet_v1.0_imagenet.arch.json"
    block = {"factory": f"{shared}/nets.py:load", "arguments": {"arch_json_path": str(arch)}}
    block |= {"classes": str(shared / "imagenet_classes.json")}
    block |= {"preprocess": {"channels": "BGR", "range": 255, "mean": [104, 117, 123], "std": 1, "resize": [227, 227]}}
    job = make_job(block)
    network.main(job)
    model = loaded.load(job)
    pixels = model.preprocess.geometry(Image.open(shared / "contents" / "cat_dog.jpg").convert("RGB"))
    targets = torch.tensor([model.output("tiger cat"), model.output("tabby"), model.output("bull mastiff")])
    maps = heat(evidence(model, model.pictures([pixels]), targets), (227, 227))
    shares = maps / maps.sum((1, 2), keepdim=True)
    dog, cat = shares[:, :110, 60:180].sum((1, 2)), shares[:, 120:, 40:].sum((1, 2))
    assert cat[0] > dog[0] and cat[1] > dog[1] and dog[2] > 3 * cat[2]
    assert replace(model).layer("fire9") == evidence(model, model.pictures([pixels]), targets).layer
