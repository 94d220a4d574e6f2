"""Accuracy, confusions, confident errors and calibration of the network, and its predictions for the probe pictures.

For one correct answer per picture (softmax over C outputs z, p = softmax(z), the prediction ŷ = arg max z):

    accuracy = mean of [ŷ_i ∈ L_i],  top-5 the same for the five largest outputs,  L_i the correct outputs of picture i,
    each with Wilson's 95 % interval (Wilson 1927), which stays within 0 … 1 and holds for few pictures too;
    expected calibration error (Guo et al. 2017, arXiv:1706.04599) = Σ_b n_b / n · |accuracy_b − mean p_ŷ in b|,
    over ``bins`` bins of p_ŷ of equal width. For two classes also area under the ROC curve and average precision.

For several correct answers (sigmoid outputs): AUROC and average precision of each output, and their means over outputs.

Accuracy is measured on the labelled query pictures if the set has queries, else on all labelled pictures. Pictures
whose labels have no output are left out; for sigmoid outputs they count as negatives.

The job reads the result of the forward pass and needs no network. The result holds, for n pictures and C outputs:

predicted, probability: (n,) int32 and float32, the best output and its probability; evaluated: (m,) int32 pictures;

class_predicted: (C,) int32 evaluated pictures with this prediction (all pictures, without labels);

class_pictures, class_top1, class_top5, class_precision: (C,), pictures and fractions, NaN without pictures;

confusion: (k, 3) int32 correct output, predicted output, pictures; of several correct outputs the predicted one or else
the first counts; includes the diagonal; sorted by correct, then predicted output;

mistakes: (s,) int32 pictures whose wrong prediction has the largest probability, in descending order; probes: (p,)
int32;

mistakes_label, mistakes_label_probability, probes_label, probes_label_probability: their first correct output, or −1,
and its probability, or NaN;

top_classes, top_probabilities: (n, 5) as in the forward pass;

calibration_edges (bins + 1,), calibration_count, calibration_accuracy, calibration_probability (bins,), NaN for none;

class_auroc, class_average_precision: (C,), NaN if all or no pictures are of the class (sigmoid or two outputs).

For a regression network instead (:mod:`cnnviz.activations.regression`), for k values: ``values`` (n, k) float32;
``truth`` (n, k) float64, NaN if it is not known; ``evaluated`` (n, k) bool; ``worst`` (k, s) int32, the pictures with
the largest errors, padded with −1; ``probes``. Numbers: ``values``, a dict for each. For a segmentation network see
:func:`cnnviz.activations.segmentation.measured`; ``predicted`` is then the class of most pixels, and ``probability``
its share of them.
"""

import numpy as np
from scipy.special import expit, softmax

from cnnviz.activations import regression
from cnnviz.network import facts, kinds
from cnnviz.pictures import images
from cnnviz.run import result
from cnnviz.run.job import Job, run
from cnnviz.statistics.shares import share_interval


def calibration(probability: np.ndarray, hit: np.ndarray, bins: int) -> dict[str, np.ndarray]:
    """Count, accuracy and mean probability per bin of equal width (low, high] in 0 … 1. probability, hit: (m,)."""
    edges = np.linspace(0, 1, bins + 1)
    at = np.clip(np.searchsorted(edges, probability, "left") - 1, 0, bins - 1)
    count = np.bincount(at, minlength=bins)
    some = np.where(count, count, np.nan)
    return {
        "edges": edges,
        "count": count.astype(np.int32),
        "accuracy": np.bincount(at, hit, bins) / some,
        "probability": np.bincount(at, probability, bins) / some,
    }


def calibration_error(count: np.ndarray, accuracy: np.ndarray, probability: np.ndarray) -> float:
    """Guo's expected calibration error from the bins of :func:`calibration`."""
    used = count > 0
    return float((count[used] * np.abs(accuracy[used] - probability[used])).sum() / count.sum())


def confusion(truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """(k, 3) int32 correct output, predicted output, pictures, for every pair that occurs. truth, predicted: (m,)."""
    pairs, counts = np.unique(np.stack([truth, predicted], 1), axis=0, return_counts=True)
    return np.column_stack([pairs, counts]).astype(np.int32)


def shares(of: np.ndarray, hit: np.ndarray, classes: int) -> np.ndarray:
    """Share of ``hit`` (m,) for each class, by class indices ``of`` (m,): (classes,), NaN for none."""
    count = np.bincount(of, minlength=classes)
    return (np.bincount(of, hit, classes) / np.where(count, count, np.nan)).astype(np.float32)


def ranking_quality(targets: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """AUROC and average precision of each column: targets (m, c) bool, scores (m, c); NaN for a column of one value."""
    from sklearn.metrics import average_precision_score, roc_auc_score

    auroc, precision = np.full((2, targets.shape[1]), np.nan, np.float32)
    for c in np.flatnonzero(targets.any(0) & ~targets.all(0)):
        auroc[c] = roc_auc_score(targets[:, c], scores[:, c])
        precision[c] = average_precision_score(targets[:, c], scores[:, c])
    return auroc, precision


def main(job: Job) -> None:
    forward = result.read(job.inputs["forward"])
    logits = np.load(job.inputs["logits"], mmap_mode="r")
    network = facts.read(job.inputs["network"])
    image_set = images.read(job.inputs["images"], job.image_set)
    if network["kind"] == kinds.REGRESSION:
        return of_values(job, network, forward, image_set, logits)
    if network["kind"] == kinds.SEGMENTATION:
        return of_pixels(job, forward, image_set)
    to_output, several = network["label_to_output"], network["kind"] == "sigmoid"
    best, n, classes = forward.arrays["top_classes"], *logits.shape
    right = [[to_output[label] for label in picture.labels] for picture in image_set.pictures]
    right = [[output for output in outputs if output is not None] for outputs in right]
    known = np.array([bool(p.labels if several else r) for p, r in zip(image_set.pictures, right, strict=True)])
    if forward.numbers["on"] == "query":
        known &= np.array([picture.role == "query" for picture in image_set.pictures])
    evaluated = np.flatnonzero(known)

    def labels(name: str, pictures: np.ndarray) -> dict[str, np.ndarray]:
        label = forward.arrays["label"][pictures]
        given = expit(logits[pictures]) if several else softmax(logits[pictures], axis=1)
        given = np.where(label < 0, np.nan, given[np.arange(len(pictures)), label]).astype(np.float32)
        return {name: pictures, f"{name}_label": label, f"{name}_label_probability": given}

    predicted, probability = best[:, 0], forward.arrays["top_probabilities"][:, 0]
    arrays = {
        "predicted": predicted,
        "probability": probability,
        "top_classes": best,
        "top_probabilities": forward.arrays["top_probabilities"],
        "evaluated": evaluated.astype(np.int32),
        "class_predicted": np.bincount(predicted[evaluated if len(evaluated) else slice(None)], minlength=classes),
    } | labels("probes", np.array(image_set.probes(job.model["probes"]), np.int32))
    provenance = result.inherited(forward, "forward")
    numbers = {key: forward.numbers[key] for key in ("on", "geometry")}
    numbers |= {"pictures": n, "kind": network["kind"], "labelled": len(evaluated)}
    if not len(evaluated):
        return job.write(arrays, numbers=numbers, provenance=provenance)

    hits = np.array([[o in right[i] for o in best[i]] for i in evaluated])
    top1, top5 = hits[:, 0], hits.any(1)
    said, sure = predicted[evaluated], probability[evaluated].astype(float)
    wrong = ~top1 & (sure > 0.5 if several else True)
    order = np.flatnonzero(wrong)[np.argsort(-sure[wrong], kind="stable")][: job.parameters["mistakes"]]
    arrays |= labels("mistakes", evaluated[order].astype(np.int32))
    if several or classes == 2:
        ranks, found = ranked([right[i] for i in evaluated], logits[evaluated], several)
        arrays |= ranks
        numbers |= found
    if not several:
        truth = np.array([p if hit else right[i][0] for i, p, hit in zip(evaluated, said, top1, strict=True)], np.int32)
        by_class, found = of_one_class(truth, said, sure, top1, top5, classes, job.parameters["bins"])
        arrays |= by_class
        numbers |= found
    return job.write(arrays, numbers=numbers, provenance=provenance)


def ranked(right: list[list[int]], logits: np.ndarray, several: bool) -> tuple[dict, dict]:
    """Arrays and numbers of the ranking of the m pictures by each class's score. right: their correct outputs."""
    targets = np.zeros(logits.shape, bool)
    for row, outputs in enumerate(right):
        targets[row, outputs] = True
    # the difference ranks as the probability does, without ties by rounding
    scores = logits if several else np.subtract(logits, logits[:, ::-1])
    auroc, precision = ranking_quality(targets, scores)
    arrays = {"class_pictures": targets.sum(0), "class_auroc": auroc, "class_average_precision": precision}
    if np.isnan(auroc).all():
        return arrays, {}
    average = np.nanmean if several else lambda values: values[1]
    return arrays, {"auroc": float(average(auroc)), "average_precision": float(average(precision))}


def of_one_class(
    truth: np.ndarray, said: np.ndarray, sure: np.ndarray, top1: np.ndarray, top5: np.ndarray, classes: int, bins: int
) -> tuple[dict, dict]:
    """Arrays and numbers of m pictures of one class each. said: predicted outputs. sure: their probabilities."""
    reliability = calibration(sure, top1, bins)
    per_class = shares(truth, top1, classes)
    arrays = {
        "class_pictures": np.bincount(truth, minlength=classes),
        "class_top1": per_class,
        "class_top5": shares(truth, top5, classes),
        "class_precision": shares(said, top1, classes),
        "confusion": confusion(truth, said),
    } | {f"calibration_{name}": values for name, values in reliability.items()}
    return arrays, {
        "top1": float(top1.mean()),
        "top1_interval": share_interval(int(top1.sum()), len(top1)),
        "top5": float(top5.mean()),
        "top5_interval": share_interval(int(top5.sum()), len(top5)),
        "mean_class_accuracy": float(np.nanmean(per_class)),
        "calibration_error": calibration_error(*(reliability[k] for k in ("count", "accuracy", "probability"))),
        "largest_class": float(arrays["class_pictures"].max() / len(truth)),
    }


def of_values(job: Job, network: dict, forward: result.Result, image_set: images.ImageSet, scores: np.ndarray) -> None:
    """The result of a regression network, see the module's docstring."""
    names, columns = network["values"], network["value_columns"]
    values = np.asarray(scores[:, : len(names)])
    known = image_set.targets()
    truth = np.full(values.shape, np.nan)
    for place, column in enumerate(columns):
        if column is not None:
            truth[:, place] = known[:, column]
    evaluated = np.isfinite(truth)
    queries = np.array([picture.role == "query" for picture in image_set.pictures])
    on = "query" if (evaluated & queries[:, None]).any() and not queries.all() else "all"
    if on == "query":
        evaluated &= queries[:, None]
    said, worst = [], np.full((len(names), job.parameters["mistakes"]), -1, np.int32)
    for place, name in enumerate(names):
        rows = np.flatnonzero(evaluated[:, place])
        if not len(rows):
            said.append({"name": name, "n": 0})
            continue
        true, own = truth[rows, place].astype(float), values[rows, place].astype(float)
        rng = np.random.default_rng(job.seed_for("bootstrap", name))
        said.append({"name": name} | regression.measured(true, own, rng))
        order = rows[np.argsort(-np.abs(own - true), kind="stable")][: worst.shape[1]]
        worst[place, : len(order)] = order
    arrays = {"values": values, "truth": truth, "evaluated": evaluated, "worst": worst}
    arrays["probes"] = np.array(image_set.probes(job.model["probes"]), np.int32)
    numbers = {"geometry": forward.numbers["geometry"], "on": on, "pictures": len(values), "values": said}
    numbers |= {"kind": kinds.REGRESSION, "labelled": int(evaluated.any(1).sum())}
    job.write(arrays, numbers=numbers, provenance=result.inherited(forward, "forward"))


def of_pixels(job: Job, forward: result.Result, image_set: images.ImageSet) -> None:
    """The result of a segmentation network. It runs on each picture again, since the forward pass keeps no maps."""
    from cnnviz.activations import segmentation
    from cnnviz.network import loaded  # imports torch, which nothing else here needs

    model = loaded.load(job)
    masked = np.array([picture.mask is not None for picture in image_set.pictures], bool)
    queries = np.array([picture.role == "query" for picture in image_set.pictures], bool)
    on = "query" if (masked & queries).any() and not queries.all() else "all"
    chosen = np.flatnonzero(masked & queries if on == "query" else masked).tolist()
    probes = image_set.probes(job.model["probes"])
    arrays, found = segmentation.measured(model, image_set, probes, chosen, job)
    arrays["probes"] = np.array(probes, np.int32)
    arrays |= {"predicted": arrays["shares"].argmax(1).astype(np.int32), "probability": arrays["shares"].max(1)}
    numbers = {"geometry": forward.numbers["geometry"], "on": on, "pictures": len(image_set)}
    numbers |= {"kind": kinds.SEGMENTATION, "labelled": len(arrays["evaluated"]) if "mean_iou" in found else 0} | found
    job.write(arrays, numbers=numbers, provenance=result.inherited(forward, "forward"))


if __name__ == "__main__":
    run(main)
