"""Rough estimates of a run's time and disk space."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cnnviz.check.report import Line, duration, size
from cnnviz.pictures import listing
from cnnviz.site.size import expected


@dataclass(frozen=True)
class Cost:
    """A model's costs.

    Pictures of its set, lengths of features and scores, shown layers and units, pixels of its input, probes. seconds:
    time of the forward pass over all pictures, 0 if unknown.
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
    """Lines of the plan. dry_run: output of ``snakemake -n --quiet progress``."""
    jobs = Counter(re.findall(r"^(?:local)?(?:rule|checkpoint) (\w+):", dry_run, re.MULTILINE))
    jobs.pop("all", None)
    if not jobs:
        yield Line("✓", "jobs", f"none: everything is up to date, see {config['results']}/site/index.html")
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
    arrays += sum(12_288 * len(listing.rows(block)) for block in config["image_sets"].values())
    pages, made, written = expected(costs, config)
    words = f"{files} files of results and as many logs; {size(arrays)} of features, scores and thumbnails, roughly "
    yield Line("·", "disk", f"{words}{size(made)} of other results")
    yield Line("·", "gallery", f"roughly {pages:,} files, {size(made + written)}")
    if jobs["forward"]:
        for cost in costs:
            if cost.seconds:
                words = f"forward pass of {cost.id} over {cost.pictures:,} pictures: roughly "
                yield Line("·", "time", f"{words}{duration(1.2 * cost.seconds)} on this machine")
