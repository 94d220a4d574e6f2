"""The measures of finished reports say what an eye would: on results whose flaws are known."""

from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import torch

from benchmarks import real_nets
from benchmarks.real_nets import Report
from cnnviz.run.result import Result


@dataclass(frozen=True)
class Made(Report):
    """A report whose results are given."""

    results: tuple = ()

    def section(self, name):
        return dict(self.results).get(name)


def report(section, arrays, numbers):
    found = Result({k: np.array(v) for k, v in arrays.items()}, "ok", "", numbers, {}, 0, {})
    return Made("net", {}, None, 0, ((section, found),))


def judge(scores):
    """A network of four classes that gives each of ``scores`` (n, 4) in turn."""
    net = SimpleNamespace(id="judge", classes=("cat", "dog", "crane", "crane"), preprocess=SimpleNamespace(size=(6, 6)))
    net.pictures = lambda arrays: torch.from_numpy(np.stack(arrays))
    net.logits = lambda x: torch.tensor(scores)[: len(x)]
    return net


def test_a_grey_unit_that_is_not_marked_breaks_the_bar():
    pictures = np.full((3, 4, 4, 3), 128, np.uint8)
    pictures[0, 0, 0] = 255  # two are grey, one of them marked
    arrays = {"conv/pictures": pictures, "conv/lost": [False, True, False]}
    unmarked, marked = real_nets.units(report("unit_visualization", arrays, {"layers": [{"name": "conv"}]}))
    assert round(unmarked.value) == 33 and not unmarked.holds and round(marked.value) == 33


def test_a_second_network_ranks_the_class_by_its_name(monkeypatch):
    monkeypatch.setattr(real_nets, "scores_of", lambda net, pictures: net.logits(net.pictures(pictures)))
    pictures = np.zeros((3, 4, 4, 3), np.uint8)
    scores = [[3.0, 2, 1, 0], [3, 2, 1, 0], [1, 2, 0, 3]]
    names = ["cat", "dog", "crane"]  # two classes are named crane: the better counts
    assert real_nets.ranked(judge(scores), pictures, names).tolist() == [1, 2, 1]
    shown = report("class_visualization", {"ranks": [1, 1, 1], "pictures": pictures}, {"classes": names})
    own, first, median = real_nets.classes(shown, judge(scores))
    assert own.value == 100 and round(first.value) == 67 and not first.holds and median.value == 1


def test_reconstructions_that_improve_with_depth_break_the_bar():
    numbers = {"layers": [{"name": "conv1"}, {"name": "conv2"}, {"name": "scores"}]}
    good = {"pixel_error": [[10.0, 20, 30]], "error": [[0.01, 0.02, 0.05]]}
    bad = {"pixel_error": [[30.0, 20, 40]], "error": [[0.22, 0.02, 0.05]]}
    assert all(line.holds for line in real_nets.inversion(report("feature_inversion", good, numbers)))
    assert not any(line.holds for line in real_nets.inversion(report("feature_inversion", bad, numbers)))


def test_style_without_the_paintings_colours_breaks_the_bar():
    rng = np.random.default_rng(0)
    painting = rng.integers(0, 256, (8, 8, 3), np.uint8)
    grey = painting.mean(2, keepdims=True).astype(np.uint8).repeat(3, 2)
    losses = np.zeros((2, 5))
    losses[:, 4] = 0.9, 0.4
    numbers = {"rows": {"weight": [0, 1]}}
    for last, holds in ((painting, True), (grey, False)):
        arrays = {"variants": [grey, last], "style": painting, "content": grey, "variant_losses": losses}
        colours, texture = real_nets.style(report("style_transfer", arrays, numbers), None)
        assert colours.holds == holds and texture.holds and np.isclose(texture.value, -0.5)


def test_cells_that_cannot_tell_are_counted():
    def row(name, verdict):
        return {"name": name, "against": {rival: {"verdict": verdict} for rival in ("chance", "edges")}}

    rows = [row("lime", "yes"), row("gradient", "cannot tell"), row("random", "yes")]  # random is a baseline
    numbers = {"methods": [{"name": "lime"}, {"name": "gradient"}], "checks": [{"rows": rows}], "weights": []}
    (cells,) = real_nets.verdicts(report("attribution_check", {}, numbers))
    assert cells.value == 50 and cells.holds


def test_a_section_that_was_not_computed_has_no_measures():
    empty = Made("net", {}, None, 0)
    assert not any(lines for _, lines in real_nets.measured(empty, None))
