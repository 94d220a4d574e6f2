"""Predictions of a segmentation network: its map over each probe picture, and the agreement with the masks."""

import colorsys

import numpy as np

from cnnviz.network.class_names import short
from cnnviz.run.result import Result
from cnnviz.views import papers
from cnnviz.views.kit import cards, findings
from cnnviz.views.kit.cards import percent
from cnnviz.views.kit.confusion import matrix
from cnnviz.views.kit.findings import Finding, Measured, between
from cnnviz.views.kit.section import About, Context, Figure, Metric, Subject, Table
from cnnviz.views.kit.svg import Drawing, document, embedded, text

MOST_CLASSES = 24  # classes of the matrix, the most frequent ones
PANEL, GAP, LINE = 260, 8, 20  # CSS pixels
MOST_PROBES = 60
OPACITY = 0.55

HOW_TO_READ = "From left: the picture, the class that the network gives to each pixel, and the mask if there is one. "
MASKS = "IoU of a class: the pixels that are of it and are given to it, over those that are either."
NO_MASKS = "No mask is known of these pictures, so nothing can be said about errors."
DO_NOT_CONCLUDE = (
    "On pictures it was trained on, the numbers are flattering. Many right pixels say little where one class fills "
    "most of them: compare them with the control. The pixels of one picture go together, so few pictures are few, "
    "however many pixels they have."
)
MARGIN = 0.05  # a share is found to differ from its control beyond this
EQUATION = "IoU_c = |ŷ = c and t = c| / |ŷ = c or t = c|;  S_c = mean over pixels given to c of its score"


def view(result: Result, context: Context) -> dict:
    numbers = result.numbers
    judged = bool(numbers["labelled"])
    figures, tables = [_shares(result, context)], []
    if judged:
        figures.insert(0, _confusion(result, context))
        tables.append(_classes(result, context))
    if numbers.get("left_out"):
        tables.append(_left_out(numbers["left_out"]))
    figures += _overlays(result, context)
    metrics = [Metric("pictures_judged", numbers["labelled"])]
    if judged:
        for name in ("mean_iou", "pixel_accuracy"):
            interval = tuple(numbers[f"{name}_interval"]) if f"{name}_interval" in numbers else None
            metrics.insert(0, Metric(name, numbers[name], "share", "higher", interval))
        metrics += [
            Metric("pixel_accuracy_of_always_the_commonest", numbers["control_pixel_accuracy"], "share"),
            Metric("mean_iou_of_always_the_commonest", numbers["control_mean_iou"], "share"),
        ]
    return found(numbers, context.model["classes"]) | {
        "figures": tuple(figures),
        "tables": tuple(tables),
        "metrics": tuple(metrics),
        "about": (_about(result, context),),
        "question": "Which class does it give to each pixel, and is that right?",
        "how_to_read": HOW_TO_READ + (MASKS + _unknown(numbers) if judged else NO_MASKS),
        "do_not_conclude": DO_NOT_CONCLUDE,
        "equation": EQUATION,
        "papers": (papers.EVERINGHAM_2010,),
    }


def found(numbers: dict, classes: list[str]) -> dict:
    """Mean IoU beside that of always giving the commonest class."""
    key, basis = "mean IoU", f"{numbers['labelled']:,} pictures with masks"
    if not numbers["labelled"]:
        words = "No mask is known of these pictures: how often the pixels are right cannot be told."
        return {"findings": (Finding(key, words, findings.NOT, figure="shares"),)}
    value, control = numbers["mean_iou"], numbers["control_mean_iou"]
    low, high = numbers.get("mean_iou_interval", (0.0, 1.0))  # of one picture anything is possible
    says = (
        f"Mean overlap (IoU) of its classes with the masks: {findings.percent(value)}; "
        f"{findings.percent(numbers['pixel_accuracy'])} of the pixels are right."
    )
    words = f"{findings.percent(control)}, by giving every pixel to {short(classes[numbers['commonest']])}"
    finding = Finding(
        key, says, findings.strength(low - control, high - control, MARGIN), between(low, high), words, basis,
        "confusion",
    )  # fmt: skip
    room = 1 - control or 1.0  # all pixels may be of one class
    effects = (max(-1.0, (v - control) / room) for v in (value, low, high))
    return {"findings": (finding,), "measured": {key: Measured(findings.percent(value), *effects)}}


def _unknown(numbers: dict) -> str:
    share, unnamed = numbers.get("unknown", 0), numbers.get("unnamed")
    words = f" {share:.1%} of the pixels count for nothing: the masks leave them out." if share else ""
    return words + (f" {unnamed}" if unnamed else "")


def conclusion(numbers: dict, classes: list[str]) -> str:
    """Pixel accuracy and mean IoU beside the control, in a sentence."""

    def of(name: str) -> str:
        digits = 3 if 0.9995 <= numbers[name] < 1 else 1  # do not round to 100 %
        found = f"{numbers[name]:.{digits}%}"
        if f"{name}_interval" in numbers:
            low, high = numbers[f"{name}_interval"]
            found += f" ({low:.{digits}%} to {high:.{digits}%})"
        return found

    return (
        f"{of('pixel_accuracy')} of the pixels are right, mean IoU {of('mean_iou')}; always "
        f"{short(classes[numbers['commonest']], 22)}: {numbers['control_pixel_accuracy']:.1%} and "
        f"{numbers['control_mean_iou']:.1%}."
    )


def palette(classes: list[str], hues: dict[str, str]) -> np.ndarray:
    """A colour for each class, (classes, 3) uint8: its own; if not all have one, hues a golden section apart.

    A map needs a colour for each of its classes; the legend beside it says which.
    """
    if all(name in hues for name in classes):
        return np.array([list(bytes.fromhex(hues[name][1:])) for name in classes], np.uint8)
    count = len(classes)
    made = [
        colorsys.hls_to_rgb((i * 0.618034 + 0.58) % 1, (0.5, 0.66, 0.36)[i % 3], (0.85, 0.7, 0.8)[i % 3])
        for i in range(count)
    ]
    return np.rint(np.array(made) * 255).astype(np.uint8)


def over(picture: np.ndarray, map: np.ndarray, colours: np.ndarray) -> np.ndarray:
    """A label map (h, w) in colours over a picture (h, w, 3); only the picture where the class is unknown (−1).

    The picture is in grey, so that a class has the legend's colour everywhere.
    """
    mixed = picture.mean(-1, keepdims=True) * (1 - OPACITY) + colours[np.maximum(map, 0)] * OPACITY
    return np.where(map[..., None] < 0, picture, np.rint(mixed)).astype(np.uint8)


def _overlays(result: Result, context: Context) -> list[Figure]:
    arrays, classes = result.arrays, context.model["classes"]
    colours = palette(classes, context.hues)
    indices = arrays["probes"][:MOST_PROBES].tolist()
    pixels, figures = context.as_seen(result, indices), []
    for k, i in enumerate(indices):
        picture, map, truth = context.image_set.pictures[i], arrays["probe_maps"][k], arrays["probe_truths"][k]
        known = bool((truth >= 0).any())
        bare = known and bool((truth < 0).any())
        maps = [map, truth] if known else [map]
        panels = [pixels[i], *(over(pixels[i], each, colours) for each in maps)]
        share = arrays["shares"][i]
        present = np.union1d(np.flatnonzero(share > 0), np.unique(truth[truth >= 0]) if known else [])
        present = sorted(present.astype(int).tolist(), key=lambda c: (-share[c], c))
        listed = ", ".join(f"{short(classes[c], 40)} {percent(share[c])}" for c in present[:8] if share[c] > 0)
        right = f" {(map == truth)[truth >= 0].mean():.1%} of the pixels are right." if known else ""
        figures.append(
            context.drawing(
                f"probes-{picture.id}", _sheet(panels, present, share, classes, colours),
                alt=f"{picture.name}, the classes of its pixels as the network sees them{', and the mask' * known}: "
                f"{listed}.",
                caption=f"{picture.name}: {listed}.{right}{' Where the mask is bare it says nothing.' if bare else ''}",
                mapping="a colour a class, over the grey of the pixels the network saw; the legend has the share of "
                "pixels given to each",
                data=f"probe_maps[{k}], probe_truths[{k}]", group="Probe pictures",
                subjects=(Subject("image", picture.name), *(Subject("class", classes[c]) for c in present)),
            )
        )  # fmt: skip
    return figures


def _sheet(panels: list[np.ndarray], present: list[int], share: np.ndarray, classes: list[str], colours) -> Drawing:
    """Pictures side by side above a legend."""
    high = round(PANEL * panels[0].shape[0] / panels[0].shape[1])
    width = len(panels) * (PANEL + GAP) - GAP
    columns = len(panels)
    rows = -(-len(present) // columns)
    parts = []
    for k, pixels in enumerate(panels):
        small = pixels.shape[1] < PANEL / 2
        parts.append(
            embedded(pixels, PANEL, high, x=k * (PANEL + GAP), quality=88, method=2, stretched=True, crisp=small)
        )
    for place, c in enumerate(present):
        x, y = place // rows * (PANEL + GAP), high + 10 + place % rows * LINE
        fill = "#" + bytes(colours[c]).hex()
        given = percent(share[c]) if share[c] > 0 else "not given"
        parts += [
            f'<rect fill="{fill}" x="{x}" y="{y}" width="14" height="14" rx="2"/>',
            text(short(classes[c], 24), x=x + 21, y=y + 12),
            text(given, "end quiet", x=x + PANEL, y=y + 12),
        ]
    return document(width, high + 10 + rows * LINE, parts)


def _confusion(result: Result, context: Context) -> Figure:
    table, classes = result.arrays["pixel_confusion"], context.model["classes"]
    order = np.argsort(-(table.sum(1) + table.sum(0)), kind="stable")
    chosen = np.sort(order[: min(MOST_CLASSES, int((table.sum(0) + table.sum(1) > 0).sum()))])
    totals = table.sum(1)[chosen]
    per_cent = 100 * table[chosen] / np.maximum(totals, 1)[:, None]
    inside = np.rint(per_cent[:, chosen]).astype(int)
    rest = np.rint(per_cent.sum(1) - per_cent[:, chosen].sum(1)).astype(int)
    names = [classes[c] for c in chosen]
    drawn, most = matrix(inside, rest, np.full(len(chosen), 100), names, context.hues, "")
    said = conclusion(result.numbers, classes)
    return context.drawing(
        "confusion", drawn,
        alt=f"Matrix of {len(chosen)} right classes by row and predicted classes by column, in per cent of the row's "
        f"pixels. {said}",
        caption=f"{said} Each row is a right class, each column a predicted one; numbers are per cent of the row's "
        f"pixels, over {result.numbers['labelled']:,} pictures with masks.",
        mapping=f"share of a row's pixels; right, grey: 0 … 1; mistakes, orange: 0 … {most:.2g}",
        data="pixel_confusion", subjects=tuple(Subject("class", name) for name in names), from_dataset=False,
    )  # fmt: skip


def _shares(result: Result, context: Context) -> Figure:
    mean, classes = result.arrays["shares"].mean(0), context.model["classes"]
    order = [c for c in np.argsort(-mean, kind="stable")[:20].tolist() if mean[c] > 0]
    said = [percent(mean[c]) for c in order]
    return context.drawing(
        "shares", cards.ranking([classes[c] for c in order], mean[order] / mean.max(), said, context.hues),
        alt=f"Bars of the share of pixels given to each class: "
        f"{', '.join(f'{short(classes[c], 22)} {percent(mean[c])}' for c in order[:3])}, and so on.",
        caption=f"The share of pixels that the network gives to each class, over all {len(result.arrays['shares']):,} "
        f"pictures: the {len(order)} commonest of {int((mean > 0).sum())} classes that occur.",
        mapping=f"length: share of pixels, full at {percent(float(mean.max()))}", data="shares", subjects=(),
        from_dataset=False,
    )  # fmt: skip


def _classes(result: Result, context: Context) -> Table:
    both, right, said = result.arrays["pixel_counts"].sum(0)
    iou, classes = result.arrays["class_iou"], context.model["classes"]
    order = [c for c in np.argsort(iou, kind="stable") if right[c] or said[c]]
    return Table(
        "classes",
        "Each class, hardest first. Found: of its pixels, so many are given to it. Right when given: of the pixels "
        "given to it, so many are of the class.",
        ("class", "share of pixels", "IoU", "found", "right when given"),
        tuple(
            (
                short(classes[c], 40), percent(right[c] / right.sum()), f"{iou[c]:.3f}",
                f"{both[c] / right[c]:.1%}" if right[c] else "does not occur",
                f"{both[c] / said[c]:.1%}" if said[c] else "never given",
            )
            for c in order
        ),
    )  # fmt: skip


def _left_out(reasons: dict[str, str]) -> Table:
    caption = "Masks that cannot be used. Their pictures count as pictures without a mask."
    return Table("masks_left_out", caption, ("picture", "why"), tuple(reasons.items()), from_dataset=True)


def _about(result: Result, context: Context) -> About:
    classes, shares = context.model["classes"], result.arrays["shares"]
    rows = {}
    for picture, own in zip(context.image_set.pictures, shares, strict=True):
        best = [c for c in np.argsort(-own, kind="stable")[:3] if own[c] > 0]
        rows[picture.name] = (", ".join(f"{short(classes[c], 40)} {percent(own[c])}" for c in best),)
    return About("image", ("commonest classes of its pixels",), rows, from_dataset=True)
