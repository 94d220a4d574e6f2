"""What all attribution views draw: a row for each picture and class, the picture first, then a map a method."""

import numpy as np

from cnnviz.result import Result
from cnnviz.views import colour
from cnnviz.views.section import Context, Figure, Subject

GAP = 4
WHY = {"predicted": "the predicted class", "true": "the true class", "runner_up": "the runner-up"}


def row(panels: list[np.ndarray], scale: int) -> np.ndarray:
    """(h, w, 3) panels side by side with transparent gaps, every pixel repeated ``scale`` times: (H, W, 4) uint8."""
    panels = [np.repeat(np.repeat(p, scale, 0), scale, 1) for p in panels]
    height, width = panels[0].shape[:2]
    sheet = np.zeros((height, len(panels) * (width + GAP) - GAP, 4), np.uint8)
    for i, panel in enumerate(panels):
        left = i * (width + GAP)
        sheet[:, left : left + width, :3] = panel
        sheet[:, left : left + width, 3] = 255
    return sheet


def mapping_of(values: np.ndarray, signed: bool, show: dict) -> colour.Mapping:
    """As the section's ``view`` asks: signed maps are symmetric about 0, others go from 0 (or the least) upwards."""
    if signed:
        return colour.symmetric(values, percentile=show["percentile"])
    return colour.by_name(show["mapping"], values, show["colours"], show["percentile"])


def figures(result: Result, context: Context, titles: dict[str, str]) -> tuple[Figure, ...]:
    """A figure for each picture and class. titles: what each method is called, those first that the page shows first.

    result: as cnnviz.attribution.probes describes it.
    """
    arrays, show = result.arrays, context.show
    classes = context.model["classes"]
    signed = {m["name"]: m["signed"] for m in result.numbers["methods"]}
    scale = max(1, 192 // arrays["pictures"].shape[1])
    made = []
    for i, index in enumerate(arrays["index"]):
        picture = context.image_set.pictures[index]
        shown = colour.rgb(arrays["pictures"][i], context.image_set.config.get("show"))
        for t, kind in enumerate(result.numbers["kinds"][i]):
            target, label = arrays["targets"][i, t], arrays["label"][i]
            maps = {title: arrays[f"maps/{name}"][i, t] for name, title in titles.items()}
            mappings = {title: mapping_of(maps[title], signed[name], show) for name, title in titles.items()}
            why = " and ".join(WHY.get(k, "a class asked for") for k in kind.split(" and "))
            truth = "" if "true" in kind or label < 0 else f" It is {classes[label]}."
            name = classes[target]
            made.append(
                context.picture(
                    picture.id if t == 0 else f"{picture.id}--{t}",
                    row([shown, *(mappings[title](maps[title]) for title in maps)], scale),
                    alt=f"{picture.name}, then maps of it for {name}: {', '.join(titles.values())}.",
                    caption=f"{picture.name} for {name}, {why} (p = {arrays['probabilities'][i, t]:.2f}).{truth} "
                    f"From left: the picture; {'; '.join(titles.values())}.",
                    mapping="; ".join(f"{title}: {mapping.words}" for title, mapping in mappings.items()),
                    data=", ".join(f"maps/{name}[{i}, {t}]" for name in titles),
                    subjects=(Subject("image", picture.name), Subject("class", name)),
                )
            )
    return tuple(made)
