"""Style transfer: the content of one picture in the style of another (Gatys et al. 2016).

    I* = argmin_I α ‖F(I) - F(c)‖² / ‖F(c)‖² + β mean_l E_l(I) + γ TV₂(I) - δ log D(I)
    E_l(I) = ½ ‖μ_l(I) - μ̂_l‖² / ‖μ_l(c) - μ̂_l‖² + ½ ‖C_l(I) - Ĉ_l‖² / ‖C_l(c) - Ĉ_l‖²

c: the content picture. F: rectified feature maps of the content layer. μ_l, C_l: mean and covariance over positions of
the rectified maps of a style layer. They do not depend on the number of positions, so style pictures of any size can be
used. μ̂_l = Σ_s w_s μ_l(s) mixes styles s by shares w_s, and Ĉ_l likewise. This equals weighting their losses, except
for a constant. The style error E_l is 1 for the content picture and 0 for the style, so every layer of every network
has the same weight, and the weights have the same meaning.

The paper matches Gram matrices G = C + μ μᵀ, divides Σ (G - Ĝ)² by 4 N² M², and weights layers by hand. No feature is
negative, so μ μᵀ is most of G: in the first layer of a MobileNet, G of a grey photograph differs from a colourful
painting's by 2 %, and of the painting nothing but the brightness counts. TV₂ is the sum of squared differences of
neighbours. D is DeepDream's objective, the mean of f² in one layer. Its logarithm is used, since D itself grows without
bound and soon dominates. δ is 0 except in its own row. L-BFGS optimises the picture's spectrum in decorrelated colours,
from the content picture or from blurred noise. The paper optimises pixels, which only few networks forgive: see
:func:`cnnviz.ascent.parametrisations.waves`.

To keep the content's colours (Gatys et al. 2016b) only luminances are used. The style's luminance is shifted and scaled
to the mean and spread of the content's, and the result gets the content's I and Q of YIQ.

Variants differ from the main picture in one parameter each. They are smaller and take fewer steps. All losses are of
the published 8-bit pictures; with the content's colours, of their luminance. If a network takes its own input size
only, the centre of each picture at that size is used, and there is no row of style sizes.

Since the network judges itself in E_l, the textures are also compared by filters that belong to no network, see
:func:`cnnviz.style.texture_error.texture_error`.

The result holds ``content``, ``style``, ``second_style`` (if there is one), ``result`` (h, w, c) uint8; ``variants``
(k, h', w', c) uint8 and their ``variant_losses`` (k, 5): content, style, style with respect to the second style picture
(NaN without one), D relative to the content picture's, and texture error; for each step of the main picture, before it:
``content_loss`` (steps,), ``style_losses`` (steps, layers); ``stages`` (s, h, w, c) uint8, that picture after
``stage_steps`` steps.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
import torch
from torch import Tensor

from cnnviz.ascent.loop import Ascent, ascend, halvings, lbfgs, to_bytes
from cnnviz.ascent.objective_functions import Objective, covariance, layer, match, means, read
from cnnviz.ascent.parametrisations import Parametrisation, waves
from cnnviz.ascent.regularisers import total_variation
from cnnviz.errors import NotApplicable
from cnnviz.network import loaded
from cnnviz.network.halving import in_batches
from cnnviz.network.loaded import Model
from cnnviz.run.job import Job, run
from cnnviz.style.sources import (
    SILENT,
    first_stride,
    fitted,
    luminance,
    middle,
    noise,
    own_size,
    seen,
    silent,
    why_not,
    with_maps,
)
from cnnviz.style.texture_error import texture_error

STYLE_LAYERS = 5
LEAST = 1e-6  # smallest distance of content and style that is scaled to 1, as a share of the style's own size
GIVEN = ("content", "style", "second_style")


def layers(model: Model, content: str, style: str | list[str]) -> tuple[str, list[str]]:
    """Names of the content layer and of the style layers; "default" takes them from the model's chosen layers.

    Style: at most five, spread over the first three quarters of the layers with positions, including the first:
    textures of every size up to parts of objects. Content: one half-way, where positions still matter and colours do
    not.
    """
    maps = with_maps(model)
    if style == "default":
        early = maps[: max(1, round(0.75 * len(maps)))]
        style = [early[int(i)] for i in np.linspace(0, len(early) - 1, min(STYLE_LAYERS, len(early)))]
    if content == "default":
        content = maps[round(0.55 * (len(maps) - 1))]
    return model.layer(content).name, [model.layer(name).name for name in style]


@dataclass(frozen=True)
class Style:
    """What pictures look like to a layer, wherever it is: ``mean`` (n, units) and ``covariance`` (n, units, units)."""

    mean: Tensor
    covariance: Tensor


def styles(model: Model, pictures: Tensor, over: Sequence[str]) -> dict[str, Style]:
    """Layer → mean and covariance of its rectified maps of ``pictures`` (n, c, h, w)."""
    modules = {name: model.layer(name).module for name in over}
    outputs = read(model, pictures, list(modules.values()))
    return {name: Style(means(outputs[module]), covariance(outputs[module])) for name, module in modules.items()}


def mixed(given: Sequence[Mapping[str, Style]], shares: Sequence[float]) -> dict[str, Style]:
    """Layer → the weighted mean of several styles, by their shares."""
    every = list(zip(given, shares, strict=True))
    return {
        name: Style(sum(w * s[name].mean for s, w in every), sum(w * s[name].covariance for s, w in every))
        for name in given[0]
    }


def stacked(given: Sequence[Mapping[str, Style]]) -> dict[str, Style]:
    """Layer → styles of one picture each as those of a batch."""
    return {
        name: Style(torch.cat([s[name].mean for s in given]), torch.cat([s[name].covariance for s in given]))
        for name in given[0]
    }


def likeness(model: Model, content: Tensor, style: Mapping[str, Style]) -> dict[str, Objective]:
    """Layer → -E_l: 0 for pictures in that style, -1 for the content picture (1, c, h, w)."""
    before = styles(model, content, list(style))
    return {name: _nearer(model.layer(name).module, before[name], wanted) for name, wanted in style.items()}


def _nearer(module: str, before: Style, wanted: Style) -> Objective:
    size = _square(wanted.mean)  # and of the means' product, its square
    means_apart = torch.maximum(_square(before.mean - wanted.mean), LEAST * size)
    apart = torch.maximum(
        _square(before.covariance - wanted.covariance), LEAST * (_square(wanted.covariance) + size.square())
    )
    return 0.5 * (match(module, wanted.mean, means, means_apart) + match(module, wanted.covariance, covariance, apart))


def _square(x: Tensor) -> Tensor:
    """‖x‖² of each row, (n,), as float64, in which it does not overflow."""
    return x.double().flatten(1).square().sum(1)


def transfer(
    model: Model,
    content: Tensor,
    style: Mapping[str, Style],
    start: Parametrisation,
    *,
    content_layer: str,
    steps: int,
    content_weight: float,
    style_weight: float | Tensor,
    smoothness: float,
    dream_layer: str = "",
    dream_weight: float | Tensor = 0.0,
    snapshots: Sequence[int] = (),
) -> Ascent:
    """Optimises n pictures from ``start``. content: (1, c, h, w) in [0, 1]. style: :func:`styles`, n or 1 of them.

    Weights are numbers, or one per picture, (n,). The curves are "content" and one for each style layer, weighted and
    negative, "dream" if it has a layer, and "total variation".
    """
    at = model.layer(content_layer).module
    objectives = {"content": content_weight * match(at, torch.relu(read(model, content, [at])[at]))}
    for name, nearer in likeness(model, content, style).items():
        objectives[f"style {name}"] = nearer * (style_weight / len(style))
    if dream_layer:
        module = model.layer(dream_layer).module
        dreams = Objective((module,), lambda outputs: layer(module).value(outputs).clamp(min=1e-12).log())
        objectives["dream"] = dreams * dream_weight
    return ascend(
        model,
        objectives,
        start,
        steps=steps,
        optimiser=lbfgs(),
        penalties={"total variation": lambda x: smoothness * total_variation(x, 2)},
        snapshots=snapshots,
        progress="style transfer",
    )


def losses(
    model: Model, pictures: Tensor, content: Tensor, style: Mapping[str, Style], at: str
) -> tuple[np.ndarray, np.ndarray]:
    """(relative content loss, mean style error) of each picture, (n,), without weights."""
    place, nearer = model.layer(at).module, likeness(model, content, style)
    ours = read(model, pictures, [place, *(module for each in nearer.values() for module in each.modules)])
    there = torch.relu(read(model, content, [place])[place])
    apart = -sum(each.value(ours) for each in nearer.values()) / len(style)
    return (-match(place, there).value(ours)).cpu().numpy(), apart.cpu().numpy()


def strength(model: Model, pictures: Tensor, name: str) -> Tensor:
    """DeepDream's objective in a layer, (n,), but at least 1e-12."""
    module = model.layer(name).module
    return layer(module).value(read(model, pictures, [module])).clamp(min=1e-12)


# ------------------------------------------------------------------------------------------------ colour of the content


def grey(model: Model, x: Tensor) -> Tensor:
    """Luminance of pictures, repeated over the network's channels."""
    return luminance(x).expand(-1, model.channels, -1, -1)


def same_light(style: Tensor, content: Tensor) -> Tensor:
    """The style's luminance, shifted and scaled to the mean and spread of the content's; (1, 1, h, w) each."""
    return ((style - style.mean()) / style.std().clamp(min=1e-6) * content.std() + content.mean()).clamp(0, 1)


def recoloured(light: Tensor, content: Tensor) -> Tensor:
    """Luminances (n, 1, h, w) with the I and Q of ``content`` (1, 3, h, w): adding one grey changes only Y."""
    return (content + light - luminance(content)).clamp(0, 1)


# ------------------------------------------------------------------------------------------------------------- variants


@dataclass(frozen=True)
class Variant:
    """Parameters in which one picture differs from the others.

    weight: factor of the style weight. scale: the style picture's longer side, relative to the content's. share: share
    of the first style; the rest is the second's. dream: weight of DeepDream's term. start: "content" or "noise".
    colour: the source of the colours, "style" or "content".
    """

    weight: float = 1.0
    scale: float = 1.0
    share: float = 1.0
    dream: float = 0.0
    start: str = "content"
    colour: str = "style"


def rows(p: dict, channels: int = 3) -> dict[str, list[Variant]]:
    """Row → its variants, in the order shown. Each row contains the main picture's variant.

    channels: the network's number of channels. A network with grey input makes grey pictures, which have no colours to
    keep.
    """
    shares = p["mix"] if p["second_style"] else []
    found = {
        "weight": [Variant(weight=w) for w in sorted(p["ratios"])],
        "scale": [Variant(scale=s) for s in sorted(p["style_sizes"])],
        "share": [Variant(share=s) for s in sorted(shares, reverse=True)],
        "dream": [Variant(dream=d) for d in [0.0, *sorted(p["dream"])]] if p["dream"] else [],
        "start": [Variant(start=s) for s in ("content", "noise")],
        "colour": [Variant(colour=c) for c in ("style", "content")] if channels == 3 else [],
    }
    return {name: row for name, row in found.items() if row}


@dataclass(frozen=True)
class Asked:
    """Parameters that all pictures of a job share."""

    model: Model
    p: dict
    at: str
    over: list[str]
    dream_layer: str
    seed: int
    own: tuple[int, int] | None = None  # the input size, if the network takes no other

    def picture(self, which: str, size: int) -> np.ndarray:
        """A given picture: (h, w, 3) uint8, with a long side of ``size`` pixels, or of the network's only size."""
        return middle(self.p[which], self.own) if self.own else fitted(self.p[which], size, self.model.fitting)

    def make(
        self, variants: Sequence[Variant], size: int, steps: int, snapshots: Sequence[int] = ()
    ) -> tuple[np.ndarray, np.ndarray, Ascent]:
        """Variants of one ``colour``: pictures (n, h, w, c) uint8, their losses (n, 5), and the ascent.

        snapshots: as in :func:`cnnviz.ascent.loop.ascend`; in the colours of the pictures.
        """
        p, model = self.p, self.model
        keep = variants[0].colour == "content"
        colours = model.pictures([self.picture("content", size)])
        content = grey(model, colours) if keep or model.channels == 1 else colours

        def given(which: str, scale: float = 1.0) -> Tensor:
            picture = seen(model, [self.picture(which, max(1, round(size * scale)))])
            if keep:
                picture = same_light(luminance(picture), luminance(content)).expand(-1, model.channels, -1, -1)
            return picture

        first = {scale: given("style", scale) for scale in {v.scale for v in variants}}
        own = {scale: styles(model, picture, self.over) for scale, picture in first.items()}
        second = styles(model, given("second_style"), self.over) if p["second_style"] else None
        wanted = [mixed([own[v.scale], second or own[v.scale]], [v.share, 1 - v.share]) for v in variants]
        start = torch.cat([content if v.start == "content" else noise(content, [self.seed]) for v in variants])
        dreams = torch.tensor([v.dream for v in variants], device=model.device)
        ascent = transfer(
            model,
            content,
            stacked(wanted),
            light(start, model.channels) if keep else waves(start),
            content_layer=self.at,
            steps=steps,
            content_weight=p["content_weight"],
            style_weight=p["style_weight"] * torch.tensor([v.weight for v in variants], device=model.device),
            smoothness=p["total_variation"],
            dream_layer=self.dream_layer if dreams.any() else "",
            dream_weight=dreams,
            snapshots=snapshots,
        )

        def coloured(pictures: Tensor) -> np.ndarray:
            return to_bytes(recoloured(luminance(pictures), colours) if keep else pictures)

        shown = coloured(ascent.pictures)
        kept = {step: coloured(model.pictures(list(pictures))) for step, pictures in ascent.snapshots.items()}
        x = model.pictures(list(shown))
        x = grey(model, x) if keep else x
        against_content, against_first = losses(model, x, content, stacked([own[v.scale] for v in variants]), self.at)
        against_second = losses(model, x, content, second, self.at)[1] if second else np.full(len(x), np.nan)
        dreamt = strength(model, x, self.dream_layer) / strength(model, content, self.dream_layer)
        textures = torch.cat([texture_error(x[i : i + 1], first[v.scale], content) for i, v in enumerate(variants)])
        judged = [against_content, against_first, against_second, dreamt.cpu().numpy(), textures.cpu().numpy()]
        return shown, np.stack(judged, 1), replace(ascent, snapshots=kept)


def light(start: Tensor, channels: int) -> Parametrisation:
    """A parametrisation of grey pictures by the luminance of ``start`` (n, c, h, w), repeated over ``channels``."""
    grey = waves(luminance(start))
    return Parametrisation(grey.variable, lambda spectrum: grey.picture(spectrum).expand(-1, channels, -1, -1))


def settled(model: Model, p: dict, seed: int) -> tuple[Asked, list[float]]:
    """The pictures' common parameters, and the style sizes that the network takes.

    Style layers with features that are all 0 for a style picture are left out. Raises NotApplicable if none is left, or
    if the content layer's features of the content are all 0.
    """
    at, over = layers(model, p["content_layer"], p["style_layers"])
    dream_layer = model.layer(with_maps(model)[-1] if p["dream_layer"] == "default" else p["dream_layer"]).name

    def refused(which: str, side: int) -> tuple[int, int] | None:
        x = seen(model, [fitted(p[which], side, model.fitting)])
        return own_size(model, x, (at, *over, dream_layer))

    named = [which for which in GIVEN if p[which]]
    every = (refused(which, side) for which in named for side in (p["variant_size"], p["size"]))
    asked = Asked(model, p, at, over, dream_layer, seed, next(filter(None, every), None))
    content, *styles = (seen(model, [asked.picture(which, p["variant_size"])]) for which in named)
    over = [name for name in over if not any(silent(model, x, [name]) for x in styles)]
    if not over or silent(model, content, [at]):
        raise NotApplicable(SILENT, model.provenance)
    fit = [s for s in p["style_sizes"] if not asked.own and not refused("style", max(1, round(p["variant_size"] * s)))]
    return replace(asked, over=over), fit


def main(job: Job) -> None:
    p = job.parameters
    model = loaded.load(job, gradients="layers")
    if reason := why_not(model):
        raise NotApplicable(reason, model.provenance)
    asked, fit = settled(model, p, job.seed_for("start"))
    at, over = asked.at, asked.over
    kept = halvings(p["steps"])
    (result,), ((content_loss, style_loss, _, _, texture),), ascent = asked.make(
        [Variant(colour="content" if p["keep_colour"] else "style")], p["size"], p["steps"], kept
    )
    shown = rows(p | {"style_sizes": fit if len(fit) > 1 else []}, model.channels)
    each = dict.fromkeys(v for row in shown.values() for v in row)  # the order of a set is not reproducible
    different = sorted(each, key=lambda v: (v.colour, v.start, v.dream))
    found = []
    for colour in ("content", "style"):
        these = [v for v in different if v.colour == colour]
        found += in_batches(lambda v: asked.make(v, p["variant_size"], p["variant_steps"])[:2], these, p["batch"])
    given = {name: asked.picture(name, p["size"]) for name in GIVEN if p[name]}
    job.write(
        {
            "result": result,
            "stages": np.concatenate([ascent.snapshots[step] for step in kept]),
            "variants": np.concatenate([pictures for pictures, _ in found]),
            "variant_losses": np.concatenate([judged for _, judged in found]),
            "content_loss": -ascent.curves["content"][:, 0] / p["content_weight"],
            "style_losses": -np.stack([ascent.curves[f"style {n}"][:, 0] for n in over], 1)
            * len(over)
            / p["style_weight"],
        }
        | given,
        numbers={
            "content_layer": at,
            "style_layers": over,
            "dream_layer": asked.dream_layer,
            "stride": first_stride(model),
            "own_size": asked.own,
            "stage_steps": kept,
            "content_loss": float(content_loss),
            "style_loss": float(style_loss),
            "texture_error": float(texture),
            "variants": [asdict(v) for v in different],
            "rows": {name: [different.index(v) for v in row] for name, row in shown.items()},
        },
        provenance=model.provenance,
    )
    return None


if __name__ == "__main__":
    run(main)
