"""Saliency: the gradient of a logit with respect to the picture.

Saliency (Simonyan, Vedaldi, Zisserman 2014, arXiv:1312.6034):

    M = max over channels of |∂ S_c(x) / ∂ x|

SmoothGrad (Smilkov et al. 2017, arXiv:1706.03825):

    M = max over channels of |mean over i of ∂ S_c(x + ε_i) / ∂ x|,  ε_i ~ N(0, (σ (max x − min x))²)

Gradient × input (Shrikumar et al. 2016, arXiv:1605.01713):

    M = Σ over channels of z · ∂ S_c / ∂ z,  z the normalised picture

Integrated gradients (Sundararajan, Taly, Yan 2017, arXiv:1703.01365), from a black picture x':

    M = Σ over channels of (x − x') · ∫₀¹ ∂ S_c(x' + a (x − x')) / ∂ x da

whose sum over pixels is S_c(x) − S_c(x'). Steps are added where the sum is wrong until at most 1 % of that is missing.

S_c is the logit of the class. Pictures are in [0, 1], RGB if they have three channels. :mod:`cnnviz.attribution.probes`
lists what the result holds, beside ``black`` (classes,): the logits of a black picture.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from cnnviz.attribution.gradients import Score, gradient, gradients, repeated, saliency
from cnnviz.attribution.probes import Left, Method, attribute
from cnnviz.network.loaded import Model
from cnnviz.run.job import Job, run

LARGEST_NOISE, FULL_SIDE = 0.15, 224  # "auto" noise, and the side from which pictures have it
MISSING, MOST = 0.01, 9  # share of S(x) − S(black) that may lack; how many times as many steps may be taken


def smoothgrad(
    logits: Score,
    x: torch.Tensor,
    targets: torch.Tensor,
    *,
    samples: int,
    noise: float,
    generator: torch.Generator,
    batch: int = 32,
) -> torch.Tensor:
    """Smilkov's maps of one picture x (1, c, h, w) for some outputs (t,): (t, h, w), ≥ 0.

    noise: σ, a share of max x − min x. Every output sees the same noise. The generator is on the CPU, so the same seed
    gives the same noise on every device.
    """
    sigma = noise * (x.max() - x.min())
    total = torch.zeros_like(x).repeat(len(targets), 1, 1, 1)
    for start in range(0, samples, batch):
        n = min(batch, samples - start)
        epsilon = torch.randn((n, *x.shape[1:]), generator=generator, dtype=x.dtype).to(x.device)
        total += gradients(logits, x + sigma * epsilon, targets).sum(1)
    return (total / samples).abs().amax(1)


def gradient_x_input(net: Score, z: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Signed maps (n, h, w): each pixel's contribution to the logit of a linear network. z: normalised pictures."""
    return (gradient(net, z, target) * z).sum(1)


def integrated_gradients(
    logits: Score,
    x: torch.Tensor,
    targets: torch.Tensor,
    *,
    steps: int,
    black: float = 0.0,
    missing: float = MISSING,
    batch: int = 32,
) -> torch.Tensor:
    """Signed maps of one picture x (1, c, h, w) for some outputs (t,): (t, h, w).

    A map's sum over pixels is S(x) − S(black), of which a share of at most ``missing`` lacks. The integral runs along
    the straight line from a black picture, by the midpoint rule in ``steps`` equal segments. Then each output's
    segments whose part of the sum differs most from their part of the score are cut in three, until little is missing
    or there are ``MOST`` times as many.
    """

    def line(at: torch.Tensor) -> list[torch.Tensor]:
        return [black + (x - black) * part[:, None, None, None] for part in at.to(x).split(batch)]

    @torch.no_grad()
    def score(at: torch.Tensor, outputs: torch.Tensor) -> torch.Tensor:
        return torch.cat([logits(path)[:, outputs] for path in line(at)]).double().T

    def parts(low: torch.Tensor, width: torch.Tensor, outputs: torch.Tensor) -> torch.Tensor:
        slopes = torch.cat([gradients(logits, path, outputs) for path in line(low + width / 2)], 1)
        return ((x - black) * slopes).sum(2) * width.to(x)[:, None, None]

    width = torch.full((steps,), 1 / steps, dtype=torch.float64)
    low = torch.arange(steps, dtype=torch.float64) / steps
    ends = score(torch.arange(steps + 1, dtype=torch.float64) / steps, targets)  # the same pictures for every output
    made = parts(low, width, targets)

    def cut(output: torch.Tensor, ends: torch.Tensor, made: torch.Tensor) -> torch.Tensor:
        segments = _Segments(low, width, ends[:-1], ends[1:], made)
        while segments.lack() > missing and len(segments.low) < MOST * steps:
            segments = segments.cut(
                lambda at: score(at, output[None])[0], lambda low, width: parts(low, width, output[None])[0]
            )
        return segments.made.sum(0)

    return torch.stack([cut(*of_output) for of_output in zip(targets, ends, made, strict=True)])


@dataclass(frozen=True)
class _Segments:
    """Segments of the line from black to the picture, for one output, (s,) each, and their parts of its map (s, h, w).

    low, width: places in 0 … 1. before, after: scores at the two ends.
    """

    low: torch.Tensor
    width: torch.Tensor
    before: torch.Tensor
    after: torch.Tensor
    made: torch.Tensor

    def error(self) -> torch.Tensor:
        return self.made.double().sum((1, 2)) - (self.after - self.before)

    def lack(self) -> float:
        """The share of the score that the map's sum lacks, or has too much; 0 if neither has anything."""
        owed, error = (self.after - self.before).sum().abs(), self.error().sum().abs()
        return float(error / owed) if error > 0 else 0.0

    def cut(self, score: Callable, parts: Callable) -> "_Segments":
        """The quarter of the segments with the largest errors cut in three."""
        order = self.error().abs().argsort(descending=True, stable=True).cpu()
        cut, kept = order[: -(-len(order) // 4)], order[-(-len(order) // 4) :]
        third = self.width[cut] / 3
        starts = [self.low[cut], self.low[cut] + third, self.low[cut] + 2 * third]
        inner = [score(at) for at in starts[1:]]
        # the middle third has the midpoint, and so the gradient, of the whole segment
        pieces = [parts(starts[0], third), self.made[cut] / 3, parts(starts[2], third)]
        return _Segments(
            torch.cat([self.low[kept], *starts]),
            torch.cat([self.width[kept], third, third, third]),
            torch.cat([self.before[kept], self.before[cut], *inner]),
            torch.cat([self.after[kept], *inner, self.after[cut]]),
            torch.cat([self.made[kept], *pieces]),
        )


def noise_of(noise: float | str, side: int) -> float:
    """SmoothGrad's σ as a share of the range of values; "auto" is for a picture with this shorter ``side`` in pixels.

    Smilkov et al. advise 0.1 to 0.2 for photographs of about 224 pixels. In small pictures an object has few pixels,
    which the same noise hides: the maps of 32 pixels are clearest with 0.02 to 0.05.
    """
    return LARGEST_NOISE * min(1, side / FULL_SIDE) if noise == "auto" else noise


def _smoothgrad(model: Model, x: torch.Tensor, targets: torch.Tensor, parameters: dict, generator: torch.Generator):
    noise = noise_of(parameters["noise"], min(x.shape[2:]))
    chosen = {"samples": parameters["samples"], "noise": noise, "generator": generator}
    return smoothgrad(model.logits, x, targets, **chosen)


METHODS = {
    "gradient": Method(lambda model, x, t, p, g: saliency(model.logits, repeated(x, t), t)),
    "smoothgrad": Method(_smoothgrad),
    "gradient_x_input": Method(
        lambda model, x, t, p, g: gradient_x_input(model.net, model.normalise(repeated(x, t)), t), signed=True
    ),
    "integrated_gradients": Method(
        lambda model, x, t, p, g: integrated_gradients(model.logits, x, t, steps=p["steps"]), signed=True
    ),
}


def main(job: Job) -> None:
    def beside(model: Model) -> Left:
        with torch.no_grad():
            scores = model.logits(torch.zeros(1, model.channels, *model.preprocess.size, device=model.device))[0]
        return {"black": scores.float().cpu().numpy()}, {}

    attribute(job, METHODS, beside)


if __name__ == "__main__":
    run(main)
