"""A figure per probe picture, a row per class: heat map over the picture, Guided Grad-CAM, and CAM if it applies."""

from dataclasses import replace

import numpy as np

from cnnviz.network.class_names import cut, short
from cnnviz.network.kinds import REGRESSION
from cnnviz.run.result import Result
from cnnviz.views import papers
from cnnviz.views.kit import colour, explained, panels, section, viewer
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
MOST, LETTERS = 3, 12  # pictures of the lead, and letters of a class's name in it
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
        own = replace(of_class[0], figure=explained.LEAD)
        said = [own, *said] if first else [*said, own]
        measured = measured | {own.key: of_class[1]}
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
    plain = context.kind != REGRESSION and not len(explained.judged(result))
    lead = _two_classes(result, context) if plain else None
    return {
        **found(result, context, methods),
        "figures": (
            lead or explained.lead(result, context, "grad_cam", "Grad-CAM"),
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


def rivals(result: Result) -> list[tuple[int, int]]:
    """Pictures with their best other class, (index, its place among the targets), for the lead.

    First come those that are not named wrongly, and among these the closest calls: two classes that both are plausible
    should have their evidence in different places.
    """
    arrays, found = result.arrays, []
    for i, kinds in enumerate(result.numbers["kinds"]):
        t = next((t for t, kind in enumerate(kinds) if t and "runner_up" in kind), None)
        if t is not None and arrays["maps/grad_cam"][i, [0, t]].any((1, 2)).all():
            wrong = arrays["label"][i] not in (-1, arrays["targets"][i, 0])
            found.append((wrong, float(arrays["logits"][i, 0] - arrays["logits"][i, t]), i, t))
    return [(i, t) for *_, i, t in sorted(found)]


def _two_classes(result: Result, context: Context) -> Figure | None:
    """The lead where no object is known: maps of the two likeliest classes of a picture, and their difference."""
    arrays, classes, shown = result.arrays, context.model["classes"], []
    chosen = rivals(result)[:MOST]
    for i, t in chosen:
        picture = context.rgb(arrays["pictures"][i])
        two = arrays["maps/grad_cam"][i, [0, t]]
        two = two / two.max((1, 2), keepdims=True)
        less = colour.symmetric(two[0] - two[1])(two[0] - two[1])
        names = [short(classes[arrays["targets"][i, at]]) for at in (0, t)]
        said = [context.says(arrays["targets"][i, at], arrays["probabilities"][i, at]) for at in (0, t)]
        shown.append(
            (cut(names[0], LETTERS) + " (wrong)" * (arrays["label"][i] not in (-1, arrays["targets"][i, 0])), picture)
        )
        for name, score, map in zip(names, said, two, strict=True):
            heat = colour.Mapping(float(map.min()), float(map.max()), context.show["colours"], "")
            shown.append((f"{score}: {name}", glowing(picture, map, heat, context.show["alpha"])))
        shown.append(("first less second", less))
        if "random/grad_cam" in arrays:
            map = arrays["random/grad_cam"][i].astype(np.float32)
            heat = colour.Mapping(0, float(map.max()) or 1, context.show["colours"], "")
            title = "random weights" if map.any() else "random: no heat"
            shown.append((title, glowing(picture, map, heat, context.show["alpha"])))
    if not chosen:
        return None
    pictures = [context.image_set.pictures[arrays["index"][i]].name for i, _ in chosen]
    return context.drawing(
        explained.LEAD, panels.sheet(shown, across=len(shown) // len(chosen)), scale=1.3,
        alt=f"{', '.join(pictures)}: Grad-CAM of the predicted class and of the runner-up, and their difference.",
        caption="A picture in each row: its heat maps for the predicted class and for the runner-up, then where the "
        "first is stronger (red) and where the second (blue). The closest calls come first."
        + " Last, random weights." * ("random/grad_cam" in arrays),
        mapping="heat: from the smallest to the largest value of each map, opacity as heat; difference: each map "
        "divided by its largest value, symmetric about 0",
        data="maps/grad_cam, random/grad_cam", subjects=tuple(Subject("image", name) for name in pictures),
    )  # fmt: skip


def glowing(picture: np.ndarray, map: np.ndarray, heat: colour.Mapping, alpha: float) -> np.ndarray:
    """(h, w, 3) uint8: the colours of a map (h, w) over a picture in grey. Their opacity rises with the heat to alpha.

    So the photograph stays visible where nothing speaks for the class, and colour is heat only.
    """
    picture = np.repeat(picture.mean(-1, keepdims=True), 3, -1)
    strength = np.clip((map - heat.low) / max(heat.high - heat.low, 1e-30), 0, 1)
    return over(picture, heat(map), alpha * strength[..., None])


def over(picture: np.ndarray, colours: np.ndarray, alpha: float | np.ndarray) -> np.ndarray:
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
            drawn = [coloured(share, view["percentile"], channels) for share in shares]
            words = range_words(shares, arrays["guided_largest"][i, : len(names)], view["percentile"])
        else:
            maps = arrays[f"maps/{method}"][i, : len(names)]
            parts = [maps] * len(maps) if view["scale"] == "picture" else maps
            if method == "cam":
                ranges = [colour.symmetric(part, percentile=view["percentile"]) for part in parts]
            else:
                how = f"0 to the largest value of {'this picture' if view['scale'] == 'picture' else 'each row'}"
                ranges = [colour.Mapping(0, float(part.max()) or 1, view["colours"], how) for part in parts]
            given[TITLES[method]] = (maps, ranges)
            if method == "cam":
                drawn = [over(shown, one(part), view["alpha"]) for one, part in zip(ranges, maps, strict=True)]
            else:
                drawn = [glowing(shown, part, one, view["alpha"]) for one, part in zip(ranges, maps, strict=True)]
            ends = ", ".join(dict.fromkeys(f"{number(a_range.low)} … {number(a_range.high)}" for a_range in ranges))
            words = f"{ranges[0].how}: {ends}, {colour.NAMES.get(ranges[0].colours, ranges[0].colours)}"
        for row, panel in zip(rows, drawn, strict=True):
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
