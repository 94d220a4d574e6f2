"""A way through the gallery for someone who sees it for the first time, in the order of a lecture on the subject."""

# chapter → section → what to look for there
CHAPTERS = {
    "Filters": {
        "first_layer_filters": "The weights that touch the pixels: edges and colours, if anything was learnt.",
        "layer_filters": "Deeper weights are no pictures any more: they join what the layer before found.",
        "linear_templates": "How far would one template a class get? Not far, and one sees why.",
    },
    "What the last layer knows": {
        "predictions": "What does it get right, and what does it take for what?",
        "nearest_neighbors": "Which pictures are alike to it? Not those whose pixels are.",
        "pca": "Its features in two dimensions: a straight shadow of a large space.",
        "tsne": "The same bent, so that neighbours stay neighbours.",
        "tsne_grid": "All pictures on one map, like ones together.",
    },
    "Single units": {
        "activation_maps": "What does each unit say of a picture, and where?",
        "maximal_patches": "Which pieces of pictures excite a unit? Textures first, then parts of things.",
        "unit_statistics": "How often is each unit awake? Some are dead.",
    },
    "Which pixels matter": {
        "occlusion": "Cover a part of a picture: where does it stop recognising the thing?",
        "saliency": "Which pixels would change its mind? The gradient says, noisily.",
        "saliency_segmentation": "The same map, enough to cut the thing out.",
        "lime": "Pieces of the picture that speak for a class, and against it.",
        "grad_cam": "Where the last maps see the evidence.",
        "deconvnet": "What of a patch did a unit respond to?",
        "guided_backprop": "The same with a sharper rule; sharper is not truer.",
        "attribution_check": "Which of these explanations can be believed on this network?",
        "bias_probe": "And does it look at the thing, or at what stands behind it?",
    },
    "Pictures it would like to see": {
        "class_visualization": "Climb the score of a class from noise: what does the network think it looks like?",
        "logit_vs_probability": "A detail that matters: climb the score, not the probability.",
        "objectives": "A neuron, a unit, a layer, a class: what is climbed decides what is seen.",
        "unit_visualization": "The same for single units, beside the real patches that excite them most.",
        "diversity": "One unit, several unlike pictures that please it.",
        "multifaceted": "One class, its several kinds.",
        "fooling_images": "The same climb from a photo: a change nobody sees makes it another thing.",
    },
    "What is kept of a picture": {
        "feature_inversion": "What does each layer still know of a picture?",
        "deepdream": "More of whatever it sees.",
        "texture_synthesis": "Textures from what layers see together.",
        "style_transfer": "The things of one picture in the texture of another.",
    },
}


def chapters(models: list[dict]) -> list[dict]:
    """The chapters and their stops that some model has, each with the page of the first one.

    A chapter: title, stops; a stop: id, title, page, words.
    """
    pages: dict[str, dict] = {}
    for model in models:
        for entry in model["sections"]:
            if entry["status"] == "ok":
                pages.setdefault(entry["id"], {"id": entry["id"], "title": entry["title"], "page": entry["page"]})
    found = [
        {"title": title, "stops": [pages[id] | {"words": words} for id, words in stops.items() if id in pages]}
        for title, stops in CHAPTERS.items()
    ]
    return [chapter for chapter in found if chapter["stops"]]
