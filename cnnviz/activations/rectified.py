"""The operations around a layer: the one that makes its values, and those that read them.

They decide whether a unit is *dead*. A unit whose values are never above 0 has no effect if a ReLU reads them (pooling
or joining in between does not matter), or if a ReLU made them. Before a batch normalisation, for example, it can have
an effect. The operations are recorded in one forward pass, so functional ReLUs count.
"""

from collections.abc import Sequence

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

# Values that are all ≤ 0 stay so in these operations: they move, average or select values.
_RESHAPE = {
    "clone", "contiguous", "detach", "alias", "view", "_unsafe_view", "reshape", "permute", "transpose", "t", "expand",
    "unsqueeze", "squeeze", "flatten", "as_strided",
}  # fmt: skip
_KEEP_SIGN = _RESHAPE | {
    "max_pool2d_with_indices", "max_pool2d", "avg_pool2d", "_adaptive_avg_pool2d", "adaptive_avg_pool2d", "mean", "cat",
}  # fmt: skip
_RELUS = {"ReLU", "ReLU6"}
_WORDS = {
    "relu": "ReLU", "threshold": "ReLU", "clamp_min": "ReLU", "hardtanh": "ReLU6", "convolution": "convolution",
    "native_batch_norm": "batch normalisation", "_native_batch_norm_legit_no_training": "batch normalisation",
    "cudnn_batch_norm": "batch normalisation", "native_layer_norm": "layer normalisation", "add": "addition",
    "addmm": "linear", "mm": "linear", "mul": "multiplication", "cat": "concatenation", "max_pool2d": "max pooling",
    "max_pool2d_with_indices": "max pooling", "avg_pool2d": "mean pooling", "gelu": "GELU", "silu": "SiLU",
    "_adaptive_avg_pool2d": "mean pooling", "adaptive_avg_pool2d": "mean pooling",
    "hardswish": "hard swish", "leaky_relu": "leaky ReLU", "sigmoid": "sigmoid", "_softmax": "softmax",
}  # fmt: skip


def around(net: nn.Module, modules: Sequence[str], shape: tuple[int, int, int]) -> dict[str, dict]:
    """made_by, the operation that made each module's output, and read_by, those that read it.

    modules: dotted names. Both are in words; pooling, joining and reshaping are skipped. rectified: True if only ReLUs
    read the output, or one made it. shape: (c, h, w) of a network input.
    """
    watch, like = _Watch(), next(net.parameters(), torch.zeros(()))
    handles = [
        net.get_submodule(name).register_forward_hook(
            lambda module, inputs, output, name=name: watch.came(name, output)
        )
        for name in dict.fromkeys(modules)
    ]
    try:
        with torch.no_grad(), watch:
            net(torch.zeros(1, *shape, dtype=like.dtype, device=like.device))
    finally:
        for handle in handles:
            handle.remove()
    return {name: watch.found[name] | {"rectified": watch.rectified(name)} for name in dict.fromkeys(modules)}


class _Watch(TorchDispatchMode):
    """Records the operation that made each tensor, and those that read the outputs of the watched modules."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """False: nothing is compiled here. To keep its compiler away torch would import it, which takes two seconds."""
        return False

    def __init__(self):
        super().__init__()
        self.found: dict[str, dict] = {}
        self._made: dict[int, str] = {}
        self._followed: dict[int, list[str]] = {}  # id of a tensor → modules whose values it holds
        self._alive: list[torch.Tensor] = []  # ids are unique only while the tensors exist

    def came(self, name: str, output: torch.Tensor) -> None:
        self.found[name] = {"made_by": self._made.get(id(output), "something else"), "read_by": []}
        self._followed.setdefault(id(output), []).append(name)
        self._alive.append(output)

    def rectified(self, name: str) -> bool:
        readers = set(self.found[name]["read_by"])
        return self.found[name]["made_by"].split(" and ")[0] in _RELUS or bool(readers) and readers <= _RELUS

    def __torch_dispatch__(self, function, types, arguments=(), keywords=None):
        result = function(*arguments, **(keywords or {}))
        operation = function.overloadpacket.__name__.removesuffix("_")
        words = _WORDS.get(operation, operation.strip("_").replace("_", " "))
        if operation in ("hardtanh", "threshold", "clamp_min") and 0 not in arguments[1:3]:
            words = operation  # bounded, but not at 0
        made = result[0] if isinstance(result, tuple | list) else result
        read = [a for given in arguments for a in (given if isinstance(given, list | tuple) else [given])]
        read = [a for a in read if isinstance(a, torch.Tensor)]
        sources = {self._made.get(id(tensor), "") for tensor in read}
        if operation in _RESHAPE and len(sources) == 1:
            words = sources.pop() or words
        elif operation in _KEEP_SIGN and sources and all(source.split(" and ")[0] in _RELUS for source in sources):
            words = f"{min(sources).split(' and ')[0]} and {words}"
        for tensor in read:
            for name in list(self._followed.get(id(tensor), [])):
                if operation in _KEEP_SIGN:
                    carried = self._followed.setdefault(id(made), [])
                    if name not in carried:  # a join may read it twice
                        carried.append(name)
                elif words not in self.found[name]["read_by"]:
                    self.found[name]["read_by"].append(words)
            if made is tensor and operation not in _RESHAPE:  # in place: later operations read other values
                self._followed.pop(id(tensor), None)
        if isinstance(made, torch.Tensor):
            self._made[id(made)] = words
            self._alive.append(made)
        return result
