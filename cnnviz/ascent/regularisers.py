"""What keeps a picture natural: penalties of pictures x (n, 3, h, w) in [0, 1], a number a picture, (n,).

They are sums over pixels and channels, as in the papers, so a weight means the same per pixel at every size.
"""

from collections.abc import Sequence

import torch
from torch import Tensor


def total_variation(x: Tensor, power: float = 1) -> Tensor:
    """Σ |x(i+1, j) - x(i, j)|^power + |x(i, j+1) - x(i, j)|^power. 1 keeps edges, 2 smooths them."""
    down, right = x.diff(dim=2).abs(), x.diff(dim=3).abs()
    return down.pow(power).flatten(1).sum(1) + right.pow(power).flatten(1).sum(1)


def l2(x: Tensor, centre: Sequence[float]) -> Tensor:
    """Σ (x - centre)²: the pull to one colour (Simonyan et al. 2014, whose pictures have their mean subtracted)."""
    return (x - x.new_tensor(centre)[:, None, None]).square().flatten(1).sum(1)


def border(x: Tensor, centre: Sequence[float]) -> Tensor:
    """Σ m⁴ (x - centre)², m from 0 in the middle to 1 at the edge: things stand whole in the picture."""
    down, right = (torch.linspace(-1, 1, side, dtype=x.dtype, device=x.device).abs() for side in x.shape[2:])
    weight = torch.maximum(down[:, None], right[None]) ** 4
    return (weight * (x - x.new_tensor(centre)[:, None, None]).square()).flatten(1).sum(1)
