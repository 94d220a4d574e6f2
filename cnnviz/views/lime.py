"""A row per class for a probe picture: the superpixels for and against it, and those for it alone."""

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from skimage.segmentation import find_boundaries

from cnnviz.network.kinds import REGRESSION, has_probabilities
from cnnviz.run.result import Result
from cnnviz.views import papers
from cnnviz.views.kit import attributions, colour, explained, findings, section, viewer
from cnnviz.views.kit.findings import Finding, Measured, percent
from cnnviz.views.kit.section import Context, Figure, Metric, Subject

FOR, AGAINST = "blue-green", "brown"
COLOURS = "BrBG"  # distinct with any colour vision, and from other attributions' colours
TINT = 0.6  # opacity of a superpixel's colour over the grey picture
LOW_FIT = 0.5  # below this R², most of the variance is unexplained
FAINT = 0.2  # opacity of a fit that is too poor
HIDDEN = 225  # grey level


def tinted(
    picture: np.ndarray, coefficients: np.ndarray, segments: np.ndarray, mapping: colour.Mapping, tint: float = TINT
) -> np.ndarray:
    """The picture (h, w, 3) uint8 in grey, with every superpixel (h, w) tinted by its coefficient (s,)."""
    grey = picture.astype(float).mean(2, keepdims=True)
    return ((1 - tint) * grey + tint * mapping(coefficients)[segments]).round().astype(np.uint8)


def stamped(pixels: np.ndarray, words: str) -> np.ndarray:
    """``pixels`` (h, w, 3) under a strip with words. The font has no ²."""
    image, size = Image.fromarray(pixels), max(12, len(pixels) // 14)
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(size=size)
    draw.rectangle((0, 0, image.width, size + 8), fill=(38, 38, 38))
    draw.text((5, 2), words, (255, 255, 255), font)
    return np.asarray(image)


def outlined(pixels: np.ndarray, segments: np.ndarray, chosen: np.ndarray, colours: np.ndarray) -> np.ndarray:
    """``pixels`` (h, w, 3) with the borders of the superpixels ``chosen`` (k,) drawn, in their ``colours``."""
    pixels = pixels.copy()
    for one, rgb in zip(chosen, colours, strict=True):
        pixels[find_boundaries(segments == one, mode="inner")] = rgb
    return pixels


def scored(result: Result, context: Context) -> list[str]:
    """The score that each picture's superpixels change, in words."""
    if not has_probabilities(context.kind):
        return [context.score] * len(result.numbers["r2"])
    return result.numbers.get("scored", ["probability"] * len(result.numbers["r2"]))


def figures(result: Result, context: Context) -> tuple[Figure, ...]:
    """A figure for each picture, with a row for each class; all superpixels of a picture share a range.

    The picture whose first class is described best comes first. A fit that is too poor is faint, and says so.
    """
    arrays, classes = result.arrays, context.model["classes"]
    scores = scored(result, context)
    scale = max(1, 192 // arrays["pictures"].shape[1])
    made = []
    for i in np.argsort([-fits[0] for fits in result.numbers["r2"]], kind="stable"):
        index = arrays["index"][i]
        picture, kinds = context.image_set.pictures[index], result.numbers["kinds"][i]
        shown = context.rgb(arrays["pictures"][i])
        large, segments = (np.repeat(np.repeat(a, scale, 0), scale, 1) for a in (shown, arrays["segments"][i]))
        coefficients = arrays["coefficients"][i, : len(kinds), : segments.max() + 1]
        own = context.kind == REGRESSION  # values differ in their units, so each has its own range
        mappings = [colour.symmetric(c if own else coefficients, COLOURS) for c in coefficients]
        rows, said, names = [], [], [classes[target] for target in arrays["targets"][i, : len(kinds)]]
        for t, (name, kind) in enumerate(zip(names, kinds, strict=True)):
            mapping, weights, r2 = mappings[t], coefficients[t], result.numbers["r2"][i][t]
            top = np.argsort(-np.abs(weights), kind="stable")[: context.show["top"]]
            ends = mapping(np.where(weights[top] > 0, mapping.high, mapping.low))
            speaking = np.isin(segments, top[weights[top] > 0])
            alone = np.where(speaking[..., None], large, np.uint8(HIDDEN))
            if poor := r2 < LOW_FIT:
                tints = stamped(tinted(large, weights, segments, mapping, FAINT), f"poor fit: {r2:.2f} of 1")
                alone = np.full_like(large, HIDDEN)
            else:
                tints = outlined(tinted(large, weights, segments, mapping), segments, top, ends)
            if not poor or t == 0:  # without a map that can be believed, the caption says enough
                rows.append([None if t else large, tints, alone])
            poor = ", too low to believe" + (": no row" if t else "") if poor else ""
            score = context.says(arrays["targets"][i, t], arrays["probabilities"][i, t])
            said.append(attributions.row(name, kind, score, f"R² = {r2:.2f}{poor}"))
        label = arrays["label"][i]
        truth = "" if label < 0 or any("true" in kind for kind in kinds) else f" It is {classes[label]}."
        made.append(
            context.picture(
                picture.id,
                attributions.sheet(rows, 1),
                alt=f"{picture.name}; its superpixels tinted by how they speak for or against {', '.join(names)}; "
                "and those that speak most for each, alone.",
                caption=f"{picture.name}. From top: {'; '.join(said)}.{truth}",
                more=f"{weights.size} superpixels, the {top.size} strongest outlined.",
                mapping="From left: the picture; its superpixels in grey and tinted, the strongest outlined; those of "
                f"them that speak for it; tint: change of the {scores[i]} by a superpixel, "
                f"{', then '.join(dict.fromkeys(m.words for m in mappings))}"
                + ("" if own else "; all superpixels of this picture share one range"),
                data=f"coefficients[{i}], segments[{i}]",
                subjects=(Subject("image", picture.name), *(Subject("class", name) for name in names)),
                maps=viewer.write(
                    context,
                    picture.id,
                    (0, 0, *large.shape[1::-1]),
                    names,
                    said,
                    {"LIME": ([c[arrays["segments"][i]] for c in coefficients], mappings)},
                ),
            )
        )
    return tuple(made)


def every(result: Result) -> np.ndarray:
    """R² of all maps: of each picture, those of all its classes."""
    return np.concatenate(result.numbers["r2"])


def fit(result: Result) -> tuple[Finding, Measured]:
    """How much of the network's answers to half-hidden pictures the superpixels explain, on held-out pictures."""
    fits = np.array([fits[0] for fits in result.numbers["r2"]])
    mean, low, high = findings.mean_interval(fits)
    enough = findings.strength(low, high, LOW_FIT)
    words = {findings.FOUND: "describe the network near each picture", findings.WEAK: "describe a part only"}
    bounds = f"{max(low, -1):.2f} to {min(high, 1):.2f}" if len(fits) > 1 else ""
    said = Finding(
        "LIME's fit",
        f"LIME's patches {words.get(enough, 'are not shown to describe the network')}: their sum predicts "
        f"{percent(max(0.0, mean))} of how the score varies.",
        findings.not_learned(enough),
        f"R² {bounds}" if bounds else "",
        f"noise, which no sum can predict: 0\u00a0%; {findings.UNTRIED}",
        f"{len(fits)} pictures, each for its first class; of all {len(every(result))} maps "
        f"{int((every(result) < LOW_FIT).sum())} with a poor fit; "
        f"each fifth of the {result.parameters['samples']} samples held out in turn",
        explained.LEAD,
    )
    return said, Measured(f"R² {mean:.2f}", max(-1.0, mean), max(-1.0, low), min(1.0, high))


def view(result: Result, context: Context) -> dict:
    fits = [r2 for fits in result.numbers["r2"] for r2 in fits[:1]]
    rounded = result.numbers["precision"].count("bfloat16")
    metrics = (
        Metric("probes", len(fits)),
        Metric("median_fit", float(np.median(fits))),
        Metric("maps_with_a_poor_fit", float(np.mean(every(result) < LOW_FIT)), "share", "lower"),
        Metric("pictures_by_logit", scored(result, context).count("logit")),
        Metric("pictures_computed_in_bfloat16", rounded),
    )
    said, measured = explained.found(result, context, {"lime": "the LIME map"}, explained.LEAD)
    good, share = fit(result)
    words = [f"R² {fit:.2f}" if fit >= LOW_FIT else f"poor fit: R² {fit:.2f}" for fit in fits]
    untrained = ["random weights" if map.any() else "random: no effect" for map in result.arrays.get("random/lime", ())]
    lead = explained.lead(result, context, "lime", "LIME", COLOURS, (np.array(fits), words, untrained))
    shown = (lead, *figures(result, context))
    return {
        "findings": tuple(sorted((*said, good), key=lambda one: findings.STRENGTHS.index(one.strength))),
        "measured": measured | {good.key: share},
        "figures": shown,
        "metrics": metrics,
    }


if __name__ == "__main__":
    section.run(
        view,
        id="lime",
        title="LIME",
        question="Which parts of a picture speak for a class, and which against?",
        tour="Pieces of the picture that speak for a class, and against it.",
        how_to_read="The network sees copies of the picture in which a random half of the patches is hidden. "
        f"{FOR.capitalize()} patches raise the class's score where they are shown, {AGAINST} ones lower it; "
        "believe them only if R² is near 1.",
        do_not_conclude="The colours describe the network on half-hidden copies, unlike anything it was trained on. A "
        "patch is hidden by its mean colour (or grey): snow remains white. With other patches, filling or copies the "
        "weakest change sign. If the score hardly changes there are colours as well: see their range.",
        equation="β = arg min Σᵢ √exp(−dᵢ²/0.25²) (f_c(xᵢ) − β₀ − zᵢ·β)² + |β|²,  dᵢ = 1 − cos(zᵢ, 1)",
        papers=(papers.RIBEIRO_2016, papers.ACHANTA_2012),
    )
