"""A row per class for a probe picture: the saliency map with its seeds, the found outline, and the cut-out."""

import numpy as np
from skimage.segmentation import find_boundaries

from cnnviz.run.result import Result
from cnnviz.views import papers
from cnnviz.views.kit import attributions, colour, findings, section, viewer
from cnnviz.views.kit.findings import Finding, Measured, between, percent
from cnnviz.views.kit.section import Context, Figure, Metric, Subject

# Okabe and Ito's colours, distinct with any colour vision: the found outline, the true one, background seeds.
FOUND, TRUE, BACKGROUND = np.uint8([[230, 159, 0], [86, 180, 233], [0, 114, 178]])
CHECKS = np.uint8([200, 235])
SEED = 0.45  # opacity of the background seeds' tint


def enlarged(pixels: np.ndarray, scale: int) -> np.ndarray:
    return np.repeat(np.repeat(pixels, scale, 0), scale, 1)


def outline(pixels: np.ndarray, mask: np.ndarray, rgb: np.ndarray, mode: str) -> None:
    """Draws the border of a mask (h, w) into ``pixels`` (h, w, 3), two pixels wide, inside ("inner") or outside it."""
    border = find_boundaries(mask, mode=mode)
    pixels[border] = rgb
    wider = mask & ~border if mode == "inner" else mask | border
    pixels[find_boundaries(wider, mode=mode)] = rgb


def cut_out(pixels: np.ndarray, mask: np.ndarray, square: int = 8) -> np.ndarray:
    """``pixels`` (h, w, 3) inside ``mask``, on a checkerboard."""
    y, x = np.indices(mask.shape) // square
    return np.where(mask[..., None], pixels, CHECKS[(y + x) % 2][..., None])


def panels(result: Result, large: np.ndarray, i: int, t: int, mapping: colour.Mapping, scale: int) -> list[np.ndarray]:
    """Map with seeds, outline and cut-out of picture i, ``large`` (h, w, 3), for its class t."""
    marked, mask = result.arrays["seeds"][i, t], enlarged(result.arrays["foreground"][i, t], scale)
    seeded = mapping(result.arrays["maps/gradient"][i, t])
    seeded[marked < 0] = ((1 - SEED) * seeded[marked < 0] + SEED * BACKGROUND).astype(np.uint8)
    seeded[marked > 0] = FOUND
    drawn = large.copy()
    if result.numbers["truths"][i]:
        outline(drawn, enlarged(result.arrays["truth"][i], scale), TRUE, "outer")
    outline(drawn, mask, FOUND, "inner")
    return [enlarged(seeded, scale), drawn, cut_out(large, mask)]


def figures(result: Result, context: Context) -> tuple[Figure, ...]:
    """A figure for each picture, with a row for each class."""
    arrays, classes, show = result.arrays, context.model["classes"], context.show
    scale = max(1, 192 // arrays["pictures"].shape[1])
    made = []
    for i, index in enumerate(arrays["index"]):
        picture, kinds = context.image_set.pictures[index], result.numbers["kinds"][i]
        large = enlarged(context.rgb(arrays["pictures"][i]), scale)
        mapping = attributions.mapping_of(arrays["maps/gradient"][i, : len(kinds)], False, show)
        names, truth = [classes[target] for target in arrays["targets"][i, : len(kinds)]], result.numbers["truths"][i]
        rows, said = [], []
        for t, (name, kind) in enumerate(zip(names, kinds, strict=True)):
            rows.append([None if t else large, *panels(result, large, i, t, mapping, scale)])
            score = f"overlap {percent(result.numbers['iou'][i][t])}" if truth else ""
            says = context.says(arrays["targets"][i, t], arrays["probabilities"][i, t])
            said.append(attributions.row(name, kind, says, score))
        label, true = arrays["label"][i], ""
        truly = "" if label < 0 or any("true" in kind for kind in kinds) else f" It is {classes[label]}."
        if truth:
            truly += f" Started from the middle: {percent(result.numbers['centre_iou'][i])}."
            true = ", the true mask in light blue" if truth == "mask" else ", the known box in light blue"
        made.append(
            context.picture(
                picture.id,
                attributions.sheet(rows, 1),
                alt=f"{picture.name}, and for {', '.join(names)}: the saliency map, the outline found, what it holds.",
                caption=f"{picture.name}. From top: {'; '.join(said)}.{truly}",
                mapping=f"From left: the picture; the map and where GrabCut starts; the outline in orange{true}; what "
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


def typical(result: Result) -> int:
    """The picture whose overlap with its object is nearest to the mean; without objects, the surest prediction."""
    if not known(result):
        return int(np.argmax(np.nan_to_num(result.arrays["probabilities"][:, 0])))
    return min(known(result), key=lambda i: abs(result.numbers["iou"][i][0] - result.numbers["mean_iou"][0]))


def found(result: Result, figure: str) -> tuple[Finding, dict[str, Measured]]:
    """Whether outlines that start from the map fit better than those that start from the middle of the picture."""
    numbers, n = result.numbers, len(known(result))
    if n < 2:
        says = f"How well the outlines fit cannot be told: the object is known in {n} of the pictures."
        return Finding(KEY, says, findings.NOT, basis="GrabCut needs no mask, but its check does", figure=figure), {}
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
    shown = figures(result, context)
    said, measured = found(result, shown[typical(result)].id)
    return {
        "findings": (said,),
        "measured": measured,
        "figures": shown,
        "metrics": metrics,
        "do_not_conclude": DO_NOT_CONCLUDE + box,
    }


KEY, MARGIN = "outline against a start from the middle", 0.05
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
        "between their colours. An outline that closes around the object means that the network is most sensitive "
        "there.",
        do_not_conclude=DO_NOT_CONCLUDE,
        equation="M = blur(maxₖ |∂S_c/∂xₖ|);  foreground: M ≥ q₀.₉₅,  background: M ≤ q₀.₃;  IoU = |A ∩ B| / |A ∪ B|",
        papers=(papers.SIMONYAN_2014, papers.ROTHER_2004),
    )
