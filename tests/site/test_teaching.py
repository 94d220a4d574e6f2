"""The gallery teaches: every section has its words, equation and paper, and its place in the tour."""

import runpy

import pytest

from cnnviz import config
from cnnviz.site import tour
from cnnviz.site.environment import formula
from cnnviz.views.kit import section

SECTIONS = list(
    config.complete({"image_sets": {"s": {"kind": "demo"}}, "models": {"m": {"torchvision": "x"}}})["sections"]
)


def test_the_tour_names_every_section_once():
    named = [id for stops in tour.CHAPTERS.values() for id in stops]
    assert sorted(named) == sorted(SECTIONS)
    words = [words for stops in tour.CHAPTERS.values() for words in stops.values()]
    assert len(set(words)) == len(words) and all(words)


def test_the_tour_leads_to_what_is_there():
    def model(**status):
        return {"sections": [{"id": i, "title": i, "page": f"{i}.html", "status": s} for i, s in status.items()]}

    found = tour.chapters([model(pca="missing", lime="ok"), model(pca="ok", lime="ok", occlusion="not_applicable")])
    assert [[stop["id"] for stop in chapter["stops"]] for chapter in found] == [["pca"], ["lime"]]


@pytest.mark.parametrize("id", SECTIONS)
def test_every_section_says_what_it_asks_how_to_read_it_and_where_it_is_from(id, monkeypatch):
    said = {}
    monkeypatch.setattr(section, "run", lambda view, **words: said.update(words))
    runpy.run_module(f"cnnviz.views.{id}", run_name="__main__")
    assert said["id"] == id and said["question"].endswith("?")
    assert all(len(said[name]) > 60 for name in ("how_to_read", "do_not_conclude"))
    assert len(said["equation"]) > 5 and said["papers"]
    assert all(paper.url.startswith("https://") and 1900 <= paper.year <= 2026 for paper in said["papers"])


def test_indices_of_an_equation_stand_lower_and_all_of_it_is_escaped():
    assert formula("Σ_{k≠c} A_k(y) < p_ij₀") == "Σ<sub>k≠c</sub> A<sub>k</sub>(y) &lt; p<sub>ij₀</sub>"
    assert formula("a_{<b>}_<i>") == "a<sub>&lt;b&gt;</sub>_&lt;i&gt;"
    assert formula("score(x) = Σ w · x") == "score(x) = Σ w · x"
