"""Oracles: a network whose output is a known sum over pixels, maps that are the truth or noise, redrawn weights."""

import dataclasses
import json
import threading
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from cnnviz.attribution import attribution_check as check
from cnnviz.attribution import map_scores
from cnnviz.attribution.probes import Method, attribute
from cnnviz.network import network, random_weights
from cnnviz.pictures import images, listing
from cnnviz.run import result
from cnnviz.run.job import perform

# ------------------------------------------------------------------------------------------------------------ curves


def test_deletion_and_insertion_of_an_additive_model_are_the_closed_form():
    weight = torch.rand(1, 1, 8, 8, generator=torch.Generator().manual_seed(0)).double()
    x, grey = torch.rand(1, 3, 8, 8).double(), torch.full((1, 3, 8, 8), 0.25).double()

    def additive(pictures):
        return (pictures * weight).sum((1, 2, 3))

    worth = (weight * (x - grey)).sum(1)[0].flatten().numpy()  # contribution of each pixel
    order = map_scores.ranking(worth.reshape(8, 8), np.random.default_rng(0))
    made = check.curves(additive, x, order, steps=16, gone=grey)
    lost = np.concatenate([[0], np.cumsum(worth[order])])[:: 64 // 16]
    np.testing.assert_allclose(made, float(additive(x)) - lost, rtol=1e-12)
    back = check.curves(additive, grey, order, steps=16, gone=x)
    np.testing.assert_allclose(back, float(additive(grey)) + lost, rtol=1e-12)
    # no other order falls faster, and the opposite one falls slowest
    areas = [
        map_scores.area(check.curves(additive, x, o, steps=16, gone=grey))
        for o in (order, np.random.default_rng(1).permutation(64), order[::-1].copy())
    ]
    assert areas[0] < areas[1] < areas[2]


def test_the_blur_keeps_the_mean_and_loses_the_detail():
    x = torch.rand(1, 3, 32, 32)
    smooth = check.blurred(x, 0.1)
    assert float(smooth.std()) < 0.2 * float(x.std())
    torch.testing.assert_close(check.blurred(torch.full_like(x, 0.3), 0.1), torch.full_like(x, 0.3))


# ---------------------------------------------------------------------------------------------------- random weights


class Odd(nn.Module):
    """Modules are defined in another order than they run; one has two kinds of parameters; one never runs."""

    def __init__(self):
        super().__init__()
        self.last, self.unused = nn.Linear(4, 2), nn.Linear(3, 3)
        self.first, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)

    def forward(self, x):
        return self.last(self.norm(self.first(x)).mean((2, 3)))


def test_layers_are_found_in_the_order_they_run():
    assert random_weights.layers_from_the_top(Odd().eval(), torch.rand(1, 3, 9, 9)) == [
        "last",
        "norm",
        "first",
        "unused",
    ]


def test_redrawn_weights_are_as_large_and_unlike_and_repeat():
    layer = nn.Conv2d(8, 64, 5)
    nn.init.normal_(layer.weight, std=0.3)
    before = {name: p.detach().clone() for name, p in layer.named_parameters()}
    random_weights.redraw(layer, lambda name: len(name))
    after = {name: p.detach().clone() for name, p in layer.named_parameters()}
    assert float(after["weight"].std()) == pytest.approx(0.3, rel=0.03)
    assert abs(np.corrcoef(before["weight"].flatten(), after["weight"].flatten())[0, 1]) < 0.05
    assert sorted(after["bias"].tolist()) == sorted(before["bias"].tolist())
    random_weights.redraw(layer, lambda name: len(name))
    torch.testing.assert_close(layer.bias.sort().values, before["bias"].sort().values)


def test_a_network_that_cannot_be_copied_is_redrawn_from_the_top_and_put_back():
    net = Odd().eval()
    net.lock = threading.Lock()
    before = {name: p.detach().clone() for name, p in net.named_parameters()}
    model = SimpleNamespace(net=net, layers=(), normalise=lambda x: x)
    changed = [
        sum(not torch.equal(p, before[name]) for name, p in net.named_parameters())
        for _ in random_weights.cascade(model, torch.rand(1, 3, 9, 9), 3, lambda *what: len("".join(what)))
    ]
    assert changed == sorted(changed) and 0 < changed[0] < changed[-1]
    assert all(torch.equal(p, before[name]) for name, p in net.named_parameters())


# ------------------------------------------------------------------------------------------------------ the whole job

FACTORY = """
import torch
from torch import nn

def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 6, 5, stride=2), nn.ReLU(), nn.AdaptiveAvgPool2d(4), nn.Flatten(),
        nn.Linear(96, 12))
"""


@pytest.fixture
def made(make_job, tmp_path, index):
    """made(methods, …) → the result of the check on 8 drawn pictures, of the methods of a section ``saliency``."""
    (tmp_path / "net.py").write_text(FACTORY)
    classes = listing.classes({"kind": "demo"})
    index(tmp_path / "images.json", [(f"{classes[i % 12]}-{i:04d}", i % 12) for i in range(24)], classes)
    block = {"factory": f"{tmp_path}/net.py:net", "preprocess": {"resize": [64, 64]}, "probes": 8}
    network.main(make_job(block, set_classes=classes))

    def run(monkeypatch, methods, **parameters):
        explained = make_job(block, "saliency", outputs={"result": tmp_path / "saliency.npz"})
        attribute(explained, methods)
        monkeypatch.setattr("cnnviz.attribution.saliency.METHODS", methods)
        parameters = {"steps": 4, "resamples": 200, "randomised": 2, "blocks": 2} | parameters
        job = make_job(block, "attribution_check", parameters=parameters)
        perform(check.main, dataclasses.replace(job, inputs=job.inputs | {"saliency": tmp_path / "saliency.npz"}))
        return result.read(job.outputs["result"])

    return run


def gradient(model, x, targets, parameters, generator):
    x = x.detach().requires_grad_(True)
    maps = [torch.autograd.grad(model.logits(x)[0, t], x, retain_graph=True)[0].abs().amax(1) for t in targets]
    return torch.cat(maps)


def noise(model, x, targets, parameters, generator):
    return torch.rand((len(targets), *x.shape[2:]), generator=generator)


def brightness(model, x, targets, parameters, generator):
    return x.mean(1).expand(len(targets), -1, -1)


def nothing(model, x, targets, parameters, generator):
    return torch.zeros(len(targets), *x.shape[2:])


METHODS = {"gradient": Method(gradient), "noise": Method(noise), "brightness": Method(brightness),
           "nothing": Method(nothing)}  # fmt: skip


def test_the_check_tells_maps_apart(made, monkeypatch):
    left = made(monkeypatch, METHODS)
    assert left.status == "ok" and [m["name"] for m in left.numbers["methods"]] == list(METHODS)
    said = {row["name"]: row["verdict"] for row in left.numbers["weights"]}
    # noise has the same seed, so it does not change, as maps of the picture alone
    assert said == {"gradient": said["gradient"], "noise": "stays", "brightness": "stays", "nothing": "changes"}
    rank = left.arrays["rank"]
    assert (rank[:, 1:3] == pytest.approx(1)) and (rank[:, 0, -1] < 0.95).all()
    assert left.numbers["blocks"][-1] == "conv1"
    for row in (row for c in left.numbers["checks"] for row in c["rows"] if row["name"] in ("noise", "random")):
        assert row["against"]["chance"]["verdict"] == map_scores.UNKNOWN
    json.dumps(left.numbers, allow_nan=False)


def test_only_correctly_predicted_pictures_count_for_objects(made, monkeypatch):
    left = made(monkeypatch, {"gradient": METHODS["gradient"]})
    right = left.arrays["label"] == left.arrays["target"]
    assert (~np.isnan(left.arrays["mass"][:, 0])).tolist() == right.tolist()
    named = {c["check"]: c["n"] for c in left.numbers["checks"]}
    assert named.get("mass", 0) == right.sum() and named["deletion"] == 8


def test_the_mask_as_a_map_scores_one(made, monkeypatch):
    """The network predicts the label, and the map is the demo's true mask."""
    from cnnviz.pictures import masks

    def truth(model, x, targets, parameters, generator):
        return torch.from_numpy(next(order).pixels).float().expand(len(targets), -1, -1)

    seen = []
    arrays = {}
    monkeypatch.setattr(check, "predicted", lambda left, i: arrays.update(left.arrays) or true_one(arrays, i))
    read = images.read

    def remember(*arguments):
        seen.append(read(*arguments))
        return seen[-1]

    monkeypatch.setattr(images, "read", remember)

    def endless():
        while True:
            image_set = seen[0]
            for i in image_set.probes(8):
                yield masks.of_picture(image_set, i)

    order = endless()
    left = made(monkeypatch, {"truth": Method(truth)}, randomised=0)
    rows = {c["check"]: {row["name"]: row for row in c["rows"]} for c in left.numbers["checks"]}
    for name in ("pointing", "mass"):
        assert rows[name]["truth"]["mean"] == 1 and rows[name]["truth"]["low"] > 0.5
        assert rows[name]["truth"]["against"]["chance"]["verdict"] == map_scores.YES
        assert rows[name]["uniform"]["mean"] == pytest.approx(left.arrays["masks"].mean())
    assert not left.numbers["weights"] and not left.numbers["blocks"]


def true_one(arrays, i):
    return list(arrays["targets"][i]).index(arrays["label"][i])


def test_it_is_deterministic_and_an_unusable_section_is_left_out(made, monkeypatch):
    one, two = (made(monkeypatch, {"noise": METHODS["noise"]}) for _ in range(2))
    assert one.numbers == two.numbers
    for name in one.arrays:
        np.testing.assert_array_equal(one.arrays[name], two.arrays[name])
    monkeypatch.setattr(check, "predicted", lambda left, picture: None)
    left = made(monkeypatch, {"noise": METHODS["noise"]})
    assert left.status == "not_applicable" and "saliency" in left.reason


def test_a_method_can_be_excluded_from_the_random_weights(made, monkeypatch):
    left = made(monkeypatch, {k: METHODS[k] for k in ("gradient", "noise")}, not_randomised=["noise"])
    assert [row["name"] for row in left.numbers["weights"]] == ["gradient"]
    assert np.isnan(left.arrays["rank"][:, 1]).all()


@pytest.mark.parametrize(
    ("course", "said"),
    [
        ([0.99, 0.97, 0.9], "stays"),
        ([1.0, 0.98, 0.3], "blind to the class"),
        ([0.8, 0.6, 0.3], "changes"),
        ([0.8, 0.6, -0.9], "changes"),
    ],
)
def test_verdicts_of_a_cascade(course, said):
    course = np.tile(np.array(course), (4, 1, 1))
    rng = np.random.default_rng(0)
    assert check.moved(course, course, ["m"], rng, 100)[0]["verdict"] == said
    course[0, 0, -1] = 0.1 if said == "stays" else 0.7
    assert check.moved(course, course, ["m"], rng, 100)[0]["verdict"] != "changes"
    course[0, 0, 0] = 0.7
    course[0, 0, -1] = 0.6
    assert check.moved(course, course, ["m"], rng, 100)[0]["verdict"] == ("stays" if said == "stays" else "in part")
    scrambled = -np.abs(course)  # the magnitudes stay and the signs change
    assert check.moved(scrambled, course, ["m"], rng, 100)[0]["verdict"] == "in part"


# ------------------------------------------------------------------------------------------------------ what is said


def checks(**verdicts):
    """One check, in which a method ``m`` has these verdicts against chance, edges and centre."""
    against = {k.replace("_", " "): {"verdict": v} for k, v in verdicts.items()}
    return [{"check": "mass", "rows": [{"name": "m", "against": against}]}]


@pytest.mark.parametrize(
    ("centre", "weights", "grade", "word"),
    [
        ("yes", "changes", "passes", None),
        ("no", "changes", "fails", "worse than the centre blob"),
        ("cannot tell", "changes", "undecided", "not shown to beat the centre blob"),
        ("yes", "stays", "fails", "and not what was learnt"),
        ("yes", "blind to the class", "fails", "does not explain the class"),
        ("yes", "in part", "undecided", "changes only in part"),
        ("yes", None, "undecided", "not tried"),
    ],
)
def test_conclusions_follow_from_the_verdicts(centre, weights, grade, word):
    from cnnviz.views import attribution_check as view

    rows = {"m": {"verdict": weights}} if weights else {}
    said, why = view.judged("m", checks(chance="yes", edge_detector="yes", centre_blob=centre), rows)
    assert said == grade and (word in " ".join(why) if word else not why)


def stored(weights: str, against: dict, n: int = 12):
    """A result of one check with a method ``m`` and a map of noise, which is at chance."""
    differences = {"yes": (0.3, 0.2, 0.4), "no": (-0.3, -0.4, -0.2), "cannot tell": (0.1, -0.1, 0.3)}

    def row(name, said):
        rivals = {
            k: dict(zip(("mean", "low", "high"), differences[v], strict=True), verdict=v) for k, v in said.items()
        }
        return {"name": name, "mean": 0.5, "low": 0.4, "high": 0.6, "against": rivals}

    noise = dict.fromkeys(("chance", "edge detector", "centre blob"), "cannot tell")
    rows = [row("m", noise | against), row("noise", noise)]
    checked = [{"check": "mass", "n": n, "better": "higher", "rows": rows}]
    moved = [{"name": "m", "n": 3, "mean": 0.2, "low": 0.1, "high": 0.3, "verdict": weights}] if weights else []
    numbers = {"checks": checked, "weights": moved, "baselines": ["noise"], "methods": [{"name": "m"}]}
    numbers["blocks"] = ["fc", "conv"]
    arrays = {"index": np.arange(n), "magnitude": np.array([[[0.99, 0.2]], [[0.98, 0.3]]])}
    return SimpleNamespace(numbers=numbers, arrays=arrays)


@pytest.mark.parametrize(
    ("weights", "centre", "sentence", "strength"),
    [
        ("changes", "yes", "M passes every check.", "found"),
        ("changes", "no", "No method passes every check; m fails.", "not found"),
        ("changes", "cannot tell", "No method passes every check, but m is better than chance in each.", "not found"),
        ("in part", "cannot tell", "No method passes every check; 1 of 1 is undecided.", "not found"),
        ("blind to the class", "yes", "No method passes every check; m fails.", "not found"),
    ],
)
def test_the_finding_says_which_methods_pass(weights, centre, sentence, strength):
    from cnnviz.views import attribution_check as view

    said, measured = view.found(stored(weights, {"chance": "yes", "edge detector": "yes", "centre blob": centre}))
    assert (said[0].says, said[0].strength) == (sentence, strength) and "0 of 1 pass" in said[0].control
    assert measured[said[0].key].effect == (strength == "found") and "m with random weights" in measured
    failing = {"no": "M is worse than the centre blob at mass on the object: 0.50, where higher is better."}
    failing |= {"yes": "M does not explain the class: with only the weights of fc random, its map hardly changes."}
    assert [f.says for f in said[1:]] == ([failing[centre]] if "fails" in sentence else [])


def test_the_finding_holds_of_one_picture_without_objects():
    from cnnviz.views import attribution_check as view

    left = stored("", {}, n=1)
    left.numbers["checks"][0]["check"] = "deletion"
    (said,), measured = view.found(left)
    assert said.says == "No method passes every check; 1 of 1 is undecided." and len(measured) == 1
    assert said.basis == "1 picture, no object is known, too few to judge 1 of 1 methods"


@pytest.mark.parametrize(
    ("against", "kind"),
    [
        ({}, "open"),
        ({"chance": "yes"}, "part"),
        ({"edge detector": "yes", "centre blob": "yes"}, "open"),
        ({"chance": "yes", "centre blob": "no"}, "bad"),
        ({"chance": "yes", "edge detector": "yes", "centre blob": "yes"}, "good"),
    ],
)
def test_better_than_chance_alone_is_a_verdict_in_part(against, kind):
    from cnnviz.views import attribution_check as view

    left = stored("changes", against)
    assert view.kind_of(left.numbers["checks"][0]["rows"][0]) == kind
    assert view.grades(left)["passes"] == ["m"] * (kind == "good")  # in part does not pass
    (line,) = view.verdicts(left).rows
    assert line[1] == {"good": "passes", "bad": "fails"}.get(kind, "undecided")


def test_random_weights_have_a_cell_for_each_bound_in_its_own_colour():
    from cnnviz.views import attribution_check as view

    left = stored("blind to the class", {})
    left.numbers |= {"same": 0.5, "alike": 0.95}
    left.arrays["magnitude"] = left.arrays["rank"] = np.tile([[0.99, -0.2]], (3, 1, 1))
    assert view.redrawn(left, "m") == [("0.99", "bad"), ("−0.20", "good")]
    left.arrays["magnitude"] = left.arrays["rank"] = np.tile([[0.5, -0.2]], (2, 1, 1))  # two pictures are too few
    assert view.redrawn(left, "m") == [("0.50", "part"), ("−0.20", "part")]
    assert view.redrawn(left, "noise") == [("–", "none")] * 2


def test_a_method_below_a_trivial_map_is_not_named_better_than_chance():
    from cnnviz.views import attribution_check as view

    left = stored("changes", {"chance": "yes"})
    assert view.above_chance(left) == ["m"]
    left.numbers["checks"][0]["rows"][0]["against"]["centre blob"]["mean"] = -0.1
    assert view.above_chance(left) == []


def test_of_two_pictures_no_failure_is_found():
    from cnnviz.views import attribution_check as view

    left = stored("blind to the class", {})
    said = view.failing(left, "m")
    assert (said.strength, said.interval) == ("weakly found", "rank correlation 0.98") and said.basis == "2 pictures"
    left.arrays["magnitude"] = np.tile([[0.99, 0.2]], (3, 1, 1))
    assert view.failing(left, "m").strength == "found"


def test_of_many_curves_the_strong_ones_are_told_apart():
    from cnnviz.views.kit import curves

    names = [f"curve {i}" for i in range(9)]
    drawn = curves.lines(
        {name: np.arange(3) * i for i, name in enumerate(names)}, across="x", up="y", strong=["curve 8", "curve 0"]
    )
    words = drawn.content.decode() if isinstance(drawn.content, bytes) else drawn.content
    assert "7 others" in words and "curve 8" in words and "curve 3" not in words
    assert words.count('stroke="#999"') == 7 + 1 and {mark.group for mark in drawn.marks} == set(names)


def test_methods_that_pass_come_first_and_those_that_fail_last():
    from cnnviz.views import attribution_check as view

    every = ("chance", "edge detector", "centre blob")
    left = stored("changes", dict.fromkeys(every, "yes"))
    (row, noise), moved = left.numbers["checks"][0]["rows"], left.numbers["weights"][0]
    said = {"fails": "no", "open": "cannot tell", "good": "yes"}
    against = {name: {k: v | {"verdict": word} for k, v in row["against"].items()} for name, word in said.items()}
    left.numbers["checks"][0]["rows"] = [row | {"name": n, "against": a} for n, a in against.items()] + [noise]
    left.numbers["methods"] = [{"name": name} for name in said]
    left.numbers["weights"] = [moved | {"name": name} for name in said]
    assert view.ranked(left) == ["good", "open", "fails"]
    assert [line[1] for line in view.verdicts(left).rows] == ["passes", "undecided", "fails"]
    assert view.differences(left).folded and not view.verdicts(left).folded


def test_every_preset_has_enough_pictures_for_a_verdict():
    from cnnviz import config

    for preset in config.presets(config.whole_schema()).values():
        most = preset["limits"].get("probes") or 12
        assert most >= map_scores.FEWEST


def test_an_outline_runs_around_the_mask():
    from cnnviz.views.kit import panels

    mask = np.zeros((8, 8), bool)
    mask[2:4, 3:6] = True
    side = panels.PANEL / 8
    drawn = set(panels.outline(mask).split("M")[1:])
    left, right, top, bottom = 3 * side, 6 * side, 2 * side, 4 * side
    assert drawn == {
        f"{left:.1f} {top:.1f}V{bottom:.1f}", f"{right:.1f} {top:.1f}V{bottom:.1f}",
        f"{left:.1f} {top:.1f}H{right:.1f}", f"{left:.1f} {bottom:.1f}H{right:.1f}",
    }  # fmt: skip
