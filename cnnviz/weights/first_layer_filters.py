"""The weights of the first convolution (Krizhevsky et al. 2012, fig. 3).

A filter of the first layer is in pixel space: its response to a patch is the dot product with its weights. So the
filter drawn as a picture is the patch (of given norm) with the largest response. Filters of later layers are not
in pixel space.

The result holds ``weights``: (units, channels, height, width) float32, in RGB order for three channels. They apply to
the network's input, after mean and standard deviation.
"""

import numpy as np
from torch import nn

from cnnviz.errors import NotApplicable
from cnnviz.network import loaded
from cnnviz.run.job import Job, run


def first_convolution(model: loaded.Model) -> loaded.Layer | None:
    """The convolution that is executed first, or None."""
    return next((layer for layer in model.layers if isinstance(model.module(layer.name), nn.Conv2d)), None)


def main(job: Job) -> None:
    model = loaded.load(job)
    layer = first_convolution(model)
    if layer is None:
        raise NotApplicable("This network has no convolution, so it has no filters in pixel space.")
    module = model.module(layer.name)
    assert isinstance(module, nn.Conv2d)
    weights = module.weight.detach().cpu().numpy().astype(np.float32)
    if weights.shape[1] == 3 and model.preprocess.channels == "BGR":
        weights = weights[:, ::-1].copy()
    job.write(
        {"weights": weights},
        numbers={"layer": layer.name, "module": layer.module, "stride": list(module.stride)},
        provenance=model.provenance,
    )


if __name__ == "__main__":
    run(main)
