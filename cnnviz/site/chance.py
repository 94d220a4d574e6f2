"""Tests whether a network is better than guessing, which readers of its pictures must know first."""

from scipy.special import bdtrc  # scipy.stats' binomtest takes twice as long to import

FEWEST = 20  # smallest number of labelled pictures for any conclusion
SURE = 0.01


def near_chance(accuracy: dict, facts: dict) -> dict | None:
    """What to report if top-1 accuracy is not clearly above 1/classes; None if it is, or if this is unknown.

    It is a one-sided binomial test. If each of ``labelled`` pictures were right with a probability of 1/classes, would
    so many be right in more than 1 of 100 sets? accuracy: top1 (share) and labelled (count; pictures if it is not
    stated). Networks that give several labels at a time have no top-1 accuracy and are not tested.
    """
    classes, labelled = len(facts.get("classes", ())), accuracy.get("labelled", accuracy.get("pictures", 0))
    if "top1" not in accuracy or labelled < FEWEST or classes < 2 or facts.get("kind") == "sigmoid":
        return None
    right, chance = round(accuracy["top1"] * labelled), 1 / classes
    by_luck = float(bdtrc(right - 1, labelled, chance)) if right else 1.0  # P(as many right, or more)
    if by_luck <= SURE:
        return None
    return {"top1": accuracy["top1"], "labelled": labelled, "classes": classes, "chance": chance}
