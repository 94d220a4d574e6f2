"""LIME: the superpixels that are evidence for and against a class, by a linear model of the network around one picture.

LIME (Ribeiro, Singh, Guestrin 2016, arXiv:1602.04938) for pictures, as in the ``lime`` package. The picture is split
into s superpixels (SLIC: Achanta et al. 2012). In n pictures each superpixel is hidden or shown at random, z ∈ {0,
1}ⁿˢ; the first hides none. A ridge regression of the class's probability p_c on z,

    β_c = arg min over β of  Σ_i w_i (p_c(x_i) − β_0 − z_i · β)² + |β|²
    w_i = √exp(−d_i² / 0.25²),  d_i = 1 − cos(z_i, 1) = 1 − √(share of superpixels shown in i)

weights every superpixel: β_c is the probability that it adds when it is shown and all others are half hidden. R² is the
share of the weighted variance of p_c that this model explains in pictures that it was not fitted to (each fifth of them
in turn). If it is low, the weights are not reliable; of noise it is about 0 or below.

Where p_c is near 0 or 1 it hardly changes before it jumps, and no sum describes that. So by default (``score: auto``)
p_c is replaced by the class's logit S_c for a picture where the sum describes the logits better: by a higher R², the
mean over the picture's classes. Both are known from the same forward passes.

The n pictures may be scored in bfloat16, see :func:`network`; the fit is in float64. On SqueezeNet and photographs
bfloat16 changed β by 2 to 4 % of its length, and another seed by 31 to 50 % (300 samples).

Pictures x are (1, c, h, w) in [0, 1]. The result holds, beside what :mod:`cnnviz.attribution.probes` lists:
``segments`` (n, h, w) int64; ``coefficients`` (n, t, s) float32, 0 beyond a picture's superpixels and classes. The
numbers hold ``r2``, n lists of a number a class, ``scored``, n times "probability" or "logit", and ``precision``, n
times "float32" or "bfloat16".
"""

import copy
from dataclasses import dataclass, replace

import numpy as np
import torch
from skimage.segmentation import slic
from torch import nn

from cnnviz.attribution.probes import Method, attribute
from cnnviz.network.halving import in_batches
from cnnviz.network.loaded import Model
from cnnviz.run.job import Job, run

KERNEL_WIDTH, RIDGE = 0.25, 1.0
FOLDS = 5  # parts of the samples, each held out in turn
AUTO, PROBABILITY, LOGIT = "auto", "probability", "logit"
PATCHES, PIXELS = 60, 40  # by default: superpixels of a picture, and the fewest pixels of one
COMPACTNESS, BLUR = 20.0, 1.0  # of SLIC: weight of distance against colour; σ in pixels, against frayed borders
BATCH = 50  # pictures in a forward pass
CLOSE = 0.01  # largest difference in the picture's probabilities in bfloat16


@dataclass(frozen=True)
class Explanation:
    """segments: (h, w) int64 in 0 … s − 1. coefficients: (t, s) float64, the score that a superpixel adds. r2: (t,).

    precision: precision of the scores, "float32" or "bfloat16". scored: "probability" or "logit".
    """

    segments: torch.Tensor
    coefficients: torch.Tensor
    r2: torch.Tensor
    precision: str
    scored: str = PROBABILITY

    @property
    def maps(self) -> torch.Tensor:
        """(t, h, w): each pixel's value is the coefficient of its superpixel."""
        return self.coefficients[:, self.segments]


def superpixels(x: torch.Tensor, count: int | str) -> torch.Tensor:
    """About ``count`` connected patches of similar colour in one picture (1, c, h, w): (h, w) int64 from 0.

    count: a number, or "auto": PATCHES, or fewer in a picture so small that they would have less than PIXELS pixels.
    """
    if count == AUTO:
        count = max(2, min(PATCHES, x.shape[2] * x.shape[3] // PIXELS))
    pixels = x[0].permute(1, 2, 0).cpu().numpy()
    return torch.from_numpy(slic(pixels, count, COMPACTNESS, sigma=BLUR, start_label=0, channel_axis=-1)).long()


def mean_colours(x: torch.Tensor, segments: torch.Tensor) -> torch.Tensor:
    """One picture (1, c, h, w) with each superpixel filled with its mean colour."""
    at = segments.flatten().numpy()
    sizes = np.bincount(at)
    means = [np.bincount(at, plane) / sizes for plane in x[0].flatten(1).cpu().double().numpy()]
    return torch.from_numpy(np.stack(means)).to(x)[:, segments.to(x.device)][None]


def neutral(model: Model) -> torch.Tensor:
    """The picture (1, c, 1 or h, 1 or w) whose normalised values are 0: the mean of the training pictures."""
    black, white = model.bounds()
    grey = (black / (black - white)).clamp(0, 1)
    return grey.flip(1) if model.preprocess.channels == "BGR" else grey


def switches(samples: int, count: int, generator: torch.Generator) -> torch.Tensor:
    """(samples, count) bool: the shown superpixels. The first sample shows all, the others each with probability ½."""
    shown = torch.randint(2, (samples, count), generator=generator).bool()
    shown[0] = True
    return shown


def fast(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 faster than float32. Many processors only emulate it."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    probes = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")  # torch has no public way to ask
    return device.type == "cpu" and any(getattr(torch.cpu, probe, bool)() for probe in probes)


def network(model: Model, x: torch.Tensor, precision: str) -> tuple[nn.Module, str]:
    """The network that scores the pictures, and its precision. "auto" takes a bfloat16 copy of the network if possible.

    The device must support bfloat16 in hardware, and every class's probability of the whole picture x must stay within
    ``CLOSE``. Not every network can be converted: one that creates tensors may mix precisions, which torch refuses.
    """
    if precision == "float32" or (precision == "auto" and not fast(x.device)):
        return model.net, "float32"
    try:
        net = copy.deepcopy(model.net).to(torch.bfloat16)
        with torch.inference_mode():
            z = model.normalise(x)
            there, here = (model.probabilities(scores.float()) for scores in (net(z.bfloat16()), model.net(z)))
    except Exception:  # networks raise anything in another precision
        return model.net, "float32"
    return (net, "bfloat16") if (there - here).abs().max() <= CLOSE else (model.net, "float32")


def masked_scores(
    model: Model,
    net: nn.Module,
    x: torch.Tensor,
    hidden: torch.Tensor,
    segments: torch.Tensor,
    shown: torch.Tensor,
) -> torch.Tensor:
    """Logits (samples, classes) of one picture x whose superpixels are replaced by ``hidden`` if they are not
    ``shown``.

    net: the model's network, in the precision of its weights.
    """
    dtype = next((p.dtype for p in net.parameters()), x.dtype)
    z, other = (model.normalise(p.expand_as(x)).to(dtype) for p in (x, hidden))
    segments, shown = segments.to(x.device), shown.to(x.device)

    @torch.inference_mode()
    def scores(some: torch.Tensor) -> torch.Tensor:
        pictures = torch.where(some[:, segments][:, None], z, other)
        return net(model.laid_out(pictures)).float()

    return torch.cat(list(in_batches(scores, shown, BATCH)))


def local_fit(shown: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients (t, s) and R² (t,) of the weighted ridge regression of ``scores`` (n, t) on ``shown`` (n, s).

    R² is of held-out rows: each fifth is predicted by a fit of the other ones.
    """
    weights = np.sqrt(np.exp(-(((1 - np.sqrt(shown.mean(1))) / KERNEL_WIDTH) ** 2)))
    z, y = shown.astype(float), scores.astype(float)
    predicted, fold = np.empty_like(y), np.arange(len(y)) % FOLDS
    for out in (fold == k for k in range(FOLDS)):
        coefficients, intercept = _ridge(z[~out], y[~out], weights[~out])
        predicted[out] = z[out] @ coefficients + intercept
    left, all_of_it = (weights @ table**2 for table in (y - predicted, y - np.average(y, 0, weights)))
    with np.errstate(divide="ignore", invalid="ignore"):  # any line explains a constant probability
        return _ridge(z, y, weights)[0].T, np.where(all_of_it > 0, 1 - left / all_of_it, 1.0)


def _ridge(z: np.ndarray, y: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients (s, t) and intercepts (t,), which are not penalised."""
    middle, mean = (np.average(table, 0, weights) for table in (z, y))
    weighted = (z - middle).T * weights
    coefficients = np.linalg.solve(weighted @ (z - middle) + RIDGE * np.eye(z.shape[1]), weighted @ (y - mean))
    return coefficients, mean - middle @ coefficients


def explain(
    model: Model,
    x: torch.Tensor,
    targets: torch.Tensor,
    segments: torch.Tensor,
    *,
    samples: int,
    hide: str,
    generator: torch.Generator,
    precision: str = "float32",
    score: str = PROBABILITY,
) -> Explanation:
    """LIME of one picture x (1, c, h, w) for ``targets`` (t,). hide: "mean_colour" or "grey". generator: a CPU
    generator.

    precision: "float32" or "auto", see :func:`network`. score: "probability", "logit" or "auto", see the module.
    """
    hidden = mean_colours(x, segments) if hide == "mean_colour" else neutral(model)
    shown = switches(samples, int(segments.max()) + 1, generator)
    net, precision = network(model, x, precision)
    logits = masked_scores(model, net, x, hidden, segments, shown)
    scores = {PROBABILITY: model.probabilities(logits), LOGIT: logits}
    fits = {
        name: local_fit(shown.numpy(), values[:, targets].cpu().numpy())
        for name, values in scores.items()
        if score in (name, AUTO)
    }

    def described(name: str) -> float:
        """Mean R²; a score that never changes is described by any sum, and counts as not described."""
        coefficients, r2 = fits[name]
        return float(np.where(coefficients.any(1), r2, 0).mean())

    best = max(fits, key=described)
    coefficients, r2 = fits[best]
    return Explanation(segments, torch.from_numpy(coefficients), torch.from_numpy(r2), precision, best)


def _explain(model: Model, x: torch.Tensor, targets: torch.Tensor, parameters: dict, generator: torch.Generator):
    chosen = {name: parameters[name] for name in ("samples", "hide", "precision", "score")} | {"generator": generator}
    return explain(model, x, targets, superpixels(x, parameters["superpixels"]), **chosen)


def _fewer(parameters: dict) -> dict:
    """The parameters of the control: an eighth of the samples."""
    return parameters | {"samples": max(10, parameters["samples"] // 8)}


METHODS = {"lime": Method(lambda model, x, t, p, g: _explain(model, x, t, p, g).maps, signed=True, control=_fewer)}


def main(job: Job) -> None:
    made: list[Explanation] = []

    def maps(*arguments) -> torch.Tensor:
        made.append(_explain(*arguments))
        return made[-1].maps

    def beside(model: Model) -> tuple[dict, dict]:
        most = [max(len(e.r2) for e in made), max(e.coefficients.shape[1] for e in made)]
        coefficients = np.zeros((len(made), *most), np.float32)
        for i, e in enumerate(made):
            coefficients[i, : len(e.r2), : e.coefficients.shape[1]] = e.coefficients
        arrays = {"segments": np.stack([e.segments for e in made]), "coefficients": coefficients}
        numbers = {name: [getattr(e, name) for e in made] for name in ("precision", "scored")}
        return arrays, numbers | {"r2": [e.r2.tolist() for e in made]}

    attribute(job, {"lime": replace(METHODS["lime"], maps=maps)}, beside, gradients="")


if __name__ == "__main__":
    run(main)
