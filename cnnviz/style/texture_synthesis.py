"""Texture synthesis: a new picture with the same texture, by the features of some layers (Gatys et al. 2015).

    I* = argmin_I mean_l ‖G_l(I) - Ĝ_l‖² / ‖Ĝ_l‖² + γ TV₂(I),  G_l = Σ_x F_i(x) F_j(x) / (h w),  Ĝ_l: of the exemplar

F are rectified feature maps of layer l. So G_l holds which features occur together, but not where. There is one picture
per depth: the first matches the first layer alone, the next the first two, and so on. The paper's error of a layer is
E_l = Σ (G - Ĝ)² / (4 N² M²), for N maps of M positions and sums instead of means. In our means it is Σ (G_l - Ĝ_l)² /
(4 N²). Our error is relative, 1 for features that are all 0, so every layer of every network has the same weight.
L-BFGS optimises the pixels, from blurred noise in the exemplar's colours. Both errors are of the published 8-bit
pictures.

The result holds, for n exemplars, d depths and as many layers, and pictures of side s: ``exemplars`` (n, s, s, c)
uint8; ``pictures`` (n, d, s, s, c) uint8; ``starts`` (n, s, s, c) uint8; ``curves`` (n, d, steps): the loss before each
step; ``relative`` and ``absolute`` (n, d + 2, layers): the two errors of each layer, including layers that were not
matched; the last but one row is of the start, the last of the exemplar itself in 8 bits. If a network takes its own
input size only, all pictures have that size.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from cnnviz.ascent.loop import Ascent, ascend, lbfgs, to_bytes
from cnnviz.ascent.objective_functions import gram, match, read
from cnnviz.ascent.parametrisations import pixels
from cnnviz.ascent.regularisers import total_variation
from cnnviz.errors import NotApplicable
from cnnviz.network import loaded
from cnnviz.network.halving import in_batches
from cnnviz.network.loaded import Model
from cnnviz.run.job import Job, run
from cnnviz.style.sources import SILENT, first_stride, middle, noise, own_size, seen, silent, why_not, with_maps

COLUMNS = 5
WEIGHT = 1000.0  # weight of the whole error, as in style transfer, since the optimiser's bound on curvature is absolute


def depths(model: Model, wanted: str | list[str]) -> list[str]:
    """Names of the layers, in execution order; "default" spreads at most five over the chosen ones with positions."""
    if wanted == "default":
        maps = with_maps(model)
        return [maps[i] for i in np.linspace(0, len(maps) - 1, min(COLUMNS, len(maps))).round().astype(int)]
    order = [layer.name for layer in model.layers]
    return sorted(dict.fromkeys(model.layer(name).name for name in wanted), key=order.index)


def synthesise(
    model: Model, exemplars: Tensor, start: Tensor, layers: Sequence[str], steps: int, smoothness: float = 0.0
) -> Ascent:
    """One picture per exemplar, both (n, c, s, s), with the exemplar's Gram matrices in ``layers``.

    The curves are the negative relative errors of each layer, × WEIGHT and divided by their number, and "total
    variation".
    """
    modules = {name: model.layer(name).module for name in layers}
    there = read(model, exemplars, list(modules.values()))
    objectives = {
        name: match(module, gram(there[module]), gram) * (WEIGHT / len(modules)) for name, module in modules.items()
    }
    return ascend(
        model,
        objectives,
        pixels(start),
        steps=steps,
        optimiser=lbfgs(),
        penalties={"total variation": lambda x: smoothness * total_variation(x, 2)},
        progress=f"texture up to {layers[-1]}",
    )


def errors(model: Model, pictures: Tensor, exemplars: Tensor, layers: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """The relative error and the paper's E_l of each picture to its exemplar, a column per layer: (n, layers)."""
    modules = [model.layer(name).module for name in layers]
    ours, theirs = read(model, pictures, modules), read(model, exemplars, modules)
    found = []
    for module in modules:
        g, wanted = (gram(outputs[module]).double() for outputs in (ours, theirs))
        off = (g - wanted).square().sum((1, 2))
        found.append(torch.stack([off / wanted.square().sum((1, 2)), off / (4 * g.shape[1] ** 2)]))
    return tuple(torch.stack(found, 2).cpu().numpy())


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
        return {
            "exemplars": to_bytes(x),
            "starts": to_bytes(start),
            "pictures": np.stack(made, 1),
            "curves": np.stack([-sum(a.curves[n] for n in layers if n in a.curves).T / WEIGHT for a in ascents], 1),
            "relative": np.stack([relative for relative, _ in judged], 1),
            "absolute": np.stack([absolute for _, absolute in judged], 1),
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
