"""Saliency: the gradient of a logit with respect to the picture.

Saliency (Simonyan, Vedaldi, Zisserman 2013, arXiv:1312.6034):

    M = max over channels of |∂ S_c(x) / ∂ x|

SmoothGrad (Smilkov et al. 2017, arXiv:1706.03825):

    M = max over channels of |mean over i of ∂ S_c(x + ε_i) / ∂ x|,  ε_i ~ N(0, (σ (max x − min x))²)

Gradient × input (Shrikumar et al. 2016, arXiv:1605.01713):

    M = Σ over channels of z · ∂ S_c / ∂ z,  z the normalised picture

Integrated gradients (Sundararajan, Taly, Yan 2017, arXiv:1703.01365), from a black picture x':

    M = Σ over channels of (x − x') · ∫₀¹ ∂ S_c(x' + a (x − x')) / ∂ x da

S_c is the logit of the class. Pictures are in [0, 1], RGB if they have three channels. :mod:`cnnviz.attribution.probes`
lists what the result holds.
"""

from functools import partial

import torch

from cnnviz.attribution.gradients import Score, gradient, repeated, saliency
from cnnviz.attribution.probes import Method, attribute
from cnnviz.network.loaded import Model
from cnnviz.run.job import run


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


def integrated_gradients(logits: Score, x: torch.Tensor, target: torch.Tensor, *, steps: int, black: float = 0.0):
    """Signed maps (n, h, w). Their sum over pixels tends to S(x) − S(black) as steps grow. x, target (n, …) as in
    gradient.

    The integral runs along the straight line from a black picture, by the midpoint rule.
    """
    total = torch.zeros_like(x)
    for k in range(steps):
        total += gradient(logits, black + (x - black) * ((k + 0.5) / steps), target)
    return ((x - black) * total / steps).sum(1)


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

main = partial(attribute, methods=METHODS)

if __name__ == "__main__":
    run(main)
