"""What the sliders of a page show (``scrub.js``): parts of a figure, or the same part of two models' figures."""

from collections.abc import Sequence

from cnnviz.site.stamp import Entry
from cnnviz.views.kit.section import Figure, Section
from cnnviz.views.kit.stages import Box, Stages

SIDE = 384  # longer side of the picture in CSS pixels
MOST = 100  # parts of a section that two models are compared in


def of_figure(figure: Figure, href: str) -> list[dict]:
    """A slider for each series of the figure's parts. href: its file, from the page."""
    return [_of_stages(stages, figure, href) for stages in figure.stages]


def _of_stages(stages: Stages, figure: Figure, href: str) -> dict:
    numbers = stages.numbers or [""] * len(stages.labels)
    size = f"{figure.width} {figure.height}"
    below = {}
    if stages.below:
        below = {"below": _joined(stages.below_box), "below-file": href, "below-size": size}
    parts = [
        {"label": label, "number": number, "data": {"file": href, "size": size, "box": _joined(box)} | below}
        for label, number, box in zip(stages.labels, numbers, stages.boxes, strict=True)
    ]
    return _slider(stages.moves, stages.below, stages.boxes[0], figure.pixelated, parts) | {"opens": stages.opens}


def _slider(moves: str, below: str, box: Box, pixelated: bool, parts: list[dict]) -> dict:
    """The variables of the macro. Pixels are enlarged by a whole factor where they repeat."""
    times = SIDE / max(box[2:])
    times = max(1, int(times)) if pixelated else times
    width, height = (max(1, round(side * times)) for side in box[2:])
    return {
        "moves": moves, "below": below, "parts": parts, "pixelated": pixelated, "width": width, "height": height,
    }  # fmt: skip


# ----------------------------------------------------------------------------------------------------------- two models


def compared(section: Section, folder: str) -> list[dict]:
    """The parts of a section that are compared with another model's, for the stamp.

    folder: of the figures, from the site's root. A part's ``key`` is the same for the same thing in both models. Its
    number is left out: errors and responses of two networks are not in one unit.
    """
    found = []
    for figure in section.figures:
        if not figure.compared:
            continue
        for stages in figure.stages[:1]:
            for label, box in zip(stages.labels, stages.boxes, strict=True):
                found.append((f"{figure.id} {label}", label, figure, box))
        if not figure.stages:
            boxed = [(s.name, s.box) for s in figure.subjects if s.box]
            whole = (0, 0, figure.width, figure.height)
            for name, box in boxed or [(s.name, whole) for s in figure.subjects[:1]]:
                found.append((name, name, figure, box))
    return [
        {
            "key": key,
            "label": label,
            "moves": figure.compared,
            "pixelated": figure.pixelated,
            "of_set": figure.from_dataset,
        }
        | {"file": f"{folder}/{figure.file}", "size": [figure.width, figure.height], "box": list(box)}
        for key, label, figure, box in found[:MOST]
    ]


def of_pair(a: Entry | None, b: Entry | None, titles: tuple[str, str], root: str, one_set: bool) -> dict | None:
    """A slider over the parts that both models have, the first model's on the left of the divider; None without any.

    one_set: whether both models have the same image set. If not, pictures of equal names are different pictures, and
    only what was made for a class or unit is compared.
    """
    if not (a and b):
        return None
    others = {part["key"]: part for part in b.compared}
    both = [(part, others[part["key"]]) for part in a.compared if part["key"] in others]
    both = [(one, other) for one, other in both if one_set or not (one["of_set"] or other["of_set"])]
    both = [(one, other) for one, other in both if _shape(one) == _shape(other) == _shape(both[0][0])]
    if not both:
        return None
    parts = []
    for one, other in both:
        data = {"file": root + other["file"], "size": _joined(other["size"]), "box": _joined(other["box"])}
        data |= {"below-file": root + one["file"], "below-size": _joined(one["size"]), "below": _joined(one["box"])}
        parts.append({"label": one["label"], "number": "", "data": data | {"side": titles[1]}})
    first = both[0][0]
    return _slider(first["moves"], titles[0], first["box"], first["pixelated"], parts)


def _joined(values: Sequence[float]) -> str:
    return " ".join(f"{value:g}" for value in values)


def _shape(part: dict) -> float:
    """Ratio of a part's sides, without what rounding adds."""
    return round(part["box"][2] / part["box"][3], 1)
