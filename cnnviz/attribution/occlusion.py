"""Which parts does the network need to see: the class's score as a mask slides over the picture.

Zeiler & Fergus 2014, "Visualizing and Understanding Convolutional Networks", arXiv:1311.2901. For every place w of the
mask, x with the mask's colour at w scores S_c(x_w); a pixel gets the mean fall over the masks that hide it:

    M(p) = mean over w that cover p of S_c(x) − S_c(x_w)

S_c is the probability of the class (``score: probability``), so M is in −1 … 1, or its logit. Positive: hiding it
lowers the score. The mask is a square that starts in the upper left corner and moves by the stride; at the right and
lower border it may be cut off. One sweep serves all classes. What the job leaves: :mod:`cnnviz.attribution.probes`;
its parameters hold the mask as it was: ``window``, ``stride`` in pixels of the network's input, and ``colour``, a value
for each channel in [0, 1].
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from cnnviz.attribution.incremental import Masked
from cnnviz.attribution.probes import Method, attribute
from cnnviz.errors import UserError
from cnnviz.network import facts, models
from cnnviz.network.models import Model
from cnnviz.pictures import images
from cnnviz.run.job import Job, run

BATCH = 64
SAMPLE = 256  # pictures whose mean is the set's mean colour


def places(size: int, window: int, stride: int) -> np.ndarray:
    """Along an axis of ``size`` pixels: [low, high) of each place of the mask, (m, 2) int64, every pixel in some."""
    count = -(-(size - window) // stride) + 1
    low = np.arange(count) * stride
    return np.stack([low, np.minimum(low + window, size)], 1)


def spread(fall: Tensor, rows: np.ndarray, columns: np.ndarray, size: tuple[int, int]) -> Tensor:
    """fall: (m, k, t) of the masks at rows × columns → (t, h, w): for each pixel the mean over masks that cover it."""

    def covers(spans: np.ndarray, length: int) -> Tensor:
        at = np.arange(length)
        return torch.from_numpy((at >= spans[:, :1]) & (at < spans[:, 1:])).to(fall)

    down, across = covers(rows, size[0]), covers(columns, size[1])
    total = torch.einsum("mh,mkt,kw->thw", down, fall, across)
    return total / (down.sum(0)[:, None] * across.sum(0))


def occlusion(
    net: nn.Module,
    x: Tensor,
    blank: Tensor,
    targets: Tensor,
    *,
    window: int,
    stride: int,
    score: Callable[[Tensor], Tensor] = lambda logits: logits,
    batch: int = BATCH,
    channels_last: bool = False,
) -> Tensor:
    """(t, h, w), signed. x: what the network takes of one picture, (1, c, h, w). blank: what the mask shows, likewise.

    targets: (t,) outputs. window, stride: in pixels. score: logits (…, classes) → scores (…, classes). channels_last:
    whether the network takes pictures that lie so in memory.
    """
    size = x.shape[2], x.shape[3]
    rows, columns = (places(length, min(window, length), stride) for length in size)
    masked = Masked(net, x, blank, rows, columns, channels_last=channels_last)
    fall = score(masked.clean)[targets] - score(masked.logits(batch))[..., targets]
    return spread(fall, rows, columns, size)


def pixels(value: float, size: tuple[int, int]) -> int:
    """A length in pixels: from 1 on it is one, below it is a share of the shorter side."""
    return max(1, round(value if value >= 1 else value * min(size)))


def settled(parameters: dict, size: tuple[int, int], mean: list[float]) -> dict:
    """The config block with its lengths in pixels of an input of this size, and with ``colour``, a value a channel.

    mean: what ``mask: mean`` stands for. A block that was settled before keeps its colour. Raises UserError.
    """
    window, stride = pixels(parameters["window"], size), pixels(parameters["stride"], size)
    if stride > window:
        raise UserError(f"occlusion.stride: {stride} pixels, but a window of {window} must not jump over any pixel")
    mask = parameters["mask"]
    colour = mask if isinstance(mask, list) else mean if mask == "mean" else [mask] * len(mean)
    if len(colour) != len(mean):
        raise UserError(f"occlusion.mask: mean, one number or {len(mean)} of them from 0 to 1, not {mask}")
    return {"colour": colour} | parameters | {"window": window, "stride": stride}


def maps(model: Model, x: Tensor, targets: Tensor, parameters: dict, generator: torch.Generator) -> Tensor:
    """Where ``mask: mean`` was not settled by the job, the mask has the mean colour of the picture itself."""
    used = settled(parameters, model.preprocess.size, x.mean((0, 2, 3)).tolist())
    colour = torch.tensor(used["colour"], dtype=x.dtype, device=x.device).reshape(1, -1, 1, 1)
    score = model.probabilities if parameters["score"] == "probability" else lambda logits: logits
    z, blank = model.normalise(x), model.normalise(colour.expand_as(x))
    return occlusion(
        model.net,
        z,
        blank,
        targets,
        window=used["window"],
        stride=used["stride"],
        score=score,
        channels_last=model.channels_last,
    )


METHODS = {"occlusion": Method(maps, signed=True)}


def mean_colour(image_set: images.ImageSet, geometry: Callable, threads: int) -> list[float]:
    """The mean of each channel in [0, 1] over pictures spread evenly over the set, as the network sees them."""
    count = min(SAMPLE, len(image_set))
    chosen = [i * len(image_set) // count for i in range(count)]
    means = [
        array.mean((0, 1)) / (255 if array.dtype == np.uint8 else 1)
        for array in image_set.arrays(geometry, chosen, threads)
    ]
    return [round(float(value), 4) for value in np.mean(means, 0)]


def main(job: Job) -> None:
    known = facts.read(job.inputs["network"])
    preprocess = models.preprocess(known["preprocess"], known["channels"])
    image_set = images.read(job.inputs["images"], job.image_set)
    mean = mean_colour(image_set, preprocess.geometry, job.threads)
    attribute(replace(job, parameters=settled(job.parameters, preprocess.size, mean)), METHODS, gradients="")


if __name__ == "__main__":
    run(main)
