"""Titled panels: small pictures fill their places beside large ones, and a place can be empty."""

import base64
import io
import re
import xml.etree.ElementTree as ET

import numpy as np
from PIL import Image

from cnnviz.views.kit import panels


def pixels(drawing) -> np.ndarray:
    (data,) = re.findall(rb"data:image/webp;base64,([^\"]+)", drawing.content)
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGBA")).astype(int)


def test_a_small_picture_is_as_large_as_a_large_one_and_an_empty_place_stays_empty():
    large, small = np.full((224, 224, 3), 250, np.uint8), np.full((4, 4, 3), 120, np.uint8)
    shown = [("large", large), ("none", None), ("small", small)]
    for some in (shown, [shown[2], shown[1], shown[0]]):
        drawn = pixels(panels.sheet(some))
        fine = 2  # pixels of the embedded picture per pixel of the drawing
        for place, level in zip((0, 272), (some[0][1], some[2][1]), strict=True):
            part = drawn[panels.TITLE * fine + 2 : -2, place * fine + 2 : (place + panels.PANEL) * fine - 2]
            assert (part[..., 3] > 250).all() and np.abs(part[..., :3] - level.flat[0]).max() < 12
        empty = drawn[:, 136 * fine + 4 : (136 + panels.PANEL) * fine - 4]
        assert empty[..., 3].max() == 0
    assert [box[0] for box in panels.boxes(shown)] == [0, 272]
    assert b">none</text>" in panels.sheet(shown).content


def test_a_bar_is_as_long_as_its_share_and_never_longer_than_its_track():
    for share, length in ((0.25, 40), (1.7, 160), (-0.2, 0)):
        track, full, *_ = (
            ET.fromstring(part).get("width") for part in panels.bar("rivals", "7", share, 10, 20, 160, "wrong")
        )
        assert (float(track), float(full)) == (160, length)
