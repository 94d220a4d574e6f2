"""A network's path through a report, job by job and in one process, as ``make report`` would run it.

``python -m tests.hostile.journey FOLDER FIRST STEP END`` runs networks.plan(number) for every number, one after the
other, and prints a line of JSON for each. A network may kill the process.
"""

import contextlib
import io
import json
import resource
import sys
import time
import warnings
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from cnnviz import config
from cnnviz.pictures import listing
from cnnviz.run import result
from tests.every_section import METHODS, call
from tests.hostile import networks
from tests.hostile.oracle import Wrong, plain, within
from tests.test_architectures import SECTIONS

ROOT = Path(__file__).parents[2]
COUNT = 8
FEW = SECTIONS | {
    "linear_templates": {"size": 8},
    "predictions": {"bins": 2},
    "bias_probe": {},
    "multifaceted": {"classes": 1, "facets": 1, "steps": 1},
    "feature_inversion": {"pictures": 1, "layers": 2, "steps": 1},
    "deepdream": {"pictures": 1, "layers": 1, "size": 32, "steps": 1, "octaves": 1},
    "texture_synthesis": {"size": 32, "steps": 1},
    "style_transfer": SECTIONS["style_transfer"] | {"size": 32, "variant_size": 32},
}
FILES = {
    p.stem: f"cnnviz.{p.parent.name}.{p.stem}"
    for p in (ROOT / "cnnviz").glob("*/*.py")
    if p.parent.name not in ("views", "ascent", "site", "check", "demo", "network", "pictures", "run")
}
MEMORY = 16 << 30  # bytes of address space, so that a network that requests too much harms nothing else
UNFORESEEN = "It was raised"  # in the message of an error that no code expects
SECONDS = 60  # CPU seconds of one job


def pictures(folder: Path, channels: int) -> Path:
    """A folder of eight pictures of two classes, of 1, 3 or any number of channels."""
    place = folder / f"pictures-{channels}"
    for i in range(COUNT):
        name = ("dark", "light")[i % 2]
        (place / name).mkdir(parents=True, exist_ok=True)
        values = np.random.default_rng(i).integers(0, 100, (40, 36, channels), np.uint8) + np.uint8(i % 2 * 150)
        if channels in (1, 3):
            Image.fromarray(values.squeeze()).save(place / name / f"{i}.png")
        else:
            np.save(place / name / f"{i}.npy", values)
    return place


def words(**values) -> list[str]:
    """Command-line arguments, of dicts as NAME=PATH pairs."""
    arguments = []
    for name, value in values.items():
        pairs = isinstance(value, dict)
        arguments += [f"--{name}", *([f"{k}={p}" for k, p in value.items()] if pairs else [str(value)])]
    return arguments


def said_by_job(module: str, *arguments: str) -> str:
    """The message of ``python -m module …`` to the user, "" if it works. Raises Wrong."""
    out, err = io.StringIO(), io.StringIO()
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            warnings.simplefilter("ignore")
            with within(SECONDS):
                call(module, *arguments)
    except SystemExit as stop:
        if not stop.code:
            return ""
        said = err.getvalue()
        if "Traceback" in said or "error: " not in said or UNFORESEEN in said:
            raise Wrong(f"{module}: {said[-600:]}") from stop
        return plain(said[said.rindex("error: ") :].strip())
    except Wrong:
        raise
    except Exception as error:
        raise Wrong(
            f"{module}: {type(error).__name__}: {' '.join(str(error).split())[:200]}; {places(error)}"
        ) from error
    return ""


def places(error: BaseException) -> str:
    """Origin of an exception in this package, innermost frame first."""
    found, trace = [], error.__traceback__
    while trace:
        file = trace.tb_frame.f_code.co_filename
        if "/cnnviz/" in file and "/tests/" not in file:
            found.append(f"{file.rpartition('/cnnviz/')[2]}:{trace.tb_lineno}")
        trace = trace.tb_next
    return " < ".join(found[::-1][:4])


class Journey:
    """One network's jobs. ``go`` runs sections; ``told``, ``wrong``: job → valid or invalid message."""

    def __init__(self, model: dict, image_set: dict, folder: Path):
        self.full = config.complete({"image_sets": {"set": image_set}, "models": {"net": model}, "sections": FEW})
        self.folder, self.told, self.wrong, self.inputs = folder, {}, {}, {}
        self.model, self.image_set = self.full["models"]["net"], self.full["image_sets"]["set"]

    def job(self, name: str, module: str, parameters: dict, inputs: Iterable[str], outputs: dict, **more: dict) -> bool:
        """Runs a compute job. Returns whether its result can be used by others."""
        block = {"model_id": "net", "section": name, "model": self.model, "image_set": self.image_set}
        block |= {"parameters": parameters, "seed": 0}
        given = {key: self.inputs[key] for key in inputs if key in self.inputs}
        more = {key: json.dumps(value) for key, value in more.items()}
        arguments = words(job=json.dumps(block), device="cpu", threads=1, input=given, output=outputs, **more)
        return self.done(name, module, arguments, outputs)

    def done(self, name: str, module: str, arguments: list[str], outputs: dict) -> bool:
        try:
            said = said_by_job(module, *arguments)
            if not said and "result" in outputs:
                said = judged(result.read(outputs["result"]))
        except Wrong as error:
            self.wrong[name] = str(error)
            return False
        self.told[name] = said or "ok"
        if not said or said.startswith("not applicable"):
            self.inputs |= {name if key == "result" else key: path for key, path in outputs.items()}
        return not said

    def go(self, sections: Iterable[str], views: bool = True) -> None:
        at = self.folder
        at.mkdir(parents=True, exist_ok=True)
        for file in ("images.json", "thumbnails.npy"):
            self.inputs[file.split(".")[0]] = at.parent / f"{Path(self.image_set['path']).name}-{file}"
        if not self.inputs["images"].is_file():
            listed = words(config=json.dumps(self.image_set), threads=1, index=self.inputs["images"])
            call("cnnviz.pictures.images", *listed, *words(thumbnails=self.inputs["thumbnails"]))
        parameters = {"checkpoint": "", "set_classes": listing.classes(self.image_set)}
        if not self.job("network", "cnnviz.network.network", parameters, (), {"network": at / "network.json"}):
            return
        if not self.job("model", "cnnviz.network.model", {}, ["network"], {"model": at / "model.json"}):
            return
        left = {"result": at / "forward.npz", "features": at / "features.npy", "logits": at / "logits.npy"}
        left |= {"untrained": at / "untrained.npz"}
        forward = self.job("forward", FILES["forward"], {"batch": 3, "top": 2}, ["network", "images"], left)
        outputs = {"forward", "features", "logits", "untrained"}
        for section in sections:
            block = self.full["sections"][section]
            rule = {"network", "images", "thumbnails"} | (outputs if forward else set())
            rule |= set(METHODS) if section in ("attribution_check", "bias_probe") else {"tsne"}
            if section in ("attribution_check", "bias_probe"):
                rule -= {"thumbnails", *outputs}
            path = at / section / "result.npz"
            shown = {k: v for k, v in block.items() if k != "view"}
            if not forward and section in NEEDING:
                continue
            self.job(section, FILES[section], shown, rule, {"result": path})
            if views and section in self.told and path.is_file():
                given = {"result": path} | {k: self.inputs[k] for k in ("model", "images", "thumbnails")}
                arguments = words(show=json.dumps(block["view"]), input=given) + [
                    "--image-set",
                    json.dumps(self.image_set),
                ]
                arguments += words(section=path.parent / "section.json", figures=path.parent / "figures.zip")
                self.done(f"{section}, drawn", f"cnnviz.views.{section}", arguments, {})


NEEDING = {  # sections that read the forward pass
    *(
        "predictions",
        "maximal_patches",
        "unit_statistics",
        "nearest_neighbors",
        "pca",
        "tsne",
        "tsne_grid",
        "deconvnet",
    ),
    *("guided_backprop", "linear_templates", "unit_visualization", "diversity", "multifaceted"),
}


def judged(left: result.Result) -> str:
    """ "" for a result with numbers in it, else why it does not apply. Raises Wrong."""
    if left.status != "ok":
        return f"not applicable: {plain(left.reason)}"
    if not left.arrays:
        raise Wrong("ok, but no array")
    for name, array in left.arrays.items():
        if (
            array.dtype.kind == "f"
            and name.startswith(("maps/", "pictures", "images"))
            and not np.isfinite(array).all()
        ):
            raise Wrong(f"ok, but {(~np.isfinite(array)).sum()} of {array.size} values in {name} are not finite")
    return ""


def of_plan(number: int, folder: Path) -> Journey:
    made = networks.plan(number)
    size = {"resize": list(made.size), "crop": None, "mean": 0.4, "std": 0.3}
    model = {"factory": f"{networks.__file__}:build", "arguments": {"number": number}, "outputs": made.outputs}
    outputs = made.classes if made.classes > 1 or made.outputs["kind"] == "sigmoid" else 2
    names = ["dark", "light", *(f"class {i}" for i in range(2, outputs))][:outputs]
    model |= {"preprocess": size, "probes": 2, "classes": names}
    return Journey(model, {"kind": "folder", "path": str(pictures(folder, made.channels))}, folder / f"net-{number}")


def sections_of(number: int) -> list[str]:
    """Three of the sections; over the numbers each has its turn."""
    names = [name for name in config.whole_schema()["properties"]["sections"]["properties"]]
    drawn = {names[(3 * number + i) % len(names)] for i in range(3)}
    return sorted(drawn | ({"tsne"} if "tsne_grid" in drawn else set()), key=names.index)


def main() -> None:
    folder, first, step, end, every = Path(sys.argv[1]), *map(int, sys.argv[2:5]), len(sys.argv) > 5
    torch.set_num_threads(1)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    for number in range(first, end, step):
        print(json.dumps({"number": number, "begins": str(networks.plan(number))}), flush=True)
        began, journey = time.process_time(), of_plan(number, folder)
        journey.go(journey.full["sections"] if every else sections_of(number), views=every)
        seconds = round(time.process_time() - began, 1)
        print(json.dumps({"number": number, "told": journey.told, "wrong": journey.wrong, "s": seconds}), flush=True)


if __name__ == "__main__":
    main()
