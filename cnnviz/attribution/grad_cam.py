"""The evidence for a class in the picture: the last convolution's maps, weighted by the class's gradient.

Grad-CAM (Selvaraju et al. 2017, arXiv:1610.02391), of maps A (units, h, w) and a class's logit S_c:

    α_k = mean over (y, x) of ∂ S_c / ∂ A_k(y, x)        L = max(0, Σ_k α_k A_k)

Class activation maps (CAM; Zhou et al. 2016, arXiv:1512.04150), where S_c = Σ_k w_ck mean(A_k) + b_c:

    M = Σ_k w_ck A_k        so that, before the max with 0, L = M / (h w)

Guided Grad-CAM is L times the projection of guided backpropagation, pixel by pixel.

Maps are enlarged to the picture's size by bilinear interpolation. With ``layer: auto``, A is the output of the last
layer with more than one position, after its normalisation and ReLU, before it is pooled or flattened. With a layer's
name, A is that layer's own output. A layer that gives the class scores does not count as the last.

The result holds, beside what :mod:`cnnviz.attribution.probes` lists, ``guided`` (n, t, h, w, c) float16: signed Guided
Grad-CAM in colour, each picture divided by its largest magnitude ``guided_largest`` (n, t), if it applies. The numbers
hold ``layer`` {name, height, width}.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from cnnviz.attribution.probes import Left, Method, attribute
from cnnviz.attribution.projections import caveat, of_classes, shares, together
from cnnviz.errors import NotApplicable, UserError
from cnnviz.network.hooks import taken
from cnnviz.network.layers import Layer
from cnnviz.network.loaded import Model
from cnnviz.network.precision import LOW, full
from cnnviz.network.relu import GUIDED
from cnnviz.run.job import Job, run


class Evidence(NamedTuple):
    """Maps A (units, h, w) of one picture, gradients ∂ S_c / ∂ A (t, units, h, w), logits (classes,), and the layer."""

    maps: Tensor
    gradients: Tensor
    logits: Tensor
    layer: Layer


class _Onwards(TorchFunctionMode):
    """Follows a module's output through operations that keep its shape, such as normalisation and ReLU.

    came: the module's output. at: the output of the last operation. ``start`` is the module's forward hook. anew:
    gradients begin at the module; this suffices if earlier layers have none.
    """

    def __init__(self, anew: bool = False):
        super().__init__()
        self.anew = anew
        self.came: Tensor | None = None
        self.at: Tensor | None = None

    def start(self, module: nn.Module, inputs: tuple, output: Tensor) -> Tensor:
        if self.anew:
            output = output.detach().clone().requires_grad_(True)
            self.came = self.at = output
        else:
            self.came, self.at = output, output.clone()
        return self.at  # the network continues with the copy, so an in-place ReLU does not change ``came``

    def __torch_function__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        if self.at is not None and any(value is self.at for value in (*args, *(kwargs or {}).values())):
            same = isinstance(result, Tensor) and result.requires_grad and result.shape == self.at.shape
            self.at = result if same else self.at
        return result


def last_layers(layers: Sequence[Layer], classes: int) -> list[Layer]:
    """Layers with maps of more than one position, the last first, without a convolution that gives the scores."""
    scores = [layer for layer in layers if layer.kind in ("Conv2d", "Linear")][-1:]
    scores = [layer for layer in scores if layer.units in (classes, 1)]
    return [layer for layer in reversed(layers) if layer.height * layer.width > 1 and layer not in scores]


def evidence(model: Model, x: Tensor, targets: Tensor, wanted: str = "auto") -> Evidence:
    """Evidence of a picture x (1, c, h, w) and its classes (t,) at the layer ``wanted``; see the module's docstring.

    Raises NotApplicable for a network without maps, UserError for a named layer without a map.
    """
    if wanted != "auto":
        layer = model.layer(wanted)
        if layer.height * layer.width == 1:
            raise UserError(f"grad_cam.layer: {layer.name} has one position and no map; give an earlier layer")
        return _at(model, x, targets, layer, follow=False)
    layers = last_layers(model.layers, model.heads)
    for layer in layers:
        found = _at(model, x, targets, layer, follow=layer is layers[0])
        # If a class token gives the scores, it reads the layer before the last, and the last has no gradient.
        if layer.layout != "tokens" or found.gradients.any():
            return found
    raise NotApplicable("Grad-CAM needs maps, and each layer of this network has a single position, the whole picture.")


def _at(model: Model, x: Tensor, targets: Tensor, layer: Layer, follow: bool) -> Evidence:
    """follow: take the layer's output as it is when it is pooled or flattened, not as the layer returns it."""
    onwards = _Onwards(anew=bool(model.trial.get("gradients")))
    handle = model.net.get_submodule(layer.module).register_forward_hook(onwards.start)
    try:
        with onwards:
            logits = model.logits(x.detach().requires_grad_(True))[0]
    finally:
        handle.remove()
    maps = onwards.at if follow else onwards.came
    if not logits.requires_grad:
        raise NotApplicable(model.trial["gradients"])
    try:
        found = [torch.autograd.grad(logits[c], maps, retain_graph=True, allow_unused=True)[0] for c in targets]
    except RuntimeError as error:
        if not model.trial.get("gradients"):
            raise
        # An operator after this layer has no backward pass either.
        raise NotApplicable(model.trial["gradients"]) from error
    if found[0] is None:
        raise NotApplicable(model.trial["gradients"])
    gradients = torch.cat([full(each[:1]) for each in found])
    return Evidence(layer.maps(full(maps.detach()))[0], layer.maps(gradients), logits.detach(), layer)


def weighted(found: Evidence) -> Tensor:
    """Grad-CAM before the max with 0: Σ_k α_k A_k, (t, h, w), signed."""
    return torch.einsum("tk,khw->thw", found.gradients.mean((2, 3)), found.maps)


def enlarged(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Bilinear interpolation, (…, h, w) → (…, *size). Beyond the centres of the outer positions the map is constant.

    It uses two matrix products, since torch's own interpolation is not deterministic on a GPU.
    """
    rows, columns = (_bilinear(n, m).to(maps) for n, m in zip(size, maps.shape[-2:], strict=True))
    return rows @ maps @ columns.T


def _bilinear(large: int, small: int) -> Tensor:
    """(large, small) float64: weight of each small position in each large one."""
    at = ((torch.arange(large, dtype=torch.float64) + 0.5) * small / large - 0.5).clamp(0, small - 1)
    return (1 - (at[:, None] - torch.arange(small)).abs()).clamp(min=0)


def heat(found: Evidence, size: tuple[int, int]) -> Tensor:
    """Selvaraju's maps (t, *size), ≥ 0."""
    return enlarged(weighted(found).clamp(min=0), size)


def guided_heat(model: Model, x: Tensor, targets: Tensor, layer: str = "auto") -> Tensor:
    """Guided Grad-CAM (t, c, h, w), signed, of a picture x (1, c, h, w)."""
    return of_classes(model, x, targets, GUIDED) * heat(evidence(model, x, targets, layer), x.shape[2:])[:, None]


def cam(model: Model, x: Tensor, targets: Tensor) -> Tensor:
    """Zhou's maps (t, h, w), signed, at the size of the last maps.

    Raises NotApplicable unless, for this picture x (1, c, h, w), the last linear layer gives the logits and its input
    is the mean of each of the last maps.
    """
    linears = [layer.module for layer in model.layers if layer.kind == "Linear"]
    head = model.net.get_submodule(linears[-1]) if linears else nn.Identity()
    passed: list[tuple[Tensor, Tensor]] = []
    handle = head.register_forward_hook(
        lambda module, inputs, more, output: passed.append((taken(inputs, more)[0], output[0])), with_kwargs=True
    )
    try:
        found = evidence(model, x, targets)
    finally:
        handle.remove()
    means = found.maps.mean((1, 2))
    if not (passed and _alike(passed[-1][0], means) and _alike(passed[-1][1], found.logits[: model.heads])):
        raise NotApplicable(
            "CAM is computed for networks whose scores are one fully connected layer of the means of their last maps. "
            "No such layer gives the scores here."
        )
    weight = full(torch.cat([head.weight, -head.weight])[targets])  # regression: half the outputs are −value
    return torch.einsum("tk,khw->thw", weight, found.maps)


def _alike(a: Tensor, b: Tensor) -> bool:
    close = 0.02 if a.dtype in LOW else 1e-4
    return a.shape == b.shape and bool((full(a) - b).abs().max() <= close * b.abs().max())


METHODS = {
    "grad_cam": Method(lambda model, x, t, p, g: heat(evidence(model, x, t, p["layer"]), x.shape[2:]), one_sided=True),
    "guided_grad_cam": Method(
        lambda model, x, t, p, g: guided_heat(model, x, t, p["layer"]).abs().amax(1), caveat=caveat, one_sided=True
    ),
    "cam": Method(lambda model, x, t, p, g: enlarged(cam(model, x, t), x.shape[2:]), signed=True),
}


def main(job: Job) -> None:
    guided: list[tuple[np.ndarray, np.ndarray]] = []
    layers: list[Layer] = []

    def heats(model: Model, x: Tensor, targets: Tensor, parameters: dict, generator: torch.Generator) -> Tensor:
        found = evidence(model, x, targets, parameters["layer"])
        layers.append(found.layer)
        return heat(found, x.shape[2:])

    def signed(model: Model, x: Tensor, targets: Tensor, parameters: dict, generator: torch.Generator) -> Tensor:
        pixels = guided_heat(model, x, targets, parameters["layer"])
        guided.append(shares(pixels))
        return pixels.abs().amax(1)

    def beside(model: Model) -> Left:
        layer = {key: getattr(layers[0], key) for key in ("name", "height", "width")}
        return together(guided, "guided", "guided_largest") if guided else {}, {"layer": layer}

    kept = {"grad_cam": heats, "guided_grad_cam": signed}
    attribute(job, {name: replace(m, maps=kept.get(name, m.maps)) for name, m in METHODS.items()}, beside, gradients="")


if __name__ == "__main__":
    run(main)
