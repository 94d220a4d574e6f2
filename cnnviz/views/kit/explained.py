"""Findings of attribution views: the share of a map on the object, and whether it depends on the class.

They are about the first class of each picture, by default the predicted one. Each number has a control: the objects of
the other pictures, the same network with random weights, or the maps of other pictures.
"""

import numpy as np

from cnnviz.network.class_names import cut, short
from cnnviz.network.kinds import REGRESSION
from cnnviz.run.result import Result
from cnnviz.views.kit import colour, findings, panels
from cnnviz.views.kit.attributions import surest_first
from cnnviz.views.kit.findings import Finding, Measured, between, percent
from cnnviz.views.kit.section import Context, Figure, Subject

MARGIN = 0.1  # difference of shares from which a map is said to lie on the object, or to depend on the class
ACROSS, SIDE = 6, 256  # pictures of the lead figure; pixels of its panels, at least
LEAD, OBJECT = "lead", "on the object"


def judged(result: Result) -> np.ndarray:
    """Indices of the pictures with a known object and a correct prediction, as far as that is known."""
    arrays = result.arrays
    masks = arrays["masks"].reshape(len(arrays["masks"]), -1)
    right = (arrays["label"] < 0) | (arrays["label"] == arrays["targets"][:, 0])
    return np.flatnonzero(right & masks.any(1) & ~masks.all(1))


def _known(result: Result) -> int:
    """Number of pictures with a known object."""
    masks = result.arrays["masks"].reshape(len(result.arrays["masks"]), -1)
    return int((masks.any(1) & ~masks.all(1)).sum())


def _counted(pictures: int) -> str:
    return "1 picture" if pictures == 1 else f"{pictures} pictures"


def share_on(maps: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Share of each map's positive part (n, h, w) inside ``where`` (n, h, w), 0 … 1; that of a uniform map if it has
    none.
    """
    positive = np.maximum(maps, 0)
    total, on = (values.sum((1, 2), dtype=np.float64) for values in (positive, positive * where))
    return np.where(total > 0, on / np.where(total > 0, total, 1), where.mean((1, 2)))


def on_object(result: Result, name: str) -> dict[str, np.ndarray]:
    """Shares of a method's map on each judged picture's object, (k,) each.

    The others are: on the other pictures' objects, with random weights (if there are such maps), and of a uniform map.
    """
    at, arrays = judged(result), result.arrays
    masks, maps = arrays["masks"][at].astype(np.float32), arrays[f"maps/{name}"][at, 0]
    others = (masks.sum(0) - masks) / max(1, len(at) - 1)
    shares = {"own": share_on(maps, masks), "other": share_on(maps, others), "even": masks.mean((1, 2))}
    if f"random/{name}" in arrays:
        shares["random"] = share_on(arrays[f"random/{name}"][at], masks)
    return shares


def found(
    result: Result, context: Context, titles: dict[str, str], figure: str
) -> tuple[list[Finding], dict[str, Measured]]:
    """The finding about the method whose map lies most clearly on the object, and the numbers of all methods.

    titles: method → its name in a sentence. Without known objects the finding is whether maps depend on the weights, if
    that is known; else whether they depend on the class.
    """
    said = [on(result, name, title, figure) for name, title in titles.items()]
    known = [one for one in said if one]
    objects, right = _known(result), len(judged(result))
    if not known and objects > 1:
        says = f"Whether the map lies on the object cannot be told: {right} of {objects} pictures are named correctly."
        return [Finding(OBJECT, says, findings.UNMEASURED, basis="a wrong name has no object", figure=figure)], {}
    if not known:
        known = [one for name, title in titles.items() if (one := changed(result, name, title, figure))]
    if not known and context.kind != REGRESSION:
        known = [one for name, title in titles.items() if (one := of_class(result, context, name, title))]
    if not known:
        says = f"Whether the map lies on the object cannot be told: the object is known in {_counted(objects)}."
        return [Finding(OBJECT, says, findings.UNMEASURED, basis="masks or boxes would tell", figure=figure)], {}
    best = max(known, key=lambda one: (-findings.STRENGTHS.index(one[0].strength), one[1].low))
    return [best[0]], {finding.key: measured for finding, measured in known}


def on(result: Result, name: str, title: str, figure: str) -> tuple[Finding, Measured] | None:
    """Share of a map on the object, compared with the larger one of its controls."""
    shares = on_object(result, name)
    if len(shares["own"]) < 2:
        return None
    own, low, high = findings.mean_interval(shares["own"])
    words = {"other": "on the objects of other pictures", "random": "with random weights"}
    means = {control: float(shares[control].mean()) for control in words if control in shares}
    against = max(means, key=means.get)
    gap, least, most = findings.mean_interval(shares["own"] - shares[against])
    control = "; ".join(f"{words[name]}: {percent(value)}" for name, value in means.items())
    said = Finding(
        key=f"{title} on the object",
        says=f"{percent(own)} of {title} lies on the object, which fills {percent(float(shares['even'].mean()))} of "
        "the picture.",
        strength=findings.strength(least, most, MARGIN),
        interval=between(max(0, low), min(1, high)),
        control=f"{control} (difference {100 * least:.0f} to {100 * most:.0f} points)",
        basis=f"{len(shares['own'])} pictures",
        figure=figure,
    )
    return said, Measured(percent(own), gap, max(-1, least), min(1, most))


def changed(result: Result, name: str, title: str, figure: str) -> tuple[Finding, Measured] | None:
    """Similarity of a map to that with random weights."""
    kept = result.arrays.get(f"kept/{name}", ())
    if len(kept) < 2:
        return None
    mean, low, high = findings.mean_interval(kept)
    stays = findings.strength(1 - high, 1 - low, 0.5)
    words = {
        findings.FOUND: "depends on the weights",
        findings.WEAK: "depends in part on the weights",
        findings.NOT: "is not shown to depend on the weights",
    }
    said = Finding(
        key=f"{title} with random weights",
        says=f"{title[:1].upper()}{title[1:]} {words[stays]}: with random weights it agrees by {mean:.2f}.",
        strength=stays,
        interval=f"rank correlation {findings.span(max(-1, low), min(1, high))}",
        control="a map of the picture alone: 1",
        basis=f"{len(kept)} pictures; their objects are not known",
        figure=figure,
    )
    return said, Measured(f"rank correlation {mean:.2f}", 1 - mean, max(-1, 1 - high), min(1, 1 - low))


def cosine(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Agreement of maps (n, h, w) in 0 … 1, by their magnitudes: cosines (n,)."""
    a, b = (np.abs(maps.astype(np.float64)).reshape(len(maps), -1) for maps in (a, b))
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return (a * b).sum(1) / np.where(lengths > 0, lengths, 1)


def of_class(result: Result, context: Context, name: str, title: str, prefix: str = "") -> tuple | None:
    """The finding and the number on whether a method's maps of two classes of one picture differ.

    The control is maps of two pictures. Not found: the whole interval is within the margin. prefix: of the ids of the
    figures that show all classes of a picture.
    """
    arrays = result.arrays
    maps = arrays[f"maps/{name}"]
    if maps.shape[1] < 2:
        return None
    there = np.flatnonzero((arrays["targets"][:, 1] >= 0) & maps[:, :2].any((2, 3)).all(1))
    if len(there) < 2:
        return None
    own = cosine(maps[there, 0], maps[there, 1])
    other = float(cosine(maps[there, 0], np.roll(maps[there, 0], 1, 0)).mean())
    mean, low, high = findings.mean_interval(own)
    differs = findings.strength(1 - high, 1 - low, MARGIN) if 1 - low > MARGIN else findings.NOT
    words = {findings.FOUND: "depends on the class", findings.WEAK: "depends a little on the class"}
    right = arrays["label"][there] == arrays["targets"][there, 0]  # a right answer says more, see surest_first
    typical = there[np.argmin(np.abs(own - mean) + 2 * (right.any() & ~right))]
    said = Finding(
        key=f"{title} of two classes",
        says=f"{title[:1].upper()}{title[1:]} {words.get(differs, 'hardly depends on the class')}: the maps of "
        f"two classes of a picture agree by {mean:.2f}.",
        strength=findings.not_learned(differs),
        interval=f"cosine of magnitudes {max(0, low):.2f} to {min(1, high):.2f}; 1 is the same map",
        control=f"maps of two pictures: {other:.2f}; {findings.UNTRIED}",
        basis=f"{len(there)} pictures",
        figure=prefix + context.image_set.pictures[arrays["index"][typical]].id,
    )
    return said, Measured(f"agree by {mean:.2f}", 1 - mean, max(0, 1 - high), min(1, 1 - low))


def columns(result: Result, first: np.ndarray | None = None) -> np.ndarray:
    """Indices of the pictures for the lead figure: those with known objects; else all, most confident first.

    first: a number for each picture, the largest of which comes first instead.
    """
    at = judged(result)
    if len(at):
        return at
    return surest_first(result) if first is None else np.argsort(-first, kind="stable")


def lead(
    result: Result,
    context: Context,
    name: str,
    title: str,
    colours: str = colour.SIGNED,
    fits: tuple[np.ndarray, list[str], list[str]] | tuple[np.ndarray, list[str]] | None = None,
) -> Figure:
    """Up to six pictures, a column each, in descending order of the map's share on the object.

    Below each is its map, and the map with random weights if there is one. fits: for each picture how far its map can
    be believed, and that in words, and perhaps words for the map with random weights; without known objects the best
    fits are shown.
    """
    arrays, at, objects = result.arrays, columns(result, fits and fits[0]), len(judged(result)) > 0
    shares = on_object(result, name) if objects else {"own": np.zeros(len(at)), "random": np.zeros(len(at))}
    order = np.argsort(-shares["own"], kind="stable")
    chosen = order[np.unique(np.linspace(0, len(order) - 1, min(ACROSS, len(order))).round().astype(int))]
    if fits and not objects:
        chosen = order[:ACROSS]
    names = [_answer(result, context, i) for i in at[chosen]]
    masks = [arrays["masks"][i] & objects for i in at[chosen]]
    rows = [[(cut(n, 24), context.rgb(arrays["pictures"][i])) for n, i in zip(names, at[chosen], strict=True)]]
    kinds = [("own", "on object", "map", arrays[f"maps/{name}"][:, 0])]
    if f"random/{name}" in arrays:
        kinds.append(("random", "random weights", "random weights", arrays[f"random/{name}"]))
    for kind, words, without, maps in kinds:
        said = [f"{percent(float(share))} {words}" if objects else without for share in shares[kind][chosen]]
        if fits and not objects and (own := kind == "own") | (len(fits) > 2):
            said = [fits[1 if own else 2][i] for i in at[chosen]]
        rows.append([(s, painted(result, name, maps[i], colours)) for s, i in zip(said, at[chosen], strict=True)])
    drawn = [(title, ringed(pixels, mask)) for row in rows for (title, pixels), mask in zip(row, masks, strict=True)]
    below = f"Below each picture its map by {title}" + _second(arrays, name)
    order = " From left to right, less of the map lies on it." * (len(chosen) > 1)
    ringing = f" The line is the object.{order}" * objects
    return context.drawing(
        LEAD, panels.sheet(drawn, across=len(chosen)),
        alt=f"{', '.join(names)}. {below}.", caption=f"{below}.{ringing}",
        mapping=f"each map by itself: {WORDS[colours if signed(result, name) else None]}, ends at the 99th percentile",
        data=f"maps/{name}", scale=1.3,
        subjects=tuple(Subject("image", context.image_set.pictures[arrays["index"][i]].name) for i in at[chosen]),
    )  # fmt: skip


def _answer(result: Result, context: Context, i: int) -> str:
    """What the network takes picture i for, and whether that is wrong; the picture's name if it predicts a value."""
    if context.kind == REGRESSION:
        return context.image_set.pictures[result.arrays["index"][i]].name
    target, label = int(result.arrays["targets"][i, 0]), int(result.arrays["label"][i])
    return short(context.model["classes"][target]) + " (wrong)" * (label not in (-1, target))


def _second(arrays: dict[str, np.ndarray], name: str) -> str:
    """The second row of maps, in words; it is coarser where no correlation with the first was taken."""
    coarser = "" if f"kept/{name}" in arrays else " (coarser)"
    return f", then the map with random weights{coarser}" if f"random/{name}" in arrays else ""


WORDS = {
    colour.SIGNED: "red for, blue against, white is 0",
    "BrBG": "blue-green for, brown against, white is 0",
    None: "dark is 0, bright is high",
}


def signed(result: Result, name: str) -> bool:
    return next(m["signed"] for m in result.numbers["methods"] if m["name"] == name)


def painted(result: Result, name: str, map: np.ndarray, colours: str) -> np.ndarray:
    values = map.astype(np.float32)
    if signed(result, name):
        return colour.symmetric(values, colours, 99)(values)
    return (
        colour.by_name("percentile", values, "magma", 99)(values)
        if values.any()
        else colour.fixed(0, 1, "magma")(values)
    )


def ringed(pixels: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """(h, w, 3) uint8, enlarged by repeating pixels, with the border of the mask drawn: white, dark around it."""
    scale = max(1, -(-SIDE // len(pixels)))
    large, mask = (np.repeat(np.repeat(a, scale, 0), scale, 1) for a in (pixels, mask))
    if mask.any():
        padded = np.pad(mask, 2)
        around = np.stack([np.roll(padded, (y, x), (0, 1)) for y in (-2, -1, 0, 1, 2) for x in (-2, -1, 0, 1, 2)])
        near = around.reshape(5, 5, *padded.shape)[..., 2:-2, 2:-2]
        large[near.any((0, 1)) & ~near.all((0, 1))] = 0
        inner = near[1:4, 1:4]
        large[inner.any((0, 1)) & ~inner.all((0, 1))] = 255
    return large
