"""The t-SNE map: dots by class, each class alone, and the pictures at their positions."""

from cnnviz.run.result import Result
from cnnviz.views import papers
from cnnviz.views.kit import scatter, section
from cnnviz.views.kit.section import Context, Metric, Table

SPACES = {"features": "feature space", "map": "this map", "pixels": "pixels (32 × 32 × 3)"}


def view(result: Result, context: Context) -> dict:
    numbers = result.numbers
    n = len(result.arrays["map"])
    teach = (
        f"Features: {numbers['feature']}, {numbers['dimensions']} numbers a picture, of which "
        f"{numbers['components']} principal "
        f"components ({numbers['kept_variance']:.0%} of the variance) were embedded, at perplexity "
        f"{numbers['perplexity']:.3g}. Look for islands: pictures the network finds alike."
    )
    if context.image_set.classes:
        teach += " Dots of one class inside another's island are worth opening."
    if numbers["perplexity"] < result.parameters["perplexity"]:
        teach += f" The perplexity was lowered, since {n} pictures have no more neighbours."
    metrics = [Metric("trustworthiness", numbers["trustworthiness"], better="higher")]
    tables = ()
    votes = numbers["votes"]
    if votes:
        metrics += [Metric(f"10_nearest_accuracy_{s}", votes[s], "share", "higher") for s in SPACES]
        rows = [(SPACES[s].capitalize(), f"{votes[s]:.1%}") for s in SPACES]
        rows.append(("Always the largest class", f"{numbers['largest_class']:.1%}"))
        caption = (
            "How often the class that most of a picture's 10 nearest have is its own. The map keeps what the "
            "features know as "
            "far as its figure is near theirs; what is above the pixels' figure the network has learnt."
        )
        tables = (Table("votes", caption, ("nearest in", "right"), tuple(rows)),)
    return {
        "figures": scatter.figures(result.arrays["map"], "t-SNE map", context, teach),
        "tables": tables,
        "metrics": tuple(metrics),
        "widget": "map",
    }


if __name__ == "__main__":
    section.run(
        view,
        id="tsne",
        title="Map of the pictures: t-SNE",
        question="Which pictures does the network find alike?",
        tour="The same bent, so that neighbours stay neighbours.",
        how_to_read="Each dot is a picture; pictures with like features lie close together. Trustworthiness says how "
        "far "
        "the neighbours in the map are neighbours in the features: 1 is all of them, 0.5 is chance.",
        do_not_conclude="Only closeness counts. Distances between islands, their sizes and their density mean nothing: "
        "t-SNE evens them out. The axes have no meaning. Another seed or perplexity gives another, as good, map; "
        "islands can "
        "even appear in pure noise at low perplexity.",
        equation="min KL(P ‖ Q) = Σ p_ij log(p_ij / q_ij), q_ij ∝ 1 / (1 + ‖y_i − y_j‖²)",
        papers=(papers.VAN_DER_MAATEN_2008, papers.POLICAR_2024),
    )
