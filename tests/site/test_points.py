"""What can be pointed at: a sheet's parts on its section's page, its marks on the pages of its subjects."""

import json

from cnnviz.site import points
from cnnviz.views.kit.section import Figure, Section, Subject
from cnnviz.views.kit.svg import Mark

DOT = Mark(3, 4, "a", "1", kind="image", of="a", group="cats", hue="#123456")
TILE = Mark(1, 2, "b", "cat, 2", 9, 9, "image", "b")


def figure(id: str, *marks: Mark, subjects=()) -> Figure:
    return Figure(id, f"{id}.webp", 90, 90, "alt", "caption", "mapping", tuple(subjects), "data", marks=marks)


def link(subject: Subject) -> str:
    return f"{subject.kind}/{subject.layer or ''}{subject.name} #.html" if subject.name != "a" else ""


def test_a_sheet_has_its_own_script_with_its_parts_and_their_marks():
    units = [Subject("unit", str(u), "conv1", (40 * u, 15, 30, 30)) for u in range(2)]
    sheet = figure("sheet", TILE, subjects=[Subject("layer", "conv1"), *units])
    plain = figure("plain", subjects=[Subject("layer", "conv1")])
    section = Section("s", "S", "?", "read", "do not", (), figures=(figure("curve", DOT), sheet, plain))
    scripts = points.scripts(section, "models/m", link)
    assert list(scripts) == ["models/m/data/s/points.js", "models/m/data/s/points-sheet.js"]
    assert points.address("models/m", "s", plain) == ""
    held = [json.loads(script.removesuffix(";\n").partition("] = ")[2]) for script in scripts.values()]
    assert held[0] == {"curve": [[3, 4, 0, 0, "a", "1", "", "cats", "#123456"]]}
    assert held[1] == {
        "sheet": [[40 * u, 15, 30, 30, f"conv1, unit {u}", "", f"unit/conv1{u}%20#.html"] for u in range(2)],
        "sheet/parts": [[1, 2, 9, 9, "b", "cat, 2", "image/b%20#.html"]],
    }


def test_a_chart_has_a_table_of_its_numbers_and_a_figure_made_of_pictures_has_none():
    assert points.table("models/m", "s", figure("curve", DOT)) == "models/m/data/s/points-curve.csv"
    assert points.table("models/m", "s", figure("tiles", TILE)) == points.table("models/m", "s", figure("none")) == ""
