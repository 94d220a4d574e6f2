"""What the colours of several figures mean is said once; what differs stays with each figure."""

from cnnviz.site.legends import legends, split

GRAD = "gradient, 0 to the 99th percentile: 0 … {}, black to white; SmoothGrad: ±{}, blue, white, red"


def test_end_values_are_parted_from_words():
    assert split("symmetric about 0: -2e-05 … 0.1, blue") == ("symmetric about 0, blue", "-2e-05 … 0.1")
    assert split("each by itself: ±0.1, ±0.07 (logits)") == ("each by itself (logits)", "±0.1, ±0.07")
    assert split("symmetric about 0: -0.1 … 0.1, blue") == ("symmetric about 0, blue", "±0.1")
    assert split("-0.1 … 0.15")[1] == "-0.1 … 0.15"
    assert split("pixels as they are") == ("pixels as they are", "")


def test_shared_words_stand_once_above_the_first_group_that_has_them():
    lines, own = legends([["alone"], [GRAD.format(2, 3), "pixels"], [GRAD.format(4, 5), "pixels"]])
    shared = "Gradient, 0 to the 99th percentile, black to white. SmoothGrad, blue, white, red. Pixels."
    assert lines == ["", shared, ""]
    assert own == [["alone"], ["Range: 0 … 2; ±3", ""], ["Range: 0 … 4; ±5", ""]]


def test_equal_end_values_stand_in_the_shared_line():
    lines, own = legends([["fixed: 0 … 1, magma", "fixed: 0 … 1, magma"]])
    assert lines == ["Fixed: 0 … 1, magma."] and own == [["", ""]]


def test_a_page_without_figures_has_no_lines():
    assert legends([[]]) == ([""], [[]])
