"""Layers with names, and their outputs as feature maps, for any layout of a module's output.

They are found by running the network once. Convolutions and linear layers in execution order get short names
(``conv1``, ``fc7``). Blocks that contain several of them keep their dotted names. Transformers output tokens, or maps
with channels last; :meth:`Layer.maps` converts both into feature maps.
"""

import math
import threading
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass

import torch
from torch import nn

from cnnviz.errors import UserError, in_a_line
from cnnviz.network.hooks import taken

MOST_LAYERS = 12
MOST_CONVOLUTIONS = 16  # plain networks show all (VGG-16 has 13)


@dataclass(frozen=True)
class Layer:
    """A layer of the network.

    name: short (``conv1``, ``fc7``); module: dotted name. units, height, width: its output for one picture (1 × 1 for a
    linear layer). kind: ``Conv2d`` or ``Linear``, also for the network's own classes of them, else the module's class.
    layout: of the module's output: "nchw", "nhwc", "tokens" (n, t, units; class tokens first, then positions row by
    row), or "vector".
    """

    name: str
    module: str
    kind: str
    units: int
    height: int
    width: int
    layout: str = "nchw"

    def maps(self, output: torch.Tensor) -> torch.Tensor:
        """The module's output as feature maps (n, units, h, w), without class tokens, which have no position."""
        match self.layout:
            case "nhwc":
                return output.permute(0, 3, 1, 2)
            case "tokens":
                places = output[:, output.shape[1] - self.height * self.width :]
                return places.transpose(1, 2).unflatten(2, (self.height, self.width))
            case "vector":
                return output[:, :, None, None]
        return output


@dataclass(frozen=True)
class Call:
    """A module's (last) call in a forward pass: its index in the order, and the shapes of its input and output.

    aside: whether it ran in another thread than the pass.
    """

    order: int
    input: tuple[int, ...]
    output: tuple[int, ...]
    aside: bool = False


def watched(net: nn.Module, x: torch.Tensor) -> tuple[dict[str, Call], BaseException | None]:
    """(module name → its call, in order) in one forward pass of ``x``, and the network's exception, if any.

    It lists modules that return a tensor of real numbers.
    """
    calls: dict[str, Call] = {}
    here = threading.get_ident()

    def note(name: str):
        def hook(module, inputs, more, output):
            given = taken(inputs, more)
            if given is not None and isinstance(output, torch.Tensor) and output.is_floating_point():
                calls.pop(name, None)
                aside = threading.get_ident() != here
                calls[name] = Call(len(calls), tuple(given.shape), tuple(output.shape), aside)

        return hook

    handles = [module.register_forward_hook(note(name), with_kwargs=True) for name, module in net.named_modules()]
    try:
        with torch.no_grad():
            net(x)
    except (Exception, SystemExit) as error:  # networks raise anything for a wrong input
        return calls, error
    finally:
        for handle in handles:
            handle.remove()
    return calls, None


def trace(net: nn.Module, x: torch.Tensor, where: str) -> dict[str, Call]:
    """The calls of :func:`watched`. Raises UserError if the pass fails."""
    calls, error = watched(net, x)
    if isinstance(error, UserError):
        raise error
    if error is not None:
        raise UserError(
            f"{where}: the network does not take a picture of {tuple(x.shape[1:])}: {in_a_line(error)}"
        ) from error
    return calls


def named(net: nn.Module, calls: dict[str, Call]) -> list[Layer]:
    """Convolutions and linear layers in execution order with short names; blocks of several of them by dotted name."""
    modules = dict(net.named_modules())
    called = [name for name in calls if name]
    convs = [n for n in called if len(calls[n].output) == 4 and _convolves(modules[n], calls[n].output[1])]
    linears = [n for n in called if isinstance(modules[n], nn.Linear) and len(calls[n].output) == 2]
    weighted = [n for n in called if n in convs or isinstance(modules[n], nn.Conv2d | nn.Linear)]
    classic = len(linears) == 3 and calls[linears[0]].order > max((calls[n].order for n in convs), default=0)
    first = 6 if classic else 1  # AlexNet's and VGG's fc6, fc7, fc8
    short = {n: f"conv{i}" for i, n in enumerate(convs, 1)} | {n: f"fc{i}" for i, n in enumerate(linears, first)}
    picture = calls["" if "" in calls else called[0]].input[-2:] if calls else (1, 1)
    grid = calls[convs[0]].output[2:] if convs else None
    layers = []
    for name in called:
        shape = calls[name].output
        if name not in short and (
            isinstance(modules[name], nn.Sequential | nn.ModuleList)
            or len(shape) not in (3, 4)
            or sum(w.startswith(f"{name}.") for w in weighted) < 2
        ):
            continue
        form = ("nchw", *shape[1:]) if name in convs else _form(shape, picture, grid)
        if form:
            layout, units, height, width = form
            kind = "Conv2d" if name in convs else "Linear" if name in linears else type(modules[name]).__name__
            layers.append(Layer(short.get(name, name), name, kind, units, height, width, layout))
    return layers


def _convolves(module: nn.Module, units: int) -> bool:
    """Whether it is a convolution: torch's, or a class of the network's own with weights (units, channels, h, w)."""
    if isinstance(module, nn.Conv2d | nn.modules.conv._ConvTransposeNd):
        return isinstance(module, nn.Conv2d)
    weights = [p for p in module.parameters(recurse=False) if p.ndim == 4 and len(p) == units and p[0].numel() > 1]
    return bool(weights) and not any(isinstance(part, nn.Conv2d) for part in module.modules())


def _form(shape: tuple[int, ...], picture: tuple[int, int], grid) -> tuple[str, int, int, int] | None:
    """(layout, units, height, width) of a module's output. picture: (h, w) of the input; grid: of the first maps.

    Channels-last is told from channels-first by the two sides with the picture's proportions.
    """
    if len(shape) == 2:
        return "vector", shape[1], 1, 1
    if len(shape) == 3:  # tokens: one per patch, perhaps after class tokens
        side = math.isqrt(shape[1])
        for height, width in (grid or (0, 0), (side, side)):
            if 0 < height * width <= shape[1] and shape[1] - height * width < 10:
                return "tokens", shape[2], height, width
        return None
    proportion = math.log(picture[0] / picture[1])

    def off(height: int, width: int) -> float:
        return abs(math.log(height / width) - proportion)

    _, a, b, c = shape
    return ("nhwc", c, a, b) if off(a, b) < off(b, c) else ("nchw", a, b, c)


def depthwise(net: nn.Module) -> set[str]:
    """Dotted names of the convolutions whose units read one channel each."""
    return {n for n, m in net.named_modules() if isinstance(m, nn.Conv2d) and 1 < m.groups == m.in_channels}


def default(layers: list[Layer], depthwise: Collection[str] = ()) -> list[str]:
    """Names of the layers to show: all convolutions if they are few; else the blocks and the layers outside them.

    Among nested blocks, consecutive ones are shown: a stage of several similar blocks by its members, a block with one
    gate inside as itself. The list is thinned evenly to a dozen. Convolutions named in ``depthwise`` are left out: they
    combine nothing, and the layer after each of them does.
    """
    few = sum(layer.kind == "Conv2d" for layer in layers) <= MOST_CONVOLUTIONS
    layers = [layer for layer in layers if layer.module not in depthwise]
    convs = [layer for layer in layers if layer.kind == "Conv2d"]
    blocks = [layer for layer in layers if layer.kind not in ("Conv2d", "Linear")]
    if few and all(block.layout == "nchw" for block in blocks):
        return [layer.name for layer in convs]
    shown = _split(blocks)
    inside = [layer for layer in convs if any(layer.module.startswith(f"{block.module}.") for block in shown)]
    shortcuts = ("downsample", "shortcut")
    kept = [
        layer
        for layer in layers
        if layer in shown or (layer in convs and layer not in inside and not any(s in layer.module for s in shortcuts))
    ]
    if len(kept) > MOST_LAYERS:
        step = (len(kept) - 1) / (MOST_LAYERS - 1)
        kept = [kept[round(i * step)] for i in range(MOST_LAYERS)]
    return [layer.name for layer in kept]


def _split(blocks: list[Layer]) -> list[Layer]:
    """The outermost of nested blocks, each replaced by the blocks inside it if at least two of them have one class."""
    outer = [b for b in blocks if not any(b.module.startswith(f"{o.module}.") for o in blocks)]
    shown = []
    for block in outer:
        within = [b for b in blocks if b.module.startswith(f"{block.module}.")]
        parts = _split(within)
        repeats = Counter(part.kind for part in parts).most_common(1)
        shown += parts if repeats and repeats[0][1] > 1 else [block]
    return shown


def feature(layers: list[Layer], calls: dict[str, Call], outputs: int) -> dict:
    """The feature vector if the config does not choose one, see facts.feature."""
    linears = [layer for layer in layers if layer.kind == "Linear"]
    if linears:
        last = linears[-1]
        name = f"{linears[-2].name}, as {last.name} reads it" if len(linears) > 1 else f"the input of {last.name}"
        return {"at": [last.module, "input"], "name": name, "size": math.prod(calls[last.module].input[1:])}
    convs = [layer for layer in layers if layer.kind == "Conv2d"]
    if not convs:
        return {"at": ["", "output"], "name": "the scores of the classes", "size": outputs}
    # not the layer that gives the scores, which has one output for yes or no
    heads = {outputs, 1} if outputs == 2 else {outputs}
    last = [layer for layer in convs if layer.units not in heads][-1:] or convs[-1:]
    blocks = [b for b in layers if b.kind not in ("Conv2d", "Linear") and last[0].module.startswith(f"{b.module}.")]
    layer = (blocks or last)[0]
    return {"at": [layer.module, "output"], "name": f"{layer.name}, mean over positions", "size": layer.units}
