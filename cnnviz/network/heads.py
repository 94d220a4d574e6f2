"""A known network with a replaced head or first convolution: finds the replacement by the file's shapes.

A file of weights states each layer's size, but not a convolution's stride or the modules between two layers (an
activation, a dropout). If the shapes suffice, ``adapt`` changes the network; else it says how to build it.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import nn

from cnnviz.errors import UserError
from cnnviz.network import name_matching


@dataclass(frozen=True)
class Change:
    """A replaced module.

    path: its name. module: the new one; None if the file does not determine it. source: Python code that makes it.
    words: the difference. doubt: what the file does not state, as a comment in the source. names: the file's name → the
    network's, if they differ. outputs: number of a head's outputs.
    """

    path: str
    module: nn.Module | None
    source: str
    words: str
    doubt: str
    names: dict[str, str]
    outputs: int | None = None


def adapt(
    net: nn.Module, state: dict[str, torch.Tensor], source: str, where: str, classes: int | None = None
) -> list[Change]:
    """Replaces the head or first convolution of ``net`` if ``state`` needs it; returns the changes.

    Names in ``state`` are changed to the network's, too. source: a line of Python that makes ``net``, for the message.
    classes: the config's number; a head of another number is not changed. Raises UserError with a factory to write if
    the shapes do not determine the network.
    """
    changes = _changes(net, state, classes)
    if any(change.module is None for change in changes):
        raise UserError(f"{where}: {_factory(changes, source)}")
    for change in changes:
        net.set_submodule(change.path, change.module)
        state |= {change.names[old]: state.pop(old) for old in change.names}
    return changes


def _changes(net: nn.Module, state: dict[str, torch.Tensor], classes: int | None) -> list[Change]:
    """Differences of ``state`` to ``net``, if only the first convolution and the head differ; else none."""
    own = {name: tuple(tensor.shape) for name, tensor in net.state_dict().items() if _counts(name)}
    match = name_matching.match_names(state, own)
    inside = {name: of for name, of in match.inside.items() if name in own or not name_matching.is_beside(name)}
    theirs = {name: tuple(state[original].shape) for name, original in inside.items() if _counts(name)}
    other = {n for n in own.keys() | theirs.keys() if own.get(n) != theirs.get(n)}
    if not other or 2 * sum(name in other for name in own) > len(own):
        return []
    first = next(((p, m) for p, m in net.named_modules() if isinstance(m, nn.Conv2d)), ("", None))
    last = next(((p, m) for p, m in reversed(list(net.named_modules())) if isinstance(m, nn.Linear)), ("", None))
    found = []
    of_stem = {name for name in other if first[0] and name.startswith(f"{first[0]}.")}
    if of_stem:
        found.append(
            _stem(*first, {n[len(first[0]) + 1 :]: s for n, s in theirs.items() if n.startswith(f"{first[0]}.")})
        )
    if other - of_stem:
        found.append(_head(net, *last, other - of_stem, theirs, inside, match, state) if last[0] else None)
        if found[-1] and classes not in (None, found[-1].outputs):
            return []
    return [] if None in found else found


def _counts(name: str) -> bool:
    return not name.endswith(("num_batches_tracked", "total_ops", "total_params", "n_averaged"))


# ---------------------------------------------------------------------------------------------- first convolution


def _stem(path: str, conv: nn.Conv2d, found: dict[str, tuple]) -> Change | None:
    """found: name after ``path`` → shape in the file."""
    shape, bias = found.get("weight", ()), "bias" in found
    if len(shape) != 4 or found.keys() - {"weight", "bias"}:
        return _deep_stem(path, found)
    if shape[0] != conv.out_channels or conv.groups != 1 or type(conv) is not nn.Conv2d:
        return None
    size, same = tuple(shape[2:]), tuple(shape[2:]) == conv.kernel_size
    stride, padding = (conv.stride, conv.padding) if same else ((1, 1), tuple(n // 2 for n in size))
    how = {"stride": _short(stride), "padding": _short(padding), "dilation": _short(conv.dilation) if same else 1}
    how = {key: value for key, value in how.items() if value != {"stride": 1, "padding": 0, "dilation": 1}[key]}
    how |= {} if bias else {"bias": False}
    sizes = (shape[1], shape[0], _short(size))
    source = f"nn.Conv2d({', '.join([*map(repr, sizes), *(f'{k}={v!r}' for k, v in how.items())])})"
    words = f"a first convolution of {shape[1]} channel{'s' * (shape[1] > 1)}" + (
        "" if same else f" and {size[0]} × {size[1]} pixels"
    )
    doubt = "" if same else "the file does not say the stride; is a pooling after it removed, too?"
    made = nn.Conv2d(shape[1], shape[0], size, stride, padding, conv.dilation, bias=bias) if same else None
    return Change(path, made, source, words, doubt, {})


def _deep_stem(path: str, found: dict[str, tuple]) -> Change | None:
    """Several layers instead of the first convolution; the file does not determine them."""
    layers = _layers(found)
    if layers is None or not any(kind == "Conv2d" for _, kind, _, _ in layers):
        return None
    source, doubt = _sequence(layers, ())
    return Change(path, None, source, "several layers instead of its first convolution", doubt or "strides?", {})


def _short(pair):
    """(3, 3) → 3."""
    return pair[0] if isinstance(pair, tuple) and len(set(pair)) == 1 else pair


# --------------------------------------------------------------------------------------------------------- heads


def _head(net, path: str, linear: nn.Linear, other: set[str], theirs, inside, match, state) -> Change | None:
    """The deepest module with all names of ``other``, built from the file's shapes.

    theirs: the network's name → shape in the file. inside: the network's name → the file's.
    """
    parts = path.split(".")
    places = [".".join(parts[:n]) for n in range(len(parts), 0, -1)]
    place = next((p for p in places if all(name.startswith(f"{p}.") for name in other)), None)
    there = {n: inside[n] for n in theirs if place and n.startswith(f"{place}.")}
    cut = len(place or "") + 1
    if not there:  # the head has another name, inside or outside the rest
        aside = {n: inside[n] for n in other if n in theirs} | {n: n for n in match.outside if _counts(n)}
        tops = {n.split(".")[0] for n in aside if not name_matching.is_beside(n) and not n.lower().startswith("proj")}
        place = next((p for p in places if all(n.startswith(f"{p}.") or n in aside for n in other)), None)
        if place is None or len(tops) != 1:
            return None
        there, cut = {n: o for n, o in aside.items() if n.split(".")[0] in tops}, len(tops.pop()) + 1
    layers = _layers({name[cut:]: tuple(state[original].shape) for name, original in there.items()})
    replaced = net.get_submodule(place)
    takes = next(m.in_features for m in replaced.modules() if isinstance(m, nn.Linear))
    if not layers or layers[-1][1] != "Linear" or not _chained(layers, takes) or _pools(replaced):
        return None
    flat = any(isinstance(module, nn.Flatten) for module in replaced.modules()) and replaced is not linear
    source, doubt = _sequence(layers, (nn.Flatten(1),) if flat else ())
    words = "a head of " + " and ".join(f"{kind}({', '.join(map(str, sizes))})" for _, kind, sizes, _ in layers)
    if doubt:
        return Change(place, None, source, words, doubt, {}, layers[-1][2][1])
    made = [getattr(nn, kind)(*sizes, **more) for _, kind, sizes, more in layers]
    alone = len(made) == 1 and not flat
    module = made[0] if alone else nn.Sequential(*([nn.Flatten(1)] if flat else []), *made)
    where = {layer: "" if alone else f".{i + flat}" for i, (layer, *_) in enumerate(layers)}
    names = {}
    for name, original in there.items():
        layer, _, last = name[cut:].rpartition(".")
        names[original] = f"{match.prefix}{place}{where[layer]}.{last}"
    names = {old: new for old, new in names.items() if old != new}
    return Change(place, module, source, words, "", names, layers[-1][2][1])


def _layers(found: dict[str, tuple]) -> list[tuple[str, str, tuple, dict]] | None:
    """(name, class in torch.nn, sizes, other arguments) of each layer with these names and shapes."""
    grouped: dict[str, dict[str, tuple]] = {}
    for name, shape in found.items():
        layer, _, last = name.rpartition(".")
        grouped.setdefault(layer, {})[last] = shape
    layers = []
    for layer, held in grouped.items():
        shape, bias = held.get("weight", ()), {} if "bias" in held else {"bias": False}
        if held.keys() <= {"weight", "bias"} and len(shape) == 2:
            layers.append((layer, "Linear", (shape[1], shape[0]), bias))
        elif held.keys() <= {"weight", "bias"} and len(shape) == 4 and shape[2] == shape[3]:
            layers.append((layer, "Conv2d", (shape[1], shape[0], shape[2]), {"padding": shape[2] // 2} | bias))
        elif held.keys() == {"weight", "bias", "running_mean", "running_var"}:
            layers.append((layer, "BatchNorm1d", shape, {}))
        elif held.keys() == {"weight", "bias"} and len(shape) == 1 and shape[0] > 1:
            layers.append((layer, "LayerNorm", shape, {}))
        else:
            return None
    return layers


def _chained(layers, width: int) -> bool:
    """Whether each layer's input size is the output size of the one before, the first one's ``width``."""
    for _, kind, sizes, _ in layers:
        if kind == "Conv2d" or sizes[0] != width:
            return False
        width = sizes[-1]
    return True


def _pools(module: nn.Module) -> bool:
    """Whether it does more than the layers and activations of a head, such as averaging over the picture."""
    return any(re.search("pool|conv", type(part).__name__, re.IGNORECASE) for part in module.modules())


def _sequence(layers, before: tuple[nn.Module, ...]) -> tuple[str, str]:
    """Python code that makes these layers under their names, and what the file does not state about them.

    Numbers in names tell how many modules without weights are between two layers, not which. Modules before the first
    layer, a dropout or a flattening, do not affect the output.
    """
    if "Conv2d" in [kind for _, kind, _, _ in layers]:
        layers = [(n, "BatchNorm2d" if kind == "BatchNorm1d" else kind, s, m) for n, kind, s, m in layers]
    made = [f"nn.{kind}({', '.join([*map(str, s), *(f'{k}={v}' for k, v in m.items())])})" for _, kind, s, m in layers]
    names = [name for name, *_ in layers]
    if len(layers) == 1:
        inner = made[0] if not before else f"nn.Sequential(nn.Flatten(1), {made[0]})"
        return (inner, "") if "Conv2d" not in layers[0][1] else (inner, "stride?")
    if not all(name.isdigit() for name in names):
        named = ", ".join(f"({name!r}, {source})" for name, source in zip(names, made, strict=True))
        return f"nn.Sequential(OrderedDict([{named}]))", "what else is between these? The file does not say"
    steps, doubt = [], ""
    for name, source in zip(map(int, names), made, strict=True):
        gap = name - len(steps)
        if gap and steps:
            doubt = "the file does not say what is between the layers"
        usual = ["nn.ReLU()", "nn.Dropout()"] if steps else ["nn.Flatten(1)", "nn.Dropout()"]
        steps += (usual + ["nn.Identity()"] * gap)[:gap] + [source]
    if "nn.Conv2d" in "".join(made):
        doubt = "the file says neither the strides nor what is between the layers"
    return f"nn.Sequential({', '.join(steps)})", doubt


# ------------------------------------------------------------------------------------------------- what to write


def _factory(changes: Iterable[Change], source: str) -> str:
    """The message that says how to build the network."""
    changes = list(changes)
    package = source.split(".")[0]
    lines = [f"import {package}"]
    if any("OrderedDict" in change.source for change in changes):
        lines.append("from collections import OrderedDict")
    lines += ["from torch import nn", "def build():", f"    net = {source}"]
    for change in changes:
        target = re.sub(r"\.(\d+)", r"[\1]", change.path)
        lines += [f"    # {change.doubt}"] if change.doubt else []
        lines.append(f"    net.{target} = {change.source}")
    lines.append("    return net")
    words = " and ".join(change.words for change in changes)
    return (
        f"the checkpoint's network has {words}, and the file does not say all that is needed to build it. Build it by "
        "a factory as your training script did: write these lines into a file, say mynets.py, and correct what has a "
        "comment:\n\n" + "\n".join(lines) + "\n\n"
        f"Then write  factory: mynets.py:build  instead of  {package}: and under preprocess: what your script does"
    )
