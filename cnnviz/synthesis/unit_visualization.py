"""Unit visualisation: for every unit the picture that excites it most (Erhan et al. 2009; Olah et al. 2017).

I*_u = argmax_I E_v[ mean of a_u(v(I)) + mean of its strongest quarter ],  I = σ(C · F⁻¹(s(f) · z)), z moved by Adam.

a_u is the unit's map before its ReLU, v the random small changes of the view by which Olah et al. get robust pictures
(pad, jitter, scale, rotate, jitter; in pixels for pictures of 128 and more, less for smaller ones), z the picture's
spectrum in decorrelated colours (:mod:`cnnviz.ascent.parametrisations`). The mean over all positions alone, which they
ascend, fills the picture, but what excites a unit in one place often holds it down beside it: of the demo's units one
in three then ends below its best real patch. Many units of a layer are one batch, and the forward pass ends there.
Where a layer's values come out of ReLUs (a block such as SqueezeNet's fire5), those pass the gradient on as if they
were not there, which is the gradient of the values before them; with theirs, a unit that its start picture does not
excite would stay grey.

What a picture is worth is judged as published, 8 bits a channel, upright and plain: max over (y, x) of a_u, the very
number by which the forward pass ranks real pictures, whose largest is set beside it. A picture is as large as the
network's input; of layers that see little of it, twice what they see is enough, but no less than 128 pixels. Where the
layer takes no other size than the network's own, that.

All units of a net are hours on a CPU, so the work can be cut into shards: jobs that leave a file each, for a rule that
puts them together. Batches are never cut, so the pictures are the same with any number of shards.

Leaves for each chosen layer L and n of its units, the most selective first:
L/unit (n,) int32. L/pictures (n, h, w, c) uint8, RGB where c = 3. L/climb (n, steps) float16: what is
ascended, before each step, over its largest magnitude L/scale (n,) float32. L/value, L/best (n,) float32: the largest
value that the picture, and that any picture of the image set, excites the unit to. L/image (n,) int32 which picture
that is, L/box (n, 4) int32 what its neuron sees: top, left, bottom, right in pixels of the network's input, half open;
L/border (n,) bool, it hangs over the edge.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from cnnviz.ascent.loop import Ascent, adam, ascend, to_bytes
from cnnviz.ascent.parametrisations import fourier
from cnnviz.ascent.units import RATE, excited, largest, picture_size, views_of
from cnnviz.errors import NotApplicable
from cnnviz.network import models
from cnnviz.network.halving import in_batches
from cnnviz.network.layers import Layer
from cnnviz.network.models import Model
from cnnviz.network.units import boxes, of_layer, selective
from cnnviz.run import result
from cnnviz.run.job import Job, run

Batch = tuple[str, list[int]]  # a layer's name and some of its units


def plan(chosen: Mapping[str, Sequence[int]], size: int) -> list[Batch]:
    """Layer → units, cut into batches of one layer and at most ``size`` units each, in order."""
    return [
        (name, [int(u) for u in units[first : first + size]])
        for name, units in chosen.items()
        for first in range(0, len(units), size)
    ]


def visualise(
    model: Model,
    layer: Layer,
    units: Sequence[int],
    seeds: Sequence[int],
    size: tuple[int, int],
    steps: int,
    views: int,
) -> Ascent:
    """One ascent a unit, in one batch. seeds: of the starts, one a unit; views: seed of the sequence of views."""
    return ascend(
        model,
        {"excitation": excited(layer, units)},
        fourier(size, seeds, channels=model.channels, device=model.device),
        steps=steps,
        optimiser=adam(RATE),
        transform=views_of(model, layer, size),
        seed=views,
        progress=f"{layer.name}: {len(units)} units",
    )


def draw(job: Job, model: Model, layer: Layer, units: Sequence[int], size: tuple[int, int]) -> dict[str, np.ndarray]:
    """The arrays of a batch that are made by ascent. Seeds depend on the unit alone."""
    seeds = [job.seed_for("start", layer.name, u) for u in units]
    ascent = visualise(model, layer, units, seeds, size, job.parameters["steps"], job.seed_for("views", layer.name))
    pictures = to_bytes(ascent.pictures)
    climb = ascent.curves["excitation"].T
    scale = np.abs(climb).max(1)
    return {
        "pictures": pictures,
        "climb": np.float16(climb / np.where(scale > 0, scale, 1)[:, None]),
        "scale": np.float32(scale),
        "value": largest(model, layer, pictures, units),
    }


def best_patches(kept: Mapping[str, np.ndarray], units: np.ndarray) -> dict[str, np.ndarray]:
    """What the forward pass found to excite the units most: best, image, box, border."""
    y, x = kept["all_position"][units, 0].T
    return {
        "unit": units.astype(np.int32),
        "best": kept["all_value"][units, 0],
        "image": kept["all_image"][units, 0],
        "box": boxes(kept["all_position"][units, 0], kept["rows"], kept["columns"]),
        "border": kept["rows_cross"][y] | kept["columns_cross"][x],
    }


def shard(job: Job, number: int, count: int) -> tuple[dict[str, np.ndarray], dict]:
    """Every ``count``-th batch from batch ``number`` on, "batch/what" → array; and the model's provenance."""
    model, forward = models.load(job, gradients="layers"), result.read(job.inputs["forward"])
    wanted = job.parameters["units"]
    kept = {name: of_layer(forward, name) for name in model.chosen}
    chosen = {name: selective(k, None if wanted == "all" else wanted) for name, k in kept.items()}
    batches = plan(chosen, job.parameters["batch"])
    sizes = {name: picture_size(model, model.layer(name), kept[name], job.parameters["size"]) for name in chosen}
    arrays = {}
    for i in range(number, len(batches), count):
        name, units = batches[i]
        layer = model.layer(name)
        parts = in_batches(lambda us, a=layer, s=sizes[name]: draw(job, model, a, us, s), units, len(units))
        parts = list(parts)
        made = {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
        made |= best_patches(kept[name], np.array(units))
        arrays |= {f"{i:05d}/{name}/{what}": array for what, array in made.items()}
    return arrays, model.provenance


def merged(shards: Sequence[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """The arrays of all shards by layer: batches joined in their order."""
    joined: dict[str, list[np.ndarray]] = {}
    for key, array in sorted((key, array) for arrays in shards for key, array in arrays.items()):
        joined.setdefault(key.split("/", 1)[1], []).append(array)
    return {key: np.concatenate(parts) for key, parts in joined.items()}


def main(job: Job) -> None:
    """All at once; or with a ``shard`` [number, count] among the parameters, its part; or, given parts, the whole."""
    if "shard" in job.parameters:
        arrays, provenance = shard(job, *job.parameters["shard"])
        return job.write(arrays, provenance=provenance)
    parts = [result.read(path) for name, path in job.inputs.items() if name.startswith("shard")]
    if parts and parts[0].status != "ok":
        return job.write({}, not_applicable=parts[0].reason, provenance=result.inherited(parts[0], "shard"))
    if parts:
        shards = [part.arrays for part in parts]
        provenance = {key: value for key, value in parts[0].provenance.items() if key != "code"}
    else:
        arrays, provenance = shard(job, 0, 1)
        shards = [arrays]
    arrays = merged(shards)
    forward = result.read(job.inputs["forward"])
    layers = [
        {
            "name": name,
            "units": len(forward.arrays[f"{name}/peak"]),
            "rectified": forward.numbers["around"][name]["made_by"].split(" and ")[0] in ("ReLU", "ReLU6"),
        }
        for name in forward.numbers["layers"]
        if f"{name}/unit" in arrays  # not of layers that have no gradient
    ]
    if not layers:
        raise NotApplicable("None of the network's layers is shown: there are no units.", provenance)
    numbers = {"layers": layers, **{key: forward.numbers[key] for key in ("size", "geometry", "pictures")}}
    return job.write(arrays, numbers=numbers, provenance=provenance)


if __name__ == "__main__":
    run(main)
