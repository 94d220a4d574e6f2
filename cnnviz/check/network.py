"""Each network: what was built, how right it is on a few labelled pictures, and whether something else fits better."""

import time
from collections.abc import Generator, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from cnnviz import doors, gpus, images, models
from cnnviz.check import labels, pictures, preprocessing, suspicions, truth
from cnnviz.check.plan import Cost
from cnnviz.check.report import Line, flow, percent, some
from cnnviz.check.seen import MOST, Seen, look, opened, scores_of
from cnnviz.errors import UserError, in_a_line
from cnnviz.images import ImageSet
from cnnviz.models import Model
from cnnviz.network.kinds import REGRESSION, SEGMENTATION, SIGMOID, has_probabilities

SECONDS = 45  # for all networks; reading the config and planning come on top
FIRST = (8, 48)  # pictures that each other preprocessing is tried on before the promising ones see more


def check(config: dict, seconds: float = SECONDS) -> Generator[Line, None, list[Cost]]:
    """The report on the image sets and models of a complete config, line by line; gives back what models will cost."""
    torch.set_num_threads(config["threads"])
    sets, costs, started = {}, [], time.monotonic()
    for place, (id, block) in enumerate(config["models"].items()):
        name = block["image_set"]
        try:
            if name not in sets:
                sets[name] = None
                of_set = config["image_sets"][name]
                yield Line("", f"Image set {name}", ", ".join(of_set[key] for key in ("kind", "path") if key in of_set))
                sets[name] = pictures.listed(of_set)
                yield from pictures.about(sets[name], config["threads"])
            if sets[name] is None:  # it cannot be listed, and that is said already
                continue
            yield Line("", f"Model {id}", block["title"] or "")
            left = seconds - (time.monotonic() - started)
            costs.append((yield from _check(id, config, sets[name], left / (len(config["models"]) - place))))
        except UserError as error:
            yield Line("✗", "error", str(error))
        except Exception as error:  # whatever a network raises: the other models go on
            yield Line("✗", "error", f"model {id}: {in_a_line(error)}")
    return costs


def _check(id: str, config: dict, image_set: ImageSet, seconds: float) -> Generator[Line, None, Cost]:
    block, started = config["models"][id], time.monotonic()
    built = doors.build(block, id, config["seed"])
    facts = models.describe(
        *(built, block, id, image_set.classes, lambda: models.channels_of(image_set.config)),
        image_set.config.get("target_columns"),
    )
    model = opened(built, facts, block, gpus.pick_device(config["device"]))
    for section in config["sections"].values():
        for name in section["classes"] if isinstance(section.get("classes"), list) else []:
            model.output(name)
    images.check_probes(image_set.config, block["probes"])
    labelled = any(picture.labels for picture in image_set.pictures)
    yield from described(model, facts)
    yield from doubts(facts["trial"])
    one_class = has_probabilities(model.kind)
    if not one_class:
        yield from truth.matching(facts, image_set)
    elif labelled:
        yield labels.matching(image_set.classes, facts)

    def left() -> float:
        return seconds - (time.monotonic() - started)

    if one_class:
        sample = pictures.chosen(image_set, MOST if labelled else pictures.SAMPLE)
    else:
        sample = truth.sample(image_set, model.kind, MOST)
    seen = look(model, block, facts, sample, config["threads"], max(5.0, left() / 3))
    cost = Cost(
        id,
        len(image_set),
        model.feature_size,
        len(model.classes),
        len(model.chosen),
        sum(layer.units for layer in model.layers if layer.name in model.chosen),
        model.preprocess.size[0] * model.preprocess.size[1],
        block["probes"] if isinstance(block["probes"], int) else len(block["probes"]),
        (seen.decoding + seen.passing) * len(image_set),
    )
    if seen.unreadable:
        words = f"{len(seen.unreadable)} of {len(seen.unreadable) + len(seen.places)} tried cannot be used"
        yield Line("!" if seen.places else "✗", "pictures", words, tuple(seen.unreadable[:3]))
    if not seen.places:
        return cost
    odd = suspicions.odd_scores(seen.scores, model.kind, block["outputs"]["returns"])
    for words in odd:
        yield Line("✗", "scores", words)
    if not np.isfinite(seen.scores).all():
        return cost
    if not one_class:
        yield from truth.judged(seen, left())
        return cost
    if not labelled:
        yield Line("!", "accuracy", "without labels nothing can be said about the preprocessing and the outputs")
        return cost
    mapping, puzzling = yield from labels.judged(seen, image_set)
    if mapping is None:
        yield Line("·", "preprocessing", "cannot be judged before labels and outputs fit")
    elif len(seen.places) >= suspicions.FEWEST:
        explained = yield from feeding(seen, mapping, max(5.0, left()))
        if puzzling and not explained:
            words = (
                "" if suspicions.enough_for_permutation(seen.labels) else " (hardly to be told: few pictures a class)"
            )
            words = (
                f"neither labels in another order{words} nor another preprocessing explain it. Is the network trained"
            )
            yield Line("!", "why", f"{words}, the checkpoint the right one, and were these its classes?")
    return cost


def described(model: Model, facts: dict) -> Iterator[Line]:
    yield Line("✓", "network", f"{facts['described']}: {facts['parameters']:,} parameters")
    yield Line("·", "layers", f"{len(model.chosen)} of {len(model.layers)} shown: {some(model.chosen, 16)}")
    yield Line("·", "feature", f"{model.feature_size} numbers: {model.feature_name}")
    size = " × ".join(map(str, facts["input"]))
    yield Line("·", "input", f"{size}: {in_words(facts['preprocess'], facts['channels'])}")
    words = {
        SIGMOID: "any number of classes a picture",
        REGRESSION: "numbers",
        SEGMENTATION: "a class for each pixel",
    }.get(model.kind, "one class a picture")
    names = facts.get("values", model.classes)
    yield Line("·", "outputs", f"{len(names)}, {words}: {some(names)}")


def doubts(trial: dict) -> Iterator[Line]:
    """What a few pictures told of the network that a reader of its pages must know."""
    for words in trial["answers"]:
        yield Line("!", "answers", words)
    if trial["gradients"]:
        yield Line("!", "gradients", f"{trial['gradients']} Sections that need gradients will say so, the others work")
    if trial["batch"] != [1, None]:
        least, most = trial["batch"]
        words = f"exactly {least}" if least == most else f"at least {least}"
        words = "picture by picture" if most == 1 else f"{words} at a time; fewer are filled up with copies"
        yield Line("·", "batch", f"the network takes pictures {words}")


def in_words(block: dict, channels: int) -> str:
    """A complete preprocessing block, in the order of its steps."""

    def number(value) -> str:
        if isinstance(value, str):
            return Path(value).name
        return "/".join(f"{v:g}" for v in value) if isinstance(value, list) else f"{value:g}"

    steps, crop, resize = [], block["crop"], block["resize"]
    if isinstance(crop, float):
        steps.append(f"the central {crop:.1%} of each side")
    if resize:
        to = f"warped to {resize[0]} × {resize[1]}" if isinstance(resize, list) else f"short side to {resize}"
        steps.append(f"{to} ({block['interpolation']})")
    if isinstance(crop, int):
        steps.append(f"the central {crop} pixels")
    order = f"{block['channels']} " if channels == 3 else ""
    white, mean, std = (number(block[key]) for key in ("range", "mean", "std"))
    return ", ".join([*steps, f"{order}from 0 to {white}, minus {mean}, divided by {std}"])


def feeding(seen: Seen, mapping: list[int | None], seconds: float) -> Generator[Line, None, bool]:
    """Does another preprocessing score clearly better? Gives back the answer."""
    model, full, channels = seen.model, seen.facts["preprocess"], seen.facts["channels"]
    right = suspicions.right_outputs(seen.labels, mapping)
    kept = [i for i, outputs in enumerate(right) if outputs]
    right, scores = [right[i] for i in kept], seen.scores[kept]
    if len(kept) < suspicions.FEWEST:
        yield Line("!", "preprocessing", "nothing can be said: too few pictures have a label with an output")
        return False
    if suspicions.hits(scores, right).mean() > 1 - suspicions.LEAST:
        yield Line("✓", "preprocessing", "no other could be clearly better")
        return False
    forms = [pictures.read(seen.sample, i, pictures.form) for i in seen.places[:8]]
    sizes = {f[:2] for f in forms if isinstance(f, tuple)}
    changes = preprocessing.alternatives(full, channels, model.preprocess.size, sizes)

    def score(change: dict, start: int, stop: int) -> np.ndarray | None:
        try:
            tried = replace(model, preprocess=models.preprocess(full | change, channels))
            arrays = [seen.arrays[i] for i in kept[start:stop]]
            if {"resize", "crop"} & change.keys():
                arrays = [tried.preprocess.geometry(seen.sample.pixels(seen.places[i])) for i in kept[start:stop]]
            return scores_of(tried, arrays)
        except Exception:  # whatever a network raises on pictures of a size that it does not take
            return None

    started = time.monotonic()
    first = int(np.clip(0.4 * seconds / (seen.passing + seen.decoding / 4) / len(changes), *FIRST))
    found = preprocessing.search(
        changes, score, scores, right, first, lambda share: time.monotonic() - started < share * seconds
    )
    tried = f"{found.tried} others tried in {time.monotonic() - started:.0f} s"
    tried += f" (no time for {len(changes) - found.tried})" if found.tried < len(changes) else ""
    if found.change is None:
        yield Line("✓" if found.tried else "!", "preprocessing", f"{tried}: none is clearly better")
        return False
    new, old = found.new, found.old
    words = (
        f"{percent(new.mean())} instead of {percent(old.mean())} are right with {flow(found.change)[1:-1]} "
        f"({(new & ~old).sum()} of {len(new)} pictures gained, {(old & ~new).sum()} lost; {tried})"
    )
    written = {key: value for key, value in full.items() if key in seen.block["preprocess"]} | found.change
    yield Line("✗", "preprocessing", words, (f"write under models.{model.id}:", f"  preprocess: {flow(written)}"))
    return True
