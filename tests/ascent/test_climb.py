"""Pictures of classes are as large as an object needs."""

from types import SimpleNamespace

import pytest

from cnnviz.ascent import climb


def net(side, positions, step=1):
    layers = [SimpleNamespace(height=h, width=h) for h in (side, positions, 1)]  # the last one is linear
    fitting = lambda length: max(1, round(length / step)) * step  # noqa: E731
    return SimpleNamespace(layers=layers, preprocess=SimpleNamespace(size=(side, side)), fitting=fitting)


@pytest.mark.parametrize(("side", "positions", "wanted"), [(128, 4, 192), (224, 7, 224), (32, 8, 32), (64, 1, 64)])
def test_a_picture_has_room_for_an_object_at_the_last_feature_map(monkeypatch, side, positions, wanted):
    monkeypatch.setattr(climb, "takes", lambda model, size: True)
    assert climb.picture_size(net(side, positions)) == (wanted, wanted)


def test_a_network_with_one_input_size_keeps_it(monkeypatch):
    monkeypatch.setattr(climb, "takes", lambda model, size: size == model.preprocess.size)
    assert climb.picture_size(net(128, 4)) == (128, 128)
