"""Random transforms of the view. They make the result robust: it cannot be noise that fits one pixel grid.

A transform is ``transform(x, progress, generator)``: pictures (n, 3, h, w) → views of them, differentiable. progress in
[0, 1) is the share of the ascent that is done. All pictures of a batch get the same view, so none depends on another.

Every geometric transform is a product with a fixed matrix. Its rows are tent weights around a position; positions
beyond the border are reflected. So its backward pass is deterministic on every device. The backward passes of torch's
interpolation, grid sampling and reflection padding are not deterministic on CUDA.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

Transform = Callable[[Tensor, float, torch.Generator], Tensor]


def tent(positions: Tensor, size: int, width: float = 1.0) -> Tensor:
    """Weights that sample a line of ``size`` pixels at ``positions`` (…, m) (0 = centre of the first): (…, m, size).

    width: the tent's half-width in pixels. 1 is linear interpolation, s > 1 antialiases a reduction by s. Each row sums
    to 1.
    """
    distance = (_reflected(positions, size)[..., None] - torch.arange(size, device=positions.device)).abs()
    weights = (1 - distance / width).clamp(min=0)
    return weights / weights.sum(-1, keepdim=True)


def _reflected(positions: Tensor, size: int) -> Tensor:
    """Positions reflected into [0, size - 1]; the border pixel is not repeated."""
    period = max(2 * (size - 1), 1)
    return size - 1 - (positions % period - (size - 1)).abs()


def resize(
    x: Tensor, size: tuple[int, int], *, scale: float | None = None, shift: tuple[float, float] = (0.0, 0.0)
) -> Tensor:
    """A window of ``size`` output pixels on the pictures, antialiased, reflected at the border.

    scale: output pixels per input pixel (None: the window just covers the picture, on each axis by itself). shift:
    offset of the window's centre from the picture's, (down, right) in input pixels. Padding is a window larger than the
    picture at scale 1; jitter is a shift.
    """
    matrices = []
    for old, new, offset in zip(x.shape[2:], size, shift, strict=True):
        ratio = scale or new / old
        steps = torch.arange(new, dtype=torch.float64) - (new - 1) / 2
        weights = tent(steps / ratio + (old - 1) / 2 + offset, old, max(1.0, 1 / ratio))
        matrices.append(weights.to(x))
    return matrices[0] @ x @ matrices[1].T


def rotate(x: Tensor, degrees: float) -> Tensor:
    """Rotates about the centre, counter-clockwise, by three shears (Paeth 1986). Corners are filled by reflection."""
    if degrees == 0:
        return x
    angle = math.radians(degrees)
    x = _shear(x, -math.tan(angle / 2))
    x = _shear(x.transpose(2, 3), math.sin(angle)).transpose(2, 3)
    return _shear(x, -math.tan(angle / 2))


def _shear(x: Tensor, slope: float) -> Tensor:
    """Row y of the result is row y of x, read ``slope`` × (y - centre) pixels further right.

    The matrix of a shear has two entries per row, so its product is two gathers. The backward pass of each adds at most
    two terms to a pixel (one direct, one reflected), and a sum of two terms does not depend on their order.
    """
    height, width = x.shape[2:]
    rows = torch.arange(height, dtype=torch.float64) - (height - 1) / 2
    inside = _reflected(torch.arange(width) + slope * rows[:, None], width)
    left = inside.floor().clamp(max=max(width - 2, 0))
    share = (inside - left).to(x)
    left = left.long().to(x.device).expand(x.shape)
    right = (left + 1).clamp(max=width - 1)
    return x.gather(3, left) * (1 - share) + x.gather(3, right) * share


def random_view(
    *,
    resolution: tuple[float, float],
    rotation: float,
    shift: float,
    zoom: float,
    output: tuple[int, int] | None = None,
    fitting: Callable[[float], int] = round,
) -> Transform:
    """One random resolution, rotation, shift and zoom per step, all uniform.

    resolution: output pixels per input pixel, (from, to). The first half of the ascent uses the lower half of the
    range, the second the upper half. In a small view the whole object fits into the receptive field; a large view draws
    detail. rotation: ± degrees. shift: ± share of the side. zoom: ± share. output: the view's size for a network with
    one input size (the picture is then shrunk inside it, with reflected surroundings), or None: the resolution sets the
    view's size. fitting: a side's length in pixels → the nearest one that the network takes, see Model.fitting.
    """
    low, high = resolution

    def transform(x: Tensor, progress: float, generator: torch.Generator) -> Tensor:
        u = torch.rand(5, generator=generator, dtype=torch.float64).tolist()
        ratio = low + (high - low) * (u[0] + (progress >= 0.5)) / 2
        height, width = x.shape[2:]
        size = output or (fitting(height * ratio), fitting(width * ratio))
        offset = (height * shift * (2 * u[1] - 1), width * shift * (2 * u[2] - 1))
        x = resize(x, size, scale=ratio * (1 + zoom * (2 * u[3] - 1)), shift=offset)
        return rotate(x, rotation * (2 * u[4] - 1))

    return transform


def jitter(pixels: int) -> Transform:
    """Shifts by up to ± ``pixels`` whole pixels, reflected at the border."""

    def transform(x: Tensor, progress: float, generator: torch.Generator) -> Tensor:
        down, right = torch.randint(-pixels, pixels + 1, (2,), generator=generator).tolist()
        return resize(x, tuple(x.shape[2:]), scale=1.0, shift=(down, right))

    return transform


def pad(pixels: int) -> Transform:
    """Adds ``pixels`` on every side, by reflection, so that the picture's edge has surroundings."""

    def transform(x: Tensor, progress: float, generator: torch.Generator) -> Tensor:
        return resize(x, (x.shape[2] + 2 * pixels, x.shape[3] + 2 * pixels), scale=1.0)

    return transform


def random_scale(low: float, high: float) -> Transform:
    """Scales by a factor in [low, high], antialiased. The view's size changes with it."""

    def transform(x: Tensor, progress: float, generator: torch.Generator) -> Tensor:
        ratio = low + (high - low) * float(torch.rand((), generator=generator, dtype=torch.float64))
        return resize(x, (round(x.shape[2] * ratio), round(x.shape[3] * ratio)), scale=ratio)

    return transform


def random_rotation(degrees: float) -> Transform:
    """Rotates by up to ± ``degrees``."""

    def transform(x: Tensor, progress: float, generator: torch.Generator) -> Tensor:
        return rotate(x, degrees * (2 * float(torch.rand((), generator=generator, dtype=torch.float64)) - 1))

    return transform


def window(size: tuple[int, int]) -> Transform:
    """The centre ``size`` pixels, with reflection if there are fewer: for networks with one input size."""
    return lambda x, progress, generator: resize(x, size, scale=1.0)


def robust(
    size: tuple[int, int] | None = None, share: float = 1.0, fitting: Callable[[float], int] = round
) -> Transform:
    """Pad 12, jitter 8, scale 0.9 to 1.1, rotate ± 10°, jitter 4 (Olah et al. 2017); size: see :func:`window`.

    fitting: see :func:`random_view`. share: factor of these pixels, for pictures smaller than the 128 pixels for which
    they are stated. All operations except the rotation are one product with one matrix per side; one by one they took
    as long as a small network.
    """
    edge, far, near = (max(1, round(pixels * share)) for pixels in (12, 8, 4))

    def transform(x: Tensor, progress: float, generator: torch.Generator) -> Tensor:
        first, then = (torch.randint(-by, by + 1, (2,), generator=generator).tolist() for by in (far, near))
        u, v = torch.rand(2, generator=generator, dtype=torch.float64).tolist()
        ratio = 0.9 + 0.2 * u
        shift = tuple(a + b / ratio for a, b in zip(first, then, strict=True))
        view = size or tuple(fitting((side + 2 * edge) * ratio) for side in x.shape[2:])
        return rotate(resize(x, view, scale=ratio, shift=shift), 10 * (2 * v - 1))

    return transform


def random_cast(deviation: float) -> Transform:
    """Adds one random colour to the whole view, N(0, deviation²) per channel without its grey part.

    So the objective cannot depend on the colour of the light; without this many pictures turn blue.
    """

    def transform(x: Tensor, progress: float, generator: torch.Generator) -> Tensor:
        colour = torch.randn(x.shape[1], generator=generator, dtype=torch.float64) * deviation
        return x + (colour - colour.mean()).to(x)[:, None, None]

    return transform


def in_turn(*transforms: Transform) -> Transform:
    """Applies the transforms in order."""

    def transform(x: Tensor, progress: float, generator: torch.Generator) -> Tensor:
        for change in transforms:
            x = change(x, progress, generator)
        return x

    return transform
