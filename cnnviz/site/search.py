"""Data of the search: names of models, techniques, layers, units' layers, classes and pictures.

The data is a script, since a page opened from disk cannot load other files: ``window.cnnvizNames =
{kinds, where, entries, units}``. Entries are [name, index of its kind, index of its place, address from the site's
root, everyday words for it]. Units are [layer, index of its place, folder, number of units, or a list of those with a
page]. The script finds "conv5 36" by them, so that ten thousand numbers need not be listed.
"""

import json

from cnnviz.site import compare, missing, picture_pages
from cnnviz.site.stamp import Stamp
from cnnviz.views.kit.section import fit

# section → common search words that its title lacks
WORDS = {
    "predictions": "accuracy confusion matrix mistakes errors calibration",
    "first_layer_filters": "weights kernels edges",
    "layer_filters": "weights kernels",
    "linear_templates": "weights linear",
    "activation_maps": "neuron feature map",
    "maximal_patches": "neuron unit top pictures",
    "unit_statistics": "neuron dead histogram",
    "nearest_neighbors": "similar embedding retrieval",
    "pca": "embedding projection",
    "tsne": "embedding projection cluster",
    "tsne_grid": "embedding projection cluster map",
    "occlusion": "heatmap heat map attribution explanation",
    "saliency": "heatmap heat map attribution explanation gradient",
    "saliency_segmentation": "heatmap mask object",
    "lime": "heatmap heat map attribution explanation superpixel",
    "grad_cam": "heatmap heat map attribution explanation gradcam cam",
    "deconvnet": "heatmap neuron unit",
    "guided_backprop": "heatmap neuron unit gradient",
    "attribution_check": "trust sanity check explanation",
    "bias_probe": "bias trust shortcut spurious fairness",
    "class_visualization": "dream ideal picture",
    "unit_visualization": "neuron feature visualization",
    "fooling_images": "adversarial attack robustness trust",
    "feature_inversion": "reconstruction",
    "deepdream": "dream inception",
}
MOST_PAIRS = 200  # largest number of comparisons in the search
EVERYWHERE = {
    "Credits": "cite citation licence license reference bibtex",
    "Methods": "papers references download data help",
    "What is missing": "failed errors",
}


def script(models: list[Stamp], techniques: list[dict], sets: dict[str, list[str]], derived: bool) -> str:
    """techniques: id and title. sets: image set → names of its pictures."""
    kinds = ["model", "technique", "section", "layer", "class", "picture", "page"]
    where = [""]
    entries: list[list] = []

    def at(place: str) -> int:
        place = fit(place)
        if place not in where:
            where.append(place)
        return where.index(place)

    def add(name: str, kind: str, place: str, address: str, words: str = "") -> None:
        entries.append([fit(name), kinds.index(kind), at(place), address, *([words] if words else [])])

    for technique in techniques:
        add(technique["title"], "technique", "", f"methods.html#{technique['id']}", WORDS.get(technique["id"], ""))
    for name, address in (("Methods", "methods.html"), ("Credits", "credits.html"), ("What is missing", missing.PAGE)):
        add(name, "page", "", address, EVERYWHERE[name])
    for a, b in compare.pairs(models)[:MOST_PAIRS]:
        add(f"{a.title} and {b.title}", "page", "side by side", compare.page(a.id, b.id), "compare difference versus")
    units = []
    for model in models:
        if not model.page:
            continue
        add(model.title, "model", "", model.page)
        for section in model.sections:
            add(section.title, "section", model.title, section.page, WORDS.get(section.id, ""))
        if model.map:
            add("Map of the pictures", "section", model.title, model.map)
        for kind in ("layer", "class"):
            for name, address in model.named[kind]:
                add(name, kind, model.title, address, model.modules.get(name, "") if kind == "layer" else "")
        units += [[fit(name), at(model.title), folder, count] for name, folder, count in model.named.get("unit", ())]
    for image_set, names in ({} if derived else sets).items():
        close = {name for model in models for name in model.pictures}
        for name in names:
            add(name, "picture", image_set, picture_pages.page_of(image_set, name, close, len(names)))
    data = {"kinds": kinds, "where": where, "entries": entries, "units": units}
    # The file is a script of its own, so "</script>" cannot end it, and JSON escapes line separators.
    return f"window.cnnvizNames = {json.dumps(data, ensure_ascii=True, separators=(',', ':'))};\n"
