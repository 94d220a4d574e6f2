"""A row per class for a probe picture: the saliency map with its seeds, the found outline, and the cut-out."""

import numpy as np
from scipy.ndimage import binary_dilation, binary_erosion

from cnnviz.network.class_names import short
from cnnviz.run.result import Result
from cnnviz.views import papers
from cnnviz.views.kit import attributions, colour, findings, panels, section, viewer
from cnnviz.views.kit.findings import Finding, Measured, between, percent
from cnnviz.views.kit.section import Context, Figure, Metric, Subject

# Okabe and Ito's colours, distinct with any colour vision: seeds of the object, the true outline, background seeds.
SEEDS, TRUE, BACKGROUND = np.uint8([[230, 159, 0], [86, 180, 233], [0, 114, 178]])
SQUARE = np.ones((3, 3), bool)  # a pixel and its neighbours
WHITE, BLACK = np.uint8([[255] * 3, [0] * 3])  # the found outline, which is seen on any picture
CHECKS = np.uint8([200, 235])
SEED = 0.45  # opacity of the background seeds' tint
LEAD, ACROSS, SIDE = "lead", 4, 256  # the first figure, its pictures, and pixels of its panels, at least
FITS = 0.5  # overlap from which an outline fits


def enlarged(pixels: np.ndarray, scale: int) -> np.ndarray:
    return np.repeat(np.repeat(pixels, scale, 0), scale, 1)


def outline(pixels: np.ndarray, mask: np.ndarray, width: int = 2) -> None:
    """Draws the border of a mask (h, w) into ``pixels`` (h, w, 3): white, ``width`` pixels, and half black around."""
    pixels[binary_dilation(mask, SQUARE, width // 2) & ~mask] = BLACK
    inner = binary_erosion(mask, SQUARE, width)
    pixels[mask & ~inner] = WHITE
    pixels[inner & ~binary_erosion(inner, SQUARE, width // 2)] = BLACK


def outline_of_truth(pixels: np.ndarray, mask: np.ndarray) -> None:
    """Draws the border of the object (h, w) outside it, three pixels wide, so that a black line leaves two."""
    wider = binary_dilation(mask, iterations=3)
    pixels[wider & ~mask] = TRUE


def cut_out(pixels: np.ndarray, mask: np.ndarray, square: int = 8) -> np.ndarray:
    """``pixels`` (h, w, 3) inside ``mask``, on a checkerboard."""
    y, x = np.indices(mask.shape) // square
    return np.where(mask[..., None], pixels, CHECKS[(y + x) % 2][..., None])


def beside(result: Result, large: np.ndarray, i: int, t: int, mapping: colour.Mapping, scale: int) -> list[np.ndarray]:
    """Map with seeds, outline and cut-out of picture i, ``large`` (h, w, 3), for its class t."""
    marked, mask = result.arrays["seeds"][i, t], enlarged(result.arrays["foreground"][i, t], scale)
    seeded = mapping(result.arrays["maps/gradient"][i, t])
    seeded[marked < 0] = ((1 - SEED) * seeded[marked < 0] + SEED * BACKGROUND).astype(np.uint8)
    seeded[marked > 0] = SEEDS
    drawn = large.copy()
    if result.numbers["truths"][i]:
        outline_of_truth(drawn, enlarged(result.arrays["truth"][i], scale))
    outline(drawn, mask)
    return [enlarged(seeded, scale), drawn, cut_out(large, mask)]


def density(maps: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """The share of each map (n, h, w) in a mask (n, h, w), over the mask's share of the picture; 0 for none."""
    total, area = maps.sum((1, 2), dtype=float), masks.mean((1, 2))
    held = (maps * masks).sum((1, 2), dtype=float) / np.where(total > 0, total, 1)
    return held / np.where(area > 0, area, 1)


def confidence(result: Result) -> np.ndarray:
    """How far each picture's first outline can be trusted, (n,): its overlap with the object where that is known.

    Else the share of the map that it holds, less its share of the picture and half its share of the picture's edge:
    an outline of the background holds little of the map and much of the edge.
    """
    maps, masks = result.arrays["maps/gradient"][:, 0], result.arrays["foreground"][:, 0]
    edge = np.concatenate([masks[:, 0], masks[:, -1], masks[:, :, 0], masks[:, :, -1]], 1).mean(1)
    area = masks.mean((1, 2))
    own = area * density(maps, masks) - area - edge / 2
    return np.array([own[i] if iou[0] is None else iou[0] for i, iou in enumerate(result.numbers["iou"])])


def best_first(result: Result) -> np.ndarray:
    """Indices of the pictures: known objects first, then pictures with a right answer, then the best outlines.

    Best is the largest overlap. Where no object is known it is the cut-out that the network recognises best, in tenths
    of its probability, and then the most trusted outline.
    """
    arrays, truths = result.arrays, result.numbers["truths"]
    unknown = np.array([not truth for truth in truths])
    wrong = unknown & (arrays["label"] >= 0) & (arrays["label"] != arrays["targets"][:, 0])
    again = np.where(unknown, np.nan_to_num(arrays["recognised"][:, 0]).round(1), 0)
    return np.lexsort((-confidence(result), -again, wrong, unknown))


def lead(result: Result, context: Context) -> Figure:
    """The pictures whose outline fits best, a column each: the outline, and what is cut out; below, from the middle."""
    arrays, numbers, chosen = result.arrays, result.numbers, best_first(result)[:ACROSS]
    scale = max(1, -(-SIDE // arrays["pictures"].shape[1]))
    rows: list[list] = [[], [], []]
    for i in chosen:
        large = enlarged(context.rgb(arrays["pictures"][i]), scale)
        drawn = large.copy()
        outline(drawn, enlarged(arrays["foreground"][i, 0], scale), 4)
        masks = arrays["foreground"][i, 0], arrays["centre"][i]
        fits = numbers["truths"][i] is not None
        said = (numbers["iou"][i][0], numbers["centre_iou"][i]) if fits else arrays["recognised"][i]
        rows[0].append((short(context.model["classes"][arrays["targets"][i, 0]]), drawn))
        for row, start, mask, value in zip(rows[1:], ("map", "middle"), masks, said, strict=True):
            words = f": overlap {percent(value)}" if fits else "" if np.isnan(value) else f": p = {value:.2f}"
            row.append((f"{start}{words}", cut_out(large, enlarged(mask, scale))))
    names = [context.image_set.pictures[arrays["index"][i]].name for i in chosen]
    return context.drawing(
        LEAD,
        panels.sheet([panel for row in rows for panel in row], across=len(chosen)),
        alt=f"{', '.join(names)}: the outline from the map, what it cuts out, and what a start from the middle does.",
        caption=often(result),
        more="Each picture for its first class. The lowest row is the control: GrabCut from the picture's middle, "
        "without the network.",
        mapping="From above: the outline in white; what it holds; what an outline from the middle holds",
        data="foreground, centre",
        scale=1.3,
        subjects=tuple(Subject("image", name) for name in names),
    )


def often(result: Result) -> str:
    """How many outlines fit their object, beside those from the middle; without objects, what the numbers are."""
    numbers, at = result.numbers, known(result)
    if at:
        own, middle = (sum(numbers["iou"][i][0] >= FITS for i in at), sum(numbers["centre_iou"][i] >= FITS for i in at))
        return (
            f"{own} of {len(at)} outlines fit: {percent(FITS)} overlap or more. From the middle: {middle}. "
            "The outlines that overlap their object most come first."
        )
    if np.isnan(result.arrays["recognised"]).any():
        return "First come outlines that hold much of the map, and little of the picture and its edge."
    right = "Right answers come first; among them" * bool((result.arrays["label"] >= 0).any()) or "First come"
    return (
        "p is the probability that the network gives the class for the cut-out alone, on the picture's mean colour. "
        f"{right} cut-outs that it recognises best, then outlines that hold much of the map."
    )


def figures(result: Result, context: Context) -> tuple[Figure, ...]:
    """A figure for each picture, with a row for each class; the most trusted outline first."""
    arrays, classes, show = result.arrays, context.model["classes"], context.show
    scale = max(1, 192 // arrays["pictures"].shape[1])
    made = []
    for i in best_first(result):
        index = arrays["index"][i]
        picture, kinds = context.image_set.pictures[index], result.numbers["kinds"][i]
        large = enlarged(context.rgb(arrays["pictures"][i]), scale)
        mapping = attributions.mapping_of(arrays["maps/gradient"][i, : len(kinds)], False, show)
        names, truth = [classes[target] for target in arrays["targets"][i, : len(kinds)]], result.numbers["truths"][i]
        rows, said = [], []
        for t, (name, kind) in enumerate(zip(names, kinds, strict=True)):
            rows.append([None if t else large, *beside(result, large, i, t, mapping, scale)])
            score = f"overlap {percent(result.numbers['iou'][i][t])}" if truth else ""
            says = context.says(arrays["targets"][i, t], arrays["probabilities"][i, t])
            said.append(attributions.row(name, kind, says, score))
        label, true = arrays["label"][i], ""
        truly = "" if label < 0 or any("true" in kind for kind in kinds) else f" It is {classes[label]}."
        if truth:
            truly += f" Started from the middle: {percent(result.numbers['centre_iou'][i])}."
        elif not np.isnan(again := arrays["recognised"][i]).any():
            truly += f" The cut-out alone has p = {again[0]:.2f}; from the middle, {again[1]:.2f}."
        if truth:
            true = ", the true mask in light blue" if truth == "mask" else ", the known box in light blue"
        made.append(
            context.picture(
                picture.id,
                attributions.sheet(rows, 1),
                alt=f"{picture.name}, and for {', '.join(names)}: the saliency map, the outline found, what it holds.",
                caption=f"{picture.name}. From top: {'; '.join(said)}.{truly}",
                mapping=f"From left: the picture; the map and where GrabCut starts; the outline in white{true}; what "
                f"it holds; |gradient|: {mapping.words}; all maps of this picture share one range",
                data=f"foreground[{i}], seeds[{i}], maps/gradient[{i}]",
                subjects=(Subject("image", picture.name), *(Subject("class", name) for name in names)),
                maps=viewer.write(
                    context,
                    picture.id,
                    (0, 0, *large.shape[1::-1]),
                    names,
                    said,
                    {"|gradient|": (arrays["maps/gradient"][i, : len(kinds)], [mapping] * len(kinds))},
                ),
            )
        )
    return tuple(made)


def known(result: Result) -> list[int]:
    """The pictures whose object is known."""
    return [i for i, truth in enumerate(result.numbers["truths"]) if truth]


def again(result: Result, figure: str) -> tuple[Finding, dict[str, Measured]]:
    """Whether the network recognises cut-outs that start from the map better than those from the picture's middle.

    It needs no mask. A larger cut-out shows more, so both sizes are stated.
    """
    arrays = result.arrays
    own, middle = arrays["recognised"].T.astype(float)
    gap, low, high = findings.mean_interval(own - middle)
    sizes = [percent(float(mask.mean())) for mask in (arrays["foreground"][:, 0], arrays["centre"])]
    more = "more than" if low > 0 else "less than" if high < 0 else "not shown to be more than"
    said = Finding(
        AGAIN,
        f"From the cut-out alone, the network gives the class {percent(own.mean())}: {more} from one of the middle.",
        findings.weakly(low),
        f"difference {100 * max(low, -1):.0f} to {100 * min(high, 1):.0f} points",
        f"started from the middle, without the network: {percent(middle.mean())}; {findings.UNTRIED}",
        f"{len(own)} pictures, whose objects are not known; cut-outs fill {sizes[0]} of the picture, from the middle "
        f"{sizes[1]}",
        figure,
    )
    return said, {AGAIN: Measured(f"{percent(own.mean())} and {percent(middle.mean())}", gap, low, high)}


def found(result: Result, figure: str) -> tuple[Finding, dict[str, Measured]]:
    """Whether outlines that start from the map fit better than those that start from the middle of the picture.

    Without known objects, whether the network recognises what they hold better.
    """
    numbers, n = result.numbers, len(known(result))
    if n < 2:
        if len(result.arrays["recognised"]) > 1 and not np.isnan(result.arrays["recognised"]).any():
            return again(result, figure)
        says = f"How well the outlines fit cannot be told: the object is known in {n} of the pictures."
        return Finding(KEY, says, findings.UNMEASURED, basis="masks or boxes would tell", figure=figure), {}
    (own, *ends), blob, (gap, low, high) = (
        numbers[name] for name in ("mean_iou", "mean_centre_iou", "mean_difference")
    )
    beats = "better than" if low > 0 else "worse than" if high < 0 else "not shown to be better than"
    said = Finding(
        KEY,
        f"Outlines from the map overlap the object by {percent(own)}: {beats} outlines from the picture's middle.",
        findings.strength(low, high, MARGIN),
        between(*ends),
        f"started from a blob in the middle, without the network: {percent(blob[0])} (difference {gap:+.2f}, "
        f"{low:+.2f} to {high:+.2f})",
        f"{n} pictures",
        figure,
    )
    return said, {KEY: Measured(f"{percent(own)} and {percent(blob[0])}", gap, low, high)}


def view(result: Result, context: Context) -> dict:
    numbers = result.numbers
    metrics = (Metric("probes", len(numbers["truths"])),)
    if numbers["mean_iou"]:
        for key, name in METRICS.items():
            value, low, high = numbers[key]
            better = "" if key == "mean_centre_iou" else "higher"
            metrics += (Metric(name, value, "" if key == "mean_difference" else "share", better, (low, high)),)
        metrics += (Metric("probes_with_known_object", len(known(result))),)
    box = " No outline fills a box, so the overlap with boxes stays below 100 %." * ("box" in numbers["truths"])
    shown = (lead(result, context), *figures(result, context))
    said, measured = found(result, LEAD)
    return {
        "findings": (said,),
        "measured": measured,
        "figures": shown,
        "metrics": metrics,
        "do_not_conclude": DO_NOT_CONCLUDE + box,
    }


KEY, MARGIN = "outline against a start from the middle", 0.05
AGAIN = "cut-outs recognised, against a start from the middle"
METRICS = {
    "mean_iou": "overlap_with_object",
    "mean_centre_iou": "overlap_started_from_the_middle",
    "mean_difference": "overlap_gained",
}
DO_NOT_CONCLUDE = (
    "A good outline is GrabCut's work as well: it needs a few right starting points and clear colours. A poor one may "
    "come from an object coloured like its background. An outline around the object does not prove that the network "
    "decides by it. Of two objects only one is kept."
)

if __name__ == "__main__":
    section.run(
        view,
        id="saliency_segmentation",
        title="Saliency segmentation",
        question="Can the network's map be used to cut the object out?",
        tour="Is the same map enough to cut the object out?",
        how_to_read="Orange is where the map is strongest, blue where it is weakest; GrabCut draws the outline "
        "between their colours. The map only says where it starts: an outline that follows the object follows the "
        "picture's colours.",
        do_not_conclude=DO_NOT_CONCLUDE,
        equation="M = blur(maxₖ |∂S_c/∂xₖ|);  foreground: M ≥ q₀.₉₅,  background: M ≤ q₀.₃;  IoU = |A ∩ B| / |A ∪ B|",
        papers=(papers.SIMONYAN_2014, papers.ROTHER_2004),
    )
