"""Tests a network's preprocessing: a few pictures go through it with other common ones, cheapest first."""

import time
from collections.abc import Generator, Sequence
from dataclasses import replace

import numpy as np

from cnnviz.check import image_sets, preprocessing, suspicions
from cnnviz.check.report import Line, flow, percent
from cnnviz.check.seen import Seen, scores_of
from cnnviz.pictures.preprocess import prepared

FIRST = (8, 48)  # number of pictures for every other preprocessing, and then for the best ones


def check(seen: Seen, mapping: list[int | None], seconds: float) -> Generator[Line, None, bool]:
    """Tests whether another preprocessing is clearly better. Returns the answer."""
    right = suspicions.right_outputs(seen.labels, mapping)
    kept = [i for i, outputs in enumerate(right) if outputs]
    right, scores = [right[i] for i in kept], seen.scores[kept]
    if len(kept) < suspicions.FEWEST:
        yield Line("!", "preprocessing", "not tested: too few pictures have a label with an output")
        return False
    if suspicions.hits(scores, right).mean() > 1 - suspicions.LEAST:
        yield Line("✓", "preprocessing", "no other can be clearly better")
        return False
    changes = others(seen)
    started = time.monotonic()
    pace = seen.passing + seen.decoding / 4 + 1e-9
    first = int(np.clip(0.4 * seconds / pace / len(changes), *FIRST))
    found = preprocessing.search(
        changes,
        lambda change, start, stop: scored(seen, change, kept[start:stop]),
        scores,
        right,
        first,
        within=lambda share: time.monotonic() - started < share * seconds,
        chunk=int(np.clip(seconds / 10 / pace, 1, 24)),
    )
    tried = f"{found.tried} others tested in {time.monotonic() - started:.0f} s"
    if found.untried:
        tried += f", no time for {len(found.untried)}, such as {flow(found.untried[0])[1:-1]}"
    if found.change is None:
        yield Line("✓" if found.tried else "!", "preprocessing", tried + ": none is clearly better" * bool(found.tried))
        return False
    new, old = found.new, found.old
    words = (
        f"{percent(new.mean())} instead of {percent(old.mean())} are right with {flow(found.change)[1:-1]} "
        f"({(new & ~old).sum()} of {len(new)} pictures gained, {(old & ~new).sum()} lost; {tried})"
    )
    yield Line("✗", "preprocessing", words, (f"write under models.{seen.model.id}:", written(seen, found.change)))
    return True


def others(seen: Seen) -> list[dict]:
    """Changes of the preprocessing to test."""
    forms = [image_sets.read(seen.sample, i, image_sets.form) for i in seen.places[:8]]
    sizes = {f[:2] for f in forms if isinstance(f, tuple)}
    facts = seen.facts
    return preprocessing.alternatives(facts["preprocess"], facts["channels"], seen.model.preprocess.size, sizes)


def scored(seen: Seen, change: dict, rows: Sequence[int]) -> np.ndarray | None:
    """The network's scores of some pictures under a change; None if it does not accept the input."""
    try:
        block = prepared(seen.facts["preprocess"] | change, seen.facts["channels"])
        tried = replace(seen.model, preprocess=block)
        arrays = [seen.arrays[i] for i in rows]
        if {"resize", "crop"} & change.keys():
            arrays = [tried.preprocess.geometry(seen.sample.pixels(seen.places[i])) for i in rows]
        return scores_of(tried, arrays)
    except Exception:  # networks raise anything for a wrong input size
        return None


def written(seen: Seen, change: dict) -> str:
    """The line of the config for a change."""
    stated = {key: value for key, value in seen.facts["preprocess"].items() if key in seen.block["preprocess"]}
    return f"  preprocess: {flow(stated | change)}"
