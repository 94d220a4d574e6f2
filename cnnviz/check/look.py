"""Early warnings: checks a few labelled pictures before hours of work, as ``make check`` does.

``python -m cnnviz.check.look`` is a job of every report, right after the network's first one. It prints its findings
in the terminal at once, and writes them for the model's pages. It never fails: a doubt does not stop a report.

Writes {"schema": 1, "pictures": number of checked pictures, "warnings": [{"mark": "✗" or "!", "name", "text",
"more"}]}.
"""

import json
from collections.abc import Generator, Iterator

import numpy as np

from cnnviz.check import both, feeding, image_sets, labels, suspicions, truth
from cnnviz.check.limit import OutOfTime, within
from cnnviz.check.report import Line
from cnnviz.check.seen import Seen, run_sample
from cnnviz.network import facts, loaded
from cnnviz.network.kinds import has_probabilities
from cnnviz.pictures.images import ImageSet
from cnnviz.run import atomic
from cnnviz.run.job import Job, run

SCHEMA = 1
MOST = 64  # number of pictures
SECONDS = 60  # largest time; a network of usual size takes two or three


def main(job: Job) -> None:
    found, seen = [], 0
    try:
        for words in facts.read(job.inputs["network"])["trial"]["answers"]:  # the pages read these from the same file
            print(f"WARNING: model {job.model_id}: answers: {words}", flush=True)
        for step in within(steps(job), SECONDS):
            if isinstance(step, Seen):
                seen = len(step.places)
            elif step.mark == "✗" or (step.mark, step.name) == ("!", "labels"):
                found.append(step)
    except OutOfTime:
        pass
    except Exception as error:  # the jobs that need the network or the pictures report their errors
        print(f"model {job.model_id}: not checked early ({type(error).__name__})")
    for line in found:
        print(f"WARNING: model {job.model_id}: {line.name}: {line.text}", *line.more, sep="\n    ", flush=True)
    if found:
        print("The report continues. `make check` with the same config checks more.", flush=True)
    warnings = [{"mark": line.mark, "name": line.name, "text": line.text, "more": list(line.more)} for line in found]
    text = json.dumps({"schema": SCHEMA, "pictures": seen, "warnings": warnings}, indent=1, ensure_ascii=False)
    atomic.write_text(job.outputs["look"], text)


def steps(job: Job) -> Iterator[Line | Seen]:
    """Lines of the check for a job's model on ``MOST`` pictures; and the pictures, after they were run."""
    image_set, known = image_sets.listed(job.image_set), facts.read(job.inputs["network"])
    if not has_probabilities(known["kind"]):
        model = loaded.load(job)
        sample = truth.sample(image_set, model.kind, MOST)
        seen = run_sample(model, job.model, known, sample, job.threads, SECONDS / 2)
        yield seen
        if seen.places:
            yield from truth.judged(seen, SECONDS / 3) if np.isfinite(seen.scores).all() else _odd(seen)
        return
    if not any(picture.labels for picture in image_set.pictures):
        return
    yield labels.matching(image_set.classes, known)
    model = loaded.load(job)
    seen = run_sample(model, job.model, known, image_sets.chosen(image_set, MOST), job.threads, SECONDS / 2)
    yield seen
    if len(seen.places) >= suspicions.FEWEST:
        yield from _judged(seen, image_set)


def _odd(seen: Seen) -> Iterator[Line]:
    odd = suspicions.odd_scores(seen.scores, seen.model.kind, seen.block["outputs"]["returns"])
    return (Line("✗", "scores", words) for words in odd)


def _judged(seen: Seen, image_set: ImageSet) -> Generator[Line, None, None]:
    """Lines about impossible scores and guessing; only then about another order, preprocessing or both."""
    yield from _odd(seen)
    if not np.isfinite(seen.scores).all():
        return
    mapping, puzzling = yield from labels.judged(seen, image_set)
    if mapping is not None and puzzling:
        explained = yield from feeding.check(seen, mapping, SECONDS / 4)
        if not explained and mapping == list(seen.model.label_to_output):
            yield from both.check(seen, image_set, SECONDS / 4)


if __name__ == "__main__":
    run(main)
