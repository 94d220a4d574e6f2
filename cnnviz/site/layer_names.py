"""The network's own names of its layers, beside those of the gallery: "conv16 (layer15), unit 3: …".

Layers are called conv1, conv2, … in the order they run, which charts have room for. The owner of a network knows them
by the names of its modules. So every sentence says both at the first mention, and tables have a column for the second.
"""

import re
from collections.abc import Callable
from dataclasses import replace

from cnnviz.views.kit.section import Figure, Section, Table

MOST = 24  # characters of a module's name; a longer one keeps its last parts


def own(layers: list[dict]) -> dict[str, str]:
    """Layer → the name of its module, if it is another one. layers: of model.json."""
    return {
        layer["name"]: shortened(layer["module"])
        for layer in layers
        if layer["module"] and layer["module"] != layer["name"]
    }


def shortened(module: str, most: int = MOST) -> str:
    """The last parts of a dotted name that fit: features.denseblock3.denselayer12.conv2 → …denselayer12.conv2."""
    if len(module) <= most:
        return module
    parts = module.split(".")
    fitting = next((tail for i in range(1, len(parts)) if len(tail := ".".join(parts[i:])) < most), "")
    return f"…{fitting or module[1 - most :]}"


def namer(names: dict[str, str]) -> Callable[[str], str]:
    """Adds to a sentence the module of each layer that it mentions. names: see :func:`own`."""
    if not names:
        return str
    any_name = "|".join(map(re.escape, sorted(names, key=len, reverse=True)))
    # not within another name (conv1.weight, layer1/conv2), and not where it would separate a possessive or a bracket
    mention = re.compile(rf"(?<![\w./-])({any_name})(?![\w/]|[.'’-]\w| \()")

    def with_modules(text: str) -> str:
        said = set()

        def add(found: re.Match) -> str:
            name = found[1]
            if name in said:
                return name
            said.add(name)
            return f"{name} ({names[name]})"

        return mention.sub(add, text)

    return with_modules


def beside(section: Section, names: dict[str, str]) -> Section:
    """The section with the modules' names. A figure's caption does not repeat what its group's heading says."""
    if not names:
        return section
    named = namer(names)

    def figure(one: Figure) -> Figure:
        caption = one.caption if one.group in names else named(one.caption)
        return replace(one, caption=caption, group=named(one.group), more=named(one.more))

    return replace(
        section,
        how_to_read=named(section.how_to_read),
        findings=tuple(replace(finding, says=named(finding.says)) for finding in section.findings),
        figures=tuple(map(figure, section.figures)),
        tables=tuple(_table(table, names, named) for table in section.tables),
    )


def _table(table: Table, names: dict[str, str], named: Callable[[str], str]) -> Table:
    columns, rows = table.columns, table.rows
    if "layer" in columns and any(row[columns.index("layer")] in names for row in rows):
        after = columns.index("layer") + 1
        columns = (*columns[:after], "module", *columns[after:])
        rows = tuple((*row[:after], names.get(row[after - 1], row[after - 1]), *row[after:]) for row in rows)
    return replace(table, caption=named(table.caption), columns=tuple(map(named, columns)), rows=rows)
