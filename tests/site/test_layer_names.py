"""The network's own names of its layers stand beside ours, once in a sentence, and never within another name."""

import dataclasses

import pytest

from cnnviz.site import layer_names
from cnnviz.views.kit.findings import NOT, Finding
from cnnviz.views.kit.section import Figure, Section, Subject, Table

LAYERS = [
    {"name": "conv1", "module": "conv1"},
    {"name": "conv2", "module": "layer01"},
    {"name": "conv22", "module": "features.denseblock3.denselayer12.conv2"},
    {"name": "block.1", "module": "block.1"},
    {"name": "whole", "module": ""},
]
NAMES = layer_names.own(LAYERS)


def test_a_module_that_is_called_like_its_layer_is_not_said_twice():
    assert NAMES == {"conv2": "layer01", "conv22": "…denselayer12.conv2"}
    assert layer_names.shortened("a" * 40) == "…" + "a" * 23
    assert layer_names.shortened("features.12.block.2.0", 14) == "…12.block.2.0"
    assert all(len(name) <= layer_names.MOST for name in NAMES.values())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("conv2, unit 3: dog.", "conv2 (layer01), unit 3: dog."),
        ("From conv1, conv2 and conv22.", "From conv1, conv2 (layer01) and conv22 (…denselayer12.conv2)."),
        ("conv2 is above conv2.", "conv2 (layer01) is above conv2."),
        ("conv2's units, those of conv2.", "conv2's units, those of conv2 (layer01)."),
        ("conv2 (8 × 8) of conv2.", "conv2 (8 × 8) of conv2 (layer01)."),
        ("x.conv2, conv2.weight, conv2/value, aconv2, conv2b", "x.conv2, conv2.weight, conv2/value, aconv2, conv2b"),
    ],
)
def test_the_module_is_added_where_a_sentence_names_its_layer_first(text, expected):
    assert layer_names.namer(NAMES)(text) == expected
    assert layer_names.namer({})(text) == text


def test_a_section_says_both_names_everywhere():
    own = Figure("a", "a.webp", 1, 1, "alt", "conv2, unit 3.", "m", (Subject("layer", "conv2"),), "conv2/value")
    grouped = dataclasses.replace(own, id="b", group="conv2")
    table = Table("t", "Of conv2.", ("layer", "units", "down to conv2"), (("conv1", 8, 1), ("conv2", 16, 2)))
    finding = Finding("key: conv2", "Units of conv2 are alive.", NOT)
    section = Section("s", "S", "?", "read", "do not", (), figures=(own, grouped), tables=(table,), findings=(finding,))
    said = layer_names.beside(section, NAMES)
    assert [figure.caption for figure in said.figures] == ["conv2 (layer01), unit 3.", "conv2, unit 3."]
    assert said.figures[1].group == "conv2 (layer01)" and said.figures[0].data == own.data
    assert said.figures[0].subjects == own.subjects
    assert said.tables[0].columns == ("layer", "module", "units", "down to conv2 (layer01)")
    assert said.tables[0].rows == (("conv1", "conv1", 8, 1), ("conv2", "layer01", 16, 2))
    assert said.findings[0].says == "Units of conv2 (layer01) are alive." and said.findings[0].key == finding.key
    assert layer_names.beside(section, {}) == section
