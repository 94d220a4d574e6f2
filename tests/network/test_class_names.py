"""Class lists in every common format give the same names, and classes find their own outputs or none."""

import json
import unicodedata

import pytest

from cnnviz.errors import UserError
from cnnviz.network import class_lists, class_names
from cnnviz.network.class_names import Outputs, match, of_outputs
from cnnviz.slug import slug

HOW = {"offset": 0, "kind": "softmax"}
ANIMALS = ["bee", "ant", "cat"]  # not in sorted order


@pytest.fixture
def written(tmp_path):
    """written(file name, text or bytes) → path."""

    def write(name: str, content: str | bytes) -> str:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return str(path)

    return write


def shown(path: str) -> list[str]:
    return [names[-1] for names in class_lists.read(path, "")]


def test_the_short_name_is_the_first_of_several_without_spaces_around_it():
    assert [class_names.short(n) for n in ("tench, Tinca tinca", " cat ,felis", "bee")] == ["tench", "cat", "bee"]


TEXTS = [
    "bee\nant\ncat\n",
    "\ufeffbee\r\nant\r\n\r\ncat",
    "0 bee\n1 ant\n2 cat",
    "0,bee\n1,ant\n2,cat",
    "2: cat\n0: bee\n1: ant",
    "0\tbee\n1\tant\n2\tcat",
    "1. bee\n2. ant\n3. cat",
    "[0] bee\n[1] ant\n[2] cat",
    "bee 0\nant 1\ncat 2",
    "cat=2\nant=1\nbee=0",
    "{0: 'bee', 1: \"ant\", 2: 'cat'}",
]
TABLES = [
    "0,bee\n1,ant\n2,cat",
    "index,name\n2,cat\n0,bee\n1,ant",
    "class;id\nbee;1\nant;2\ncat;3",
    ",label\n0,bee\n1,ant\n2,cat",
    "name\nbee\nant\ncat",
    '"label"\t"count"\n"bee"\t"10"\n"ant"\t"30"\n"cat"\t"20"',
]
DATA = [
    ["bee", "ant", "cat"],
    {"1": "ant", "0": "bee", "2": "cat"},
    {"0": ["n03", "bee"], "1": ["n01", "ant"], "2": ["n02", "cat"]},
    {"ant": 1, "bee": 0, "cat": 2},
    {"ant": "2", "bee": "1", "cat": "3"},
    {"class_to_idx": {"ant": 1, "bee": 0, "cat": 2}, "epoch": 3},
    {"type": "resnet", "label2id": {"ant": 1, "bee": 0, "cat": 2}, "id2label": {"0": "bee", "1": "ant", "2": "cat"}},
    {"classes": ["bee", "ant", "cat"]},
    {"nc": 3, "names": {"0": "bee", "1": "ant", "2": "cat"}},
    {"categories": [{"id": 7, "name": "cat"}, {"id": 1, "name": "bee"}, {"id": 2, "name": "ant"}]},
    [[2, "cat"], [0, "bee"], [1, "ant"]],
    [{"index": 1, "name": "ant"}, {"index": 0, "name": "bee"}, {"index": 2, "name": "cat"}],
]  # fmt: skip


@pytest.mark.parametrize("ending", ["txt", "csv"])
@pytest.mark.parametrize("text", [*TEXTS, *TABLES])
def test_lines_and_tables(written, text, ending):
    if ending == "csv" or text in TEXTS:
        assert shown(written(f"c.{ending}", text)) == ANIMALS


@pytest.mark.parametrize("data", DATA)
def test_json_yaml_and_what_python_prints(written, data):
    assert shown(written("c.json", json.dumps(data))) == ANIMALS
    assert shown(written("c.yaml", json.dumps(data))) == ANIMALS  # every JSON is YAML
    assert shown(written("c.txt", repr(data))) == ANIMALS


def test_ids_and_numbered_lines_stay_as_other_names(written):
    assert class_lists.read(written("s.txt", "n01440764 tench, Tinca tinca\nn01443537 goldfish"), "") == [
        ["n01440764", "tench, Tinca tinca"],
        ["n01443537", "goldfish"],
    ]
    assert (
        class_lists.read(written("m.json", '{"n01443537": "goldfish", "n01440764": "tench"}'), "")[0][0] == "n01440764"
    )
    assert "01_ant" in class_lists.read(written("f.txt", "01_ant\n02_bee"), "")[0]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_encodings(written, encoding):
    assert shown(written("c.txt", "gélb\nrouge".encode(encoding))) == ["gélb", "rouge"]


@pytest.mark.parametrize(
    "lines",
    ["1 mm\n2 mm\n3 mm", "Boeing 737\nBoeing 747", "3 apples\n5 pears", "①\n②", "tench, Tinca\ngoldfish, Carassius"],
)
def test_names_with_numbers_and_commas_are_names(written, lines):
    assert shown(written("c.txt", lines)) == lines.split("\n")


def test_yaml_knows_no_booleans_and_runs_nothing(written):
    assert shown(written("c.yml", "names: [no, yes, off]")) == ["no", "yes", "off"]
    assert shown(written("d.yml", "- !!python/object/apply:os.getenv [HOME]\n- a")) == [
        "HOME",
        "a",
    ]  # a list, not called


@pytest.mark.parametrize(
    ("name", "content"),
    [
        *(("c.json", text) for text in ("[1, 2", '{"a": "b"}', '{"0": {"title": "a"}}', "\xff", "3", "{}")),
        ("c.json", '{"a": 0, "b": 2}'),
        ("c.json", "[" * 9000),
        ("c.yaml", "names: ["),
        ("c.txt", ""),
        ("c.txt", b"\x80\x04\x95\x00\x00name"),
        ("gone/c.txt", None),
    ],
)  # fmt: skip
def test_a_list_of_another_form_says_what_is_valid(written, name, content):
    path = written(name, content) if content is not None else name
    with pytest.raises(UserError, match=r"model m: classes: .*a name a line.*class_to_idx"):
        class_lists.read(path, "model m")


# ------------------------------------------------------------------------------------------------- classes to outputs


def listed(*names, offset=0, source="config") -> Outputs:
    every = tuple(tuple(name) if isinstance(name, list) else (name,) for name in names)
    return Outputs(tuple(name[-1] for name in every), every, offset, source)


def test_names_of_outputs_come_from_the_config_the_weights_the_set_or_are_numbers():
    of_set, published, offset = ("ant", "bee"), ("tench", "goldfish"), {"offset": 1, "kind": "softmax"}
    names = lambda *a: list(of_outputs(*a, "m").names)  # noqa: E731
    assert names(["x", "y"], of_set, 2, published, HOW) == ["x", "y"]
    assert names(None, of_set, 2, published, HOW) == ["tench", "goldfish"]
    assert names(None, of_set, 2, (), HOW) == ["ant", "bee"]
    assert names(None, of_set, 3, (), HOW) == ["0", "1", "2"]
    assert names(None, of_set, 3, (), offset) == ["output 0", "ant", "bee"]
    assert names(["background", "x", "y"], of_set, 3, (), offset) == ["background", "x", "y"]
    assert names(None, (), 2, (), {"offset": 0, "kind": "binary"}) == ["no", "yes"]
    with pytest.raises(UserError, match=r"outputs: \{offset: 1\}"):
        names(["x", "y"], of_set, 3, (), HOW)


@pytest.mark.parametrize(
    ("name", "output"),
    [
        *(("goldfish", 1), ("tench", 0), ("Tinca tinca", 0), ("great white", 2), ("great_white", 2)),
        *(("GreatWhite", 2), (" goldfish ", 1), ("\ufeffGoldfish", 1), ("n01491361", 2), ("002.goldfish", 1)),
        *(("n01491361-great_white", 2), ("GÉLB", 3), (unicodedata.normalize("NFD", "gélb"), 3)),
        *(("jack o lantern", 4), ("crane", None), ("tenc", None)),
    ],
)  # fmt: skip
def test_a_name_in_any_usual_spelling_finds_its_output(name, output):
    named = listed(
        "tench, Tinca tinca", "goldfish", ["n01491361", "Great White"], "gélb", "Jack-o'-lantern", "crane", "crane"
    )
    found = match([name, "gar"], named)
    assert found.outputs == (output, None)
    assert dict(found.unmatched).keys() == {"gar", *([name] if output is None else [])}


def test_if_one_name_matches_the_order_is_not_used():
    found = match(["blue", "green", "red", "yellow"], listed("yelow", "red", "green", "blue"))
    assert found.outputs == (3, 2, 1, None) and found.way == "name"
    assert found.unmatched == (("yellow", "no output has that name; the nearest is 'yelow'"),)
    found = match(["airplane", "car", "cat"], listed("aeroplane", "automobile", "cat"))
    assert found.outputs == (None, None, 2) and "'aeroplane'" in found.unmatched[0][1]


def test_two_outputs_of_one_name_are_told_apart_by_their_numbers():
    config = ["tench", "crane", "maillot", "crane (1)", "crane", "maillot, tank suit"]
    names = of_outputs(config, (), 6, (), HOW, "m").names
    assert names[2:3] + names[5:] == ("maillot (2)", "maillot (5), tank suit") and names[0] == "tench"
    for told in (names, [class_names.short(name) for name in names], [slug(class_names.short(name)) for name in names]):
        assert len(set(told)) == 6
    assert names[1] == "crane (1) (1)" and names[4] == "crane (4)"  # one was called crane (1) already
    assert class_names.distinct(["A", "a"]) == ("A", "a")
    plain = class_names.distinct(["tench", "crane", "crane"])
    found = [class_names.find("x", name, plain) for name in ("crane", "crane (1)", "crane (2)", "Crane")]
    assert plain == ("tench", "crane (1)", "crane (2)") and found == [1, 1, 2, 1]
    # the classes of a picture set still find them by the names in the list, as far as these are one output's
    listed = of_outputs(config, (), 6, (), HOW, "m")
    assert match(["crane", "tank suit"], listed).outputs == (None, 5)


@pytest.mark.parametrize("classes", [["Straße", "strasse"], ["STRASSE", "strasse"]])
def test_a_name_of_two_classes_matches_none_and_prevents_matching_by_order(classes):
    found = match(classes, listed("strasse", "weg"))
    assert found.way == "name" and found.outputs[0] is None  # only the exact spelling may decide
    assert found.outputs[1] == 0 and [name for name, _ in found.unmatched] == classes[:1]
    assert match(classes, listed("Strasse", "weg")).outputs == (None, None)


def test_invisible_characters_are_ignored_in_names():
    assert match(["\u202ecat\u202c", "d\u200bog"], listed("dog", "cat")).outputs == (1, 0)


def test_without_any_name_that_fits_the_order_counts_and_is_said():
    found = match(["cat", "dog"], listed("Katze", "Hund"))
    assert (found.outputs, found.way, found.unmatched) == ((0, 1), "order", ())
    assert match(["cat", "dog"], listed("a", "b", "c", offset=1)).outputs == (1, 2)
    assert match(["cat", "dog", "eel"], listed("Katze", "Hund")).outputs == (None, None, None)


def test_no_output_is_used_twice():
    found = match(["Cat", "cat", "CAT"], listed("cat", "dog", "eel"))
    assert found.outputs == (None, 0, None) and "that of 'cat'" in found.unmatched[0][1]
    assert match(["1", "01", "2"], listed("0", "1", "2", "3", source="")).outputs == (1, None, 2)
    assert "2 outputs have that name" in match(["crane", "gar"], listed("crane", "crane", "gar")).unmatched[0][1]


@pytest.mark.parametrize(
    ("classes", "outputs", "way"),
    [
        (("2", "0"), (2, 0), "number"),
        (("1", "2", "3"), (0, 1, 2), "number from 1"),
        (("1", "3"), (0, 2), "number from 1"),
        (("0.0", "2.0"), (0, 2), "number"),
        (("00", "02"), (0, 2), "number"),
        (("7", "1"), (None, 1), "number"),
        (("10", "20", "30"), (0, 1, 2), "order"),
        (("①", "②"), (None, None), ""),
        (("-1", "1"), (None, 1), "number"),
    ],
)
def test_numbers(classes, outputs, way):
    found = match(classes, listed("x", "y", "z"))
    assert (found.outputs, found.way) == (outputs, way)
    behind = match(classes, listed("output 0", "x", "y", "z", offset=1))
    assert behind.outputs == tuple(None if output is None else output + 1 for output in outputs)


def test_minus_one_and_one_are_the_two_outputs_in_order():
    assert match(("-1", "1"), listed("no", "yes")).outputs == (0, 1)
    assert match(("①", "②"), of_outputs(None, ("①", "②"), 2, (), HOW, "")).outputs == (0, 1)
    assert "no names" in match(("①", "②"), of_outputs(None, ("①", "②"), 6, (), HOW, "")).unmatched[0][1]


def test_folders_of_imagenet_under_names_without_its_ids(monkeypatch):
    thousand = [f"n{1_000_000 + 37 * i:08}" for i in range(1000)]
    names = listed(*(f"thing {i}" for i in range(1000)), source="weights")
    assert match(thousand[::-1], names).outputs == tuple(range(999, -1, -1))
    monkeypatch.setitem(__import__("sys").modules, "timm.data", None)
    some = match(thousand[3:5], names)
    assert some.outputs == (None, None) and "synset_words.txt" in some.unmatched[0][1]


def test_folders_of_some_of_imagenets_classes_are_known_to_timm():
    pytest.importorskip("timm")
    names = listed(*(f"thing {i}" for i in range(1000)), source="weights")
    assert match(["n02123045", "n01440764", "n99999999"], names).outputs == (281, 0, None)


def test_a_class_given_in_the_config_is_found_by_name_or_number():
    names = ["tench, Tinca tinca", "great white", "3"]
    found = [class_names.find("x", name, names) for name in ("Tench", "Great_White", "3", "1", "tinca tinca")]
    assert found == [0, 1, 2, 1, 0]
    for wrong in ("①", "-1", "9", "shark"):
        with pytest.raises(UserError, match="x: there is no"):
            class_names.find("x", wrong, names)


def test_a_sign_is_part_of_a_number_and_a_hyphen_is_not_part_of_a_word():
    assert class_names.plain("-1") != class_names.plain("1") and class_names.plain("-0.5") != class_names.plain("0.5")
    for one, other in (("T-shirt", "t_shirt"), ("class-1", "class 1"), ("covid-19", "Covid 19"), ("-abc-", "abc")):
        assert class_names.plain(one) == class_names.plain(other)
