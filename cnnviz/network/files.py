"""What a file of weights holds, whatever its kind, without running anything of it; or in words why it is not opened.

``content`` opens torch.save's files (old and new), safetensors (also in shards), pickles and archives of numpy arrays,
one such file inside a zip, tar or compressed file, and the folders that Hugging Face and torch.distributed leave.
"""

import bz2
import codecs
import gzip
import io
import lzma
import pickle
import pickletools
import re
import shlex
import struct
import tarfile
import zipfile
import zlib
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
import yaml

from cnnviz.errors import UserError
from cnnviz.network.pickles import HOSTILE, Hostile, Reader, as_tensor, objects, stand_in, with_arrays
from cnnviz.network.shards import HUB, SUFFIXES, parts

_OLD_FORMAT = bytes.fromhex("8a0a6cfc9c46f9206aa85019")  # torch.save's magic number before it wrote zip archives
_PACKED = {b"\x1f\x8b": (gzip.open, "gzip"), b"BZh": (bz2.open, "bzip2"), b"\xfd7zXZ": (lzma.open, "xz")}
# In folders of training runs, beside the weights.
_BESIDE = ("optimizer", "scheduler", "scaler", "rng_state", "random_states", "training_args", "sampler")
_OTHER = "cnnviz reads PyTorch networks"
_FOREIGN = (
    (b"\x89HDF\r\n", f"is an HDF5 file (of Keras or MATLAB?), no PyTorch state dict; {_OTHER}"),
    (b"GGUF", "is a GGUF file, no PyTorch state dict"),
    (b"MATLAB 5.0", f"is a MATLAB file, no PyTorch state dict; {_OTHER}"),
    (b"ftrt", f"is a TensorRT engine, a compiled program; {_OTHER}: give the file that it was made from"),
    (b"ptrt", f"is a TensorRT engine, a compiled program; {_OTHER}: give the file that it was made from"),
    (b"\x89PNG", "is a picture"),
    (b"\xff\xd8\xff", "is a picture"),
    (b"7z\xbc\xaf", "is a 7z archive: unpack it first"),
    (b"Rar!", "is a RAR archive: unpack it first"),
)
# Formats without a sign at their beginning.
_BY_SUFFIX = {
    ".mlmodel": "a Core ML model",
    ".engine": "a TensorRT engine",
    ".plan": "a TensorRT engine",
    ".trt": "a TensorRT engine",
    ".pb": "a TensorFlow graph",
    ".index": "a part of a TensorFlow checkpoint",
    ".meta": "a part of a TensorFlow checkpoint",
    ".msgpack": "a Flax checkpoint",
    ".caffemodel": "a Caffe model",
    ".params": "an MXNet model",
    ".pdmodel": "a PaddlePaddle program",
    ".weights": "a Darknet model",
    ".pte": "an ExecuTorch program",
}
_FOLDERS = {  # by a name in them
    "saved_model.pb": "a TensorFlow SavedModel",
    "Manifest.json": "a Core ML package",
    "_METADATA": "an Orbax checkpoint of JAX",
    "manifest.ocdbt": "an Orbax checkpoint of JAX",
    "_CHECKPOINT_METADATA": "an Orbax checkpoint of JAX",
}


def chosen(path: str, at: str) -> str:
    """Of a folder of weights the file that is to be read; of torch.distributed's folders, and of a file, itself."""
    place = Path(path)
    if not place.is_dir():
        return path
    try:
        names = sorted(p.name for p in place.iterdir())
    except OSError as error:
        raise UserError(f"{at} cannot be opened: {error.strerror}") from error
    hub = next((name for name in HUB if name in names), None)
    if hub:
        return str(place / hub)
    if ".metadata" in names or {"data.pkl", "data"} <= set(names):
        return path
    _check_folder(place, names, at)
    weights = [name for name in names if _looks_like_weights(name) and (place / name).is_file()]
    if len(weights) != 1:
        held = (
            f"files of weights: {some(weights, 6)}" if weights else f"no file of weights ({some(names, 4) or 'empty'})"
        )
        raise UserError(f"{at} is a directory with {held}. Write the path of one file")
    return str(place / weights[0])


def content(path: str, at: str):
    """What the file at ``path`` holds, or a folder that ``chosen`` left: containers, numbers, tensors, stand-ins.

    Arrays of numpy are tensors then. at: whose file it is, for messages. Raises UserError that says what the file seems
    to be, and where there is a way to convert it, the lines that do.
    """
    try:
        if Path(path).is_dir():
            folder = Path(path)
            return with_arrays((_distributed if (folder / ".metadata").is_file() else _unpacked)(folder, at))
        with open(path, "rb") as file:
            return with_arrays(_opened(file, path, at))
    except Hostile as error:
        raise UserError(
            f"{at} would run {error} when opened the usual way, which no weights need. It was not opened; do not "
            "open it elsewhere unless you know who made it"
        ) from None
    except OSError as error:
        raise UserError(f"{at} cannot be opened: {error.strerror or error}") from error
    except UserError:
        raise
    except Exception as error:  # arrays whose bytes do not suffice for their shape, and what else damage does
        raise _damaged(at, error) from error


def refused(why: str, path: str, *lines: str) -> UserError:
    """lines: the program that writes ``converted(path)``."""
    return UserError(f"{why}. Where you trust it, convert it once in Python:{_pasted(path, *lines)}")


def _pasted(path: str, *lines: str) -> str:
    """Lines of Python, on their own, so that they can be pasted, and what to write into the config then."""
    written = yaml.safe_dump({"checkpoint": converted(path)}, width=float("inf"), allow_unicode=True).strip()
    return "\n\n" + "\n".join(lines) + f"\n\nThen write  {written}"


def converted(path: str) -> str:
    """The path of the plain state dict that is made of the file at ``path``."""
    return str(Path(path).with_suffix(".weights.pt"))


def some(names: Iterable[str], most: int) -> str:
    names = list(names)
    return ", ".join(names[:most]) + (f", … ({len(names)} in all)" if len(names) > most else "")


def first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]


def _damaged(at: str, error: Exception) -> UserError:
    return UserError(f"{at} is damaged, incomplete or no checkpoint ({first_line(error)}). Copy or download it again")


# ---------------------------------------------------------------------------------------------------------- files


def _opened(file: BinaryIO, path: str, at: str, inside: bool = False):
    """What an open file holds. path: its name. inside: it was in an archive, and is not on the disk."""
    head = file.read(4096)
    file.seek(0)
    if not inside and (archive := _archive(file, head)):
        return _only_member(archive, head, path, at)
    foreign = _foreign(head, path)
    if foreign:
        raise UserError(f"{at} {foreign}")
    if head.startswith(b"PK\3\4"):
        return _zip(file, path, at, inside)
    if head.startswith(b"\x93NUMPY"):
        return _npy(file, at)
    if not inside and head.lstrip()[:1] == b"{" and b'"weight_map"' in file.read(1 << 16):
        return _shards(Path(path), at)
    file.seek(0)
    if path.endswith(".safetensors") or head[8:9] == b"{":
        return _safetensors(file, at)
    if _OLD_FORMAT in head[:16]:
        return _torch_load(file, path, at, file)
    if head[257:262] == b"ustar" and head[:100].rstrip(b"\0") in (b"sys_info", b"pickle", b"storages", b"tensors"):
        load = f"content = torch.load({path!r}, map_location='cpu', weights_only=False)"
        why = f"{at} is a tar archive as torch.save wrote them before 2017, which only a full unpickling opens"
        raise refused(why, path, "import torch", load, f"torch.save(content, {converted(path)!r})")
    if head[:1] in (b"\x80", b"}", b"]") or _protocol_0(head.decode("latin1")):  # newer pickles, and older ones
        return _pickle(file, path, at)
    raise _damaged(at, ValueError("its beginning is of no known kind"))


def _foreign(head: bytes, path: str) -> str | None:
    """What a file that begins like this is instead of a checkpoint, in words."""
    if not head:
        return "is empty"
    if head.startswith(b"version https://git-lfs"):
        return "is a Git LFS pointer, not the weights themselves: run git lfs pull in that folder"
    for start, words in _FOREIGN:
        if head.startswith(start):
            return words
    if head[4:8] == b"TFL3":
        return f"is a TensorFlow Lite model, a compiled network; {_OTHER}"
    suffix = Path(path).suffix.lower()
    signed = head[:1] == b"\x08" and (b"pytorch" in head[:64] or b"onnx" in head[:256])
    if signed or suffix == ".onnx" and head[:1] in (b"\x08", b"\x0a"):
        return _onnx(path)
    if not head.strip(b"\0"):
        return "begins with nothing but zeros, like a download that was broken off. Copy or download it again"
    if b"\0" not in head:
        try:
            text = codecs.getincrementaldecoder("utf-8")().decode(head).strip()
        except UnicodeDecodeError:
            text = ""
        if text.startswith("<?xml") and "<net" in text:
            return f"is an OpenVINO network; {_OTHER}"
        if text.startswith("<"):
            return "is a web page, not the weights: perhaps the server's error or login page. Download it again"
        if text and '"weight_map"' not in text and not _protocol_0(text):
            return f"is a text that begins {text[:30]!r}, no checkpoint"
    if suffix in _BY_SUFFIX and head[:4] != b"PK\3\4" and head[:1] != b"\x80":
        return f"is {_BY_SUFFIX[suffix]}; {_OTHER}"
    return None


def _protocol_0(text: str) -> bool:
    """Whether a text is a pickle of the oldest kind, which is written in letters."""
    return re.match(r"\([dlt(IFLNSVc]|c[\w.]+\n[\w.]+\n", text) is not None


def _onnx(path: str) -> str:
    """What to do about a file of ONNX."""
    lines = _pasted(
        path,
        "import onnx, torch",
        "from onnx.numpy_helper import to_array",
        f"tensors = onnx.load({path!r}).graph.initializer",
        f"torch.save({{t.name: torch.tensor(to_array(t)) for t in tensors}}, {converted(path)!r})",
    )
    return (
        f"is an ONNX graph; {_OTHER}. Best give the PyTorch file that it was exported from: an export often folds "
        "batch normalisation into the convolutions and renames them, and then no network fits. Else convert it, with "
        f"the package onnx (pip install onnx):{lines}"
    )


def _zip(file: BinaryIO, path: str, at: str, inside: bool):
    try:
        with zipfile.ZipFile(file) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, struct.error) as error:
        raise UserError(f"{at} is incomplete: the end is missing. Copy or download it again") from error
    save = f"torch.save(net.state_dict(), {converted(path)!r})"
    if _member(names, "constants.pkl"):
        load = f"net = torch.jit.load({path!r}, map_location='cpu')"
        raise refused(
            f"{at} is a TorchScript archive, which is a program, so cnnviz does not open it", path, "import torch",
            load, save,
        )  # fmt: skip
    if any(name.endswith(("models/model.json", "serialized_exported_program.json")) for name in names):
        load, save = f"net = torch.export.load({path!r})", f"torch.save(net.state_dict, {converted(path)!r})"
        why = f"{at} is an archive of torch.export, which is a program, so cnnviz does not open it"
        raise refused(why, path, "import torch", load, save)
    if any(name.endswith("model.weights.h5") for name in names):
        raise UserError(f"{at} is a Keras model; {_OTHER}")
    if any(name.endswith(".npy") for name in names):
        return _npz(file, at)
    if _member(names, "data.pkl"):
        file.seek(0)
        # torch.load goes by that suffix, and we by the content
        return _torch_load(file, path, at, file if inside or path.endswith(".safetensors") else path)
    raise UserError(f"{at} is a zip archive without weights ({some(names, 2)}); if they are inside, unpack it")


def _torch_load(file: BinaryIO, path: str, at: str, source: BinaryIO | str):
    """What torch.save left. source: the path, where the file can be mapped into memory; else the open file."""
    zipped = _OLD_FORMAT not in file.read(32)
    file.seek(0)
    try:
        named = _named(file, zipped)
    except Exception as error:  # whatever a damaged pickle makes pickletools and zipfile raise
        raise _damaged(at, error) from error
    hostile = [name for name in named if HOSTILE.fullmatch(name)]
    if hostile:
        raise Hostile(hostile[0])
    stand_ins = [(stand_in(name), name) for name in named]
    file.seek(0)
    try:
        if zipped and any(name.endswith(("DTensor", "ShardedTensor")) for name in named):  # torch would want a group
            return _zip_pickle(file)
        with torch.serialization.safe_globals(stand_ins):
            return torch.load(source, map_location="cpu", weights_only=True, mmap=isinstance(source, str))
    except Exception as error:  # whatever a damaged file makes torch raise
        if zipped:
            try:
                return _zip_pickle(file)
            except Hostile:
                raise
            except Exception:  # the same
                raise _damaged(at, error) from error
        if not isinstance(error, pickle.UnpicklingError):
            raise _damaged(at, error) from error
        # models and parts of some in the old format
        why = f"{at} holds more than plain data, or is damaged"
        if any(name.startswith("torch.nn.modules.") for name in named):
            why = f"{at} holds a whole pickled model or parts of one (class {_class_of(named)})"
        load = f"net = torch.load({path!r}, map_location='cpu', weights_only=False)"
        state = "net.state_dict() if hasattr(net, 'state_dict') else net"
        why = f"{why}, so cnnviz does not open it"
        raise refused(why, path, "import torch", load, f"torch.save({state}, {converted(path)!r})") from error


def _zip_pickle(file: BinaryIO):
    """What torch's own reader of plain data refuses: newer protocols, subclasses of containers, parts of tensors."""
    with zipfile.ZipFile(file) as archive:
        pickled = _member(archive.namelist(), "data.pkl")
        top = pickled.removesuffix("data.pkl")
        return Reader(io.BytesIO(archive.read(pickled)), lambda key: archive.read(f"{top}data/{key}")).load()


def _pickle(file: BinaryIO, path: str, at: str):
    """What Python's pickle left: networks of detectron2 and of PaddlePaddle, arrays of other tools."""
    reader = Reader(file)
    try:
        return reader.load()
    except Hostile:
        raise
    except Exception as error:  # whatever a damaged pickle makes the reader raise
        if any(name.startswith("joblib.") for name in reader.named):
            load = f"content = joblib.load({path!r})"
            why = f"{at} is of joblib, and opening one can run code, so cnnviz does not open it"
            raise refused(
                why, path, "import joblib, torch", load, f"torch.save(content, {converted(path)!r})"
            ) from error
        raise _damaged(at, error) from error


def _safetensors(file: BinaryIO, at: str):
    from safetensors.torch import load, load_file

    try:
        return load_file(file.name) if isinstance(getattr(file, "name", None), str) else load(file.read())
    except Exception as error:  # safetensors has its own exception classes, and lets others through
        raise _damaged(at, error) from error


def _shards(index: Path, at: str):
    """Of an index of Hugging Face: all tensors of the files that it names, which lie beside it."""
    state = {}
    for name in parts(str(index))[1:]:
        if not Path(name).is_file():
            raise UserError(f"{at} is an index; {name}, which it names, is not there")
        made = content(name, f"{at}, {Path(name).name}")
        state |= made if isinstance(made, dict) else {}
    return state


def _npz(file: BinaryIO, at: str):
    file.seek(0)
    try:
        with np.load(file, allow_pickle=False) as arrays:
            made = {name: arrays[name] for name in arrays.files}
    except Exception as error:  # arrays of objects, or a damaged file
        raise UserError(f"{at} is a NumPy archive (.npz) with more than numbers ({first_line(error)})") from error
    return {name: as_tensor(array) for name, array in made.items() if array.dtype.kind in "fiubc"}


def _npy(file: BinaryIO, at: str):
    """A NumPy array; of objects, as numpy.save makes it of a dict, what is in it."""
    try:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        _, _, kind = read(file)
        held = list(objects(Reader(file).load())) if kind.hasobject else []
    except Hostile:
        raise
    except Exception as error:
        raise _damaged(f"{at}, a NumPy array,", error) from error
    if len(held) == 1:
        return held[0]
    raise UserError(f"{at} is a NumPy array, no state dict")


def _named(file: BinaryIO, zipped: bool) -> list[str]:
    """Dotted names of all classes and functions that a ``torch.save`` file asks for, in order, read without running."""
    found = {}

    def note(stream) -> None:
        for operation, argument, _ in pickletools.genops(stream):
            if operation.name == "GLOBAL":
                module, name = argument.split(" ", 1)
                module, name = NAME_MAPPING.get((module, name), (IMPORT_MAPPING.get(module, module), name))
                found[f"{module}.{name}"] = None

    if zipped:
        with zipfile.ZipFile(file) as archive:
            note(archive.read(_member(archive.namelist(), "data.pkl")))
    else:
        for _ in range(4):  # the old format: magic number, protocol, system, and then what was saved
            note(file)
    return list(found)


def _member(names: Iterable[str], wanted: str) -> str | None:
    return next((name for name in names if name.count("/") == 1 and name.endswith(f"/{wanted}")), None)


def _class_of(named: Iterable[str]) -> str:
    """The likeliest class of a pickled model: the first that a file names and that is the user's own."""
    own = [n for n in named if not n.startswith(("torch.", "collections.", "builtins.", "numpy.", "argparse."))]
    return next(iter(own or [n for n in named if n.startswith("torch.nn.modules.")]))


# ------------------------------------------------------------------------------------------- archives and folders


def _archive(file: BinaryIO, head: bytes) -> dict | None:
    """Name → a function that reads it, where the file is a tar, a compressed file, or a zip of other files."""
    packed = next((opener for start, (opener, _) in _PACKED.items() if head.startswith(start)), None)
    if packed or head[257:262] == b"ustar":
        try:
            with tarfile.open(fileobj=file, mode="r:*") as archive:
                found = {m.name: m for m in archive.getmembers() if m.isfile()}
            if {"storages", "tensors", "pickle"} <= {Path(name).name for name in found}:
                return None
        except (tarfile.TarError, OSError, EOFError, lzma.LZMAError, ValueError):
            found = None
        file.seek(0)
        if found is None:
            return {"": lambda: packed(file).read()} if packed else None
        return {name: lambda m=member: _of_tar(file, m) for name, member in found.items()}
    if head.startswith(b"PK\3\4"):
        try:
            with zipfile.ZipFile(file) as archive:
                names = archive.namelist()
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, struct.error):
            file.seek(0)
            return None
        file.seek(0)
        weights = [name for name in names if _looks_like_weights(name)]
        of_torch = any(name.endswith(("/data.pkl", ".npy", "models/model.json", "/constants.pkl")) for name in names)
        return (
            {name: lambda n=name: zipfile.ZipFile(file).read(n) for name in names} if weights and not of_torch else None
        )
    return None


def _of_tar(file: BinaryIO, member: tarfile.TarInfo) -> bytes:
    file.seek(0)
    with tarfile.open(fileobj=file, mode="r:*") as archive:
        return archive.extractfile(member).read()


def _looks_like_weights(name: str) -> bool:
    last = Path(name).name
    return last.endswith(SUFFIXES) and not last.startswith((".", "_", *_BESIDE))


def _only_member(archive: dict, head: bytes, path: str, at: str):
    """What the one file of weights in an archive holds."""
    names = [name for name in archive if not name or _looks_like_weights(name)]
    if len(names) != 1:
        held = f"files of weights: {some(names, 6)}" if names else f"no file of weights ({some(archive, 3)})"
        raise UserError(f"{at} is an archive with {held}. Unpack it, and write the path of one of them")
    inner = Path(names[0] or path.removesuffix(Path(path).suffix)).name
    try:
        made = archive[names[0]]()
    except (OSError, EOFError, zlib.error, lzma.LZMAError, tarfile.TarError, zipfile.BadZipFile) as error:
        kind = next((name for start, (_, name) in _PACKED.items() if head.startswith(start)), "an archiver")
        raise _damaged(f"{at}, compressed with {kind},", error) from error
    try:
        return _opened(io.BytesIO(made), inner, at, inside=True)
    except UserError as error:
        raise UserError(
            f"{at} is packed, and what is in it ({inner}) is not read from there. Unpack it first"
        ) from error


def _check_folder(folder: Path, names: list[str], at: str) -> None:
    """Raise UserError where a folder is known to be of other tools."""
    if "zero_to_fp32.py" in names:
        made = f"{folder}.weights"
        raise UserError(
            f"{at} is a folder of DeepSpeed. Convert it with its own script:\n\n"
            f"python {shlex.quote(str(folder / 'zero_to_fp32.py'))} {shlex.quote(str(folder))} {shlex.quote(made)}\n\n"
            f"Then write  checkpoint: {made}"
        )
    if "checkpoint" in names and any(name.endswith(".index") for name in names):
        raise UserError(f"{at} is a TensorFlow checkpoint; {_OTHER}")
    for sign, words in _FOLDERS.items():
        if sign in names:
            raise UserError(f"{at} is {words}; {_OTHER}")


def _unpacked(folder: Path, at: str):
    """What a file of torch.save holds that a browser has unpacked."""
    try:
        with open(folder / "data.pkl", "rb") as file:
            return Reader(file, lambda key: (folder / "data" / Path(key).name).read_bytes()).load()
    except Hostile:
        raise
    except Exception as error:
        raise _damaged(at, error) from error


def _distributed(folder: Path, at: str) -> dict:
    """The tensors of a checkpoint of torch.distributed (FSDP), put together from what each process wrote."""
    try:
        with open(folder / ".metadata", "rb") as file:
            known = Reader(file).load().attributes
        state, paths = {}, known.get("planner_data") or {}
        tensors = {
            name: meta.attributes for name, meta in known["state_dict_metadata"].items() if "size" in meta.attributes
        }
        for key, stored in known["storage_data"].items():
            name, offset = key.attributes["fqn"], key.attributes.get("offset")
            steps = [str(step) for step in paths.get(name, (name,))]
            if name not in tensors or "optim" in steps[0].lower():
                continue
            part = _slice(folder, stored.attributes)
            node = state
            for step in steps[:-1]:
                node = node.setdefault(step, {})
            whole = node.setdefault(steps[-1], torch.empty(tuple(tensors[name]["size"]), dtype=part.dtype))
            place = tuple(slice(o, o + n) for o, n in zip(offset or (), part.shape, strict=True)) if part.ndim else ...
            whole[place] = part
        return state
    except Hostile:
        raise
    except Exception as error:  # of another version, with compressed parts, or damaged
        made = converted(str(folder))
        lines = (
            "from torch.distributed.checkpoint.format_utils import dcp_to_torch_save",
            f"dcp_to_torch_save({str(folder)!r}, {made!r})",
        )
        why = f"{at} is a folder of torch.distributed that cnnviz cannot put together ({first_line(error)})"
        raise refused(why, str(folder), *lines) from error


def _slice(folder: Path, stored: dict) -> torch.Tensor:
    """One part of a tensor: a file of torch.save inside of a file."""
    if stored.get("transform_descriptors"):
        raise ValueError("its parts are compressed")
    with open(folder / Path(stored["relative_path"]).name, "rb") as file:
        file.seek(stored["offset"])
        return torch.load(io.BytesIO(file.read(stored["length"])), map_location="cpu", weights_only=True)
