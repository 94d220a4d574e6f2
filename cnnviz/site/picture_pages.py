"""Pages of pictures: one for each picture with figures of its own, and shared ones for all others of an image set.

``images/<set>/<picture>.html`` gathers all sections' figures about a probe picture, of every model. All other pictures
are on ``images/<set>/all-<bucket>.html#<picture>``, about sixty per page with one sheet of thumbnails: with a page
each, a set of 50 000 would be 50 000 files. A picture's bucket depends on its name and on the number of buckets, a
power of two. So addresses stay the same until a set doubles. The derived edition has none of these pages.
"""

import argparse
import hashlib
import json
from collections.abc import Container, Iterator, Mapping
from dataclasses import asdict
from itertools import combinations
from pathlib import Path

import numpy as np
from jinja2 import Environment

from cnnviz.errors import reporting
from cnnviz.network.class_names import short
from cnnviz.run import atomic, whole
from cnnviz.site import class_examples, contact_sheets, credits, disagreement
from cnnviz.site.environment import environment
from cnnviz.site.folder import Publication
from cnnviz.site.stamp import Stamp, read
from cnnviz.site.subjects import MOST, SCRIPTS, UNFOLDED, Key, Told, address, citation, side_by_side, size
from cnnviz.slug import slug

A_PAGE = 64  # approximate number of pictures of a shared page


def buckets(count: int) -> int:
    """Number of shared pages for ``count`` pictures, a power of two."""
    return 1 << max(0, (-(-count // A_PAGE) - 1).bit_length())


def bucket(name: str, of: int) -> int:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") % of


def folder(image_set: str) -> str:
    return f"images/{slug(image_set)}"


def page_of(image_set: str, name: str, close: Container[str], count: int) -> str:
    """Address of a picture from the site's root. close: pictures with a page of their own."""
    if name in close:
        return f"{folder(image_set)}/{address('image', name)}"
    return f"{folder(image_set)}/all-{bucket(name, buckets(count)):04d}.html#{slug(name)}"


def looked_at(found: Mapping[Key, Mapping[str, Told]]) -> dict[str, list[dict]]:
    """Picture → entries of each section about it, as JSON, for pictures with a figure of their own."""
    of_pictures = {name: told for (kind, _, name), told in found.items() if kind == "image"}
    return {
        name: [asdict(entry) | {"size": size(entry.figures)} for entry in told.values()]
        for name, told in of_pictures.items()
        if any(entry.figures for entry in told.values())
    }


def said(found: Mapping[Key, Mapping[str, Told]]) -> dict[str, dict]:
    """Picture → the model's prediction, its probability and verdict, if a section has them for every picture."""
    lines = {}
    for (kind, _, name), told in found.items():
        facts = {column: cell for entry in told.values() for column, cell in entry.facts} if kind == "image" else {}
        if "prediction" in facts:
            lines[name] = {
                "prediction": facts["prediction"],
                "probability": facts["its probability"],
                "verdict": facts.get("verdict", "not labelled"),
                "label": facts.get("label", ""),
            }
    return lines


def _line(said: dict) -> str:
    verdict = f", {said['verdict']}" if said["verdict"] in ("right", "wrong") else ""
    return f"{said['prediction']} ({said['probability']:.2f}{verdict})"


def calls(facts: dict) -> list[str | None]:
    """Name of the model's output for each class of the image set, None if it has none."""
    outputs = facts.get("label_to_output", ())
    return [None if output is None else facts["classes"][output] for output in outputs]


def named(classes: list[str], models: list[Stamp]) -> list[str]:
    """Name of each class of a set on the pages: its own, and the first output name that all models have, if different.

    A label may be a number that is not informative. A model without an output for a
    class does not count.
    """
    words = []
    for i, name in enumerate(classes):
        others = {model.calls[i] for model in models if i < len(model.calls)} - {None}
        one = others.pop() if len(others) == 1 else name
        words.append(name if one.casefold() == name.casefold() else f"{name} ({short(one)})")
    return words


def owner(image_set: str) -> str:
    """Owner of these pages among the site's renderers; no model's slug starts with _."""
    return f"_images-{slug(image_set)}"


def publish(image_set: str, images: Path, thumbnails: Path, stamps: list[Stamp], out: Path) -> None:
    """Renders the pages of a set into the site at ``out``; none in the derived edition."""
    index = credits.read(images)
    stored = np.load(thumbnails, mmap_mode="r") if thumbnails.is_file() else None
    with Publication(out, owner(image_set)) as site:
        if any(stamp.said or stamp.pictures for stamp in stamps):
            render(environment(), site, image_set, index, stamps, stored)


def render(
    page: Environment,
    site: Publication,
    image_set: str,
    index: dict,
    models: list[Stamp],
    thumbnails: np.ndarray | None,
) -> None:
    """Publishes a set's pages. index: its images.json. models: stamps of the models with this set, with ``pictures``.

    thumbnails: (n, 64, 64, 3) uint8 in the order of the index, or None for no shared pages.
    """
    names = [picture["name"] for picture in index.get("pictures", ())]
    close = sorted({name for model in models for name in model.pictures} & set(names))
    template = page.get_template("subject.html")
    links = [{"href": f"{folder(image_set)}/{address('image', name)}", "label": name} for name in close]
    classes = named(index.get("classes", []), models)
    labels = {
        p["name"]: ", ".join(classes[label] for label in p.get("labels") or [p["label"]])
        for p in index.get("pictures", ())
        if p.get("label") is not None
    }
    maps = [{"href": model.map, "label": model.title} for model in models if model.map]
    places = {name: i for i, name in enumerate(names)}
    members = [places[name] for name in close[:MOST]]
    sections = {model.id: {entry.id: entry for entry in model.sections} for model in models}
    entries = [entry for model in models for entry in model.sections]
    sheet = None
    if members and thumbnails is not None:
        sheet = contact_sheets.publish(site, f"{folder(image_set)}/close", thumbnails, members)
    for i, name in enumerate(close):
        told = [(model.title, model.pictures[name]) for model in models if name in model.pictures]
        site.write(
            f"{folder(image_set)}/{address('image', name)}",
            template.render(
                root="../../", kind="image",
                called="picture", heading=name, of=image_set,
                trail=[("Models", "index.html"), (image_set, f"{folder(image_set)}/index.html")],
                before=links[i - 1] if i else None, after=links[i + 1] if i + 1 < len(links) else None,
                told=told, rows=side_by_side(told), opening=0, known_anything=True, scripts=SCRIPTS, unfolded=UNFOLDED,
                units=[], wall=None, examples=None,
                cited=citation(name, image_set, f"{folder(image_set)}/{address('image', name)}", entries),
                sections=[sections[model.id] for model in models if name in model.pictures],
                maps=[map | {"picture": name} for map in maps],
                lead=f"Labelled {labels[name]}." if name in labels else "", facts=[],
                sheet=sheet if i < MOST else None, box=contact_sheets.box(i),
            ),
        )  # fmt: skip
    if thumbnails is not None:
        for a, b in combinations(models, 2):
            if apart := disagreement.shown(a, b):
                contact_sheets.publish(
                    site, disagreement.sheet(image_set, a, b), thumbnails, [places[name] for name in apart]
                )
        for name, members in _of_classes(index, models):
            contact_sheets.publish(
                site, class_examples.address(image_set, name), thumbnails, [places[n] for n in members]
            )
    shared = [] if thumbnails is None else _shared(page, site, image_set, names, labels, set(close), models, thumbnails)
    words = {"root": "../../", "scripts": [], "image_set": image_set, "total": len(names), "shared": shared}
    words["close"] = [
        {"href": address("image", name), "name": name, "label": labels.get(name, ""), "box": contact_sheets.box(i)}
        for i, name in enumerate(close)
    ]
    words |= {"sheet": sheet, "most": MOST}
    site.write(f"{folder(image_set)}/index.html", page.get_template("image_set.html").render(**words))


def _of_classes(index: dict, models: list[Stamp]) -> Iterator[tuple[str, list[str]]]:
    """Each class of the set that has a page in some model, and the pictures on its sheet."""
    paged = [{name for name, _ in model.named["class"]} for model in models]
    for i, (name, members) in enumerate(zip(index.get("classes", ()), class_examples.of_classes(index), strict=True)):
        shown = any(i < len(model.calls) and model.calls[i] in of for model, of in zip(models, paged, strict=True))
        if members and shown:
            yield name, class_examples.chosen(members)


def _shared(page, site, image_set, names, labels, close, models, thumbnails) -> list[dict]:
    """Publishes the pages of all pictures; returns links to them, from their folder."""
    of = buckets(len(names))
    in_bucket: list[list[int]] = [[] for _ in range(of)]
    for i, name in enumerate(names):
        in_bucket[bucket(name, of)].append(i)
    template = page.get_template("pictures.html")
    for number, members in enumerate(in_bucket):
        shown = []
        for k, i in enumerate(members):
            said = [(model.title, _line(model.said[names[i]])) for model in models if names[i] in model.said]
            own = f"{folder(image_set)}/{address('image', names[i])}" if names[i] in close else ""
            shown.append(
                {"name": names[i], "anchor": slug(names[i]), "box": contact_sheets.box(k), "own": own,
                 "label": labels.get(names[i], ""), "said": said}
            )  # fmt: skip
        file = f"{folder(image_set)}/all-{number:04d}"
        words = {"root": "../../", "scripts": [], "image_set": image_set}
        words["sheet"] = contact_sheets.publish(site, file, thumbnails, members)
        words |= {"pictures": shown, "number": number, "of": of, "pages": list(_nearby(number, of))}
        words["maps"] = [{"href": model.map, "label": model.title} for model in models if model.map]
        words |= {"total": len(names), "folder": folder(image_set)}
        site.write(f"{file}.html", template.render(**words))
    return [{"href": f"all-{n:04d}.html"} for n in range(of)]


def _nearby(number: int, of: int) -> Iterator[int]:
    yield from range(max(0, number - 3), min(of, number + 4))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--image-set", required=True)
    parser.add_argument("--images", type=Path, required=True, metavar="images.json")
    parser.add_argument("--thumbnails", type=Path, required=True, metavar="thumbnails.npy")
    parser.add_argument("--stamps", type=Path, nargs="*", default=[], metavar="model_pages.json")
    parser.add_argument("--out", type=Path, required=True, help="the site's folder")
    parser.add_argument("--stamp", type=Path, required=True)
    options = parser.parse_args()
    with reporting():
        whole.check([*options.stamps, options.images, options.thumbnails])
        stamps = read(options.stamps, options.out)
    publish(options.image_set, options.images, options.thumbnails, stamps, options.out)
    atomic.write_text(options.stamp, json.dumps({"image_set": options.image_set}))


if __name__ == "__main__":
    main()
