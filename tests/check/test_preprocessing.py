"""Other preprocessings are distinct and effective; the search finds the right one and no other."""

import numpy as np
import pytest
import torch

from cnnviz.check import preprocessing
from cnnviz.network import loaded
from cnnviz.pictures.preprocess import prepared

IMAGENET = {"channels": "RGB", "range": 1, "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]} | {
    "resize": 256,
    "crop": 224,
    "interpolation": "bilinear",
}
CAFFE = IMAGENET | {"channels": "BGR", "range": 255, "mean": [104, 117, 123], "std": 1}


def effect(block, channels=3):
    """A block's result for three grey levels and red."""
    x = torch.tensor([[0, 0, 0], [0.5, 0.5, 0.5], [1, 1, 1], [1, 0, 0]])[:, :channels, None, None]
    model = loaded.Model("m", None, prepared(block, channels), (), (), ("", ""), "", 0, (), (), None, {}, channels)
    return model.normalise(x).flatten().tolist()


@pytest.mark.parametrize("block", [IMAGENET, CAFFE, IMAGENET | {"mean": 0.5, "std": 0.5}, CAFFE | {"mean": 0}])
def test_no_two_changes_come_to_the_same_and_none_to_what_is(block):
    effects = [effect(block), *(effect(block | change) for change in preprocessing.values(block, 3, 224))]
    assert len(effects) > 8
    for i, one in enumerate(effects):
        assert not any(np.allclose(one, two, rtol=0.005, atol=1e-3) for two in effects[:i])


@pytest.mark.parametrize(
    ("block", "truth"),
    [
        (CAFFE | {"channels": "RGB"}, CAFFE),
        (CAFFE | {"range": 1}, CAFFE),
        (CAFFE | {"mean": 0}, CAFFE),
        (CAFFE | {"range": 1, "mean": [0.4078, 0.4588, 0.4824]}, CAFFE),
        (IMAGENET, CAFFE),
        (CAFFE, IMAGENET),
        (IMAGENET | {"range": 255}, IMAGENET),
        (IMAGENET | {"mean": 0, "std": 1}, IMAGENET),
        (IMAGENET, IMAGENET | {"mean": 127.5, "std": 127.5, "range": 255}),
        (IMAGENET, IMAGENET | {"channels": "BGR", "mean": 0, "std": 1, "range": 255}),
    ],
)
def test_usual_mistakes_have_their_cure_among_the_changes(block, truth):
    cures = [effect(block | change) for change in preprocessing.values(block, 3, 224)]
    assert any(np.allclose(cure, effect(truth), rtol=0.01, atol=0.01) for cure in cures)


def test_a_mean_picture_and_other_than_three_channels():
    picture = CAFFE | {"mean": "mean.npy", "range": 1, "channels": "RGB"}
    changes = preprocessing.values(picture, 3, 32)
    assert {"range": 255} in changes and {"channels": "BGR"} in changes
    grey = IMAGENET | {"mean": 0.0, "std": 1.0}
    changes = preprocessing.values(grey, 1, 28)
    assert {"range": 255} in changes and {"mean": 0.1307, "std": 0.3081} in changes
    assert not any("channels" in change for change in changes)
    for change in changes:
        effect(grey | change, 1)


def test_other_cuts_and_small_pictures_as_they_are():
    assert preprocessing.geometries(IMAGENET, (224, 224)) == [
        {"resize": [224, 224], "crop": None},
        {"resize": 224, "crop": 224},
    ]
    changes = preprocessing.alternatives(IMAGENET, 3, (224, 224), {(32, 32)})
    assert changes[0] == {"resize": [32, 32], "crop": None}
    assert preprocessing.alternatives(IMAGENET, 3, (224, 224), {(32, 32), (40, 32)})[0] != changes[0]
    assert preprocessing.geometries(IMAGENET | {"resize": [64, 96], "crop": None}, (64, 96)) == []


class Net:
    """A network with a given accuracy per change. A picture that is hard is hard under all changes."""

    def __init__(self, shares, n=200, classes=10):
        self.hard = np.random.default_rng(0).random(n)
        self.labels = np.arange(n) % classes
        self.shares, self.classes, self.passes = shares, classes, 0

    def __call__(self, change, start, stop):
        self.passes += stop - start
        rng = np.random.default_rng([len(str(change)), start])
        best = np.where(
            self.hard < self.shares[str(change)], self.labels, (self.labels + 1 + self.labels % 7) % self.classes
        )
        scores = rng.normal(size=(len(self.labels), self.classes))
        scores[np.arange(len(best)), best] += 4
        return scores[start:stop]

    def search(self, changes, base=0.5, within=lambda share: True, first=24):
        self.shares[str({})] = base
        return preprocessing.search(
            changes, self, self({}, 0, len(self.labels)), [(int(i),) for i in self.labels], first, within
        )


def test_the_clearly_better_change_is_found_without_trying_all_pictures_on_all():
    changes = [{"range": i} for i in range(20)]
    net = Net({str(c): 0.1 for c in changes} | {str({"range": 13}): 0.8})
    found = net.search(changes)
    assert found.change == {"range": 13} and found.tried == 20
    assert found.new.mean() == pytest.approx((net.hard < 0.8).mean())
    assert net.passes < 200 + 20 * 24 + 4 * 72 + 3 * 200


def test_of_changes_as_good_as_each_other_the_smallest_is_taken():
    changes = [{"range": 1, "mean": 0, "std": 1}, {"range": 1}, {"range": 1, "mean": 1}]
    net = Net({str(c): share for c, share in zip(changes, (0.8, 0.79, 0.8), strict=True)})
    assert net.search(changes).change == {"range": 1}
    net = Net({str(c): share for c, share in zip(changes, (0.95, 0.7, 0.4), strict=True)})
    assert net.search(changes).change == changes[0]


@pytest.mark.parametrize("share", [0.02, 0.3, 0.5, 0.54])
def test_no_change_is_found_that_is_not_clearly_better(share):
    changes = [{"range": i} for i in range(6)]
    found = Net({str(c): share for c in changes}).search(changes)
    assert found.change is None and found.tried == 6


def test_a_change_near_guessing_is_not_reported():
    changes = [{"range": 1}]
    assert Net({str(changes[0]): 0.2}).search(changes, base=0.05).change is None


def test_a_timeout_is_reported():
    changes = [{"range": i} for i in range(6)]
    asked = iter(range(1000))
    found = Net({str(c): 0.3 for c in changes}).search(changes, within=lambda share: next(asked) < 6)
    assert found.tried == 3 and found.change is None


def test_a_good_change_leaves_half_of_the_time_for_its_confirmation():
    changes = [{"range": i} for i in range(3)]
    asked = []
    net = Net({str(c): share for c, share in zip(changes, (0.1, 0.9, 0.1), strict=True)})
    assert net.search(changes, within=lambda share: not asked.append(share)).change == {"range": 1}
    first = asked[:6]  # before each of the three changes, and before its pictures
    assert first == [0.9] * 4 + [0.5] * 2 and set(asked[6:]) == {0.7, 1.0}


def test_a_change_that_the_network_does_not_take_is_passed_over():
    net = Net({str({"range": 2}): 0.9})
    right = [(int(i),) for i in net.labels]
    net.shares[str({})] = 0.4
    found = preprocessing.search(
        [{"resize": 5}, {"range": 2}],
        lambda change, *span: None if "resize" in change else net(change, *span),
        net({}, 0, 200),
        right,
        24,
        lambda share: True,
    )
    assert found.change == {"range": 2} and found.tried == 2
