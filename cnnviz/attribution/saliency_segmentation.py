"""Saliency segmentation: GrabCut, started from a saliency map, separates the object from the background.

Simonyan, Vedaldi, Zisserman 2014 (arXiv:1312.6034, section 3.2), with GrabCut (Rother, Kolmogorov, Blake 2004,
doi:10.1145/1015706.1015720) instead of their graph cut. The saliency map M = max over channels of |∂ S_c / ∂ x|,
blurred instead of averaged over ten views, gives two kinds of seeds:

    foreground: M ≥ its 95 % quantile,    background: M ≤ its 30 % quantile

A mixture of five Gaussians of colour is fitted to each kind. A graph cut gives every other pixel to the likelier
mixture, and penalises borders that do not follow an edge. Then the mixtures are fitted to the result and the cut is
repeated, a few times. The object is the foreground's largest connected part. The method is not trained on any masks.

The result holds, beside what :mod:`cnnviz.attribution.probes` lists (``maps/gradient``, not blurred): ``seeds`` (n, t,
h, w) int8, 1 in the foreground, −1 in the background; ``foreground`` (n, t, h, w) bool, the object; ``centre`` (n, h,
w) bool, the baseline, started from a centre blob instead of a saliency map; ``recognised`` (n, 2) the first class's
probability for the picture whose pixels outside ``foreground``, or outside ``centre``, have its mean colour, NaN where
the network has no probabilities; ``truth`` (n, h, w) bool, the object's mask if it is known. Numbers: ``truths``, n
times "mask", "box" or null; ``iou`` (n lists of a number a class) and ``centre_iou`` (n), null without a mask; and the
means over pictures with a mask, ``mean_iou`` of the first class, ``mean_centre_iou`` and ``mean_difference``, each
[mean, low, high] with its bootstrap interval, or null.
"""

import cv2
import numpy as np
import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor

from cnnviz.attribution import map_scores
from cnnviz.attribution.gradients import repeated, saliency
from cnnviz.attribution.probes import Method, attribute
from cnnviz.network.kinds import SEGMENTATION, has_probabilities
from cnnviz.network.loaded import Model
from cnnviz.pictures import images
from cnnviz.pictures.masks import Mask, as_seen
from cnnviz.run.job import Job, run

RESAMPLES = 2000  # of the bootstrap


def seeds(map: np.ndarray, foreground: float, background: float) -> np.ndarray:
    """Seeds of a map (h, w): int8 (h, w), 1 for the foreground, −1 for the background, 0 elsewhere.

    foreground, background: quantiles. If the map is flat up to the upper quantile, the foreground is what exceeds it. A
    constant map has no foreground.
    """
    low, high = np.quantile(map, [background, foreground])
    return np.where((map >= high) & (map > low), 1, np.where(map <= low, -1, 0)).astype(np.int8)


def cut(picture: np.ndarray, seeds: np.ndarray, iterations: int) -> np.ndarray:
    """GrabCut of a picture (h, w, 3) uint8 from ``seeds`` (h, w): bool (h, w), the foreground's largest piece."""
    inside, outside = seeds > 0, seeds < 0
    if not inside.any() or not outside.any():
        return inside
    cv2.setRNGSeed(0)  # initial clusters of the mixtures
    models = np.zeros((1, 65)), np.zeros((1, 65))
    # The mixtures are fitted to the seeds only, as a picture one pixel high. Zero iterations make no cut.
    strip = np.concatenate([picture[outside], picture[inside]])[None]
    of_strip = np.repeat(np.uint8([cv2.GC_BGD, cv2.GC_FGD]), [outside.sum(), inside.sum()])[None]
    cv2.grabCut(strip, of_strip, None, *models, 0, cv2.GC_INIT_WITH_MASK)
    mask = np.select([inside, outside], [cv2.GC_FGD, cv2.GC_BGD], cv2.GC_PR_BGD).astype(np.uint8)
    cv2.grabCut(np.ascontiguousarray(picture), mask, None, *models, 1, cv2.GC_EVAL_FREEZE_MODEL)
    cv2.grabCut(np.ascontiguousarray(picture), mask, None, *models, iterations, cv2.GC_EVAL)
    return largest_piece((mask == cv2.GC_FGD) | (mask == cv2.GC_PR_FGD))


def largest_piece(mask: np.ndarray) -> np.ndarray:
    """The largest connected part (8 neighbours) of a bool (h, w)."""
    _, pieces, sizes, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    return (pieces == 1 + sizes[1:, cv2.CC_STAT_AREA].argmax()) & mask if len(sizes) > 1 else mask


def iou(a: np.ndarray, b: np.ndarray) -> float:
    """Pixels in both over pixels in either; 0 where there are none."""
    return float((a & b).sum() / max((a | b).sum(), 1))


def three_channels(picture: np.ndarray, show: int | list[int] | None) -> np.ndarray:
    """The network's input (h, w, c) in [0, 1], as the (h, w, 3) uint8 that GrabCut takes.

    show: the image set's ``show``, for pictures with another number of channels than one or three.
    """
    channels = picture.shape[2]
    chosen = range(channels) if channels in (1, 3) else show if show is not None else range(3 if channels > 3 else 1)
    picture = np.rint(picture[..., np.atleast_1d(chosen)] * 255).astype(np.uint8)
    return np.ascontiguousarray(np.broadcast_to(picture, (*picture.shape[:2], 3)))


@torch.no_grad()
def recognised(model: Model, x: Tensor, masks: np.ndarray, target: int) -> np.ndarray:
    """p(``target``) of a picture x (1, c, h, w) cut out by each of ``masks`` (k, h, w), on its mean colour: (k,).

    All NaN if the network has no probabilities. A mask without a pixel leaves the colour alone.
    """
    if not has_probabilities(model.kind):
        return np.full(len(masks), np.nan)
    inside = torch.from_numpy(masks)[:, None].to(x.device)
    cut_out = torch.where(inside, x, x.mean((2, 3), keepdim=True))
    return model.probabilities(model.logits(cut_out))[:, target].float().cpu().numpy()


def main(job: Job) -> None:
    made: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []  # one entry per picture, see held_against
    still: list[np.ndarray] = []  # recognised, of each picture
    quantiles, rounds = (job.parameters["foreground"], job.parameters["background"]), job.parameters["iterations"]

    def gradient(model: Model, x: Tensor, targets: Tensor, *others) -> Tensor:
        maps = saliency(model.logits, repeated(x, targets), targets)
        picture = three_channels(x[0].permute(1, 2, 0).cpu().numpy(), job.image_set.get("show"))
        blur = job.parameters["blur"] * min(picture.shape[:2])
        marked = [seeds(gaussian_filter(map, blur), *quantiles) for map in maps.cpu().numpy()]
        middle = seeds(map_scores.centre(*picture.shape[:2]), *quantiles)
        found = [cut(picture, one, rounds) for one in (middle, *marked)]
        made.append((found[0], np.stack(marked), np.stack(found[1:])))
        still.append(recognised(model, x, np.stack([found[1], found[0]]), int(targets[0])))
        return maps

    def beside(model: Model) -> tuple[dict, dict]:
        image_set = images.read(job.inputs["images"], job.image_set)
        probes = image_set.probes(job.model["probes"])
        truths = [as_seen(image_set, i, model.preprocess.geometry) for i in probes]
        if model.kind == SEGMENTATION:  # these masks give each pixel's class, not an object
            truths = [None] * len(probes)
        rng = np.random.default_rng(job.seed_for("bootstrap"))
        arrays, numbers = held_against(truths, made, rng)
        return arrays | {"recognised": np.stack(still)}, numbers

    attribute(job, {"gradient": Method(gradient, control=None)}, beside)


def held_against(truths: list[Mask | None], made: list, rng: np.random.Generator) -> tuple[dict, dict]:
    """The arrays and numbers of the module's docstring.

    made: for each picture the baseline's cut (h, w), and the seeds and the cuts of t classes, (t, h, w) each.
    """
    centre = np.stack([middle for middle, _, _ in made])
    most = max(len(cuts) for _, _, cuts in made)
    marked, foreground = (
        np.stack([np.pad(each[part], ((0, most - len(each[part])), (0, 0), (0, 0))) for each in made])
        for part in (1, 2)
    )
    truth = np.zeros_like(centre)
    ious, of_centre = [], []
    for i, (mask, (_, _, cuts)) in enumerate(zip(truths, made, strict=True)):
        if mask is not None:
            truth[i] = mask.pixels
        ious.append([None if mask is None else iou(c, truth[i]) for c in cuts])
        of_centre.append(None if mask is None else iou(centre[i], truth[i]))
    known = [i for i, mask in enumerate(truths) if mask is not None]
    first, middle = np.array([ious[i][0] for i in known]), np.array([of_centre[i] for i in known])

    def mean(values: np.ndarray, least: float) -> list[float] | None:
        if not known:
            return None
        return [float(values.mean()), *map_scores.interval(values, rng, bounds=(least, 1), resamples=RESAMPLES)]

    numbers = {
        "truths": [None if mask is None else "box" if mask.is_box else "mask" for mask in truths],
        "iou": ious,
        "centre_iou": of_centre,
        "mean_iou": mean(first, 0),
        "mean_centre_iou": mean(middle, 0),
        "mean_difference": mean(first - middle, -1),
    }
    return {"seeds": marked, "foreground": foreground, "centre": centre, "truth": truth}, numbers


if __name__ == "__main__":
    run(main)
