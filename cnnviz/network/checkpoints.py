"""Reads weights from any training script's checkpoint file.

``read`` finds the state dict in the content that ``weight_files.py`` reads (bare or in common wrappers). ``fitting.py``
loads it into a network.

Nothing in a file is ever executed. A pickled model is recognised by its class's placeholder, and refused with the lines
that convert it.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from cnnviz.errors import UserError, unknown
from cnnviz.network import weight_files
from cnnviz.network.name_matching import AVERAGED
from cnnviz.network.pickles import StandIn, is_part
from cnnviz.network.refusals import converted, first_line, refused, some

# Keys of weights in a checkpoint, in the order of preference; plain weights come before averaged ones.
WRAPPERS = (
    *("state_dict", "model_state_dict", "model_state", "model_dict", "model", "net_state_dict", "net"),
    *("network_state_dict", "network", "module", "weights", "params", "parameters", "student", "backbone", "encoder"),
)
_TRAINING = re.compile(r"optim|sched|scaler|callback|loop|loss|criterion|_extra_state$", re.IGNORECASE)
_PARAMETERS = {"weight", "bias", "running_mean", "running_var", "num_batches_tracked"}


@dataclass(frozen=True)
class Checkpoint:
    """state: name → tensor on the CPU, floating point as float32. described: their source, in a few words."""

    state: dict[str, torch.Tensor]
    described: str


def read(path: str, where: str, key: str | int | None = None) -> Checkpoint:
    """The weights in the file at ``path``, read without running anything in it.

    key: dotted path to the weights in the file (``model_ema``, ``teacher.backbone``); None takes the first existing one
    of WRAPPERS, else the only candidate, else averaged weights. where: the file's config key, for messages. Raises
    UserError that states what the file seems to be.
    """
    at = f"{where}: checkpoint {path}"
    path = weight_files.chosen(path, at)
    content = weight_files.content(path, at)
    chosen, state, others = _choose(content, None if key is None else str(key), path, at)
    spread = next((v.stands_for for v in state.values() if is_part(v)), None)
    if spread:
        raise UserError(_of_one_process(at, spread.rpartition(".")[2], path))
    try:
        state = {name: _plain(value) for name, value in state.items() if isinstance(value, torch.Tensor)}
    except Exception as error:  # a damaged file can hold tensors that torch cannot copy
        raise UserError(f"{at} holds tensors that cannot be used: {first_line(error)}") from error

    facts = [chosen] if chosen else []
    if isinstance(content, dict) and type(content.get("epoch")) is int:
        facts.append(f"epoch {content['epoch']}")
    facts += [f"not its {name}" for name in others if AVERAGED.search(name)][:1]
    described = Path(path).name + (f" ({'; '.join(facts)})" if facts else "")
    return Checkpoint(state, described)


# ------------------------------------------------------------------------------------------- finding the weights


@dataclass(frozen=True)
class _Found:
    """A state dict or a pickled model in a file's content.

    steps: names of the keys, indices and attributes that lead to it. access: the same in Python. loose: whether it is
    in an attribute of an object, such as arguments, where weights are rare.
    """

    steps: tuple[str, ...]
    access: str
    node: dict | StandIn
    loose: bool = False

    @property
    def name(self) -> str:
        return ".".join(self.steps)

    @property
    def of_layers(self) -> bool:
        """Whether it is a state dict with names such as fc.weight, or a model."""
        return isinstance(self.node, StandIn) or any(
            isinstance(name, str) and name.rpartition(".")[2] in _PARAMETERS for name in self.node
        )

    @property
    def rank(self) -> tuple:
        """Sort key: plain weights before averaged ones, then WRAPPERS' order on each level, unknown names last."""
        steps = [step.lower() for step in self.steps]
        places = [WRAPPERS.index(step) if step in WRAPPERS else len(WRAPPERS) for step in steps]
        return any(AVERAGED.search(step) for step in steps), self.loose, places


def _walk(node, steps: tuple[str, ...] = (), access: str = "", loose: bool = False) -> Iterator[_Found]:
    """Every state dict and every pickled model in a file's content.

    A dict with tensors is a state dict, unless it contains one; so is a list of (name, tensor). States of optimizers
    and losses are left out.
    """
    if isinstance(node, StandIn) and "_parameters" in node.attributes:
        yield _Found(steps, access, node, loose)
        return
    if len(steps) > 5 or isinstance(node, dict) and "param_groups" in node:
        return
    node = _pairs(node)
    if isinstance(node, StandIn):
        within = [(key, f".{key}", value, True) for key, value in node.attributes.items() if key != "_parameters"]
    elif isinstance(node, dict):
        within = [(str(k) if isinstance(k, int) else k, f"[{k!r}]", value, loose) for k, value in node.items()]
    elif isinstance(node, list | tuple):
        within = [(str(i), f"[{i}]", value, loose) for i, value in enumerate(node)]
    else:
        return
    inside = False
    for key, step, value, hidden in within:
        nested = isinstance(value, dict | list | tuple | StandIn) and not is_part(value)
        if isinstance(key, str) and nested and not _TRAINING.search(key):
            for found in _walk(value, (*steps, key), access + step, hidden):
                inside = True
                yield found
    held = node.attributes if isinstance(node, StandIn) else node
    if not inside and isinstance(held, dict) and any(isinstance(k, str) and _is_weight(v) for k, v in held.items()):
        yield _Found(steps, access, held, loose)


def _is_weight(value) -> bool:
    return isinstance(value, torch.Tensor) or is_part(value)


def _pairs(node):
    """A list of (name, tensor), such as ``list(net.named_parameters())``, as a dict."""
    pairs = isinstance(node, list | tuple) and all(isinstance(pair, list | tuple) and len(pair) == 2 for pair in node)
    return dict(node) if pairs and all(isinstance(k, str) and _is_weight(v) for k, v in node) else node


def _choose(content, key: str | None, path: str, at: str) -> tuple[str, dict, list[str]]:
    """(dotted path, state dict, dotted paths of the others) by ``key``, or by the order that ``read`` documents."""
    found = {f.name: f for f in _joined(list(_walk(content)))}
    states = {name: f for name, f in found.items() if isinstance(f.node, dict)}
    if key is not None:
        chosen = key if key in found else None
        for name, f in sorted(states.items(), key=lambda s: s[1].rank) if chosen is None else ():
            start = key.removeprefix(f"{name}.") + "."  # a part of a state dict: the names with this prefix
            part = {k.removeprefix(start): v for k, v in f.node.items() if isinstance(k, str) and k.startswith(start)}
            if part:
                return key, part, []
        if chosen is None:
            tops = dict.fromkeys(k.split(".")[0] for f in states.values() for k in f.node if isinstance(k, str))
            raise unknown(f"{at}: checkpoint_key", key, [name for name in found if name] or tops)
    elif states or found:
        order = sorted(states or found, key=lambda name: found[name].rank)
        chosen = order[0]
        equals = [name for name in order if found[name].rank == found[chosen].rank]
        named = [name for name in equals if found[name].of_layers]  # others are metrics, histories, …
        chosen, equals = (named[0], named) if named else (chosen, equals)
        if len(equals) > 1 and not AVERAGED.search(chosen):
            raise UserError(f"{at} holds weights of several networks; choose with checkpoint_key: {some(equals, 12)}")
    elif isinstance(content, list | tuple) and len(content) > 1 and all(isinstance(t, torch.Tensor) for t in content):
        return "", {str(i): tensor for i, tensor in enumerate(content)}, []  # fit checks their order
    else:
        kind = content.stands_for if isinstance(content, StandIn) else type(content).__name__
        held = f" with {some(map(str, content), 8)}" if isinstance(content, dict) and content else ""
        if isinstance(content, dict) and {"state", "param_groups"} <= content.keys():
            held += ", the state of an optimizer"
        if isinstance(content, dict) and any("Uninitialized" in getattr(v, "stands_for", "") for v in content.values()):
            held += ", of lazy layers that have no values yet: send one picture through the network, and save it again"
        raise UserError(f"{at} holds no state dict (name → tensor), but {kind}{held}")
    if isinstance(found[chosen].node, StandIn):
        raise _pickled_model(at, path, found[chosen])
    return chosen, found[chosen].node, [name for name in states if name != chosen]


def _joined(found: list[_Found]) -> list[_Found]:
    """State dicts of single modules in nested dicts, joined into one."""
    if len(found) < 2 or not all(isinstance(f.node, dict) and set(f.node) <= _PARAMETERS and f.steps for f in found):
        return found
    top = next((f.steps[0] for f in found if all(g.steps[0] == f.steps[0] and len(g.steps) > 1 for g in found)), None)
    cut = 0 if top is None else 1
    state = {".".join((*f.steps[cut:], name)): value for f in found for name, value in f.node.items()}
    return [_Found(found[0].steps[:cut], "", state, found[0].loose)]


def _pickled_model(at: str, path: str, found: _Found) -> UserError:
    """Error for a whole network in a pickle of torch's, or of Python's."""
    with open(path, "rb") if Path(path).is_file() else open(os.devnull, "rb") as file:
        plain = file.read(2)[:1] == b"\x80"
    how = f"torch.load({path!r}, map_location='cpu', weights_only=False)"
    if plain:
        how = f"pickle.load(open({path!r}, 'rb'))"
    lines = ("import pickle, torch" if plain else "import torch", f"net = {how}{found.access}")
    why = (
        f"{at} holds a whole pickled model (class {found.node.stands_for}, whose code Python must find), and opening "
        "one runs code, so cnnviz does not open it"
    )
    return refused(why, path, *lines, f"torch.save(net.state_dict(), {converted(path)!r})")


def _of_one_process(at: str, kind: str, path: str) -> str:
    """Error for a file that one of several processes wrote."""
    return (
        f"{at} holds one process's part of the weights ({kind}). In the training script, in all processes, write whole "
        "ones, net being the network:\n\n"
        "from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict\n"
        "whole = StateDictOptions(full_state_dict=True, cpu_offload=True)\n"
        f"torch.save(get_model_state_dict(net, options=whole), {converted(path)!r})\n\n"
        "A folder of torch.distributed.checkpoint is read as a whole; give that as checkpoint, if there is one"
    )


def _plain(tensor: torch.Tensor) -> torch.Tensor:
    if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_meta:
        raise ValueError("sparse, quantised or empty ones; save the state dict of the plain network")
    tensor = tensor.detach()
    return tensor.float() if tensor.is_floating_point() else tensor
