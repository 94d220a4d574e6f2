"""The same architecture before training: what its form alone makes of some of the pictures.

The control of all statements about features and units. Random filters already tell edges and colours apart, so
neighbours in random features share the class more often than neighbours in pixels.

The result holds, for at most ``MOST`` pictures, spread evenly over the set: ``index`` (m,), ``features`` (m, d)
float32, and for each chosen layer L/image (units, k) int32: the pictures that excite each unit most, as
:func:`cnnviz.network.units.patches` lists them. It is not applicable where the weights cannot be drawn anew.
"""

from dataclasses import replace

import numpy as np
import torch

from cnnviz.activations.forward_pass import ForwardPass, batches, layer_arrays
from cnnviz.errors import NotApplicable
from cnnviz.network import random_weights
from cnnviz.network.loaded import Model
from cnnviz.network.receptive_field import Field
from cnnviz.network.units import patches
from cnnviz.pictures import images
from cnnviz.run.job import Job, perform

MOST = 1000  # pictures: the difference of two shares is then known to about 4 percentage points


def leave_untrained(job: Job, model: Model, image_set: images.ImageSet, fields: dict[str, Field]) -> None:
    """Writes the job's output ``untrained``. Leaves the network as it was."""

    def made(job: Job) -> None:
        index = np.unique(np.linspace(0, len(image_set) - 1, min(MOST, len(image_set))).round().astype(int))
        with random_weights.untrained(model.net, job.seed_for) as any_weights:
            if not any_weights:
                raise NotApplicable("The network has no weights that can be drawn anew.", model.provenance)
            try:
                arrays = passed(job, model, image_set, fields, index)
            except Exception as error:  # whatever a network raises with weights that it was not made for
                raise NotApplicable(f"The network does not run before training: {error}", model.provenance) from error
        if not np.isfinite(arrays["features"]).all():
            raise NotApplicable("Before training, the network's features are not finite.", model.provenance)
        job.write(arrays | {"index": index}, provenance=model.provenance)

    perform(made, replace(job, section="untrained", outputs={"result": job.outputs["untrained"]}))


def passed(job: Job, model: Model, image_set: images.ImageSet, fields: dict[str, Field], index: np.ndarray) -> dict:
    """The arrays of the module's docstring, with the weights that the network has now."""
    batch, top = job.parameters["batch"], min(job.parameters["top"], len(index))
    maps = {layer.module: layer.maps for layer in model.layers}
    of_modules = {model.layer(name).module: field for name, field in fields.items()}
    with ForwardPass(model.net, of_modules, maps, top, model.feature, batch, len(index)) as step:
        pictures = batches(image_set, index.tolist(), model, batch, job.threads)
        arrays = {"features": torch.cat([step(x)[1] for x in pictures]).float().cpu().numpy()}
    for name, field in fields.items():
        kept = layer_arrays(name, step.responses[model.layer(name).module], field)
        of_layer = {key.removeprefix(f"{name}/"): array for key, array in kept.items()}
        image = patches(of_layer, model.preprocess.size, top)["image"]
        arrays[f"{name}/image"] = np.where(image >= 0, index[image], -1).astype(np.int32)
    return arrays
