"""Compares the maps of all attribution sections by the same tests.

No map is computed again. The maps of the predicted class are read from the results of the sections that are turned on.
Each method that such a section lists in ``METHODS`` is tested. :mod:`cnnviz.attribution.map_scores` has the formulas of
these tests:

- Object: the pointing game (Zhang et al. 2018, doi:10.1007/s11263-017-1059-x) and the mass in the mask. Both need a
  mask or a box, and a correct prediction. Chance is the mask's area.
- Deletion and insertion (Petsiuk, Das, Saenko 2018, arXiv:1806.07421): p(class) while pixels are removed, or put back,
  in the order of the map; A = ∫₀¹ p(x with the first share a of its pixels replaced) da. Deletion replaces pixels by
  the picture's mean colour. Insertion starts from the blurred picture. Chance is a random order.
- Cascading randomisation (Adebayo et al. 2018, arXiv:1810.03292): the weights are redrawn from the top layer down. The
  rank correlation of each map with the original one is computed, of values and of magnitudes. A map that does not
  change does not depend on the weights.

Four baselines do not depend on the network: an edge detector, a centre blob, a uniform and a random map. The verdict on
a difference follows from its bootstrap interval over pictures, paired by picture.

The result holds, for n probe pictures, m methods and b baselines: ``pictures`` (n, h, w, c); ``index``, ``label``,
``target`` (n,), −1 for no label; ``probability`` (n,) of the target; ``masks`` (n, h, w) bool, empty if there is none;
``maps`` (n, m + b, h, w) float16, each divided by its largest magnitude ``scale`` (n, m + b); ``pointing``, ``mass``
(n, m + b), NaN without a mask; ``deletion``, ``insertion`` (n, m + b, steps + 1) p(class); ``rank``, ``magnitude`` (r,
m, blocks) correlations for the pictures ``redrawn`` (r,), indices into the n, NaN for a left-out method; ``cascade``
(m, blocks, h, w) float16, maps of the first of them, scaled as ``maps``. Numbers: ``methods`` [{name, section, signed,
caveat}], ``baselines``, ``blocks`` (the lowest redrawn layer of each), ``checks`` [{check, n, better, chance, rows}]
(see :func:`compared`), ``weights`` (see :func:`moved`), ``boxes`` (number of masks that are boxes), ``left_out``
[{section, reason}].
"""

import dataclasses
import importlib
from collections.abc import Callable

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from cnnviz.attribution import map_scores
from cnnviz.attribution.probes import PREDICTED, Method
from cnnviz.errors import NotApplicable
from cnnviz.network import loaded
from cnnviz.network.loaded import Model
from cnnviz.network.random_weights import cascade
from cnnviz.pictures import images
from cnnviz.pictures.masks import as_seen
from cnnviz.run import result
from cnnviz.run.job import Job, run
from cnnviz.run.progress import bar
from cnnviz.statistics.ranks import rank_correlation

EDGES, CENTRE, UNIFORM, RANDOM = "edge detector", "centre blob", "uniform", "random"
BASELINES = (EDGES, CENTRE, UNIFORM, RANDOM)
# name → (array, larger is better)
CHECKS = {"pointing": True, "mass": True, "deletion": False, "insertion": True}

SAME = 0.5  # a map stays if its rank correlation with the original is larger, with all weights redrawn
ALIKE = 0.95  # the same, with only the top layer's weights redrawn
STAYS, CLASSLESS, CHANGES, IN_PART = "stays", "blind to the class", "changes", "in part"


@dataclasses.dataclass(frozen=True)
class Explained:
    """A method with its maps of the predicted classes: maps (n, h, w) float32, in the order of the probe pictures."""

    name: str
    section: str
    method: Method
    maps: np.ndarray
    parameters: dict
    caveat: str


def explained(job: Job, indices: list[int]) -> tuple[list[Explained], list[dict], result.Result | None]:
    """Methods of the sections among the inputs, left-out sections with the reason, and one of the results.

    That result holds the pictures and predictions. It is None if no section can be used.
    """
    found, left_out, one = [], [], None
    for section, path in job.inputs.items():
        if section in ("network", "images"):
            continue
        left = result.read(path)
        if left.status != "ok":
            left_out.append({"section": section, "reason": left.reason})
            continue
        methods = importlib.import_module(f"cnnviz.attribution.{section}").METHODS
        of_picture = {int(index): i for i, index in enumerate(left.arrays.get("index", ()))}
        chosen = [(of_picture.get(i), predicted(left, of_picture.get(i))) for i in indices]
        if any(t is None for _, t in chosen):
            left_out.append({"section": section, "reason": "it holds no map of the predicted class of each picture"})
            continue
        said = {m["name"]: m for m in left.numbers["methods"]}
        for name, method in methods.items():
            if f"maps/{name}" in left.arrays:
                maps = np.stack([left.arrays[f"maps/{name}"][i, t] for i, t in chosen])
                found.append(Explained(name, section, method, maps, left.parameters, said[name].get("caveat", "")))
        one = one or left
    return found, left_out, one


def predicted(left: result.Result, picture: int | None) -> int | None:
    """Index of the predicted class among a picture's targets, or None."""
    kinds = left.numbers["kinds"][picture] if picture is not None else []
    return next((t for t, kind in enumerate(kinds) if PREDICTED in kind.split(" and ")), None)


# ---------------------------------------------------------------------------------------------- deletion and insertion


def curves(
    probability: Callable[[Tensor], Tensor],
    x: Tensor,
    order: np.ndarray,
    *,
    steps: int,
    gone: Tensor,
    ends: Tensor | None = None,
) -> np.ndarray:
    """p(class) if 0, 1, … ``steps`` equal shares of the pixels of x are replaced by those of ``gone``: (steps + 1,).

    probability: (k, c, h, w) → (k,). x, gone: (1, c, h, w). order: (h · w,) pixels in the order of their replacement.
    ends: (2,) the first and last value, which are the same for every order, if they are known.
    """
    height, width = x.shape[2:]
    place = np.empty(order.size, int)
    place[order] = np.arange(order.size)
    counts = np.rint(np.linspace(0, order.size, steps + 1))
    mask = torch.from_numpy(place.reshape(1, 1, height, width) < counts[:, None, None, None]).to(x.device)
    if ends is None:
        ends = probability(torch.cat([x, gone]))
    inner = probability(torch.where(mask[1:-1], gone, x))
    return torch.cat([ends[:1], inner, ends[1:]]).cpu().numpy()


def blurred(x: Tensor, share: float) -> Tensor:
    """x (1, c, h, w) after a Gaussian blur. Its standard deviation is ``share`` of the shorter side."""
    sigma = share * min(x.shape[2:])
    smooth = ndimage.gaussian_filter(x.cpu().double().numpy(), (0, 0, sigma, sigma), mode="nearest")
    return torch.from_numpy(smooth).to(x)


def batched(model: Model, target: int, most: int = 64) -> Callable[[Tensor], Tensor]:
    """p(``target``) of pictures (k, c, h, w): (k,) float32. A batch has at most ``most`` pictures."""

    @torch.no_grad()
    def probability(x: Tensor) -> Tensor:
        return torch.cat([model.probabilities(model.logits(part))[:, target] for part in x.split(most)])

    return probability


# ------------------------------------------------------------------------------------------------------ verdicts


def compared(
    values: np.ndarray, names: list[str], against: dict[str, np.ndarray], rng: np.random.Generator, resamples: int
) -> list[dict]:
    """A row for each method and baseline: its mean and interval, and its mean difference to each of ``against``.

    values: (n, len(names)) in 0 … 1, larger is better. against: name → (n,). Rows: {name, mean, low, high, against:
    {name: {mean, low, high, verdict}}}. A row is not compared with itself.
    """
    rows = []
    for name, own in zip(names, values.T, strict=True):
        low, high = map_scores.interval(own, rng, bounds=(0, 1), resamples=resamples)
        row = {"name": name, "mean": float(own.mean()), "low": low, "high": high, "against": {}}
        for other, theirs in against.items():
            if other != name:
                difference = own - theirs
                low, high = map_scores.interval(difference, rng, bounds=(-1, 1), resamples=resamples)
                said = map_scores.verdict(len(own), low, high)
                row["against"][other] = {"mean": float(difference.mean()), "low": low, "high": high, "verdict": said}
        rows.append(row)
    return rows


def moved(
    rank: np.ndarray, magnitude: np.ndarray, names: list[str], rng: np.random.Generator, resamples: int
) -> list[dict]:
    """Tests whether maps changed when all weights were redrawn. Returns a row for each tested method.

    rank, magnitude: (pictures, len(names), blocks) correlations with the original map. Rows: {name, n, mean, low, high,
    signed, steps, verdict}. ``mean`` and its interval are of ``magnitude`` in the last block, ``signed`` is the mean of
    ``rank`` there, ``steps`` is each block's mean magnitude. The verdict is STAYS if both correlations are above SAME
    in every picture after the last block, CLASSLESS if both are above ALIKE in every picture after the first, CHANGES
    if both are below SAME in every picture after the last, else IN_PART.
    """
    rows = []
    for m, name in enumerate(names):
        both, own = np.stack([rank[:, m], magnitude[:, m]]), magnitude[:, m, -1]
        if np.isnan(both).any():
            continue
        low, high = map_scores.interval(own, rng, bounds=(-1, 1), resamples=resamples)
        if both[..., -1].min() > SAME:
            said = STAYS
        elif both[..., 0].min() > ALIKE:
            said = CLASSLESS
        else:
            said = CHANGES if both[..., -1].max() < SAME else IN_PART
        row = {"name": name, "n": len(own), "mean": float(own.mean()), "low": low, "high": high, "verdict": said}
        rows.append(row | {"signed": float(rank[:, m, -1].mean()), "steps": magnitude[:, m].mean(0).tolist()})
    return rows


def main(job: Job) -> None:
    model = loaded.load(job)
    image_set = images.read(job.inputs["images"], job.image_set)
    probes = image_set.probes(job.model["probes"])
    methods, left_out, one = explained(job, probes)
    if not methods:
        reasons = "; ".join(f"{left['section']}: {left['reason']}" for left in left_out)
        why = f"There are no maps to test. {reasons}" if reasons else "No attribution section is turned on."
        raise NotApplicable(why, model.provenance)
    names = [m.name for m in methods] + list(BASELINES)
    found = _tested(job, model, image_set, probes, methods, one)
    checks = [said for check in CHECKS if (said := _checked(job, check, found[check], names))]
    randomised, lowest = _randomised(job, model, image_set, probes, methods, found)
    weights = _weights(job, methods, randomised) if randomised else []
    job.write(
        {name: array for name, array in found.items() if name != "boxes"} | randomised,
        numbers={
            "methods": [
                {"name": m.name, "section": m.section, "signed": m.method.signed, "caveat": m.caveat}
                for m in methods
            ],
            "baselines": list(BASELINES),
            "blocks": lowest,
            "checks": checks,
            "weights": weights,
            "same": SAME,
            "alike": ALIKE,
            "boxes": int(found["boxes"]),
            "left_out": left_out,
        },
        provenance=model.provenance,
    )  # fmt: skip
    return None


def _checked(job: Job, check: str, found: np.ndarray, names: list[str]) -> dict | None:
    """The rows of one check, for methods and baselines; None if no picture could be checked."""
    values = found if check in ("pointing", "mass") else map_scores.area(found)
    values = values[~np.isnan(values[:, 0])]
    if not len(values):
        return None
    at = {name: values[:, names.index(name)] for name in BASELINES}
    chance = at[UNIFORM] if check in ("pointing", "mass") else (at[UNIFORM] + at[RANDOM]) / 2
    rng = np.random.default_rng(job.seed_for("bootstrap", check))
    others = {"chance": chance, EDGES: at[EDGES], CENTRE: at[CENTRE]}
    higher, resamples = CHECKS[check], job.parameters["resamples"]
    if higher:
        rows = compared(values, names, others, rng, resamples)
    else:  # a lower curve is better: compare 1 − A, but report A
        rows = compared(1 - values, names, {k: 1 - v for k, v in others.items()}, rng, resamples)
        for row in rows:
            row |= {"mean": 1 - row["mean"], "low": 1 - row["high"], "high": 1 - row["low"]}
    better = "higher" if higher else "lower"
    return {"check": check, "n": len(values), "better": better, "chance": float(chance.mean()), "rows": rows}


def _weights(job: Job, methods: list[Explained], randomised: dict[str, np.ndarray]) -> list[dict]:
    """How much each method's maps change as weights are redrawn."""
    rng = np.random.default_rng(job.seed_for("bootstrap", "weights"))
    names = [m.name for m in methods]
    return moved(randomised["rank"], randomised["magnitude"], names, rng, job.parameters["resamples"])


def _tested(job: Job, model: Model, image_set, probes: list[int], methods: list[Explained], one) -> dict:
    """Scores and curves of every picture; see the module's docstring."""
    geometry, steps = model.preprocess.geometry, job.parameters["steps"]
    per_picture: dict[str, list] = {}
    boxes = 0
    source = {int(index): i for i, index in enumerate(one.arrays["index"])}
    for p, index in enumerate(bar(probes, "pictures")):
        i = source[index]
        picture, label = one.arrays["pictures"][i], int(one.arrays["label"][i])
        t = predicted(one, i)
        target = int(one.arrays["targets"][i, t])
        rng = np.random.default_rng(job.seed_for("ties", image_set.pictures[index].id))
        size = picture.shape[:2]
        maps = [m.maps[p] for m in methods]
        maps += [map_scores.edges(picture), map_scores.centre(*size), np.ones(size), rng.random(size)]
        mask = as_seen(image_set, index, geometry)
        judged = mask is not None and not mask.pixels.all() and label in (-1, target)
        boxes += judged and mask.is_box
        x = model.pictures([picture])
        grey = x.mean((2, 3), keepdim=True).expand_as(x)
        blur = blurred(x, job.parameters["blur"])
        probability = batched(model, target)
        whole, empty, start = probability(torch.cat([x, grey, blur])).split(1)
        of_deletion, of_insertion = torch.cat([whole, empty]), torch.cat([start, whole])
        gone, back = [], []
        for map in maps:
            order = map_scores.ranking(map, rng)
            gone.append(curves(probability, x, order, steps=steps, gone=grey, ends=of_deletion))
            back.append(curves(probability, blur, order, steps=steps, gone=x, ends=of_insertion))
        scale = np.array([max(np.abs(map).max(), 1e-30) for map in maps])
        values = {
            "index": index,
            "label": label,
            "target": target,
            "probability": one.arrays["probabilities"][i, t],
            "pictures": picture,
            "masks": mask.pixels if mask is not None else np.zeros(size, bool),
            "maps": np.stack([(m / s).astype(np.float16) for m, s in zip(maps, scale, strict=True)]),
            "scale": scale.astype(np.float32),
            "pointing": [map_scores.pointing(m, mask.pixels) if judged else np.nan for m in maps],
            "mass": [map_scores.mass(m, mask.pixels) if judged else np.nan for m in maps],
            "deletion": np.stack(gone),
            "insertion": np.stack(back),
        }
        for name, value in values.items():
            per_picture.setdefault(name, []).append(value)
    return {name: np.stack(values) for name, values in per_picture.items()} | {"boxes": np.array(boxes)}


def _randomised(job: Job, model: Model, image_set, probes: list[int], methods: list[Explained], found: dict):
    """Arrays ``rank``, ``magnitude`` and ``cascade`` of the cascading randomisation, and the blocks' names."""
    wrong = (found["label"] >= 0) & (found["label"] != found["target"])  # a map of a right answer says more
    chosen = np.argsort(wrong, kind="stable")[: job.parameters["randomised"]].tolist()
    lowest, ranks, magnitudes, first = [], [], [], []
    if not chosen:
        return {}, lowest
    asked = {m.name for m in methods} - set(job.parameters["not_randomised"])
    pictures = [model.pictures([found["pictures"][p]]) for p in chosen]  # in the order of ``chosen``
    steps = cascade(model, pictures[0], job.parameters["blocks"], job.seed_for)
    for name, drawn in bar(steps, "random weights", job.parameters["blocks"]):
        lowest.append(name)
        rank, magnitude = (np.full((len(chosen), len(methods)), np.nan) for _ in range(2))
        shown = np.zeros((len(methods), *found["pictures"].shape[1:3]), np.float16)
        for at, p in enumerate(chosen):
            id, target = image_set.pictures[probes[p]].id, torch.tensor([found["target"][p]], device=model.device)
            for m, explained in enumerate(methods):
                if explained.name not in asked:
                    continue
                # the original map's random numbers, so that only the weights differ
                seed = dataclasses.replace(job, section=explained.section).seed_for(explained.name, id)
                generator = torch.Generator().manual_seed(seed)
                try:
                    map = explained.method.maps(drawn, pictures[at], target, explained.parameters, generator)[0]
                except NotApplicable:
                    continue
                map = map.detach().float().cpu().numpy()
                rank[at, m] = rank_correlation(map, explained.maps[p])
                magnitude[at, m] = rank_correlation(np.abs(map), np.abs(explained.maps[p]))
                if at == 0:
                    shown[m] = map / max(np.abs(map).max(), 1e-30)
        ranks.append(rank)
        magnitudes.append(magnitude)
        first.append(shown)
    arrays = {"rank": np.stack(ranks, -1), "magnitude": np.stack(magnitudes, -1), "cascade": np.stack(first, 1)}
    return arrays | {"redrawn": np.array(chosen)}, lowest


if __name__ == "__main__":
    run(main)
