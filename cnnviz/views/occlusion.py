"""A figure per probe picture, a row per class: the fall of the score where a mask hides it, alone and over the
picture.
"""

import numpy as np

from cnnviz.network.class_names import short
from cnnviz.network.kinds import REGRESSION, has_probabilities
from cnnviz.run.result import Result
from cnnviz.views import papers
from cnnviz.views.kit import attributions, colour, explained, panels, section, viewer
from cnnviz.views.kit.colour import Mapping, number
from cnnviz.views.kit.section import Context, Figure, Metric, Subject

SCALE = 1.5  # of a figure's panels
LEAST = {"probability": 0.05, "logit": 1.0}  # smallest end of the colours: less is drawn pale, since it matters little
STRENGTH = 0.8  # opacity of the strongest colours over the picture
PALE = 70  # level of the picture's black under them


def view(result: Result, context: Context) -> dict:
    arrays, used = result.arrays, result.parameters
    rows, columns = (starts(length, used) for length in arrays["pictures"].shape[1:3])
    by_logit = np.array([score == "logit" for score in result.numbers["scored"]])
    falls = arrays["maps/occlusion"][:, 0].max((1, 2))  # of the first class, by default the predicted one
    likely = has_probabilities(context.kind)
    usual = by_logit.all() or not likely
    score = "score" if by_logit.any() and not by_logit.all() else measure(context, result.numbers["scored"][0])
    said, measured = explained.found(result, context, {"occlusion": "the occlusion map"}, explained.LEAD)
    return {
        "figures": (
            explained.lead(result, context, "occlusion", "occlusion", fits=_falls(result, context)),
            *(_figure(result, context, i) for i in attributions.surest_first(result)),
            _mask(result, context, rows, columns),
        ),
        "metrics": (
            Metric("probes", len(arrays["index"])),
            Metric("masks_per_picture", len(rows) * len(columns)),
            Metric("pictures_by_logit", float(by_logit.mean()), "share"),
            Metric(
                "median_largest_fall", float(np.median(falls if usual else falls[~by_logit])), "" if usual else "share"
            ),
        ),
        "findings": tuple(said),
        "measured": measured,
        "how_to_read": f"A square of {used['window']} × {used['window']} pixels hides one part after another. Red: "
        f"without this part the {score} falls, so the network needs it; blue: it rises; white: nothing changes.",
    }


def _falls(result: Result, context: Context) -> tuple[np.ndarray, list[str]]:
    """For the lead: the place of each picture in the section's order, and how far which of its scores falls."""
    place = np.argsort(attributions.surest_first(result))
    most = result.arrays["maps/occlusion"][:, 0].max((1, 2))
    short_of = {"probability": "p"}
    return -place, [
        f"{short_of.get(words := measure(context, score), words)} falls by {number(float(fall))}"
        for score, fall in zip(result.numbers["scored"], most, strict=True)
    ]


def where_in(map: np.ndarray) -> str:
    """The part of the picture in which a map (h, w) is highest: "top left", "middle", "bottom"."""
    y, x = (
        min(2, 3 * at // side) for at, side in zip(np.unravel_index(map.argmax(), map.shape), map.shape, strict=True)
    )
    words = [("top", "", "bottom")[y], ("left", "", "right")[x]]
    return " ".join(filter(None, words)) or "middle"


def measure(context: Context, score: str) -> str:
    """What the maps of a picture are of, for readers. score: as in the result's ``scored``."""
    return score if has_probabilities(context.kind) else context.score


def mappings(maps: np.ndarray, least: float, percentile: float, own: bool) -> list[Mapping]:
    """The mapping of each of a picture's maps (t, h, w): one for all, or with ``own`` one each.

    It is symmetric about 0 and ends at ``least`` or beyond.
    """
    ranges = [colour.symmetric(part, percentile=percentile) for part in (maps if own else maps[None])]
    ranges = [
        one if one.high >= least else Mapping(-least, least, one.colours, "symmetric about 0, no narrower than this")
        for one in ranges
    ]
    return ranges if own else ranges * len(maps)


def laid_over(picture: np.ndarray, map: np.ndarray, mapping: Mapping) -> np.ndarray:
    """(h, w, 3) uint8 picture in pale grey, under the map's (h, w) colours: the stronger, the more opaque."""
    end = max(mapping.high, 1e-30)
    strength = STRENGTH * np.clip(np.abs(map) / end, 0, 1)[..., None]
    grey = PALE + (255 - PALE) / 255 * picture.mean(-1, keepdims=True)
    return np.rint(grey * (1 - strength) + mapping(0.8 * end * np.sign(map)) * strength).astype(np.uint8)


def _figure(result: Result, context: Context, i: int) -> Figure:
    """A picture with a row for each class: its map, and the map over the picture."""
    arrays, kinds = result.arrays, result.numbers["kinds"][i]
    picture, score = context.image_set.pictures[arrays["index"][i]], result.numbers["scored"][i]
    targets, maps = arrays["targets"][i, : len(kinds)].tolist(), arrays["maps/occlusion"][i, : len(kinds)]
    names = [context.model["classes"][target] for target in targets]
    says = [context.says(target, p) for target, p in zip(targets, arrays["probabilities"][i], strict=False)]
    likely = has_probabilities(context.kind)
    own = context.kind == REGRESSION  # values differ in their units
    ranges = mappings(maps, LEAST[score] if likely else 0, context.show["percentile"], own)
    seen, shown = context.rgb(arrays["pictures"][i]), []
    for t, (name, kind, said) in enumerate(zip(names, kinds, says, strict=True)):
        why = attributions.reasons(kind)
        shown += [
            (why, None if t else seen),
            (short(name), ranges[t](maps[t])),
            (said, laid_over(seen, maps[t], ranges[t])),
        ]
    most, where = float(maps[0].max()), measure(context, score)
    saturated = result.parameters["score"] == "auto" and score == "logit"
    label = arrays["label"][i]
    truth = "" if label < 0 or any("true" in kind for kind in kinds) else f" It is {context.model['classes'][label]}."
    left, top, width, height = (SCALE * side for side in panels.boxes(shown)[0])
    described = [attributions.row(*words) for words in zip(names, kinds, says, strict=True)]
    return context.drawing(
        picture.id,
        panels.sheet(shown),
        scale=SCALE,
        alt=f"{picture.name}, and for {', '.join(names)} each: the map, and the map over the picture.",
        caption=f"{picture.name}. Hidden where it matters most (a square, {where_in(maps[0])}), the {where} of "
        f"{short(names[0])} falls by {number(most)}."
        + " Hardly any place changes a probability, so the logit is shown." * saturated
        + truth,
        more=f"A row for each {context.explained}: {'; '.join(described)}. The fall is the mean over the squares that "
        "hide a pixel.",
        mapping=f"fall of the {where}: {', then '.join(dict.fromkeys(one.words for one in ranges))}"
        + "; the same for all classes of this picture" * (not own and len(names) > 1),
        data=f"maps/occlusion[{i}]",
        subjects=(Subject("image", picture.name), *(Subject("class", name) for name in names)),
        maps=viewer.write(
            context, picture.id, (left, top, width, height), names, described,
            {f"fall of the {where} without a part": (maps, ranges)},
        ),
    )  # fmt: skip


def starts(length: int, used: dict) -> range:
    """Start positions of the mask along a side of the picture."""
    return range(0, max(0, length - used["window"]) + used["stride"], used["stride"])


def _colour(used: dict) -> str:
    values = ", ".join(f"{value:.2f}" for value in used["colour"])
    channels = {1: " (0 black, 1 white)", 3: " in red, green and blue (0 … 1)"}.get(len(used["colour"]), "")
    return f"{'the mean of the image set, ' if used['mask'] == 'mean' else ''}{values}{channels}"


def _mask(result: Result, context: Context, rows: range, columns: range) -> Figure:
    """The first picture under the mask: at its first position, where the map is highest, and at its last position."""
    arrays, used = result.arrays, result.parameters
    picture, window = context.image_set.pictures[arrays["index"][0]], used["window"]
    highest = np.unravel_index(arrays["maps/occlusion"][0, 0].argmax(), arrays["pictures"].shape[1:3])
    middle = [min(of, key=lambda s: abs(s + window / 2 - at)) for of, at in zip((rows, columns), highest, strict=True)]
    seen = arrays["pictures"][0]
    value = np.array(used["colour"]) * (255 if seen.dtype == np.uint8 else 1)
    shown = []
    for top, left in ((rows[0], columns[0]), middle, (rows[-1], columns[-1])):
        masked = seen.copy()
        masked[top : top + window, left : left + window] = value.round() if seen.dtype == np.uint8 else value
        shown.append(context.rgb(masked))
    return context.picture(
        f"mask--{picture.id}",
        attributions.sheet([shown], max(1, 192 // seen.shape[0])),
        alt=f"{picture.name} three times, each with a plain square over another part.",
        caption=f"The square on {picture.name}: at its first place, where the map is highest, and at its last place.",
        more=f"{len(rows)} × {len(columns)} places, {used['stride']} pixels apart. Its colour: {_colour(used)}.",
        mapping="pixels as they are",
        data="pictures[0]",
        subjects=(Subject("image", picture.name),),
    )


if __name__ == "__main__":
    section.run(
        view,
        id="occlusion",
        title="Occlusion",
        question="Which parts of the picture must be seen to recognise the class?",
        tour="Cover a part of a picture: where does it stop recognising the thing?",
        how_to_read="A square hides one part after another. Red: without this part the class score falls; blue: it "
        "rises.",
        do_not_conclude="A plain square is unnatural: its edges may disturb the network, and on a background of its "
        "own colour it hides nothing. If two parts say the same, hiding one costs nothing. Small things are blurred to "
        "the square's size; another size or colour gives another map. A probability near 0 or 1 hardly changes; then "
        "the logit is shown.",
        equation="M(p) = mean over masks w that cover p of S_c(x) − S_c(x under w)",
        papers=(papers.ZEILER_2014, papers.NAKANDALA_2019),
    )
