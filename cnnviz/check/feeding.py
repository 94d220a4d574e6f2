"""Is a network fed rightly? A few pictures go through it in other usual ways, cheapest first, while there is time."""

import time
from collections.abc import Generator
from dataclasses import replace

import numpy as np

from cnnviz.check import pictures, preprocessing, suspicions
from cnnviz.check.report import Line, flow, percent
from cnnviz.check.seen import Seen, scores_of
from cnnviz.network import models

FIRST = (8, 48)  # pictures that each other preprocessing is tried on before the promising ones see more


def feeding(seen: Seen, mapping: list[int | None], seconds: float) -> Generator[Line, None, bool]:
    """Does another preprocessing score clearly better? Gives back the answer."""
    model, full, channels = seen.model, seen.facts["preprocess"], seen.facts["channels"]
    right = suspicions.right_outputs(seen.labels, mapping)
    kept = [i for i, outputs in enumerate(right) if outputs]
    right, scores = [right[i] for i in kept], seen.scores[kept]
    if len(kept) < suspicions.FEWEST:
        yield Line("!", "preprocessing", "nothing can be said: too few pictures have a label with an output")
        return False
    if suspicions.hits(scores, right).mean() > 1 - suspicions.LEAST:
        yield Line("✓", "preprocessing", "no other could be clearly better")
        return False
    forms = [pictures.read(seen.sample, i, pictures.form) for i in seen.places[:8]]
    sizes = {f[:2] for f in forms if isinstance(f, tuple)}
    changes = preprocessing.alternatives(full, channels, model.preprocess.size, sizes)

    def score(change: dict, start: int, stop: int) -> np.ndarray | None:
        try:
            tried = replace(model, preprocess=models.preprocess(full | change, channels))
            arrays = [seen.arrays[i] for i in kept[start:stop]]
            if {"resize", "crop"} & change.keys():
                arrays = [tried.preprocess.geometry(seen.sample.pixels(seen.places[i])) for i in kept[start:stop]]
            return scores_of(tried, arrays)
        except Exception:  # whatever a network raises on pictures of a size that it does not take
            return None

    started = time.monotonic()
    pace = seen.passing + seen.decoding / 4 + 1e-9
    first = int(np.clip(0.4 * seconds / pace / len(changes), *FIRST))
    found = preprocessing.search(
        changes,
        score,
        scores,
        right,
        first,
        within=lambda share: time.monotonic() - started < share * seconds,
        chunk=int(np.clip(seconds / 10 / pace, 1, 24)),
    )
    tried = f"{found.tried} others tried in {time.monotonic() - started:.0f} s"
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
    written = {key: value for key, value in full.items() if key in seen.block["preprocess"]} | found.change
    yield Line("✗", "preprocessing", words, (f"write under models.{model.id}:", f"  preprocess: {flow(written)}"))
    return True
