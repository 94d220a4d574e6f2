"""The one forward pass over the image set, which everything about activations reads.

Each picture goes through the network once. A hook reduces what a layer puts out right away, before an in-place ReLU
can change it and so that no activation outlives its batch. Kept of every unit of the chosen layers, where a_u(i, y, x)
is the module's own output for picture i (before normalisation and ReLU where those are modules of their own):

- the ``top`` pictures with the largest max over (y, x) of a_u, at most one neuron a picture, once over the neurons
  whose receptive field lies wholly inside the picture and once over all. The order is (value descending, picture
  ascending) and of a picture's equal neurons the first one counts, so it does not depend on how pictures are batched;
- mean and maximum of a_u over all neurons of all pictures, the fraction with a_u > 0, and the mean over pictures of
  max(0, max over (y, x) of a_u): how strongly a usual picture excites the unit where it does most.

Values are float32: between batch sizes they may differ by about 1e-6 of their size, since libraries pick other kernels,
and neurons that differ by less may then change places. In float64 the selection is the same (tests show it).

Leaves, besides ``features`` (n, d) float32 in a memory-mapped file, for each chosen layer L of h × w neurons:
L/inside_value, L/inside_image, L/inside_position and L/all_value, L/all_image, L/all_position:
    (units, k) float32, (units, k) int32 index of the picture or −1 where there is none, (units, k, 2) int32 y and x;
L/mean, L/max, L/active, L/peak: (units,) float32; active is a fraction, peak the mean of the pictures' maxima;
L/rows (h, 2), L/columns (w, 2) int32, L/rows_cross (h,), L/columns_cross (w,) bool: see receptive_field.Field;
and of the predictions, for n pictures and the image set's c classes:
top_classes, top_probabilities: (n, 5) int32 outputs and float32, best first, equal ones by index;
label: (n,) int32, the output that is right, or −1; label_probability: (n,) float32, NaN where there is none;
class_pictures: (c,) int32, labelled pictures; class_top1, class_top5: (c,) float32 accuracy, NaN where there are none.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from cnnviz import atomic, images, models
from cnnviz.errors import UserError
from cnnviz.job import Job, run
from cnnviz.receptive_field import Field, receptive_fields

BEST = 5  # classes kept of each prediction


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


@dataclass(frozen=True)
class Responses:
    """What is kept of a layer. inside, everywhere: see :class:`Top`, positions counted in their own maps.

    total: (units,) float64 sum over all neurons; active: (units,) int64 neurons above 0; neurons: of each unit; peaks:
    (units,) float64 sum over pictures of the strongest neuron's value, negative ones as 0.
    """

    inside: Top
    everywhere: Top
    total: torch.Tensor
    active: torch.Tensor
    neurons: int
    peaks: torch.Tensor

    @classmethod
    def none(cls, maps: torch.Tensor, k: int) -> "Responses":
        units = maps.shape[1]
        zero = torch.zeros(units, dtype=torch.float64, device=maps.device)
        top = Top.none(units, k, maps)
        return cls(top, top, zero, zero.long(), 0, zero)

    def after(
        self, maps: torch.Tensor, first: int, interior: tuple[slice, slice], statistics: bool = True
    ) -> "Responses":
        """Also with the pictures ``first``, … whose maps are (m, units, h, w); ``interior``: see :func:`interior`."""
        inner = maps[:, :, interior[0], interior[1]]
        best = maxima(maps)
        everywhere = self.everywhere.after(maps, best, first)
        if inner.shape == maps.shape:
            inside = everywhere
        else:
            inside = self.inside.after(inner, maxima(inner, best, self.inside), first) if inner.numel() else self.inside
        if not statistics:
            return replace(self, inside=inside, everywhere=everywhere)
        return Responses(
            inside,
            everywhere,
            self.total + maps.sum((2, 3)).double().sum(0),
            # bytes are added up several times faster than truth values
            self.active + (maps > 0).view(torch.uint8).sum((2, 3), dtype=torch.int32).sum(0),
            self.neurons + maps.numel() // maps.shape[1],
            self.peaks + best.clamp(min=0).double().sum(0),
        )


def maxima(maps: torch.Tensor, at_most: torch.Tensor | None = None, top: Top | None = None) -> torch.Tensor:
    """(m, units, h, w) → (m, units) largest values; −∞ for what cannot enter ``top``, going by bounds.

    The same as maps.amax((2, 3)), which is many times slower for a part of a tensor, or for one in NHWC layout.
    """
    if top is not None:
        candidates = at_most > top.values[:, -1]
        if candidates.float().mean() < 0.25:
            best = torch.full_like(at_most, -torch.inf)
            best[candidates] = maps[candidates].flatten(1).amax(1)
            return best
    if maps.stride(1) == 1:
        return maps.permute(0, 2, 3, 1).flatten(1, 2).amax(1)
    return maps.flatten(2).amax(2)


class ForwardPass:
    """The network with the hooks of the pass: ``with ForwardPass(…) as step: logits, features = step(x)``.

    fields: dotted module name → Field, for the modules whose responses are kept. feature: (module, "input" or "output")
    of the feature vector: flattened, or of maps that come out of a module the mean over positions. batch: pictures at a
    time at most; halved, with a message, when a GPU's memory does not suffice. After the last step ``responses`` holds
    module name → Responses; without ``statistics`` only its tops are kept. Hooks are gone after the ``with``.
    """

    def __init__(
        self,
        net: nn.Module,
        fields: dict[str, Field],
        top: int,
        feature: tuple[str, str],
        batch: int,
        *,
        statistics: bool = True,
    ):
        self.net, self.top, self.batch, self.statistics = net, top, batch, statistics
        self.interiors = {name: interior(field) for name, field in fields.items()}
        self.responses: dict[str, Responses] = {}
        self.seen = 0
        self._pending: dict[str, Responses] = {}
        self._features: torch.Tensor | None = None
        self._feature = feature
        self._handles = []

    def __enter__(self) -> "ForwardPass":
        for name in self.interiors:
            self._handles.append(self.net.get_submodule(name).register_forward_hook(self._reduce(name)))
        module, side = self.net.get_submodule(self._feature[0]), self._feature[1]
        if side == "input":
            self._handles.append(module.register_forward_pre_hook(self._keep_input))
        else:
            self._handles.append(module.register_forward_hook(self._keep_output))
        return self

    def __exit__(self, *error) -> None:
        for handle in self._handles:
            handle.remove()

    @torch.inference_mode()
    def __call__(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The next pictures, normalised, (n, 3, h, w) → logits (n, classes) and features (n, d)."""
        if x.device.type == "cpu":
            x = x.contiguous(memory_format=torch.channels_last)  # CPU convolutions are 1.4 to 2.5 times as fast so
        done = []
        while len(x):
            part = x[: self.batch]
            try:
                done.append(self._step(part))
            except torch.OutOfMemoryError:
                if len(part) == 1:
                    raise
                self.batch = len(part) // 2
                print(f"out of memory: {self.batch} pictures at a time from here on", flush=True)
                torch.cuda.empty_cache()
                continue
            x = x[len(part) :]
        logits, features = zip(*done, strict=True)
        return torch.cat(logits), torch.cat(features)

    def _step(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        self._pending = {}
        logits = self.net(x)
        self.responses |= self._pending  # only now: a pass that ran out of memory half-way has left no trace
        self.seen += len(x)
        return logits, self._features

    def _reduce(self, name: str):
        def hook(module, inputs, output):
            maps = output if output.ndim == 4 else output[:, :, None, None]
            before = self.responses.get(name) or Responses.none(maps, self.top)
            self._pending[name] = before.after(maps, self.seen, self.interiors[name], self.statistics)

        return hook

    def _keep_input(self, module, inputs):
        self._features = inputs[0].flatten(1).clone()  # an in-place operation may follow

    def _keep_output(self, module, inputs, output):
        self._features = output.mean((2, 3)) if output.ndim == 4 else output.flatten(1).clone()


def interior(field: Field) -> tuple[slice, slice]:
    """The rows and the columns of neurons that see no padding (a block in the middle), slice(0, 0) where none."""

    def span(cross: np.ndarray) -> slice:
        inside = np.flatnonzero(~cross)
        return slice(int(inside[0]), int(inside[-1]) + 1) if len(inside) else slice(0, 0)

    return span(field.rows_cross), span(field.columns_cross)


def batches(image_set: images.ImageSet, model: models.Model, batch: int, threads: int) -> Iterator[torch.Tensor]:
    """The set's pictures in order, normalised, (≤ batch, 3, h, w) on the model's device; decoded ahead by threads."""
    pictures = image_set.arrays(model.preprocess.geometry, threads=threads)
    while arrays := list(islice(pictures, batch)):
        yield model.normalise(model.pictures(arrays))


def best_classes(logits: torch.Tensor, count: int = BEST) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(n, c) logits → the best outputs (n, count), equal ones by index, their probabilities, and all (n, c)."""
    probabilities = logits.softmax(1)
    order = logits.sort(dim=1, descending=True, stable=True).indices[:, :count]
    return order, probabilities.gather(1, order), probabilities


def accuracies(top_classes: np.ndarray, right: np.ndarray, label: np.ndarray, classes: int) -> tuple[dict, dict]:
    """Numbers (top1, top5, labelled) and arrays (class_pictures, class_top1, class_top5), over pictures with a label.

    top_classes: (n, 5) outputs. right: (n,) the right output or −1. label: (n,) class of the image set or −1.
    """
    known = right >= 0
    hits = top_classes == right[:, None]
    top1, top5 = hits[:, 0] & known, hits.any(1) & known
    counts = np.bincount(label[known], minlength=classes)
    shares = {
        f"class_{name}": (np.bincount(label[hit], minlength=classes) / np.where(counts, counts, np.nan)).astype(
            np.float32
        )
        for name, hit in (("top1", top1), ("top5", top5))
    }
    total = int(known.sum())
    numbers = {"labelled": total}
    if total:
        numbers |= {"top1": float(top1.sum() / total), "top5": float(top5.sum() / total)}
    return numbers, {"class_pictures": counts.astype(np.int32)} | shares


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
        f"{name}/rows": field.rows,
        f"{name}/columns": field.columns,
        f"{name}/rows_cross": field.rows_cross,
        f"{name}/columns_cross": field.columns_cross,
    }


def main(job: Job) -> None:
    model = models.load(job)
    image_set = images.read(job.inputs["images"], job.image_set)
    n, best = len(image_set), min(BEST, len(model.classes))
    modules = {name: model.layer(name).module for name in model.chosen}
    fields = receptive_fields(model.net, list(modules.values()), model.preprocess.size)

    label = np.array([-1 if p.label is None else p.label for p in image_set.pictures], np.int32)
    outputs = np.array([-1 if o is None else o for o in model.label_to_output] + [-1], np.int32)
    right = outputs[label]  # no label, −1, reads the −1 at the end
    top_classes = np.empty((n, best), np.int32)
    top_probabilities = np.empty((n, best), np.float32)
    label_probability = np.full(n, np.nan, np.float32)

    top = min(job.parameters["top"], n)
    with (
        atomic.replacing(job.outputs["features"]) as temporary,
        ForwardPass(model.net, fields, top, model.feature, job.parameters["batch"]) as step,
        tqdm(total=n, desc=f"{model.id}: pictures", mininterval=1) as progress,
    ):
        features = np.lib.format.open_memmap(temporary, "w+", np.float32, (n, model.feature_size))
        for x in batches(image_set, model, job.parameters["batch"], job.threads):
            here = slice(step.seen, step.seen + len(x))
            logits, vectors = step(x)
            if not logits.isfinite().all():
                bad = here.start + int((~logits.isfinite().all(1)).nonzero()[0])
                raise UserError(
                    f"model {model.id}: the class scores of picture {image_set.pictures[bad].name} are not finite; "
                    "the checkpoint or the preprocessing is wrong"
                )
            features[here] = vectors.float().cpu().numpy()
            order, chances, probabilities = best_classes(logits, best)
            top_classes[here], top_probabilities[here] = order.cpu().numpy(), chances.cpu().numpy()
            known = np.flatnonzero(right[here] >= 0)
            label_probability[here][known] = probabilities.cpu().numpy()[known, right[here][known]]
            progress.update(len(x))
        features.flush()
        del features

    numbers, classes = accuracies(top_classes, right, label, len(image_set.classes))
    arrays = {
        "top_classes": top_classes,
        "top_probabilities": top_probabilities,
        "label": right,
        "label_probability": label_probability,
    } | classes
    for name, module in modules.items():
        arrays |= layer_arrays(name, step.responses[module], fields[module])
    job.write(
        arrays,
        numbers=numbers | {"pictures": n, "layers": list(modules), "size": list(model.preprocess.size), "top": top},
        provenance=model.provenance | {"batch": step.batch},
    )


if __name__ == "__main__":
    run(main)
