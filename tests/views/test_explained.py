"""What is said of maps whose place is known: on the object, beside it, the same for each class, one picture only."""

from types import SimpleNamespace

import numpy as np
import pytest

from cnnviz.views.kit import explained, projections
from cnnviz.views.kit.attributions import surest_first

SIDE, N = 8, 6


def stored(name: str = "m", signed: bool = False, **arrays):
    """Six pictures, each with an object of its own place: 2 × 2 pixels, 1/16 of the picture. maps: on the objects."""
    masks = np.zeros((N, SIDE, SIDE), bool)
    for i in range(N):
        masks[i, i : i + 2, i : i + 2] = True
    made = {"masks": masks, "label": np.zeros(N, int), "targets": np.tile([0, 1], (N, 1))}
    made |= {f"maps/{name}": np.stack([masks, masks], 1).astype(np.float32), "index": np.arange(N)}
    made |= {"probabilities": np.full((N, 2), 0.5), f"random/{name}": np.ones((N, SIDE, SIDE), np.float16)}
    return SimpleNamespace(arrays=made | arrays, numbers={"methods": [{"name": name, "signed": signed}]})


def context():
    pictures = [SimpleNamespace(name=f"{i}.png", id=f"p{i}") for i in range(N)]
    model = {"classes": ["husky, Siberian husky", "wolf"]}
    return SimpleNamespace(image_set=SimpleNamespace(pictures=pictures), kind="softmax", model=model)


def test_a_map_on_the_object_is_found_beside_its_controls():
    (said,), measured = explained.found(stored(), context(), {"m": "the map"}, "lead")
    assert said.says == "100\u00a0% of the map lies on the object, which fills 6.2\u00a0% of the picture.".replace(
        "6.2", "6"
    )
    assert said.strength == "found" and "random weights: 6\u00a0%" in said.control
    shares = explained.on_object(stored(), "m")
    # of the four pixels of an object one lies on each neighbour's; there are five other pictures
    assert shares["other"] == pytest.approx([(1 if i in (0, 5) else 2) / 4 / 5 for i in range(N)])
    assert measured[said.key].effect == pytest.approx(1 - max(shares["other"].mean(), 1 / 16))


@pytest.mark.parametrize("map", [np.ones((N, 2, SIDE, SIDE)), np.zeros((N, 2, SIDE, SIDE))])
def test_an_even_map_and_an_empty_one_are_not_found(map):
    (said,), measured = explained.found(
        stored(**{"maps/m": map.astype(np.float32)}), context(), {"m": "the map"}, "lead"
    )
    assert said.strength == "not found" and measured[said.key].effect == pytest.approx(0, abs=1e-6)


def test_only_the_positive_part_of_a_map_counts():
    maps = stored().arrays["maps/m"]
    maps = np.where(maps > 0, maps, -100)
    assert explained.found(stored(**{"maps/m": maps}), context(), {"m": "the map"}, "lead")[0][0].strength == "found"


def test_the_method_that_is_clearest_on_the_object_speaks():
    both = stored()
    both.arrays["maps/even"] = np.ones_like(both.arrays["maps/m"])
    (said,), measured = explained.found(both, context(), {"even": "even map", "m": "the map"}, "lead")
    assert said.key == "the map on the object" and len(measured) == 2


@pytest.mark.parametrize(
    "arrays",
    [
        {"masks": np.zeros((N, SIDE, SIDE), bool)},
        {"masks": np.ones((N, SIDE, SIDE), bool)},
        {"masks": np.arange(N)[:, None, None] < np.ones((1, SIDE, SIDE)) * np.r_[np.zeros(4), np.ones(4)]},  # in one
    ],
)
def test_without_objects_random_weights_speak_or_the_class_or_it_cannot_be_told(arrays):
    (said,), measured = explained.found(stored(**arrays), context(), {"m": "the map"}, "lead")
    assert "hardly depends on the class" in said.says
    one = {"targets": np.tile([0, -1], (N, 1))}
    (said,), measured = explained.found(stored(**arrays, **one), context(), {"m": "the map"}, "lead")
    assert "cannot be told" in said.says and said.strength == "not measured" and not measured
    kept = np.array([0.1, 0.2, 0.1, 0.0, 0.1, 0.2])
    for values, strength in ((kept, "found"), (1 - kept, "weakly found"), (np.ones(N), "not found")):
        (said,), measured = explained.found(stored(**arrays, **{"kept/m": values}), context(), {"m": "the map"}, "lead")
        assert said.strength == strength and measured[said.key].effect == pytest.approx(1 - values.mean())


def test_objects_of_wrongly_named_pictures_tell_nothing():
    wrong = stored(label=np.array([0, 1, 1, 1, 1, 1]), **{"kept/m": np.zeros(N)})
    (said,), measured = explained.found(wrong, context(), {"m": "the map"}, "lead")
    assert said.strength == "not measured" and "1 of 6 pictures are named correctly" in said.says and not measured


def test_whether_maps_depend_on_the_class():
    same, rng = stored(), np.random.default_rng(0)
    said, measured = explained.of_class(same, context(), "m", "the map", "classes--")
    assert said.strength == "not found" and "hardly depends" in said.says and measured.effect == pytest.approx(0)
    assert said.figure == "classes--p0"
    other = stored(**{"maps/m": rng.random((N, 2, SIDE, SIDE)) ** 8})
    said, measured = explained.of_class(other, context(), "m", "the map")
    assert said.strength == "weakly found" and measured.low > 0.1  # random weights differ from class to class, too
    assert "depends on the class" in said.says
    assert explained.of_class(stored(targets=np.tile([0, -1], (N, 1))), context(), "m", "the map") is None
    assert explained.of_class(stored(**{"maps/m": np.zeros((N, 1, SIDE, SIDE))}), context(), "m", "the map") is None


def test_the_border_of_an_object_is_drawn_around_it():
    pixels, mask = np.full((SIDE, SIDE, 3), 100, np.uint8), np.zeros((SIDE, SIDE), bool)
    assert (explained.ringed(pixels, mask) == 100).all()
    mask[2:5, 2:5] = True
    drawn = explained.ringed(pixels, mask)[..., 0]
    assert drawn.shape == (256, 256) and set(np.unique(drawn)) == {0, 100, 255}
    assert (drawn[70:150, 70:150] == 100).all() and (drawn[:60] == 100).all() and drawn[64, 100] == 255


@pytest.mark.parametrize("count", [1, N])
@pytest.mark.parametrize("objects", [True, False])
def test_the_lead_figure_goes_from_the_map_most_on_the_object_to_the_least(objects, count, monkeypatch):
    left = stored()
    left.arrays["maps/m"][2] = 1  # evenly spread
    left.arrays = {name: array[:count] for name, array in left.arrays.items()}
    left.arrays["masks"] &= objects
    left.arrays["probabilities"] = np.linspace(0, 1, N)[:count, None]
    given = context()
    given.rgb = lambda index: np.full((SIDE, SIDE, 3), 9, np.uint8)
    given.drawing = lambda id, drawn, **words: SimpleNamespace(id=id, drawn=drawn, **words)
    left.arrays["pictures"] = np.zeros((count, SIDE, SIDE, 3), np.uint8)
    made = explained.lead(left, given, "m", "Method")
    names = [subject.name for subject in made.subjects]
    assert "husky" in made.alt and "Siberian" not in made.alt
    assert len(names) == count and made.id == "lead" and "random weights" in made.caption
    assert ("the object" in made.caption) == objects and ("left to right" in made.caption) == (objects and count > 1)
    if count > 1:
        assert names[-1] == "2.png" if objects else names == [f"{i}.png" for i in reversed(range(N))]
    text = made.drawn.content.decode()
    assert text.count("on object</text>") == count * objects


def test_maps_of_one_unit_are_more_alike_than_those_of_two():
    rng = np.random.default_rng(0)
    own = rng.normal(size=(5, 1, 4, 4, 3)) + 0.1 * rng.normal(size=(5, 3, 4, 4, 3))
    noise = rng.normal(size=(5, 3, 4, 4, 3))
    kept = {name: {"projection": maps, "image": np.zeros((5, 3), int)} for name, maps in (("a", noise), ("b", own))}
    arrays = {f"{name}/{what}": array for name, layer in kept.items() for what, array in layer.items()}
    left = SimpleNamespace(arrays=arrays, numbers={"layers": [{"name": n, "sites": 1} for n in "ab"]})
    said, measured = projections.of_units(left, "the map", "b-unit-0000")
    every, one, other = "the map of one unit: all layers", "the map of one unit: b", "the map of one unit: a"
    assert said.strength == "weakly found" and said.key == every and said.figure == "b-unit-0000"
    assert measured[one].effect > 0.8 and abs(measured[other].effect) < 0.2
    assert measured[every].effect == pytest.approx((measured[one].effect + measured[other].effect) / 2)
    arrays["b/image"][:] = -1
    assert set(projections.of_units(left, "the map", "")[1]) == {other, every}
    arrays["a/projection"] = np.roll(own, 1, 1)[:1] * np.ones((5, 1, 1, 1, 1))  # all units alike
    assert projections.of_units(left, "the map", "")[0].strength == "not found"
    arrays["a/projection"] = np.repeat(own[:, :1], 3, 1)  # the weights, and no layer is left
    assert projections.of_units(left, "the map", "") is None
    arrays["a/projection"][1:] = 0  # one unit has nothing to compare with
    assert projections.of_units(left, "the map", "") is None


def test_the_surest_right_answer_is_explained_first():
    one = stored(label=np.array([0, -1, 1, 0, 0, 1]), probabilities=np.array([[0.2, 0.9, 0.9, 0.8, 0.3, 1]]).T)
    assert surest_first(one).tolist() == [3, 4, 0, 1, 5, 2]
