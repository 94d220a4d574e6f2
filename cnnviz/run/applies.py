"""Kind of network (``outputs.kind`` of the config) → the sections that do not apply to it, and why, for readers."""

NOT_FOR = {
    "regression": {
        "logit_vs_probability": "A value has no probability, so there is nothing to compare its score with.",
        "multifaceted": "Facets are the kinds of pictures in a class, and this network predicts values, not classes.",
        "bias_probe": "This test asks whether a class depends on the background, and this network predicts values.",
        "attribution_check": "Its tests follow the probability of a class while pixels are taken away, and "
        "a value has none.",
        "fooling_images": "A network is fooled when it takes a picture for another class, and this one "
        "predicts values.",
    },
    "segmentation": {
        "logit_vs_probability": "This network gives a class to every pixel: a class has no single probability.",
        "bias_probe": "This test asks for the one class of a picture, and this network gives a class to every pixel.",
        "attribution_check": "Its tests follow the probability of a class while pixels are taken away, and "
        "a class of this network has none for the whole picture.",
        "fooling_images": "A network is fooled when it gives a picture another class, and this one "
        "gives a class to each pixel.",
    },
}


def why_not(kind: str, section: str) -> str:
    """Why a section does not apply to a kind of network; "" if it does."""
    return NOT_FOR.get(kind, {}).get(section, "")
