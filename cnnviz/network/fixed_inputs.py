"""Networks whose forward takes more than the picture: ``inputs:`` of the model's block fixes all other inputs.

A hook on the network adds the fixed values to every call, so all other code calls ``net(pictures)``. A tensor is given
without the batch dimension and repeated for each picture.
"""

import inspect
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from cnnviz.errors import UserError, unknown
from cnnviz.pictures.images import ImageSet, Picture

PICTURE = "picture"
_FILLED = {"zeros": torch.zeros, "ones": torch.ones}
_PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".gif")


class FixedPicture:
    """A fixed picture, which is preprocessed like the model's others: see :func:`prepare`."""

    def __init__(self, path: str):
        self.path = path
        self.tensor: Tensor | None = None


def attach(net: nn.Module, given: dict | list | None, where: str) -> None:
    """Adds the fixed inputs of ``given``, the block ``inputs:``, to every call of ``net``.

    Raises UserError if they do not match the network's forward.
    """
    by_name = given if isinstance(given, dict) else {}
    by_place = given if isinstance(given, list) else []
    values = {name: _value(value, f"{where}: inputs.{name}") for name, value in by_name.items()}
    places = [_value(value, f"{where}: inputs.{i}") for i, value in enumerate(by_place)]
    if sum(value is PICTURE for value in (*values.values(), *places)) > 1:
        raise UserError(f"{where}: inputs: the picture can be in one place only")
    if by_place and not any(value is PICTURE for value in places):
        places.insert(0, PICTURE)
    if not places and not any(value is PICTURE for value in values.values()):
        values |= _picture_by_name(net, values)
    _check(net, places, values, where)
    if not places and not values:
        return

    def hook(module, args: tuple, kwargs: dict):
        picture = args[0] if args else kwargs.pop(next(iter(kwargs)))
        new = [_of(value, picture) for value in places]
        named = {name: _of(value, picture) for name, value in values.items()}
        first = () if new or any(value is PICTURE for value in values.values()) else (picture,)
        return (*first, *new), named

    net.register_forward_pre_hook(hook, with_kwargs=True)
    fixed = {str(name): v for name, v in (*enumerate(places), *values.items()) if isinstance(v, Tensor)}
    net.fixed_sizes = ", ".join(
        f"{name} of {' × '.join(map(str, v.shape)) or 'one number'}" for name, v in fixed.items()
    )
    net.fixed_pictures = [value for value in (*places, *values.values()) if isinstance(value, FixedPicture)]


def prepare(net: nn.Module | None, prepared) -> None:
    """Reads the fixed pictures. prepared: a picture → the network input, (1, c, h, w)."""
    # not by getattr: a network may accept any name
    for fixed in getattr(net, "__dict__", {}).get("fixed_pictures", ()):
        alone = ImageSet({"kind": "folder", "path": ""}, (Picture(fixed.path, fixed.path, None, 0, 0),), (), ())
        fixed.tensor = prepared(alone.pixels(0))


def _of(value, picture: Tensor):
    """A fixed value, repeated for each picture, on the pictures' device."""
    if value is PICTURE:
        return picture
    if isinstance(value, FixedPicture):
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
            raise UserError(f"{where}: the list is not a table of numbers: {error}") from error
    return _file(given, where)


def _sizes(shape) -> bool:
    return isinstance(shape, list) and all(isinstance(size, int) and size > 0 for size in shape)


def _file(path: str, where: str):
    suffix = Path(path).suffix.lower()
    if suffix in _PICTURES:
        return FixedPicture(path)
    try:
        if suffix == ".npy":
            return torch.from_numpy(np.load(path, allow_pickle=False))
        if suffix in (".pt", ".pth"):
            loaded = torch.load(path, map_location="cpu", weights_only=True)
            if isinstance(loaded, Tensor):
                return loaded
            raise ValueError(f"it holds a {type(loaded).__name__}")
    except Exception as error:  # the readers raise anything for a damaged file
        raise UserError(f"{where}: {path} is not a file with one tensor: {error}") from error
    raise UserError(f"{where}: {path} is neither .npy, .pt nor a picture ({', '.join(_PICTURES)})")


def _picture_by_name(net: nn.Module, values: dict) -> dict:
    """{name: PICTURE} if forward takes the picture only by name and no other name is left for it; else {}."""
    known = _parameters(net)
    if any(p.kind is not p.KEYWORD_ONLY for p in known):
        return {}
    left = [p.name for p in known if p.default is p.empty and p.name not in values]
    return {left[0]: PICTURE} if len(left) == 1 else {}


def _check(net: nn.Module, places: Sequence, values: dict, where: str) -> None:
    """Raises UserError for a name that forward does not have, and for missing inputs."""
    known = _parameters(net)
    names = [p.name for p in known if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD, p.POSITIONAL_ONLY)]
    if known and not any(p.kind == p.VAR_KEYWORD for p in known):
        for name in values:
            if name not in names:
                raise unknown(f"{where}: inputs", name, names)
    by_place = [p.name for p in known if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    picture = any(value is PICTURE for value in values.values())
    filled = {*values, *by_place[: len(places) or (0 if picture else 1)]}
    needed = [p.name for p in known if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    missing = [name for name in needed if name not in filled]
    if not missing:
        return
    first = "" if by_place or picture else f"{missing.pop(0)}: picture, "
    block = ", ".join(f"{name}: {{zeros: [N]}}" for name in missing)
    one = f"One picture goes in, as {by_place[0]}; fix" if by_place and not values and not places else "Fix"
    raise UserError(
        f"{where}: its forward takes {', '.join(needed)}. {one} the others in the model's block, inputs: "
        f"{{{first}{block}}}, or by a file (.npy, .pt, or a picture where it compares two)"
    )


def _parameters(net: nn.Module) -> list[inspect.Parameter]:
    try:
        return list(inspect.signature(net.forward).parameters.values())
    except (TypeError, ValueError):  # compiled code
        return []
