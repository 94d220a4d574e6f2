"""Is a network any better than guessing? If not, whoever reads its pictures has to know first."""

from scipy.special import bdtrc  # scipy.stats' binomtest takes twice as long to import

FEWEST = 20  # labelled pictures; fewer prove nothing either way
SURE = 0.01


def near_chance(accuracy: dict, facts: dict) -> dict | None:
    """What to say where top-1 accuracy is not clearly above 1/classes; None where it is, or where nobody can know.

    A one-sided binomial test: were each of ``labelled`` pictures right with a probability of 1/classes, would so many
    be right in more than 1 of 100 sets? accuracy: top1 (share) and labelled (count; pictures where it is not stated).
    Nets that give several labels at a time have no top-1 accuracy, so nothing is said of them.
    """
    classes, labelled = len(facts.get("classes", ())), accuracy.get("labelled", accuracy.get("pictures", 0))
    if "top1" not in accuracy or labelled < FEWEST or classes < 2 or facts.get("kind") == "sigmoid":
        return None
    right, chance = round(accuracy["top1"] * labelled), 1 / classes
    by_luck = float(bdtrc(right - 1, labelled, chance)) if right else 1.0  # P(as many right, or more)
    if by_luck <= SURE:
        return None
    return {"top1": accuracy["top1"], "labelled": labelled, "classes": classes, "chance": chance}
