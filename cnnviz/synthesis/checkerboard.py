"""The grid that strided convolution and pooling cause in gradients with respect to pixels.

Some pixels are in more windows of a convolution of stride s than others. These are always the same pixels modulo s. And
max-pooling sends a gradient to only one pixel of each window. So |∂S/∂I| has a pattern of period s: its spectrum has
peaks at the frequencies k/s, and its mean over the pixels of one position modulo s depends on the position (Odena,
Dumoulin, Olah 2016, doi:10.23915/distill.00003, for the same in generated pictures).
"""

import math

import numpy as np

from cnnviz.network.loaded import Model

MOST = 16  # largest tested stride
SHOWN = 3


def strides(model: Model) -> list[int]:
    """Distinct strides of the layers in pixels of the input, ascending, up to :data:`MOST`; only the first few."""
    side = model.preprocess.size[0]
    found = {round(side / layer.height) for layer in model.layers if layer.height > 1}
    return sorted(stride for stride in found if 1 < stride <= MOST)[:SHOWN]


def magnitude(gradients: np.ndarray) -> np.ndarray:
    """Mean over pictures of the norm of each pixel's gradient: (n, c, h, w) → (h, w).

    Each picture has the same weight, whatever the size of its gradient. The result is 0 if all gradients are 0.
    """
    length = np.sqrt(np.square(gradients, dtype=np.float64).sum(1))
    mean = length.mean((1, 2), keepdims=True)
    return np.divide(length, mean, out=np.zeros_like(length), where=mean > 0).mean(0)


def phases(size: np.ndarray, stride: int) -> np.ndarray:
    """Mean of ``size`` (h, w) over pixels of equal position modulo ``stride``, relative to all: (stride, stride)."""
    height, width = (side // stride * stride for side in size.shape)
    cells = size[:height, :width].reshape(height // stride, stride, width // stride, stride).mean((0, 2))
    return cells / cells.mean() if cells.mean() > 0 else np.ones_like(cells)


def spectrum(size: np.ndarray, period: int) -> np.ndarray:
    """Amplitudes of ``size`` (h, w) without its mean, frequency 0 in the centre, as (H, W), multiples of ``period``.

    The multiple puts every frequency k/period on a pixel. A Hann window removes the effect of the picture's edges.
    """
    height, width = (side // period * period for side in size.shape)
    part = size[:height, :width] - size[:height, :width].mean()
    window = np.hanning(height + 1)[:-1, None] * np.hanning(width + 1)[:-1]
    return np.fft.fftshift(np.abs(np.fft.fft2(part * window))) / window.sum()


def peak(amplitudes: np.ndarray, stride: int) -> float:
    """The largest amplitude at a frequency k/stride that no smaller stride has, divided by the median amplitude.

    The median is over frequencies from 1/(4 stride) of a cycle on; lower ones depend on the shape of objects. Without a
    grid the result is about 3, the largest of a few random numbers.
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
