"""Is a network fed and labelled rightly? What its scores on a few labelled pictures tell: numbers only, no torch.

Everywhere: scores (n, c) of n pictures and c outputs; labels, of each picture its classes, as indices into the image
set's; mapping, for each class of the image set its output, or None; right, of each picture the outputs that are right.

Two ways to feed or to label a network are compared on the same pictures: the other one is *clearly* better where it
gets at least 5 points more of them right, and the pictures that only one of the two gets right speak for it by an exact
sign test (McNemar's, p < 0.001). An untrained network can profit from chance too, so the better one must also be
``plausible``: far above guessing.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.special import bdtrc, logsumexp, softmax
from scipy.stats import binomtest

from cnnviz.network.class_names import short
from cnnviz.pictures.rows import in_order

SURE = 0.001
LEAST = 0.05  # of the pictures
FEWEST = 20  # labelled pictures; fewer prove nothing either way

Mapping = Sequence[int | None]


def right_outputs(labels: Sequence[Sequence[int]], mapping: Mapping) -> list[tuple[int, ...]]:
    """Of each picture the outputs that its classes stand for."""
    return [tuple(mapping[label] for label in of if mapping[label] is not None) for of in labels]


def hits(scores: np.ndarray, right: Sequence[Sequence[int]], best: int = 1) -> np.ndarray:
    """(n,) bool: is one of the ``best`` outputs right?"""
    order = np.argsort(-scores, axis=1, kind="stable")[:, :best]
    return np.array(
        [not set(outputs).isdisjoint(top) for outputs, top in zip(right, order.tolist(), strict=True)], bool
    )


def wilson(right: int, total: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share."""
    return tuple(binomtest(int(right), total).proportion_ci(method="wilson"))


def near_chance(hit: np.ndarray, chance: float) -> bool:
    """Could so many hits be luck (more than 1 time in 100)?"""
    right = int(hit.sum())
    return right == 0 or bdtrc(right - 1, len(hit), chance) > 0.01


def clearly_better(new: np.ndarray, old: np.ndarray, by_score: np.ndarray | None = None, tries: int = 1) -> bool:
    """Of hits (n,) on the same pictures; see above. by_score: the test's own evidence, +1, 0 or −1 a picture.

    tries: how many others there were of which this is the best (Bonferroni).
    """
    evidence = new.astype(int) - old if by_score is None else by_score
    gained, lost = int((evidence > 0).sum()), int((evidence < 0).sum())
    if not gained or new.sum() - old.sum() < LEAST * len(new):
        return False
    return binomtest(gained, gained + lost, alternative="greater").pvalue < SURE / tries


def plausible(hit: np.ndarray, chance: float, part: float) -> bool:
    """Is the share of hits at least ``part`` of the way from chance to 1?"""
    return hit.mean() >= chance + part * (1 - chance)


# ------------------------------------------------------------------------------------------------------------ outputs


def odd_scores(scores: np.ndarray, kind: str, returns: str) -> list[str]:
    """What is wrong with the scores themselves, in words; [] where nothing is."""
    bad = int((~np.isfinite(scores).all(1)).sum())
    if bad:
        never = np.flatnonzero(~np.isfinite(scores).any(0))
        which = f"the scores of {bad} of {len(scores)} pictures"
        if 0 < len(never) < scores.shape[1]:
            which = f"the scores of outputs {', '.join(map(str, never[:8]))}{', …' * (len(never) > 8)} (counted from 0)"
        return [f"{which} are not finite: the checkpoint is damaged, or the values fed are too large"]
    if len(scores) >= FEWEST and (np.ptp(scores, axis=0) <= 1e-6 * (1 + np.abs(scores).max(0))).all():
        return ["the scores are the same for every picture: dead units, or inputs far too large or small"]
    if kind not in ("softmax", "sigmoid"):  # of values and of classes of pixels nothing more is known
        return []
    single = scores.shape[1] == 2 and np.array_equal(scores[:, 0], -scores[:, 1])
    values = 2 * scores[:, 1] if single else scores
    if returns == "logits":
        between = values.min() >= 0 and 0.5 < values.max() <= 1
        if between and (single or kind == "sigmoid" or np.allclose(values.sum(1), 1, atol=1e-3)):
            return ["the network returns probabilities; write  outputs: {returns: probabilities}"]
    elif kind == "softmax" and not single and not np.allclose(logsumexp(scores, axis=1), 0, atol=0.01):
        return ["outputs.returns says probabilities, but they do not add up to 1; leave that key out"]
    elif (kind == "sigmoid" or single) and (
        np.abs(values) > 16.1
    ).mean() > 0.5:  # logit(1e-7): where others are cut off
        return ["outputs.returns says probabilities, but most values are outside 0 … 1; leave that key out"]
    return []


def mean_average_precision(scores: np.ndarray, right: Sequence[Sequence[int]]) -> float | None:
    """Average precision, mean over those outputs that are right for some of the pictures; None where none is."""
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
    """Other mappings that a mistake leads to: (what the outputs' order would be, mapping).

    appearance: the classes as they come in the table. names: of the outputs.
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
        ("one further", moved(lambda output: output + 1)),
        ("one back", moved(lambda output: output - 1)),
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
    """(words, mapping, hits) of the order that is clearly better, if there is one; of several the best."""
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
    """Are there pictures enough of each class to find their outputs anew?"""
    counts = Counter(of[0] for of in labels if len(of) == 1)
    return len(counts) > 1 and sum(counts.values()) >= max(2 * FEWEST, 4 * len(counts))


def permutation(
    scores: np.ndarray, labels: Sequence[Sequence[int]], mapping: Mapping
) -> tuple[list[int | None], np.ndarray] | None:
    """The assignment of classes to outputs under which the network is most right, if clearly better: (mapping, hits).

    Found by the Hungarian method on one half of each class's pictures and judged on the other, and the other way round;
    the hits are those on the halves not used. The sign test asks of each picture of a class that moved whether the new
    output has the larger score: two classes swapped show better there than among the best of all outputs.
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
                profit[label, output] += 0.5  # what nothing speaks against stays
        new = list(mapping)
        for label, output in zip(*linear_sum_assignment(profit, maximize=True), strict=True):
            new[label] = int(output)
        return new

    old = hits(kept, right_outputs(own[:, None], mapping))
    new, sign = np.zeros(len(own), bool), np.zeros(len(own), int)
    rows = np.arange(len(own))

    def score(by: Mapping) -> np.ndarray:
        """Of the output that each picture's class has; the least of all for one that has none."""
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
    """(class, output, how many, of how many) where most pictures of a class are given one wrong output; most first."""
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
    """Mean top probability of a network that is sure and says many different things, and is right by luck only.

    A network that is fed wrongly is unsure, or says the same few things of all pictures; so this one most likely sees
    well, and the order of labels and outputs differs. None where that cannot be said.
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
    """Pictures whose file name holds the name of the output predicted for them, and how many luck would give."""

    def words(text: str) -> str:
        return " " + " ".join(re.findall(r"[^\W\d_]+", text.casefold())) + " "

    files = [words(name.rpartition("/")[2].rpartition(".")[0]) for name in pictures]
    said = [words(short(names[output])) for output in predicted]
    agree = np.array([[len(s) > 4 and s in file for s in said] for file in files], bool)
    return np.flatnonzero(agree.diagonal()).tolist(), float(agree.mean(1).sum())
