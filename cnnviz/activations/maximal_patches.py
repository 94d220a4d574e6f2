"""For each unit the image patches that excite it most, each cut to the exact receptive field of the neuron that won.

p_i = max over (y, x) of a_u(i, y, x) for picture i; the k pictures with the largest p_i, at most one patch a picture
(Girshick et al. 2014, §3.1; Zeiler & Fergus 2014, fig. 2). Neurons whose field lies inside the picture come first.
Where a unit has too few of them (a field larger than the picture, say) the strongest others fill up, flagged, since
their crop ends at the picture's edge and they also saw padding. Where the field is the whole picture, the patch is it.
Neurons that see nothing but padding are left out.

Reads what the forward pass kept, so it needs no network. Leaves for each layer L, all units, strongest patch first:
L/image: (units, k) int32, index of the picture, or −1 for none. L/value: (units, k) float32, 0 for none.
L/position: (units, k, 2) int32, y and x of the neuron. L/border: (units, k) bool, the field hangs over the edge.
L/box: (units, k, 4) int32, top, left, bottom, right in pixels of the network's input, half open.
L/max, L/peak: (units,), see the forward pass.
"""

from cnnviz.errors import NotApplicable
from cnnviz.network.units import of_layer, patches
from cnnviz.run import result
from cnnviz.run.job import Job, run


def fields(kept: dict) -> dict:
    """What a layer's units see: the sides of their fields, and how many of their neurons lie inside the picture."""
    heights, widths = (side[:, 1] - side[:, 0] for side in (kept["rows"], kept["columns"]))
    rows, columns = ~kept["rows_cross"], ~kept["columns_cross"]
    # of a neuron that sees no padding; where all do, the largest there is
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
    arrays, layers = {}, []
    for name in forward.numbers["layers"]:
        kept = of_layer(forward, name)
        picked = patches(kept, forward.numbers["size"], k)
        arrays |= {
            **{f"{name}/{what}": array for what, array in picked.items()},
            f"{name}/max": kept["max"],
            f"{name}/peak": kept["peak"],
        }
        layers.append({"name": name} | fields(kept) | {"unprobed": forward.numbers["unprobed"].get(name, "")})
    job.write(
        arrays,
        numbers={
            "layers": layers,
            "size": forward.numbers["size"],
            "pictures": forward.numbers["pictures"],
            "geometry": forward.numbers["geometry"],
        },
        provenance=result.inherited(forward, "forward"),
    )


if __name__ == "__main__":
    run(main)
