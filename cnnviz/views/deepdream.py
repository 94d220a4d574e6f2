"""DeepDream: each photo beside its dreams, a column per layer, and one photo with more and more octaves."""

import numpy as np

from cnnviz.run.result import Result
from cnnviz.slug import slug
from cnnviz.views import papers
from cnnviz.views.kit import findings, section, stages
from cnnviz.views.kit.findings import Finding, Measured, span
from cnnviz.views.kit.section import Context, Figure, Metric, Subject, Table
from cnnviz.views.kit.tiles import EXACT, montage, places

EDGE, DARK = 12, 50  # levels between neighbours, and levels of grey: see plain()
GAP, WIDEST = 6, 1200  # pixels between pictures; largest width of a row in CSS pixels


def view(result: Result, context: Context) -> dict:
    before, after = result.arrays["before"], result.arrays["after"]
    figures = [_dreams(result, context, i) for i in range(len(result.numbers["names"]))]
    if len(result.arrays["octaves"]) > 1:
        figures.append(_octaves(result, context))
    own = _rises(result)[:, np.eye(len(result.numbers["layers"]), dtype=bool)]
    finding, measured = found(result, context)
    return {
        "findings": (finding,),
        "measured": measured,
        "figures": tuple(figures),
        "tables": (_responses(result),),
        "metrics": (
            Metric("dreams_with_a_higher_response", float(np.mean(after > before)), "share", "higher"),
            Metric("mean_rise", float(np.exp(np.nanmean(np.log(own)))) if np.isfinite(own).any() else 0.0, "times"),
        ),
    }


def _rises(result: Result) -> np.ndarray:
    """Response of each layer (last) to each layer's dream, relative to its response to the photo: (n, l, l).

    NaN where a layer does not respond to the photo, or not to a dream.
    """
    before, across = result.arrays["before"][:, None], result.arrays["across"]
    return np.divide(across, before, out=np.full(across.shape, np.nan), where=(before > 0) & (across > 0))


def found(result: Result, context: Context) -> tuple[Finding, dict[str, Measured]]:
    """Rise of a layer's response in its own dream, compared with dreams on other layers.

    The figure is that of the photo with the largest bright, plain areas, on which a dream is seen best.
    """
    logs = np.log(_rises(result))
    own = np.diagonal(logs, axis1=1, axis2=2)
    apart = ~np.eye(logs.shape[1], dtype=bool)
    others = np.where(apart, logs, 0).sum(1) / max(1, logs.shape[1] - 1)
    pairs = np.isfinite(own - others) & (logs.shape[1] > 1)
    key = "rise in a layer's own dream"
    if not pairs.any():
        says = "Whether a dream is its layer's own cannot be told: there is no other layer to compare."
        return Finding(key, says, findings.NOT, figure=_id(result, 0)), {}
    gain, low, high = findings.mean_interval((own - others)[pairs])
    times, elsewhere = (float(np.exp(values[pairs].mean())) for values in (own, others))
    judged = [i for i in range(len(own)) if pairs[i].any()]
    best = max(judged, key=lambda i: plain(result.arrays[f"photo_{i}"]))
    finding = Finding(
        key,
        f"A layer's response grows {times:.1f} times in its own dream, {elsewhere:.1f} times in those of other layers.",
        findings.weakly(low),
        f"{span(*np.exp((low, min(high, 99))), '.2g')} times as much",
        f"the same layer in dreams on other layers; {findings.UNTRIED}",
        f"{pairs.sum()} dreams of {len(own)} photo{'s' if len(own) > 1 else ''}",
        figure=_id(result, best),
    )
    return finding, {
        key: Measured(f"{times:.1f} and {elsewhere:.1f} times", *np.tanh((gain / 2, low / 2, high / 2)).tolist())
    }


def plain(photo: np.ndarray) -> float:
    """Share of the pixels of (h, w, c) uint8 that are neither dark nor beside an edge."""
    grey = photo.astype(float).mean(2)
    edges = np.maximum(np.abs(np.diff(grey, axis=0, prepend=grey[:1])), np.abs(np.diff(grey, prepend=grey[:, :1])))
    return float(((edges < EDGE) & (grey > DARK)).mean())


def _id(result: Result, i: int) -> str:
    return slug(result.numbers["names"][i])


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
        mapping=EXACT,
        scale=min(WIDEST / made.shape[1], 3.0),
        lossless=made.shape[0] < 128,
        from_dataset=result.numbers["index"][i] >= 0 or not _given(result, i)["licence"],
        **words,
    )


def _dreams(result: Result, context: Context, i: int) -> Figure:
    """A photo, and its dream on each layer."""
    arrays = result.arrays
    name, layers, credit = result.numbers["names"][i], result.numbers["layers"], _given(result, i)["credit"]
    image = (Subject("image", name),) if result.numbers["index"][i] >= 0 else ()
    responses = zip(layers, arrays["before"][i], arrays["after"][i], strict=True)
    rises = ", ".join(f"{at} × {a / b:.2g}" for at, b, a in responses if b > 0)
    pictures = np.concatenate([arrays[f"photo_{i}"][None], arrays[f"dream_{i}"]])
    numbers = [f"response {b:.3g} → {a:.3g}" for b, a in zip(arrays["before"][i], arrays["after"][i], strict=True)]
    return _row(
        result,
        context,
        _id(result, i),
        pictures,
        i,
        compared="" if i else "Dream on",
        stages=(stages.covering("photo", places(*pictures.shape[:3], GAP), layers, moves="Dream on", numbers=numbers),),
        alt=f"{name}, and {len(layers)} dreams of it, on {', '.join(layers)}.",
        caption=f"{name}, then its dreams on {', '.join(layers)}. The layer's mean squared response rose: {rises}."
        + (f" Photo: {credit}." if credit else ""),
        data=f"dream_{i}",
        subjects=(*image, *(Subject("layer", at) for at in layers)),
        group="Each photo",
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
        stages=stages.series(
            "Octaves",
            [str(k) for k in range(1, count + 1)],
            places(*result.arrays["octaves"].shape[:3], GAP),
            [f"response {value:.3g}" for value in result.arrays["octave_responses"]],
        ),
        alt=f"{name} dreamt on {at} with 1 to {count} octaves.",
        caption=f"{name} dreamt on {at} with {', '.join(map(str, range(1, count)))} and {count} octaves. Each further "
        f"octave starts {result.parameters['octave_scale']:g} times smaller, and what is drawn there grows larger.",
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
        "Mean squared response of the layer to the photo and to the dream (8 bits a channel)." + note,
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
        question="What does each layer see in a photo?",
        tour="A photo with more of whatever a layer sees in it.",
        how_to_read="The photo is changed so that whatever a layer responds to becomes stronger. From left: the photo, "
        "then its dream on each layer, earlier layers first.",
        do_not_conclude="What appears is what the layer responds to most easily, not what it takes the photo for; "
        "that depends on the pictures it was trained on. How large things become depends on the octaves, and how "
        "garish on the number of steps.",
        equation="I* = argmax Σ f(I)²,  step · b / mean |b|",
        papers=(papers.MORDVINTSEV_2015,),
    )
