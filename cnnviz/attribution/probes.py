"""What the attribution methods share: the choice of pictures and classes, and the result.

A method is a pure function of one picture and some of its classes:

    method(model, x, targets, parameters, generator) → maps

model: :class:`cnnviz.network.loaded.Model`. x: the picture (1, c, h, w) in [0, 1]. targets: (t,) int64 outputs.
parameters: its section's config block. generator: a CPU generator, seeded by picture and method. maps: (t, h, w), one
per class, of the class's logit unless the method's file says otherwise. A method raises NotApplicable, with a reason
for readers, for a network that it cannot explain.

A technique's file lists its methods in ``METHODS``, and its job is ``run(partial(attribute, methods=METHODS))``. Other
files find them there (attribution_check compares them all), so a new method needs no other registration.

The result holds, for n pictures and at most t classes: ``pictures`` (n, h, w, c) uint8 or float32, after resize and
crop; ``masks`` (n, h, w) bool, the object, empty if it is unknown; ``index`` (n,) into the image set; ``label`` (n,),
the correct output or −1; ``targets`` (n, t) outputs, −1 for none; ``logits``, ``probabilities`` (n, t) of them, NaN for
none; ``maps/NAME`` (n, t, h, w) float32 for each method, 0 if there is no target. For each method with ``control`` also
``random/NAME`` (n, h, w) float16, the map of the first target by the network with random weights, divided by its
largest magnitude; and, if it has the same parameters, ``kept/NAME`` (n,), its rank correlation with the trained
network's map, of magnitudes. Numbers:
``kinds`` (n lists: why each target was chosen), ``methods`` [{name, signed, caveat}] and ``not_applicable``, {name:
reason} of the methods that do not apply.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from cnnviz.errors import NotApplicable
from cnnviz.network import loaded, random_weights
from cnnviz.network.kinds import REGRESSION, SEGMENTATION
from cnnviz.pictures import images, label_maps
from cnnviz.pictures.masks import as_seen
from cnnviz.run.job import Job
from cnnviz.run.progress import bar
from cnnviz.statistics.ranks import rank_correlation

PREDICTED, TRUE, RUNNER_UP = "predicted", "true", "runner_up"
VALUE = "value"
OF_PIXELS = {PREDICTED: "surest", TRUE: "true_by_mask"}  # their names in a segmentation network


@dataclass(frozen=True)
class Method:
    """maps: see the module's docstring. signed: the map has both signs; else it is ≥ 0, larger is more.

    caveat: (model, x) → what a reader must know of this method on this network, or "". one_sided: the map shows only
    the evidence for an output, so the map of "age down" does not follow from that of "age up". control: the parameters
    with which the maps are also computed with random weights; coarser ones for a method that runs the network many
    times; None: not at all.
    """

    maps: Callable[[loaded.Model, Tensor, Tensor, dict, torch.Generator], Tensor]
    signed: bool = False
    caveat: Callable[[loaded.Model, Tensor], str] = lambda model, x: ""
    one_sided: bool = False
    control: Callable[[dict], dict] | None = lambda parameters: parameters


def targets(
    model: loaded.Model, logits: Tensor, labels: Sequence[int], wanted: Sequence[str]
) -> tuple[list[int], list[str]]:
    """Outputs to explain in a picture with these ``logits`` (classes,), without duplicates, and why each was chosen.

    labels: its correct outputs. wanted: "predicted", "true", "runner_up" (the best other output), or class names.
    """
    order = logits.sort(descending=True, stable=True).indices.tolist()
    chosen: dict[int, list[str]] = {}
    for name in wanted:
        match name:
            case "predicted":
                found = order[:1]
            case "true":
                found = list(labels)
            case "runner_up":
                found = [output for output in order if output != order[0] and output not in labels][:1]
            case _:
                found = [model.output(name)]
        for output in found:
            chosen.setdefault(output, []).append(name)
    return list(chosen), [" and ".join(kinds) for kinds in chosen.values()]


def values(model: loaded.Model, wanted: Sequence[str], one_sided: bool) -> tuple[list[int], list[str]]:
    """:func:`targets` for a regression network: every value, and for one-sided maps every value downwards, too.

    wanted: as above; names of outputs ("age up", "age down") are taken as given.
    """
    named = [name for name in wanted if name not in (PREDICTED, TRUE, RUNNER_UP)]
    if named:
        chosen = list(dict.fromkeys(model.output(name) for name in named))
    else:
        chosen = [c for value in range(model.heads) for c in ([value, value + model.heads] if one_sided else [value])]
    return chosen, [VALUE] * len(chosen)


def present(image_set: images.ImageSet, index: int, model: loaded.Model) -> list[int]:
    """The outputs of a segmentation network that the picture's mask contains, in descending order of pixels."""
    truth = label_maps.usable(image_set, index, model.preprocess, len(model.classes), label_maps.Doubts())
    if truth is None:
        return []
    counts = np.bincount(truth[truth >= 0].ravel(), minlength=len(model.classes))
    return [int(c) for c in np.argsort(-counts, kind="stable") if counts[c]]


def _explained_of(model, image_set, index: int, scores: Tensor, right: list[int], wanted, methods) -> tuple:
    """:func:`targets` of a picture, or its replacement for a regression or segmentation network."""
    if model.kind == REGRESSION:
        return values(model, wanted, any(method.one_sided for method in methods.values()))
    if model.kind != SEGMENTATION:
        return targets(model, scores, right, wanted)
    outputs, why = targets(model, scores, right or present(image_set, index, model)[:1], wanted)
    return outputs, [" and ".join(OF_PIXELS.get(word, word) for word in words.split(" and ")) for words in why]


Left = tuple[dict[str, np.ndarray], dict]  # arrays and numbers, as a result holds them


def attribute(
    job: Job,
    methods: dict[str, Method],
    beside: Callable[[loaded.Model], Left] = lambda model: ({}, {}),
    *,
    gradients: str = "scores",
) -> None:
    """Runs every method on every probe picture. This is the job of an attribution technique.

    beside: further arrays and numbers of the result; called last, and only if a method applies. gradients: see
    loaded.load.
    """
    model = loaded.load(job, gradients=gradients)
    try:
        arrays, numbers = _explained(job, model, methods)
    except NotApplicable as reason:
        return job.write({}, not_applicable=str(reason), provenance=model.provenance)
    more, others = beside(model)
    random = _with_random_weights(job, model, methods, arrays)
    return job.write(arrays | random | more, numbers=numbers | others, provenance=model.provenance)


def _with_random_weights(job: Job, model: loaded.Model, methods: dict[str, Method], arrays: dict) -> dict:
    """Arrays ``random/NAME`` and ``kept/NAME`` of the module's docstring, of the methods that are computed again.

    The random numbers of a method are those of its first map, so only the weights differ.
    """
    image_set = images.read(job.inputs["images"], job.image_set)
    ids = [image_set.pictures[index].id for index in arrays["index"]]
    made = {}
    with random_weights.everywhere(model.net, job.seed_for) as any_weights:
        for name, method in methods.items():
            if not (any_weights and method.control and f"maps/{name}" in arrays):
                continue
            try:
                maps = [_again(job, model, name, method, arrays, i, id) for i, id in enumerate(ids)]
            except Exception:  # whatever a network raises with weights that it was not made for
                continue
            first = arrays[f"maps/{name}"][:, 0]
            made[f"random/{name}"] = np.stack([m / max(m.max(), -m.min(), 1e-30) for m in maps]).astype(np.float16)
            if method.control(job.parameters) != job.parameters:
                continue  # a coarser map differs with the same weights, too
            kept = [rank_correlation(np.abs(a), np.abs(b)) for a, b in zip(maps, first, strict=True)]
            made[f"kept/{name}"] = np.array(kept)
    return made


def _again(job: Job, model: loaded.Model, name: str, method: Method, arrays: dict, i: int, id: str) -> np.ndarray:
    """The map (h, w) of picture i's first target, with the weights that the network has now."""
    generator = torch.Generator().manual_seed(job.seed_for(name, id))
    at = torch.tensor(arrays["targets"][i, :1], device=model.device)
    map = method.maps(model, model.pictures([arrays["pictures"][i]]), at, method.control(job.parameters), generator)[0]
    return np.nan_to_num(map.detach().float().cpu().numpy(), posinf=0, neginf=0)


def _stacked(name: str, values: list, most: int) -> np.ndarray:
    """The values of all pictures as one array, padded to ``most`` classes if it has a class axis."""
    nothing = {"targets": -1, "logits": np.nan, "probabilities": np.nan}
    if name in nothing or name.startswith("maps/"):
        room = [[(0, most - len(value))] + [(0, 0)] * (value.ndim - 1) for value in values]
        values = [np.pad(v, r, constant_values=nothing.get(name, 0)) for v, r in zip(values, room, strict=True)]
    return np.stack(values)


def _explained(job: Job, model: loaded.Model, methods: dict[str, Method]) -> Left:
    """Arrays and numbers that the module's docstring lists. Raises NotApplicable if no method applies."""
    image_set = images.read(job.inputs["images"], job.image_set)
    probes = image_set.probes(job.model["probes"])
    most = 0
    found: dict[str, list] = {name: [] for name in ("pictures", "masks", "label", "targets", "logits", "probabilities")}
    found |= {f"maps/{name}": [] for name in methods}
    kinds, caveats, not_applicable = [], {}, {}
    arrays = image_set.arrays(model.preprocess.geometry, probes, job.threads)
    for i, picture in zip(probes, bar(arrays, "pictures", len(probes)), strict=True):
        x = model.pictures([picture])
        with torch.no_grad():
            scores = model.logits(x)[0]
        right = [o for o in (model.label_to_output[label] for label in image_set.pictures[i].labels) if o is not None]
        outputs, why = _explained_of(model, image_set, i, scores, right, job.parameters["targets"], methods)
        most = max(most, len(outputs))
        kinds.append(why)
        at = torch.tensor(outputs, device=x.device)
        for name, method in methods.items():
            if name in not_applicable:
                continue
            generator = torch.Generator().manual_seed(job.seed_for(name, image_set.pictures[i].id))
            try:
                maps = method.maps(model, x, at, job.parameters, generator)
            except NotApplicable as reason:
                not_applicable[name] = str(reason)
                if len(not_applicable) == len(methods):
                    raise NotApplicable(" ".join(dict.fromkeys(not_applicable.values()))) from None
                continue
            found[f"maps/{name}"].append(maps.detach().float().cpu().numpy())
            if name not in caveats:
                caveats[name] = method.caveat(model, x)
        found["pictures"].append(picture)
        # the masks of a segmentation network give each pixel's class, not an object
        mask = None if model.kind == SEGMENTATION else as_seen(image_set, i, model.preprocess.geometry)
        found["masks"].append(np.zeros(picture.shape[:2], bool) if mask is None else mask.pixels)
        found["label"].append(right[0] if right else -1)
        found["targets"].append(np.array(outputs))
        found["logits"].append(scores[at].cpu().numpy())
        found["probabilities"].append(model.probabilities(scores)[at].cpu().numpy())
    methods = {name: method for name, method in methods.items() if name not in not_applicable}
    for name in not_applicable:
        del found[f"maps/{name}"]
    arrays = {name: _stacked(name, values, most) for name, values in found.items()}
    listed = [{"name": name, "signed": m.signed, "caveat": caveats[name]} for name, m in methods.items()]
    return arrays | {"index": np.array(probes)}, {"kinds": kinds, "methods": listed, "not_applicable": not_applicable}
