"""Published contents: the two editions, credits, sizes, and a warning if a network only guesses."""

import base64
import csv
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binomtest

from cnnviz.run import result
from cnnviz.site import credits, edition, size
from cnnviz.site.chance import near_chance
from cnnviz.views.kit import section
from cnnviz.views.kit.section import Figure, Section, Subject, Table
from tests.site import static, synthetic

PHOTOS = [f"photo {i} #1 100%.jpg" for i in range(4)]
NAMES = [*PHOTOS, "a.jpg", "c.jpg", "wolf-0003", "dog/lost-7.png"]
SENTENCE = "4 figures that show pictures of the data set are left out of this edition."


def everywhere(site: Path) -> dict[str, bytes]:
    """Address → the address and the file's bytes, including embedded pictures."""
    found = {}
    for path in sorted(p for p in site.rglob("*") if p.is_file()):
        address, content = path.relative_to(site).as_posix(), path.read_bytes()
        embedded = [base64.b64decode(part) for part in re.findall(rb"base64,([A-Za-z0-9+/=]+)", content)]
        found[address] = b"\n".join([address.encode(), content, *embedded])
    return found


def named(site: Path, names: list[str]) -> list[tuple[str, str]]:
    return [(name, file) for file, content in everywhere(site).items() for name in names if name.encode() in content]


@pytest.fixture
def results(tmp_path):
    """A tree whose texts, tables, parameters, logs and metadata name pictures wherever possible."""
    synthetic.make_results(tmp_path)
    skipped = [{"name": "dog/lost-7.png", "reason": "cannot identify 'dog/lost-7.png'"}]
    synthetic.add_images(tmp_path, [{"name": name} for name in NAMES[:-1]], skipped)
    (tmp_path / "logs" / "nasty-1" / "cam.log").write_text("stopped at wolf-0003\n")
    folder = tmp_path / "models" / "alexnet" / "sections"
    path = folder / "first_layer_filters" / "section.json"
    made = section.load(path)
    told = replace(made.figures[1], id="told", caption="Most like wolf-0003.")
    rows = (("wolf-0003", 1),)
    tables = (Table("flagged", "Pictures", ("picture", "rank"), (("x", 1),), from_dataset=True),)
    tables += (Table("telling", "Pictures", ("picture", "rank"), rows), Table("plain", "Units", ("unit",), ((1,),)))
    parameters = {"queries": ["wolf-0003"], "content": "holiday.jpg", "at": "layer1.0.conv", "style": "/srv/w.npy"}
    made = replace(made, figures=(*made.figures, told), tables=tables, parameters=parameters)
    path.write_text(json.dumps(section.asdict(made)))
    return tmp_path


def test_derived_names_no_picture_shows_none_and_has_no_downloads(results):
    manifest = synthetic.render(results, publish="derived")
    site = results / "site"
    assert named(site, NAMES) == []
    assert not list(site.rglob("*.npz")) and not list(site.rglob("credits.csv"))
    assert not list(site.rglob("cam/*")) and not list(site.rglob("tsne_grid/*")) and not list(site.rglob("tiles"))
    assert len(list(site.rglob("class_visualization/*.webp"))) == 2 * 13
    assert static.problems(site) == []
    assert manifest["publish"] == "derived"
    for model in manifest["models"]:
        for entry in model["sections"]:
            page = static.Page((site / entry["page"]).read_text("utf-8"))
            assert len(page.all("figure")) == entry["figures"], entry
    page = static.Page((site / "models/alexnet/sections/cam.html").read_text("utf-8"))
    assert SENTENCE in page.text and "Nothing else is in this section." in page.text
    page = static.Page((site / "models/alexnet/sections/tsne_grid.html").read_text("utf-8"))
    assert "1 figure and the interactive view that show" in page.text and not page.all("canvas")
    page = static.Page((site / "missing.html").read_text("utf-8"))
    assert "1 could not be read" in page.text
    assert "stopped at" not in (site / "models/nasty-1/sections/cam.html").read_text("utf-8")


def test_words_that_name_a_picture_take_their_figure_or_table_along_whatever_its_flag(results):
    synthetic.render(results, publish="derived")
    page = static.Page((results / "site/models/alexnet/sections/first_layer_filters.html").read_text("utf-8"))
    assert "1 figure and 2 tables that show or name pictures of the data set are left out" in page.text
    assert [a["id"] for a in page.all("section") if a.get("id", "").startswith("table-")] == ["table-plain"]
    assert "a picture" in page.text and "a file" in page.text and "layer1.0.conv" in page.text
    assert "holiday" not in page.text and "w.npy" not in page.text


def test_everything_has_it_all_and_going_there_and_back_leaves_no_trace(results):
    synthetic.render(results)
    before = everywhere(results / "site")
    for name in NAMES[:-1]:  # html spells some characters otherwise
        assert any(name.encode() in content for content in before.values()), name
    assert any("lost-7.png" in content.decode("utf-8", "ignore") for content in before.values())
    figures = [path.suffix for path in (results / "site/models/alexnet/figures/cam").iterdir()]
    assert sorted(figures) == [".js"] * 4 + [".webp"] * 4 and list((results / "site").rglob("*.npz"))
    synthetic.render(results, publish="derived")
    assert set(everywhere(results / "site")) < set(before)
    synthetic.render(results)
    assert everywhere(results / "site") == before


def test_a_model_that_could_not_be_loaded_shows_no_log(results):
    (results / "models" / "nasty-1" / "model.json").unlink()
    (results / "logs" / "nasty-1" / "network.log").write_text("cannot read wolf-0003")
    synthetic.render(results, publish="derived")
    page = static.Page((results / "site/models/nasty-1/index.html").read_text("utf-8"))
    assert "could not be loaded" in page.text and "cannot read" not in page.text


FIGURE = Figure("f", "f.webp", 1, 1, "alt", "caption", "mapping", (Subject("image", "x1.png"),), "data")
WORDS = {w: "…" for w in ("id", "title", "question", "how_to_read", "do_not_conclude")} | {"papers": ()}
TABLE = Table("t", "caption", ("a",), ((1,),), from_dataset=True)


@pytest.mark.parametrize(
    ("parts", "sentence"),
    [
        ({}, ""),
        ({"figures": (FIGURE,)}, "1 figure that shows pictures of the data set is left out of this edition."),
        ({"figures": (FIGURE,) * 2}, "2 figures that show pictures of the data set are left out of this edition."),
        ({"tables": (TABLE,)}, "1 table that shows or names pictures of the data set is left out of this edition."),
        ({"widget": "grid"}, "The interactive view that shows pictures of the data set is left out of this edition."),
        (
            {"figures": (FIGURE,), "tables": (TABLE,), "widget": "grid"},
            "1 figure, 1 table and the interactive view that show or name pictures of the data set are left out of "
            "this edition.",
        ),
    ],
)
def test_sentence_of_what_is_left_out(parts, sentence):
    whole = Section(**WORDS, **parts)
    assert edition.left_out(whole, edition.derived(whole, [])) == sentence


def test_a_figure_that_stays_says_of_no_picture_that_it_is_about_it():
    subjects = (Subject("class", "wolf"), Subject("image", "x1.png"))
    whole = Section(**WORDS, figures=(replace(FIGURE, from_dataset=False, subjects=subjects),))
    assert edition.derived(whole, ["other.png"]).figures[0].subjects == (Subject("class", "wolf"),)


def test_names_are_told_by_picture_id_and_file_name_and_are_no_common_words():
    pictures = [{"name": "dog/b 1.png", "id": "dog-b-1.png-123"}, {"name": "1", "id": "1"}]
    index = {"pictures": pictures, "skipped": [{"name": "x\\bad.gif", "reason": ""}]}
    assert edition.names(index) == ["dog-b-1.png-123", "dog/b 1.png", "x\\bad.gif", "b 1.png", "bad.gif"]
    assert edition.without({"at b 1.png": ["dog/b 1.png!"]}, edition.names(index)) == {"at a picture": ["a picture!"]}


# ---------------------------------------------------------------------------------------------------------- near chance


@pytest.mark.parametrize("classes", [2, 10, 1000])
@pytest.mark.parametrize("labelled", [20, 200, 2000])
def test_near_chance_is_a_one_sided_binomial_test(classes, labelled):
    facts = {"classes": ["x"] * classes}
    warned = [
        near_chance({"top1": right / labelled, "labelled": labelled}, facts) is not None
        for right in range(0, labelled + 1, max(1, labelled // 200))
    ]
    expected = [
        binomtest(right, labelled, 1 / classes, alternative="greater").pvalue > 0.01
        for right in range(0, labelled + 1, max(1, labelled // 200))
    ]
    assert warned == expected and warned[0] and not warned[-1]


@pytest.mark.parametrize(
    ("accuracy", "facts"),
    [
        ({}, {"classes": ["a", "b"]}),
        ({"top1": 0.0, "labelled": 19, "pictures": 500}, {"classes": ["a", "b"]}),
        ({"top1": 0.0, "labelled": 500}, {"classes": ["a", "b"], "kind": "sigmoid"}),
        ({"top1": 1.0, "labelled": 500}, {"classes": ["a"]}),
        ({"top1": 0.1, "labelled": 500}, {}),
    ],
)
def test_an_unknown_accuracy_gives_no_warning(accuracy, facts):
    assert near_chance(accuracy, facts) is None


def test_near_chance_is_said_on_the_models_pages_and_on_its_card_only(tmp_path):
    synthetic.make_results(tmp_path)
    numbers = {"top1": 0.17, "top5": 1.0, "pictures": 500, "labelled": 300}
    forward = tmp_path / "models" / "nasty-1" / "forward" / "result.npz"
    result.write(forward, result.Result({}, "ok", "", numbers, {}, 0, {}))
    manifest = synthetic.render(tmp_path)
    assert [m["near_chance"] for m in manifest["models"]] == [False, True]
    told = {
        p.relative_to(tmp_path / "site").as_posix()
        for p, page in static.pages(tmp_path / "site").items()
        if "Not clearly better than guessing: 17.0 % of 300 labelled pictures" in page.text
    }
    sections = {f"models/nasty-1/sections/{id}.html" for id in synthetic.SECTIONS}
    assert told == sections | {"models/nasty-1/index.html", "index.html"}
    assert "make check" in (tmp_path / "site/models/nasty-1/index.html").read_text("utf-8")
    assert static.problems(tmp_path / "site") == []


def test_answers_that_are_not_steady_are_said_on_every_page_of_the_model(tmp_path):
    synthetic.make_results(tmp_path)
    path = tmp_path / "models" / "nasty-1" / "model.json"
    facts = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps(facts | {"trial": {"answers": ["It says <this> once, that once."]}}))
    manifest = synthetic.render(tmp_path)
    assert [m["answers"] for m in manifest["models"]] == [[], ["It says <this> once, that once."]]
    told = {
        p.relative_to(tmp_path / "site").as_posix()
        for p, page in static.pages(tmp_path / "site").items()
        if "It says <this> once" in page.text
    }
    own = {p for p in told if p.startswith("models/nasty-1/")}
    assert told - own == {"index.html"}
    kinds = {p.split("/")[2] for p in own}
    assert kinds >= {"index.html", "sections", "layers", "units", "classes"}
    assert {f"models/nasty-1/sections/{id}.html" for id in synthetic.SECTIONS} <= own
    assert static.problems(tmp_path / "site") == []


# -------------------------------------------------------------------------------------------------------------- credits


def test_credit_and_licence_stand_with_each_picture_and_all_on_one_page(tmp_path):
    synthetic.make_results(tmp_path)
    pictures = [
        {"name": PHOTOS[0], "credit": "A. Adams <a@b>", "licence": "CC BY 4.0"},
        {"name": PHOTOS[1], "credit": "", "licence": "https://creativecommons.org/publicdomain/zero/1.0/"},
        {"name": PHOTOS[2], "credit": "B. Brown", "licence": "CC BY 4.0"},
        {"name": PHOTOS[3]},
        {"name": "other", "licence": None},
    ]
    synthetic.add_images(tmp_path, pictures)
    synthetic.render(tmp_path)
    site = tmp_path / "site"
    text = (site / "models/alexnet/sections/cam.html").read_text("utf-8")
    lines = [re.search(r'class="credit">(.*?)</p>', f) for f in re.findall(r"<figure.*?</figure>", text, re.S)]
    assert [line and line[1] for line in lines] == [
        "Picture: A. Adams &lt;a@b&gt;, CC BY 4.0",
        "Picture: https://creativecommons.org/publicdomain/zero/1.0/",
        "Picture: B. Brown, CC BY 4.0",
        None,
    ]
    page = static.Page(text)
    assert "2 pictures: CC BY 4.0 (A. Adams <a@b>, B. Brown)" in page.text
    assert page.text.count("licence not stated") == 1
    page = static.Page((site / "credits.html").read_text("utf-8"))
    assert page.text.count("Licence not stated") == 1 and "B. Brown (1 picture)" in page.text.replace("\n", " ")
    assert {"href": pictures[1]["licence"], "rel": "noreferrer"} in page.all("a")
    assert all(name in page.text for name in PHOTOS)
    with open(site / "credits.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    assert rows[1] == ["set", PHOTOS[0], "A. Adams <a@b>", "CC BY 4.0"] and len(rows) == 4
    assert static.problems(site) == []
    synthetic.render(tmp_path, publish="derived")
    text = (site / "credits.html").read_text("utf-8")
    assert named(site, PHOTOS) == [] and "B. Brown" in text and not (site / "credits.csv").exists()


def test_a_sets_own_terms_hold_for_pictures_that_state_none(tmp_path):
    synthetic.add_images(tmp_path, [{"name": "x"}, {"name": "y", "licence": "CC0"}])
    (path,) = tmp_path.rglob("images.json")
    index = credits.read(path, {"credit": "C. Clark", "licence": "CC BY 4.0"})
    assert [credits.terms(p) for p in index["pictures"]] == [("C. Clark", "CC BY 4.0"), ("C. Clark", "CC0")]


def test_sections_without_pictures_name_no_set(tmp_path):
    synthetic.make_results(tmp_path)
    synthetic.add_images(tmp_path, [{"name": "x", "licence": "CC0"}])
    synthetic.render(tmp_path)
    shown = {
        id: "CC0" in (tmp_path / f"site/models/alexnet/sections/{id}.html").read_text("utf-8")
        for id in synthetic.SECTIONS
    }
    assert {id for id, named in shown.items() if named} == {"cam", "tsne_grid"}


def test_a_line_of_credits_names_each_once_and_a_few():
    pairs = [("A", "CC0"), ("", ""), ("A", "CC0"), ("B", ""), ("", "CC BY"), ("C", "CC BY"), ("D", "CC BY")]
    assert credits.line(pairs) == "A, CC0; B; CC BY; and 2 more"
    assert credits.line([("", "")]) == credits.line([]) == ""


# ---------------------------------------------------------------------------------------------------------------- sizes


def test_size_report_counts_every_byte_once(results):
    manifest = synthetic.render(results)
    site = results / "site"
    report = size.measure(site, {m["id"]: [s["id"] for s in m["sections"]] for m in manifest["models"]})
    files = [p for p in site.rglob("*") if p.is_file()]
    assert report["files"] == len(files) and report["bytes"] == sum(p.stat().st_size for p in files)
    sizes = [entry["bytes"] for entry in report["largest"]]
    assert (
        len(sizes) == 10 and sizes == sorted(sizes, reverse=True) and sizes[0] == max(p.stat().st_size for p in files)
    )
    for id, model in report["models"].items():
        inside = [p for p in (site / "models" / id).rglob("*") if p.is_file()]
        assert (model["files"], model["bytes"]) == (len(inside), sum(p.stat().st_size for p in inside))
        own = [p for p in inside if p.relative_to(site).parts[2] not in size.OF_SECTIONS]
        assert site / "models" / id / "index.html" in own
        rest = model["bytes"] - sum(s["bytes"] for s in model["sections"].values())
        assert rest == sum(p.stat().st_size for p in own)
    grid = report["models"]["alexnet"]["sections"]["tsne_grid"]
    assert grid["files"] == 5  # page, data, figure, its thumbnail, tile
    assert report["warnings"] == []
    assert size.sentence(report).startswith(f"Gallery: {len(files)} files, ")


def test_what_hosts_refuse_is_warned_of(tmp_path, monkeypatch):
    (tmp_path / "big.bin").write_bytes(bytes(3000))
    (tmp_path / "small.bin").write_bytes(bytes(10))
    monkeypatch.setattr(size, "MOST_FILE", 2048)
    monkeypatch.setattr(size, "MOST_SITE", 3000)
    report = size.measure(tmp_path, {})
    assert len(report["warnings"]) == 2 and "big.bin has 2.9 KB" in report["warnings"][0]
    assert size.sentence(report) == "Gallery: 2 files, 2.9 KB; the largest: big.bin (2.9 KB), small.bin (10 bytes)"


def test_pages_are_served_as_they_are_by_github(results):
    synthetic.render(results)
    assert (results / "site" / ".nojekyll").read_bytes() == b""


def test_published_data_tell_no_path_of_this_machine(results):
    path = results / "models" / "alexnet" / "sections" / "cam" / "result.npz"
    left = result.read(path)
    result.write(path, replace(left, parameters={"style": "/home/alice/wave.jpg"}))
    synthetic.render(results)
    published = result.read(results / "site/models/alexnet/data/cam.npz")
    assert published.parameters == {"style": "wave.jpg"} and published.seed == left.seed
    assert all(np.array_equal(published.arrays[name], array) for name, array in left.arrays.items())
