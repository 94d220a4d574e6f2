"""What deconvnet and guided_backprop share: the projection of a number inside a network to the pixels.

A projection is the gradient of one number with respect to the picture, with another backward rule at every ReLU
(:mod:`cnnviz.network.relu`). The number is a class's logit, or one neuron of a unit. In the classic figure (Zeiler &
Fergus 2014, fig. 2; Springenberg et al. 2015, fig. 3) it is the neuron with the unit's strongest activation in a patch.

The result holds, beside what :mod:`cnnviz.attribution.probes` lists, ``projection`` (n, t, h, w, c) and ``largest`` (n,
t) of the classes, and for each chosen layer L, u of its units (the most selective first) and k patches each: L/unit
(u,) int32; L/image (u, k) int32, the picture, or −1 for none; L/position (u, k, 2), y and x of the neuron; L/value (u,
k) float32, its activation; L/box (u, k, 4), top, left, bottom, right of its receptive field in pixels of the input,
half open; L/border (u, k) bool, whether the field extends beyond the picture; L/projection (u, k, H, W, c), the
neuron's projection cut to its field, in the upper left corner, 0 elsewhere; and L/largest (u, k). deconvnet, which says
less and less with depth, also keeps what it is compared with: the same neurons' projections by each other rule R, L/R
(int8, in 127ths) and L/R_largest; and for its own and the first other rule the projections of the strongest patch's
neuron on the pictures of the unit's next two patches, L/again/R (u, 2, H, W, c), int8, and L/again/R_largest (u, 2), 0
for none; and L/elsewhere/R (u,): the cosine of that on its own picture and on the second patch's, NaN for none. It is 1
where the picture plays no part.

A projection is float16 and divided by its largest magnitude, which is the float32 ``largest``. Numbers: ``layers``
[{name, units, sites: number of ReLUs on the way, unprobed: see the forward pass}]; ``size`` and ``geometry`` as the
forward pass has them.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import product

import numpy as np
import torch
from torch import Tensor
from torch.utils.checkpoint import CheckpointError

from cnnviz.attribution.probes import Left, Method, attribute
from cnnviz.errors import NotApplicable
from cnnviz.network import hooks
from cnnviz.network.layers import Layer
from cnnviz.network.loaded import Model
from cnnviz.network.relu import ReluRule, leftover
from cnnviz.network.units import of_layer, patches, selective
from cnnviz.pictures import images
from cnnviz.run import result
from cnnviz.run.job import Job
from cnnviz.run.progress import bar

AGAIN = 2  # further pictures on which a neuron is projected
BATCH = 8  # neurons per pass: VGG-16 needs about 100 MB for each


def to_pixels(values: Callable[[Tensor], Tensor], x: Tensor, rule: str) -> tuple[Tensor, int]:
    """The projection of ``values(x)`` (n,), one number per picture, to x (n, c, h, w): of x's shape, signed.

    Also returns the number of ReLUs on the way. rule: see :class:`cnnviz.network.relu.ReluRule`.
    """
    x = x.detach().requires_grad_(True)
    with ReluRule(rule) as relus:
        total = values(x).sum()  # a picture's number depends on no other picture
    try:
        return torch.autograd.grad(total, x)[0], relus.sites
    except CheckpointError:  # the recomputation uses the usual ReLUs
        raise NotApplicable(
            "The method changes what ReLUs send back, and this network computes its values a second time for the "
            "gradient (torch.utils.checkpoint), past that change. Turn gradient checkpointing off in its factory."
        ) from None


def of_classes(model: Model, x: Tensor, targets: Tensor, rule: str) -> Tensor:
    """Projections (t, c, h, w) of a picture's logits, in logits per unit of pixel value. x (1, c, h, w), targets (t,).

    Raises NotApplicable for a network without gradients, or without a visible ReLU.
    """
    if model.trial.get("gradients"):
        raise NotApplicable(model.trial["gradients"])
    x = x.expand(len(targets), *x.shape[1:])
    pixels, sites = to_pixels(lambda x: model.logits(x).gather(1, targets[:, None])[:, 0], x, rule)
    if not sites:
        raise NotApplicable(
            "The method changes what ReLUs send back, and no ReLU was seen in this network: it has other activations, "
            "or ReLUs inside compiled code. What is left would be the plain gradient, which the saliency maps show."
        )
    return pixels


def of_neurons(model: Model, x: Tensor, layer: Layer, neurons: Tensor, rule: str) -> tuple[Tensor, int]:
    """Projections of one neuron each, (n, c, h, w), in its activation per unit of pixel value; and the number of ReLUs.

    x: pictures (n, c, h, w). neurons: (n, 3) unit, y and x within the layer's maps.
    """
    each, (unit, row, column) = torch.arange(len(x), device=x.device), neurons.T
    with hooks.capture(model.net, {layer.module: layer.maps}, stop=True) as captured:
        return to_pixels(
            lambda x: hooks.forward(model.net, model.normalise(x), captured)[layer.module][each, unit, row, column],
            x,
            rule,
        )


def shares(pixels: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """(n, c, h, w) → (n, h, w, c) float16, each divided by its largest magnitude, and these magnitudes (n,) float32."""
    largest = pixels.abs().amax((1, 2, 3))
    of_it = pixels / torch.where(largest > 0, largest, 1)[:, None, None, None]
    return of_it.permute(0, 2, 3, 1).half().cpu().numpy(), largest.float().cpu().numpy()


def method(rule: str) -> Method:
    """max over channels of |projection of the class's logit|, (t, h, w)."""
    return Method(lambda model, x, t, p, g: of_classes(model, x, t, rule).abs().amax(1), caveat=caveat, one_sided=True)


def caveat(model: Model, x: Tensor) -> str:
    """A caveat about non-linearities other than ReLU and pooling; "" if there are none."""
    if leftover(model.net, model.normalise(x)) < 1e-3:
        return ""
    return (
        "Something else than ReLUs and pooling bends this network too: a gate, an attention, another activation, or a "
        "ReLU in compiled code. There the plain gradient is taken, so what is shown is only in part what the paper "
        "describes."
    )


def project(job: Job, name: str, rule: str, others: Sequence[str] = ()) -> None:
    """Projects the classes of the probe pictures, as the method ``name``, and the strongest neurons of some units.

    others: rules to compare with on the neurons.
    """
    classes: list[tuple[np.ndarray, np.ndarray]] = []

    def maps(model: Model, x: Tensor, targets: Tensor, parameters: dict, generator: torch.Generator) -> Tensor:
        pixels = of_classes(model, x, targets, rule)
        classes.append(shares(pixels))
        return pixels.abs().amax(1)

    def beside(model: Model) -> Left:
        arrays, numbers = _units(job, model, (rule, *others))
        return together(classes, "projection", "largest") | arrays, numbers

    attribute(job, {name: replace(method(rule), maps=maps)}, beside)


def together(kept: list[tuple[np.ndarray, np.ndarray]], *names: str) -> dict[str, np.ndarray]:
    """:func:`shares` of n pictures with up to t classes each as two arrays (n, t, …), padded with 0."""
    most = max(len(largest) for _, largest in kept)

    def filled(array: np.ndarray) -> np.ndarray:
        return np.pad(array, [(0, most - len(array))] + [(0, 0)] * (array.ndim - 1))

    return {name: np.stack([filled(each[i]) for each in kept]) for i, name in enumerate(names)}


def _units(job: Job, model: Model, rules: Sequence[str]) -> Left:
    forward = result.read(job.inputs["forward"])
    chosen = {}
    for name in (name for name in model.chosen if name not in model.trial.get("no_gradient", ())):
        kept = of_layer(forward, name)
        chosen[name] = _choose(kept, forward.numbers["size"], job.parameters["units"], job.parameters["patches"])
    wanted = sorted({int(i) for layer in chosen.values() for i in layer["image"].flat if i >= 0})
    image_set = images.read(job.inputs["images"], job.image_set)
    pictures = dict(zip(wanted, image_set.arrays(model.preprocess.geometry, wanted, job.threads), strict=True))
    arrays, layers = {}, []
    for name, layer in bar(chosen.items(), "layers"):
        sites = _project_neurons(model, pictures, model.layer(name), layer, rules)
        compared = _elsewhere(model, pictures, model.layer(name), layer, rules[:2]) if len(rules) > 1 else {}
        arrays |= {f"{name}/{what}": array for what, array in (layer | compared).items()}
        unprobed = forward.numbers["unprobed"].get(name, "")
        layers.append({"name": name, "units": model.layer(name).units, "sites": sites, "unprobed": unprobed})
    return arrays, {"layers": layers, "size": forward.numbers["size"], "geometry": forward.numbers["geometry"]}


def _choose(kept: dict[str, np.ndarray], size: list[int], count: int, k: int) -> dict[str, np.ndarray]:
    """The arrays of a layer without its projections: the chosen units and their neurons."""
    unit = selective(kept, count)
    found = patches(kept, size, k)
    return {"unit": unit.astype(np.int32)} | {what: array[unit] for what, array in found.items()}


def _project_neurons(
    model: Model, pictures: dict[int, np.ndarray], layer: Layer, chosen: dict[str, np.ndarray], rules: Sequence[str]
) -> int:
    """Adds the projections of a layer's ``chosen`` neurons by each of the ``rules``, the section's own first, cut to
    their fields. Returns the number of ReLUs on the way.
    """
    image, box, sites = chosen["image"], chosen["box"], 0
    height, width = (box[..., 2:] - box[..., :2]).max((0, 1))
    names = [("projection", "largest"), *((rule, f"{rule}_largest") for rule in rules[1:])]
    for maps, largest in names:
        kind = np.float16 if maps == "projection" else np.int8
        chosen[maps] = np.zeros((*box.shape[:2], height, width, model.channels), kind)
        chosen[largest] = np.zeros(box.shape[:2], np.float32)
    places = np.argwhere(image >= 0)
    for start in range(0, len(places), BATCH):
        batch = places[start : start + BATCH]
        neurons = torch.tensor([[int(chosen["unit"][u]), *chosen["position"][u, p].tolist()] for u, p in batch])
        neurons = neurons.to(model.device)
        x = model.pictures([pictures[int(image[u, p])] for u, p in batch])
        for rule, (maps, largest) in zip(rules, names, strict=True):
            pixels, sites = of_neurons(model, x, layer, neurons, rule)
            for (u, p), whole, most in zip(batch, *shares(pixels), strict=True):
                top, left, bottom, right = box[u, p]
                cut = whole[top:bottom, left:right]
                cut = cut if maps == "projection" else np.rint(127 * cut)
                chosen[maps][u, p, : bottom - top, : right - left] = cut
                chosen[largest][u, p] = most
    return sites


def _elsewhere(
    model: Model, pictures: dict[int, np.ndarray], layer: Layer, chosen: dict[str, np.ndarray], rules: Sequence[str]
) -> dict[str, np.ndarray]:
    """The arrays "elsewhere/R" and "again/R" of a layer's units, by the neuron of each unit's strongest patch."""
    image, box = chosen["image"], chosen["box"]
    made = {f"elsewhere/{rule}": np.full(len(image), np.nan) for rule in rules}
    for rule in rules:
        made[f"again/{rule}"] = np.zeros((len(image), AGAIN, *chosen["projection"].shape[2:]), np.int8)
        made[f"again/{rule}_largest"] = np.zeros((len(image), AGAIN), np.float32)
    several = np.flatnonzero((image[:, :2] >= 0).sum(1) == 2)

    def on_picture(rule: str, units: np.ndarray, p: int) -> Tensor:
        """The neurons' projections on each unit's p-th picture."""
        neurons = torch.from_numpy(np.c_[chosen["unit"][units], chosen["position"][units, 0]]).long()
        x = model.pictures([pictures[int(i)] for i in image[units, p]])
        return of_neurons(model, x, layer, neurons.to(model.device), rule)[0]

    for rule, start in product(rules, range(0, len(several), BATCH)):
        batch = several[start : start + BATCH]
        own = on_picture(rule, batch, 0).flatten(1)
        for p in range(1, min(1 + AGAIN, image.shape[1])):
            units = batch[image[batch, p] >= 0]
            if not len(units):
                continue
            maps = on_picture(rule, units, p)
            if p == 1:  # all of the batch have it
                other = maps.flatten(1)
                cosine, there = torch.cosine_similarity(own, other).double(), own.any(1) & other.any(1)
                made[f"elsewhere/{rule}"][units] = torch.where(there, cosine, torch.nan).cpu().numpy()
            for u, whole, most in zip(units, *shares(maps), strict=True):
                top, left, bottom, right = box[u, 0]
                cut = np.rint(127 * whole[top:bottom, left:right])
                made[f"again/{rule}"][u, p - 1, : bottom - top, : right - left] = cut
                made[f"again/{rule}_largest"][u, p - 1] = most
    return made
