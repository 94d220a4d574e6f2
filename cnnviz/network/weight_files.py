"""Content of a weights file of any kind, read without running anything in it; or the reason why it is not opened.

``content`` opens torch.save's files (old and new), safetensors (also in shards), pickles and archives of numpy arrays,
one such file inside a zip, tar or compressed file, and the folders of Hugging Face and torch.distributed.
"""

import bz2
import gzip
import io
import lzma
import pickle
import pickletools
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

from cnnviz.errors import UserError
from cnnviz.network.pickles import HOSTILE, Hostile, Reader, as_tensor, objects, protocol_0, stand_in, with_arrays
from cnnviz.network.refusals import OTHER, check_folder, converted, damaged, first_line, foreign, refused, some
from cnnviz.network.shards import HUB, SUFFIXES, parts

_OLD_FORMAT = bytes.fromhex("8a0a6cfc9c46f9206aa85019")  # magic number of torch.save's old format, before zip archives
_PACKED = {b"\x1f\x8b": (gzip.open, "gzip"), b"BZh": (bz2.open, "bzip2"), b"\xfd7zXZ": (lzma.open, "xz")}
# Other files in folders of training runs.
_BESIDE = ("optimizer", "scheduler", "scaler", "rng_state", "random_states", "training_args", "sampler")


def chosen(path: str, at: str) -> str:
    """The file to read in a folder of weights; for torch.distributed's folders, and for a file, itself."""
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
    check_folder(place, names, at)
    weights = [name for name in names if _looks_like_weights(name) and (place / name).is_file()]
    if len(weights) != 1:
        held = (
            f"files of weights: {some(weights, 6)}" if weights else f"no file of weights ({some(names, 4) or 'empty'})"
        )
        raise UserError(f"{at} is a directory with {held}. Write the path of one file")
    return str(place / weights[0])


def content(path: str, at: str):
    """Content of the file at ``path``, or of a folder from ``chosen``: containers, numbers, tensors, stand-ins.

    numpy arrays are converted to tensors. at: the file's config key, for messages. Raises UserError that states what
    the file seems to be and, if possible, the lines that convert it.
    """
    try:
        if Path(path).is_dir():
            folder = Path(path)
            return with_arrays((_distributed if (folder / ".metadata").is_file() else _unpacked)(folder, at))
        with open(path, "rb") as file:
            return with_arrays(_opened(file, path, at))
    except Hostile as error:
        raise UserError(
            f"{at} would run {error} when unpickled, which weights never need. It was not opened; do not "
            "open it elsewhere unless you know who made it"
        ) from None
    except OSError as error:
        raise UserError(f"{at} cannot be opened: {error.strerror or error}") from error
    except UserError:
        raise
    except Exception as error:  # arrays with too few bytes for their shape, and other damage
        raise damaged(at, error) from error


# ---------------------------------------------------------------------------------------------------------- files


def _opened(file: BinaryIO, path: str, at: str, inside: bool = False):
    """Content of an open file. path: its name. inside: whether it is in an archive, and not on the disk."""
    head = file.read(4096)
    file.seek(0)
    if not inside and (archive := _archive(file, head)):
        return _only_member(archive, head, path, at)
    if words := foreign(head, path):
        raise UserError(f"{at} {words}")
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
    if head[:1] in (b"\x80", b"}", b"]") or protocol_0(head.decode("latin1")):  # newer pickles, and older ones
        return _pickle(file, path, at)
    raise damaged(at, ValueError("its start is of no known format"))


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
        raise UserError(f"{at} is a Keras model; {OTHER}")
    if any(name.endswith(".npy") for name in names):
        return _npz(file, at)
    if _member(names, "data.pkl"):
        file.seek(0)
        # torch.load reads the suffix, we read the content
        return _torch_load(file, path, at, file if inside or path.endswith(".safetensors") else path)
    raise UserError(f"{at} is a zip archive without weights ({some(names, 2)}); if they are inside, unpack it")


def _torch_load(file: BinaryIO, path: str, at: str, source: BinaryIO | str):
    """Content of a torch.save file. source: the path, if the file can be memory-mapped; else the open file."""
    zipped = _OLD_FORMAT not in file.read(32)
    file.seek(0)
    try:
        named = _named(file, zipped)
    except Exception as error:  # pickletools and zipfile raise anything for a damaged pickle
        raise damaged(at, error) from error
    hostile = [name for name in named if HOSTILE.fullmatch(name)]
    if hostile:
        raise Hostile(hostile[0])
    stand_ins = [(stand_in(name), name) for name in named]
    file.seek(0)
    try:
        spread = any(name.endswith(("DTensor", "ShardedTensor")) for name in named)
        if zipped and spread:  # torch would need a process group
            return _zip_pickle(file)
        with torch.serialization.safe_globals(stand_ins):
            return torch.load(source, map_location="cpu", weights_only=True, mmap=isinstance(source, str))
    except Exception as error:  # torch raises anything for a damaged file
        if zipped:
            try:
                return _zip_pickle(file)
            except Hostile:
                raise
            except Exception:  # the same
                raise damaged(at, error) from error
        if not isinstance(error, pickle.UnpicklingError):
            raise damaged(at, error) from error
        # models, and parts of models, in the old format
        why = f"{at} holds more than plain data, or is damaged"
        if any(name.startswith("torch.nn.modules.") for name in named):
            why = f"{at} holds a whole pickled model or parts of one (class {_class_of(named)})"
        load = f"net = torch.load({path!r}, map_location='cpu', weights_only=False)"
        state = "net.state_dict() if hasattr(net, 'state_dict') else net"
        why = f"{why}, so cnnviz does not open it"
        raise refused(why, path, "import torch", load, f"torch.save({state}, {converted(path)!r})") from error


def _zip_pickle(file: BinaryIO):
    """Content that torch's own reader refuses: newer protocols, subclasses of containers, parts of tensors."""
    with zipfile.ZipFile(file) as archive:
        pickled = _member(archive.namelist(), "data.pkl")
        top = pickled.removesuffix("data.pkl")
        return Reader(io.BytesIO(archive.read(pickled)), lambda key: archive.read(f"{top}data/{key}")).load()


def _pickle(file: BinaryIO, path: str, at: str):
    """Content of a Python pickle: networks of detectron2 and of PaddlePaddle, arrays of other tools."""
    reader = Reader(file)
    try:
        return reader.load()
    except Hostile:
        raise
    except Exception as error:  # the reader raises anything for a damaged pickle
        if any(name.startswith("joblib.") for name in reader.named):
            load = f"content = joblib.load({path!r})"
            why = f"{at} is a joblib file, and opening one can run code, so cnnviz does not open it"
            raise refused(
                why, path, "import joblib, torch", load, f"torch.save(content, {converted(path)!r})"
            ) from error
        raise damaged(at, error) from error


def _safetensors(file: BinaryIO, at: str):
    from safetensors.torch import load, load_file

    try:
        return load_file(file.name) if isinstance(getattr(file, "name", None), str) else load(file.read())
    except Exception as error:  # safetensors has its own exception classes, and also raises others
        raise damaged(at, error) from error


def _shards(index: Path, at: str):
    """All tensors of the files in a Hugging Face index, which are beside it."""
    state = {}
    for name in parts(str(index))[1:]:
        if not Path(name).is_file():
            raise UserError(f"{at} is an index; its file {name} is missing")
        made = content(name, f"{at}, {Path(name).name}")
        state |= made if isinstance(made, dict) else {}
    return state


def _npz(file: BinaryIO, at: str):
    file.seek(0)
    try:
        with np.load(file, allow_pickle=False) as arrays:
            made = {name: arrays[name] for name in arrays.files}
    except Exception as error:  # object arrays, or a damaged file
        raise UserError(f"{at} is a NumPy archive (.npz) with more than numbers ({first_line(error)})") from error
    return {name: as_tensor(array) for name, array in made.items() if array.dtype.kind in "fiubc"}


def _npy(file: BinaryIO, at: str):
    """A NumPy array; for an object array, as numpy.save makes it of a dict, its content."""
    try:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        _, _, kind = read(file)
        held = list(objects(Reader(file).load())) if kind.hasobject else []
    except Hostile:
        raise
    except Exception as error:
        raise damaged(f"{at}, a NumPy array,", error) from error
    if len(held) == 1:
        return held[0]
    raise UserError(f"{at} is a NumPy array, not a state dict")


def _named(file: BinaryIO, zipped: bool) -> list[str]:
    """Dotted names of all classes and functions that a ``torch.save`` file uses, in order, read without running."""
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
        for _ in range(4):  # the old format: magic number, protocol, system, and then the saved object
            note(file)
    return list(found)


def _member(names: Iterable[str], wanted: str) -> str | None:
    return next((name for name in names if name.count("/") == 1 and name.endswith(f"/{wanted}")), None)


def _class_of(named: Iterable[str]) -> str:
    """The likeliest class of a pickled model: the first one in the file that is the user's own."""
    own = [n for n in named if not n.startswith(("torch.", "collections.", "builtins.", "numpy.", "argparse."))]
    return next(iter(own or [n for n in named if n.startswith("torch.nn.modules.")]))


# ------------------------------------------------------------------------------------------- archives and folders


def _archive(file: BinaryIO, head: bytes) -> dict | None:
    """Name → a function that reads it, if the file is a tar, a compressed file, or a zip of other files."""
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
    """Content of the only file of weights in an archive."""
    names = [name for name in archive if not name or _looks_like_weights(name)]
    if len(names) != 1:
        held = f"files of weights: {some(names, 6)}" if names else f"no file of weights ({some(archive, 3)})"
        raise UserError(f"{at} is an archive with {held}. Unpack it, and write the path of one of them")
    inner = Path(names[0] or path.removesuffix(Path(path).suffix)).name
    try:
        made = archive[names[0]]()
    except (OSError, EOFError, zlib.error, lzma.LZMAError, tarfile.TarError, zipfile.BadZipFile) as error:
        kind = next((name for start, (_, name) in _PACKED.items() if head.startswith(start)), "an archiver")
        raise damaged(f"{at}, compressed with {kind},", error) from error
    try:
        return _opened(io.BytesIO(made), inner, at, inside=True)
    except UserError as error:
        raise UserError(
            f"{at} is an archive, and its content ({inner}) cannot be read from it. Unpack it first"
        ) from error


def _unpacked(folder: Path, at: str):
    """Content of a torch.save file that a browser has unpacked."""
    try:
        with open(folder / "data.pkl", "rb") as file:
            return Reader(file, lambda key: (folder / "data" / Path(key).name).read_bytes()).load()
    except Hostile:
        raise
    except Exception as error:
        raise damaged(at, error) from error


def _distributed(folder: Path, at: str) -> dict:
    """The tensors of a torch.distributed checkpoint (FSDP), joined from the parts of all processes."""
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
    except Exception as error:  # another version, compressed parts, or a damaged file
        made = converted(str(folder))
        lines = (
            "from torch.distributed.checkpoint.format_utils import dcp_to_torch_save",
            f"dcp_to_torch_save({str(folder)!r}, {made!r})",
        )
        why = f"{at} is a folder of torch.distributed that cnnviz cannot join ({first_line(error)})"
        raise refused(why, str(folder), *lines) from error


def _slice(folder: Path, stored: dict) -> torch.Tensor:
    """One part of a tensor: a file of torch.save inside a file."""
    if stored.get("transform_descriptors"):
        raise ValueError("its parts are compressed")
    with open(folder / Path(stored["relative_path"]).name, "rb") as file:
        file.seek(stored["offset"])
        return torch.load(io.BytesIO(file.read(stored["length"])), map_location="cpu", weights_only=True)
