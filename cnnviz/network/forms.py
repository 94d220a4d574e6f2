"""Unwraps networks in common forms: wrapped, compiled, scripted, beside their transforms; or reports what it is.

:func:`of_factory` finds the network in a factory's return value, :func:`unwrapped` removes wrappers, and
:func:`settled` makes a frozen float32 network of plain layers. A network that cannot be inspected is refused in words.
"""

import contextlib
import inspect
import os
import sys
from collections.abc import Callable, Iterator, Mapping

import torch
from torch import nn
from torch.nn.utils import parametrize, prune, remove_spectral_norm, remove_weight_norm

from cnnviz.errors import UserError, in_a_line
from cnnviz.network import fitting, inputs, precision

REBUILD = (
    "Give a factory that returns the Python network it was made from. Its weights can come along as checkpoint: FILE, "
    "saved by torch.save(net.state_dict(), FILE)"
)
_AROUND = ("DataParallel", "DistributedDataParallel", "AveragedModel", "OptimizedModule")  # torch's wrappers


def of_factory(made, what: str) -> nn.Module:
    """The network in a factory's return value: itself, or the only one with weights in a tuple, list or dict.

    what: the factory, for messages. Raises UserError that states what was returned, and what to return.
    """
    if isinstance(made, nn.Module):
        return made
    parts = list(made.values() if isinstance(made, dict) else made) if isinstance(made, dict | list | tuple) else []
    nets = [part for part in parts if isinstance(part, nn.Module)]
    nets = [net for net in nets if next(net.parameters(), None) is not None] or nets
    if len(nets) == 1:
        return nets[0]
    raise UserError(f"{what} returned {_instead(made, nets)}")


def _instead(made, nets: list) -> str:
    """What was returned instead of a network, and the remedy."""
    name = type(made).__name__
    if made is None:
        return "None, not a torch.nn.Module. Does it end with `return net`?"
    if len(nets) > 1:
        return f"{len(nets)} networks. Return one torch.nn.Module, the one to visualise"
    if isinstance(made, type):
        return f"the class {made.__name__}, not a torch.nn.Module. Return {made.__name__}(…), a network of that class"
    if type(made).__module__.startswith("torch.export"):
        return f"{name}, a program of torch.export, which cannot be inspected. {REBUILD}"
    if isinstance(made, dict) and made and all(isinstance(value, torch.Tensor) for value in made.values()):
        return (
            "a state dict: weights without a network. Return the network, and name the file of weights as checkpoint:"
        )
    if isinstance(made, str | os.PathLike):
        return f"{name} {str(made)[:80]!r}, not a torch.nn.Module. A file of weights belongs to checkpoint:"
    if inspect.isawaitable(made) or inspect.isgenerator(made) or inspect.isasyncgen(made):
        with contextlib.suppress(Exception):
            made.close()  # otherwise Python warns about a coroutine that was never awaited
        return f"a {name}, not a torch.nn.Module. Write it as a plain function, without async and yield"
    inside = [key for key, value in getattr(made, "__dict__", {}).items() if isinstance(value, nn.Module)]
    if inside:
        return f"{name}, not a torch.nn.Module. Its attribute {inside[0]} is one: return that"
    return f"{name}, not a torch.nn.Module. Only PyTorch networks can be visualised"


def unwrapped(net: nn.Module, where: str) -> nn.Module:
    """``net`` without wrappers: torch.compile, DataParallel, averaged weights.

    Raises UserError for networks without layers that can be watched, or without gradients.
    """
    while (inner := _inside(net)) is not None:
        net = inner
    exported = isinstance(net, torch.fx.GraphModule) and any(
        type(node.target).__name__ == "OpOverload" for node in net.graph.nodes
    )
    if exported or type(net).__module__.startswith("torch.export"):
        raise UserError(f"{where}: the network is a program of torch.export, which cannot be inspected. {REBUILD}")
    for name, module in net.named_modules():
        part, home = f"the network's part {name}" if name else "the network", type(module).__module__
        if name and isinstance(module, torch.jit.ScriptModule):
            raise UserError(
                f"{where}: {part} is TorchScript, which cannot be inspected; use the Python module that it was made "
                "from, without torch.jit.script() or torch.jit.trace()"
            )
        if isinstance(module, torch.jit.ScriptModule):
            raise UserError(f"{where}: {part} is TorchScript (torch.jit), which cannot be inspected. {REBUILD}")
        if home.startswith("torch.ao.nn") and ".quantized" in home:
            raise UserError(f"{where}: {part} is quantised, so it has no gradients. {REBUILD}")
    return net


def _inside(net: nn.Module) -> nn.Module | None:
    """The network inside a torch wrapper; None if ``net`` is not a wrapper."""
    kind = type(net)
    if kind.__name__ not in _AROUND or kind.__module__.split(".")[0] != "torch":
        return None
    return net._orig_mod if hasattr(net, "_orig_mod") else net.module


@contextlib.contextmanager
def keeping_settings() -> Iterator[None]:
    """Restores all global settings of torch (threads, gradients, default types) after the code inside."""
    threads, kind = torch.get_num_threads(), torch.get_default_dtype()
    try:
        with torch.enable_grad():
            yield
    finally:
        torch.set_default_device(None)
        torch.set_default_dtype(kind)
        torch.set_num_threads(threads)


def initialised(
    net: nn.Module,
    again: Callable[[], nn.Module],
    size: tuple[int, int],
    stated: int | None,
    state: Mapping[str, torch.Tensor] | None,
    where: str,
) -> nn.Module:
    """``net`` with its lazy layers, if any, initialised by a black picture; and off the meta device.

    again: makes the network again. size: (height, width). stated: the picture's channels; None tries likely numbers,
    and with a checkpoint's ``state`` takes the first that fits. Raises UserError if none works.
    """
    if any(parameter.is_meta for parameter in net.parameters()):
        beside = {name for name, buffer in net.named_buffers() if buffer.is_meta} - net.state_dict().keys()
        if state is None or beside:
            raise UserError(f"{where}: the network is on the meta device, so it has no weights. Build it on the CPU")
        net.to_empty(device="cpu")  # the checkpoint has all values
    if not any(nn.parameter.is_lazy(tensor) for tensor in (*net.parameters(), *net.buffers())):
        return net
    first = None
    inside = [v.shape[1] for v in (state or {}).values() if v.ndim == 4]
    for channels in dict.fromkeys([stated] if stated else [3, 1, *inside[:1]]):
        net = net if first is None else again()
        for module in net.modules():
            module.training = False
        error = inputs.attempt(net, channels, size).error
        try:
            if error is None and state is not None:
                fitting.fit(net, state, where)
        except UserError as misfit:
            error = misfit
        if error is None:
            return net
        first = first or error
    words = str(first).removeprefix(f"{where}: ") if isinstance(first, UserError) else in_a_line(first)
    raise UserError(
        f"{where}: the lazy layers of the network cannot learn their sizes from a picture of {size[0]} × {size[1]} "
        f"pixels: {words.rstrip('.')}. Write preprocess: {{resize: [height, width], input_channels: n}} as in training"
    ) from first


def settled(net: nn.Module) -> nn.Module:
    """``net`` on the CPU, with float32 input, in eval mode, frozen, not compiled, with plain weights.

    It does not rely on the network's own versions of ``eval()``, ``float()`` and similar methods. Call it after all
    weights are loaded.
    """
    if "torch._dynamo" in sys.modules:
        torch.compiler.set_stance("force_eager")  # hooks do not work in compiled code
    for module in net.modules():
        module._compiled_call_impl = None
        for name, child in [*module.named_children()]:
            while (inner := _inside(child)) is not None:
                setattr(module, name, child := inner)
    with contextlib.suppress(Exception):  # some need more arguments, and some are other methods of the same name
        net.eval()
    for module in net.modules():
        module.training = False
        _fold(module)
    _plain_tensors(net)
    _take_positional(net)
    return precision.settle(net)


def _fold(module: nn.Module) -> None:
    """Replaces spectral and weight norm, pruning and other parametrisations by their resulting weights."""
    with contextlib.suppress(Exception):  # otherwise the weights are computed in each pass
        if parametrize.is_parametrized(module):
            for name in [*module.parametrizations]:
                parametrize.remove_parametrizations(module, name, leave_parametrized=True)
        for hook in [*module._forward_pre_hooks.values()]:
            match type(hook).__name__:
                case "WeightNorm":
                    remove_weight_norm(module, hook.name)
                case "SpectralNorm":
                    remove_spectral_norm(module, hook.name)
                case _ if isinstance(hook, prune.BasePruningMethod):
                    prune.remove(module, hook._tensor_name)


def _plain_tensors(net: nn.Module) -> None:
    """Moves parameters and buffers to the CPU, without gradients and not made in inference mode."""

    def plain(tensor: torch.Tensor) -> torch.Tensor:
        tensor = tensor.to("cpu")
        return tensor.clone() if tensor.is_inference() else tensor

    for module in net.modules():
        for name, tensor in module._parameters.items():
            if tensor is not None and (tensor.is_inference() or tensor.device.type != "cpu"):
                module._parameters[name] = nn.Parameter(plain(tensor), requires_grad=False)
        for name, tensor in module._buffers.items():
            if tensor is not None:
                module._buffers[name] = plain(tensor)
    for parameter in net.parameters():
        parameter.requires_grad_(False)


def _take_positional(net: nn.Module) -> None:
    """Makes a network that takes its picture by keyword only take it as the first argument, too."""
    try:
        parameters = inspect.signature(net.forward).parameters.values()
    except (TypeError, ValueError):  # not written in Python
        return
    named = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]
    if named and not any(p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD, p.VAR_POSITIONAL) for p in parameters):
        net.register_forward_pre_hook(
            lambda module, inputs, more: ((), dict(zip(named, inputs, strict=False)) | more), with_kwargs=True
        )
