"""Weights that lie in several files: which files these are, without opening weights (and without torch)."""

import json
from pathlib import Path

# In a folder of Hugging Face, in the order in which they are looked for.
HUB = ("model.safetensors.index.json", "pytorch_model.bin.index.json", "model.safetensors", "pytorch_model.bin")


def parts(path: str) -> list[str]:
    """The files that hold the weights at ``path``: itself, or those of a folder, or of an index of shards."""
    place = Path(path)
    if place.is_dir():
        chosen = next((place / name for name in HUB if (place / name).is_file()), None)
        return parts(str(chosen)) if chosen else sorted(str(p) for p in place.rglob("*") if p.is_file())
    if place.name.endswith(".index.json"):
        try:
            shards = set(json.loads(place.read_text("utf-8"))["weight_map"].values())
            return [path, *sorted(str(place.parent / Path(name).name) for name in shards)]
        except (OSError, ValueError, KeyError, AttributeError, TypeError):
            return [path]
    return [path]
