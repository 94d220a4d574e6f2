"""Networks that output values, or a class for each pixel: every section is ok, or states why not, as in the docs."""

import csv
import json
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from sklearn.metrics import jaccard_score, mean_absolute_error, r2_score

from cnnviz import config
from cnnviz.activations import regression, segmentation
from cnnviz.check import networks as check_network
from cnnviz.check import report, truth
from cnnviz.errors import UserError
from cnnviz.network import facts, kinds
from cnnviz.network.scores import to_scores
from cnnviz.pictures import images, label_maps, listing
from cnnviz.pictures.preprocess import prepared
from cnnviz.pictures.rows import truth_columns
from cnnviz.run import result
from cnnviz.run.applies import NOT_FOR
from cnnviz.views import predicted_maps, predicted_values
from tests.every_section import ROOT, Run, listed
from tests.test_architectures import SECTIONS

NETS = '''
import torch
from torch import nn

def body():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 6, 3, 2, 1), nn.ReLU(), nn.Conv2d(6, 8, 3, 1, 1), nn.ReLU())

class Values(nn.Module):
    """Two values; the second falls with what the first rises with."""
    def __init__(self):
        super().__init__()
        self.features, self.head = body(), nn.Linear(8, 2)
    def forward(self, x):
        return self.head(self.features(x).mean((2, 3)))

class Pixels(nn.Module):
    """Three classes at half the size, in a dict as torchvision's networks have it."""
    def __init__(self):
        super().__init__()
        self.features, self.head = body(), nn.Conv2d(8, 3, 1)
    def forward(self, x):
        return {"out": self.head(self.features(x)), "aux": x}
'''
SIDE = 32
# What a section does with a network that puts out something else does not hang on the kind here.
SKIPPED = (
    *("first_layer_filters", "layer_filters", "linear_templates", "maximal_patches", "unit_statistics", "tsne"),
    *("tsne_grid", "unit_visualization", "diversity", "feature_inversion", "deepdream"),
    *("texture_synthesis", "style_transfer"),
)
LEAST = SECTIONS | {name: False for name in SKIPPED} | {
    "bias_probe": {}, "multifaceted": {"classes": 1, "facets": 1, "steps": 1},
    "class_visualization": {"classes": 2, "steps": 1, "settings_classes": 0},
}  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Pictures with a bright square, in a table with two values and label maps: 1 at the square, 255 at the top."""
    folder = tmp_path_factory.mktemp("kinds")
    (folder / "nets.py").write_text(NETS)
    rng = np.random.default_rng(0)
    rows = []
    for i in range(14):
        pixels, mask = rng.integers(0, 90, (SIDE, SIDE, 3), np.uint8), np.zeros((SIDE, SIDE), np.uint8)
        y, x = rng.integers(2, 18, 2)
        pixels[y : y + 10, x : x + 10] += 120
        mask[y : y + 10, x : x + 10], mask[0] = 1, 255
        Image.fromarray(pixels).save(folder / f"p{i}.png")
        Image.fromarray(mask).save(folder / f"m{i}.png")
        rows.append([f"p{i}.png", f"m{i}.png", float(pixels.mean()), "" if i == 3 else i * 1.5])
    Image.fromarray(pixels).save(folder / "p14.png")
    Image.fromarray(mask // 2 + 77).save(folder / "m14.png")  # no class has such numbers
    rows.append(["p14.png", "m14.png", float(pixels.mean()), 21.0])
    with (folder / "table.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["path", "mask", "brightness", "Number"], *rows])
    return folder


KINDS = {
    "regression": {"factory": "Values", "outputs": {"kind": "regression", "values": ["number", "brightness"]}},
    "segmentation": {"factory": "Pixels", "outputs": {"kind": "segmentation"}, "classes": ["ground", "square", "no"]},
}  # fmt: skip
TABLES = {"regression": {"target_columns": ["brightness", "Number"]}, "segmentation": {"mask_column": "mask"}}


def run_all(kind, data, folder) -> tuple[Run, dict]:
    """Every section of the kind, and what each shows."""
    block = KINDS[kind] | {"probes": 2, "preprocess": {"resize": [SIDE, SIDE], "mean": 0.5, "std": 0.25}}
    block["factory"] = f"{data / 'nets.py'}:{block['factory']}"
    sections = LEAST if kind == "regression" else LEAST | {"multifaceted": False}  # which needs labels
    pictures = {"kind": "csv", "path": str(data / "table.csv"), "label_column": None} | TABLES[kind]
    full = config.complete({"image_sets": {"set": pictures}, "models": {"net": block}, "sections": sections})
    listed(full["image_sets"]["set"], folder)
    run, shown = Run(folder, pictures, folder, block, sections), {}
    for section in run.full["sections"]:
        left, shown[section] = run.section(section), run.draw(section)
        assert left.status != "ok" or shown[section].figures or shown[section].tables, section
        assert left.status != "ok" or shown[section].findings, section
    return run, shown


def stated():
    """kind → section → reason, as in docs/architectures.md."""
    text = (ROOT / "docs" / "architectures.md").read_text("utf-8")
    rows = re.findall(r"^\| `(\w+)` \| `(regression|segmentation)` \| (.+?) \|$", text, re.M)
    return {kind: {s: why for s, k, why in rows if k == kind} for kind in KINDS}


@pytest.fixture(scope="module")
def once(data, tmp_path_factory):
    """Kind → result of run_all, made by the first test that asks for it."""

    class Once(dict):
        def __missing__(self, kind):
            return self.setdefault(kind, run_all(kind, data, tmp_path_factory.mktemp(kind)))

    return Once()


@pytest.mark.parametrize("kind", KINDS)
def test_every_section_is_ok_or_says_why_not(kind, once):
    run, shown = once[kind]
    assert {s: why for s, why in run.found.items() if why != "ok"} == stated()[kind] == NOT_FOR[kind]
    for section, drawn in shown.items():
        words = json.dumps([f.caption for f in drawn.figures])
        assert "p = " not in words and "probability" not in words, section


@pytest.mark.parametrize("kind", KINDS)
def test_words_are_of_what_the_network_puts_out(kind, once):
    """Of the drawn figures; how_to_read may say class, since it explains the word there."""
    wrong = {"regression": r"class|logit|probab|log odds", "segmentation": r"logit|probab|log odds"}[kind]
    of_the_pictures = "pca", "nearest_neighbors"  # these name the pictures' classes
    for section, drawn in once[kind][1].items():
        if section in of_the_pictures or drawn.status != "ok":
            continue
        said = [getattr(f, word) for f in drawn.figures for word in ("alt", "caption", "mapping", "group")]
        said += [w for f in drawn.figures for s in f.stages for w in (s.moves, s.below, *s.labels, *s.numbers)]
        said += [t.caption for t in drawn.tables] + [name for t in drawn.tables for name in t.columns]
        said += [drawn.question] if kind == "regression" else []
        assert not re.findall(f".*(?:{wrong}).*", "\n".join(said)), section
        explains = "Here a class means" in drawn.how_to_read
        assert explains == (kind == "regression" and "class" in drawn.how_to_read), section


def test_values_are_measured_against_the_table(once, data):
    run, shown = once["regression"]
    inputs = run.inputs
    left, known = result.read(inputs["predictions"]), facts.read(inputs["network"])
    table = list(csv.DictReader((data / "table.csv").open()))
    assert known["values"] == ["number", "brightness"] and known["value_columns"] == [1, 0]
    assert known["classes"] == ["number up", "brightness up", "number down", "brightness down"]
    true = np.array([[float(row["Number"] or "nan"), float(row["brightness"])] for row in table])
    np.testing.assert_allclose(left.arrays["truth"], true, rtol=1e-6)
    rows = ~np.isnan(true[:, 0])
    values = left.arrays["values"].astype(float)
    number, brightness = left.numbers["values"]
    assert (number["n"], brightness["n"]) == (14, 15)
    assert number["r2"] == pytest.approx(r2_score(true[rows, 0], values[rows, 0]))
    assert brightness["mae"] == pytest.approx(mean_absolute_error(true[:, 1], values[:, 1]))
    assert brightness["control_mae"] == pytest.approx(np.abs(true[:, 1] - true[:, 1].mean()).mean())
    worst = left.arrays["worst"][1][0]
    assert abs(values - true)[worst, 1] == np.abs(values - true)[:, 1].max()
    assert {m.name for m in shown["predictions"].metrics} >= {"number_r2", "brightness_mean_absolute_error"}


def test_pixels_are_measured_against_the_masks(once):
    run, shown = once["segmentation"]
    inputs = run.inputs
    left = result.read(inputs["predictions"])
    both, right, said = left.arrays["pixel_counts"].sum(0)
    assert right.tolist() == [14 * (SIDE * (SIDE - 1) - 100), 14 * 100, 0]  # a row of each is ignored
    assert left.numbers["pixel_accuracy"] == pytest.approx(both.sum() / right.sum())
    assert left.numbers["unknown"] == pytest.approx(1 / SIDE) and left.arrays["evaluated"].tolist() == list(range(14))
    assert "holds the number 77" in left.numbers["left_out"]["p14.png"]
    assert [t.id for t in shown["predictions"].tables if t.from_dataset] == ["masks_left_out"]
    assert left.numbers["control_pixel_accuracy"] == pytest.approx(right[0] / right.sum())
    assert left.arrays["pixel_confusion"].sum(0).tolist() == said.tolist()
    for k, probe in enumerate(left.arrays["probes"]):
        counts = np.bincount(left.arrays["probe_maps"][k].ravel(), minlength=3) / SIDE**2
        np.testing.assert_allclose(left.arrays["shares"][probe], counts, rtol=1e-6)
        assert (left.arrays["probe_truths"][k] == label_maps.NOTHING).sum() == SIDE
    probes = [f for f in shown["predictions"].figures if f.id.startswith("probes")]
    assert len(probes) == 2 and all("of the pixels are right" in f.caption for f in probes)


def test_up_and_down_are_opposite_and_shown_where_they_differ(once):
    run, shown = once["regression"]
    inputs = run.inputs
    logits = np.load(inputs["logits"])
    np.testing.assert_array_equal(logits[:, 2:], -logits[:, :2])
    assert result.read(inputs["grad_cam"]).arrays["targets"].tolist() == [[0, 2, 1, 3]] * 2
    saliency, occlusion = (result.read(inputs[name]) for name in ("saliency", "occlusion"))
    assert saliency.arrays["targets"].tolist() == occlusion.arrays["targets"].tolist() == [[0, 1]] * 2
    assert "value " in shown["occlusion"].figures[1].caption
    made = result.read(inputs["class_visualization"])
    assert len(made.arrays["targets"]) == 2 and made.arrays["ranks"].tolist() == [1, 1]


@pytest.mark.parametrize(
    ("names", "keys"),
    [
        (["age"], [""]),
        (["age", "Body height"], ["age_", "body_height_"]),
        (["dx+", "dx-", "age"], ["dx__0_", "dx__1_", "age_2_"]),
    ],
)
def test_metrics_of_each_value_have_names_of_their_own(names, keys):
    assert predicted_values.metric_keys(names) == keys


# ------------------------------------------------------------------------------------------------------------- oracles


def test_r2_and_its_interval_by_hand():
    rng = np.random.default_rng(3)
    truth = rng.normal(size=200)
    found = regression.measured(truth, truth + rng.normal(size=200) * 0.5, np.random.default_rng(0))
    assert found["r2_interval"][0] < found["r2"] < found["r2_interval"][1]
    assert found["r2"] == pytest.approx(r2_score(truth, truth + np.random.default_rng(3).normal(size=400)[200:] * 0.5))
    assert regression.verdict(found) == "yes"
    noise = regression.measured(truth, rng.normal(size=200) * 3, np.random.default_rng(0))
    assert noise["r2"] < 0 and regression.verdict(noise) == "no"
    alike = regression.measured(np.full(9, 2.0), np.arange(9.0), np.random.default_rng(0))
    assert alike["r2"] is None and "r2_interval" not in alike
    few = regression.measured(truth[:3], truth[:3] + 1, np.random.default_rng(0))
    assert "mae_interval" not in few and regression.verdict(few) == "cannot tell"


def test_iou_by_counting_and_by_sklearn():
    rng = np.random.default_rng(1)
    truth, said = rng.integers(-1, 4, (3, 9, 11)), rng.integers(0, 3, (3, 9, 11))
    table = segmentation.confusion(truth, said, 5)
    counts = np.stack([table.diagonal(), table.sum(1), table.sum(0)])
    iou = segmentation.ious(*counts)
    for c in range(4):
        known = truth >= 0
        both, either = ((truth == c) & (said == c)).sum(), (known & ((truth == c) | (said == c))).sum()
        assert iou[c] == pytest.approx(both / either)
    assert np.isnan(iou[4])
    flat = truth.ravel() >= 0
    oracle = jaccard_score(truth.ravel()[flat], said.ravel()[flat], average="macro", labels=range(4))
    assert segmentation.quality(*counts)[1] == pytest.approx(oracle)


def test_a_class_has_the_hue_of_the_legend_on_any_picture():
    colours = predicted_maps.palette(["a", "b", "c"], {})
    picture = np.array([[[230, 30, 20], [20, 220, 90], [9, 9, 9], [250, 0, 0]]], np.uint8)
    shown = predicted_maps.over(picture, np.array([[0, 1, 2, -1]]), colours).astype(int)
    for pixel, colour in zip(shown[0], colours.astype(int), strict=False):
        assert np.abs((pixel - pixel.mean()) - predicted_maps.OPACITY * (colour - colour.mean())).max() < 1.5
    assert (shown[0, 3] == picture[0, 3]).all()


@pytest.mark.parametrize("right", [0, 50, 64])
def test_pictures_that_are_all_alike_leave_an_interval_all_the_same(right):
    """As many pictures, each right or wrong: no share varies more than that."""
    counts = np.repeat(np.int64([[[right, 0], [64, 0], [right, 64 - right]]]), 20, 0)
    found = segmentation.judged(counts, np.random.default_rng(0))
    low, high = found["pixel_accuracy_interval"]
    assert low <= found["pixel_accuracy"] == right / 64 <= high and high - low > 0.1


def test_shares_are_told_from_0_and_from_100_per_cent():
    said = [report.percent(share) for share in (0, 0.001, 0.014, 0.5, 0.967, 0.995, 0.9996, 1)]
    assert said == ["0 %", "0.1 %", "1 %", "50 %", "97 %", "99.5 %", "99.96 %", "100 %"]
    assert report.percent(0.967, (0.9, 0.98)) == "97 % (90 to 98)"
    assert report.percent(0.9996, (0.9993, 0.9998)) == "99.96 % (99.93 to 99.98)"
    assert report.percent(0.967, (0.9668, 0.9672)) == "96.70 % (96.68 to 96.72)"
    numbers = {"pixel_accuracy": 0.9997, "pixel_accuracy_interval": [0.9996, 0.9998], "mean_iou": 0.97, "commonest": 0}
    numbers |= {"control_pixel_accuracy": 0.9, "control_mean_iou": 0.3}
    said = predicted_maps.conclusion(numbers, ["ground"])
    assert said.startswith("99.970% (99.960% to 99.980%) of the pixels are right, mean IoU 97.0%")


def test_a_class_scores_the_mean_over_its_pixels_or_over_all():
    maps = torch.randn(3, 5, 4, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    maps[:, 4] -= 50  # given no pixel
    scores = kinds.by_pixels(maps)
    for i, c in np.ndindex(3, 5):
        own = maps[i].argmax(0) == c
        expected = maps[i, c][own].mean() if own.any() else maps[i, c].mean()
        assert scores[i, c] == pytest.approx(expected.item())
    maps.requires_grad_()
    kinds.by_pixels(maps)[0, 1].backward()
    own = maps[0].argmax(0) == 1
    assert maps.grad[0, 1][own].allclose((1 / own.sum()).double()) and not maps.grad[0, 1][~own].any()


@pytest.mark.parametrize(
    ("output", "block", "expected"),
    [
        (torch.zeros(2), {"kind": "regression"}, (2, 2)),
        (torch.zeros(2, 3), {"kind": "regression"}, (2, 6)),
        (torch.zeros(2, 3, 1, 1), {"kind": "regression"}, (2, 6)),
        (torch.tensor(4.0), {"kind": "regression"}, (1, 2)),
        (torch.zeros(2, 3, 7, 5), {"kind": "segmentation"}, (2, 3)),
        (torch.zeros(2, 1, 7, 5), {"kind": "segmentation"}, (2, 2)),
        (torch.zeros(2, 7, 5), {"kind": "segmentation"}, (2, 2)),
        ({"aux": 1, "out": torch.zeros(2, 3, 7, 5)}, {"kind": "segmentation"}, (2, 3)),
        ((0, {"maps": torch.zeros(2, 3, 7, 5)}), {"kind": "segmentation", "select": "1.maps"}, (2, 3)),
        (torch.zeros(2, 3, 7, 5).softmax(1), {"kind": "segmentation", "returns": "probabilities"}, (2, 3)),
    ],
)
def test_what_networks_return(output, block, expected):
    block = {"select": None, "returns": "logits"} | block
    assert to_scores(block, "model m")(None, (), output).shape == expected


def test_what_is_neither_says_so():
    block = {"select": None, "returns": "logits"}
    with pytest.raises(UserError, match="return \\(n, classes, height, width\\)"):
        to_scores(block | {"kind": "segmentation"}, "model m")(None, (), torch.zeros(2, 3))
    with pytest.raises(UserError, match="whole numbers"):
        to_scores(block | {"kind": "segmentation"}, "model m")(None, (), torch.zeros(2, 4, 4, dtype=torch.int64))
    with pytest.raises(UserError, match="return \\(n, values\\)"):
        to_scores(block | {"kind": "regression"}, "model m")(None, (), torch.zeros(2, 3, 4, 4))


# ------------------------------------------------------------------------------------------------------------ the truth


def test_masks_of_every_usual_form(tmp_path):
    labels = np.array([[0, 1, 2], [2, 1, 255]], np.uint8)
    palette = Image.fromarray(labels, "P")
    palette.putpalette([*range(256)] * 3)
    colours = [[0, 0, 0], [128, 0, 0], [0, 128, 0]]
    painted = np.array([*colours, *[[9, 9, 9]] * 253], np.uint8)[labels]
    Image.fromarray(labels).save(tmp_path / "grey.png")
    palette.save(tmp_path / "palette.png")
    Image.fromarray(labels.astype(np.uint16)).save(tmp_path / "deep.png")
    Image.fromarray(np.stack([labels] * 3, -1)).save(tmp_path / "grey-in-colour.png")
    np.save(tmp_path / "numbers.npy", labels)
    Image.fromarray(painted).save(tmp_path / "painted.png")
    expected = [[0, 1, 2], [2, 1, -1]]
    for name in ("grey.png", "palette.png", "deep.png", "grey-in-colour.png", "numbers.npy"):
        assert label_maps.numbers(tmp_path / name, 3).tolist() == expected, name
    assert label_maps.numbers(tmp_path / "painted.png", 3, colours).tolist() == expected
    Image.fromarray(np.uint8([[0, 255]])).save(tmp_path / "yes-or-no.png")
    assert label_maps.numbers(tmp_path / "yes-or-no.png", 2).tolist() == [[0, 1]]
    with pytest.raises(UserError, match="mask_colours"):
        label_maps.numbers(tmp_path / "painted.png", 3)
    with pytest.raises(UserError, match="number 2, and the network has 2 classes"):
        label_maps.numbers(tmp_path / "grey.png", 2)
    with pytest.raises(UserError, match="cannot be read"):
        label_maps.numbers(tmp_path / "absent.png", 2)


def test_grey_levels_are_colours_if_mask_colours_are_named(tmp_path):
    """A mask that happens to be grey, such as one that is background all over, is no map of numbers then."""
    grey = np.repeat(np.uint8([[0, 128, 255, 9]])[..., None], 3, -1)
    Image.fromarray(grey).save(tmp_path / "mask.png")
    doubts, colours = label_maps.Doubts(), [[255, 255, 255], [0, 0, 0], [128, 128, 128]]
    assert label_maps.numbers(tmp_path / "mask.png", 3, colours, None, doubts).tolist() == [[1, 2, 0, -1]]
    assert dict(doubts.unnamed) == {(9, 9, 9): 1}
    assert doubts.of_colours().startswith("1 colour ([9, 9, 9]) that mask_colours does not name")
    assert "25.0% of the masks' pixels" in doubts.of_colours()


@pytest.mark.parametrize("colours", [None, [[0, 0, 0], [1, 1, 1]]])
def test_whatever_a_mask_is_it_is_read_or_left_out(tmp_path, colours):
    labels, row = np.eye(8, dtype=np.uint8), images.Picture("p", "p.png", None, 8, 8, mask="")
    one = images.ImageSet({"kind": "folder", "path": str(tmp_path), "mask_colours": colours}, (row,), (), ())
    ready = prepared({"resize": [8, 8], "crop": None, "interpolation": "bilinear", "channels": "RGB",
                                  "range": 1, "mean": 0, "std": 1})  # fmt: skip
    good = {"float": labels.astype(float), "one-channel": labels[..., None], "bool": labels > 0}
    shades = np.zeros((8, 8, 3)) + [0.2, 0, 0]
    bad = {"half": labels + 0.5, "nan": np.where(labels, np.nan, 0), "far": labels.astype(np.uint64) + 2**32,
           "row": labels[0], "four-d": labels[None, None], "empty": labels[:0], "two": np.stack([labels] * 2, -1),
           "complex": labels * 1j, "words": labels.astype(str), "float-colours": shades}  # fmt: skip
    for name, values in (good | bad).items():
        np.save(tmp_path / f"{name}.npy", values)
    Image.fromarray(labels).save(tmp_path / "cut.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "cut.png").read_bytes()[:50])
    for mode in ("L", "P", "RGB", "RGBA", "LA", "PA", "CMYK", "I", "F"):
        Image.fromarray(labels).convert(mode).save(tmp_path / f"{mode}.tif")
    doubts = label_maps.Doubts()
    for path in sorted(tmp_path.iterdir()):
        pictures = (replace(row, id=path.name, mask=path.name),)
        found = label_maps.usable(replace(one, pictures=pictures), 0, ready, 2, doubts)
        assert (found is None) == (path.name in doubts.left_out)
        assert found is None or found.tolist() == labels.tolist(), path.name
    assert set(doubts.left_out) == {*(f"{name}.npy" for name in bad), "cut.png"}
    assert not any(str(tmp_path) in why for why in doubts.left_out.values())


def test_a_folder_of_masks_beside_the_pictures(tmp_path):
    for name in ("images/a/x.png", "images/y.png", "images/z.png", "images/masks/a/x.png", "images/masks/y_mask.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (4, 4)).save(tmp_path / name)
    block = {"kind": "folder", "path": f"{tmp_path}/images", "masks": f"{tmp_path}/images/masks"}
    found = {row.name: row.mask for row in listing.rows(block)}
    assert found == {"a/x.png": "masks/a/x.png", "y.png": "masks/y_mask.png", "z.png": None}


def test_values_from_names_of_folders_and_what_is_no_number(tmp_path):
    for name in ("20/a.png", "35/b.png"):
        (tmp_path / name).parent.mkdir()
        Image.new("L", (4, 4)).save(tmp_path / name)
    assert truth_columns({}, ["20", "35"]) == ["label"] and truth_columns({}, ["20", "old"]) == []
    pictures = tuple(images.Picture(n, n, i, 4, 4) for i, n in enumerate("ab"))
    assert images.ImageSet({}, pictures, ("20", "35"), ()).targets().tolist() == [[20], [35]]
    (tmp_path / "t.csv").write_text("path,age\n20/a.png,old\n")
    with pytest.raises(UserError, match="line 2: age: 'old' is not a number"):
        listing.rows({"kind": "csv", "path": f"{tmp_path}/t.csv", "target_columns": ["age"]} | PLAIN)
    (tmp_path / "t.csv").write_text("path;age\n20/a.png;20,5\n35/b.png;\n")
    table = listing.rows({"kind": "csv", "path": f"{tmp_path}/t.csv", "target_columns": ["age"]} | PLAIN)
    assert [row.targets for row in table] == [(20.5,), (None,)]


PLAIN = {"path_column": "path", "label_column": "label", "label_separator": None}


def test_numbers_as_people_write_them(tmp_path):
    def read(text):
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.csv"  # tables are cached by name
        path.write_text(text)
        return listing.rows({"kind": "csv", "path": str(path), "target_columns": ["v"]} | PLAIN)[0].targets[0]

    (tmp_path / "20").mkdir()
    Image.new("L", (4, 4)).save(tmp_path / "20" / "a.png")
    assert read('path,v\n20/a.png,"1,234"\n') == 1234  # commas part the columns, so this one parts thousands
    assert read('path,v\n20/a.png,"1,234.5"\n') == 1234.5 and read('path,v\n20/a.png,"0,5"\n') == 0.5
    assert read("path;v\n20/a.png;1,234\n") == 1.234 and read("path;v\n20/a.png;1.234,5\n") == 1234.5
    assert read("path;v\n20/a.png;1.234.567\n") == 1234567 and read("path;v\n20/a.png;\N{MINUS SIGN}3,5\n") == -3.5


def test_values_on_another_scale_are_told_from_wrong_ones():
    rng = np.random.default_rng(2)
    truth = rng.normal(40, 20, 60)
    standard = (truth - 41) / 19 + rng.normal(0, 0.1, 60)
    line = regression.measured(truth, standard, rng)["line"]
    assert line["scale"] == pytest.approx(19, rel=0.05) and line["shift"] == pytest.approx(41, rel=0.05)
    assert line["r2"] > 0.95
    assert "another scale" in predicted_values.conclusion(regression.measured(truth, standard, rng))
    for value in (truth + rng.normal(0, 10, 60), rng.normal(0, 1, 60), np.full(60, 3.0)):
        found = regression.measured(truth, value, rng)
        assert "line" not in found and "another scale" not in predicted_values.conclusion(found)
    assert regression.measured(truth, -truth, rng)["line"]["scale"] == pytest.approx(-1)


def test_scale_and_shift_of_the_config():
    block = {"select": None, "returns": "logits", "kind": "regression", "scale": [2, 10], "shift": 1}
    found = to_scores(block, "model m")(None, (), torch.tensor([[3.0, 4.0]]))
    assert found.tolist() == [[7, 41, -7, -41]]
    with pytest.raises(UserError, match="outputs.scale lists 2 numbers, the network outputs 1"):
        to_scores(block, "model m")(None, (), torch.zeros(4, 1))


def test_masks_that_cannot_be_right_say_so(tmp_path):
    colours = [[0, 0, 0], [200, 0, 0]]
    blank = np.zeros((8, 8, 3), np.uint8)
    Image.fromarray(blank + np.uint8([0, 90, 0])).save(tmp_path / "others.png")
    with pytest.raises(UserError, match="none of the colours of mask_colours; it has \\[0, 90, 0\\]"):
        label_maps.numbers(tmp_path / "others.png", 2, colours)
    Image.fromarray(blank + np.uint8([0, 90, 0])).save(tmp_path / "coloured.jpg")
    with pytest.raises(UserError, match="is a JPEG, which does not keep colours"):
        label_maps.numbers(tmp_path / "coloured.jpg", 2, colours)
    half = np.uint8(np.arange(8) > 3)[:, None].repeat(8, 1)
    Image.fromarray(255 * half).save(tmp_path / "yes-or-no.jpg")
    assert label_maps.numbers(tmp_path / "yes-or-no.jpg", 2).tolist() == half.tolist()
    Image.fromarray(40 * half).save(tmp_path / "numbers.jpg")
    with pytest.raises(UserError, match="is a JPEG, which does not keep numbers"):
        label_maps.numbers(tmp_path / "numbers.jpg", 3)
    Image.new("RGB", (8, 16)).save(tmp_path / "picture.png")
    for width, fits in ((4, True), (8, True), (16, False)):
        Image.new("L", (width, width if not fits else 2 * width)).save(tmp_path / "mask.png")
        row = images.Picture("picture.png", "picture.png", None, 0, 0, mask="mask.png")
        one = images.ImageSet({"kind": "folder", "path": str(tmp_path)}, (row,), (), ())
        ready = prepared({"resize": [8, 8], "crop": None, "interpolation": "bilinear", "channels": "RGB",
                                      "range": 1, "mean": 0, "std": 1})  # fmt: skip
        if fits:
            assert label_maps.of_picture(one, 0, ready, 2).shape == (8, 8)
        else:
            with pytest.raises(UserError, match="16 × 16 pixels, and its picture 8 × 16"):
                label_maps.of_picture(one, 0, ready, 2)


def test_masks_whose_classes_are_in_another_order_are_told():
    table = np.array([[900, 10, 5], [4, 6, 80], [9, 70, 8]])
    words = truth._another_order(table, ["ground", "disc", "square"])
    assert "'disc' of the masks is mostly called 'square'" in words and "'square' of the masks" in words
    assert not truth._another_order(table[:, [0, 2, 1]], ["ground", "disc", "square"])
    assert not truth._another_order(np.diag([5, 0, 0]), ["ground", "disc", "square"])


def test_names_of_values():
    assert truth_columns({"kind": "csv", "label_column": "count"}, ["3", "5"]) == ["count"]
    assert kinds.named_values(None, ["count"], 1, "m") == ["count"]
    assert kinds.named_values(None, ["label"], 1, "m") == ["value"]
    assert kinds.named_values(None, [], 1, "m") == ["value"]
    assert kinds.columns_of(["height", "Age "], ["age", "height"]) == [1, 0]
    assert kinds.columns_of(["a", "b"], ["x", "y"]) == [0, 1]
    assert kinds.columns_of(["a", "x"], ["x", "y"]) == [None, 0]
    with pytest.raises(UserError, match="lists 1 names, the network has 2 outputs"):
        kinds.named_values(["age"], [], 2, "m")


# ------------------------------------------------------------------------------------------------------------ the check


@pytest.fixture
def checked(tmp_path):
    """checked(kind, preprocess) → the check's lines on 30 pictures whose truth follows from their brightness."""
    rows = []
    for i in range(30):
        pixels = np.full((8, 8, 3), 40 + 6 * i, np.uint8)
        pixels[:4] = 10
        Image.fromarray(pixels).save(tmp_path / f"p{i}.png")
        Image.fromarray(np.uint8(np.arange(8) > 3)[:, None].repeat(8, 1)).save(tmp_path / f"m{i}.png")
        rows.append([f"p{i}.png", f"m{i}.png", pixels.mean() / 255])
    with (tmp_path / "t.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["path", "mask", "light"], *rows])
    (tmp_path / "n.py").write_text(
        "import torch\nfrom torch import nn\n"
        "class Light(nn.Module):\n"
        "    def __init__(self):\n        super().__init__()\n        self.c = nn.Conv2d(3, 1, 1)\n"
        "        nn.init.constant_(self.c.weight, 1 / 3)\n        nn.init.zeros_(self.c.bias)\n"
        "class Value(Light):\n    def forward(self, x):\n        return self.c(x).mean((2, 3))\n"
        "class Map(Light):\n    def forward(self, x):\n        return self.c(x) - 0.1\n"
    )

    def lines(kind, preprocess, outputs=(), of_set=None):
        table = (
            {"kind": "csv", "path": f"{tmp_path}/t.csv"}
            | (of_set or {})
            | ({"target_columns": ["light"]} if kind == "regression" else {"mask_column": "mask"})
        )
        net = {
            "factory": f"{tmp_path}/n.py:{'Value' if kind == 'regression' else 'Map'}",
            "outputs": {"kind": kind, **dict(outputs)},
        }
        net |= {"preprocess": {"resize": [8, 8]} | preprocess}
        return list(check_network.check(config.complete({"image_sets": {"s": table}, "models": {"m": net}})))

    return lines


def marked(lines):
    return {line.name: line for line in lines if line.mark}


def test_the_check_measures_values_and_names_the_preprocessing(checked):
    found = marked(checked("regression", {"mean": 0, "std": 1}))
    light = found["light"]
    assert light.mark == "✓" and "R² 1 " in light.text and "a constant prediction has" in light.text
    assert found["preprocessing"].mark == "✓" and found["values"].mark == "✓"
    found = marked(checked("regression", {"mean": 0, "std": 1, "range": 255}))
    assert found["light"].mark == "✗" and found["preprocessing"].mark == "✗"
    assert "range: 1" in found["preprocessing"].more[1]


def test_the_check_names_the_scale_of_standardised_values(checked):
    found = marked(checked("regression", {"mean": 0, "std": 1}, {"scale": 5, "shift": -3}))
    assert found["light"].mark == found["scale"].mark == "✗" and "cannot be checked" in found["preprocessing"].text
    written = yaml.safe_load(found["scale"].more[1])["outputs"]
    assert (written["scale"], written["shift"]) == (pytest.approx(1), pytest.approx(0, abs=1e-6))


def test_the_check_measures_pixels_and_names_the_preprocessing(checked):
    found = marked(checked("segmentation", {"mean": 0, "std": 1}))
    pixels = found["pixels"]
    assert pixels.mark == "✓" and "100 %" in pixels.text and "background everywhere: 50 %" in pixels.text
    found = marked(checked("segmentation", {"mean": 0, "std": 1, "range": 255}))
    assert found["pixels"].text.startswith("50 %") and found["preprocessing"].mark == "✗"


def test_masks_that_cannot_be_used_are_counted_and_the_others_judged(checked, tmp_path, data):
    lines = marked(checked("segmentation", {"mean": 0, "std": 1}))
    assert "masks" in lines and lines["masks"].mark == "✓" and "unknown" not in lines
    (tmp_path / "m3.png").write_bytes(b"no picture")
    Image.fromarray(np.full((8, 8), 77, np.uint8)).save(tmp_path / "m4.png")
    half = np.asarray(Image.open(tmp_path / "m5.png")).copy()
    half[:4] = 255
    Image.fromarray(half).save(tmp_path / "m5.png")
    found = list(checked("segmentation", {"mean": 0, "std": 1}))
    masks = next(line for line in found if line.name == "masks" and line.mark == "!")
    assert "2 of" in masks.text and "77" in "".join(masks.more) and "m3.png cannot be read" in "".join(masks.more)
    assert marked(found)["pixels"].mark == "✓" and marked(found)["unknown"].mark == "·"


def test_unnamed_colours_are_counted(checked, tmp_path):
    for i in range(30):
        painted = np.uint8([[0, 0, 0], [200, 0, 0], [7, 8, 9]])[np.repeat([[0], [1]], 4, 0).repeat(8, 1)]
        painted[0, 0] = [7, 8, 9]
        Image.fromarray(painted).save(tmp_path / f"m{i}.png")
    colours = {"mask_colours": [[0, 0, 0], [200, 0, 0]]}
    found = marked(checked("segmentation", {"mean": 0, "std": 1}, of_set=colours))
    assert found["colours"].mark == "!" and "[7, 8, 9]" in found["colours"].text and "1.6%" in found["colours"].text
    assert found["pixels"].mark == "✓" and found["unknown"].text.startswith("1.6%")
