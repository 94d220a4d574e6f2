"""Regularisers that make a picture look natural.

Penalties take pictures x (n, c, h, w) in [0, 1] and return one number per picture, (n,). They are sums over pixels and
channels, as in the papers, so a weight has the same effect per pixel at every size.

Operations between steps (Yosinski et al. 2015, §3) are ``operation(x, gradient, step)`` → x, with steps counted from 1.
They replace removed values by the neutral colour ``centre``, which is 0 in pictures with their mean subtracted.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from cnnviz.ascent.transforms import tent

Between = Callable[[Tensor, Tensor, int], Tensor]
GREY = (0.486, 0.465, 0.428)  # the mean colour of photographs, R, G, B


def grey(channels: int) -> tuple[float, ...]:
    """The usual ``centre``: the mean colour of photographs, or the middle of channels that are no R, G and B."""
    return GREY if channels == 3 else (0.5,) * channels


def total_variation(x: Tensor, power: float = 1) -> Tensor:
    """Σ |x(i+1, j) - x(i, j)|^power + |x(i, j+1) - x(i, j)|^power. 1 keeps edges, 2 smooths them.

    Power 2 is the TV² of Mahendran & Vedaldi (2015), who take the power of the two differences' norm.
    """
    down, right = x.diff(dim=2).abs(), x.diff(dim=3).abs()
    return down.pow(power).flatten(1).sum(1) + right.pow(power).flatten(1).sum(1)


def smooth_variation(x: Tensor, smooth: float = 0.01) -> Tensor:
    """:func:`total_variation` of power 1, but with √(d² + smooth²) - smooth for |d|.

    Its gradient does not jump at d = 0, so L-BFGS, which infers the curvature from gradients, can minimise it.
    """
    down, right = (d.square().add(smooth**2).sqrt().sub(smooth) for d in (x.diff(dim=2), x.diff(dim=3)))
    return down.flatten(1).sum(1) + right.flatten(1).sum(1)


def l2(x: Tensor, centre: Sequence[float]) -> Tensor:
    """Σ (x - centre)² (Simonyan et al. 2014, whose pictures have their mean subtracted)."""
    return (x - x.new_tensor(centre)[:, None, None]).square().flatten(1).sum(1)


def l6(x: Tensor, centre: Sequence[float]) -> Tensor:
    """Σ (x - centre)⁶: flat in the middle of the range, steep at its ends (Mahendran & Vedaldi 2015)."""
    return (x - x.new_tensor(centre)[:, None, None]).pow(6).flatten(1).sum(1)


def border(x: Tensor, centre: Sequence[float]) -> Tensor:
    """Σ m⁴ (x - centre)², m from 0 in the centre to 1 at the edge: it keeps objects wholly inside the picture."""
    down, right = (torch.linspace(-1, 1, side, dtype=x.dtype, device=x.device).abs() for side in x.shape[2:])
    weight = torch.maximum(down[:, None], right[None]) ** 4
    return (weight * (x - x.new_tensor(centre)[:, None, None]).square()).flatten(1).sum(1)


def decay(share: float, centre: Sequence[float]) -> Between:
    """Moves ``share`` of the way to ``centre`` in each step: the L2 penalty as an operation."""
    return lambda x, gradient, step: x + share * (_colour(x, centre) - x)


def blur(radius: float, every: int) -> Between:
    """Blurs by a Gaussian of standard deviation ``radius`` pixels every ``every`` steps, reflected at the edge."""

    def operation(x: Tensor, gradient: Tensor, step: int) -> Tensor:
        if step % every:
            return x
        down, right = (_gaussian(side, radius).to(x) for side in x.shape[2:])
        return down @ x @ right.T

    return operation


def clip_small_norms(percent: float, centre: Sequence[float]) -> Between:
    """Sets the ``percent`` % of the pixels that are nearest to ``centre`` (L2 over the channels) to it."""

    def operation(x: Tensor, gradient: Tensor, step: int) -> Tensor:
        return _clip(x, (x - _colour(x, centre)).norm(dim=1, keepdim=True), percent, centre)

    return operation


def clip_small_contributions(percent: float, centre: Sequence[float]) -> Between:
    """Sets the ``percent`` % of the pixels with the smallest |Σ_c g · (x - centre)|, g the gradient, to ``centre``."""

    def operation(x: Tensor, gradient: Tensor, step: int) -> Tensor:
        contribution = ((x - _colour(x, centre)) * gradient).sum(1, keepdim=True).abs()
        return _clip(x, contribution, percent, centre)

    return operation


def _colour(x: Tensor, centre: Sequence[float]) -> Tensor:
    return x.new_tensor(centre)[:, None, None]


def _clip(x: Tensor, size: Tensor, percent: float, centre: Sequence[float]) -> Tensor:
    threshold = size.flatten(1).quantile(percent / 100, dim=1)
    return torch.where(size < threshold[:, None, None, None], _colour(x, centre), x)


def _gaussian(side: int, radius: float) -> Tensor:
    """(side, side): row i holds the weights of pixel i of the blurred line. They sum to 1."""
    reach = max(1, round(4 * radius))
    offsets = torch.arange(-reach, reach + 1, dtype=torch.float64)
    weights = torch.exp(-0.5 * (offsets / radius) ** 2)
    rows = tent(torch.arange(side, dtype=torch.float64)[:, None] + offsets, side)  # (side, offsets, side): one-hot
    return torch.einsum("o,iok->ik", weights / weights.sum(), rows)
