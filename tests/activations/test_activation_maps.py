"""Maps equal a plain forward hook's; the forward stops at the deepest layer; the sheet shows these numbers."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

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


def test_the_strongest_units_come_first_and_each_picture_is_shown_once(done):
    _, _, image_set, got = done
    facts = {"classes": [str(i) for i in range(12)]}

    def shown(order):
        context = Context(facts, {"order": order, "mapping": "map", "units": 10}, image_set, None, {})
        view = drawn.view(got, context)
        assert {f.file for f in view["figures"]} == set(context.files) and view["cover"] == view["findings"][0].figure
        return view["figures"], context.files

    (lead, *figures), files = shown("strongest")
    assert lead.id == drawn.LEAD and b"conv2, unit" in files[lead.file]
    assert [f.id.split("-")[0] for f in figures] == ["picture", "conv1", "conv2"] * 3
    mean, largest = got.arrays["conv2/mean"][0], got.arrays["conv2/high"][0]
    for order, by in (("strongest", largest), ("brightest", mean), ("index", -np.arange(70))):
        ranked = sorted(range(70), key=lambda u: -by[u])[:10]
        assert drawn.ordered(order, mean, largest, 10).tolist() == ranked
        sheet = next(f for f in (figures if order == "strongest" else shown(order)[0]) if f.id.startswith("conv2"))
        assert f": {', '.join(map(str, ranked))}." in sheet.more.replace(";", ",")
        assert "each map by itself" in sheet.mapping
    sheet = next(f for f in figures if f.id.startswith("conv2"))
    assert "the 10 strongest of 70 units" in sheet.caption and f"Unit {largest.argmax()} reaches" in sheet.caption
    photo = np.asarray(Image.open(io.BytesIO(files[figures[0].file])).convert("RGB")).astype(int)
    seen = got.arrays["pictures"][0].repeat(5, 0).repeat(5, 1)
    assert photo.shape == seen.shape and np.abs(photo - seen).mean() < 4


def test_few_tiles_are_large_and_many_stand_in_reading_order():
    few = [np.full((7, 7), level, np.uint8) for level in range(8)]
    sheet = drawn.sheet(few)
    assert sheet.shape == (2 * 224 + 4, 4 * 224 + 3 * 4, 4)  # 7 pixels, enlarged by the whole factor 32
    assert [int(sheet[100 + i // 4 * 228, 100 + i % 4 * 228, 0]) for i in range(8)] == list(range(8))
    many = drawn.sheet([np.full((300, 150), level, np.uint8) for level in range(64)])
    assert many.shape[1] <= drawn.ACROSS and len(np.unique(many[..., 0])) == 64  # 8 per row, reduced


def test_the_picture_lies_faintly_under_coarse_maps_only():
    picture = np.zeros((40, 40, 3), np.uint8)
    picture[:, 20:] = 250
    coarse, fine = np.full((4, 4), 100, np.uint8), np.full((9, 9), 100, np.uint8)
    made = drawn.laid_over(coarse, picture, 40)
    share = drawn.FAINT
    assert made.shape == (40, 40) and made[5, 5] == round((1 - share) * 100)
    assert made[5, 35] == round((1 - share) * 100 + share * 250) and drawn.laid_over(fine, picture) is fine


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
        return drawn.found(result.Result(arrays, "ok", "", numbers, {}, 0, {}))

    kept, lost = grey + rng.normal(0, 20, (2, 9, 8, 8)), rng.normal(size=(2, 9, 8, 8))
    finding, measured, best = said(first=kept, second=kept, third=lost)
    assert (
        finding.strength == "weakly found"  # random weights keep it, too
        and "as late as second" in finding.says
        and finding.figure == drawn.LEAD
        and best in (0, 1)
    )
    assert measured["layout in first"].low > 0.3 and abs(measured["layout in third"].effect) < 0.1
    assert said(third=lost)[0].strength == "not found"
    assert said(flat=np.zeros((2, 9, 8, 8)))[0].strength == "not found"
    assert said(one=kept[:, :1])[0].strength == "not found"  # of one unit nothing can be told
