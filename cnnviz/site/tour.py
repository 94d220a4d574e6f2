"""A tour of the gallery for first-time visitors, in the order of a lecture on the subject.

The sentence of a stop is the ``tour`` of the section's view.
"""

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
    """The chapters and stops that some model has, each with the page of the first such model.

    A chapter: title, stops; a stop: id, title, page, words.
    """
    shown: dict[str, Entry] = {}
    for model in models:
        for entry in model.sections:
            if entry.status == "ok":
                shown.setdefault(entry.id, entry)
    found = {title: [id for id in ids if id in shown] for title, ids in CHAPTERS.items()}
    chapter, place = found["Filters"], 0
    for id in shown:
        chapter = next((ids for ids in found.values() if id in ids), chapter)
        if id not in chapter:
            chapter.insert(place, id)
        place = chapter.index(id) + 1
    return [{"title": title, "stops": [_stop(shown[id]) for id in ids]} for title, ids in found.items() if ids]


def _stop(entry: Entry) -> dict:
    # sections drawn by an older version have no sentence for the tour
    return {"id": entry.id, "title": entry.title, "page": entry.page, "words": entry.tour or entry.question}
