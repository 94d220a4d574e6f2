"""The forward pass over the image set, which all activation sections read.

Each picture goes through the network once. A hook reduces a layer's output at once, before an in-place ReLU can change
it, so that no activation outlives its batch. It keeps, for every unit of the chosen layers, with the module's own
output a_u(i, y, x) for picture i (before normalisation and ReLU if those are modules of their own):

- the ``top`` pictures with the largest max over (y, x) of a_u, at most one neuron per picture, once over the neurons
  whose receptive field is wholly inside the picture and once over all. The order is (value descending, picture
  ascending), and of a picture's equal neurons the first one counts. So it does not depend on the batches;
- mean and maximum of a_u over all neurons of all pictures, the fraction with a_u > 0, and the mean over pictures of
  max(0, max over (y, x) of a_u), the typical largest activation in a picture;
- a histogram of a_u over some neurons of each picture, the same ones for all units of a layer. There are about 16 000
  values per unit, at most ``SAMPLES`` per picture. The choice depends on the picture's index only, and over many
  pictures it covers the map evenly. All activations would cost more than the network itself.

A large set can be split into shards of whole batches: jobs that write one file each, which another rule merges into the
same bytes. For this they store sums of each batch, since sums in another order may differ in their last digit.

Values are float32. Between batch sizes they may differ by about 1e-6 of their size, since libraries choose other
kernels, and neurons that differ by less may then change places. In float64 the selection is the same (tests show this).

The job writes ``features`` (n, d) and ``logits`` (n, classes), float32, in memory-mapped files; and ``untrained``, the
features of some pictures by the network before training, see :mod:`cnnviz.activations.untrained`. The result holds, for
each chosen layer L of h × w neurons:

L/inside_value, L/inside_image, L/inside_position and L/all_value, L/all_image, L/all_position:
    (units, k) float32, (units, k) int32 index of the picture or −1 for none, (units, k, 2) int32 y and x;
L/mean, L/max, L/active, L/peak: (units,) float32; active is a fraction, peak the mean of the pictures' maxima;

L/histogram: (units, 87) int32 neurons with histogram_edges[b − 1] ≤ a_u < histogram_edges[b], open at both ends;

L/rows (h, 2), L/columns (w, 2) int32, L/rows_cross (h,), L/columns_cross (w,) bool: see receptive_field.Field;

and of the predictions, for n pictures:

top_classes, top_probabilities: (n, 5) int32 outputs and float32, best first, equal ones by index;

label: (n,) int32, the first correct output, or −1; histogram_edges: (86,) float32.

Numbers: pictures, layers, size, top; unprobed: layer → why its fields are the whole picture, if probing failed;
geometry (resize, crop, interpolation); kind; labelled, top1, top5 (fractions), on, roles: see
:func:`cnnviz.activations.accuracy.accuracies`; around: layer → the operations that make and read its values, see
:mod:`cnnviz.activations.rectified`.
"""

import numpy as np

from cnnviz.activations.accuracy import accuracies, right_outputs
from cnnviz.activations.forward_pass import layer_arrays, pass_over
from cnnviz.activations.forward_shards import leave_shard, merged
from cnnviz.activations.rectified import around
from cnnviz.activations.responses import EDGES
from cnnviz.activations.untrained import leave_untrained, to_keep
from cnnviz.network import loaded
from cnnviz.network.receptive_field import receptive_fields
from cnnviz.pictures import images
from cnnviz.run.job import Job, run


def main(job: Job) -> None:
    """Runs over all pictures, or over a ``shard`` [number, count] among the parameters, or merges given parts."""
    model = loaded.load(job)
    image_set = images.read(job.inputs["images"], job.image_set)
    modules = {name: model.layer(name).module for name in model.chosen}
    maps = {layer.module: layer.maps for layer in model.layers}
    size = model.preprocess.size
    found = receptive_fields(model.net, {module: maps[module] for module in modules.values()}, size, model.channels)
    fields = {name: found[module] for name, module in modules.items()}
    if "shard" in job.parameters:
        return leave_shard(job, model, image_set, fields)

    beside = around(model.net, list(modules.values()), (model.channels, *size))
    parts = [path for name, path in job.inputs.items() if name.startswith("shard")]
    kept = to_keep(len(image_set), model) if "untrained" in job.outputs else {}
    if parts:
        passed, provenance = merged(job, parts, list(modules))
    else:
        passed = pass_over(job, model, image_set, fields, range(len(image_set)), kept=kept)
        provenance = model.provenance
    if "untrained" in job.outputs:
        leave_untrained(job, model, image_set, fields, kept)
    right = right_outputs(image_set, model.label_to_output)
    arrays = {
        "top_classes": passed.top_classes,
        "top_probabilities": passed.top_probabilities,
        "label": np.array([outputs[0] if outputs else -1 for outputs in right], np.int32),
        "histogram_edges": EDGES,
    }
    for name, field in fields.items():
        arrays |= layer_arrays(name, passed.responses[name], field)
    return job.write(
        arrays,
        numbers={
            "pictures": len(image_set),
            "layers": list(modules),
            "size": list(size),
            "top": min(job.parameters["top"], len(image_set)),
            "kind": model.kind,
            "unprobed": {name: field.note for name, field in fields.items() if field.note},
            "geometry": {key: getattr(model.preprocess, key) for key in ("resize", "crop", "interpolation")},
            "around": {name: beside[module] for name, module in modules.items()},
        }
        | accuracies(passed.top_classes, right, [picture.role for picture in image_set.pictures]),
        provenance=provenance | {"batch": passed.batch},
    )


if __name__ == "__main__":
    run(main)
