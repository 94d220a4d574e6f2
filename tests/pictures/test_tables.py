"""Tables are read in all common formats, and assumptions are reported."""

import json
import os

import numpy as np
import pytest
from PIL import Image

from cnnviz import config
from cnnviz.errors import UserError
from cnnviz.pictures import decoding, listing
from cnnviz.pictures.paths import root_of

PATHS = [f"shots/{name}/{i}.png" for name in ("cat", "dog") for i in range(3)]
LABELS = ["cat"] * 3 + ["dog"] * 3
PAIRS = list(zip(PATHS, LABELS, strict=True))


@pytest.fixture
def place(tmp_path):
    """A folder with the pictures that the tables name."""
    for name in [*PATHS, "shots/Bär/0.png"]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4)).save(tmp_path / name)
    return tmp_path


def written(paths=PATHS, labels=LABELS, title="path,label", separator=",", end="\n") -> str:
    lines = [title, *(f"{path},{label}" for path, label in zip(paths, labels, strict=True))]
    return "".join(line.replace(",", separator) + end for line in lines)


def found(place, content: str | bytes, name="table.csv", **keys) -> listing.Found:
    file = place / name
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    block = {"kind": "csv", "path": str(file)} | keys
    full = config.complete(
        {"image_sets": {"s": block}, "models": {"m": {"torchvision": "x"}}, "sections": ["predictions"]}
    )
    listing._rows.cache_clear()
    return listing.found(full["image_sets"]["s"])


@pytest.mark.parametrize("form", ["utf-8", "cp1252", "json", "visible"])
def test_files_whose_names_are_no_utf8_are_found(place, form):
    """Names as from old archives; the table has them in some encoding, or as JSON or the gallery writes them."""
    for name in (b"caf\xe9.png", b"mask-\xe9.png"):
        with open(os.fsencode(place) + b"/" + name, "wb") as file:
            Image.new("RGB", (4, 4)).save(file, "PNG")
    if form == "json":
        listed = {"path": "caf\udce9.png", "label": "cat", "mask": "mask-\udce9.png"}
        listed = found(place, json.dumps(listed), "t.jsonl", mask_column="mask")
    else:
        text = f"path,label,mask\ncafé.png,cat,mask-é.png\n{PATHS[0]},cat,\n"
        text = text.replace("é", "\\udce9") if form == "visible" else text
        listed = found(place, text.encode("utf-8" if form == "visible" else form), mask_column="mask")
    row = listed.rows[0]
    assert (row.name, row.file, row.mask) == ("caf\\udce9.png", "caf\udce9.png", "mask-\udce9.png")


def test_no_word_of_a_json_table_is_beyond_utf8(place):
    line = {"path": PATHS[0], "label": "caf\udce9", "credit": "\udcff", "file\udcfe": 1}
    listed = found(place, json.dumps(line), "t.jsonl", credit_column="credit")
    assert listed.classes == ("caf\\udce9",) and listed.rows[0].credit == "\\udcff"


def test_a_quotation_mark_that_is_never_closed_is_named(place):
    lines = ["path,label", f"{PATHS[0]},cat", f'"{PATHS[1]},cat', *(f"{path},dog" for path in PATHS[2:])]
    with pytest.raises(UserError, match="line 3: a quotation mark is not closed"):
        found(place, "\n".join(lines))
    assert len(found(place, "\n".join([*lines[:2], f'"{PATHS[1]}","a\nb"'])).rows) == 2


@pytest.mark.parametrize(
    "content",
    [
        {"images": [{"file_name": path} for path in PATHS], "annotations": [], "info": {}},
        {"path": dict(enumerate(PATHS)), "label": dict(enumerate(LABELS))},
        {"path": PATHS, "label": LABELS},
    ],
)
def test_json_that_is_not_one_object_a_picture_is_told_so(place, content):
    with pytest.raises(UserError, match="one JSON object of lists"):
        found(place, json.dumps(content), "t.json")


def test_a_url_is_not_a_file(place):
    (row,) = found(place, "path,label\nhttps://example.org/0.png,cat\n").rows
    with pytest.raises(ValueError, match="a URL, not a file"):
        decoding.read(place / row.name)


def test_pictures_and_labels_are_found_in_any_format(place):
    plain = written()
    forms = {
        "as it should be": plain,
        "semicolons": written(separator=";"),
        "tabs": written(separator="\t"),
        "bars": written(separator="|"),
        "Windows": written([p.replace("/", "\\") for p in PATHS], end="\r\n").encode("utf-8-sig"),
        "another machine": written(["D:\\work\\me\\" + p.replace("/", "\\") for p in PATHS]),
        "another home": written([f"/home/somebody/net/{p}" for p in PATHS]),
        "absolute": written([str(place / p) for p in PATHS]),
        "Notepad's Unicode": plain.encode("utf-16"),
        "without a mark": plain.encode("utf-16-le"),
        "for Excel": "sep=;\r\n" + written(separator=";", end="\r\n"),
        "capitals": written(title=" Path , Label "),
        "other titles": written(title="File Name,category"),
        "no endings": written([p.removesuffix(".png") for p in PATHS]),
        "other capitals": written([p.replace("shots", "Shots").replace("png", "PNG") for p in PATHS]),
        "dots and blanks": written([f" ./{p}" for p in PATHS], [f" {n} " for n in LABELS]),
        "no titles": written(title="").lstrip(),
        "a list for Caffe": written(title="", separator=" ").lstrip(),
        "quoted": "path,text,label\n" + "".join(f'"{p}","one, ""two""\nthree",{n}\n' for p, n in PAIRS),
        "pandas with its index": ",path,label\n" + "".join(f"{i},{p},{LABELS[i]}\n" for i, p in enumerate(PATHS)),
        "one-hot": written(labels=["1.0,0.0"] * 3 + ["0.0,1.0"] * 3, title="image,cat,dog"),
        "plus and minus": written(labels=["1,-1"] * 3 + ["-1,1"] * 3, title="image_id,cat,dog"),
        "lines of JSON": "\n".join(json.dumps({"file_name": p, "label": n}) for p, n in PAIRS),
        "a list in JSON": json.dumps([{"label": [n], "image": p} for p, n in PAIRS], indent=1),
    }  # fmt: skip
    for form, content in forms.items():
        got = found(place, content)
        assert got.classes == ("cat", "dog"), form
        assert [row.labels for row in got.rows] == [(name,) for name in LABELS], form
        root = root_of({"kind": "csv", "path": str(place / "table.csv")})
        assert all((place / root / (row.file or row.name)).is_file() for row in got.rows), form
        assert not [row.name for row in got.rows if row.name.startswith("/") or str(place) in row.name], form
        assert bool(got.told) == (form not in ("as it should be", "absolute", "capitals", "dots and blanks", "quoted",
                                               "pandas with its index")), (form, got.told)  # fmt: skip


def test_paths_are_relative_to_a_root_or_to_the_working_directory(place, monkeypatch):
    got = found(place, written([p.removeprefix("shots/") for p in PATHS]), "lists/a.csv", root=str(place / "shots"))
    assert [row.name for row in got.rows] == [p.removeprefix("shots/") for p in PATHS] and not got.told
    (place / "lists" / "mask.png").touch()
    monkeypatch.chdir(place)
    monkeypatch.setattr(config, "_check_given", lambda *_: None)
    got = found(place, written(), "lists/a.csv")
    assert [(row.name, row.file) for row in got.rows] == [(p, f"../{p}") for p in PATHS]
    assert got.told == ("paths are relative to the working directory",)


@pytest.mark.parametrize("encoding", ["cp1252", "mac_roman", "cp1250"])
def test_another_encoding_is_known_by_the_files_that_it_names(place, encoding):
    got = found(place, "path;label\nshots/Bär/0.png;Bär\n".encode(encoding))
    assert got.rows[0].name == "shots/Bär/0.png" and got.classes == ("Bär",)
    assert any("read as" in told for told in got.told)


def test_an_encoding_may_be_stated(place):
    text = written(labels=["кот"] * 6)
    assert found(place, text.encode("koi8-r"), encoding="koi8-r").classes == ("кот",)
    with pytest.raises(UserError, match="no encoding 'klingon'"):
        found(place, text, encoding="klingon")
    with pytest.raises(UserError, match="is not utf-8 text"):
        found(place, text.encode("koi8-r"), encoding="utf-8")


def test_words_for_missing_labels_are_no_classes_unless_stated(place):
    content = written(labels=["cat", "nan", "NA", "", "<NA>", "dog"])
    got = found(place, content)
    assert got.classes == ("cat", "dog") and [len(row.labels) for row in got.rows] == [1, 0, 0, 0, 0, 1]
    assert sum("counts as missing" in told for told in got.told) == 3
    assert found(place, content, missing_labels=["nan"]).classes == ("<NA>", "NA", "cat", "dog")
    assert found(place, content, missing_labels=[]).classes == ("<NA>", "NA", "cat", "dog", "nan")


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        (["1.0", "0.0", "10.0", "2.0", "nan", ""], ("0", "1", "2", "10")),
        (["-1", "1", "-1", "1", "1", "1"], ("-1", "1")),
        (["0.5", "1.0", "10.25", "2.0", "1.0", "1.0"], ("0.5", "1.0", "2.0", "10.25")),
        (["①", "②", "10", "②", "①", "9"], ("10", "9", "①", "②")),
        (["Yellow", "blue", "green", "red", "blue", "red"], ("Yellow", "blue", "green", "red")),
    ],
)
def test_labels_of_every_kind_have_their_order(place, labels, classes):
    assert found(place, written(labels=labels)).classes == classes


def test_columns_that_say_yes_or_no_may_be_named(place):
    content = "path,dog,age,cat\n" + "".join(f"{p},{int(i > 2)},7,{int(i < 4)}\n" for i, p in enumerate(PATHS))
    got = found(place, content, label_column=["dog", "cat"])
    assert got.classes == ("dog", "cat")  # the columns' order is that of the network's outputs
    assert [row.labels for row in got.rows] == [("cat",)] * 3 + [("dog", "cat")] + [("dog",)] * 2
    with pytest.raises(UserError, match="column 'age' has '7'"):
        found(place, content, label_column=["dog", "age"])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (written(title="path,tag,more", labels=["a,b"] * 6), r"there is no 'label'.*Valid: path, tag, more"),
        (written(title="label,label,path", labels=["a,b"] * 6), r"2 columns are called 'label'.*0 or 1"),
        (written(title="", labels=["a,b"] * 6).lstrip(), r"no titles.*path_column: 0, label_column: 1"),
        (b"PK\3\4" + bytes(60), "an Excel workbook or a zip archive.*save it as CSV"),
        (b"PAR1" + bytes(60), "a Parquet file"),
        (bytes(range(256)) * 4, "not a text table"),
        ('{"images": [\n{"id": 1}\n]}', "neither one object per line nor a list of objects"),
        ("", "is empty"),
        ("path,label\n", "no rows"),
    ],
)
def test_unreadable_tables_get_one_line(place, content, said):
    with pytest.raises(UserError, match=said) as error:
        found(place, content)
    assert "\n" not in str(error.value) and len(str(error.value)) < 500


def test_a_number_names_a_column(place):
    content = "".join(f"7,{p},{n}\n" for p, n in PAIRS)
    got = found(place, content, path_column=1, label_column=2)
    assert got.classes == ("cat", "dog") and got.rows[0].name == PATHS[0]
    with pytest.raises(UserError, match="no '3'"):
        found(place, content, path_column=1, label_column=3)


def test_files_that_are_not_there_and_lines_that_do_not_fit_are_said(place):
    got = found(place, written() + "gone.png,cat,more\n")
    assert got.rows[-1].name == "gone.png" and "1 of 7 lines" in got.told[0]


def test_captions_are_not_classes(place):
    got = found(place, written(labels=[f"a picture, number {i}".replace(",", "") for i in range(6)], title="path,text"))
    assert got.classes == () and "too many values" in got.told[0]


def test_masks_are_found_as_the_pictures_are(place):
    content = written([p.replace("/", "\\") for p in PATHS], ["a,shots\\cat\\0.png"] * 6, "path,label,mask")
    got = found(place, content, mask_column="mask")
    assert {row.mask for row in got.rows} == {"shots/cat/0.png"}
    assert np.all([row.labels == ("a",) for row in got.rows])


@pytest.mark.parametrize("one", ["1", "1,0", "1.00", "1,00"])
def test_a_decimal_comma_is_read_as_a_point(place, one):
    none = one.replace("1", "0", 1)
    hot = "".join(
        f"{path}\t{one if label == 'cat' else none}\t{none if label == 'cat' else one}\n" for path, label in PAIRS
    )
    of_columns = found(
        place, ("path\tcat\tdog\n" + hot).encode("utf-16"), label_column=["cat", "dog"], path_column="path"
    )
    assert [row.labels for row in of_columns.rows] == [(label,) for label in LABELS]
    numbers = "".join(f"{path};{one if label == 'cat' else none}\n" for path, label in PAIRS)
    assert found(place, "path;label\n" + numbers).classes == ("0", "1")
    boxes = "".join(f"{path};{label};0,5;1;2,5;3\n" for path, label in PAIRS)
    boxed = found(place, "path;label;a;b;c;d\n" + boxes, box_columns=["a", "b", "c", "d"])
    assert {row.box for row in boxed.rows} == {(0.5, 1, 2.5, 3)}
