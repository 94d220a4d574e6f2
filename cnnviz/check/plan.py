"""What a run will ask of time and disk, roughly."""

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cnnviz import images
from cnnviz.check.report import Line, duration, size
from cnnviz.site import picture_pages
from cnnviz.views import tsne_grid


@dataclass(frozen=True)
class Cost:
    """Of a model: pictures of its set, lengths of features and scores, layers and units shown, pixels of its input,
    probes.

    seconds: of the forward pass over all pictures, 0 where it is not known.
    """

    id: str
    pictures: int
    features: int
    outputs: int
    layers: int
    units: int
    pixels: int
    probes: int
    seconds: float


def plan(dry_run: str, costs: Sequence[Cost], config: dict) -> Iterator[Line]:
    """dry_run: what ``snakemake -n --quiet progress`` printed."""
    jobs = Counter(re.findall(r"^(?:local)?(?:rule|checkpoint) (\w+):", dry_run, re.MULTILINE))
    jobs.pop("all", None)
    if not jobs:
        yield Line("✓", "jobs", f"none: everything is made, see {config['results']}/site/index.html")
        return
    kinds = {
        "techniques": sum(jobs[name] for name in config["sections"]),
        "views": jobs["view"],
        "forward passes": jobs["forward"],
    }
    words = f"{jobs.total()}: " + ", ".join(f"{count} {kind}" for kind, count in kinds.items() if count)
    words += f", {jobs.total() - sum(kinds.values())} others"
    yield Line("·", "jobs", words)
    files = sum(len(names.split(", ")) for names in re.findall(r"^ +output: (.+)$", dry_run, re.MULTILINE))
    arrays = sum(4 * cost.pictures * (cost.features + cost.outputs) for cost in costs)
    arrays += sum(12_288 * len(images.rows(block)) for block in config["image_sets"].values())
    pages, made, written = gallery(costs, config)
    words = f"{files} files of results and as many logs; {size(arrays)} of features, scores and thumbnails, roughly "
    yield Line("·", "disk", f"{words}{size(made)} of other results")
    yield Line("·", "gallery", f"roughly {pages:,} files, {size(made + written)}")
    if jobs["forward"]:
        for cost in costs:
            if cost.seconds:
                words = f"forward pass of {cost.id} over {cost.pictures:,} pictures: roughly "
                yield Line("·", "time", f"{words}{duration(1.2 * cost.seconds)} on this machine")


def gallery(costs: Sequence[Cost], config: dict) -> tuple[int, float, float]:
    """Files of the site, bytes of its pictures and data, and bytes of its pages, at most.

    Pages and tiles are counted; how many figures there are, and how large, is a rule of thumb from the demo: one for
    each probe in each section, 22 for each layer; 35 KB and 2.5 bytes a pixel of the network's input. A section's data
    are maps of its probes, 17 bytes a pixel on the average.
    """
    sections = len(config["sections"])
    files, made, written = 20, 0.0, 10.0**6  # front page, methods, credits, scripts; the search's names
    for cost in costs:
        figures = sections * cost.probes + 22 * cost.layers
        pages = cost.units + cost.layers + cost.outputs + sections + 2
        across = math.ceil(cost.pictures**0.5)
        levels = range(tsne_grid.levels(across, across))
        tiles = sum(math.ceil(across * tsne_grid.CELL / tsne_grid.TILE / 2**z) ** 2 for z in levels)
        files += figures + sections + pages + tiles + 1  # the map's data
        made += figures * (35_000 + 2.5 * cost.pixels) + 17 * sections * cost.probes * cost.pixels
        made += 2_000 * cost.pictures
        written += 6_000 * cost.units + 40_000 * (pages - cost.units) + 60 * cost.pictures
    shared = {config["models"][cost.id]["image_set"]: cost for cost in costs}
    for cost in shared.values():  # a page and a sheet for each bucket, a page for each picture looked at closely
        files += 2 * picture_pages.buckets(cost.pictures) + 4 * cost.probes + 2
        written += 2_500 * cost.pictures + 50_000 * 4 * cost.probes
    return files + len(costs) * (len(costs) - 1) // 2, made, written
