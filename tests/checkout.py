"""A copy of the repository with a tiny network, to run the real DAG in; shared by several tests.

``Checkout`` is such a copy. ``Finished`` and ``Photographed`` are two whose runs are made once for all tests, also for
those of other pytest-xdist workers, and then copied, with Snakemake's metadata and the files' times.
"""

import io
import json
import os
import pickle
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import CompletedProcess
from typing import Self

import torch
import yaml
from filelock import FileLock
from PIL import Image

from cnnviz.config import whole_schema
from cnnviz.demo import scenes
from tests import forked

ROOT = Path(__file__).parents[1]
NET = """
import torch
from torch import nn

def tiny(classes=12):
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 5, stride=2), nn.ReLU(), nn.Conv2d(4, 6, 3), nn.ReLU(), nn.MaxPool2d(3),
        nn.Flatten(), nn.Linear(486, 8), nn.ReLU(), nn.Linear(8, classes))
"""
ALL = whole_schema()["properties"]["sections"]["properties"]
PREPROCESS = {"mean": 0.5, "std": 0.25, "resize": [64, 64], "crop": None}


def only(sections: dict[str, dict]) -> dict:
    """The config's ``sections:`` with only these."""
    return {name: False for name in ALL if name not in sections} | sections


def copy_code(folder: Path) -> None:
    """Copies the parts of the repository that a run needs."""
    for name in ("cnnviz", "rules", "templates", "profiles", "Snakefile", "environment.yaml"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, folder / name)


class Checkout:
    """A copy of the repository to run in, with a config, a network and its weights."""

    config: dict

    def __init__(self, folder: Path, config: dict):
        self.folder, self.config = folder, config
        copy_code(folder)
        (folder / "net.py").write_text(NET)
        torch.save(self.state(), folder / "weights.pt")
        self.configure()

    @classmethod
    def once(cls, tmp_path_factory) -> Self:
        """A finished run that the first worker makes while others wait. Do not change it: use :meth:`copied`."""
        base = tmp_path_factory.getbasetemp()
        base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base  # the workers' folders lie in one
        note = base / f"{cls.__name__}.pickle"
        with FileLock(note.with_suffix(".lock")):
            if not note.exists():
                made = cls(Path(tempfile.mkdtemp(prefix=cls.__name__.lower(), dir=base)))
                made.make()
                note.write_bytes(pickle.dumps(made))
        return pickle.loads(note.read_bytes())

    @staticmethod
    def state(shift: float = 0) -> dict[str, torch.Tensor]:
        """Weights of the network. shift: added to the first convolution's biases."""
        namespace: dict = {}
        exec(NET, namespace)
        state = namespace["tiny"]().state_dict()
        state["0.bias"] += shift
        return state

    def configure(self, **changes) -> None:
        (self.folder / "tiny.yaml").write_text(yaml.safe_dump(self.config | changes))

    ARGUMENTS = ("--cores", "2", "--configfile", "tiny.yaml")

    def snakemake(self, *arguments: str) -> CompletedProcess:
        return forked.snakemake([*self.ARGUMENTS, *arguments], self.folder)

    def make(self, *arguments: str) -> str:
        done = self.snakemake(*arguments)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return done.stdout + done.stderr

    def planned(self, *arguments: str) -> Counter:
        """Rule → number of its jobs that would run now."""
        done = self.snakemake("--dry-run", *arguments)
        text = done.stdout + done.stderr
        assert done.returncode == 0, text[-3000:]
        if "Nothing to be done" in text:
            return Counter()
        table = text.split("Job stats:")[1].split("total")[0]
        counted = Counter({name: int(n) for name, n in re.findall(r"^(\w+)\s+(\d+)$", table, re.M)})
        del counted["all"]
        return counted

    @staticmethod
    def done(text: str) -> Counter:
        """Rule → number of its finished jobs, from a run's output."""
        counted = Counter(re.findall(r"^Finished jobid: \d+ \(Rule: (\w+)\)", text, re.M))
        del counted["all"]
        return counted

    def manifest(self, model: str = "tiny") -> dict:
        """Section → its entry in manifest.json, for one of the models."""
        models = json.loads((self.folder / "results/site/manifest.json").read_text())["models"]
        sections = next(found["sections"] for found in models if found["id"] == model)
        return {section["id"]: section for section in sections}

    def page(self, address: str) -> str:
        return (self.folder / "results/site" / address).read_text("utf-8")

    @contextmanager
    def edited(self, path: str, old: str, new: str) -> Iterator[None]:
        """Replaces ``old`` by ``new`` in a file, and restores it with its time."""
        file = self.folder / path
        before, status = file.read_text(), file.stat()
        assert old in before
        file.write_text(before.replace(old, new, 1))
        try:
            yield
        finally:
            file.write_text(before)
            os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))

    def copied(self, folder: Path):
        """A copy at another place: files, their times, Snakemake's metadata."""
        shutil.copytree(self.folder, folder, symlinks=True)  # copies with times
        copy = object.__new__(type(self))
        copy.folder, copy.config = folder, self.config
        return copy


# Names in the finished run. The run must handle them, and pages must show them as text only.
TITLE = "{x} <script>alert(1)</script>"  # {x} is a wildcard where Snakemake reads it
CLASSES = (
    "<script>alert(1)<script>",
    "\"two\" & 'one'",
    "snow 🐺 שלום\u202eabc",
    "line\nbreak",
    "up ..\\.. down",
    "plain",
)
SECTIONS = {
    "first_layer_filters": {},
    "maximal_patches": {},
    "pca": {},
    "saliency": {"samples": 2},
    "class_visualization": {"classes": 2, "steps": 2, "settings_classes": 0},
}


class Finished(Checkout):
    """Two models on a folder of 18 pictures and a damaged one."""

    @classmethod
    def model(cls, checkpoint: str) -> dict:
        return {"factory": "net.py:tiny", "checkpoint": checkpoint, "probes": 2, "preprocess": PREPROCESS}

    def __init__(self, folder: Path):
        for i in range(18):
            self.picture(folder, i)
        (folder / "pictures" / "plain" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nand no more")
        torch.save(self.state(shift=0.5), folder / "twin.pt")
        super().__init__(
            folder,
            {
                "title": TITLE,
                "threads": 1,
                "device": "cpu",
                "image_sets": {"drawn": {"kind": "folder", "path": "pictures"}},
                "models": {"tiny": self.model("weights.pt"), "twin": self.model("twin.pt") | {"title": TITLE}},
                "sections": only(SECTIONS),
            },
        )

    @staticmethod
    def picture(folder: Path, number: int) -> Path:
        """Draws a picture of the set."""
        name = CLASSES[number % len(CLASSES)]
        path = folder / "pictures" / name / f"{name} {number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(scenes.draw(1, number).image).save(path)
        return path


PHOTOGRAPHS = 36
MARKS = [b"SecretCamera", b"SecretComment", b"SecretPlace"]


def photograph(number: int) -> bytes:
    """A JPEG as from a camera, with maker, place and a comment."""
    exif = Image.Exif()
    exif[0x010F] = "SecretCamera"
    exif.get_ifd(0x8825)[0x1B] = b"SecretPlace"
    exif.get_ifd(0x8825)[2] = (48.0, 8.0, 7.0)
    stream = io.BytesIO()
    Image.fromarray(scenes.draw(1, number).image).save(stream, "JPEG", exif=exif.tobytes(), comment=b"SecretComment")
    assert all(mark in stream.getvalue() for mark in MARKS)
    return stream.getvalue()


class Photographed(Checkout):
    """One model and a few sections of each kind on a folder of photographs, with one damaged file."""

    SECTIONS = (
        *("predictions", "first_layer_filters", "maximal_patches", "nearest_neighbors", "pca", "tsne", "tsne_grid"),
        *("saliency", "class_visualization", "style_transfer"),
    )  # tests/test_architectures.py runs them all
    CONFIG = {
        "threads": 1,
        "device": "cpu",
        "image_sets": {"photos": {"kind": "folder", "path": "photos"}},
        "models": {
            "tiny": {"factory": "net.py:tiny", "checkpoint": "weights.pt", "probes": 2, "preprocess": PREPROCESS},
        },
        "sections": only(
            dict.fromkeys(SECTIONS, {})
            | {
                "tsne": {"perplexity": 5},
                "saliency": {"samples": 2},
                "class_visualization": {"classes": 2, "steps": 3, "settings_classes": 1, "settings_share": 0.01},
                "style_transfer": {"size": 64, "steps": 3, "variant_size": 32, "variant_steps": 2}
                | {"content": "holiday.jpg"},
            }
        ),
    }

    def __init__(self, folder: Path):
        for i in range(PHOTOGRAPHS):
            name = scenes.CLASSES[i % len(scenes.CLASSES)]
            path = folder / "photos" / name / f"{name}-{i:04d}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(photograph(i))
        (folder / "photos" / "wolf" / "wolf-9999.jpg").write_bytes(b"broken")
        (folder / "holiday.jpg").write_bytes(photograph(PHOTOGRAPHS))
        super().__init__(folder, self.CONFIG)
