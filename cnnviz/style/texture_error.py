"""How far pictures are from a texture, by random filters instead of a network (Ustyuzhaninov et al. 2017).

A network that judges its own pictures finds its own specks alike. One layer of random filters of several sizes was not
asked while a picture was made, knows no network, and suffices to make textures that people accept.
"""

import torch
from torch import Tensor
from torch.nn.functional import conv2d

from cnnviz.ascent.objective_functions import covariance

SIDES, COUNT = (3, 7, 15), 32  # the filters' sides in pixels, and the number of filters of each


def texture_error(pictures: Tensor, style: Tensor, content: Tensor) -> Tensor:
    """The mean over filter sizes of ‖C(I) - C(style)‖² / ‖C(content) - C(style)‖² of each picture: (n,).

    pictures: (n, c, h, w) in [0, 1]. style, content: (1, c, h, w), of any size. C: covariance over positions of the
    rectified responses. So it is 0 for the style and 1 for the content. The filters' weights sum to 0, so they see
    differences within the picture only, and not its mean colour.
    """
    found = []
    for side in [side for side in SIDES if side <= min(*pictures.shape[2:], *style.shape[2:])]:
        filters = _filters(side, pictures.shape[1]).to(pictures)
        ours, wanted, before = (covariance(conv2d(x, filters)) for x in (pictures, style, content))
        apart, norm = ((c - wanted).square().sum((1, 2)) for c in (ours, before))
        found.append(apart / norm.clamp(min=1e-12))
    return torch.stack(found).mean(0)


def _filters(side: int, channels: int) -> Tensor:
    """Normal random filters without a mean, of length 1 each: (COUNT, channels, side, side)."""
    weights = torch.randn(COUNT, channels, side, side, generator=torch.Generator().manual_seed(side))
    weights = weights - weights.mean((2, 3), keepdim=True)
    return weights / weights.flatten(1).norm(dim=1)[:, None, None, None]
