"""File names may contain characters that XML forbids, or that change the direction of the text after them."""

from html import escape
from xml.etree import ElementTree

from cnnviz.site.environment import environment
from cnnviz.views.kit.section import Context

NAME = "a\x01\x1b[31m\u202egpj <b> שלום"
SHOWN = "a\ufffd\ufffd[31m\ufffdgpj <b> שלום"


def test_a_drawing_holds_any_name():
    context = Context({}, {}, None, None, {})
    drawn = f'<svg xmlns="http://www.w3.org/2000/svg"><text>{escape(NAME)}</text></svg>'.encode()
    context.figure("a", "a.svg", drawn, 9, 9, alt="", caption="", mapping="", data="", subjects=())
    assert ElementTree.fromstring(context.files["a.svg"])[0].text == SHOWN


def test_a_page_holds_any_name():
    page = environment().from_string('<p title="{{ name }}">{{ name }}</p>').render(name=NAME)
    assert page == f'<p title="{escape(SHOWN)}">{escape(SHOWN)}</p>'


def test_a_unit_that_is_the_score_of_a_class_is_called_by_its_name():
    model = {"classes": ["tench, Tinca tinca", "shark"], "scores_layer": "conv9"}
    context = Context(model, {}, None, None, {})
    assert [context.unit("conv9", 0), context.unit("conv8", 0)] == ["conv9, unit 0 (tench)", "conv8, unit 0"]
    assert [context.tag("conv9", 1), context.tag("conv8", 1)] == ["shark", "unit 1"]
    del model["scores_layer"]  # a file of an earlier version
    assert context.of_unit("conv9", 0) == ""
