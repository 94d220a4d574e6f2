"""Three architectures of torchvision with a quarter of their width, which is what makes them slow."""

from torch import nn
from torchvision import models


def vgg16(num_classes: int) -> nn.Module:
    plan = [width if width == "M" else width // 4 for width in models.vgg.cfgs["D"]]
    net = models.VGG(models.vgg.make_layers(plan), num_classes=num_classes)
    net.classifier[0], net.classifier[3] = nn.Linear(128 * 7 * 7, 1024), nn.Linear(1024, 1024)
    net.classifier[6] = nn.Linear(1024, num_classes)
    return net


def vit_b_16(num_classes: int) -> nn.Module:
    return models.VisionTransformer(64, 16, 12, 12, 192, 768, num_classes=num_classes)


def swin_t(num_classes: int) -> nn.Module:
    return models.SwinTransformer([4, 4], 24, [2, 2, 6, 2], [3, 6, 12, 24], [7, 7], num_classes=num_classes)
