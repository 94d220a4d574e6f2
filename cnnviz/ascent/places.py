"""A place in a network whose features are matched or ascended, as the following operations see them."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from cnnviz.network.hooks import as_it_is
from cnnviz.network.loaded import Model


@dataclass(frozen=True)
class Place:
    """A place of features: shown name, dotted module name, whether values below 0 are set to 0; depth in [0, 1]."""

    name: str
    module: str
    rectified: bool
    depth: float


def gives_scores(model: Model, name: str) -> bool:
    """Whether a layer is the last one and has a unit per class: its output is the scores, or their maps."""
    last = model.layers[-1]
    return name == last.name and (last.units == model.heads or last.kind == "Linear")


def rectified(model: Model, module: str) -> bool:
    """Whether the class scores are the same if every value below 0 in a module's output is set to 0.

    This holds if a ReLU follows, before or after pooling, or if a ReLU made the values.
    """
    noise = torch.rand(2, model.channels, *model.preprocess.size, generator=torch.Generator().manual_seed(0))
    noise = noise.to(model.device)
    with torch.no_grad():
        plain = model.logits(noise)
        handle = model.net.get_submodule(module).register_forward_hook(lambda m, inputs, output: torch.relu(output))
        try:
            cut = model.logits(noise)
        finally:
            handle.remove()
    return bool(torch.allclose(plain, cut, rtol=1e-5, atol=1e-6 * float(plain.abs().max())))


def as_seen(place: Place) -> Callable[[Tensor], Tensor]:
    return torch.relu if place.rectified else as_it_is
