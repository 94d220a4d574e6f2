"""A real run on photographs that carry where they were taken: what of them gets into the gallery, in both editions."""

import io
import json
import re

import pytest
import yaml
from PIL import Image

from cnnviz.demo import scenes
from cnnviz.site import edition
from tests import checkout as checkouts
from tests.site import static
from tests.site.test_publish import everywhere, named
from tests.test_workflow import CONFIG

COUNT = 30
MARKS = [b"SecretCamera", b"SecretComment", b"SecretPlace"]


def photograph(number: int) -> bytes:
    """A JPEG as a camera leaves it: maker, place and a comment."""
    exif = Image.Exif()
    exif[0x010F] = "SecretCamera"
    exif.get_ifd(0x8825)[0x1B] = b"SecretPlace"
    exif.get_ifd(0x8825)[2] = (48.0, 8.0, 7.0)
    stream = io.BytesIO()
    Image.fromarray(scenes.draw(1, number).image).save(stream, "JPEG", exif=exif.tobytes(), comment=b"SecretComment")
    assert all(mark in stream.getvalue() for mark in MARKS)
    return stream.getvalue()


class Checkout(checkouts.Checkout):
    """The same on a folder of photographs, of which one is broken."""

    def configure(self, **changes) -> None:
        for i in range(COUNT):
            name = scenes.CLASSES[i % len(scenes.CLASSES)]
            path = self.folder / "photos" / name / f"{name}-{i:04d}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(photograph(i))
        (self.folder / "photos" / "wolf" / "wolf-9999.jpg").write_bytes(b"broken")
        (self.folder / "holiday.jpg").write_bytes(photograph(COUNT))
        sections = CONFIG["sections"]
        sections = sections | {"style_transfer": sections["style_transfer"] | {"content": "holiday.jpg"}}
        config = {"image_sets": {"photos": {"kind": "folder", "path": "photos"}}, "sections": sections} | changes
        (self.folder / "tiny.yaml").write_text(yaml.safe_dump(CONFIG | config))

    @property
    def site(self):
        return self.folder / "results" / "site"


@pytest.fixture(scope="module")
def checkout(tmp_path_factory) -> Checkout:
    made = Checkout(tmp_path_factory.mktemp("checkout"), CONFIG)
    made.make()
    return made


def test_nothing_a_camera_wrote_is_published(checkout):
    for address, content in everywhere(checkout.site).items():
        assert not [mark for mark in MARKS if mark in content], address
        if address.endswith((".webp", ".png", ".jpg")):
            with Image.open(checkout.site / address) as picture:
                assert not picture.getexif() and "comment" not in picture.info, address


def test_the_size_is_said_and_kept(checkout):
    report = json.loads((checkout.folder / "results/site-size.json").read_text())
    assert set(report["models"]["tiny"]["sections"]) == set(checkout.manifest())
    assert sum(entry["bytes"] for entry in report["models"].values()) < report["bytes"] and report["warnings"] == []
    assert "Gallery: " in (checkout.folder / "results/logs/index.log").read_text()


def test_derived_makes_pages_only_and_leaves_no_picture_and_no_name(checkout):
    index = json.loads((checkout.folder / "results/image_sets/photos/images.json").read_text())
    names = [*edition.names(index), "holiday"]
    assert len(names) > 2 * COUNT and len({name for name, _ in named(checkout.site, names)}) > COUNT
    assert (checkout.site / ".nojekyll").is_file() and list(checkout.site.rglob("*.npz"))
    shown, hidden = set(), set()
    for path in (checkout.folder / "results/models/tiny/sections").glob("*/section.json"):
        for figure in json.loads(path.read_text())["figures"]:
            file = f"models/tiny/figures/{path.parent.name}/{figure['file']}"
            assert (checkout.site / file).is_file(), file
            (hidden if figure["from_dataset"] else shown).add(file)
    before = everywhere(checkout.site)

    checkout.configure(publish="derived")
    try:
        assert checkout.planned() == {"model_pages": 1, "picture_pages": 1, "index": 1}
        checkout.make()
        left = everywhere(checkout.site)
        assert named(checkout.site, names) == []
        assert not [file for file in left if file.endswith((".npz", ".csv"))]
        assert hidden and not hidden & set(left)
        assert shown and shown == {file for file in left if re.match("models/tiny/figures/", file)}
        assert static.problems(checkout.site) == []
    finally:
        checkout.configure()
    assert checkout.planned() == {"model_pages": 1, "picture_pages": 1, "index": 1}
    checkout.make()
    after = everywhere(checkout.site)
    assert {k: v for k, v in after.items() if k != "timings.js"} == {
        k: v for k, v in before.items() if k != "timings.js"
    }
