"""Stamps of models' pages, for the pages about several models: the front page, comparisons, pictures, the search."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from cnnviz.errors import UserError

SCHEMA = 7


@dataclass(frozen=True)
class Entry:
    """One section of a model, for other pages and the manifest.

    page: its address from the site's root. figures: their number. metrics: name → value. measures: the same metrics
    with unit and interval; headline is the first of them. findings, measured: see :mod:`cnnviz.site.ranking`.
    thumbnail: file, width, height, alt, pixelated; or None. compared: see :mod:`cnnviz.site.sliders`. The texts from
    ``question`` on are the view's, and "" for a missing section; tour: see :mod:`cnnviz.site.tour`. files: what can be
    downloaded, each with words and its address from the site's root. made_by: the software's name and version.
    """

    id: str
    title: str
    page: str
    status: str
    figures: int = 0
    reason: str = ""
    log: str = ""
    notes: list[str] = field(default_factory=list)
    metrics: dict[str, float] = field(default_factory=dict)
    measures: list[dict] = field(default_factory=list)
    headline: dict | None = None
    findings: list[dict] = field(default_factory=list)
    measured: dict[str, dict] = field(default_factory=dict)
    thumbnail: dict | None = None
    compared: list[dict] = field(default_factory=list)
    question: str = ""
    tour: str = ""
    how_to_read: str = ""
    do_not_conclude: str = ""
    equation: str = ""
    papers: list[dict] = field(default_factory=list)
    files: list[dict] = field(default_factory=list)
    made_by: str = ""


@dataclass(frozen=True)
class Stamp:
    """One model. A model without its own pages (``page`` is "") is missing, and the front page says so.

    page, map: addresses from the site's root, "" if there is none. status: "ok" or "missing"; then ``log`` is the end
    of its first job's log. described, parameters, input: of the network. accuracy: top1, top5, pictures, labelled, as
    far as they are known. near_chance, answers, warnings: doubts. cover: the model's thumbnail. named: kind
    ("layer", "class") → (name, address) of those that have pages; "unit" → (layer, folder of its units,
    their number or a list).
    modules: layer → the network's own name of it.
    pictures: name of a picture with its own page → entries of each section about it. calls: output's name for each
    class of the image set. said: name of a picture → prediction, probability, verdict, label. findings: the strongest
    ones. trust: those of the sections about trust that are not among them.
    """

    id: str
    title: str
    page: str = ""
    map: str = ""
    image_set: str = ""
    status: str = "missing"
    described: str = ""
    parameters: int | None = None
    input: list[int] | None = None
    accuracy: dict[str, float] = field(default_factory=dict)
    near_chance: dict | None = None
    answers: list[str] = field(default_factory=list)
    warnings: list[dict] = field(default_factory=list)
    log: str = ""
    cover: dict | None = None
    sections: list[Entry] = field(default_factory=list)
    named: dict[str, list] = field(default_factory=lambda: {"layer": [], "class": []})
    modules: dict[str, str] = field(default_factory=dict)
    pictures: dict[str, list[dict]] = field(default_factory=dict)
    calls: list[str | None] = field(default_factory=list)
    said: dict[str, dict] = field(default_factory=dict)
    findings: list[dict] = field(default_factory=list)
    trust: list[dict] = field(default_factory=list)
    schema: int = SCHEMA


def text(stamp: Stamp) -> str:
    """The stamp as JSON, as in its file."""
    return json.dumps(asdict(stamp), indent=1, ensure_ascii=False)


def read(paths: Iterable[Path], site: Path) -> list[Stamp]:
    """The stamps that are there. Raises UserError for models whose pages another version made.

    Those may lack what other pages say of them. site: the folder that then has to be made again.
    """
    found = [json.loads(path.read_text("utf-8")) for path in paths if path.is_file()]
    old = [data["id"] for data in found if data["schema"] != SCHEMA]
    if old:
        raise UserError(
            f"the pages of {', '.join(old)} are by another version of cnnviz: delete {site}, and run it again"
        )
    return [Stamp(**data | {"sections": [Entry(**entry) for entry in data["sections"]]}) for data in found]
