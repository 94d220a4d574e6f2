"""The early check of a report: silent if all is well, else a warning on the model's pages."""

import json

import pytest

from cnnviz import config
from cnnviz.check import look, preprocessing
from cnnviz.demo.scenes import CLASSES
from cnnviz.site import model_pages
from tests.site import synthetic

DEMO = {
    "factory": "cnnviz/demo/nets.py:demo_net",
    "checkpoint": "cnnviz/demo/weights/unbiased.safetensors",
    "preprocess": {"mean": 0.5, "std": 0.25, "resize": [64, 64]},
}


@pytest.fixture
def looked(make_job, tmp_path):
    """looked(keys of the model, image set) → what the job leaves."""

    def looked_at(model, image_set=None):
        from cnnviz.network import network

        image_set = image_set or {"kind": "demo", "count": 40}
        block = config.complete({"image_sets": {"s": image_set}, "models": {"m": DEMO}})["image_sets"]["s"]
        names = look.image_sets.listed(block).classes
        network.main(make_job(DEMO | model, image_set=image_set, set_classes=list(names)))
        outputs = {"look": tmp_path / "look.json"}
        look.main(make_job(DEMO | model, image_set=image_set, outputs=outputs))
        return json.loads(outputs["look"].read_text())

    return looked_at


def test_the_demo_has_no_warnings(looked):
    assert looked({}) == {"schema": 1, "pictures": 40, "warnings": []}


@pytest.mark.parametrize(
    ("mistake", "name", "said"),
    [
        ({"classes": list(CLASSES)[::-1]}, "label order", "another order"),
        ({"preprocess": DEMO["preprocess"] | {"range": 255}}, "preprocessing", "with range: 1"),
        ({"classes": list(CLASSES)[::-1], "preprocess": DEMO["preprocess"] | {"range": 255}}, "both", "range: 1"),
        ({"classes": [f"x{i}" for i in range(11)] + [CLASSES[3]]}, "labels", "1 of 12 classes"),
        ({"outputs": {"returns": "probabilities"}}, "scores", "leave that key out"),
    ],
)
def test_mistakes_give_a_warning_at_once(looked, capsys, monkeypatch, mistake, name, said):
    monkeypatch.setattr(preprocessing, "alternatives", lambda *_: [{"range": 1}])  # the full list is tested elsewhere
    warnings = {warning["name"]: warning for warning in looked(mistake)["warnings"]}
    assert said in warnings[name]["text"]
    assert f"WARNING: model net: {name}: " in capsys.readouterr().out


def test_scores_that_vary_are_reported(looked, capsys, monkeypatch):
    read = look.facts.read
    monkeypatch.setattr(look.facts, "read", lambda path: read(path) | {"trial": {"answers": ["Not the same twice."]}})
    looked({})
    assert "WARNING: model net: answers: Not the same twice.\n" in capsys.readouterr().out


def test_it_never_fails(make_job, tmp_path, capsys):
    outputs = {"look": tmp_path / "look.json"}
    look.main(make_job(DEMO, outputs=outputs))  # there is no network.json
    assert json.loads(outputs["look"].read_text()) == {"schema": 1, "pictures": 0, "warnings": []}
    assert "not checked early" in capsys.readouterr().out


def test_warnings_stand_at_the_head_of_the_models_pages_and_in_the_manifest(tmp_path):
    results = synthetic.make_results(tmp_path)
    id = next(iter(synthetic.MODELS))
    found = [
        {"mark": "✗", "name": "label order", "text": f"another order {synthetic.NASTY}", "more": ["classes: [b, a]"]},
        {"mark": "!", "name": "labels", "text": "1 of 3 classes", "more": []},
    ]
    (results / "models" / id / "look.json").write_text(json.dumps({"schema": 1, "pictures": 64, "warnings": found}))
    manifest = synthetic.render(results, sections=["pca"])
    said = {model["id"]: model["warnings"] for model in manifest["models"]}
    assert len(said.pop(id)) == 2 and not any(said.values())
    pages = {path.name: path.read_text() for path in (results / "site" / "models" / id).rglob("*.html")}
    assert pages["index.html"].count("data-warning=") == 2 and "classes: [b, a]" in pages["index.html"]
    assert 'data-warning="label order"' in pages["pca.html"] and 'data-warning="labels"' not in pages["pca.html"]
    assert "<script>alert" not in pages["index.html"]
    derived = model_pages._warnings(results / "models" / id / "look.json", "derived")
    assert [warning["more"] for warning in derived] == [[], []]
