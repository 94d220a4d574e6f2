"""What style and texture say alike: whose a given picture is, whose eyes judged, what a strided first layer leaves."""

from collections.abc import Mapping
from pathlib import Path

from cnnviz.run.result import Result
from cnnviz.views.kit.section import Context, Subject


def name(picture: Mapping) -> str:
    """What captions call a picture that the config names."""
    return picture["title"] or Path(picture["path"]).stem.replace("_", " ")


def credited(*pictures: Mapping) -> str:
    """A sentence on whose these pictures are and on what terms; "" where nothing is stated."""
    stated = {", ".join(filter(None, (p["credit"], p["licence"]))): p for p in pictures if p["credit"] or p["licence"]}
    if not stated:
        return ""
    if len(stated) == 1 and len({p["path"] for p in pictures}) > 1:
        return f" Pictures: {next(iter(stated))}."
    return "".join(f" Picture of {name(p)}: {words}." for words, p in stated.items())


def private(*pictures: Mapping) -> bool:
    """Whether the derived edition leaves out what shows these pictures: one of them states no licence."""
    return not all(p["licence"] for p in pictures)


def judge(result: Result, context: Context) -> str:
    """A sentence on whose layers judged, where they are not this model's."""
    other = result.parameters["loss_net"]
    same = other in (None, context.model["id"])
    return "" if same else f" The layers are those of the loss net {other}, not this model's."


def layers(result: Result, context: Context, names: list[str]) -> tuple[Subject, ...]:
    """The subjects of figures about layers, unless they are another network's."""
    return () if judge(result, context) else tuple(Subject("layer", n) for n in dict.fromkeys(names))


def grid(stride: int) -> str:
    """A sentence for networks whose first layer strides; "" for others."""
    if stride == 1:
        return ""
    return (
        f" The first layer's filters move by {stride} pixels at a time, so it cannot see all that repeats every "
        f"{stride} pixels, and its gradient leaves a fine checkerboard: that is the network's, not the picture's."
    )
