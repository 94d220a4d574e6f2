"""The forward pass split into jobs, and the merge of their files into the same bytes."""

import functools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from cnnviz.activations.forward_pass import Passed, pass_over
from cnnviz.activations.responses import Responses, Top
from cnnviz.network import loaded
from cnnviz.network.receptive_field import Field
from cnnviz.pictures import images
from cnnviz.run import atomic, result
from cnnviz.run.job import Job


def whole_batches(pictures: int, batch: int, shard: int, shards: int) -> range:
    """The pictures of a shard: the same number of whole batches as the others, or one fewer."""
    count = -(-pictures // batch)
    first, end = (min(pictures, count * i // shards * batch) for i in (shard, shard + 1))
    return range(first, end)


def leave_shard(job: Job, model: loaded.Model, image_set: images.ImageSet, fields: dict[str, Field]) -> None:
    """Runs the pass over one shard. "layer/array" are the arrays of Responses; total and peaks have a row per batch."""
    sums = {name: [] for name in fields}
    indices = whole_batches(len(image_set), job.parameters["batch"], *job.parameters["shard"])
    passed = pass_over(job, model, image_set, fields, indices, sums)
    arrays = {"top_classes": passed.top_classes, "top_probabilities": passed.top_probabilities}
    for name, kept in passed.responses.items():
        totals, peaks = (torch.stack(each) for each in zip(*sums[name], strict=True))
        held = {"total": totals, "peaks": peaks, "active": kept.active, "histogram": kept.histogram}
        for what, top in (("inside", kept.inside), ("everywhere", kept.everywhere)):
            held |= {f"{what}_{part}": getattr(top, part) for part in ("values", "images", "positions")}
        arrays |= {f"{name}/{what}": array.cpu().numpy() for what, array in held.items()}
        arrays[f"{name}/neurons"] = np.array(kept.neurons)
    job.write(arrays, provenance=model.provenance | {"batch": passed.batch})


def merged(job: Job, paths: Sequence[Path], names: Sequence[str]) -> tuple[Passed, dict]:
    """The result of one pass, from its shards, and their provenance; writes features and logits to the outputs."""
    parts = [result.read(path) for path in paths]
    for what in ("features", "logits"):
        arrays = [np.load(path.with_suffix(f".{what}.npy"), mmap_mode="r") for path in paths]
        with atomic.replacing(job.outputs[what]) as file:
            whole = np.lib.format.open_memmap(file, "w+", np.float32, (sum(map(len, arrays)), *arrays[0].shape[1:]))
            first = 0
            for array in arrays:
                whole[first : first + len(array)] = array
                first += len(array)
            whole.flush()
            del whole
    seen = [part for part in parts if len(part.arrays["top_classes"])]  # with more shards than batches, some are empty
    responses = {name: joined([of_layer(part, name) for part in seen]) for name in names}
    classes, probabilities = (
        np.concatenate([part.arrays[key] for part in parts]) for key in ("top_classes", "top_probabilities")
    )
    provenance = {key: value for key, value in seen[0].provenance.items() if key != "code"}
    return Passed(responses, classes, probabilities, min(part.provenance["batch"] for part in seen)), provenance


def of_layer(part: result.Result, name: str) -> dict[str, torch.Tensor]:
    """A layer's arrays of a shard, without the layer's name in the keys."""
    held = {key.removeprefix(f"{name}/"): a for key, a in part.arrays.items() if key.startswith(f"{name}/")}
    return {key: torch.from_numpy(array) for key, array in held.items()}


def joined(parts: Sequence[dict[str, torch.Tensor]]) -> Responses:
    """The Responses of a layer from those of the shards. Sums are added batch by batch, in the order of one pass."""

    def top(what: str) -> Top:
        tops = (Top(*(part[f"{what}_{key}"] for key in ("values", "images", "positions"))) for part in parts)
        return functools.reduce(Top.joined, tops)

    def added(what: str) -> torch.Tensor:
        return functools.reduce(torch.add, (row for part in parts for row in part[what]))

    return Responses(
        top("inside"),
        top("everywhere"),
        added("total"),
        sum(part["active"] for part in parts),
        sum(int(part["neurons"]) for part in parts),
        added("peaks"),
        sum(part["histogram"] for part in parts),
    )
