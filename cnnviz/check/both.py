"""Tests whether preprocessing and order of the outputs are both wrong.

Each other preprocessing is tested with the order that fits it. An order that is fitted to pictures is scored on others,
see :func:`suspicions.permutation`.
"""

import time
from collections.abc import Generator

import numpy as np

from cnnviz.check import feeding, labels, suspicions
from cnnviz.check.report import Line, flow, percent
from cnnviz.check.seen import Seen
from cnnviz.pictures.images import ImageSet

OUTPUTS = 4  # an untrained network can tell fewer outputs apart by chance, in one order or another
MOST = 240  # largest number of pictures


def check(seen: Seen, image_set: ImageSet, seconds: float) -> Generator[Line, None, bool]:
    """Tests whether another preprocessing is clearly better in another order of the outputs. Returns the answer."""
    started, mapping, outputs = time.monotonic(), list(seen.model.label_to_output), seen.scores.shape[1]
    rows = [i for i, of in enumerate(seen.labels) if len(of) == 1][:MOST]
    own = [seen.labels[i] for i in rows]
    if len(rows) < 2 * suspicions.FEWEST or outputs < OUTPUTS:
        return False
    old = suspicions.hits(seen.scores[rows], suspicions.right_outputs(own, mapping))
    if suspicions.plausible(old, 1 / outputs, 1 / 3):
        return False
    changes, known = feeding.others(seen), labels.known_orders(seen, image_set, mapping)
    tries = len(changes) * (len(known) + 1)
    fitting = []
    for change in changes:
        if time.monotonic() - started + seen.passing * len(rows) > seconds:
            break
        scores = feeding.scored(seen, change, rows)
        found = scores is not None and np.isfinite(scores).all() and labels.another_order(scores, own, mapping, known)
        if found and suspicions.plausible(found[2], 1 / outputs, 1 / 2):
            fitting.append((change, *found))
    best, best_hits = None, old
    fitting.sort(key=lambda found: len(found[0]))  # the smallest change first, as in preprocessing.search
    for change, how, other, new in fitting:
        if suspicions.clearly_better(new, best_hits, tries=tries):
            best, best_hits = (change, how, other), new
    if best is None:
        return False
    (change, how, other), new = best, best_hits
    words = (
        f"{percent(new.mean())} instead of {percent(old.mean())} of {len(rows)} pictures are right where both are "
        f"changed: {flow(change)[1:-1]}, and the outputs in another order{how}"
    )
    under, *lines = labels.config_lines(other, mapping, seen, image_set.classes)
    written = feeding.written(seen, change)
    more = (under, written, *lines) if lines else (f"write under models.{seen.model.id}:", written, under)
    yield Line("✗", "both", words, more)
    return True
