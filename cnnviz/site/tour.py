"""A way through the gallery for someone who sees it for the first time, in the order of a lecture on the subject."""

# section → what to look for there
STOPS = {
    "first_layer_filters": "Begin with the weights that touch the pixels: edges and colours, if anything was learnt.",
    "predictions": "What does it get right, and what does it take for what?",
    "maximal_patches": "Which pieces of pictures excite single units? Textures first, then parts of things.",
    "nearest_neighbors": "Which pictures are alike to it? Not those whose pixels are.",
    "tsne_grid": "All pictures on one map, like ones together.",
    "occlusion": "Cover a part of a picture: where does it stop recognising the thing?",
    "saliency": "Which pixels would change its mind? The gradient says, noisily.",
    "guided_backprop": "What of a patch did a unit respond to?",
    "attribution_check": "Which of these explanations can be believed on this network?",
    "class_visualization": "Climb the score of a class from noise: what does the network think it looks like?",
    "unit_visualization": "The same for single units.",
    "feature_inversion": "What does each layer still know of a picture?",
    "deepdream": "More of whatever it sees.",
    "fooling_images": "A change nobody sees makes it another thing.",
    "texture_synthesis": "Textures from what layers see together.",
    "style_transfer": "The things of one picture in the texture of another.",
}


def stops(models: list[dict]) -> list[dict]:
    """The stops that some model has, each with the page of the first one: id, title, page, words."""
    found = []
    for id, words in STOPS.items():
        entries = [entry for model in models for entry in model["sections"] if entry["id"] == id]
        first = next((entry for entry in entries if entry["status"] == "ok"), None)
        if first:
            found.append({"id": id, "title": first["title"], "page": first["page"], "words": words})
    return found
