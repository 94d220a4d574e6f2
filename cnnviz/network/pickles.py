"""Reads pickles without running anything in them: it makes tensors, arrays, containers and numbers only.

Every class or function that a pickle names (argparse.Namespace, numpy scalars, parts of a config, a whole network) is
replaced by an inert ``StandIn`` of that name. So no list of trusted classes is needed, and none has to be installed.
``torch.load(weights_only=True)`` gets stand-ins, too. ``Reader`` reads what it refuses: pickles that torch did not
write, newer pickle protocols, subclasses of dict.
"""

import io
import pickle
import re
from collections import OrderedDict
from collections.abc import Callable, Iterator

import numpy as np
import torch

# Stand-ins of these would do nothing, too, but the user should know about such a file.
HOSTILE = re.compile(
    r"(os|posix|nt|sys|subprocess|shutil|runpy|importlib|ctypes|socket|pty|webbrowser)\..*"
    r"|builtins\.(eval|exec|compile|open|__import__|breakpoint)"
)
_ARRAY = re.compile(r"numpy\.(_?core\.(multiarray\._reconstruct|numeric\._frombuffer))")
_NUMBERS = re.compile(r"[fiuc](1|2|4|8|16)|b1|\?")


class Hostile(Exception):
    """A pickle names a function that weights never need, such as os.system."""


class StandIn:
    """Replaces an object of a class or function of a pickle; stores its arguments and does nothing.

    args: of the call. state: the state for its attributes. items: its items.
    """

    __slots__ = ("args", "state", "items")
    stands_for = ""

    def __new__(cls, *args, **kwargs):
        new = object.__new__(cls)
        new.args, new.state, new.items = args, None, {}
        return new

    def __init__(self, *args, **kwargs):
        pass

    def __setstate__(self, state):
        self.state = state

    def __setitem__(self, key, value):
        self.items[key] = value

    def append(self, value):
        self.items[len(self.items)] = value

    def add(self, value):
        pass

    @property
    def attributes(self) -> dict:
        """Name → value of the object's attributes; for a subclass of dict also its items."""
        state = self.state
        if isinstance(state, tuple) and len(state) == 2:  # (__dict__, __slots__)
            state = {key: value for part in state if isinstance(part, dict) for key, value in part.items()}
        return (state if isinstance(state, dict) else {}) | self.items


class _Dict:
    """Stands in for defaultdict, AttributeDict, EasyDict, …: torch's unpickler fills exact standard types only."""

    def __new__(cls, *args, **kwargs):
        return OrderedDict()


class _List:
    def __new__(cls, *args, **kwargs):
        return []


def stand_in(name: str) -> type:
    """The stand-in class for that dotted name."""
    if name == "collections.deque":
        return type("_List", (_List,), {})
    if name.lower().endswith("dict") and not name.startswith("torch.nn."):
        return type("_Dict", (_Dict,), {})
    return type("StandIn", (StandIn,), {"__slots__": (), "stands_for": name})


class Reader(pickle._Unpickler):
    """Unpickles with stand-ins.

    It is Python's own implementation of pickle, since the C version allocates any requested memory. record: the bytes
    of a storage by its key, in a file of torch.save. Raises Hostile, and anything for damaged pickles.
    """

    dispatch = dict(pickle._Unpickler.dispatch)

    def __init__(self, file: io.BufferedIOBase, record: Callable[[str], bytes] | None = None):
        super().__init__(file, encoding="latin1")  # Python 2's encoding of arrays
        self.record, self.storages, self.named = record, {}, {}

    def find_class(self, module: str, name: str):
        full = f"{module}.{name}".replace("__builtin__.", "builtins.", 1)
        if HOSTILE.fullmatch(full):
            raise Hostile(full)
        if full in _MADE:
            return _MADE[full]
        if module == "torch" and isinstance(getattr(torch, name, None), torch.dtype):
            return getattr(torch, name)
        return self.named.setdefault(full, stand_in(full))

    def persistent_load(self, pid):
        _, kind, key, _, _ = pid
        if key not in self.storages:
            self.storages[key] = torch.frombuffer(bytearray(self.record(key)), dtype=torch.uint8).untyped_storage()
        dtype = torch.storage._storage_type_to_dtype_map().get(kind.stands_for.rpartition(".")[2], torch.uint8)
        return torch.storage.TypedStorage(wrap_storage=self.storages[key], dtype=dtype, _internal=True)

    def load_build(self):
        state, made = self.stack.pop(), self.stack[-1]
        if isinstance(made, StandIn):  # only stand-ins get attributes
            made.state = state

    dispatch[pickle.BUILD[0]] = load_build


def _parameter(data, *_):
    return data


def _subclass(function, kind, args, state):
    """The tensor of a subclass of Tensor, or the stand-in of a tensor that is spread over processes."""
    if function is _MADE["torch._utils._rebuild_tensor_v2"]:
        return function(*args)
    new = kind(*args)
    new.state = state
    return new


_MADE = {
    "collections.OrderedDict": OrderedDict,
    "_codecs.encode": lambda text, encoding="latin1": text.encode("latin1"),
    "builtins.bytes": lambda *_: b"",
    "torch.Size": lambda sizes=(): tuple(sizes),
    "torch.storage._load_from_bytes": lambda raw: torch.load(io.BytesIO(raw), map_location="cpu", weights_only=True),
    "torch._utils._rebuild_tensor_v2": torch._utils._rebuild_tensor_v2,
    "torch._utils._rebuild_tensor_v3": torch._utils._rebuild_tensor_v3,
    "torch._utils._rebuild_parameter": _parameter,
    "torch._utils._rebuild_parameter_with_state": _parameter,
    "torch._tensor._rebuild_from_type_v2": _subclass,
}


def with_arrays(node, done: dict | None = None):
    """``node`` with tensors instead of stand-ins of numpy arrays, at any depth."""
    done = {} if done is None else done
    if id(node) in done:
        return done[id(node)]
    if isinstance(node, StandIn):
        array = _local(node) if is_part(node) else _array(node)
        if array is not None:
            return done.setdefault(id(node), array)
        done[id(node)] = node
        node.state, node.items = with_arrays(node.state, done), with_arrays(node.items, done)
    elif isinstance(node, dict):
        done[id(node)] = node
        for key, value in node.items():
            node[key] = with_arrays(value, done)
    elif isinstance(node, list):
        done[id(node)] = node
        node[:] = [with_arrays(value, done) for value in node]
    elif isinstance(node, tuple):
        return tuple(with_arrays(value, done) for value in node)
    return node


def is_part(node) -> bool:
    """Whether it is the stand-in of a tensor that is spread over processes."""
    return isinstance(node, StandIn) and node.stands_for.rpartition(".")[2] in ("DTensor", "ShardedTensor")


def _local(node: StandIn) -> torch.Tensor | None:
    """The tensor of one process, if that is the whole one."""
    local = node.attributes.get("_local_tensor")
    size = node.args[2] if len(node.args) > 2 else None  # class, dtype, size, …
    return local if isinstance(local, torch.Tensor) and tuple(local.shape) == size else None


def _array(node: StandIn) -> torch.Tensor | None:
    """The array of a numpy stand-in; None for other stand-ins, and for arrays that do not hold numbers."""
    if not _ARRAY.fullmatch(node.stands_for):
        return None
    if node.stands_for.endswith("_frombuffer"):
        raw, kind, shape, order = node.args
        fortran = order == "F"
    elif isinstance(node.state, tuple) and len(node.state) == 5:
        _, shape, kind, fortran, raw = node.state
    else:
        return None
    if not isinstance(kind, StandIn) or not kind.args or not isinstance(raw, str | bytes | bytearray):
        return None
    code = kind.args[0]
    raw = raw.encode("latin1") if isinstance(raw, str) else raw
    if isinstance(code, type) and getattr(code, "stands_for", "").endswith(".bfloat16"):
        return torch.frombuffer(bytearray(raw), dtype=torch.bfloat16).reshape(shape)
    if not isinstance(code, str) or not _NUMBERS.fullmatch(code):
        return None
    order = kind.state[1] if isinstance(kind.state, tuple) and kind.state[1] in ("<", ">") else "="
    return as_tensor(np.frombuffer(raw, np.dtype(code).newbyteorder(order)).reshape(shape, order="CF"[bool(fortran)]))


def as_tensor(array: np.ndarray) -> torch.Tensor:
    """A copy of an array of numbers."""
    return torch.from_numpy(array.astype(array.dtype.newbyteorder("="), order="C", copy=True))


def objects(node) -> Iterator:
    """Objects of a pickled numpy object array; nothing for anything else."""
    if isinstance(node, StandIn) and _ARRAY.fullmatch(node.stands_for) and isinstance(node.state, tuple):
        raw = node.state[-1]
        yield from raw if isinstance(raw, list) else ()


def protocol_0(text: str) -> bool:
    """Whether a text is a pickle of protocol 0, which is written in letters."""
    return re.match(r"\([dlt(IFLNSVc]|c[\w.]+\n[\w.]+\n", text) is not None
