"""A tour of the gallery for first-time visitors, in the order of a lecture on the subject.

The sentence of a stop is the ``tour`` of the section's view.
"""

from cnnviz.site import ranking
from cnnviz.site.stamp import Entry, Stamp

CHAPTERS = {
    "Filters": ["first_layer_filters", "layer_filters", "linear_templates"],
    "What the last layer knows": ["predictions", "nearest_neighbors", "pca", "tsne", "tsne_grid"],
    "Single units": ["activation_maps", "maximal_patches", "unit_statistics"],
    "Which pixels matter": [
        "occlusion",
        "saliency",
        "saliency_segmentation",
        "lime",
        "grad_cam",
        "deconvnet",
        "guided_backprop",
        "attribution_check",
        "bias_probe",
    ],
    "Pictures it would like to see": [
        "class_visualization",
        "logit_vs_probability",
        "objectives",
        "unit_visualization",
        "diversity",
        "multifaceted",
        "fooling_images",
    ],
    "What is kept of a picture": ["feature_inversion", "deepdream", "texture_synthesis", "style_transfer"],
}


def chapters(models: list[Stamp]) -> list[dict]:
    """The chapters and stops that some model has, each stop with the page of the first such model.

    A chapter: title, stops, and of its strongest finding: model (its title), section, page, says, thumbnail. Without a
    finding these are of its first stop. A stop: id, title, page, words.
    """
    shown: dict[str, tuple[Entry, str]] = {}
    for model in models:
        for entry in model.sections:
            if entry.status == "ok":
                shown.setdefault(entry.id, (entry, model.title))
    found = {title: [id for id in ids if id in shown] for title, ids in CHAPTERS.items()}
    chapter, place = found["Filters"], 0
    for id in shown:
        chapter = next((ids for ids in found.values() if id in ids), chapter)
        if id not in chapter:
            chapter.insert(place, id)
        place = chapter.index(id) + 1
    return [
        {"title": title, "stops": [_stop(shown[id][0]) for id in ids]} | _finding([shown[id] for id in ids])
        for title, ids in found.items()
        if ids
    ]


def _stop(entry: Entry) -> dict:
    # sections drawn by an older version have no sentence for the tour
    return {"id": entry.id, "title": entry.title, "page": entry.page, "words": entry.tour or entry.question}


def _finding(shown: list[tuple[Entry, str]]) -> dict:
    strongest = ranking.strongest([entry for entry, _ in shown])[:1]
    entry, model = next((pair for pair in shown for f in strongest if pair[0].id == f["section"]), shown[0])
    pictured = next((other for other in (entry, *(e for e, _ in shown)) if other.thumbnail), entry)
    says = strongest[0]["says"] if strongest else _stop(entry)["words"]
    return {"model": model, "section": entry.id, "page": entry.page, "says": says, "thumbnail": pictured.thumbnail}
