"""A network is built as its checkpoint needs it; and whatever it returns, class scores come out."""

import json
import sys

import pytest
import torch
from torch import nn

from cnnviz.errors import UserError
from cnnviz.network import building, loaded, network

FACTORY = """
import dataclasses
import torch
from torch import nn

@dataclasses.dataclass
class Data:
    loss: object
    logits: object

class Net(nn.Module):
    def __init__(self, outputs, form):
        super().__init__()
        self.conv, self.fc, self.form = nn.Conv2d(3, 4, 3), nn.Linear(4, outputs), form
    def forward(self, x):
        z = self.fc(torch.relu(self.conv(x)).mean((2, 3)))
        forms = {
            "plain": lambda: z, "tuple": lambda: (x, z), "dict": lambda: {"features": x, "heads": [z, x]},
            "object": lambda: type("Output", (), {"logits": z})(), "flat": lambda: z[:, 0],
            "map": lambda: z[..., None, None],
            "alone": lambda: [z], "logits": lambda: {"logits": z, "loss": None}, "data": lambda: Data(None, z),
            "nothing": lambda: None, "array": lambda: z.detach().numpy(), "none": lambda: {"a": [z], "b": "c"},
            "softmax": lambda: z.softmax(1), "sigmoid": lambda: z.sigmoid(),
        }
        return forms[self.form]()

def net(outputs=3, form="plain"):
    return Net(outputs, form)

def countable(num_classes=10, form="plain"):
    return Net(num_classes, form)
"""


@pytest.fixture
def block(tmp_path, make_job):
    """block(factory arguments, **keys of the model's block) → the block with every default."""
    (tmp_path / "mine.py").write_text(FACTORY)

    def make(function="net", arguments=None, **keys):
        block = {"factory": f"{tmp_path / 'mine.py'}:{function}", "arguments": arguments or {}} | keys
        return make_job(block | {"preprocess": {"resize": [8, 8]}}).model

    return make


def scores(block, x):
    with torch.no_grad():
        return building.build(block, "net", 0).net(x)


@pytest.mark.parametrize(
    ("form", "select"),
    [
        *[("tuple", 1), ("tuple", "-1"), ("dict", "heads.0"), ("object", "logits"), ("map", None)],
        *[("alone", None), ("logits", None), ("data", None)],  # one tensor only
    ],
)
def test_a_selector_finds_the_scores(block, form, select):
    x = torch.randn(2, 3, 8, 8)
    plain = scores(block(), x)
    picked = scores(block(arguments={"form": form}, outputs={"select": select}), x)
    assert plain.shape == (2, 3) and torch.equal(picked, plain)


@pytest.mark.parametrize(
    ("form", "select", "said"),
    [
        ("dict", "head", "'heads'"),
        ("tuple", 4, "returns 2 items"),
        ("object", "logit", "outputs.select"),
        ("tuple", None, r"tuple of 0 \(1, 3, 8, 8\), 1 \(1, 3\).*outputs: \{select: 1\}"),
        ("flat", None, "squeeze"),
        ("nothing", None, "returns NoneType, not a tensor"),
        ("array", None, r"returns ndarray.*\.numpy\(\)"),
        ("none", None, r"dict of a list, b str.*select: a\}"),
    ],
)
def test_a_wrong_selector_says_what_there_is(block, make_job, form, select, said):
    made = block(arguments={"form": form}, outputs={"select": select})
    with pytest.raises(UserError, match=said):
        network.describe(building.build(made, "net", 0), made, "net", ())


@pytest.mark.parametrize("form", ["plain", "flat"])
def test_a_yes_or_no_output_becomes_two_classes_with_its_probability(block, form):
    x = torch.randn(4, 3, 8, 8)
    made = block(arguments={"outputs": 1, "form": form}, outputs={"kind": "binary"})
    two = scores(made, x)
    z = building.build(block(arguments={"outputs": 1}), "net", 0).net
    z._forward_hooks.clear()
    torch.testing.assert_close(two.softmax(1)[:, 1], z(x)[:, 0].sigmoid())
    facts = network.describe(building.build(made, "net", 0), made, "net", ("cat", "dog"))
    assert facts["classes"] == ["cat", "dog"] and facts["kind"] == "softmax"


def test_one_output_needs_a_stated_kind(block):
    made = block(arguments={"outputs": 1})
    with pytest.raises(UserError, match="kind: binary"):
        network.describe(building.build(made, "net", 0), made, "net", ())


@pytest.mark.parametrize(("form", "kind"), [("softmax", "softmax"), ("sigmoid", "sigmoid")])
def test_probabilities_become_scores_again(block, make_job, form, kind):
    x = torch.randn(4, 3, 8, 8)
    plain = scores(block(), x)
    made = block(arguments={"form": form}, outputs={"returns": "probabilities", "kind": kind})
    again = scores(made, x)
    probabilities = (lambda z: z.softmax(1)) if kind == "softmax" else torch.sigmoid
    torch.testing.assert_close(probabilities(again), probabilities(plain))


def test_sigmoid_probabilities_are_each_classs_own(block, make_job, tmp_path):
    made = block(outputs={"kind": "sigmoid"})
    job = make_job({k: made[k] for k in ("factory", "preprocess", "outputs")}, set_classes=["a", "b", "c"])
    network.main(job)
    model = loaded.load(job)
    z = torch.tensor([[0.0, 2.0, -1.0]])
    torch.testing.assert_close(model.probabilities(z), z.sigmoid())
    assert json.loads(job.inputs["network"].read_text())["kind"] == "sigmoid"


def test_the_number_of_classes_comes_from_the_checkpoint(block, tmp_path):
    torch.save(
        {"state_dict": building.build(block("countable", {"num_classes": 7}), "net", 0).net.state_dict()},
        tmp_path / "w.pt",
    )
    assert building.build(block("countable", checkpoint=str(tmp_path / "w.pt")), "net", 0).net.fc.out_features == 7
    with pytest.raises(UserError, match="fc.weight"):  # the config takes precedence
        building.build(block("countable", {"num_classes": 5}, checkpoint=str(tmp_path / "w.pt")), "net", 0)
    with pytest.raises(UserError, match="fc.weight"):
        building.build(block("net", checkpoint=str(tmp_path / "w.pt")), "net", 0)


@pytest.mark.parametrize("name", ["squeezenet1_1", "resnet18", "googlenet"])
def test_torchvision_nets_take_their_classes_and_heads_from_the_checkpoint(make_job, tmp_path, name):
    import torchvision.models as zoo

    more = {"init_weights": False, "aux_logits": False} if name == "googlenet" else {}
    net = zoo.get_model(name, num_classes=5, **more)
    torch.save({"model": {f"module.{k}": v for k, v in net.state_dict().items()}}, tmp_path / "w.pth")
    made = make_job({"torchvision": name, "checkpoint": str(tmp_path / "w.pth")}).model
    built = building.build(made, "net", 0)
    x = torch.randn(1, 3, 96, 96)
    with torch.no_grad():
        torch.testing.assert_close(built.net(x), net.eval()(x))
    assert "w.pth" in built.described


def test_torchvision_preprocesses_as_its_authors_do(make_job):
    block = make_job({"torchvision": "inception_v3", "weights": "random", "arguments": {"num_classes": 2}}).model
    built = building.build(block, "net", 0)
    assert (built.preprocess["resize"], built.preprocess["crop"]) == (342, 299)
    assert network.describe(built, block, "net", ())["input"] == [3, 299, 299]


def test_timm_by_name(make_job, tmp_path):
    timm = pytest.importorskip("timm")
    block = make_job({"timm": "test_vit", "weights": "random", "arguments": {"num_classes": 4}}).model
    built = building.build(block, "net", 0)
    facts = network.describe(built, block, "net", ())
    assert facts["input"] == [3, 160, 160] and built.described == "timm's test_vit, random weights"
    assert facts["layers"][1]["layout"] == "tokens"
    torch.save(timm.create_model("test_vit", num_classes=6).state_dict(), tmp_path / "w.pt")
    block = make_job({"timm": "test_vit", "checkpoint": str(tmp_path / "w.pt")}).model
    assert len(network.describe(building.build(block, "net", 0), block, "net", ())["classes"]) == 6
    with pytest.raises(UserError, match="'resnet50'"):
        building.build(make_job({"timm": "resnet5o"}).model, "net", 0)


def test_timm_not_installed_says_how_to_get_it(make_job, monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(UserError, match="pip install timm"):
        building.build(make_job({"timm": "resnet50"}).model, "net", 0)


def test_a_network_of_one_or_five_channels_is_seen_as_such(make_job):
    for channels in (1, 5):
        net = nn.Sequential(nn.Conv2d(channels, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
        block = make_job({"torchvision": "alexnet", "preprocess": {"resize": [12, 10]}}).model
        facts = network.describe(building.Built(net.eval(), "a net", {}), block, "net", ())
        assert facts["channels"] == channels and facts["input"] == [channels, 12, 10]
        assert facts["preprocess"]["mean"] == 0
