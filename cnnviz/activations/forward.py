"""The one forward pass over the image set, which everything about activations reads.

Each picture goes through the network once. A hook reduces what a layer puts out right away, before an in-place ReLU
can change it and so that no activation outlives its batch. Kept of every unit of the chosen layers, where a_u(i, y, x)
is the module's own output for picture i (before normalisation and ReLU where those are modules of their own):

- the ``top`` pictures with the largest max over (y, x) of a_u, at most one neuron a picture, once over the neurons
  whose receptive field lies wholly inside the picture and once over all. The order is (value descending, picture
  ascending) and of a picture's equal neurons the first one counts, so it does not depend on how pictures are batched;
- mean and maximum of a_u over all neurons of all pictures, the fraction with a_u > 0, and the mean over pictures of
  max(0, max over (y, x) of a_u): how strongly a usual picture excites the unit where it does most;
- a histogram of a_u over some neurons of each picture, the same ones for all units of a layer: as many that about
  16 000 values of a unit come together, at most ``SAMPLES`` a picture. Which ones follows from the picture's index
  alone, and over many pictures they cover the map evenly. All activations would cost more than the network itself.

A large set can be cut into shards of whole batches: jobs that leave a file each, for a rule that puts them together to
the same bytes. For that they leave sums of each batch, since in another order sums may differ in their last digit.

Values are float32: between batch sizes they may differ by about 1e-6 of their size, since libraries pick other kernels,
and neurons that differ by less may then change places. In float64 the selection is the same (tests show it).

Leaves ``features`` (n, d) and ``logits`` (n, classes), float32, in memory-mapped files, and for each chosen layer L of
h × w neurons:
L/inside_value, L/inside_image, L/inside_position and L/all_value, L/all_image, L/all_position:
    (units, k) float32, (units, k) int32 index of the picture or −1 where there is none, (units, k, 2) int32 y and x;
L/mean, L/max, L/active, L/peak: (units,) float32; active is a fraction, peak the mean of the pictures' maxima;
L/histogram: (units, 87) int32 neurons with histogram_edges[b − 1] ≤ a_u < histogram_edges[b], open at both ends;
L/rows (h, 2), L/columns (w, 2) int32, L/rows_cross (h,), L/columns_cross (w,) bool: see receptive_field.Field;
and of the predictions, for n pictures:
top_classes, top_probabilities: (n, 5) int32 outputs and float32, best first, equal ones by index;
label: (n,) int32, the output that is right (the first, where several are), or −1;
histogram_edges: (86,) float32.
Numbers: pictures, layers, size, top; unprobed: layer → why its fields are the whole picture, where probing failed;
geometry (resize, crop, interpolation); kind; labelled, top1, top5 (fractions),
on, roles: see :func:`accuracies`; around: layer → what makes and what reads its values, see
:mod:`cnnviz.activations.rectified`.
"""

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from torch import nn

from cnnviz.activations.rectified import around
from cnnviz.errors import UserError
from cnnviz.network import hooks, loaded
from cnnviz.network.halving import in_batches
from cnnviz.network.receptive_field import Field, receptive_fields
from cnnviz.pictures import images
from cnnviz.run import atomic, result
from cnnviz.run.job import Job, run
from cnnviz.run.progress import bar

BEST = 5  # classes kept of each prediction
SAMPLES = 16  # neurons of a map that go into the histograms, at most
ENOUGH = 16_000  # values of a unit for a histogram: the share in a bin is then known to within 0.8 points
# Six bins a decade from 0.001 to 10 000, on both sides of one around 0: the same for every network, so that histograms
# add up whatever the order of pictures, and those of two networks can be compared.
_MAGNITUDES = 10 ** (np.arange(-18, 25) / 6)
EDGES = np.concatenate([-_MAGNITUDES[::-1], _MAGNITUDES]).astype(np.float32)


@dataclass(frozen=True)
class Top:
    """The strongest neurons of each unit so far, strongest first: tensors (units, k).

    values; images: index of the picture, −1 for none yet; positions: y · w + x within the maps they were found in.
    """

    values: torch.Tensor
    images: torch.Tensor
    positions: torch.Tensor

    @classmethod
    def none(cls, units: int, k: int, like: torch.Tensor) -> "Top":
        missing = torch.full((units, k), -1, device=like.device)
        return cls(torch.full((units, k), -torch.inf, dtype=like.dtype, device=like.device), missing, missing)

    def after(self, maps: torch.Tensor, best: torch.Tensor, first: int) -> "Top":
        """Also with the later pictures ``first``, ``first`` + 1, …: maps (m, units, h, w), their maxima best."""
        k, best = self.values.shape[1], best.T
        if not (best > self.values[:, -1:]).any():
            return self
        # Stable, so of equal values the one that came first wins; torch.topk would pick any.
        values, order = torch.cat([self.values, best], 1).sort(dim=1, descending=True, stable=True)
        values, order = values[:, :k], order[:, :k]
        new = order >= k
        picture = torch.where(new, order - k, 0)
        kept = torch.where(new, 0, order)
        positions = self.positions.gather(1, kept)
        unit, _ = new.nonzero(as_tuple=True)
        positions[new] = maps[picture[new], unit].flatten(1).argmax(1)
        return Top(values, torch.where(new, picture + first, self.images.gather(1, kept)), positions)

    def joined(self, later: "Top") -> "Top":
        """Also with what was found in later pictures; of equal values the one that came first wins, as above."""
        values, order = torch.cat([self.values, later.values], 1).sort(dim=1, descending=True, stable=True)
        k = self.values.shape[1]
        order = order[:, :k]
        images, positions = (
            torch.cat(pair, 1).gather(1, order)
            for pair in ((self.images, later.images), (self.positions, later.positions))
        )
        return Top(values[:, :k], images, positions)


@dataclass(frozen=True)
class Responses:
    """What is kept of a layer. inside, everywhere: see :class:`Top`, positions counted in their own maps.

    total: (units,) float64 sum over all neurons; active: (units,) int64 neurons above 0; neurons: of each unit; peaks:
    (units,) float64 sum over pictures of the strongest neuron's value, negative ones as 0. histogram: (units, bins)
    int64 sampled neurons.
    """

    inside: Top
    everywhere: Top
    total: torch.Tensor
    active: torch.Tensor
    neurons: int
    peaks: torch.Tensor
    histogram: torch.Tensor

    @classmethod
    def none(cls, maps: torch.Tensor, k: int) -> "Responses":
        units = maps.shape[1]
        zero = torch.zeros(units, dtype=torch.float64, device=maps.device)
        top = Top.none(units, k, maps)
        histogram = torch.zeros(units, len(EDGES) + 1, dtype=torch.int64, device=maps.device)
        return cls(top, top, zero, zero.long(), 0, zero, histogram)

    def after(self, maps: torch.Tensor, first: int, interior: tuple[slice, slice], samples: int) -> "Responses":
        """Also with the pictures ``first``, … whose maps are (m, units, h, w); ``interior``: see :func:`interior`."""
        inner = maps[:, :, interior[0], interior[1]]
        if maps.device.type == "cpu":  # a picture at a time, while it is in the processor's cache: four times as fast
            reductions = [reduced(*pair) for pair in zip(maps, inner, strict=True)]
            best, best_inside, total, active = (torch.stack(each) for each in zip(*reductions, strict=True))
        else:
            best, best_inside, total, active = reduced(maps, inner)
        everywhere = self.everywhere.after(maps, best, first)
        if inner.shape == maps.shape:
            inside = everywhere
        else:
            inside = self.inside.after(inner, best_inside, first) if inner.numel() else self.inside
        return Responses(
            inside,
            everywhere,
            self.total + total.double().sum(0),
            self.active + active.long().sum(0),
            self.neurons + maps.numel() // maps.shape[1],
            self.peaks + best.clamp(min=0).double().sum(0),
            self.histogram + histogram(maps, first, samples),
        )


def reduced(maps: torch.Tensor, inner: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Of (…, units, h, w) maps and a block of them, inner: largest, largest of inner, sum, number above 0: (…, units).

    Where inner is empty or all there is, the second is the first.
    """
    # 0.0 and 1.0 are made and added up twice as fast as truth values; a map holds few enough to count exactly
    active = torch.gt(maps, 0, out=torch.empty_like(maps)).sum((-2, -1))
    best = largest(maps)
    best_inside = largest(inner) if inner.numel() and inner.shape != maps.shape else best
    return best, best_inside, maps.sum((-2, -1)), active


def largest(maps: torch.Tensor) -> torch.Tensor:
    """maps.amax((-2, -1)), which is many times slower in NHWC layout."""
    return maps.movedim(-3, -1).amax(-3).amax(-2) if maps.stride(-3) == 1 else maps.amax((-2, -1))


def sampled(first: int, count: int, height: int, width: int, samples: int) -> tuple[np.ndarray, np.ndarray]:
    """y and x, (count, samples) each, of the neurons sampled of pictures ``first``, … ; all of a map that has no more.

    Successive points of a sequence of low discrepancy (Roberts 2018, R₂), so even a few pictures cover the map.
    """
    if height * width <= samples:
        y, x = np.divmod(np.arange(height * width), width)
        return np.tile(y, (count, 1)), np.tile(x, (count, 1))
    t = np.arange(first * samples, (first + count) * samples).reshape(count, samples)
    y, x = (0.5 + t * 0.7548776662466927) % 1, (0.5 + t * 0.5698402909980532) % 1
    return (y * height).astype(np.int64), (x * width).astype(np.int64)


def histogram(maps: torch.Tensor, first: int, samples: int) -> torch.Tensor:
    """Sampled neurons of (m, units, h, w) maps of the pictures ``first``, … in each bin: (units, bins) int64."""
    m, units, height, width = maps.shape
    y, x = (torch.from_numpy(places).to(maps.device) for places in sampled(first, m, height, width, samples))
    values = maps[torch.arange(m, device=maps.device)[:, None], :, y, x]
    bins = torch.bucketize(values, torch.from_numpy(EDGES).to(values), right=True)
    bins += torch.arange(units, device=maps.device) * (len(EDGES) + 1)
    return torch.bincount(bins.flatten(), minlength=units * (len(EDGES) + 1)).view(units, -1)


class ForwardPass:
    """The network with the hooks of the pass: ``with ForwardPass(…) as step: logits, features = step(x)``.

    fields: dotted module name → Field, for the modules whose responses are kept. maps: module name → function from what
    the module puts out to maps (n, units, h, w), see models.Layer.maps. feature: (module, "input" or "output") of the
    feature vector: flattened, or of what comes out of a module the mean over positions. batch: pictures at a time at
    most; halved, with a message, when a GPU's memory does not suffice. pictures: how many there are in the set. first:
    index of the first one to come. channels_last: whether pictures may lie so in memory. After the last step
    ``responses`` holds module name → Responses. Hooks are gone after the ``with``.
    """

    def __init__(
        self,
        net: nn.Module,
        fields: dict[str, Field],
        maps: Mapping[str, Callable[[torch.Tensor], torch.Tensor]],
        top: int,
        feature: tuple[str, str],
        batch: int,
        pictures: int,
        first: int = 0,
        channels_last: bool = False,
    ):
        self.net, self.maps, self.top, self.batch = net, maps, top, batch
        self.layout = torch.channels_last if channels_last else torch.contiguous_format
        self.interiors = {name: interior(field) for name, field in fields.items()}
        self.responses: dict[str, Responses] = {}
        self.samples = min(SAMPLES, -(-ENOUGH // pictures))
        self.seen = first
        self._pending: dict[str, Responses] = {}
        self._features: torch.Tensor | None = None
        self._feature = feature
        self._handles = []

    def __enter__(self) -> "ForwardPass":
        for name in self.interiors:
            self._handles.append(hooks.hook(self.net, name, self._reduce(name)))
        module, side = self._feature
        keep = self._keep_input if side == "input" else self._keep_output
        self._handles.append(hooks.hook(self.net, module, keep, input=side == "input"))
        return self

    def __exit__(self, *error) -> None:
        for handle in self._handles:
            handle.remove()

    @torch.inference_mode()
    def __call__(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The next pictures, normalised, (n, c, h, w) → logits (n, classes) and features (n, d)."""
        if x.device.type == "cpu":
            x = x.contiguous(memory_format=self.layout)  # channels last, CPUs convolve 1.4 to 2.5 times as fast
        logits, features = zip(*in_batches(self._step, x, self.batch), strict=True)
        if len(logits) > -(-len(x) // self.batch):  # memory did not do
            self.batch = max(map(len, logits))
        return torch.cat(logits), torch.cat(features)

    def _step(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        self._pending = {}
        logits = self.net(x)
        self.responses |= self._pending  # only now: a pass that ran out of memory half-way has left no trace
        self.seen += len(x)
        return logits, self._features

    def _reduce(self, name: str):
        def reduce(output: torch.Tensor) -> None:
            maps = self.maps[name](output)
            before = self.responses.get(name) or Responses.none(maps, self.top)
            self._pending[name] = before.after(maps, self.seen, self.interiors[name], self.samples)

        return reduce

    def _keep_input(self, values: torch.Tensor) -> None:
        self._features = values.flatten(1).clone()  # an in-place operation may follow

    def _keep_output(self, output: torch.Tensor) -> None:
        name = self._feature[0]  # "" is the network, whose scores are no maps
        self._features = self.maps[name](output).mean((2, 3)) if name else output.clone()


def interior(field: Field) -> tuple[slice, slice]:
    """The rows and the columns of neurons that see no padding (a block in the middle), slice(0, 0) where none."""

    def span(cross: np.ndarray) -> slice:
        inside = np.flatnonzero(~cross)
        return slice(int(inside[0]), int(inside[-1]) + 1) if len(inside) else slice(0, 0)

    return span(field.rows_cross), span(field.columns_cross)


def batches(
    image_set: images.ImageSet, indices: range, model: loaded.Model, batch: int, threads: int
) -> Iterator[torch.Tensor]:
    """Pictures of the set in order, normalised, (≤ batch, c, h, w) on the model's device; decoded ahead by threads."""
    pictures = image_set.arrays(model.preprocess.geometry, indices, threads=threads)
    while arrays := list(islice(pictures, batch)):
        yield model.normalise(model.pictures(arrays))


def best_classes(logits: torch.Tensor, count: int = BEST) -> torch.Tensor:
    """(n, c) logits → the best outputs (n, count), equal ones by index."""
    return logits.sort(dim=1, descending=True, stable=True).indices[:, :count]


def right_outputs(image_set: images.ImageSet, label_to_output: Sequence[int | None]) -> list[list[int]]:
    """For each picture the outputs that its labels stand for, in the order of the labels."""
    found = ([label_to_output[label] for label in picture.labels] for picture in image_set.pictures)
    return [[output for output in outputs if output is not None] for outputs in found]


def accuracies(top_classes: np.ndarray, right: list[list[int]], roles: list[str]) -> dict:
    """labelled (pictures), top1 and top5 (fractions of them), on ("query" or "all"), and roles: the same of each role.

    top_classes: (n, 5) outputs. right: of each picture the right outputs; a prediction is right that is one of them.
    Where some pictures are queries and others are not, only the queries count.
    """
    hits = np.array([[output in outputs for output in best] for best, outputs in zip(top_classes, right, strict=True)])
    known, role = np.array([bool(outputs) for outputs in right]), np.array(roles)

    def shares(chosen: np.ndarray) -> dict:
        counted = {"labelled": int(chosen.sum())}
        if chosen.any():
            counted |= {"top1": float(hits[chosen, 0].mean()), "top5": float(hits[chosen].any(1).mean())}
        return counted

    by_role = {name: shares(known & (role == name)) for name in sorted(set(roles))}
    split = len(by_role) > 1 and by_role.get("query", {}).get("labelled", 0) > 0
    whole = by_role["query"] | {"on": "query"} if split else shares(known) | {"on": "all"}
    return whole | {"roles": by_role}


def layer_arrays(name: str, kept: Responses, field: Field) -> dict[str, np.ndarray]:
    """The arrays of a layer, as the module's docstring lists them."""
    rows, columns = interior(field)
    arrays = {}
    whole = (slice(0, len(field.rows)), slice(0, len(field.columns)))
    for what, top, (y, x) in (("inside", kept.inside, (rows, columns)), ("all", kept.everywhere, whole)):
        positions, found = top.positions.cpu().numpy(), top.images.cpu().numpy()
        width = max(1, x.stop - x.start)
        places = np.stack([y.start + positions // width, x.start + positions % width], 2)
        arrays |= {
            f"{name}/{what}_value": top.values.float().cpu().numpy(),
            f"{name}/{what}_image": found.astype(np.int32),
            f"{name}/{what}_position": np.where(found[..., None] < 0, -1, places).astype(np.int32),
        }
    return arrays | {
        f"{name}/mean": (kept.total / kept.neurons).cpu().numpy().astype(np.float32),
        f"{name}/max": kept.everywhere.values[:, 0].float().cpu().numpy(),
        f"{name}/active": (kept.active / kept.neurons).cpu().numpy().astype(np.float32),
        f"{name}/peak": (kept.peaks * (len(field.rows) * len(field.columns) / kept.neurons))
        .cpu()
        .numpy()
        .astype(np.float32),
        f"{name}/histogram": kept.histogram.cpu().numpy().astype(np.int32),
        f"{name}/rows": field.rows,
        f"{name}/columns": field.columns,
        f"{name}/rows_cross": field.rows_cross,
        f"{name}/columns_cross": field.columns_cross,
    }


@dataclass(frozen=True)
class Passed:
    """What a pass over some of the pictures found. responses: layer → Responses. top_classes, top_probabilities: of
    these pictures, as in the module's docstring. batch: pictures at a time, in the end."""

    responses: dict[str, Responses]
    top_classes: np.ndarray
    top_probabilities: np.ndarray
    batch: int


def whole_batches(pictures: int, batch: int, shard: int, shards: int) -> range:
    """The pictures of a shard: as many whole batches as the others have, or one fewer."""
    count = -(-pictures // batch)
    first, end = (min(pictures, count * i // shards * batch) for i in (shard, shard + 1))
    return range(first, end)


def pass_over(
    job: Job, model: loaded.Model, image_set: images.ImageSet, fields: dict[str, Field], indices: range, sums=None
) -> Passed:
    """The pass over ``indices``; leaves their features and logits at the job's outputs.

    sums: layer → list; each batch's (total, peaks) then go there and not into the responses, whose sums stay 0.
    """
    n, classes = len(image_set), len(model.classes)
    modules = {name: model.layer(name).module for name in fields}
    maps = {layer.module: layer.maps for layer in model.layers}
    of_modules = {modules[name]: field for name, field in fields.items()}
    batch = job.parameters["batch"]
    best = min(BEST, classes)
    top_classes = np.empty((len(indices), best), np.int32)
    top_probabilities = np.empty((len(indices), best), np.float32)
    top = min(job.parameters["top"], n)
    with (
        atomic.replacing(job.outputs["features"]) as features_file,
        atomic.replacing(job.outputs["logits"]) as logits_file,
        ForwardPass(
            model.net, of_modules, maps, top, model.feature, batch, n, indices.start, model.channels_last
        ) as step,
        bar(what="pictures", total=len(indices)) as progress,
    ):
        features = np.lib.format.open_memmap(features_file, "w+", np.float32, (len(indices), model.feature_size))
        all_logits = np.lib.format.open_memmap(logits_file, "w+", np.float32, (len(indices), classes))
        for x in batches(image_set, indices, model, batch, job.threads):
            start = step.seen - indices.start
            here = slice(start, start + len(x))
            logits, vectors = step(x)
            if not logits.isfinite().all():
                bad = indices[here.start + int((~logits.isfinite().all(1)).nonzero()[0])]
                raise UserError(
                    f"model {model.id}: the class scores of picture {image_set.pictures[bad].name} are not finite; "
                    "the checkpoint or the preprocessing is wrong"
                )
            features[here] = vectors.float().cpu().numpy()
            all_logits[here] = logits.float().cpu().numpy()
            order = best_classes(logits, best)
            top_classes[here] = order.cpu().numpy()
            top_probabilities[here] = model.probabilities(logits).gather(1, order).cpu().numpy()
            if sums is not None:
                for name, module in modules.items():
                    kept = step.responses[module]
                    sums[name].append((kept.total, kept.peaks))
                    zero = torch.zeros_like(kept.total)
                    step.responses[module] = replace(kept, total=zero, peaks=zero)
            progress.update(len(x))
        features.flush()
        all_logits.flush()
        del features, all_logits
    responses = {name: step.responses[module] for name, module in modules.items() if module in step.responses}
    return Passed(responses, top_classes, top_probabilities, step.batch)


def leave_shard(job: Job, model: loaded.Model, image_set: images.ImageSet, fields: dict[str, Field]) -> None:
    """The pass over one shard. "layer/what" is what Responses hold; total and peaks have a row for each batch."""
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
    """What one pass would have given, and the shards' provenance; leaves features and logits at the job's outputs."""
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
    seen = [part for part in parts if len(part.arrays["top_classes"])]  # there may be more shards than batches
    responses = {name: joined([of_layer(part, name) for part in seen]) for name in names}
    classes, probabilities = (
        np.concatenate([part.arrays[key] for part in parts]) for key in ("top_classes", "top_probabilities")
    )
    provenance = {key: value for key, value in seen[0].provenance.items() if key != "code"}
    return Passed(responses, classes, probabilities, min(part.provenance["batch"] for part in seen)), provenance


def of_layer(part: result.Result, name: str) -> dict[str, torch.Tensor]:
    """A layer's arrays of a shard, its name gone."""
    held = {key.removeprefix(f"{name}/"): a for key, a in part.arrays.items() if key.startswith(f"{name}/")}
    return {key: torch.from_numpy(array) for key, array in held.items()}


def joined(parts: Sequence[dict[str, torch.Tensor]]) -> Responses:
    """The Responses of a layer from those of the shards, whose sums are added up batch by batch as one pass does."""

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


def main(job: Job) -> None:
    """All at once; or with a ``shard`` [number, count] among the parameters, its part; or, given parts, the whole."""
    model = loaded.load(job)
    image_set = images.read(job.inputs["images"], job.image_set)
    modules = {name: model.layer(name).module for name in model.chosen}
    maps = {layer.module: layer.maps for layer in model.layers}
    size = model.preprocess.size
    found = receptive_fields(model.net, {module: maps[module] for module in modules.values()}, size, model.channels)
    fields = {name: found[module] for name, module in modules.items()}
    if "shard" in job.parameters:
        return leave_shard(job, model, image_set, fields)

    beside = around(model.net, list(modules.values()), (model.channels, *size))
    parts = [path for name, path in job.inputs.items() if name.startswith("shard")]
    if parts:
        passed, provenance = merged(job, parts, list(modules))
    else:
        passed = pass_over(job, model, image_set, fields, range(len(image_set)))
        provenance = model.provenance
    right = right_outputs(image_set, model.label_to_output)
    arrays = {
        "top_classes": passed.top_classes,
        "top_probabilities": passed.top_probabilities,
        "label": np.array([outputs[0] if outputs else -1 for outputs in right], np.int32),
        "histogram_edges": EDGES,
    }
    for name, field in fields.items():
        arrays |= layer_arrays(name, passed.responses[name], field)
    return job.write(
        arrays,
        numbers={
            "pictures": len(image_set),
            "layers": list(modules),
            "size": list(size),
            "top": min(job.parameters["top"], len(image_set)),
            "kind": model.kind,
            "unprobed": {name: field.note for name, field in fields.items() if field.note},
            "geometry": {key: getattr(model.preprocess, key) for key in ("resize", "crop", "interpolation")},
            "around": {name: beside[module] for name, module in modules.items()},
        }
        | accuracies(passed.top_classes, right, [picture.role for picture in image_set.pictures]),
        provenance=provenance | {"batch": passed.batch},
    )


if __name__ == "__main__":
    run(main)
