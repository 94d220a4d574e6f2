import numpy as np
import pytest

from cnnviz.views.kit import colour

VALUES = np.array([[-2.0, 0.0], [1.0, 4.0]])


def test_the_stated_ends_get_the_ends_of_the_colour_map():
    mapping = colour.min_max(VALUES)
    assert (mapping.low, mapping.high) == (-2, 4)
    assert mapping(VALUES)[0, 0].tolist() == [0, 0, 0] and mapping(VALUES)[1, 1].tolist() == [255, 255, 255]
    assert "-2 … 4" in mapping.words


def test_symmetric_maps_zero_to_the_neutral_middle():
    mapping = colour.symmetric(VALUES)
    assert (mapping.low, mapping.high) == (-4, 4)
    middle = mapping(np.array(0.0)).astype(int)
    assert np.ptp(middle) <= 3 and middle.min() > 230
    red, blue = mapping(np.array(4.0)).astype(int), mapping(np.array(-4.0)).astype(int)
    assert red[0] > red[2] and blue[2] > blue[0]


def test_percentile_clips_and_says_so():
    values = np.r_[np.zeros(98), 1.0, 100.0]
    mapping = colour.up_to(values, percentile=98)
    assert mapping.high < 5 and "98th percentile" in mapping.words
    assert np.array_equal(mapping(np.array(100.0)), mapping(np.array(mapping.high)))


def test_a_constant_picture_is_mid_grey_and_no_error():
    assert colour.min_max(np.full((2, 2), 3.0))(np.full((2, 2), 3.0)).tolist() == [[[128] * 3] * 2] * 2


def test_brightness_rises_along_the_colour_map():
    """Readers who see no hue can still order the values of a one-sided map."""
    ramp = colour.fixed(0, 1, colour.POSITIVE)(np.linspace(0, 1, 256)).astype(float)
    luminance = ramp @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(luminance) > -1).all() and luminance[-1] - luminance[0] > 200


def test_the_same_map_with_another_mapping_is_one_name_away():
    assert colour.by_name("min_max", VALUES).high == 4
    assert colour.by_name("symmetric", VALUES, percentile=100).low == -4
    assert colour.by_name("percentile", np.abs(VALUES)).low == 0
    with pytest.raises(ValueError, match="min_max, symmetric, percentile"):
        colour.by_name("log", VALUES)


# Machado, Oliveira and Fernandes 2009: what is seen without green cones and without red ones, in linear RGB.
SEEN = {
    "all": np.eye(3),
    "no green": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "no red": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
}
XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


def linear(hue: str) -> np.ndarray:
    share = np.array(list(bytes.fromhex(hue[1:]))) / 255
    return np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)


def lab(light: np.ndarray) -> np.ndarray:
    x, y, z = np.cbrt(np.clip(XYZ @ np.clip(light, 0, 1) / [0.9505, 1, 1.089], 0.00886, None))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("eyes", SEEN)
def test_classes_differ_to_all_eyes(eyes):
    seen = [lab(np.array(SEEN[eyes]) @ linear(hue)) for hue in colour.CLASSES]
    apart = [np.linalg.norm(a - b) for i, a in enumerate(seen) for b in seen[:i]]
    assert min(apart) > 16  # 2.3 can just be told apart, side by side


def test_classes_can_be_seen_on_every_ground():
    for hue in (*colour.CLASSES, colour.CHOSEN, colour.NEUTRAL):
        for ground in ("#fcfcfa", "#15171c", "#1b1d21"):  # the pages', the map's
            low, high = sorted(XYZ[1] @ linear(each) + 0.05 for each in (hue, ground))
            assert high / low > 2.9, (hue, ground)


def test_a_class_has_one_colour_whatever_the_network():
    set_of = ["fish", "bird", "<b>"]
    first = colour.of_classes(set_of, ["bird", "fish, Pisces"], [1, 0, None])
    other = colour.of_classes(set_of, ["x", "y", "z"], [None, None, 2])
    assert {name: first[name] for name in set_of} == {name: other[name] for name in set_of}
    assert first["fish, Pisces"] == first["fish"] and other["z"] == first["<b>"] and "x" not in other
    assert len({first[name] for name in set_of}) == 3
    assert colour.of_classes([], ["a", "b"], []) == {"a": colour.CLASSES[0], "b": colour.CLASSES[1]}
    many = [str(i) for i in range(13)]
    assert colour.of_classes(many, ["0"], [0]) == {} == colour.of_classes([], many, [])
