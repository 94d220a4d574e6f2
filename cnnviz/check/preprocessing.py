"""Other preprocessings than the config's, and the search for a clearly better one. No torch.

A *change* holds the keys of a preprocessing block that differ, as they would be written into a config.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import log_softmax

from cnnviz.check.suspicions import clearly_better, hits, plausible

_PRESETS = (  # range, mean, std in the order RGB: torchvision; TensorFlow, Inception; plain; Caffe; plain bytes
    (1, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
    (1, 0.5, 0.5),
    (1, 0, 1),
    (255, [123, 117, 104], 1),
    (255, 0, 1),
)
SMALL = 96  # pixels: pictures of one size up to this are most likely in the training size
_CIFAR = (1, [0.491, 0.482, 0.447], [0.247, 0.243, 0.262])
_MNIST = (1, 0.1307, 0.3081)


def values(block: dict, channels: int, side: int) -> list[dict]:
    """Other mappings of pixel values: changes of a complete preprocessing block, likely ones first.

    channels, side: of the network's input. Changes with the effect of the block, or of another change, are left out.
    """
    white = block["range"]
    other = 255 if white == 1 else 1
    swapped = {"channels": "BGR" if block["channels"] == "RGB" else "RGB"}
    presets = [*_PRESETS, _CIFAR] if side <= 64 and channels == 3 else list(_PRESETS)
    if channels != 3:
        presets = [(p, *(float(np.mean(v)) for v in rest)) for p, *rest in (*presets, _MNIST)]
    changes = [{"range": other}]
    if not isinstance(block["mean"], str):
        changes.append({"range": other, "mean": _rounded(np.multiply(block["mean"], other / white))})
    orders = ["RGB"]
    if channels == 3:
        turned = {key: block[key][::-1] for key in ("mean", "std") if isinstance(block[key], list)}
        changes = [swapped, swapped | turned, *changes, swapped | {"range": other}]
        orders = [block["channels"], swapped["channels"]]
    for order in orders:
        for white_, mean, std in presets:
            mean, std = ([*v[::-1]] if order == "BGR" and isinstance(v, list) else v for v in (mean, std))
            changes.append({"channels": order, "range": white_, "mean": mean, "std": std})
    found, seen = [], [_effect(block, channels)]
    for change in changes:
        change = {key: value for key, value in change.items() if value != block[key]}
        effect = _effect(block | change, channels)
        if not any(_same(effect, e) for e in seen):
            seen.append(effect)
            found.append(change)
    return found


def _rounded(value: np.ndarray) -> float | list[float]:
    return np.round(value, 4).tolist()


def _effect(block: dict, channels: int) -> tuple:
    """A block's effect on the values: (order, slope, offset), or the keys themselves if one of them is a picture."""
    if isinstance(block["mean"], str) or isinstance(block["std"], str):
        return tuple(str(block[key]) for key in ("channels", "range", "mean", "std"))
    std = np.broadcast_to(np.asarray(block["std"], float), channels)
    return block["channels"] if channels == 3 else "", block["range"] / std, np.asarray(block["mean"]) / std


def _same(one: tuple, two: tuple) -> bool:
    return len(one) == len(two) and all(
        a == b if isinstance(a, str) else np.allclose(a, b, rtol=0.01, atol=1e-3) for a, b in zip(one, two, strict=True)
    )


def geometries(block: dict, size: tuple[int, int]) -> list[dict]:
    """Other geometries for an input of ``size`` (height, width): changes of resize and crop."""
    height, width = size
    found = [{"resize": [height, width], "crop": None}]  # the whole picture, warped
    if height == width:
        found += [{"resize": round(height * 256 / 224), "crop": height}, {"resize": height, "crop": height}]
    return [
        change
        for i, change in enumerate(found)
        if any(block[key] != value for key, value in change.items()) and change not in found[:i]
    ]


def alternatives(block: dict, channels: int, size: tuple[int, int], pictures: set[tuple[int, int]]) -> list[dict]:
    """All changes to test: cheapest first, and likely ones first among equals.

    size: (height, width) of the network's input. pictures: (width, height) of some of them. If all have one smaller
    size, the network may need them unscaled. If they have the input's size and are small, it may have been trained on
    enlarged ones.
    """
    found = [*values(block, channels, max(size)), *geometries(block, size)]
    if len(pictures) == 1:
        ((width, height),) = pictures
        native = {"resize": [height, width], "crop": None}
        if height < size[0] and width < size[1]:
            more = values(block, channels, max(height, width))
            found = [native, *(native | change for change in more), *found]
        elif max(height, width) <= SMALL and (height, width) == size:
            found += [{"resize": [224, 224], "crop": None}, {"resize": 256, "crop": 224}]
    return sorted(found, key=lambda change: _pixels(change, size))


def _pixels(change: dict, size: tuple[int, int]) -> int:
    """Pixels of the network's input under a change, for an input of ``size`` before."""
    crop, resize = change.get("crop"), change.get("resize")
    height, width = (crop, crop) if isinstance(crop, int) else resize if isinstance(resize, list) else size
    return height * width


@dataclass(frozen=True)
class Search:
    """Result of the search for another preprocessing.

    change: the clearly better one, or None. old, new: hits on the same pictures with the block unchanged, and with the
    change. tried: number of tested changes. untried: changes that were not tested for lack of time.
    """

    tried: int
    change: dict | None = None
    old: np.ndarray | None = None
    new: np.ndarray | None = None
    untried: tuple[dict, ...] = ()


def search(
    changes: Sequence[dict],
    score: Callable[[dict, int, int], np.ndarray | None],
    scores: np.ndarray,
    right: Sequence[Sequence[int]],
    first: int,
    within: Callable[[float], bool],
    chunk: int = 24,
) -> Search:
    """Searches for a change that is clearly better: all on ``first`` pictures, four on more, three of those on all.

    score: (change, start, stop) → scores of those pictures, or None if the network does not accept the input. scores:
    of all pictures without a change. within: whether this share of the time is still left; if so, the search continues.
    chunk: pictures between two such calls.
    """
    total, got, tried = len(right), {}, set()

    def merit(found: np.ndarray) -> tuple[int, float]:
        """Hits; for ties the probability of the right outputs."""
        some = log_softmax(found.astype(float), axis=1).clip(-20)
        known = [some[i, list(outputs)].max() for i, outputs in enumerate(right[: len(found)]) if outputs]
        return int(hits(found, right[: len(found)]).sum()), float(np.mean(known)) if known else 0.0

    alive = list(range(len(changes)))
    for stop, most, share in ((first, 4, 0.5), (3 * first, 3, 0.7), (total, 3, 1.0)):
        ranked = []
        for i in alive:
            if stop == first:  # without a good change yet, the first round may take nearly all the time
                share = 0.5 if ranked else 0.9
            done = len(got.get(i, ()))
            if not done and within(share):
                tried.add(i)
            while done < min(stop, total) and within(share):
                more = score(changes[i], done, min(done + chunk, stop, total))
                if more is None or not np.isfinite(more).all():
                    break
                got[i] = np.concatenate([got[i], more]) if done else more
                done = len(got[i])
            new, old = (merit(some[:done]) if done else (0, 0.0) for some in (got.get(i), scores))
            if new > old or (new[0] == old[0] - 1 and new[1] > old[1] + 0.1):
                ranked.append((done, *new, -i))
        alive = [-i for *_, i in sorted(ranked, reverse=True)[:most]]
    old = hits(scores, right)
    chance = np.mean([len(outputs) for outputs in right]) / scores.shape[1]
    best, best_new = None, old
    for i in sorted(alive, key=lambda i: len(changes[i])):  # the smallest change, unless another is clearly better
        new = hits(got[i], right[: len(got[i])])
        n = min(len(new), len(best_new))
        if plausible(new, chance, 0.15) and clearly_better(new[:n], best_new[:n]):
            best, best_new = changes[i], new
    untried = tuple(change for i, change in enumerate(changes) if i not in tried)
    return Search(len(tried), best, old[: len(best_new)], best_new, untried)
