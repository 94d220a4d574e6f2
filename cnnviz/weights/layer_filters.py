"""The weights of later convolutions: the effect of each input channel on each unit (Voss et al. 2021).

    y_u(p) = b_u + Σ_c Σ_d w[u, c, d] x_c(p + d)

Unit u sums the responses of a small filter on every channel c. The inputs are units of the layer below, not colours. So
a filter is grey and shows where around p a channel increases (bright) or decreases (dark) the unit, but not what that
channel means.

With g groups a unit has channels / g inputs, those of its own group. A depthwise convolution's unit has one.

The result holds, for each layer L: ``L/weights`` (u, c, h, w) float32, ``L/units`` (u,) and ``L/inputs`` (c,) int64:
the indices of the shown units, and of each unit's shown inputs. Units of a depthwise layer have one input each, so more
units are shown.
"""

import numpy as np
from torch import nn

from cnnviz.errors import NotApplicable, unknown
from cnnviz.network import loaded
from cnnviz.run.job import Job, run


def convolutions(model: loaded.Model) -> list[str]:
    """Names of all convolutions in execution order."""
    return [layer.name for layer in model.layers if isinstance(model.module(layer.name), nn.Conv2d)]


def automatic(model: loaded.Model) -> list[str]:
    """Names of at most three convolutions after the first one: the first, middle and last of those above 1 × 1."""
    later = convolutions(model)[1:]
    wide = [name for name in later if max(model.module(name).kernel_size) > 1] or later
    return list(dict.fromkeys((wide[0], wide[len(wide) // 2], wide[-1]))) if wide else []


def chosen(weights: np.ndarray, units: int, inputs: int, order: str, groups: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the units, and of a unit's inputs, to show of (units, inputs, h, w) weights.

    order: "index", or "norm": descending Euclidean norm of the weights, ties by index. Inputs of different groups are
    different channels, so with groups they are in the order of the index. If each unit has one input, units × inputs
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
    model = loaded.load(job)
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


if __name__ == "__main__":
    run(main)
