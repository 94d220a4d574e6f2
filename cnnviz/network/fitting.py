"""Loads weights into a network, or states in words why they do not fit."""

import difflib
from collections.abc import Mapping

import torch
from torch import nn

from cnnviz.errors import UserError
from cnnviz.network.name_matching import BESIDE, COUNTERS, Match, below, classes_in, is_beside, match_names
from cnnviz.network.refusals import some

_LISTED = 4


def fit(net: nn.Module, state: Mapping[str, torch.Tensor], where: str) -> str:
    """Loads ``state`` into ``net``; returns the skipped names, in words ("" if there are none).

    Prefixes that only one side has (``module.``, ``model._orig_mod.``, …) are removed: the pair with the most matching
    names is used. Other names, counters and unused auxiliary heads are skipped. Raises UserError that lists missing
    tensors (with the nearest names in the file), wrong shapes, and superfluous tensors.
    """
    own = {name: tensor for name, tensor in net.state_dict().items() if isinstance(tensor, torch.Tensor)}
    shapes = {name: tuple(tensor.shape) for name, tensor in own.items()}
    match = match_names(state, shapes)
    weights = {name: state[original] for name, original in match.inside.items()}
    if any(not _equal(state, match.prefix, rival) for rival in match.rivals):
        names = ", ".join(start.removesuffix(".") or "(the first level)" for start in (match.prefix, *match.rivals))
        raise UserError(f"{where}: the checkpoint holds several such networks; choose with checkpoint_key: {names}")
    tops = {below(name, match.wrapper) for name in own}
    passed = [
        name
        for name in weights.keys() - own.keys()
        if name.endswith(COUNTERS)
        or (below(name, match.wrapper) not in tops and BESIDE.search(below(name, match.wrapper)))
    ]
    ignored = [match.inside[name] for name in sorted(passed)] + match.outside
    ignored = [name for name in ignored if not name.endswith(COUNTERS)]
    odd = [n for n in weights if n.endswith(COUNTERS) and n in own and weights[n].shape != own[n].shape]
    for name in (*passed, *odd):
        del weights[name]

    wrong = [name for name in own if name in weights and weights[name].shape != own[name].shape]
    if wrong:
        missing, extra = own.keys() - weights.keys(), weights.keys() - own.keys()
    else:
        try:
            missing, extra = net.load_state_dict(weights, strict=False)  # modules convert names of older versions here
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
        words.append(f"left out {some(ignored, 2)}")
    return ", ".join(words)


def _misfit(
    state: Mapping[str, torch.Tensor],
    own: Mapping[str, tuple[int, ...]],
    match: Match,
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
            + (f"; of that shape the file has {near[0]}" if near else "; the file has no other tensor of that shape")
        )
    if wrong:
        lines.append(f"{len(wrong)} of another shape:")
    for name in wrong[:_LISTED]:
        lines.append(f"  {name}: {tuple(state[match.inside[name]].shape)} in the file, {own[name]} in the network")
    if extra:
        lines.append(f"{len(extra)} in the file only: {some(extra, _LISTED)}")
    hint = _hint(state, own, match, missing, extra, wrong)
    return "\n".join([*lines, hint] if hint else lines)


def _hint(state, own, match: Match, missing: list[str], extra: list[str], wrong: list[str]) -> str:
    """The common reason for such a misfit, and what to write instead."""
    tops = {name: below(name, match.wrapper) for name in (*own, *missing, *extra)}
    classes = classes_in(state, own)
    if not own.keys() & match.inside.keys():
        return "No name matches: the file is for another architecture, or for other code of the same one."
    if wrong and classes and not missing and not extra:
        return (
            f"The file has {classes} classes. Give the network the same number:  arguments: {{num_classes: {classes}}}"
        )
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
        return "The same shapes under other names: the weights are for other code of this architecture."
    if wrong and not missing and not extra and 3 * len(wrong) > len(own):
        return "Most layers are narrower or wider: it looks like a variant of another width."
    if 3 * (len(wrong) + len(missing)) > len(own) or len(extra) > len(own) / 2:
        return "More differs than one or two replaced layers: it looks like another variant of the architecture."
    return (
        "Was the network changed before it was trained, its head or its first layer? Then build it by a factory that "
        "changes it in the same way:  factory: mynets.py:build"
    )


def _equal(state: Mapping[str, torch.Tensor], one: str, other: str) -> bool:
    """Whether the weights under two prefixes are equal, as of a module that is registered twice."""
    pairs = [(value, state.get(other + name[len(one) :])) for name, value in state.items() if name.startswith(one)]
    return all(torch.equal(a, b) for a, b in pairs if b is not None)
