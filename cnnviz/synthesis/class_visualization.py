"""Class visualisation: the picture that a class score likes best (Simonyan et al. 2014; Olah et al. 2017).

I* = argmax_I E_v[ S_c(v(I)) ] - λ₁ TV₁(I) - λ₂ ‖I - grey‖² - λ₃ B(I),  I = σ(C · F⁻¹(s(f) · z)), z moved by Adam.

S_c is the score of class c before the softmax, v a random view (resolution, rotation, shift, zoom, cast of colour), a
new one each step, TV₁ the total variation, B the distance to grey near the edge, and z the picture's spectrum in
decorrelated colours (:mod:`cnnviz.ascent.parametrisations`). Small views come in the first half: there a whole object
has to fit, so one to three large ones appear and not a swarm. A net that takes one size only sees the picture zoomed a
little in or out instead, reflected at the border. The λ are stated for 224 pixels and grow with the side, so that the
same values suit nets for 64 and for 227 pixels: found by trying. Where a score to reach is given, S_c is replaced by
-log(1 + exp(score - S_c)); with easing, the λ grow from nothing in that share of the steps.

A score that ends in a ReLU can be flat where the ascent starts (SqueezeNet: some classes in a hundred). Such a class is
ascended on the value before that ReLU, the mean over positions of its unit in the last layer, and listed as fallback.

Leaves, for n classes in the order shown, pictures of h × w pixels:
``pictures`` (n, h, w, c) uint8, RGB where c = 3: the end of the ascent. ``snapshots`` (m, k, h, w, c) uint8: the
first m ≤ 12 classes after ``snapshot_steps``. ``scores`` (n, steps) float32: what was ascended, before each step, under
that step's view.
``targets`` (n,): outputs. ``logits``, ``probabilities``, ``ranks`` (n,): of the target for the 8-bit picture as
published, upright and whole; rank 1 means that no class scores higher.
"""

import hashlib

import numpy as np
import torch

from cnnviz import models
from cnnviz.ascent.loop import Ascent, adam, ascend, frozen, in_batches, to_bytes
from cnnviz.ascent.objectives import Objective, logit, reach, unit
from cnnviz.ascent.parametrisations import fourier
from cnnviz.ascent.regularisers import border, l2, total_variation
from cnnviz.ascent.transforms import in_turn, random_cast, random_view, resize
from cnnviz.job import Job, run
from cnnviz.models import Model

SNAPSHOTS = (0, 4, 48)
STRIPS = 12
GREY = (0.486, 0.465, 0.428)  # the mean colour of photographs, R, G, B
RESOLUTION = (0.45, 0.95)  # of the views, in pixels per pixel of the picture
ZOOM = (0.9, 1.1)  # the same where the network takes its own size only
SIDE = 224  # pixels, for which the penalties' weights are stated


def chosen(model: Model, wanted: str | int | list[str]) -> list[int]:
    """Outputs to show: "all", those named, or so many by a hash of their names, classes of the image set first."""
    if wanted == "all":
        return list(range(len(model.classes)))
    if not isinstance(wanted, int):
        return [model.output(name) for name in wanted]
    present = {output for output in model.label_to_output if output is not None}

    def order(output: int) -> tuple[bool, bytes]:
        return output not in present, hashlib.sha256(model.classes[output].encode()).digest()

    return sorted(sorted(range(len(model.classes)), key=order)[:wanted])


def flat(model: Model, classes: list[int], start: torch.Tensor) -> torch.Tensor:
    """Whether a class score has no gradient at its start picture: (n,) bool."""
    x = start.detach().requires_grad_()
    with frozen(model.net):
        (slope,) = torch.autograd.grad(
            model.logits(x).gather(1, torch.tensor(classes, device=x.device)[:, None]).sum(), x
        )
    return slope.flatten(1).abs().amax(1) == 0


def objective(model: Model, classes: list[int], dead: torch.Tensor) -> Objective:
    """The class score, and for the ``dead`` ones the mean of the class's unit in the last layer, before its ReLU."""
    if not dead.any():
        return logit(classes)
    dead = dead.float()
    return logit(classes) * (1 - dead) + unit(model.layers[-1].module, classes) * dead


def takes(model: Model, size: tuple[int, int]) -> bool:
    """Whether the network gives class scores for pictures of another size than its own."""
    try:
        with torch.no_grad():
            return model.logits(torch.zeros(1, model.channels, *size, device=model.device)).shape == (
                1,
                len(model.classes),
            )
    except Exception:  # whatever a network raises on a size that is not its own: a vision transformer asserts
        return False


def visualise(
    model: Model, classes: list[int], seeds: list[int], views: int, parameters: dict
) -> tuple[Ascent, torch.Tensor]:
    """One ascent a class, in one batch. seeds: of the starts, one a class; views: seed of the sequence of views."""
    size = (parameters["size"],) * 2 if parameters["size"] else model.preprocess.size
    steps = parameters["steps"]
    start = fourier(size, seeds, channels=model.channels, device=model.device)
    grey = GREY if model.channels == 3 else (0.5,) * model.channels
    last = model.layers[-1]
    maps_of_classes = last.kind == "Conv2d" and last.units == len(model.classes)
    dead = flat(model, classes, start.picture(start.variable)) & maps_of_classes
    any_size = takes(model, tuple(round(side * RESOLUTION[0]) for side in size))
    strength = min(size) / SIDE
    score = objective(model, classes, dead)
    if parameters["score"] is not None:
        score = reach(score, parameters["score"])
    ascent = ascend(
        model,
        {"score": score},
        start,
        steps=steps,
        optimiser=adam(0.03, 0.01),
        penalties={
            "total variation": lambda x: parameters["total_variation"] * strength * total_variation(x),
            "distance to grey": lambda x: parameters["l2"] * strength * l2(x, grey),
            "border": lambda x: parameters["border"] * strength * border(x, grey),
        },
        easing=parameters["easing"],
        transform=in_turn(
            random_view(
                resolution=RESOLUTION if any_size else ZOOM,
                rotation=10,
                shift=0.05,
                zoom=0.08,
                output=None if any_size else model.preprocess.size,
            ),
            random_cast(0.15),
        ),
        seed=views,
        snapshots={step for step in SNAPSHOTS if step < steps} | {steps},
        progress=f"{len(classes)} classes",
    )
    return ascent, dead


def judge(model: Model, pictures: np.ndarray, targets: list[int]) -> dict[str, np.ndarray]:
    """Of (n, h, w, c) uint8 pictures the target's logits, probabilities and ranks (1 = highest score), (n,) each.

    The network sees them plainly at its own input size: no random view.
    """
    with torch.no_grad():
        x = resize(model.pictures(list(pictures)), model.preprocess.size)
        scores = model.logits(x).double().cpu()
    target = torch.tensor(targets)[:, None]
    own = scores.gather(1, target)
    return {
        "logits": own[:, 0].numpy(),
        "probabilities": model.probabilities(scores).gather(1, target)[:, 0].numpy(),
        "ranks": 1 + (scores > own).sum(1).numpy(),
    }


def main(job: Job) -> None:
    model = models.load(job)
    targets = chosen(model, job.parameters["classes"])
    views = job.seed_for("views")

    def batch(classes: list[int]) -> dict[str, np.ndarray]:
        seeds = [job.seed_for("start", model.classes[c]) for c in classes]
        ascent, dead = visualise(model, classes, seeds, views, job.parameters)
        pictures = to_bytes(ascent.pictures)
        return {
            "pictures": pictures,
            "snapshots": np.stack([ascent.snapshots[step] for step in sorted(ascent.snapshots)], 1),
            "scores": ascent.curves["score"].T,
            "fallback": dead.cpu().numpy(),
        } | judge(model, pictures, classes)

    found = list(in_batches(batch, targets, job.parameters["batch"]))
    arrays = {name: np.concatenate([f[name] for f in found]) for name in found[0]}
    fallback = arrays.pop("fallback")
    arrays["snapshots"] = arrays["snapshots"][:STRIPS]
    steps = job.parameters["steps"]
    job.write(
        arrays | {"targets": np.array(targets)},
        numbers={
            "classes": [model.classes[c] for c in targets],
            "snapshot_steps": sorted({step for step in SNAPSHOTS if step < steps} | {steps}),
            "fallback": [model.classes[c] for c, dead in zip(targets, fallback, strict=True) if dead],
        },
        provenance=model.provenance,
    )


if __name__ == "__main__":
    run(main)
