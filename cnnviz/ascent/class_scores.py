"""Class scores as objectives, the classes to show, and the network's scores of a finished picture."""

import hashlib
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from cnnviz.ascent.loop import frozen
from cnnviz.ascent.objective_functions import OUTPUT, Objective, logit, unit
from cnnviz.ascent.transforms import resize
from cnnviz.network import kinds
from cnnviz.network.loaded import Model


def chosen(model: Model, wanted: str | int | list[str]) -> list[int]:
    """Outputs to show. wanted: "all", names, or a number, which orders by a hash, classes of the image set first."""
    if wanted == "all":
        return list(range(len(model.classes)))
    if not isinstance(wanted, int):
        return [model.output(name) for name in wanted]
    present = {output for output in model.label_to_output if output is not None}

    def order(output: int) -> tuple[bool, bytes]:
        return output not in present, hashlib.sha256(model.classes[output].encode()).digest()

    return sorted(sorted(range(len(model.classes)), key=order)[:wanted])


def flat(model: Model, classes: list[int], start: torch.Tensor) -> torch.Tensor:
    """Whether a class score has no gradient at its start picture: (n,) bool."""
    x = start.detach().requires_grad_()
    with frozen(model.net):
        (slope,) = torch.autograd.grad(
            model.logits(x).gather(1, torch.tensor(classes, device=x.device)[:, None]).sum(), x
        )
    return slope.flatten(1).abs().amax(1) == 0


def objective(model: Model, classes: list[int], dead: torch.Tensor) -> Objective:
    """The class score; for the ``dead`` classes the mean of the class's unit in the last layer, before its ReLU."""
    if not dead.any():
        return logit(classes)
    dead = dead.float()
    return logit(classes) * (1 - dead) + unit(model.layers[-1].module, classes) * dead


def has_maps(model: Model) -> bool:
    """Whether the last layer has a map for each class, before its ReLU, whose mean can replace the score."""
    if not model.layers:
        return False
    last = model.layers[-1]
    return last.kind == "Conv2d" and last.units == len(model.classes)


def score_at(model: Model, classes: list[int], start: torch.Tensor) -> tuple[Objective, torch.Tensor]:
    """The objective to ascend from ``start``: class scores or their replacements; and which are replaced, (n,) bool."""
    dead = flat(model, classes, start) & has_maps(model)
    return objective(model, classes, dead), dead


def scores_of(model: Model, pictures: np.ndarray) -> Tensor:
    """Scores of (n, h, w, c) uint8 pictures at the network's own size: (n, classes) float64, on the CPU."""
    with torch.no_grad():
        return model.logits(resize(model.pictures(list(pictures)), model.preprocess.size)).double().cpu()


def judge(model: Model, pictures: np.ndarray, targets: list[int]) -> dict[str, np.ndarray]:
    """The target's logits, probabilities and ranks (1 = highest score) of (n, h, w, c) uint8 pictures, (n,) each.

    The pictures are scored as in :func:`scores_of`.
    """
    scores = scores_of(model, pictures)
    target = torch.tensor(targets)[:, None]
    own = scores.gather(1, target)
    ranked = model.kind != kinds.REGRESSION  # values are not compared with each other, so each has rank 1
    return {
        "logits": own[:, 0].numpy(),
        "probabilities": model.probabilities(scores).gather(1, target)[:, 0].numpy(),
        "ranks": 1 + (scores > own).sum(1).numpy() * ranked,
    }


def log_odds(scores: Tensor, targets: Tensor) -> Tensor:
    """log p/(1-p) = S_c - log Σ_{k≠c} exp S_k of (n, classes) scores: (n,)."""
    own = scores.gather(1, targets[:, None])
    others = scores.scatter(1, targets[:, None], float("-inf"))
    return own[:, 0] - others.logsumexp(1)


def surest(model: Model, pictures: np.ndarray, targets: list[int]) -> list[int]:
    """Rows of (n, h, w, c) uint8 pictures, by descending log odds of their classes ``targets``: best drawn first.

    Without a softmax, in their own order.
    """
    if model.kind != kinds.SOFTMAX or len(model.classes) < 2:
        return list(range(len(targets)))
    return (-log_odds(scores_of(model, pictures), torch.tensor(targets))).argsort(stable=True).tolist()


def odds(classes: list[int]) -> Objective:
    """:func:`log_odds` as an objective, with an output for each picture."""

    def value(read: Mapping[str, Tensor]) -> Tensor:
        return log_odds(read[OUTPUT], torch.tensor(classes, device=read[OUTPUT].device))

    return Objective((OUTPUT,), value)
