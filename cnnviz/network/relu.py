"""Another backward pass for every ReLU, in whatever way a network calls it.

Guided backpropagation (Springenberg et al. 2015) and the deconvolutional network (Zeiler & Fergus 2014) are the
gradient with one change. A ReLU y = max(0, x) passes an incoming gradient g on as

    gradient   g · [x > 0]
    deconvnet  g · [g > 0]
    guided     g · [x > 0] · [g > 0]

A mode that sees every torch function (not hooks on modules) applies the rule to modules, to one module used several
times, to ``F.relu``, ``torch.relu``, ``clamp(min=0)``, ReLU6 and in-place calls, also if the result is discarded. The
network is not changed. The mode does not see compiled TorchScript and arithmetic such as ``x * (x > 0)``.
:func:`leftover` detects those, and gates and smooth activations, by the network's behaviour without its ReLUs.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

GRADIENT, DECONVNET, GUIDED = "gradient", "deconvnet", "guided"
RULES = (GRADIENT, DECONVNET, GUIDED)


class _Rectify(torch.autograd.Function):
    """min(max(x, 0), high) with a rule for its backward pass; optionally in place."""

    @staticmethod
    def forward(ctx, x: Tensor, high: float, rule: str, in_place: bool) -> Tensor:
        ctx.rule = rule
        inside = (x > 0) & (x < high) if math.isfinite(high) else x > 0
        ctx.save_for_backward(inside)
        if in_place:
            ctx.mark_dirty(x)
            return x.clamp_(0, high)
        return x.clamp(0, high)

    @staticmethod
    def backward(ctx, g: Tensor):
        (inside,) = ctx.saved_tensors
        if ctx.rule != GRADIENT:
            g = g.clamp(min=0)
        if ctx.rule != DECONVNET:
            g = g * inside
        return g, None, None, None


class ReluRule(TorchFunctionMode):
    """``with ReluRule("guided") as rule: …``: forward passes inside get that backward pass at each ReLU.

    sites: number of calls with the rule in all forward passes inside. If it is 0 the network has no visible ReLU, and a
    backward pass gives the plain gradient.
    """

    def __init__(self, rule: str):
        if rule not in RULES:
            raise ValueError(f"ReLU rule {rule!r}: one of {', '.join(RULES)}")
        super().__init__()
        self.rule = rule
        self.sites = 0

    def __torch_function__(self, function, types, args=(), kwargs=None):
        call = _rectifier(function, args, kwargs or {})
        if call is None:
            return function(*args, **(kwargs or {}))
        x, high, in_place = call
        self.sites += 1
        return self._apply(x, high, in_place)

    def _apply(self, x: Tensor, high: float, in_place: bool) -> Tensor:
        if in_place and x.is_leaf and x.requires_grad:
            in_place = False  # autograd forbids it, as without this mode; the caller uses the result
        return _Rectify.apply(x, high, self.rule, in_place)


class _Linear(ReluRule):
    """The network without its ReLUs, and with means instead of maxima: affine, if nothing else is nonlinear."""

    def __init__(self):
        super().__init__(GRADIENT)

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        if function in (F.max_pool2d, torch.max_pool2d):
            names = ("kernel_size", "stride", "padding", "dilation", "ceil_mode")
            given = dict(zip(names, args[1:], strict=False)) | kwargs
            given = {k: given[k] for k in ("kernel_size", "stride", "padding", "ceil_mode") if given.get(k) is not None}
            return F.avg_pool2d(args[0], **given)
        if function is F.adaptive_max_pool2d:
            return F.adaptive_avg_pool2d(args[0], args[1] if len(args) > 1 else kwargs["output_size"])
        return super().__torch_function__(function, types, args, kwargs)

    def _apply(self, x: Tensor, high: float, in_place: bool) -> Tensor:
        return x


@torch.no_grad()
def leftover(net: nn.Module, x: Tensor) -> float:
    """Nonlinearity of the network apart from its ReLUs and maxima: 0 if it is affine without them, else about 1.

    x: normalised pictures, (n, c, h, w). A network whose ReLUs are all visible is affine without them (convolutions,
    batch norm, sums, means): f((a + b) / 2) = (f(a) + f(b)) / 2. The result is the relative error of this for two
    pictures of noise like x. Gates, GELU, SiLU, softmax attention, TorchScript and ``x * (x > 0)`` are nonlinear.
    """
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(x[:1].shape, generator=generator, dtype=torch.float64).to(x) * x.std() for _ in range(2))
    with _Linear():
        of_a, of_b, between = (net(z).double() for z in (a, b, (a + b) / 2))
    middle = (of_a + of_b) / 2
    scale = (of_a - of_b).norm().clamp(min=1e-12)
    return float((between - middle).norm() / scale)


def _rectifier(function, args: tuple, kwargs: dict) -> tuple[Tensor, float, bool] | None:
    """(x, upper end, in place) if a call is max(x, 0), with or without an upper limit; else None."""
    x = args[0] if args else kwargs.get("input")
    if not isinstance(x, Tensor) or not x.is_floating_point():
        return None

    def given(position: int, name: str, default):
        return args[position] if len(args) > position else kwargs.get(name, default)

    if function in (torch.relu, Tensor.relu, torch.relu_, Tensor.relu_, F.relu_):
        return x, math.inf, function in (torch.relu_, Tensor.relu_, F.relu_)
    if function is F.relu:
        return x, math.inf, bool(given(1, "inplace", False))
    if function is F.relu6:
        return x, 6.0, bool(given(1, "inplace", False))
    if function in (F.hardtanh, F.hardtanh_):
        low, high = given(1, "min_val", -1.0), given(2, "max_val", 1.0)
        in_place = function is F.hardtanh_ or bool(given(3, "inplace", False))
        return (x, float(high), in_place) if low == 0 else None
    if function in (F.threshold, torch.threshold, F.threshold_, torch.threshold_):
        in_place = function in (F.threshold_, torch.threshold_) or bool(given(3, "inplace", False))
        return (x, math.inf, in_place) if given(1, "threshold", None) == 0 and given(2, "value", None) == 0 else None
    if x.ndim == 4 and function in (torch.clamp_min, Tensor.clamp_min, torch.clamp_min_, Tensor.clamp_min_):
        low = given(1, "min", None)
        return (x, math.inf, function in (torch.clamp_min_, Tensor.clamp_min_)) if _is_zero(low) else None
    clamps = (torch.clamp, Tensor.clamp, torch.clip, Tensor.clip)
    in_place_clamps = (torch.clamp_, Tensor.clamp_, torch.clip_, Tensor.clip_)
    if x.ndim == 4 and function in (*clamps, *in_place_clamps):
        low, high = given(1, "min", None), given(2, "max", None)
        if _is_zero(low) and (high is None or isinstance(high, int | float)):
            return x, math.inf if high is None else float(high), function in in_place_clamps
    if x.ndim == 4 and function in (torch.maximum, torch.max) and len(args) == 2 and isinstance(args[1], Tensor):
        return (x, math.inf, False) if args[1].numel() == 1 and _is_zero(args[1].item()) else None
    return None


def _is_zero(value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value == 0
