"""Checks networks that predict values or label maps: their errors, also with other preprocessings."""

import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace

import numpy as np
from scipy.optimize import linear_sum_assignment

from cnnviz.activations import regression, segmentation
from cnnviz.check import image_sets, suspicions
from cnnviz.check.feeding import others, written
from cnnviz.check.report import Line, flow, percent, some
from cnnviz.check.seen import Seen, scores_of
from cnnviz.network.kinds import REGRESSION, SEGMENTATION
from cnnviz.network.loaded import Model
from cnnviz.pictures import label_maps
from cnnviz.pictures.images import ImageSet
from cnnviz.pictures.preprocess import prepared
from cnnviz.pictures.rows import truth_columns

FIRST = 24  # number of pictures for each other preprocessing
BETTER = 0.8  # a clearly better preprocessing leaves at most this share of the error
ORDER = 0.2  # smallest gain in mean IoU to report another order of the classes
GOOD = 0.1  # a smaller error cannot be much improved


def sample(image_set: ImageSet, kind: str, most: int) -> ImageSet:
    """Pictures with a known truth, queries if there are any, spread over the set; all pictures if none has one."""
    if kind == REGRESSION:
        known = np.isfinite(image_set.targets()).any(1) if len(image_set) else []
    else:
        known = [picture.mask is not None for picture in image_set.pictures]
    chosen = tuple(picture for picture, has in zip(image_set.pictures, known, strict=True) if has)
    chosen = tuple(picture for picture in chosen if picture.role == "query") or chosen
    return image_sets.chosen(replace(image_set, pictures=chosen) if chosen else image_set, most)


def matching(facts: dict, image_set: ImageSet) -> Iterator[Line]:
    """Values that have a column with the truth, and the number of pictures with it."""
    values, columns = facts.get("values"), facts.get("value_columns")
    if not values:
        masks = sum(picture.mask is not None for picture in image_set.pictures)
        if masks:
            yield Line("✓", "masks", f"{masks} of {len(image_set)} pictures have one")
        return
    names = truth_columns(image_set.config, image_set.classes)
    known = np.isfinite(image_set.targets()).sum(0)

    def where(value: str, column: int) -> str:
        few = f", {known[column]} of {len(image_set)} pictures" if known[column] < len(image_set) else ""
        return f"{value} (column {names[column]!r}{few})"

    found = [where(v, c) for v, c in zip(values, columns, strict=True) if c is not None]
    without = [v for v, c in zip(values, columns, strict=True) if c is None]
    if found:
        words = f"true values of {', '.join(found)}" + (f"; no column for {some(without)}" if without else "")
        yield Line("!" if without else "✓", "values", words)


def judged(seen: Seen, seconds: float) -> Iterator[Line]:
    """The network's errors, and whether another preprocessing has clearly smaller ones."""
    started = time.monotonic()
    if seen.model.kind == SEGMENTATION:
        yield from _odd_masks(seen)
    error = errors(seen, seen.model, seen.arrays)
    known = np.flatnonzero(np.isfinite(error))
    if not len(known):
        words = "target_columns of a table" if seen.model.kind == REGRESSION else "masks"
        yield Line("!", "accuracy", f"errors and preprocessing cannot be checked without the truth ({words})")
        return
    lines = yield from (_values(seen) if seen.model.kind == REGRESSION else _pixels(seen))
    if len(known) < suspicions.FEWEST:
        words = f"{len(known)} pictures have true values or a mask; at least {suspicions.FEWEST} are needed"
        yield Line("!", "few pictures", words)
        return
    found, left = _check_preprocessing(seen, known, error[known], max(5.0, seconds - (time.monotonic() - started)))
    if lines and left > GOOD and errors(seen, seen.model, seen.arrays, lines=lines)[known].mean() < BETTER * left:
        yield _other_scale(seen, lines)
        found = Line("·", "preprocessing", "cannot be checked before values and truth are on the same scale")
    yield found


def _odd_masks(seen: Seen) -> Iterator[Line]:
    doubts, preprocess = label_maps.Doubts(), seen.model.preprocess
    for place in seen.places:
        label_maps.usable(seen.sample, place, preprocess, len(seen.model.classes), doubts)
    if left_out := tuple(doubts.left_out.values()):
        words = f"{len(left_out)} of {len(seen.places)} tested cannot be used"
        yield Line("✗" if len(left_out) == len(seen.places) else "!", "masks", words, left_out[:3])
    if words := doubts.of_colours():
        yield Line("!", "colours", words)


def errors(
    seen: Seen,
    model: Model,
    arrays: Sequence[np.ndarray],
    places: Sequence[int] | None = None,
    lines: dict[int, dict] | None = None,
) -> np.ndarray:
    """The network's error on each picture, (n,), NaN without a known truth.

    For values it is the mean over them of |v − t| / standard deviation of t, for label maps the share of wrong pixels.
    lines: index of a value → the scale that it is converted to first, see :func:`regression.another_scale`.
    """
    places = seen.places if places is None else places
    if model.kind == REGRESSION:
        values = scores_of(model, arrays)[:, : model.heads].astype(float)
        for place, line in (lines or {}).items():
            values[:, place] = line["scale"] * values[:, place] + line["shift"]
        away = np.abs(values - truth(seen, places))
        spread = np.nanstd(truth(seen, seen.places), axis=0)
        with np.errstate(invalid="ignore"):
            known = np.isfinite(away)
            total = np.where(known, away / np.where(spread > 0, spread, 1), 0).sum(1)
            return np.where(known.any(1), total / np.maximum(known.sum(1), 1), np.nan)
    found = []
    for table in tables(seen, model, arrays, places):
        total = 0 if table is None else table.sum()
        found.append(1 - table.trace() / total if total else np.nan)
    return np.array(found)


def truth(seen: Seen, places: Sequence[int]) -> np.ndarray:
    """True values (n, values), NaN if one is not known."""
    columns, known = seen.facts["value_columns"], seen.sample.targets()[list(places)]
    missing = np.full(len(known), np.nan)
    return np.stack([missing if column is None else known[:, column] for column in columns], 1)


def tables(
    seen: Seen, model: Model, arrays: Sequence[np.ndarray], places: Sequence[int]
) -> Iterator[np.ndarray | None]:
    """The confusion matrix of each picture's pixels; None without a usable mask, see label_maps.usable."""
    classes = len(model.classes)
    for start in range(0, len(arrays), segmentation.BATCH):
        some_arrays = arrays[start : start + segmentation.BATCH]
        maps = segmentation.label_map(model, model.pictures(some_arrays))
        for place, predicted in zip(places[start:], maps, strict=False):
            right = label_maps.usable(seen.sample, place, model.preprocess, classes, label_maps.Doubts())
            yield None if right is None else segmentation.confusion(right, predicted, classes)


def _values(seen: Seen) -> Generator[Line, None, dict[int, dict]]:
    """The error of each value. Returns the lines of those that are on another scale than the truth."""
    known, rng = truth(seen, seen.places), np.random.default_rng(0)
    lines = {}
    for place, name in enumerate(seen.facts["values"]):
        rows = np.isfinite(known[:, place])
        if not rows.any():
            continue
        found = regression.measured(known[rows, place], seen.scores[rows, place].astype(float), rng)
        r2 = "R² not defined (all true values are the same)" if found["r2"] is None else f"R² {found['r2']:.3g}"
        if "r2_interval" in found:
            low, high = found["r2_interval"]
            r2 += f" ({low:.3g} to {high:.3g})"
        words = f"{r2}, mean absolute error {found['mae']:.3g} of {found['n']} pictures"
        words += f"; a constant prediction has {found['control_mae']:.3g}"
        said = regression.verdict(found)
        words += {"yes": "", "no": ": worse than that", "cannot tell": ": perhaps no better than that"}[said]
        yield Line({"yes": "✓", "no": "✗", "cannot tell": "!"}[said], name[:13], words)
        if "line" in found:
            lines[place] = found["line"]
    return lines


def _other_scale(seen: Seen, lines: dict[int, dict]) -> Line:
    """Config lines for values that follow the truth on another scale. lines: index of the value → see regression."""
    values, outputs = seen.facts["values"], seen.block["outputs"]
    scale, shift = (np.ones(len(values)) * (outputs[key] or 0) for key in ("scale", "shift"))
    scale = scale if outputs["scale"] is not None else np.ones(len(values))
    for place, line in lines.items():  # in addition to the config's own scale
        scale[place], shift[place] = line["scale"] * scale[place], line["scale"] * shift[place] + line["shift"]
    fits = " and ".join(f"{values[place]} with R² {line['r2']:.2g}" for place, line in lines.items())
    words = f"the truth is {fits} after a change of scale. Was the network trained on standardised targets? Then take "
    words += "standard deviation and mean from the training; from these pictures,"
    given = {key: v for key, v in outputs.items() if v not in (None, 0, "logits")}
    made = {"scale": _short(scale), "shift": _short(shift)}
    return Line("✗", "scale", words, (f"write under models.{seen.model.id}:", f"  outputs: {flow(given | made)}"))


def _short(values: np.ndarray) -> float | list[float]:
    rounded = [float(f"{v:.4g}") for v in values]
    return rounded if len(rounded) > 1 else rounded[0]


def _pixels(seen: Seen) -> Generator[Line, None, None]:
    found = [t for t in tables(seen, seen.model, seen.arrays, seen.places) if t is not None and t.sum()]
    height, width = seen.model.preprocess.size
    if unknown := 1 - sum(t.sum() for t in found) / (len(found) * height * width):
        words = f"{unknown:.1%} of the pixels are ignored: the masks exclude them"
        yield Line("!" if unknown > 0.5 else "·", "unknown", words)
    counts = np.stack([np.stack([t.diagonal(), t.sum(1), t.sum(0)]) for t in found])
    numbers = segmentation.judged(counts, np.random.default_rng(0))

    def of(key: str) -> str:
        return percent(numbers[key], numbers.get(f"{key}_interval", ()))

    control = numbers["control_pixel_accuracy"]
    words = f"{of('pixel_accuracy')} of the pixels of {len(found)} pictures are right, mean IoU {of('mean_iou')}; "
    words += f"{seen.model.classes[numbers['commonest']]} everywhere: {percent(control)} and "
    words += percent(numbers["control_mean_iou"])
    low, high = numbers.get("pixel_accuracy_interval", (0, 1))
    mark = "✓" if low > control else "✗" if high < control else "!"
    yield Line(mark, "pixels", words)
    if len(found) >= suspicions.FEWEST and (words := _another_order(sum(found), seen.model.classes)):
        yield Line("✗", "label order", words)


def _another_order(table: np.ndarray, classes: Sequence[str]) -> str:
    """Whether the maps would fit the masks much better with the classes in another order, in words, or "".

    table: correct, predicted.
    """
    either = table.sum(1)[:, None] + table.sum(0) - table
    iou = table / np.maximum(either, 1)
    right, said = linear_sum_assignment(iou, maximize=True)
    occurring = table.sum(1) > 0
    old, new = iou.diagonal()[occurring].mean(), iou[right, said][occurring].mean()
    moved = [(classes[r], classes[s]) for r, s in zip(right, said, strict=True) if r != s and table[r, s]]
    if new < old + ORDER or not moved:
        return ""
    pairs = ", ".join(f"{r!r} of the masks is mostly called {s!r}" for r, s in moved[:3])
    return (
        f"mean IoU would be {100 * new:.0f} % instead of {100 * old:.0f} % with the classes in another order: {pairs}. "
        "Number i of a mask, or of mask_colours, is output i"
    )


def _check_preprocessing(seen: Seen, known: np.ndarray, old: np.ndarray, seconds: float) -> tuple[Line, float]:
    """Tests whether another preprocessing has clearly smaller errors.

    known: rows with a known truth. old: their errors. Returns the line to report, and the mean error with the best
    preprocessing.
    """
    if old.mean() < GOOD:
        return Line("✓", "preprocessing", "no other can be clearly better"), float(old.mean())
    full, channels = seen.facts["preprocess"], seen.facts["channels"]
    changes, started = others(seen), time.monotonic()

    def error(change: dict, rows: np.ndarray) -> np.ndarray | None:
        try:
            tried = replace(seen.model, preprocess=prepared(full | change, channels))
            arrays = [seen.arrays[i] for i in rows]
            if {"resize", "crop"} & change.keys():
                arrays = [tried.preprocess.geometry(seen.sample.pixels(seen.places[i])) for i in rows]
            found = errors(seen, tried, arrays, [seen.places[i] for i in rows])
            return found if np.isfinite(found).all() else None
        except Exception:  # networks raise anything for a wrong input size
            return None

    ranked, tried = [], 0
    for i, change in enumerate(changes):
        if time.monotonic() - started > 0.6 * seconds:
            break
        tried += 1
        found = error(change, known[:FIRST])
        if found is not None and found.mean() < old[:FIRST].mean():
            ranked.append((float(found.mean()), len(change), i))
    best = None
    for *_, i in sorted(ranked)[:2]:
        if time.monotonic() - started > seconds:
            break
        found = error(changes[i], known)
        if found is not None and clearly_nearer(found, old if best is None else best[1]):
            best = changes[i], found
    words = f"{tried} others tested in {time.monotonic() - started:.0f} s"
    words += f" (no time for {len(changes) - tried})" if tried < len(changes) else ""
    if best is None:
        return Line("✓" if tried else "!", "preprocessing", f"{words}: none is clearly better"), float(old.mean())
    change, new = best
    said = f"{100 * new.mean():.0f} % instead of {100 * old.mean():.0f} %"
    if seen.model.kind == REGRESSION:
        said = f"the error is {said} of the true values' deviation with {flow(change)[1:-1]}"
    else:
        said = f"{said} of the pixels are wrong with {flow(change)[1:-1]}"
    lines = (f"write under models.{seen.model.id}:", written(seen, change))
    return Line("✗", "preprocessing", f"{said} ({words})", lines), float(new.mean())


def clearly_nearer(new: np.ndarray, old: np.ndarray) -> bool:
    """Whether errors (n,) on the same pictures are at most BETTER of the old ones on average, and by a sign test."""
    smaller, larger = int((new < old).sum()), int((new > old).sum())
    if not smaller or new.mean() > BETTER * old.mean():
        return False
    return suspicions.more_often(smaller, larger) < suspicions.SURE
