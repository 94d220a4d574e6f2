"""The superpixels that speak for and against a class: a linear model of the network around one picture.

LIME (Ribeiro, Singh, Guestrin 2016, arXiv:1602.04938), for pictures, as the ``lime`` package has it: the picture is cut
into s superpixels (SLIC: Achanta et al. 2012), and n pictures are made in which each is hidden or not at random,
z ∈ {0, 1}ⁿˢ, the first with none hidden. A ridge regression of the class's probability p_c on z,

    β_c = arg min over β of  Σ_i w_i (p_c(x_i) − β_0 − z_i · β)² + |β|²
    w_i = √exp(−d_i² / 0.25²),  d_i = 1 − cos(z_i, 1) = 1 − √(share of superpixels shown in i)

weighs every superpixel: β_c is how much probability it adds when it is shown, all else being half hidden. R² is the
share of the weighted variance of p_c that this line explains: where it is low, there is little to believe.

Pictures x are (1, c, h, w) in [0, 1]. What the job leaves is in :mod:`cnnviz.attribution.probes`, and besides:
``segments`` (n, h, w) int64; ``coefficients`` (n, t, s) float32, 0 beyond a picture's superpixels and classes; and in
the numbers ``r2``, n lists of a number a class.
"""

from dataclasses import dataclass

import numpy as np
import torch
from skimage.segmentation import slic
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score

from cnnviz.ascent.loop import in_batches
from cnnviz.attribution.probes import Method, attribute
from cnnviz.job import Job, run
from cnnviz.models import Model

KERNEL_WIDTH, RIDGE = 0.25, 1.0
COMPACTNESS, BLUR = 20.0, 1.0  # of SLIC: distance in pixels against colour; σ in pixels, or texture frays the patches
BATCH = 50  # pictures in a forward pass


@dataclass(frozen=True)
class Explanation:
    """segments: (h, w) int64 in 0 … s − 1. coefficients: (t, s) float64, probability a superpixel adds. r2: (t,)."""

    segments: torch.Tensor
    coefficients: torch.Tensor
    r2: torch.Tensor

    @property
    def maps(self) -> torch.Tensor:
        """(t, h, w): every pixel has its superpixel's coefficient."""
        return self.coefficients[:, self.segments]


def superpixels(x: torch.Tensor, count: int) -> torch.Tensor:
    """About ``count`` patches of one picture (1, c, h, w), of like colour, in one piece each: (h, w) int64 from 0."""
    pixels = x[0].permute(1, 2, 0).cpu().numpy()
    return torch.from_numpy(slic(pixels, count, COMPACTNESS, sigma=BLUR, start_label=0, channel_axis=-1)).long()


def mean_colours(x: torch.Tensor, segments: torch.Tensor) -> torch.Tensor:
    """One picture (1, c, h, w) with each superpixel in its mean colour."""
    at = segments.flatten().numpy()
    sizes = np.bincount(at)
    means = [np.bincount(at, plane) / sizes for plane in x[0].flatten(1).cpu().double().numpy()]
    return torch.from_numpy(np.stack(means)).to(x)[:, segments.to(x.device)][None]


def neutral(model: Model) -> torch.Tensor:
    """The picture (1, c, 1 or h, 1 or w) whose normalised values are 0: the mean of what the network was trained on."""
    black, white = model.bounds()
    grey = (black / (black - white)).clamp(0, 1)
    return grey.flip(1) if model.preprocess.channels == "BGR" else grey


def switches(samples: int, count: int, generator: torch.Generator) -> torch.Tensor:
    """(samples, count) bool: which superpixels are shown. The first sample shows all, the rest by fair coins."""
    shown = torch.randint(2, (samples, count), generator=generator).bool()
    shown[0] = True
    return shown


def masked_scores(
    model: Model,
    x: torch.Tensor,
    hidden: torch.Tensor,
    segments: torch.Tensor,
    shown: torch.Tensor,
    targets: torch.Tensor,
) -> torch.Tensor:
    """Probabilities (samples, t) of one picture x whose superpixels are replaced by ``hidden`` where not ``shown``."""
    z, other = (model.normalise(p.expand_as(x)) for p in (x, hidden))
    segments, shown = segments.to(x.device), shown.to(x.device)

    @torch.inference_mode()
    def scores(some: torch.Tensor) -> torch.Tensor:
        pictures = torch.where(some[:, segments][:, None], z, other)
        pictures = pictures.contiguous(memory_format=torch.channels_last)  # CPUs convolve faster so
        return model.probabilities(model.net(pictures))[:, targets].cpu()

    return torch.cat(list(in_batches(scores, shown, BATCH)))


def local_fit(shown: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients (t, s) and R² (t,) of the weighted ridge regression of ``scores`` (n, t) on ``shown`` (n, s)."""
    distance = 1 - np.sqrt(shown.mean(1))
    weights = np.sqrt(np.exp(-((distance / KERNEL_WIDTH) ** 2)))
    z, scores = shown.astype(float), scores.astype(float)
    line = Ridge(alpha=RIDGE).fit(z, scores, weights)
    fitted = line.predict(z).reshape(scores.shape)
    return line.coef_.reshape(scores.shape[1], -1), r2_score(
        scores, fitted, sample_weight=weights, multioutput="raw_values"
    )


def explain(
    model: Model,
    x: torch.Tensor,
    targets: torch.Tensor,
    segments: torch.Tensor,
    *,
    samples: int,
    hide: str,
    generator: torch.Generator,
) -> Explanation:
    """LIME of one picture x (1, c, h, w) for ``targets`` (t,). hide: "mean_colour" or "grey". generator: a CPU one."""
    hidden = mean_colours(x, segments) if hide == "mean_colour" else neutral(model)
    shown = switches(samples, int(segments.max()) + 1, generator)
    scores = masked_scores(model, x, hidden, segments, shown, targets)
    coefficients, r2 = local_fit(shown.numpy(), scores.numpy())
    return Explanation(segments, torch.from_numpy(coefficients), torch.from_numpy(r2))


def _explain(model: Model, x: torch.Tensor, targets: torch.Tensor, parameters: dict, generator: torch.Generator):
    chosen = {"samples": parameters["samples"], "hide": parameters["hide"], "generator": generator}
    return explain(model, x, targets, superpixels(x, parameters["superpixels"]), **chosen)


METHODS = {"lime": Method(lambda model, x, t, p, g: _explain(model, x, t, p, g).maps, signed=True)}


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
        return arrays, {"r2": [e.r2.tolist() for e in made]}

    attribute(job, {"lime": Method(maps, signed=True)}, beside)


if __name__ == "__main__":
    run(main)
