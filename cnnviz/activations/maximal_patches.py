"""The image patches with the largest activation of each unit, cut to the neuron's exact receptive field.

p_i = max over (y, x) of a_u(i, y, x) for picture i. The patches are those of the k pictures with the largest p_i, at
most one per picture (Girshick et al. 2014, §3.1; Zeiler & Fergus 2014, fig. 2). Neurons with a receptive field inside
the picture come first. If a unit has too few of them (for example because the field is larger than the picture), the
strongest others follow, and are marked: their crop ends at the picture's edge, and padding affects them. If the field
is the whole picture, so is the patch. Neurons that see only padding are left out. So are those with a value of 0 or
less if a ReLU made the values, or only ReLUs read them: they do not excite the unit, and a *dead* unit has no patch.

A neuron at the border can be stronger than all patches with a field inside the picture; L/max states that.

The job reads the result of the forward pass and needs no network. The result holds, for each layer L and all units, the
strongest patch first: L/image: (units, k) int32, index of the picture, or −1 for none. L/value: (units, k) float32, 0
for none. L/position: (units, k, 2) int32, y and x of the neuron. L/border: (units, k) bool, whether the field extends
beyond the picture. L/box: (units, k, 4) int32, top, left, bottom, right in pixels of the network's input, half open.
L/max: (units,), the largest activation anywhere; L/peak: (units,), see the forward pass. L/untrained (units, k) int32:
the same pictures before training, where that is known; ``untrained`` is their number among the numbers.
"""

from cnnviz.errors import NotApplicable
from cnnviz.network.units import of_layer, patches
from cnnviz.run import result
from cnnviz.run.job import Job, run


def fields(kept: dict) -> dict:
    """Sides of a layer's receptive fields, and the number of its neurons with a field inside the picture."""
    heights, widths = (side[:, 1] - side[:, 0] for side in (kept["rows"], kept["columns"]))
    rows, columns = ~kept["rows_cross"], ~kept["columns_cross"]
    # field of a neuron that sees no padding, or else the largest
    height = int(heights[rows].max(initial=0)) or int(heights.max())
    width = int(widths[columns].max(initial=0)) or int(widths.max())
    return {
        "units": len(kept["peak"]),
        "field": [height, width],
        "neurons": int(rows.size * columns.size),
        "inside": int(rows.sum() * columns.sum()),
    }


def main(job: Job) -> None:
    forward = result.read(job.inputs["forward"])
    if not forward.numbers["layers"]:
        raise NotApplicable(
            "None of the network's layers is shown: there are no units.", result.inherited(forward, "forward")
        )
    k = min(job.parameters["patches"], forward.numbers["top"])
    before = result.read(job.inputs["untrained"]).arrays
    arrays, layers = {}, []
    for name in forward.numbers["layers"]:
        kept = of_layer(forward, name)
        picked = patches(kept, forward.numbers["size"], k)
        arrays |= {
            **{f"{name}/{what}": array for what, array in picked.items()},
            f"{name}/max": kept["max"],
            f"{name}/peak": kept["peak"],
        }
        if f"{name}/image" in before:
            arrays[f"{name}/untrained"] = before[f"{name}/image"][:, :k]
        unprobed = forward.numbers["unprobed"].get(name, "")
        layers.append({"name": name} | fields(kept) | {"unprobed": unprobed, "rectified": bool(kept["rectified"])})
    job.write(
        arrays,
        numbers={
            "layers": layers,
            "size": forward.numbers["size"],
            "pictures": forward.numbers["pictures"],
            "geometry": forward.numbers["geometry"],
            "untrained": len(before.get("index", ())),
        },
        provenance=result.inherited(forward, "forward"),
    )


if __name__ == "__main__":
    run(main)
