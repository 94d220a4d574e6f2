"""The site's front page, the methods page, its style and scripts, the timings and the manifest.

``python -m cnnviz.site.index --config JSON --stamps …/model_pages.json … --out results/site --manifest FILE``
"""

import argparse
import json
from pathlib import Path

from jinja2 import Environment

from cnnviz.errors import reporting
from cnnviz.run import atomic, whole
from cnnviz.site import (
    compare,
    credits,
    edition,
    missing,
    model_pages,
    picture_pages,
    ranking,
    search,
    size,
    timings,
    tour,
)
from cnnviz.site.environment import TEMPLATES, environment
from cnnviz.site.folder import Publication, withdraw
from cnnviz.site.stamp import Entry, Stamp, read
from cnnviz.slug import slug

MANIFEST_SCHEMA = 1
MOST_PAIRS = 40  # largest number of comparisons that a page links to
OWNER = "_index"  # no model's slug begins with _


def render(
    config: dict,
    stamps: dict[str, Stamp],
    out: Path,
    benchmarks: Path | None = None,
    images: dict | None = None,
    gallery: Path | None = None,
) -> dict:
    """Renders the pages about all models, deletes the pages of models not in the config, and returns the manifest.

    config: ``title``, ``subtitle``, ``models`` (ids in order), ``publish`` (the edition), ``compare`` (sections about
    all models → the section of each model that they compare) and ``terms`` (image set → credit and licence of pictures
    that state none themselves). stamps: model id → stamp of its pages' renderer; a model without one is listed as
    missing. images: image set → its ``images.json``. gallery: the folder of the sections to compare.
    """
    publish = config.get("publish", edition.EVERYTHING)
    page = environment(publish)
    models = [stamps.get(id) or Stamp(id=id, title=id) for id in config["models"]]
    techniques = _techniques(models)
    sets = {picture_pages.owner(name) for name in config.get("image_sets", ())}
    withdraw(out, {OWNER} | sets | {slug(id) for id in config["models"]})
    with Publication(out, OWNER) as site:
        words = {"root": "", "title": config["title"], "subtitle": config.get("subtitle", ""), "scripts": []}
        compared = _publish_compared(site, page, config.get("compare", {}), models, gallery)
        indices = {name: credits.read(path, config.get("terms", {}).get(name)) for name, path in (images or {}).items()}
        gaps = missing.words(models, compared, indices, publish)
        gaps["count"] = missing.count(gaps)
        front, tours = page.get_template("index.html"), tour.tours(models)
        site.write(
            "index.html",
            front.render(
                **words,
                models=models,
                techniques=techniques,
                compared=compared,
                pairs=_pairs(models),
                lead=ranking.lead(models),
                chapters=tour.chapters(models),
                tours=tours,
                gaps=gaps["count"],
            ),
        )
        _publish_pairs(site, page.get_template("compare.html"), words | {"root": "../"}, models)
        techniques += _techniques([Stamp(id=OWNER, title="all models", sections=compared)])
        site.write(
            "methods.html",
            page.get_template("methods.html").render(**words | {"scripts": ["fold.js"]}, techniques=techniques),
        )
        site.write(missing.PAGE, page.get_template("missing.html").render(**words, **gaps))
        _publish_credits(site, page.get_template("credits.html"), words, indices, publish)
        site.write(".nojekyll", "")  # so GitHub Pages serves the files unchanged
        pictures = {name: [p["name"] for p in found.get("pictures", ())] for name, found in indices.items()}
        site.write("search-index.js", search.script(models, techniques, pictures, publish == edition.DERIVED))
        site.write("tours.js", tour.script(tours))
        site.write("timings.js", timings.script(timings.read(benchmarks)))
        for asset in sorted((TEMPLATES / "assets").iterdir()):
            if asset.is_file() and not asset.name.startswith("."):
                site.copy(f"assets/{asset.name}", asset)
    return _manifest(models, compared, publish)


def _manifest(models: list[Stamp], compared: list[Entry], publish: str) -> dict:
    """The contents of the pages, for programs."""

    def listed(sections: list[Entry]) -> list[dict]:
        return [{k: getattr(s, k) for k in ("id", "title", "page", "figures", "status", "metrics")} for s in sections]

    return {
        "schema": MANIFEST_SCHEMA,
        "publish": publish,
        "models": [
            {k: getattr(m, k) for k in ("id", "title", "status", "accuracy")}
            | {"near_chance": bool(m.near_chance), "answers": m.answers}
            | {"warnings": [f"{w['name']}: {w['text']}" for w in m.warnings]}
            | {"findings": [_said(finding) for finding in ranking.strongest(m.sections)]}
            | {"sections": listed(m.sections)}
            for m in models
        ],
        "compare": listed(compared),
    }


def _said(finding: dict) -> dict:
    """A finding in the manifest."""
    kept = ("section", "page", "key", "says", "strength", "interval", "control", "basis", "caution", "effect")
    return {key: finding[key] for key in kept}


def _pairs(models: list[Stamp]) -> list[dict]:
    """Comparisons to link on the front page."""
    return [
        {"href": compare.page(a.id, b.id), "label": f"{a.title} and {b.title}"}
        for a, b in compare.pairs(models)[:MOST_PAIRS]
    ]


def _publish_pairs(site: Publication, template, words: dict, models: list[Stamp]) -> None:
    """A page for each pair of models."""
    pairs = compare.pairs(models)
    links = [{"href": compare.page(a.id, b.id).split("/")[-1], "label": f"{a.title} and {b.title}"} for a, b in pairs]
    for i, pair in enumerate(pairs):
        others = links[:i] + links[i + 1 :]
        contents = compare.words(*pair)
        scripts = ["scrub.js"] if any(section["slider"] for section in contents["sections"]) else []
        around = {"scripts": ["viewer.js", *scripts], "pair": pair, "pairs": others[:MOST_PAIRS]}
        html = template.render(**words | around | contents)
        site.write(compare.page(pair[0].id, pair[1].id), html)


def _publish_compared(
    site: Publication, page: Environment, compare: dict, models: list[Stamp], gallery: Path | None
) -> list[Entry]:
    """The pages that compare all models, in ``compare/``; returns an entry for each. They name no pictures."""
    publish = page.globals["publish"]
    parts = model_pages.read_parts(compare, "compare", gallery or Path(), None, publish, [])
    entries = []
    for part in parts:
        alone = [
            {"title": model.title, "href": f"../../{entry.page}"}
            for model in models
            for entry in model.sections
            if entry.id == compare[part.id]
        ]
        around = {
            "kind": "compare",
            "root": "../../",
            "model": {"id": OWNER, "title": "All models", "page": "../../index.html"},
            "image_set": None,
            "near_chance": None,
            "answers": [],
            "warnings": [],
            "family": "",
            "others": alone,
            "before": None,
            "after": None,
            "link": lambda subject: "",
            "hues": {},
        }
        entries.append(model_pages.publish_section(site, page, "compare", part, {}, around))
    return entries


def finish(manifest: dict, path: Path, out: Path, size_report: Path) -> None:
    """Writes the manifest to ``path`` and the size report to ``size_report``, and prints the site's size."""
    atomic.write_text(path, json.dumps(manifest, indent=1, ensure_ascii=False))
    report = size.measure(out, {m["id"]: [s["id"] for s in m["sections"]] for m in manifest["models"]})
    atomic.write_text(size_report, json.dumps(report, indent=1, ensure_ascii=False))
    print("\n".join([size.sentence(report), *(f"Warning: {warning}" for warning in report["warnings"])]))


def _publish_credits(site: Publication, template, words: dict, indices: dict[str, dict], publish: str) -> None:
    """credits.html, and in the full edition credits.csv with every picture's name. indices: image set → images.json."""
    indices = {name: index for name, index in indices.items() if index}
    full = publish == edition.EVERYTHING
    sets = []
    for name, index in indices.items():
        groups = credits.groups(index, named=full)
        groups = groups if full else edition.without(groups, edition.names(index))
        sets.append({"name": name, "anchor": f"set-{slug(name)}", "pictures": len(index["pictures"]), "groups": groups})
    table = credits.table(indices) if full else ""
    site.write("credits.html", template.render(**words, sets=sets, table=bool(table), most=credits.MOST_NAMES))
    if table:
        site.write("credits.csv", table)


def _techniques(models: list[Stamp]) -> list[dict]:
    """The techniques, each once, in the order of the config, with their pages. The texts are any section's."""
    techniques: dict[str, dict] = {}
    for model in models:
        for entry in model.sections:
            technique = techniques.setdefault(entry.id, {"id": entry.id, "title": entry.title, "seen": []})
            if entry.question and "question" not in technique:
                keep = ("title", "question", "how_to_read", "do_not_conclude", "equation", "papers")
                technique |= {k: getattr(entry, k) for k in keep}
            technique["seen"].append({"model": model.title, "page": entry.page, "status": entry.status})
    return list(techniques.values())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--config", type=json.loads, required=True, help="title, subtitle, models, as JSON")
    parser.add_argument("--stamps", type=Path, nargs="*", default=[], metavar="model_pages.json")
    parser.add_argument("--out", type=Path, required=True, help="the site's folder")
    parser.add_argument("--manifest", type=Path, required=True)
    parser.add_argument("--size", type=Path, required=True, metavar="site-size.json")
    parser.add_argument("--images", type=Path, nargs="*", default=[], metavar="SET/images.json")
    parser.add_argument("--gallery", type=Path, metavar="FOLDER", help="folder of the sections about all models")
    parser.add_argument("--benchmarks", type=Path, help="Snakemake's benchmark files: FOLDER/<model>/<section>.tsv")
    options = parser.parse_args()
    with reporting():
        compared = options.config.get("compare", ()) if options.gallery else ()
        parts = [options.gallery / id / file for id in compared for file in model_pages.FILES]
        whole.check([*options.stamps, *options.images, *parts])
        stamps = {model.id: model for model in read(options.stamps, options.out)}
    images = {path.parent.name: path for path in options.images}
    manifest = render(options.config, stamps, options.out, options.benchmarks, images, options.gallery)
    finish(manifest, options.manifest, options.out, options.size)


if __name__ == "__main__":
    main()
