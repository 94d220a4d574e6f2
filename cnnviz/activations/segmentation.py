"""A segmentation network's class of every pixel, and its accuracy where masks give the truth.

Over the pixels with a known class of all evaluated pictures, with the correct class t(p) and the predicted class ŷ(p):

    pixel accuracy = share of pixels with ŷ = t        IoU_c = |ŷ = c and t = c| / |ŷ = c or t = c|

and mean IoU, the mean over the classes that occur among t or ŷ (Everingham et al. 2010, doi:10.1007/s11263-009-0275-4).
The control gives every pixel the most frequent correct class. Intervals: pictures are drawn with replacement, since the
pixels of a picture are not independent. If all pictures are equally good, Wilson's interval for that many pictures is
used.
"""

from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np
import torch

from cnnviz.errors import UserError
from cnnviz.network.loaded import Model
from cnnviz.pictures import label_maps
from cnnviz.pictures.images import ImageSet
from cnnviz.run.progress import bar
from cnnviz.statistics.shares import share_interval

BATCH = 8
RESAMPLES = 1000


def label_map(model: Model, x: torch.Tensor) -> np.ndarray:
    """(n, h, w) int32: the class of each pixel of pictures x (n, c, h, w) in [0, 1]."""
    with torch.inference_mode():
        scores = model.pixels(x)
        if scores.shape[2:] != x.shape[2:]:
            scores = torch.nn.functional.interpolate(scores.float(), x.shape[2:], mode="bilinear")
        return scores.argmax(1).int().cpu().numpy()


def confusion(truth: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """(classes, classes) int64 pixels: correct class, predicted class. Any shape; truth < 0 means unknown."""
    known = truth >= 0
    pairs = truth[known].astype(np.int64) * classes + predicted[known]
    return np.bincount(pairs.ravel(), minlength=classes**2).reshape(classes, classes)


def ious(both: np.ndarray, right: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """IoU from counts of pixels in both, of the correct class, and predicted (…, classes); NaN without any."""
    either = right + predicted - both
    return both / np.where(either > 0, either, np.nan)


def quality(both: np.ndarray, right: np.ndarray, predicted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pixel accuracy and mean IoU from counts (…, classes): (…) each."""
    found = ious(both, right, predicted)
    known = ~np.isnan(found)
    accuracy = both.sum(-1) / np.maximum(right.sum(-1), 1)
    return accuracy, np.where(known, found, 0).sum(-1) / np.maximum(known.sum(-1), 1)


def judged(counts: np.ndarray, rng: np.random.Generator) -> dict:
    """Pixel accuracy and mean IoU with intervals, and the control's. counts: (m, 3, classes) both, right, predicted."""
    whole = counts.sum(0)
    accuracy, mean = quality(*whole)
    common = int(whole[1].argmax())
    always = np.where(np.arange(whole.shape[1]) == common, whole[1].sum(), 0)
    control, control_mean = quality(np.where(always > 0, whole[1], 0), whole[1], always)
    found = {
        "pixel_accuracy": float(accuracy), "mean_iou": float(mean), "commonest": common,
        "control_pixel_accuracy": float(control), "control_mean_iou": float(control_mean),
    }  # fmt: skip
    if len(counts) > 2:
        draws = rng.multinomial(len(counts), np.full(len(counts), 1 / len(counts)), RESAMPLES)
        drawn = np.tensordot(draws, counts, 1)
        for name, values in zip(("pixel_accuracy", "mean_iou"), quality(*np.moveaxis(drawn, 1, 0)), strict=True):
            ends = np.quantile(values, [0.025, 0.975])
            if ends[1] - ends[0] < 1e-9:  # equal pictures do not show the variation of others
                ends = share_interval(round(ends[0] * len(counts)), len(counts))
            found[f"{name}_interval"] = [float(v) for v in ends]
    return found


def maps_of(model: Model, image_set: ImageSet, indices: Sequence[int], threads: int) -> Iterator[np.ndarray]:
    """The label map (h, w) of each picture, in order."""
    arrays = image_set.arrays(model.preprocess.geometry, indices, threads)
    while some := list(islice(arrays, BATCH)):
        yield from label_map(model, model.pictures(some))


def measured(model: Model, image_set: ImageSet, probes: Sequence[int], judged_ones: Sequence[int], job) -> tuple:
    """Arrays and numbers of :mod:`cnnviz.activations.predictions` for a segmentation network.

    ``shares`` (n, C) float32: share of each picture's pixels predicted as each class; ``probe_maps``, ``probe_truths``
    (p, h, w) int16, −1 if the truth is not known; ``evaluated`` (m,) int32, the evaluated pictures; ``pixel_confusion``
    (C, C) int64, correct, predicted; ``pixel_counts`` (m, 3, C) int64: each evaluated picture's pixels in both,
    correct, predicted; ``class_iou`` (C,). Numbers also: ``unknown``, the share of the evaluated pictures' pixels
    without a known truth, ``unnamed``, a sentence about colours without a name, and ``left_out``, picture → reason why
    its mask cannot be used. Raises UserError if none of the masks can be used.
    """
    n, classes = len(image_set), len(model.classes)
    shares = np.zeros((n, classes), np.float32)
    table, counts, evaluated, doubts = np.zeros((classes, classes), np.int64), [], [], label_maps.Doubts()
    at = {index: place for place, index in enumerate(probes)}
    wanted, size = set(judged_ones), model.preprocess.size
    maps, truths = np.zeros((2, len(probes), *size), np.int16)
    truths[:] = label_maps.NOTHING
    found = bar(maps_of(model, image_set, range(n), job.threads), "pixels", n)
    for i, predicted in enumerate(found):
        shares[i] = np.bincount(predicted.ravel(), minlength=classes) / predicted.size
        truth = None
        if i in wanted or i in at:
            truth = label_maps.usable(image_set, i, model.preprocess, classes, doubts)
        if i in wanted and truth is not None:
            own = confusion(truth, predicted, classes)
            table += own
            counts.append(np.stack([own.diagonal(), own.sum(1), own.sum(0)]))
            evaluated.append(i)
        if i in at:
            maps[at[i]] = predicted
            truths[at[i]] = label_maps.NOTHING if truth is None else truth
    if len(doubts.left_out) > 1 and not evaluated:
        raise UserError(f"none of the masks can be used: {next(iter(doubts.left_out.values()))}")
    arrays = {"shares": shares, "probe_maps": maps, "probe_truths": truths, "evaluated": np.array(evaluated, np.int32)}
    odd = {"left_out": doubts.left_out, "unnamed": doubts.of_colours()}
    if not counts or not table.sum():
        return arrays, odd
    counts = np.stack(counts)
    numbers = judged(counts, np.random.default_rng(job.seed_for("bootstrap")))
    arrays |= {"pixel_confusion": table, "pixel_counts": counts, "class_iou": ious(*counts.sum(0)).astype(np.float32)}
    unknown = 1 - table.sum() / (len(evaluated) * size[0] * size[1])
    return arrays, numbers | odd | {"unknown": float(unknown)}
