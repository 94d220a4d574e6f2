"""Maps equal a plain forward hook's; the forward stops at the deepest layer; the sheet shows these numbers."""

import numpy as np
import pytest
import torch

from cnnviz.activations import activation_maps
from cnnviz.activations.activation_maps import quantised
from cnnviz.network import loaded, network
from cnnviz.pictures import images, listing
from cnnviz.run import result
from cnnviz.run.job import perform
from cnnviz.views import activation_maps as drawn
from cnnviz.views.kit.section import Context

FACTORY = """
from torch import nn
def net():
    return nn.Sequential(nn.Conv2d(3, 8, 5, 2), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2), nn.Conv2d(8, 70, 3),
                         nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(70, 12))
"""


@pytest.fixture
def done(make_job, index, tmp_path):
    (tmp_path / "factory.py").write_text(FACTORY)
    block = {
        "factory": f"{tmp_path}/factory.py:net",
        "preprocess": {"mean": 0.5, "std": 0.25, "resize": None, "crop": 64},
        "image_set": "set",
        "layers": ["conv1", "conv2", "fc1"],
    }
    config = {"kind": "demo", "count": 24}
    listed = [(row.name, row.labels[0]) for row in listing.rows(config)]
    classes = sorted({label for _, label in listed})
    index(tmp_path / "images.json", [(name, classes.index(label)) for name, label in listed], classes)
    network.main(make_job(block, set_classes=classes))
    job = make_job(block, "activation_maps", parameters={"pictures": 3})
    activation_maps.main(job)
    image_set = images.read(job.inputs["images"], job.image_set)
    return job, loaded.load(job), image_set, result.read(job.outputs["result"])


def test_levels_keep_a_map_to_a_part_in_510_of_its_range():
    maps = np.random.default_rng(0).normal(size=(5, 9, 7)).astype(np.float32)
    maps[2] = 3
    levels, low, high = quantised(maps)
    back = low[:, None, None] + (high - low)[:, None, None] * (levels / 255)
    assert (np.abs(back - maps) <= ((high - low) / 509)[:, None, None]).all()
    assert (back[2] == 3).all() and levels[0].min() == 0 and levels[0].max() == 255


def test_maps_equal_a_plain_hook(done):
    _, model, image_set, got = done
    x = model.normalise(model.pictures(list(image_set.arrays(model.preprocess.geometry, got.arrays["index"].tolist()))))
    kept = {}
    for name, module in (("conv1", "0"), ("conv2", "3")):
        model.net[int(module)].register_forward_hook(lambda m, i, o, name=name: kept.update({name: o.clone()}))
    with torch.no_grad():
        logits = model.net(x)
    assert [layer["name"] for layer in got.numbers["layers"]] == ["conv1", "conv2"]  # fc1's units have no positions
    for name, maps in kept.items():
        maps = maps.numpy()
        back = np.stack([drawn.restored(got.arrays, name, p) for p in range(3)])
        assert back.shape == maps.shape
        span = np.ptp(maps, axis=(2, 3))[..., None, None]
        assert (np.abs(back - maps) <= span / 509 + 1e-5).all()
        np.testing.assert_allclose(got.arrays[f"{name}/mean"], maps.mean((2, 3)), rtol=1e-4, atol=1e-5)
    assert got.numbers["predicted"] == logits.argmax(1).tolist()


def test_brightest_units_come_first_on_request_and_the_sheet_holds_the_picture(done):
    job, _, image_set, got = done
    facts = {"classes": [str(i) for i in range(12)]}
    context = Context(facts, {"order": "brightest", "mapping": "map", "units": 10}, image_set, None, {})
    shown = drawn.view(got, context)
    assert len(shown["figures"]) == 3 * 2 and {f.file for f in shown["figures"]} == set(context.files)
    mean = got.arrays["conv2/mean"][0]
    assert drawn.ordered("brightest", mean, 10).tolist() == sorted(range(70), key=lambda u: -mean[u])[:10]
    assert drawn.ordered("index", mean, 10).tolist() == list(range(10))
    figure = next(f for f in shown["figures"] if f.id.startswith("conv2"))
    assert "the 10 brightest of 70 units" in figure.caption and "each map by itself" in figure.mapping
    tiles = np.arange(6, dtype=np.uint8)[:, None, None].repeat(20, 1).repeat(30, 2)
    sheet = drawn.sheet(got.arrays["pictures"][0], tiles)
    assert np.array_equal(sheet[:64, :64, :3], got.arrays["pictures"][0])
    left = drawn.BESIDE + 5 * drawn.GAP
    # reading order; three rows of 20 pixels fit beside the picture's 64, so there are two per row
    assert [int(sheet[i // 2 * 22 + 5, left + i % 2 * 32 + 3, 0]) for i in range(6)] == list(range(6))


def test_one_range_for_a_layer_starts_at_0_only_where_a_relu_cuts():
    maps = np.linspace(-2, 8, 1000).reshape(1, 20, 50)
    assert drawn.shared(maps, True).low == 0 and drawn.shared(maps, False).low == -2
    assert drawn.shared(maps - 10, True).low == -12  # no value above 0: the values' own range is shown


def test_layers_without_maps_are_not_applicable(done):
    job = done[0]
    perform(activation_maps.main, type(job)(**vars(job) | {"model": job.model | {"layers": ["fc1"]}}))
    assert result.read(job.outputs["result"]).status == "not_applicable"


def test_maps_that_keep_the_pictures_layout_are_found_and_others_are_not():
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (2, 8, 8, 3), dtype=np.uint8)
    grey = pictures.mean(-1)[:, None]

    def said(**layers):
        arrays = {"pictures": pictures}
        for name, maps in layers.items():
            levels, low, high = zip(*map(quantised, maps.astype(np.float32)), strict=True)
            arrays |= {f"{name}/levels": np.array(levels), f"{name}/low": np.array(low), f"{name}/high": np.array(high)}
        numbers = {"layers": [{"name": name} for name in layers]}
        return drawn.found(result.Result(arrays, "ok", "", numbers, {}, 0, {}), ["a", "b"])

    kept, lost = grey + rng.normal(0, 20, (2, 9, 8, 8)), rng.normal(size=(2, 9, 8, 8))
    finding, measured = said(first=kept, second=kept, third=lost)
    assert (
        finding.strength == "weakly found"  # random weights keep it, too
        and "as late as second" in finding.says
        and finding.figure in ("second-a", "second-b")
    )
    assert measured["layout in first"].low > 0.3 and abs(measured["layout in third"].effect) < 0.1
    assert said(third=lost)[0].strength == "not found"
    assert said(flat=np.zeros((2, 9, 8, 8)))[0].strength == "not found"
    assert said(one=kept[:, :1])[0].strength == "not found"  # of one unit nothing can be told
