"""Parametrisations: the optimiser's variable and the picture it stands for.

Pictures are (n, c, h, w) in [0, 1], RGB if c = 3.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

# Principal axes of the colours of photographs, from 120 ImageNet pictures: luminance, yellow-blue, green-magenta.
# The standard deviations are 0.432, 0.132 and 0.060; here relative to the first. Rows are axes, columns R, G, B.
AXES = torch.tensor([[1.0, 1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 2.0, -1.0]]) / torch.tensor([[3.0], [2.0], [6.0]]).sqrt()
DEVIATIONS = torch.tensor([1.0, 0.30, 0.14])


@dataclass(frozen=True)
class Parametrisation:
    """variable: what the optimiser changes, (n, …). picture: variable → pictures. bounds: clip limits, or None."""

    variable: Tensor
    picture: Callable[[Tensor], Tensor]
    bounds: tuple[float, float] | None = None


def pixels(start: Tensor) -> Parametrisation:
    """The pixels themselves, from ``start`` (n, c, h, w), kept in [0, 1]."""
    return Parametrisation(start.clone(), lambda variable: variable, (0.0, 1.0))


def fourier(
    size: tuple[int, int],
    seeds: Sequence[int],
    *,
    channels: int = 3,
    deviation: float = 0.01,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> Parametrisation:
    """A spectrum in decorrelated colours through a sigmoid (Olah et al. 2017), random from a seed for each picture.

    picture = σ(C · F⁻¹(s(f) · z)). z (n, c, h, w // 2 + 1, 2) is the variable, at first N(0, deviation²). s = 1/f, as
    in photographs, so a step changes large structures before fine ones. F⁻¹ is the orthonormal inverse transform. C
    turns luminance, yellow-blue and green-magenta into RGB with the spread that they have in photographs; other numbers
    of channels than three are unchanged. σ(0) is grey.

    f is in cycles per pixel and the transform is orthonormal, so the spread hardly depends on the size. With another
    factor of √(h w) the picture would be saturated at the start, and would stay so.
    """
    height, width = size
    shape = (channels, height, width // 2 + 1, 2)
    scale = 1 / frequencies(size).clamp(min=1 / max(size)).to(device, dtype)
    colour = (AXES * DEVIATIONS[:, None] if channels == 3 else torch.eye(channels)).to(device, dtype)
    start = [torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype) for seed in seeds]

    def picture(spectrum: Tensor) -> Tensor:
        waves = torch.view_as_complex(spectrum * scale[:, :, None])
        opponent = torch.fft.irfft2(waves, s=size, norm="ortho")
        return torch.sigmoid(torch.einsum("nahw,ac->nchw", opponent, colour))

    return Parametrisation(torch.stack(start).to(device) * deviation, picture)


def waves(start: Tensor) -> Parametrisation:
    """The spectrum of :func:`fourier`, of given pictures ``start`` (n, c, h, w): they are its first pictures.

    picture = ½ + ¼ C · F⁻¹(s(f) · z), cut to [0, 1]: the tangent of that sigmoid at grey, so that black and white are
    possible, and can be left again, since the cut passes every gradient. In pixels, an ascent through a network without
    max pooling, or with a strided first layer, ends in specks that this network alone sees. In these waves, large
    structures and colours come first (Mordvintsev et al. 2018).
    """
    channels, height, width = start.shape[1:]
    scale = (1 / frequencies((height, width)).clamp(min=1 / max(height, width))).to(start)
    colour = (AXES * DEVIATIONS[:, None] if channels == 3 else torch.eye(channels)).to(start) / 4
    opponent = torch.einsum("nchw,ca->nahw", start - 0.5, torch.linalg.inv(colour))
    spectrum = torch.view_as_real(torch.fft.rfft2(opponent, norm="ortho") / scale)

    def picture(spectrum: Tensor) -> Tensor:
        opponent = torch.fft.irfft2(torch.view_as_complex(spectrum) * scale, s=(height, width), norm="ortho")
        x = 0.5 + torch.einsum("nahw,ac->nchw", opponent, colour)
        return x + (x.clamp(0, 1) - x).detach()

    return Parametrisation(spectrum.contiguous(), picture)


def frequencies(size: tuple[int, int]) -> Tensor:
    """|f| in cycles per pixel of each coefficient of ``torch.fft.rfft2``: (h, w // 2 + 1)."""
    return torch.hypot(torch.fft.fftfreq(size[0])[:, None], torch.fft.rfftfreq(size[1])[None])
