"""The pages of one model: its overview, and a page for each of its sections.

``python -m cnnviz.site.model_pages --config JSON --model …/model.json --sections FOLDER --out results/site --stamp …``

A missing section gets a page that says so, with the end of its log. So a site can always be made. The stamp holds what
the index needs to know about the model.
"""

import argparse
import csv
import io
import json
import zipfile
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from itertools import groupby
from pathlib import Path

import numpy as np
from jinja2 import Environment
from PIL import Image, ImageOps

from cnnviz.errors import reporting
from cnnviz.network import class_names
from cnnviz.run import atomic, whole
from cnnviz.site import (
    class_examples,
    compare,
    credits,
    edition,
    layer_names,
    legends,
    map_page,
    missing,
    picture_pages,
    points,
    ranking,
    sliders,
    subjects,
)
from cnnviz.site.chance import near_chance
from cnnviz.site.environment import environment, short
from cnnviz.site.folder import Publication
from cnnviz.site.redact import log_end, redact
from cnnviz.site.size import MB, MOST_FILE, in_words
from cnnviz.site.stamp import Entry, Stamp, text
from cnnviz.slug import slug
from cnnviz.views.kit import colour
from cnnviz.views.kit import section as sections_on_disk
from cnnviz.views.kit.section import Figure, Section, Subject

FILES = ("result.npz", "section.json", "figures.zip")  # files of a section
THUMBNAIL_BYTES, THUMBNAIL_BYTES_SVG, THUMBNAIL_SIZE = 60_000, 250_000, (480, 360)
EAGER_FIGURES, EAGER_BYTES = 2, 150_000
MOST_UNFOLDED, UNFOLDED = 6, 4  # figures of a group that stand open; of one with more, the first ones
MOST_DETAILED = 60  # largest number of figures with the section's provenance; on pages with more they link to it


@dataclass(frozen=True)
class Shown:
    """A figure on a page.

    anchor: its HTML id. href: its file from the page. eager: whether it is loaded before scrolling. credit: credits and
    licences of the pictures that it shows; "" if not stated. finding: the finding that it proves, or None. mapping:
    the part of its mapping that no line above it says. sliders: over its parts, see :mod:`cnnviz.site.sliders`. points:
    the script of what can be pointed at, and table: the CSV file of a chart's numbers, both from the root; "" without
    them. subjects: those that its details list.
    """

    figure: Figure
    anchor: str
    href: str
    eager: bool
    credit: str
    finding: dict | None = None
    mapping: str = ""
    sliders: list[dict] = field(default_factory=list)
    points: str = ""
    table: str = ""
    subjects: tuple[Subject, ...] = ()


@dataclass(frozen=True)
class Part:
    """One section of a model, as found on disk.

    section: None if it is missing; then ``log`` and ``reason`` hold what is known. files: name → bytes of figures.zip.
    data: the result to download, or None; a larger one than most_data bytes is not published. address: address of its
    page in the site. notes: sentences about parts that exist and are not published.
    """

    id: str
    title: str
    status: str
    reason: str
    address: str
    log: str = ""
    section: Section | None = None
    files: dict[str, bytes] | None = None
    data: Path | None = None
    data_bytes: int = 0
    most_data: int | None = None
    notes: tuple[str, ...] = ()


def render(config: dict, model_path: Path, sections: Path, out: Path, log_folder: Path | None = None) -> Stamp:
    """Renders one model's pages; returns its stamp.

    config: ``model`` (id), ``title``, ``sections`` (ids in order) and optionally ``image_set`` (for credits and
    unreadable pictures), ``terms`` (credit and licence of the set's pictures that state none themselves), ``families``
    (heading → section ids), ``models`` (every model of the site as {id, title, sections}, for links between the same
    sections), ``publish`` (see :mod:`cnnviz.site.edition`) and ``limits``, of which ``download`` is used here.
    """
    publish = config.get("publish", edition.EVERYTHING)
    page = environment(publish).overlay()  # of this model alone: the environment is shared by all pages of a process
    page.globals = page.globals | {"versus": compare.of(config["model"], config.get("models", ()))}
    folder = f"models/{slug(config['model'])}"
    facts = redact(_facts(model_path))
    title = config.get("title") or config["model"]
    accuracy = _accuracy(model_path.parent / "forward" / "result.npz", len(facts.get("classes", ())))
    warnings = _warnings(model_path.parent / "look.json", publish)
    index = credits.read(_images(model_path, config.get("image_set")), config.get("terms"))
    parts = read_parts(config["sections"], folder, sections, log_folder, publish, edition.names(index))
    names = layer_names.own(facts.get("layers", ()))
    parts = [replace(part, section=part.section and layer_names.beside(part.section, names)) for part in parts]
    if download := config.get("limits", {}).get("download"):
        parts = [replace(part, most_data=int(download * MB)) for part in parts]
    log = "" if facts or not log_folder or publish == edition.DERIVED else log_end(log_folder / "network.log")
    chance, answers = near_chance(accuracy, facts), facts.get("trial", {}).get("answers", [])
    by_name = {picture["name"]: credits.terms(picture) for picture in index.get("pictures", ())}
    known = _known(parts, folder)
    close, every = picture_pages.looked_at(known), set(by_name)
    said = picture_pages.said(known) if publish != edition.DERIVED else {}
    image_set, hues = config.get("image_set"), _hues(facts, index)

    def picture(name: str) -> str:
        if publish == edition.DERIVED or name not in every:
            return ""
        return picture_pages.page_of(image_set, name, close, len(every))

    link = subjects.linker(folder, facts, known, picture)
    with Publication(out, slug(config["model"])) as site:
        map_address = ""
        if publish != edition.DERIVED and image_set:
            words = {"title": title, "image_set": image_set, "close": close}
            map_address = map_page.publish(page, site, folder, parts, words, index, facts)
        same = {
            "kind": "section",
            "root": "../../../",
            "model": {"id": config["model"], "title": title, "page": "../index.html"},
            "near_chance": chance,
            "answers": answers,
            "warnings": [warning for warning in warnings if warning["mark"] == "✗"],
            "made_from": _made_from(facts, index),
            "link": link,
            "hues": hues,
            "map": "../map.html" if map_address else "",
        }
        entries = [
            publish_section(site, page, folder, part, by_name, same | _around(config, parts, i, index))
            for i, part in enumerate(parts)
        ]
        of_model = {"title": title, "folder": folder, "hues": hues, "sections": {entry.id: entry for entry in entries}}
        if publish != edition.DERIVED and image_set:
            calls = picture_pages.calls(facts)
            of_model["examples"] = class_examples.of_outputs(calls, index, image_set, said, picture)
        subjects.render(page, site, of_model, facts, known)
        stamp = Stamp(
            id=config["model"],
            title=title,
            page=f"{folder}/index.html",
            map=map_address,
            image_set=image_set or "",
            status="ok" if facts else "missing",
            described=facts.get("described", ""),
            parameters=facts.get("parameters"),
            input=facts.get("input"),
            accuracy=accuracy,
            near_chance=chance,
            answers=answers,
            warnings=warnings,
            log=log,
            cover=_cover(entries),
            sections=entries,
            findings=(top := ranking.strongest(entries)[: ranking.MOST]),
            trust=ranking.trust(entries, top),
            named=subjects.named(folder, facts, known),
            modules={layer["name"]: layer["module"] for layer in facts.get("layers", ())},
            pictures=close if publish != edition.DERIVED else {},
            calls=picture_pages.calls(facts) if publish != edition.DERIVED else [],
            said=said,
        )
        gaps = _gaps(parts, index, image_set)
        site.write(stamp.page, _model_page(page, folder, config, stamp, facts, parts, gaps, link))
    return stamp


def _model_page(
    page: Environment, folder: str, config: dict, stamp: Stamp, facts: dict, parts: list[Part], gaps: list, link
) -> str:
    strip = [
        layer | {"page": link(Subject("layer", layer["name"])).removeprefix(f"{folder}/")} for layer in _strip(facts)
    ]
    return page.get_template("model.html").render(
        root="../../",
        model=stamp,
        facts=facts,
        strip=strip,
        named=layer_names.namer(layer_names.own(facts.get("layers", ()))),
        families={part.id: _family(config, part.id) for part in parts},
        gaps=gaps,
        scripts=[],
    )


def _known(parts: list[Part], folder: str) -> dict:
    """What the sections know of each layer, unit, class and picture."""
    done = [part for part in parts if part.section and part.status == "ok"]
    return subjects.gather((part.section, part.address, f"{folder}/figures/{slug(part.id)}") for part in done)


def _around(config: dict, parts: list[Part], i: int, index: dict) -> dict:
    """Neighbours and pictures of section ``parts[i]``, for its page."""
    part = parts[i]
    return {
        "image_set": _credited(part, config.get("image_set"), index),
        "family": _family(config, part.id),
        "others": _others(config, part.id),
        "before": parts[i - 1] if i else None,
        "after": parts[i + 1] if i + 1 < len(parts) else None,
    }


def _cover(entries: list[Entry]) -> str | None:
    """The model's thumbnail: of its classes' pictures, else the first one."""
    thumbnails = {entry.id: entry.thumbnail for entry in entries if entry.thumbnail}
    return thumbnails.get("class_visualization") or next(iter(thumbnails.values()), None)


def read_parts(
    ids: Iterable[str], folder: str, sections: Path, log_folder: Path | None, publish: str, names: list[str]
) -> list[Part]:
    """The sections ``ids`` in ``sections``, in this edition. names: texts that the derived edition must not contain."""
    parts = [_light(_part(id, folder, sections / id, log_folder)) for id in ids]
    return [_derived(part, names) for part in parts] if publish == edition.DERIVED else parts


def publish_section(
    site: Publication, page: Environment, folder: str, part: Part, credit: dict[str, tuple[str, str]], around: dict
) -> Entry:
    """Publishes a section's figures, data and page in ``folder``; returns its entry in the stamp.

    credit: name of a picture → its (credit, licence). around: further contents of the page, about its neighbours.
    """
    section = part.section
    _publish_figures(site, folder, part)
    found = ranking.listed(section, part.address, f"{folder}/figures/{slug(part.id)}") if section else []
    shown = _shown(part, folder, credit, found)
    lead, groups = _groups(shown)
    tables = [_table(table) for table in section.tables] if section else []
    if page.globals["publish"] != edition.DERIVED:
        for table in tables:
            table["file"] = f"../data/{slug(part.id)}/{slug(table['id'])}.csv"
            site.write(f"{folder}/{table['file'].removeprefix('../')}", _csv(table))
    _publish_points(site, page, folder, part, around["link"])
    html = page.get_template("section.html").render(
        part=part,
        section=section,
        parameters=redact(section.parameters) if section else {},
        provenance=redact(around.pop("made_from", {}) | section.provenance) if section else {},
        papers=_papers(section) if section else [],
        found=found,
        lead=lead,
        groups=groups,
        credit=stated.pop() if len(stated := {s.credit for s in shown} - {""}) == 1 else "",
        tables=tables,
        base=f"../figures/{slug(part.id)}",
        data=f"../data/{slug(part.id)}.npz" if _published_data(part) else "",
        detailed=_detailed(section),
        scripts=["copy.js", "lightbox.js", *_widgets(shown), "timings.js"],
        **around,
    )
    site.write(part.address, html)
    return _entry(site, folder, part, tables)


def _detailed(section: Section | None) -> bool:
    return section is not None and len(section.figures) <= MOST_DETAILED


def _widgets(shown: list[Shown]) -> list[str]:
    """Scripts of what some figures have."""
    has = {
        "charts.js": any(one.points for one in shown),
        "scrub.js": any(one.sliders for one in shown),
        "viewer.js": any(one.figure.maps for one in shown),
    }
    return [script for script, needed in has.items() if needed]


# ------------------------------------------------------------------------------------------------------- files on disk


def _facts(path: Path) -> dict:
    try:
        return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}


def _accuracy(path: Path, classes: int) -> dict:
    """top1, top5 (fractions; top5 for more than five classes) and pictures (a count) of the forward pass."""
    try:
        with np.load(path, allow_pickle=False) as file:
            numbers = json.loads(str(file["meta"]))["numbers"]
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        return {}
    names = ("top1", "pictures", "labelled", *(["top5"] if classes > 5 else []))
    return {k: numbers[k] for k in names if isinstance(numbers.get(k), int | float)}


def _warnings(path: Path, publish: str) -> list[dict]:
    """Warnings of the early check: mark (✗ or !), name, text, and more lines, which the derived edition leaves out."""
    found = redact(_facts(path).get("warnings", []))
    return [{**warning, "more": []} for warning in found] if publish == edition.DERIVED else found


def _hues(facts: dict, index: dict) -> dict[str, str]:
    """Name of a class, and its short form, → its colour."""
    outputs = [] if facts.get("values") else facts.get("classes", [])
    found = colour.of_classes(index.get("classes", []), outputs, facts.get("label_to_output", []))
    return {class_names.short(name): hue for name, hue in found.items()} | found


def _made_from(facts: dict, index: dict) -> dict:
    """Hashes of the inputs of all of a model's sections: the network's files and the image set."""
    stated = {"checkpoint": facts.get("checkpoint"), "pictures": index.get("fingerprint")}
    return {what: hashed for what, hashed in stated.items() if hashed}


def _gaps(parts: list[Part], index: dict, image_set: str | None) -> list[tuple[str, str]]:
    """Entries of missing.html about this model and its pictures: (words, address from the site's root)."""
    lines = [
        ("Pictures that could not be read", len(index.get("skipped", ())), f"skipped-{slug(image_set or '')}"),
        ("Kinds of files beside the pictures", len(index.get("others", ())), f"others-{slug(image_set or '')}"),
        ("Notes on odd pictures", len(index.get("notes", ())), f"notes-{slug(image_set or '')}"),
        ("Sections that failed, or are not made yet", sum(part.status == "missing" for part in parts), "failed"),
        ("Sections that do not apply", sum(part.status == "not_applicable" for part in parts), "not-applicable"),
        ("Sections published in part", sum(bool(part.notes) for part in parts), "unpublished"),
    ]
    return [(f"{words}: {count}", f"{missing.PAGE}#{anchor}") for words, count, anchor in lines if count]


def _images(model_path: Path, image_set: str | None) -> Path | None:
    return model_path.parents[2] / "image_sets" / image_set / "images.json" if image_set else None


def _part(id: str, folder: str, path: Path, log_folder: Path | None) -> Part:
    address = f"{folder}/sections/{slug(id)}.html"
    try:
        section = sections_on_disk.load(path / "section.json")
        with zipfile.ZipFile(path / "figures.zip") as archive:
            files = {name: archive.read(name) for name in archive.namelist()}
        absent = [f.file for f in section.figures if f.file not in files]
        if absent:
            raise ValueError(f"figures.zip lacks {absent[0]}")
    except OSError:
        reason = "This section has not been computed, or its job failed."
    except (ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        reason = f"This section's files cannot be read: {redact(str(error))}"
    else:
        data = path / "result.npz"
        if data.is_file():  # otherwise a newer run failed, and these pictures are of an older one
            return Part(
                id=id, title=section.title, status=section.status, reason=section.reason, address=address,
                section=section, files=files, data=data, data_bytes=data.stat().st_size,
            )  # fmt: skip
        reason = "The last run of this technique failed; pictures of an earlier one are not shown."
    title = id.replace("_", " ").capitalize()
    computed = (path / "result.npz").is_file()  # if so, the view failed
    log = log_end(log_folder / (f"{id}.view.log" if computed else f"{id}.log")) if log_folder else ""
    return Part(id=id, title=title, status="missing", reason=reason, address=address, log=log)


def _published_data(part: Part) -> bool:
    return part.data is not None and part.data_bytes <= min(MOST_FILE, part.most_data or MOST_FILE)


def _light(part: Part) -> Part:
    """The part without files that are too large for hosts, and without their figures."""
    heavy = {name for name, content in (part.files or {}).items() if len(content) > MOST_FILE}
    if not heavy:
        return part
    names = ", ".join(sorted(heavy))
    verb = "is" if len(heavy) == 1 else "are"
    note = f"{names} {verb} not published: most hosts refuse files above {MOST_FILE // MB} MB. "
    return replace(
        part,
        section=replace(part.section, figures=tuple(f for f in part.section.figures if f.file not in heavy)),
        files={name: content for name, content in part.files.items() if name not in heavy},
        notes=(*part.notes, note + f"{'It is' if verb == 'is' else 'They are'} in this section's figures.zip."),
    )


def _derived(part: Part, names: list[str]) -> Part:
    """The part in the derived edition, with the files of the remaining figures only."""
    if part.section is None:
        return replace(part, log="", reason=edition.without(part.reason, names))
    section = edition.derived(part.section, names)
    note = edition.left_out(part.section, section)
    if note and not (section.figures or section.tables or section.metrics):
        note += " Nothing else is in this section."
    return replace(
        part,
        section=section,
        reason=section.reason,
        files={figure.file: part.files[figure.file] for figure in section.figures},
        data=None,
        data_bytes=0,
        notes=tuple(filter(None, (*edition.without(part.notes, names), note))),
    )


# ---------------------------------------------------------------------------------------------------------- its figures


def _publish_figures(site: Publication, folder: str, part: Part) -> None:
    for name, content in (part.files or {}).items():
        site.write(f"{folder}/figures/{slug(part.id)}/{name}", content)
    if _published_data(part):
        _publish_data(site, f"{folder}/data/{slug(part.id)}.npz", part.data)


def _publish_points(site: Publication, page: Environment, folder: str, part: Part, link) -> None:
    """What can be pointed at on its figures, as scripts and, in the whole edition, its charts' numbers as CSV."""
    if not part.section:
        return
    for address, script in points.scripts(part.section, folder, link).items():
        site.write(address, script)
    if page.globals["publish"] != edition.DERIVED:
        for figure in part.section.figures:
            if table := points.table(folder, part.id, figure):
                site.write(table, points.rows(figure))


def _publish_data(site: Publication, address: str, path: Path) -> None:
    """A result's arrays unchanged, and its JSON without this machine's paths."""
    with np.load(path, allow_pickle=False) as file:
        meta = json.loads(str(file["meta"]))
        if redact(meta) == meta:
            site.copy(address, path)
            return
        stream = io.BytesIO()
        text = json.dumps(redact(meta), sort_keys=True, allow_nan=False)
        np.savez_compressed(stream, **{name: file[name] for name in file.files} | {"meta": np.array(text)})
    site.write(address, stream.getvalue())


def _shown(part: Part, folder: str, credit: dict[str, tuple[str, str]], found: list[dict]) -> list[Shown]:
    """A section's figures. The first one leads the page: a finding's figure, else the cover, else the first.

    credit: name of a picture → its (credit, licence). found: the section's findings.
    """
    if part.section is None:
        return []
    proves = {finding["figure"]["id"]: finding for finding in reversed(found) if finding["figure"]}
    lead = next(reversed(proves), part.section.cover)
    shown, left = [], EAGER_BYTES
    for i, figure in enumerate(sorted(part.section.figures, key=lambda figure: figure.id != lead)):
        left -= len(part.files[figure.file])
        href = f"../figures/{slug(part.id)}/{figure.file}"
        stated = [credit[s.name] for s in figure.subjects if s.kind == "image" and s.name in credit]
        eager = i < EAGER_FIGURES and left >= 0
        finding = proves.get(figure.id)
        shown.append(
            Shown(
                figure, f"fig-{slug(figure.id)}", href, eager, credits.line(stated), finding,
                sliders=sliders.of_figure(figure, href), points=points.address(folder, part.id, figure),
                table=points.table(folder, part.id, figure), subjects=_listed(part.section, figure),
            )
        )  # fmt: skip
    return shown


def _listed(section: Section, figure: Figure) -> tuple[Subject, ...]:
    """A figure's subjects. On a page of very many figures, without those that the figure itself leads to."""
    if _detailed(section):
        return figure.subjects
    tiles = {mark.kind for mark in figure.marks}
    return tuple(subject for subject in figure.subjects if not subject.box and subject.kind not in tiles)


def _runs(members: list[Shown]) -> list[tuple[str, list[Shown]]]:
    sized = groupby(members, key=lambda s: subjects.size_of(s.figure.width, s.figure.height))
    return [(size, list(run)) for size, run in sized]


def _groups(shown: list[Shown]) -> tuple[Shown | None, list[dict]]:
    """The first figure, and the others under their headings; within one, runs of like width stand in one grid.

    Of a long group all but the first figures are folded (``rest``), and figures that ask for it always are.
    """
    others = groupby(shown[1:], key=lambda s: s.figure.group)
    parted = [("", shown[:1]), *((h, sorted(s, key=lambda s: s.figure.folded)) for h, s in others)]
    lines, own = legends.legends([[s.figure.mapping for s in members] for _, members in parted])
    groups = []
    for i, ((heading, members), line, words) in enumerate(zip(parted, lines, own, strict=True)):
        members = [replace(s, mapping=mapping) for s, mapping in zip(members, words, strict=True)]
        open = sum(not s.figure.folded for s in members)
        few = UNFOLDED if open > MOST_UNFOLDED else open
        runs = {"runs": _runs(members[:few]), "rest": _runs(members[few:]), "folded": len(members) - few}
        groups.append({"heading": heading, "anchor": f"group-{i}", "line": line, "members": members} | runs)
    (first, *others) = groups
    lead = replace(first["members"][0], mapping=" ".join(filter(None, (first["line"], *own[0])))) if shown else None
    return lead, others


def _table(table) -> dict:
    """A table with the kinds of its columns: numbers are aligned right."""
    numeric = [
        all(isinstance(row[i], int | float | None) for row in table.rows) and bool(table.rows)
        for i in range(len(table.columns))
    ]
    return asdict(table) | {"numeric": numeric, "anchor": f"table-{slug(table.id)}", "file": ""}


def _csv(table: dict) -> str:
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows([table["columns"], *table["rows"]])
    return stream.getvalue()


def _thumbnail(site: Publication, folder: str, part: Part) -> dict | None:
    """A thumbnail of a section, reduced if it is large: of its cover, else of a finding's figure, else of the first."""
    section = part.section
    if section is None:
        return None
    proof = next((finding.figure for finding in section.findings if finding.figure), "")
    for figure in sorted(section.figures, key=lambda figure: figure.id != (section.cover or proof)):
        content = part.files[figure.file]
        address = f"{folder}/figures/{slug(part.id)}/{figure.file}"
        width, height, pixelated = figure.width, figure.height, figure.pixelated
        if len(content) > THUMBNAIL_BYTES:
            if figure.file.endswith(".svg"):
                if len(content) > THUMBNAIL_BYTES_SVG:
                    continue
                return {"file": address, "width": width, "height": height, "alt": figure.alt, "pixelated": False}
            with Image.open(io.BytesIO(content)) as picture:
                picture = picture.convert("RGBA" if "A" in picture.getbands() else "RGB")
            picture = ImageOps.fit(picture, THUMBNAIL_SIZE, Image.Resampling.LANCZOS, centering=(0, 0))
            stream = io.BytesIO()
            picture.save(stream, "WEBP", quality=80, method=4)
            address = f"{folder}/thumbnails/{slug(part.id)}.webp"
            site.write(address, stream.getvalue())
            (width, height), pixelated = THUMBNAIL_SIZE, False
        return {"file": address, "width": width, "height": height, "alt": figure.alt, "pixelated": pixelated}
    return None


# -------------------------------------------------------------------------------------------------- contents of pages


def _entry(site: Publication, folder: str, part: Part, tables: list[dict]) -> Entry:
    """A section's entry in the stamp, for the model's page, the index, the methods page and the manifest."""
    section = part.section
    entry = Entry(
        id=part.id,
        title=part.title,
        page=part.address,
        status=part.status,
        reason=part.reason,
        log=part.log,
        notes=list(part.notes),
        thumbnail=_thumbnail(site, folder, part),
    )
    if section is None:
        return entry
    return replace(
        entry,
        figures=len(section.figures),
        metrics={m.name: m.value for m in section.metrics},
        measures=[asdict(m) for m in section.metrics],
        headline=asdict(section.metrics[0]) if section.metrics else None,
        findings=ranking.listed(section, part.address, f"{folder}/figures/{slug(part.id)}"),
        compared=sliders.compared(section, f"{folder}/figures/{slug(part.id)}"),
        measured={key: asdict(measured) for key, measured in section.measured.items()},
        question=section.question,
        tour=section.tour,
        how_to_read=section.how_to_read,
        do_not_conclude=section.do_not_conclude,
        equation=section.equation,
        papers=_papers(section),
        files=_files(folder, part, tables),
        made_by=section.provenance.get("version", ""),
    )


def _files(folder: str, part: Part, tables: list[dict]) -> list[dict]:
    """What can be downloaded of a section: words, and the address from the site's root."""
    address = f"{folder}/data/{slug(part.id)}.npz"
    data = [{"words": f"Arrays, NumPy, {in_words(part.data_bytes)}", "address": address}]
    csvs = [
        {"words": f"CSV: {table['caption']}", "address": f"{folder}/{table['file'].removeprefix('../')}"}
        for table in tables
        if table["file"]
    ]
    return (data if _published_data(part) else []) + csvs


def _credited(part: Part, image_set: str | None, index: dict) -> dict | None:
    """The image set whose pictures a section shows, with credits; None if it shows none."""
    shows = part.section is not None and (part.section.widget or any(f.from_dataset for f in part.section.figures))
    if not shows or not index.get("pictures"):
        return None
    return {"name": image_set, "anchor": f"set-{slug(image_set)}", "terms": credits.summary(index)}


def _papers(section: Section) -> list[dict]:
    return [asdict(p) | {"short": short(asdict(p))} for p in section.papers]


def _family(config: dict, id: str) -> str:
    return next((heading for heading, ids in config.get("families", {}).items() if id in ids), "")


def _others(config: dict, id: str) -> list[dict]:
    """The same section of the other models: title, and address from this page."""
    return [
        {"title": m.get("title") or m["id"], "href": f"../../{slug(m['id'])}/sections/{slug(id)}.html"}
        for m in config.get("models", ())
        if m["id"] != config["model"] and id in m.get("sections", config["sections"])
    ]


def _strip(facts: dict) -> list[dict]:
    """The layers in execution order, each with the size of its block: higher = larger maps, wider = more units."""
    feature = facts.get("feature", {"at": ["", ""]})
    return [
        layer
        | {
            "block_height": round(8 + 9 * np.log2(max(1, layer["height"])), 1),
            "block_width": round(6 + 3.2 * np.log2(max(1, layer["units"])), 1),
            "own": layer_names.shortened(layer["module"], 14) if layer["module"] != layer["name"] else "",
            "chosen": layer["name"] in facts["chosen"],
            "feature": layer["module"] == feature["at"][0],
        }
        for layer in facts.get("layers", ())
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--config", type=json.loads, required=True, help="model, title, sections, as JSON")
    parser.add_argument("--model", type=Path, required=True, metavar="model.json")
    parser.add_argument("--sections", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--out", type=Path, required=True, help="the site's folder")
    parser.add_argument("--stamp", type=Path, required=True)
    parser.add_argument("--log-folder", type=Path)
    options = parser.parse_args()
    parts = [options.sections / id / file for id in options.config["sections"] for file in FILES]
    with reporting():
        whole.check([options.model, options.model.parent / "forward" / "result.npz", *parts])
    stamp = render(options.config, options.model, options.sections, options.out, options.log_folder)
    atomic.write_text(options.stamp, text(stamp))
    missing = [entry.id for entry in stamp.sections if entry.status == "missing"]
    print(f"{stamp.id}: {len(stamp.sections)} sections, missing: {', '.join(missing) or 'none'}")


if __name__ == "__main__":
    main()
