"""Every section has its texts, equation and paper, and its place in the tour."""

import json
import re
import runpy

import pytest

from cnnviz import config
from cnnviz.network import kinds
from cnnviz.site import tour
from cnnviz.site.environment import formula
from cnnviz.site.stamp import Entry, Stamp
from cnnviz.views.kit import section
from cnnviz.views.kit.findings import FOUND, WEAK

SECTIONS = list(
    config.complete({"image_sets": {"s": {"kind": "demo"}}, "models": {"m": {"torchvision": "x"}}})["sections"]
)


@pytest.fixture(scope="module")
def words():
    """Section → its view's texts, which are the same for every model."""
    said = {}
    with pytest.MonkeyPatch.context() as patch:
        for id in SECTIONS:
            patch.setattr(section, "run", lambda view, **words: said.update({words["id"]: words}))
            runpy.run_module(f"cnnviz.views.{id}", run_name="__main__")
    return said


def model(**status):
    entries = [Entry(id, id, f"{id}.html", said, tour=f"See {id}.") for id, said in status.items()]
    return Stamp("m", "M", sections=entries)


def test_the_tour_names_every_section_once(words):
    named = [id for ids in tour.CHAPTERS.values() for id in ids]
    assert sorted(named) == sorted(SECTIONS)
    sentences = [said["tour"] for said in words.values()]
    assert len(set(sentences)) == len(SECTIONS) and all(sentence.endswith((".", "?")) for sentence in sentences)


def test_the_tour_leads_to_what_is_there():
    models = model(pca="missing", lime="ok"), model(pca="ok", lime="ok", occlusion="not_applicable")
    assert [(c["section"], c["says"]) for c in tour.chapters(models)] == [("pca", "See pca."), ("lime", "See lime.")]


def test_a_new_section_follows_the_one_before_it_and_one_without_a_sentence_asks_its_question():
    found = tour.by_chapter(["new_a", "new_b", "layer_filters", "lime", "new_c", "saliency"])
    assert [*found.values()] == [["new_a", "new_b", "layer_filters"], ["saliency", "lime", "new_c"]]
    (chapter,) = tour.chapters([Stamp("m", "M", sections=[Entry("pca", "PCA", "pca.html", "ok", question="Where?")])])
    assert chapter["says"] == "Where?"


def test_a_chapter_leads_to_its_strongest_finding():
    def entry(id, *found, status="ok"):
        listed = [{"section": id, "says": w, "caution": False, "strength": s, "effect": 0.5} for w, s in found]
        return Entry(id, id, f"{id}.html", status, findings=listed, tour=f"See {id}.")

    first = [entry("pca", status="missing"), entry("lime", ("weak", WEAK)), entry("saliency", ("strong", FOUND))]
    models = [Stamp("a", "A", sections=first), Stamp("b", "B", sections=[entry("pca"), entry("lime")])]
    shown = [(c["model"], c["section"], c["says"]) for c in tour.chapters(models)]
    assert shown == [("B", "pca", "See pca."), ("A", "saliency", "strong")]


def test_tours_lead_from_stop_to_stop_of_what_is_there(words):
    assert {id for _, ids in tour.TOURS.values() for id in ids} <= set(words)
    assert all(5 <= len(ids) <= 8 for _, ids in tour.TOURS.values())
    (only,) = tour.tours([model(predictions="ok", bias_probe="missing", occlusion="ok")])
    assert [stop["page"] for stop in only["stops"]] == ["predictions.html", "occlusion.html"]
    data = json.loads(tour.script([only]).removeprefix("window.cnnvizTours = ").removesuffix(";\n"))
    assert data[str(only["id"])]["stops"] == [["predictions", "predictions.html"], ["occlusion", "occlusion.html"]]


def test_words_are_few_and_sentences_short(words):
    """The limits of CONTRIBUTING.md; what breaks them is listed."""
    limits = {"question": 12, "how_to_read": 40, "do_not_conclude": 60, "tour": 30}
    broken = [(id, key, len(said[key].split())) for id, said in words.items() for key in limits
              if len(said[key].split()) > limits[key]]  # fmt: skip
    asked = {kinds.question(kind, id, "") for kind in (kinds.REGRESSION, kinds.SEGMENTATION) for id in words}
    assert [question for question in asked if len(question.split()) > limits["question"]] == []
    sentences = [(id, s) for id, said in words.items() for key in limits for s in re.split(r"(?<=[.?!]) ", said[key])]
    assert broken == [] and [(id, s) for id, s in sentences if len(s.split()) > 30] == []


@pytest.mark.parametrize("id", SECTIONS)
def test_every_section_says_what_it_asks_how_to_read_it_and_where_it_is_from(id, words):
    said = words[id]
    assert said["id"] == id and said["question"].endswith("?")
    assert all(len(said[name]) > 60 for name in ("how_to_read", "do_not_conclude"))
    assert len(said["equation"]) > 5 and said["papers"]
    assert all(paper.url.startswith("https://") and 1900 <= paper.year <= 2026 for paper in said["papers"])


def test_indices_of_an_equation_stand_lower_and_all_of_it_is_escaped():
    assert formula("Σ_{k≠c} A_k(y) < p_ij₀") == "Σ<sub>k≠c</sub> A<sub>k</sub>(y) &lt; p<sub>ij₀</sub>"
    assert formula("a_{<b>}_<i>") == "a<sub>&lt;b&gt;</sub>_&lt;i&gt;"
    assert formula("score(x) = Σ w · x") == "score(x) = Σ w · x"
