"""Weights out of a checkpoint file, whatever a training script made of it, and into a network, whatever it is called.

``read`` finds the state dict in what ``weight_files.py`` makes of a file (bare or in the usual wrappers), ``fit``
loads it into a network whose names may carry other prefixes, ``classes_in`` and ``lacks`` tell beforehand how the
network has to be built for it.

Nothing of a file is ever executed. A pickled model is recognised by what stands in for its class, and refused with the
lines that convert it.
"""

import difflib
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from cnnviz.errors import UserError, unknown
from cnnviz.network import weight_files
from cnnviz.network.pickles import StandIn, is_part
from cnnviz.network.refusals import converted, first_line, refused, some

# Where weights are kept in a checkpoint; the first name that is there wins, and plain weights win over averaged ones.
WRAPPERS = (
    *("state_dict", "model_state_dict", "model_state", "model_dict", "model", "net_state_dict", "net"),
    *("network_state_dict", "network", "module", "weights", "params", "parameters", "student", "backbone", "encoder"),
)
_AVERAGED = re.compile(r"(^|[._])(ema|swa|avg|averaged?|shadow|teacher|target|momentum|k)([._]|$)")
_TRAINING = re.compile(r"optim|sched|scaler|callback|loop|loss|criterion|_extra_state$", re.IGNORECASE)
_LISTED = 4
# Parts of names that torch.compile and its kin put anywhere, and the two that torchvision's old DenseNet files have.
_INSERTED = re.compile(r"(?<![^.])(_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")
_OLD_DENSENET = re.compile(r"(denselayer\d+\.(?:norm|conv))\.(?=[12]\.)")
# Counters that averaging, profilers and batch norm leave among the weights, and that no answer depends on.
_COUNTERS = ("n_averaged", "total_ops", "total_params", "num_batches_tracked")
_BESIDE = re.compile(r"loss|criterion|metric|accuracy|teacher|ema_|aux", re.IGNORECASE)
_PARAMETERS = {"weight", "bias", "running_mean", "running_var", "num_batches_tracked"}


@dataclass(frozen=True)
class Checkpoint:
    """state: name → tensor on the CPU, floating point as float32. described: where they are from, in a few words."""

    state: dict[str, torch.Tensor]
    described: str


def read(path: str, where: str, key: str | int | None = None) -> Checkpoint:
    """The weights in the file at ``path``, without running anything of it.

    key: dotted path to the weights in the file (``model_ema``, ``teacher.backbone``); None takes the first of WRAPPERS
    that is there, else the only candidate, else averaged weights. where: whose file it is, for messages.
    Raises UserError that says what the file seems to be.
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
    except Exception as error:  # a damaged file can hold tensors that torch makes but cannot copy
        raise UserError(f"{at} holds tensors that cannot be used: {first_line(error)}") from error

    facts = [chosen] if chosen else []
    if isinstance(content, dict) and type(content.get("epoch")) is int:
        facts.append(f"epoch {content['epoch']}")
    facts += [f"not its {name}" for name in others if _AVERAGED.search(name)][:1]
    described = Path(path).name + (f" ({'; '.join(facts)})" if facts else "")
    return Checkpoint(state, described)


def fit(net: nn.Module, state: Mapping[str, torch.Tensor], where: str) -> str:
    """Load ``state`` into ``net``; what was passed over on the way, in words ("" where nothing was).

    Prefixes that either side has and the other lacks are bridged (``module.``, ``model._orig_mod.``, …): the pair is
    taken under which most names agree. What is outside of it, counters and unused auxiliary heads are passed over.
    Raises UserError that lists what is missing (with the nearest names in the file), of another shape, or too much.
    """
    own = {name: tensor for name, tensor in net.state_dict().items() if isinstance(tensor, torch.Tensor)}
    shapes = {name: tuple(tensor.shape) for name, tensor in own.items()}
    match = _match(state, shapes)
    weights = {name: state[original] for name, original in match.inside.items()}
    if any(not _equal(state, match.prefix, rival) for rival in match.rivals):
        names = ", ".join(start.removesuffix(".") or "(the first level)" for start in (match.prefix, *match.rivals))
        raise UserError(f"{where}: the checkpoint holds several such networks; choose with checkpoint_key: {names}")
    tops = {_below(name, match.wrapper) for name in own}
    passed = [
        name
        for name in weights.keys() - own.keys()
        if name.endswith(_COUNTERS)
        or (_below(name, match.wrapper) not in tops and _BESIDE.search(_below(name, match.wrapper)))
    ]
    ignored = [match.inside[name] for name in sorted(passed)] + match.outside
    ignored = [name for name in ignored if not name.endswith(_COUNTERS)]
    odd = [n for n in weights if n.endswith(_COUNTERS) and n in own and weights[n].shape != own[n].shape]
    for name in (*passed, *odd):
        del weights[name]

    wrong = [name for name in own if name in weights and weights[name].shape != own[name].shape]
    if wrong:
        missing, extra = own.keys() - weights.keys(), weights.keys() - own.keys()
    else:
        try:
            missing, extra = net.load_state_dict(weights, strict=False)  # modules mend names of older versions in here
        except RuntimeError as error:
            reason = "\n".join(str(error).splitlines()[:_LISTED])
            raise UserError(f"{where}: the checkpoint does not fit the network: {reason}") from error
    missing, extra = set(missing), set(extra)
    missing = [name for name in own if name in missing and not name.endswith("num_batches_tracked")]
    extra = [name for name in weights if name in extra]
    if missing or extra or wrong:
        raise UserError(_misfit(state, shapes, match, missing, extra, wrong, where))
    words = []
    if match.prefix:
        words.append(f"names taken without the prefix {match.prefix}")
    if ignored:
        words.append(f"passed over {some(ignored, 2)}")
    return ", ".join(words)


def fits(state: Mapping[str, torch.Tensor], reference: Mapping[str, tuple[int, ...]]) -> bool:
    """Whether ``state`` is of the network with these shapes, but for the number of classes."""
    inside = {name: tuple(state[o].shape) for name, o in _match(state, reference).inside.items()}
    mine, theirs = ({n for n in names if not n.endswith(_COUNTERS)} for names in (reference, inside))
    equal = all(tuple(reference[name]) == inside[name] for name in mine & theirs)
    return mine == theirs and (equal or classes_in(state, reference) is not None)


def named(state: Mapping[str, torch.Tensor], reference: Mapping[str, tuple[int, ...]]) -> tuple[dict, list[str], str]:
    """(the network's name → the file's, names of the file that belong to no part of it, the file's prefix).

    reference: name → shape in the network. A name that it has not is there, too, as it would be in the network.
    """
    match = _match(state, reference)
    return match.inside, match.outside, match.prefix


def is_beside(name: str) -> bool:
    """Whether a name is of a loss, a metric, an average, an auxiliary head or the like."""
    return bool(_BESIDE.search(name) or _AVERAGED.search(name))


def classes_in(state: Mapping[str, torch.Tensor], reference: Mapping[str, tuple[int, ...]]) -> int | None:
    """The number of classes of ``state``, where that is all that tells it from the network with these shapes.

    reference: name → shape in the same network with its default number of classes. None where no shape differs, or
    where the difference is another one than the length of the last layers.
    """
    match = _match(state, reference)
    both = reference.keys() & match.inside.keys()
    pairs = [(tuple(state[match.inside[name]].shape), tuple(reference[name])) for name in both]
    differing = [(new, old) for new, old in pairs if new != old]
    if any(not new or not old or new[1:] != old[1:] for new, old in differing):
        return None
    sizes = {(new[0], old[0]) for new, old in differing}
    return sizes.pop()[0] if len(sizes) == 1 else None


def lacks(state: Mapping[str, torch.Tensor], reference: Mapping[str, tuple[int, ...]], heads: str = "aux") -> bool:
    """Whether the network has modules whose names begin like ``heads`` (in any case), and ``state`` has none of them.

    GoogLeNet's and Inception's auxiliary classifiers (``aux1``, ``AuxLogits``), which many files leave out.
    """
    match = _match(state, reference)

    def among(names) -> bool:
        return any(_below(name, match.wrapper).lower().startswith(heads) for name in names)

    return among(reference) and not among(match.inside)


# ------------------------------------------------------------------------------------------- finding the weights


@dataclass(frozen=True)
class _Found:
    """A state dict or a pickled model in a file's content.

    steps: names of the keys, places and attributes that lead to it. access: the same as Python. loose: it is an
    attribute of an object, such as arguments, where weights are seldom kept.
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
        """Plain weights before averaged ones, then WRAPPERS' order on each level; unknown names last."""
        steps = [step.lower() for step in self.steps]
        places = [WRAPPERS.index(step) if step in WRAPPERS else len(WRAPPERS) for step in steps]
        return any(_AVERAGED.search(step) for step in steps), self.loose, places


def _walk(node, steps: tuple[str, ...] = (), access: str = "", loose: bool = False) -> Iterator[_Found]:
    """Every state dict and every pickled model in a file's content.

    A dict with tensors is a state dict, unless there is one inside of it; so is a list of (name, tensor). Optimizers'
    and losses' states are left out.
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
    """A list of (name, tensor), such as ``list(net.named_parameters())``, as the dict that it stands for."""
    pairs = isinstance(node, list | tuple) and all(isinstance(pair, list | tuple) and len(pair) == 2 for pair in node)
    return dict(node) if pairs and all(isinstance(k, str) and _is_weight(v) for k, v in node) else node


def _choose(content, key: str | None, path: str, at: str) -> tuple[str, dict, list[str]]:
    """(dotted path, state dict, dotted paths of the others) by ``key``, or by the order that ``read`` documents."""
    found = {f.name: f for f in _joined(list(_walk(content)))}
    states = {name: f for name, f in found.items() if isinstance(f.node, dict)}
    if key is not None:
        chosen = key if key in found else None
        for name, f in sorted(states.items(), key=lambda s: s[1].rank) if chosen is None else ():
            start = key.removeprefix(f"{name}.") + "."  # a part of a state dict: those names that begin so
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
        named = [name for name in equals if found[name].of_layers]  # the others are metrics, histories, …
        chosen, equals = (named[0], named) if named else (chosen, equals)
        if len(equals) > 1 and not _AVERAGED.search(chosen):
            raise UserError(f"{at} holds weights of several networks; choose with checkpoint_key: {some(equals, 12)}")
    elif isinstance(content, list | tuple) and len(content) > 1 and all(isinstance(t, torch.Tensor) for t in content):
        return "", {str(i): tensor for i, tensor in enumerate(content)}, []  # fit tells whether they are in order
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
    """State dicts of one module each, as nested dicts hold them, put together to one."""
    if len(found) < 2 or not all(isinstance(f.node, dict) and set(f.node) <= _PARAMETERS and f.steps for f in found):
        return found
    top = next((f.steps[0] for f in found if all(g.steps[0] == f.steps[0] and len(g.steps) > 1 for g in found)), None)
    cut = 0 if top is None else 1
    state = {".".join((*f.steps[cut:], name)): value for f in found for name, value in f.node.items()}
    return [_Found(found[0].steps[:cut], "", state, found[0].loose)]


def _pickled_model(at: str, path: str, found: _Found) -> UserError:
    """What to do about a whole network in a pickle of torch's, or of Python's."""
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
    """What to do about a file that one process of several has written."""
    return (
        f"{at} holds one process's part of the weights ({kind}). In the training script, in all processes, write whole "
        "ones, net being the network:\n\n"
        "from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict\n"
        "whole = StateDictOptions(full_state_dict=True, cpu_offload=True)\n"
        f"torch.save(get_model_state_dict(net, options=whole), {converted(path)!r})\n\n"
        "In a folder of torch.distributed.checkpoint they are put together; give that as checkpoint, if there is one"
    )


def _plain(tensor: torch.Tensor) -> torch.Tensor:
    if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_meta:
        raise ValueError("sparse, quantised or empty ones; save the state dict of the plain network")
    tensor = tensor.detach()
    return tensor.float() if tensor.is_floating_point() else tensor


# --------------------------------------------------------------------------------------------- names and prefixes


@dataclass(frozen=True)
class _Match:
    """How the names of a file belong to a network's: without prefix in the file, without wrapper in the network.

    inside: the network's name (or what it would be) → the file's, for all that have the prefix. outside: other names.
    rivals: prefixes under which as much agrees, none of them of averages or the like.
    """

    prefix: str
    wrapper: str
    inside: dict[str, str]
    outside: list[str]
    rivals: tuple[str, ...]


def _match(state: Mapping[str, torch.Tensor], own: Mapping[str, tuple[int, ...]]) -> _Match:
    """Of all pairs of prefixes the one under which most names agree; among equals plain weights, then equal shapes."""
    clean = {_clean(name): name for name in state}
    ours = {_clean(name): name for name in own}
    clean = _in_order(state, own) or _of_children(clean, state, own) or clean
    shared = Counter(start for name in ours for start in _starts(name))
    wrappers = ["", *(start for start, count in shared.items() if start and count >= 0.9 * len(ours))]
    score: dict[tuple[str, str], list[int]] = {("", ""): [0, 0]}
    for wrapper in wrappers:
        tails = {name[len(wrapper) :]: original for name, original in ours.items() if name.startswith(wrapper)}
        for name, original in clean.items():
            for start in _starts(name):
                if (mine := tails.get(name[len(start) :])) is not None:
                    count = score.setdefault((start, wrapper), [0, 0])
                    count[0] += 1
                    count[1] += tuple(state[original].shape) == tuple(own[mine])

    def merit(pair: tuple[str, str]) -> tuple:
        names, equal = score[pair]
        return names, not _AVERAGED.search(pair[0]), equal, -len(pair[1]), -len(pair[0])

    prefix, wrapper = max(score, key=merit)
    copies = tuple(start for (start, _), (names, _) in score.items() if start != prefix and 2 * names > len(ours))
    inside, outside = {}, []
    for name, original in clean.items():
        mine = wrapper + name[len(prefix) :]
        if name.startswith(prefix) and (mine in ours or not name.startswith(copies)):
            inside[ours.get(mine, mine)] = original
        else:
            outside.append(original)
    same = [start for (start, w), counts in score.items() if w == wrapper and counts == score[prefix, wrapper]]
    rivals = tuple(start for start in same if start != prefix and score[prefix, wrapper][0] and not is_beside(start))
    return _Match(prefix, wrapper, inside, outside, () if is_beside(prefix) else rivals)


def _in_order(state: Mapping[str, torch.Tensor], own: Mapping[str, tuple]) -> dict | None:
    """The tensors of a bare list under the network's names, where they are its parameters and buffers in order."""
    if list(state) != [str(i) for i in range(len(state))]:
        return None
    counted = [name for name in own if not name.endswith(_COUNTERS)]
    names = next((n for n in (list(own), counted) if len(n) == len(state)), [])
    pairs = dict(zip(map(_clean, names), state, strict=False))
    fits = all(tuple(own[name]) == tuple(state[i].shape) for name, i in zip(names, state, strict=False))
    return pairs if pairs and fits else None


def _of_children(clean: Mapping[str, str], state: Mapping[str, torch.Tensor], own: Mapping[str, tuple]) -> dict | None:
    """Names of ``nn.Sequential(*net.children())``, numbers for the first parts, as the network's own.

    Only where names and shapes of all of them agree in this order, and they are most of the network.
    """
    tops: dict[str, dict] = {}
    for name, shape in own.items():
        if not name.endswith(_COUNTERS):
            tops.setdefault(name.split(".")[0], {})[name.partition(".")[2]] = tuple(shape)
    numbered: dict[str, dict[int, dict]] = {}
    for name, original in clean.items():
        parts = name.split(".")
        for i, part in enumerate(parts):
            if part.isdigit() and not name.endswith(_COUNTERS):
                below = numbered.setdefault(".".join(parts[:i]), {}).setdefault(int(part), {})
                below[".".join(parts[i + 1 :])] = tuple(state[original].shape)
    if all(top.isdigit() for top in tops):
        return None
    for group, found in numbered.items():
        pairs = list(zip(sorted(found), tops, strict=False))
        agree = [
            found[n] == tops[top] or top == list(tops)[-1] and found[n].keys() == tops[top].keys() for n, top in pairs
        ]
        if len(found) <= len(tops) and all(agree) and 2 * sum(map(len, found.values())) > sum(map(len, tops.values())):
            start, into = f"{group}." if group else "", f"{group.rpartition('.')[0]}." if "." in group else ""
            renamed = {f"{start}{number}.": f"{into}{top}." for number, top in pairs}
            return {
                next((new + name[len(old) :] for old, new in renamed.items() if name.startswith(old)), name): original
                for name, original in clean.items()
            }
    return None


def _misfit(
    state: Mapping[str, torch.Tensor],
    own: Mapping[str, tuple[int, ...]],
    match: _Match,
    missing: list[str],
    extra: list[str],
    wrong: list[str],
    where: str,
) -> str:
    fitting = len(own.keys() & match.inside.keys()) - len(wrong)
    lines = [f"{where}: the checkpoint does not fit the network: {fitting} of its {len(own)} tensors agree."]
    unused = [match.inside[name] for name in extra if name in match.inside] + match.outside
    if missing:
        lines.append(f"{len(missing)} missing:")
    for name in missing[:_LISTED]:
        alike = [other for other in unused if tuple(state[other].shape) == own[name]]
        near = difflib.get_close_matches(name, alike, n=1, cutoff=0)
        lines.append(
            f"  {name} {own[name]}"
            + (f"; of that shape the file has {near[0]}" if near else "; of that shape nothing is left in the file")
        )
    if wrong:
        lines.append(f"{len(wrong)} of another shape:")
    for name in wrong[:_LISTED]:
        lines.append(f"  {name}: {tuple(state[match.inside[name]].shape)} in the file, {own[name]} in the network")
    if extra:
        lines.append(f"{len(extra)} in the file only: {some(extra, _LISTED)}")
    hint = _hint(state, own, match, missing, extra, wrong)
    return "\n".join([*lines, hint] if hint else lines)


def _hint(state, own, match: _Match, missing: list[str], extra: list[str], wrong: list[str]) -> str:
    """The usual reason for such a misfit, and what to write instead."""
    tops = {name: _below(name, match.wrapper) for name in (*own, *missing, *extra)}
    classes = classes_in(state, own)
    if not own.keys() & match.inside.keys():
        return "No name agrees: the file is of another architecture, or of other code for it."
    if wrong and classes and not missing and not extra:
        return f"The file has {classes} classes. Say so to the network, such as  arguments: {{num_classes: {classes}}}"
    if missing and all(tops[name].lower().startswith("aux") for name in missing):
        return "The file has no auxiliary heads; build the network without them:  arguments: {aux_logits: false}"
    parts = sum(name.count(".") > 1 for name in own)
    shared = {tops[name] for name in own if name in match.inside}
    if extra and not missing and not wrong and {tops[name] for name in extra} & shared and parts:
        return "The file's network has more layers of the same names: it looks like a deeper variant."
    if missing and not extra and not wrong and {tops[name] for name in missing} & shared and parts:
        return "The network has more layers of the same names than the file's: that one looks like a shallower variant."
    beside = dict.fromkeys(n.split(".")[0] for n in match.outside if state[n].ndim == 2 and not is_beside(n))
    if missing and beside and not wrong:
        return (
            f"The file has the features and, beside them, {some(beside, _LISTED)}: build the network with the head "
            "that you want by a factory:  factory: mynets.py:build"
        )
    if missing == list(own)[-len(missing) :] and not extra and not wrong:
        return (
            "The file seems to hold the features without the last layer, the classifier. Without it there are no class "
            "scores to explain: give the checkpoint of the network with its classifier."
        )
    if not wrong and sorted(own[name] for name in missing) == sorted(
        tuple(state[match.inside[name]].shape) for name in extra
    ):
        return "The same shapes under other names: the weights are of other code for this architecture."
    if wrong and not missing and not extra and 3 * len(wrong) > len(own):
        return "Most layers are narrower or wider: it looks like a variant of another width."
    if 3 * (len(wrong) + len(missing)) > len(own) or len(extra) > len(own) / 2:
        return "Too much differs for a replaced layer or two: it looks like another variant of the architecture."
    return (
        "Was the network changed before it was trained, its head or its first layer? Then build it by a factory that "
        "changes it in the same way:  factory: mynets.py:build"
    )


def _equal(state: Mapping[str, torch.Tensor], one: str, other: str) -> bool:
    """Whether the weights under two prefixes are the same, as those of a module that is registered twice are."""
    pairs = [(value, state.get(other + name[len(one) :])) for name, value in state.items() if name.startswith(one)]
    return all(torch.equal(a, b) for a, b in pairs if b is not None)


def _clean(name: str) -> str:
    return _OLD_DENSENET.sub(r"\1", _INSERTED.sub("", name))


def _starts(name: str) -> list[str]:
    """ "", "a.", "a.b." of "a.b.weight"."""
    parts = name.split(".")
    return ["".join(f"{part}." for part in parts[:i]) for i in range(len(parts))]


def _below(name: str, wrapper: str) -> str:
    """The first part of a name below the network's wrapper."""
    return _clean(name).removeprefix(wrapper).split(".")[0]
