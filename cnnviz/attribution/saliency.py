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

import torch

from cnnviz.attribution.gradients import Score, gradient, repeated, saliency
from cnnviz.attribution.probes import Left, Method, attribute
from cnnviz.network.loaded import Model
from cnnviz.run.job import Job, run

MISSING, MOST = 0.01, 9  # share of S(x) − S(black) that may lack; how many times as many steps may be taken


def smoothgrad(
    logits: Score,
    x: torch.Tensor,
    target: torch.Tensor,
    *,
    samples: int,
    noise: float,
    generator: torch.Generator,
    batch: int = 32,
) -> torch.Tensor:
    """Smilkov's map of one picture x (1, c, h, w): (1, h, w), ≥ 0. ``noise`` is σ, a share of max x − min x.

    The generator is on the CPU, so the same seed gives the same noise on every device.
    """
    sigma = noise * (x.max() - x.min())
    total = torch.zeros_like(x)
    for start in range(0, samples, batch):
        n = min(batch, samples - start)
        epsilon = torch.randn((n, *x.shape[1:]), generator=generator, dtype=x.dtype).to(x.device)
        total += gradient(logits, x + sigma * epsilon, target.expand(n)).sum(0, keepdim=True)
    return (total / samples).abs().amax(1)


def gradient_x_input(net: Score, z: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Signed maps (n, h, w): each pixel's contribution to the logit of a linear network. z: normalised pictures."""
    return (gradient(net, z, target) * z).sum(1)


def integrated_gradients(
    logits: Score,
    x: torch.Tensor,
    target: torch.Tensor,
    *,
    steps: int,
    black: float = 0.0,
    missing: float = MISSING,
    batch: int = 32,
) -> torch.Tensor:
    """Signed maps (n, h, w). Their sum over pixels is S(x) − S(black), of which a share of at most ``missing`` lacks.

    The integral runs along the straight line from a black picture, by the midpoint rule in ``steps`` equal segments.
    Segments whose part of the sum differs most from their part of the score are cut in three, until little is missing
    or there are ``MOST`` times as many. x, target: (n, …) as in gradient.
    """
    return torch.stack([
        _integrated(logits, one, output, steps, black, missing, batch) for one, output in zip(x, target, strict=True)
    ])  # fmt: skip


def _integrated(
    logits: Score, x: torch.Tensor, output: torch.Tensor, steps: int, black: float, missing: float, batch: int
) -> torch.Tensor:
    """The map (h, w) of one picture (c, h, w)."""

    def line(at: torch.Tensor) -> list[torch.Tensor]:
        return [black + (x - black) * part[:, None, None, None] for part in at.to(x).split(batch)]

    @torch.no_grad()
    def score(at: torch.Tensor) -> torch.Tensor:
        return torch.cat([logits(path)[:, output] for path in line(at)]).double()

    def parts(low: torch.Tensor, width: torch.Tensor) -> torch.Tensor:
        slopes = torch.cat([gradient(logits, path, output.expand(len(path))) for path in line(low + width / 2)])
        return ((x - black) * slopes).sum(1) * width.to(x)[:, None, None]

    width = torch.full((steps,), 1 / steps, dtype=torch.float64)
    low = torch.arange(steps, dtype=torch.float64) / steps
    ends = score(torch.arange(steps + 1, dtype=torch.float64) / steps)
    before, after, made = ends[:-1], ends[1:], parts(low, width)
    while True:
        owed = after - before
        error = made.double().sum((1, 2)) - owed
        if error.sum().abs() <= missing * owed.sum().abs() or len(low) >= MOST * steps:
            return made.sum(0)
        order = error.abs().argsort(descending=True, stable=True).cpu()
        cut, kept = order[: -(-len(order) // 4)], order[-(-len(order) // 4) :]
        third = width[cut] / 3
        starts = [low[cut], low[cut] + third, low[cut] + 2 * third]
        inner = [score(at) for at in starts[1:]]
        # the middle third has the midpoint, and so the gradient, of the whole segment
        pieces = [parts(starts[0], third), made[cut] / 3, parts(starts[2], third)]
        made = torch.cat([made[kept], *pieces])
        before, after = torch.cat([before[kept], before[cut], *inner]), torch.cat([after[kept], *inner, after[cut]])
        low, width = torch.cat([low[kept], *starts]), torch.cat([width[kept], third, third, third])


def _smoothgrad(model: Model, x: torch.Tensor, targets: torch.Tensor, parameters: dict, generator: torch.Generator):
    state, maps = generator.get_state(), []
    for target in targets:
        generator.set_state(state)  # every class has the same noise
        chosen = {"samples": parameters["samples"], "noise": parameters["noise"], "generator": generator}
        maps.append(smoothgrad(model.logits, x, target[None], **chosen))
    return torch.cat(maps)


METHODS = {
    "gradient": Method(lambda model, x, t, p, g: saliency(model.logits, repeated(x, t), t)),
    "smoothgrad": Method(_smoothgrad),
    "gradient_x_input": Method(
        lambda model, x, t, p, g: gradient_x_input(model.net, model.normalise(repeated(x, t)), t), signed=True
    ),
    "integrated_gradients": Method(
        lambda model, x, t, p, g: integrated_gradients(model.logits, repeated(x, t), t, steps=p["steps"]), signed=True
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
