"""Tests a network's preprocessing and labels by its scores on a few labelled pictures: numbers only, no torch.

In all functions: scores (n, c) of n pictures and c outputs; labels, each picture's classes, as indices into the image
set's; mapping, the output of each class of the image set, or None; right, each picture's right outputs.

Two preprocessings or orders are compared on the same pictures. The other one is *clearly* better if it gets at least 5
percentage points more of them right, and if an exact sign test (McNemar's, p < 0.001) on the pictures that only one of
the two gets right supports it. An untrained network can profit from chance, too. So the better one must also be
``plausible``: far above guessing.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.special import bdtrc, logsumexp, softmax

from cnnviz.network.class_names import short
from cnnviz.pictures.rows import in_order

SURE = 0.001
LEAST = 0.05  # smallest gain, as a share of the pictures
FEWEST = 20  # smallest number of labelled pictures for any conclusion
CLIPPED = 16.1  # nearly |logit(1e-7)|, the largest score that is made from a probability, see network/scores.py

Mapping = Sequence[int | None]


def right_outputs(labels: Sequence[Sequence[int]], mapping: Mapping) -> list[tuple[int, ...]]:
    """The outputs of each picture's classes."""
    return [tuple(mapping[label] for label in of if mapping[label] is not None) for of in labels]


def hits(scores: np.ndarray, right: Sequence[Sequence[int]], best: int = 1) -> np.ndarray:
    """(n,) bool: whether one of the ``best`` outputs is right."""
    order = np.argsort(-scores, axis=1, kind="stable")[:, :best]
    return np.array(
        [not set(outputs).isdisjoint(top) for outputs, top in zip(right, order.tolist(), strict=True)], bool
    )


def near_chance(hit: np.ndarray, chance: float) -> bool:
    """Whether this number of hits can be chance (more than 1 time in 100)."""
    right = int(hit.sum())
    return right == 0 or bdtrc(right - 1, len(hit), chance) > 0.01


def more_often(one: int, other: int) -> float:
    """p-value of the hypothesis that one thing happens no more often than another: the sign test, one-sided."""
    return float(bdtrc(one - 1, one + other, 0.5))


def clearly_better(new: np.ndarray, old: np.ndarray, by_score: np.ndarray | None = None, tries: int = 1) -> bool:
    """Whether hits (n,) on the same pictures are clearly better, see above. by_score: evidence, +1, 0 or −1 each.

    tries: number of alternatives of which this is the best (Bonferroni).
    """
    evidence = new.astype(int) - old if by_score is None else by_score
    gained, lost = int((evidence > 0).sum()), int((evidence < 0).sum())
    if not gained or new.sum() - old.sum() < LEAST * len(new):
        return False
    return more_often(gained, lost) < SURE / tries


def plausible(hit: np.ndarray, chance: float, part: float) -> bool:
    """Whether the share of hits is at least ``part`` of the way from chance to 1."""
    return hit.mean() >= chance + part * (1 - chance)


# ------------------------------------------------------------------------------------------------------------ outputs


def odd_scores(scores: np.ndarray, kind: str, returns: str) -> list[str]:
    """Problems of the scores themselves, in words; [] if there are none."""
    bad = int((~np.isfinite(scores).all(1)).sum())
    if bad:
        never = np.flatnonzero(~np.isfinite(scores).any(0))
        which = f"the scores of {bad} of {len(scores)} pictures"
        if 0 < len(never) < scores.shape[1]:
            which = f"the scores of outputs {', '.join(map(str, never[:8]))}{', …' * (len(never) > 8)} (counted from 0)"
        return [f"{which} are not finite: the checkpoint is damaged, or the input values are too large"]
    if len(scores) >= FEWEST and (np.ptp(scores, axis=0) <= 1e-6 * (1 + np.abs(scores).max(0))).all():
        return ["the scores are the same for every picture: dead units, or inputs far too large or small"]
    if kind not in ("softmax", "sigmoid"):  # nothing more is known about values and about classes of pixels
        return []
    single = scores.shape[1] == 2 and np.array_equal(scores[:, 0], -scores[:, 1])
    values = 2 * scores[:, 1] if single else scores
    if returns == "logits":
        between = values.min() >= 0 and 0.5 < values.max() <= 1
        if between and (single or kind == "sigmoid" or np.allclose(values.sum(1), 1, atol=1e-3)):
            return ["the network returns probabilities; write  outputs: {returns: probabilities}"]
    elif kind == "softmax" and not single and not np.allclose(logsumexp(scores, axis=1), 0, atol=0.01):
        return ["outputs.returns says probabilities, but they do not add up to 1; leave that key out"]
    elif (kind == "sigmoid" or single) and (np.abs(values) > CLIPPED).mean() > 0.5:
        return ["outputs.returns says probabilities, but most values are outside 0 … 1; leave that key out"]
    return []


def mean_average_precision(scores: np.ndarray, right: Sequence[Sequence[int]]) -> float | None:
    """Mean average precision over the outputs that are right for some of the pictures; None if there are none."""
    from sklearn.metrics import average_precision_score

    target = np.zeros(scores.shape, bool)
    for row, outputs in zip(target, right, strict=True):
        row[list(outputs)] = True
    mixed = np.flatnonzero(target.any(0) & ~target.all(0))
    return float(np.mean([average_precision_score(target[:, c], scores[:, c]) for c in mixed])) if len(mixed) else None


# ------------------------------------------------------------------------------------------------------------- labels


def orders(
    set_classes: Sequence[str], appearance: Sequence[str], names: Sequence[str], mapping: Mapping
) -> Iterator[tuple[str, list[int | None]]]:
    """Other mappings that a mistake leads to: (the outputs' order in words, mapping).

    appearance: the classes in the order of the table. names: of the outputs.
    """
    count = len(names)

    def moved(function: Callable[[int], int]) -> list[int | None]:
        new = [None if output is None else function(output) for output in mapping]
        return [output if output is not None and 0 <= output < count else None for output in new]

    def placed(ordered: Sequence[str], start: int = 0) -> list[int]:
        return [start + ordered.index(name) for name in set_classes]

    def ranked(ordered: Sequence[str]) -> Callable[[int], int]:
        place = {name: i for i, name in enumerate(ordered)}
        return lambda output: place[names[output]]

    found = [
        ("one output later", moved(lambda output: output + 1)),
        ("one output earlier", moved(lambda output: output - 1)),
        ("reversed", moved(lambda output: count - 1 - output)),
    ]
    if len(set(names)) == count:
        found.append(("alphabetical by the outputs' names", moved(ranked(sorted(names)))))
    if all(name.isdecimal() for name in set_classes):
        place = {number: i for i, number in enumerate(sorted(map(str, range(count))))}
        found.append(("1, 10, 11, … 2 (numbers sorted as text)", moved(lambda output: place[str(output)])))
    if len(set_classes) in (count, count - 1):
        found += [
            ("that of the image set's classes by name", placed(list(set_classes))),
            ("that of the folders sorted as text (1, 10, 2; capitals first)", placed(sorted(set_classes))),
            ("that of the folders' numbers by value", placed(in_order(set_classes, numbers=True))),
            ("that in which the classes come in the table", placed(list(appearance))),
        ]
    if len(set_classes) == count - 1:
        found.append(("background first, then the image set's classes by name", placed(list(set_classes), 1)))
    seen = [list(mapping)]
    for words, other in found:
        if other not in seen:
            seen.append(other)
            yield words, other


def better_order(
    scores: np.ndarray, labels: Sequence[Sequence[int]], mapping: Mapping, others: Sequence[tuple[str, list]]
) -> tuple[str, list[int | None], np.ndarray] | None:
    """(words, mapping, hits) of the best order that is clearly better, or None."""
    old, chance = hits(scores, right_outputs(labels, mapping)), 1 / scores.shape[1]
    best = None
    for words, other in others:
        new = hits(scores, right_outputs(labels, other))
        if clearly_better(new, old) and plausible(new, chance, 1 / 3) and (best is None or new.sum() > best[2].sum()):
            best = words, other, new
    return best


def explains_more(fitted: np.ndarray, ordered: np.ndarray) -> bool:
    """Whether the hits of a fitted assignment are clearly more than those of a known order, on the same pictures."""
    return len(fitted) == len(ordered) and clearly_better(fitted, ordered)


def enough_for_permutation(labels: Sequence[Sequence[int]]) -> bool:
    """Whether there are enough pictures of each class to match outputs anew."""
    counts = Counter(of[0] for of in labels if len(of) == 1)
    return len(counts) > 1 and sum(counts.values()) >= max(2 * FEWEST, 4 * len(counts))


def permutation(
    scores: np.ndarray, labels: Sequence[Sequence[int]], mapping: Mapping
) -> tuple[list[int | None], np.ndarray] | None:
    """The assignment of classes to outputs with the highest accuracy, if clearly better: (mapping, hits).

    It is fitted by the Hungarian method on one half of each class's pictures and scored on the other, and vice versa.
    The hits are those on the unused halves. The sign test compares, for each picture of a class that moved, the scores
    of the new and the old output: two swapped classes show better there than among the best of all outputs.
    """
    single = np.array([len(of) == 1 for of in labels])
    if not enough_for_permutation(labels):
        return None
    own = np.array([of[0] for of in labels if len(of) == 1])
    kept, probable = scores[single], softmax(scores[single], axis=1)
    turn = np.empty(len(own), int)
    for label in set(own.tolist()):
        turn[own == label] = np.arange((own == label).sum()) % 2

    def fitted(chosen: np.ndarray) -> list[int | None]:
        profit = np.zeros((len(mapping), scores.shape[1]))
        np.add.at(profit, own[chosen], probable[chosen])
        for label, output in enumerate(mapping):
            if output is not None:
                profit[label, output] += 0.5  # without evidence against it the old output is kept
        new = list(mapping)
        for label, output in zip(*linear_sum_assignment(profit, maximize=True), strict=True):
            new[label] = int(output)
        return new

    old = hits(kept, right_outputs(own[:, None], mapping))
    new, sign = np.zeros(len(own), bool), np.zeros(len(own), int)
    rows = np.arange(len(own))

    def score(by: Mapping) -> np.ndarray:
        """Score of the output of each picture's class; the lowest for a class without an output."""
        outputs = np.array([-1 if by[label] is None else by[label] for label in own])
        return np.where(outputs < 0, -np.inf, kept[rows, outputs])

    was = score(mapping)
    for half in (0, 1):
        other, judged = fitted(turn != half), turn == half
        new[judged] = hits(kept, right_outputs(own[:, None], other))[judged]
        now = score(other)
        sign[judged] = ((now > was).astype(int) - (now < was))[judged]
    if not clearly_better(new, old, sign) or not plausible(new, 1 / scores.shape[1], 1 / 3):
        return None
    return fitted(np.ones(len(own), bool)), new


def mostly_called(
    scores: np.ndarray, labels: Sequence[Sequence[int]], mapping: Mapping, fewest: int = 3
) -> list[tuple[int, int, int, int]]:
    """(class, output, count, total) if most pictures of a class get one wrong output; largest count first."""
    found, best = [], scores.argmax(1)
    by_class: dict[int, list[int]] = {}
    for of, output in zip(labels, best.tolist(), strict=True):
        if len(of) == 1:
            by_class.setdefault(of[0], []).append(output)
    for label, outputs in by_class.items():
        output, count = Counter(outputs).most_common(1)[0]
        if len(outputs) >= fewest and count > len(outputs) / 2 and output != mapping[label]:
            found.append((label, output, count, len(outputs)))
    return sorted(found, key=lambda f: -f[2] / f[3])


def sure_of_something_else(scores: np.ndarray, labels: Sequence[Sequence[int]], mapping: Mapping) -> float | None:
    """Mean top probability of a network that is confident and gives varied answers, but is right by chance only.

    With wrong preprocessing a network is unsure, or gives the same few answers for all pictures. So this one most
    likely sees well, and the order of labels and outputs differs. Returns None if this is not the case.
    """
    hit = hits(scores, right_outputs(labels, mapping))
    sure, said = softmax(scores, axis=1).max(1).mean(), np.bincount(scores.argmax(1))
    share = said[said > 0] / said.sum()
    different = np.exp(-(share * np.log(share)).sum())
    classes = len({label for of in labels for label in of})
    if len(hit) < FEWEST or classes < 10 or not near_chance(hit, 1 / scores.shape[1]):
        return None
    return float(sure) if sure >= 0.3 and different >= min(classes, len(hit)) / 2 else None


def named_rightly(pictures: Sequence[str], names: Sequence[str], predicted: Sequence[int]) -> tuple[list[int], float]:
    """Pictures whose file name contains the predicted output's name, and their expected number by chance."""

    def words(text: str) -> str:
        return " " + " ".join(re.findall(r"[^\W\d_]+", text.casefold())) + " "

    files = [words(name.rpartition("/")[2].rpartition(".")[0]) for name in pictures]
    said = [words(short(names[output])) for output in predicted]
    agree = np.array([[len(s) > 4 and s in file for s in said] for file in files], bool)
    return np.flatnonzero(agree.diagonal()).tolist(), float(agree.mean(1).sum())
