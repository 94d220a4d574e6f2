"""Views equal closed forms and naive sampling."""

import math

import pytest
import torch
from scipy import ndimage

from cnnviz.ascent.transforms import (
    jitter,
    pad,
    random_rotation,
    random_scale,
    random_view,
    resize,
    robust,
    rotate,
    tent,
    window,
)


def random_pictures(*shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def any_view(output=None):
    return random_view(resolution=(0.45, 0.95), rotation=10, shift=0.05, zoom=0.08, output=output)


def test_identity_is_exact():
    x = random_pictures(2, 3, 9, 12)
    assert torch.equal(resize(x, (9, 12)), x)
    assert torch.equal(resize(x, (9, 12), scale=1.0), x)
    assert torch.equal(rotate(x, 0), x)
    assert torch.equal(jitter(0)(x, 0.0, torch.Generator()), x)
    still = random_view(resolution=(1, 1), rotation=0, shift=0, zoom=0)
    assert torch.equal(still(x, 0.0, torch.Generator()), x)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("output", [None, (20, 23)])
def test_constant_stays_constant(seed, output):
    x = torch.full((1, 3, 20, 23), 0.3, dtype=torch.float64)
    seen = any_view(output)(x, 0.7, torch.Generator().manual_seed(seed))
    torch.testing.assert_close(seen, torch.full_like(seen, 0.3), rtol=0, atol=1e-12)


def test_whole_pixel_shift_moves_pixels_and_reflects_the_rest():
    x = random_pictures(1, 1, 6, 7)
    moved = resize(x, (6, 7), scale=1.0, shift=(2, -1))
    expected = torch.nn.functional.pad(x, (1, 0, 0, 2), mode="reflect")[:, :, 2:8, 0:7]
    torch.testing.assert_close(moved, expected, rtol=0, atol=1e-12)


def test_a_larger_window_is_reflection_padding():
    x = random_pictures(1, 2, 6, 7)
    padded = resize(x, (10, 13), scale=1.0)
    torch.testing.assert_close(padded, torch.nn.functional.pad(x, (3, 3, 2, 2), mode="reflect"), rtol=0, atol=1e-12)


def test_resize_equals_torch_antialiased_bilinear():
    x = random_pictures(1, 2, 24, 31)
    for size in [(11, 17), (24, 31), (40, 50)]:
        theirs = torch.nn.functional.interpolate(x, size, mode="bilinear", antialias=True, align_corners=False)
        ours = resize(x, size)
        inner = (slice(None), slice(None), slice(3, -3), slice(3, -3))  # borders differ: ours reflects
        torch.testing.assert_close(ours[inner], theirs[inner], rtol=0, atol=1e-12)


def test_rotation_turns_a_smooth_picture_as_scipy_does():
    y, x = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    picture = (torch.sin(x / 7) * torch.cos(y / 9) + 0.02 * x).double()
    for degrees in (-10, 3, 10):
        ours = rotate(picture[None, None], degrees)[0, 0].numpy()
        theirs = ndimage.rotate(picture.numpy(), degrees, reshape=False, order=3, mode="mirror")
        assert abs(ours - theirs)[8:-8, 8:-8].max() < 0.02


def test_tent_rows_sum_to_one_and_reach_beyond_both_borders():
    positions = torch.linspace(-9, 14, 50, dtype=torch.float64)
    for width in (1.0, 2.5):
        weights = tent(positions, 6, width)
        torch.testing.assert_close(weights.sum(-1), torch.ones(50, dtype=torch.float64))
    assert tent(torch.tensor([-2.0, 7.0]), 6).argmax(-1).tolist() == [2, 3]


def test_view_depends_on_the_generator_only():
    x = random_pictures(3, 3, 20, 20)
    together = any_view()(x, 0.2, torch.Generator().manual_seed(5))
    alone = any_view()(x[1:2], 0.2, torch.Generator().manual_seed(5))
    torch.testing.assert_close(together[1:2], alone, rtol=0, atol=1e-14)
    assert not torch.equal(together, any_view()(x, 0.2, torch.Generator().manual_seed(6)).new_zeros(together.shape))


def test_low_resolutions_first():
    x = random_pictures(1, 1, 100, 100)
    generator = torch.Generator().manual_seed(0)
    first = [any_view()(x, 0.1, generator).shape[2] for _ in range(8)]
    second = [any_view()(x, 0.9, generator).shape[2] for _ in range(8)]
    assert max(first) <= 70 <= min(second) and min(first) >= 45 and max(second) <= 95
    assert len(set(first)) > 5


def test_backward_is_the_adjoint():
    """<v(x), y> = <x, v'(y)> for a linear view: the gradient is that of the matrix product, reflections included."""
    x = random_pictures(1, 3, 12, 13).requires_grad_()
    seen = any_view()(x, 0.9, torch.Generator().manual_seed(2))
    y = torch.randn(seen.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    (gradient,) = torch.autograd.grad((seen * y).sum(), x)
    assert math.isclose((seen * y).sum().item(), (x * gradient).sum().item(), rel_tol=1e-10)


def test_pad_and_window_are_each_others_undoing():
    x = random_pictures(1, 2, 12, 9)
    padded = pad(3)(x, 0.0, None)
    torch.testing.assert_close(padded, torch.nn.functional.pad(x, (3, 3, 3, 3), mode="reflect"), rtol=0, atol=1e-12)
    torch.testing.assert_close(window((12, 9))(padded, 0.0, None), x, rtol=0, atol=1e-12)


def test_scales_and_angles_fill_their_ranges():
    y, x = torch.meshgrid(torch.arange(41.0), torch.arange(41.0), indexing="ij")
    ramp = (x / 40).double()[None, None]  # its slope shows scale and angle
    scales, angles = [], []
    generator = torch.Generator().manual_seed(0)
    for _ in range(80):
        scaled = random_scale(0.9, 1.1)(ramp, 0.0, generator)
        scales.append(scaled.shape[3] / 41)
        turned = random_rotation(10)(ramp, 0.0, generator)[0, 0, 18:23, 18:23]
        down, right = turned.diff(dim=0).mean(), turned.diff(dim=1).mean()
        angles.append(math.degrees(math.atan2(down, right)))
    assert 0.89 < min(scales) < 0.92 and 1.08 < max(scales) < 1.11
    assert -10.2 < min(angles) < -8 and 8 < max(angles) < 10.2


def test_distills_transform_may_end_at_the_networks_size():
    x = random_pictures(2, 3, 40, 40)
    sizes = {robust()(x, 0.0, torch.Generator().manual_seed(seed)).shape[2:] for seed in range(8)}
    assert len(sizes) > 3 and all(0.9 * 64 <= side <= 1.1 * 64 for size in sizes for side in size)
    assert robust((40, 40))(x, 0.0, torch.Generator().manual_seed(0)).shape == x.shape
