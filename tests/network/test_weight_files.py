"""Weights in every common format: read, or refused with lines that work when pasted."""

import bz2
import collections
import gzip
import io
import json
import pathlib
import pickle
import re
import tarfile
import zipfile

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import save_file
from torch import nn

from cnnviz.check.report import Line, show
from cnnviz.errors import UserError
from cnnviz.network import checkpoints, fitting, refusals, shards
from cnnviz.run import fingerprint
from tests.network.damage import damaged


def net() -> nn.Module:
    parts = {"conv1": nn.Conv2d(3, 4, 3), "bn1": nn.BatchNorm2d(4), "fc": nn.Linear(4, 3)}
    return nn.Sequential(collections.OrderedDict(parts))


@pytest.fixture
def state() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    return {k: torch.randn(v.shape, generator=generator).to(v.dtype) for k, v in net().state_dict().items()}


@pytest.fixture
def path(tmp_path):
    """A path with a space, quotes of both kinds, and letters beyond ASCII."""
    folder = tmp_path / 'Müller\'s "runs" 2024'
    folder.mkdir()
    return folder / "best 1.pt"


def reads(path, state: dict, key: str | None = None) -> None:
    made = net()
    fitting.fit(made, checkpoints.read(str(path), "model m", key).state, "model m")
    for name, value in made.state_dict().items():
        assert torch.equal(value, state[name]), name


def refused(path) -> str:
    with pytest.raises(UserError) as error:
        checkpoints.read(str(path), "model m")
    return str(error.value)


def arrays(state: dict) -> dict[str, np.ndarray]:
    return {name: tensor.numpy() for name, tensor in state.items()}


class Weights(collections.OrderedDict):
    """A dict of another class, whose name does not say so."""


class Held:
    """Weights in an attribute of an object, as trainers keep them."""

    def __init__(self, weights):
        self.step, self.weights = 3, weights


CONTENTS = {
    "arrays": arrays,
    "big-endian arrays": lambda s: {k: v.astype(v.dtype.newbyteorder(">")) for k, v in arrays(s).items()},
    "Fortran's order": lambda s: {k: np.asfortranarray(v) if v.ndim else v for k, v in arrays(s).items()},
    "detectron2": lambda s: {"model": arrays(s), "__author__": "Nobody", "matching_heuristics": True},
    "a pair": lambda s: (3, s),
    "a list with an optimizer": lambda s: [s, {"state": {0: {"step": torch.ones(1)}}, "param_groups": [{"lr": 0.1}]}],
    "pairs of names and tensors": lambda s: list(s.items()),
    "tensors in the network's order": lambda s: list(s.values()),
    "nested by module": lambda s: (
        {m: {k: s[f"{m}.{k}"] for k in ("weight", "bias")} for m in ("conv1", "fc")}
        | {"bn1": {k.removeprefix("bn1."): v for k, v in s.items() if k.startswith("bn1.")}}
    ),
    "a subclass of dict": lambda s: {"epoch": 3, "model": Weights(s)},
    "an object's attribute": lambda s: {"epoch": 3, "trainer": Held(s)},
    "beside measures": lambda s: {"mine": s, "measures": {"confusion": torch.ones(3, 3)}, "curve": [torch.ones(1)] * 2},
    "by its fold": lambda s: {0: s},
    "wrapped twice": lambda s: {"trainer": {"model": (s, 7)}},
}


@pytest.mark.parametrize("how", ["torch.save", "pickle 0", "pickle 2", "pickle 5"])
@pytest.mark.parametrize("content", CONTENTS)
def test_arrays_tuples_and_lists_are_read(path, state, content, how):
    made = CONTENTS[content](state)
    if how == "torch.save":
        torch.save(made, path)
    else:
        path.write_bytes(pickle.dumps(made, protocol=int(how[-1])))
    reads(path, state)


def packed(kind: str, data: bytes) -> bytes:
    """``data`` as the file best.pt in an archive, beside another file."""
    made = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("run/best.pt", data)
            archive.writestr("run/args.txt", "lr 0.1")
        return made.getvalue()
    with tarfile.open(fileobj=made, mode="w:gz" if kind == "tar.gz" else "w") as archive:
        for name, part in (("run/best.pt", data), ("run/args.txt", b"lr 0.1")):
            member = tarfile.TarInfo(name)
            member.size = len(part)
            archive.addfile(member, io.BytesIO(part))
    return made.getvalue()


@pytest.mark.parametrize("kind", ["tar", "tar.gz", "zip", "gz", "bz2"])
def test_what_is_packed_is_read_from_the_archive(path, state, kind):
    plain = io.BytesIO()
    torch.save(state, plain)
    alone = {"gz": gzip.compress, "bz2": bz2.compress}.get(kind)
    path.write_bytes(alone(plain.getvalue()) if alone else packed(kind, plain.getvalue()))
    reads(path, state)


def test_numpys_own_files_are_read(path, state):
    np.savez(path.with_suffix(".npz"), **arrays(state))
    reads(path.with_suffix(".npz"), state)
    np.savez_compressed(path.with_suffix(".npz"), **arrays(state))
    reads(path.with_suffix(".npz"), state)
    np.save(path.with_suffix(".npy"), arrays(state))  # an array of one object, a dict
    reads(path.with_suffix(".npy"), state)


def split(state: dict, folder, write, names: list[str], index: str) -> None:
    """Every other tensor into each of two files, and the index that says where each is."""
    where = {}
    for i, name in enumerate(names):
        part = dict(list(state.items())[i::2])
        write(part, folder / name)
        where |= dict.fromkeys(part, name)
    (folder / index).write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": where}))


def test_folders_of_hugging_face_and_their_shards(path, state):
    folder = path.parent
    torch.save({"lr": 1}, folder / "optimizer.pt")
    torch.save(state, folder / "pytorch_model.bin")
    reads(folder, state)
    names = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    split(state, folder, save_file, names, "model.safetensors.index.json")
    (folder / "pytorch_model.bin").unlink()
    reads(folder, state)
    reads(folder / "model.safetensors.index.json", state)
    listed = shards.parts(str(folder))
    assert len(listed) == 3 and listed == shards.parts(str(folder / "model.safetensors.index.json"))
    assert all(fingerprint.content_hashes(listed))
    (folder / names[1]).unlink()
    assert f"{names[1]} is missing" in refused(folder)


def test_a_folder_needs_one_file_of_weights(path, state):
    torch.save(state, path)
    reads(path.parent, state)
    torch.save(state, path.with_name("last.pt"))
    assert "best 1.pt, last.pt. Write the path of one" in refused(path.parent)
    for file in path.parent.iterdir():
        file.unlink()
    assert "no file of weights (empty)" in refused(path.parent)
    for name, said in (("zero_to_fp32.py", "DeepSpeed"), ("saved_model.pb", "TensorFlow SavedModel")):
        (path.parent / name).write_bytes(b"x")
        assert said in refused(path.parent)
        (path.parent / name).unlink()


@pytest.mark.filterwarnings("ignore")
def test_a_folder_of_torch_distributed(path, state):
    """One process wrote it here. For any number of writers, the parts and their positions are in the metadata."""
    import torch.distributed.checkpoint as dcp

    optimizer = {"state": {"fc.weight": {"exp_avg": torch.ones(3, 4)}}, "param_groups": [{"lr": 0.1}]}
    dcp.save({"model": state, "optimizer": optimizer, "epoch": 3}, checkpoint_id=path.parent / "step.100", no_dist=True)
    reads(path.parent / "step.100", state)
    (path.parent / "step.100" / "__0_0.distcp").write_bytes(b"")
    assert "dcp_to_torch_save(" in refused(path.parent / "step.100")


def test_a_folder_that_a_browser_has_unpacked(path, state):
    torch.save({"state_dict": state}, path)
    with zipfile.ZipFile(path) as archive:
        archive.extractall(path.parent)
    reads(next(p for p in path.parent.iterdir() if p.is_dir()), state)


def distributed(state: dict, whole: bool) -> bytes:
    """A file with the weights as DTensor: those of all processes, or the first half of the first dimension."""
    from torch.distributed.tensor import DTensor, Replicate, Shard, distribute_tensor, init_device_mesh

    mesh = init_device_mesh("cpu", (1,))
    made = {k: distribute_tensor(v, mesh, [Replicate()]) for k, v in state.items()}
    if not whole:
        half = made["conv1.weight"].to_local()[:2]
        made["conv1.weight"] = DTensor.from_local(half, mesh, [Shard(0)], shape=(4, 3, 3, 3), stride=(27, 9, 3, 1))
    file = io.BytesIO()
    torch.save({"model": made}, file)
    return file.getvalue()


@pytest.mark.filterwarnings("ignore")
def test_tensors_of_several_processes(path, state, tmp_path):
    import torch.distributed as dist

    dist.init_process_group("gloo", store=dist.FileStore(str(tmp_path / "store"), 1), rank=0, world_size=1)
    try:
        written = distributed(state, whole=True), distributed(state, whole=False)
    finally:
        dist.destroy_process_group()
    path.write_bytes(written[0])
    reads(path, state)
    path.write_bytes(written[1])
    assert "one process's part of the weights (DTensor)" in refused(path) and "full_state_dict=True" in refused(path)


# -------------------------------------------------------------------------------------------- what cannot be read


def shown(message: str, capsys) -> str:
    """The lines to paste, as the check prints them: a block with one indent."""
    show(Line("✗", "error", message))
    block = re.search(r"(?m)^( *)(?:import|from) [^\n]*(?:\n\1\S[^\n]*|\n\1 [^\n]*)*", capsys.readouterr().out)
    return "\n".join(line.removeprefix(block[1]) for line in block[0].splitlines())


@pytest.mark.filterwarnings("ignore")
def test_lines_that_convert_a_file_work_as_they_are_printed(path, state, capsys):
    """For TorchScript and a pickled network, at paths with a space, quotes and an umlaut."""
    made = net().eval()
    made.load_state_dict(state)
    torch.jit.save(torch.jit.script(made.conv1), path)
    whole = path.with_name("whole: 2.pkl")
    whole.write_bytes(pickle.dumps({"best": Held([made])}))
    for file, kind in ((path, "TorchScript"), (whole, "pickled model")):
        message = refused(file)
        assert kind in message
        exec(shown(message, capsys), {})
        written = yaml.safe_load(re.search(r"checkpoint: .*$", message)[0])["checkpoint"]
        read = checkpoints.read(written, "model m").state
        assert torch.equal(read["weight" if kind == "TorchScript" else "conv1.weight"], state["conv1.weight"])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (torch.optim.SGD(net().parameters(), 0.1).state_dict(), "the state of an optimizer"),
        (nn.Sequential(nn.LazyConv2d(3, 3)).state_dict(), "lazy layers"),
        ([torch.ones(2), torch.ones(3)], "the file has no other tensor of that shape"),
        ([{"a.weight": torch.ones(2)}, {"a.weight": torch.ones(2)}], "choose with checkpoint_key: 0, 1"),
    ],
    ids=["optimizer", "lazy", "tensors of another network", "two networks"],
)
def test_what_holds_no_weights_of_one_network_says_so(path, content, said):
    torch.save(content, path)
    with pytest.raises(UserError, match=said):
        reads(path, {})
    if "checkpoint_key" in said:
        assert checkpoints.read(str(path), "model m", 1).described == "best 1.pt (1)"


@pytest.mark.parametrize("kind", ["pickle 0", "pickle 5", "npz", "tar"])
def test_a_damaged_file_loads_or_is_told(path, state, kind):
    """100 seeded corruptions of a good file of each kind."""
    plain, told = io.BytesIO(), 0
    if kind == "npz":
        np.savez(plain, **arrays(state))
    elif kind == "tar":
        torch.save(arrays(state), plain)
    good = pickle.dumps({"model": arrays(state)}, int(kind[-1])) if "pickle" in kind else plain.getvalue()
    good = packed("tar", good) if kind == "tar" else good
    for bad in damaged(good, 100, head=1000, seed=5):
        path.write_bytes(bad)
        try:
            fitting.fit(net(), checkpoints.read(str(path), "model m").state, "model m")
        except UserError:
            told += 1
    assert 25 <= told < 100


@pytest.mark.parametrize(
    ("member", "said"),
    [("x/models/model.json", "net = torch.export.load("), ("model.weights.h5", "Keras"), ("notes.txt", "notes.txt")],
)
def test_zips_that_are_no_weights_of_torch(path, member, said):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(member, "{}")
    assert said in refused(path)


FOREIGN = {
    "net.onnx": (b"\x08\x07\x12\x07pytorch\x1a\x032.1" + bytes(40), "ONNX graph"),
    "export.bin": (b"\x08\x08\x12\x07pytorch\x1a\x032.1" + bytes(40), "onnx.load("),
    "net.tflite": (b"\x1c\0\0\0TFL3" + bytes(40), "TensorFlow Lite"),
    "net.h5": (b"\x89HDF\r\n\x1a\n" + bytes(40), "HDF5"),
    "net.engine": (b"\x01\x02\x03\x04" + bytes(range(40)), "TensorRT engine"),
    "net.mlmodel": (b"\x08\x01\x12" + bytes(range(40)), "Core ML"),
    "net.msgpack": (b"\x81\xa6params" + bytes(range(40)), "Flax"),
    "frozen.pb": (b"\x0a\x02\x03\x04" + bytes(range(40)), "TensorFlow graph"),
    "net.xml": (b'<?xml version="1.0"?>\n<net name="resnet">' + b" " * 40, "OpenVINO"),
    "2016.tar": (b"sys_info" + bytes(249) + b"ustar" + bytes(250), "before 2017"),
    "cut.tar": (b"run/best.pt" + bytes(246) + b"ustar" + bytes(250), "download it again"),
    "lfs.pt": (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 123\n", "git lfs pull"),
    "empty.pt": (b"", "is empty"),
    "cut.pkl": (pickle.dumps({"a": np.ones(99)})[:300], "download it again"),
    "cut.gz": (gzip.compress(bytes(range(256)) * 9)[:60], "compressed with gzip"),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_other_formats_are_named_in_one_sentence_or_two(path, name):
    content, said = FOREIGN[name]
    path.with_name(name).write_bytes(content)
    message = refused(path.with_name(name))
    assert said in message and len(message.replace(str(path.parents[1]), "")) < 700
    assert ("import" in message) == ("Then write" in message)


class Evil:
    def __init__(self, *call):
        self.call = call  # a function and its arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", [0, 2, 4])
@pytest.mark.parametrize("place", ["pickle", "npy", "in a tensor's storage", "distributed"])
def test_a_plain_pickle_is_never_run(path, state, protocol, place):
    marker = path.with_name("marker")
    evil = Evil(pathlib.Path.touch, (pathlib.Path(marker),)), Evil(exec, (f"open({str(marker)!r}, 'w')",))
    if place == "npy":
        head = io.BytesIO()
        np.lib.format.write_array_header_1_0(head, {"descr": "|O", "fortran_order": False, "shape": (1,)})
        path.write_bytes(head.getvalue() + pickle.dumps([*evil], protocol=protocol))
    elif place == "distributed":
        path.mkdir()
        (path / ".metadata").write_bytes(pickle.dumps([*evil], protocol=protocol))
    elif place == "in a tensor's storage":
        inner = pickle.dumps([*evil], protocol=2)
        path.write_bytes(pickle.dumps({"a": Evil(torch.storage._load_from_bytes, (inner,))}, protocol=protocol))
    else:
        path.write_bytes(pickle.dumps({"model": arrays(state), "args": evil}, protocol=protocol))
    refused(path)
    assert not marker.exists()


def test_the_lines_that_a_message_has_stay_lines_in_the_check(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    message = refusals.refused("model m: " + "a word " * 20, "a b/it's.pt", "import torch", "x = 1  # " + "long " * 30)
    assert shown(str(message), capsys) == "import torch\nx = 1  # " + ("long " * 30).rstrip()
