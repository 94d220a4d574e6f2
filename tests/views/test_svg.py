"""Drawings are well-formed whatever their words, hold the pixels they were given, and put numbers in their places."""

import base64
import io
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from PIL import Image

from cnnviz.views.kit import svg
from cnnviz.views.kit.svg import Axis


def test_words_are_escaped_wherever_they_stand():
    words = """a<b> & "c" 'd'"""
    drawing = svg.document(90, 30, [svg.text(words, x=1, y=2), svg.upwards(words, 'x" onload="', 3, 4)])
    plain, turned = [e for e in ET.fromstring(drawing.content).iter() if e.tag.endswith("text")]
    assert plain.text == turned.text == words and plain.attrib == {"x": "1", "y": "2"}
    assert turned.attrib == {"class": 'x" onload="', "transform": "translate(3 4) rotate(-90)"}
    assert drawing[1:3] == (90, 30)


def test_a_picture_within_a_drawing_is_lossless_unless_a_quality_is_asked_for():
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    element = ET.fromstring(svg.embedded(pixels, 14, 10, x=0, crisp=True))
    content = base64.b64decode(element.attrib.pop("href").removeprefix("data:image/webp;base64,"))
    assert element.attrib == {"style": "image-rendering:pixelated", "x": "0", "width": "14", "height": "10"}
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(content))), pixels)
    assert len(svg.embedded(pixels, 14, 10, quality=1)) < len(svg.embedded(pixels, 14, 10))


def test_a_drawing_has_a_ground_of_its_own_that_turns_dark():
    own = svg.document(9, 9, [], style=".a{}", dark=".b{}").content
    assert b'class="ground"' in own and b".a{}@media(prefers-color-scheme:dark){" in own and b".b{}}</style>" in own


def test_an_axis_puts_its_ends_and_its_ticks_in_their_places():
    up = Axis(-1, 3, 100, 20)
    np.testing.assert_allclose(up(np.array([-1, 0, 3])), [100, 80, 20])
    assert up.ticks(3) == pytest.approx([0, 2])
    labels = [ET.fromstring(label) for label in svg.ticks_left(up, 9, "{:g}".format)]
    assert [(e.text, e.get("x"), e.get("y")) for e in labels] == [
        ("0", "9", "84"),
        ("2", "9", "44"),
    ]
    below = [ET.fromstring(label) for label in svg.ticks_below(Axis(0, 1, 10, 50), 7, "{:.0%}".format, 2)]
    assert [(e.text, e.get("x"), e.get("y")) for e in below] == [("0%", "10", "7"), ("100%", "50", "7")]


@pytest.mark.parametrize("low", [0, -1, 2.31, 1e-7, 12345])
@pytest.mark.parametrize("width", [1, 0.07, 3, 999, 1e-4])
@pytest.mark.parametrize("count", [2, 3, 5])
def test_ticks_are_round_and_on_the_axis(low, width, count):
    found = Axis(low, low + width, 0, 100).ticks(count)
    step = found[1] - found[0]
    first = round(step / 10 ** np.floor(np.log10(step) + 1e-6), 4)
    assert first in (1, 2, 5, 10) and 2 <= len(found) <= 3 * count
    assert low - 1e-9 * width <= found[0] and found[-1] <= low + width * (1 + 1e-6)
    assert Axis(low + width, low, 0, 100).ticks(count) == found
