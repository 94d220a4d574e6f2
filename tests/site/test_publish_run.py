"""A real run on photographs with a recorded place: what of them reaches the gallery, in both editions."""

import json
import re
from pathlib import Path

import pytest
from PIL import Image

from cnnviz.site import edition
from tests.checkout import MARKS, PHOTOGRAPHS, Photographed
from tests.site import static
from tests.site.test_publish import everywhere, named


@pytest.fixture(scope="module")
def checkout(photographed, tmp_path_factory) -> Photographed:
    return photographed.copied(tmp_path_factory.mktemp("publish") / "checkout")


@pytest.fixture(scope="module")
def site(checkout) -> Path:
    return checkout.folder / "results" / "site"


def test_nothing_a_camera_wrote_is_published(site):
    for address, content in everywhere(site).items():
        assert not [mark for mark in MARKS if mark in content], address
        if address.endswith((".webp", ".png", ".jpg")):
            with Image.open(site / address) as picture:
                assert not picture.getexif() and "comment" not in picture.info, address


def test_the_size_is_said_and_kept(checkout):
    report = json.loads((checkout.folder / "results/site-size.json").read_text())
    assert set(report["models"]["tiny"]["sections"]) == set(checkout.manifest())
    assert sum(entry["bytes"] for entry in report["models"].values()) < report["bytes"] and report["warnings"] == []
    assert "Gallery: " in (checkout.folder / "results/logs/index.log").read_text()


def test_derived_makes_pages_only_and_leaves_no_picture_and_no_name(checkout, site):
    index = json.loads((checkout.folder / "results/image_sets/photos/images.json").read_text())
    names = [*edition.names(index), "holiday"]
    assert len(names) > 2 * PHOTOGRAPHS and len({name for name, _ in named(site, names)}) > PHOTOGRAPHS
    assert (site / ".nojekyll").is_file() and list(site.rglob("*.npz"))
    shown, hidden = set(), set()
    for path in (checkout.folder / "results/models/tiny/sections").glob("*/section.json"):
        for figure in json.loads(path.read_text())["figures"]:
            file = f"models/tiny/figures/{path.parent.name}/{figure['file']}"
            assert (site / file).is_file(), file
            (hidden if figure["from_dataset"] else shown).add(file)
    before = everywhere(site)

    checkout.configure(publish="derived")
    try:
        assert checkout.planned() == {"model_pages": 1, "picture_pages": 1, "index": 1}
        checkout.make()
        left = everywhere(site)
        assert named(site, names) == []
        assert not [file for file in left if file.endswith((".npz", ".csv"))]
        assert hidden and not hidden & set(left)
        assert shown and shown == {file for file in left if re.match("models/tiny/figures/", file)}
        assert static.problems(site) == []
    finally:
        checkout.configure()
    assert checkout.planned() == {"model_pages": 1, "picture_pages": 1, "index": 1}
    checkout.make()
    after = everywhere(site)
    assert {k: v for k, v in after.items() if k != "timings.js"} == {
        k: v for k, v in before.items() if k != "timings.js"
    }
