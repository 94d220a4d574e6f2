"""Matches the names of a file's weights to a network's, which may have other prefixes."""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import torch

AVERAGED = re.compile(r"(^|[._])(ema|swa|avg|averaged?|shadow|teacher|target|momentum|k)([._]|$)")
BESIDE = re.compile(r"loss|criterion|metric|accuracy|teacher|ema_|aux", re.IGNORECASE)
# Parts of names that torch.compile and similar wrappers insert, and two of torchvision's old DenseNet files.
_INSERTED = re.compile(r"(?<![^.])(_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")
_OLD_DENSENET = re.compile(r"(denselayer\d+\.(?:norm|conv))\.(?=[12]\.)")
# Counters of averaging, profilers and batch norm among the weights, which do not affect the output.
COUNTERS = ("n_averaged", "total_ops", "total_params", "num_batches_tracked")


@dataclass(frozen=True)
class Match:
    """Match between the names of a file and a network's: without the file's prefix and the network's wrapper.

    inside: the network's name (or what it would be) → the file's, for all names with the prefix. outside: other names.
    rivals: prefixes with equally many matches, none of them of averages or the like.
    """

    prefix: str
    wrapper: str
    inside: dict[str, str]
    outside: list[str]
    rivals: tuple[str, ...]


def match_names(state: Mapping[str, torch.Tensor], own: Mapping[str, tuple[int, ...]]) -> Match:
    """The pair of prefixes with the most matching names; for ties plain weights, then equal shapes."""
    cleaned = {clean(name): name for name in state}
    ours = {clean(name): name for name in own}
    theirs = _in_order(state, own) or _of_children(cleaned, state, own) or cleaned
    shared = Counter(start for name in ours for start in _starts(name))
    wrappers = ["", *(start for start, count in shared.items() if start and count >= 0.9 * len(ours))]
    score: dict[tuple[str, str], list[int]] = {("", ""): [0, 0]}
    for wrapper in wrappers:
        tails = {name[len(wrapper) :]: original for name, original in ours.items() if name.startswith(wrapper)}
        for name, original in theirs.items():
            for start in _starts(name):
                if (mine := tails.get(name[len(start) :])) is not None:
                    count = score.setdefault((start, wrapper), [0, 0])
                    count[0] += 1
                    count[1] += tuple(state[original].shape) == tuple(own[mine])

    def merit(pair: tuple[str, str]) -> tuple:
        names, equal = score[pair]
        return names, not AVERAGED.search(pair[0]), equal, -len(pair[1]), -len(pair[0])

    prefix, wrapper = max(score, key=merit)
    copies = tuple(start for (start, _), (names, _) in score.items() if start != prefix and 2 * names > len(ours))
    inside, outside = {}, []
    for name, original in theirs.items():
        mine = wrapper + name[len(prefix) :]
        if name.startswith(prefix) and (mine in ours or not name.startswith(copies)):
            inside[ours.get(mine, mine)] = original
        else:
            outside.append(original)
    same = [start for (start, w), counts in score.items() if w == wrapper and counts == score[prefix, wrapper]]
    rivals = tuple(start for start in same if start != prefix and score[prefix, wrapper][0] and not is_beside(start))
    return Match(prefix, wrapper, inside, outside, () if is_beside(prefix) else rivals)


def _in_order(state: Mapping[str, torch.Tensor], own: Mapping[str, tuple]) -> dict | None:
    """The tensors of a bare list under the network's names, if they are its parameters and buffers in order."""
    if list(state) != [str(i) for i in range(len(state))]:
        return None
    counted = [name for name in own if not name.endswith(COUNTERS)]
    names = next((n for n in (list(own), counted) if len(n) == len(state)), [])
    pairs = dict(zip(map(clean, names), state, strict=False))
    fits = all(tuple(own[name]) == tuple(state[i].shape) for name, i in zip(names, state, strict=False))
    return pairs if pairs and fits else None


def _of_children(
    cleaned: Mapping[str, str], state: Mapping[str, torch.Tensor], own: Mapping[str, tuple]
) -> dict | None:
    """Names of ``nn.Sequential(*net.children())``, with numbers as first parts, under the network's own names.

    Only if names and shapes of all of them match in this order, and they are most of the network.
    """
    tops: dict[str, dict] = {}
    for name, shape in own.items():
        if not name.endswith(COUNTERS):
            tops.setdefault(name.split(".")[0], {})[name.partition(".")[2]] = tuple(shape)
    numbered: dict[str, dict[int, dict]] = {}
    for name, original in cleaned.items():
        parts = name.split(".")
        for i, part in enumerate(parts):
            if part.isdigit() and not name.endswith(COUNTERS):
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
                for name, original in cleaned.items()
            }
    return None


def clean(name: str) -> str:
    """The name without the parts that torch.compile and similar wrappers insert."""
    return _OLD_DENSENET.sub(r"\1", _INSERTED.sub("", name))


def _starts(name: str) -> list[str]:
    """ "", "a.", "a.b." of "a.b.weight"."""
    parts = name.split(".")
    return ["".join(f"{part}." for part in parts[:i]) for i in range(len(parts))]


def below(name: str, wrapper: str) -> str:
    """The first part of a name after the network's wrapper."""
    return clean(name).removeprefix(wrapper).split(".")[0]


def is_beside(name: str) -> bool:
    """Whether a name belongs to a loss, a metric, an average, an auxiliary head or similar."""
    return bool(BESIDE.search(name) or AVERAGED.search(name))


def fits(state: Mapping[str, torch.Tensor], reference: Mapping[str, tuple[int, ...]]) -> bool:
    """Whether ``state`` belongs to the network with these shapes, except for the number of classes."""
    inside = {name: tuple(state[o].shape) for name, o in match_names(state, reference).inside.items()}
    mine, theirs = ({n for n in names if not n.endswith(COUNTERS)} for names in (reference, inside))
    equal = all(tuple(reference[name]) == inside[name] for name in mine & theirs)
    return mine == theirs and (equal or classes_in(state, reference) is not None)


def classes_in(state: Mapping[str, torch.Tensor], reference: Mapping[str, tuple[int, ...]]) -> int | None:
    """The number of classes of ``state``, if it is the only difference to the network with these shapes.

    reference: name → shape in the same network with its default number of classes. Returns None if no shape differs, or
    if something else than the length of the last layers differs.
    """
    match = match_names(state, reference)
    both = reference.keys() & match.inside.keys()
    pairs = [(tuple(state[match.inside[name]].shape), tuple(reference[name])) for name in both]
    differing = [(new, old) for new, old in pairs if new != old]
    if any(not new or not old or new[1:] != old[1:] for new, old in differing):
        return None
    sizes = {(new[0], old[0]) for new, old in differing}
    return sizes.pop()[0] if len(sizes) == 1 else None


def lacks(state: Mapping[str, torch.Tensor], reference: Mapping[str, tuple[int, ...]], heads: str = "aux") -> bool:
    """Whether the network has modules whose names start with ``heads`` (in any case) and ``state`` has none of them.

    These are GoogLeNet's and Inception's auxiliary classifiers (``aux1``, ``AuxLogits``), which many files lack.
    """
    match = match_names(state, reference)

    def among(names) -> bool:
        return any(below(name, match.wrapper).lower().startswith(heads) for name in names)

    return among(reference) and not among(match.inside)
