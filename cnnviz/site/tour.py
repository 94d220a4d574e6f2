"""The front page's chapters, in the order of a lecture on the subject, and guided tours of a few stops each.

The sentence of a stop is the ``tour`` of the section's view.
"""

import json
from collections.abc import Iterable

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

# title → for whom it is, its sections
TOURS = {
    "A first look": (
        "The best pictures of each kind, in five minutes.",
        [
            "first_layer_filters",
            "maximal_patches",
            "class_visualization",
            "occlusion",
            "nearest_neighbors",
            "deepdream",
        ],
    ),
    "Can it be trusted?": (
        "For a report: what it gets wrong, and why.",
        ["predictions", "bias_probe", "occlusion", "attribution_check", "fooling_images"],
    ),
    "For a class": (
        "The order of a lecture, from the pixels to the classes and back.",
        [
            "first_layer_filters",
            "layer_filters",
            "activation_maps",
            "maximal_patches",
            "tsne_grid",
            "class_visualization",
            "feature_inversion",
            "style_transfer",
        ],
    ),
}


def tours(models: list[Stamp]) -> list[dict]:
    """The guided tours: id, title, words, and stops (title, page, thumbnail), each of the first model that has it.

    A tour of one stop is left out.
    """
    shown, found = _shown(models), []
    for number, (title, (words, ids)) in enumerate(TOURS.items()):
        entries = [shown[id][0] for id in ids if id in shown]
        stops = [{"title": e.title, "page": e.page, "thumbnail": e.thumbnail} for e in entries]
        found.append({"id": number, "title": title, "words": words, "stops": stops})
    return [tour for tour in found if len(tour["stops"]) > 1]


def script(found: list[dict]) -> str:
    """The tours as a classic script, for ``tour.js`` on the pages of their stops."""
    kept = {
        tour["id"]: {"title": tour["title"], "stops": [[stop["title"], stop["page"]] for stop in tour["stops"]]}
        for tour in found
    }
    return f"window.cnnvizTours = {json.dumps(kept)};\n"


def chapters(models: list[Stamp]) -> list[dict]:
    """The chapters of which some model has a section, each with its strongest finding.

    A chapter: title; and of the finding model (its title), section, page, says, thumbnail. Without a finding these are
    of its first section in the first model that has it.
    """
    shown = _shown(models)
    return [{"title": title} | _finding([shown[id] for id in ids]) for title, ids in by_chapter(shown).items()]


def by_chapter(sections: Iterable[str]) -> dict[str, list[str]]:
    """Chapter → its sections among ``sections``; one that no chapter names follows the section before it."""
    sections = list(sections)
    found = {title: [id for id in ids if id in sections] for title, ids in CHAPTERS.items()}
    chapter, place = found["Filters"], 0
    for id in sections:
        chapter = next((ids for ids in found.values() if id in ids), chapter)
        if id not in chapter:
            chapter.insert(place, id)
        place = chapter.index(id) + 1
    return {title: ids for title, ids in found.items() if ids}


def _shown(models: list[Stamp]) -> dict[str, tuple[Entry, str]]:
    """Section → its entry in the first model that has it, and that model's title."""
    shown: dict[str, tuple[Entry, str]] = {}
    for model in models:
        for entry in model.sections:
            if entry.status == "ok":
                shown.setdefault(entry.id, (entry, model.title))
    return shown


def _finding(shown: list[tuple[Entry, str]]) -> dict:
    strongest = ranking.strongest([entry for entry, _ in shown])[:1]
    entry, model = next((pair for pair in shown for f in strongest if pair[0].id == f["section"]), shown[0])
    pictured = next((other for other in (entry, *(e for e, _ in shown)) if other.thumbnail), entry)
    # sections drawn by an older version have no sentence for the tour
    says = strongest[0]["says"] if strongest else entry.tour or entry.question
    return {"model": model, "section": entry.id, "page": entry.page, "says": says, "thumbnail": pictured.thumbnail}
