"""DeepDream: each photo beside its dreams, a column per layer, and one photo with more and more octaves."""

import numpy as np

from cnnviz.run.result import Result
from cnnviz.slug import slug
from cnnviz.views import papers
from cnnviz.views.kit import section
from cnnviz.views.kit.section import Context, Figure, Metric, Subject, Table
from cnnviz.views.kit.tiles import montage

GAP, WIDEST = 6, 1200  # pixels between pictures; largest width of a row in CSS pixels


def view(result: Result, context: Context) -> dict:
    before, after = result.arrays["before"], result.arrays["after"]
    figures = [_dreams(result, context, i) for i in range(len(result.numbers["names"]))]
    if len(result.arrays["octaves"]) > 1:
        figures.append(_octaves(result, context))
    rise = np.nanmean(after / np.where(before > 0, before, np.nan), axis=0) if len(before) else np.zeros(1)
    return {
        "figures": tuple(figures),
        "tables": (_responses(result),),
        "metrics": (
            Metric("dreams_that_rose", float(np.mean(after > before)), "share", "higher"),
            Metric("mean_rise", float(np.nanmean(rise)), "times"),
        ),
    }


def _given(result: Result, i: int) -> dict:
    """Credit and licence of a photo that the config names; those of the image set are stored elsewhere."""
    named = result.parameters["pictures"]
    return named[i] if isinstance(named, list) else {"credit": "", "licence": ""}


def _row(result: Result, context: Context, id: str, pictures: np.ndarray, i: int, **words) -> Figure:
    """Pictures of the i-th photo side by side."""
    made = montage(context.rgb(pictures), len(pictures), GAP)
    return context.picture(
        id,
        made,
        mapping="the pictures themselves: levels 0 … 255",
        scale=min(WIDEST / made.shape[1], 3.0),
        lossless=made.shape[0] < 128,
        from_dataset=result.numbers["index"][i] >= 0 or not _given(result, i)["licence"],
        **words,
    )


def _dreams(result: Result, context: Context, i: int) -> Figure:
    """A photo, and its dream on each layer."""
    arrays, numbers, parameters = result.arrays, result.numbers, result.parameters
    name, layers, credit = numbers["names"][i], numbers["layers"], _given(result, i)["credit"]
    image = (Subject("image", name),) if numbers["index"][i] >= 0 else ()
    responses = zip(layers, arrays["before"][i], arrays["after"][i], strict=True)
    rises = ", ".join(f"{at} × {a / b:.2g}" for at, b, a in responses if b > 0)
    return _row(
        result,
        context,
        slug(name),
        np.concatenate([arrays[f"photo_{i}"][None], arrays[f"dream_{i}"]]),
        i,
        alt=f"{name}, and {len(layers)} dreams of it, on {', '.join(layers)}.",
        caption=f"{name}, then dreamt on {', '.join(layers)}: {parameters['octaves']} octaves of "
        f"{parameters['steps']} steps that change a pixel by {parameters['step']:g} levels on average. The layer's "
        f"mean squared response rose: {rises}." + (f" Photo: {credit}." if credit else ""),
        data=f"dream_{i}",
        subjects=(*image, *(Subject("layer", at) for at in layers)),
        group="A row a photo",
    )


def _octaves(result: Result, context: Context) -> Figure:
    """The first photo with more and more octaves."""
    name, at, count = result.numbers["names"][0], result.numbers["octave_layer"], len(result.arrays["octaves"])
    return _row(
        result,
        context,
        "octaves",
        result.arrays["octaves"],
        0,
        alt=f"{name} dreamt on {at} with 1 to {count} octaves.",
        caption=f"{name} dreamt on {at} with {', '.join(map(str, range(1, count)))} and {count} octaves. "
        f"With one, all things have the size of the layer's own field of view; each further octave starts "
        f"{result.parameters['octave_scale']:g} times smaller, and what is drawn there grows larger.",
        data="octaves",
        subjects=(Subject("layer", at),),
        group="Octaves",
    )


def _responses(result: Result) -> Table:
    numbers = result.numbers
    before, after = result.arrays["before"], result.arrays["after"]
    note = " The network takes one size only, so it sees each octave enlarged to that." if numbers["own_size"] else ""
    return Table(
        "responses",
        "Mean squared response of the layer to the photo and to the dream, both as published (8 bits)." + note,
        ("photo", "layer", "photo's", "dream's"),
        tuple(
            (name, at, float(f"{before[i, k]:.4g}"), float(f"{after[i, k]:.4g}"))
            for i, name in enumerate(numbers["names"])
            for k, at in enumerate(numbers["layers"])
        ),
        from_dataset=any(index >= 0 for index in numbers["index"]),
    )


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
