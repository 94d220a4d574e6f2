"""The demo's network: AlexNet's architecture at a tenth of its size, for 64 × 64 pictures.

Five convolutions, ReLU modules, three max-pools, then FC6, FC7 and FC8, in the attributes of torchvision's AlexNet
(`features`, `classifier`). It is trained with batch normalisation after each convolution. `fold` multiplies that into
the weights, so the final network is the classic conv → ReLU → pool.

Input: (n, 3, 64, 64) float32, RGB in [0, 1] normalised as (x - MEAN) / STD. Output: (n, classes) logits.
"""

import torch
from torch import Tensor, nn

MEAN: tuple[float, float, float] = (0.5, 0.5, 0.5)
STD: tuple[float, float, float] = (0.25, 0.25, 0.25)
SIZE = 64

_WIDTHS = (32, 64, 96, 96, 64)
_HIDDEN = 256


class DemoNet(nn.Module):
    """features: conv1 … conv5 with ReLUs and pools, (n, 3, 64, 64) → (n, 64, 4, 4). classifier: FC6, FC7, FC8."""

    def __init__(self, classes: int, *, batch_norm: bool) -> None:
        super().__init__()
        self.features = nn.Sequential(*_features(batch_norm))
        self.classifier = nn.Sequential(
            nn.Dropout(0.3),
            nn.Linear(_WIDTHS[-1] * 4 * 4, _HIDDEN),
            nn.ReLU(),
            nn.Dropout(0.3),
            nn.Linear(_HIDDEN, _HIDDEN),
            nn.ReLU(),
            nn.Linear(_HIDDEN, classes),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(n, 3, 64, 64) normalised pictures → (n, classes) logits."""
        return self.classifier(torch.flatten(self.features(x), 1))


def _features(batch_norm: bool) -> list[nn.Module]:
    # kernel, stride and whether a pool follows; 64 → 32 → 16 → 8 → 4 positions
    plan = [(9, 2, True), (5, 1, True), (3, 1, False), (3, 1, False), (3, 1, True)]
    layers: list[nn.Module] = []
    channels = 3
    for width, (kernel, stride, pool) in zip(_WIDTHS, plan, strict=True):
        layers.append(nn.Conv2d(channels, width, kernel, stride, padding=kernel // 2, bias=not batch_norm))
        if batch_norm:
            layers.append(nn.BatchNorm2d(width))
        layers.append(nn.ReLU())
        if pool:
            layers.append(nn.MaxPool2d(3, 2, padding=1))
        channels = width
    return layers


def demo_net(classes: int = 12) -> DemoNet:
    """The shipped network, 0.58 M parameters, randomly initialised, in evaluation mode."""
    return DemoNet(classes, batch_norm=False).eval()


def training_net(classes: int = 12) -> DemoNet:
    """The same with batch normalisation after each convolution, and conv1 initialised at a tenth of the usual scale.

    The small initial scale of conv1, with heavy weight decay on it (see `train`), makes its filters learnt ones. At the
    usual scale the network reaches the same accuracy, but most first-layer filters are still noise.
    """
    net = DemoNet(classes, batch_norm=True)
    with torch.no_grad():
        net.features[0].weight.mul_(0.1)
    return net


def fold(trained: DemoNet) -> DemoNet:
    """A `demo_net` with the same logits as `trained` in evaluation mode; `trained` is not changed.

    Batch normalisation after a convolution is γ (w ∗ x - μ) / √(σ² + ε) + β. This is again a convolution: its weights
    are w γ / √(σ² + ε), its bias is β - μ γ / √(σ² + ε).
    """
    net = demo_net(trained.classifier[-1].out_features)
    plain = [layer for layer in net.features if isinstance(layer, nn.Conv2d)]
    convs = [layer for layer in trained.features if isinstance(layer, nn.Conv2d)]
    norms = [layer for layer in trained.features if isinstance(layer, nn.BatchNorm2d)]
    with torch.no_grad():
        for target, conv, norm in zip(plain, convs, norms, strict=True):
            gain = norm.weight / torch.sqrt(norm.running_var + norm.eps)
            target.weight.copy_(conv.weight * gain[:, None, None, None])
            target.bias.copy_(norm.bias - norm.running_mean * gain)
    net.classifier.load_state_dict(trained.classifier.state_dict())
    return net
