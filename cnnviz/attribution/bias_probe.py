"""Tests whether the network uses the background: each object is cut out by its mask and put on other backgrounds.

An attribution that lies on the background is no evidence of bias: unbiased networks have such attributions, too. An
intervention is evidence, as in the study of Xiao, Engstrom, Ilyas, Madry 2020 (arXiv:2006.09994):

    d_i = p(c | object i of class c on background b) − median over the other backgrounds b' of p(c | object i on b')

The median keeps one unusual background from changing the result of all others.

A class depends on a background if the mean of d_i is larger than ``margin``. Both the 95 % bootstrap interval over
objects and Student's t test must show this. The t test is corrected for all comparisons (Holm). A mean below −margin is
not a bias: camouflage can cause it in an unbiased network.

Backgrounds: for the demo, its grounds (grass, snow, …), each compared for each class. For other image sets, the
surroundings of each class's objects with the object painted over; a class is compared on its own surroundings only. Two
more versions are shown and not compared: the picture as it is, and the object on plain grey.

The result holds, for c classes and b backgrounds (``as it is``, ``plain grey``, then the compared ones):
``probability`` (o, b) of the correct class, and ``right`` (o, b), the share of correct predictions over placements, for
every object o; ``object``, ``class`` (o,): index into the image set, and into ``classes``; ``example`` (c, b, h, w,
channels), an object of each class on each background; ``outside`` (n, m), the mass of each probe picture's map outside
its mask, for m methods; ``outside_class`` (n,), the class or −1; ``outside_area`` (n,), the share of the picture
outside the mask. Numbers: ``classes``, ``backgrounds``, ``cells`` [{class, background, n, probability, low, high,
accuracy, accuracy_low, accuracy_high}], ``asked`` [{class, background, n, mean, low, high, p, corrected, verdict}],
``methods``, ``source``.
"""

import numpy as np
import torch

from cnnviz.attribution import map_scores
from cnnviz.attribution.probes import PREDICTED
from cnnviz.errors import NotApplicable
from cnnviz.network import loaded
from cnnviz.network.loaded import Model
from cnnviz.pictures import backgrounds, images
from cnnviz.pictures.images import ImageSet
from cnnviz.pictures.masks import Mask, as_seen
from cnnviz.run import result
from cnnviz.run.job import Job, run
from cnnviz.run.progress import bar

AS_IT_IS, GREY = "as it is", "plain grey"
LEANS, HARDER, NOT_SHOWN = "leans on it", "harder on it", "not shown"
LEAST = 0.01  # smallest share of the picture that an object covers
DRAWN = "grounds drawn as the demo draws them"
AROUND = "surroundings of each class's things in other pictures of the set, with the thing painted over"
NO_MASKS = (
    "The image set has no masks, and without one an object cannot be put on another background. A table can name them: "
    "kind: csv with mask_column (boxes do not do, since they hold background)."
)
TOO_FEW = (
    f"No class of the network has {map_scores.FEWEST} labelled pictures with a mask that covers a part of what it "
    "sees, and of fewer nothing can be said."
)
FULL = "The things fill their pictures: of fewer than two classes is enough background left to put things on."


def objects(
    image_set: ImageSet, model: Model, wanted: int | list[str], most: int
) -> dict[int, list[tuple[int, np.ndarray, np.ndarray]]]:
    """Output → (index, pixels (h, w, c), mask (h, w)) of up to ``most`` pictures of that class that have a mask.

    wanted: names of classes, or a number of classes, which takes those with the most masks. Classes without an output
    of the network are left out, and so are those with too few pictures.
    """
    geometry = model.preprocess.geometry
    of_class: dict[int, list[int]] = {}
    for i, picture in enumerate(image_set.pictures):
        drawn = image_set.config["kind"] == "demo"
        if picture.label is not None and (drawn or picture.mask is not None):
            output = model.label_to_output[picture.label]
            if output is not None:
                of_class.setdefault(output, []).append(i)
    if isinstance(wanted, int):
        chosen = sorted(sorted(of_class, key=lambda o: (-len(of_class[o]), o))[:wanted])
    else:
        chosen = [o for o in map(model.output, wanted) if o in of_class]
    found = {}
    for output in chosen:
        own = []
        for i in of_class[output]:
            mask = as_seen(image_set, i, geometry)
            if mask is not None and not mask.is_box and LEAST <= mask.pixels.mean() < 0.9:
                own.append((i, next(image_set.arrays(geometry, [i])), mask.pixels))
            if len(own) == most:
                break
        if len(own) >= map_scores.FEWEST:
            found[output] = own
    return found


def grounds(
    image_set: ImageSet, model: Model, found: dict[int, list], each: int
) -> tuple[dict[str, list[backgrounds.Ground]], str]:
    """Background → its grounds; and the source of the grounds, in words."""
    drawn = backgrounds.drawn(image_set, model.preprocess.geometry, each)
    if drawn:
        return drawn, DRAWN
    # one more than used: an object is not put on its own surroundings
    around = {model.classes[output]: backgrounds.around(things, each + 1) for output, things in found.items()}
    return {name: own for name, own in around.items() if len(own) > 1}, AROUND


def answers(model: Model, pictures: list[np.ndarray], output: int) -> tuple[np.ndarray, np.ndarray]:
    """p(output) of each picture (h, w, c), (n,) float64, and whether it is the network's prediction, (n,) bool."""
    with torch.no_grad():
        logits = model.logits(model.pictures(pictures))
    right = logits.argmax(1) == output if model.kind == "softmax" else logits[:, output] > 0
    return model.probabilities(logits)[:, output].double().cpu().numpy(), right.cpu().numpy()


def judged(differences: list[np.ndarray], margin: float, rng: np.random.Generator, resamples: int) -> list[dict]:
    """Mean, interval, p, corrected p and verdict of each comparison's paired differences (n,) in −1 … 1."""
    p = np.array([map_scores.beyond(d, margin) for d in differences])
    rows = []
    for d, own, corrected in zip(differences, p, map_scores.holm(p), strict=True):
        low, high = map_scores.interval(d, rng, bounds=(-1, 1), resamples=resamples)
        beyond = corrected < 0.05 and (low > margin or high < -margin)
        said = NOT_SHOWN if not beyond else LEANS if low > margin else HARDER
        rows.append(
            {
                "n": len(d), "mean": float(d.mean()), "low": low, "high": high, "p": float(own),
                "corrected": float(corrected), "verdict": said,
            }
        )  # fmt: skip
    return rows


def main(job: Job) -> None:
    model = loaded.load(job)
    image_set = images.read(job.inputs["images"], job.image_set)
    parameters = job.parameters
    found = objects(image_set, model, parameters["classes"], parameters["pictures"])
    if not found:
        masked = job.image_set["kind"] == "demo" or any(picture.mask for picture in image_set.pictures)
        raise NotApplicable(TOO_FEW if masked else NO_MASKS, model.provenance)
    grounds_of, source = grounds(image_set, model, found, parameters["placements"])
    if len(grounds_of) < 2:
        raise NotApplicable(FULL, model.provenance)
    shown = [AS_IT_IS, GREY, *grounds_of]
    names = [model.classes[output] for output in found]
    probability, right, label, example = measured(model, found, grounds_of, parameters["placements"])

    rng, resamples = np.random.default_rng(job.seed_for("bootstrap")), parameters["resamples"]
    cells = [
        {"class": name, "background": background}
        | answered(probability[label == c, b], right[label == c, b], rng, resamples)
        for c, name in enumerate(names)
        for b, background in enumerate(shown)
    ]
    pairs = [(c, b) for c in range(len(names)) for b in range(2, len(shown)) if source == DRAWN or shown[b] == names[c]]
    differences = [beside_the_others(probability[label == c], b) for c, b in pairs]
    asked = [
        {"class": names[c], "background": shown[b]} | row
        for (c, b), row in zip(pairs, judged(differences, parameters["margin"], rng, resamples), strict=True)
    ]
    outside, methods = _outside(job, model, image_set, list(found))
    arrays = {"probability": probability, "right": right, "class": label, "example": example}
    arrays["object"] = np.array([index for things in found.values() for index, *_ in things])
    numbers = {"classes": names, "backgrounds": shown, "cells": cells, "asked": asked}
    numbers |= {"methods": methods, "source": source}
    job.write(arrays | outside, numbers=numbers, provenance=model.provenance)
    return None


def beside_the_others(probability: np.ndarray, b: int) -> np.ndarray:
    """(o,) probabilities on background b minus the median of those on the others, from (o, b) probabilities."""
    return probability[:, b] - np.median(np.delete(probability, [0, 1, b], 1), 1)


def answered(probability: np.ndarray, right: np.ndarray, rng: np.random.Generator, resamples: int) -> dict:
    """Mean probability and accuracy of n objects of a class on one background, each with its interval."""
    low, high = map_scores.interval(probability, rng, bounds=(0, 1), resamples=resamples)
    least, most = map_scores.interval(right, rng, bounds=(0, 1), resamples=resamples)
    found = {"n": len(probability), "probability": float(probability.mean()), "low": low, "high": high}
    return found | {"accuracy": float(right.mean()), "accuracy_low": least, "accuracy_high": most}


def measured(
    model: Model, found: dict[int, list], grounds_of: dict[str, list[backgrounds.Ground]], placements: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """``probability`` and ``right`` (o, b), ``class`` (o,) and ``example`` (c, b, h, w, channels); see the module."""
    probability, right, label, example = [], [], [], []
    for c, (output, things) in enumerate(found.items()):
        for o, (index, pixels, mask) in enumerate(bar(things, model.classes[output], leave=False)):
            grey = np.full_like(pixels, 128 if pixels.dtype == np.uint8 else 0.5)
            placed = [[pixels], [backgrounds.on(grey, pixels, mask)]]
            for own in grounds_of.values():
                other = [ground for source, ground in own if source != index][:placements]
                placed.append([backgrounds.on(ground, pixels, mask) for ground in other])
            p, hit = answers(model, [picture for made in placed for picture in made], output)
            ends = np.cumsum([len(made) for made in placed])[:-1]
            probability.append([part.mean() for part in np.split(p, ends)])
            right.append([part.mean() for part in np.split(hit, ends)])
            label.append(c)
            if o == 0:
                example.append([made[0] for made in placed])
    return np.array(probability), np.array(right), np.array(label), np.array(example)


def _outside(job: Job, model: Model, image_set: ImageSet, outputs: list[int]) -> tuple[dict, list[str]]:
    """Mass that each attribution of the sections among the inputs has outside the masks of the probe pictures."""
    columns: dict[str, dict[int, float]] = {}
    area: dict[int, float] = {}
    found: dict[int, Mask | None] = {}
    for section, path in job.inputs.items():
        if section in ("network", "images"):
            continue
        left = result.read(path)
        for i, index in enumerate(left.arrays.get("index", ()) if left.status == "ok" else ()):
            index = int(index)
            if index not in found:
                found[index] = as_seen(image_set, index, model.preprocess.geometry)
            t = next((t for t, kind in enumerate(left.numbers["kinds"][i]) if PREDICTED in kind.split(" and ")), None)
            if t is None or found[index] is None or found[index].is_box:
                continue
            area[index] = 1 - float(found[index].pixels.mean())
            for array in left.arrays:
                if array.startswith("maps/"):
                    score = 1 - map_scores.mass(left.arrays[array][i, t], found[index].pixels)
                    columns.setdefault(array.removeprefix("maps/"), {})[index] = score
    indices = sorted(area)
    labels = [image_set.pictures[i].label for i in indices]
    right = [model.label_to_output[label] if label is not None else None for label in labels]
    at = {output: c for c, output in enumerate(outputs)}
    values = [[columns[m].get(i, np.nan) for m in columns] for i in indices]
    return {
        "outside": np.array(values, float).reshape(len(indices), len(columns)),
        "outside_class": np.array([at.get(output, -1) for output in right], int),
        "outside_area": np.array([area[i] for i in indices]),
    }, list(columns)


if __name__ == "__main__":
    run(main)
