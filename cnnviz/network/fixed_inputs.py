"""Networks whose forward takes more than the picture: everything else is fixed by ``inputs:`` of the model's block.

A hook on the network adds the fixed values to every call, so everybody else calls ``net(pictures)``. A tensor is given
without the dimension of the batch and repeated for each picture.
"""

import inspect
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from cnnviz.errors import UserError, unknown
from cnnviz.images import ImageSet, Picture

PICTURE = "picture"
_FILLED = {"zeros": torch.zeros, "ones": torch.ones}
_PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".gif")


class OfModel:
    """A fixed picture, which has to be prepared as the model's others are: see :func:`prepare`."""

    def __init__(self, path: str):
        self.path = path
        self.tensor: Tensor | None = None


def beside(net: nn.Module, given: dict | list | None, where: str) -> None:
    """Have every call of ``net`` also pass what ``given``, the block ``inputs:``, fixes.

    Raises UserError where it does not fit the network's forward.
    """
    if given is None:
        return _alone(net, where)
    by_name = given if isinstance(given, dict) else {}
    by_place = given if isinstance(given, list) else []
    values = {name: _value(value, f"{where}: inputs.{name}") for name, value in by_name.items()}
    places = [_value(value, f"{where}: inputs.{i}") for i, value in enumerate(by_place)]
    if sum(value is PICTURE for value in (*values.values(), *places)) > 1:
        raise UserError(f"{where}: inputs: the picture can stand in one place only")
    if by_place and not any(value is PICTURE for value in places):
        places.insert(0, PICTURE)
    _check(net, places, values, where)

    def hook(module, args: tuple, kwargs: dict):
        picture = args[0] if args else kwargs.pop(next(iter(kwargs)))
        new = [_of(value, picture) for value in places]
        named = {name: _of(value, picture) for name, value in values.items()}
        first = () if new or any(value is PICTURE for value in values.values()) else (picture,)
        return (*first, *new), named

    net.register_forward_pre_hook(hook, with_kwargs=True)
    net.fixed_pictures = [value for value in (*places, *values.values()) if isinstance(value, OfModel)]
    return None


def prepare(net: nn.Module, prepared) -> None:
    """Read the fixed pictures. prepared: a picture → what the network takes of it, (1, c, h, w)."""
    for fixed in getattr(net, "fixed_pictures", ()):
        alone = ImageSet({"kind": "folder", "path": ""}, (Picture(fixed.path, fixed.path, None, 0, 0),), (), ())
        fixed.tensor = prepared(alone.pixels(0))


def _of(value, picture: Tensor):
    """A fixed value for as many pictures as there are, on their device."""
    if value is PICTURE:
        return picture
    if isinstance(value, OfModel):
        value = picture[0] * 0 if value.tensor is None else value.tensor[0]
    if not isinstance(value, Tensor):
        return value
    value = value.to(picture.device, picture.dtype if value.is_floating_point() else None)
    return value.expand(len(picture), *value.shape)


def _value(given, where: str):
    if given is None or isinstance(given, bool | int | float) or given == PICTURE:
        return PICTURE if given == PICTURE else given
    if isinstance(given, dict):
        (name, shape), *more = given.items() or [("", None)]
        if name not in _FILLED or more or not _sizes(shape):
            raise UserError(f"{where}: {given} is neither {{zeros: [sizes]}} nor {{ones: [sizes]}}")
        return _FILLED[name](*shape) if shape else _FILLED[name](())
    if isinstance(given, list):
        try:
            return torch.tensor(given, dtype=torch.float32)
        except (TypeError, ValueError) as error:
            raise UserError(f"{where}: the list is no table of numbers: {error}") from error
    return _file(given, where)


def _sizes(shape) -> bool:
    return isinstance(shape, list) and all(isinstance(size, int) and size > 0 for size in shape)


def _file(path: str, where: str):
    suffix = Path(path).suffix.lower()
    if suffix in _PICTURES:
        return OfModel(path)
    try:
        if suffix == ".npy":
            return torch.from_numpy(np.load(path, allow_pickle=False))
        if suffix in (".pt", ".pth"):
            loaded = torch.load(path, map_location="cpu", weights_only=True)
            if isinstance(loaded, Tensor):
                return loaded
            raise ValueError(f"it holds a {type(loaded).__name__}")
    except Exception as error:  # of a damaged file the readers say many different things
        raise UserError(f"{where}: {path} is no file with one tensor: {error}") from error
    raise UserError(f"{where}: {path} is neither .npy, .pt nor a picture ({', '.join(_PICTURES)})")


def _alone(net: nn.Module, where: str) -> None:
    """Raise UserError where the forward asks for more than the picture."""
    needed = [
        p.name for p in _parameters(net) if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
    ]
    if len(needed) > 1:
        first, *others = needed
        block = ", ".join(f"{name}: {{zeros: [N]}}" for name in others)
        raise UserError(
            f"{where}: its forward takes {', '.join(needed)}. One picture goes in, as {first}; fix the others in the "
            f"model's block, inputs: {{{block}}}, or by a file (.npy, .pt, or a picture where it compares two)"
        )


def _check(net: nn.Module, places: Sequence, values: dict, where: str) -> None:
    """Raise UserError for a name that forward does not have."""
    known = _parameters(net)
    names = [p.name for p in known if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD, p.POSITIONAL_ONLY)]
    if known and not any(p.kind == p.VAR_KEYWORD for p in known):
        for name in values:
            if name not in names:
                raise unknown(f"{where}: inputs", name, names)


def _parameters(net: nn.Module) -> list[inspect.Parameter]:
    try:
        return list(inspect.signature(net.forward).parameters.values())
    except (TypeError, ValueError):  # compiled code
        return []
