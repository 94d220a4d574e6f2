"""DeepDream on a small net: the objective rises, nothing leaves the bounds, and without steps nothing changes."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from cnnviz.ascent.loop import to_bytes
from cnnviz.ascent.objective_functions import takes
from cnnviz.errors import UserError
from cnnviz.network.loaded import Layer, Model
from cnnviz.pictures.preprocess import Preprocess
from cnnviz.synthesis.deepdream import dream, excitement, opened, photo, places, responses, sizes

SETTINGS = {"octaves": 3, "scale": 1.4, "step": 1.5 / 255, "shift": 4, "seed": 5}


def small(channels: int = 3, fixed: bool = False) -> Model:
    torch.manual_seed(0)
    front = [nn.Conv2d(channels, 8, 5, padding=2), nn.ReLU(), nn.AvgPool2d(2), nn.Conv2d(8, 12, 3, padding=1)]
    if fixed:
        front.insert(0, _Only(32))
    shift = int(fixed)
    net = nn.Sequential(*front, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(12, 4))
    layers = (
        Layer("conv1", f"{shift}", "Conv2d", 8, 32, 32),
        Layer("conv2", f"{3 + shift}", "Conv2d", 12, 16, 16),
        Layer("fc1", f"{7 + shift}", "Linear", 4, 1, 1),
    )
    return Model(
        *("small", net.eval().requires_grad_(False), Preprocess(resize=(32, 32), inputs=channels), layers),
        *(("conv1", "conv2", "fc1"), (f"{7 + shift}", "input"), "fc1", 12, tuple("abcd"), (), torch.device("cpu"), {}),
        channels,
    )


class _Only(nn.Module):
    def __init__(self, side: int):
        super().__init__()
        self.side = side

    def forward(self, x):
        assert x.shape[2:] == (self.side, self.side), "Wrong image height!"
        return x


def picture(channels: int = 3, size: tuple[int, int] = (44, 60)) -> torch.Tensor:
    x = torch.rand(1, channels, *size, generator=torch.Generator().manual_seed(1))
    return (nn.functional.avg_pool2d(x, 5, 1, 2) * 255).round() / 255


@pytest.mark.parametrize("channels", [1, 3, 5])
def test_the_layer_responds_more_in_every_octave_and_to_the_published_bytes(channels):
    model, x = small(channels), picture(channels)
    for place in places(model, ["conv1", "conv2"]):
        found, rises = dream(model, x, place, steps=10, **SETTINGS)
        assert found.shape == x.shape and found.min() >= 0 and found.max() <= 1
        assert len(rises) == 3 and (rises[:, 1] > rises[:, 0]).all()
        published = model.pictures(list(to_bytes(found)))
        assert excitement(model, published, place) > 1.2 * excitement(model, x, place)


def test_responses_of_several_layers_are_those_of_each_by_itself():
    model, x = small(), picture()
    shown = places(model, ["conv1", "conv2"])
    together = responses(model, x, shown)
    assert together.shape == (1, 2) and (together > 0).all()
    assert np.array_equal(together, np.stack([excitement(model, x, place) for place in shown], 1))


def test_without_steps_the_photo_comes_back_exactly():
    model, x = small(), picture()
    found, rises = dream(model, x, places(model, 1)[0], steps=0, **SETTINGS)
    assert torch.equal(found, x) and (rises[:, 0] == rises[:, 1]).all()


def test_a_step_changes_pixels_by_what_it_says_on_average():
    model, x = small(), 0.25 + 0.5 * picture()
    place = places(model, ["conv2"])[0]
    found, _ = dream(model, x, place, steps=1, **SETTINGS | {"octaves": 1, "shift": 0})
    assert float((found - x).abs().mean()) == pytest.approx(1.5 / 255, rel=1e-3)


def test_a_network_of_one_size_sees_each_octave_enlarged():
    model, x = small(fixed=True), picture(size=(32, 32))
    place = places(model, ["conv2"])[0]
    assert not takes(model, (40, 40), model.layer(place.name)) and takes(small(), (40, 40), small().layer("conv2"))
    found, rises = dream(model, x, place, steps=10, own_size=True, **SETTINGS)
    assert found.shape == x.shape and (rises[:, 1] > rises[:, 0]).all()


def test_octaves_grow_by_the_scale_and_none_is_tiny():
    assert sizes((200, 400), 3, 1.4) == [(102, 204), (143, 286), (200, 400)]
    assert sizes((30, 40), 4, 1.4) == [(21, 29), (30, 40)]
    assert sizes((8, 8), 4, 1.4) == [(8, 8)]


def test_layers_are_those_with_positions_spread_by_depth():
    model = small()
    assert [p.name for p in places(model, 9)] == ["conv1", "conv2"]
    assert [p.name for p in places(model, ["conv2", "conv1"])] == ["conv1", "conv2"]
    assert [p.name for p in places(model, 1)] == ["conv2"]
    assert all(p.rectified for p in places(model, 2))


def test_photos_have_the_size_asked_for_and_the_networks_channels(tmp_path):
    image = Image.new("RGB", (80, 40), (200, 10, 10))
    assert photo(small(), image, 60).shape == (30, 60, 3)
    assert photo(small(1), image, 60).shape == (30, 60, 1)
    assert photo(small(), image, None).shape == (32, 32, 3)
    assert photo(small(5), np.zeros((40, 80, 5), np.float32), 60).shape == (30, 60, 5)
    image.save(tmp_path / "a.png")
    assert opened({"path": tmp_path / "a.png", "box": [0, 0, 20, 10]}).size == (20, 10)
    (tmp_path / "broken.png").write_bytes(b"no picture")
    with pytest.raises(UserError, match="broken.png"):
        opened({"path": tmp_path / "broken.png", "box": None})
