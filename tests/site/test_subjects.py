"""Pages of layers, units, classes and pictures show everything about their subject; every mention links to them."""

import dataclasses
import json
import re

import numpy as np
import pytest
from PIL import Image

from cnnviz.site import class_examples, compare, contact_sheets, picture_pages, search, subjects, walls
from cnnviz.site.environment import environment
from cnnviz.site.folder import Publication
from cnnviz.site.stamp import Entry, Stamp, read, text
from cnnviz.views.kit.section import About, Figure, Section, Subject
from cnnviz.views.kit.svg import Mark
from tests.site import static

FACTS = {
    "layers": [
        {"name": name, "module": f"features.{i}", "kind": "Conv2d", "units": units, "height": 8, "width": 8}
        for i, (name, units) in enumerate((("conv1", 3), ("conv2", 2), ("fc", 4)))
    ],
    "chosen": ["conv1", "conv2"],
    "classes": ["cat", "dog <b>", "eel"],
}


def figure(id: str, *about: Subject) -> Figure:
    return Figure(id, f"{id}.webp", 100, 80, f"alt of {id}", f"caption of {id}", "mapping", about, "data")


def section(id: str, figures=(), about=()) -> Section:
    return Section(id, id.capitalize(), "?", "read", "do not", (), figures=tuple(figures), about=tuple(about))


def of(*sections: Section):
    return subjects.gather([(s, f"models/m/sections/{s.id}.html", f"models/m/figures/{s.id}") for s in sections])


def test_figures_are_gathered_by_what_they_are_about():
    one, two, layer = Subject("unit", "1", "conv1"), Subject("unit", "2", "conv1"), Subject("layer", "conv1")
    found = of(
        section("patches", [figure("u1", one, layer, *(Subject("image", str(i)) for i in range(9)))]),
        section("filters", [figure("f", layer)]),
    )
    assert [seen.figure.id for seen in found[subjects.key(one)]["patches"].figures] == ["u1"]
    assert subjects.key(two) not in found
    assert list(found[subjects.key(layer)]) == ["filters"]  # a unit's figure is on the unit's page, not the layer's
    assert not found["image", None, "3"]["patches"].figures  # a patch is not a figure about its source picture


def test_a_sheet_gives_each_unit_its_part_unless_the_unit_has_a_picture_of_its_own():
    boxes = {u: (10 * u, 0, 10, 10) for u in range(3)}
    sheet = figure("sheet", Subject("layer", "conv1"), *(Subject("unit", str(u), "conv1", boxes[u]) for u in range(3)))
    own = figure("own", Subject("unit", "1", "conv1"))
    found = of(section("patches", [sheet, own]))
    assert [seen.box for seen in found["unit", "conv1", "0"]["patches"].figures] == [boxes[0]]
    assert [seen.figure.id for seen in found["unit", "conv1", "1"]["patches"].figures] == ["own"]
    assert [seen.figure.id for seen in found["layer", None, "conv1"]["patches"].figures] == ["sheet"]


def test_a_figure_that_a_section_shows_in_two_groups_is_shown_once():
    twice = [dataclasses.replace(figure("a", Subject("image", "7")), id=id) for id in ("surest", "probe")]
    entry = of(section("predictions", [*twice, figure("b", Subject("image", "7"))]))["image", None, "7"]["predictions"]
    assert [seen.figure.id for seen in entry.figures] == ["surest", "b"] and entry.elsewhere == 1


def test_a_picture_by_itself_comes_last_on_its_page():
    picture = Subject("image", "7")
    photo, maps = figure("photo", picture), figure("maps", picture, Subject("layer", "conv1"))
    entry = of(section("activation_maps", [photo, maps]))["image", None, "7"]["activation_maps"]
    assert [seen.figure.id for seen in entry.figures] == ["maps", "photo"]


def test_a_figure_that_names_the_class_first_stands_before_one_that_names_it_last():
    cat, dog, eel = (Subject("class", name) for name in ("cat", "dog", "eel"))
    shown = [figure("a", dog, eel, cat), figure("b", cat, dog), figure("c", eel, cat), figure("d", cat, eel)]
    found = of(section("saliency", shown))
    assert [seen.figure.id for seen in found["class", None, "cat"]["saliency"].figures] == ["b", "d", "c", "a"]


def test_a_figure_about_many_is_linked_and_not_shown():
    found = of(section("map", [figure("all", *(Subject("class", name) for name in "abcde"))]))
    told = found["class", None, "b"]["map"]
    assert told.figures == [] and told.elsewhere == 1


@pytest.fixture
def site(tmp_path):
    """A model's subject pages, and those of its pictures, two of which have their own."""
    rng = np.random.default_rng(0)
    names = [f"p-{i:03d}" for i in range(150)] + ["<i>odd</i>/name .png"]
    rows = {name: ("cat", "dog <b>", 0.5, "wrong") for name in names}
    found = of(
        section("patches", [figure(f"u{u}", Subject("unit", u, "conv1"), Subject("layer", "conv1")) for u in "02"]),
        section("maps", [figure(f"m{i}", Subject("image", names[i]), Subject("class", "dog <b>")) for i in (3, -1)]),
        section(
            "numbers",
            about=[
                About("unit", ("mean", "like"), {str(u): (0.5 * u, [str(2 - u), "77"]) for u in range(3)}, "conv1"),
                About("class", ("accuracy", "taken for"), {"cat": ("50 %", ["dog <b>"])}),
                About("image", ("label", "prediction", "its probability", "verdict"), rows),
            ],
        ),
    )
    out, page = tmp_path / "site", environment()
    stamp = Stamp(
        id="m", title="M & <m>", page="models/m/index.html", named=subjects.named("models/m", FACTS, found),
        pictures=picture_pages.looked_at(found), said=picture_pages.said(found),
    )  # fmt: skip
    (tmp_path / "stamp.json").write_text(text(stamp))
    (stamp,) = read([tmp_path / "stamp.json"], out)  # as it comes from disk
    index = {"classes": ["cat"], "pictures": [{"name": name, "label": 0} for name in names]}
    thumbnails = rng.integers(0, 255, (len(names), 64, 64, 3)).astype(np.uint8)
    with Publication(out, "m") as publication:
        subjects.render(page, publication, {"title": stamp.title, "folder": "models/m"}, FACTS, found)
    with Publication(out, "_images-set") as publication:
        picture_pages.render(page, publication, "set", index, [stamp], thumbnails)
    return out, names, stamp, found


def test_every_chosen_unit_with_a_picture_has_its_page_between_its_neighbours(site):
    out, *_ = site
    assert sorted(p.name for p in (out / "models/m/units/conv1").iterdir()) == ["0.html", "2.html"]
    assert not (out / "models/m/units/conv2").exists()
    assert not (out / "models/m/units/fc").exists() and not (out / "models/m/layers/fc.html").exists()
    for unit, (rel, other) in (("0", ("next", "2.html")), ("2", ("prev", "0.html"))):
        page = static.Page((out / f"models/m/units/conv1/{unit}.html").read_text())
        steps = {a["rel"]: a["href"].split("/")[-1] for a in page.all("a") if a.get("rel") in ("prev", "next")}
        assert steps == {rel: other}
        assert page.all("body")[0]["data-kind"] == "unit"
        # similar units are linked if they have pages
        likes = [a["href"] for a in page.all("a") if "/units/conv1/" in a["href"] and a.get("rel") is None]
        assert any(href.endswith(f"conv1/{other}") for href in likes) and not any("77" in href for href in likes)


def test_of_a_unit_without_a_picture_there_are_neither_page_nor_links(site):
    out, _, stamp, found = site
    assert ("unit", "conv1", "1") in found  # with numbers
    assert stamp.named["unit"] == [["conv1", "models/m/units/conv1/", [0, 2]]]
    assert not subjects.linker("models/m", FACTS, found, str)(Subject("unit", "1", "conv1"))
    assert "One further unit has no picture" in (out / "models/m/layers/conv1.html").read_text()
    assert not any(a["href"].endswith("conv1/1.html") for page in static.pages(out).values() for a in page.all("a"))


def test_names_are_escaped_and_pages_are_whole(site):
    out, *_ = site
    kinds = set()
    for path, page in static.pages(out).items():
        assert not page.problems, path
        assert len(page.all("h1")) == 1 and not page.all("b") and not page.all("i"), path
        kinds.add(page.all("body")[0]["data-kind"])
    assert kinds == {"layer", "unit", "class", "image", "pictures", "image_set"}


def test_every_picture_is_at_the_address_that_is_given_for_it(site):
    out, names, stamp, _ = site
    own = 0
    for name in names:
        address, _, anchor = picture_pages.page_of("set", name, stamp.pictures, len(names)).partition("#")
        page = static.Page((out / address).read_text())
        assert anchor in page.ids if anchor else name in page.text
        own += not anchor
    assert own == 2
    shared = sorted((out / "images/set").glob("all-*.html"))
    assert len(shared) == picture_pages.buckets(len(names)) == 4
    assert all(20 < len(static.Page(path.read_text()).all("li")) - 2 < 60 for path in shared)


def test_what_goes_up_or_down_is_called_a_value(tmp_path):
    found, facts = of(section("maps", [figure("m", Subject("class", "age up"))])), FACTS | {"classes": ["age up"]}
    page = environment()
    for values, called in ((["age"], "value"), ([], "class")):
        with Publication(tmp_path, "m") as publication:
            model = {"title": "M", "folder": "models/m"}
            subjects.render(page, publication, model, facts | {"values": values}, found)
        (path,) = tmp_path.glob("models/m/classes/*.html")
        assert f"M · {called}" in path.read_text() and f"Previous and next {called}" in path.read_text()


def order(text: str, *words: str) -> list[int]:
    return [text.index(word) for word in words]


def test_a_class_page_begins_with_the_class_and_goes_on_with_its_mistakes(tmp_path):
    cat = Subject("class", "cat")
    about = About("class", ("accuracy",), {"cat": ("83 %",)})
    found = of(
        section("saliency", [figure("s", cat)]),
        section("predictions", [figure("mistake", cat)], about=[about]),
        section("class_visualization", [figure("synthetic", cat)]),
    )
    tile = {
        "name": "p-0",
        "href": "images/set/p-0.html",
        "box": contact_sheets.box(0),
        "sheet": contact_sheets.described("sheet", 1),
    }
    tile |= {"said": {"prediction": "eel", "probability": 0.7, "verdict": "wrong"}}
    model = {"title": "M", "folder": "models/m", "examples": {"cat": {"count": 40, "tiles": [tile]}}}
    with Publication(tmp_path, "m") as publication:
        subjects.render(environment(), publication, model, FACTS, found)
    text = (tmp_path / "models/m/classes/cat.html").read_text()
    figures = [f'id="fig-{f}"' for f in ("class_visualization-synthetic", "predictions-mistake", "saliency-s")]
    places = order(text, 'class="tiles examples"', "taken for eel 70", figures[0], "83 %", *figures[1:])
    assert places == sorted(places)
    assert not static.Page(text).problems and "1 of 40" in text


def test_a_class_shows_pictures_from_all_of_its_part_of_the_set(tmp_path):
    names = [f"p-{i}" for i in range(40)]
    pictures = [{"name": name, "label": i % 2, "labels": [i % 2, 2][: 1 + (i == 7)]} for i, name in enumerate(names)]
    index = {"classes": ["Cat", "no output", "Eel"], "pictures": pictures}
    outputs = ["cat", None, "eel"]
    found = class_examples.of_outputs(
        outputs, index, "set", {"p-0": {"prediction": "cat"}}, lambda name: f"{name}.html"
    )
    assert {name: entry["count"] for name, entry in found.items()} == {"cat": 20, "eel": 1}
    tiles = found["cat"]["tiles"]
    places = [int(tile["name"][2:]) for tile in tiles]
    assert (
        len(places) == class_examples.MOST and min(places) == 0 and max(places) > 34 and not any(p % 2 for p in places)
    )
    assert tiles[0]["said"] and tiles[1]["said"] is None and found["eel"]["tiles"][0]["href"] == "p-7.html"
    thumbnails = np.zeros((40, 64, 64, 3), np.uint8) + np.arange(40, dtype=np.uint8)[:, None, None, None] * 6
    named = {"layer": [], "class": [("cat", "cat.html")]}
    told = {"prediction": "cat", "probability": 0.9, "verdict": "right"}
    model = Stamp("m", "M", calls=outputs, named=named, said={"p-0": told})
    with Publication(tmp_path, "_images-set") as publication:
        picture_pages.render(environment(), publication, "set", index, [model], thumbnails)
    assert not list(tmp_path.glob("images/set/class-eel*"))  # no model has a page of it
    for tile in tiles:
        x, y, width, height = tile["box"]
        with Image.open(tmp_path / tile["sheet"]["file"]) as sheet:
            assert sheet.size == tile["sheet"]["size"]
            shown = np.asarray(sheet.convert("RGB"))[y : y + height, x : x + width]
        assert abs(shown.mean() - 6 * int(tile["name"][2:])) < 3


def test_a_picture_page_names_the_model_also_where_there_is_one(site):
    out, names, stamp, _ = site
    text = (out / f"images/set/{names[3]}.html").read_text()
    tables, figures = (
        text.index('<h2 class="of-model">M &amp; &lt;m&gt;</h2>'),
        text.index('<span class="quiet">M &amp; '),
    )
    assert tables < text.index("its probability") < figures < text.index("caption of m3")


def test_a_page_is_cited_and_its_sections_data_can_be_saved(tmp_path):
    chart = dataclasses.replace(figure("curve", Subject("unit", "1", "conv1")), marks=(Mark(1, 2, "a", "1"),))
    found = of(section("patches", [chart]), section("left_out", [figure("x", Subject("layer", "conv1"))]))
    files = [{"words": "Arrays, NumPy, 3 KB", "address": "models/m/data/patches.npz"}]
    entry = Entry("patches", "Patches", "models/m/sections/patches.html", "ok", files=files, made_by="cnnviz 9")
    model = {"title": "M", "folder": "models/m", "sections": {"patches": entry}}
    for publish in ("everything", "derived"):
        with Publication(tmp_path, "m") as publication:
            subjects.render(environment(publish), publication, model, FACTS | {"checkpoint": "sha256:5b"}, found)
        text = (tmp_path / "models/m/units/conv1/1.html").read_text()
        assert "@misc{cnnviz-m-units-conv1-1,\n  title = {conv1, unit 1 of M},\n" in text
        assert "{Gallery made by cnnviz 9}" in text
        assert "note = {Page models/m/units/conv1/1.html, network sha256:5b}" in text
        saved = [a["href"] for a in static.Page(text.partition('id="cite"')[2]).all("a") if "download" in a]
        whole = ["../../../../models/m/data/patches.npz", "../../../../models/m/data/patches/points-curve.csv"]
        assert saved == (whole if publish == "everything" else [])


def test_a_label_is_shown_with_the_name_that_all_models_have_for_it(tmp_path):
    classes = ["281", "282", "283", "Eel"]
    one = {"classes": ["eel", "tabby, cat", "tiger"], "label_to_output": [1, 2, None, 0]}
    other = {"classes": ["tabby, cat", "lynx", "manx"], "label_to_output": [0, 1, 2, None]}
    models = [Stamp("m", "m", calls=picture_pages.calls(facts)) for facts in (one, other)]
    assert picture_pages.named(classes, models) == ["281 (tabby)", "282", "283 (manx)", "Eel"]
    assert picture_pages.named(classes, models[:1]) == ["281 (tabby)", "282 (tiger)", "283", "Eel"]
    assert picture_pages.named(classes, [Stamp("m", "m", calls=picture_pages.calls({}))]) == classes
    index = {"classes": classes, "pictures": [{"name": "a", "label": 0}, {"name": "b", "label": 1, "labels": [1, 2]}]}
    page = environment()
    with Publication(tmp_path, "_images-set") as publication:
        picture_pages.render(page, publication, "set", index, models, np.zeros((2, 64, 64, 3), np.uint8))
    text = (tmp_path / "images/set/all-0000.html").read_text()
    assert "<p>281 (tabby)</p>" in text and "<p>282, 283 (manx)</p>" in text


def test_addresses_of_pictures_hold_while_a_set_does_not_double():
    counts = [picture_pages.buckets(n) for n in (1, 64, 65, 128, 129, 50_000)]
    assert counts == [1, 1, 2, 2, 4, 1024]
    assert picture_pages.page_of("s", "a", (), 130) == picture_pages.page_of("s", "a", (), 250)


def test_the_search_finds_every_name_once_at_a_page_that_exists(site):
    out, names, stamp, _ = site
    odd = search.script([dataclasses.replace(stamp, title="a\u202eb")], [], {"c\u202ed": ["e\x1bf"]}, derived=False)
    assert all(mark not in odd for mark in ("\\u202e", "\\u001b")) and odd.count("\\ufffd") >= 3
    text = search.script([stamp], [{"id": "maps", "title": "Maps"}], {"set": names}, derived=False)
    data = json.loads(re.fullmatch(r"window\.cnnvizNames = (.*);\n", text)[1])
    assert "<" not in text.replace("<b>", "").replace("<m>", "").replace("<i>", "").replace("</i>", "")
    found = [(entry[0], data["kinds"][entry[1]]) for entry in data["entries"]]
    assert len(set(found)) == len(found)
    assert {name for name, kind in found if kind == "picture"} == set(names)
    assert {name for name, kind in found if kind == "layer"} == {"conv1", "conv2"}
    assert {name for name, kind in found if kind == "class"} == {"cat", "dog <b>"}
    for name, kind, _, address, *_ in data["entries"]:
        if data["kinds"][kind] in ("picture", "layer", "class"):
            assert (out / address.partition("#")[0]).is_file(), name
    assert data["units"] and all(
        (out / folder / f"{unit}.html").is_file() for _, _, folder, units in data["units"] for unit in units
    )
    derived = search.script([stamp], [], {"set": names}, derived=True)
    assert not any(name in derived for name in names)


@pytest.mark.parametrize(
    ("a", "b", "better", "expected"),
    [
        ((1, None), (2, None), "higher", None),
        ((1, [0, 1.5]), (2, [1.8, 3]), "lower", 0),
        ((1, None), (2, None), "", None),
        ((1, None), (1, None), "higher", None),
        ((1, [0, 1.9]), (2, [1.8, 3]), "higher", None),
        ((1, [0, 1.5]), (2, [1.8, 3]), "higher", 1),
    ],
)
def test_the_better_of_two_numbers(a, b, better, expected):
    one, two = ({"value": v, "interval": i, "better": better} for v, i in (a, b))
    assert compare.best(one, two) == expected and compare.best(one, None) is None


def test_a_wall_hangs_the_units_that_have_a_picture_with_what_is_said_of_them():
    seen = subjects.Seen(None, "page", "file", "anchor", None, "")
    told = {
        "0": {"statistics": subjects.Told("statistics", "S", "p", facts=[("mean", 0.5), ("state", "dead")])},
        "2": {
            "other": subjects.Told("other", "O", "p", figures=[seen], facts=[("mean", 0.1), ("same", ["7"])]),
            "unit_visualization": subjects.Told("unit_visualization", "U", "p", figures=["synthetic"]),
        },
        "1": {"other": subjects.Told("other", "O", "p", figures=[seen], facts=[("class", "wolf (3 of 9)")])},
    }
    hung = walls.wall([{"href": f"{u}.html", "label": str(u)} for u in range(4)], told)
    assert hung["columns"] == ["mean"]
    shown = [(tile["label"], tile["seen"], tile["numbers"], tile["words"]) for tile in hung["tiles"]]
    assert shown == [("1", seen, [None], ["wolf (3 of 9)"]), ("2", "synthetic", [0.1], [])]
