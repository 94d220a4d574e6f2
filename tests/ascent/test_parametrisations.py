"""The Fourier parametrisation equals a naive sum of cosines, and its inverse."""

import math

import numpy as np
import torch

from cnnviz.ascent.parametrisations import AXES, DEVIATIONS, fourier, frequencies, pixels, waves


def opponent(picture: torch.Tensor) -> torch.Tensor:
    """Inverts sigmoid and colours: RGB in (0, 1) → output of the inverse transform."""
    rgb = torch.logit(picture)
    return torch.einsum("nchw,ca->nahw", rgb, torch.linalg.inv((AXES * DEVIATIONS[:, None]).to(rgb)))


def test_fourier_round_trip():
    for size in [(8, 8), (9, 12), (12, 9)]:
        start = fourier(size, [3, 4], dtype=torch.float64)
        picture = start.picture(start.variable)
        scale = 1 / frequencies(size).clamp(min=1 / max(size)).double()
        again = torch.fft.rfft2(opponent(picture), norm="ortho") / scale
        back = start.picture(torch.view_as_real(again))
        torch.testing.assert_close(back, picture, rtol=0, atol=1e-12)


def test_one_coefficient_is_one_wave():
    """A single real coefficient at (v, u) draws 2 s a cos(2π (v y / h + u x / w)) / √(h w) in luminance alone."""
    h, w, v, u, a = 10, 12, 2, 3, 0.4
    start = fourier((h, w), [0], dtype=torch.float64)
    spectrum = torch.zeros_like(start.variable)
    spectrum[0, 0, v, u, 0] = a
    waves = opponent(start.picture(spectrum))[0]
    y, x = np.mgrid[:h, :w]
    f = math.hypot(v / h, u / w)
    expected = 2 / f * a * np.cos(2 * np.pi * (v * y / h + u * x / w)) / math.sqrt(h * w)
    np.testing.assert_allclose(waves[0].numpy(), expected, atol=1e-12)
    np.testing.assert_allclose(waves[1:].numpy(), 0, atol=1e-12)


def test_start_is_grey_not_saturated_at_every_size():
    for side in (32, 64, 227):
        start = fourier((side, side), [0])
        picture = start.picture(start.variable)
        assert 0.45 < float(picture.mean()) < 0.55
        assert 0.002 < float(picture.std()) < 0.03


def test_a_start_depends_on_its_own_seed_only():
    together, alone = fourier((8, 8), [5, 6]), fourier((8, 8), [6])
    assert torch.equal(together.variable[1], alone.variable[0])
    assert not torch.equal(together.variable[0], together.variable[1])


def test_colour_axes_are_orthonormal():
    torch.testing.assert_close(AXES @ AXES.T, torch.eye(3))


def test_pixels_are_the_picture():
    x = torch.rand(1, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    start = pixels(x)
    assert torch.equal(start.picture(start.variable), x) and start.bounds == (0.0, 1.0)
    start.variable.zero_()
    assert x.abs().sum() > 0


def test_waves_start_with_the_given_pictures_to_the_bit_in_8_bits():
    for shape in [(2, 3, 9, 12), (1, 1, 12, 9)]:
        given = torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(0))
        start = waves(given.float() / 255)
        assert torch.equal((start.picture(start.variable) * 255).round().long(), given)


def test_a_step_along_the_gradient_of_waves_is_coarse_and_grey_first_and_leaves_black():
    x = torch.zeros(1, 3, 16, 16)
    start = waves(x)
    variable = start.variable.clone().requires_grad_()
    impulse = torch.zeros_like(x)
    impulse[:, 0, 8, 8] = 1  # one red pixel
    (gradient,) = torch.autograd.grad((start.picture(variable) * impulse).sum(), variable)
    moved = start.picture(start.variable + 0.1 * gradient)[0]
    assert (moved[:, 6:11, 6:11] > 0).all()  # also beside it, in all colours
    assert moved[0, 8, 8] > moved[1, 8, 8] > 0.5 * moved[0, 8, 8]
