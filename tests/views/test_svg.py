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
    assert drawing[1:] == (90, 30)


def test_a_picture_within_a_drawing_is_lossless_unless_a_quality_is_asked_for():
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    element = ET.fromstring(svg.embedded(pixels, 14, 10, x=0, crisp=True))
    content = base64.b64decode(element.attrib.pop("href").removeprefix("data:image/webp;base64,"))
    assert element.attrib == {"style": "image-rendering:pixelated", "x": "0", "width": "14", "height": "10"}
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(content))), pixels)
    assert len(svg.embedded(pixels, 14, 10, quality=1)) < len(svg.embedded(pixels, 14, 10))


def test_only_a_drawing_with_a_ground_of_its_own_turns_dark():
    own, lent = svg.document(9, 9, [], style=".a{}", dark=".b{}").content, svg.on_plate(9, 9, [], ".a{}").content
    assert b'class="ground"' in own and b".a{}@media(prefers-color-scheme:dark){" in own and b".b{}}</style>" in own
    assert b"dark" not in lent and b"<rect" not in lent and lent.endswith(b".a{}</style></svg>")


def test_an_axis_puts_its_ends_and_its_ticks_in_their_places():
    up = Axis(-1, 3, 100, 20)
    np.testing.assert_allclose(up(np.array([-1, 0, 3])), [100, 80, 20])
    assert up.ticks(3) == pytest.approx([-1, 1, 3])
    labels = [ET.fromstring(label) for label in svg.ticks_left(up, 9, "{:g}".format)]
    assert [(e.text, e.get("x"), e.get("y")) for e in labels] == [
        ("-1", "9", "104"),
        ("1", "9", "64"),
        ("3", "9", "24"),
    ]
    below = [ET.fromstring(label) for label in svg.ticks_below(Axis(0, 1, 10, 50), 7, "{:.0%}".format, 2)]
    assert [(e.text, e.get("x"), e.get("y")) for e in below] == [("0%", "10", "7"), ("100%", "50", "7")]
