"""Diversity: several different pictures that all activate one unit (Olah et al. 2017, "Diversity").

    maximise  Σ_i -log(1 + exp(κ (ρ ā_u - a_u(I_i)))) / κ - λ_u · mean over j ≠ i of cos(C_i, C_j)

The ascent without the second term, the diversity, comes first, from the same starts: it gives ā_u at every step, and
shows what the term changes. a_u is the objective of :mod:`cnnviz.synthesis.unit_visualization`, with the same views,
parametrisation and steps, here in units of its last ā_u. So pictures may give up 1 - ρ of their activation. C_i is the
covariance over positions of picture i's rectified maps of the unit's own layer. It holds which features occur together,
not where, so a shifted copy counts as similar. Olah et al. use the Gram matrix. It is the covariance plus the product
of the means, and since no feature is negative, these make it nearly the same for any two pictures: cosines from 0.96.

λ_u is found during the ascent: it grows by the factor GROWTH in each step in which the unit's pictures activate it
enough, and shrinks by it in each other one. A unit that is not active enough near the end gives up the diversity. No
one λ suits all networks; with a fixed one the pictures of some did not change, and those of others lost the unit.

The result holds, for n units of one layer, the most selective first, and m pictures of each: ``unit`` (n,) int32;
``pictures``, ``plain`` (n, m, h, w, c) uint8, with and without the term; of these 8-bit pictures: ``excitation``,
``plain_excitation`` (n, m) float32: a_u; ``value``, ``plain_value`` (n, m) float32: the largest activation over all
positions; ``likeness``, ``plain_likeness`` (n, m, m) float32: cos(C_i, C_j). ``best`` (n,) float32: the largest
activation by the image set.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize, softplus

from cnnviz.ascent import objective_functions
from cnnviz.ascent.loop import Ascent, adam, ascend, to_bytes
from cnnviz.ascent.objective_functions import Objective, covariance
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

SHARPNESS, FIRST, GROWTH = 60.0, 0.3, 1.08  # κ, the first λ, and its change in each step
LAST = 0.8  # share of the steps after which a unit that is not active enough gives up the diversity
DEPTH = 2 / 3  # depth of the layer "auto", as a share of the chosen layers with maps


def excitation(model: Model, layer: Layer, pictures: np.ndarray, units: Sequence[int]) -> np.ndarray:
    """a_u of (n, h, w, c) uint8 pictures, for one unit each: (n,) float32."""
    read = objective_functions.read(model, model.pictures(list(pictures)), [layer.module])
    return excited(layer, units).value(read).float().cpu().numpy()


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
    """cos(C_i, C_j) of (m, h, w, c) uint8 pictures: (m, m) float32."""
    maps = objective_functions.read(model, model.pictures(list(pictures)), [layer.module])[layer.module]
    each = normalize(covariance(maps).flatten(1).double(), dim=1)
    return (each @ each.T).float().cpu().numpy()


@dataclass
class Balance:
    """The objective of the module's docstring, which finds λ of each of n units while it is ascended.

    activation: the objective a_u. reached: (steps, n m), its values without the diversity. kept: ρ. It is to be read
    once in each step.
    """

    layer: Layer
    activation: Objective
    reached: Tensor
    group: Sequence[int]
    kept: float
    step: int = 0
    weight: Tensor = field(init=False)

    def __post_init__(self) -> None:
        units = max(self.group) + 1
        mean = self.reached.unflatten(1, (units, -1)).mean(2)
        self.reached = mean[:, list(self.group)]
        self.weight = torch.full((units,), FIRST, device=self.reached.device)

    @property
    def objective(self) -> Objective:
        return Objective((self.layer.module,), self.value)

    def value(self, read: Mapping[str, Tensor]) -> Tensor:
        final = self.reached[-1]
        spare = (self.activation.value(read) - self.kept * self.reached[self.step]) / torch.where(final > 0, final, 1)
        unlike = objective_functions.diversity(self.layer.module, self.group, covariance).value(read)
        value = -softplus(-SHARPNESS * spare) / SHARPNESS + self.weight[list(self.group)] * unlike
        enough = spare.detach().unflatten(0, (len(self.weight), -1)).mean(1) > 0
        late = self.step >= LAST * len(self.reached)
        self.weight = self.weight * torch.where(enough, GROWTH, 0 if late else 1 / GROWTH)
        self.step += 1
        return value


def several(
    model: Model,
    layer: Layer,
    units: Sequence[int],
    seeds: Sequence[Sequence[int]],
    *,
    size: tuple[int, int],
    steps: int,
    kept: float,
    views: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Pictures of each unit, one per seed, with the term and without it: (n, m, h, w, c) uint8 each."""
    m = len(seeds[0])
    each = [unit for unit in units for _ in range(m)]
    group = [i for i in range(len(units)) for _ in range(m)]
    excites = excited(layer, each)

    def climb(objective: Objective) -> Ascent:
        return ascend(
            model,
            {"objective": objective},
            fourier(size, [seed for own in seeds for seed in own], channels=model.channels, device=model.device),
            steps=steps,
            optimiser=adam(RATE),
            transform=views_of(model, layer, size),
            seed=views,
            progress=f"{layer.name}: {len(units)} units, {m} pictures each",
        )

    plain = climb(excites)
    reached = torch.from_numpy(plain.curves["objective"]).to(model.device)
    unlike = climb(Balance(layer, excites, reached, group, kept).objective)
    both = (to_bytes(ascent.pictures) for ascent in (unlike, plain))
    return tuple(pictures.reshape(len(units), m, *pictures.shape[1:]) for pictures in both)


def main(job: Job) -> None:
    p = job.parameters
    model, forward = loaded.load(job, gradients="layers"), result.read(job.inputs["forward"])
    layer = pick(model, p["layer"])
    if layer is None:
        raise NotApplicable("None of the chosen layers has feature maps, whose covariances could be compared.")
    kept = of_layer(forward, layer.name)
    chosen = [int(u) for u in selective(kept, p["units"])]
    size = picture_size(model, layer, kept, p["size"])
    views = job.seed_for("views")

    def batch(units: Sequence[int]) -> dict[str, np.ndarray]:
        seeds = [[job.seed_for("start", layer.name, unit, i) for i in range(p["pictures"])] for unit in units]
        unlike, plain = several(
            model, layer, units, seeds, size=size, steps=p["steps"], kept=p["kept"], views=views
        )  # fmt: skip
        found = {"pictures": unlike, "plain": plain, "best": kept["all_value"][units, 0]}
        for name, made in (("", unlike), ("plain_", plain)):
            for key, of in (("value", largest), ("excitation", excitation)):
                values = [of(model, layer, made[i], [unit] * len(made[i])) for i, unit in enumerate(units)]
                found |= {f"{name}{key}": np.stack(values)}
            found |= {f"{name}likeness": np.stack([likeness(model, layer, group) for group in made])}
        return found

    found = list(in_batches(batch, chosen, max(1, p["batch"] // p["pictures"])))
    arrays = {name: np.concatenate([f[name] for f in found]) for name in found[0]}
    numbers = {"layer": layer.name, "kept": p["kept"]}
    return job.write(arrays | {"unit": np.array(chosen, np.int32)}, numbers=numbers, provenance=model.provenance)


if __name__ == "__main__":
    run(main)
