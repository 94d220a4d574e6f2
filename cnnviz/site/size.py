"""Size of a site by its parts, to choose a host: static hosts have limits."""

import math
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from cnnviz.site import picture_pages
from cnnviz.slug import slug
from cnnviz.views import tsne_grid

MB = 2**20
MOST_FILE = 100 * MB  # limit of GitHub and of many mail servers
MOST_SITE = 1024 * MB  # limit of GitHub Pages
LARGEST = 10

OF_SECTIONS = ("sections", "figures", "data", "thumbnails")  # folders of a model with files of sections


def measure(out: Path, models: dict[str, list[str]]) -> dict:
    """Bytes and files of the site at ``out``: in total, by model and section, and its largest files.

    models: id → ids of its sections. Files of no section (a model's own page, for example) count for the model, or for
    the total only. ``warnings`` are sentences about limits of hosts.
    """
    sizes = {p.relative_to(out).as_posix(): p.stat().st_size for p in sorted(Path(out).rglob("*")) if p.is_file()}
    by_slug = {slug(model): (model, {slug(s): s for s in sections}) for model, sections in models.items()}
    report = {
        **_total(sizes.values()),
        "models": {model: _total([]) | {"sections": {s: _total([]) for s in ids}} for model, ids in models.items()},
        "largest": [
            {"file": file, "bytes": size} for file, size in sorted(sizes.items(), key=lambda i: (-i[1], i[0]))[:LARGEST]
        ],
        "warnings": [
            f"{file} has {in_words(size)}; GitHub and other hosts accept files up to {in_words(MOST_FILE)}"
            for file, size in sizes.items()
            if size > MOST_FILE
        ],
    }
    if report["bytes"] > MOST_SITE:
        report["warnings"].append(
            f"the site has {in_words(report['bytes'])}; GitHub Pages accepts {in_words(MOST_SITE)}"
        )
    for file, size in sizes.items():
        parts = PurePosixPath(file).parts
        if parts[0] != "models" or parts[1] not in by_slug:
            continue
        model, sections = by_slug[parts[1]]
        counted = [report["models"][model]]
        if len(parts) > 3 and parts[2] in OF_SECTIONS and (section := sections.get(_section(parts))):
            counted.append(counted[0]["sections"][section])
        for entry in counted:
            entry["files"] += 1
            entry["bytes"] += size
    return report


def expected(costs: Sequence, config: dict) -> tuple[int, float, float]:
    """Estimated number of files, bytes of pictures and data, and bytes of pages of a site. costs: check.plan.Cost.

    Pages and tiles are counted. The number and size of figures are estimates from the demo: one for each probe in each
    section, 22 for each layer; 35 KB and 2.5 bytes per pixel of the network's input. A section's data are maps of its
    probes, 12 bytes per pixel on average.
    """
    sections = len(config["sections"])
    files, made, written = 20, 0.0, 10.0**6  # front page, methods, credits, scripts; names for the search
    for cost in costs:
        figures = sections * cost.probes + 22 * cost.layers
        pages = cost.units + cost.layers + cost.outputs + sections + 2
        across = math.ceil(cost.pictures**0.5)
        levels = range(tsne_grid.levels(across, across))
        tiles = sum(math.ceil(across * tsne_grid.CELL / tsne_grid.TILE / 2**z) ** 2 for z in levels)
        files += figures + sections + pages + tiles + 1  # the map's data
        made += figures * (35_000 + 2.5 * cost.pixels) + 12 * sections * cost.probes * cost.pixels
        made += 2_000 * cost.pictures
        written += 6_000 * cost.units + 40_000 * (pages - cost.units) + 60 * cost.pictures
    shared = {config["models"][cost.id]["image_set"]: cost for cost in costs}
    for cost in shared.values():  # a page and a sheet for each bucket, a sheet for each class, pages of single pictures
        files += 2 * picture_pages.buckets(cost.pictures) + cost.outputs + 4 * cost.probes + 2
        written += 2_500 * cost.pictures + 15_000 * cost.outputs + 50_000 * 4 * cost.probes
    return files + len(costs) * (len(costs) - 1) // 2, made, written


def sentence(report: dict) -> str:
    """The report in one line for the terminal."""
    files = ", ".join(f"{f['file']} ({in_words(f['bytes'])})" for f in report["largest"][:3])
    count = f"{report['files']} file{'' if report['files'] == 1 else 's'}"
    return f"Gallery: {count}, {in_words(report['bytes'])}; the largest: {files or 'none'}"


def _section(parts: tuple[str, ...]) -> str:
    """The section's slug in models/<model>/figures/<section>/… or models/<model>/<kind>/<section>.<suffix>."""
    return parts[3] if len(parts) > 4 else parts[3].rpartition(".")[0]


def _total(sizes) -> dict:
    sizes = list(sizes)
    return {"files": len(sizes), "bytes": sum(sizes)}


def in_words(size: int) -> str:
    """A number of bytes in its largest unit: 1.4 MB."""
    for unit, name in ((MB, "MB"), (1024, "KB")):
        if size >= unit:
            return f"{size / unit:.1f} {name}" if size < 9.95 * unit else f"{size / unit:.0f} {name}"
    return f"{size} bytes"
