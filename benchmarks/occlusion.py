"""Occlusion maps of one picture, compared with captum's defaults and tuned: ``python -m benchmarks.occlusion``.

AlexNet with random weights at 224 pixels, a square of 32 pixels with stride 8 (625 positions), two threads. All three
make the same map, alternately, and the fastest of the runs counts.
"""

import time

import torch
import torchvision
from captum.attr import Occlusion

from cnnviz.attribution.occlusion import occlusion

WINDOW, STRIDE = 32, 8
TARGET = 3
BARS = {"captum, 64 masks at once": 0.6, "captum as it is by default": 0.35}


def measure(repeats: int = 2) -> list[tuple[str, float, float]]:
    """(what, our seconds / theirs, limit). Raises AssertionError if the maps differ."""
    torch.set_num_threads(2)
    torch.manual_seed(0)
    net = torchvision.models.alexnet(weights=None).eval().requires_grad_(False)
    x, blank = torch.randn(1, 3, 224, 224), torch.zeros(1, 3, 1, 1)
    peer = Occlusion(net)

    def captum(at_once: int) -> torch.Tensor:
        return peer.attribute(
            x, (3, WINDOW, WINDOW), (3, STRIDE, STRIDE), baselines=0, target=TARGET, perturbations_per_eval=at_once
        )[:, 0]

    sides = {
        "ours": lambda: occlusion(
            net, x, blank, torch.tensor([TARGET]), window=WINDOW, stride=STRIDE, channels_last=True
        ),
        "captum, 64 masks at once": lambda: captum(64),
        "captum as it is by default": lambda: captum(1),
    }
    best = dict.fromkeys(sides, float("inf"))
    maps = {}
    for _ in range(repeats):
        for name, side in sides.items():
            start = time.perf_counter()
            maps[name] = side()
            best[name] = min(best[name], time.perf_counter() - start)
    end = float(maps["ours"].abs().max())
    for name in BARS:
        torch.testing.assert_close(maps["ours"] / end, maps[name] / end, rtol=0, atol=1e-4)
    return [(f"occlusion, AlexNet 224 px, 32/8 / {name}", best["ours"] / best[name], bar) for name, bar in BARS.items()]


if __name__ == "__main__":
    for what, ratio, bar in measure():
        print(f"{what}: {ratio:.2f} (bar {bar})")
