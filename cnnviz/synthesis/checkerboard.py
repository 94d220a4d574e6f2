"""The grid that strided convolution and pooling leave in gradients with respect to pixels.

A convolution of stride s sees some pixels through more of its windows than others, always the same ones modulo s; and
max-pooling hands a gradient to one pixel of each window only. So |∂S/∂I| has a pattern of period s: in its spectrum
there are peaks at the frequencies k/s, and its mean over the pixels of equal place modulo s differs from place to place
(Odena, Dumoulin, Olah 2016, doi:10.23915/distill.00003, for the same in pictures that networks put out).
"""

import math

import numpy as np

from cnnviz.network.models import Model

MOST = 16  # the largest stride looked for
SHOWN = 3


def strides(model: Model) -> list[int]:
    """How many pixels there are to a position of each layer, up to :data:`MOST`: the first few that differ, rising."""
    side = model.preprocess.size[0]
    found = {round(side / layer.height) for layer in model.layers if layer.height > 1}
    return sorted(stride for stride in found if 1 < stride <= MOST)[:SHOWN]


def magnitude(gradients: np.ndarray) -> np.ndarray:
    """Mean over pictures of the length of each pixel's gradient: (n, c, h, w) → (h, w).

    Every picture counts alike, whatever the size of its gradient; where all are 0, so is this.
    """
    length = np.sqrt(np.square(gradients, dtype=np.float64).sum(1))
    mean = length.mean((1, 2), keepdims=True)
    return np.divide(length, mean, out=np.zeros_like(length), where=mean > 0).mean(0)


def phases(size: np.ndarray, stride: int) -> np.ndarray:
    """Mean of ``size`` (h, w) over pixels of equal place modulo ``stride``, relative to all: (stride, stride)."""
    height, width = (side // stride * stride for side in size.shape)
    cells = size[:height, :width].reshape(height // stride, stride, width // stride, stride).mean((0, 2))
    return cells / cells.mean() if cells.mean() > 0 else np.ones_like(cells)


def spectrum(size: np.ndarray, period: int) -> np.ndarray:
    """Amplitudes of ``size`` (h, w) without its mean, frequency 0 in the middle, as (H, W), multiples of ``period``.

    The multiple makes all frequencies k/period fall on a pixel. A Hann window keeps the picture's edges out.
    """
    height, width = (side // period * period for side in size.shape)
    part = size[:height, :width] - size[:height, :width].mean()
    window = np.hanning(height + 1)[:-1, None] * np.hanning(width + 1)[:-1]
    return np.fft.fftshift(np.abs(np.fft.fft2(part * window))) / window.sum()


def peak(amplitudes: np.ndarray, stride: int) -> float:
    """The largest amplitude at a frequency k/stride that no smaller stride has, in medians of the amplitudes.

    Only those at 1/(4 stride) of a cycle and beyond count for the median: what is slower is the shape of things.
    About 3 where there is no grid: the largest of a few random numbers.
    """
    middle = [side // 2 for side in amplitudes.shape]
    down, right = (np.arange(side) - side // 2 for side in amplitudes.shape)
    cycles = np.hypot(down[:, None] / amplitudes.shape[0], right / amplitudes.shape[1])
    floor = np.median(amplitudes[cycles >= 1 / stride / 4])
    steps = [side // stride for side in amplitudes.shape]
    at = [
        amplitudes[(middle[0] + i * steps[0]) % amplitudes.shape[0], (middle[1] + j * steps[1]) % amplitudes.shape[1]]
        for i in range(stride)
        for j in range(stride)
        if math.gcd(i, j, stride) == 1
    ]
    return float(max(at) / floor) if floor > 0 else 0.0
