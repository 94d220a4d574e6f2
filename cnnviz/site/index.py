"""The site's front page, the methods page, its style and scripts, the timings and the manifest.

``python -m cnnviz.site.index --config JSON --stamps …/pages.json … --out results/site --manifest …/manifest.json``
"""

import argparse
import json
from pathlib import Path

from cnnviz import atomic
from cnnviz.site import timings
from cnnviz.site.environment import TEMPLATES, environment
from cnnviz.site.folder import Publication, withdraw
from cnnviz.slug import slug

MANIFEST_SCHEMA = 1
OWNER = "_index"  # no model's slug begins with _


def render(config: dict, stamps: dict[str, dict], out: Path, benchmarks: Path | None = None) -> dict:
    """Render the pages that are about all models; returns the manifest. Deletes the pages of models not in the config.

    config: ``title``, ``subtitle``, ``models`` (ids in order). stamps: model id → what its pages' renderer left; a
    model without one is named as missing.
    """
    page = environment()
    models = [stamps.get(id) or _missing(id) for id in config["models"]]
    techniques = _techniques(models)
    withdraw(out, {OWNER} | {slug(id) for id in config["models"]})
    with Publication(out, OWNER) as site:
        words = {"root": "", "title": config["title"], "subtitle": config.get("subtitle", ""), "scripts": []}
        site.write("index.html", page.get_template("index.html").render(**words, models=models, techniques=techniques))
        site.write("methods.html", page.get_template("methods.html").render(**words, techniques=techniques))
        site.write("timings.js", timings.script(timings.read(benchmarks)))
        for asset in sorted((TEMPLATES / "assets").iterdir()):
            if asset.is_file() and not asset.name.startswith("."):
                site.copy(f"assets/{asset.name}", asset)
    return {
        "schema": MANIFEST_SCHEMA,
        "models": [
            {"id": m["id"], "title": m["title"], "status": m["status"], "accuracy": m["accuracy"]}
            | {
                "sections": [
                    {k: s[k] for k in ("id", "title", "page", "figures", "status", "metrics")} for s in m["sections"]
                ]
            }
            for m in models
        ],
    }


def _missing(id: str) -> dict:
    return {
        "id": id, "title": id, "page": "", "status": "missing", "described": "", "parameters": None, "input": None,
        "accuracy": {}, "cover": None, "sections": [],
    }  # fmt: skip


def _techniques(models: list[dict]) -> list[dict]:
    """Each technique once, in the order of the config, with where it is to be seen. Its words are any section's."""
    techniques: dict[str, dict] = {}
    for model in models:
        for entry in model["sections"]:
            technique = techniques.setdefault(entry["id"], {"id": entry["id"], "title": entry["title"], "seen": []})
            if "question" in entry and "question" not in technique:
                keep = ("title", "question", "how_to_read", "do_not_conclude", "equation", "papers")
                technique |= {k: entry[k] for k in keep}
            technique["seen"].append({"model": model["title"], "page": entry["page"], "status": entry["status"]})
    return list(techniques.values())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--config", type=json.loads, required=True, help="title, subtitle, models, as JSON")
    parser.add_argument("--stamps", type=Path, nargs="*", default=[], metavar="pages.json")
    parser.add_argument("--out", type=Path, required=True, help="the site's folder")
    parser.add_argument("--manifest", type=Path, required=True)
    parser.add_argument("--benchmarks", type=Path, help="Snakemake's benchmark files: FOLDER/<model>/<section>.tsv")
    options = parser.parse_args()
    read = [json.loads(path.read_text("utf-8")) for path in options.stamps if path.is_file()]
    manifest = render(options.config, {stamp["id"]: stamp for stamp in read}, options.out, options.benchmarks)
    atomic.write_text(options.manifest, json.dumps(manifest, indent=1, ensure_ascii=False))


if __name__ == "__main__":
    main()
