"""DeepDream: each photo beside its dreams, a layer a column, and one photo with more and more octaves."""

import numpy as np

from cnnviz.run.result import Result
from cnnviz.slug import slug
from cnnviz.views import papers
from cnnviz.views.kit import colour, section
from cnnviz.views.kit.section import Context, Figure, Subject

GAP, WIDEST = 6, 1200  # pixels between pictures; CSS pixels of a row


def row(pictures: np.ndarray) -> np.ndarray:
    """(n, h, w, 3) side by side with transparent gaps: (h, W, 4) uint8."""
    n, height, width, _ = pictures.shape
    made = np.zeros((height, n * (width + GAP) - GAP, 4), np.uint8)
    for i, picture in enumerate(pictures):
        made[:, i * (width + GAP) :][:, :width] = np.dstack([picture, np.full((height, width), 255, np.uint8)])
    return made


def view(result: Result, context: Context) -> dict:
    arrays, numbers, parameters = result.arrays, result.numbers, result.parameters
    layers, names, before, after = numbers["layers"], numbers["names"], arrays["before"], arrays["after"]
    show = context.image_set.config.get("show")
    subjects = tuple(Subject("layer", name) for name in layers)
    steps, step = parameters["steps"], parameters["step"]
    named = parameters["pictures"]
    given = named if isinstance(named, list) else [{"credit": "", "licence": ""}] * len(names)

    def sheet(id: str, pictures: np.ndarray, i: int, **words) -> Figure:
        made = row(colour.rgb(pictures, show))
        return context.picture(
            id,
            made,
            mapping="the pictures themselves: levels 0 … 255",
            scale=min(WIDEST / made.shape[1], 3.0),
            lossless=made.shape[0] < 128,
            from_dataset=numbers["index"][i] >= 0 or not given[i]["licence"],
            **words,
        )

    figures = []
    for i, name in enumerate(names):
        image = (Subject("image", name),) if numbers["index"][i] >= 0 else ()
        rises = ", ".join(f"{at} × {a / b:.2g}" for at, b, a in zip(layers, before[i], after[i], strict=True) if b > 0)
        figures.append(
            sheet(
                slug(name),
                np.concatenate([arrays[f"photo_{i}"][None], arrays[f"dream_{i}"]]),
                i,
                alt=f"{name}, and {len(layers)} dreams of it, on {', '.join(layers)}.",
                caption=f"{name}, then dreamt on {', '.join(layers)}: {parameters['octaves']} octaves of {steps} steps "
                f"that change a pixel by {step:g} levels on average. The layer's mean squared response rose: {rises}."
                + (f" Photo: {given[i]['credit']}." if given[i]["credit"] else ""),
                data=f"dream_{i}",
                subjects=image + subjects,
                group="A row a photo",
            )
        )
    count = len(arrays["octaves"])
    if count > 1:
        at = numbers["octave_layer"]
        figures.append(
            sheet(
                "octaves",
                arrays["octaves"],
                0,
                alt=f"{names[0]} dreamt on {at} with 1 to {count} octaves.",
                caption=f"{names[0]} dreamt on {at} with {', '.join(map(str, range(1, count)))} and {count} octaves. "
                f"With one, all things have the size of the layer's own field of view; each further octave starts "
                f"{parameters['octave_scale']:g} times smaller, and what is drawn there grows larger.",
                data="octaves",
                subjects=(Subject("layer", at),),
                group="Octaves",
            )
        )
    last = np.nanmean(after / np.where(before > 0, before, np.nan), axis=0) if len(before) else np.zeros(len(layers))
    rows = tuple(
        (name, at, float(f"{before[i, k]:.4g}"), float(f"{after[i, k]:.4g}"))
        for i, name in enumerate(names)
        for k, at in enumerate(layers)
    )
    note = " The network takes one size only, so it sees each octave enlarged to that." if numbers["own_size"] else ""
    return {
        "figures": tuple(figures),
        "tables": (
            section.Table(
                "responses",
                "Mean squared response of the layer to the photo and to the dream, both as published (8 bits)." + note,
                ("photo", "layer", "photo's", "dream's"),
                rows,
                from_dataset=any(index >= 0 for index in numbers["index"]),
            ),
        ),
        "metrics": (
            section.Metric("dreams_that_rose", float(np.mean(after > before)), "share", "higher"),
            section.Metric("mean_rise", float(np.nanmean(last)), "times"),
        ),
    }


if __name__ == "__main__":
    section.run(
        view,
        id="deepdream",
        title="DeepDream",
        question="What does each layer see in a photo if it may have its way?",
        tour="More of whatever it sees.",
        how_to_read="The photo is changed so that whatever a layer responds to becomes stronger, as if one said of a "
        "cloud “it looks a bit like a dog” and drew the dog. Early layers draw strokes and dots, later ones "
        "eyes, fur, wheels, towers: what they have become sensitive to by training.",
        do_not_conclude="What appears is what the layer answers to most easily, not what it thinks the photo shows; "
        "a net trained on many kinds of dogs dreams of dogs everywhere. How large things become is set by the octaves, "
        "and how garish by the number of steps.",
        equation="I* = argmax Σ f(I)²,  step · g / mean |g|",
        papers=(papers.MORDVINTSEV_2015,),
    )
