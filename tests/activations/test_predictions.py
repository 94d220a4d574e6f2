"""Oracles: sklearn's metrics, and Wilson's interval by its formula. The view states accuracies and their pictures."""

import json

import numpy as np
import pytest
from PIL import Image
from scipy.special import expit, softmax
from sklearn import metrics
from sklearn.calibration import calibration_curve

from cnnviz.activations import predictions
from cnnviz.activations.predictions import calibration, calibration_error
from cnnviz.network import facts
from cnnviz.pictures import images
from cnnviz.run import result
from cnnviz.run.job import Job
from cnnviz.run.result import Result
from cnnviz.views import predicted_maps, predicted_values
from cnnviz.views import predictions as drawn
from cnnviz.views.kit.confusion import matrix
from cnnviz.views.kit.section import Context

N, NAMES = 60, ["cat, tabby", "b<&>'", "dog", "elk"]


def make(folder, logits, labels, *, kind="softmax", roles=None, to_output=None, **parameters):
    """Runs the section on logits (n, c); labels: tuples of classes. Returns its result, and a context to draw with."""
    n, c = logits.shape
    listed = []
    for i in range(n):
        Image.fromarray(np.full((12, 16, 3), 20 + i, np.uint8)).save(folder / f"{i:03d}.png")
        listed.append(
            {"id": f"{i:03d}", "name": f"{i:03d}.png", "label": labels[i][0] if labels[i] else None, "width": 16,
             "height": 12, "labels": labels[i], "role": roles[i] if roles else "reference"}
        )  # fmt: skip
    (folder / "images.json").write_text(
        json.dumps({"schema": images.SCHEMA, "classes": NAMES[:c], "pictures": listed, "skipped": []})
    )
    to_output = list(range(c)) if to_output is None else to_output
    known = {"schema": facts.SCHEMA, "classes": NAMES[:c], "label_to_output": to_output, "kind": kind}
    (folder / "network.json").write_text(json.dumps(known))
    logits = logits.astype(np.float32)
    np.save(folder / "logits.npy", logits)
    order = np.argsort(-logits, axis=1, kind="stable")[:, :5].astype(np.int32)
    chances = expit(logits) if kind == "sigmoid" else softmax(logits, axis=1)
    first = [next((to_output[label] for label in given if to_output[label] is not None), -1) for given in labels]
    split = roles is not None and len(set(roles)) > 1
    numbers = {"on": "query" if split else "all",
               "geometry": {"resize": None, "crop": 12, "interpolation": "bilinear"}}  # fmt: skip
    arrays = {
        "top_classes": order,
        "top_probabilities": np.take_along_axis(chances, order, 1),
        "label": np.array(first, np.int32),
    }
    result.write(folder / "forward.npz", Result(arrays, "ok", "", numbers, {}, 0, {"code": "abc"}))
    config = {"kind": "folder", "path": str(folder)}
    job = Job(
        "net", "predictions", {"probes": 5}, config, {"bins": 15, "mistakes": 12} | parameters, 0, "cpu", 1, "",
        {"forward": folder / "forward.npz", "logits": folder / "logits.npy", "network": folder / "network.json",
         "images": folder / "images.json"},
        {"result": folder / "result.npz"},
    )  # fmt: skip
    predictions.main(job)
    context = Context(known, {}, images.read(folder / "images.json", config), None, {})
    return result.read(folder / "result.npz"), context


@pytest.fixture
def scores():
    generator = np.random.default_rng(0)
    label = generator.integers(0, 4, N)
    logits = generator.normal(0, 2, (N, 4))
    logits[np.arange(N), label] += 1.5
    return logits, label


def test_softmax_numbers_equal_sklearns(tmp_path, scores):
    logits, label = scores
    got, _ = make(tmp_path, logits, [(int(c),) for c in label])
    said = logits.argmax(1)
    arrays, numbers = got.arrays, got.numbers
    assert numbers["top1"] == pytest.approx(metrics.accuracy_score(label, said))
    assert numbers["mean_class_accuracy"] == pytest.approx(metrics.balanced_accuracy_score(label, said))
    confusion = np.zeros((4, 4), int)
    confusion[arrays["confusion"][:, 0], arrays["confusion"][:, 1]] = arrays["confusion"][:, 2]
    assert np.array_equal(confusion, metrics.confusion_matrix(label, said))
    np.testing.assert_allclose(arrays["class_top1"], metrics.recall_score(label, said, average=None), rtol=1e-6)
    np.testing.assert_allclose(arrays["class_precision"], metrics.precision_score(label, said, average=None), rtol=1e-6)
    assert arrays["class_pictures"].tolist() == np.bincount(label).tolist()
    chances = softmax(logits.astype(np.float32), axis=1)
    surest = sorted(np.flatnonzero(said != label), key=lambda i: -chances[i].max())[:12]
    assert arrays["mistakes"].tolist() == surest
    expected = [chances[i, label[i]] for i in surest]
    np.testing.assert_allclose(arrays["mistakes_label_probability"], expected, rtol=1e-5)


def test_calibration_equals_sklearns_curve_and_the_definition():
    generator = np.random.default_rng(1)
    probability = np.concatenate([generator.random(500), [0.0, 1.0, 0.2]])
    hit = generator.random(503) < probability**2
    got = calibration(probability, hit, 10)
    accuracy, mean = calibration_curve(hit, probability, n_bins=10)
    used = got["count"] > 0
    np.testing.assert_allclose(got["accuracy"][used], accuracy)
    np.testing.assert_allclose(got["probability"][used], mean)
    error = calibration_error(got["count"], got["accuracy"], got["probability"])
    expected = sum(
        (at := (probability > b / 10) & (probability <= (b + 1) / 10) | (b == 0) & (probability == 0)).mean()
        * abs(hit[at].mean() - probability[at].mean())
        for b in range(10)
    )
    assert error == pytest.approx(expected)


def test_sigmoid_outputs_get_auroc_and_average_precision_equal_to_sklearns(tmp_path):
    generator = np.random.default_rng(2)
    targets = generator.random((N, 4)) < 0.3
    targets[:, 3] = False  # no picture has this class
    logits = generator.normal(0, 1, (N, 4)) + 1.5 * targets
    labels = [tuple(np.flatnonzero(row).tolist()) for row in targets]
    got, context = make(tmp_path, logits, labels, kind="sigmoid")
    some = targets.any(1)  # pictures without any label are left out
    expected = [metrics.roc_auc_score(targets[some, c], logits[some, c]) for c in range(3)]
    np.testing.assert_allclose(got.arrays["class_auroc"][:3], expected, rtol=1e-6)
    precision = [metrics.average_precision_score(targets[some, c], logits[some, c]) for c in range(3)]
    np.testing.assert_allclose(got.arrays["class_average_precision"][:3], precision, rtol=1e-6)
    assert np.isnan(got.arrays["class_auroc"][3]) and got.numbers["auroc"] == pytest.approx(np.mean(expected))
    for i in got.arrays["mistakes"]:
        assert logits[i].max() > 0 and not targets[i, logits[i].argmax()]
    shown = drawn.view(got, context)
    assert shown["tables"][0].rows[-1][3] == "not defined" and "confusion" not in {f.id for f in shown["figures"]}
    assert shown["metrics"][0].name == "mean_auroc"


def test_a_picture_whose_labels_have_no_output_is_a_negative_for_sigmoid_and_left_out_for_softmax(tmp_path):
    logits = np.random.default_rng(3).normal(size=(12, 3))
    labels = [(i % 3,) for i in range(12)]
    got, _ = make(tmp_path, logits, labels, to_output=[0, 1, None])
    assert got.arrays["evaluated"].tolist() == [i for i in range(12) if i % 3 != 2]
    got, _ = make(tmp_path, logits, labels, to_output=[0, 1, None], kind="sigmoid")
    assert len(got.arrays["evaluated"]) == 12 and got.arrays["class_pictures"].tolist() == [4, 4, 0]


def test_two_classes_also_have_auroc(tmp_path):
    generator = np.random.default_rng(4)
    label = generator.integers(0, 2, N)
    z = generator.normal(0, 1, N) + label
    got, _ = make(tmp_path, np.stack([-z / 2, z / 2], 1), [(int(c),) for c in label])
    assert got.numbers["auroc"] == pytest.approx(metrics.roc_auc_score(label, z))
    assert got.numbers["average_precision"] == pytest.approx(metrics.average_precision_score(label, z))


def test_any_of_several_labels_is_right_and_queries_are_judged_alone(tmp_path):
    logits = np.eye(4)[[0, 1, 2, 3, 0, 1]] * 3
    labels = [(0,), (0, 1), (1,), (3,), (1,), (1,)]
    got, _ = make(tmp_path, logits, labels, roles=["query"] * 3 + ["reference"] * 3)
    assert got.numbers["labelled"] == 3 and got.numbers["top1"] == pytest.approx(2 / 3)
    assert got.arrays["confusion"].tolist() == [[0, 0, 1], [1, 1, 1], [1, 2, 1]]


def test_the_view_shows_matrix_mistakes_and_probes_and_escapes_names(tmp_path, scores):
    logits, label = scores
    got, context = make(tmp_path, logits, [(int(c),) for c in label])
    shown = drawn.view(got, context)
    figures = {f.id: f for f in shown["figures"]}
    text = context.files["confusion.svg"].decode()
    assert "b&lt;&amp;&gt;" in text and "b<&>" not in text
    diagonal = metrics.confusion_matrix(label, logits.argmax(1)).trace()
    assert f"{diagonal} of {N} pictures" in figures["confusion"].alt
    assert sum(i.startswith("mistakes-") for i in figures) == 12 and sum(i.startswith("probes-") for i in figures) == 5
    worst = figures[f"mistakes-{got.arrays['mistakes'][0]:03d}"]
    lead, best = worst.marks[:2]  # the picture, and the first of its bars
    assert (lead.kind, lead.of, best.kind) == ("image", worst.subjects[0].name, "class")
    assert lead.value.endswith(f"predicted {best.name}, {best.value}") and lead.y + lead.height < best.y
    assert not figures["confusion"].from_dataset and figures[f"mistakes-{got.arrays['mistakes'][0]:03d}"].from_dataset
    values = {m.name: m for m in shown["metrics"]}
    assert values["top1_accuracy"].interval[0] < values["top1_accuracy"].value < values["top1_accuracy"].interval[1]
    assert "top5_accuracy" not in values  # with four classes, all are among the best five
    assert json.dumps([t.rows for t in shown["tables"]])


def test_of_many_classes_the_most_confused_are_shown_and_said_so():
    counts = np.diag([5, 3])
    drawn, most = matrix(counts, np.array([2, 0]), np.array([7, 3]), ["a", "b"], {"a": "#123456"}, "pictures")
    assert b"another class" in drawn.content and most == pytest.approx(2 / 7)
    assert drawn.content.count(b'class="right"') == 2 and drawn.content.count(b"#123456") == 2  # its row, its column
    assert [(mark.name, mark.value, mark.of) for mark in drawn.marks] == [
        ("a → a", "5 pictures, 71.4% of a", "a"),
        ("a → another class", "2 pictures, 28.6% of a", "a"),
        ("b → b", "3 pictures, 100.0% of b", "b"),
    ]


def test_without_labels_the_predictions_are_counted(tmp_path, scores):
    logits, _ = scores
    got, context = make(tmp_path, logits, [()] * N)
    assert got.arrays["class_predicted"].sum() == N and "top1" not in got.numbers
    shown = drawn.view(got, context)
    assert shown["figures"][0].id == "predicted" and len(shown["figures"]) == 6


def test_a_class_that_is_taken_for_another_is_found_and_spread_mistakes_are_not(tmp_path):
    labels = [(i % 4,) for i in range(N)]
    logits = 6 * np.eye(4)[[c for (c,) in labels]]
    logits[::4] = 6 * np.eye(4)[1]  # every first class is taken for the second one
    (tmp_path / "one").mkdir()
    confused, accuracy, sure = drawn.found(*make(tmp_path / "one", logits, labels))["findings"]
    assert (confused.strength, confused.caution) == ("found", True)
    assert confused.says == "Takes 100\u00a0% of cat pictures for b<&>'." and "8\u00a0%" in confused.control
    assert (accuracy.says, accuracy.strength) == ("Names 75\u00a0% of the pictures correctly.", "found")
    assert sure.caution and "surer" in sure.says  # always near 100 %, right in 75 %

    (tmp_path / "other").mkdir()
    spread = drawn.found(*make(tmp_path / "other", np.random.default_rng(0).normal(size=(N, 4)), labels))
    said = {finding.key: finding for finding in spread["findings"]}
    assert said["largest confusion"].strength == said["accuracy"].strength == "not found"
    assert not any(finding.caution and finding.key != "probability less accuracy" for finding in spread["findings"])
    assert 0 <= spread["measured"]["dog recognised"].effect + 1 <= 2


def test_without_a_label_or_a_mistake_nothing_is_found(tmp_path):
    for name, labels in (("none", [()] * N), ("one class", [(0,)] * N)):
        (tmp_path / name).mkdir()
        shown = drawn.found(*make(tmp_path / name, 6 * np.eye(4)[[0] * N], labels))
        assert {finding.strength for finding in shown["findings"]} == {"not found"}, name
        assert all(-1 <= v.low <= v.effect <= v.high <= 1 for v in shown.get("measured", {}).values())


def test_the_error_of_values_and_the_overlap_of_maps_stand_beside_their_controls():
    value = {"name": "age", "n": 40, "mae": 2.0, "control_mae": 8.0, "gain_interval": [5.0, 7.0]}
    worse = value | {"name": "size", "mae": 9.0, "gain_interval": [-2.0, -0.5]}
    unknown = {"name": "mass", "n": 0}
    said = predicted_values.found(Result({}, "ok", "", {"values": [unknown, value, worse]}, {}, 0, {}))
    better, bad, none = said["findings"]
    assert (better.strength, bad.strength, none.strength) == ("found", "found", "not found")
    assert bad.caution and "further from the truth" in bad.says and not better.caution
    assert said["measured"]["error of age"].effect == 0.75

    maps = {"labelled": 9, "mean_iou": 0.6, "mean_iou_interval": [0.5, 0.7], "control_mean_iou": 0.3,
            "pixel_accuracy": 0.8, "commonest": 0}  # fmt: skip
    (overlap,) = predicted_maps.found(maps, ["sky", "sea"])["findings"]
    assert overlap.strength == "found" and "sky" in overlap.control
    (one,) = predicted_maps.found({k: v for k, v in maps.items() if "interval" not in k}, ["sky", "sea"])["findings"]
    assert one.strength == "not found"
    (none,) = predicted_maps.found({"labelled": 0}, ["sky"])["findings"]
    assert none.strength == "not found"
