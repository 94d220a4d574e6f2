"""Pages of layers, units, classes and pictures: the figures of all sections, gathered by subject.

Addresses, from the model's folder: ``layers/<layer>.html``, ``units/<layer>/<number>.html``, ``classes/<class>.html``.
Pictures belong to the gallery: ``images/<set>/<picture>.html`` from the site's root. Addresses depend on names only.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace

from jinja2 import Environment

from cnnviz.network.class_names import short
from cnnviz.site import points
from cnnviz.site.environment import plain
from cnnviz.site.folder import Publication
from cnnviz.site.stamp import Entry
from cnnviz.site.walls import wall
from cnnviz.slug import slug
from cnnviz.views.kit.section import Figure, Section, Subject

SIZES = ("tiny", "small", "medium", "row", "large")  # size classes of figures, by width; see site.css
ROW = 2.5  # aspect ratio from which the caption is below the figure, not beside it
MOST = 180  # largest number of pictures of a page, over its sections; further ones are linked
UNFOLDED = {"tiny": 16, "small": 4, "medium": 3, "row": 2, "large": 1}  # figures of a section that are visible at first
FEW = 3  # a figure about more subjects of a kind is only linked from their pages, unless it has boxes

OPENING = ("class_visualization",)  # sections that come first on a class's page, before the numbers
MISTAKES = ("predictions",)  # then these

SCRIPTS = ("copy.js", "lightbox.js", "viewer.js", "charts.js")

Key = tuple[str, str | None, str]  # kind, layer (of units), name


@dataclass(frozen=True)
class Seen:
    """A figure on a subject's page.

    page: the section's page with the figure's anchor; file: the picture; both from the root. anchor: the figure's id on
    the subject's own page. box: left, top, width, height of the part of the file that is about the subject, or None.
    points: the script of its marks, from the root; "" without any. key: their name in it. table: the CSV file of a
    chart's numbers, from the root; "" without one.
    """

    figure: Figure
    page: str
    file: str
    anchor: str
    box: tuple[int, int, int, int] | None
    mapping: str
    points: str = ""
    key: str = ""
    table: str = ""


@dataclass
class Told:
    """One section's contents about a subject: figures, the number of further ones, and (column, cell) pairs."""

    id: str
    title: str
    page: str
    figures: list[Seen] = field(default_factory=list)
    elsewhere: int = 0
    facts: list[tuple[str, object]] = field(default_factory=list)


def key(subject: Subject) -> Key:
    return subject.kind, subject.layer, subject.name


def address(kind: str, name: str, layer: str | None = None) -> str:
    """Address of a layer's, unit's or class's page, from the model's folder; of a picture's, from its set's folder."""
    if kind == "unit":
        return f"units/{slug(layer)}/{slug(name)}.html"
    return {"layer": "layers/", "class": "classes/", "image": ""}[kind] + f"{slug(name)}.html"


def gather(sections: Iterable[tuple[Section, str, str]]) -> dict[Key, dict[str, Told]]:
    """sections: (section, its page, the folder of its figures), both from the root → subject → section id → Told.

    A figure about a unit is not listed again for that unit's layer. A section's figures keep their order, except that
    those most specific to the subject come first: a class's own pictures before one whose runner-up it is. Those of a
    picture alone come last, since its page begins with it.
    """
    found: dict[Key, dict[str, Told]] = {}

    def told(subject: Key, section: Section, page: str) -> Told:
        of_subject = found.setdefault(subject, {})
        return of_subject.setdefault(section.id, Told(section.id, section.title, page))

    for section, page, folder in sections:
        model = folder.split("/figures/")[0]
        for figure in section.figures:
            anchor = f"fig-{slug(section.id)}-{slug(figure.id)}"
            script, table = (where(model, section.id, figure) for where in (points.address, points.table))
            marked, figure = bool(figure.marks), replace(figure, marks=())  # which are in the script
            seen = (f"{page}#fig-{slug(figure.id)}", f"{folder}/{figure.file}", anchor)
            for subject, few in _specific(figure):
                entry = told(key(subject), section, page)
                if (few or subject.box) and not any(  # a section may show one figure in two of its groups
                    (figure.alt, figure.caption, subject.box) == (other.figure.alt, other.figure.caption, other.box)
                    for other in entry.figures
                ):
                    pointed = script if marked or not subject.box else "", points.key(figure, bool(subject.box)), table
                    entry.figures.append(Seen(figure, *seen, subject.box, figure.mapping, *pointed))
                else:
                    entry.elsewhere += 1
        for about in section.about:
            for name, cells in about.rows.items():
                entry = told((about.kind, about.layer, name), section, page)
                entry.facts += [(c, cell) for c, cell in zip(about.columns, cells, strict=True) if cell not in ("", [])]
    for (kind, _, name), of_subject in found.items():
        for entry in of_subject.values():
            entry.figures.sort(key=lambda seen, kind=kind, name=name: _place(seen.figure, kind, name))
            whole = [seen for seen in entry.figures if not seen.box]
            if whole and len(whole) < len(entry.figures):  # its own picture is better than its part of a sheet
                entry.figures = whole
    return found


def _place(figure: Figure, kind: str, name: str) -> tuple[int, bool]:
    """Number of subjects of the same kind that a figure names before this one; it is most about the first.

    And whether it is about pictures alone.
    """
    names = [s.name for s in figure.subjects if s.kind == kind]
    return names.index(name), kind == "image" and len(names) == len(figure.subjects)


def _specific(figure: Figure) -> Iterator[tuple[Subject, bool]]:
    """A figure's subjects, each with whether few of its kind are in it; without the layers of its units."""
    counts = {kind: sum(s.kind == kind for s in figure.subjects) for kind in ("layer", "unit", "image", "class")}
    for subject in dict.fromkeys(figure.subjects):
        if subject.kind == "layer" and counts["unit"] and not any(s.box for s in figure.subjects):
            continue
        # the source pictures of a unit's patches are not the figure's subject
        few = counts[subject.kind] <= FEW and not (subject.kind == "image" and counts["unit"])
        yield subject, few


def render(page: Environment, site: Publication, model: dict, facts: dict, found: dict[Key, dict[str, Told]]) -> None:
    """Publishes a page for each layer, each unit with a picture, and each class with entries.

    model: title, folder, and optionally the classes' colours as ``hues``, their pictures as ``examples``
    (:func:`cnnviz.site.class_examples.of_outputs`), and ``sections`` (id → :class:`cnnviz.site.stamp.Entry`).
    """
    template = page.get_template("subject.html")
    folder, title = model["folder"], model["title"]
    layers = [layer for layer in facts.get("layers", ()) if layer["name"] in facts["chosen"] or _known(found, layer)]
    base = [("Models", "index.html"), (title, f"{folder}/index.html")]
    sections, network = model.get("sections", {}), facts.get("checkpoint", "")

    def publish(kind: str, name: str, layer: str | None, heading: str, trail: list, around: list, i: int, **words):
        told = _linked(found.get((kind, layer, name), {}), found, folder, kind, layer)
        if kind == "class":
            told.sort(key=lambda entry: (entry["id"] not in OPENING, entry["id"] not in MISTAKES))
        rows = side_by_side([(title, told)])
        place = f"{folder}/{address(kind, name, layer)}"
        html = template.render(
            root="../" * (address(kind, name, layer).count("/") + 2),
            kind=kind,
            called="value" if kind == "class" and facts.get("values") else kind,
            heading=heading,
            of=title,
            trail=base + trail,
            before=around[i - 1] if i else None,
            after=around[i + 1] if i + 1 < len(around) else None,
            told=[(title, told)],
            rows=rows,
            opening=sum(id in OPENING for id, *_ in rows) if kind == "class" else 0,
            known_anything=bool(told) or bool(words.get("units") or words.get("wall")),
            cited=citation(heading, title, place, sections.values(), network),
            sections=[sections],
            scripts=(*SCRIPTS, "wall.js") if kind == "layer" else SCRIPTS,
            unfolded=UNFOLDED,
            answers=facts.get("trial", {}).get("answers", []),
            **{"lead": "", "sheet": None, "maps": [], "facts": [], "units": [], "wall": None, "examples": None} | words,
        )
        site.write(place, html)

    along = [_link(folder, "layer", layer["name"]) for layer in layers]
    for i, layer in enumerate(layers):
        name = layer["name"]
        chosen = name in facts["chosen"]
        units = [_link(folder, "unit", str(u), name, f"{u}") for u in pictured(layer, found)] if chosen else []
        of_units = {subject[2]: told for subject, told in found.items() if subject[:2] == ("unit", name)}
        hung = wall(units, of_units)
        tiled = {tile["label"] for tile in hung["tiles"]}
        publish(
            "layer", name, None, name, [], along, i,
            lead=f"{layer['kind']}, {module(layer)}; layer {i + 1} of {len(layers)} shown.",
            facts=[("units", layer["units"]), ("maps", f"{layer['height']} × {layer['width']}")],
            wall=hung if tiled else None,
            units=[unit for unit in units if unit["label"] not in tiled],
            bare=layer["units"] - len(units) if chosen else 0,
        )  # fmt: skip
        trail = [(name, f"{folder}/{address('layer', name)}")]
        beside = [unit | {"label": f"unit {unit['label']}"} for unit in units]
        for place, unit in enumerate(units):
            lead = f"One of {layer['units']:,} units of {module(layer)}."
            if name == facts.get("scores_layer") and not facts.get("values"):
                lead += f" Its value is the score of {short(facts['classes'][int(unit['label'])])}."
            publish("unit", unit["label"], name, f"{name}, unit {unit['label']}", trail, beside, place, lead=lead)
    classes = [name for name in dict.fromkeys(facts.get("classes", ())) if ("class", None, name) in found]
    along = [_link(folder, "class", name) for name in classes]
    for i, name in enumerate(classes):
        begins = {"hue": model.get("hues", {}).get(name, ""), "examples": model.get("examples", {}).get(name)}
        publish("class", name, None, name, [], along, i, **begins)


def pictured(layer: dict, found: dict[Key, dict[str, Told]]) -> list[int]:
    """The units of a layer that have a picture, and so a page. Numbers alone would make thousands of empty pages."""
    return [unit for unit in range(layer["units"]) if _shown_at_all(found, ("unit", layer["name"], str(unit)))]


def module(layer: dict) -> str:
    """What the network itself calls a layer, in words."""
    return f"the network's {layer['module']}" if layer["module"] else "the network itself"


def _shown_at_all(found: dict[Key, dict[str, Told]], subject: Key) -> bool:
    """Whether a figure is about it; numbers are enough for what is not a unit."""
    told = found.get(subject, {})
    return any(entry.figures for entry in told.values()) if subject[0] == "unit" else bool(told)


def _known(found: dict[Key, dict], layer: dict) -> bool:
    return ("layer", None, layer["name"]) in found


def _link(folder: str, kind: str, name: str, layer: str | None = None, label: str = "") -> dict:
    return {"href": f"{folder}/{address(kind, name, layer)}", "label": label or name}


def _linked(of_subject: dict[str, Told], found: dict, folder: str, kind: str, layer: str | None) -> list[dict]:
    """The template's variables for each Told. Names of other subjects become links if these have pages."""

    def cell(value):
        if not isinstance(value, list | tuple):
            return value
        return [_link(folder, kind, name, layer) for name in value if _shown_at_all(found, (kind, layer, name))]

    return [
        vars(told)
        | {
            "facts": [(column, cell(value)) for column, value in told.facts],
            "size": size(told.figures),
        }
        for told in of_subject.values()
    ]


def citation(heading: str, of: str, address: str, sections: Iterable[Entry], network: object = "") -> dict:
    """What a page is cited with. of: its model or image set; network: the model's checkpoint, if it is about one."""
    made_by = sorted({entry.made_by for entry in sections if entry.made_by})
    return {
        "key": f"cnnviz-{address.split('/', 1)[1].removesuffix('.html').replace('/', '-')}",
        "title": f"{heading} of {of}",
        "by": ", ".join(made_by) or "cnnviz",
        "note": f"Page {address}" + (f", network {plain(network)}" if network else ""),
    }


def side_by_side(told: list[tuple[str, list[dict]]]) -> list[tuple[str, str, list[tuple[str, dict]]]]:
    """[(model, its entries)] → [(section id, title, [(model, entry)])], for the sections that have figures of it.

    Each has as many figures as the page has room for.
    """
    entries = [(model, entry) for model, of_model in told for entry in of_model if entry["figures"]]
    room = max(1, MOST // max(1, len(entries)))
    entries = [(model, entry | _shown(entry, room)) for model, entry in entries]
    titles = {entry["id"]: entry["title"] for _, entry in entries}
    return [(id, title, [pair for pair in entries if pair[1]["id"] == id]) for id, title in titles.items()]


def _shown(entry: dict, room: int) -> dict:
    figures = entry["figures"][:room]
    return {"figures": figures, "elsewhere": entry["elsewhere"] + len(entry["figures"]) - len(figures)}


def named(folder: str, facts: dict, found: dict[Key, dict[str, Told]]) -> dict[str, list[tuple[str, str]]]:
    """Layers and classes that have pages: kind → [(name, address from the site's root)].

    "unit" → [(layer, the folder of its units' pages, the units: their number if all have one, else a list)].
    """
    units = {layer["name"]: pictured(layer, found) for layer in facts.get("layers", ())}
    link = linker(folder, facts, found, lambda name: "")
    names = {"layer": [layer["name"] for layer in facts.get("layers", ())], "class": list(facts.get("classes", ()))}
    return {
        kind: [(name, link(Subject(kind, name))) for name in dict.fromkeys(names[kind]) if link(Subject(kind, name))]
        for kind in names
    } | {
        "unit": [
            (name, f"{folder}/{address('unit', '0', name).rsplit('/', 1)[0]}/", count if len(own) == count else own)
            for name, count in ((layer["name"], layer["units"]) for layer in facts.get("layers", ()))
            if name in facts.get("chosen", ()) and (own := units[name])
        ]
    }


def linker(
    folder: str, facts: dict, found: dict[Key, dict[str, Told]], picture: Callable[[str], str]
) -> Callable[[Subject], str]:
    """Subject → address of its page from the site's root, "" if it has none. picture: the same for a picture's name."""
    classes = set(facts.get("classes", ()))
    chosen = set(facts.get("chosen", ()))

    def link(subject: Subject) -> str:
        if subject.kind == "image":
            return picture(subject.name)
        has = {
            "unit": subject.layer in chosen and _shown_at_all(found, key(subject)),
            "layer": subject.name in chosen or key(subject) in found,
            "class": subject.name in classes and key(subject) in found,
        }[subject.kind]
        if not has:
            return ""
        return f"{folder}/{address(subject.kind, subject.name, subject.layer)}"

    return link


def size(figures: list[Seen]) -> str:
    """Size class of the grid for these figures: the largest one's."""

    def one(seen: Seen) -> str:
        return size_of(*seen.box[2:]) if seen.box else size_of(seen.figure.width, seen.figure.height)

    return max(map(one, figures), key=SIZES.index, default="small")


def size_of(width: int, height: int) -> str:
    """Size class of the grid for a figure of this size in CSS pixels: one of :data:`SIZES`."""
    if width > 520:
        return "row" if width >= ROW * height else "large"
    return "tiny" if width <= 140 else "small" if width <= 260 else "medium"
