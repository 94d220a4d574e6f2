"""The templates of a linear classifier on the pixels, a figure per class, and its accuracy beside the network's."""

from dataclasses import replace

import numpy as np

from cnnviz.network.class_names import short
from cnnviz.run.result import Result
from cnnviz.views import papers
from cnnviz.views.kit import colour, panels, section
from cnnviz.views.kit.findings import Finding, Measured, between, mean_interval, percent, share_interval, strength
from cnnviz.views.kit.section import Context, Figure, Metric, Subject, Table

MOST = 12  # templates in the first figure
MARGIN = 0.05  # a difference of shares is found beyond this
SIDE = 128  # side of a template in CSS pixels


def tile(template: np.ndarray) -> np.ndarray:
    """(s, s, 3) template → uint8 of the same shape: 0 is mid-grey, the largest magnitude black or white."""
    return colour.symmetric(template, colour.GREY).grey(template)


def view(result: Result, context: Context) -> dict:
    arrays, numbers = result.arrays, result.numbers
    metrics = [Metric("linear_accuracy", numbers["linear"], "share", "higher", _interval(arrays["linear_right"]))]
    if numbers["cnn"] is not None:
        right = arrays["cnn_right"][arrays["cnn_right"] >= 0]
        metrics.append(Metric("network_accuracy", numbers["cnn"], "share", "higher", _interval(right)))
    metrics.append(Metric("accuracy_of_always_the_largest_class", numbers["chance"], "share"))
    said, measured = found(result)
    return {
        "findings": (said,),
        "measured": {said.key: measured},
        "figures": (_best(result, context), *(_template(result, context, k) for k in range(len(arrays["classes"])))),
        "tables": (_classes(result, context),),
        "metrics": tuple(metrics),
    }


def found(result: Result) -> tuple[Finding, Measured]:
    """Accuracy of the network compared with that of the templates, on the same pictures; or of the templates alone."""
    linear, chance = result.arrays["linear_right"].astype(float), result.numbers["chance"]
    known = result.arrays["cnn_right"] >= 0
    share, guess = percent(float(linear.mean())), f"{percent(chance)}, by always naming the largest class"
    basis = f"{len(linear):,} pictures"
    if not known.any():
        low, high = share_interval(int(linear.sum()), len(linear))
        finding = Finding(
            "templates less chance", f"One template a class names {share} of the pictures correctly.",
            strength(low - chance, high - chance, MARGIN), between(low, high), guess, basis, "best",
        )  # fmt: skip
        return finding, Measured(share, *(value - chance for value in (float(linear.mean()), low, high)))
    right = result.arrays["cnn_right"][known].astype(float)
    gap, low, high = mean_interval(right - linear[known])
    low, high = max(low, -1.0), min(high, 1.0)
    own = percent(float(right.mean()))
    says = f"The network names {own} of the pictures correctly; one template a class names {share}."
    finding = Finding(
        "network less templates", says, strength(low, high, MARGIN),
        f"{100 * low:.0f} to {100 * high:.0f} percentage points apart", guess, basis, "best",
    )  # fmt: skip
    return finding, Measured(f"{own} and {share}", gap, low, high)


def _best(result: Result, context: Context) -> Figure:
    """The templates that recognise the largest share of their class, best first."""
    arrays, labels = result.arrays, _labels(result, context, "tested")
    shares = [arrays["linear_right"][labels == c] for c in arrays["classes"]]
    shares = np.array([own.mean() if len(own) else 0.0 for own in shares])
    order = np.argsort(-shares, kind="stable")[:MOST]
    names = [short(context.image_set.classes[arrays["classes"][k]], 14) for k in order]
    said = [f"{name} {percent(shares[k])}" for name, k in zip(names, order, strict=True)]
    return context.drawing(
        "best", panels.sheet([(w, tile(arrays["templates"][k])) for w, k in zip(said, order, strict=True)], across=6),
        alt=f"{len(order)} templates in rows, the best first: {', '.join(said)}.",
        caption=f"The templates, best first{f' ({len(order)} of {len(shares)})' if len(order) < len(shares) else ''}: "
        "above each the share of its class's pictures that it recognises.",
        mapping="each symmetric about 0, which is mid-grey, to its largest magnitude", data="templates",
        subjects=(), from_dataset=False,
    )  # fmt: skip


def _labels(result: Result, context: Context, of: str) -> np.ndarray:
    """The labels of the pictures in "tested" or "fitted"."""
    return np.array([context.image_set.pictures[i].label for i in result.arrays[of]])


def _found(result: Result, context: Context, k: int) -> tuple[str, str]:
    """Shares of the k-th class's pictures that the linear classifier and the network recognise."""
    own = _labels(result, context, "tested") == result.arrays["classes"][k]
    linear, cnn = result.arrays["linear_right"], result.arrays["cnn_right"]
    return _share(linear[own]), _share(cnn[own & (cnn >= 0)])


def _template(result: Result, context: Context, k: int) -> Figure:
    template, c = result.arrays["templates"][k], result.arrays["classes"][k]
    name, (linear, cnn) = context.image_set.classes[c], _found(result, context, k)
    figure = context.picture(
        f"class-{c}",
        tile(template),
        alt=f"Template of {name}: {_described(template)}.",
        caption=f"{short(name)}: the template finds {linear}"
        + ("." if result.numbers["cnn"] is None else f", the network {cnn}."),
        mapping=f"symmetric about 0, mid-grey: ± {np.abs(template).max():.3g} a channel",
        data="templates",
        subjects=(Subject("class", name),),
        scale=SIDE / template.shape[0],
        pixelated=True,
        from_dataset=False,
    )
    return replace(figure, folded=True)  # the first figure shows them all


def _classes(result: Result, context: Context) -> Table:
    arrays, numbers = result.arrays, result.numbers
    known, size = numbers["cnn"] is not None, arrays["templates"].shape[1]
    tested, fitted = (_labels(result, context, of) for of in ("tested", "fitted"))
    counted = {"fitted to": fitted, "tested on": tested}
    if not numbers["held_out"]:
        del counted["fitted to"]  # each picture is in four of five fits
    how = (
        f"the {len(tested)} query pictures, fitted to {len(fitted)} references"
        if numbers["held_out"]
        else f"{len(tested)} pictures, each by a classifier fitted to the four fifths without it"
    )
    left_out = numbers["all_classes"] - len(arrays["classes"])
    most = result.parameters["classes"]
    why = f"the limit is {most} classes" if len(arrays["classes"]) == most else "they have too few pictures"
    rows = []
    for k, c in enumerate(arrays["classes"]):
        counts = (int((labels == c).sum()) for labels in counted.values())
        rows.append((context.image_set.classes[c], *counts, *_found(result, context, k)[: 1 + known]))
    return Table(
        "classes",
        f"Share of each class's pictures that are recognised, over {how}; at {size} × {size} pixels"
        + (
            f". {left_out} classes of the set are left out: {why}; the network chooses among all its classes"
            if left_out
            else ""
        )
        + ".",
        ("class", *counted, "linear classifier", *(("network",) if known else ())),
        tuple(rows),
    )


def _share(right: np.ndarray) -> str:
    return f"{right.mean():.0%}" if len(right) else "no such class"


def _interval(right: np.ndarray) -> tuple[float, float]:
    return share_interval(int(right.sum()), len(right))


def _described(template: np.ndarray) -> str:
    """A description of the template: the colours of its centre and of its edge, relative to the average picture."""
    s = len(template)
    inner = np.zeros((s, s), bool)
    inner[s // 4 : s - s // 4, s // 4 : s - s // 4] = True
    return f"{_tint(template[inner].mean(0))} in the middle, {_tint(template[~inner].mean(0))} towards the edge"


def _tint(rgb: np.ndarray) -> str:
    light = "brighter" if rgb.mean() > 0 else "darker"
    tint = rgb - rgb.mean()
    if np.abs(tint).max() < 0.5 * np.abs(rgb.mean()):
        return light
    extreme = int(np.abs(tint).argmax())
    more = ("redder", "greener", "bluer") if tint[extreme] > 0 else ("more cyan", "more magenta", "more yellow")
    return f"{light} and {more[extreme]}"


if __name__ == "__main__":
    section.run(
        view,
        id="linear_templates",
        title="Templates of a linear classifier",
        question="How far does one template a class get?",
        tour="How far does a classifier get that compares a picture with one template a class?",
        how_to_read="Each template is bright or coloured where pictures of its class are brighter, or more of that "
        "colour, than others. All pictures of a class share it, so poses and places blur into one.",
        do_not_conclude="The network does not do this: it stands beside for comparison. If it was trained on these "
        "pictures, its share is flattering. A linear classifier close behind means that the classes differ in colour "
        "and layout, which can be a fault of the picture set. Another penalty gives smoother or noisier templates of "
        "nearly the same accuracy.",
        equation="p(k | x) = softmax(W x + b)ₖ,  W, b = arg min  cross-entropy + λ/2 ‖W‖²",
        papers=(papers.KRIZHEVSKY_2009,),
    )
