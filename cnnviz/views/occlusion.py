"""A figure per probe picture, a row per class: the picture, and the fall of the score where a mask hides it."""

import numpy as np

from cnnviz.network.kinds import has_probabilities
from cnnviz.run.result import Result
from cnnviz.views import papers
from cnnviz.views.kit import attributions, explained, section
from cnnviz.views.kit.section import Context, Figure, Metric, Subject

TITLES = {"occlusion": "how much the score falls without a part"}


def view(result: Result, context: Context) -> dict:
    arrays, used = result.arrays, result.parameters
    rows, columns = (starts(length, used) for length in arrays["pictures"].shape[1:3])
    falls = arrays["maps/occlusion"][:, 0].max((1, 2))  # of the first class, by default the predicted one
    likely = has_probabilities(context.kind)
    unit = "share" if used["score"] == "probability" and likely else ""
    measure = used["score"] if likely else "score"
    said, measured = explained.found(result, {"occlusion": "the occlusion map"}, explained.LEAD)
    return {
        "figures": (
            explained.lead(result, context, "occlusion", "occlusion"),
            *attributions.figures(result, context, TITLES),
            _mask(result, context, rows, columns),
        ),
        "metrics": (
            Metric("probes", len(arrays["index"])),
            Metric("masks_per_picture", len(rows) * len(columns)),
            Metric("median_largest_fall", float(np.median(falls)), unit),
        ),
        "findings": tuple(said),
        "measured": measured,
        "how_to_read": f"A square of {used['window']} × {used['window']} pixels hides one part after another. Red: "
        f"without this part the {measure} falls, so the network needs it; blue: it rises; white: nothing changes.",
    }


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
    panels = []
    for top, left in ((rows[0], columns[0]), middle, (rows[-1], columns[-1])):
        masked = seen.copy()
        masked[top : top + window, left : left + window] = value.round() if seen.dtype == np.uint8 else value
        panels.append(context.rgb(masked))
    return context.picture(
        f"mask--{picture.id}",
        attributions.sheet([panels], max(1, 192 // seen.shape[0])),
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
        "the square's size; another size or colour gives another map. A probability near 1 hardly falls: see the logit "
        "(score: logit).",
        equation="M(p) = mean over masks w that cover p of S_c(x) − S_c(x under w)",
        papers=(papers.ZEILER_2014, papers.NAKANDALA_2019),
    )
