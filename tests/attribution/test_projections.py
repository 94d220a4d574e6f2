"""The classic figure: its units and neurons, zero projections outside a neuron's field, and the drawing."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from cnnviz.activations import forward, maximal_patches
from cnnviz.attribution import projections
from cnnviz.attribution.projections import of_neurons, shares
from cnnviz.network import hooks, loaded, network
from cnnviz.network.loaded import Layer, Model
from cnnviz.network.receptive_field import receptive_fields
from cnnviz.network.relu import DECONVNET, GUIDED
from cnnviz.network.units import choose
from cnnviz.pictures import images
from cnnviz.pictures.preprocess import Preprocess
from cnnviz.run import result
from cnnviz.views import deconvnet
from cnnviz.views.kit import projections as drawn
from cnnviz.views.kit.section import Context

LAYERS = (
    *(Layer("conv1", "0", "Conv2d", 6, 20, 20), Layer("conv2", "3", "Conv2d", 7, 9, 9)),
    *(Layer("conv3", "5", "Conv2d", 4, 9, 9), Layer("fc1", "7", "Linear", 3, 1, 1, "vector")),
)


def net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        *(nn.Conv2d(3, 6, 5, stride=2, padding=2), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2)),
        *(nn.Conv2d(6, 7, 3, padding=1), nn.ReLU(inplace=True), nn.Conv2d(7, 4, 3, padding=1)),
        *(nn.Flatten(), nn.Linear(4 * 9 * 9, 3)),
    ).eval().requires_grad_(False)  # fmt: skip


@pytest.fixture
def model() -> Model:
    return Model(
        *(
            "net",
            net(),
            Preprocess(crop=40),
            LAYERS,
            tuple(layer.name for layer in LAYERS),
            ("7", "input"),
            "flat",
            324,
        ),
        *(("a", "b", "c"), (0, 1, 2), torch.device("cpu"), {}),
    )


@pytest.mark.parametrize("rule", [GUIDED, DECONVNET])
@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: layer.name)
def test_outside_of_the_field_a_projection_is_exactly_0(model, layer, rule):
    field = receptive_fields(model.net, {layer.module: layer.maps}, (40, 40))[layer.module]
    x = torch.rand(5, 3, 40, 40, generator=torch.Generator().manual_seed(1))
    places = [(0, 0), (layer.height - 1, layer.width // 2), *[(layer.height // 2, layer.width // 3)] * 3]
    neurons = torch.tensor([[u % layer.units, y, x] for u, (y, x) in enumerate(places)])
    pixels, _ = of_neurons(model, x, layer, neurons, rule)
    for projection, (y, column) in zip(pixels, places, strict=True):
        top, left, bottom, right = field.box(y, column)
        assert projection[:, top:bottom, left:right].any() or layer.name == "fc1"
        projection[:, top:bottom, left:right] = 0
        assert (projection == 0).all()


def test_outside_of_the_field_it_is_exactly_0_on_a_real_net_too(shared, make_job):
    arch = shared / "models" / "squeezenet_v1.0_imagenet.arch.json"
    block = {"factory": f"{shared}/nets.py:load", "arguments": {"arch_json_path": str(arch)}}
    block |= {"preprocess": {"channels": "BGR", "range": 255, "mean": [104, 117, 123], "std": 1, "crop": 67}}
    job = make_job(block)
    network.main(job)
    model = loaded.load(job)
    layer, x = model.layer("fire4"), torch.rand(1, 3, 67, 67, generator=torch.Generator().manual_seed(1))
    with hooks.capture(model.net, [layer.module], stop=True) as captured:
        unit = int(hooks.forward(model.net, model.normalise(x), captured)[layer.module][0, :, 4, 3].argmax())
    field = receptive_fields(model.net, [layer.module], (67, 67))[layer.module]
    pixels, sites = of_neurons(model, x, layer, torch.tensor([[unit, 4, 3]]), GUIDED)
    top, left, bottom, right = field.box(4, 3)
    assert sites and pixels.any() and (bottom - top) * (right - left) < 67 * 67 / 2
    pixels[:, :, top:bottom, left:right] = 0
    assert (pixels == 0).all()


def test_a_neurons_projection_does_not_depend_on_its_batch(model):
    model = replace(model, net=net().double())
    x = torch.rand(3, 3, 40, 40, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    neurons = torch.tensor([[0, 4, 4], [3, 2, 8], [1, 0, 0]])
    together, _ = of_neurons(model, x, LAYERS[2], neurons, GUIDED)
    apart = [of_neurons(model, x[i : i + 1], LAYERS[2], neurons[i : i + 1], GUIDED)[0] for i in range(3)]
    torch.testing.assert_close(together, torch.cat(apart), rtol=1e-12, atol=1e-15)


def test_below_the_first_relu_it_is_the_units_own_weights(model):
    x = torch.rand(1, 3, 40, 40)
    pixels, sites = of_neurons(model, x, LAYERS[0], torch.tensor([[2, 5, 6]]), GUIDED)
    assert sites == 0
    torch.testing.assert_close(pixels[0, :, 8:13, 10:15], model.net[0].weight[2])


def test_shares_are_of_the_largest_magnitude():
    pixels = torch.stack([torch.linspace(-4, 2, 12).reshape(3, 2, 2), torch.zeros(3, 2, 2)])
    of_it, largest = shares(pixels)
    assert of_it.shape == (2, 2, 2, 3) and largest.tolist() == [4, 0] and not of_it[1].any()
    np.testing.assert_allclose(of_it[0].astype(float) * 4, pixels[0].permute(1, 2, 0), atol=2e-3)


@pytest.fixture
def left(tmp_path, make_job, index, model, monkeypatch):
    """Twenty pictures through the forward pass, maximal patches and this: (patches, projections, context)."""
    generator = np.random.default_rng(0)
    listed = []
    for i in range(20):
        pixels = generator.integers(0, 256, (8, 8, 3), dtype=np.uint8).repeat(6, 0).repeat(6, 1)
        Image.fromarray(pixels).save(tmp_path / f"{i:02d}.png")
        listed.append((f"{i:02d}.png", i % 3))
    index(tmp_path / "images.json", listed, ["a", "b", "c"])
    monkeypatch.setattr(forward.loaded, "load", lambda job, **_: model)
    block = {"torchvision": "alexnet", "preprocess": {"resize": None, "crop": 40}, "probes": 3}
    job = make_job(block, "guided_backprop", {"kind": "folder", "path": str(tmp_path)})
    files = {name: tmp_path / f"forward-{name}" for name in ("result", "features", "logits", "untrained")}
    forward.main(replace(job, parameters={"batch": 6, "top": 9}, outputs=files))
    inputs, to = {"forward": files["result"], "untrained": files["untrained"]}, {"result": tmp_path / "patches.npz"}
    maximal_patches.main(replace(job, parameters={"patches": 9}, inputs=inputs, outputs=to))
    parameters = job.parameters | {"units": 3, "patches": 4}
    job = replace(job, parameters=parameters, inputs=job.inputs | inputs)
    projections.project(job, "guided_backprop", GUIDED)
    compared = replace(job, section="deconvnet", outputs={"result": tmp_path / "deconvnet.npz"})
    projections.project(compared, "deconvnet", DECONVNET, (GUIDED,))
    facts = {"classes": ["a", "b", "c"], "label_to_output": [0, 1, 2]}
    image_set = images.read(tmp_path / "images.json", job.image_set)
    context = Context(facts, {"percentile": 99.5}, image_set, None, {})
    return result.read(to["result"]), result.read(job.outputs["result"]), context


def test_shows_the_units_and_patches_that_maximal_patches_shows_first(left):
    patches, made, _ = left
    for layer in LAYERS:
        kept = {what: patches.arrays[f"{layer.name}/{what}"] for what in ("value", "peak")}
        units = choose("selective", 3, **kept)
        np.testing.assert_array_equal(made.arrays[f"{layer.name}/unit"], units)
        for what in ("image", "position", "value", "box", "border"):
            np.testing.assert_array_equal(
                made.arrays[f"{layer.name}/{what}"], patches.arrays[f"{layer.name}/{what}"][units, :4]
            )


def test_a_projection_is_of_the_neuron_whose_patch_stands_beside_it(left, model):
    _, made, context = left
    a = {what: made.arrays[f"conv3/{what}"] for what in ("unit", "image", "position", "value", "box", "projection")}
    largest = made.arrays["conv3/largest"]
    u, p = 1, 2
    picture = next(context.image_set.arrays(model.preprocess.geometry, [int(a["image"][u, p])]))
    x = model.pictures([picture]).requires_grad_()
    with hooks.capture(model.net, ["5"], stop=True) as captured:
        y, column = a["position"][u, p]
        value = hooks.forward(model.net, x, captured)["5"][0, a["unit"][u], y, column]
    assert value.item() == pytest.approx(a["value"][u, p], rel=1e-5)
    pixels, _ = of_neurons(model, x, LAYERS[2], torch.tensor([[int(a["unit"][u]), y, column]]), GUIDED)
    top, left_, bottom, right = a["box"][u, p]
    cut = pixels[0, :, top:bottom, left_:right].permute(1, 2, 0)
    got = a["projection"][u, p, : bottom - top, : right - left_].astype(np.float32) * largest[u, p]
    torch.testing.assert_close(torch.from_numpy(got), cut, rtol=2e-3, atol=2e-3 * float(largest[u, p]))


def test_the_page_says_what_it_shows(left):
    _, made, context = left
    section = drawn.view(made, context, "Beware.")
    figures = section["figures"]
    lead, *figures = figures
    assert lead.id == "lead" and "random weights" in lead.caption and len(section["findings"]) == 3
    assert len({f.id for f in figures}) == len(figures) == 4 * 3 + 3
    assert {f.group for f in figures} == {"Units, from the deepest layer to the first", "Class scores"}
    units = [f for f in figures if f.id.startswith("conv3-unit-")]
    first = next(f for f in figures if f.id.startswith("conv1-unit-"))
    assert figures.index(units[0]) < figures.index(first)
    assert section["findings"][0].figure == section["cover"] and "of one unit" in section["findings"][0].key
    assert all("±" in f.mapping and f.from_dataset and f.width <= 520 for f in units)
    assert units[0].subjects[0].kind == "unit" and units[0].subjects[0].layer == "conv3"
    assert "plain gradient" in first.more and "plain gradient" not in units[0].more
    assert section["cover"] in {f.id for f in figures} and section["do_not_conclude"] == "Beware."
    json.dumps(made.numbers)


def test_where_no_class_comes_back_the_page_says_so_and_draws_no_grey(left):
    _, made, context = left
    made.arrays["largest"][1], made.arrays["projection"][1] = 0, 0
    section = drawn.view(made, context, "Beware.")
    assert sum(f.group == "Class scores" for f in section["figures"]) == 2
    assert "Of 1 probe picture" in section["do_not_conclude"]


def test_grey_is_0_and_few_pixels_that_are_not_are_still_seen():
    projection = np.zeros((20, 20, 3), np.float32)
    assert (drawn.coloured(projection, 99.5, None) == 128).all()
    projection[3, 4] = 1, -1, 0
    pixels = drawn.coloured(projection, 99, None)
    assert pixels[3, 4].tolist() == [255, 0, 128] and (np.delete(pixels.reshape(-1, 3), 64, 0) == 128).all()


def test_deconvnet_keeps_the_same_neurons_by_guided_backprop_and_shows_one_on_three_pictures(left, model, tmp_path):
    _, guided, context = left
    made = result.read(tmp_path / "deconvnet.npz")
    of = made.arrays
    np.testing.assert_array_equal(of["conv3/position"], guided.arrays["conv3/position"])
    np.testing.assert_allclose(of["conv3/guided"] / 127, guided.arrays["conv3/projection"], atol=1 / 127)
    np.testing.assert_allclose(of["conv1/elsewhere/deconvnet"], 1, atol=1e-6)  # the unit's weights, below any ReLU
    elsewhere = of["conv3/elsewhere/deconvnet"]
    assert elsewhere.shape == (3,) and (elsewhere < 0.999).all()  # the pool's maxima differ
    u, again = 1, of["conv3/image"][1, 2]
    x = model.pictures([next(context.image_set.arrays(model.preprocess.geometry, [int(again)]))])
    neuron = torch.tensor([[of["conv3/unit"][u], *of["conv3/position"][u, 0]]])
    expected, most = shares(of_neurons(model, x, LAYERS[2], neuron, DECONVNET)[0])
    top, left_, bottom, right = of["conv3/box"][u, 0]
    got = of["conv3/again/deconvnet"][u, 1, : bottom - top, : right - left_]
    np.testing.assert_allclose(got / 127, expected[0, top:bottom, left_:right], atol=1 / 127)
    assert of["conv3/again/deconvnet_largest"][u, 1] == pytest.approx(most[0], rel=1e-5)
    section = deconvnet.view(made, context)
    figures = section["figures"]
    assert figures[0].id == "neuron" == section["findings"][0].figure and len(figures[0].marks) == 9
    assert "of one neuron" in section["findings"][0].key and sum(f.group == "Class scores" for f in figures) == 1
    units = [f for f in figures if f.subjects[1].name == "conv3" and f.id != "neuron"]
    assert len(units) == 3 and all(f.width <= 520 and len(f.marks) == 12 for f in units)
    guided = of["conv3/elsewhere/guided"][0]
    assert f"guided backprop {max(0, guided):.2f}" in units[0].caption or not np.isfinite(guided)
    assert not any(f.id.startswith("conv1-unit") for f in figures)  # no ReLU: its maps are its weights


def agreeing(*layers):
    """A result with a neuron's maps alike by these numbers in layer after layer, guided backprop's by 0.3."""
    arrays = {f"l{i}/elsewhere/deconvnet": np.full(4, own) for i, own in enumerate(layers)}
    arrays |= {f"l{i}/elsewhere/guided": np.full(4, 0.3) for i in range(len(layers))}
    numbers = {"layers": [{"name": f"l{i}", "sites": i} for i in range(len(layers))]}
    return result.Result(arrays, "ok", "", numbers, {}, 0, {})


@pytest.mark.parametrize(
    ("layers", "strength", "says"),
    [
        ((1, 1, 1), "not found", "ignores the picture"),
        ((1, 0.95, 0.95), "not found", "In all 2"),
        ((1, 1, 0.2), "weakly found", "In 1 of 2"),
        ((1, 0.2, 0.3), "weakly found", "depends"),
    ],
)
def test_whether_deconvnet_sees_the_picture(layers, strength, says):
    """The first layer has no ReLU before it and does not count."""
    finding, measured = deconvnet.of_the_picture(agreeing(*layers), "the map", "one")
    assert finding.strength == strength and says in finding.says and "0.30" in finding.control
    assert finding.figure == "one" and len(measured) == 2
    assert deconvnet.of_the_picture(agreeing(1), "the map", "") is None


def test_a_layer_counts_whose_neurons_guided_backprop_has_no_map_of_elsewhere():
    made = agreeing(1, 1, 1)
    made.arrays["l2/elsewhere/guided"][:] = np.nan
    finding, measured = deconvnet.of_the_picture(made, "the map", "")
    assert "by 1.00, guided backprop's by 0.30" in finding.says and finding.basis.startswith("2 layers")
    assert [one.short for one in measured.values()] == ["1.00, guided 0.30", "1.00"]


def test_a_strong_channel_does_not_own_the_colour():
    projection = np.zeros((20, 20, 3), np.float32)
    projection[:, :10, 1], projection[:, 10:, 0], projection[0, 0, 2] = 1, 0.2, 0.001
    pixels = drawn.coloured(projection, 99.5, None)
    assert pixels[5, 3].tolist() == [128, 255, 128] and pixels[5, 15].tolist() == [255, 128, 128]
    assert pixels[0, 0, 2] <= 130  # a tenth of the strongest channel's range is the least


def test_patches_are_lit_where_their_projection_is_strong():
    projection = np.zeros((40, 40, 3), np.float32)
    projection[:20, :20, 1] = -1
    pixels = drawn.lit_by(projection, np.full((40, 40, 3), 200, np.uint8))
    assert (pixels[:15, :15] == 200).all() and (pixels[30:, 30:] == drawn.DARK).all()


def test_the_unit_with_most_patches_of_one_class_leads_and_none_of_an_early_layer(left):
    _, made, context = left
    made.arrays["conv3/image"][:] = [0, 1, 2, 3]  # of three classes
    made.arrays["conv3/image"][1] = [1, 4, 7, 2]
    shown = {f.id for f in drawn.view(made, context, "")["figures"]}
    unit = made.arrays["conv3/unit"][1]
    deep = {i for i in shown if i.startswith(("conv1", "conv3"))}
    assert drawn.telling(made, context, deep) == f"conv3-unit-{unit:04d}"
    assert drawn.telling(made, context, set()) == ""


def test_the_window_holds_what_a_map_shows_at_one_scale():
    maps = [np.zeros((40, 60, 3)), np.zeros((40, 60, 3))]
    maps[0][5:17, 30:34], maps[1][38:, :2] = 1, 1
    first, second = drawn.window(maps)
    assert maps[0][first].sum() == maps[0].sum() and maps[1][second].sum() == maps[1].sum()
    assert maps[0][first].shape == maps[1][second].shape == (14, 14, 3)
