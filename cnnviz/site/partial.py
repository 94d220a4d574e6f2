"""The site from whatever exists: for Snakemake's ``onerror:``, so that one failed technique hides nothing else."""

import json
from pathlib import Path

from cnnviz import atomic
from cnnviz.site import index, model_pages


def partial(results: Path, models: list[dict], gallery: dict) -> None:
    """Render ``results/site``; what is missing is named with the end of its log.

    models: the ``--config`` of each model's pages. gallery: the ``--config`` of the index. Leaves no stamps, so the
    next run still renders what it finds changed.
    """
    results = Path(results)
    stamps = {}
    for config in models:
        id = config["model"]
        folder = results / "models" / id
        stamps[id] = model_pages.render(
            config, folder / "model.json", folder / "sections", results / "site", results / "logs" / id
        )
    manifest = index.render(gallery, stamps, results / "site", results / "benchmarks")
    atomic.write_text(results / "site" / "manifest.json", json.dumps(manifest, indent=1, ensure_ascii=False))
