"""Class pictures by the logit and by the probability: the effect of the softmax (Simonyan et al. 2014, §2).

    by logit:        argmax_I E_v[ S_c(v(I)) ]
    by probability:  argmax_I E_v[ log p_c / (1 - p_c) ],   log p_c / (1 - p_c) = S_c - log Σ_{k≠c} exp S_k

p_c = exp S_c / Σ_k exp S_k. It rises with S_c, and also when the other scores fall. That is why Simonyan et al.
maximise the score. The log odds rise with p and have a gradient in the direction of p's, ∇p / (p (1 - p)). It does not
vanish where p is near 0, as at the start, or near 1, as soon afterwards. Both pictures of a class start from the same
spectrum. They have the same random views, penalties and steps of Adam, and gradients of the same length
(:func:`cnnviz.ascent.climb.climb`), so all differences come from the objective. A score that ends in a ReLU and is flat
at the start is ascended before that ReLU.

If each class has a probability of its own (sigmoid), the two objectives are the same.

The result holds, for n classes: ``targets`` (n,); ``pictures`` (n, 2, h, w, c) uint8, by logit and by probability. For
each 8-bit picture, upright and whole, (n, 2): ``logits``, ``odds`` (log p/(1-p)), ``probabilities``, ``ranks``, and
``rivals``, the subtracted log Σ: about the score of the strongest other class. ``curves/logit``, ``curves/odds``
(n, 2, steps) float32: both during the ascent, before each step, under that step's view.
"""

import numpy as np
import torch

from cnnviz.ascent.class_scores import chosen, judge, log_odds, odds, score_at, scores_of
from cnnviz.ascent.climb import climb
from cnnviz.ascent.loop import to_bytes
from cnnviz.ascent.objective_functions import logit
from cnnviz.ascent.parametrisations import fourier
from cnnviz.errors import NotApplicable
from cnnviz.network import loaded
from cnnviz.network.halving import in_batches
from cnnviz.network.loaded import Model
from cnnviz.run.job import Job, run


def both(model: Model, classes: list[int], seeds: list[int], views: int, steps: int) -> dict[str, np.ndarray]:
    """The arrays of the module's docstring without ``targets``."""
    watch = {"logit": logit(classes), "odds": odds(classes)}
    start = fourier(model.preprocess.size, seeds, channels=model.channels, device=model.device)
    score, _ = score_at(model, classes, start.picture(start.variable))
    found: dict[str, list] = {}
    for objective in (score, watch["odds"]):
        ascent = climb(model, objective, seeds, views, steps, watch)
        pictures = to_bytes(ascent.pictures)
        values = {"pictures": pictures, **with_odds(model, pictures, classes)}
        values |= {f"curves/{name}": ascent.curves[name].T for name in watch}
        for name, value in values.items():
            found.setdefault(name, []).append(value)
    return {name: np.stack(values, 1) for name, values in found.items()}


def with_odds(model: Model, pictures: np.ndarray, targets: list[int]) -> dict[str, np.ndarray]:
    """Logits, odds, probabilities, ranks and rivals of 8-bit pictures (n, h, w, c), upright and whole: (n,) each."""
    found = judge(model, pictures, targets)
    lead = log_odds(scores_of(model, pictures), torch.tensor(targets)).numpy()
    return found | {"odds": lead, "rivals": found["logits"] - lead}


def main(job: Job) -> None:
    model = loaded.load(job, gradients="scores")
    if model.kind == "sigmoid":
        reason = (
            "Each class of this network has a probability of its own, which rises with its score only: "
            "maximising one maximises the other."
        )
        raise NotApplicable(reason, model.provenance)
    if len(model.classes) < 2:
        reason = "This network has one output only, and its softmax probability is always 1."
        raise NotApplicable(reason, model.provenance)
    targets = chosen(model, job.parameters["classes"])

    def batch(classes: list[int]) -> dict[str, np.ndarray]:
        seeds = [job.seed_for("start", model.classes[c]) for c in classes]
        return both(model, classes, seeds, job.seed_for("views"), job.parameters["steps"])

    found = list(in_batches(batch, targets, job.parameters["batch"]))
    arrays = {name: np.concatenate([f[name] for f in found]) for name in found[0]}
    numbers = {"classes": [model.classes[c] for c in targets]}
    return job.write(arrays | {"targets": np.array(targets)}, numbers=numbers, provenance=model.provenance)


if __name__ == "__main__":
    run(main)
