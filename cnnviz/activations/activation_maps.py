"""The feature map of every unit of a layer for a picture: one number per position.

    A_u(y, x) = a_u(i, y, x), the output of the layer's module for picture i

It is the output before normalisation and ReLU if those are modules of their own (Zeiler & Fergus 2014; Yosinski et al.
2015, "Understanding Neural Networks Through Deep Visualization", shows such maps live). Networks are run only as far as
the deepest chosen layer.

The result holds ``pictures`` (p, h, w, c), network inputs, ``index`` (p,) int32 into the image set, and for each layer
L and all its units: L/levels (p, units, h, w) uint8, from 0 at L/low to 255 at L/high, (p, units) float32, so A_u = low
+ (high − low) · level / 255, with an error of at most 1/510 of the map's range; L/mean (p, units) float32, exact.
Layers whose units have one neuron (fully connected layers) have no maps and are left out. Numbers: layers, with the
operations that make and read their values (see rectified.py), and predicted, probability, a value for each picture.
"""

import numpy as np
import torch

from cnnviz.activations.rectified import around
from cnnviz.errors import NotApplicable
from cnnviz.network import hooks, loaded
from cnnviz.network.layers import Layer
from cnnviz.pictures import images
from cnnviz.run.job import Job, run


def quantised(maps: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(…, h, w) → levels (…, h, w) uint8, low and high (…,) float32. A constant map has level 0 everywhere."""
    low, high = maps.min((-2, -1)), maps.max((-2, -1))
    span = np.where(high > low, high - low, 1)[..., None, None]
    levels = np.rint((maps - low[..., None, None]) / span * 255).astype(np.uint8)
    return levels, low.astype(np.float32), high.astype(np.float32)


def looked_at(model: loaded.Model, layers: list[Layer], pictures: np.ndarray) -> tuple[dict, dict]:
    """The maps of each layer, as in the module's docstring, and the network's predictions, as lists."""
    modules = [layer.module for layer in layers]
    found: dict[str, list] = {}
    said = {"predicted": [], "probability": []}
    for picture in pictures:  # one at a time, since maps of a wide network are large
        x = model.normalise(model.pictures([picture]))
        with torch.inference_mode(), hooks.capture(model.net, model.maps_of(modules), stop=True) as captured:
            hooks.forward(model.net, x, captured)
        with torch.inference_mode():
            chances = model.probabilities(model.net(x))[0]
        said["predicted"].append(int(chances.argmax()))
        said["probability"].append(float(chances.max()))
        for layer in layers:
            maps = captured[layer.module][0].float().cpu().numpy()
            kept = dict(zip(("levels", "low", "high"), quantised(maps), strict=True))
            for what, array in (kept | {"mean": maps.mean((1, 2))}).items():
                found.setdefault(f"{layer.name}/{what}", []).append(array)
    return {name: np.stack(arrays) for name, arrays in found.items()}, said


def main(job: Job) -> None:
    model = loaded.load(job)
    layers = [model.layer(name) for name in model.chosen]
    layers = [layer for layer in layers if layer.height * layer.width > 1]
    if not layers:
        raise NotApplicable("None of the chosen layers has maps: their units have no positions in the picture.")
    image_set = images.read(job.inputs["images"], job.image_set)
    wanted = job.model["probes"]
    count = job.parameters["pictures"]
    index = image_set.probes(min(count, wanted) if isinstance(wanted, int) else wanted)[:count]
    pictures = np.stack(list(image_set.arrays(model.preprocess.geometry, index, job.threads)))
    found, said = looked_at(model, layers, pictures)
    beside = around(model.net, [layer.module for layer in layers], (model.channels, *model.preprocess.size))
    job.write(
        found | {"pictures": pictures, "index": np.array(index, np.int32)},
        numbers={
            "layers": [
                {"name": s.name, "units": s.units, "height": s.height, "width": s.width} | beside[s.module]
                for s in layers
            ],
        }
        | said,
        provenance=model.provenance,
    )


if __name__ == "__main__":
    run(main)
