"""The templates of a linear classifier on the pixels, a figure per class, and its accuracy beside the network's."""

import numpy as np

from cnnviz.network.class_names import short
from cnnviz.run.result import Result
from cnnviz.views import papers
from cnnviz.views.kit import colour, section
from cnnviz.views.kit.section import Context, Figure, Metric, Subject, Table

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
    metrics.append(Metric("always_the_largest_class", numbers["chance"], "share"))
    return {
        "figures": tuple(_template(result, context, k) for k in range(len(arrays["classes"]))),
        "tables": (_classes(result, context),),
        "metrics": tuple(metrics),
    }


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
    return context.picture(
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


def _classes(result: Result, context: Context) -> Table:
    arrays, numbers = result.arrays, result.numbers
    known, size = numbers["cnn"] is not None, arrays["templates"].shape[1]
    tested, fitted = (_labels(result, context, of) for of in ("tested", "fitted"))
    how = (
        f"the {len(tested)} query pictures, fitted to {len(fitted)} references"
        if numbers["held_out"]
        else f"{len(tested)} pictures, each by a classifier fitted to the four fifths without it"
    )
    left_out = numbers["all_classes"] - len(arrays["classes"])
    rows = []
    for k, c in enumerate(arrays["classes"]):
        counts = (int((labels == c).sum()) for labels in (fitted, tested))
        rows.append((context.image_set.classes[c], *counts, *_found(result, context, k)[: 1 + known]))
    return Table(
        "classes",
        f"Share of each class's pictures that are recognised, over {how}; at {size} × {size} pixels"
        + (f". {left_out} classes of the set are left out: too few pictures, or beyond the limit" if left_out else "")
        + ".",
        ("class", "fitted to", "tested on", "linear classifier", *(("network",) if known else ())),
        tuple(rows),
    )


def _share(right: np.ndarray) -> str:
    return f"{right.mean():.0%}" if len(right) else "no such class"


def _interval(right: np.ndarray) -> tuple[float, float]:
    """95 % interval of a share (Wilson 1927)."""
    n, p, z = len(right), float(right.mean()), 1.96
    middle, half = p + z * z / (2 * n), z * (p * (1 - p) / n + z * z / (4 * n * n)) ** 0.5
    low, high = (middle - half) / (1 + z * z / n), (middle + half) / (1 + z * z / n)
    return max(0.0, min(p, low)), min(1.0, max(p, high))  # so that rounding does not exclude the share itself


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
        question="How far would one template a class get, and what would it look like?",
        tour="How far would one template a class get? Not far, and one sees why.",
        how_to_read="The simplest classifier there is compares a picture with one template a class: bright and "
        "colourful where such pictures are brighter or more of that colour than others. All poses must share it, so a "
        "horse may have a head at each end, and planes and ships become their blue surroundings. What the network "
        "gets right beyond this classifier cannot be told by colours at their usual places.",
        do_not_conclude="This is not what the network does: its accuracy stands beside for comparison only. If the "
        "network was trained on these very pictures, its share is flattering, and it may have seen many more. A linear "
        "classifier close behind the network means that the classes differ in colour and layout, which can be a fault "
        "of the picture set. Another penalty gives smoother or noisier templates of nearly the same accuracy.",
        equation="p(k | x) = softmax(W x + b)ₖ,  W, b = arg min  cross-entropy + λ/2 ‖W‖²",
        papers=(papers.KRIZHEVSKY_2009,),
    )
