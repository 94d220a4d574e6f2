"""Ten architectures of torchvision with a quarter of their width, which is what makes them slow."""

from torch import nn
from torchvision import models


def quartered(net: nn.Module, num_classes: int) -> nn.Module:
    """The network with a quarter of the units in all of its convolutions, normalisations and linear layers."""
    for module in list(net.modules()):
        for name, part in module.named_children():
            if isinstance(part, nn.Conv2d):
                read = 3 if part.in_channels == 3 else part.in_channels // 4
                words = {key: getattr(part, key) for key in ("kernel_size", "stride", "padding")}
                setattr(module, name, nn.Conv2d(read, part.out_channels // 4, **words, bias=part.bias is not None))
            elif isinstance(part, nn.BatchNorm2d):
                setattr(module, name, nn.BatchNorm2d(part.num_features // 4, part.eps))
            elif isinstance(part, nn.Linear):
                written = num_classes if part.out_features == num_classes else part.out_features // 4
                setattr(module, name, nn.Linear(part.in_features // 4, written))
    return net


def alexnet(num_classes: int) -> nn.Module:
    return quartered(models.AlexNet(num_classes), num_classes)


def resnet18(num_classes: int) -> nn.Module:
    return quartered(models.ResNet(models.resnet.BasicBlock, [2, 2, 2, 2], num_classes), num_classes)


def googlenet(num_classes: int) -> nn.Module:
    return quartered(models.GoogLeNet(num_classes, aux_logits=False, init_weights=False), num_classes)


def inception_v3(num_classes: int) -> nn.Module:
    return quartered(models.Inception3(num_classes, aux_logits=False, init_weights=False), num_classes)


def vgg16(num_classes: int) -> nn.Module:
    plan = [width if width == "M" else width // 4 for width in models.vgg.cfgs["D"]]
    net = models.VGG(models.vgg.make_layers(plan), num_classes=num_classes)
    net.classifier[0], net.classifier[3] = nn.Linear(128 * 7 * 7, 1024), nn.Linear(1024, 1024)
    net.classifier[6] = nn.Linear(1024, num_classes)
    return net


class Bottleneck(models.resnet.Bottleneck):
    expansion = 1


def resnet50(num_classes: int) -> nn.Module:
    return models.ResNet(Bottleneck, [3, 4, 6, 3], num_classes, width_per_group=16)


def densenet121(num_classes: int) -> nn.Module:
    return models.DenseNet(8, (6, 12, 24, 16), 16, num_classes=num_classes)


def convnext_tiny(num_classes: int) -> nn.Module:
    widths, depths = [24, 48, 96, 192, None], [3, 3, 9, 3]
    blocks = [models.convnext.CNBlockConfig(*block) for block in zip(widths, widths[1:], depths, strict=False)]
    return models.ConvNeXt(blocks, stochastic_depth_prob=0.1, num_classes=num_classes)


def vit_b_16(num_classes: int) -> nn.Module:
    return models.VisionTransformer(64, 16, 12, 12, 192, 768, num_classes=num_classes)


def swin_t(num_classes: int) -> nn.Module:
    return models.SwinTransformer([4, 4], 24, [2, 2, 6, 2], [3, 6, 12, 24], [7, 7], num_classes=num_classes)
