"""The forward pass, compared with a bare forward over the same batches in memory: ``python -m benchmarks.forward``.

AlexNet with random weights at 224 px, two threads. The passes alternate and the minimum counts. Batches are in NHWC
layout, as from ``Model.pictures`` and as CPUs convolve fastest. A bare forward in the default layout, NCHW, is listed,
too. The pass starts from the beginning each time, so filling its top lists has more weight than in use.
"""

import time

import torch
import torchvision

from cnnviz.activations.forward_pass import ForwardPass
from cnnviz.network.receptive_field import receptive_fields

BATCH, BATCHES, TOP = 32, 12, 9


def measure(repeats: int = 4) -> list[tuple[str, float, float]]:
    """(what, ratio of seconds, bar)."""
    torch.set_num_threads(2)
    torch.manual_seed(0)
    net = torchvision.models.alexnet(weights=None).eval().requires_grad_(False)
    modules = [name for name, module in net.named_modules() if isinstance(module, torch.nn.Conv2d)]
    start = time.perf_counter()
    fields = receptive_fields(net, modules, (224, 224))
    maps = dict.fromkeys(modules, lambda output: output)
    fields_seconds = time.perf_counter() - start
    batches = [torch.randn(BATCH, 3, 224, 224) for _ in range(BATCHES)]
    nhwc = [x.contiguous(memory_format=torch.channels_last) for x in batches]

    def bare(xs):
        with torch.inference_mode():
            for x in xs:
                net(x)

    def ours():
        with ForwardPass(
            net, fields, maps, TOP, ("classifier.6", "input"), BATCH, BATCH * BATCHES, channels_last=True
        ) as step:
            for x in nhwc:
                step(x)

    runs = {"NCHW": lambda: bare(batches), "NHWC": lambda: bare(nhwc), "all": ours}
    best = dict.fromkeys(runs, float("inf"))
    for _ in range(repeats):
        for name, function in runs.items():
            start = time.perf_counter()
            function()
            best[name] = min(best[name], time.perf_counter() - start)
    return [
        ("AlexNet pass, top 9, statistics, histograms / bare forward", best["all"] / best["NHWC"], 1.3),
        ("AlexNet pass, the same / bare forward in NCHW", best["all"] / best["NCHW"], 1.3),
        ("AlexNet receptive fields of all conv layers, seconds", fields_seconds, 5.0),
    ]


if __name__ == "__main__":
    for what, ratio, bar in measure():
        print(f"{what}: {ratio:.2f} (bar {bar})")
