"""Texts of style transfer and texture synthesis: credits of given pictures, the loss network, a stride's effect."""

from collections.abc import Mapping
from pathlib import Path

from cnnviz.run.result import Result
from cnnviz.views.kit.section import Context, Subject


def name(picture: Mapping) -> str:
    """The name of a given picture in captions."""
    return picture["title"] or Path(picture["path"]).stem.replace("_", " ")


def credited(*pictures: Mapping) -> str:
    """A sentence with the credits and licences of these pictures; "" if none is stated."""
    stated = {", ".join(filter(None, (p["credit"], p["licence"]))): p for p in pictures if p["credit"] or p["licence"]}
    if not stated:
        return ""
    if len(stated) == 1 and len({p["path"] for p in pictures}) > 1:
        return f" Pictures: {next(iter(stated))}."
    return "".join(f" Picture of {name(p)}: {words}." for words, p in stated.items())


def private(*pictures: Mapping) -> bool:
    """Whether the derived edition leaves out figures of these pictures, since one of them states no licence."""
    return not all(p["licence"] for p in pictures)


def judge(result: Result, context: Context) -> str:
    """A sentence about the loss network if it is another model."""
    other = result.parameters["loss_net"]
    same = other in (None, context.model["id"])
    return "" if same else f" The layers are those of the loss net {other}, not this model's."


def layers(result: Result, context: Context, names: list[str]) -> tuple[Subject, ...]:
    """The subjects of figures about layers, unless these are another network's."""
    return () if judge(result, context) else tuple(Subject("layer", n) for n in dict.fromkeys(names))


def grid(stride: int) -> str:
    """A sentence for networks with a strided first layer; "" for others."""
    if stride == 1:
        return ""
    return f" The fine checkerboard is the network's: the filters of its first layer move by {stride} pixels at a time."
