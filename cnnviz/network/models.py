"""From a config block to a frozen network with its layers, its preprocessing, its outputs and its classes.

The network itself comes through :mod:`cnnviz.network.doors`.

``python -m cnnviz.network.models`` is a model's first job: it checks checkpoint, layers and classes, and leaves
``network.json``.
"""

import contextlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch
from torch import nn

from cnnviz.errors import NotApplicable, UserError, unknown
from cnnviz.network import (
    batches,
    class_lists,
    class_names,
    fixed_inputs,
    hooks,
    inputs,
    kinds,
    layers,
    precision,
    trial,
)
from cnnviz.network import facts as known
from cnnviz.network.doors import Built, build, pixel_scores, selected
from cnnviz.network.gpus import pick_device
from cnnviz.network.layers import Layer
from cnnviz.pictures import images, listing
from cnnviz.pictures.preprocess import Preprocess, complete, geometry
from cnnviz.pictures.rows import truth_columns
from cnnviz.run import atomic
from cnnviz.run.job import Job, run


@dataclass(frozen=True)
class Model:
    """A network ready to be looked at: in eval mode, parameters frozen, on its device.

    layers: all that have a name, in execution order. chosen: names of those the report shows. channels: of its input.
    kind: "softmax" (one class a picture), "sigmoid" (any number of them), "regression" (values, see
    :mod:`cnnviz.network.kinds`) or "segmentation" (a class for each pixel). outputs: the block of that
    name, for the scores of pixels.
    trial: what a few pictures told of how the network takes pictures, see :mod:`cnnviz.network.trial`.
    feature: (module, "input" or "output") whose flattened value is the feature vector.
    classes: a name for each output. label_to_output: for each class of the image set its output, or None.
    """

    id: str
    net: nn.Module
    preprocess: Preprocess
    layers: tuple[Layer, ...]
    chosen: tuple[str, ...]
    feature: tuple[str, str]
    feature_name: str
    feature_size: int
    classes: tuple[str, ...]
    label_to_output: tuple[int | None, ...]
    device: torch.device
    provenance: dict
    channels: int = 3
    kind: str = "softmax"
    outputs: dict = field(default_factory=dict)
    trial: dict = field(default_factory=dict)

    def __post_init__(self) -> None:
        fixed_inputs.prepare(
            self.net, lambda picture: self.normalise(self.pictures([self.preprocess.geometry(picture)]))
        )

    def normalise(self, x: torch.Tensor) -> torch.Tensor:
        """Pictures in [0, 1], (n, c, h, w) → what the network takes: channel order, range, mean, std. Differentiable.

        c = 3 is RGB. A mean picture (shape (c, h, w)) is resized where x has another size. Contiguous, unless the
        network is known to take pictures whose channels lie last in memory.
        """
        z = normalised(self.preprocess, x)
        return z if self.channels_last else z.contiguous()

    @property
    def channels_last(self) -> bool:
        """Whether pictures may lie in memory with their channels last, in which CPUs convolve faster."""
        return self.trial.get("channels_last", False)

    def laid_out(self, z: torch.Tensor) -> torch.Tensor:
        """Normalised pictures as they lie in memory where the network is fastest."""
        return z.contiguous(memory_format=torch.channels_last if self.channels_last else torch.contiguous_format)

    def fitting(self, side: float) -> int:
        """The length next to ``side`` pixels that the network's input may have, as far as is known; 1 at least."""
        step = max(1, self.trial.get("step", 1))
        return max(1, round(side / step)) * step

    def bounds(self) -> tuple[torch.Tensor, torch.Tensor]:
        """The values that black and white have in the network's input, (1, c, 1 or h, 1 or w) each."""
        black = torch.zeros(1, self.channels, *self.preprocess.size, device=self.device)
        return self.normalise(black), self.normalise(black + 1)

    def logits(self, x: torch.Tensor) -> torch.Tensor:
        """Class scores (n, classes) of pictures x in [0, 1]."""
        return self.net(self.normalise(x))

    def pixels(self, x: torch.Tensor) -> torch.Tensor:
        """Scores (n, classes, h, w) of a segmentation network for pictures x in [0, 1], at the network's own size."""
        kept = []
        handle = self.net.register_forward_hook(lambda module, given, output: kept.append(output), prepend=True)
        try:
            self.net(self.normalise(x))
        finally:
            handle.remove()
        where = f"model {self.id}"
        return pixel_scores(selected(kept[-1], self.outputs, where), self.outputs, where)

    def probabilities(self, logits: torch.Tensor) -> torch.Tensor:
        """Of class scores (…, classes): those of one class among all, or of each class by itself.

        Where there are no probabilities (regression, segmentation), the scores as they are.
        """
        if not kinds.has_probabilities(self.kind):
            return logits
        return logits.sigmoid() if self.kind == "sigmoid" else logits.softmax(-1)

    @property
    def heads(self) -> int:
        """How many outputs the network itself has: of values each counts twice among the classes, up and down."""
        return len(self.classes) // (2 if self.kind == kinds.REGRESSION else 1)

    def pictures(self, arrays: Sequence[np.ndarray]) -> torch.Tensor:
        """(h, w, c) arrays, uint8 or float32 in [0, 1] → (n, c, h, w) float32 in [0, 1] on the model's device."""
        if any(a.dtype != np.uint8 for a in arrays):  # a set may mix files of 8 and of 16 bits
            arrays = [np.float32(a) / 255 if a.dtype == np.uint8 else a for a in arrays]
        stacked = torch.from_numpy(np.stack(arrays)).to(self.device, non_blocking=True)
        n, h, w, c = stacked.shape
        # One channel lies both first and last; viewed, its strides say first, by which convolutions go.
        stacked = stacked.view(n, 1, h, w) if c == 1 else stacked.permute(0, 3, 1, 2)
        return stacked.float() if stacked.is_floating_point() else stacked.float().div_(255)

    def layer(self, name: str) -> Layer:
        """The layer of that short or dotted name. Raises UserError naming the valid ones."""
        for layer in self.layers:
            if name in (layer.name, layer.module):
                return layer
        raise unknown(f"model {self.id}: layer", name, [layer.name for layer in self.layers])

    def module(self, name: str) -> nn.Module:
        """The module of a layer's short or dotted name."""
        return self.net.get_submodule(self.layer(name).module)

    def maps_of(self, modules: Sequence[str]) -> dict[str, hooks.Maps]:
        """For :func:`hooks.capture`: dotted names → what makes feature maps (n, units, h, w) of tokens and NHWC.

        Vectors (n, units) stay as they are, and so does what is no layer (the network itself, ``""``).
        """
        layouts = {layer.module: layer for layer in self.layers if layer.layout != "vector"}
        return {name: layouts[name].maps if name in layouts else hooks.as_it_is for name in modules}

    def output(self, name: str) -> int:
        """The output index of a class given by name (or by the first of several names, or by index)."""
        return class_names.find(f"model {self.id}: class", name, self.classes)


def normalised(preprocess: Preprocess, x: torch.Tensor) -> torch.Tensor:
    """See :meth:`Model.normalise`."""
    if preprocess.channels == "BGR":
        x = x.flip(1)
    mean, std = (_constant(v, x) for v in (preprocess.mean, preprocess.std))
    return (x * preprocess.range - mean) / std


def _constant(value: np.ndarray, x: torch.Tensor) -> torch.Tensor:
    tensor = torch.as_tensor(value, dtype=x.dtype, device=x.device)
    if tensor.ndim == 3 and tensor.shape[1:] != x.shape[2:]:
        tensor = nn.functional.interpolate(tensor[None], x.shape[2:], mode="bilinear", antialias=True)[0]
    return tensor.reshape(1, -1, 1, 1) if tensor.ndim == 1 else tensor


def load(job: Job, *, gradients: str = "") -> Model:
    """The model of a job, from its config block and the ``network.json`` that the model's first job left.

    ``chosen`` and ``feature`` are the config's where the job's block has those keys, else the network's own. Sets
    torch's threads and global seed.

    gradients: with respect to the picture, of which values the job needs them: "scores", "layers" or none. Raises
    NotApplicable where the network has none; of layers only those that have them are chosen.
    """
    _prepare_torch(job)
    facts = known.read(job.inputs["network"])
    feature = known.feature(facts, job.model.get("feature_layer", "auto"))
    chosen = known.chosen(facts, job.model.get("layers", "default"))
    device = pick_device(job.device)
    provenance = {
        "checkpoint": facts["checkpoint"],
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
    }
    if gradients == "layers":
        chosen = [name for name in chosen if name not in facts["trial"]["no_gradient"]]
    _need_gradients(gradients, chosen, facts["trial"]["gradients"], provenance)
    net = build(job.model, job.model_id, job.seed).net
    batches.limit(net, *facts["trial"]["batch"])
    net = net.to(device)
    precision.decide(net, torch.zeros(2, *facts["input"], device=device))
    return opened(net, facts, feature, chosen, job.model["outputs"], device, provenance)


def opened(
    net: nn.Module,
    facts: dict,
    feature: dict,
    chosen: Sequence[str],
    outputs: dict,
    device: torch.device,
    provenance: dict | None = None,
) -> Model:
    """The model of a network, on ``device``, and of its facts; feature, chosen: as :mod:`cnnviz.network.facts` says."""
    return Model(
        id=facts["id"],
        net=net,
        preprocess=preprocess(facts["preprocess"], facts["channels"]),
        layers=tuple(Layer(**layer) for layer in facts["layers"]),
        chosen=tuple(chosen),
        feature=tuple(feature["at"]),
        feature_name=feature["name"],
        feature_size=feature["size"],
        classes=tuple(facts["classes"]),
        label_to_output=tuple(facts["label_to_output"]),
        device=device,
        provenance=provenance or {},
        channels=facts["channels"],
        kind=facts["kind"],
        outputs=outputs,
        trial=facts["trial"],
    )


def _need_gradients(of: str, chosen: Sequence[str], none: str, provenance: dict) -> None:
    """Raise NotApplicable where a job needs gradients ``of`` values that have none. none: why the scores have none."""
    if none and (of == "scores" or (of == "layers" and not chosen)):
        values = "scores" if of == "scores" else "values of the layers shown here"
        raise NotApplicable(f"{none} This section needs gradients of {values}.", provenance)


def preprocess(config: dict, channels: int = 3) -> Preprocess:
    """The complete block as data; a mean or std may be a number, one for each channel, or a ``.npy`` picture."""

    def constant(key: str) -> np.ndarray:
        value = config[key]
        if isinstance(value, str):
            try:
                value = np.load(value, allow_pickle=False).astype(np.float32)
            except (OSError, ValueError, EOFError) as error:
                raise UserError(f"preprocess.{key}: {value} is no .npy file with numbers: {error}") from error
            if value.ndim == 3 and value.shape[2] == channels:
                value = value.transpose(2, 0, 1)
        array = np.asarray(value, dtype=np.float32)
        if array.shape not in ((), (channels,)) and not (array.ndim == 3 and array.shape[0] == channels):
            raise UserError(
                f"preprocess.{key}: a number, {channels} numbers or a ({channels}, h, w) array for a network of "
                f"{channels} channels, not an array of shape {array.shape}"
            )
        return array

    resize = config["resize"]
    return Preprocess(
        resize=resize,
        crop=config["crop"],
        interpolation=config["interpolation"],
        channels=config["channels"],
        range=float(config["range"]),
        mean=constant("mean"),
        std=constant("std"),
        inputs=channels,
    )


# ------------------------------------------------------------------------------------------------ the model's first job


def main(job: Job) -> None:
    _prepare_torch(job)
    built = build(job.model, job.model_id, job.seed)
    facts = describe(
        built,
        job.model,
        job.model_id,
        job.parameters["set_classes"],
        lambda: channels_of(job.image_set),
        truth_columns(job.image_set, job.parameters["set_classes"]),
        job.parameters.get("picture_size"),
    )
    check_scores(facts)
    facts["checkpoint"] = job.parameters["checkpoint"]
    known.chosen(facts, job.check.get("layers", "default"))
    known.feature(facts, job.check.get("feature_layer", "auto"))
    for section, names in job.check.get("classes", {}).items():
        for name in names:
            class_names.find(f"model {job.model_id}: {section}.classes", name, facts["classes"])
    atomic.write_text(job.outputs["network"], json.dumps(facts, indent=1))
    vector = facts["feature"]
    print(
        f"{facts['described']}: {facts['parameters']:,} parameters, {len(facts['layers'])} layers, "
        f"features of {vector['size']} ({vector['name']})"
    )


def check_scores(facts: dict) -> None:
    """Raise UserError naming the outputs whose scores are never finite: no section can do without them."""
    names = facts.get("values", facts["classes"])
    bad = [names[output] for output in facts["trial"]["not_finite"] if output < len(names)]
    why = (
        "the network divides by zero or overflows (in 16 bits, say), or the checkpoint belongs to another one"
        if len(bad) == len(names)
        else "where forward() masks outputs with -inf, let it write -1e4; else it divides by zero or overflows"
    )
    if bad:
        which = "all" if len(bad) == len(names) else ", ".join(bad[:3]) + (", …" if len(bad) > 3 else "")
        raise UserError(
            f"model {facts['id']}: {len(bad)} of its {len(names)} outputs ({which}) are finite numbers for no picture; "
            f"{why}"
        )


def describe(
    built: Built,
    config: dict,
    id: str,
    set_classes: Sequence[str],
    pictures: Callable[[], int | None] = lambda: None,
    value_columns: Sequence[str] = (),
    picture_size: Sequence[int] | None = None,
) -> dict:
    """The facts of a network that its first job leaves in network.json, but the checkpoint's hash.

    config: the model's block. set_classes: names of the image set's classes. pictures: see inputs.taken.
    value_columns: where the set says the true values, see pictures.rows.truth_columns. picture_size: (height, width) of
    the set's pictures where all are small and alike; a factory's network is fed with them as they are if it takes them
    and the config states no size. Raises UserError for what does not fit.
    """
    where, net = f"model {id}", built.net
    _check_finite(net, where)
    taken, given = _taken(built, config["preprocess"], where, pictures, picture_size)
    channels = taken.channels
    block = complete(given, built.preprocess, channels)
    prepared = preprocess(block, channels)
    outputs = _count(net, taken.calls, config["outputs"], where)
    fed = net, partial(normalised, prepared), channels, prepared.size
    with trial.undisturbed(net):
        calls = trial.by_picture(*fed, taken.calls, where)
        found = layers.named(net, calls)
        tried = trial.tried(*fed, found)
    kind = kinds.of(config["outputs"]["kind"])
    if kind == kinds.REGRESSION:
        outputs //= 2
        named = _value_facts(config, value_columns, outputs, set_classes, where)
    else:
        named = _class_facts(config, set_classes, outputs, built.classes, where)
    return {
        "schema": known.SCHEMA,
        "id": id,
        "described": built.described,
        "parameters": sum(p.numel() for p in net.parameters()),
        "input": [channels, *prepared.size],
        "channels": channels,
        "preprocess": block,
        "kind": kind,
        "layers": [vars(layer) for layer in found],
        "default_layers": layers.default(found),
        "feature": layers.feature(found, calls, outputs),
        **named,
        "trial": tried,
        "torch": torch.__version__,
    }


def _taken(
    built: Built, given: dict, where: str, pictures: Callable[[], int | None], picture_size: Sequence[int] | None
) -> tuple[inputs.Trial, dict]:
    """What the network takes, and the preprocessing block with the size at which it does; see :func:`describe`."""
    net, misfit = built.net, None
    guess = next((len(v) for key in ("mean", "std") if isinstance(v := given.get(key), list)), None)
    stated = given.get("input_channels"), guess, pictures
    with trial.undisturbed(net):
        if picture_size and not built.preprocess and not {"resize", "crop"} & given.keys():
            try:
                taken = inputs.taken(net, tuple(picture_size), where, *stated)
                if taken.fits:
                    return taken, given | {"resize": list(picture_size), "crop": None}
            except UserError as error:
                misfit = error  # the network may have been trained on enlarged pictures
        try:
            return inputs.taken(net, geometry(complete(given, built.preprocess, 3)).size, where, *stated), given
        except UserError as error:
            raise misfit or error from error


def _class_facts(config: dict, set_classes: Sequence[str], outputs: int, published: Sequence[str], where: str) -> dict:
    named = class_names.of_outputs(config["classes"], set_classes, outputs, published, config["outputs"], where)
    matching = class_names.match(set_classes, named)
    return {
        "classes": list(named.names),
        "label_to_output": list(matching.outputs),
        "labels_found_by": matching.way,
        "without_output": list(matching.unmatched),
    }


def _value_facts(config: dict, columns: Sequence[str], count: int, set_classes: Sequence[str], where: str) -> dict:
    """Of a network with ``count`` values: their names, the column with the truth of each or None, and the outputs."""
    given = config["outputs"]["values"] or config["classes"]
    given = [names[-1] for names in class_lists.read(given, where)] if isinstance(given, str) else given
    values = kinds.named_values(given, columns, count, where)
    return {
        "values": values,
        "value_columns": kinds.columns_of(values, columns),
        "classes": kinds.directions(values),
        "label_to_output": [None] * len(set_classes),
        "labels_found_by": "",
        "without_output": [],
    }


def _check_finite(net: nn.Module, where: str) -> None:
    """Raise UserError naming the weights and running statistics that are not finite. (Masks among buffers may be.)"""
    statistics = ((name, b) for name, b in net.named_buffers() if name.endswith(("running_mean", "running_var")))
    bad = [name for name, tensor in (*net.named_parameters(), *statistics) if not tensor.isfinite().all()]
    if bad:
        more = f" and {len(bad) - 3} more" if len(bad) > 3 else ""
        raise UserError(
            f"{where}: weights that are not finite (NaN or infinite): {', '.join(bad[:3])}{more}. The training has "
            "diverged, or the file is damaged; take an earlier checkpoint"
        )


def _count(net: nn.Module, calls: dict[str, layers.Call], given: dict, where: str) -> int:
    """How many outputs the network has. Raises UserError where it gives no row of scores, or too few for ``offset``."""
    if "" not in calls or len(calls[""].output) != 2:
        raise UserError(f"{where}: {_no_scores(net, calls)}")
    outputs = calls[""].output[1]
    if given["offset"] >= outputs:
        raise UserError(
            f"{where}: it has {outputs} outputs, and outputs: {{offset: {given['offset']}}} leaves none for a class"
        )
    return outputs


def _no_scores(net: nn.Module, calls: dict[str, layers.Call]) -> str:
    """What the network returned for one picture instead of a row of scores."""
    if "" not in calls and type(net).__call__ is not nn.Module.__call__:
        return "it has a __call__ of its own, so nothing in it can be watched; call that method forward instead"
    if "" not in calls:
        return "the network must return class scores (n, classes), not something that is no tensor"
    shape = calls[""].output
    if len(shape) < 2:
        return (
            f"the network must return class scores (n, classes), and of a single picture it returns {shape}: a "
            "squeeze() in its forward may take the batch of one away. Write flatten(1) instead, or squeeze((2, 3))"
        )
    pixels = ". Does it give a class to each pixel? Then: outputs: {kind: segmentation}" if len(shape) == 4 else ""
    return f"the network must return class scores (n, classes), not {shape}{pixels}"


def channels_of(config: dict) -> int | None:
    """Channels of an image set's first picture; None where it cannot be read."""
    try:
        first = listing.rows(config)[0]
        name = first.file or first.name
        pixels = images.ImageSet(config, (images.Picture(name, name, None, 0, 0),), (), ()).pixels(0)
    except Exception:  # what is wrong with pictures is said where they are listed
        return None
    return pixels.shape[2] if isinstance(pixels, np.ndarray) else len(pixels.getbands())


def _prepare_torch(job: Job) -> None:
    torch.set_num_threads(job.threads)
    torch.manual_seed(job.seed)
    torch.backends.cudnn.benchmark = False
    with contextlib.suppress(AttributeError):
        torch.backends.cuda.matmul.allow_tf32 = False  # what is published stays fp32
        torch.backends.cudnn.allow_tf32 = False


if __name__ == "__main__":
    run(main)
