"""Finds the values inside a network that depend on marked pixels, by running the network on marks.

A marked number is NaN ("not a number"): it survives every sum, and moving it keeps it. An integer or a bool cannot be
NaN, so its marks are kept beside it. Five kinds of operators are known:

- operators on single elements (activations, comparisons, arithmetic): a result is marked if any operand is;
- operators that only read a tensor's shape or type, or overwrite it; they simply run;
- operators that move elements, or sum many; they run, too, since NaN propagates by itself;
- operators that read positions given by other numbers; they run, too, if those numbers are not marked;
- compositions of others, which are split.

Every other operator, such as a sort, a deformable convolution, or a user's own, may read a marked number as an address,
which can crash the process. It gets zeros instead of marks, and all its results are marked: they may depend on
anything. So is everything after a marked number has left torch, for an ``if``, for example.
"""

import functools
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only

ROWS, COLUMNS = 0, 1
aten = torch.ops.aten


def _of(names: str) -> frozenset:
    return frozenset(getattr(aten, name) for name in names.split() if hasattr(aten, name))


# On single elements, and NaN propagates by itself: most operators of a network, so they need no second check.
CARRY = _of("add add_ sub sub_ mul mul_ div div_ neg relu relu_ gelu silu silu_ sigmoid sigmoid_ tanh exp clone")
# On single elements, too, although PyTorch does not declare it.
ELEMENTS = _of(
    "_to_copy hardswish hardswish_ masked_fill masked_fill_ _prelu_kernel rrelu_with_noise rrelu_with_noise_ "
    "threshold_ native_dropout bernoulli log_sigmoid_forward complex polar"
)
MAKE = _of(
    "empty_like zeros_like ones_like full_like rand_like randn_like randint_like new_empty new_empty_strided "
    "new_zeros new_ones new_full fill_ zero_"
)
MOVE = _of(
    "cat stack roll flip constant_pad_nd reflection_pad1d reflection_pad2d replication_pad1d replication_pad2d "
    "pixel_shuffle pixel_unshuffle channel_shuffle native_channel_shuffle repeat _unsafe_view slice_scatter "
    "select_scatter tril triu im2col col2im upsample_nearest1d upsample_nearest2d _upsample_nearest_exact2d rot90 "
    "repeat_interleave unfold_copy view_copy slice_copy permute_copy expand_copy select_copy as_strided_ resize_ "
    "unsqueeze_ squeeze_ transpose_ t_ _reshape_copy"
)
ADD_UP = _of(
    "convolution sum mean mm bmm addmm baddbmm addbmm mv addmv dot native_batch_norm cudnn_batch_norm "
    "miopen_batch_norm _native_batch_norm_legit _native_batch_norm_legit_no_training native_layer_norm "
    "native_group_norm _fused_rms_norm _softmax _log_softmax logsumexp avg_pool1d avg_pool2d avg_pool3d "
    "max_pool2d_with_indices max_pool3d_with_indices max_pool2d max_pool3d adaptive_max_pool2d _adaptive_avg_pool2d "
    "adaptive_avg_pool2d _adaptive_avg_pool3d var var_mean std std_mean linalg_vector_norm norm prod cumsum cumprod "
    "amax amin max min upsample_linear1d upsample_bilinear2d upsample_bicubic2d _upsample_bilinear2d_aa "
    "_upsample_bicubic2d_aa _fft_r2c _fft_c2c _fft_c2r _native_multi_head_attention _transformer_encoder_layer_fwd "
    "_scaled_dot_product_flash_attention _scaled_dot_product_flash_attention_for_cpu "
    "_scaled_dot_product_cudnn_attention _scaled_dot_product_efficient_attention _scaled_dot_product_attention_math "
    "_scaled_dot_product_fused_attention_overrideable _weight_norm_interface addr"
)
ADDRESS = _of(
    "index _unsafe_index gather index_select take embedding index_put index_put_ index_add index_add_ scatter "
    "scatter_ scatter_add scatter_add_ masked_select grid_sampler_2d grid_sampler_3d"
)
LEAVE = _of("_local_scalar_dense is_nonzero equal allclose item")


class Marks(TorchDispatchMode):
    """Runs a network on marks, inside ``with Marks(): net(x)``; the marked pixels of x are NaN.

    pad_nan: None, or the axis (ROWS, COLUMNS) along which padding is marked, to find neurons that see it. refused: the
    operators that got zeros instead of marks so far. left: whether a mark has left torch.
    """

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """False: nothing is compiled here. To keep its compiler away torch would import it, which takes two seconds."""
        return False

    def __init__(self, pad_nan: int | None = None):
        super().__init__()
        self.axis = pad_nan
        self.refused: list[str] = []
        self.left = False

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        kwargs, kind = kwargs or {}, operation.overloadpacket
        if kind is aten.convolution and args[0].ndim == 4:
            return self._convolution(*args)
        if self.axis is not None and (padded := self._padded(kind, args)) is not None:
            return padded
        tensors = [t for t in tree_leaves((args, kwargs)) if isinstance(t, Tensor)]
        beside = any(hasattr(t, "marked_by") for t in tensors)
        if (kind in CARRY and not beside) or kind in MAKE:
            return operation(*args, **kwargs)
        if operation._can_decompose():
            with self:
                return operation.decompose(*args, **kwargs)
        if kind in ELEMENTS or kind in CARRY or torch.Tag.pointwise in operation.tags:
            return _of_elements(operation, args, kwargs, tensors)
        if kind is aten.copy_:
            return self._copy(args[0], args[1])
        if kind is aten.index_put_ and (mask := _one_mask(args)) is not None:  # x[x < 0] = 0
            with self:
                return args[0].copy_(torch.where(mask, args[2], args[0]))
        if kind in MOVE or operation.is_view:
            return _moved(operation, args, kwargs, beside)
        if not beside and (kind in ADD_UP or (kind in ADDRESS and not _address_marked(kind, args))):
            return _with_places(operation(*args, **kwargs))
        if not any(marked(t) for t in tensors):
            return operation(*args, **kwargs)
        return self._refuse(operation, args, kwargs)

    def _refuse(self, operation, args, kwargs):
        """Runs the operator on zeros instead of marks; all its results are marked."""
        self.left |= operation.overloadpacket in LEAVE
        self.refused.append(str(operation.overloadpacket).replace(".", "::").removeprefix("aten::"))
        written = _written(operation, args, kwargs)
        result = operation(*_clean(args, written), **_clean(kwargs, written))
        for tensor in written:
            _mark(tensor, torch.ones_like(tensor, dtype=torch.bool))
        mine = {id(tensor) for tensor in written}

        def all_of(tensor: Tensor) -> Tensor:
            if id(tensor) in mine:
                return tensor
            fresh = torch.empty_like(tensor).copy_(tensor)
            return _mark(fresh, torch.ones_like(fresh, dtype=torch.bool))

        return tree_map_only(Tensor, all_of, result)

    def _copy(self, target: Tensor, source: Tensor) -> Tensor:
        if _can_be_nan(target) and not hasattr(source, "marked_by"):
            return target.copy_(source)
        if _can_be_nan(target):
            return target.copy_(torch.where(marks(source), torch.nan, source))
        self.left |= marked(source)  # the target may be a view of another tensor with unknown marks
        return target.copy_(_clean(source))

    def _convolution(self, x, weight, bias, stride, padding, dilation, transposed, output_padding, groups):
        """Marked where a mark of any channel of the group is under the kernel, else 0; shapes as of the real operator.

        It counts with one channel of ones: a hundred times cheaper than the real weights, and safe from fast algorithms
        that spread NaN.
        """
        seen = x.unflatten(1, (groups, -1)).sum(2).isnan().float()
        padding = _pair(padding)
        if self.axis is not None and not transposed:
            seen = self._pad(seen, padding[self.axis], padding[self.axis], 1.0)
            padding[self.axis] = 0
        ones = torch.ones(groups, 1, *weight.shape[2:], device=x.device)
        seen = aten.convolution(seen, ones, None, stride, padding, dilation, transposed, output_padding, groups)
        units = weight.shape[1] if transposed else weight.shape[0] // groups
        seen = torch.where(seen > 0.5, torch.nan, 0.0).to(x.dtype)
        seen = seen.unsqueeze(2).expand(-1, -1, units, -1, -1).flatten(1, 2).contiguous()
        made = [w for w in (weight, bias) if isinstance(w, Tensor) and not isinstance(w, nn.Parameter)]
        return seen.fill_(torch.nan) if any(map(marked, made)) else seen  # weights computed from the picture

    def _padded(self, kind, args) -> Tensor | None:
        """A pool or a padding with NaN instead of zeros along the axis; None for other operators."""
        if kind in (aten.max_pool2d_with_indices, aten.avg_pool2d):
            return _with_places(self._pool(kind, *args))
        if kind not in (aten.constant_pad_nd, aten.reflection_pad2d, aten.replication_pad2d):
            return None
        if not _can_be_nan(args[0]):
            return None
        # amounts start with the last dimension; six of them pad channels-last maps (Swin)
        side = 1 - self.axis + (len(args[1]) == 6)
        along = [p if i // 2 == side else 0 for i, p in enumerate(args[1])]
        rest = [0 if i // 2 == side else p for i, p in enumerate(args[1])]
        return F.pad(F.pad(args[0], along, value=torch.nan), rest)

    def _pool(self, kind, x, kernel, stride=(), padding=0, *rest):
        """The pool with its padding along the axis, including that of rounding up, replaced by NaN first."""
        is_max = kind is aten.max_pool2d_with_indices
        dilation = _pair(rest[0] if is_max and rest else 1)[self.axis]
        ceil = bool(rest[1 if is_max else 0]) if len(rest) > (1 if is_max else 0) else False
        padding, kernel, stride = _pair(padding), _pair(kernel), _pair(stride or kernel)
        span = dilation * (kernel[self.axis] - 1) + 1
        room = x.shape[2 + self.axis] + 2 * padding[self.axis] - span
        over = -room % stride[self.axis] if ceil else 0
        if over and room + over >= x.shape[2 + self.axis] + padding[self.axis]:
            over = 0  # a window that starts beyond the picture is omitted
        x = self._pad(x, padding[self.axis], padding[self.axis] + over, torch.nan)
        padding[self.axis] = 0
        return kind(x, kernel, stride, padding, *rest)

    def _pad(self, x, before: int, after: int, value: float):
        return F.pad(x, (0, 0, before, after) if self.axis == ROWS else (before, after, 0, 0), value=value)


# ------------------------------------------------------------------------------------------------------ tensors' marks


def marks(tensor: Tensor) -> Tensor:
    """(bool, in the tensor's shape) the marked elements."""
    if hasattr(tensor, "marked_by"):
        return tensor.marked_by()
    return tensor.isnan() if _can_be_nan(tensor) else torch.zeros_like(tensor, dtype=torch.bool)


def marked(tensor: Tensor) -> bool:
    """Whether any element is marked. Weights never are."""
    if isinstance(tensor, nn.Parameter):
        return False
    return (_can_be_nan(tensor) or hasattr(tensor, "marked_by")) and bool(marks(tensor).any())


def _can_be_nan(tensor: Tensor) -> bool:
    return tensor.is_floating_point() or tensor.is_complex()


def _mark(tensor: Tensor, where: Tensor) -> Tensor:
    """Marks elements, in place."""
    if _can_be_nan(tensor):
        return tensor.masked_fill_(where, torch.nan)
    tensor.marked_by = lambda: where
    return tensor


def _clean(values: Any, written: Sequence[Tensor] = ()) -> Any:
    """The arguments with 0 instead of NaN: copies, except those that the operator writes to."""
    mine = {id(tensor) for tensor in written}

    def zeros(tensor: Tensor) -> Tensor:
        if isinstance(tensor, nn.Parameter) or not _can_be_nan(tensor):
            return tensor
        nan = tensor.isnan()
        return tensor.masked_fill_(nan, 0) if id(tensor) in mine else tensor.masked_fill(nan, 0)

    return tree_map_only(Tensor, zeros, values)


def _written(operation, args, kwargs) -> list[Tensor]:
    """The tensors that the operator changes."""
    formal = operation._schema.arguments
    given = [*zip(formal, args, strict=False), *((a, kwargs[a.name]) for a in formal if a.name in kwargs)]
    changed = (value for argument, value in given if argument.alias_info and argument.alias_info.is_write)
    return [tensor for tensor in tree_leaves(list(changed)) if isinstance(tensor, Tensor)]


# ---------------------------------------------------------------------------------------------------- known operators


def _of_elements(operation, args, kwargs, tensors: list[Tensor]):
    """Marked where an operand is: also after a comparison, a clamp or ``nan_to_num``, which lose NaN."""
    candidates = [marks(t) for t in tensors if not isinstance(t, nn.Parameter)]
    where = functools.reduce(torch.logical_or, candidates) if candidates else torch.zeros((), dtype=torch.bool)
    if not where.any():
        return operation(*args, **kwargs)
    written = _written(operation, args, kwargs)
    result = operation(*_clean(args, written), **_clean(kwargs, written))
    for tensor in tree_leaves(result):
        if isinstance(tensor, Tensor) and tensor.numel():
            _mark(tensor, where.expand(tensor.shape))
    return result


def _moved(operation, args, kwargs, beside: bool):
    result = operation(*args, **kwargs)
    if beside:  # the marks of integers and bools are moved in the same way
        moved = operation(*tree_map_only(Tensor, marks, args), **tree_map_only(Tensor, marks, kwargs))
        for tensor, where in zip(tree_leaves(result), tree_leaves(moved), strict=True):
            _mark(tensor, where)
    return result


def _with_places(result):
    """The index of a maximum depends on its value: integers of the first result's shape are marked where it is."""
    if isinstance(result, tuple):
        for other in result[1:]:
            if isinstance(other, Tensor) and not _can_be_nan(other) and other.shape == result[0].shape:
                other.marked_by = result[0].isnan
    return result


def _address_marked(kind, args) -> bool:
    """Whether marked numbers are used as positions; integers' marks are already excluded."""
    return kind in (aten.grid_sampler_2d, aten.grid_sampler_3d) and marked(args[1])


def _one_mask(args) -> Tensor | None:
    """The mask of ``x[mask] = number``."""
    x, places, value, *_ = args
    mask = places[0] if len(places) == 1 else None
    fits = isinstance(mask, Tensor) and mask.dtype == torch.bool and mask.shape == x.shape and value.numel() == 1
    return mask if fits else None


def _pair(value) -> list[int]:
    value = [value] if isinstance(value, int) else list(value)
    return value * 2 if len(value) == 1 else value
