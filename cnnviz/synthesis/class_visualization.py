"""Class visualisation: the picture with the highest class score (Simonyan et al. 2014; Olah et al. 2017).

    I* = argmax_I E_v[ S_c(v(I)) ] - λ₁ TV₁(I) - λ₂ ‖I - grey‖² - λ₃ B(I),  I = σ(C · F⁻¹(s(f) · z)), optimised over z

S_c is the score of class c before the softmax. v is a random view (resolution, rotation, shift, zoom, colour cast),
drawn anew in each step. TV₁ is the total variation, B the distance to grey near the edge, and z the picture's spectrum
in decorrelated colours (:mod:`cnnviz.ascent.parametrisations`). The optimiser is Adam. The first half of the steps uses
small views. A whole object must fit into these, so one to three large objects appear instead of many small ones. A
network with one fixed input size sees the picture zoomed a little in or out instead, reflected at the border. If the
last feature map has few positions, a whole object needs a picture larger than the network's input, see
:func:`cnnviz.ascent.climb.picture_size`. The λ are stated for inputs of 224 pixels and grow with the side. The same
values then suit networks for 64 and for 227 pixels, which was found by trial. S_c is replaced by
-log(1 + exp(score - S_c)), where ``score`` is what real pictures reach: an ascent to several times that
score exaggerates what it draws (a small network for CIFAR ends in black and white stripes). With easing, the λ grow
from 0 in that share of the steps.

A score that ends in a ReLU can be flat at the start of the ascent, or become flat later (SqueezeNet: a few classes in a
hundred). Then the ascent uses the value before that ReLU, the mean over positions of the class's unit in the last
layer. If necessary the ascent is repeated for this. The class is listed as fallback.

For the classes whose pictures lead most the job also compares published methods (:mod:`cnnviz.synthesis.published`): a
row of settings from no regulariser to Olah's; one class from grey, from noise and from a photograph; one with a
learning rate that is too low, right and too high; and the grid in the gradients of such pictures
(:mod:`.checkerboard`).

The result holds, for n classes in the order shown and pictures of h × w pixels: ``pictures`` (n, h, w, c) uint8, RGB if
c = 3: the end of the ascent. ``snapshots`` (m, k, h, w, c) uint8: the first m ≤ 4 classes after ``snapshot_steps``,
with ``snapshot_logits`` and ``snapshot_probabilities`` (m, k) of the target.
``scores`` (n, steps) float32: S_c before each step, under that step's view. ``targets`` (n,): outputs.
``logits``, ``probabilities``, ``ranks`` (n,): of the target for the published 8-bit picture, upright and whole; rank 1
means that no class scores higher. ``tries`` (n,): number of starts.

For p classes and s settings, with pictures of the network's own H × W pixels: ``settings/targets`` (p,);
``settings/stages`` (p, s, 4, H, W, c) uint8, after 0, 4, 48 and the last step; ``settings/logits``,
``settings/probabilities``, ``settings/ranks``, ``settings/distance`` (p, s): of the last step; distance is the root
mean square distance to grey. For the first of these classes, under the setting "blur": ``starts/stages`` (3 or 2, 4, H,
W, c) from grey, noise and a photograph; ``rates/stages`` (3, 4, H, W, c) with rates × 1/100, 1 and 100; both with the
same numbers. ``grid/gradient`` (H, W, c) float32: ∂S/∂I of that class at a little noise; ``grid/size`` (H, W): its mean
norm over the p classes and several noises; ``grid/spectrum``: its amplitudes, frequency 0 in the centre.
"""

import numpy as np
import torch

from cnnviz.ascent.class_scores import chosen, has_maps, judge, objective, score_at, scores_of, surest
from cnnviz.ascent.climb import picture_size, slope, views_of
from cnnviz.ascent.loop import Ascent, adam, ascend, halvings, to_bytes
from cnnviz.ascent.objective_functions import reach, takes
from cnnviz.ascent.parametrisations import fourier, pixels
from cnnviz.ascent.regularisers import border, grey, l2, total_variation
from cnnviz.network import kinds, loaded
from cnnviz.network.halving import in_batches
from cnnviz.network.loaded import Model
from cnnviz.pictures import images
from cnnviz.run.job import Job, run
from cnnviz.synthesis import checkerboard, published
from cnnviz.synthesis.published import BLUR, SETTINGS

STARTS = 3  # of a picture that is taken for another class
SNAPSHOTS = (0, 4, 48)  # steps of the published settings
STRIPS = 4  # classes whose stages are kept
SIDE = 224  # input size in pixels for which the penalties' weights are stated
REAL, REACHED = 64, 0.95  # real pictures, and the quantile of their largest scores that limits the ascent
STEPS = 128  # number of steps for which the learning rate is stated; fewer ones are larger
RATES = (0.01, 1.0, 100.0)
NOISES = 8  # noise pictures per class for the mean gradient


def visualise(
    model: Model,
    classes: list[int],
    seeds: list[int],
    views: int,
    parameters: dict,
    dead: torch.Tensor | None = None,
) -> tuple[Ascent, torch.Tensor]:
    """Ascends one picture per class, in one batch. seeds: one per class, of the starts. views: seed of the views.

    dead: (n,) bool, the classes to ascend before the last ReLU; None: those whose score is flat at the start. Returns
    the ascent and ``dead``.
    """
    size = (parameters["size"],) * 2 if parameters["size"] else picture_size(model)
    steps = parameters["steps"]
    start = fourier(size, seeds, channels=model.channels, device=model.device)
    centre = grey(model.channels)
    if dead is None:
        score, dead = score_at(model, classes, start.picture(start.variable))
    else:
        score = objective(model, classes, dead)
    strength = min(model.preprocess.size) / SIDE
    haste = min(2, max(1, (STEPS / steps) ** 0.5))
    if parameters["score"] is not None:
        score = reach(score, parameters["score"])
    ascent = ascend(
        model,
        {"score": score},
        start,
        steps=steps,
        optimiser=adam(0.03 * haste, 0.01 * haste),
        penalties={
            "total variation": lambda x: parameters["total_variation"] * strength * total_variation(x),
            "distance to grey": lambda x: parameters["l2"] * strength * l2(x, centre),
            "border": lambda x: parameters["border"] * strength * border(x, centre),
        },
        easing=parameters["easing"],
        transform=views_of(model, size),
        seed=views,
        snapshots=halvings(steps),
        progress=f"{len(classes)} classes",
    )
    return ascent, dead


def drawn(
    model: Model,
    classes: list[int],
    seeds: list[int],
    views: int,
    parameters: dict,
    dead: torch.Tensor | None = None,
) -> dict[str, np.ndarray]:
    """The arrays of the module's docstring up to ``ranks`` without ``targets``, and "fallback" (n,) bool.

    Arguments as in :func:`visualise`. A class with a low score at the start can become flat under the first views. If a
    class does not end with the highest score, its ascent is repeated before the ReLU, and the better picture is kept.
    """
    ascent, dead = visualise(model, classes, seeds, views, parameters, dead)
    pictures = to_bytes(ascent.pictures)
    found = {
        "pictures": pictures,
        "snapshots": np.stack([ascent.snapshots[step] for step in sorted(ascent.snapshots)], 1),
        "scores": _unlimited(ascent.curves["score"].T, parameters["score"]),
        "fallback": dead.cpu().numpy(),
    } | judge(model, pictures, classes)
    lost = np.flatnonzero((found["ranks"] > 1) & ~found["fallback"])
    if len(lost) and has_maps(model):
        some = [classes[i] for i in lost], [seeds[i] for i in lost]
        again = drawn(model, *some, views, parameters, torch.ones(len(lost), dtype=torch.bool, device=dead.device))
        better = again["logits"] > found["logits"][lost]
        for name, values in again.items():
            found[name][lost[better]] = values[better]
    return found


def best_of_starts(
    model: Model, classes: list[int], seeds: list[list[int]], views: int, parameters: dict
) -> dict[str, np.ndarray]:
    """:func:`drawn`, and "tries" (n,): a class that does not end with the highest score is drawn from another start.

    seeds: those of the starts of each class, all of one length.
    """
    found = drawn(model, classes, [starts[0] for starts in seeds], views, parameters)
    found["tries"] = np.ones(len(classes), int)
    for turn in range(1, len(seeds[0])):
        lost = np.flatnonzero(found["ranks"] > 1)
        if not len(lost):
            break
        other = drawn(model, [classes[i] for i in lost], [seeds[i][turn] for i in lost], views + turn, parameters)
        found["tries"][lost] += 1
        ranks, chances = ((other[name], found[name][lost]) for name in ("ranks", "probabilities"))
        better = (ranks[0] < ranks[1]) | (ranks[0] == ranks[1]) & (chances[0] > chances[1])
        for name, values in other.items():
            found[name][lost[better]] = values[better]
    return found


def _unlimited(objective: np.ndarray, score: float | None) -> np.ndarray:
    """S_c of values of -log(1 + exp(score - S_c)); without a ``score`` they are S_c."""
    if score is None:
        return objective
    loss = np.maximum(-objective.astype(np.float64), 1e-30)
    return np.float32(score - loss - np.log(-np.expm1(-loss)))


def compare(model: Model, classes: list[int], seeds: list[int], parameters: dict) -> dict[str, np.ndarray]:
    """Ascends each class under each of the published settings: the arrays "settings/…" of the module's docstring."""
    centre = grey(model.channels)
    any_size = all(
        takes(model, tuple(model.fitting(side * times) for side in model.preprocess.size)) for times in (0.8, 1.4)
    )
    found: dict[str, list] = {name: [] for name in ("stages", "logits", "probabilities", "ranks", "distance")}
    for setting in SETTINGS:
        begin = published.start(model, setting.start, seeds, centre)
        score, _ = score_at(model, classes, begin.picture(begin.variable))
        ascent = published.climb(
            *(model, setting, score, begin, centre),
            steps=published.steps(setting, parameters["settings_share"]),
            l2=parameters["settings_l2"],
            any_size=any_size,
            seed=parameters["views"],
            stages=SNAPSHOTS,
        )
        found["stages"].append(np.stack([ascent.snapshots[step] for step in sorted(ascent.snapshots)], 1))
        for name, values in seen(model, found["stages"][-1][:, -1], classes).items():
            found[name].append(values)
    return {f"settings/{name}": np.stack(values, 1) for name, values in found.items()}


def seen(model: Model, pictures: np.ndarray, classes: list[int]) -> dict[str, np.ndarray]:
    """:func:`judge`, and "distance": root mean square distance of (n, h, w, c) uint8 pictures to grey."""
    away = pictures / 255 - np.array(grey(model.channels))
    return judge(model, pictures, classes) | {"distance": np.sqrt(np.square(away).mean((1, 2, 3)))}


def starts_and_rates(model: Model, target: int, seed: int, photograph: np.ndarray | None, parameters: dict) -> dict:
    """One class from three starts, and with three learning rates: the arrays "starts/…" and "rates/…".

    photograph: a network input, or None for two starts.
    """
    centre = grey(model.channels)
    words = {
        "steps": published.steps(BLUR, parameters["settings_share"]),
        "l2": 0.0,
        "any_size": False,
        "seed": 0,
        "stages": SNAPSHOTS,
    }
    noise = published.start(model, "noise", [seed], centre)
    plain = published.start(model, "grey", [seed], centre)
    begins = torch.cat([plain.variable, noise.variable])
    if photograph is not None:
        begins = torch.cat([begins, model.pictures([photograph])])

    def climbed(variable: torch.Tensor, times: float = 1.0) -> dict[str, np.ndarray]:
        targets = [target] * len(variable)
        score, _ = score_at(model, targets, variable)
        ascent = published.climb(model, BLUR, score, pixels(variable), centre, **words, times=times)
        stages = np.stack([ascent.snapshots[step] for step in sorted(ascent.snapshots)], 1)
        return {"stages": stages} | seen(model, stages[:, -1], targets)

    starts = climbed(begins)
    right = {key: values[1:2] for key, values in starts.items()}  # from noise, with the setting's own rate
    rates = [right if times == 1 else climbed(noise.variable, times) for times in RATES]
    return {f"starts/{key}": values for key, values in starts.items()} | {
        f"rates/{key}": np.concatenate([one[key] for one in rates]) for key in right
    }


def grid(model: Model, classes: list[int], seed: int) -> tuple[dict[str, np.ndarray], dict]:
    """The arrays "grid/…", and {stride: {"peak", "uneven"}}: how strongly gradients show the network's strides.

    peak: see :func:`checkerboard.peak`; uneven: ratio of the largest to the smallest mean norm modulo the stride.
    """
    found = []
    for target in classes:
        start = published.start(model, "noise", [seed + i for i in range(NOISES)], grey(model.channels)).variable
        score, _ = score_at(model, [target] * NOISES, start)
        found.append(slope(model, score, start).cpu().numpy())
    size = checkerboard.magnitude(np.concatenate(found))
    strides = checkerboard.strides(model)
    amplitudes = checkerboard.spectrum(size, max(strides, default=1))
    numbers = {}
    for stride in strides:
        cells = checkerboard.phases(size, stride)
        uneven = float(cells.max() / max(cells.min(), 1e-9))
        numbers[str(stride)] = {"peak": checkerboard.peak(amplitudes, stride), "uneven": uneven}
    arrays = {"gradient": found[0][0].transpose(1, 2, 0), "size": size, "spectrum": amplitudes}
    return {f"grid/{name}": np.float32(values) for name, values in arrays.items()}, numbers


def as_published(job: Job, model: Model, targets: list[int]) -> tuple[dict[str, np.ndarray], dict]:
    """The arrays under "settings", "starts", "rates" and "grid" in the module's docstring, and their numbers."""
    parameters = job.parameters | {"views": job.seed_for("views")}

    def batch(classes: list[int]) -> dict[str, np.ndarray]:
        return compare(model, classes, [job.seed_for("noise", model.classes[c]) for c in classes], parameters)

    found = list(in_batches(batch, targets, parameters["batch"]))
    arrays = {name: np.concatenate([f[name] for f in found]) for name in found[0]}
    image_set = images.read(job.inputs["images"], job.image_set)
    photographs = image_set.probes(job.model["probes"])[:1]
    photograph = next(image_set.arrays(model.preprocess.geometry, photographs, job.threads), None)
    first = job.seed_for("noise", model.classes[targets[0]])
    arrays |= starts_and_rates(model, targets[0], first, photograph, parameters)
    of_gradients, strides = grid(model, targets, job.seed_for("grid") >> 1)
    return arrays | of_gradients | {"settings/targets": np.array(targets)}, {
        "settings": [
            {"name": s.name, "words": s.words, "steps": published.steps(s, parameters["settings_share"])}
            for s in SETTINGS
        ],
        "settings_classes": [model.classes[c] for c in targets],
        "photograph": [image_set.pictures[i].name for i in photographs],
        "rates": [BLUR.rate * times for times in RATES],
        "strides": strides,
    }


def ceiling(job: Job, model: Model) -> float | None:
    """The score that limits an ascent; "auto" is what real pictures reach, for softmax networks, else None."""
    wanted = job.parameters["score"]
    if wanted != "auto":
        return wanted
    if model.kind != kinds.SOFTMAX:  # other scores have no common scale
        return None
    image_set = images.read(job.inputs["images"], job.image_set)
    some = np.unique(np.linspace(0, len(image_set.pictures) - 1, REAL).astype(int)).tolist()

    def largest(indices: list[int]) -> np.ndarray:
        pictures = np.stack(list(image_set.arrays(model.preprocess.geometry, indices, job.threads)))
        return scores_of(model, pictures).max(1).values.numpy()

    found = np.concatenate(list(in_batches(largest, some, job.parameters["batch"])))
    found = found[np.isfinite(found)]
    return float(np.quantile(found, REACHED)) if len(found) else None


def main(job: Job) -> None:
    model = loaded.load(job, gradients="scores")
    targets = chosen(model, job.parameters["classes"])
    views = job.seed_for("views")
    parameters = job.parameters | {"score": ceiling(job, model)}

    def batch(classes: list[int]) -> dict[str, np.ndarray]:
        turns = [(), *((turn,) for turn in range(1, STARTS))]
        seeds = [[job.seed_for("start", model.classes[c], *turn) for turn in turns] for c in classes]
        return best_of_starts(model, classes, seeds, views, parameters)

    found, few = [], STRIPS
    for some in in_batches(batch, targets, job.parameters["batch"]):
        some["snapshots"] = some["snapshots"][:few].copy()  # a thousand classes' stages would be gigabytes
        few -= len(some["snapshots"])
        found.append(some)
    arrays = {name: np.concatenate([f[name] for f in found]) for name in found[0]}
    fallback = arrays.pop("fallback")
    judged = [judge(model, stages, [c] * len(stages)) for stages, c in zip(arrays["snapshots"], targets, strict=False)]
    arrays |= {f"snapshot_{name}": np.stack([j[name] for j in judged]) for name in ("logits", "probabilities")}
    numbers = {
        "classes": [model.classes[c] for c in targets],
        "ceiling": parameters["score"],
        "snapshot_steps": halvings(job.parameters["steps"]),
        "fallback": [model.classes[c] for c, dead in zip(targets, fallback, strict=True) if dead],
    }
    wanted = job.parameters["settings_classes"]
    if isinstance(wanted, int):
        compared = [targets[i] for i in surest(model, arrays["pictures"], targets)[:wanted]]
    else:
        compared = chosen(model, wanted)
    if compared:
        more, said = as_published(job, model, compared)
        arrays, numbers = arrays | more, numbers | said
    job.write(arrays | {"targets": np.array(targets)}, numbers=numbers, provenance=model.provenance)


if __name__ == "__main__":
    run(main)
