"""Style transfer: content, style and result, the losses over the steps, and rows that each vary one parameter."""

import numpy as np

from cnnviz.run.result import Result
from cnnviz.views import papers
from cnnviz.views.kit import colour, curves, findings, given, panels, section, stages
from cnnviz.views.kit.findings import Finding, Measured, between, percent, span
from cnnviz.views.kit.section import Context, Figure, Metric, Subject, Table
from cnnviz.views.kit.tiles import EXACT

SHOWN_SIZE = 224  # smallest longer side of a variant in CSS pixels
ACROSS = 4  # largest number of pictures side by side; with more, a sheet shows them in one row first
# Row → heading, and a sentence about the row
ROWS = {
    "weight": ("More and more style", "the weight of the style error grows from left to right"),
    "scale": ("The style picture smaller and larger", "its strokes become finer or coarser"),
    "share": ("Two styles mixed", "means and covariances are weighted means of both styles'"),
    "colour": ("Colours of the style, or of the content", "kept colours take the style's light and dark only"),
    "start": ("Started from the content, or from noise", "the same goal, from another start"),
    "dream": ("With DeepDream on top", "one layer is also asked for more of what it responds to"),
}
COURSE = "How the errors fall"
LEAST_CHROMA, MOST_TEXTURE = 0.6, 0.75  # share of the style's chroma, and of the content's texture error: see reached()
MORE = 1.2  # content error from noise, of that from the content, above which noise has stayed noise, by eye
MOVES = {
    "weight": "Weight of style",
    "scale": "Size of the style picture",
    "share": "Mix",
    "colour": "Colours",
    "start": "Start",
    "dream": "Weight of the dream",
}


def view(result: Result, context: Context) -> dict:
    numbers = result.numbers
    figures = [_transfer(result, context), _content(result, context), _style(result, context), _result(result, context)]
    for name in _rows(result):
        figures += _row(result, context, name)
    figures.append(_stages(result, context))
    if any((result.arrays[name] > 0).any() for name in ("content_loss", "style_losses")):
        figures.append(_losses(result, context))
    said, measured = found(result, context)
    return {
        "findings": said,
        "measured": measured,
        "figures": tuple(figures),
        "cover": "transfer",
        "tables": (_variants(result),) if any(numbers["rows"].values()) else (),
        "metrics": (
            Metric("style_error", numbers["style_loss"], "share", "lower"),
            Metric("texture_error", numbers["texture_error"], "share", "lower"),
            *(Metric("chroma_of_the_style", share, "share") for share in _chroma(result)[-1:]),
            Metric("content_error", numbers["content_loss"], "share", "lower"),
        ),
    }


def chroma(picture: np.ndarray) -> float:
    """The mean over pixels of the largest minus the smallest of R, G and B, in 0 … 255; 0 for grey. (h, w, c) uint8."""
    return float(np.ptp(picture.astype(int), axis=2).mean())


def _rows(result: Result) -> list[str]:
    """The rows to show; that from noise only where the content has come out of it, too."""
    found, losses = result.numbers["rows"], result.arrays.get("variant_losses")
    there = len(found.get("start", ())) < 2 or float(np.divide(*losses[found["start"], 0][::-1])) <= MORE
    return [name for name in ROWS if name in found and (name != "start" or there)]


def _chroma(result: Result) -> list[float]:
    """Chroma of the content and of the result, as shares of the style's; [] where colours are not transferred."""
    of_style = chroma(result.arrays["style"])
    if result.parameters["keep_colour"] or of_style < 1:
        return []
    return [chroma(result.arrays[name]) / of_style for name in ("content", "result")]


def reached(result: Result) -> Finding:
    """Whether colour and texture of the style are there, by measures that do not depend on the network."""
    colours, left = _chroma(result), result.numbers["texture_error"]
    missing = ["colour"] if colours and not LEAST_CHROMA <= colours[1] <= 1 / LEAST_CHROMA else []
    told = colours and (missing or colours[0] < LEAST_CHROMA)  # else the content picture has the chroma already
    missing += ["texture"] if left > MOST_TEXTURE else []
    says = f"the texture error is {percent(left)} of the content picture's"
    control = "the content picture, "
    if told:
        says = f"chroma is {percent(colours[1])} of the style's, and {says}"
        control += f"{percent(colours[0])} and "
    better = f" This network does not carry the {' and the '.join(missing)}: try a VGG as loss_net." if missing else ""
    return Finding(
        "colour and texture of the style",
        f"{'The style does not come out in full' if missing else 'The texture comes near the style'}: {says}.{better}",
        findings.NOT if missing else findings.WEAK,
        control=f"{control}100\u00a0%; {findings.UNTRIED}",
        basis="the texture error is that of random filters, which belong to no network",
        figure="transfer",
    )


def found(result: Result, context: Context) -> tuple[tuple[Finding, ...], dict[str, Measured]]:
    """Whether the style is there; how much nearer the network finds it; whether more weight buys more style."""
    losses = result.arrays["style_losses"]
    left = np.divide(losses[-1], losses[0], out=np.ones(losses.shape[1]), where=losses[0] > 0)
    mean, low, high = findings.mean_interval(1 - left)
    low, high = max(-1.0, low), min(1.0, high)
    share = percent(float(left.mean()))
    keys = "style error left", "order by style weight"
    measured = {keys[0]: Measured(f"{share} left", float(np.clip(mean, -1, 1)), low, high)}
    said = [
        reached(result),
        Finding(
            keys[0],
            f"To the network itself, {share} of the content picture's style error is left.",
            findings.weakly(low),
            f"{span(100 * (1 - high), 100 * (1 - low), '.2g')}\u00a0%",
            f"100\u00a0% before; {findings.UNTRIED}",
            f"{len(left)} style layer{'s' if len(left) > 1 else ''}",
            figure="transfer",
        ),
    ]
    some = result.numbers["rows"].get("weight", ())
    if len(some) > 1:
        content, style = (np.diff(result.arrays["variant_losses"][some, k]) for k in (0, 1))
        hits, steps = int((content > 0).sum() + (style < 0).sum()), 2 * len(content)
        measured[keys[1]] = findings.share(hits, steps, control=0.5)
        said.append(
            Finding(
                keys[1],
                f"More style weight lowers the style error and raises the content error in {hits} of {steps} steps.",
                findings.weakly(measured[keys[1]].low),
                between(*findings.share_interval(hits, steps)),
                f"half, by chance; {findings.UNTRIED}",
                figure="weight-row" if len(some) > ACROSS else "weight-0",
            )
        )
    return tuple(said), measured


def _transfer(result: Result, context: Context) -> Figure:
    """Content, style and result side by side."""
    content, style = (result.parameters[name] for name in ("content", "style"))
    shown = {"content": given.name(content), "style": given.name(style), "result": "result"}
    tiles = [(title, colour.rgb(result.arrays[name])) for name, title in shown.items()]
    before, _, after = panels.boxes(tiles)
    error = f"style error {result.numbers['style_loss']:.2g}"
    return context.drawing(
        "transfer",
        panels.sheet(tiles),
        compared="Picture",
        stages=(stages.covering(f"content ({shown['content']})", [before, after], ["result"], numbers=[error]),),
        scale=2.5,
        alt=f"Content, style and result: {given.name(content)} in the texture of {given.name(style)}.",
        caption="The content, the style, and the content in that style. "
        f"{percent(result.numbers['style_loss'])} of the style error is left.",
        more=given.credited(content, style).strip(),
        mapping=EXACT,
        data="result",
        subjects=_subjects(result, context),
        from_dataset=given.private(content, style),
    )


def _subjects(result: Result, context: Context) -> tuple[Subject, ...]:
    return given.layers(result, context, [*result.numbers["style_layers"], result.numbers["content_layer"]])


def _given(result: Result, context: Context, name: str, **words) -> Figure:
    """One of the two given pictures."""
    return context.picture(
        name,
        colour.rgb(result.arrays[name]),
        mapping="a given picture, resized",
        data=name,
        lossless=False,
        from_dataset=given.private(result.parameters[name]),
        **words,
    )


def _content(result: Result, context: Context) -> Figure:
    numbers, picture = result.numbers, result.parameters["content"]
    fixed = " Only the middle of each picture, since this network takes one size." if numbers["own_size"] else ""
    return _given(
        result,
        context,
        "content",
        alt=f"The picture {given.name(picture)} before the transfer.",
        caption=f"Content: {given.name(picture)}.",
        more=f"Layer {numbers['content_layer']} must respond to the result as to it.{fixed}{given.credited(picture)}",
    )


def _style(result: Result, context: Context) -> Figure:
    picture = result.parameters["style"]
    return _given(
        result,
        context,
        "style",
        alt=f"The picture {given.name(picture)}, whose texture is taken.",
        caption=f"Style: {given.name(picture)}.",
        more=f"Mean and covariance of the features of {', '.join(result.numbers['style_layers'])} are taken from it: "
        "how strong they are, and which occur together."
        f"{given.judge(result, context)}{given.credited(picture)}",
    )


def _result(result: Result, context: Context) -> Figure:
    """The result of the transfer."""
    numbers, p = result.numbers, result.parameters
    content, style = p["content"], p["style"]
    kept = f" It keeps the colours of {given.name(content)}." if p["keep_colour"] else ""
    return context.picture(
        "result",
        colour.rgb(result.arrays["result"]),
        alt=f"The things of {given.name(content)} drawn in the texture of {given.name(style)}.",
        caption=f"Result after {p['steps']} steps: content error {numbers['content_loss']:.3g}, style error "
        f"{numbers['style_loss']:.3g}; 0 is a perfect match.",
        more=f"A style error of 1 is the content picture's, a content error of 1 that of no features at all.{kept}"
        f"{given.credited(content, style)}",
        mapping=EXACT,
        data="result",
        subjects=_subjects(result, context),
        lossless=False,
        from_dataset=given.private(content, style),
    )


def _variants(result: Result) -> Table:
    numbers, losses = result.numbers, result.arrays["variant_losses"][:, [0, 1, 4, 3]]
    shares = [chroma(made) / max(chroma(result.arrays["style"]), 1.0) for made in result.arrays["variants"]]
    return Table(
        "variants",
        "Relative errors of the variants (8 bits a channel), each against its own style picture (mixes against the "
        "first style); of kept colours, those of the luminance. Texture error: by random filters. Dream: DeepDream's "
        f"objective in {numbers['dream_layer']}, relative to the content picture's. Chroma: relative to the style's.",
        ("row", "variant", "content error", "style error", "texture error", "dream", "chroma"),
        tuple(
            (
                heading,
                _label(row, numbers["variants"][i], result.parameters),
                *(float(f"{value:.3g}") for value in (*losses[i], shares[i])),
            )
            for row, (heading, _) in ROWS.items()
            for i in numbers["rows"].get(row, ())
        ),
    )


def _label(row: str, variant: dict, p: dict) -> str:
    """A variant's parameters that differ in its row."""
    value = variant[row]
    match row:
        case "weight":
            return f"Style weight {p['style_weight'] * value:g}"
        case "scale":
            return f"Style picture × {value:g}"
        case "share":
            first, second = (given.name(p[name]) for name in ("style", "second_style"))
            return f"{value:.0%} {first}, {1 - value:.0%} {second}"
        case "dream":
            return f"Dream weight {value:g}" if value else "No dream"
        case "start":
            return f"From the {value}" if value == "content" else "From noise"
    return f"Colours of the {value}"


def _title(row: str, variant: dict, p: dict) -> str:
    """A shorter form of the label, as a title above a small picture."""
    value = variant[row]
    if row == "weight":
        return f"{p['style_weight'] * value:g}"
    return f"{value:.0%} + {1 - value:.0%}" if row == "share" else f"× {value:g}" if row != "dream" else f"{value:g}"


def _row(result: Result, context: Context, row: str) -> list[Figure]:
    """A row's pictures: first all on a sheet, if there are many; for a mix the second style first."""
    p, some = result.parameters, result.numbers["rows"][row]
    sources = [p["content"], p["style"], *([p["second_style"]] if row == "share" else [])]
    words = {"mapping": EXACT, "data": "variants", "subjects": _subjects(result, context), "group": ROWS[row][0]}
    words["from_dataset"] = given.private(*sources)
    return [
        *([_in_a_row(result, context, row, **words)] if len(some) > ACROSS else []),
        *([_second_style(result, context)] if row == "share" else []),
        *(_variant(result, context, row, place, **words) for place in range(len(some))),
    ]


def _in_a_row(result: Result, context: Context, row: str, **words) -> Figure:
    some, (heading, meaning) = result.numbers["rows"][row], ROWS[row]
    pictures, losses = colour.rgb(result.arrays["variants"]), result.arrays["variant_losses"]
    fallen = ", ".join(f"{losses[i, 0]:.2g} / {losses[i, 1]:.2g}" for i in some)
    shown = [(_title(row, result.numbers["variants"][i], result.parameters), pictures[i]) for i in some]
    numbers = [f"content error {losses[i, 0]:.2g}, style error {losses[i, 1]:.2g}" for i in some]
    return context.drawing(
        f"{row}-row",
        panels.sheet(shown, across=len(shown)),
        stages=stages.series(MOVES[row], [title for title, _ in shown], panels.boxes(shown, len(shown)), numbers),
        alt=f"{heading}: {len(shown)} pictures in a row.",
        caption=f"In this row {meaning}.",
        more=f"Content and style error, from left: {fallen}.",
        **words,
    )


def _longer(result: Result) -> int:
    """The longer side of the variants in pixels."""
    return max(result.arrays["variants"].shape[1:3])


def _second_style(result: Result, context: Context) -> Figure:
    second, pixels = result.parameters["second_style"], colour.rgb(result.arrays["second_style"])
    side = _longer(result)
    return context.picture(
        "second-style",
        pixels,
        alt=f"The picture {given.name(second)}, which the style is mixed with.",
        caption=f"The second style: {given.name(second)}.",
        more=given.credited(second).strip(),
        mapping="a given picture, resized",
        data="second_style",
        scale=max(1.0, SHOWN_SIZE / side) * side / max(pixels.shape[:2]),
        group=ROWS["share"][0],
        lossless=False,
        from_dataset=given.private(second),
    )


def _variant(result: Result, context: Context, row: str, place: int, **words) -> Figure:
    """One picture of a row."""
    numbers, p, (heading, meaning) = result.numbers, result.parameters, ROWS[row]
    i = numbers["rows"][row][place]
    label = _label(row, numbers["variants"][i], p)
    content_loss, style_loss, second_loss, dream, _ = result.arrays["variant_losses"][i]
    further = f", to the second style {second_loss:.3g}" if row == "share" else ""
    further += f", dream {dream:.3g} ×" if row == "dream" else ""
    return context.picture(
        f"{row}-{place}",
        colour.rgb(result.arrays["variants"][i]),
        alt=f"{heading}, picture {place + 1} of {len(numbers['rows'][row])}: {label}.",
        caption=f"{label}. Content error {content_loss:.3g}, style error {style_loss:.3g}{further}.",
        more=f"In this row {meaning}; {p['variant_steps']} steps.",
        scale=max(1.0, SHOWN_SIZE / _longer(result)),
        lossless=False,
        **words,
    )


def _stages(result: Result, context: Context) -> Figure:
    """The main picture after some of its steps, and its errors there."""
    p, numbers, steps = result.parameters, result.numbers, result.numbers["stage_steps"]
    losses = result.arrays["content_loss"], result.arrays["style_losses"].mean(1)
    errors = [(losses[0][s], losses[1][s]) for s in steps[:-1]] + [(numbers["content_loss"], numbers["style_loss"])]
    pictures = colour.rgb(result.arrays["stages"])
    tiles = [(f"{step} steps", picture) for step, picture in zip(steps, pictures, strict=True)]
    said = [f"content error {content:.2g}, style error {style:.2g}" for content, style in errors]
    return context.drawing(
        "stages",
        panels.sheet(tiles, across=len(tiles)),
        alt=f"{len(tiles)} stages of the transfer, from the content picture to the result.",
        caption=f"The picture after {', '.join(map(str, steps[:-1]))} and {steps[-1]} steps."
        f"{given.credited(p['content'], p['style'])}",
        mapping=EXACT,
        data="stages",
        subjects=_subjects(result, context),
        stages=stages.series("Step", [*map(str, steps)], panels.boxes(tiles, len(tiles)), said),
        group=COURSE,
        from_dataset=given.private(p["content"], p["style"]),
    )


def _losses(result: Result, context: Context) -> Figure:
    numbers = result.numbers
    drawn = {f"content {numbers['content_layer']}": result.arrays["content_loss"]} | {
        f"style {name}": values
        for name, values in zip(numbers["style_layers"], result.arrays["style_losses"].T, strict=True)
    }
    shown = np.concatenate([values[values > 0] for values in drawn.values()])
    first, last = (float(result.arrays["style_losses"][at].mean()) for at in (0, -1))
    return context.drawing(
        "losses",
        curves.lines(drawn, across="step", up="relative error", logarithmic=True),
        alt=f"Errors by step: the style errors of {len(numbers['style_layers'])} layers fall from {first:.2g} on "
        f"average to {last:.2g}, while the content error rises from 0 to {numbers['content_loss']:.2g}.",
        caption="The search starts at the content picture: its content error starts at 0 and is what the style costs.",
        mapping=f"logarithmic vertical axis, {shown.min():.2g} … {shown.max():.2g}",
        data="style_losses",
        subjects=_subjects(result, context),
        group=COURSE,
        from_dataset=False,
    )


if __name__ == "__main__":
    section.run(
        view,
        id="style_transfer",
        title="Style transfer",
        question="What is a picture's content to the network, and what its style?",
        tour="The things of one picture in the texture of another.",
        how_to_read="The result has the deep features of the content picture, and its features are as strong, and "
        "occur together, as in the style picture. Each row below changes one thing, on smaller pictures with fewer "
        "steps.",
        do_not_conclude="A poor result does not mean a poor classifier: a net trained on few textures knows few. "
        "Errors are relative to the content picture and to each model's own features. They cannot be compared between "
        "models, contents or styles.",
        equation="I* = argmin α ‖F(I) − F(c)‖²/‖F(c)‖² + β mean_l ½(‖μ_l(I) − μ̂_l‖²/‖μ_l(c) − μ̂_l‖² + "
        "‖C_l(I) − Ĉ_l‖²/‖C_l(c) − Ĉ_l‖²) + γ TV₂(I),  μ̂_l, Ĉ_l = Σ_s w_s μ_l(s), Σ_s w_s C_l(s)",
        papers=(papers.GATYS_2016, papers.GATYS_2016_COLOUR),
    )
