"""Refuses files and folders of weights that are not opened: what they are, and how to convert them if possible."""

import codecs
import shlex
from collections.abc import Iterable
from pathlib import Path

import yaml

from cnnviz.errors import UserError
from cnnviz.network.pickles import protocol_0

OTHER = "cnnviz reads PyTorch networks"
_FOREIGN = (
    (b"\x89HDF\r\n", f"is an HDF5 file (of Keras or MATLAB?), not a PyTorch state dict; {OTHER}"),
    (b"GGUF", "is a GGUF file, not a PyTorch state dict"),
    (b"MATLAB 5.0", f"is a MATLAB file, not a PyTorch state dict; {OTHER}"),
    (b"ftrt", f"is a TensorRT engine, a compiled program; {OTHER}: give the file that it was made from"),
    (b"ptrt", f"is a TensorRT engine, a compiled program; {OTHER}: give the file that it was made from"),
    (b"\x89PNG", "is a picture"),
    (b"\xff\xd8\xff", "is a picture"),
    (b"7z\xbc\xaf", "is a 7z archive: unpack it first"),
    (b"Rar!", "is a RAR archive: unpack it first"),
)
# Formats without a signature at their start.
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
_FOLDERS = {  # folders by the name of a file in them
    "saved_model.pb": "a TensorFlow SavedModel",
    "Manifest.json": "a Core ML package",
    "_METADATA": "an Orbax checkpoint of JAX",
    "manifest.ocdbt": "an Orbax checkpoint of JAX",
    "_CHECKPOINT_METADATA": "an Orbax checkpoint of JAX",
}


def foreign(head: bytes, path: str) -> str | None:
    """What a file with this start is instead of a checkpoint, in words."""
    if not head:
        return "is empty"
    if head.startswith(b"version https://git-lfs"):
        return "is a Git LFS pointer, not the weights themselves: run git lfs pull in that folder"
    for start, words in _FOREIGN:
        if head.startswith(start):
            return words
    if head[4:8] == b"TFL3":
        return f"is a TensorFlow Lite model, a compiled network; {OTHER}"
    suffix = Path(path).suffix.lower()
    signed = head[:1] == b"\x08" and (b"pytorch" in head[:64] or b"onnx" in head[:256])
    if signed or suffix == ".onnx" and head[:1] in (b"\x08", b"\x0a"):
        return _onnx(path)
    if not head.strip(b"\0"):
        return "starts with zeros only, as after an interrupted download. Copy or download it again"
    if b"\0" not in head:
        try:
            text = codecs.getincrementaldecoder("utf-8")().decode(head).strip()
        except UnicodeDecodeError:
            text = ""
        if text.startswith("<?xml") and "<net" in text:
            return f"is an OpenVINO network; {OTHER}"
        if text.startswith("<"):
            return "is a web page, not the weights: perhaps the server's error or login page. Download it again"
        if text and '"weight_map"' not in text and not protocol_0(text):
            return f"is a text that starts with {text[:30]!r}, not a checkpoint"
    if suffix in _BY_SUFFIX and head[:4] != b"PK\3\4" and head[:1] != b"\x80":
        return f"is {_BY_SUFFIX[suffix]}; {OTHER}"
    return None


def _onnx(path: str) -> str:
    """Advice for an ONNX file."""
    lines = _pasted(
        path,
        "import onnx, torch",
        "from onnx.numpy_helper import to_array",
        f"tensors = onnx.load({path!r}).graph.initializer",
        f"torch.save({{t.name: torch.tensor(to_array(t)) for t in tensors}}, {converted(path)!r})",
    )
    return (
        f"is an ONNX graph; {OTHER}. Best give the PyTorch file that it was exported from: an export often folds "
        "batch normalisation into the convolutions and renames them, and then no network fits. Else convert it, with "
        f"the package onnx (pip install onnx):{lines}"
    )


def check_folder(folder: Path, names: list[str], at: str) -> None:
    """Raises UserError for a folder of another tool."""
    if "zero_to_fp32.py" in names:
        made = f"{folder}.weights"
        raise UserError(
            f"{at} is a folder of DeepSpeed. Convert it with its own script:\n\n"
            f"python {shlex.quote(str(folder / 'zero_to_fp32.py'))} {shlex.quote(str(folder))} {shlex.quote(made)}\n\n"
            f"Then write  checkpoint: {made}"
        )
    if "checkpoint" in names and any(name.endswith(".index") for name in names):
        raise UserError(f"{at} is a TensorFlow checkpoint; {OTHER}")
    for sign, words in _FOLDERS.items():
        if sign in names:
            raise UserError(f"{at} is {words}; {OTHER}")


def refused(why: str, path: str, *lines: str) -> UserError:
    """lines: the program that writes ``converted(path)``."""
    return UserError(f"{why}. Where you trust it, convert it once in Python:{_pasted(path, *lines)}")


def _pasted(path: str, *lines: str) -> str:
    """Lines of Python in a block of their own, to be pasted, and the config line that follows."""
    written = yaml.safe_dump({"checkpoint": converted(path)}, width=float("inf"), allow_unicode=True).strip()
    return "\n\n" + "\n".join(lines) + f"\n\nThen write  {written}"


def converted(path: str) -> str:
    """Path of the plain state dict that is converted from the file at ``path``."""
    return str(Path(path).with_suffix(".weights.pt"))


def some(names: Iterable[str], most: int) -> str:
    names = list(names)
    return ", ".join(names[:most]) + (f", … ({len(names)} in all)" if len(names) > most else "")


def first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]


def damaged(at: str, error: Exception) -> UserError:
    return UserError(f"{at} is damaged, incomplete or no checkpoint ({first_line(error)}). Copy or download it again")
