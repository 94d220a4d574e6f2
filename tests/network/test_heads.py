"""Networks with a replaced head or first layer: they are built from the file's shapes, or a message says how."""

import collections

import pytest
import torch
from torch import nn

from cnnviz.errors import UserError
from cnnviz.network import building, checkpoints, fitting, heads


class Net(nn.Module):
    """torchvision's names: a first convolution, stages, a head after a flattening."""

    def __init__(self, head=None, stem=None):
        super().__init__()
        self.conv1 = stem or nn.Conv2d(3, 8, 5, stride=2, padding=2, bias=False)
        self.bn1 = nn.BatchNorm2d(8)
        blocks = [nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8)) for _ in range(3)]
        self.layer1 = nn.Sequential(*blocks)
        self.fc = head or nn.Linear(8, 10)

    def forward(self, x):
        return self.fc(self.layer1(self.bn1(self.conv1(x))).relu().mean((2, 3)))


class Around(nn.Module):
    """A known network as the features of another one, whose head has its own name."""

    def __init__(self, head):
        super().__init__()
        self.encoder, self.classifier = Net(nn.Identity()), head

    def forward(self, x):
        return self.classifier(self.encoder(x))


def adapted(trained: nn.Module, like: nn.Module | None = None, classes: int | None = None) -> nn.Module:
    """``like`` after it was adapted to the weights of ``trained``; both then give the same scores."""
    torch.manual_seed(1)
    state, made = trained.state_dict(), like or Net()
    heads.adapt(made, state, "mine.net('n', width=2)", "model m", classes)
    fitting.fit(made, state, "model m")
    channels = next(m for m in trained.modules() if isinstance(m, nn.Conv2d)).in_channels
    x = torch.randn(2, channels, 16, 16)
    with torch.no_grad():
        torch.testing.assert_close(made.eval()(x), trained.eval()(x))
    return made


def linear(*sizes) -> list[nn.Linear]:
    return [nn.Linear(a, b) for a, b in zip(sizes, sizes[1:], strict=False)]


HEADS = {
    "dropout before it": lambda: nn.Sequential(nn.Dropout(), *linear(8, 4)),
    "flattening and dropout": lambda: nn.Sequential(nn.Flatten(), nn.Dropout(0.2), *linear(8, 4)),
    "by a name": lambda: nn.Sequential(collections.OrderedDict(drop=nn.Dropout(), out=nn.Linear(8, 4))),
    "without bias": lambda: nn.Sequential(nn.Dropout(), nn.Linear(8, 4, bias=False)),
    "two with nothing between": lambda: nn.Sequential(*linear(8, 6, 4)),
    "normalised": lambda: nn.Sequential(nn.BatchNorm1d(8), *linear(8, 4)),
    "layer norm": lambda: nn.Sequential(nn.LayerNorm(8), *linear(8, 4)),
    "nested": lambda: nn.Sequential(nn.Sequential(nn.Dropout(), *linear(8, 4))),
}


@pytest.mark.parametrize("head", HEADS)
def test_a_head_whose_shapes_say_all_is_taken(head):
    adapted(Net(HEADS[head]()))
    adapted(Around(HEADS[head]()))


@pytest.mark.parametrize("channels", [1, 4, 13])
@pytest.mark.parametrize("bias", [True, False])
def test_other_channels_of_the_first_convolution_are_taken(channels, bias):
    made = adapted(Net(stem=nn.Conv2d(channels, 8, 5, stride=2, padding=2, bias=bias)))
    assert made.conv1.in_channels == channels and made.conv1.stride == (2, 2)
    adapted(Net(nn.Sequential(nn.Dropout(), nn.Linear(8, 4)), nn.Conv2d(channels, 8, 5, 2, 2, bias=bias)))


def told(trained: nn.Module) -> str:
    with pytest.raises(UserError) as error:
        adapted(trained)
    return str(error.value)


def rebuilt(message: str, monkeypatch) -> nn.Module:
    """The network of the factory that a message tells its reader to write, pasted unchanged."""
    import sys
    import types

    module = types.ModuleType("mine")
    module.net = lambda name, width: Net()
    monkeypatch.setitem(sys.modules, "mine", module)
    space = {}
    exec(message.split("\n\n")[1], space)
    return space["build"]()


DOUBTFUL = {
    "two layers and what is between": lambda: Net(
        nn.Sequential(nn.Linear(8, 6), nn.ReLU(), nn.Dropout(), nn.Linear(6, 4))
    ),
    "one step between": lambda: Net(nn.Sequential(nn.Dropout(), nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 4))),
    "three layers": lambda: Net(nn.Sequential(*linear(8, 6), nn.ReLU(), *linear(6, 5), nn.ReLU(), *linear(5, 4))),
    "a small stem": lambda: Net(stem=nn.Conv2d(3, 8, 3, padding=1, bias=False)),
    "a small grey stem and a head": lambda: Net(nn.Linear(8, 4), nn.Conv2d(1, 8, 3, padding=1, bias=False)),
}


@pytest.mark.parametrize("trained", DOUBTFUL)
def test_where_the_shapes_do_not_say_all_there_is_a_factory_to_write(trained, monkeypatch):
    """The pasted lines make a network that the file fits; here their guesses are also right."""
    torch.manual_seed(1)
    net = DOUBTFUL[trained]()
    message = told(net)
    assert "factory: mynets.py:build" in message and "variant" not in message and "    # " in message
    made = rebuilt(message, monkeypatch)
    fitting.fit(made, net.state_dict(), "model m")
    x = torch.randn(2, net.conv1.in_channels, 16, 16)
    with torch.no_grad():
        torch.testing.assert_close(made.eval()(x), net.eval()(x))


def test_layers_by_names_and_a_deep_stem_have_a_factory_too(monkeypatch):
    named = Net(nn.Sequential(collections.OrderedDict(a=nn.Linear(8, 6), act=nn.GELU(), b=nn.Linear(6, 4))))
    fitting.fit(rebuilt(told(named), monkeypatch), named.state_dict(), "model m")
    deep = Net(stem=nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 8, 3, 1, 1)))
    fitting.fit(rebuilt(told(deep), monkeypatch), deep.state_dict(), "model m")


@pytest.mark.parametrize(
    ("head", "said"),
    [
        (nn.Identity(), "without the last layer"),
        (nn.Linear(9, 4), "factory: mynets.py:build"),  # for other features than this network's
        (nn.Sequential(nn.Linear(8, 6), nn.PReLU(), nn.Linear(6, 4)), "factory: mynets.py:build"),
    ],
    ids=["none", "of other features", "of a layer we do not know"],
)
def test_other_changes_are_never_called_another_depth_or_width(head, said):
    message = told(Net(head))
    assert said in message and not any(word in message for word in ("variant", "width", "depth"))


def test_of_several_heads_none_is_taken():
    two = Around(nn.Linear(8, 4))
    two.age = nn.Linear(8, 3)
    assert "beside them, classifier, age: build" in told(two)


def test_what_the_config_states_is_not_overruled():
    with pytest.raises(UserError, match="fc.weight"):
        adapted(Net(nn.Sequential(nn.Dropout(), nn.Linear(8, 4))), classes=5)
    adapted(Net(nn.Sequential(nn.Dropout(), nn.Linear(8, 4))), classes=4)


def test_the_children_of_a_network_in_a_row_are_known_by_their_place():
    """``nn.Sequential(*list(net.children())[:-1])``, as people take features, with a head beside it."""
    whole = Net(nn.Linear(8, 10))
    state = {
        f"features.{i}.{k}": v for i, m in enumerate(list(whole.children())[:-1]) for k, v in m.state_dict().items()
    }
    state |= {f"fc.{k}": v for k, v in whole.fc.state_dict().items()}
    for prefix in ("", "model.", "module.net."):
        made = Net()
        fitting.fit(made, {prefix + k: v for k, v in state.items()}, "model m")
        assert all(torch.equal(v, whole.state_dict()[k]) for k, v in made.state_dict().items())


def test_of_several_networks_of_one_kind_one_has_to_be_chosen(tmp_path):
    both = {f"{name}.{k}": v for name in ("left", "right") for k, v in Net().state_dict().items()}
    with pytest.raises(UserError, match="checkpoint_key: left, right"):
        fitting.fit(Net(), both, "model m")
    torch.save({"state_dict": both}, tmp_path / "both.pt")
    chosen = checkpoints.read(str(tmp_path / "both.pt"), "model m", "right").state
    assert torch.equal(chosen["conv1.weight"], both["right.conv1.weight"])
    same = {f"{name}.{k}": v for name in ("net", "wrapped") for k, v in Net().state_dict().items() for v in [v * 0]}
    fitting.fit(Net(), same, "model m")  # one module, registered twice


def test_torchvisions_networks_go_through_the_door(make_job, tmp_path):
    from torchvision.models import get_model

    trained = get_model("shufflenet_v2_x0_5", num_classes=4)
    trained.conv1[0] = nn.Conv2d(1, 24, 3, 2, 1, bias=False)
    trained.fc = nn.Sequential(nn.Dropout(), nn.Linear(1024, 4))
    torch.save({"state_dict": {f"model.{k}": v for k, v in trained.state_dict().items()}}, tmp_path / "w.ckpt")
    block = {"torchvision": "shufflenet_v2_x0_5", "checkpoint": str(tmp_path / "w.ckpt")}
    built = building.build(make_job(block).model, "net", 0)
    assert torch.equal(built.net.conv1[0].weight, trained.conv1[0].weight)
    assert torch.equal(built.net.fc.weight, trained.fc[1].weight)
    assert "a first convolution of 1 channel and a head of Linear(1024, 4)" in built.described


def test_the_right_network_of_the_family_is_named():
    from torchvision.models import squeezenet1_1

    assert (
        building._sibling({"torchvision": "squeezenet1_0"}, squeezenet1_1(num_classes=4).state_dict())
        == "squeezenet1_1"
    )
    assert building._sibling({"torchvision": "squeezenet1_0"}, Net().state_dict()) is None
