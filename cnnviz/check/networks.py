"""Checks each network: what was built, its accuracy on a few pictures, and whether another setting fits better."""

import contextlib
import importlib
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import numpy as np
import torch

from cnnviz.check import both, feeding, image_sets, labels, suspicions, truth
from cnnviz.check.limit import OutOfTime, within
from cnnviz.check.plan import Cost
from cnnviz.check.report import Line, some
from cnnviz.check.seen import MOST, opened, run_sample
from cnnviz.errors import UserError, in_a_line
from cnnviz.network import building, gpus, network
from cnnviz.network.kinds import REGRESSION, SEGMENTATION, SIGMOID, has_probabilities
from cnnviz.network.loaded import Model
from cnnviz.pictures import listing, sizes
from cnnviz.pictures.images import ImageSet
from cnnviz.pictures.rows import truth_columns

SECONDS = 40  # for all networks, without starting and planning
IN_TIME = 0.8  # planned share of a network's time, so that a slow step still ends with its line


def check(
    config: dict, seconds: float = SECONDS, run: Callable[[Generator, float], Generator] = lambda steps, seconds: steps
) -> Generator[Line, None, list[Cost]]:
    """Yields the report on the image sets and models of a complete config; returns the models' costs.

    Each model has an equal share of the remaining time. An error of one is a line, and the others continue. run: (the
    steps of one model's check, its seconds) → the steps, as they are run; see own_process.
    """
    torch.set_num_threads(config["threads"])
    for package in ("torchvision", "timm"):  # once for all models, although each has its own process
        if any(package in block for block in config["models"].values()):
            with contextlib.suppress(ImportError):
                importlib.import_module(package)
    sets, costs, end = {}, [], time.monotonic() + seconds
    for place, (id, block) in enumerate(config["models"].items()):
        name, others = block["image_set"], len(config["models"]) - place
        if name not in sets:
            of_set = config["image_sets"][name]
            yield Line("", f"Image set {name}", ", ".join(of_set[key] for key in ("kind", "path") if key in of_set))
            missed = "its models are not checked"
            sets[name] = yield from _guarded(_listed(of_set), (end - time.monotonic()) / 2, missed)
            if sets[name]:
                about = image_sets.about(sets[name], name, config["threads"])
                yield from _guarded(about, (end - time.monotonic()) / 4, "its pictures are not checked")
        if sets[name] is None:  # it cannot be listed, which is already reported
            continue
        yield Line("", f"Model {id}", block["title"] or "")
        share = max(end - time.monotonic(), 0) / others
        most, missed = min(1.5 * share, end - time.monotonic()), "what is not reported above was not checked"
        missed += "; a config with fewer models gives each more" if len(config["models"]) > 1 else ""
        steps = _guarded(_check(id, config, sets[name], min(share, IN_TIME * most)), most, missed)
        cost = yield from _guarded(run(steps, most), None, missed)
        costs += [cost] if cost else []
    return costs


def _guarded(lines: Generator, seconds: float | None, missed: str) -> Generator[Line, None, object]:
    """The lines of one model or image set; an error is a line. Returns what the lines return, or None after an error.

    seconds: None for lines without a time limit. missed: text for the case that the time is up.
    """
    started = time.monotonic()
    try:
        return (yield from (lines if seconds is None else within(lines, seconds)))
    except UserError as error:
        yield Line("✗", "error", str(error))
    except OutOfTime:
        words = f"stopped after {time.monotonic() - started:.0f} s, as a check takes a minute"
        yield Line("!", "time", f"{words}; {missed}")
    except (Exception, SystemExit) as error:  # a network's code raises anything: the others continue
        yield Line("✗", "error", in_a_line(error))
    return None


def _listed(config: dict) -> Generator[Line, None, ImageSet]:
    yield from ()
    return image_sets.listed(config)


def _check(id: str, config: dict, image_set: ImageSet, seconds: float) -> Generator[Line, None, Cost]:
    block, started = config["models"][id], time.monotonic()
    built = building.build(block, id, config["seed"])
    channels, size = (lambda: network.channels_of(image_set.config)), sizes.common(image_set.config)
    columns = truth_columns(image_set.config, image_set.classes)
    facts = network.describe(built, block, id, image_set.classes, channels, columns, size)
    model = opened(built, facts, block, gpus.pick_device(config["device"]))
    for section in config["sections"].values():
        for name in section["classes"] if isinstance(section.get("classes"), list) else []:
            model.output(name)
    listing.check_probes(image_set.config, block["probes"])
    labelled = any(picture.labels for picture in image_set.pictures)
    yield from described(model, facts)
    yield from doubts(facts["trial"])
    network.check_scores(facts)
    one_class = has_probabilities(model.kind)
    if not one_class:
        yield from truth.matching(facts, image_set)
    elif labelled:
        yield labels.matching(image_set.classes, facts)

    def left() -> float:
        return seconds - (time.monotonic() - started)

    if one_class:
        sample = image_sets.chosen(image_set, MOST if labelled else image_sets.SAMPLE)
    else:
        sample = truth.sample(image_set, model.kind, MOST)
    seen = run_sample(model, block, facts, sample, config["threads"], left() / 3)
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
        words = f"{len(seen.unreadable)} of {seen.in_time} tested cannot be used"
        yield Line("!" if seen.places else "✗", "pictures", words, tuple(seen.unreadable[:3]))
    if not seen.places and not seen.unreadable:
        words = "no time for a picture; a config with fewer models gives each more"
        yield Line("!", "time", words)
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
        yield Line("!", "accuracy", "preprocessing and outputs cannot be checked without labels")
        return cost
    mapping, puzzling = yield from labels.judged(seen, image_set)
    if mapping is None:
        yield Line("·", "preprocessing", "cannot be checked before labels and outputs fit")
    elif len(seen.places) >= suspicions.FEWEST:
        explained = yield from feeding.check(seen, mapping, left())
        if not explained and not odd and mapping == list(model.label_to_output):
            explained = yield from both.check(seen, image_set, left())
        if puzzling and not explained and not odd:
            words = "" if suspicions.enough_for_permutation(seen.labels) else " (uncertain: few pictures per class)"
            words = (
                f"neither labels in another order{words} nor another preprocessing explains it. Is the network "
                "trained, and are these the right weights (checkpoint_key: chooses among several in a file)? Were these"
            )
            words += " its classes? Where both are wrong, write classes: in the order of the training, and check again"
            yield Line("!", "why", words)
    return cost


def described(model: Model, facts: dict) -> Iterator[Line]:
    yield Line("✓", "network", f"{facts['described']}: {facts['parameters']:,} parameters")
    yield Line("·", "layers", f"{len(model.chosen)} of {len(model.layers)} shown: {some(model.chosen, 16)}")
    yield Line("·", "feature", f"{model.feature_size} numbers: {model.feature_name}")
    size = " × ".join(map(str, facts["input"]))
    yield Line("·", "input", f"{size}: {in_words(facts['preprocess'], facts['channels'])}")
    words = {
        SIGMOID: "any number of classes per picture",
        REGRESSION: "numbers",
        SEGMENTATION: "a class for each pixel",
    }.get(model.kind, "one class per picture")
    names = facts.get("values", model.classes)
    yield Line("·", "outputs", f"{len(names)}, {words}: {some(names)}")


def doubts(trial: dict) -> Iterator[Line]:
    """Properties of the network, found with a few pictures, that readers of its pages must know."""
    for words in trial["answers"]:
        yield Line("!", "answers", words)
    if trial["gradients"]:
        yield Line("!", "gradients", f"{trial['gradients']} Sections that need gradients report this; the others work.")
    if trial["batch"] != [1, None]:
        least, most = trial["batch"]
        words = f"exactly {least}" if least == most else f"at least {least}"
        words = "picture by picture" if most == 1 else f"{words} at a time; smaller batches are padded with copies"
        yield Line("·", "batch", f"the network takes pictures {words}")


def in_words(block: dict, channels: int) -> str:
    """A complete preprocessing block in words, in the order of its steps."""

    def number(value) -> str:
        if isinstance(value, str):
            return Path(value).name
        return "/".join(f"{v:g}" for v in value) if isinstance(value, list) else f"{value:g}"

    steps, crop, resize = [], block["crop"], block["resize"]
    if isinstance(crop, float):
        steps.append(f"centre {crop:.1%} of each side")
    if resize:
        to = f"warped to {resize[0]} × {resize[1]}" if isinstance(resize, list) else f"short side to {resize}"
        steps.append(f"{to} ({block['interpolation']})")
    if isinstance(crop, int):
        steps.append(f"centre {crop} pixels")
    order = f"{block['channels']} " if channels == 3 else ""
    white, mean, std = (number(block[key]) for key in ("range", "mean", "std"))
    return ", ".join([*steps, f"{order}from 0 to {white}, minus {mean}, divided by {std}"])
