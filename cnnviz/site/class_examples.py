"""Some pictures of each class, with which the page of the class begins.

Each class of an image set has a sheet of thumbnails, the same for every model.
:mod:`cnnviz.site.picture_pages` publishes the sheets.
"""

from collections.abc import Callable, Mapping, Sequence

from cnnviz.site import contact_sheets
from cnnviz.slug import slug

MOST = 12  # largest number of pictures of a class that its page shows


def of_classes(index: dict) -> list[list[str]]:
    """Names of the pictures of each class of the set. index: its images.json."""
    found: list[list[str]] = [[] for _ in index.get("classes", ())]
    for picture in index.get("pictures", ()):
        for label in picture.get("labels") or [picture.get("label")]:
            if label is not None:
                found[label].append(picture["name"])
    return found


def chosen(names: Sequence[str]) -> list[str]:
    """At most :data:`MOST` of a class's pictures, at even distances: neighbours in a set are often alike."""
    count = min(MOST, len(names))
    return [names[i * len(names) // count] for i in range(count)]


def address(image_set: str, name: str) -> str:
    """Address of a class's sheet, without its ending, from the site's root."""
    return f"images/{slug(image_set)}/class-{slug(name)}"


def of_outputs(
    outputs: Sequence[str | None], index: dict, image_set: str, said: Mapping[str, dict], link: Callable[[str], str]
) -> dict[str, dict]:
    """Output's name → ``count`` (its pictures in the set) and ``tiles`` (those that its page shows).

    outputs: name of the output of each class of the set, or None. said: picture's name → prediction, probability and
    verdict. link: picture's name → its page. A tile: name, href, said (or None), sheet and box.
    """
    found: dict[str, dict] = {}
    for name, members, output in zip(index.get("classes", ()), of_classes(index), outputs, strict=False):
        if output is None or not members:
            continue
        shown = chosen(members)
        sheet = contact_sheets.described(address(image_set, name), len(shown))
        entry = found.setdefault(output, {"count": 0, "tiles": []})
        entry["count"] += len(members)
        entry["tiles"] += [
            {
                "name": picture,
                "href": link(picture),
                "said": said.get(picture),
                "sheet": sheet,
                "box": contact_sheets.box(k),
            }
            for k, picture in enumerate(shown)
        ]
    return found
