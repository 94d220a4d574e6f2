"""What keeps a picture natural: penalties of pictures x (n, 3, h, w) in [0, 1], a number a picture, (n,).

They are sums over pixels and channels, as in the papers, so a weight means the same per pixel at every size.
"""

from collections.abc import Sequence

from torch import Tensor


def total_variation(x: Tensor, power: float = 1) -> Tensor:
    """Σ |x(i+1, j) - x(i, j)|^power + |x(i, j+1) - x(i, j)|^power. 1 keeps edges, 2 smooths them."""
    down, right = x.diff(dim=2).abs(), x.diff(dim=3).abs()
    return down.pow(power).flatten(1).sum(1) + right.pow(power).flatten(1).sum(1)


def l2(x: Tensor, centre: Sequence[float]) -> Tensor:
    """Σ (x - centre)²: the pull to one colour (Simonyan et al. 2014, whose pictures have their mean subtracted)."""
    return (x - x.new_tensor(centre)[:, None, None]).square().flatten(1).sum(1)
