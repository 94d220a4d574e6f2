"""Texture synthesis: a new picture with the same texture, by the features of some layers (Gatys et al. 2015).

    I* = argmin_I mean_l E_l(I) + γ TV₂(I) / 1000,  E_l(I) = ½ ‖μ_l(I) - μ̂_l‖² / tr Ĉ_l + ½ ‖C_l(I) - Ĉ_l‖² / ‖Ĉ_l‖²

μ_l, C_l: mean and covariance over positions of the rectified feature maps of layer l; μ̂_l, Ĉ_l: of the exemplar. So
they hold which features occur, and which occur together, but not where. There is one picture per depth: the first
matches the first layer alone, the next the first two, and so on. E_l is 0 for the exemplar and ½ for a picture that has
its mean and no texture, so every layer of every network has the same weight.

The paper matches Gram matrices G_l = C_l + μ_l μ_lᵀ by Σ (G - Ĝ)² / (4 N² M²), for N maps of M positions and sums
instead of means; in our means it is Σ (G_l - Ĝ_l)² / (4 N²). No feature is negative, so μ_l μ_lᵀ is most of G_l, and a
small error of G_l can be a large one of C_l, which is the texture. L-BFGS optimises first the spectrum and then the
pixels, from blurred noise in the exemplar's colours (:mod:`cnnviz.ascent.settling`). Both errors are of the published
8-bit pictures.

A network finds its own specks alike. So the result also holds how far each picture is from the exemplar by random
filters (:func:`cnnviz.style.texture_error.texture_error`), relative to the noise that it started from.

The result holds, for n exemplars, d depths and as many layers, and pictures of side s: ``exemplars`` (n, s, s, c)
uint8; ``pictures`` (n, d, s, s, c) uint8; ``starts`` (n, s, s, c) uint8; ``curves`` (n, d, steps): the loss before each
step; ``relative`` and ``absolute`` (n, d + 2, layers): E_l and the paper's error of each layer, including layers that
were not matched; the last but one row is of the start, the last of the exemplar itself in 8 bits; ``by_filters``
(n, d + 2): the error by random filters. If a network takes its own input size only, all pictures have that size.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from cnnviz.ascent.loop import Ascent, to_bytes
from cnnviz.ascent.objective_functions import Objective, gram, match, read
from cnnviz.ascent.regularisers import total_variation
from cnnviz.ascent.settling import WEIGHT, settle
from cnnviz.errors import NotApplicable
from cnnviz.network import loaded
from cnnviz.network.halving import in_batches
from cnnviz.network.loaded import Model
from cnnviz.run.job import Job, run
from cnnviz.style.sources import SILENT, first_stride, middle, noise, own_size, seen, silent, why_not, with_maps
from cnnviz.style.texture_error import texture_error

COLUMNS = 5
SPECTRUM = 0.5  # share of the steps that change the spectrum; fewer leave a grid where the first layer has a stride
LEAST = 1e-6  # smallest variance that counts, as a share of the squared mean


def depths(model: Model, wanted: str | list[str]) -> list[str]:
    """Names of the layers, in execution order; "default" spreads at most five over the chosen ones with positions."""
    if wanted == "default":
        maps = with_maps(model)
        return [maps[i] for i in np.linspace(0, len(maps) - 1, min(COLUMNS, len(maps))).round().astype(int)]
    order = [layer.name for layer in model.layers]
    return sorted(dict.fromkeys(model.layer(name).name for name in wanted), key=order.index)


def likeness(model: Model, exemplars: Tensor, layers: Sequence[str]) -> dict[str, Objective]:
    """Layer → -E_l of pictures to their exemplars, (n, c, h, w)."""
    there = read(model, exemplars, [model.layer(name).module for name in layers])
    return {name: _nearer(module, there[module]) for name in layers for module in [model.layer(name).module]}


def _nearer(module: str, exemplar: Tensor) -> Objective:
    """-E_l for the exemplar's maps (n, units, h, w); both terms in one, as one squared distance."""
    mean, spread = (found.double() for found in _moments(exemplar))
    # features without texture have no covariance: then the means are matched by their own size
    least = LEAST * mean.square().sum(1)
    norms = (
        torch.maximum(spread.diagonal(dim1=1, dim2=2).sum(1), least).sqrt(),
        torch.maximum(spread.flatten(1).square().sum(1), least.square()).sqrt(),
    )

    def seen(output: Tensor) -> Tensor:
        found = zip(_moments(output), norms, strict=True)
        return torch.cat([moment.flatten(1) / norm[:, None].to(moment) for moment, norm in found], 1)

    return match(module, seen(exemplar), seen, torch.full_like(norms[0], 2))


def _moments(output: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (n, units) and covariance (n, units, units) of rectified maps, in one pass over the positions."""
    maps = torch.relu(output).flatten(2)
    mean = maps.mean(2)
    return mean, maps @ maps.transpose(1, 2) / maps.shape[2] - mean[:, :, None] * mean[:, None]


def synthesise(
    model: Model, exemplars: Tensor, start: Tensor, layers: Sequence[str], steps: int, smoothness: float = 0.0
) -> Ascent:
    """One picture per exemplar, both (n, c, s, s), with the exemplar's texture in ``layers``.

    The curves are -E_l of each layer, divided by their number, and "total variation".
    """
    return settle(
        model,
        {name: nearer * (1 / len(layers)) for name, nearer in likeness(model, exemplars, layers).items()},
        start,
        steps=steps,
        spectrum=SPECTRUM,
        penalties={"total variation": lambda x: smoothness / WEIGHT * total_variation(x, 2)},
        progress=f"texture up to {layers[-1]}",
    )


def errors(model: Model, pictures: Tensor, exemplars: Tensor, layers: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """E_l and the paper's error of each picture to its exemplar, a column per layer: (n, layers)."""
    modules = [model.layer(name).module for name in layers]
    ours, theirs = read(model, pictures, modules), read(model, exemplars, modules)
    relative = [-nearer.value(ours) for nearer in likeness(model, exemplars, layers).values()]
    absolute = []
    for module in modules:
        g, wanted = (gram(outputs[module]).double() for outputs in (ours, theirs))
        absolute.append((g - wanted).square().sum((1, 2)) / (4 * g.shape[1] ** 2))
    return tuple(torch.stack(found, 1).cpu().numpy() for found in (relative, absolute))


def main(job: Job) -> None:
    p = job.parameters
    model = loaded.load(job, gradients="layers")
    if reason := why_not(model):
        raise NotApplicable(reason, model.provenance)
    layers = depths(model, p["layers"])
    size = (model.fitting(p["size"]),) * 2
    size = own_size(model, seen(model, [middle(p["pictures"][0], size)]), layers) or size
    exemplars = [middle(each, size) for each in p["pictures"]]
    layers = [name for name in layers if not silent(model, seen(model, exemplars), [name])]
    if not layers:
        raise NotApplicable(SILENT, model.provenance)

    def batch(numbers: Sequence[int]) -> dict[str, np.ndarray]:
        x = seen(model, [exemplars[i] for i in numbers])
        start = noise(x, [job.seed_for("start", i) for i in numbers])
        ascents = [
            synthesise(model, x, start, layers[: k + 1], p["steps"], p["total_variation"]) for k in range(len(layers))
        ]
        made = [to_bytes(ascent.pictures) for ascent in ascents]
        shown = [model.pictures(list(m)) for m in (*made, to_bytes(start), to_bytes(x))]
        judged = [errors(model, pictures, x, layers) for pictures in shown]
        by_filters = [
            torch.cat([texture_error(one[None], x[i : i + 1], start[i : i + 1]) for i, one in enumerate(pictures)])
            for pictures in shown
        ]
        return {
            "exemplars": to_bytes(x),
            "starts": to_bytes(start),
            "pictures": np.stack(made, 1),
            "curves": np.stack([-sum(a.curves[n] for n in layers if n in a.curves).T for a in ascents], 1),
            "relative": np.stack([relative for relative, _ in judged], 1),
            "absolute": np.stack([absolute for _, absolute in judged], 1),
            "by_filters": torch.stack(by_filters, 1).cpu().numpy(),
        }

    found = list(in_batches(batch, range(len(exemplars)), p["batch"]))
    job.write(
        {name: np.concatenate([f[name] for f in found]) for name in found[0]},
        numbers={"layers": layers, "stride": first_stride(model)},
        provenance=model.provenance,
    )
    return None


if __name__ == "__main__":
    run(main)
