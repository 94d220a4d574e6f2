"""Oracles: networks that use only the background, or only the object, and the demo's two networks."""

import json
from pathlib import Path

import numpy as np
import pytest

from cnnviz.attribution import bias_probe
from cnnviz.network import network
from cnnviz.pictures import backgrounds, listing
from cnnviz.run import result
from cnnviz.run.job import perform

CLASSES = ["fish", "tree", "car", "cup", "husky", "wolf"]
WEIGHTS = Path("cnnviz/demo/weights")
DEMO = {"factory": "cnnviz/demo/nets.py:demo_net", "preprocess": {"mean": 0.5, "std": 0.25, "resize": [64, 64]}}


@pytest.fixture
def index_all(index, tmp_path):
    classes = listing.classes({"kind": "demo"})
    index(tmp_path / "images.json", [(f"{classes[i % 12]}-{i:04d}", i % 12) for i in range(240)], classes)
    return classes


@pytest.fixture
def probed(make_job, index_all):
    """probed(model block, …) → the result on the demo's pictures."""

    def run(block, **parameters):
        network.main(make_job(block, set_classes=index_all))
        job = make_job(block, "bias_probe", {"kind": "demo", "count": 240}, parameters=parameters)
        perform(bias_probe.main, job)
        return result.read(job.outputs["result"])

    return run


def leaning(left):
    return {(row["class"], row["background"]) for row in left.numbers["asked"] if row["verdict"] == bias_probe.LEANS}


@pytest.mark.parametrize(("name", "expected"), [("biased", {("wolf", "snow")}), ("unbiased", set())])
def test_the_bias_is_found_in_the_biased_network_only(probed, name, expected):
    left = probed(
        DEMO | {"checkpoint": str(WEIGHTS / f"{name}.safetensors")}, classes=CLASSES, pictures=12, placements=2
    )
    assert leaning(left) == expected
    shown = {(cell["class"], cell["background"]): cell for cell in left.numbers["cells"]}
    assert len(shown) == 6 * 10 and all(cell["n"] == 12 for cell in shown.values())
    json.dumps(left.numbers, allow_nan=False)


FACTORY = """
import torch
from torch import nn

class Bright(nn.Module):
    '''Calls everything a fish that has a bright rim, and a bird otherwise; or looks at nothing.'''

    def __init__(self, rim):
        super().__init__()
        self.rim, self.out = rim, nn.Linear(1, 12)
        with torch.no_grad():
            self.out.weight.copy_(torch.tensor([[60.0], [-60.0]] + [[0.0]] * 10))
            self.out.bias.copy_(torch.tensor([0.0, 0.0] + [-99.0] * 10))

    def forward(self, x):
        light = x[:, :, :4].mean((1, 2, 3)) - 0.75
        return self.out((light if self.rim else light * 0)[:, None])
"""


@pytest.mark.parametrize("rim", [True, False])
def test_a_network_that_uses_only_the_background_is_found(probed, tmp_path, rim):
    (tmp_path / "net.py").write_text(FACTORY)
    block = {"factory": f"{tmp_path}/net.py:Bright", "arguments": {"rim": rim}}
    block["preprocess"] = {"resize": [64, 64], "mean": 0.0, "std": 1.0}
    left = probed(block, classes=["fish", "bird"], pictures=16, placements=1)
    found = leaning(left)
    assert (("fish", "snow") in found) == rim and bool(found) == rim
    if rim:
        harder = {(r["class"], r["background"]) for r in left.numbers["asked"] if r["verdict"] == bias_probe.HARDER}
        assert ("bird", "snow") in harder


def test_the_answers_are_those_of_pictures_pasted_by_hand(probed):
    left = probed(
        DEMO | {"checkpoint": str(WEIGHTS / "biased.safetensors")}, classes=["wolf"], pictures=6, placements=1
    )
    from cnnviz.demo.scenes import draw

    assert left.arrays["example"].shape == (1, 10, 64, 64, 3)
    first = draw(1, int(left.arrays["object"][0]))
    for b in range(1, 10):
        np.testing.assert_array_equal(left.arrays["example"][0, b][first.mask], first.image[first.mask])
    assert (left.arrays["example"][0, 1][~first.mask] == 128).all()
    grounds = left.arrays["example"][0, 2:].astype(float)
    assert np.ptp(grounds[:, ~first.mask], axis=0).mean() > 50  # and its surroundings differ


def test_no_class_without_masks(make_job, index, tmp_path):
    from PIL import Image

    (tmp_path / "p").mkdir()
    Image.new("RGB", (64, 64)).save(tmp_path / "p" / "a.png")
    index(tmp_path / "images.json", [("a.png", 0)], [f"c{i}" for i in range(12)])
    image_set = {"kind": "folder", "path": str(tmp_path / "p")}
    network.main(make_job(DEMO, image_set=image_set, set_classes=[f"c{i}" for i in range(12)]))
    job = make_job(DEMO, "bias_probe", image_set)
    perform(bias_probe.main, job)
    left = result.read(job.outputs["result"])
    assert left.status == "not_applicable" and "mask_column" in left.reason


def test_classes_without_an_effect_are_not_reported():
    rng = np.random.default_rng(0)
    accused = 0
    for _ in range(60):
        base = rng.beta(2, 1, (20, 1))
        answers = np.clip(base + rng.normal(0, 0.15, (20, 96)), 0, 1)
        differences = [answers[:, k] - np.median(np.delete(answers, k, 1)[:, :7], 1) for k in range(96)]
        rows = bias_probe.judged(differences, 0.0, rng, 200)
        accused += any(row["verdict"] == bias_probe.LEANS for row in rows)
    assert accused / 60 < 0.15  # even without a margin


# -------------------------------------------------------------------------------------------------------- backgrounds


def test_painting_over_leaves_what_is_around_and_takes_its_colours():
    pixels = np.full((40, 50, 3), (20, 90, 200), np.uint8)
    mask = np.zeros((40, 50), bool)
    mask[10:25, 15:35] = True
    pixels[mask] = (250, 10, 10)
    for array in (pixels, (pixels / 255).astype(np.float32)):
        made = backgrounds.without(array, mask)
        assert made.dtype == array.dtype and made.shape == array.shape
        np.testing.assert_array_equal(made[:5], array[:5])
        unit = 1 if array.dtype == np.uint8 else 255
        np.testing.assert_allclose(made.astype(float) * unit, np.broadcast_to((20, 90, 200), made.shape), atol=3)


def test_grounds_come_from_pictures_with_small_objects():
    def thing(index, side):
        mask = np.zeros((20, 20), bool)
        mask[:side, :side] = True
        return index, np.full((20, 20, 3), index, np.uint8), mask

    found = backgrounds.around([thing(1, 10), thing(2, 4), thing(3, 20), thing(4, 6)], 2)
    assert [index for index, _ in found] == [2, 4]
