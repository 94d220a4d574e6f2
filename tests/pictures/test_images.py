"""Every readable picture is listed once, whatever its format; the others are listed with the reason."""

import json
import os
import sys
import threading
import time

import numpy as np
import pytest
from PIL import Image

from cnnviz.errors import UserError
from cnnviz.pictures import images, listing, masks, pixels
from cnnviz.pictures.preprocess import Preprocess
from cnnviz.run import fingerprint

FOLDER = {"kind": "folder", "limit": None}
TABLE = {"kind": "csv", "path_column": "file", "label_column": None, "limit": None}


@pytest.fixture(autouse=True)
def _memory(tmp_path, monkeypatch):
    """Hashes are cached in the test's own folder."""
    monkeypatch.chdir(tmp_path)
    fingerprint._memory.cache_clear()
    yield
    fingerprint._memory.cache_clear()


def forget():
    """Clears the caches of this process, as in a new one."""
    listing._rows.cache_clear()
    listing._fingerprint.cache_clear()
    pixels.loader.cache_clear()


def look(config: dict, out) -> images.ImageSet:
    """The pipeline's look at a set."""
    forget()
    before = sys.argv
    try:
        sys.argv = ["images", "--config", json.dumps(config), "--index", str(out / "images.json")]
        sys.argv += ["--thumbnails", str(out / "thumbnails.npy")]
        images.main()
    finally:
        sys.argv = before
    return images.read(out / "images.json", config)


def gradient(width=40, height=30) -> Image.Image:
    y, x = np.mgrid[:height, :width]
    return Image.fromarray(np.stack([x * 255 // width, y * 255 // height, 0 * x + 90], -1).astype(np.uint8))


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "set"
    for name in ("cat", "dog"):
        (root / name).mkdir(parents=True)
    picture = gradient()
    picture.save(root / "cat" / "plain.png")
    picture.convert("L").save(root / "cat" / "grey.png")
    picture.convert("P").save(root / "cat" / "palette.gif")
    picture.convert("CMYK").save(root / "dog" / "print.jpg")
    picture.convert("RGBA").save(root / "dog" / "alpha.webp")
    Image.fromarray(np.asarray(picture.convert("L")).astype(np.uint16) * 257).save(root / "dog" / "deep.png")
    exif = Image.Exif()
    exif[0x0112] = 6  # stored rotated by 90°
    picture.save(root / "dog" / "turned.jpg", exif=exif)
    (root / "dog" / "broken.png").write_bytes(b"not a picture")
    whole = (root / "cat" / "plain.png").read_bytes()
    (root / "cat" / "cut.png").write_bytes(whole[: len(whole) // 2])
    (root / "notes.txt").write_text("no picture")
    return root


def test_every_readable_picture_is_listed_and_every_other_one_with_its_reason(folder, tmp_path):
    found = look(FOLDER | {"path": str(folder)}, tmp_path)
    assert found.classes == ("cat", "dog")
    assert [p.name for p in found.pictures] == sorted(p.name for p in found.pictures) and len(found) == 7
    assert {name for name, _ in found.skipped} == {"cat/cut.png", "dog/broken.png"}
    assert all(reason for _, reason in found.skipped)
    assert [found.classes[p.label] for p in found.pictures] == [p.name.split("/")[0] for p in found.pictures]
    assert np.load(tmp_path / "thumbnails.npy").shape == (7, 64, 64, 3)


def test_kinds_of_file_all_show_the_same_picture(folder, tmp_path):
    found = look(FOLDER | {"path": str(folder)}, tmp_path)
    by_name = {p.name: found.open(i) for i, p in enumerate(found.pictures)}
    assert {p.mode for p in by_name.values()} == {"RGB"}
    assert by_name["dog/turned.jpg"].size == (30, 40)
    grey = np.asarray(by_name["cat/grey.png"]).astype(int)
    assert np.abs(grey - np.asarray(by_name["dog/deep.png"])).max() <= 1  # 16 bits are not clipped to white
    plain = np.asarray(by_name["cat/plain.png"]).astype(int)
    assert np.abs(plain - np.asarray(by_name["dog/print.jpg"])).mean() < 12


def test_thumbnails_belong_to_their_pictures_also_after_skipped_ones(folder, tmp_path):
    found = look(FOLDER | {"path": str(folder)}, tmp_path)
    thumbnails = np.load(tmp_path / "thumbnails.npy")
    means = np.array([np.asarray(found.open(i)).mean((0, 1)) for i in range(len(found))])
    assert np.abs(thumbnails.mean((1, 2)) - means).max() < 15


def test_csv(folder, tmp_path):
    table = folder / "labels.csv"
    table.write_text("file,label\ncat/plain.png,10\ndog/turned.jpg,2\nmissing.png,2\n")
    config = {"kind": "csv", "path": str(table), "path_column": "file", "label_column": "label", "limit": None}
    found = look(config, tmp_path)
    assert found.classes == ("2", "10")  # numbers in the order of value
    assert [found.classes[p.label] for p in found.pictures] == ["10", "2"]
    assert found.skipped[0][0] == "missing.png"
    with pytest.raises(UserError, match="file, label"):
        look(config | {"label_column": "labels"}, tmp_path)


def test_classes_whose_names_are_nearly_equal_have_one_order_in_every_run(tmp_path):
    names = ["A1", "A01", "a1", "a01", "A001", "a001"]
    (tmp_path / "labels.csv").write_text("path,label\n" + "".join(f"{name}.png,{name}\n" for name in names))
    config = {"kind": "csv", "path": str(tmp_path / "labels.csv"), "path_column": "path", "label_column": "label"}
    assert listing.classes(config) == sorted(names)


def test_an_empty_folder_is_told_so(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="no pictures"):
        look(FOLDER | {"path": str(tmp_path / "empty")}, tmp_path)


def test_a_flat_folder_has_no_classes(tmp_path):
    (tmp_path / "flat").mkdir()
    for name in ("a.png", "b.jpg"):
        gradient().save(tmp_path / "flat" / name)
    found = look(FOLDER | {"path": str(tmp_path / "flat")}, tmp_path)
    assert found.classes == () and [p.label for p in found.pictures] == [None, None]


def test_links_are_followed_but_not_in_circles(folder, tmp_path):
    (folder / "loop").symlink_to(folder)
    (folder / "cat" / "up").symlink_to("..")
    (folder / "fox").symlink_to(folder / "dog")
    (folder / "self.png").symlink_to("self.png")
    (folder / "gone.png").symlink_to("nowhere.png")
    (folder / ".hidden").mkdir()
    gradient().save(folder / ".hidden" / "x.png")
    (folder / "cat" / "folder.jpg").mkdir()
    gradient().save(folder / "cat" / "folder.jpg" / "inside.png")
    found = look(FOLDER | {"path": str(folder)}, tmp_path)
    names = {p.name for p in found.pictures}
    assert {"fox/turned.jpg", "dog/turned.jpg", "cat/folder.jpg/inside.png"} <= names
    assert not [name for name in names if name.count("/") > 2 or name.startswith((".", "loop/loop"))]
    assert {"self.png", "gone.png", "cat/folder.jpg"} <= dict(found.skipped).keys()


def test_names_of_any_kind(tmp_path):
    root = tmp_path / "set"
    root.mkdir()
    names = [
        "new\nline.png",
        "quo\"te's.png",
        "tab\t.png",
        "кот.png",
        "e\u0301 ²5.png",
        "\u202ertl.png",
        "-rf.png",
        "a&b<c>.png",
    ]
    for name in names:
        gradient().save(root / name)
    (root / "²").mkdir()
    gradient().save(root / "²" / "x.png")
    os.mkdir(os.fsencode(root) + b"/\xff")
    for name in (b"caf\xe9.png", b"\xff/y.png"):  # no UTF-8
        with open(os.fsencode(root) + b"/" + name, "wb") as file:
            gradient().save(file, "PNG")
    found = look(FOLDER | {"path": str(root)}, tmp_path)
    assert {p.name for p in found.pictures} == {*names, "²/x.png", "caf\\udce9.png", "\\udcff/y.png"}
    assert len({p.id for p in found.pictures}) == len(names) + 3 and not found.skipped
    assert found.classes == ("\\udcff", "²")
    for i in range(len(found)):
        assert found.pixels(i).size == (40, 30)
    assert len(listing.fingerprint(found.config)) == 16
    listing.check_probes(found.config, [names[0]])


def test_probes_cover_the_classes_and_stay_when_pictures_are_added():
    def made(n: int) -> images.ImageSet:
        pictures = tuple(images.Picture(f"p{i}", f"p{i}", i % 5, 1, 1) for i in range(n))
        return images.ImageSet({}, pictures, tuple("abcde"), ())

    few, more = made(100), made(110)
    chosen = few.probes(10)
    assert sorted(few.pictures[i].label for i in chosen) == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    kept = {few.pictures[i].id for i in chosen} & {more.pictures[i].id for i in more.probes(10)}
    assert len(kept) >= 8
    assert few.probes(["p7", "p3"]) == [7, 3]
    with pytest.raises(UserError, match="p10"):
        few.probes(["p1000"])


def test_a_limit_takes_pictures_of_every_class(folder, tmp_path):
    found = look(FOLDER | {"path": str(folder), "limit": 4}, tmp_path)
    assert {p.name.split("/")[0] for p in found.pictures} == {"cat", "dog"}


# ----------------------------------------------------------------------------------------- values of any kind and range


def ramp(values, shape=(20, 30)) -> np.ndarray:
    """Evenly spaced numbers from the first to the last value, as (h, w) of its type."""
    return np.linspace(*values, shape[0] * shape[1]).reshape(shape)


def deep(root) -> dict[str, tuple[float, float]]:
    """Files with a ramp of values of each kind → the values that are black and white by default."""
    root.mkdir()
    full = ramp((0, 65535)).astype(np.uint16)
    Image.fromarray(full).save(root / "16.png")
    Image.fromarray(full).save(root / "16.tif")
    (root / "16.pgm").write_bytes(b"P5 30 20 65535\n" + full.astype(">u2").tobytes())
    Image.fromarray(ramp((0, 1)).astype(np.float32)).save(root / "float.tif")
    Image.fromarray(ramp((-(2**31), 2**31 - 1)).astype(np.int32)).save(root / "32.tif")
    np.save(root / "u8.npy", ramp((0, 255)).astype(np.uint8))
    np.save(root / "i16.npy", ramp((-32768, 32767)).astype(np.int16))
    np.save(root / "u16.npy", np.asfortranarray(full))
    np.save(root / "half.npy", ramp((0, 1)).astype(np.float16))
    np.save(root / "double.npy", ramp((0, 1)))
    np.save(root / "bool.npy", ramp((0, 1)) > 0.5)
    return {
        **dict.fromkeys(("16.png", "16.tif", "16.pgm", "u16.npy"), (0, 65535)),
        **dict.fromkeys(("float.tif", "half.npy", "double.npy", "bool.npy"), (0, 1)),
        "32.tif": (-(2**31), 2**31 - 1),
        "u8.npy": (0, 255),
        "i16.npy": (-32768, 32767),
    }


def test_every_kind_of_number_has_its_black_and_white(tmp_path):
    kinds = deep(tmp_path / "deep")
    found = look(FOLDER | {"path": str(tmp_path / "deep")}, tmp_path)
    assert {p.name for p in found.pictures} == set(kinds) and not found.skipped and not found.notes
    expected = ramp((0, 1))
    for i, picture in enumerate(found.pictures):
        pixels = found.pixels(i)
        assert pixels.dtype == np.float32 and pixels.shape == (20, 30, 1), picture.name
        wanted = expected > 0.5 if picture.name == "bool.npy" else expected
        assert np.abs(pixels[..., 0] - wanted).max() < 1 / 250, picture.name
        assert np.abs(np.asarray(found.open(i))[..., 1] / 255 - wanted).max() < 1 / 120


@pytest.mark.parametrize("window", [(0, 1), (0.25, 0.5), (0.75, 0.25), (-1, 2)])
def test_a_window_is_of_the_values_in_the_file(tmp_path, window):
    for name, (black, white) in deep(tmp_path / "deep").items():
        if name == "bool.npy":
            continue
        low, high = (black + share * (white - black) for share in window)
        config = FOLDER | {"path": str(tmp_path / "deep"), "window": [low, high]}
        found = pixels.decoded(config, name)[..., 0]
        wanted = np.clip((ramp((0, 1)) - window[0]) / (window[1] - window[0]), 0, 1)
        assert np.abs(found - wanted).max() < 1 / 60, name


def test_a_window_applies_to_8_bits_and_to_colours(folder):
    config = FOLDER | {"path": str(folder), "window": [50, 150]}
    stored = np.asarray(gradient()).astype(float)
    np.testing.assert_allclose(pixels.decoded(config, "cat/plain.png"), np.clip((stored - 50) / 100, 0, 1), atol=1e-6)
    assert pixels.decoded(config, "dog/turned.jpg").shape == (40, 30, 3)  # upright also so


def test_a_window_that_would_show_more_is_named(tmp_path):
    (tmp_path / "scans").mkdir()
    for i in range(3):
        Image.fromarray(ramp((100 * i, 4095)).astype(np.uint16)).save(tmp_path / "scans" / f"{i}.png")
    config = FOLDER | {"path": str(tmp_path / "scans")}
    ((name, note),) = look(config, tmp_path).notes
    assert name == "window" and "window: [0, 4095]" in note
    assert not look(config | {"window": [0, 4095]}, tmp_path).notes
    np.save(tmp_path / "scans" / "celsius.npy", ramp((-10, 30)))
    assert "-10 … 4095" in look(config, tmp_path).notes[0][1]


def test_arrays_that_are_no_pictures_are_listed_with_the_reason(tmp_path):
    root = tmp_path / "set"
    root.mkdir()
    good = ramp((0, 1))
    bad = {
        "nan": np.where(good > 0.5, np.nan, good), "inf": np.where(good > 0.5, np.inf, good), "line": good[0],
        "four": good[None, None], "empty": good[:0], "complex": good + 1j, "objects": np.array([[None]]),
        "text": np.array([["a"]]), "dates": np.zeros((4, 4), "M8[s]"),
    }  # fmt: skip
    for name, values in {"good": good, **bad}.items():
        np.save(root / f"{name}.npy", values, allow_pickle=True)
    whole = (root / "good.npy").read_bytes()
    (root / "cut.npy").write_bytes(whole[: len(whole) // 2])
    (root / "nothing.npy").write_bytes(b"")
    gradient().save(root / "picture.png")
    (root / "picture.png").rename(root / "picture.npy")
    found = look(FOLDER | {"path": str(root)}, tmp_path)
    assert [p.name for p in found.pictures] == ["good.npy"]
    reasons = dict(found.skipped)
    assert reasons.keys() == {f"{name}.npy" for name in (*bad, "cut", "nothing", "picture")}
    assert "300 of its 600 values are not finite" in reasons["nan.npy"]
    assert "complex" in reasons["complex.npy"]


LOADER = """
import numpy as np

calls = []

def read(path):
    text = open(path).read()
    if text == "bad":
        raise KeyError("no PixelData")
    return np.full((8, 9, 5), int(text), np.int16) + 1000 * np.arange(5, dtype=np.int16)

def nothing(path):
    return None
"""


@pytest.fixture
def scans(tmp_path):
    """A folder of files of the user's own kind, and their loader."""
    root = tmp_path / "scans"
    root.mkdir()
    for i, text in enumerate(("0", "100", "bad")):
        (root / f"IM{i}").write_text(text)
    (root / ".DS_Store").write_text("hidden")
    (tmp_path / "reader.py").write_text(LOADER)
    return FOLDER | {"path": str(root), "loader": f"{tmp_path}/reader.py:read", "window": [0, 4000]}


def test_a_loader_reads_what_pillow_cannot(scans, tmp_path):
    found = look(scans, tmp_path)
    assert [p.name for p in found.pictures] == ["IM0", "IM1"]
    assert found.skipped == (("IM2", "KeyError: 'no PixelData'"),)
    np.testing.assert_allclose(found.pixels(1)[0, 0], [0.025, 0.275, 0.525, 0.775, 1])
    assert np.asarray(found.open(0))[0, 0].tolist() == [0, 64, 128]
    shown = look(scans | {"show": [3, 1, 4]}, tmp_path).open(0)
    assert np.asarray(shown)[0, 0].tolist() == [191, 64, 255]
    assert np.asarray(look(scans | {"show": 2}, tmp_path).open(0))[0, 0].tolist() == [128, 128, 128]
    five = Preprocess(resize=(4, 4), crop=None, inputs=5).geometry
    assert [a.shape for a in found.arrays(five)] == [(4, 4, 5)] * 2
    assert next(found.arrays(Preprocess(resize=(4, 4), crop=None).geometry, shown=True)).dtype == np.uint8
    with pytest.raises(UserError, match="picture IM0: it has 5 channels and the network takes 3"):
        list(found.arrays(Preprocess(resize=(4, 4), crop=None).geometry))


def test_a_loader_that_cannot_work_is_told_so(scans, tmp_path):
    with pytest.raises(UserError, match="'reed'.*'read'"):
        look(scans | {"loader": scans["loader"].replace(":read", ":reed")}, tmp_path)
    with pytest.raises(UserError, match="type object"):
        look(scans | {"loader": scans["loader"].replace(":read", ":nothing")}, tmp_path)
    with pytest.raises(UserError, match="no channel 5"):
        look(scans | {"show": 5}, tmp_path)
    (tmp_path / "reader.py").write_text("import pydikom")
    with pytest.raises(UserError, match="pydikom"):
        look(scans, tmp_path)


# ------------------------------------------------------------------------------------------------- tables and roles


@pytest.fixture
def table(folder):
    """A config of a table with every column there is."""
    Image.new("1", (40, 30)).save(folder / "mask.png")
    Image.new("1", (10, 10)).save(folder / "small.png")
    rows = [
        "file,what,x0,y0,x1,y1,mask,who,terms,split",
        "cat/plain.png,cat|animal,1,2,40,30.5,,Ann,CC BY 4.0,query",
        'cat/grey.png, animal ,1,2,30,20,mask.png,"Bob, Jr",,reference',
        "dog/turned.jpg,,,,,,small.png,,,",
        "dog/deep.png,dog,0,0,2.5,30,gone.png,,,query",
        "dog/deep.png,animal,0,0,2.5,30,gone.png,,,query",
    ]
    (folder / "all.csv").write_text("\n".join(rows), "utf-8-sig")
    columns = {f"{key}_column": c for key, c in {"label": "what", "mask": "mask", "credit": "who", "licence": "terms",
                                                 "role": "split"}.items()}  # fmt: skip
    corners = ["x0", "y0", "x1", "y1"]
    return TABLE | columns | {
        "path": str(folder / "all.csv"), "label_separator": "|", "box_columns": corners,
    }  # fmt: skip


def test_a_mask_may_be_smaller_than_its_picture(tmp_path):
    folder = tmp_path / "set"
    for name, picture in (("pictures/p.png", gradient()), ("masks/p.png", Image.new("1", (20, 15)))):
        (folder / name).parent.mkdir(parents=True)
        if name.startswith("masks"):
            picture.paste(1, (10, 5, 20, 15))
        picture.save(folder / name)
    found = look(FOLDER | {"path": str(folder / "pictures"), "masks": str(folder / "masks")}, tmp_path)
    assert not found.notes and found.pictures[0].mask == "../masks/p.png"
    expected = np.zeros((30, 40), bool)
    expected[10:30, 20:40] = True
    assert np.array_equal(masks.of_picture(found, 0).pixels, expected)


def test_all_columns_of_a_table_are_read(table, tmp_path):
    found = look(table, tmp_path)
    plain, grey, turned, many = found.pictures
    assert found.classes == ("animal", "cat", "dog")
    assert [p.labels for p in found.pictures] == [(1, 0), (0,), (), (2, 0)]
    assert [p.label for p in found.pictures] == [1, 0, None, 2]
    assert [p.role for p in found.pictures] == ["query", "reference", "reference", "query"]
    assert [p.credit for p in found.pictures] == ["Ann", "Bob, Jr", "", ""]
    assert [p.licence for p in found.pictures] == ["CC BY 4.0", "", "", ""]
    assert (plain.box, grey.box, turned.box, many.box) == (None, (1, 2, 30, 20), None, (0, 0, 2.5, 30))
    assert (grey.mask, turned.mask, many.mask) == ("mask.png", None, None)
    assert [name for name, _ in found.notes] == ["cat/plain.png", "dog/turned.jpg", "dog/deep.png"]
    box, small, gone = (note for _, note in found.notes)
    assert "[1, 2, 40, 30.5]" in box and "10 × 10" in small and "no such file" in gone


def test_default_values_are_not_written(table, folder, tmp_path):
    look(table, tmp_path)
    entries = json.loads((tmp_path / "images.json").read_text())["pictures"]
    assert entries[2].keys() == {"id", "name", "label", "width", "height"}
    assert entries[0].keys() == {"id", "name", "label", "width", "height", "labels", "role", "credit", "licence"}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("file,what\na.png,b\n", "Valid: file, what"),
        ("file,what,x0,y0,x1,y1,mask,who,terms,split\na.png,,1,2,x,4,,,,\n", "line 2: a box is four numbers"),
        ("file,what,x0,y0,x1,y1,mask,who,terms,split\na.png,,1,2,,4,,,,\n", "line 2: a box is four numbers"),
        ("file,what,x0,y0,x1,y1,mask,who,terms,split\na.png,,1,2,inf,4,,,,\n", "line 2: a box is four numbers"),
        ("file,what,x0,y0,x1,y1,mask,who,terms,split\na.png,,,,,,,,,test\n", "Valid: reference, query"),
        ("file,what,x0,y0,x1,y1,mask,who,terms,split\n,cat,,,,,,,,\n", "line 2: the column 'file' is empty"),
        ("file,what,x0,y0,x1,y1,mask,who,terms,split\n", "no rows"),
        ("", "is empty"),
        (b"\xff\xfef\0i", "is not utf-16 text"),
        (b'"' + b"x" * 200_000 + b"\n", "not a CSV file"),
    ],
)
def test_a_wrong_table_is_told_what_is_wrong(table, tmp_path, content, said):
    with open(table["path"], "wb") as file:
        file.write(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError) as error:
        listing.check_probes(table, 12)
    assert said in str(error.value)


def test_folders_have_roles(folder, tmp_path):
    for split in ("train", "test", "val"):
        (folder / split / "owl").mkdir(parents=True)
        gradient().save(folder / split / "owl" / "x.png")
        gradient().save(folder / split / "y.png")
    config = FOLDER | {"path": str(folder), "roles": {"reference": ["train", "cat/"], "query": ["test"]}}
    found = look(config, tmp_path)
    assert found.classes == ("owl",)
    told = {p.name: (p.role, p.label) for p in found.pictures if not p.name.startswith("cat/")}
    assert told == {
        "test/owl/x.png": ("query", 0), "test/y.png": ("query", None),
        "train/owl/x.png": ("reference", 0), "train/y.png": ("reference", None),
    }  # fmt: skip
    assert [p.name for p in found.pictures] == sorted(p.name for p in found.pictures)


def test_probes_are_query_pictures_where_there_are_any():
    pictures = [
        images.Picture(f"p{i}", f"p{i}", i % 5, 1, 1, role="query" if i < 12 else "reference") for i in range(99)
    ]
    found = images.ImageSet({}, tuple(pictures), tuple("abcde"), ())
    assert sorted(pictures[i].label for i in found.probes(10)) == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    assert all(i < 12 for i in found.probes(12)) and sum(i < 12 for i in found.probes(20)) == 12


# ------------------------------------------------------------------------------------------------- what must be noticed


def test_the_fingerprint_changes_with_all_that_counts_and_with_nothing_else(table, folder, tmp_path):
    (tmp_path / "reader.py").write_text(LOADER)
    table |= {"loader": f"{tmp_path}/reader.py:read"}

    def now(**changes) -> str:
        forget()
        return listing.fingerprint(table | changes)

    plain = now()
    os.utime(folder / "cat" / "plain.png", (1, 1))
    assert now() == plain
    assert now(licence="X", credit="Y") == plain  # of the whole set: words for the site, see rules/common.smk
    seen = {plain}
    changes = [("window", [0, 9]), ("show", 1), ("loader", None), ("limit", 2)]
    changes += [("role_column", None), ("mask_column", None), ("box_columns", None), ("label_separator", None)]
    for key, value in changes:
        seen.add(now(**{key: value}))
    assert len(seen) == 1 + len(changes)
    for path in (folder / "cat" / "grey.png", folder / "mask.png", tmp_path / "reader.py", folder / "all.csv"):
        whole = path.read_bytes()
        path.write_bytes(whole.replace(b"Ann", b"Eve") if path.suffix == ".csv" else whole + b"#")
        assert now() not in seen
        seen.add(now())
    (folder / "cat" / "grey.png").unlink()
    assert now() not in seen


def test_a_picture_that_changed_since_is_named(folder, tmp_path):
    found = look(FOLDER | {"path": str(folder)}, tmp_path)
    (folder / "dog" / "turned.jpg").write_bytes(b"")
    with pytest.raises(UserError, match=r"turned.jpg could be read .* run the pipeline again"):
        list(found.arrays(Preprocess(resize=(8, 8), crop=None).geometry))


def test_the_queue_of_large_pictures_is_bounded(monkeypatch):
    """For any number of threads, the queue is bounded in bytes, and nothing deadlocks."""
    monkeypatch.setattr(pixels, "_AHEAD", 10_000)
    made, lock = [], threading.Lock()

    def make(size):
        with lock:
            made.append(size)
        return np.zeros(size, np.uint8)

    for size, most in ((2_000, 5), (9_000, 2), (1, 64)):
        made.clear()
        for read, _ in enumerate(pixels.ahead(make, [size] * 200, 2)):
            time.sleep(0.0005)
            assert len(made) - read <= most + 1
        assert len(made) == 200
