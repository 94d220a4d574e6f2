"""Layers: tokens and channels-last maps are read correctly; a sensible dozen of layers is chosen."""

import pytest
import torch
from torch import nn

from cnnviz.network import layers


def zoo(name, **arguments):
    import torchvision.models as models

    with torch.device("meta"):
        return models.get_model(name, weights=None, **arguments).eval()


def found(net, size, device="cpu", channels=3):
    calls = layers.trace(net, torch.zeros(1, channels, *size, device=device), "net")
    return {layer.name: layer for layer in layers.named(net, calls)}, calls


def output_of(net, module, x):
    kept = []
    handle = net.get_submodule(module).register_forward_hook(lambda m, i, o: kept.append(o))
    with torch.no_grad():
        net(x)
    handle.remove()
    return kept[0]


def test_vision_transformer_tokens_are_maps_without_the_class_token():
    from torchvision.models import VisionTransformer

    torch.manual_seed(0)
    net = VisionTransformer(32, 8, 2, 2, 16, 32, num_classes=5).eval()
    named, _ = found(net, (32, 32))
    block = named["encoder.layers.encoder_layer_0"]
    assert (block.layout, block.units, block.height, block.width) == ("tokens", 16, 4, 4)
    x = torch.randn(2, 3, 32, 32)
    # the tokens that enter the encoder are the patch embedding's maps, row by row, plus their positions
    entering = block.maps(net.encoder.dropout(torch.cat([net.class_token.expand(2, -1, -1), net._process_input(x)], 1)))
    torch.testing.assert_close(entering, output_of(net, "conv_proj", x))
    raw = output_of(net, block.module, x)
    naive = torch.stack([raw[:, 1 + 4 * y + x] for y in range(4) for x in range(4)], 2).reshape(2, 16, 4, 4)
    assert torch.equal(block.maps(raw), naive)


@pytest.mark.parametrize("size", [(64, 64), (96, 64)])
def test_swins_channels_come_last_and_places_stay_where_they_are(size):
    from torchvision.models import SwinTransformer

    torch.manual_seed(0)
    net = SwinTransformer([4, 4], 24, [2, 2], [2, 4], [4, 4], num_classes=5).eval()
    named, _ = found(net, size)
    block = named["features.1.0"]
    assert (block.layout, block.units, block.height, block.width) == ("nhwc", 24, size[0] // 4, size[1] // 4)
    x = torch.randn(1, 3, *size)
    changed = x.clone()
    changed[:, :, -16:, :16] += 1  # lower left: one window of the first block, which sees no other
    difference = (block.maps(output_of(net, block.module, x)) - block.maps(output_of(net, block.module, changed))).abs()
    seen = difference.amax((0, 1)) > 1e-6
    assert seen[-4:, :4].all() and not seen[:-4].any() and not seen[:, 4:].any()


def test_convnexts_blocks_are_channels_first():
    named, _ = found(zoo("convnext_tiny"), (224, 224), "meta")
    assert (named["features.1.0"].layout, named["features.1.0"].units) == ("nchw", 96)


def test_vectors_are_maps_of_one_place():
    named, _ = found(nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4 * 36, 5)), (8, 8))
    assert named["fc1"].layout == "vector"
    assert named["fc1"].maps(torch.zeros(2, 5)).shape == (2, 5, 1, 1)


@pytest.mark.parametrize(
    ("name", "size", "first", "kinds"),
    [
        ("alexnet", 224, "conv1", {"Conv2d"}),
        ("vgg16", 224, "conv1", {"Conv2d"}),
        ("googlenet", 224, "conv1", {"Conv2d", "Inception"}),
        ("inception_v3", 299, "conv1", {"Conv2d", *(f"Inception{c}" for c in "ABCE")}),
        ("resnet50", 224, "conv1", {"Conv2d", "Bottleneck"}),
        ("densenet121", 224, "conv1", {"Conv2d", "_DenseBlock"}),
        ("squeezenet1_0", 224, "conv1", {"Conv2d", "Fire"}),
        ("mobilenet_v3_large", 224, "conv1", {"Conv2d", "InvertedResidual"}),
        ("efficientnet_b0", 224, "conv1", {"Conv2d", "MBConv"}),
        ("convnext_tiny", 224, "conv1", {"Conv2d", "CNBlock"}),
        ("vit_b_16", 224, "conv1", {"Conv2d", "EncoderBlock"}),
        ("swin_t", 224, "conv1", {"Conv2d", "SwinTransformerBlock"}),
    ],
)
def test_default_layers_are_a_sensible_dozen(name, size, first, kinds):
    """Common blocks, not a gate inside one (squeeze-and-excitation) and not a stage of many."""
    arguments = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
    named, _ = found(zoo(name, **arguments), (size, size), "meta")
    chosen = layers.default(list(named.values()))
    assert chosen[0] == first and 5 <= len(chosen) <= 13
    assert {named[layer].kind for layer in chosen} == kinds
    order = list(named)
    assert [order.index(layer) for layer in chosen] == sorted(order.index(layer) for layer in chosen)


def test_depthwise_convolutions_are_no_default_layers():
    pairs = [part for _ in range(3) for part in (nn.Conv2d(4, 4, 3, groups=4), nn.ReLU6(), nn.Conv2d(4, 4, 1))]
    net = nn.Sequential(nn.Conv2d(3, 4, 3), *pairs)
    named, _ = found(net, (16, 16))
    assert layers.depthwise(net) == {"1", "4", "7"}
    assert layers.default(list(named.values()), layers.depthwise(net)) == ["conv1", "conv3", "conv5", "conv7"]
    assert layers.depthwise(nn.Conv2d(1, 4, 3)) == set()  # one channel is all channels
