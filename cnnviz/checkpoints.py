"""Weights out of a checkpoint file, whatever a training script made of it, and into a network, whatever it is called.

``read`` finds the state dict in a file (``torch.save``, old or new; safetensors; bare or in the usual wrappers),
``fit`` loads it into a network whose names may carry other prefixes, ``classes_in`` and ``lacks`` tell beforehand how
the network has to be built for it.

Nothing of a file is ever executed. ``torch.load(weights_only=True)`` makes tensors and plain containers only; every
other class or function that a file names (argparse.Namespace, numpy scalars, the parts of a config, …) is replaced by
an inert stand-in of the same name before the file is opened, so there is no list of trusted classes to keep, and none
of them has to be installed. A pickled model is recognised by its stand-ins, and refused with the lines that convert it.
"""

import codecs
import difflib
import pickle
import pickletools
import re
import struct
import zipfile
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from collections import Counter, OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from cnnviz.errors import UserError, unknown

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
_OLD_FORMAT = bytes.fromhex("8a0a6cfc9c46f9206aa85019")  # torch.save's magic number before it wrote zip archives
# Stood in for like all others these would do nothing; but the user should know what kind of file that is.
_HOSTILE = re.compile(
    r"(os|posix|nt|sys|subprocess|shutil|runpy|importlib|ctypes|socket|pty|webbrowser)\..*"
    r"|builtins\.(eval|exec|compile|open|__import__|breakpoint)"
)


@dataclass(frozen=True)
class Checkpoint:
    """state: name → tensor on the CPU, floating point as float32. described: where they are from, in a few words."""

    state: dict[str, torch.Tensor]
    described: str


def read(path: str, where: str, key: str | None = None) -> Checkpoint:
    """The weights in the file at ``path``, without running anything of it.

    key: dotted path to the weights in the file (``model_ema``, ``teacher.backbone``); None takes the first of WRAPPERS
    that is there, else the only candidate, else averaged weights. where: whose file it is, for messages.
    Raises UserError that says what the file seems to be.
    """
    at = f"{where}: checkpoint {path}"
    try:
        with open(path, "rb") as file:
            head = file.read(4096)
    except OSError as error:
        raise UserError(f"{at} cannot be opened: {error.strerror}") from error
    foreign = _foreign(head)
    if foreign:
        raise UserError(f"{at} {foreign}")
    if head.startswith(b"PK\3\4") or not (path.endswith(".safetensors") or head[8:9] == b"{"):
        content = _torch_load(path, at, head)
    else:
        content = _safetensors_load(path, at)

    chosen, state, others = _choose(content, key, path, at)
    try:
        state = {name: _plain(value) for name, value in state.items() if isinstance(value, torch.Tensor)}
    except Exception as error:  # a damaged file can hold tensors that torch makes but cannot copy
        raise UserError(f"{at} holds tensors that cannot be used: {_first_line(error)}") from error

    facts = []
    if isinstance(content, dict) and type(content.get("epoch")) is int:
        facts.append(f"epoch {content['epoch']}")
    facts += [f"not its {name}" for name in others if _AVERAGED.search(name)][:1]
    described = (f"{chosen} of " if chosen else "") + Path(path).name + (f" ({'; '.join(facts)})" if facts else "")
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
    tops = {_below(name, match.wrapper) for name in own}
    passed = [
        name
        for name in weights.keys() - own.keys()
        if name.endswith(_COUNTERS)
        or (_below(name, match.wrapper) not in tops and _BESIDE.search(_below(name, match.wrapper)))
    ]
    ignored = [match.inside[name] for name in sorted(passed)] + match.outside
    ignored = [name for name in ignored if not name.endswith(_COUNTERS)]
    for name in passed:
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
        words.append(f"passed over {_some(ignored, 2)}")
    return ", ".join(words)


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


# ------------------------------------------------------------------------------------------------- opening a file


class _StandIn:
    """Takes the place of a class or function that a file names; swallows what it is given and does nothing."""

    __slots__ = ("state",)
    stands_for = ""

    def __new__(cls, *args, **kwargs):
        new = object.__new__(cls)
        new.state = None
        return new

    def __init__(self, *args, **kwargs):
        pass

    def __setstate__(self, state):
        self.state = state


class _Dict:
    """Stands in for defaultdict, AttributeDict, EasyDict, …: torch's unpickler fills only the exact standard types."""

    def __new__(cls, *args, **kwargs):
        return OrderedDict()


class _List:
    def __new__(cls, *args, **kwargs):
        return []


def _stand_in(name: str) -> type:
    if name == "collections.deque":
        return type("_List", (_List,), {})
    if name.lower().endswith("dict") and not name.startswith("torch.nn."):
        return type("_Dict", (_Dict,), {})
    return type("_StandIn", (_StandIn,), {"__slots__": (), "stands_for": name})


def _torch_load(path: str, at: str, head: bytes):
    zipped = head.startswith(b"PK\3\4")
    if zipped:
        _check_archive(path, at)
    elif head.startswith(b"\x80") and _OLD_FORMAT not in head[:16]:
        lines = ("import pickle, torch", f"content = pickle.load(open({path!r}, 'rb'))")
        raise _refused(f"{at} is a plain pickle, and opening one can run code", path, *lines, "content")
    try:
        named = _named(path, zipped)
    except Exception as error:  # whatever a damaged pickle makes pickletools and zipfile raise
        raise _damaged(at, error) from error
    hostile = [name for name in named if _HOSTILE.fullmatch(name)]
    if hostile:
        raise UserError(
            f"{at} would run {hostile[0]} when opened the usual way, which no weights need. It was not opened; do not "
            "open it elsewhere unless you know who made it"
        )
    mapped = zipped and not path.endswith(".safetensors")  # torch.load goes by that suffix, and we by the content
    stand_ins = [(_stand_in(name), name) for name in named]
    try:
        with torch.serialization.safe_globals(stand_ins), open(path, "rb") as file:
            return torch.load(path if mapped else file, map_location="cpu", weights_only=True, mmap=mapped)
    except pickle.UnpicklingError as error:  # models and parts of some in the old format, newer pickle protocols
        why = f"{at} holds more than plain data, or is damaged"
        if any(name.startswith("torch.nn.modules.") for name in named):
            why = f"{at} holds a whole pickled model or parts of one (class {_class_of(named)})"
        lines = ("import torch", f"net = torch.load({path!r}, map_location='cpu', weights_only=False)")
        raise _refused(why, path, *lines, "net.state_dict() if hasattr(net, 'state_dict') else net") from error
    except Exception as error:  # whatever a damaged file makes torch raise
        raise _damaged(at, error) from error


def _safetensors_load(path: str, at: str):
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except Exception as error:  # safetensors has its own exception classes, and lets others through
        raise _damaged(at, error) from error


def _named(path: str, zipped: bool) -> list[str]:
    """Dotted names of all classes and functions that a ``torch.save`` file asks for, in order, read without running."""
    found = {}

    def note(stream) -> None:
        for operation, argument, _ in pickletools.genops(stream):
            if operation.name == "GLOBAL":
                module, name = argument.split(" ", 1)
                module, name = NAME_MAPPING.get((module, name), (IMPORT_MAPPING.get(module, module), name))
                found[f"{module}.{name}"] = None

    if zipped:
        with zipfile.ZipFile(path) as archive:
            note(archive.read(_member(archive.namelist(), "data.pkl")))
    else:
        with open(path, "rb") as file:
            for _ in range(4):  # the old format: magic number, protocol, system, and then what was saved
                note(file)
    return list(found)


def _member(names: Iterable[str], wanted: str) -> str | None:
    return next((name for name in names if name.count("/") == 1 and name.endswith(f"/{wanted}")), None)


def _check_archive(path: str, at: str) -> None:
    """Raise UserError where a zip archive is none of ``torch.save``'s."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, struct.error) as error:
        raise UserError(f"{at} is incomplete: the end is missing. Copy or download it again") from error
    if _member(names, "constants.pkl"):
        lines = ("import torch", f"net = torch.jit.load({path!r}, map_location='cpu')")
        raise _refused(f"{at} is a TorchScript archive, which is a program", path, *lines, "net.state_dict()")
    if any(name.endswith(".npy") for name in names):
        raise UserError(f"{at} is a NumPy archive (.npz), no state dict")
    if not _member(names, "data.pkl"):
        raise UserError(f"{at} is a zip archive without weights ({_some(names, 2)}); if they are inside, unpack it")


def _foreign(head: bytes) -> str | None:
    """What a file that begins like this is instead of a checkpoint, in words."""
    if not head:
        return "is empty"
    if head.startswith(b"version https://git-lfs"):
        return "is a Git LFS pointer, not the weights themselves: run git lfs pull in that folder"
    for start, words in (
        (b"\x1f\x8b", "is compressed with gzip: unpack it first"),
        (b"BZh", "is compressed with bzip2: unpack it first"),
        (b"\xfd7zXZ", "is compressed with xz: unpack it first"),
        (b"\x89HDF\r\n", "is an HDF5 file (from Keras?), no PyTorch state dict"),
        (b"\x93NUMPY", "is a NumPy array, no state dict"),
        (b"GGUF", "is a GGUF file, no PyTorch state dict"),
        (b"\x89PNG", "is a picture"),
        (b"\xff\xd8\xff", "is a picture"),
    ):
        if head.startswith(start):
            return words
    if not head.strip(b"\0"):
        return "begins with nothing but zeros, like a download that was broken off. Copy or download it again"
    if b"\0" not in head:
        try:
            text = codecs.getincrementaldecoder("utf-8")().decode(head).strip()
        except UnicodeDecodeError:
            return None
        if text.startswith("<"):
            return "is a web page, not the weights: perhaps the server's error or login page. Download it again"
        return f"is a text that begins {text[:30]!r}, no checkpoint"
    return None


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]


def _damaged(at: str, error: Exception) -> UserError:
    return UserError(f"{at} is damaged, incomplete or no checkpoint ({_first_line(error)}). Copy or download it again")


def _refused(why: str, path: str, first: str, second: str, weights: str) -> UserError:
    """The three lines stand at the beginning of theirs, to be pasted into Python as they are."""
    made = str(Path(path).with_suffix(".weights.pt"))
    return UserError(
        f"{why}, so cnnviz does not open it. Where you trust it, convert it once in Python:\n\n"
        f"{first}\n{second}\ntorch.save({weights}, {made!r})\n\nThen write  checkpoint: {made}"
    )


def _pickled_model(at: str, path: str, steps: str, name: str) -> UserError:
    lines = ("import torch", f"net = torch.load({path!r}, map_location='cpu', weights_only=False){steps}")
    why = f"{at} holds a whole pickled model (class {name}, whose code Python must find), and opening one runs code"
    return _refused(why, path, *lines, "net.state_dict()")


def _class_of(named: list[str]) -> str:
    """The likeliest class of a pickled model: the first that a file names and that is the user's own."""
    own = [n for n in named if not n.startswith(("torch.", "collections.", "builtins.", "numpy.", "argparse."))]
    return next(iter(own or [n for n in named if n.startswith("torch.nn.modules.")]))


# ------------------------------------------------------------------------------------------- finding the weights


def _walk(node, steps: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], dict | _StandIn]]:
    """(steps to it, what it is) of every state dict and every pickled model in a file's content.

    A dict with tensors is a state dict, unless there is one inside of it. Optimizers' and losses' states are left out.
    """
    if isinstance(node, _StandIn) and isinstance(node.state, dict) and "_parameters" in node.state:
        yield steps, node
    if not isinstance(node, dict) or len(steps) > 5:
        return
    inside = False
    for key, value in node.items():
        if isinstance(key, str) and isinstance(value, dict | _StandIn) and not _TRAINING.search(key):
            for found in _walk(value, (*steps, key)):
                inside = True
                yield found
    if not inside and any(isinstance(k, str) and isinstance(v, torch.Tensor) for k, v in node.items()):
        yield steps, node


def _choose(content, key: str | None, path: str, at: str) -> tuple[str, dict, list[str]]:
    """(dotted path, state dict, dotted paths of the others) by ``key``, or by the order that ``read`` documents."""
    found = {".".join(steps): (steps, node) for steps, node in _walk(content)}
    states = {name: node for name, (_, node) in found.items() if isinstance(node, dict)}
    if key is not None:
        chosen = next((name for name in found if name == key), None)
        for name, state in states.items() if chosen is None else ():
            start = key.removeprefix(f"{name}.") + "."  # a part of a state dict: those names that begin so
            part = {k.removeprefix(start): v for k, v in state.items() if isinstance(k, str) and k.startswith(start)}
            if part and (not name or key.startswith(f"{name}.")):
                return key, part, []
        if chosen is None:
            tops = dict.fromkeys(k.split(".")[0] for state in states.values() for k in state if isinstance(k, str))
            raise unknown(f"{at}: checkpoint_key", key, [name for name in found if name] or tops)
    elif states or found:
        order = sorted(states or found, key=lambda name: _rank(found[name][0]))
        chosen = order[0]
        equals = [name for name in order if _rank(found[name][0]) == _rank(found[chosen][0])]
        if len(equals) > 1 and not _AVERAGED.search(chosen):
            raise UserError(f"{at} holds weights of several networks; choose with checkpoint_key: {_some(equals, 12)}")
    else:
        kind = content.stands_for if isinstance(content, _StandIn) else type(content).__name__
        held = f" with {_some(map(str, content), 8)}" if isinstance(content, dict) and content else ""
        raise UserError(f"{at} holds no state dict (name → tensor), but {kind}{held}")
    steps, node = found[chosen]
    if isinstance(node, _StandIn):
        raise _pickled_model(at, path, "".join(f"[{step!r}]" for step in steps), node.stands_for)
    return chosen, node, [name for name in states if name != chosen]


def _rank(steps: tuple[str, ...]) -> tuple:
    """Plain weights before averaged ones, then WRAPPERS' order on each level; unknown names last."""
    places = [WRAPPERS.index(step.lower()) if step.lower() in WRAPPERS else len(WRAPPERS) for step in steps]
    return any(_AVERAGED.search(step.lower()) for step in steps), places


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
    """

    prefix: str
    wrapper: str
    inside: dict[str, str]
    outside: list[str]


def _match(state: Mapping[str, torch.Tensor], own: Mapping[str, tuple[int, ...]]) -> _Match:
    """Of all pairs of prefixes the one under which most names agree; among equals plain weights, then equal shapes."""
    clean = {_clean(name): name for name in state}
    ours = {_clean(name): name for name in own}
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
    return _Match(prefix, wrapper, inside, outside)


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
        lines.append(f"{len(extra)} in the file only: {_some(extra, _LISTED)}")
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
    shared = {tops[name] for name in own if name in match.inside}
    if extra and not missing and {tops[name] for name in extra} & shared:
        return "The file's network has more layers of the same names: it looks like a deeper variant."
    if missing and not extra and {tops[name] for name in missing} & shared:
        return "The network has more layers of the same names than the file's: that one looks like a shallower variant."
    if missing == list(own)[-len(missing) :] and not extra and not wrong:
        return "The file seems to hold the features without the last layer, the classifier."
    if not wrong and sorted(own[name] for name in missing) == sorted(
        tuple(state[match.inside[name]].shape) for name in extra
    ):
        return "The same shapes under other names: the weights are of other code for this architecture."
    if wrong or (missing and extra):
        return "Most often that is another variant of the architecture: another depth or width."
    return ""


def _clean(name: str) -> str:
    return _OLD_DENSENET.sub(r"\1", _INSERTED.sub("", name))


def _starts(name: str) -> list[str]:
    """ "", "a.", "a.b." of "a.b.weight"."""
    parts = name.split(".")
    return ["".join(f"{part}." for part in parts[:i]) for i in range(len(parts))]


def _below(name: str, wrapper: str) -> str:
    """The first part of a name below the network's wrapper."""
    return _clean(name).removeprefix(wrapper).split(".")[0]


def _some(names: Iterable[str], most: int) -> str:
    names = list(names)
    return ", ".join(names[:most]) + (f", … ({len(names)} in all)" if len(names) > most else "")
