"""A technique's section as data: a Section of Figures, Tables and Metrics, and its files.

A view converts a result into a Section. It writes two files: ``section.json`` (all texts and data of a page) and
``figures.zip`` (the pictures). The site renders every section from these with one template.
"""

import argparse
import io
import json
import os
import re
import zipfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from PIL import Image

from cnnviz.errors import reporting
from cnnviz.network import class_names, facts, kinds
from cnnviz.pictures import images
from cnnviz.pictures.preprocess import Preprocess
from cnnviz.run import atomic, whole
from cnnviz.run.result import Result, read
from cnnviz.views.kit import colour, stages
from cnnviz.views.kit.findings import Finding, Measured
from cnnviz.views.kit.stages import Stages
from cnnviz.views.kit.svg import Drawing, Mark

SCHEMA = 1
MOST_TAG = 18  # letters of a class above its unit's tile
MOST_MARKS = 5000  # largest number of marks of a figure; a map of more pictures is a page of its own
# Characters that XML forbids, and those that change the direction of the text after them.
_UNFIT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ufffe\uffff]")


def fit(text: str) -> str:
    """The text for pages and drawings: � replaces control characters, which file names may contain."""
    return _UNFIT.sub("\ufffd", text)


@dataclass(frozen=True)
class Subject:
    """A figure's subject. kind: "layer", "unit", "image" or "class"; name: as shown; layer: of a unit.

    box: left, top, width, height of the subject in pixels of the figure's file, if only a part of it is about the
    subject. So a sheet of two hundred units is one file and still appears on each unit's own page. Such a figure is
    shown at its file's own size.
    """

    kind: str
    name: str
    layer: str | None = None
    box: tuple[int, int, int, int] | None = None


@dataclass(frozen=True)
class Figure:
    """One picture of a section.

    id: unique in its section, a slug. file: its name in figures.zip. width, height: displayed size in CSS pixels. alt:
    description for readers who cannot see it. caption: its meaning. mapping: numbers → colours in words, with the two
    end values, or the meaning of the pixels. data: the array of the section's data file that it shows. pixelated:
    whether to enlarge by repeating pixels. group: heading above it. from_dataset: whether it shows pictures of the
    image set, or lets readers guess them, so that ``publish: derived`` leaves it out; False only for drawings of
    weights, numbers or noise. more: what only some readers need, for the figure's fold. stages: parts of it for
    sliders, see :mod:`cnnviz.views.kit.stages`. compared: what differs from part to part, "Class", where another
    network's figure can be laid over it: its first stages, or the parts of its subjects, or the whole about its first
    subject. maps: the file with the numbers of its maps, see :mod:`cnnviz.views.kit.viewer`. marks: what can be
    pointed at, in pixels of the displayed size. folded: whether it stands in the fold of its group.
    """

    id: str
    file: str
    width: int
    height: int
    alt: str
    caption: str
    mapping: str
    subjects: tuple[Subject, ...]
    data: str
    pixelated: bool = False
    group: str = ""
    from_dataset: bool = True
    more: str = ""
    stages: tuple[Stages, ...] = ()
    compared: str = ""
    maps: str = ""
    marks: tuple[Mark, ...] = ()
    folded: bool = False


@dataclass(frozen=True)
class Table:
    """rows: lists of strings and numbers, one per column. from_dataset: whether they name pictures, see Figure.

    folded: words of the line that opens it, for numbers that only some readers need; "" shows it at once.
    """

    id: str
    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple, ...]
    from_dataset: bool = False
    folded: str = ""


@dataclass(frozen=True)
class About:
    """Numbers and words about single units, images or classes, for a table on their pages.

    kind: as in Subject; layer: of units. columns: names. rows: name of the subject → its cells, numbers or words; a
    list of words names other subjects of the same kind (and layer), and is shown as links to their pages. from_dataset:
    whether it names pictures, see :class:`Figure`.
    """

    kind: str
    columns: tuple[str, ...]
    rows: dict[str, tuple]
    layer: str | None = None
    from_dataset: bool = False


@dataclass(frozen=True)
class Metric:
    """A number for comparison. name: snake_case, the key in the manifest. unit: "share" for 0 … 1.

    better: "higher", "lower" or "" for neither. interval: [low, high] or None.
    """

    name: str
    value: float
    unit: str = ""
    better: str = ""
    interval: tuple[float, float] | None = None


@dataclass(frozen=True)
class Paper:
    """authors, year, title, venue, and a DOI or arXiv address."""

    authors: str
    year: int
    title: str
    venue: str
    url: str


@dataclass(frozen=True)
class Section:
    """One technique's section about one model. Its texts are for readers who do not know the technique.

    tour: a sentence for the front page on what to look for. equation: the technique's formula as text (Unicode), or "".
    cover: id of the figure that represents the section on other pages; "" is the first one. widget: name of a special
    template partial, with its ``widget_data`` (JSON), if a grid of figures is not enough. files: further files in
    figures.zip (map tiles, for example).
    """

    id: str
    title: str
    question: str
    how_to_read: str
    do_not_conclude: str
    papers: tuple[Paper, ...]
    tour: str = ""
    equation: str = ""
    status: str = "ok"
    reason: str = ""
    findings: tuple[Finding, ...] = ()
    measured: dict[str, Measured] = field(default_factory=dict)
    figures: tuple[Figure, ...] = ()
    cover: str = ""
    tables: tuple[Table, ...] = ()
    about: tuple[About, ...] = ()
    metrics: tuple[Metric, ...] = ()
    widget: str = ""
    widget_data: dict = field(default_factory=dict)
    parameters: dict = field(default_factory=dict)
    seed: int = 0
    provenance: dict = field(default_factory=dict)
    schema: int = SCHEMA


class Context:
    """What a view may use besides the result: the model's facts, the image set, its thumbnails, and the zip file.

    model: ``model.json`` as a dict. show: the section's ``view`` config block. image_set: :class:`images.ImageSet`.
    thumbnails: (n, 64, 64, 3) uint8, memory-mapped, in the order of image_set.pictures.
    """

    def __init__(self, model: dict, show: dict, image_set: images.ImageSet, thumbnails: np.ndarray, inputs: dict):
        self.model = model
        self.show = show
        self.image_set = image_set
        self.thumbnails = thumbnails
        self.inputs = inputs
        self.files: dict[str, bytes] = {}

    @property
    def kind(self) -> str:
        """The kind of the network, see :mod:`cnnviz.network.kinds`."""
        return self.model.get("kind", kinds.SOFTMAX)

    @cached_property
    def hues(self) -> dict[str, str]:
        """Name of a class → its colour on every page: see :func:`colour.of_classes`."""
        outputs = [] if self.kind == kinds.REGRESSION else self.model["classes"]
        of_output = self.model.get("label_to_output", ())
        return colour.of_classes(self.image_set.classes, outputs, of_output)

    @property
    def explained(self) -> str:
        """Name in captions of an output that a picture or map is about."""
        return "value" if self.kind == kinds.REGRESSION else "class"

    @property
    def score(self) -> str:
        """Name in captions of the number that maps explain and that pictures maximise."""
        return {kinds.REGRESSION: "value", kinds.SEGMENTATION: "score"}.get(self.kind, "logit")

    def says(self, output: int, score: float) -> str:
        """The network's value for one of its outputs, for a caption: see :func:`cnnviz.network.kinds.stated`."""
        return kinds.stated(self.kind, output, len(self.model["classes"]), score)

    def rgb(self, pixels: np.ndarray) -> np.ndarray:
        """Pictures of the set's channels (…, c) for display, (…, 3) uint8: see :func:`colour.rgb`."""
        return colour.rgb(pixels, self.image_set.config.get("show"))

    def called(self, label: int) -> str:
        """Name of a class of the picture set: the network's first name for it, or else the set's."""
        output = self.model["label_to_output"][label]
        return class_names.short(self.image_set.classes[label] if output is None else self.model["classes"][output])

    def of_unit(self, layer: str, unit: int) -> str:
        """Name of the class whose score a unit is, "" if its layer does not give the scores (``scores_layer``)."""
        scores = layer == self.model.get("scores_layer") and self.kind != kinds.REGRESSION
        return class_names.short(self.model["classes"][unit]) if scores else ""

    def unit(self, layer: str, unit: int) -> str:
        """A unit's name in captions: "conv3, unit 5", with its class if it is one's score."""
        name = self.of_unit(layer, unit)
        return f"{layer}, unit {unit}" + f" ({name})" * bool(name)

    def tag(self, layer: str, unit: int) -> str:
        """A unit's name above its tile: its class, if it is one's score and the labels' font has its letters."""
        name = self.of_unit(layer, unit)
        return class_names.cut(name, MOST_TAG) if name and name.isascii() else f"unit {unit}"

    def mark(self, index: int, said: str, box: tuple[float, float, float, float] = (0, 0, 0, 0)) -> Mark:
        """A tile that shows the set's picture ``index``, or a part of it, and leads to its page.

        said: what a reader is told after the picture's name and class. box: left, top, width and height, in the
        figure's pixels.
        """
        picture, (x, y, width, height) = self.image_set.pictures[index], box
        own = "" if picture.label is None else self.called(picture.label)
        return Mark(x, y, picture.name, ", ".join(filter(None, (own, said))), width, height, "image", picture.name)

    def as_seen(self, result: Result, indices: Iterable[int]) -> dict[int, np.ndarray]:
        """Index → the picture for display at the size of the network's input. −1, which means none, is skipped."""
        indices = sorted({int(i) for i in indices} - {-1})
        geometry = Preprocess(**result.numbers["geometry"]).geometry
        return dict(zip(indices, self.image_set.arrays(geometry, indices, shown=True), strict=True))

    def picture(
        self,
        id: str,
        pixels: np.ndarray,
        *,
        alt: str,
        caption: str,
        mapping: str,
        data: str,
        subjects: tuple[Subject, ...] = (),
        scale: float = 1,
        pixelated: bool = False,
        group: str = "",
        lossless: bool = True,
        quality: int = 90,
        from_dataset: bool = True,
        more: str = "",
        stages: tuple[Stages, ...] = (),
        compared: str = "",
        maps: str = "",
        marks: Sequence[Mark] = (),
    ) -> Figure:
        """Encodes (h, w, 3) or (h, w, 4) uint8 ``pixels`` as a file and returns a Figure that shows them × ``scale``.

        It uses lossless WebP for drawings and small pictures, lossy WebP of this quality for photographs. More effort
        for lossless files (method 2) takes six times as long, which was half of a view's time, and makes them a seventh
        smaller. stages, marks: in the file's pixels.
        """
        how = {"lossless": True, "quality": 100, "method": 0} if lossless else {"quality": quality, "method": 2}
        stream = io.BytesIO()
        Image.fromarray(pixels).save(stream, "WEBP", **how)
        width, height = (round(side * scale) for side in pixels.shape[1::-1])
        return self.figure(
            id, f"{id}.webp", stream.getvalue(), width, height,
            alt=alt, caption=caption, mapping=mapping, data=data, subjects=subjects, pixelated=pixelated, group=group,
            from_dataset=from_dataset, more=more, compared=compared, maps=maps,
            stages=tuple(s.scaled(width / pixels.shape[1], height / pixels.shape[0]) for s in stages),
            marks=tuple(mark.scaled(scale) for mark in marks[:MOST_MARKS]),
        )  # fmt: skip

    def drawing(
        self, id: str, drawing: Drawing, *, scale: float = 1, stages: tuple[Stages, ...] = (), **words
    ) -> Figure:
        """The Figure of a drawing, shown × ``scale``. stages: in the drawing's pixels."""
        width, height = (round(scale * side) for side in (drawing.width, drawing.height))
        scaled = tuple(s.scaled(width / drawing.width, height / drawing.height) for s in stages)
        marks = tuple(mark.scaled(scale) for mark in drawing.marks[:MOST_MARKS])
        return self.figure(id, f"{id}.svg", drawing.content, width, height, marks=marks, stages=scaled, **words)

    def figure(self, id: str, file: str, content: bytes, width: int, height: int, **words) -> Figure:
        """A Figure of an encoded file (an SVG, for example), added to the zip. Raises ValueError for a repeated id."""
        self.file(file, fit(content.decode()).encode() if file.endswith(".svg") else content)
        return Figure(id=id, file=file, width=width, height=height, **words)

    def file(self, name: str, content: bytes) -> None:
        """Adds a further file to the zip."""
        if name in self.files:
            raise ValueError(f"two figures are called {name}")
        self.files[name] = content


def checked(section: Section) -> Section:
    """The section.

    Raises ValueError where a finding names a figure or a measured number that the section lacks, or where a figure's
    part lies outside of it.
    """
    figures = {figure.id for figure in section.figures}
    for figure in section.figures:
        for x, y, width, height in (box for parts in figure.stages for box in parts.every):
            if min(x, y) < 0 or x + width > figure.width + 0.5 or y + height > figure.height + 0.5:
                raise ValueError(f"{section.id}: a part of the figure {figure.id!r} lies outside of it")
    for finding in section.findings:
        if finding.figure and finding.figure not in figures:
            raise ValueError(f"{section.id}: the finding {finding.key!r} names the figure {finding.figure!r}")
        if finding.labels and len(finding.labels) != len(section.measured[finding.key].values):
            raise ValueError(f"{section.id}: the finding {finding.key!r} has another number of labels than of values")
    return section


def write(section: Section, files: dict[str, bytes], section_path: str | os.PathLike, zip_path: str | os.PathLike):
    """Writes section.json and figures.zip; the same section gives the same bytes."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(files):
            archive.writestr(zipfile.ZipInfo(name), files[name])
    atomic.write_bytes(zip_path, stream.getvalue())
    atomic.write_text(section_path, json.dumps(asdict(section), indent=1, ensure_ascii=False, allow_nan=False))


def load(path: str | os.PathLike) -> Section:
    """Reads a section.json. Raises ValueError for another schema version."""
    data = json.loads(Path(path).read_text("utf-8"))
    if data["schema"] != SCHEMA:
        raise ValueError(f"{path}: schema {data['schema']}, this code reads {SCHEMA}; run the pipeline again")
    figures = tuple(_figure(f) for f in data.pop("figures"))
    about = tuple(
        About(**a | {"columns": tuple(a["columns"]), "rows": {name: tuple(row) for name, row in a["rows"].items()}})
        for a in data.pop("about", ())
    )
    tables = tuple(
        Table(**t | {"columns": tuple(t["columns"]), "rows": tuple(tuple(r) for r in t["rows"])})
        for t in data.pop("tables")
    )
    metrics = tuple(
        Metric(**m | {"interval": tuple(m["interval"]) if m["interval"] else None}) for m in data.pop("metrics")
    )
    papers = tuple(Paper(**p) for p in data.pop("papers"))
    findings = tuple(Finding(**f | {"labels": tuple(f["labels"])}) for f in data.pop("findings", ()))
    measured = {k: Measured(**m | {"values": tuple(m["values"])}) for k, m in data.pop("measured", {}).items()}
    return Section(
        figures=figures, tables=tables, about=about, metrics=metrics, papers=papers, findings=findings,
        measured=measured, **data,
    )  # fmt: skip


def _figure(data: dict) -> Figure:
    parts = {
        "subjects": map(_subject, data["subjects"]),
        "stages": map(stages.load, data.get("stages", ())),
        "marks": (Mark(*mark) for mark in data.get("marks", ())),
    }
    return Figure(**data | {name: tuple(each) for name, each in parts.items()})


def _subject(data: dict) -> Subject:
    return Subject(**data | {"box": tuple(data["box"]) if data.get("box") else None})


def run(view: Callable[[Result, Context], dict], **words) -> None:
    """The command line of a view.

    words: texts that are the same for every model's section: id, title, question, tour, how_to_read, do_not_conclude,
    papers, equation. view: (result, context) → the rest of the Section: figures, tables, metrics, widget; it may
    replace the texts. For a result that is not applicable nothing is drawn; its reason is shown.
    """
    parser = argparse.ArgumentParser(description=words["question"])
    parser.add_argument("--show", type=json.loads, default={}, help="the section's view block, as JSON")
    parser.add_argument("--image-set", type=json.loads, required=True, help="the image set's config block, as JSON")
    parser.add_argument("--input", nargs="+", required=True, metavar="NAME=PATH")
    parser.add_argument("--section", required=True)
    parser.add_argument("--figures", required=True)
    options = parser.parse_args()
    inputs = {name: Path(path) for name, path in (pair.split("=", 1) for pair in options.input)}
    with reporting():
        atomic.sweep([options.section, options.figures])
        whole.check(inputs.values())
        result = read(inputs["result"])
        context = Context(
            model=facts.read(inputs["model"]),
            show=options.show,
            image_set=images.read(inputs["images"], options.image_set),
            thumbnails=np.load(inputs["thumbnails"], mmap_mode="r"),
            inputs=inputs,
        )
        shown = view(result, context) if result.status == "ok" else {}
        section = Section(
            **words
            | {
                "status": result.status,
                "reason": result.reason,
                "parameters": result.parameters,
                "seed": result.seed,
                "provenance": result.provenance,
            }
            | shown
        )
        if section.status == "ok":
            note = kinds.note(context.kind, section.how_to_read)
            asks = kinds.question(context.kind, section.id, section.question)
            section = replace(section, question=asks, how_to_read=section.how_to_read + note)
        write(checked(section), context.files, options.section, options.figures)
