"""Patches with the largest activations, and the order of units: as in a plain loop, and the same in every section."""

import numpy as np
import pytest

from cnnviz.network.units import boxes, choose, fill, patches, selective


def top(image, value):
    image, value = np.array(image, np.int32), np.array(value, np.float32)
    return {"image": image, "value": value, "position": np.stack([image, image], 2)}


def test_border_neurons_fill_up_only_with_other_pictures():
    inside = top([[3, 7, -1], [1, 2, 4], [-1, -1, -1]], [[9, 5, -np.inf], [3, 2, 1], [-np.inf] * 3])
    everywhere = top([[8, 3, 7], [9, 8, 7], [5, -1, -1]], [[12, 11, 6], [9, 8, 7], [4, -np.inf, -np.inf]])
    got = fill(inside, everywhere, 3)
    assert got["image"].tolist() == [[3, 7, 8], [1, 2, 4], [5, -1, -1]]
    assert got["value"].tolist() == [[9, 5, 12], [3, 2, 1], [4, 0, 0]]


def test_boxes_are_rows_by_columns():
    rows, columns = np.array([[0, 3], [2, 7]]), np.array([[0, 4], [1, 5], [2, 6]])
    assert boxes(np.array([[[1, 2], [-1, -1]]]), rows, columns).tolist() == [[[2, 2, 7, 6], [0, 0, 0, 0]]]


def kept(generator: np.random.Generator, units: int = 30, pictures: int = 12, k: int = 4, side: int = 5) -> dict:
    """A layer's arrays as the forward pass leaves them: neuron 0 of each side sees nothing but padding."""
    peaks = generator.normal(size=(units, pictures, side, side)).astype(np.float32).clip(0)
    peaks[: units // 5] = 0  # dead
    rows = np.int32([[0, 0], [0, 4], [2, 6], [4, 8], [6, 8]])
    cross = np.array([True, True, False, False, True])
    found = {
        "rows": rows,
        "columns": rows,
        "rows_cross": cross,
        "columns_cross": cross,
        "peak": peaks.max((2, 3)).mean(1),
    }
    for where, inner in (("all", slice(None)), ("inside", slice(2, 4))):
        maps = peaks[:, :, inner, inner]
        strongest = maps.reshape(units, pictures, -1)
        picture = np.argsort(-strongest.max(2), axis=1, kind="stable")[:, :k]
        y, x = np.unravel_index(np.take_along_axis(strongest.argmax(2), picture, 1), maps.shape[2:])
        first = inner.start or 0
        found |= {f"{where}_image": picture.astype(np.int32), f"{where}_position": np.stack([y + first, x + first], 2)}
        found[f"{where}_value"] = np.take_along_axis(strongest.max(2), picture, 1)
    few = generator.integers(0, k, units)  # pictures may be fewer than patches
    for unit, count in enumerate(few):
        found["inside_image"][unit, count:] = -1
    return found


@pytest.mark.parametrize("seed", range(3))
def test_patches_are_those_of_a_plain_loop(seed):
    layer = kept(np.random.default_rng(seed))
    got = patches(layer, (8, 8))
    for unit in range(len(layer["peak"])):
        seen = [(y, x) for y, x in layer["all_position"][unit].tolist() if y and x]
        wanted = {}
        for where in ("inside", "all"):
            for slot, image in enumerate(layer[f"{where}_image"][unit].tolist()):
                y, x = layer[f"{where}_position"][unit, slot].tolist()
                if image >= 0 and ((y and x) or where == "inside" or not seen):
                    wanted.setdefault(image, (image, y, x, layer[f"{where}_value"][unit, slot]))
        wanted = list(wanted.values())[:4]
        found = zip(got["image"][unit], got["position"][unit], got["value"][unit], strict=True)
        assert [(image, y, x, value) for image, (y, x), value in found if image >= 0] == wanted
        assert (got["value"][unit, len(wanted) :] == 0).all() and not got["border"][unit, len(wanted) :].any()


def test_in_a_rectified_layer_patches_are_above_0_without_gaps_and_a_dead_unit_has_none():
    layer = kept(np.random.default_rng(2))
    for where in ("all", "inside"):
        layer[f"{where}_value"][10, 1:] = 0  # one picture excites it
    got = patches(layer | {"rectified": np.array(True)}, (8, 8))
    assert (got["value"][got["image"] >= 0] > 0).all()
    there = got["image"] >= 0
    assert not (there[:, 1:] & ~there[:, :-1]).any()  # no gap before a patch
    assert not there[:6].any() and there[10].sum() in (1, 2) and there[11:].any(1).all()
    assert patches(layer, (8, 8))["image"][:6].max() >= 0  # before a normalisation, a value below 0 means nothing


def test_the_same_units_come_first_with_the_patches_as_with_the_forward_pass():
    layer = kept(np.random.default_rng(1))
    shown = patches(layer, (8, 8))
    assert selective(layer, 7).tolist() == choose("selective", 7, shown["value"], layer["peak"]).tolist()
    assert sorted(selective(layer)) == list(range(30))


def test_selective_units_come_before_dead_ones_and_one_hit_wonders():
    value = np.array([[9.0, 8, 8], [0, 0, 0], [50, 0, 0], [9, 8, 8]])
    peak = np.array([4.0, 0, 0.5, 1.0])
    assert choose("selective", 4, value, peak).tolist() == [3, 0, 2, 1]
    value[2], peak[2] = [0.03, 0.02, 0.02], 0.0001  # nearly dead: 200 times its peak, but far below the others
    assert choose("selective", 4, value, peak).tolist() == [3, 0, 2, 1]
    assert choose("index", 2, value, peak).tolist() == [0, 3]
    with pytest.raises(ValueError, match="selective"):
        choose("best", 2, value, peak)
