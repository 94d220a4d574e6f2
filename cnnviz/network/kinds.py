"""The four kinds of networks by their output. No torch here.

- softmax: one class per picture (``outputs.kind`` softmax or binary); sigmoid: any number of classes.
- regression: k named values v. Scores are (n, 2k): v, and −v. So "age up" and "age down" can be explained and ascended
  like classes; a value has no probability.
- segmentation: a score for each class and pixel, (n, c, h, w). The score of a class is the mean of its scores over the
  pixels predicted as it (those where it is the highest); without such pixels, the mean over all pixels.
"""

from collections.abc import Sequence

from cnnviz.errors import UserError
from cnnviz.pictures.rows import LABEL

SOFTMAX, SIGMOID, REGRESSION, SEGMENTATION = "softmax", "sigmoid", "regression", "segmentation"
UP, DOWN = "up", "down"

_NOTES = {
    REGRESSION: " This network predicts values. Here a class means a value that goes up, or one that goes down. Score, "
    "logit and probability mean the value, or its negative for a value that goes down.",
    SEGMENTATION: " This network predicts a class for every pixel. The score of a class is here the mean of its scores "
    "over the pixels predicted as it, or over all pixels if there are none. It is not a probability.",
}

# Questions of sections whose own question is about a network that names one class.
_THING = {"saliency_segmentation": "Is the network most sensitive to the object?"}
_QUESTIONS = {SEGMENTATION: _THING}
_QUESTIONS[REGRESSION] = _THING | {
    "class_visualization": "Which picture has the highest value, and which the lowest?",
    "grad_cam": "Where is the evidence for a higher, and for a lower value?",
    "lime": "Which parts of the picture raise a value, and which lower it?",
    "objectives": "How does the objective change the picture: neuron, unit, layer or value?",
    "occlusion": "Which parts of the picture does each value depend on?",
}


def of(kind: str) -> str:
    """The kind of a network by ``outputs.kind`` of its config block."""
    return kind if kind in (SIGMOID, REGRESSION, SEGMENTATION) else SOFTMAX


def question(kind: str, section: str, words: str) -> str:
    """A section's question for a network of this kind. words: its question for a network that names a class."""
    return _QUESTIONS.get(kind, {}).get(section, words)


def note(kind: str, words: str) -> str:
    """An addition to a section's ``words`` on how to read it if they are about classes, or ""."""
    return _NOTES.get(kind, "") if "class" in words else ""


def has_probabilities(kind: str) -> bool:
    return kind in (SOFTMAX, SIGMOID)


def directions(values: Sequence[str]) -> list[str]:
    """Names of the 2k outputs of a regression network with k named values."""
    return [*(f"{name} {UP}" for name in values), *(f"{name} {DOWN}" for name in values)]


def named_values(given: Sequence[str] | None, columns: Sequence[str], count: int, where: str) -> list[str]:
    """Names of ``count`` values: the given ones, else the table's columns with the truth, else numbers."""
    columns = [column for column in columns if column != LABEL]
    if given is None:
        given = columns if len(columns) == count else ["value"] if count == 1 else [f"value {i}" for i in range(count)]
    if len(given) != count:
        raise UserError(f"{where}: outputs.values lists {len(given)} names, the network has {count} outputs")
    if len({name.casefold() for name in given}) < count:
        raise UserError(f"{where}: outputs.values: {', '.join(given)}: each value needs a name of its own")
    return list(given)


def columns_of(values: Sequence[str], columns: Sequence[str]) -> list[int | None]:
    """Index of each value's column with its truth: of the same name; by position if no name matches."""
    plain = [column.strip().casefold() for column in columns]
    found = [plain.index(name.strip().casefold()) if name.strip().casefold() in plain else None for name in values]
    if len(columns) == len(values) and all(place is None for place in found):
        return list(range(len(values)))
    return found


def stated(kind: str, output: int, outputs: int, score: float) -> str:
    """A network's value for one of its outputs, in a caption: "p = 0.93", "value 31.2" or "score 7.1".

    score: from :meth:`cnnviz.network.loaded.Model.probabilities`. A value is also stated as such for a lowered output.
    """
    if kind == REGRESSION:
        return f"value {score if output < outputs // 2 else -score:.3g}"
    return f"score {score:.2f}" if kind == SEGMENTATION else f"p = {score:.2f}"


def by_pixels(maps):
    """(n, c, h, w) scores of pixels, a tensor → (n, c) scores of classes, see the module's docstring."""
    given = maps.argmax(1, keepdim=True) == _numbers(maps)
    count = given.sum((2, 3))
    own = (maps * given).sum((2, 3)) / count.clamp(min=1)
    return own.where(count > 0, maps.mean((2, 3)))


def _numbers(maps):
    return maps.new_ones(1, maps.shape[1], 1, 1).cumsum(1).long() - 1
