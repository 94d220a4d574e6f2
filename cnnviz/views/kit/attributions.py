"""Figures of attribution views: a picture, and beside it a row of maps per class, a map per method."""

import numpy as np

from cnnviz.network.kinds import REGRESSION
from cnnviz.run.result import Result
from cnnviz.views.kit import colour, viewer
from cnnviz.views.kit.section import Context, Figure, Subject

GAP = 4
WHY = {
    "predicted": "predicted",
    "true": "true",
    "runner_up": "runner-up",
    "surest": "highest score",
    "true_by_mask": "most of the mask",
    "value": "",
}


def reasons(kind: str, *said: str) -> str:
    """Why an output is explained, and what is said of it: "predicted and true, p = 0.93"."""
    why = " and ".join(WHY.get(k, "asked for") for k in kind.split(" and "))
    return ", ".join(filter(None, (why, *said)))


def row(name: str, kind: str, *said: str) -> str:
    """An output with its :func:`reasons`: "husky (predicted and true, p = 0.93)"."""
    return f"{name} ({reasons(kind, *said)})"


def sheet(rows: list[list[np.ndarray | None]], scale: int) -> np.ndarray:
    """Rows of (h, w, 3) panels with transparent gaps, enlarged by the whole factor ``scale``: (H, W, 4) uint8.

    None leaves a position empty. All panels have one size, and all rows one length.
    """
    height, width = (scale * side for side in next(p for row in rows for p in row if p is not None).shape[:2])
    made = np.zeros((len(rows) * (height + GAP) - GAP, len(rows[0]) * (width + GAP) - GAP, 4), np.uint8)
    for y, row in enumerate(rows):
        for x, panel in enumerate(row):
            if panel is not None:
                place = made[y * (height + GAP) :, x * (width + GAP) :][:height, :width]
                place[..., :3], place[..., 3] = np.repeat(np.repeat(panel, scale, 0), scale, 1), 255
    return made


def surest_first(result: Result) -> np.ndarray:
    """Indices of the pictures: those named correctly, those of unknown class, then the others; most confident first.

    A map explains an answer. It says most about one that is right.
    """
    label, target = result.arrays["label"], result.arrays["targets"][:, 0]
    standing = np.where(label == target, 0, np.where(label < 0, 1, 2))
    return np.lexsort((-np.nan_to_num(result.arrays["probabilities"][:, 0]), standing))


def mapping_of(values: np.ndarray, signed: bool, show: dict) -> colour.Mapping:
    """The mapping of the section's ``view``: signed maps are symmetric about 0, others start at 0 (or the minimum)."""
    if signed:
        return colour.symmetric(values, percentile=show["percentile"])
    return colour.by_name(show["mapping"], values, show["colours"], show["percentile"])


def figures(result: Result, context: Context, titles: dict[str, str]) -> tuple[Figure, ...]:
    """A figure for each picture, with a row for each class. titles: title of each method, in order.

    The maps of one method on one picture share a range, so that classes are comparable. result: see
    cnnviz.attribution.probes; methods that it lacks are left out.
    """
    arrays, show = result.arrays, context.show
    classes = context.model["classes"]
    signed = {m["name"]: m["signed"] for m in result.numbers["methods"]}
    titles = {name: title for name, title in titles.items() if name in signed}
    scale = max(1, 192 // arrays["pictures"].shape[1])
    made = []
    for i in surest_first(result):
        picture = context.image_set.pictures[arrays["index"][i]]
        kinds = result.numbers["kinds"][i]
        targets = arrays["targets"][i, : len(kinds)].tolist()
        names = [classes[target] for target in targets]
        maps = {name: arrays[f"maps/{name}"][i, : len(kinds)] for name in titles}
        own = context.kind == REGRESSION  # values differ in their units, so each has its own ranges
        mappings = {
            name: [
                mapping_of(maps[name][t : t + 1] if own else maps[name], signed[name], show) for t in range(len(names))
            ]
            for name in titles
        }
        shown = context.rgb(arrays["pictures"][i])
        rows = [
            [None if t else shown, *(mappings[name][t](maps[name][t]) for name in titles)] for t in range(len(kinds))
        ]
        said = [
            row(name, kind, context.says(target, p))
            for target, name, kind, p in zip(targets, names, kinds, arrays["probabilities"][i], strict=False)
        ]
        label = arrays["label"][i]
        truth = "" if label < 0 or any("true" in kind for kind in kinds) else f" It is {classes[label]}."
        made.append(
            context.picture(
                picture.id,
                sheet(rows, scale),
                alt=f"{picture.name}, and maps of it for {', '.join(names)}: {', '.join(titles.values())}.",
                caption=f"{picture.name}. From top: {'; '.join(said)}.{truth}",
                mapping="From left: " * (len(titles) > 1)
                + "; ".join(
                    f"{title}: {', then '.join(dict.fromkeys(m.words for m in mappings[name]))}"
                    for name, title in titles.items()
                )
                + ("" if own else "; a method's maps of this picture share one range"),
                data=", ".join(f"maps/{name}[{i}]" for name in titles),
                subjects=(Subject("image", picture.name), *(Subject("class", name) for name in names)),
                maps=viewer.write(
                    context,
                    picture.id,
                    (0, 0, scale * shown.shape[1], scale * shown.shape[0]),
                    names,
                    said,
                    {title: (maps[name], mappings[name]) for name, title in titles.items()},
                ),
            )
        )
    return tuple(made)
