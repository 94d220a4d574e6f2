"""Converts what a network returns into class scores (n, classes).

A hook on the network selects the scores from a tuple or dict and converts probabilities into scores. It gives a single
yes-or-no output z two columns, (−z/2, z/2), whose softmax is (1 − σ(z), σ(z)).
"""

from collections.abc import Callable

import torch

from cnnviz.errors import UserError, unknown
from cnnviz.network import kinds


def to_scores(outputs: dict, where: str) -> Callable[..., torch.Tensor]:
    """The hook that converts a network's output into class scores (n, classes), see also :mod:`cnnviz.network.kinds`.

    outputs: the block of that name of the model's config.
    """

    def hook(module, given, output):
        output = selected(output, outputs, where)
        if output.is_complex():
            raise UserError(f"{where}: the network returns complex numbers; let it return their abs() or real part")
        output = output.as_subclass(torch.Tensor)
        if outputs["kind"] == kinds.SEGMENTATION:
            return kinds.by_pixels(pixel_scores(output, outputs, where)).float()
        if output.ndim == 4 and output.shape[2:] == (1, 1):
            output = output.flatten(1)
        if outputs["kind"] == kinds.REGRESSION:
            return _values(output, outputs, where).float()
        return _classes(output, outputs, where).float()

    return hook


def selected(output, outputs: dict, where: str):
    """The part of a network's output that ``outputs.select`` names."""
    select = outputs["select"]
    if select is None and outputs["kind"] == kinds.SEGMENTATION and isinstance(output, dict) and "out" in output:
        select = "out"  # torchvision's key
    if select is None:
        return output if isinstance(output, torch.Tensor) else _only_tensor(output, where)
    for step in str(select).split("."):
        output = _part(output, step, where)
    return output if isinstance(output, torch.Tensor) else _only_tensor(output, where, f"{select}.")


def _only_tensor(output, where: str, inside: str = "") -> torch.Tensor:
    """The only tensor in a network's output. Raises UserError that lists the contents if there is not exactly one.

    inside: the selector that led there, and a dot.
    """
    if isinstance(output, dict):
        parts = {str(key): value for key, value in output.items()}
    elif isinstance(output, list | tuple):
        parts = {str(i): value for i, value in enumerate(output)}
    else:
        parts = getattr(output, "__dict__", {})
    tensors = {key: value for key, value in parts.items() if isinstance(value, torch.Tensor)}
    if len(tensors) == 1:
        return next(iter(tensors.values()))
    kind = type(output).__name__
    if not tensors and not isinstance(output, dict | list | tuple):
        more = ": leave out .numpy()" if kind == "ndarray" else ""
        raise UserError(f"{where}: the network returns {kind}, not a tensor of class scores (n, classes){more}")
    likely = next((key for key, value in tensors.items() if value.ndim == 2), next(iter(parts), "0"))
    listed = ", ".join(
        f"{key} {tuple(value.shape) if isinstance(value, torch.Tensor) else type(value).__name__}"
        for key, value in [*parts.items()][:8]
    )
    raise UserError(
        f"{where}: the network returns a {kind} of {listed or 'nothing'}, not class scores (n, classes). Say which "
        f"part they are: outputs: {{select: {inside}{likely}}}"
    )


def pixel_scores(output: torch.Tensor, outputs: dict, where: str) -> torch.Tensor:
    """A segmentation network's output → scores (n, classes, h, w); a single map is a yes-or-no for each pixel."""
    if not output.is_floating_point():
        raise UserError(
            f"{where}: the network returns whole numbers, the class of each pixel; the scores that they come from are "
            "needed. outputs.select says which part holds them"
        )
    if output.ndim == 3:
        output = output[:, None]
    if output.ndim != 4:
        raise UserError(
            f"{where}: kind: segmentation is for networks that return (n, classes, height, width), not "
            f"{tuple(output.shape)}; outputs.select says which part holds them"
        )
    single = output.shape[1] == 1
    if outputs["returns"] == "probabilities":
        output = output.logit(1e-7) if single else output.clamp_min(1e-12).log()
    return torch.cat([-output / 2, output / 2], 1) if single else output


def _values(output: torch.Tensor, outputs: dict, where: str) -> torch.Tensor:
    """(n,) or (n, k) numbers → (n, 2k): the values, ``scale`` × number + ``shift``, and their negatives."""
    output = output.reshape(-1, 1) if output.ndim < 2 else output
    if output.ndim != 2:
        raise UserError(f"{where}: kind: regression is for networks that return (n, values), not {tuple(output.shape)}")
    for key, change in (("scale", torch.mul), ("shift", torch.add)):
        if (given := outputs.get(key)) is not None:
            if isinstance(given, list) and len(given) != output.shape[1]:
                raise UserError(
                    f"{where}: outputs.{key} lists {len(given)} numbers, the network outputs {output.shape[1]}"
                )
            output = change(output, torch.tensor(given, dtype=output.dtype, device=output.device))
    return torch.cat([output, -output], 1)


def _classes(output: torch.Tensor, outputs: dict, where: str) -> torch.Tensor:
    kind = outputs["kind"]
    if output.ndim == 1 and kind == "binary":
        output = output[:, None]
    if outputs["returns"] == "probabilities":
        output = output.float()  # 16-bit values round to 1 too early
        single = kind == "sigmoid" or output.shape[1:] == (1,)
        output = output.logit(1e-7) if single else output.clamp_min(1e-12).log()
    if output.ndim == 2 and output.shape[1] == 1 and kind != "sigmoid":
        if kind != "binary":
            raise UserError(
                f"{where}: the network has one output only; is it a yes-or-no net? Then: outputs: {{kind: binary}}. "
                "Is it a number, such as an age? Then: outputs: {kind: regression}"
            )
        output = torch.cat([-output / 2, output / 2], 1)
    return output


def _part(output, step: str, where: str):
    """One step of a selector: a key, an index or an attribute."""
    if isinstance(output, dict):
        keys = {str(key): value for key, value in output.items()}
        if step in keys:
            return keys[step]
        raise unknown(f"{where}: outputs.select", step, keys)
    if isinstance(output, list | tuple) and step.lstrip("-").isdigit():
        if -len(output) <= int(step) < len(output):
            return output[int(step)]
        raise UserError(f"{where}: outputs.select: {step}, but the network returns {len(output)} items")
    if hasattr(output, step) and not isinstance(output, torch.Tensor):
        return getattr(output, step)
    fields = [f"{i}" for i in range(len(output))] if isinstance(output, list | tuple) else []
    raise unknown(f"{where}: outputs.select (the network returns a {type(output).__name__})", step, fields)
