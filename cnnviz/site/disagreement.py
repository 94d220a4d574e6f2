"""Pictures on which two models of the same image set disagree, for their comparison."""

from cnnviz.site.stamp import Stamp
from cnnviz.slug import slug
from cnnviz.views.kit.findings import paired_difference, span

MOST = 10  # largest number of pictures shown of each kind


def sheet(image_set: str, a: Stamp, b: Stamp) -> str:
    """Address of the sheet of thumbnails of :func:`shown`, without its ending, from the site's root."""
    return f"images/{slug(image_set)}/apart-{slug(a.id)}-and-{slug(b.id)}"


def kinds(a: Stamp, b: Stamp) -> tuple[list[str], list[str], list[str]]:
    """Names of the pictures that only ``a`` predicts rightly, only ``b``, and of those with two different errors.

    In each, the most confident errors come first. Where a model has no output for the picture's class, neither model is
    called right: the model made no error.
    """
    only_a, only_b, neither = [], [], []
    for name in a.said.keys() & b.said.keys():
        one, other = a.said[name], b.said[name]
        verdicts = one["verdict"], other["verdict"]
        if verdicts == ("right", "wrong"):
            only_a.append((-other["probability"], name))
        elif verdicts == ("wrong", "right"):
            only_b.append((-one["probability"], name))
        elif verdicts != ("right", "right") and one["prediction"].casefold() != other["prediction"].casefold():
            neither.append((-one["probability"] - other["probability"], name))
    return tuple([name for _, name in sorted(found)] for found in (only_a, only_b, neither))


def shown(a: Stamp, b: Stamp) -> list[str]:
    """The pictures on the sheet, in order: those with one right model, or else those with different predictions."""
    only_a, only_b, neither = kinds(a, b)
    return [*only_a[:MOST], *only_b[:MOST]] or neither[:MOST]


def words(a: Stamp, b: Stamp) -> dict | None:
    """The comparison's part on disagreements; None if the models' sets differ.

    says: the finding in words. pictures: those of :func:`shown`, each with name, heading and ``said`` of both models.
    file: their sheet, without its ending.
    """
    if not a.image_set or a.image_set != b.image_set or not (a.said.keys() & b.said.keys()):
        return None
    only_a, only_b, neither = kinds(a, b)
    count = len(a.said.keys() & b.said.keys())
    labelled = sum(_labelled(a, name) and _labelled(b, name) for name in a.said.keys() & b.said.keys())
    says = f"The two disagree on {len(only_a) + len(only_b) + len(neither)} of {count} pictures."
    if labelled:
        gap, low, high = paired_difference(len(only_b), len(only_a), labelled)
        says += (
            f" Only {a.title} is right on {len(only_a)} of them, only {b.title} on {len(only_b)}."
            f"{f' {labelled} have a class that both can predict.' if labelled < count else ''} So the accuracy of"
            f" {b.title} is {100 * abs(gap):.1f} points {'higher' if gap >= 0 else 'lower'} (95 % interval, on the same"
            f" pictures: {span(100 * low, 100 * high, '+.1f')})."
        )
    headings = {name: f"Only {a.title} is right" for name in only_a}
    headings |= {name: f"Only {b.title} is right" for name in only_b}
    pictures = [
        {"name": name, "heading": headings.get(name, "Different predictions"), "said": [a.said[name], b.said[name]]}
        for name in shown(a, b)
    ]
    return {"says": says, "pictures": pictures, "file": sheet(a.image_set, a, b)}


def _labelled(model: Stamp, name: str) -> bool:
    """Whether the picture has a class for which the model has an output."""
    return model.said[name]["verdict"] != "not labelled"
