"""Seconds and peak memory of every section, for ``timings.js``, the only file of the site that differs between runs.

They come from Snakemake's benchmark files, ``<folder>/<model>/<section>.tsv``. These are of the computation; the files
of the view are ``<section>.view.tsv``.
"""

import csv
import json
from pathlib import Path


def read(folder: Path | None) -> dict[str, dict[str, dict[str, float]]]:
    """model → section → {"seconds": s, "peak_memory_mb": MB of resident memory}; missing values are left out."""
    timings: dict[str, dict] = {}
    for path in sorted(folder.glob("*/*.tsv")) if folder else []:
        with open(path, newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file, delimiter="\t"))
        if rows and "." not in path.stem:
            values = {"seconds": _number(rows[-1].get("s")), "peak_memory_mb": _number(rows[-1].get("max_rss"))}
            timings.setdefault(path.parent.name, {})[path.stem] = {k: v for k, v in values.items() if v is not None}
    return timings


def script(timings: dict) -> str:
    """The timings as a classic script, since browsers load no JSON from ``file://``."""
    return f"window.cnnvizTimings = {json.dumps(timings, sort_keys=True)};\n"


def _number(text: str | None) -> float | None:
    try:
        return float(text)
    except (TypeError, ValueError):
        return None  # Snakemake writes "-" or "NA" for a job too short to be measured
