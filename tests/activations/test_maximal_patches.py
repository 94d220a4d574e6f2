"""A patch's crop is all that its neuron sees; border neurons come last and are marked; the view cuts these pixels."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from cnnviz.activations import forward, maximal_patches
from cnnviz.network.loaded import Layer, Model
from cnnviz.pictures import images
from cnnviz.pictures.preprocess import Preprocess
from cnnviz.run import result
from cnnviz.run.result import Result
from cnnviz.views import maximal_patches as drawn
from cnnviz.views.kit import tiles
from cnnviz.views.kit.colour import number
from cnnviz.views.kit.patches import in_proportion, part, patch
from cnnviz.views.kit.section import Context

NAMES = {"0": "conv1", "3": "conv2", "5": "conv3"}


@pytest.fixture
def patches(tmp_path, make_job, index, monkeypatch):
    """A float64 net over twenty pictures of noise: (net, pictures, result, context)."""
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 6, 5, stride=2, padding=2), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2),
        nn.Conv2d(6, 7, 3, padding=1), nn.ReLU(inplace=True), nn.Conv2d(7, 4, 7, padding=3),
        nn.Flatten(), nn.Linear(4 * 9 * 9, 3),
    )  # fmt: skip
    net = net.double().eval().requires_grad_(False)
    generator = np.random.default_rng(0)
    listed = []
    for i in range(20):
        pixels = generator.integers(0, 256, (8, 8, 3), dtype=np.uint8).repeat(6, 0).repeat(6, 1)
        Image.fromarray(pixels).save(tmp_path / f"{i:02d}.png")
        listed.append((f"{i:02d}.png", i % 3))
    index(tmp_path / "images.json", listed, ["a", "b", "c"])
    preprocess = Preprocess(resize=None, crop=40)
    shapes = {"conv1": (6, 20, 20), "conv2": (7, 9, 9), "conv3": (4, 9, 9)}
    layers = tuple(Layer(name, module, "Conv2d", *shapes[name]) for module, name in NAMES.items())
    model = Model(
        "net", net, preprocess, layers, tuple(NAMES.values()), ("7", "input"), "flat", net[7].in_features,
        ("a", "b", "c"), (0, 1, 2), torch.device("cpu"), {},
    )  # fmt: skip
    monkeypatch.setattr(Model, "pictures", lambda self, arrays: in_unit_range(np.stack(arrays)))
    monkeypatch.setattr(forward.loaded, "load", lambda job: model)
    config = {"kind": "folder", "path": str(tmp_path)}
    block = {"torchvision": "alexnet", "preprocess": {"resize": None, "crop": 40}, "image_set": "set"}
    outputs = {name: tmp_path / f"forward-{name}" for name in ("result", "features", "logits", "untrained")}
    job = make_job(block, image_set=config, outputs=outputs)
    forward.main(type(job)(**vars(job) | {"parameters": {"batch": 6, "top": 9}}))
    section = {
        "parameters": {"patches": 9},
        "inputs": {"forward": outputs["result"], "untrained": outputs["untrained"]},
        "outputs": {"result": tmp_path / "result.npz"},
    }
    maximal_patches.main(type(job)(**vars(job) | section))
    image_set = images.read(tmp_path / "images.json", config)
    facts = {"classes": ["a", "b", "c"], "label_to_output": [0, 1, 2]}
    context = Context(facts, {"units": 3, "order": "selective"}, image_set, None, {})
    x = in_unit_range(np.stack(list(image_set.arrays(preprocess.geometry))))
    return net, x, result.read(tmp_path / "result.npz"), context


def in_unit_range(stacked: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(stacked).permute(0, 3, 1, 2).contiguous().double() / 255


def test_what_is_outside_the_crop_does_not_change_the_neuron_at_all(patches):
    net, x, got, _ = patches
    generator = torch.Generator().manual_seed(0)
    for module, name in NAMES.items():
        head = net[: int(module) + 1]
        for unit, slot in ((0, 0), (2, 4), (3, 8)):
            image, value = got.arrays[f"{name}/image"][unit, slot], got.arrays[f"{name}/value"][unit, slot]
            top_, left, bottom, right = got.arrays[f"{name}/box"][unit, slot]
            y, column = got.arrays[f"{name}/position"][unit, slot]
            other = torch.rand(1, 3, 40, 40, dtype=torch.float64, generator=generator)
            other[0, :, top_:bottom, left:right] = x[image, :, top_:bottom, left:right]
            before, after = head(x[image : image + 1]), head(other)
            assert (after - before)[0, unit, y, column] == 0.0
            assert value == pytest.approx(float(before[0, unit, y, column]), rel=1e-6)


def test_fields_inside_the_picture_are_never_flagged_and_others_are(patches):
    _, _, got, _ = patches
    by_name = {layer["name"]: layer for layer in got.numbers["layers"]}
    assert not got.arrays["conv1/border"].any() and not got.arrays["conv2/border"].any()
    assert (by_name["conv1"]["field"], by_name["conv2"]["field"]) == ([5, 5], [17, 17])
    box = got.arrays["conv1/box"]
    assert ((box[..., 2:] - box[..., :2]) == 5).all()
    assert by_name["conv3"]["inside"] == 0 or not got.arrays["conv3/border"].any()
    assert all(len(set(row)) == 9 for row in got.arrays["conv3/image"].tolist())
    value = got.arrays["conv2/value"]
    assert (np.diff(value, axis=1) <= 0).all()


def test_the_view_cuts_exactly_these_pixels_and_names_its_subjects(patches, tmp_path):
    _, x, got, context = patches
    shown = drawn.view(got, context)
    unit = next(f for f in shown["figures"] if f.id.startswith("conv1-unit"))
    number = int(unit.id.rsplit("-", 1)[1])
    assert [s.name for s in unit.subjects if s.kind == "unit"] == [str(number)]
    names = [context.image_set.pictures[i].name for i in got.arrays["conv1/image"][number]]
    assert [s.name for s in unit.subjects if s.kind == "image"] == names
    _, large = drawn._cut(got, context, {"conv1": np.array([number])}, tmp_path)
    for slot in range(9):
        top_, left, bottom, right = got.arrays["conv1/box"][number, slot]
        crop = (x[got.arrays["conv1/image"][number, slot]] * 255).round().byte().permute(1, 2, 0).numpy()
        enlarged = Image.fromarray(crop[top_:bottom, left:right]).resize((96, 96), Image.Resampling.NEAREST)
        assert np.array_equal(large["conv1"][0, slot, ..., :3], np.asarray(enlarged))
    sheets = [f for f in shown["figures"] if "-sheet-" in f.id and f.group == "conv2"]
    assert {s.name for f in sheets for s in f.subjects if s.kind == "unit"} == {str(u) for u in range(7)}
    assert len(shown["figures"]) <= 200 and json.dumps(shown["tables"][0].rows)


def test_without_sheets_each_units_own_picture_is_the_same(patches):
    _, _, got, context = patches
    files = {}
    for sheets in (True, False):
        context.files.clear()
        context.show["sheets"] = sheets
        drawn.view(got, context)
        files[sheets] = dict(context.files)
    assert any("-sheet-" in name for name in files[True]) and files[False]
    assert files[False] == {name: content for name, content in files[True].items() if "-sheet-" not in name}


def test_each_patch_leads_to_its_picture(patches):
    _, _, got, context = patches
    figures = {figure.id: figure for figure in drawn.view(got, context)["figures"]}
    image, value = got.arrays["conv2/image"], got.arrays["conv2/value"]
    own = next(id for id in figures if id.startswith("conv2-unit"))
    sheet, cells = figures["conv2-sheet-0000"], tiles.places(9, 56, 56, 2, 3)
    for subject in (s for s in sheet.subjects if s.kind == "unit"):
        unit, (left, top, *_) = int(subject.name), subject.box
        said = [
            (f"{i:02d}.png", f"{'abc'[i % 3]}, activation {number(v)}")
            for i, v in zip(image[unit], value[unit], strict=True)
        ]
        marks = sheet.marks[9 * unit : 9 * unit + 9]
        assert [(mark.name, mark.value) for mark in marks] == said
        assert [mark[:2] + mark[4:6] for mark in marks] == [(left + x, top + y, w, h) for x, y, w, h in cells]
        if own == f"conv2-unit-{unit:04d}":
            assert [(mark.of, mark.value) for mark in figures[own].marks] == said
    got.arrays["conv2/image"][0, 5:] = -1
    got.arrays["conv2/box"][0, 0] = 0  # sees only padding
    context.files.clear()
    (sheet,) = (figure for figure in drawn.view(got, context)["figures"] if figure.id == sheet.id)
    assert len(sheet.marks) == 9 * len(image) - 5 and all(mark.kind == "image" for mark in sheet.marks)


def test_the_tiles_of_a_block_are_where_its_places_say():
    pixels = np.random.default_rng(0).integers(1, 256, (7, 4, 5, 3), np.uint8)
    block = tiles.block(pixels, 3)
    for tile, (x, y, width, height) in zip(pixels, tiles.places(7, 4, 5, 3, tiles.square(7)), strict=True):
        np.testing.assert_array_equal(block[y : y + height, x : x + width, :3], tile)


def test_a_class_that_patches_share_stands_beside_its_share_of_all_pictures(patches):
    _, _, got, context = patches
    got.arrays["conv1/image"][0] = [0, 3, 6, 9, 1, 4, 2, 12, 15]  # 20 pictures: 7 are of a, 7 of b, 6 of c
    (about,) = (about for about in drawn.view(got, context)["about"] if about.layer == "conv1")
    assert about.rows["0"][1] == "a (6 of 9; 35\u00a0% of all pictures)"


def test_a_single_patch_is_described_in_the_singular(patches):
    _, _, got, context = patches
    got.arrays["conv1/image"][:, 1:] = -1
    units = [f for f in drawn.view(got, context)["figures"] if f.id.startswith("conv1-unit")]
    assert units
    for figure in units:
        assert "the patch that excites" in figure.alt and "the patch that excites it most" in figure.more
        said = figure.caption + figure.more
        assert "patches" not in figure.alt + said and "strongest first" not in said


def test_a_stronger_neuron_at_the_border_is_stated_with_its_value(patches):
    _, _, got, context = patches
    anywhere, shown = got.arrays["conv2/max"], got.arrays["conv2/value"][:, 0]
    stronger = anywhere > shown
    assert stronger.any()  # some units are excited most by noise beside the padding
    view = drawn.view(got, context)
    for figure in (f for f in view["figures"] if f.id.startswith("conv2-unit")):
        unit = int(figure.id.rsplit("-", 1)[1])
        said = f"At the picture's border it reaches {number(anywhere[unit])}, inside {number(shown[unit])}."
        assert (said in figure.caption) == stronger[unit] == ("see no padding" in figure.more)
    (sheet,) = (f for f in view["figures"] if f.id.startswith("conv2-sheet"))
    assert f"of {stronger.sum()}, one at the picture's border" in sheet.more
    about = next(a for a in view["about"] if a.layer == "conv2")
    assert [row[0] for row in about.rows.values()] == anywhere.tolist()


def test_dead_units_have_no_patches_and_say_so(patches):
    _, _, got, context = patches
    for name, nothing in (("image", -1), ("value", 0), ("box", 0), ("border", False), ("max", 0), ("peak", 0)):
        got.arrays[f"conv2/{name}"][:5] = nothing  # as the job leaves them, see below
    context.show["units"] = 7
    view = drawn.view(got, context)
    dead = [f for f in view["figures"] if f.id.startswith("conv2-unit") and "is dead" in f.caption]
    assert len(dead) == 5 and all(f.alt.startswith("Empty") and not f.more for f in dead)
    (sheet,) = (f for f in view["figures"] if f.id.startswith("conv2-sheet"))
    assert "5 dead: never above 0." in sheet.caption


def test_border_crops_get_a_frame_and_keep_their_shape():
    crop = np.full((20, 40, 3), 7, np.uint8)
    plain, framed = tiles.cell(crop, 56, False), tiles.cell(crop, 56, True)
    assert plain[..., 3].any(1).sum() == 28 and plain[..., 3].any(0).sum() == 56
    assert tuple(framed[14, 10, :3]) == tiles.FRAME and tuple(plain[14, 10, :3]) == (7, 7, 7)


@pytest.mark.parametrize("originals", [True, False])
def test_patches_of_large_pictures_are_cut_from_the_original(originals):
    """A picture with a number in every pixel: the crop holds those of the field, at the requested resolution."""
    height, width = 1600, 1000
    across, down = np.meshgrid(np.arange(width), np.arange(height))
    picture = Image.fromarray(np.stack([across * 255 // width, down * 255 // height, 0 * down], 2).astype(np.uint8))
    preprocess, size = Preprocess(resize=125, crop=100), (100, 100)  # 8 pixels of the picture are one of the input
    cut = part(preprocess, size, originals)(picture)
    left, top, right, bottom = preprocess.box(width, height)
    assert cut.shape == ((bottom - top, right - left, 3) if originals else (100, 100, 3))
    box = np.array([10, 20, 40, 70])
    crop = patch(cut, box, size)
    assert crop.shape[:2] == ((240, 400) if originals else (30, 50))
    corners = crop[0, 0, :2], crop[-1, -1, :2]
    expected = [(left + 8 * x) * 255 / width for x in (20, 70)], [(top + 8 * y) * 255 / height for y in (10, 40)]
    np.testing.assert_allclose(np.array(corners).T, expected, atol=3)
    assert not patch(cut, np.zeros(4, int), size).size


def test_small_pictures_keep_the_pixels_that_the_network_saw():
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8))
    preprocess = Preprocess(resize=(64, 64))
    np.testing.assert_array_equal(part(preprocess, (64, 64), True)(picture), preprocess.geometry(picture))


def test_a_class_goes_by_the_networks_first_name_for_it():
    context = SimpleNamespace(
        image_set=SimpleNamespace(classes=["281", "chair"]),
        model={"label_to_output": [1, None], "classes": ["goldfish", "tabby, tabby cat"]},
    )
    assert [Context.called(context, label) for label in (0, 1)] == ["tabby", "chair"]


def test_units_whose_patches_show_one_class_are_found_and_random_patches_are_not():
    labels, rng = np.arange(200) % 5, np.random.default_rng(0)
    image = {
        "random/image": np.array([rng.choice(200, 9, replace=False) for _ in range(40)]),
        "one/image": np.array([5 * rng.choice(40, 9, replace=False) + u % 5 for u in range(40)]),
    }

    def said(names, labels=labels, untrained=200):
        numbers = {"layers": [{"name": name} for name in names], "pictures": 200, "untrained": untrained}
        return drawn.found(Result(image, "ok", "", numbers, {}, 0, {}), labels, {"one-unit-0007"})

    best, measured = said(["random", "one"])
    assert best.says == "one: 100\u00a0% of a unit's best patches show one class." and best.strength == "found"
    assert best.figure == "one-unit-0007" and measured["patches of one class: one"].effect == pytest.approx(1)
    assert abs(measured["patches of one class: random"].effect) < 0.05
    assert said(["random", "one"], untrained=100)[0].strength == "weakly found"
    image["one/untrained"] = image["one/image"][:, ::-1]  # it was so before training
    none, measured = said(["one"])
    assert none.strength == "not found" and "100\u00a0% with random weights" in none.control
    assert measured["patches of one class: one"].effect == pytest.approx(0)
    none, _ = said(["random"])
    assert none.strength == "not found" and none.figure == ""
    for labels in (np.full(200, -1), np.zeros(200, int)):  # no labels; one class only
        none, measured = said(["random", "one"], labels)
        assert none.strength == "not measured" and not measured and "cannot be told" in none.says


def test_classes_that_all_differ_are_not_listed():
    pictures = [SimpleNamespace(label=label) for label in (0, 1, 1)]
    context = SimpleNamespace(image_set=SimpleNamespace(pictures=pictures), called=("fox", "hen").__getitem__)
    assert drawn._classes(context, [0, 1]) == "" and drawn._classes(context, [0]) == "fox"
    assert drawn._classes(context, [0, 1, 2]) == "hen (2), fox"


def test_the_cover_is_the_most_selective_shown_unit_of_a_layer_that_sees_things():
    value = np.array([[5.0, 4.0], [9.0, 8.0], [7.0, 6.0]])
    layer = {"unprobed": ""}
    layers = [layer | {"name": "early", "field": (3, 3)}, layer | {"name": "late", "field": (9, 9)}]
    arrays = {f"{n}/value": value * (1 + 9 * (n == "early")) for n in ("early", "late")}
    arrays |= {f"{n}/peak": np.ones(3) for n in ("early", "late")}
    result = SimpleNamespace(arrays=arrays, numbers={"layers": layers, "size": (16, 16)})
    shown = {f"{name}-unit-{unit:04d}" for name in ("early", "late") for unit in (0, 2)}  # not the best one, unit 1
    assert drawn._most_selective(result, shown) == "late-unit-0002"
    assert drawn._most_selective(result, {"early-unit-0001"}) == ""


def test_the_rows_of_the_first_figure_are_units_of_a_layer_that_sees_a_part_and_does_not_give_the_scores(patches):
    _, _, got, context = patches
    figure = drawn.view(got, context)["figures"][0]
    assert figure.id == drawn.LEAD and len(figure.marks) == 9 * sum(s.kind == "unit" for s in figure.subjects)
    fields = {layer["name"]: min(layer["field"]) for layer in got.numbers["layers"]}
    shown = {f"{name}-unit-0000" for name in fields if 2 * fields[name] >= min(got.numbers["size"])}
    first = drawn._most_selective(got, shown).removesuffix("-unit-0000")
    assert fields[first] < min(got.numbers["size"]) or min(fields.values()) >= min(got.numbers["size"])
    others = shown - {f"{first}-unit-0000"}
    assert not others or drawn._most_selective(got, shown, first) in others


def test_patches_have_the_proportions_that_the_network_sees():
    crop = np.arange(6 * 9 * 3, dtype=np.uint8).reshape(6, 9, 3)
    assert in_proportion(crop, np.array([0, 0, 3, 3])).shape == (9, 9, 3)
    assert in_proportion(crop, np.array([2, 1, 6, 7])) is crop
    assert in_proportion(crop, np.array([0, 0, 2, 4])).shape == (6, 12, 3)
