"""Occlusion: the class's score while a mask slides over the picture.

Zeiler & Fergus 2014, "Visualizing and Understanding Convolutional Networks", arXiv:1311.2901. For every position w of
the mask, x with the mask's colour at w has the score S_c(x_w). A pixel's value is the mean fall over the masks that
hide it:

    M(p) = mean over w that cover p of S_c(x) − S_c(x_w)

S_c is the probability of the class (``score: probability``, then M is in −1 … 1), or its logit. By default (``auto``)
it is the probability, as published, or the logit for a picture in which no map of the probability reaches SATURATED:
near 0 and 1 the probability hardly changes whatever is hidden. A positive value means that hiding the pixel lowers the
score. The mask is a square that starts in the upper left corner and moves by the
stride. It may be cut off at the right and lower border. One sweep serves all classes.

:mod:`cnnviz.attribution.probes` lists what the result holds. Its parameters hold the mask: ``window``, ``stride`` in
pixels of the network's input, and ``colour``, a value for each channel in [0, 1]. ``scored`` among the numbers lists
the score of each picture's maps: "probability" or "logit".
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from cnnviz.attribution.incremental import Masked
from cnnviz.attribution.probes import Method, attribute
from cnnviz.errors import UserError
from cnnviz.network import facts
from cnnviz.network.kinds import has_probabilities
from cnnviz.network.loaded import Model
from cnnviz.pictures import images
from cnnviz.pictures.preprocess import prepared
from cnnviz.run.job import Job, run

BATCH = 64
SAMPLE = 256  # number of pictures for the set's mean colour
AUTO, PROBABILITY, LOGIT = "auto", "probability", "logit"
SATURATED = 0.05  # largest value of a map of the probability below which the logit replaces it

Score = Callable[[Tensor], Tensor]  # logits (…, classes) → scores (…, classes)


def places(size: int, window: int, stride: int) -> np.ndarray:
    """[low, high) of each mask position along an axis of ``size`` pixels, (m, 2) int64. Every pixel is in some."""
    count = -(-(size - window) // stride) + 1
    low = np.arange(count) * stride
    return np.stack([low, np.minimum(low + window, size)], 1)


def spread(fall: Tensor, rows: np.ndarray, columns: np.ndarray, size: tuple[int, int]) -> Tensor:
    """fall: (m, k, t) of the masks at rows × columns → (t, h, w): each pixel's mean over the masks that cover it."""

    def covers(spans: np.ndarray, length: int) -> Tensor:
        at = np.arange(length)
        return torch.from_numpy((at >= spans[:, :1]) & (at < spans[:, 1:])).to(fall)

    down, across = covers(rows, size[0]), covers(columns, size[1])
    total = torch.einsum("mh,mkt,kw->thw", down, fall, across)
    return total / (down.sum(0)[:, None] * across.sum(0))


def swept(
    net: nn.Module,
    x: Tensor,
    blank: Tensor,
    *,
    window: int,
    stride: int,
    batch: int = BATCH,
    channels_last: bool = False,
) -> Callable[[Score, Tensor], Tensor]:
    """Slides the mask once. Returns (score, targets (t,)) → the signed maps (t, h, w).

    x: network input of one picture, (1, c, h, w). blank: what the mask shows, of the same shape. window, stride: in
    pixels. channels_last: whether the network takes pictures in the channels-last memory format.
    """
    size = x.shape[2], x.shape[3]
    rows, columns = (places(length, min(window, length), stride) for length in size)
    masked = Masked(net, x, blank, rows, columns, channels_last=channels_last)
    clean, hidden = masked.clean, masked.logits(batch)

    def maps(score: Score, targets: Tensor) -> Tensor:
        return spread(score(clean)[targets] - score(hidden)[..., targets], rows, columns, size)

    return maps


def occlusion(
    net: nn.Module, x: Tensor, blank: Tensor, targets: Tensor, *, score: Score = lambda logits: logits, **how
) -> Tensor:
    """Signed maps (t, h, w) of one score; the other arguments as in :func:`swept`."""
    return swept(net, x, blank, **how)(score, targets)


def pixels(value: float, size: tuple[int, int]) -> int:
    """A length in pixels. A value below 1 is a share of the shorter side."""
    return max(1, round(value if value >= 1 else value * min(size)))


def settled(parameters: dict, size: tuple[int, int], mean: list[float]) -> dict:
    """The config block with its lengths in pixels of an input of this size, and with ``colour``, a value per channel.

    mean: the colour of ``mask: mean``. A block that already has a ``colour`` keeps it. Raises UserError.
    """
    window, stride = pixels(parameters["window"], size), pixels(parameters["stride"], size)
    if stride > window:
        raise UserError(f"occlusion.stride: {stride} pixels is more than the window, {window}, and would skip pixels")
    mask = parameters["mask"]
    colour = mask if isinstance(mask, list) else mean if mask == "mean" else [mask] * len(mean)
    if len(colour) != len(mean):
        raise UserError(f"occlusion.mask: must be mean, one number or {len(mean)} numbers from 0 to 1, not {mask}")
    return {"colour": colour} | parameters | {"window": window, "stride": stride}


def maps(
    model: Model,
    x: Tensor,
    targets: Tensor,
    parameters: dict,
    generator: torch.Generator,
    scored: list[str] | None = None,
) -> Tensor:
    """If the job did not settle ``mask: mean``, the mask has the mean colour of the picture itself.

    scored: gets the score of these maps.
    """
    used = settled(parameters, model.preprocess.size, x.mean((0, 2, 3)).tolist())
    colour = torch.tensor(used["colour"], dtype=x.dtype, device=x.device).reshape(1, -1, 1, 1)
    z, blank = model.normalise(x), model.normalise(colour.expand_as(x))
    of = swept(
        model.net, z, blank, window=used["window"], stride=used["stride"], channels_last=model.channels_last
    )  # fmt: skip
    score, made = parameters["score"], None
    if score != LOGIT:
        made = of(model.probabilities, targets)
        if score == AUTO:
            saturated = has_probabilities(model.kind) and made.abs().max() < SATURATED
            score = LOGIT if saturated else PROBABILITY
    if scored is not None:
        scored.append(score)
    return of(lambda logits: logits, targets) if score == LOGIT else made


METHODS = {"occlusion": Method(maps, signed=True, control=lambda used: used | {"stride": used["window"]})}


def mean_colour(image_set: images.ImageSet, geometry: Callable, threads: int) -> list[float]:
    """Mean of each channel in [0, 1] over pictures spread evenly over the set, after the network's resize and crop."""
    count = min(SAMPLE, len(image_set))
    chosen = [i * len(image_set) // count for i in range(count)]
    means = [
        array.mean((0, 1)) / (255 if array.dtype == np.uint8 else 1)
        for array in image_set.arrays(geometry, chosen, threads)
    ]
    return [round(float(value), 4) for value in np.mean(means, 0)]


def main(job: Job) -> None:
    known = facts.read(job.inputs["network"])
    preprocess = prepared(known["preprocess"], known["channels"])
    image_set = images.read(job.inputs["images"], job.image_set)
    mean = mean_colour(image_set, preprocess.geometry, job.threads)
    scored: list[str] = []
    methods = {"occlusion": replace(METHODS["occlusion"], maps=partial(maps, scored=scored))}
    settled_job = replace(job, parameters=settled(job.parameters, preprocess.size, mean))
    attribute(settled_job, methods, lambda model: ({}, {"scored": list(scored)}), gradients="")


if __name__ == "__main__":
    run(main)
