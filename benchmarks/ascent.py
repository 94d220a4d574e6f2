"""Class ascent with frozen weights, compared with the usual loop, which accumulates gradients of the weights.

AlexNet with random weights at 224 pixels. Both loops make the same pictures, alternately, and the fastest of a few runs
counts.
"""

import time

import numpy as np
import torch
import torchvision

from cnnviz.ascent.loop import adam, ascend
from cnnviz.ascent.objective_functions import logit
from cnnviz.ascent.parametrisations import fourier
from cnnviz.ascent.transforms import random_view
from cnnviz.network.loaded import Model
from cnnviz.pictures.preprocess import Preprocess

CLASSES = [1]
SIZE = (224, 224)
STEPS = 4
REPEATS = 8
BAR = 0.4


def alexnet(dtype: torch.dtype = torch.float32) -> Model:
    torch.manual_seed(0)
    net = torchvision.models.alexnet(weights=None).eval().to(dtype)
    mean, std = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])
    return Model(
        "alexnet", net, Preprocess(resize=SIZE, mean=mean, std=std), (), (), ("", "output"), "", 1000,
        tuple(map(str, range(1000))), (), torch.device("cpu"), {}, trial={"channels_last": True},
    )  # fmt: skip


def view():
    return random_view(resolution=(0.95, 0.95), rotation=10, shift=0.05, zoom=0.08)


def ours(model: Model) -> torch.Tensor:
    start = fourier(SIZE, CLASSES, dtype=next(model.net.parameters()).dtype)
    return ascend(
        model, {"score": logit(CLASSES)}, start, steps=STEPS, optimiser=adam(0.03), transform=view(), seed=1
    ).pictures


def unfrozen(model: Model) -> torch.Tensor:
    """The same, with ``loss.backward()`` through a network whose weights require gradients."""
    start = fourier(SIZE, CLASSES, dtype=next(model.net.parameters()).dtype)
    variable = start.variable.clone().requires_grad_()
    optimiser = torch.optim.Adam([variable], lr=0.03)
    transform, generator = view(), torch.Generator().manual_seed(1)
    for step in range(STEPS):
        optimiser.zero_grad()
        seen = transform(start.picture(variable), step / STEPS, generator)
        scores = model.net(model.normalise(seen))
        (-scores[range(len(CLASSES)), CLASSES].sum()).backward()
        optimiser.step()
    return start.picture(variable).detach()


def measure() -> list[tuple[str, float, float]]:
    """(what, our time / theirs, the upper limit)."""
    exact = alexnet(torch.float64)  # in float32 Adam amplifies rounding if a gradient is nearly 0
    torch.testing.assert_close(ours(exact), unfrozen(exact), rtol=0, atol=1e-4)  # both do the same work
    model = alexnet()
    best = {ours: float("inf"), unfrozen: float("inf")}
    for loop in best:  # warms up
        loop(model)
    for _ in range(REPEATS):
        for loop in best:
            began = time.perf_counter()
            loop(model)
            best[loop] = min(best[loop], time.perf_counter() - began)
    return [("class ascent, AlexNet 224 px: frozen / unfrozen weights", best[ours] / best[unfrozen], BAR)]


if __name__ == "__main__":
    for what, ratio, bar in measure():
        print(f"{what}: {ratio:.2f} (bar {bar})")
