"""Unit visualisation: the picture with the highest activation of each unit (Erhan et al. 2009; Olah et al. 2017).

    I*_u = argmax_I E_v[ mean of a_u(v(I)) + mean of its strongest quarter ],  I = σ(C · F⁻¹(s(f) · z)), over z by Adam

a_u is the unit's map before its ReLU. v are the small random views with which Olah et al. get robust pictures (pad,
jitter, scale, rotate, jitter; stated in pixels for pictures of 128 pixels or more, smaller for smaller ones). z is the
picture's spectrum in decorrelated colours (:mod:`cnnviz.ascent.parametrisations`). Olah et al. ascend the mean over all
positions alone, which fills the picture. But what activates a unit at one position often inhibits it beside it: then
one in three of the demo's units ends below its best real patch. Many units of a layer are one batch, and the forward
pass ends at that layer.

If a layer's values are the outputs of ReLUs (a block such as SqueezeNet's fire5), those ReLUs pass the gradient
unchanged. That is the gradient of the values before them. With the usual gradient, the picture of a unit that is
inactive at the start would stay grey. So would that of a unit of a depthwise convolution whose only input is inactive:
a ReLU that blocks a picture's whole gradient passes it, wherever it is.

A picture is *lost* if it is still grey, if its unit never responded, or if it excites its unit less than a tenth as
much as the best real patch does. Then the unit is ascended from STARTS other starts, many in one batch, and the best
picture is kept. A unit whose pictures are all lost is marked.

A picture is scored as published, 8 bits a channel, upright and plain: max over (y, x) of a_u. The forward pass ranks
real pictures by the same value, and their largest is stored beside it. A picture is as large as the network's input.
For layers with a small receptive field it is twice the field, but at least 128 pixels. If the layer takes only the
network's own input size, it is that size.

All units of a network take hours on a CPU. So the work can be split into shards: jobs that write one file each, which
another rule merges. Batches are never split, so the pictures do not depend on the number of shards.

The result holds, for each chosen layer L and n of its units, the most selective first: L/unit (n,) int32. L/pictures
(n, h, w, c) uint8, RGB if c = 3. L/climb (n, steps) float16: the objective before each step, divided by its largest
magnitude L/scale (n,) float32. L/value, L/best (n,) float32: the unit's largest activation in the picture, and in the
image set. L/image (n,) int32: the picture of the image set with that activation; L/box (n, 4) int32: the receptive
field there: top, left, bottom, right in pixels of the network's input, half open; L/border (n,) bool: whether the field
extends beyond the picture; L/field (n, 4) int32: the field of the neuron with the largest activation in the picture, of
those with a field inside it if there are any; L/starts (n,) int32: starts tried; L/lost (n,) bool: whether the picture
is lost even so.
"""

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np

from cnnviz.ascent.loop import Ascent, adam, ascend, to_bytes
from cnnviz.ascent.parametrisations import fourier
from cnnviz.ascent.unit_pictures import RATE, excited, picture_size, strongest, views_of
from cnnviz.errors import NotApplicable
from cnnviz.network import loaded
from cnnviz.network.halving import in_batches
from cnnviz.network.layers import Layer
from cnnviz.network.loaded import Model
from cnnviz.network.units import boxes, of_layer, selective
from cnnviz.run import result
from cnnviz.run.job import Job, run

Batch = tuple[str, list[int]]  # a layer's name and some of its units

STARTS = 4  # further starts for a lost picture
LEAST = 0.1  # activation below which a picture is lost, as a share of that by the best real patch
GREY = 40  # range of a picture's levels, of 255, up to which it is still grey: starts have about 25
STILL = 1e-3  # change of the objective during the ascent, as a share of its magnitude, up to which there is no response


def plan(chosen: Mapping[str, Sequence[int]], size: int) -> list[Batch]:
    """Layer → units, split into batches of one layer and at most ``size`` units each, in order."""
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
    """Ascends one picture per unit, in one batch. seeds: one per unit, of the starts. views: seed of the views."""
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


def draw(
    job: Job, model: Model, layer: Layer, units: Sequence[int], size: tuple[int, int], kept: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """The arrays of a batch that the ascent makes. Seeds depend on the unit only.

    kept: of the layer, from the forward pass: the largest activations by real pictures, and the neurons' fields.
    """
    best = kept["all_value"][units, 0]
    seeds = [job.seed_for("start", layer.name, unit) for unit in units]
    made = drawn_from(job, model, layer, units, seeds, size, kept)
    made["starts"] = np.ones(len(units), np.int32)
    again = [
        (int(i), job.seed_for("start", layer.name, units[i], start))
        for i in np.flatnonzero(lost(made, best))
        for start in range(1, STARTS + 1)
    ]
    for first in range(0, len(again), len(units)):  # no more pictures at a time than before
        places, seeds = zip(*again[first : first + len(units)], strict=True)
        tried = drawn_from(job, model, layer, [units[i] for i in places], seeds, size, kept)
        for t, i in enumerate(places):
            made["starts"][i] += 1
            if tried["value"][t] > made["value"][i]:
                for name, array in tried.items():
                    made[name][i] = array[t]
    return made | {"lost": lost(made, best)}


def drawn_from(
    job: Job,
    model: Model,
    layer: Layer,
    units: Sequence[int],
    seeds: Sequence[int],
    size: tuple[int, int],
    kept: Mapping[str, np.ndarray],
) -> dict[str, np.ndarray]:
    """The pictures of one ascent from these starts, their values and curves."""
    ascent = visualise(model, layer, units, seeds, size, job.parameters["steps"], job.seed_for("views", layer.name))
    pictures = to_bytes(ascent.pictures)
    climb = ascent.curves["excitation"].T
    scale = np.abs(climb).max(1)
    value, field = strongest(model, layer, pictures, units, kept)
    return {
        "pictures": pictures,
        "climb": np.float16(climb / np.where(scale > 0, scale, 1)[:, None]),
        "scale": np.float32(scale),
        "value": value,
        "field": field,
    }


def lost(made: Mapping[str, np.ndarray], best: np.ndarray) -> np.ndarray:
    """Which pictures of :func:`drawn_from` are lost, see the module's docstring: (n,) bool.

    best: (n,) the units' activations by their best real patches. A unit that no real picture brings above 0 needs only
    more than that.
    """
    levels = made["pictures"].reshape(len(best), -1)
    grey = levels.max(1).astype(int) - levels.min(1) <= GREY
    still = (np.ptp(made["climb"], 1) <= STILL) & (made["climb"].shape[1] > 1)
    return grey | still | (made["value"] <= np.where(best > 0, LEAST * best, best))


def best_patches(kept: Mapping[str, np.ndarray], units: np.ndarray) -> dict[str, np.ndarray]:
    """Patches with the units' largest activations in the forward pass: best, image, box, border."""
    y, x = kept["all_position"][units, 0].T
    return {
        "unit": units.astype(np.int32),
        "best": kept["all_value"][units, 0],
        "image": kept["all_image"][units, 0],
        "box": boxes(kept["all_position"][units, 0], kept["rows"], kept["columns"]),
        "border": kept["rows_cross"][y] | kept["columns_cross"][x],
    }


def shard(job: Job, number: int, count: int) -> tuple[dict[str, np.ndarray], dict]:
    """Every ``count``-th batch from batch ``number`` on, as "batch/array name" → array; and the model's provenance."""
    model, forward = loaded.load(job, gradients="layers"), result.read(job.inputs["forward"])
    wanted = job.parameters["units"]
    kept = {name: of_layer(forward, name) for name in model.chosen}
    chosen = {name: selective(k, None if wanted == "all" else wanted) for name, k in kept.items()}
    batches = plan(chosen, job.parameters["batch"])
    sizes = {name: picture_size(model, model.layer(name), kept[name], job.parameters["size"]) for name in chosen}
    arrays = {}
    for i in range(number, len(batches), count):
        name, units = batches[i]
        drawn = partial(draw, job, model, model.layer(name), size=sizes[name], kept=kept[name])
        parts = list(in_batches(drawn, units, len(units)))
        made = {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
        made |= best_patches(kept[name], np.array(units))
        arrays |= {f"{i:05d}/{name}/{what}": array for what, array in made.items()}
    return arrays, model.provenance


def merged(shards: Sequence[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """The arrays of all shards by layer, with the batches in their order."""
    joined: dict[str, list[np.ndarray]] = {}
    for key, array in sorted((key, array) for arrays in shards for key, array in arrays.items()):
        joined.setdefault(key.split("/", 1)[1], []).append(array)
    return {key: np.concatenate(parts) for key, parts in joined.items()}


def main(job: Job) -> None:
    """Draws all units, or one shard, or merges shards.

    A shard is given as ``shard`` [number, count] among the parameters, and shards to merge among the inputs.
    """
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
        if f"{name}/unit" in arrays  # layers without a gradient have none
    ]
    if not layers:
        raise NotApplicable("None of the network's layers is shown: there are no units.", provenance)
    numbers = {"layers": layers, **{key: forward.numbers[key] for key in ("size", "geometry", "pictures")}}
    return job.write(arrays, numbers=numbers, provenance=provenance)


if __name__ == "__main__":
    run(main)
