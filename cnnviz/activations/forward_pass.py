"""Runs pictures through the network, once each, with hooks that reduce the layers' outputs."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np
import torch
from torch import nn

from cnnviz.activations.responses import ENOUGH, SAMPLES, Responses
from cnnviz.errors import UserError
from cnnviz.network import hooks, loaded
from cnnviz.network.halving import in_batches
from cnnviz.network.receptive_field import Field
from cnnviz.pictures import images
from cnnviz.run import atomic
from cnnviz.run.job import Job
from cnnviz.run.progress import bar

BEST = 5  # number of classes kept for each prediction


class ForwardPass:
    """The network with the hooks of the pass: ``with ForwardPass(…) as step: logits, features = step(x)``.

    fields: dotted module name → Field, for the modules whose responses are kept. maps: module name → conversion of the
    module's output to maps (n, units, h, w), see layers.Layer.maps. feature: (module, "input" or "output") of the
    feature vector: flattened, or a module's output averaged over positions. batch: largest batch size; halved, with a
    message, if a GPU's memory is too small. pictures: number of pictures in the set. first: index of the first picture.
    channels_last: whether pictures may have the channels-last memory format. After the last step ``responses`` holds
    module name → Responses. Hooks are removed after the ``with``.
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
            x = x.contiguous(memory_format=self.layout)  # with channels last, CPUs convolve 1.4 to 2.5 times as fast
        logits, features = zip(*in_batches(self._step, x, self.batch), strict=True)
        if len(logits) > -(-len(x) // self.batch):  # memory ran out
            self.batch = max(map(len, logits))
        return torch.cat(logits), torch.cat(features)

    def _step(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        self._pending = {}
        logits = self.net(x)
        self.responses |= self._pending  # only now, so that a pass that ran out of memory leaves no partial sums
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
        name = self._feature[0]  # "" is the network, whose scores are not maps
        self._features = self.maps[name](output).mean((2, 3)) if name else output.clone()


def interior(field: Field) -> tuple[slice, slice]:
    """The rows and the columns of neurons that see no padding (a central block), slice(0, 0) if there are none."""

    def span(cross: np.ndarray) -> slice:
        inside = np.flatnonzero(~cross)
        return slice(int(inside[0]), int(inside[-1]) + 1) if len(inside) else slice(0, 0)

    return span(field.rows_cross), span(field.columns_cross)


def layer_arrays(name: str, kept: Responses, field: Field) -> dict[str, np.ndarray]:
    """The arrays of a layer that :mod:`cnnviz.activations.forward` lists."""
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


def batches(
    image_set: images.ImageSet,
    indices: Sequence[int],
    model: loaded.Model,
    batch: int,
    threads: int,
    kept: dict[int, np.ndarray | None] | None = None,
) -> Iterator[torch.Tensor]:
    """The set's pictures in order, normalised, (≤ batch, c, h, w) on the model's device, decoded ahead by threads.

    kept: the pictures to keep as arrays for a later pass, by index.
    """
    kept = {} if kept is None else kept
    pictures = zip(indices, image_set.arrays(model.preprocess.geometry, indices, threads=threads), strict=True)
    while some := list(islice(pictures, batch)):
        kept.update((i, array) for i, array in some if i in kept)
        yield model.normalise(model.pictures([array for _, array in some]))


def best_classes(logits: torch.Tensor, count: int = BEST) -> torch.Tensor:
    """(n, c) logits → the best outputs (n, count), equal ones by index."""
    return logits.sort(dim=1, descending=True, stable=True).indices[:, :count]


@dataclass(frozen=True)
class Passed:
    """Result of a pass over some of the pictures.

    responses: layer → Responses. top_classes, top_probabilities: of these pictures, as
    :mod:`cnnviz.activations.forward` lists them. batch: the final batch size.
    """

    responses: dict[str, Responses]
    top_classes: np.ndarray
    top_probabilities: np.ndarray
    batch: int


def pass_over(
    job: Job,
    model: loaded.Model,
    image_set: images.ImageSet,
    fields: dict[str, Field],
    indices: range,
    sums=None,
    kept: dict[int, np.ndarray | None] | None = None,
) -> Passed:
    """Runs the pass over ``indices``; writes their features and logits to the job's outputs.

    sums: layer → list; if given, each batch's (total, peaks) are appended there, and the sums in the responses stay 0.
    kept: see :func:`batches`.
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
        for x in batches(image_set, indices, model, batch, job.threads, kept):
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
