"""Fooling images: an imperceptible change makes the network predict another class (Szegedy et al. 2014).

Gradient ascent on the log-probability of a wrong class t, from a picture x₀, until the network predicts t:

    I ← P(I + step · g / ‖g‖₂),  g = ∂ log p_t / ∂ I,  P: at most ε from x₀ in every value, and within black and white

The logit alone works as well for classes that are easily reached. For others the probability reaches more pictures,
since it also lowers the competing scores. If a ReLU cuts off the class score, so that it is flat, the mean over
positions of the class's unit before that ReLU is ascended instead.

The ascent of a picture stops when t has the highest score and the wanted probability. Both are measured on the picture
rounded to 8 bits, as it is published, since rounding may undo a change.

The control is noise. Every value is changed by as much as the fooled picture's largest change, with random signs; and
normal noise of the same L2 norm is added. Both are rounded to 8 bits and repeated several times.

The result holds, for n pictures: ``pictures``, ``fooled`` (n, h, w, c) uint8, network inputs; ``index`` (n,) into the
image set; ``predicted``, ``target``, ``found`` (n,), outputs: of the picture, wanted, and of the fooled picture;
``before``, ``after`` (n, 2): probabilities of predicted and target for the picture and for the fooled one; ``steps``
(n,); ``l2``, ``linf`` (n,): norms of the difference in levels of 255; ``noise_changed``, ``noise_fooled`` (n, 2): the
share of noise samples (random signs; normal) with which another class, or the target, has the highest score. All are of
the 8-bit pictures.
"""

import hashlib
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from cnnviz.ascent.loop import Ascent, ascend, frozen, normalised, to_bytes
from cnnviz.ascent.objective_functions import Objective, probability, unit
from cnnviz.ascent.parametrisations import pixels
from cnnviz.errors import NotApplicable
from cnnviz.network import loaded
from cnnviz.network.halving import in_batches
from cnnviz.network.loaded import Model
from cnnviz.pictures import images
from cnnviz.run.job import Job, run

DRAWN, RUNNER_UP, LEAST_LIKELY = "drawn", "runner_up", "least_likely"


def targets(model: Model, logits: Tensor, right: Sequence[Sequence[int]], names: Sequence[str], rule: str) -> list[int]:
    """A wrong class for each picture: not the predicted class and, if there is another, not a correct one.

    logits: (n, classes). right: outputs of the correct classes of each. rule: "drawn" (the lowest hash of the picture's
    and the class's name), "runner_up" or "least_likely" by the scores, or a class. If that class is not wrong, a drawn
    one is taken. Raises UserError for an unknown class.
    """
    wanted = None if rule in (DRAWN, RUNNER_UP, LEAST_LIKELY) else model.output(rule)
    found = []
    for scores, true, name in zip(logits, right, names, strict=True):
        others = [c for c in range(len(model.classes)) if c != int(scores.argmax())]
        wrong = [c for c in others if c not in true] or others

        def order(c: int, name=name) -> bytes:
            return hashlib.sha256(f"{name}\0{model.classes[c]}".encode()).digest()

        if wanted in wrong:
            found.append(wanted)
        elif rule in (RUNNER_UP, LEAST_LIKELY):
            sign = 1 if rule == LEAST_LIKELY else -1
            found.append(min(wrong, key=lambda c, scores=scores, sign=sign: (sign * float(scores[c]), c)))
        else:
            found.append(min(wrong, key=order))
    return found


def objective(model: Model, x: Tensor, classes: Sequence[int]) -> Objective:
    """The log-probabilities, or the mean of a class's map if its score is flat at x and the last layer has maps."""
    last = model.layers[-1] if model.layers else None
    if last is None or last.kind != "Conv2d" or last.units != len(model.classes):
        return probability(model, classes)
    x = x.detach().requires_grad_()
    with frozen(model.net):
        scores = model.logits(x).gather(1, torch.tensor(classes, device=x.device)[:, None])
        (slope,) = torch.autograd.grad(scores.sum(), x)
    flat = (slope.flatten(1).abs().amax(1) == 0).float()
    if not flat.any():
        return probability(model, classes)
    return probability(model, classes) * (1 - flat) + unit(last.module, classes) * flat


def fool(
    model: Model,
    originals: Tensor,
    classes: Sequence[int],
    *,
    steps: int,
    step: float,
    epsilon: float,
    confidence: float,
) -> Ascent:
    """Ascends each picture (n, c, h, w), in one batch. step, epsilon: in [0, 1].

    An epsilon of whole levels of 255 still holds after rounding if the originals have 8 bits.
    """
    wanted = torch.tensor(classes, device=originals.device)

    def arrived(x: Tensor) -> Tensor:
        scores = model.logits((x * 255).round() / 255)
        probability = model.probabilities(scores).gather(1, wanted[:, None])[:, 0]
        return (scores.argmax(1) == wanted) & (probability >= confidence)

    def within(x: Tensor, gradient: Tensor, number: int) -> Tensor:
        return x.clamp(originals - epsilon, originals + epsilon)

    return ascend(
        model,
        {"gain": objective(model, originals, classes)},
        pixels(originals),
        steps=steps,
        optimiser=normalised(step, norm="l2"),
        between=[within],
        until=arrived,
        progress=f"{len(classes)} pictures",
    )


def norms(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """L2 and L∞ norms of the differences of (n, …) uint8 pictures, in levels: (n,) each."""
    difference = (a.astype(np.int16) - b).reshape(len(a), -1).astype(np.float64)
    return np.linalg.norm(difference, axis=1), np.abs(difference).max(1)


def noisy(picture: np.ndarray, l2: float, linf: float, draws: int, generator: np.random.Generator) -> np.ndarray:
    """(2, draws, h, w, c) uint8: ``linf`` levels with random signs, and normal noise whose L2 norm is ``l2`` levels."""
    shape = (draws, *picture.shape)
    signs = generator.choice([-linf, linf], shape)
    normal = generator.standard_normal(shape)
    normal *= l2 / np.linalg.norm(normal.reshape(draws, -1), axis=1).reshape(draws, *[1] * picture.ndim)
    return np.clip(picture + np.stack([signs, normal]), 0, 255).round().astype(np.uint8)


def scores(model: Model, pictures: np.ndarray, size: int) -> Tensor:
    """Class scores of (n, h, w, c) uint8 pictures, ``size`` at a time, on the CPU: (n, classes)."""
    with torch.no_grad():
        return torch.cat(list(in_batches(lambda some: model.logits(model.pictures(list(some))).cpu(), pictures, size)))


def main(job: Job) -> None:
    p = job.parameters
    model = loaded.load(job, gradients="scores")
    if len(model.classes) < 3:
        reason = "A network of two classes has only one wrong class, so there is no choice of a target."
        raise NotApplicable(reason, model.provenance)
    image_set = images.read(job.inputs["images"], job.image_set)
    index = image_set.probes(job.model["probes"])
    shown = [image_set.pictures[i] for i in index]

    def batch(numbers: Sequence[int]) -> dict[str, np.ndarray]:
        arrays = list(image_set.arrays(model.preprocess.geometry, [index[k] for k in numbers], job.threads))
        pictures = to_bytes(model.pictures(arrays))  # rounds files of more than 8 bits
        before = scores(model, pictures, p["batch"])
        right = [[model.label_to_output[label] for label in shown[k].labels] for k in numbers]
        wanted = targets(model, before, right, [shown[k].id for k in numbers], p["target"])
        ascent = fool(
            model,
            model.pictures(list(pictures)),
            wanted,
            steps=p["steps"],
            step=p["step"] / 255,
            epsilon=p["epsilon"] / 255,
            confidence=p["confidence"],
        )
        fooled = to_bytes(ascent.pictures)
        after = scores(model, fooled, p["batch"])
        predicted = before.argmax(1)
        l2, linf = norms(pictures, fooled)
        said = []  # predictions of each picture with noise of the same norms
        for k, picture, two, infinity in zip(numbers, pictures, l2, linf, strict=True):
            generator = np.random.default_rng(job.seed_for("noise", shown[k].id))
            noise = noisy(picture, two, infinity, p["noise"], generator)
            said.append(scores(model, noise.reshape(-1, *picture.shape), p["batch"]).argmax(1).numpy().reshape(2, -1))
        pair = torch.stack([predicted, torch.tensor(wanted)], 1)
        return {
            "pictures": pictures,
            "fooled": fooled,
            "predicted": predicted.numpy(),
            "target": np.array(wanted),
            "found": after.argmax(1).numpy(),
            "before": model.probabilities(before).gather(1, pair).numpy(),
            "after": model.probabilities(after).gather(1, pair).numpy(),
            "steps": ascent.steps,
            "l2": l2,
            "linf": linf,
            "noise_changed": np.array([(s != own).mean(1) for s, own in zip(said, predicted.numpy(), strict=True)]),
            "noise_fooled": np.array([(s == other).mean(1) for s, other in zip(said, wanted, strict=True)]),
        }

    made = list(in_batches(batch, range(len(index)), p["batch"]))
    arrays = {name: np.concatenate([m[name] for m in made]) for name in made[0]}
    job.write(arrays | {"index": np.array(index)}, provenance=model.provenance)
    return None


if __name__ == "__main__":
    run(main)
