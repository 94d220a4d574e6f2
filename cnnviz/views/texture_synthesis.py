"""Texture synthesis: exemplars and the textures that match them up to each depth, row by row, with the errors."""

import numpy as np

from cnnviz.run.result import Result
from cnnviz.views import papers
from cnnviz.views.kit import colour, curves, findings, given, panels, section, stages
from cnnviz.views.kit.findings import Finding, Measured, between, percent
from cnnviz.views.kit.section import Context, Figure, Metric, Table
from cnnviz.views.kit.tiles import EXACT

LIKE = 0.35  # error by random filters below which small forms are recognised, by eye


def view(result: Result, context: Context) -> dict:
    sources = range(len(result.parameters["pictures"]))
    before, after = _errors(result)
    finding, measured = found(result, context)
    return {
        "findings": (finding,),
        "measured": measured,
        "figures": (
            _depths(result, context),
            *(figure for i in sources for figure in (_exemplar(result, context, i), *_textures(result, context, i))),
            _curves(result, context),
        ),
        "cover": _nearest(result),
        "tables": (_layers(result),),
        "metrics": (
            Metric("error_of_matched_layers", float(after[:, -1].mean()), "share", "lower"),
            Metric("error_fell_by", float(np.median(before / np.maximum(after, 1e-12))), "times", "higher"),
            Metric("error_by_random_filters", float(result.arrays["by_filters"][:, -3].mean()), "share", "lower"),
        ),
    }


def found(result: Result, context: Context) -> tuple[Finding, dict[str, Measured]]:
    """Whether layers come out right that a texture was not asked to match: those deeper than the ones it matches."""
    relative, layers = result.arrays["relative"], result.numbers["layers"]
    key = "error of layers that were not matched"
    rows = [(row[k, j], row[-2, j]) for row in relative for k in range(len(layers)) for j in range(k + 1, len(layers))]
    left = np.array([after / before for after, before in rows if before > 0])
    if not len(left):
        says = "Whether other layers come out right too cannot be told: only one layer was matched."
        return Finding(key, says, findings.NOT, figure="depths"), {}
    hits = int((left < 0.5).sum())
    measured = findings.share(hits, len(left), control=0.5)
    finding = Finding(
        key,
        _kept(result),
        findings.weakly(measured.low),
        f"falls by more than half in {between(*findings.share_interval(hits, len(left)))} of cases",
        f"half, by chance; {findings.UNTRIED}",
        f"the error as random filters see it. In {hits} of {len(left)} cases a layer's that was not matched falls by "
        f"more than half, to {percent(float(np.median(left)))} in the median",
        figure="depths",
    )
    return finding, {key: measured}


def _kept(result: Result) -> str:
    """What is left of the exemplar, by a judge that is no network: random filters, which no texture was asked to match.

    The textures that match all layers, beside the noise that they started from.
    """
    left = float(np.median(result.arrays["by_filters"][:, -3]))
    kept = "Colours, grain and small forms come out" if left < LIKE else "Colours and grain come out, forms hardly"
    return f"{kept}: {percent(left)} of the error is left."


def _nearest(result: Result) -> str:
    """Id of the texture that is nearest to its exemplar over all layers, also those that it did not match."""
    left = result.arrays["relative"][:, :-2].mean(2)  # exemplars, textures
    i, k = np.unravel_index(left.argmin(), left.shape)
    return f"texture-{i}-{k}"


def _matched(result: Result) -> list[str]:
    """The layers that each texture of an exemplar matches."""
    layers = result.numbers["layers"]
    return [layers[0], *(f"{layers[0]} … {layer}" for layer in layers[1:])]


def _errors(result: Result) -> tuple[np.ndarray, np.ndarray]:
    """Mean error of the layers that each texture matches: of its start, and of the texture."""
    relative, depths = result.arrays["relative"], range(len(result.numbers["layers"]))
    before = [[rows[-2, : k + 1].mean() for k in depths] for rows in relative]
    after = [[rows[k, : k + 1].mean() for k in depths] for rows in relative]
    return np.array(before), np.array(after)


def _depths(result: Result, context: Context) -> Figure:
    """Each exemplar beside the textures that match more and more layers."""
    exemplars, pictures = (colour.rgb(result.arrays[name]) for name in ("exemplars", "pictures"))
    layers, sources, matched = result.numbers["layers"], result.parameters["pictures"], _matched(result)
    names = [given.name(source) for source in sources]
    shown = []
    for name, exemplar, row in zip(names, exemplars, pictures, strict=True):
        shown += [(name, exemplar), *zip(matched, row, strict=True)]
    across, (_, after) = len(matched) + 1, _errors(result)
    boxes = panels.boxes(shown, across)
    rows = [
        stages.covering(
            f"exemplar: {name}",
            boxes[i * across : (i + 1) * across],
            matched,
            moves="Matches",
            numbers=[f"error {error:.2g}" for error in after[i]],
        )
        for i, name in enumerate(names)
    ]
    return context.drawing(
        "depths",
        panels.sheet(shown, across=across),
        stages=tuple(rows),
        alt=f"{len(names)} rows of pictures: an exemplar ({', '.join(names)}) and {len(matched)} textures made after "
        f"it, matching more and more layers, up to {layers[-1]}.",
        caption="Left the exemplar, then textures made from noise that match more and more layers.",
        more=f"{given.judge(result, context)}{given.grid(result.numbers['stride'])}{given.credited(*sources)}".strip(),
        mapping=EXACT,
        scale=1.5,
        data="pictures",
        subjects=given.layers(result, context, layers),
        from_dataset=given.private(*sources),
    )


def _exemplar(result: Result, context: Context, i: int) -> Figure:
    source, pixels = result.parameters["pictures"][i], colour.rgb(result.arrays["exemplars"][i])
    height, width = result.arrays["pictures"].shape[2:4]
    return context.picture(
        f"exemplar-{i}",
        pixels,
        alt=f"The exemplar {given.name(source)}.",
        caption=f"Exemplar: {given.name(source)}.",
        more=f"The middle of the picture, {width} × {height} pixels.{given.credited(source)}",
        mapping="the given picture, resized",
        data="exemplars",
        group=given.name(source),
        lossless=False,
        from_dataset=given.private(source),
    )


def _textures(result: Result, context: Context, i: int) -> list[Figure]:
    """The textures that match the i-th exemplar up to each depth."""
    source, absolute, (before, after) = result.parameters["pictures"][i], result.arrays["absolute"][i], _errors(result)
    return [
        context.picture(
            f"texture-{i}-{k}",
            pixels,
            alt=f"A texture after {given.name(source)} that matches {matched}.",
            caption=f"Matches {matched}: relative error {after[i, k]:.2g}.",
            more=f"Mean error of these layers; of the noise {before[i, k]:.2g}. To random filters, it is "
            f"{result.arrays['by_filters'][i, k]:.2g} times as far from the exemplar as the noise. The paper's ΣE: "
            f"{absolute[-2, : k + 1].sum():.2g} for the noise, {absolute[k, : k + 1].sum():.2g} for the texture.",
            mapping=EXACT,
            data="pictures",
            subjects=given.layers(result, context, result.numbers["layers"][: k + 1]),
            group=given.name(source),
            lossless=False,
            from_dataset=given.private(source),
        )
        for k, (matched, pixels) in enumerate(
            zip(_matched(result), colour.rgb(result.arrays["pictures"][i]), strict=True)
        )
    ]


def _curves(result: Result, context: Context) -> Figure:
    """The error over the steps, a curve per depth."""
    drawn = dict(zip(_matched(result), result.arrays["curves"].mean(0), strict=True))
    first, last = (np.mean([curve[at] for curve in drawn.values()]) for at in (0, -1))
    return context.drawing(
        "errors",
        curves.lines(drawn, across="step", up="relative error", logarithmic=True),
        alt=f"Error against step, a curve a depth: from {first:.2g} on average to {last:.2g}.",
        caption="The error that is minimised, mean over the layers matched and over the exemplars.",
        mapping="logarithmic vertical axis",
        data="curves",
        subjects=given.layers(result, context, result.numbers["layers"]),
        group="Errors",
        from_dataset=False,
    )


def _layers(result: Result) -> Table:
    """The error of every layer, including layers that a texture does not match."""
    relative, layers, sources = result.arrays["relative"], result.numbers["layers"], result.parameters["pictures"]
    matched, by_filters = _matched(result), result.arrays["by_filters"]
    end = len(matched)
    kinds = [(end, "nothing: the noise"), *enumerate(matched), (end + 1, "all: the exemplar")]
    return Table(
        "layers",
        "Relative error of every layer for every picture (8 bits a channel), also of the layers that it was not asked "
        "to match, and by random filters, relative to the noise.",
        ("exemplar", "matched", *layers, "random filters"),
        tuple(
            (given.name(source), words, *(float(f"{e:.3g}") for e in (*relative[i, k], by_filters[i, k])))
            for i, source in enumerate(sources)
            for k, words in kinds
        ),
        from_dataset=given.private(*sources),
    )


if __name__ == "__main__":
    section.run(
        view,
        id="texture_synthesis",
        title="Texture synthesis",
        question="What remains of a picture when its features lose their places?",
        tour="Textures from what layers see together.",
        how_to_read="Each picture was noise, changed until its features occur together as in the exemplar, wherever "
        "they are. Where pieces fit but their arrangement does not, you see what is left out.",
        do_not_conclude="A match in all layers does not make two pictures alike: things larger than the deepest "
        "layer's field of view may be anywhere, or nowhere. Faint patches of the starting noise can remain. Relative "
        "errors of two nets cannot be compared.",
        equation="I* = argmin mean_l E_l(I),  E_l = ½ ‖μ_l(I) − μ̂_l‖²/tr Ĉ_l + ½ ‖C_l(I) − Ĉ_l‖²/‖Ĉ_l‖², "
        "C_l = G_l − μ_l μ_lᵀ;  the paper: Σ_l Σ(G − Ĝ)²/(4 N² M²)",
        papers=(papers.GATYS_2015,),
    )
