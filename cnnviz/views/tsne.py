"""The t-SNE map: dots by class, each class alone, and the pictures at their positions."""

import numpy as np

from cnnviz.run.result import Result
from cnnviz.views import papers
from cnnviz.views.kit import before_training, findings, scatter, section
from cnnviz.views.kit.findings import Finding, Measured, between, percent
from cnnviz.views.kit.section import Context, Metric, Table

MARGIN = 0.05  # a difference of shares is found beyond this
NEAREST = 10
READ = "Each picture or dot stands by those with like features: what lies together is alike for this layer."
WHERE = {"features": "in_features", "map": "on_the_map", "pixels": "in_pixels"}
SPACES = {"features": "feature space", "map": "this map", "pixels": "pixels (32 × 32 × 3)"}


def view(result: Result, context: Context) -> dict:
    numbers = result.numbers
    n, several = len(result.arrays["map"]), scatter.several(context)
    teach = (
        f"Features: {numbers['feature']}, {numbers['dimensions']} numbers a picture, of which "
        f"{numbers['components']} principal components ({percent(numbers['kept_variance'])} of the variance) were "
        f"embedded at perplexity {numbers['perplexity']:.3g}."
    )
    if several and context.hues:
        teach += " Dots of one class inside another's island are worth opening."
    if numbers["perplexity"] < result.parameters["perplexity"]:
        teach += f" The perplexity was lowered, since {n} pictures have no more neighbours."
    metrics = [Metric("trustworthiness", numbers["trustworthiness"], better="higher")]
    tables = ()
    votes = numbers["votes"]
    if votes:
        metrics += [
            Metric(f"class_named_by_10_nearest_{where}", votes[s], "share", "higher") for s, where in WHERE.items()
        ]
        rows = [(SPACES[s].capitalize(), f"{votes[s]:.1%}") for s in SPACES]
        if len(before := result.arrays.get("control/untrained", ())):
            rows.append((f"Features with random weights, of {len(before):,} pictures", f"{before.mean():.1%}"))
        rows.append(("Always the largest class", f"{numbers['largest_class']:.1%}"))
        caption = (
            "How often the class that most of a picture's 10 nearest have is its own. The map keeps what the features "
            "tell as far as its number is near theirs. What lies above random weights was learned."
        )
        tables = (Table("votes", caption, ("nearest in", "right"), tuple(rows)),)
    labels = [p.label for p in context.image_set.pictures if p.label is not None]
    finding, measured = found(result, np.bincount(np.array(labels, int)), scatter.leading(context))
    of_classes = " An island of one class: the network finds its pictures alike."
    return {
        "how_to_read": READ + of_classes * several,
        "findings": (finding,),
        "measured": measured,
        "figures": scatter.figures(result.arrays["map"], "t-SNE map", context, teach),
        "tables": tables,
        "metrics": tuple(metrics),
        "widget": "map",
    }


def found(result: Result, counts: np.ndarray, figure: str) -> tuple[Finding, dict[str, Measured]]:
    """Accuracy of naming a picture's class by its neighbours on the map, and by pixels.

    counts: pictures per class. figure: id of the one that shows it.
    """
    votes, key = result.numbers["votes"], "classes on the map"
    if not votes:
        return _kept(result, len(counts) > 0)
    asked = min(int(counts[counts > 1].sum()), result.parameters["sample"])  # as the job asked
    hits = {name: np.arange(asked) < round(votes[name] * asked) for name in ("map", "pixels")}
    hits |= {
        name.removeprefix("control/"): right for name, right in result.arrays.items() if name.startswith("control/")
    }
    own = hits.pop("map").astype(float)
    measured, strength, control = before_training.apart(own, hits, votes["map"], MARGIN)
    finding = Finding(
        key, f"On the map, a picture's 10 nearest name its class in {percent(votes['map'])} of cases.", strength,
        between(*findings.share_interval(round(votes["map"] * asked), asked)),
        f"{control}, {percent(result.numbers['largest_class'])} always the largest class",
        f"{asked:,} pictures", figure,
    )  # fmt: skip
    return finding, {key: measured}


def _kept(result: Result, labelled: bool) -> tuple[Finding, dict[str, Measured]]:
    """The share of a picture's nearest on the map that are its nearest in the features, beside pixels and random
    weights: what of the map is the network's own.
    """
    key, arrays = "neighbours on the map", result.arrays
    spaces = ("features", "pixels", "untrained")
    shares = {name: arrays[f"kept/{name}"].astype(float) for name in spaces if f"kept/{name}" in arrays}
    own = shares.pop("features")
    share, low, high = findings.mean_interval(own)
    measured, strength, control = before_training.apart(own, shares, share, MARGIN)
    k = min(NEAREST, len(own) - 1)
    few = "; hardly two share a class" if labelled else " without classes"
    finding = Finding(
        key, f"{percent(share)} of a picture's {k} nearest on the map are its nearest in the features.", strength,
        between(max(low, 0.0), min(high, 1.0)),
        f"its nearest {control}, {percent(min(1.0, k / max(1, len(own) - 1)))} by chance",
        f"{len(own):,} pictures{few}", "pictures",
    )  # fmt: skip
    return finding, {key: measured}


if __name__ == "__main__":
    section.run(
        view,
        id="tsne",
        title="Map of the pictures: t-SNE",
        question="Which pictures does the network find alike?",
        tour="A map of all pictures on which neighbours in the features stay neighbours.",
        how_to_read=READ,
        do_not_conclude="Only closeness counts. Distances between islands, their sizes and their density mean nothing, "
        "and the axes have no meaning. Another seed or perplexity gives another map. Islands can even appear in pure "
        "noise at low perplexity.",
        equation="min KL(P ‖ Q) = Σ p_ij log(p_ij / q_ij), q_ij ∝ 1 / (1 + ‖y_i − y_j‖²)",
        papers=(papers.VAN_DER_MAATEN_2008, papers.POLICAR_2024),
    )
