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

import numpy as np

from cnnviz import result
from cnnviz.job import Job, run


def fill(inside: dict[str, np.ndarray], everywhere: dict[str, np.ndarray], k: int) -> dict[str, np.ndarray]:
    """The first k of ``inside``, then of ``everywhere`` what shows other pictures.

    Both hold, and this returns, image, value (units, k) and position (units, k, 2); image is −1 where there is none.
    """
    image = np.concatenate([inside["image"], everywhere["image"]], 1)
    first = inside["image"].shape[1]
    again = (image[:, first:, None] == image[:, None, :first]).any(2)
    usable = image >= 0
    usable[:, first:] &= ~again
    order = np.argsort(~usable, axis=1, kind="stable")[:, :k]
    picked = {
        name: np.take_along_axis(
            np.concatenate([inside[name], everywhere[name]], 1),
            order.reshape(*order.shape, *[1] * (inside[name].ndim - 2)),
            1,
        )
        for name in ("image", "value", "position")
    }
    none = ~np.take_along_axis(usable, order, 1)
    picked["image"][none], picked["value"][none], picked["position"][none] = -1, 0, -1
    return picked


def boxes(position: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """(…, 2) y and x of neurons → (…, 4) top, left, bottom, right of their fields; position −1 gives zeros."""
    y, x = position[..., 0], position[..., 1]
    found = np.stack([rows[y, 0], columns[x, 0], rows[y, 1], columns[x, 1]], -1)
    return np.where(y[..., None] < 0, 0, found).astype(np.int32)


def seeing(image: np.ndarray, position: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """``image`` (units, k), but −1 for neurons that see nothing but padding; a unit that has no others keeps them."""
    top, left, bottom, right = np.moveaxis(boxes(position, rows, columns), -1, 0)
    sees = (top < bottom) & (left < right)
    return np.where(sees | ~sees.any(1, keepdims=True), image, -1)


def main(job: Job) -> None:
    forward = result.read(job.inputs["forward"])
    if not forward.numbers["layers"]:
        return job.write(
            {},
            not_applicable="None of the network's layers is shown: there are no units.",
            provenance=result.inherited(forward, "forward"),
        )
    height, width = forward.numbers["size"]
    k = min(job.parameters["patches"], forward.numbers["top"])
    arrays, layers = {}, []
    for name in forward.numbers["layers"]:
        kept = {key.removeprefix(f"{name}/"): a for key, a in forward.arrays.items() if key.startswith(f"{name}/")}
        inside, everywhere = (
            {what: kept[f"{where}_{what}"] for what in ("image", "value", "position")} for where in ("inside", "all")
        )
        everywhere["image"] = seeing(everywhere["image"], everywhere["position"], kept["rows"], kept["columns"])
        picked = fill(inside, everywhere, k)
        box = boxes(picked["position"], kept["rows"], kept["columns"])
        y, x = picked["position"][..., 0], picked["position"][..., 1]
        whole = (box == (0, 0, height, width)).all(-1)
        border = (kept["rows_cross"][y] | kept["columns_cross"][x]) & (picked["image"] >= 0) & ~whole
        arrays |= {
            f"{name}/image": picked["image"],
            f"{name}/value": picked["value"],
            f"{name}/position": picked["position"],
            f"{name}/box": box,
            f"{name}/border": border,
            f"{name}/max": kept["max"],
            f"{name}/peak": kept["peak"],
        }
        heights, widths = (side[:, 1] - side[:, 0] for side in (kept["rows"], kept["columns"]))
        rows, columns = ~kept["rows_cross"], ~kept["columns_cross"]
        layers.append(
            {
                "name": name,
                "units": len(box),
                # of a neuron that sees no padding; where all do, the largest there is
                "field": [int(heights[rows].max(initial=0)) or int(heights.max()),
                          int(widths[columns].max(initial=0)) or int(widths.max())],
                "neurons": int(rows.size * columns.size),
                "inside": int(rows.sum() * columns.sum()),
                "unprobed": forward.numbers["unprobed"].get(name, ""),
            }
        )  # fmt: skip
    job.write(
        arrays,
        numbers={
            "layers": layers,
            "size": [height, width],
            "pictures": forward.numbers["pictures"],
            "geometry": forward.numbers["geometry"],
        },
        provenance=result.inherited(forward, "forward"),
    )


if __name__ == "__main__":
    run(main)
