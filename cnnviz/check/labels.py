"""Checks that the image set's classes match the right outputs."""

from collections.abc import Generator, Iterator, Sequence

import numpy as np

from cnnviz.check import suspicions
from cnnviz.check.report import Line, flow, percent, some
from cnnviz.check.seen import Seen
from cnnviz.pictures.images import ImageSet
from cnnviz.statistics.shares import share_interval

WAYS = {
    "name": "by name",
    "number": "by number",
    "number from 1": "by number, counted from 1 (the first output is class 1)",
    "wnid": "by WordNet id (the outputs are in the order of these)",
}


def matching(set_classes: Sequence[str], facts: dict) -> Line:
    """How the classes of the image set were matched to outputs, and which have none."""
    way, without, names = facts["labels_found_by"], facts["without_output"], facts["classes"]
    if way == "set":
        order = "sorted by name" if list(set_classes) == sorted(set_classes) else "in its order"
        words = f"the outputs have no names of their own; they are assumed to be the image set's classes, {order}"
        return Line("·", "labels", words)
    if way == "order":
        first = [
            f"{name!r} is taken to be {names[output]!r}"
            for name, output in zip(set_classes, facts["label_to_output"], strict=True)
        ]
        words = f"no class has the name of an output, so they are matched in order: {'; '.join(first[:2])}"
        known = all(name.lstrip("+-").isdecimal() for name in set_classes)
        return Line("✓" if known else "!", "labels", words + ("; …" if len(first) > 2 else ""))
    words = f"{len(set_classes) - len(without)} of {len(set_classes)} classes have an output"
    words += f", found {WAYS[way]}" if way else ""
    if not without:
        return Line("✓", "labels", words)
    reasons: dict[str, list[str]] = {}
    for name, why in without:
        reasons.setdefault(why or "no output has that name", []).append(name)
    words += f". Pictures of the others do not count: {some([name for name, _ in without])}"
    if len(reasons) == 1:
        return Line("!", "labels", f"{words} ({next(iter(reasons))})")
    more = [f"{some(of)}: {why}" for why, of in reasons.items()]
    return Line("!", "labels", words, (*more[:5], *(["…"] if len(more) > 5 else [])))


def judged(seen: Seen, image_set: ImageSet) -> Generator[Line, None, tuple[list[int | None] | None, bool]]:
    """Measures the accuracy, and tests whether another order of the outputs fits better.

    Returns each class's best known output, or None if none can be right; and whether the accuracy is that of guessing
    without a known reason.
    """
    model, labels, mapping = seen.model, seen.labels, list(seen.model.label_to_output)
    right = suspicions.right_outputs(labels, mapping)
    hit = suspicions.hits(seen.scores, right)
    counted = np.array([bool(outputs) for outputs in right])
    few, near = counted.sum() < suspicions.FEWEST, bool(counted.any())
    if counted.any():
        chance = float(np.mean([len(outputs) for outputs in right if outputs])) / len(model.classes)
        near = suspicions.near_chance(hit[counted], chance)
        kind = "queries" if seen.pictures[0].role == "query" else "pictures"
        words = (
            f"{accuracy(seen.scores[counted], [o for o in right if o], model.kind)} of {counted.sum()} labelled {kind}"
        )
        words += f"; chance is {percent(chance)}"
        random = seen.block["weights"] == "random" and not seen.block["checkpoint"] and "factory" not in seen.block
        if near and not few:
            words += ": no better than guessing" + (", as expected of random weights" if random else "")
        yield Line("!" if few or (near and random) else "✗" if near else "✓", "accuracy", words)
    if len(labels) < suspicions.FEWEST:
        words = f"{len(labels)} labelled pictures are too few to check labels and preprocessing"
        if seen.in_time < len(seen.sample):
            words = f"there was time for {len(labels)} labelled pictures only, too few to check labels"
        yield Line("!", "few labels", f"{words}; at least {suspicions.FEWEST} are needed")
        return mapping, False
    if max(map(len, labels)) > 1 and model.kind == "softmax":
        words = "pictures have several, but the network is assumed to name one class; if it can name several, write"
        yield Line("!", "labels", words, (f"under models.{model.id}:  outputs: {{kind: sigmoid}}",))
    found = another_order(seen.scores, labels, mapping, known_orders(seen, image_set, mapping))
    if not found:
        if not counted.any():  # the line about labels reports this
            return None, False
        sure = suspicions.sure_of_something_else(seen.scores, labels, mapping)
        if sure:
            words = (
                f"the network is confident (mean top probability {percent(sure)}) and its answers vary, but they are "
                "right by chance only. Most likely labels and outputs are in another order, or it learnt other classes"
            )
            yield Line("✗", "label order", words, tuple(by_file_name(seen)))
        return (None if sure else mapping), near and not sure
    how, other, new = found
    words = f"{percent(new.mean())} instead of {percent(hit.mean())} are right with the outputs in another order{how}"
    calls = suspicions.mostly_called(seen.scores, labels, mapping)
    more = [
        f"pictures labelled {image_set.classes[label]!r} are mostly called {model.classes[output]!r} ({count} of {of})"
        for label, output, count, of in calls[:3]
    ]
    more += [f"… and so on, {len(calls)} classes in all"] if len(calls) > 3 else []
    yield Line("✗", "label order", words, (*more, *config_lines(other, mapping, seen, image_set.classes)))
    return other, False


def known_orders(seen: Seen, image_set: ImageSet, mapping: list[int | None]) -> list[tuple[str, list]]:
    """See suspicions.orders."""
    first_seen = [image_set.classes[p.labels[0]] for p in image_set.pictures if p.labels]
    appearance = list(dict.fromkeys([*first_seen, *image_set.classes]))
    return list(suspicions.orders(image_set.classes, appearance, seen.model.classes, mapping))


def another_order(
    scores: np.ndarray, labels: Sequence[Sequence[int]], mapping: list[int | None], known: Sequence[tuple[str, list]]
) -> tuple[str, list[int | None], np.ndarray] | None:
    """(": which", mapping, hits) of a known or fitted order of the outputs that is clearly better, or None."""
    ordered = suspicions.better_order(scores, labels, mapping, known)
    fitted = suspicions.permutation(scores, labels, mapping)
    if ordered and fitted and suspicions.explains_more(fitted[1], ordered[2]):
        ordered = None  # such a known order is right for some classes by chance only
    if ordered:
        return f": {ordered[0]}", *ordered[1:]
    return fitted and ("", *fitted)


def accuracy(scores: np.ndarray, right: Sequence[tuple[int, ...]], kind: str) -> str:
    words = []
    for best in (1, 5) if scores.shape[1] > 5 else (1,):
        hit = suspicions.hits(scores, right, best)
        words.append(f"top-{best} {percent(hit.mean(), share_interval(int(hit.sum()), len(hit)))}")
    average = suspicions.mean_average_precision(scores, right) if kind == "sigmoid" else None
    return ", ".join([*([f"mean average precision {percent(average)}"] if average is not None else []), *words])


def by_file_name(seen: Seen) -> Iterator[str]:
    """Tests whether the predictions agree with the file names. Then the labels are wrong, not the outputs' names."""
    predicted, names = seen.scores.argmax(1), seen.model.classes
    agree, luck = suspicions.named_rightly([p.name for p in seen.pictures], names, predicted)
    if len(agree) >= 5 and len(agree) > 5 * luck:
        file = seen.pictures[agree[0]].name.rpartition("/")[2]
        yield f"{len(agree)} of {len(seen.pictures)} files have the predicted name in their own ({file} is called"
        yield f"{names[predicted[agree[0]]]!r}), so the outputs' names are right and the labels are not"


def config_lines(other: list, mapping: list, seen: Seen, set_classes: Sequence[str]) -> list[str]:
    """Config lines that match the classes to the outputs of ``other``."""
    outputs, count = seen.block["outputs"], len(seen.model.classes)
    offset = outputs["offset"]
    under = f"write under models.{seen.model.id}:"
    for step in (1, -1):
        shifted = [None if o is None or not 0 <= o + step < count else o + step for o in mapping]
        placed = [offset + step + i for i in range(len(set_classes))]
        fits = count - offset - step >= len(set_classes)
        if other in (shifted, placed) and offset + step >= 0 and fits and seen.block["classes"] is None:
            usual = {"kind": "softmax", "returns": "logits", "select": None}
            kept = {key: v for key, v in outputs.items() if v != usual.get(key)}
            return [under, f"  outputs: {flow(kept | {'offset': offset + step})}"]
    named = {output: name for name, output in zip(set_classes, other, strict=True) if output is not None}
    if set(named) == set(range(offset, count)) and count <= 40:
        return [under, f"  classes: {flow([named[i] for i in range(offset, count)])}"]
    if all(name.isdecimal() for name in set_classes) and other == [None if o is None else o - 1 for o in mapping]:
        return ["the labels seem to count from 1; they have to count from 0"]
    if seen.block["classes"] is None:
        return [under, "  classes: [...], the names of all outputs in the order that your training script counted them"]
    return ["put the names under `classes:` into the order of the outputs, or correct the labels"]
