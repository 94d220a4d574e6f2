"""The explained classes of a picture, and the result of any method's job."""

import json
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from cnnviz.attribution.probes import Method, NotApplicable, attribute, targets
from cnnviz.network import network
from cnnviz.network.loaded import Model
from cnnviz.pictures.preprocess import Preprocess
from cnnviz.run import result

NAMES = ("ant", "bee", "cat", "dog")


def model() -> Model:
    return Model(
        *("m", nn.Identity(), Preprocess(resize=(4, 4)), (), (), ("", "input"), "", 0, NAMES, ()),
        *(torch.device("cpu"), {}),
    )


@pytest.mark.parametrize(
    ("labels", "wanted", "outputs", "kinds"),
    [
        ([3], ["predicted", "true", "runner_up"], [1, 3, 2], ["predicted", "true", "runner_up"]),
        ([1], ["predicted", "true", "runner_up"], [1, 2], ["predicted and true", "runner_up"]),
        ([2], ["predicted", "true", "runner_up"], [1, 2, 3], ["predicted", "true", "runner_up"]),
        ([], ["predicted", "true", "runner_up"], [1, 2], ["predicted", "runner_up"]),
        ([0, 3], ["true"], [0, 3], ["true", "true"]),
        ([], ["cat", "predicted"], [2, 1], ["cat", "predicted"]),
    ],
)
def test_targets_are_told_apart_and_each_is_explained_once(labels, wanted, outputs, kinds):
    logits = torch.tensor([-1.0, 3.0, 2.0, 1.0])
    assert targets(model(), logits, labels, wanted) == (outputs, kinds)


FACTORY = """
from torch import nn

def net():
    return nn.Sequential(nn.Conv2d(3, 12, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
"""


@pytest.fixture
def job(make_job, tmp_path, index):
    (tmp_path / "net.py").write_text(FACTORY)
    names = [("wolf-0000", 0), ("husky-0001", 1), ("fox-0002", None)]
    classes = [f"c{i}" for i in range(12)]
    index(tmp_path / "images.json", names, classes)
    block = {"factory": f"{tmp_path}/net.py:net", "preprocess": {"resize": [16, 16]}, "probes": 3}
    network.main(make_job(block, set_classes=classes))
    return make_job(block, "saliency")


def test_the_result_of_a_job(job):
    asked = []

    def maps(model, x, targets, parameters, generator):
        asked.append((targets.tolist(), torch.rand(1, generator=generator).item()))
        return targets[:, None, None] * torch.ones(len(targets), *x.shape[2:])

    attribute(job, {"first": Method(maps, control=None), "second": Method(maps, signed=True, control=None)})
    left = result.read(job.outputs["result"])
    a = left.arrays
    assert a["pictures"].shape == (3, 16, 16, 3) and a["maps/first"].shape == (3, *a["targets"].shape[1:], 16, 16)
    for i, kinds in enumerate(left.numbers["kinds"]):
        real = a["targets"][i] >= 0
        assert real.sum() == len(kinds) and real[: len(kinds)].all()
        np.testing.assert_array_equal(a["maps/first"][i, :, 0, 0], np.where(real, a["targets"][i], 0))
        assert np.isfinite(a["logits"][i]).tolist() == real.tolist()
    assert left.numbers["methods"][1] == {"name": "second", "signed": True, "caveat": ""}
    drawn = [number for _, number in asked]
    assert len(set(drawn)) == len(drawn)  # every picture and method has its own random numbers
    again = list(asked)
    asked.clear()
    attribute(job, {"first": Method(maps, control=None), "second": Method(maps, signed=True, control=None)})
    assert asked == again
    json.dumps(left.numbers)


def test_a_method_may_say_that_it_does_not_apply(job):
    def maps(*arguments):
        raise NotApplicable("no ReLU")

    partial(attribute, methods={"only": Method(maps)})(job)
    left = result.read(job.outputs["result"])
    assert (left.status, left.reason) == ("not_applicable", "no ReLU")


def test_the_others_are_shown_without_it_and_what_is_left_besides(job):
    def maps(model, x, targets, parameters, generator):
        return torch.ones(len(targets), *x.shape[2:])

    def late(model, x, targets, parameters, generator):
        late.calls += 1
        if late.calls == 2:  # it must not be kept for the first picture only
            raise NotApplicable("no ReLU")
        return maps(model, x, targets, parameters, generator)

    late.calls = 0
    methods = {"late": Method(late), "fits": Method(maps)}
    attribute(job, methods, beside=lambda model: ({"more": np.arange(3)}, {"layer": model.id}))
    left = result.read(job.outputs["result"])
    assert left.status == "ok" and late.calls == 2
    assert [name for name in left.arrays if name.startswith("maps/")] == ["maps/fits"]
    assert [m["name"] for m in left.numbers["methods"]] == ["fits"]
    assert left.numbers["not_applicable"] == {"late": "no ReLU"}
    assert left.arrays["more"].tolist() == [0, 1, 2] and left.numbers["layer"] == "net"


def test_maps_with_random_weights_are_the_control(job):
    """A map of the picture alone stays, one of the network's weights changes, and the weights are put back."""

    def brightness(model, x, targets, parameters, generator):
        return x.mean(1).expand(len(targets), -1, -1)

    def sees(model, x, targets, parameters, generator):
        weights.append(next(model.net.parameters()).clone())
        return torch.nn.functional.conv2d(x, weights[-1][:1], padding=1)[:, 0].expand(len(targets), -1, -1)

    def refuses(model, x, targets, parameters, generator):
        assert torch.equal(next(model.net.parameters()), weights[0])
        return brightness(model, x, targets, parameters, generator)

    weights = []
    methods = {"picture": Method(brightness), "network": Method(sees, signed=True)}
    others = {"slow": Method(brightness, control=None), "refuses": Method(refuses)}
    others |= {"coarse": Method(brightness, control=lambda used: used | {"coarser": True})}
    attribute(job, methods | others, beside=lambda model: ({}, {"net": model.id}))
    a = result.read(job.outputs["result"]).arrays
    assert {name for name in a if "random/" in name} == {"random/picture", "random/network", "random/coarse"}
    assert "kept/coarse" not in a
    assert a["kept/picture"] == pytest.approx(1) and (a["kept/network"] < 0.9).all()
    assert np.abs(a["random/network"].astype(float)).max((1, 2)) == pytest.approx(1)
    assert a["masks"].shape == (3, 16, 16) and a["masks"].any((1, 2)).all()  # the demo knows its objects
    assert torch.equal(weights[0], weights[2]) and not torch.allclose(weights[2], weights[3])
    assert torch.equal(weights[3], weights[5])
    attribute(job, methods)
    assert torch.equal(weights[6], weights[0]) and torch.equal(weights[9], weights[3])
