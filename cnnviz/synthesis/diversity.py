"""Diversity: several different pictures that all activate one unit (Olah et al. 2017, "Diversity").

    maximise  Σ_i -log(1 + exp(κ (0.85 - e_u(I_i) / ē_u))) - λ · mean over j ≠ i of cos(G_i, G_j)

e_u is the objective of :mod:`cnnviz.synthesis.unit_visualization`, with the same unit, views, parametrisation and
steps. ē_u is its value without the diversity term, over the last tenth of the steps. So the activation dominates up to
85 % of ē_u, and the diversity beyond. G_i is the Gram matrix of picture i's rectified maps of the unit's own layer. A
Gram matrix holds which features occur together, not where, so a shifted copy counts as similar. The ascent without the
diversity term, from the same starts, comes first: it gives ē_u, and shows the term's effect and cost.

The result holds, for n units of one layer, the most selective first, and m pictures of each: ``unit`` (n,) int32;
``pictures``, ``plain`` (n, m, h, w, c) uint8, with and without the term; ``value``, ``plain_value`` (n, m) float32: the
largest activation over all positions, of the 8-bit picture; ``best`` (n,) float32: the same of the image set;
``likeness``, ``plain_likeness`` (n, m, m) float32: cos(G_i, G_j) of the 8-bit pictures.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from cnnviz.ascent import objective_functions
from cnnviz.ascent.loop import Ascent, adam, ascend, to_bytes
from cnnviz.ascent.objective_functions import Objective, reach
from cnnviz.ascent.parametrisations import fourier
from cnnviz.ascent.unit_pictures import RATE, excited, largest, picture_size, views_of
from cnnviz.errors import NotApplicable, UserError
from cnnviz.network import loaded
from cnnviz.network.halving import in_batches
from cnnviz.network.layers import Layer
from cnnviz.network.loaded import Model
from cnnviz.network.units import of_layer, selective
from cnnviz.run import result
from cnnviz.run.job import Job, run

KEPT, SHARPNESS = 0.85, 60.0  # share of the activation without the term; κ
DEPTH = 2 / 3  # depth of the layer "auto", as a share of the chosen layers with maps


def pick(model: Model, wanted: str) -> Layer | None:
    """The layer of that name, or one at two thirds of the depth; None if no chosen layer has positions."""
    if wanted != "auto":
        layer = model.layer(wanted)
        if layer.name not in model.chosen or layer.height * layer.width == 1:
            raise UserError(f"diversity.layer: {wanted} is not one of this model's chosen layers with feature maps")
        return layer
    usable = [layer for layer in map(model.layer, model.chosen) if layer.height * layer.width > 1]
    return usable[round(DEPTH * (len(usable) - 1))] if usable else None


def likeness(model: Model, layer: Layer, pictures: np.ndarray) -> np.ndarray:
    """cos(G_i, G_j) of (m, h, w, c) uint8 pictures: (m, m) float32."""
    maps = objective_functions.read(model, model.pictures(list(pictures)), [layer.module])[layer.module]
    grams = torch.nn.functional.normalize(objective_functions.gram(maps).flatten(1).double(), dim=1)
    return (grams @ grams.T).float().cpu().numpy()


def several(
    model: Model,
    layer: Layer,
    units: Sequence[int],
    seeds: Sequence[Sequence[int]],
    *,
    size: tuple[int, int],
    steps: int,
    weight: float,
    views: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Pictures of each unit, one per seed, with the term and without it: (n, m, h, w, c) uint8 each."""
    m = len(seeds[0])
    each = [unit for unit in units for _ in range(m)]
    group = [i for i in range(len(units)) for _ in range(m)]
    alone = {"excitation": excited(layer, each)}

    def climb(terms: Mapping[str, Objective]) -> Ascent:
        return ascend(
            model,
            terms,
            fourier(size, [seed for own in seeds for seed in own], channels=model.channels, device=model.device),
            steps=steps,
            optimiser=adam(RATE),
            transform=views_of(model, layer, size),
            seed=views,
            progress=f"{layer.name}: {len(units)} units, {m} pictures each",
        )

    plain = climb(alone)
    reached = plain.curves["excitation"][-max(1, steps // 10) :].mean(0).reshape(len(units), m).mean(1)
    scale = torch.tensor([SHARPNESS / value if value > 0 else 1.0 for value in reached[group]]).to(model.device)
    unlike = climb(
        {
            "excitation": reach(excited(layer, each) * scale, SHARPNESS * KEPT),
            "diversity": weight * objective_functions.diversity(layer.module, group),
        }
    )
    both = (to_bytes(ascent.pictures) for ascent in (unlike, plain))
    return tuple(pictures.reshape(len(units), m, *pictures.shape[1:]) for pictures in both)


def main(job: Job) -> None:
    p = job.parameters
    model, forward = loaded.load(job, gradients="layers"), result.read(job.inputs["forward"])
    layer = pick(model, p["layer"])
    if layer is None:
        raise NotApplicable("None of the chosen layers has feature maps, whose Gram matrices could be compared.")
    kept = of_layer(forward, layer.name)
    chosen = [int(u) for u in selective(kept, p["units"])]
    size = picture_size(model, layer, kept, p["size"])
    views = job.seed_for("views")

    def batch(units: Sequence[int]) -> dict[str, np.ndarray]:
        seeds = [[job.seed_for("start", layer.name, unit, i) for i in range(p["pictures"])] for unit in units]
        unlike, plain = several(
            model, layer, units, seeds, size=size, steps=p["steps"], weight=p["weight"], views=views
        )  # fmt: skip
        found = {"pictures": unlike, "plain": plain, "best": kept["all_value"][units, 0]}
        for name, made in (("", unlike), ("plain_", plain)):
            values = [largest(model, layer, made[i], [unit] * len(made[i])) for i, unit in enumerate(units)]
            found |= {f"{name}value": np.stack(values)}
            found |= {f"{name}likeness": np.stack([likeness(model, layer, group) for group in made])}
        return found

    found = list(in_batches(batch, chosen, max(1, p["batch"] // p["pictures"])))
    arrays = {name: np.concatenate([f[name] for f in found]) for name in found[0]}
    numbers = {"layer": layer.name, "kept": KEPT}
    return job.write(arrays | {"unit": np.array(chosen, np.int32)}, numbers=numbers, provenance=model.provenance)


if __name__ == "__main__":
    run(main)
