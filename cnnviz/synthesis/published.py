"""Published methods for class pictures, as settings of one loop.

- no regulariser: plain ascent with momentum.
- L2 (Simonyan et al. 2014, §2): argmax S(I) - λ‖I - grey‖², momentum 0.9, from the mean picture.
- four settings of Yosinski et al. 2015 (table 1): operations on the pixels between steps, from grey and a little noise:
  decay towards grey, a Gaussian blur every few steps, and clips, which set small pixels ("norm") or pixels of little
  influence on the score ("contribution", |Σ_c ∂S/∂I · (I - grey)|) to grey.
- Fourier (Olah et al. 2017): a spectrum in decorrelated colours, Adam with rate 0.05, random views.

The published numbers are converted to pixels in [0, 1]. Those authors subtract the mean picture, so their 0 is ``grey``
here. Decay is a share of the way to grey, blur a radius in pixels, and both clips are percentiles. None of them depends
on the range of the pixels, so they are used unchanged. The start's noise of 10 grey levels is 10/255. The step does
depend on range and network: the authors add 100 × the gradient for levels 0 … 255, or as much of it as promises 2 more
of the score, tuned to one network. Here a step is rate × gradient / mean |gradient|, so ``rate`` is the mean change of
a pixel. The rates were chosen by eye, on SqueezeNet and on the demo's network.

With steps of that length an L2 penalty would be strong at first and weak later, as gradients grow. So it is stated in
the same unit, the average gradient: each step takes the share s = a / (1 + a), a = 20 rate λ', of the way to grey. A
picture that no longer changes is a stationary point of S - λ‖I - grey‖² for λ = λ' · mean |∂S/∂I| there (the 20 is a 2,
and a 10 for momentum 0.9), and 1/(2λ') is the mean distance of its pixels to grey.
"""

from dataclasses import dataclass

import torch

from cnnviz.ascent import regularisers
from cnnviz.ascent.loop import Ascent, Optimiser, adam, ascend, normalised
from cnnviz.ascent.objective_functions import Objective
from cnnviz.ascent.parametrisations import Parametrisation, fourier, pixels
from cnnviz.ascent.transforms import robust
from cnnviz.network.loaded import Model

FEWEST = 64  # smallest number of steps, so that the stages 0, 4, 48 and the last exist
MOMENTUM = 0.9
NOISE = 10 / 255  # standard deviation of the start's pixels


@dataclass(frozen=True)
class Setting:
    """A published setting.

    steps: as published. start: "grey", "noise" or "spectrum". rate: of a normalised step, or of Adam. decay: share per
    step. blur: (radius in pixels, period in steps). norm, contribution: percentiles to set to grey. l2: whether an L2
    penalty is used. words: what a reader must know of it.
    """

    name: str
    words: str
    steps: int
    start: str
    rate: float
    momentum: float = 0.0
    decay: float = 0.0
    blur: tuple[float, int] | None = None
    norm: float = 0.0
    contribution: float = 0.0
    l2: bool = False


SETTINGS = (
    Setting("no regulariser", "plain ascent of the pixels, momentum 0.9", 200, "grey", 0.003, MOMENTUM),
    Setting("L2", "Simonyan's penalty, momentum 0.9", 200, "grey", 0.003, MOMENTUM, l2=True),
    Setting("blur, norm", "blur 0.5 every 4, norm 50 %", 500, "noise", 0.01, blur=(0.5, 4), norm=50),
    Setting("decay, norm", "decay 0.3, norm 20 %", 750, "noise", 0.1, decay=0.3, norm=20),
    Setting("blur", "decay 0.0001, blur 1.0 every 4", 1000, "noise", 0.01, decay=1e-4, blur=(1.0, 4)),
    Setting(
        "blur, contribution", "blur 0.5 every 4, contribution 90 %", 1000, "noise", 0.03, blur=(0.5, 4), contribution=90
    ),
    Setting("Fourier, views", "Adam 0.05 on a spectrum, random views", 512, "spectrum", 0.05),
)  # fmt: skip
BLUR = SETTINGS[4]  # most of the paper's pictures are made with it


def steps(setting: Setting, share: float) -> int:
    """``share`` of the published number of steps, but at least :data:`FEWEST`."""
    return max(FEWEST, round(share * setting.steps))


def share_of_l2(rate: float, weight: float) -> float:
    """Share of the way to grey that each step takes for λ' = ``weight``; see the module's docstring."""
    pull = 2 * weight * rate / (1 - MOMENTUM)
    return pull / (1 + pull)


def optimiser(setting: Setting, times: float = 1.0) -> Optimiser:
    """times: the learning rate, as a multiple of the setting's."""
    if setting.start == "spectrum":
        return adam(setting.rate * times)
    return normalised(setting.rate * times, factor=setting.momentum)


def operations(setting: Setting, centre: tuple[float, ...], l2: float) -> list[regularisers.Between]:
    """Operations on the pixels after each step, in the order of the authors' code: decay, blur, clips."""
    found = []
    if setting.l2:
        found.append(regularisers.decay(share_of_l2(setting.rate, l2), centre))
    if setting.decay:
        found.append(regularisers.decay(setting.decay, centre))
    if setting.blur:
        found.append(regularisers.blur(*setting.blur))
    if setting.norm:
        found.append(regularisers.clip_small_norms(setting.norm, centre))
    if setting.contribution:
        found.append(regularisers.clip_small_contributions(setting.contribution, centre))
    return found


def start(model: Model, kind: str, seeds: list[int], centre: tuple[float, ...]) -> Parametrisation:
    """One start per seed, of the network's own size: grey, grey and noise, or a spectrum."""
    size = model.preprocess.size
    if kind == "spectrum":
        return fourier(size, seeds, channels=model.channels, device=model.device)
    plain = torch.tensor(centre)[:, None, None].expand(model.channels, *size)
    noise = [torch.randn(plain.shape, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
    strength = NOISE if kind == "noise" else 0.0
    return pixels(torch.stack([plain + strength * one for one in noise]).clamp(0, 1).to(model.device))


def climb(
    model: Model,
    setting: Setting,
    score: Objective,
    begin: Parametrisation,
    centre: tuple[float, ...],
    *,
    steps: int,
    l2: float,
    any_size: bool,
    seed: int,
    stages: tuple[int, ...],
    times: float = 1.0,
) -> Ascent:
    """One ascent under ``setting``. l2: λ'. any_size: whether the network takes views of other sizes than its own."""
    views = setting.start == "spectrum"
    return ascend(
        model,
        {"score": score},
        begin,
        steps=steps,
        optimiser=optimiser(setting, times),
        between=operations(setting, centre, l2),
        transform=robust(None if any_size else model.preprocess.size, fitting=model.fitting) if views else None,
        seed=seed,
        snapshots={*stages, steps},
        progress=setting.name,
    )
