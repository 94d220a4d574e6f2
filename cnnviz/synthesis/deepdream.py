"""DeepDream amplifies the features that a layer finds in a photo (Mordvintsev, Olah & Tyka 2015).

    I* = argmax_I Σ f²,  f the features of a layer, by steps of step · b / mean |b| from a photo

As published, the photo is shrunk by 1.4 several times (octaves). The steps start on the smallest octave. Its detail
(the picture now - the photo at that size) is enlarged and added to the next larger photo, where the steps continue. So
large structures are drawn first, and finer ones inside them. b is the gradient with all bands of frequencies, and all
colours, equally strong (see :func:`loop.banded`). The plain gradient favours fine structures, such as the grid of a
network's strides. Each step shifts the picture at random (jitter), and pixels stay between black and white. With no
steps the result is the photo itself.

f are the features as the network uses them: without negative values if a ReLU follows (see feature_inversion). If a
network takes pictures of one size only, each octave is enlarged to that size.

The result holds, for n photos of different sizes and l layers: ``photo_I`` (h, w, c) uint8 and ``dream_I`` (l, h, w, c)
uint8 for each photo I; ``octaves`` (k, h, w, c) uint8: dreams of the first photo on the deepest layer but one with 1 …
k octaves, and ``octave_responses`` (k,): that layer's response to each; ``before``, ``after`` (n, l): the mean of f²
for the published 8-bit photo and dream; ``across`` (n, l, l): that of every layer (last) in every layer's dream, of
which ``after`` is the diagonal; ``rises`` (n, l, k, 2): before and after the steps of each octave, without a shift.
Numbers: ``layers``, ``octave_layer``, and for each photo ``names`` and ``index`` into the image set, or −1.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps
from torch import Tensor

from cnnviz.ascent.loop import ascend, banded, to_bytes
from cnnviz.ascent.objective_functions import layer, read, takes
from cnnviz.ascent.parametrisations import pixels
from cnnviz.ascent.places import Place, as_seen, gives_scores, rectified
from cnnviz.ascent.transforms import Transform, in_turn, jitter, resize
from cnnviz.errors import NotApplicable, UserError
from cnnviz.network import loaded
from cnnviz.network.loaded import Model
from cnnviz.pictures import images
from cnnviz.run.job import Job, run

SIDE, LONG = 224, 400  # a network of input size 224 dreams on pictures of 400 pixels
MOST = 4  # times its input size, for a smaller network: up to 400 pixels
SMALLEST = 16  # pixels; smaller octaves are omitted


def places(model: Model, wanted: int | Sequence[str]) -> list[Place]:
    """The layers to dream on, in execution order. wanted: their names, or a number of chosen layers with positions."""
    order = [found.name for found in model.layers]
    if isinstance(wanted, int):
        spatial = [name for name in order if model.layer(name).height * model.layer(name).width > 1]
        names = [name for name in spatial if name in model.chosen and not gives_scores(model, name)] or spatial
        few = min(wanted, len(names))
        # ends of equal sections: this omits the first layer's stripes and includes the deepest one, where things appear
        names = [names[round((i + 1) * len(names) / few) - 1] for i in range(few)]
    else:
        names = sorted({model.layer(name).name for name in wanted}, key=order.index)
    modules = [model.layer(name).module for name in names]
    depths = np.linspace(0, 1, len(names) + 1)[1:]
    return [Place(n, m, rectified(model, m), float(d)) for n, m, d in zip(names, modules, depths, strict=True)]


def sizes(
    size: tuple[int, int], octaves: int, scale: float, fitting: Callable[[float], int] = round
) -> list[tuple[int, int]]:
    """(height, width) of the octaves from the smallest to ``size``. Octaves that would be tiny are omitted.

    fitting: see Model.fitting.
    """
    every = dict.fromkeys([size, *(tuple(fitting(side / scale**i) for side in size) for i in range(1, octaves))])
    return [s for s in reversed(every) if min(s) >= SMALLEST or s == size]


def dream(
    model: Model,
    photo: Tensor,
    place: Place,
    *,
    steps: int,
    octaves: int,
    scale: float,
    step: float,
    shift: int,
    seed: int,
    own_size: bool = False,
) -> tuple[Tensor, np.ndarray]:
    """The dream (1, c, h, w) of a photo (1, c, h, w), and the objective before and after each octave, (octaves, 2).

    step: mean change per step in [0, 1]. shift: largest jitter in pixels. own_size: whether the network takes its own
    size only.
    """
    objective = layer(place.module, as_seen(place))
    views: list[Transform] = [jitter(shift)] if shift else []
    if own_size:
        views.append(lambda x, progress, generator: resize(x, model.preprocess.size))
    detail, rises = None, []
    fitting = round if own_size else model.fitting
    for number, size in enumerate(sizes(tuple(photo.shape[2:]), octaves, scale, fitting)):
        base = photo if size == tuple(photo.shape[2:]) else resize(photo, size)
        start = base if detail is None else (base + resize(detail, size)).clamp(0, 1)
        found = ascend(
            model,
            {"layer": objective},
            pixels(start),
            steps=steps,
            optimiser=banded(step),
            transform=in_turn(*views) if views else None,
            seed=seed + number,
            progress=f"{place.name}, octave {number + 1}",
        ).pictures
        rises.append([float(excitement(model, x, place, own_size)[0]) for x in (start, found)])
        detail = found - base
    return found, np.array(rises)


def excitement(model: Model, x: Tensor, place: Place, own_size: bool = False) -> np.ndarray:
    """The mean of f² over units and positions of pictures (n, c, h, w): (n,)."""
    return responses(model, x, [place], own_size)[:, 0]


def responses(model: Model, x: Tensor, shown: Sequence[Place], own_size: bool = False) -> np.ndarray:
    """The same in several layers, by one forward pass: (n, layers)."""
    x = resize(x, model.preprocess.size) if own_size else x
    outputs = read(model, x, [place.module for place in shown])
    return np.stack([layer(p.module, as_seen(p)).value(outputs).cpu().numpy() for p in shown], 1)


def photo(model: Model, picture: Image.Image | np.ndarray, long: int | None) -> np.ndarray:
    """A network input whose longer side is ``long`` pixels; None: by the network's own preprocessing.

    Returns (h, w, c) uint8, or float32 in [0, 1].
    """
    if long is None:
        return model.preprocess.geometry(picture)
    height, width = picture.shape[:2] if isinstance(picture, np.ndarray) else picture.size[::-1]
    size = tuple(model.fitting(max(SMALLEST, round(side * long / max(height, width)))) for side in (height, width))
    return replace(model.preprocess, resize=size, crop=None).geometry(picture)


def opened(given: dict) -> Image.Image:
    """A picture file, upright, RGB, cropped to its ``box`` if it has one. Raises UserError."""
    path = Path(given["path"])
    try:
        with Image.open(path) as file:
            image = ImageOps.exif_transpose(file).convert("RGB")
    except (OSError, Image.DecompressionBombError) as error:
        raise UserError(f"deepdream: {path.name} cannot be read as a picture: {error}") from error
    return image.crop(given["box"]) if given["box"] else image


def main(job: Job) -> None:
    p = job.parameters
    model = loaded.load(job, gradients="layers")
    shown = places(model, p["layers"])
    if not shown:
        raise NotApplicable("This network has no layer with feature maps to dream on.")
    image_set = images.read(job.inputs["images"], job.image_set)
    if isinstance(p["pictures"], int):
        index = image_set.probes(job.model["probes"])[: p["pictures"]]
        names, files = [image_set.pictures[i].name for i in index], [image_set.pixels(i) for i in index]
    else:
        index = [-1] * len(p["pictures"])
        names, files = [Path(given["path"]).stem for given in p["pictures"]], [opened(g) for g in p["pictures"]]
    own = model.preprocess.size
    long = p["size"] or max(round(LONG / SIDE * max(own)), min(LONG, MOST * max(own)))
    tried = [tuple(map(model.fitting, size)) for size in ([side * 0.8 for side in own], (long, long * 0.7))]
    free = all(takes(model, size, model.layer(place.name)) for place in shown for size in tried)
    long = long if free else None

    def dreamt(i: int, x: Tensor, place: Place, octaves: int) -> tuple[Tensor, np.ndarray]:
        return dream(
            model,
            x,
            place,
            steps=p["steps"],
            octaves=octaves,
            scale=p["octave_scale"],
            step=p["step"] / 255,
            shift=round(p["jitter"] * max(x.shape[2:])),
            seed=job.seed_for(place.name, names[i]) >> 8,
            own_size=not free,
        )

    arrays: dict[str, np.ndarray] = {}
    rises, before, across = [], [], []
    for i, file in enumerate(files):
        x = model.pictures([photo(model, file, long)])
        made = [dreamt(i, x, place, p["octaves"]) for place in shown]
        arrays[f"photo_{i}"] = to_bytes(x)[0]
        arrays[f"dream_{i}"] = np.concatenate([to_bytes(d) for d, _ in made])
        rises.append([rise for _, rise in made])
        judged = [responses(model, model.pictures([a]), shown, not free)[0] for a in arrays[f"dream_{i}"]]
        across.append(np.stack(judged))
        before.append(responses(model, model.pictures([arrays[f"photo_{i}"]]), shown, not free)[0])
        if i == 0:
            at = shown[max(len(shown) - 2, 0)]
            fewer = [to_bytes(dreamt(0, x, at, octaves)[0]) for octaves in range(1, p["octaves"])]
            last = arrays["dream_0"][shown.index(at)][None]
            arrays["octaves"] = np.concatenate([*fewer, last])
            judged = [excitement(model, model.pictures([a]), at, not free) for a in arrays["octaves"]]
            arrays["octave_responses"] = np.concatenate(judged)
    across = np.array(across).reshape(len(files), len(shown), len(shown))
    after = np.diagonal(across, axis1=1, axis2=2)
    job.write(
        arrays
        | {"before": np.array(before).reshape(after.shape), "after": after, "across": across, "rises": _filled(rises)},
        numbers={
            "layers": [place.name for place in shown],
            "octave_layer": at.name,
            "names": names,
            "index": index,
            "own_size": not free,
        },
        provenance=model.provenance,
    )
    return None


def _filled(rises: list[list[np.ndarray]]) -> np.ndarray:
    """(n, l, k, 2), padded with NaN for small photos with fewer octaves."""
    most = max(len(rise) for row in rises for rise in row)
    return np.array([[np.pad(r, [(0, most - len(r)), (0, 0)], constant_values=np.nan) for r in row] for row in rises])


if __name__ == "__main__":
    run(main)
