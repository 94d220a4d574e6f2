"""A later convolution's weights: what each unit takes from each of its input channels (Voss et al. 2021).

y_u(p) = b_u + Σ_c Σ_d w[u, c, d] x_c(p + d): unit u adds up a small filter's response on every channel c. The inputs
are units of the layer below, not colours, so a filter is grey and tells where around p a channel counts for (bright)
or against (dark) the unit, not what that channel means.

With g groups a unit sees channels / g inputs, those of its own group; a depthwise convolution's unit sees one.

Leaves, for each layer L: ``L/weights`` (u, c, h, w) float32, ``L/units`` (u,) and ``L/inputs`` (c,) int64: which of the
layer's units and which inputs of a unit these are. A depthwise layer's one input a unit leaves room for more units.
"""

import numpy as np
from torch import nn

from cnnviz.errors import NotApplicable, unknown
from cnnviz.network import models
from cnnviz.run.job import Job, run


def convolutions(model: models.Model) -> list[str]:
    """Names of all convolutions in the order they run."""
    return [layer.name for layer in model.layers if isinstance(model.module(layer.name), nn.Conv2d)]


def automatic(model: models.Model) -> list[str]:
    """Names of at most three convolutions with neighbours to see: the second of all, a middle one and the last."""
    later = convolutions(model)[1:]
    wide = [name for name in later if max(model.module(name).kernel_size) > 1] or later
    return list(dict.fromkeys((wide[0], wide[len(wide) // 2], wide[-1]))) if wide else []


def chosen(weights: np.ndarray, units: int, inputs: int, order: str, groups: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the units, and of a unit's inputs, to show of (units, inputs, h, w) weights.

    order: "index", or "norm": the largest Euclidean norm of their weights first, ties by index. The inputs of different
    groups are different channels, so theirs is the order of the index. Where each unit has one input, units × inputs
    units are shown.
    """
    if weights.shape[1] == 1:
        units = units * inputs
    squares = np.square(weights, dtype=np.float64).sum((2, 3))
    rows, columns = np.arange(len(weights)), np.arange(weights.shape[1])
    if order == "norm":
        rows = np.argsort(-squares.sum(1), kind="stable")
        if groups == 1:
            columns = np.argsort(-squares.sum(0), kind="stable")
    return rows[:units], columns[:inputs]


def main(job: Job) -> None:
    model = models.load(job)
    asked = job.parameters
    names = automatic(model) if asked["layers"] == "auto" else [model.layer(name).name for name in asked["layers"]]
    if not names:
        raise NotApplicable("This network has no convolution after its first layer.")
    arrays, layers = {}, []
    for name in names:
        module = model.module(name)
        if not isinstance(module, nn.Conv2d):
            raise unknown("layer_filters.layers: convolution", name, convolutions(model))
        weights = module.weight.detach().cpu().numpy().astype(np.float32)
        units, inputs = chosen(weights, asked["units"], asked["inputs"], asked["order"], module.groups)
        arrays[f"{name}/weights"] = weights[units][:, inputs]
        arrays[f"{name}/units"], arrays[f"{name}/inputs"] = units, inputs
        layers.append(
            {
                "name": name,
                "shape": list(weights.shape),
                "groups": module.groups,
                "range": [float(weights.min()), float(weights.max())],
            }
        )
    job.write(arrays, numbers={"layers": layers}, provenance=model.provenance)
    return None


if __name__ == "__main__":
    run(main)
