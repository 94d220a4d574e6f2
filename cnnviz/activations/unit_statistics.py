"""Statistics of each unit over the image set: mean, maximum, share of active neurons, histogram; dead units.

For unit u of a layer, over all neurons (y, x) of all pictures i, with the output a_u(i, y, x) of the layer's module:

    mean_u = mean of a_u,  max_u = max of a_u,  active_u = share of neurons with a_u > 0

These are exact, over every neuron. The histogram is over sampled neurons (see the forward pass). Sparsity of a layer is
one minus its mean share of active neurons (Glorot, Bordes, Bengio 2011, "Deep Sparse Rectifier Neural Networks").

A unit is *dead* if max_u ≤ 0 and only ReLUs read it (through pooling or joining), or a ReLU made it. Then it has no
effect for any picture. It is *constant* if max_u = mean_u (to 1 in 10⁵): all its values are equal. A unit with max_u ≤
0 before a batch normalisation, for example, is not dead, since the normalisation may shift it.

The job reads the result of the forward pass and needs no network. The result holds, for each layer L: L/mean, L/max,
L/active: (units,) float32; L/histogram: (units, bins) int32 neurons; L/state: (units,) uint8, 0 for a live unit, 1
dead, 2 constant; and histogram_edges (bins − 1,): bin b holds edges[b − 1] ≤ a < edges[b].
"""

import numpy as np

from cnnviz.errors import NotApplicable
from cnnviz.run import result
from cnnviz.run.job import Job, run

LIVES, DEAD, CONSTANT = 0, 1, 2


def states(mean: np.ndarray, largest: np.ndarray, rectified: bool) -> np.ndarray:
    """LIVES, DEAD or CONSTANT for each unit, (units,) uint8, from mean and maximum. DEAD comes before CONSTANT."""
    constant = largest - mean <= 1e-5 * np.abs(largest)
    dead = (largest <= 0) & rectified
    return np.where(dead, DEAD, np.where(constant, CONSTANT, LIVES)).astype(np.uint8)


def main(job: Job) -> None:
    forward = result.read(job.inputs["forward"])
    if not forward.numbers["layers"]:
        raise NotApplicable(
            "None of the network's layers is shown: there are no units.", result.inherited(forward, "forward")
        )
    arrays, layers = {"histogram_edges": forward.arrays["histogram_edges"]}, []
    for name in forward.numbers["layers"]:
        kept = {what: forward.arrays[f"{name}/{what}"] for what in ("mean", "max", "active", "histogram")}
        around = forward.numbers["around"][name]
        state = states(kept["mean"], kept["max"], around["rectified"])
        arrays |= {f"{name}/{what}": array for what, array in (kept | {"state": state}).items()}
        layers.append(
            {
                "name": name,
                "units": len(state),
                "neurons": len(forward.arrays[f"{name}/rows"]) * len(forward.arrays[f"{name}/columns"]),
                "dead": int((state == DEAD).sum()),
                "constant": int((state == CONSTANT).sum()),
                "active": float(kept["active"].mean(dtype=float)),
                **around,
            }
        )
    job.write(
        arrays,
        numbers={"layers": layers, "pictures": forward.numbers["pictures"]},
        provenance=result.inherited(forward, "forward"),
    )


if __name__ == "__main__":
    run(main)
