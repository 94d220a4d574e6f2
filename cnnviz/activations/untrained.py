"""The same architecture before training: what its form alone makes of some of the pictures.

The control of all statements about features and units. Random filters already tell edges and colours apart, so
neighbours in random features share the class more often than neighbours in pixels.

The result holds, for at most ``MOST`` pictures, spread evenly over the set: ``index`` (m,), ``features`` (m, d)
float32, and for each chosen layer L/image (units, k) int32: the pictures that excite each unit most, as
:func:`cnnviz.network.units.patches` lists them. It is not applicable where the weights cannot be drawn anew.
"""

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice

import numpy as np
import torch

from cnnviz.activations.forward_pass import ForwardPass, layer_arrays
from cnnviz.errors import NotApplicable
from cnnviz.network import random_weights
from cnnviz.network.loaded import Model
from cnnviz.network.receptive_field import Field
from cnnviz.network.units import patches
from cnnviz.pictures import images
from cnnviz.run.job import Job, perform

MOST = 1000  # pictures: the difference of two shares is then known to about 4 percentage points
KEPT = 300e6  # bytes of these pictures that are kept from the network's own pass; larger ones are read again


def sampled(pictures: int) -> list[int]:
    """The indices of the pictures that are passed."""
    return np.unique(np.linspace(0, pictures - 1, min(MOST, pictures)).round().astype(int)).tolist()


def to_keep(pictures: int, model: Model) -> dict[int, np.ndarray | None]:
    """What :func:`forward_pass.batches` shall keep for this: the same pictures, if there is room for them."""
    index, (height, width) = sampled(pictures), model.preprocess.size
    return dict.fromkeys(index if len(index) * height * width * model.channels <= KEPT else ())


def leave_untrained(
    job: Job, model: Model, image_set: images.ImageSet, fields: dict[str, Field], kept: dict[int, np.ndarray | None]
) -> None:
    """Writes the job's output ``untrained``. Leaves the network as it was. kept: the pictures, or none."""
    index = sampled(len(image_set))

    def made(job: Job) -> None:
        read = any(kept.get(i) is None for i in index)
        pictures = image_set.arrays(model.preprocess.geometry, index, job.threads) if read else iter(kept.values())
        with random_weights.untrained(model.net, job.seed_for) as any_weights:
            if not any_weights:
                raise NotApplicable("The network has no weights that can be drawn anew.", model.provenance)
            try:
                arrays = passed(job, model, pictures, fields, np.array(index))
            except Exception as error:  # whatever a network raises with weights that it was not made for
                raise NotApplicable(
                    f"The network does not run with random weights: {error}", model.provenance
                ) from error
        if not np.isfinite(arrays["features"]).all():
            raise NotApplicable("With random weights, the network's features are not finite.", model.provenance)
        job.write(arrays | {"index": np.array(index)}, provenance=model.provenance)

    perform(made, replace(job, section="untrained", outputs={"result": job.outputs["untrained"]}))


def passed(
    job: Job, model: Model, pictures: Iterator[np.ndarray], fields: dict[str, Field], index: np.ndarray
) -> dict[str, np.ndarray]:
    """The arrays of the module's docstring, with the weights that the network has now."""
    batch, top = job.parameters["batch"], min(job.parameters["top"], len(index))
    maps = {layer.module: layer.maps for layer in model.layers}
    of_modules = {model.layer(name).module: field for name, field in fields.items()}
    features = []
    layout = {"channels_last": model.channels_last}
    with ForwardPass(model.net, of_modules, maps, top, model.feature, batch, len(index), **layout) as step:
        while some := list(islice(pictures, batch)):
            features.append(step(model.normalise(model.pictures(some)))[1])
    arrays = {"features": torch.cat(features).float().cpu().numpy()}
    for name, field in fields.items():
        kept = layer_arrays(name, step.responses[model.layer(name).module], field)
        of_layer = {key.removeprefix(f"{name}/"): array for key, array in kept.items()}
        image = patches(of_layer, model.preprocess.size, top)["image"]
        arrays[f"{name}/image"] = np.where(image >= 0, index[image], -1).astype(np.int32)
    return arrays
