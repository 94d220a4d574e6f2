"""A figure per probe picture, a row per class: heat map over the picture, Guided Grad-CAM, and CAM if it applies."""

import numpy as np

from cnnviz.network.kinds import REGRESSION
from cnnviz.run.result import Result
from cnnviz.views import papers
from cnnviz.views.kit import colour, explained, section, viewer
from cnnviz.views.kit.attributions import sheet, surest_first
from cnnviz.views.kit.colour import number
from cnnviz.views.kit.projections import classes_of, coloured, range_words
from cnnviz.views.kit.section import Context, Figure, Metric, Subject

TITLES = {
    "grad_cam": "Grad-CAM over the picture",
    "guided_grad_cam": "Guided Grad-CAM",
    "cam": "CAM over the picture (red for, blue against)",
}
WORDS = {
    "how_to_read": "Each row is a class; bright places hold evidence for it. If two classes light up different "
    "places, the network tells them apart by these.",
    "do_not_conclude": "Heat on an object does not show that the network needs it: occlusion tests that. Each position "
    "sees far more than its spot, so outlines mean nothing. Evidence against the class is cut to 0. Gradients are "
    "averaged over all places, so evidence in one place can be lost. Guided Grad-CAM's fine lines are those of guided "
    "backpropagation.",
}
SAME = 0.1  # 1 − cosine of two classes' maps, below which they are as good as the same
NAMES = {"grad_cam": "the Grad-CAM map", "guided_grad_cam": "the Guided Grad-CAM map", "cam": "the CAM map"}


def found(result: Result, context: Context, methods: list[str]) -> dict:
    """Findings and lead figure: how much of Grad-CAM's map lies on the object, and whether it depends on the class."""
    said, measured = explained.found(result, context, {"grad_cam": NAMES["grad_cam"]}, explained.LEAD)
    others = {name: title for name, title in NAMES.items() if name in methods and name != "grad_cam"}
    measured |= explained.found(result, context, others, explained.LEAD)[1] if others else {}
    of_class = context.kind != REGRESSION and explained.of_class(result, context, "grad_cam", NAMES["grad_cam"])
    if of_class and of_class[0].key != said[0].key:
        # A map that is the same for any class is the more telling, unless the object is known.
        first = of_class[1].effect < SAME and "random weights" in said[0].key
        said = [of_class[0], *said] if first else [*said, of_class[0]]
        measured = measured | {of_class[0].key: of_class[1]}
    return {"findings": tuple(said), "measured": measured}


def view(result: Result, context: Context) -> dict:
    numbers, arrays = result.numbers, result.arrays
    methods = [m["name"] for m in numbers["methods"]]
    layer = numbers["layer"]
    left_out = [
        f"{TITLES[name].split(' over')[0]} is left out: {why}" for name, why in numbers["not_applicable"].items()
    ]
    caveats = [f"{TITLES[m['name']]}: {m['caveat']}" for m in numbers["methods"] if m["caveat"]]
    cold = arrays["maps/grad_cam"].max((2, 3))[arrays["targets"] >= 0] == 0
    without = [float((arrays[name].max((1, 2)) == 0).mean()) for name in ("random/grad_cam",) if name in arrays]
    return {
        **found(result, context, methods),
        "figures": (
            explained.lead(result, context, "grad_cam", "Grad-CAM"),
            *(_figure(result, context, i, methods) for i in surest_first(result)),
        ),
        "metrics": (
            Metric("probes", len(arrays["index"])),
            Metric("maps_without_heat", float(cold.mean()), "share", "lower"),
            *(Metric("maps_without_heat_with_random_weights", share, "share") for share in without),
        ),
        "how_to_read": f"{WORDS['how_to_read']} Maps of {layer['name']}, {layer['height']} × "
        f"{layer['width']} positions.",
        "do_not_conclude": " ".join([WORDS["do_not_conclude"], *caveats, *left_out]),
    }


def over(picture: np.ndarray, colours: np.ndarray, alpha: float) -> np.ndarray:
    """(h, w, 3) uint8 colours over a picture of the same shape; alpha: 0 shows the picture alone, 1 the colours."""
    return np.rint(picture * (1 - alpha) + colours * alpha).astype(np.uint8)


def _figure(result: Result, context: Context, i: int, methods: list[str]) -> Figure:
    arrays, view = result.arrays, context.show
    picture, channels = context.image_set.pictures[arrays["index"][i]], context.image_set.config.get("show")
    shown = colour.rgb(arrays["pictures"][i], channels)
    names, said = classes_of(result, context, i)
    rows = [[None if t else shown] for t in range(len(names))]
    mappings, given = [], {}
    for method in methods:
        if method == "guided_grad_cam":
            shares = [share.astype(np.float32) for share in arrays["guided"][i, : len(names)]]
            panels = [coloured(share, view["percentile"], channels) for share in shares]
            words = range_words(shares, arrays["guided_largest"][i], view["percentile"])
        else:
            maps = arrays[f"maps/{method}"][i, : len(names)]
            parts = [maps] * len(maps) if view["scale"] == "picture" else maps
            if method == "cam":
                ranges = [colour.symmetric(part, percentile=view["percentile"]) for part in parts]
            else:
                how = f"0 to the largest value of {'this picture' if view['scale'] == 'picture' else 'each row'}"
                ranges = [colour.Mapping(0, float(part.max()) or 1, view["colours"], how) for part in parts]
            given[TITLES[method]] = (maps, ranges)
            panels = [over(shown, a_range(part), view["alpha"]) for a_range, part in zip(ranges, maps, strict=True)]
            ends = ", ".join(dict.fromkeys(f"{number(a_range.low)} … {number(a_range.high)}" for a_range in ranges))
            words = f"{ranges[0].how}: {ends}, {colour.NAMES.get(ranges[0].colours, ranges[0].colours)}"
        for row, panel in zip(rows, panels, strict=True):
            row.append(panel)
        mappings.append(f"{TITLES[method]}: {words}")
    cold = [n for n, m in zip(names, arrays["maps/grad_cam"][i], strict=False) if not np.any(m)]
    empty = f" Nothing speaks for {', '.join(cold)} in these maps: no heat at all." if cold else ""
    titles = "; ".join(TITLES[method] for method in methods)
    scale = max(1, 192 // len(shown))
    return context.picture(
        picture.id,
        sheet(rows, scale),
        alt=f"{picture.name}, and for {', '.join(names)} each: {titles}.{empty}",
        caption=f"{picture.name}. From top: {said}{empty}",
        mapping=f"From left: {'; '.join(mappings)}",
        data=", ".join("guided" if m == "guided_grad_cam" else f"maps/{m}" for m in methods) + f", each [{i}]",
        subjects=(Subject("image", picture.name), *(Subject("class", name) for name in names)),
        lossless=False,
        maps=viewer.write(
            context, picture.id, (0, 0, scale * shown.shape[1], scale * shown.shape[0]), names, names, given
        ),
    )


if __name__ == "__main__":
    section.run(
        view,
        id="grad_cam",
        title="Grad-CAM",
        question="Where in the picture is the evidence for each class?",
        tour="Where the last maps see the evidence.",
        equation="L(y, x) = max(0, Σ_k α_k A_k(y, x)), α_k = mean over (y, x) of ∂S_c/∂A_k(y, x)",
        papers=(papers.SELVARAJU_2017, papers.ZHOU_2016),
        **WORDS,
    )
