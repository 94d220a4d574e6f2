"""Data of the search: names of models, techniques, layers, units' layers, classes and pictures.

The data is a script, since a page opened from disk cannot load other files: ``window.cnnvizNames =
{kinds, where, entries}``. Entries are [name, index of its kind, index of its place, address from the site's root].
Units are found by their layer; ten thousand unit numbers are not worth searching.
"""

import json

from cnnviz.site import missing, picture_pages
from cnnviz.site.stamp import Stamp
from cnnviz.views.kit.section import fit


def script(models: list[Stamp], techniques: list[dict], sets: dict[str, list[str]], derived: bool) -> str:
    """techniques: id and title. sets: image set → names of its pictures."""
    kinds = ["model", "technique", "section", "layer", "class", "picture", "page"]
    where = [""]
    entries: list[list] = []

    def add(name: str, kind: str, place: str, address: str) -> None:
        place = fit(place)
        if place not in where:
            where.append(place)
        entries.append([fit(name), kinds.index(kind), where.index(place), address])

    for technique in techniques:
        add(technique["title"], "technique", "", f"methods.html#{technique['id']}")
    for name, address in (("Methods", "methods.html"), ("Credits", "credits.html"), ("What is missing", missing.PAGE)):
        add(name, "page", "", address)
    for model in models:
        if not model.page:
            continue
        add(model.title, "model", "", model.page)
        for section in model.sections:
            add(section.title, "section", model.title, section.page)
        if model.map:
            add("Map of the pictures", "section", model.title, model.map)
        for kind in ("layer", "class"):
            for name, address in model.named[kind]:
                add(name, kind, model.title, address)
    for image_set, names in ({} if derived else sets).items():
        close = {name for model in models for name in model.pictures}
        for name in names:
            add(name, "picture", image_set, picture_pages.page_of(image_set, name, close, len(names)))
    data = {"kinds": kinds, "where": where, "entries": entries}
    # The file is a script of its own, so "</script>" cannot end it, and JSON escapes line separators.
    return f"window.cnnvizNames = {json.dumps(data, ensure_ascii=True, separators=(',', ':'))};\n"
