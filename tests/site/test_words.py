"""Few words stand on the pages of a section: limits of captions and sentences, and of what stands unfolded."""

import os
import re
from html.parser import HTMLParser
from itertools import chain
from pathlib import Path

import pytest

from cnnviz.views.kit import section
from tests.site import static

ROOT = Path(__file__).parents[2]
MOST_CAPTION, MOST_SENTENCE, MOST_MODEL = 60, 30, 16_000
UNCOUNTED = {"script", "style", "table", "svg", "title"}


class Unfolded(HTMLParser):
    """Words of <main> that stand without opening anything; tables and drawings are left out."""

    def __init__(self, text: str):
        super().__init__()
        self.open: list[tuple[str, bool]] = []  # element, whether its words count
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        if tag in static.VOID:
            return
        given = dict(attributes)
        parent, counts = self.open[-1] if self.open else ("", False)
        folded = parent == "details" and tag != "summary"
        counts = (counts and not folded) or tag == "main"
        hidden = tag in UNCOUNTED or "hidden" in given or "unseen" in (given.get("class") or "").split()
        self.open.append(("open details" if tag == "details" and "open" in given else tag, counts and not hidden))

    def handle_endtag(self, tag):
        if tag not in static.VOID:
            self.open.pop()

    def handle_data(self, data):
        if self.open and self.open[-1][1]:
            self.words += data.split()


def unfolded(path: Path) -> list[str]:
    return Unfolded(path.read_text("utf-8")).words


def long_ones(results: Path) -> list[tuple]:
    """Captions and sentences of all figures and findings that break the limits."""
    found = []
    for path in sorted(results.glob("models/*/sections/*/section.json")):
        made = section.load(path)
        found += [(made.id, f.caption) for f in made.figures if len(f.caption.split()) > MOST_CAPTION]
        texts = [*chain(*((f.caption, f.more, f.mapping) for f in made.figures)), *(f.says for f in made.findings)]
        # an item of a list ("fish (p = 0.9); car (…)") is read as a sentence
        parts = [part for text in texts for part in re.split(r"(?<=[.?!;:]) ", text)]
        found += [(made.id, part) for part in parts if len(part.split()) > MOST_SENTENCE]
    return found


def test_what_is_folded_is_not_counted():
    page = (
        "<title>no</title><main><p>One two</p><details><summary>three</summary><p>no <b>no</b></p></details>"
        '<details open><summary>four</summary><p>five<br>six</p></details><p class="unseen">no</p><table><tr><td>no'
        "</td></tr></table><p hidden>no</p></main><p>no</p>"
    )
    assert Unfolded(page).words == ["One", "two", "three", "four", "five", "six"]


def test_captions_and_sentences_are_short(finished, photographed):
    assert [long_ones(run.folder / "results") for run in (finished, photographed)] == [[], []]


def test_a_figure_keeps_its_whole_mapping_where_a_line_says_it_for_all(photographed):
    page = (photographed.folder / "results/site/models/tiny/sections/maximal_patches.html").read_text("utf-8")
    figures, said = page.count("<figure "), page.count("orange frame: the neuron sees over")
    assert figures > 5 and said >= figures
    assert sum(word.startswith("orange") for word in Unfolded(page).words) <= 3


def test_the_demo_says_little():
    """Of the report that CI makes before the tests run."""
    models = sorted((ROOT / "results/site/models").glob("*/sections"))
    if not models and not os.environ.get("CI"):
        pytest.skip("the demo's report is not made here")
    assert len(models) >= 2 and long_ones(ROOT / "results") == []
    for model in models:
        counts = {path.stem: len(unfolded(path)) for path in model.glob("*.html")}
        assert len(counts) > 25 and sum(counts.values()) <= MOST_MODEL, counts
