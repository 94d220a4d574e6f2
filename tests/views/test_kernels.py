"""The parts of kernels: of kernels that are known beforehand, and of noise."""

import numpy as np
import pytest

from cnnviz.views.kit import kernels

KNOWN = {
    "flat": [[1, 1, 1], [1, 1, 1], [1, 1, 1]],
    "edge": [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]],
    "spot": [[-1, -1, -1], [-1, 8, -1], [-1, -1, -1]],
    "stripe": [[0, 1, 0], [-1, 0, -1], [0, 1, 0]],
}


def test_each_known_kernel_is_its_own_part():
    for k, name in enumerate(kernels.PARTS):
        shares = kernels.energies(np.array(KNOWN[name], float)[None, None])
        assert shares[k].item() == pytest.approx(1)
    line = np.array([[-1, 2, -1]] * 3, float)
    assert kernels.energies(line[None, None]).ravel() == pytest.approx([0, 0, 0.5, 0.5])


@pytest.mark.parametrize("shape", [(3, 3), (5, 5), (4, 4), (1, 7), (3, 5), (2, 2)])
def test_the_parts_are_orthogonal_and_noise_has_the_share_of_their_dimensions(shape):
    noise = np.random.default_rng(0).normal(size=(3000, 1, *shape))
    parts = list(kernels.parts(noise).values())
    np.testing.assert_allclose(sum(parts), noise, atol=1e-12)
    for i, a in enumerate(parts):
        for b in parts[i + 1 :]:
            np.testing.assert_allclose((a * b).sum((2, 3)), 0, atol=1e-10)
    even = kernels.chance(*shape)
    assert even.sum() == pytest.approx(1) and even.min() >= 0
    assert [np.square(p).sum() / np.square(noise).sum() for p in parts] == pytest.approx(even, abs=0.02)


def test_a_layer_of_spots_is_found_and_noise_is_not():
    noise = np.random.default_rng(1).normal(size=(40, 1, 3, 3))
    said, measured = kernels.found(noise, "conv2", "sheet")
    assert said.strength == "not found" and abs(measured.effect) < 0.1 and "no pattern" in said.says
    said, measured = kernels.found(noise / 10 + KNOWN["spot"], "conv2", "sheet")
    assert said.strength == "found" and measured.low > 0.8 and "mainly spots" in said.says
    assert kernels.found(np.zeros((4, 1, 3, 3)), "conv2", "sheet")[0].strength == "not found"
