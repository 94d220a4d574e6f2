"""The numbers that the viewer shows are those of the maps."""

import base64
import json

import numpy as np
import pytest

from cnnviz.views.kit import colour, viewer
from cnnviz.views.kit.section import Context


def written(maps, mapping=colour.symmetric, classes=("cat", "</script>")) -> dict:
    context = Context({}, {}, None, None, {})
    name = viewer.write(
        context, "x", (0, 0, 9, 9), list(classes), ["said"] * len(classes), {"a": (maps, [mapping(m) for m in maps])}
    )
    text = context.files[name].decode()
    assert name == "x.maps.js" and "<" not in text
    return json.loads(text.removeprefix("window.cnnvizMaps.set(document.currentScript, ").removesuffix(");\n"))


def decoded(shown: dict) -> np.ndarray:
    levels = np.frombuffer(base64.b64decode(shown["levels"]), np.uint8).reshape(shown["size"][1::-1])
    return shown["low"] + levels / 255.0 * (shown["high"] - shown["low"])


@pytest.mark.parametrize("scale", [1e-6, 1, 1e4])
def test_a_value_is_known_to_half_a_level(scale):
    maps = scale * np.random.default_rng(0).standard_normal((2, 7, 5))
    for values, shown in zip(maps, written(maps)["methods"][0]["maps"], strict=True):
        assert shown["size"] == [5, 7] and not shown["mean"]
        assert np.abs(decoded(shown) - values).max() <= (shown["high"] - shown["low"]) / 510 * 1.001


def test_large_maps_are_means_of_blocks():
    maps = np.random.default_rng(0).random((1, 224, 448))
    (shown,) = written(maps, colour.up_to, ["cat"])["methods"][0]["maps"]
    assert shown["size"] == [112, 56] and shown["mean"] == ", mean of 4 × 4 pixels"
    means = maps[0].reshape(56, 4, 112, 4).mean((1, 3))
    assert np.abs(decoded(shown) - means).max() < 0.003


def test_the_figures_colours_and_ends_go_along():
    data = written(np.array([[[0.0, 2.0]], [[-4.0, 1.0]]]))
    shown = data["methods"][0]["maps"]
    assert [one["ends"] for one in shown] == [[-2, 2], [-4, 4]] and shown[0]["colours"] == colour.SIGNED
    table = np.frombuffer(base64.b64decode(data["tables"][colour.SIGNED]), np.uint8).reshape(256, 3)
    assert np.array_equal(table, colour.table(colour.SIGNED)) and data["classes"][1] == "</script>"


def test_constant_maps_and_such_without_a_value():
    flat, odd = written(np.array([np.zeros((2, 2)), [[np.nan, 1], [0, np.inf]]]), colour.min_max)["methods"][0]["maps"]
    assert decoded(flat).tolist() == [[0, 0], [0, 0]] and np.isfinite(decoded(odd)).all()
