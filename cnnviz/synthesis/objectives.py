"""Optimisation objectives: pictures of one network for different objectives (Olah et al. 2017).

Five pictures start from the same noise and have the same random views. Each ascends another objective (formulas:
:mod:`cnnviz.ascent.objective_functions`): one **neuron** (a unit at the centre of its map), its **channel** (the unit
at all positions), its whole **layer** (DeepDream's Σ f²), the **logit** of one class, and the class's **probability**,
ascended as its log odds (:func:`cnnviz.ascent.class_scores.odds`). In each step all gradients have the same length, and
there are the same small penalties, so all five are treated alike (:func:`cnnviz.ascent.climb.climb`). If no class is
given, it is the one of the first three that the network is surest of in the picture for its logit.

The layer is the middle one of the shown layers with maps. The unit is the one with the largest contribution to the
class: in the class's own picture (by logit) it has the largest Σ_x f(x) · ∂S_c/∂f(x), f its rectified map.

Each 8-bit picture is then scored by all five. The values have different units. So each is also stated relative to the
picture made for it: 0 is grey noise, the common start, and 1 is that picture's value.

The result holds, for o objectives: ``pictures`` (o, h, w, c) uint8; ``start`` (h, w, c) uint8; ``values`` (o + 1, o):
row i of picture i, the last of the start, column j of objective j; ``relative`` (o, o). ``curves`` (o, steps) float32:
the ascended objective before each step, under that step's view.
"""

import numpy as np
import torch
from torch import Tensor

from cnnviz.ascent.class_scores import chosen, odds, score_at, surest
from cnnviz.ascent.climb import climb
from cnnviz.ascent.loop import frozen, to_bytes
from cnnviz.ascent.objective_functions import Objective, layer, logit, neuron, read, unit
from cnnviz.ascent.parametrisations import fourier
from cnnviz.errors import NotApplicable
from cnnviz.network import kinds, loaded
from cnnviz.network.layers import Layer
from cnnviz.network.loaded import Model
from cnnviz.run.job import Job, run

CANDIDATES = 3  # classes to choose from


def middle(model: Model) -> Layer | None:
    """The middle one of the chosen layers with maps that are not class scores, or None."""
    shown = [model.layer(name) for name in model.chosen]
    maps = [one for one in shown or model.layers if one.height > 1 and one != model.layers[-1]]
    maps = maps or [one for one in model.layers if one.height > 1]
    return maps[(len(maps) - 1) // 2] if maps else None


def most_used(model: Model, at: Layer, target: int, picture: Tensor) -> int:
    """The unit of ``at`` with the largest contribution Σ_x f · ∂S_c/∂f to the class in a picture (1, c, h, w)."""
    seen = {}

    def add_nothing(module, inputs, output):
        seen["output"] = output.detach().clone()  # an in-place ReLU may follow
        seen["nothing"] = torch.zeros_like(output).requires_grad_()
        return output + seen["nothing"]

    handle = model.module(at.name).register_forward_hook(add_nothing)
    try:
        with frozen(model.net):
            (slope,) = torch.autograd.grad(model.logits(picture)[0, target], seen["nothing"])
    finally:
        handle.remove()
    return int((torch.relu(at.maps(seen["output"])) * at.maps(slope))[0].sum((1, 2)).argmax())


def five(model: Model, at: Layer, chosen_unit: int, target: int, count: int) -> dict[str, Objective]:
    """The objectives by name, for ``count`` pictures each; four if each class has its own probability (sigmoid)."""
    found = {
        "neuron": neuron(at.module, [chosen_unit] * count),
        "channel": unit(at.module, [chosen_unit] * count),
        "layer": layer(at.module),
        "logit": logit([target] * count),
        "probability": odds([target] * count),
    }
    if model.kind != kinds.SOFTMAX or len(model.classes) < 2:
        del found["probability"]
    return found


def measured(model: Model, objectives: dict[str, Objective], pictures: np.ndarray) -> np.ndarray:
    """The value of each objective for each (n, h, w, c) uint8 picture: (n, objectives)."""
    modules = [module for objective in objectives.values() for module in objective.modules]
    outputs = read(model, model.pictures(list(pictures)), modules)
    outputs = {name: values.double() for name, values in outputs.items()}
    return np.stack([objective.value(outputs).cpu().numpy() for objective in objectives.values()], 1)


def relative(values: np.ndarray) -> np.ndarray:
    """(o + 1, o), the start last → (o, o): 0 is the start's value, 1 that of the objective's own picture."""
    start, reached = values[-1], values[:-1]
    gain = np.diagonal(reached) - start
    return (reached - start) / np.where(gain == 0, 1, gain)


def make(
    model: Model, targets: list[int], seed: int, views: int, steps: int
) -> tuple[dict[str, np.ndarray], dict] | None:
    """The arrays of the module's docstring, and the layer, unit, class and objectives; None without a layer with maps.

    targets: the classes to choose from.
    """
    at = middle(model)
    if at is None:
        return None
    begin = fourier(model.preprocess.size, [seed], channels=model.channels, device=model.device)
    grey = begin.picture(begin.variable)
    scores, _ = score_at(model, targets, grey.expand(len(targets), -1, -1, -1))
    by_class = climb(model, scores, [seed] * len(targets), views, steps)
    best = surest(model, to_bytes(by_class.pictures), targets)[0]
    target = targets[best]
    score, dead = score_at(model, [target], grey)
    chosen_unit = most_used(model, at, target, by_class.pictures[best : best + 1])
    pictures, curves = [], []
    for name, objective in five(model, at, chosen_unit, target, 1).items():
        own = name == "logit"
        ascent = by_class if own else climb(model, objective, [seed], views, steps)
        pictures.append(to_bytes(ascent.pictures)[best * own])
        curves.append(ascent.curves["score"][:, best * own])
    start = to_bytes(grey)[0]
    objectives = five(model, at, chosen_unit, target, len(pictures) + 1)
    values = measured(model, objectives, np.stack([*pictures, start]))
    arrays = {
        "pictures": np.stack(pictures),
        "start": start,
        "values": values,
        "relative": relative(values),
        "curves": np.stack(curves),
    }
    said = {"layer": at.name, "unit": chosen_unit, "class": model.classes[target], "objectives": list(objectives)}
    return arrays, said | {"fallback": bool(dead.any())}


def main(job: Job) -> None:
    model = loaded.load(job, gradients="scores")
    wanted = job.parameters["class"]
    targets = chosen(model, CANDIDATES if wanted is None else [wanted])
    made = make(model, targets, job.seed_for("start"), job.seed_for("views"), job.parameters["steps"])
    if made is None:
        reason = "This network has no layer with feature maps, so it has no channels and no neurons at a position."
        raise NotApplicable(reason, model.provenance)
    arrays, said = made
    return job.write(arrays, numbers=said, provenance=model.provenance)


if __name__ == "__main__":
    run(main)
