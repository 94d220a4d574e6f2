"""Networks with known saliency: the object that they use must be found, and the scores equal their definitions."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch.nn import functional as F

from cnnviz.attribution import saliency_segmentation as segmentation
from cnnviz.attribution.gradients import saliency
from cnnviz.attribution.saliency_segmentation import cut, held_against, iou, largest_piece, seeds, three_channels
from cnnviz.demo.scenes import draw
from cnnviz.network import network
from cnnviz.pictures.masks import Mask
from cnnviz.run import result
from cnnviz.views import saliency_segmentation as drawn


def box_filter(x):
    """Mean excess over grey in 3 × 3 pixels: one logit."""
    return F.relu(F.avg_pool2d(x.mean(1, keepdim=True), 3, 1, 1) - 0.55).square().sum((1, 2, 3))[:, None]


@pytest.mark.parametrize("place", [np.s_[10:30, 20:44], np.s_[0:18, 0:18], np.s_[24:36, 4:60]])
def test_a_bright_square_on_grey_is_cut_out_exactly(place):
    noise = np.random.default_rng(0).integers(-6, 7, (64, 64, 3))
    picture = np.full((64, 64, 3), 110)
    picture[place] = 230
    picture, square = np.uint8(picture + noise), np.zeros((64, 64), bool)
    square[place] = True
    x = torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 255
    map = saliency(box_filter, x, torch.tensor([0]))[0].numpy()
    found = cut(picture, seeds(map, 0.95, 0.3), 5)
    assert iou(found, square) == 1
    assert iou(cut(picture, seeds(gaussian_filter(map, 1.28), 0.95, 0.3), 5), square) == 1
    np.testing.assert_array_equal(cut(picture, seeds(map, 0.95, 0.3), 5), found)


def test_seeds_are_the_quantiles():
    map = np.random.default_rng(1).permutation(100).reshape(10, 10)
    found = seeds(map, 0.95, 0.3)
    np.testing.assert_array_equal(found == 1, map >= 95)
    np.testing.assert_array_equal(found == -1, map < 30)


def test_seeds_of_flat_maps():
    map = np.zeros((10, 10))
    assert (seeds(map, 0.95, 0.3) == -1).all()
    map[2, 3] = 1  # less than 5 % of the pixels: only the peak is foreground
    assert (seeds(map, 0.95, 0.3) == np.where(map > 0, 1, -1)).all()
    map[:6] = 1  # more than 5 %: the whole plateau is foreground
    assert (seeds(map, 0.95, 0.3) == np.where(map > 0, 1, -1)).all()


def test_without_seeds_there_is_nothing():
    picture = np.zeros((8, 8, 3), np.uint8)
    assert not cut(picture, np.zeros((8, 8)), 2).any() and not cut(picture, np.full((8, 8), -1), 2).any()


def test_foreground_seeds_of_the_piece_stay_and_background_seeds_go():
    scene = draw(1, 5)
    map = np.random.default_rng(2).random((64, 64)) + scene.mask
    marked = seeds(map, 0.95, 0.3)
    found = cut(scene.image, marked, 3)
    assert not found[marked < 0].any() and iou(found, scene.mask) > 0.5
    assert largest_piece(found).sum() == found.sum() > 0


def test_pieces_touch_by_corners():
    mask = np.zeros((6, 6), bool)
    mask[0, 0] = mask[1, 1] = mask[2, 2] = mask[5, 0] = mask[5, 1] = True
    np.testing.assert_array_equal(np.argwhere(largest_piece(mask)), [[0, 0], [1, 1], [2, 2]])
    assert not largest_piece(np.zeros((3, 3), bool)).any()


def test_iou():
    a, b = np.zeros((2, 4, 4), bool)
    assert iou(a, b) == 0
    a[:2], b[1:3] = True, True
    assert iou(a, b) == iou(b, a) == pytest.approx(4 / 12) and iou(a, a) == 1


@pytest.mark.parametrize(
    ("channels", "show", "expected"),
    [
        (1, None, [0, 0, 0]),
        (2, None, [0, 0, 0]),
        (3, None, [0, 1, 2]),
        (5, None, [0, 1, 2]),
        (5, [3, 2, 1], [3, 2, 1]),
        (5, 4, [4, 4, 4]),
    ],
)
def test_pictures_of_any_channels(channels, show, expected):
    levels = np.random.default_rng(3).integers(0, 256, (4, 6, channels), dtype=np.uint8)
    found = three_channels(np.float32(levels) / 255, show)
    np.testing.assert_array_equal(found, levels[..., expected])
    assert found.dtype == np.uint8 and found.flags.c_contiguous


def test_means_are_over_pictures_with_a_truth_only():
    whole, half = np.ones((4, 4), bool), np.zeros((4, 4), bool)
    half[:2] = True
    cuts = [np.stack([whole, half]), half[None], whole[None]]
    made = [(middle, c.astype(np.int8), c) for middle, c in zip((half, whole, half), cuts, strict=True)]
    truths = [Mask(whole, False), None, Mask(half, True)]
    arrays, numbers = held_against(truths, made, np.random.default_rng(0))
    assert numbers["truths"] == ["mask", None, "box"]
    assert numbers["iou"] == [[1.0, 0.5], [None], [0.5]] and numbers["centre_iou"] == [0.5, None, 1.0]
    assert numbers["mean_iou"][0] == 0.75 and numbers["mean_difference"][0] == 0
    assert numbers["mean_iou"][1] < 0.75 < numbers["mean_iou"][2]
    assert arrays["foreground"].shape == (3, 2, 4, 4) and not arrays["foreground"][1, 1].any()
    _, nothing = held_against([None] * 3, made, np.random.default_rng(0))
    assert nothing["mean_iou"] is None and nothing["iou"][0] == [None, None]


def test_the_result_of_the_job(make_job, tmp_path, index):
    (tmp_path / "net.py").write_text(
        "from torch import nn\n"
        "def net():\n"
        "    return nn.Sequential(nn.Conv2d(3, 12, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())\n"
    )
    names = [("wolf-0011", 11), ("husky-0010", 10)]
    classes = [f"c{i}" for i in range(12)]
    index(tmp_path / "images.json", names, classes)
    block = {"factory": f"{tmp_path}/net.py:net", "preprocess": {"resize": [64, 64]}, "probes": 2}
    network.main(make_job(block, set_classes=classes))
    segmentation.main(job := make_job(block, "saliency_segmentation"))
    left = result.read(job.outputs["result"])
    arrays = left.arrays
    assert arrays["foreground"].shape == arrays["maps/gradient"].shape and arrays["truth"].shape == (2, 64, 64)
    for i, index_ in enumerate(arrays["index"]):
        np.testing.assert_array_equal(arrays["truth"][i], draw(1, int(names[index_][0][-4:])).mask)
        for t, value in enumerate(left.numbers["iou"][i]):
            assert value == iou(arrays["foreground"][i, t], arrays["truth"][i])
            marked = arrays["seeds"][i, t]
            assert (marked == 1).mean() >= 0.05 and (marked == -1).mean() >= 0.3  # more on a plateau
            blurred = gaussian_filter(arrays["maps/gradient"][i, t], 0.02 * 64)
            np.testing.assert_array_equal(marked, seeds(blurred, 0.95, 0.3))
            again = cut(arrays["pictures"][i], marked, 5)
            np.testing.assert_array_equal(again, arrays["foreground"][i, t])
    assert left.numbers["truths"] == ["mask", "mask"] and arrays["recognised"].shape == (2, 2)


@pytest.mark.parametrize(
    ("gap", "says", "strength"),
    [
        ((0.1, 0.06, 0.14), "70\u00a0%: better than", "found"),
        ((0.1, 0.01, 0.2), "70\u00a0%: better than", "weakly found"),
        ((0.1, -0.1, 0.3), "70\u00a0%: not shown to be better than", "not found"),
        ((-0.1, -0.2, -0.01), "70\u00a0%: worse than", "not found"),
    ],
)
def test_the_finding_holds_outlines_against_those_from_the_middle(gap, says, strength):
    numbers = {"truths": ["mask"] * 3, "mean_iou": (0.7, 0.6, 0.8), "mean_centre_iou": (0.6, 0.5, 0.7)}
    left = SimpleNamespace(numbers=numbers | {"mean_difference": gap})
    said, measured = drawn.found(left, "a")
    assert says in said.says and said.strength == strength and "60\u00a0%" in said.control
    assert measured[said.key].effect == gap[0]


def without_objects(recognised):
    masks = np.ones((len(recognised), 1, 4, 4), bool)
    arrays = {"recognised": np.array(recognised), "foreground": masks, "centre": masks[:, 0]}
    return SimpleNamespace(numbers={"truths": [None] * len(recognised)}, arrays=arrays)


@pytest.mark.parametrize("recognised", [[[np.nan, np.nan]] * 2, [[0.9, 0.1]]])
def test_without_objects_and_probabilities_the_finding_says_that_nothing_was_measured(recognised):
    said, measured = drawn.found(without_objects(recognised), "a")
    assert "cannot be told" in said.says and said.strength == "not measured" and not measured


@pytest.mark.parametrize(
    ("middle", "says", "strength"),
    [(0.1, "70\u00a0%: more than", "weakly found"), (0.7, "not shown", "not found"), (0.9, "less than", "not found")],
)
def test_without_objects_cut_outs_are_recognised_more_or_less_than_those_from_the_middle(middle, says, strength):
    said, measured = drawn.found(without_objects([[0.65, middle], [0.75, middle], [0.7, middle + 0.01]]), "a")
    assert says in said.says and said.strength == strength and "whose objects are not known" in said.basis
    assert measured[said.key].effect == pytest.approx(0.7 - middle - 0.01 / 3)


def test_a_cut_out_is_recognised_by_what_it_holds():
    def logits(x):  # p(class 0) is the mean brightness
        bright = x.mean((1, 2, 3))
        return torch.stack([bright, 1 - bright], 1).log()

    model = SimpleNamespace(logits=logits, probabilities=lambda scores: scores.softmax(1), kind="softmax")
    x = torch.zeros(1, 3, 4, 4)
    x[..., 2:] = 1
    masks = np.zeros((3, 4, 4), bool)
    masks[1, :, 2:] = masks[2] = True  # nothing, the bright half on the mean colour, everything
    found = segmentation.recognised(model, x, masks, 0)
    np.testing.assert_allclose(found, [0.5, 0.75, 0.5], atol=1e-6)
    model.kind = "regression"
    assert np.isnan(segmentation.recognised(model, x, masks, 0)).all()


def outlined(truths, ious, centre):
    """Two pictures with all of the map in the middle: an outline of the background, and one around the middle."""
    maps, masks = np.zeros((2, 1, 12, 12)), np.ones((2, 1, 12, 12), bool)
    maps[:, :, 4:8, 4:8] = 1
    masks[0, :, 4:8, 4:8], masks[1] = False, maps[1] > 0
    arrays = {"maps/gradient": maps, "foreground": masks, "centre": masks[:, 0], "label": np.array([-1, -1])}
    arrays |= {"recognised": np.zeros((2, 2)), "targets": np.zeros((2, 1), int)}
    return SimpleNamespace(arrays=arrays, numbers={"truths": truths, "iou": ious, "centre_iou": centre})


def test_outlines_that_hold_the_map_come_before_those_of_the_background():
    left = outlined([None, None], [[None], [None]], [None, None])
    np.testing.assert_allclose(drawn.density(left.arrays["maps/gradient"][:, 0], left.arrays["centre"]), [0, 9])
    np.testing.assert_allclose(drawn.confidence(left), [-8 / 9 - 0.5, 8 / 9])
    assert drawn.best_first(left).tolist() == [1, 0]
    left.arrays["recognised"][0, 0] = 0.8  # a cut-out that the network recognises comes before them
    assert drawn.best_first(left).tolist() == [0, 1]
    left.arrays["label"][0] = 3  # but not if its answer for the whole picture is wrong
    assert drawn.best_first(left).tolist() == [1, 0]


def test_with_known_objects_the_overlap_decides_and_is_counted_beside_the_control():
    left = outlined(["mask", "mask"], [[0.9], [0.6]], [0.4, 0.7])
    assert drawn.best_first(left).tolist() == [0, 1]
    assert drawn.often(left) == (
        "2 of 2 outlines fit: 50\u00a0% overlap or more. From the middle: 1. "
        "The outlines that overlap their object most come first."
    )
    assert drawn.best_first(outlined([None, "box"], [[None], [0.1]], [None, 0.2])).tolist() == [1, 0]
