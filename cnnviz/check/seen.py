"""Opens a network and sends a few pictures through it."""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch

from cnnviz.check import image_sets
from cnnviz.network import building, loaded
from cnnviz.network import facts as known
from cnnviz.network.loaded import Model
from cnnviz.pictures.images import ImageSet, Picture

ENOUGH, MOST = 200, 600  # numbers of labelled pictures; more than ENOUGH only if they take hardly any time
BATCH = 20


@dataclass(frozen=True)
class Seen:
    """A model, the pictures that went through it, and the results.

    block: the model's part of the config. facts: see network.describe. pictures, arrays, scores: the readable pictures
    of the sample, the network's inputs, and its scores (n, outputs). places: their indices in the sample. unreadable:
    the others, in words. decoding, passing: seconds per picture.
    """

    model: Model
    block: dict
    facts: dict
    sample: ImageSet
    places: list[int]
    arrays: list[np.ndarray]
    scores: np.ndarray
    unreadable: list[str]
    decoding: float
    passing: float

    @property
    def pictures(self) -> list[Picture]:
        return [self.sample.pictures[i] for i in self.places]

    @property
    def in_time(self) -> int:
        """Number of pictures of the sample that there was time for, with the unreadable ones."""
        return len(self.places) + len(self.unreadable)

    @property
    def labels(self) -> list[tuple[int, ...]]:
        return [picture.labels for picture in self.pictures]


def opened(built: building.Built, facts: dict, block: dict, device: torch.device) -> Model:
    """The model as in jobs, but without its network.json."""
    feature, chosen = known.feature(facts, block["feature_layer"]), known.chosen(facts, block["layers"])
    return loaded.opened(built.net.to(device), facts, feature, chosen, block["outputs"], device)


def scores_of(model: Model, arrays: Sequence[np.ndarray]) -> np.ndarray:
    with torch.inference_mode():
        return model.logits(model.pictures(arrays)).float().cpu().numpy()


def run_sample(model: Model, block: dict, facts: dict, sample: ImageSet, threads: int, seconds: float) -> Seen:
    """Sends pictures through the network, until there are enough or the time is up. The first two are timed."""
    places, arrays, scores, unreadable, decoding, passing = [], [], [], [], 0.0, 0.0
    start, size = 0, 2
    with ThreadPoolExecutor(threads) as pool:
        while start < len(sample):
            if decoding + passing > (seconds / 5 if len(places) >= ENOUGH else seconds):
                break
            before = time.monotonic()
            batch = range(start, min(start + size, len(sample)))
            made = list(pool.map(lambda i: image_sets.read(sample, i, model.preprocess.geometry), batch))
            decoding, before = decoding + time.monotonic() - before, time.monotonic()
            good = [(i, array) for i, array in zip(batch, made, strict=True) if isinstance(array, np.ndarray)]
            unreadable += [
                f"{sample.pictures[i].name}: {image_sets.reason(error)}"
                for i, error in zip(batch, made, strict=True)
                if isinstance(error, Exception)
            ]
            if good:
                places += [i for i, _ in good]
                arrays += [array for _, array in good]
                scores.append(scores_of(model, arrays[-len(good) :]))
            passing += time.monotonic() - before
            start = batch.stop
            size = int(np.clip(seconds / 4 * start / (decoding + passing + 1e-9), 2, BATCH))
    n = max(1, len(places))
    found = np.concatenate(scores) if scores else np.empty((0, len(model.classes)), np.float32)
    return Seen(model, block, facts, sample, places, arrays, found, unreadable, decoding / n, passing / n)
