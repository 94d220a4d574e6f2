"""The gradient of a logit with respect to the picture, and Simonyan's saliency map."""

from collections.abc import Callable

import torch

Score = Callable[[torch.Tensor], torch.Tensor]


def gradient(logits: Score, x: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """∂ logits(x)[i, target[i]] / ∂ x[i], of x's shape (n, c, h, w). target: (n,) int64."""
    x = x.detach().requires_grad_(True)
    score = logits(x).gather(1, target[:, None]).sum()  # a picture's score depends on no other picture
    return torch.autograd.grad(score, x)[0]


def gradients(logits: Score, x: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """:func:`gradient` for each of some outputs (t,), from one forward pass: (t, n, c, h, w)."""
    x = x.detach().requires_grad_(True)
    scores = logits(x)[:, targets].sum(0)
    last = len(targets) - 1
    return torch.stack([torch.autograd.grad(s, x, retain_graph=i < last)[0] for i, s in enumerate(scores)])


def saliency(logits: Score, x: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Simonyan's map: (n, h, w), ≥ 0, in logits per unit of pixel value."""
    return gradient(logits, x, target).abs().amax(1)


def repeated(x: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """One picture (1, c, h, w), repeated once per target."""
    return x.expand(len(targets), *x.shape[1:])
