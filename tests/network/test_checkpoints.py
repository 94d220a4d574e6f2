"""Every kind of checkpoint is read without running its code, loads under any prefix, or is refused in words."""

import argparse
import collections
import contextlib
import datetime
import enum
import functools
import os
import pathlib
import pickle
import re
import subprocess
import sys
import types
import warnings
import zipfile

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from cnnviz.errors import UserError
from cnnviz.network import checkpoints, fitting, name_matching
from tests.network.damage import damaged

PREFIXES = ("", "module.", "model.", "net.", "_orig_mod.", "backbone.", "model._orig_mod.module.", "a.b.c.")
WRAPPERS = (
    *((), ("state_dict",), ("model_state_dict",), ("model",), ("net",), ("network",), ("module",), ("weights",)),
    *(("params",), ("ema",), ("model_ema",), ("ema_state_dict",), ("ema", "shadow"), ("payload", "model"), ("odd",)),
)
KINDS = ("zip", "old", "safetensors", "half")


def network(classes: int = 3, blocks: int = 1) -> nn.Module:
    """Five layers with common names."""
    layers = [nn.Sequential(nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)) for _ in range(blocks)]
    parts = {"conv1": nn.Conv2d(3, 4, 3), "layer1": nn.Sequential(*layers), "fc": nn.Linear(4, classes)}
    return nn.Sequential(collections.OrderedDict(parts))


@pytest.fixture
def state() -> dict[str, torch.Tensor]:
    """Weights that no new network has."""
    generator = torch.Generator().manual_seed(1)
    weights = network().state_dict()
    return {k: torch.randn(v.shape, generator=generator).to(v.dtype) for k, v in weights.items()}


@pytest.fixture
def saved(tmp_path):
    """saved(content, …): its path, written by torch.save."""

    def save(content, name: str = "w.pt", **how) -> str:
        torch.save(content, tmp_path / name, **how)
        return str(tmp_path / name)

    return save


def under(prefix: str, state: dict) -> dict:
    return {prefix + name: value for name, value in state.items()}


def wrapped(steps: tuple, state: dict):
    for step in reversed(steps):
        state = {step: state, "epoch": 7, "optimizer": {"momentum": {"exp_avg": torch.ones(2)}}, "best": torch.ones(1)}
    return state


def loads(path: str, state: dict, net: nn.Module | None = None, **more) -> str:
    """Reads the file, loads it into a network, and compares; returns the messages."""
    net = net or network()
    said = fitting.fit(net, checkpoints.read(path, "model m", **more).state, "model m")
    for name, value in net.state_dict().items():
        assert torch.equal(value, state[name]), name
    return said


def refused(path: str, **more) -> str:
    with pytest.raises(UserError) as error:
        checkpoints.read(path, "model m", **more)
    assert str(error.value).startswith(f"model m: checkpoint {path}")
    return str(error.value)


# ------------------------------------------------------------------------------------------------- kinds of file


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize(
    ("steps", "kind"),
    [
        (steps, kind) for steps in WRAPPERS for kind in KINDS if kind != "safetensors" or not steps
    ],  # safetensors files are flat
    ids=lambda value: ".".join(value) if isinstance(value, tuple) else value,
)
def test_every_wrapper_prefix_and_kind_of_file(tmp_path, saved, state, steps, prefix, kind):
    if kind == "safetensors":
        path = str(tmp_path / "w.safetensors")
        save_file(under(prefix, state), path)
    else:
        half = {k: v.bfloat16() if v.is_floating_point() else v for k, v in state.items()} if kind == "half" else state
        path = saved(wrapped(steps, under(prefix, half)), _use_new_zipfile_serialization=kind != "old")
    said = loads(path, {k: v.bfloat16().float() if kind == "half" else v for k, v in state.items()})
    assert said == (
        f"names taken without the prefix {name_matching.clean(prefix)}" if name_matching.clean(prefix) else ""
    )


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64, torch.float8_e4m3fn], ids=str)
def test_floating_point_becomes_float32_and_counters_stay(saved, dtype):
    read = checkpoints.read(saved({"a": torch.ones(2).to(dtype), "n": torch.tensor(3)}), "model m")
    assert read.state["a"].dtype == torch.float32 and read.state["n"].dtype == torch.int64


def test_the_content_counts_and_not_the_suffix(tmp_path, saved, state):
    loads(saved(state, "w.safetensors"), state)
    save_file(state, tmp_path / "w.bin")
    loads(str(tmp_path / "w.bin"), state)


def test_parameters_of_nets_in_training_come_without_gradient(saved):
    read = checkpoints.read(saved(dict(network().named_parameters())), "model m")
    assert not any(type(v) is nn.Parameter or v.requires_grad for v in read.state.values())


class Options(dict):
    """A dict of another class, as Lightning's AttributeDict."""


class Fancy:
    """A class that a reader of the file would have to import."""

    def __init__(self):
        self.values = [1, 2]


class Colour(enum.Enum):
    RED = 1


@pytest.mark.parametrize("new", [True, False], ids=["zip", "old"])
@pytest.mark.parametrize(
    "beside",
    [
        argparse.Namespace(lr=0.1, out=pathlib.Path("runs")),
        types.SimpleNamespace(lr=0.1),
        np.float64(0.9),
        np.int64(3),
        np.bool_(True),
        np.arange(6.0).reshape(2, 3),
        np.array(["a", None], dtype=object),
        np.dtype("float32"),
        pathlib.PureWindowsPath("c:/runs"),
        collections.defaultdict(list, a=[1]),
        collections.deque([1, 2], maxlen=3),
        collections.Counter("aab"),
        collections.OrderedDict(a=1),
        {1, 2},
        frozenset([3]),
        datetime.datetime(2024, 2, 3, tzinfo=datetime.UTC),
        datetime.timedelta(3),
        torch.Size([2]),
        torch.device("cpu"),
        torch.float16,
        functools.partial(nn.BatchNorm2d, eps=1e-3),
        nn.ReLU,
        Fancy(),
        Colour.RED,
        1j,
        range(3),
        bytearray(b"ab"),
        slice(1, 2),
        10**30,
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_scripts_put_beside_the_weights_does_no_harm(saved, state, beside, new):
    path = saved({"args": beside, "state_dict": state, "more": [beside]}, _use_new_zipfile_serialization=new)
    if not new and isinstance(beside, type | functools.partial):  # torch keeps the code of modules in the old format
        assert "parts of one (class" in refused(path)
    else:
        loads(path, state)


def test_classes_need_not_be_installed(tmp_path, saved, state, monkeypatch):
    module = types.ModuleType("gone_with_the_wind")
    exec("class Config:\n    pass\nclass AttributeDict(dict):\n    pass", module.__dict__)
    monkeypatch.setitem(sys.modules, "gone_with_the_wind", module)
    for name in ("Config", "AttributeDict"):
        getattr(module, name).__module__ = "gone_with_the_wind"
    path = saved({"hyper_parameters": module.AttributeDict(a=module.Config()), "state_dict": state})
    monkeypatch.delitem(sys.modules, "gone_with_the_wind")
    loads(path, state)


def test_lightning(saved, state):
    content = {
        "epoch": 12,
        "global_step": 400,
        "pytorch-lightning_version": "2.5.0",
        "state_dict": under("model.", state) | {"criterion.weight": torch.ones(3), "train_acc.tp": torch.tensor(1)},
        "loops": {"fit_loop": {"state_dict": {}, "epoch_progress": {"total": {"ready": 1}}}},
        "callbacks": {"ModelCheckpoint{'monitor': None}": {"best_model_score": torch.tensor(0.5)}},
        "optimizer_states": [{"state": {0: {"step": torch.tensor(4.0), "exp_avg": torch.ones(2)}}, "param_groups": []}],
        "lr_schedulers": [],
        "hyper_parameters": {"config": Fancy(), "lr": np.float32(1)},
    }
    path = saved(content, "best.ckpt")
    assert checkpoints.read(path, "model m").described == "best.ckpt (state_dict; epoch 12)"
    assert loads(path, state) == "names taken without the prefix model., left out criterion.weight, train_acc.tp"


# ------------------------------------------------------------------------------------------ which of several weights


def other(state: dict) -> dict:
    return {name: value + 1 for name, value in state.items()}


@pytest.mark.parametrize("plain", ["state_dict", "model", "model_state_dict", "net", "student", "generator"])
@pytest.mark.parametrize("averaged", ["model_ema", "ema", "state_dict_ema", "ema_state_dict", "teacher", "swa_model"])
def test_plain_weights_come_before_averaged_ones_and_key_chooses(saved, state, plain, averaged):
    path = saved({averaged: other(state), plain: state, "epoch": 2})
    assert checkpoints.read(path, "model m").described == f"w.pt ({plain}; epoch 2; not its {averaged})"
    loads(path, state)
    loads(path, other(state), key=averaged)
    loads(path, state, key=plain)


def test_the_wrappers_have_an_order(saved, state):
    for first, second in zip(checkpoints.WRAPPERS, checkpoints.WRAPPERS[1:], strict=False):
        loads(saved({second: other(state), first: state}), state)


def test_a_wrong_key_names_the_valid_ones(saved, state):
    path = saved({"model": state, "model_ema": state, "optimizer": {"model": state}})
    assert "Did you mean 'model_ema' or 'model'? Valid: model, model_ema" in refused(path, key="model_emma")
    assert "Valid: conv1, layer1, fc" in refused(saved(state), key="modell")


def test_key_can_go_into_names(saved, state):
    both = under("student.", state) | under("teacher.", other(state))
    loads(saved(both), other(state), key="teacher")
    loads(saved({"state_dict": both}), other(state), key="state_dict.teacher")
    loads(saved({"a": {"b.c": {"d": state}}}), state, key="a.b.c.d")


def test_several_networks_need_a_choice(saved, state):
    path = saved({"generator": state, "discriminator": other(state), "optimizer_g": {"x": torch.ones(1)}})
    assert "checkpoint_key: generator, discriminator" in refused(path)
    loads(path, other(state), key="discriminator")


# ------------------------------------------------------------------------------------------------ what is refused


def lines_of(message: str) -> str:
    """The program that a message gives to paste into Python."""
    lines = message.split("\n\n")[1].splitlines()
    assert len(lines) == 3 and not any(line.startswith(" ") for line in lines)
    return "\n".join(lines)


def named_in(message: str) -> str:
    """The file that the program makes."""
    return re.search(r"checkpoint: (.*)$", message).group(1)


OWN_NET = """
from torch import nn
class Mine(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(2, 3)
"""


def test_what_runs_code_is_refused_with_three_lines_that_really_convert_it(tmp_path, saved, state, monkeypatch):
    """Pickled models in both formats, in wrappers and by pickle itself, and TorchScript."""
    (tmp_path / "mynets.py").write_text(OWN_NET)
    monkeypatch.syspath_prepend(tmp_path)
    import mynets

    net, scripted = mynets.Mine(), network()
    scripted.load_state_dict(state)
    told = {
        "zip": refused(saved(net, "it's mine.pt")),
        "old": refused(saved(net, "old.pt", _use_new_zipfile_serialization=False)),
        "inside": refused(saved({"epoch": 3, "args": argparse.Namespace(a=1), "model": net}, "inside.pt")),
        "old inside": refused(saved({"model": net}, "old_inside.pt", _use_new_zipfile_serialization=False)),
    }
    assert all("class mynets.Mine" in message for message in told.values())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.script(scripted), tmp_path / "scripted.pt")
        told["script"] = refused(str(tmp_path / "scripted.pt"))
    (tmp_path / "w.pkl").write_bytes(pickle.dumps([net]))
    told["pickle"] = refused(str(tmp_path / "w.pkl"))
    assert "TorchScript" in told["script"]

    program = "\n".join(lines_of(message) for message in told.values())
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for kind in ("zip", "old", "inside", "pickle"):
        loads(named_in(told[kind]), net.state_dict(), mynets.Mine())
    loads(named_in(told["script"]), state)
    assert "['model']" in refused(
        named_in(told["old inside"])
    )  # now in the current format, where the position is known


class Evil:
    """Runs a function when it is unpickled."""

    def __init__(self, function, *arguments):
        self.what = function, arguments

    def __reduce__(self):
        return self.what


@pytest.mark.parametrize("new", [True, False], ids=["zip", "old"])
@pytest.mark.parametrize("where", ["alone", "beside"])
@pytest.mark.parametrize("how", ["system", "exec", "touch", "getattr", "import"])
def test_nothing_of_a_file_is_ever_run(tmp_path, saved, state, new, where, how):
    marker = tmp_path / "marker"
    evil = {
        "system": Evil(os.system, f"touch {marker}"),
        "exec": Evil(exec, f"open({str(marker)!r}, 'w')"),
        "touch": Evil(pathlib.Path.touch, pathlib.Path(marker)),
        "getattr": Evil(getattr, Evil(getattr, pathlib.Path(marker), "parent"), "rmdir"),
        "import": Evil(__import__, "antigravity"),
    }[how]
    path = saved({"state_dict": state, "args": evil} if where == "beside" else evil, _use_new_zipfile_serialization=new)
    if how == "system":  # the file is a working attack: torch.load runs it
        torch.load(path, weights_only=False)
        marker.unlink()
    if how in ("touch", "getattr"):
        with contextlib.suppress(UserError):  # replaced by a stub, so that the weights are read if that suffices
            loads(path, state)
    else:
        assert "which weights never need" in refused(path)
    assert not marker.exists() and "antigravity" not in sys.modules


def test_the_allowed_names_of_a_file_are_forgotten_after_it(saved, state):
    before = set(torch.serialization.get_safe_globals())
    loads(saved({"state_dict": state, "args": argparse.Namespace()}), state)
    refused(saved(network()))
    assert set(torch.serialization.get_safe_globals()) == before


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n", "git lfs pull"),
        (b"\n<!DOCTYPE html><html><body>404</body></html>", "web page"),
        (b'{"error": "no such file"}', "text that starts"),
        ("naïve notes, no weights".encode(), "text that starts"),
        (b"\x1f\x8b\x08" + bytes(20), "gzip"),
        (b"\x89HDF\r\n\x1a\n" + bytes(20), "HDF5"),
        (b"\x93NUMPY\x01\x00" + bytes(20), "NumPy array"),
        (bytes(5000), "zeros"),
        (b"\x00\x01\x02\x03" * 300, "damaged"),
        (b"PK\x03\x04" + bytes(300), "incomplete"),
    ],
)
@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
def test_what_is_no_checkpoint_is_told_in_a_line(tmp_path, content, said, suffix):
    path = tmp_path / f"w.{suffix}"
    path.write_bytes(content)
    message = refused(str(path))
    assert said in message and len(message.splitlines()) == 1


def test_archives_of_other_things_are_told_apart(tmp_path):
    np.savez(tmp_path / "a.npz", a=np.array([None]))
    assert "NumPy archive" in refused(str(tmp_path / "a.npz"))
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        archive.writestr("notes.txt", b"x")
    assert "zip archive without weights (notes.txt)" in refused(str(tmp_path / "b.zip"))


def test_files_that_cannot_be_opened(tmp_path):
    assert "directory" in refused(str(tmp_path))
    assert "No such file" in refused(str(tmp_path / "none.pt"))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ([1, 2], "but list"),
        (torch.ones(3), "but Tensor"),
        ({}, "but dict"),
        ({"epoch": 3, "args": 1}, "but dict with epoch, args"),
        ({"optimizer": {"a": torch.ones(2)}}, "but dict with optimizer"),
        (argparse.Namespace(a=1), "but argparse.Namespace"),
        ({"a": torch.ones(2).to_sparse()}, "sparse"),
        ({"a": torch.ones(2, device="meta")}, "empty"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_files_without_usable_weights_are_told_in_a_line(saved, content, said):
    message = refused(saved(content))
    assert said in message and len(message.splitlines()) == 1


@pytest.mark.parametrize("kind", ["zip", "old", "safetensors"])
def test_a_damaged_file_loads_or_is_told_never_more(tmp_path, state, kind):
    """200 seeded corruptions of a good file of each kind."""
    path = tmp_path / ("w.safetensors" if kind == "safetensors" else "w.pt")
    if kind == "safetensors":
        save_file(state, path)
    else:
        content = {"state_dict": state, "args": argparse.Namespace(a=1), "epoch": np.int64(3)}
        torch.save(content, path, _use_new_zipfile_serialization=kind == "zip")
    told = 0
    for bad in damaged(path.read_bytes(), 200, head=1200, seed=3):
        path.write_bytes(bad)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                fitting.fit(network(), checkpoints.read(str(path), "model m").state, "model m")
            except UserError:
                told += 1
    assert 50 <= told < 200


@pytest.mark.parametrize("kind", ["zip", "old", "safetensors"])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.9, 0.999])
def test_a_broken_download_is_told_as_one(tmp_path, state, kind, share):
    path = tmp_path / ("w.safetensors" if kind == "safetensors" else "w.pt")
    if kind == "safetensors":
        save_file(state, path)
    else:
        torch.save(state, path, _use_new_zipfile_serialization=kind == "zip")
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    message = refused(str(path))
    assert "incomplete" in message and "download it again" in message and len(message.splitlines()) == 1


# ------------------------------------------------------------------------------------------------------- prefixes


def fits(state: dict, expected: dict, net: nn.Module | None = None) -> str:
    net = net or network()
    said = fitting.fit(net, state, "model m")
    for name, value in net.state_dict().items():
        assert torch.equal(value, expected[name.removeprefix("inner.")]), name
    return said


def misfit(state: dict, net: nn.Module | None = None) -> str:
    with pytest.raises(UserError, match="^model m: the checkpoint does not fit") as error:
        fitting.fit(net or network(), state, "model m")
    return str(error.value)


@pytest.mark.parametrize("prefix", PREFIXES)
def test_a_wrapper_that_only_the_network_has(state, prefix):
    fits(under(prefix, state), state, nn.Sequential(collections.OrderedDict(inner=network())))


@pytest.mark.parametrize("inserted", ["_orig_mod.", "_fsdp_wrapped_module."])
def test_what_compile_and_its_kin_put_into_the_middle_of_names(state, inserted):
    fits({name.replace("layer1.0.", f"layer1.{inserted}0."): v for name, v in state.items()}, state)


def test_a_network_that_is_compiled_itself(state):
    """torch.compile wraps a net in a module that calls it _orig_mod."""
    net = nn.Sequential(collections.OrderedDict(_orig_mod=network()))
    fitting.fit(net, under("module.", state), "model m")
    assert torch.equal(net.state_dict()["_orig_mod.fc.weight"], state["fc.weight"])


def test_what_is_outside_of_the_prefix_is_passed_over_and_told(state):
    said = fits(under("module.", state) | {"n_averaged": torch.tensor(4), "loss.weight": torch.ones(3)}, state)
    assert said == "names taken without the prefix module., left out loss.weight"
    said = fits(state | {"criterion.weight": torch.ones(3), "teacher.fc.weight": torch.ones(3, 4)}, state)
    assert said == "left out criterion.weight, teacher.fc.weight"


@pytest.mark.parametrize("averaged", ["ema.", "teacher.", "ema_model.module.", "momentum_encoder.", "encoder_k."])
@pytest.mark.parametrize("plain", ["", "model.", "student.module.", "encoder_q."])
def test_plain_weights_come_before_averaged_ones_among_prefixes(state, plain, averaged):
    fits(under(averaged, other(state)) | under(plain, state), state)


def test_counters_may_lack_or_be_too_many(state):
    few = {name: v for name, v in state.items() if not name.endswith("num_batches_tracked")}
    net = network()
    assert fitting.fit(net, few | {"total_ops": torch.ones(1), "fc.total_params": torch.ones(1)}, "model m") == ""
    assert torch.equal(net.conv1.weight, state["conv1.weight"])


def test_unused_auxiliary_heads_are_passed_over(state):
    assert fits(state | {"aux1.fc.weight": torch.ones(2, 2)}, state) == "left out aux1.fc.weight"
    assert fits(state | {"AuxLogits.fc.weight": torch.ones(2, 2)}, state) == "left out AuxLogits.fc.weight"


def test_names_of_older_versions_are_mended_by_the_module(state):
    class Renaming(nn.Linear):
        def _load_from_state_dict(self, state_dict, prefix, *args):
            if f"{prefix}kernel" in state_dict:
                state_dict[f"{prefix}weight"] = state_dict.pop(f"{prefix}kernel")
            super()._load_from_state_dict(state_dict, prefix, *args)

    net = network()
    net.fc = Renaming(4, 3)
    fits({name.replace("fc.weight", "fc.kernel"): v for name, v in under("module.", state).items()}, state, net)


def test_names_of_old_densenet_files():
    part = nn.Sequential(collections.OrderedDict(norm1=nn.BatchNorm2d(2), conv1=nn.Conv2d(2, 2, 1)))
    net = nn.Sequential(collections.OrderedDict(denselayer1=part))
    old = {re.sub(r"(norm|conv)1", r"\1.1", name): v for name, v in net.state_dict().items()}
    assert "denselayer1.norm.1.weight" in old
    fits(old, net.state_dict(), net)


# ----------------------------------------------------------------------------------------------------- mismatches


def test_missing_names_come_with_the_nearest_of_the_same_shape(state):
    renamed = {name.replace("conv1", "stem"): v for name, v in state.items()} | {"conv1_weight": torch.ones(4)}
    message = misfit(renamed)
    assert "9 of its 11 tensors agree" in message
    assert "conv1.weight (4, 3, 3, 3); of that shape the file has stem.weight" in message
    assert "2 missing" in message and "3 in the file only" in message


def test_the_same_network_under_other_names(state):
    assert "under other names" in misfit({name.replace("layer1", "stage"): v for name, v in state.items()})


def test_another_number_of_classes(state):
    message = misfit(network(classes=7).state_dict())
    assert "fc.weight: (7, 4) in the file, (3, 4) in the network" in message
    assert "arguments: {num_classes: 7}" in message and "2 of another shape" in message
    few = {name: v for name, v in network(classes=7).state_dict().items() if not name.endswith("num_batches_tracked")}
    assert "missing" not in misfit(few)


def test_another_depth(state):
    assert "4 in the file only" not in misfit(network(blocks=3).state_dict())
    assert "deeper variant" in misfit(network(blocks=3).state_dict())
    assert "shallower variant" in misfit(state, network(blocks=2))


def test_another_architecture():
    message = misfit({"features.weight": torch.ones(3)})
    assert "0 of its" in message and "No name matches" in message


def test_features_without_classifier(state):
    assert "without the last layer" in misfit({n: v for n, v in state.items() if not n.startswith("fc")})


def test_missing_auxiliary_heads(state):
    net = network()
    net.aux1 = nn.Linear(2, 3)
    assert "arguments: {aux_logits: false}" in misfit(state, net)


def test_lists_are_short_and_quick_for_a_thousand_names():
    net = nn.ModuleList(nn.Linear(2, 2) for _ in range(500))
    message = misfit({f"backbone.blocks_{name}": v for name, v in net.state_dict().items()}, net)
    assert len(message.splitlines()) < 12 and "1000 missing" in message


# ---------------------------------------------------------------------------------------------- classes and heads


def reference(classes: int = 1000) -> dict[str, tuple[int, ...]]:
    return {name: tuple(v.shape) for name, v in network(classes).state_dict().items()}


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("classes", [1, 2, 1001])
def test_the_number_of_classes_is_read_off_the_last_layer(prefix, classes):
    assert name_matching.classes_in(under(prefix, network(classes).state_dict()), reference()) == classes


def test_other_differences_are_no_number_of_classes(state):
    shapes = reference(3)
    assert name_matching.classes_in(state, shapes) is None  # no difference
    assert name_matching.classes_in(state | {"fc.weight": torch.ones(7, 5)}, shapes) is None
    assert name_matching.classes_in(state | {"fc.weight": torch.ones(7, 4), "fc.bias": torch.ones(8)}, shapes) is None
    assert name_matching.classes_in(state | {"conv1.bias": torch.ones(7), "fc.bias": torch.ones(7)}, shapes) is None
    assert name_matching.classes_in(state | {"fc.bias": torch.ones(())}, shapes) is None


def test_auxiliary_heads_are_known_to_lack(state):
    for head in ("aux1.fc.weight", "AuxLogits.fc.weight"):
        shapes = reference(3) | {head: (2, 2)}
        assert name_matching.lacks(under("module.", state), shapes)
        assert not name_matching.lacks(under("module.", state | {head: torch.ones(2, 2)}), shapes)
    assert not name_matching.lacks(state, reference(3))
