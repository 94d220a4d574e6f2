"""Anonymous memory of the forward pass at 2 000 and at 20 000 pictures: ``python -m benchmarks.memory``.

A child process does the whole job on generated pictures and a small network, so only memory that grows with the number
of pictures differs. Its RssAnon is sampled. The system may drop file-backed pages (the features' memory map).
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from cnnviz.config import complete

COUNTS = 2_000, 20_000
FACTORY = """
from torch import nn
def net():
    return nn.Sequential(nn.Conv2d(3, 8, 5, 4), nn.ReLU(), nn.AdaptiveAvgPool2d(8), nn.Flatten(),
                         nn.Linear(512, 4096), nn.ReLU(), nn.Linear(4096, 10))
"""
CHILD = """
import json, sys
import numpy as np
from PIL import Image
from cnnviz.pictures import images
pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
images.ImageSet.pixels = lambda self, index: Image.fromarray(np.roll(pixels, index, 1))
from cnnviz.activations import forward
from cnnviz.run.job import run
run(forward.main)
"""


def peak(count: int) -> float:
    """Largest RssAnon of the job over ``count`` pictures, in MB."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "factory.py").write_text(FACTORY)
        listed = [
            {
                "id": f"picture-{i:06d}",
                "name": f"class-{i % 10}/picture-{i:06d}.jpg",
                "label": i % 10,
                "width": 64,
                "height": 64,
            }
            for i in range(count)
        ]
        classes = [str(i) for i in range(10)]
        facts = {"schema": 2, "classes": classes, "pictures": listed, "skipped": []}
        (folder / "images.json").write_text(json.dumps(facts))
        net = {"factory": f"{folder}/factory.py:net", "preprocess": {"mean": 0.5, "std": 0.25, "crop": 64}}
        given = {"image_sets": {"set": {"kind": "folder", "path": name}}, "models": {"net": net}}
        config = complete(given)
        job = {
            "model_id": "net",
            "section": "forward",
            "model": config["models"]["net"],
            "image_set": config["image_sets"]["set"],
            "parameters": {"checkpoint": "", "set_classes": classes, "batch": 32, "top": 9},
            "seed": 0,
        }
        common = [
            "--job",
            json.dumps(job),
            "--device",
            "cpu",
            "--threads",
            "2",
            "--input",
            f"images={folder}/images.json",
        ]
        model = [sys.executable, "-m", "cnnviz.network.network", *common, "--output", f"network={folder}/network.json"]
        subprocess.run(model, check=True, stdout=subprocess.DEVNULL)
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, *common, f"network={folder}/network.json",
             "--output", f"result={folder}/result.npz", f"features={folder}/features.npy",
             f"logits={folder}/logits.npy"],
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        most = 0
        while child.poll() is None:
            status = Path(f"/proc/{child.pid}/status").read_text()
            most = max([most] + [int(line.split()[1]) for line in status.splitlines() if line.startswith("RssAnon")])
            time.sleep(0.02)
        if child.returncode:
            raise RuntimeError(f"the forward job over {count} pictures failed")
        return most / 1024


def measure() -> list[tuple[str, float, float]]:
    """(what, ratio of memory, limit)."""
    small, large = (peak(count) for count in COUNTS)
    what = f"forward pass, anonymous memory, {COUNTS[1]} / {COUNTS[0]} pictures ({large:.0f} / {small:.0f} MB)"
    return [(what, large / small, 1.10)]


if __name__ == "__main__":
    for what, ratio, bar in measure():
        print(f"{what}: {ratio:.3f} (bar {bar})")
