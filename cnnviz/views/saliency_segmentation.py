"""A row per class for a probe picture: the saliency map with its seeds, the found outline, and the cut-out."""

import numpy as np
from skimage.segmentation import find_boundaries

from cnnviz.run.result import Result
from cnnviz.views import papers
from cnnviz.views.kit import attributions, colour, section
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
            score = f", IoU {result.numbers['iou'][i][t]:.2f}" if truth else ""
            says = context.says(arrays["targets"][i, t], arrays["probabilities"][i, t])
            said.append(f"{name}{attributions.because(kind)} ({says}{score})")
        label, true = arrays["label"][i], ""
        known = "" if label < 0 or any("true" in kind for kind in kinds) else f" It is {classes[label]}."
        if truth:
            known += f" Started from a blob in the middle, the IoU is {result.numbers['centre_iou'][i]:.2f}."
            true = ", the true mask in light blue" if truth == "mask" else ", the known box in light blue"
        made.append(
            context.picture(
                picture.id,
                attributions.sheet(rows, 1),
                alt=f"{picture.name}, and for {', '.join(names)}: the saliency map, the outline found, what it holds.",
                caption=f"{picture.name}. A row for each {context.explained}: {'; '.join(said)}.{known} From left: the "
                f"picture; |gradient| of the {context.score}, seeds of the foreground in orange, of the "
                f"background in blue; the outline found in orange{true}; what it holds.",
                mapping=f"|gradient|: {mapping.words}; all maps of this picture share one range",
                data=f"foreground[{i}], seeds[{i}], maps/gradient[{i}]",
                subjects=(Subject("image", picture.name), *(Subject("class", name) for name in names)),
            )
        )
    return tuple(made)


def view(result: Result, context: Context) -> dict:
    numbers = result.numbers
    metrics = (Metric("probes", len(numbers["truths"])),)
    words = {}
    if numbers["mean_iou"]:
        kinds = [truth for truth in numbers["truths"] if truth]
        for name in ("mean_iou", "mean_centre_iou", "mean_difference"):
            value, low, high = numbers[name]
            better = "" if name == "mean_centre_iou" else "higher"
            metrics += (Metric(name, value, "" if name == "mean_difference" else "share", better, (low, high)),)
        metrics += (Metric("probes_with_mask", len(kinds)),)
        value, low, high = numbers["mean_difference"]
        beats = "better" if low > 0 else "worse" if high < 0 else "no different, as far as so few pictures tell"
        words["how_to_read"] = (
            f"{HOW_TO_READ} Over the {len(kinds)} pictures whose {' or '.join(sorted(set(kinds)))} is known, the mean "
            f"IoU of the first class is {numbers['mean_iou'][0]:.2f}. Started from a blob in the middle, with no "
            f"network at all, GrabCut reaches {numbers['mean_centre_iou'][0]:.2f}; the saliency map is {beats} "
            f"({value:+.2f}, 95 % interval {low:+.2f} … {high:+.2f})."
        )
        if "box" in kinds:
            words["how_to_read"] += " No outline fills a box, so that the IoU with boxes stays below 1."
    return {"figures": figures(result, context), "metrics": metrics} | words


HOW_TO_READ = (
    "Where the blurred map is strongest is taken for the thing, and where it is weakest for its background; GrabCut "
    "learns the colours of both and draws an outline along the edges between them. Where it closes around the thing, "
    "the network is most sensitive to the thing itself."
)

if __name__ == "__main__":
    section.run(
        view,
        id="saliency_segmentation",
        title="Saliency segmentation",
        question="Does the network, trained on labels alone, know where the thing is?",
        tour="The same map, enough to cut the thing out.",
        how_to_read=HOW_TO_READ,
        do_not_conclude="A good outline is GrabCut's work as well, which needs a few right seeds and clear colours "
        "only; a bad one may come from a thing coloured like its background. Maps of different classes are much alike, "
        "so that the runner-up's outline is often the same. Nor does an outline around the thing prove that the "
        "network decides by it: sensitivity is not evidence. Of two things one is lost: only one piece is kept.",
        equation="M = blur(maxₖ |∂S_c/∂xₖ|);  foreground: M ≥ q₀.₉₅,  background: M ≤ q₀.₃;  IoU = |A ∩ B| / |A ∪ B|",
        papers=(papers.SIMONYAN_2014, papers.ROTHER_2004),
    )
