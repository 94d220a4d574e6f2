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
