"""How good the pictures of finished reports are, by numbers: ``python -m benchmarks.real_nets CONFIG …``.

Beauty cannot be tested, but what an eye complains of first can be counted: class pictures that only their own network
recognises, units that stay grey, style transfer without the painting's colours, reconstructions that improve with
depth, a comparison of explanations without verdicts.

A network of the same classes, in any of the configs, judges the class pictures and the textures. Where there is none,
or a section is turned off, the line says "not measured". Finished results are read; nothing is computed again.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from skimage.color import rgb2lab

from cnnviz import config
from cnnviz.ascent.class_scores import scores_of
from cnnviz.network import facts as known
from cnnviz.network import loaded
from cnnviz.network.building import build
from cnnviz.network.loaded import Model
from cnnviz.run import result
from cnnviz.run.result import Result
from cnnviz.style import style_transfer
from cnnviz.synthesis.unit_visualization import GREY
from cnnviz.views.attribution_check import kind_of
from cnnviz.views.kit.intervals import OPEN

MANY = 100  # classes above which a judge's top 10 counts, else its first place


@dataclass(frozen=True)
class Measure:
    """One line of the table. bar: the largest or smallest good value, as ``better`` says; None: no bar."""

    what: str
    value: float
    better: str = "≤"
    bar: float | None = None

    @property
    def holds(self) -> bool:
        return self.bar is None or (self.value <= self.bar if self.better == "≤" else self.value >= self.bar)


@dataclass(frozen=True)
class Report:
    """A network's part of a finished run. block: its part of the config. folder: its results."""

    id: str
    block: dict
    folder: Path
    seed: int

    @property
    def classes(self) -> list[str]:
        return known.read(self.folder / "network.json")["classes"]

    def section(self, name: str) -> Result | None:
        """The section's result, if it was computed and applies to the network."""
        path = self.folder / "sections" / name / "result.npz"
        read = result.read(path) if path.exists() else None
        return read if read and read.status == "ok" else None

    def network(self) -> Model:
        """The network on the CPU."""
        facts = known.read(self.folder / "network.json")
        net = build(self.block, self.id, self.seed).net
        chosen = known.chosen(facts, self.block.get("layers", "default"))
        return loaded.opened(net, facts, facts["feature"], chosen, self.block["outputs"], torch.device("cpu"))


def reports(path: str) -> list[Report]:
    """The networks of a config whose run is finished."""
    given = config.complete(config.read(Path(path)))
    folder = Path(given["results"]) / "models"
    return [Report(id, block, folder / id, given["seed"]) for id, block in given["models"].items()]


def judge_of(report: Report, others: Sequence[Report]) -> Model | None:
    """The first other network with the classes of this report's class pictures."""
    shown = report.section("class_visualization")
    wanted = set(shown.numbers["classes"]) if shown else set(report.classes)
    return next((o.network() for o in others if o is not report and wanted <= set(o.classes)), None)


# ------------------------------------------------------------------------------------------------------- the measures


def units(report: Report) -> Iterator[Measure]:
    """Grey pictures that are not marked, and marked ones."""
    if shown := report.section("unit_visualization"):
        names = [layer["name"] for layer in shown.numbers["layers"]]
        lost = np.concatenate([shown.arrays[f"{name}/lost"] for name in names])
        grey = np.concatenate([_range(shown.arrays[f"{name}/pictures"]) <= GREY for name in names])
        yield Measure(f"grey pictures of {len(lost)} units that are not marked, %", 100 * (grey & ~lost).mean(), "≤", 0)
        yield Measure("units marked as lost, %", 100 * lost.mean())


def _range(pictures: np.ndarray) -> np.ndarray:
    levels = pictures.reshape(len(pictures), -1)
    return levels.max(1).astype(int) - levels.min(1)


def classes(report: Report, judge: Model | None) -> Iterator[Measure]:
    """Ranks of the targets by the network itself and by the judge."""
    if shown := report.section("class_visualization"):
        n = len(shown.arrays["ranks"])
        yield Measure(f"class pictures of {n} that the network itself ranks first, %", _share(shown.arrays["ranks"], 1))
        if judge:
            ranks = ranked(judge, shown.arrays["pictures"], shown.numbers["classes"])
            top, least = (10, 50) if len(judge.classes) > MANY else (1, 80)
            place = f"in its top {top}" if top > 1 else "first"
            yield Measure(f"class pictures that {judge.id} ranks {place}, %", _share(ranks, top), "≥", least)
            yield Measure(f"median rank by {judge.id}, of {len(judge.classes)}", float(np.median(ranks)))


def _share(ranks: np.ndarray, top: int) -> float:
    return 100 * float((ranks <= top).mean())


def ranked(judge: Model, pictures: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """Rank by the judge of each picture's class: (n,). pictures: (n, h, w, c) uint8 of any size, which is resized.

    Of several classes of one name the best counts.
    """
    scores = scores_of(judge, pictures).numpy()
    own = [
        row[[k for k, known in enumerate(judge.classes) if known == name]].max()
        for row, name in zip(scores, names, strict=True)
    ]
    return 1 + (scores > np.array(own)[:, None]).sum(1)


def inversion(report: Report) -> Iterator[Measure]:
    """Whether a reconstruction is farther from the original, the deeper its layer."""
    if shown := report.section("feature_inversion"):
        pixel, feature = (shown.arrays[name].mean(0) for name in ("pixel_error", "error"))
        names = " ".join(layer["name"] for layer in shown.numbers["layers"])
        said = " ".join(f"{value:.0f}" for value in pixel)
        yield Measure(f"smallest growth of the pixel error, levels ({names}: {said})", np.diff(pixel).min(), "≥", 0)
        yield Measure("feature error in the first layer / largest one later", feature[0] / feature[1:].max(), "≤", 1)


def style(report: Report, judge: Model | None) -> Iterator[Measure]:
    """Colour and texture over the sweep of style weights."""
    shown = report.section("style_transfer")
    if not shown or "weight" not in shown.numbers["rows"]:
        return
    sweep = shown.numbers["rows"]["weight"]
    pictures, painting = shown.arrays["variants"][sweep], shown.arrays["style"]
    if painting.shape[-1] == 3 and chroma(painting) > 0:
        share = chroma(pictures[-1]) / chroma(painting)
        yield Measure("chroma at the largest style weight, share of the painting's", share, "≥", 0.6)
    by = {"random filters": shown.arrays["variant_losses"][sweep, 4]}
    if judge and judge.channels == painting.shape[-1]:
        by[judge.id] = texture(judge, pictures, shown.arrays["content"], painting)
    for name, errors in by.items():
        said = " ".join(f"{error:.2f}" for error in errors)
        yield Measure(f"largest rise of the texture error by {name} ({said})", np.diff(errors).max(), "≤", 0)


def chroma(picture: np.ndarray) -> float:
    """Mean distance to grey in CIELAB of an (h, w, 3) uint8 picture."""
    return float(np.linalg.norm(rgb2lab(picture)[..., 1:], axis=-1).mean())


def texture(judge: Model, pictures: np.ndarray, content: np.ndarray, painting: np.ndarray) -> np.ndarray:
    """Style error in the judge's layers, (n,): 1 for the content, 0 for the style. All have the pictures' size."""
    height, width = pictures.shape[1:3]
    scale = height / content.shape[0]
    before = judge.pictures([_resized(content, height, width)])
    wanted = judge.pictures([_resized(painting, *(round(side * scale) for side in painting.shape[:2]))])
    at, over = style_transfer.layers(judge, "default", "default")
    with torch.no_grad():
        given = style_transfer.styles(judge, wanted, over)
        return style_transfer.losses(judge, judge.pictures(list(pictures)), before, given, at)[1]


def _resized(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    return np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.LANCZOS))


def verdicts(report: Report) -> Iterator[Measure]:
    """How many cells of the comparison of explanations are decided."""
    if shown := report.section("attribution_check"):
        methods = {method["name"] for method in shown.numbers["methods"]}
        rows = [row for check in shown.numbers["checks"] for row in check["rows"] if row["name"] in methods]
        decided = [kind_of(row) != OPEN for row in rows] + [True] * len(shown.numbers["weights"])
        yield Measure(
            f"cells of attribution_check with a verdict, % of {len(decided)}", 100 * np.mean(decided), "≥", 50
        )


def measured(report: Report, judge: Model | None) -> Iterator[tuple[str, list[Measure]]]:
    """Section → its measures; none where it was not computed or does not apply."""
    yield "class_visualization", list(classes(report, judge))
    yield "unit_visualization", list(units(report))
    yield "feature_inversion", list(inversion(report))
    yield "style_transfer", list(style(report, judge))
    yield "attribution_check", list(verdicts(report))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("configs", nargs="+", metavar="config", help="configs whose reports are finished")
    every = [report for path in parser.parse_args().configs for report in reports(path)]
    for report in every:
        judge = judge_of(report, every)
        print(f"\n{report.id}, judged by {judge.id if judge else 'no other network'}")
        for section, lines in measured(report, judge):
            for line in lines:
                bar = f"{line.better} {line.bar:g}" if line.bar is not None else ""
                print(f"{'ok   ' if line.holds else 'FAILS'} {line.value:9.2f} {bar:>6}  {section}: {line.what}")
            if not lines:
                print(f"{'not measured':>21}  {section}")


if __name__ == "__main__":
    main()
