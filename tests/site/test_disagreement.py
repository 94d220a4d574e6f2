"""Two models' predictions of the same pictures, and the interval of their difference."""

import numpy as np
import pytest

from cnnviz.site import compare, contact_sheets, disagreement
from cnnviz.site.stamp import Stamp
from cnnviz.views.kit.findings import paired_difference


def model(id, **said):
    """A stamp. said: picture → (prediction, probability, verdict)."""
    told = {name: dict(zip(("prediction", "probability", "verdict"), s, strict=True)) for name, s in said.items()}
    return Stamp(id, id.upper(), image_set="set", said={name: s | {"label": ""} for name, s in told.items()})


A = model("a", p=("cat", 0.9, "right"), q=("dog", 0.6, "wrong"), r=("cat", 0.7, "wrong"), s=("eel", 0.5, "wrong"))
B = model("b", p=("dog", 0.8, "wrong"), q=("cat", 0.9, "right"), r=("dog", 0.9, "wrong"), s=("Eel", 0.9, "wrong"))


def test_pictures_on_which_both_say_the_same_are_no_disagreement():
    assert disagreement.kinds(A, B) == (["p"], ["q"], ["r"])
    told = disagreement.words(A, B)
    assert told["says"].startswith("The two disagree on 3 of 4 pictures. Only A is right on 1 of them, only B on 1.")
    assert [(p["name"], p["heading"]) for p in told["pictures"]] == [("p", "Only A is right"), ("q", "Only B is right")]


def test_the_most_confident_errors_come_first_and_some_are_shown():
    right = model("c", **{f"n{i}": ("cat", 0.5, "right") for i in range(30)})
    wrong = model("d", **{f"n{i}": ("dog", i / 30, "wrong") for i in range(30)})
    assert disagreement.shown(right, wrong) == [f"n{i}" for i in range(29, 29 - disagreement.MOST, -1)]


def test_models_of_other_pictures_are_not_compared():
    assert disagreement.words(A, Stamp("c", "C", image_set="other", said=B.said)) is None
    assert disagreement.words(A, Stamp("c", "C", image_set="set")) is None
    assert compare.words(A, Stamp("c", "C"))["disagree"] is None
    seen = {"file": "f/s.webp", "figure": {"maps": "s.js"}}
    shown = {"p": [{"id": "lime", "title": "LIME", "figures": [seen]}]}
    one, same, other = (
        Stamp(id, id, image_set=set, pictures=shown) for id, set in (("a", "x"), ("b", "x"), ("c", "y"))
    )
    assert compare.words(one, same)["explored"] and not compare.words(one, other)["explored"]


def test_without_labels_nothing_is_said_of_accuracy():
    one, other = (model(id, p=(name, 0.9, "not labelled")) for id, name in (("a", "cat"), ("b", "dog")))
    told = disagreement.words(one, other)
    assert told["says"] == "The two disagree on 1 of 1 pictures."
    assert [p["heading"] for p in told["pictures"]] == ["Different predictions"]


def test_a_model_without_an_output_for_the_class_made_no_error():
    one = model("a", p=("cat", 0.9, "right"), q=("cat", 0.9, "right"), r=("cat", 0.9, "right"))
    other = model("b", p=("dog", 0.8, "not labelled"), q=("dog", 0.9, "wrong"), r=("cat", 0.9, "right"))
    assert disagreement.kinds(one, other) == (["q"], [], ["p"])
    said = disagreement.words(one, other)["says"]
    assert "Only A is right on 1 of them" in said and "2 have a class that both can predict" in said
    assert f"is {100 * 1 / 2:.1f} points lower" in said


def test_boxes_lie_on_the_sheet():
    told = compare.words(A, B)["disagree"]
    width, height = told["sheet"]["size"]
    boxes = [picture["box"] for _, pictures in told["groups"] for picture in pictures]
    assert len(set(boxes)) == 2 and all(x + w <= width and y + h <= height for x, y, w, h in boxes)
    assert contact_sheets.size(9) == (512, 128)


@pytest.mark.parametrize(("only_b", "only_a", "count"), [(65, 25, 960), (30, 30, 100), (4, 1, 30)])
def test_the_interval_of_a_paired_difference_is_near_the_bootstrap(only_b, only_a, count):
    gap, low, high = paired_difference(only_b, only_a, count)
    rng = np.random.default_rng(0)
    drawn = rng.multinomial(count, [only_b / count, only_a / count, 1 - (only_b + only_a) / count], 20000)
    expected = np.quantile((drawn[:, 0] - drawn[:, 1]) / count, [0.025, 0.975])
    assert gap == (only_b - only_a) / count and low < gap < high
    assert np.allclose([low, high], expected, atol=0.25 * (high - low))


def test_the_interval_exists_for_one_picture_and_for_no_difference():
    for counts in ((0, 0, 1), (1, 0, 1), (0, 0, 50)):
        gap, low, high = paired_difference(*counts)
        assert -1 <= low <= gap <= high <= 1 and low < high
