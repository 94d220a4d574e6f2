"""The units of a layer: the image patches with the largest activations of each, and the units to show.

It reads the result of the forward pass (:mod:`cnnviz.activations.forward`) and needs no network.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from cnnviz.run.result import Result

Arrays = dict[str, np.ndarray]
ORDERS = ("selective", "strongest", "index")
WEAK = 0.1  # a unit this weak, relative to the layer's typical unit, is not ranked as selective


def of_layer(forward: Result, name: str) -> Arrays:
    """A layer's arrays of the forward pass, without the layer's name in the keys.

    ``rectified`` is added, () bool: whether a ReLU made the values, or only ReLUs read them.
    """
    kept = {key.removeprefix(f"{name}/"): a for key, a in forward.arrays.items() if key.startswith(f"{name}/")}
    return kept | {"rectified": np.array(forward.numbers["around"][name].get("rectified", False))}


def patches(kept: Mapping[str, np.ndarray], size: Sequence[int], k: int | None = None) -> Arrays:
    """The ``k`` strongest neurons of each unit (None: all that were kept), strongest first, at most one per picture.

    Those with a field inside the picture come first. Neurons that see only padding are left out, and in a rectified
    layer those with a value of 0 or less, which do not excite the unit. kept: a layer's arrays, see :func:`of_layer`.
    size: (height, width) of the network's input. Returns image (units, k) int32, or −1 for none; value (units, k)
    float32, 0 for none; position (units, k, 2) int32, y and x; box (units, k, 4) int32, top, left, bottom, right of its
    field in pixels of the network's input, half open; border (units, k) bool: whether the field extends beyond the
    picture and is not all of the picture.
    """
    picked = _neurons(kept, k)
    box = boxes(picked["position"], kept["rows"], kept["columns"])
    y, x = picked["position"][..., 0], picked["position"][..., 1]
    whole = (box == (0, 0, *size)).all(-1)
    border = (kept["rows_cross"][y] | kept["columns_cross"][x]) & (picked["image"] >= 0) & ~whole
    return {**picked, "box": box, "border": border}


def selective(kept: Mapping[str, np.ndarray], count: int | None = None) -> np.ndarray:
    """The ``count`` most selective units of a layer, or all, in the order of :func:`choose`. kept: see patches."""
    value, peak = _neurons(kept)["value"], kept["peak"]
    return choose("selective", len(peak) if count is None else count, value, peak)


def _neurons(kept: Mapping[str, np.ndarray], k: int | None = None) -> Arrays:
    inside, everywhere = (
        {what: kept[f"{where}_{what}"] for what in ("image", "value", "position")} for where in ("inside", "all")
    )
    everywhere["image"] = seeing(everywhere["image"], everywhere["position"], kept["rows"], kept["columns"])
    if kept.get("rectified"):
        for part in (inside, everywhere):
            part["image"] = np.where(part["value"] > 0, part["image"], -1)
    return fill(inside, everywhere, everywhere["image"].shape[1] if k is None else k)


def choose(order: str, count: int, value: np.ndarray, peak: np.ndarray) -> np.ndarray:
    """Indices of ``count`` units. value: (units, k) of their patches; peak: (units,) mean over all pictures' maxima.

    index: evenly spread over the layer. strongest: by the weakest of their k values. selective: by
    :func:`selectivity`.
    """
    count = min(count, len(value))
    if order == "strongest":
        return np.argsort(-value.min(1), kind="stable")[:count]
    if order == "selective":
        return np.argsort(-selectivity(value, peak), kind="stable")[:count]
    if order != "index":
        raise ValueError(f"order {order!r}: one of {', '.join(ORDERS)}")
    return np.linspace(0, len(value) - 1, count).round().astype(int)


def selectivity(value: np.ndarray, peak: np.ndarray) -> np.ndarray:
    """Each unit's activation relative to a typical picture: (units,). value, peak: as in :func:`choose`.

    The weakest of the k values is divided by ``peak``. WEAK of the layer's median peak is added to ``peak``; otherwise
    a nearly dead unit, with a peak near 0, would come first. A unit that only one picture activates, or none, does not
    come first either.
    """
    least = WEAK * np.median(peak[peak > 0]) if (peak > 0).any() else 1.0
    return np.where(peak > 0, np.maximum(value.min(1), 0) / (peak + least), -np.inf)


def fill(inside: Arrays, everywhere: Arrays, k: int) -> Arrays:
    """The first k of ``inside``, then those of ``everywhere`` with other pictures.

    Both hold, and this returns, image, value (units, k) and position (units, k, 2); image is −1 for none.
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
    """``image`` (units, k), with −1 for neurons that see only padding; a unit without others keeps them."""
    top, left, bottom, right = np.moveaxis(boxes(position, rows, columns), -1, 0)
    sees = (top < bottom) & (left < right)
    return np.where(sees | ~sees.any(1, keepdims=True), image, -1)
