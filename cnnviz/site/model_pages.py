"""The pages of one model: its overview, and a page for each of its sections.

``python -m cnnviz.site.model_pages --config JSON --model …/model.json --sections FOLDER --out results/site --stamp …``

A section that has not been computed gets a page that says so, with the end of its log; so a site can always be made.
The stamp is what the index needs to know of the model.
"""

import argparse
import io
import json
import zipfile
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from cnnviz import atomic
from cnnviz.site.environment import TEMPLATES, environment, short
from cnnviz.site.folder import Publication
from cnnviz.site.redact import log_end, redact
from cnnviz.slug import slug
from cnnviz.views import section as sections_on_disk
from cnnviz.views.section import Figure, Section

STAMP_SCHEMA = 1
MOST_DATA = 100 * 2**20  # bytes of one file; static hosts refuse more
THUMBNAIL_BYTES, THUMBNAIL_BYTES_SVG, THUMBNAIL_SIZE = 60_000, 250_000, (480, 360)
EAGER_FIGURES, EAGER_BYTES = 2, 150_000
MOST_DETAILED = 60  # figures of a page that repeat the section's provenance; beyond, they link to it


@dataclass(frozen=True)
class Shown:
    """A figure on a page. anchor: its HTML id. href: its file from the page. eager: loaded before it is scrolled to."""

    figure: Figure
    anchor: str
    href: str
    eager: bool


@dataclass(frozen=True)
class Part:
    """One section of a model, as found on disk.

    section: None where it is missing; then ``log`` and ``reason`` say what is known. files: name → bytes of
    figures.zip. data: the result to download, or None. address: of its page in the site.
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


def render(config: dict, model_path: Path, sections: Path, out: Path, log_folder: Path | None = None) -> dict:
    """Render one model's pages; returns its stamp.

    config: ``model`` (id), ``title``, ``sections`` (ids in order) and, if wanted, ``image_set`` (whose pictures that
    could not be read are listed), ``families`` (heading → section ids) and ``models`` (every model of the site as
    {id, title, sections}, for links between the same sections).
    """
    page = environment()
    folder = f"models/{slug(config['model'])}"
    facts = redact(_facts(model_path))
    title = config.get("title") or config["model"]
    accuracy = _accuracy(model_path.parent / "forward" / "result.npz")
    parts = [_part(id, folder, sections / id, log_folder) for id in config["sections"]]
    log = "" if facts or not log_folder else log_end(log_folder / "model.log")
    with Publication(out, slug(config["model"])) as site:
        entries = []
        for i, part in enumerate(parts):
            _publish_figures(site, folder, part)
            entries.append(_entry(site, folder, part))
            html = page.get_template("section.html").render(
                root="../../../",
                model={"id": config["model"], "title": title, "page": "../index.html"},
                part=part,
                section=part.section,
                parameters=redact(part.section.parameters) if part.section else {},
                provenance=redact(part.section.provenance) if part.section else {},
                papers=_papers(part.section) if part.section else [],
                groups=_groups(part),
                tables=[_table(t) for t in part.section.tables] if part.section else [],
                base=f"../figures/{slug(part.id)}",
                data=f"../data/{slug(part.id)}.npz" if _published_data(part) else "",
                detailed=bool(part.section) and len(part.section.figures) <= MOST_DETAILED,
                family=_family(config, part.id),
                others=_others(config, part.id),
                before=parts[i - 1] if i else None,
                after=parts[i + 1] if i + 1 < len(parts) else None,
                scripts=_scripts(part),
            )
            site.write(part.address, html)
        cover = next((e["thumbnail"] for e in entries if e["id"] == "class_visualization" and e["thumbnail"]), None)
        stamp = {
            "schema": STAMP_SCHEMA,
            "id": config["model"],
            "title": title,
            "page": f"{folder}/index.html",
            "status": "ok" if facts else "missing",
            "described": facts.get("described", ""),
            "parameters": facts.get("parameters"),
            "input": facts.get("input"),
            "accuracy": accuracy,
            "cover": cover or next((e["thumbnail"] for e in entries if e["thumbnail"]), None),
            "sections": entries,
        }
        html = page.get_template("model.html").render(
            root="../../",
            model=stamp,
            facts=facts,
            log=log,
            strip=_strip(facts),
            families={part.id: _family(config, part.id) for part in parts},
            skipped=_skipped(model_path, config.get("image_set")),
            scripts=[],
        )
        site.write(stamp["page"], html)
    return stamp


# ------------------------------------------------------------------------------------------------ what there is on disk


def _facts(path: Path) -> dict:
    try:
        return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}


def _accuracy(path: Path) -> dict:
    """top1, top5 (fractions) and pictures (a count), as far as the forward pass states them."""
    try:
        with np.load(path, allow_pickle=False) as file:
            numbers = json.loads(str(file["meta"]))["numbers"]
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        return {}
    return {k: numbers[k] for k in ("top1", "top5", "pictures") if isinstance(numbers.get(k), int | float)}


def _skipped(model_path: Path, image_set: str | None) -> list[dict]:
    """Name and reason of each picture of the model's image set that could not be read."""
    path = model_path.parents[2] / "image_sets" / str(image_set) / "images.json"
    if image_set is None or not path.is_file():
        return []
    skipped = json.loads(path.read_text("utf-8"))["skipped"]
    return [{"name": s["name"], "reason": redact(s["reason"])} for s in skipped]


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
        if data.is_file():  # else a newer run of the technique failed, and these pictures are of an older one
            return Part(
                id=id, title=section.title, status=section.status, reason=section.reason, address=address,
                section=section, files=files, data=data, data_bytes=data.stat().st_size,
            )  # fmt: skip
        reason = "The last run of this technique failed; pictures of an earlier one are not shown."
    title = id.replace("_", " ").capitalize()
    computed = (path / "result.npz").is_file()  # then it is the view that failed
    log = log_end(log_folder / (f"{id}.view.log" if computed else f"{id}.log")) if log_folder else ""
    return Part(id=id, title=title, status="missing", reason=reason, address=address, log=log)


def _published_data(part: Part) -> bool:
    return part.data is not None and part.data_bytes <= MOST_DATA


# ---------------------------------------------------------------------------------------------------------- its figures


def _publish_figures(site: Publication, folder: str, part: Part) -> None:
    for name, content in (part.files or {}).items():
        site.write(f"{folder}/figures/{slug(part.id)}/{name}", content)
    if _published_data(part):
        site.copy(f"{folder}/data/{slug(part.id)}.npz", part.data)


def _groups(part: Part) -> list[dict]:
    """Figures under their headings; within one, runs of figures of like width stand in one grid."""
    if part.section is None:
        return []
    shown, left = [], EAGER_BYTES
    for i, figure in enumerate(part.section.figures):
        left -= len(part.files[figure.file])
        href = f"../figures/{slug(part.id)}/{figure.file}"
        shown.append(Shown(figure, f"fig-{slug(figure.id)}", href, eager=i < EAGER_FIGURES and left >= 0))
    groups = []
    for i, (heading, members) in enumerate(groupby(shown, key=lambda s: s.figure.group), 1):
        runs = [(size, list(run)) for size, run in groupby(members, key=lambda s: _size(s.figure))]
        groups.append({"heading": heading, "anchor": f"group-{i}", "runs": runs})
    return groups


def _size(figure: Figure) -> str:
    if figure.width <= 140:
        return "tiny"
    return "small" if figure.width <= 260 else "medium" if figure.width <= 520 else "large"


def _table(table) -> dict:
    """A table with what its columns hold: numbers are set flush right."""
    numeric = [
        all(isinstance(row[i], int | float | None) for row in table.rows) and bool(table.rows)
        for i in range(len(table.columns))
    ]
    return asdict(table) | {"numeric": numeric, "anchor": f"table-{slug(table.id)}"}


def _thumbnail(site: Publication, folder: str, part: Part) -> dict | None:
    """A small picture of a section: its cover's (or first figure's) own file, or a reduced one where that is heavy."""
    figures = part.section.figures if part.section else ()
    for figure in sorted(figures, key=lambda figure: figure.id != part.section.cover):
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


# ------------------------------------------------------------------------------------------------- what the pages say


def _entry(site: Publication, folder: str, part: Part) -> dict:
    """A section in the stamp: what the model's page, the index, the methods page and the manifest say of it."""
    section = part.section
    entry = {
        "id": part.id,
        "title": part.title,
        "page": part.address,
        "figures": len(section.figures) if section else 0,
        "status": part.status,
        "reason": part.reason,
        "metrics": {m.name: m.value for m in section.metrics} if section else {},
        "headline": asdict(section.metrics[0]) if section and section.metrics else None,
        "thumbnail": _thumbnail(site, folder, part),
    }
    if section:
        entry |= {k: getattr(section, k) for k in ("question", "how_to_read", "do_not_conclude", "equation")}
        entry["papers"] = _papers(section)
    return entry


def _papers(section: Section) -> list[dict]:
    return [asdict(p) | {"short": short(asdict(p))} for p in section.papers]


def _family(config: dict, id: str) -> str:
    return next((heading for heading, ids in config.get("families", {}).items() if id in ids), "")


def _scripts(part: Part) -> list[str]:
    """The page's scripts; that of a widget is there while the widget's template is."""
    widget = part.section is not None and (TEMPLATES / "widgets" / f"{part.section.widget}.html").is_file()
    return ["lightbox.js", "timings.js"] + (["grid.js"] if widget else [])


def _others(config: dict, id: str) -> list[dict]:
    """The same section of the other models: title, and its page as seen from this one."""
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
    stamp = render(options.config, options.model, options.sections, options.out, options.log_folder)
    atomic.write_text(options.stamp, json.dumps(stamp, indent=1, ensure_ascii=False))
    missing = [entry["id"] for entry in stamp["sections"] if entry["status"] == "missing"]
    print(f"{stamp['id']}: {len(stamp['sections'])} sections, missing: {', '.join(missing) or 'none'}")


if __name__ == "__main__":
    main()
