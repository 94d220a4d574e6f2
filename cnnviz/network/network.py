"""A model's first job: builds the network, runs it on synthetic pictures and describes it, before anything else runs.

``python -m cnnviz.network.network`` checks checkpoint, layers and classes, and writes ``network.json``, the facts that
follow from the network alone (see :mod:`cnnviz.network.facts`).
"""

import json
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch
from torch import nn

from cnnviz.errors import UserError
from cnnviz.network import class_lists, class_names, inputs, kinds, layers, trial
from cnnviz.network import facts as known
from cnnviz.network.building import Built, build
from cnnviz.network.loaded import normalised, prepare_torch
from cnnviz.pictures import images, listing
from cnnviz.pictures.preprocess import complete, geometry, prepared
from cnnviz.pictures.rows import truth_columns
from cnnviz.run import atomic
from cnnviz.run.job import Job, run


def main(job: Job) -> None:
    prepare_torch(job)
    built = build(job.model, job.model_id, job.seed)
    facts = describe(
        built,
        job.model,
        job.model_id,
        job.parameters["set_classes"],
        lambda: channels_of(job.image_set),
        truth_columns(job.image_set, job.parameters["set_classes"]),
        job.parameters.get("picture_size"),
    )
    check_scores(facts)
    facts["checkpoint"] = job.parameters["checkpoint"]
    known.chosen(facts, job.check.get("layers", "default"))
    known.feature(facts, job.check.get("feature_layer", "auto"))
    for section, names in job.check.get("classes", {}).items():
        for name in names:
            class_names.find(f"model {job.model_id}: {section}.classes", name, facts["classes"])
    atomic.write_text(job.outputs["network"], json.dumps(facts, indent=1))
    vector = facts["feature"]
    print(
        f"{facts['described']}: {facts['parameters']:,} parameters, {len(facts['layers'])} layers, "
        f"features of {vector['size']} ({vector['name']})"
    )


def check_scores(facts: dict) -> None:
    """Raises UserError with the outputs whose scores are never finite: every section needs them."""
    names = facts.get("values", facts["classes"])
    bad = [names[output] for output in facts["trial"]["not_finite"] if output < len(names)]
    why = (
        "the network divides by zero or overflows (in 16 bits, say), or the checkpoint belongs to another one"
        if len(bad) == len(names)
        else "where forward() masks outputs with -inf, let it write -1e4; else it divides by zero or overflows"
    )
    if bad:
        which = "all" if len(bad) == len(names) else ", ".join(bad[:3]) + (", …" if len(bad) > 3 else "")
        raise UserError(
            f"model {facts['id']}: {len(bad)} of its {len(names)} outputs ({which}) are not finite for any picture; "
            f"{why}"
        )


def describe(
    built: Built,
    config: dict,
    id: str,
    set_classes: Sequence[str],
    pictures: Callable[[], int | None] = lambda: None,
    value_columns: Sequence[str] = (),
    picture_size: Sequence[int] | None = None,
) -> dict:
    """The facts of a network that its first job writes to network.json, without the checkpoint's hash.

    config: the model's block. set_classes: names of the image set's classes. pictures: see inputs.find. value_columns:
    the set's columns of true values, see pictures.rows.truth_columns. picture_size: (height, width) of the set's
    pictures if all have one small size. A factory's network gets them unscaled if it accepts that and the config states
    no size. Raises UserError for everything that does not fit.
    """
    where, net = f"model {id}", built.net
    _check_finite(net, where)
    taken, given = _input(built, config["preprocess"], where, pictures, picture_size)
    channels = taken.channels
    block = complete(given, built.preprocess, channels)
    preprocess = prepared(block, channels)
    outputs = _count(net, taken.calls, config["outputs"], where)
    fed = net, partial(normalised, preprocess), channels, preprocess.size
    with trial.undisturbed(net):
        calls = trial.by_picture(*fed, taken.calls, where)
        found = layers.named(net, calls)
        tried = trial.tried(*fed, found)
        scores_layer = trial.scores_layer(*fed, found, outputs)
    kind = kinds.of(config["outputs"]["kind"])
    if kind == kinds.REGRESSION:
        outputs //= 2
        named = _value_facts(config, value_columns, outputs, set_classes, where)
    else:
        named = _class_facts(config, set_classes, outputs, built.classes, where)
    return {
        "schema": known.SCHEMA,
        "id": id,
        "described": built.described,
        "parameters": sum(p.numel() for p in net.parameters()),
        "input": [channels, *preprocess.size],
        "channels": channels,
        "preprocess": block,
        "kind": kind,
        "layers": [vars(layer) for layer in found],
        "default_layers": layers.default(found, layers.depthwise(net)),
        "feature": layers.feature(found, calls, outputs),
        **named,
        "scores_layer": scores_layer,
        "trial": tried,
        "torch": torch.__version__,
    }


def _input(
    built: Built, given: dict, where: str, pictures: Callable[[], int | None], picture_size: Sequence[int] | None
) -> tuple[inputs.Attempt, dict]:
    """The network's input, and the preprocessing block with its size; see :func:`describe`."""
    net, misfit = built.net, None
    guess = next((len(v) for key in ("mean", "std") if isinstance(v := given.get(key), list)), None)
    stated = given.get("input_channels"), guess, pictures
    with trial.undisturbed(net):
        if picture_size and not built.preprocess and not {"resize", "crop"} & given.keys():
            try:
                taken = inputs.find(net, tuple(picture_size), where, *stated)
                if taken.fits:
                    return taken, given | {"resize": list(picture_size), "crop": None}
            except UserError as error:
                misfit = error  # the network may have been trained on enlarged pictures
        try:
            return inputs.find(net, geometry(complete(given, built.preprocess, 3)).size, where, *stated), given
        except UserError as error:
            raise misfit or error from error


def _class_facts(config: dict, set_classes: Sequence[str], outputs: int, published: Sequence[str], where: str) -> dict:
    named = class_names.of_outputs(config["classes"], set_classes, outputs, published, config["outputs"], where)
    matching = class_names.match(set_classes, named)
    return {
        "classes": list(named.names),
        "label_to_output": list(matching.outputs),
        "labels_found_by": matching.way,
        "without_output": list(matching.unmatched),
    }


def _value_facts(config: dict, columns: Sequence[str], count: int, set_classes: Sequence[str], where: str) -> dict:
    """Facts of a network with ``count`` values: names, each one's column with the truth or None, and outputs."""
    given = config["outputs"]["values"] or config["classes"]
    given = [names[-1] for names in class_lists.read(given, where)] if isinstance(given, str) else given
    values = kinds.named_values(given, columns, count, where)
    return {
        "values": values,
        "value_columns": kinds.columns_of(values, columns),
        "classes": kinds.directions(values),
        "label_to_output": [None] * len(set_classes),
        "labels_found_by": "",
        "without_output": [],
    }


def _check_finite(net: nn.Module, where: str) -> None:
    """Raises UserError with the weights and running statistics that are not finite. (Masks among buffers may be.)"""
    statistics = ((name, b) for name, b in net.named_buffers() if name.endswith(("running_mean", "running_var")))
    bad = [name for name, tensor in (*net.named_parameters(), *statistics) if not tensor.isfinite().all()]
    if bad:
        more = f" and {len(bad) - 3} more" if len(bad) > 3 else ""
        raise UserError(
            f"{where}: weights that are not finite (NaN or infinite): {', '.join(bad[:3])}{more}. The training has "
            "diverged, or the file is damaged; take an earlier checkpoint"
        )


def _count(net: nn.Module, calls: dict[str, layers.Call], given: dict, where: str) -> int:
    """Number of the network's outputs. Raises UserError if it gives no row of scores, or too few for ``offset``."""
    if "" not in calls or len(calls[""].output) != 2:
        raise UserError(f"{where}: {_no_scores(net, calls)}")
    outputs = calls[""].output[1]
    if given["offset"] >= outputs:
        raise UserError(
            f"{where}: it has {outputs} outputs, and outputs: {{offset: {given['offset']}}} leaves none for a class"
        )
    return outputs


def _no_scores(net: nn.Module, calls: dict[str, layers.Call]) -> str:
    """Describes the network's output for one picture that is not a row of scores."""
    if "" not in calls and type(net).__call__ is not nn.Module.__call__:
        return "it has its own __call__, which bypasses hooks; name that method forward instead"
    if "" not in calls:
        return "the network must return class scores (n, classes), and it returns no tensor"
    shape = calls[""].output
    if len(shape) < 2:
        return (
            f"the network must return class scores (n, classes), and of a single picture it returns {shape}: a "
            "squeeze() in its forward may remove the batch dimension. Write flatten(1) instead, or squeeze((2, 3))"
        )
    pixels = ". Does it give a class to each pixel? Then: outputs: {kind: segmentation}" if len(shape) == 4 else ""
    return f"the network must return class scores (n, classes), not {shape}{pixels}"


def channels_of(config: dict) -> int | None:
    """Channels of an image set's first picture; None if it cannot be read."""
    try:
        first = listing.rows(config)[0]
        name = first.file or first.name
        pixels = images.ImageSet(config, (images.Picture(name, name, None, 0, 0),), (), ()).pixels(0)
    except Exception:  # errors of pictures are reported with their listing
        return None
    return pixels.shape[2] if isinstance(pixels, np.ndarray) else len(pixels.getbands())


if __name__ == "__main__":
    run(main)
