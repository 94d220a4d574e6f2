"""Unit pictures, compared with lucent: ``python -m benchmarks.units [units] [steps]``.

Sixteen units of SqueezeNet's fire5 at 128 px, 32 steps of Adam on the spectrum, padded by 12, jittered by 8, scaled,
rotated and jittered by 4 each step; two threads. Weights are random, which does not change the time. lucent makes one
picture after the other and enlarges the network's input to 224 px, as its documentation shows. Two more settings of
lucent are listed: views of 152 px, as large as ours, and these with all units in one batch. Both sides alternate. On a
GPU all units of AlexNet's convolutions are measured, as units per minute.
"""

import sys
import time
import warnings
from dataclasses import replace

import numpy as np
import torch
import torchvision

from benchmarks.ascent import alexnet
from cnnviz.network.layers import Layer
from cnnviz.network.loaded import Model
from cnnviz.pictures.preprocess import Preprocess
from cnnviz.synthesis.unit_visualization import visualise

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from lucent.optvis import objectives, param, render, transform

UNITS, STEPS, SIZE = 16, 32, 128
FIRE5 = "features.7"  # of torchvision's SqueezeNet 1.0: the fourth fire module
BAR, GPU_BAR = 0.3, 0.05
GPU_BATCH = 64


def squeezenet() -> Model:
    torch.manual_seed(0)
    net = torchvision.models.squeezenet1_0(weights=None).eval()
    mean, std = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])
    return Model(
        "squeezenet", net, Preprocess(resize=(224, 224), mean=mean, std=std),
        (Layer("fire5", FIRE5, "Fire", 256, 27, 27),),
        ("fire5",), ("", "output"), "", 1000, tuple(map(str, range(1000))), (), torch.device("cpu"), {},
        trial={"channels_last": True},
    )  # fmt: skip


def ours(model: Model, layer: Layer, units: list[int], steps: int) -> None:
    visualise(model, layer, units, units, (SIZE, SIZE), steps, 0)


def theirs(model: Model, layer: Layer, units: list[int], steps: int, *, side: int | None, together: bool) -> None:
    name = layer.module.replace(".", "_")
    if together:
        each = [objectives.channel(name, unit, batch=i) for i, unit in enumerate(units)]
        jobs = [(sum(each[1:], each[0]), lambda: param.image(SIZE, batch=len(units)))]
    else:
        jobs = [(objectives.channel(name, unit), lambda: param.image(SIZE)) for unit in units]
    for objective, image in jobs:
        render.render_vis(
            model.net, objective, image, thresholds=(steps,), transforms=views(), fixed_image_size=side,
            progress=False, show_image=False,
        )  # fmt: skip


def views() -> list:
    """lucent's standard transforms, but padded by reflection as ours."""
    return [transform.pad(12), *transform.standard_transforms[1:]]


def alternating(sides: dict, repeats: int) -> dict[str, float]:
    """Name → the minimum of that many runs in seconds, with alternating sides."""
    best = dict.fromkeys(sides, float("inf"))
    for _ in range(repeats):
        for name, side in sides.items():
            began = time.perf_counter()
            side()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            best[name] = min(best[name], time.perf_counter() - began)
    return best


def measure(units: int = UNITS, steps: int = STEPS, repeats: int = 2) -> list[tuple[str, float, float]]:
    """(what, our time / theirs, the upper limit)."""
    torch.set_num_threads(2)
    if torch.cuda.is_available():
        return on_gpu(steps)
    model = squeezenet()
    layer, chosen = model.layers[0], list(range(units))
    for p in model.net.parameters():
        p.requires_grad_(True)  # a network's default, which lucent does not change
    ours(model, layer, chosen, 2)
    sides = {
        "ours": lambda: ours(model, layer, chosen, steps),
        "usual": lambda: theirs(model, layer, chosen, steps, side=None, together=False),
        "small": lambda: theirs(model, layer, chosen, steps, side=SIZE + 24, together=False),
        "batch": lambda: theirs(model, layer, chosen, steps, side=SIZE + 24, together=True),
    }
    best = alternating(sides, repeats)
    what = f"{units} units of SqueezeNet's fire5, {SIZE} px, {steps} steps"
    return [
        (f"{what} / lucent ({best['ours']:.0f} s / {best['usual']:.0f} s)", best["ours"] / best["usual"], BAR),
        (f"the same / lucent, views of 152 px ({best['small']:.0f} s)", best["ours"] / best["small"], BAR),
        (f"the same / lucent, also all in one batch ({best['batch']:.0f} s)", best["ours"] / best["batch"], 1),
    ]


def on_gpu(steps: int, peers: int = 4) -> list[tuple[str, float, float]]:
    """All units of AlexNet's convolutions. lucent draws a few of each layer, one at a time; its time is scaled."""
    model = alexnet()
    model = replace(model, net=model.net.cuda(), device=torch.device("cuda"))
    convolutions = [(name, m) for name, m in model.net.named_modules() if isinstance(m, torch.nn.Conv2d)]
    layers = [Layer(name, name, "Conv2d", m.out_channels, 13, 13) for name, m in convolutions]
    count = sum(layer.units for layer in layers)

    def whole():
        for layer in layers:
            for first in range(0, layer.units, GPU_BATCH):
                ours(model, layer, list(range(first, min(first + GPU_BATCH, layer.units))), steps)

    def some():
        for layer in layers:
            theirs(model, layer, list(range(peers)), steps, side=None, together=False)

    for layer in layers:
        ours(model, layer, [0], 2)
        theirs(model, layer, [0], 2, side=None, together=False)
    best = alternating({"ours": whole, "theirs": some}, 1)
    rates = 60 * count / best["ours"], 60 * peers * len(layers) / best["theirs"]
    what = f"AlexNet, {count} units, {SIZE} px, {steps} steps, {torch.cuda.get_device_name()} / lucent"
    return [(f"{what} ({rates[0]:.0f} / {rates[1]:.0f} units a minute)", rates[1] / rates[0], GPU_BAR)]


if __name__ == "__main__":
    for what, ratio, bar in measure(*map(int, sys.argv[1:])):
        print(f"{what}: {ratio:.2f} (bar {bar})")
