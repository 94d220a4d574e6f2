"""Style transfer: content, style and result, how the losses fell, and rows that each vary one thing."""

import numpy as np

from cnnviz.run.result import Result
from cnnviz.views import papers
from cnnviz.views.kit import colour, curves, given, panels, section
from cnnviz.views.kit.section import Context

SHOWN_SIZE = 224  # CSS pixels of a variant's longer side, at least
ACROSS = 4  # so many stand side by side on a page; more get a sheet first that shows them in one row
# Row → heading, and what the row as a whole shows
ROWS = {
    "weight": ("More and more style", "the weight of the style loss grows from left to right"),
    "scale": ("The style picture smaller and larger", "its strokes become finer or coarser"),
    "share": ("Two styles mixed", "the Gram matrices are a weighted mean of both styles'"),
    "colour": ("Colours of the style, or of the content", "kept colours take the style's light and dark only"),
    "start": ("Started from the content, or from noise", "the same losses, reached from elsewhere"),
    "dream": ("With DeepDream on top", "one layer is also asked for more of whatever it sees"),
}


def view(result: Result, context: Context) -> dict:
    numbers, p = result.numbers, result.parameters
    at, over = numbers["content_layer"], numbers["style_layers"]
    content_name, style_name = (given.name(p[name]) for name in ("content", "style"))
    subjects = given.layers(result, context, [*over, at])
    judge = given.judge(result, context)
    private = given.private(p["content"], p["style"])
    kept = f" It keeps the colours of {content_name}." if p["keep_colour"] else ""
    fixed = " Only the middle of each picture, since this network takes one size." if numbers["own_size"] else ""
    words = {
        "content": (
            f"The picture {content_name} before the transfer.",
            f"Content: {content_name}. Its layout is what layer {at} must go on seeing.{fixed}"
            f"{given.credited(p['content'])}",
            p["content"],
        ),
        "style": (
            f"The picture {style_name}, whose texture is taken.",
            f"Style: {style_name}. The Gram matrices of {', '.join(over)} are taken from it: which features occur "
            f"together, wherever they are.{judge}{given.credited(p['style'])}",
            p["style"],
        ),
        "result": (
            f"The things of {content_name} drawn in the texture of {style_name}.",
            f"Result after {p['steps']} steps: style loss {numbers['style_loss']:.3g} (of "
            f"{numbers['style_loss_of_content']:.3g} for the content picture), content loss "
            f"{numbers['content_loss']:.3g} at {at}; both relative, 0 is a perfect match.{kept}"
            f"{given.grid(numbers['stride'])}{given.credited(p['content'], p['style'])}",
            None,
        ),
    }
    figures = [
        context.picture(
            name,
            colour.rgb(result.arrays[name]),
            alt=alt,
            caption=caption,
            mapping="a given picture, resized" if source else "the optimised pixels, RGB 0 … 255",
            data=name,
            subjects=() if source else subjects,
            lossless=False,
            from_dataset=given.private(source) if source else private,
        )
        for name, (alt, caption, source) in words.items()
    ]
    for name in (name for name in ROWS if name in numbers["rows"]):
        figures += _row(result, context, name, subjects)
    if any((result.arrays[name] > 0).any() for name in ("content_loss", "style_losses")):
        figures.append(_losses(result, context, subjects))
    rows = [
        (ROWS[name][0], _label(name, numbers["variants"][i], p), *(float(f"{v:.3g}") for v in values))
        for name in ROWS
        for i in numbers["rows"].get(name, ())
        for values in [result.arrays["variant_losses"][i, [0, 1, 3]]]
    ]
    return {
        "figures": tuple(figures),
        "cover": "result",
        "tables": (
            section.Table(
                "variants",
                "Relative losses of the variants as published, each against its own style picture (mixes against the "
                "first style); of kept colours, those of the luminance. The last column is DeepDream's objective in "
                f"{numbers['dream_layer']}, relative to that of the content picture.",
                ("row", "variant", "content loss", "style loss", "dream"),
                tuple(rows),
            ),
        )
        if rows
        else (),
        "metrics": (
            section.Metric("style_loss", numbers["style_loss"], "relative", "lower"),
            section.Metric("content_loss", numbers["content_loss"], "relative", "lower"),
        ),
    }


def _label(row: str, variant: dict, p: dict) -> str:
    """What is special about a variant in its row."""
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


def _title(row: str, variant: dict) -> str:
    """The same, short enough to stand over a small picture."""
    value = variant[row]
    return f"{value:.0%} + {1 - value:.0%}" if row == "share" else f"× {value:g}" if row != "dream" else f"{value:g}"


def _row(result: Result, context: Context, row: str, subjects: tuple) -> list:
    """A row's pictures, and the second style before its own."""
    numbers, p = result.numbers, result.parameters
    pictures, losses = colour.rgb(result.arrays["variants"]), result.arrays["variant_losses"]
    heading, meaning = ROWS[row]
    scale = max(1.0, SHOWN_SIZE / max(pictures.shape[1:3]))
    sources = [p["content"], p["style"], *([p["second_style"]] if row == "share" else [])]
    words = {"data": "variants", "subjects": subjects, "group": heading, "from_dataset": given.private(*sources)}
    figures = []
    if len(numbers["rows"][row]) > ACROSS:
        shown = [(_title(row, numbers["variants"][i]), pictures[i]) for i in numbers["rows"][row]]
        drawn = panels.sheet(shown, across=len(shown))
        fallen = ", ".join(f"{losses[i, 0]:.2g} / {losses[i, 1]:.2g}" for i in numbers["rows"][row])
        figures.append(
            context.drawing(
                f"{row}-row",
                drawn,
                alt=f"{heading}: {len(shown)} pictures in a row.",
                caption=f"In this row {meaning}. Content and style loss, from left to right: {fallen}. Below they "
                "stand one by one.",
                mapping="the optimised pixels, RGB 0 … 255",
                **words,
            )
        )
    if row == "share":
        second = colour.rgb(result.arrays["second_style"])
        figures.append(
            context.picture(
                "second-style",
                second,
                alt=f"The picture {given.name(p['second_style'])}, which the style is mixed with.",
                caption=f"The second style: {given.name(p['second_style'])}.{given.credited(p['second_style'])}",
                mapping="a given picture, resized",
                data="second_style",
                scale=scale * max(pictures.shape[1:3]) / max(second.shape[:2]),
                group=heading,
                lossless=False,
                from_dataset=given.private(p["second_style"]),
            )
        )
    for place, i in enumerate(numbers["rows"][row]):
        label = _label(row, numbers["variants"][i], p)
        content_loss, style_loss, second_loss, dream = losses[i]
        more = f", to the second style {second_loss:.3g}" if row == "share" else ""
        more += f", dream {dream:.3g} ×" if row == "dream" else ""
        first = f" In this row {meaning}; {p['variant_steps']} steps." if place == 0 else ""
        figures.append(
            context.picture(
                f"{row}-{place}",
                pictures[i],
                alt=f"{heading}, picture {place + 1} of {len(numbers['rows'][row])}: {label}.",
                caption=f"{label}. Content loss {content_loss:.3g}, style loss {style_loss:.3g}{more}.{first}",
                mapping="the optimised pixels, RGB 0 … 255",
                scale=scale,
                lossless=False,
                **words,
            )
        )
    return figures


def _losses(result: Result, context: Context, subjects: tuple):
    numbers = result.numbers
    drawn = {f"content {numbers['content_layer']}": result.arrays["content_loss"]} | {
        f"style {name}": values
        for name, values in zip(numbers["style_layers"], result.arrays["style_losses"].T, strict=True)
    }
    shown = np.concatenate([values[values > 0] for values in drawn.values()])
    first, last = (float(result.arrays["style_losses"][at].mean()) for at in (0, -1))
    return context.drawing(
        "losses",
        curves.lines(drawn, across="step", up="relative loss", logarithmic=True),
        alt=f"Losses against step: the style losses of {len(numbers['style_layers'])} layers fall from {first:.2g} on "
        f"average to {last:.2g}, while the content loss rises from 0 to {numbers['content_loss']:.2g}.",
        caption="The ascent starts at the content picture, so the content loss starts at 0 and is what the style "
        "costs. A layer whose style loss stays high keeps a texture that this content cannot carry.",
        mapping=f"logarithmic vertical axis, {shown.min():.2g} … {shown.max():.2g}",
        data="style_losses",
        subjects=subjects,
        group="How the losses fall",
        from_dataset=False,
    )


if __name__ == "__main__":
    section.run(
        view,
        id="style_transfer",
        title="Style transfer",
        question="What do the network's layers keep of a picture: its things, or its texture?",
        tour="The things of one picture in the texture of another.",
        how_to_read="The result has the deep features of the content picture and the feature correlations of the style "
        "picture. Brush strokes come from early style layers, larger patterns from later ones. What survives of the "
        "content is what the content layer can tell apart. Each row below changes one thing, on smaller pictures with "
        "fewer steps; what is not named is as in the result, but for colours, which are the style's.",
        do_not_conclude="A poor result does not mean a poor classifier: nets without pooling or with strides in their "
        "first layers leave checkerboards, and a net trained on few textures knows few. Losses of two models are "
        "relative to each one's own features and are no contest, and those of a row's styles of unlike size are each "
        "against their own.",
        equation="I* = argmin α ‖F(I) − F(c)‖²/‖F(c)‖² + β mean_l ‖G_l(I) − Ĝ_l‖²/‖Ĝ_l‖² + γ TV₂(I),  "
        "Ĝ_l = Σ_s w_s G_l(s)",
        papers=(papers.GATYS_2016, papers.GATYS_2016_COLOUR),
    )
