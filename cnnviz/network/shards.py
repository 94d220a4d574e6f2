"""Weights in several files: their paths, without opening weights (and without torch)."""

import json
import os
from pathlib import Path

# Names in a Hugging Face folder, in the order of the search.
HUB = ("model.safetensors.index.json", "pytorch_model.bin.index.json", "model.safetensors", "pytorch_model.bin")
SUFFIXES = (".safetensors", ".pt", ".pth", ".ckpt", ".bin", ".pkl", ".pickle", ".npz", ".th", ".tar", ".pdparams")


def parts(path: str) -> list[str]:
    """The files with the weights at ``path``: itself, or those of a folder, or of an index of shards."""
    place = Path(path)
    if os.path.isdir(path):  # unlike Path.is_dir it accepts any text, even very long ones
        chosen = next((place / name for name in HUB if (place / name).is_file()), None)
        return parts(str(chosen)) if chosen else sorted(_inside(path))
    if place.name.endswith(".index.json"):
        try:
            shards = set(json.loads(place.read_text("utf-8"))["weight_map"].values())
            return [path, *sorted(str(place.parent / Path(name).name) for name in shards)]
        except (OSError, ValueError, KeyError, AttributeError, TypeError):
            return [path]
    return [path]


def _inside(folder: str) -> list[str]:
    """The files of weights in a folder: all of torch.distributed's, and of an unpacked file of torch.save.

    A folder that is given by mistake may hold anything, even the whole disk. So nothing else is searched.
    """
    try:
        with os.scandir(folder) as entries:
            files = [entry.name for entry in entries if os.path.isfile(entry.path)]
    except OSError:
        return []
    whole = {".metadata", "data.pkl"} & set(files)
    found = [os.path.join(folder, name) for name in files if whole or name.lower().endswith(SUFFIXES)]
    return found + (_inside_data(os.path.join(folder, "data")) if "data.pkl" in files else [])


def _inside_data(folder: str) -> list[str]:
    return [os.path.join(folder, name) for name in os.listdir(folder)] if os.path.isdir(folder) else []
