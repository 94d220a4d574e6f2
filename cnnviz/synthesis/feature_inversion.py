"""Feature inversion: a picture reconstructed from one layer's features (Mahendran & Vedaldi 2015).

    I* = argmin_I ‖F(I) - F(I₀)‖² / ‖F(I₀)‖² + R(I)

I₀ is a probe picture and F its features in a layer. They are the layer's output, with negative values set to 0 if a
ReLU follows. The features do not determine what the layer discarded. So what the reconstruction shows is in them.

There are two methods. Both start from noise that is independent of I₀.

fourier: L-BFGS, first on the picture's spectrum and then on its pixels (:mod:`cnnviz.ascent.settling`).
R(I) = e² (λ₁ side / 224 TV₁(I) + λ₂ ‖I - grey‖²) / (c h w): the mean difference of neighbours and the mean squared
distance to grey. The first falls as 1 / side if an object is drawn with more pixels, hence the factor. e is 1.25 d, but
at most 1, and d in (0, 1] is the depth: features of a deep layer constrain fine detail and brightness little, so the
regulariser must, and those of a shallow one determine the picture. This is the better method on trained networks: it
undoes first layers nearly completely, and deep layers keep whole objects.

published: the pixels, by gradient descent with momentum 0.9. R(I) = λ (Σ |∇I|² / V² + Σ (I - grey)⁶ / B⁶) / (c h w),
where λ grows as 1 : 10 : 100 over the first, second and last third of the depth. B = 80 and V = B / 6.5 (levels of 255)
are the divisors of the authors' later paper (IJCV 2016). They make the weights independent of the network's units.

The result holds, for n pictures and l layers from the first to the scores: ``pictures`` (n, h, w, c) uint8, after
resize and crop; ``index`` (n,) into the image set; ``inverted`` (n, l, h, w, c) uint8; ``errors`` (n, l, steps)
float32: relative feature error before each step; ``error`` (n, l): of the published 8-bit picture; ``pixel_error``
(n, l): root mean square difference of its pixels to the original's, in levels of 255; ``flat_error`` (n,): the same for
the original's mean colour; ``cross`` (n, l, l): the feature error in layer j of the picture rebuilt from layer i.
Numbers: ``layers`` [{name, rectified}], and ``silent``, names of the layers that are left out because all features of a
picture are 0 there.

A search can end in a picture to which all units are silent. Where a deeper layer's copy fits a layer better than its
own, the search is therefore repeated from another start. A layer for which that does not help has not converged, see
:func:`cnnviz.views.feature_inversion.unconverged`. Its pixel error then says nothing about the layer.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from cnnviz.ascent.loop import Ascent, ascend, momentum, to_bytes
from cnnviz.ascent.objective_functions import OUTPUT, match, read
from cnnviz.ascent.parametrisations import fourier, pixels
from cnnviz.ascent.places import Place, as_seen, gives_scores, rectified
from cnnviz.ascent.regularisers import grey, l2, l6, smooth_variation, total_variation
from cnnviz.ascent.settling import settle
from cnnviz.errors import NotApplicable
from cnnviz.network import loaded
from cnnviz.network.halving import in_batches
from cnnviz.network.loaded import Model
from cnnviz.pictures import images
from cnnviz.run.job import Job, run

SCORES = "scores"
SPECTRUM = 0.7  # share of the steps that change the spectrum
DEEP = 1.25  # the last layers, which know no places, have the same weight of the penalties
SIDE = 224  # input size in pixels for which λ₁ is stated
NATURAL = (1 / 300, 10 / 300, 100 / 300)  # λ of the published method by depth
RANGE = 80 / 255  # B, distance of a photograph's colours to grey
SLOPE = RANGE / 6.5  # V, difference of neighbouring pixels in a photograph
RATE = 3e-4, 2e-5  # learning rates of the published method at depth 0 and 1, per value of a picture


def places(model: Model, wanted: int | Sequence[str]) -> list[Place]:
    """The layers to invert, in execution order.

    wanted: names of layers, or "scores"; or the largest number of layers, spread evenly over the chosen layers, the
    linear ones and the scores, including the first and the last.
    """
    order = [layer.name for layer in model.layers] + [SCORES]
    if isinstance(wanted, int):
        named = {model.layer(name).name for name in model.chosen}
        named |= {layer.name for layer in model.layers if layer.kind == "Linear" and layer.height * layer.width == 1}
        named -= set(model.trial.get("no_gradient", ()))
        names = [name for name in order if name in named and not gives_scores(model, name)]
        names += [SCORES] if not model.trial.get("gradients") else []
        few = max(1, min(wanted, len(names)))
        names = [names[round(i * (len(names) - 1) / max(few - 1, 1))] for i in range(few)]
    else:
        names = [name if name == SCORES else model.layer(name).name for name in dict.fromkeys(wanted)]
        names.sort(key=order.index)
    modules = [OUTPUT if name == SCORES else model.layer(name).module for name in names]
    depths = np.linspace(0, 1, len(names) + 1)[1:]
    return [
        Place(name, module, module != OUTPUT and rectified(model, module), float(depth))
        for name, module, depth in zip(names, modules, depths, strict=True)
    ]


def invert(
    model: Model,
    originals: Tensor,
    place: Place,
    seeds: Sequence[int],
    *,
    steps: int,
    method: str = "fourier",
    roughness: float = 2.0,
    distance: float = 1.0,
) -> Ascent:
    """Reconstructs each of ``originals`` (n, c, h, w) from its own noise, in one batch.

    The ascent's curve "match" is -(relative feature error). roughness, distance: λ₁ and λ₂ of the method "fourier".
    """
    target = as_seen(place)(read(model, originals, [place.module])[place.module])
    objective = match(place.module, target, as_seen(place))
    centre = grey(model.channels)
    values = originals[0].numel()
    if method == "fourier":
        size = tuple(originals.shape[2:])
        noise = fourier(size, seeds, channels=model.channels, device=model.device)
        weight = min(1, DEEP * place.depth) ** 2 / values
        sharpness = min(size) / SIDE
        return settle(
            model,
            {"match": objective},
            noise.picture(noise.variable),
            steps=steps,
            spectrum=SPECTRUM,
            penalties={
                "total variation": lambda x: weight * roughness * sharpness * smooth_variation(x),
                "distance to grey": lambda x: weight * distance * l2(x, centre),
            },
            progress=place.name,
        )
    noise = [torch.randn(originals.shape[1:], generator=torch.Generator().manual_seed(seed)) for seed in seeds]
    start = (torch.tensor(centre)[:, None, None] + 0.04 * torch.stack(noise)).clamp(0, 1).to(originals)
    weight = NATURAL[min(int(place.depth * 3 - 1e-9), 2)] / values
    return ascend(
        model,
        {"match": objective},
        pixels(start),
        steps=steps,
        optimiser=momentum(RATE[0] * (RATE[1] / RATE[0]) ** place.depth * values),
        penalties={
            "total variation": lambda x: weight / SLOPE**2 * total_variation(x, 2),
            "L6": lambda x: weight / RANGE**6 * l6(x, centre),
        },
        progress=place.name,
    )


def answers(model: Model, originals: Tensor, place: Place) -> bool:
    """Whether each picture has features there that are not all 0, so that its relative error exists."""
    features = as_seen(place)(read(model, originals, [place.module])[place.module])
    return bool((features.flatten(1).abs().amax(1) > 0).all())


def errors(
    model: Model, originals: Tensor, pictures: np.ndarray, over: Sequence[Place]
) -> tuple[np.ndarray, np.ndarray]:
    """Relative feature errors in each place, (n, places), and root mean square pixel errors in levels, (n,).

    pictures: (n, h, w, c) uint8.
    """
    shown, modules = model.pictures(list(pictures)), [place.module for place in over]
    wanted, found = (read(model, x, modules) for x in (originals, shown))
    every = [match(p.module, as_seen(p)(wanted[p.module]), as_seen(p)).value(found) for p in over]
    return -torch.stack(every, 1).cpu().numpy(), _distance(shown, originals)


def stuck_at(cross: np.ndarray, k: int) -> list[int]:
    """Pictures whose copy from the k-th layer fits that layer worse than their copy from a deeper one does.

    cross: (n, l, l) feature error in the second layer of the picture rebuilt from the first one.
    """
    return [i for i, own in enumerate(cross[:, k, k]) if own > cross[i, k + 1 :, k].min(initial=np.inf)]


def _distance(a: Tensor, b: Tensor) -> np.ndarray:
    """Root mean square difference in levels of 255, (n,)."""
    return 255 * (a - b).square().flatten(1).mean(1).sqrt().cpu().numpy()


def main(job: Job) -> None:
    p = job.parameters
    model = loaded.load(job, gradients="layers")
    image_set = images.read(job.inputs["images"], job.image_set)
    chosen = image_set.probes(job.model["probes"])[: p["pictures"]]
    every = places(model, p["layers"])
    silent: set[str] = set()
    for picture in image_set.arrays(model.preprocess.geometry, chosen, job.threads):
        silent |= {place.name for place in every if not answers(model, model.pictures([picture]), place)}
    shown = [place for place in every if place.name not in silent]
    if not shown:
        reason = "All features of these pictures are 0 in the layers to invert, so no picture can be reconstructed."
        raise NotApplicable(reason, model.provenance)

    def batch(indices: Sequence[int]) -> dict[str, np.ndarray]:
        pictures = np.stack(list(image_set.arrays(model.preprocess.geometry, indices, job.threads)))
        originals = model.pictures(list(pictures))
        flat = originals.mean((2, 3), keepdim=True).expand_as(originals)

        def rebuilt(place: Place, of: Sequence[int], *again: str) -> dict[str, np.ndarray]:
            """The result's rows of one layer, for some pictures of the batch; again: another start than the first."""
            ascent = invert(
                model,
                originals[of],
                place,
                [job.seed_for(place.name, image_set.pictures[indices[i]].id, *again) for i in of],
                steps=p["steps"],
                method=p["method"],
                roughness=p["total_variation"],
                distance=p["l2"],
            )
            inverted = to_bytes(ascent.pictures)
            cross, pixel_error = errors(model, originals[of], inverted, shown)
            curves = -ascent.curves["match"].T
            return {"inverted": inverted, "errors": curves, "cross": cross, "pixel_error": pixel_error}

        found = [rebuilt(place, range(len(indices))) for place in shown]
        arrays = {name: np.stack([rows[name] for rows in found], 1) for name in found[0]}
        for k, place in enumerate(shown):
            if stuck := stuck_at(arrays["cross"], k):
                second = rebuilt(place, stuck, "again")
                for row, i in enumerate(stuck):
                    if second["cross"][row, k] < arrays["cross"][i, k, k]:
                        for name, values in second.items():
                            arrays[name][i, k] = values[row]
        error = arrays["cross"].diagonal(axis1=1, axis2=2)
        return arrays | {"pictures": pictures, "error": error, "flat_error": _distance(flat, originals)}

    made = list(in_batches(batch, chosen, p["batch"]))
    job.write(
        {name: np.concatenate([m[name] for m in made]) for name in made[0]} | {"index": np.array(chosen)},
        numbers={"layers": [{"name": place.name, "rectified": place.rectified} for place in shown]}
        | {"silent": [place.name for place in every if place.name in silent]},
        provenance=model.provenance,
    )
    return None


if __name__ == "__main__":
    run(main)
