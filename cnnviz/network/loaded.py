"""Loads a frozen network from a config block, with its layers, preprocessing, outputs and classes.

:mod:`cnnviz.network.building` builds the network, and ``network.json`` holds facts about it.
"""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import nn

from cnnviz.errors import NotApplicable, unknown
from cnnviz.network import batches, class_names, fixed_inputs, hooks, kinds, precision, strides
from cnnviz.network import facts as known
from cnnviz.network.building import build
from cnnviz.network.gpus import pick_device
from cnnviz.network.layers import Layer
from cnnviz.network.scores import pixel_scores, selected
from cnnviz.pictures.preprocess import Preprocess, prepared
from cnnviz.run.job import Job


@dataclass(frozen=True)
class Model:
    """A loaded network: in eval mode, parameters frozen, on its device.

    layers: all named layers, in execution order. chosen: names of the shown ones. channels: of its input. kind:
    "softmax" (one class per picture), "sigmoid" (any number of classes), "regression" (values, see
    :mod:`cnnviz.network.kinds`) or "segmentation" (a class for each pixel). outputs: the config block of that name, for
    the scores of pixels. trial: how the network takes pictures, see :mod:`cnnviz.network.trial`. feature: (module,
    "input" or "output") whose flattened value is the feature vector. classes: a name for each output. label_to_output:
    output of each class of the image set, or None.
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
        """Pictures in [0, 1], (n, c, h, w) → network input: channel order, range, mean, std. Differentiable.

        c = 3 is RGB. A mean picture (shape (c, h, w)) is resized if x has another size. The result is contiguous,
        unless the network is known to accept the channels-last memory format.
        """
        z = normalised(self.preprocess, x)
        return z if self.channels_last else z.contiguous()

    @property
    def channels_last(self) -> bool:
        """Whether pictures may have the channels-last memory format, in which CPUs convolve faster."""
        return self.trial.get("channels_last", False)

    def laid_out(self, z: torch.Tensor) -> torch.Tensor:
        """Normalised pictures in the memory format in which the network is fastest."""
        return z.contiguous(memory_format=torch.channels_last if self.channels_last else torch.contiguous_format)

    def fitting(self, side: float) -> int:
        """The nearest length to ``side`` pixels that the network's input may have, as far as known; at least 1."""
        step = max(1, self.trial.get("step", 1))
        return max(1, round(side / step)) * step

    def bounds(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Values of black and white in the network's input, (1, c, 1 or h, 1 or w) each."""
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
        """Probabilities of class scores (…, classes): over all classes, or of each class by itself.

        If there are no probabilities (regression, segmentation), the scores are returned unchanged.
        """
        if not kinds.has_probabilities(self.kind):
            return logits
        return logits.sigmoid() if self.kind == "sigmoid" else logits.softmax(-1)

    @property
    def heads(self) -> int:
        """Number of the network's own outputs; each value counts twice among the classes, up and down."""
        return len(self.classes) // (2 if self.kind == kinds.REGRESSION else 1)

    def pictures(self, arrays: Sequence[np.ndarray]) -> torch.Tensor:
        """(h, w, c) arrays, uint8 or float32 in [0, 1] → (n, c, h, w) float32 in [0, 1] on the model's device."""
        if any(a.dtype != np.uint8 for a in arrays):  # a set may have both 8-bit and 16-bit files
            arrays = [np.float32(a) / 255 if a.dtype == np.uint8 else a for a in arrays]
        stacked = torch.from_numpy(np.stack(arrays)).to(self.device, non_blocking=True)
        n, h, w, c = stacked.shape
        # One channel is both first and last. After view() its strides say first, which convolutions use.
        stacked = stacked.view(n, 1, h, w) if c == 1 else stacked.permute(0, 3, 1, 2)
        return stacked.float() if stacked.is_floating_point() else stacked.float().div_(255)

    def layer(self, name: str) -> Layer:
        """The layer of that short or dotted name. Raises UserError with the valid names."""
        for layer in self.layers:
            if name in (layer.name, layer.module):
                return layer
        raise unknown(f"model {self.id}: layer", name, [layer.name for layer in self.layers])

    def module(self, name: str) -> nn.Module:
        """The module of a layer's short or dotted name."""
        return self.net.get_submodule(self.layer(name).module)

    def maps_of(self, modules: Sequence[str]) -> dict[str, hooks.Maps]:
        """For :func:`hooks.capture`: dotted names → conversion of tokens and NHWC to feature maps (n, units, h, w).

        Vectors (n, units) are unchanged, and so are outputs of modules that are not layers (the network itself,
        ``""``).
        """
        layouts = {layer.module: layer for layer in self.layers if layer.layout != "vector"}
        return {name: layouts[name].maps if name in layouts else hooks.as_it_is for name in modules}

    def output(self, name: str) -> int:
        """The output index of a class, given by name (or by the first of several names, or by index)."""
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
    """The model of a job, from its config block and the ``network.json`` of the model's first job.

    ``chosen`` and ``feature`` are the config's if the job's block has those keys, else the network's own. Sets torch's
    threads and global seed. gradients: the values whose gradients with respect to the picture the job needs: "scores",
    "layers" or none. Raises NotApplicable if the network has none; only layers with gradients are chosen.
    """
    prepare_torch(job)
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
    strides.quicken(net)
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
    """The model of a network and its facts, on ``device``; feature, chosen: see :mod:`cnnviz.network.facts`."""
    return Model(
        id=facts["id"],
        net=net,
        preprocess=prepared(facts["preprocess"], facts["channels"]),
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
    """Raises NotApplicable if a job needs gradients ``of`` values that have none. none: why the scores have none."""
    if none and (of == "scores" or (of == "layers" and not chosen)):
        values = "scores" if of == "scores" else "values of the layers shown here"
        raise NotApplicable(f"{none} This section needs gradients of {values}.", provenance)


def prepare_torch(job: Job) -> None:
    torch.set_num_threads(job.threads)
    torch.manual_seed(job.seed)
    torch.backends.cudnn.benchmark = False
    with contextlib.suppress(AttributeError):
        torch.backends.cuda.matmul.allow_tf32 = False  # published values are float32
        torch.backends.cudnn.allow_tf32 = False
