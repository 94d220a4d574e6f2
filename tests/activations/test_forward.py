"""The forward pass equals brute force, a plain hook, numpy and sklearn. Batch sizes change nothing."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sklearn.metrics import top_k_accuracy_score
from torch import nn

from cnnviz.activations import forward
from cnnviz.activations.accuracy import accuracies, right_outputs
from cnnviz.activations.forward_pass import ForwardPass, best_classes, layer_arrays
from cnnviz.activations.forward_shards import whole_batches
from cnnviz.activations.responses import EDGES, SAMPLES, histogram, sampled
from cnnviz.network import loaded, network
from cnnviz.network.receptive_field import receptive_fields
from cnnviz.pictures import images, listing
from cnnviz.run import result

SIZE = (20, 23)
LAYERS = ("0", "3", "5", "9")


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)  # networks this small gain nothing from threads


def small_net(seed: int = 0) -> nn.Module:
    """In-place ReLUs, a padded convolution, a pool, a linear layer; float64, so that equality can be exact."""
    torch.manual_seed(seed)
    net = nn.Sequential(
        nn.Conv2d(3, 6, 3, stride=2, padding=1), nn.BatchNorm2d(6), nn.ReLU(inplace=True),
        nn.Conv2d(6, 8, 3, padding=1), nn.ReLU(inplace=True), nn.Conv2d(8, 5, 1), nn.ReLU(inplace=True),
        nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(20, 7),
    )  # fmt: skip
    return net.double().eval().requires_grad_(False)


def pictures(n: int = 23, seed: int = 1) -> torch.Tensor:
    """Pictures with deliberate ties: some are equal, one is periodic, so values also tie within a picture."""
    x = torch.randn(n, 3, *SIZE, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    x[4] = x[11] = x[2]
    x[17] = x[16]
    x[9] = x[9, :, :2, :2].repeat(1, 10, 12)[:, : SIZE[0], : SIZE[1]]
    return x


def maps_of(output: torch.Tensor) -> torch.Tensor:
    return output if output.ndim == 4 else output[:, :, None, None]


MAPS = dict.fromkeys(LAYERS, maps_of)


def run_pass(net, x, batch, top=5, feature=("9", "input")):
    fields = receptive_fields(net, LAYERS, SIZE)
    logits, features, arrays = [], [], {}
    with ForwardPass(net, fields, MAPS, top, feature, batch, len(x)) as step:
        for part in x.split(batch):
            for kept, got in zip((logits, features), step(part), strict=True):
                kept.append(got)
    for name in LAYERS:
        arrays |= layer_arrays(name, step.responses[name], fields[name])
    return torch.cat(logits), torch.cat(features), arrays, fields


def activations(net, x) -> dict[str, np.ndarray]:
    kept = {}
    handles = [
        net[int(name)].register_forward_hook(lambda m, i, o, name=name: kept.update({name: o.clone()}))
        for name in LAYERS
    ]
    net(x)
    for handle in handles:
        handle.remove()
    return {name: (a if a.ndim == 4 else a[:, :, None, None]).numpy() for name, a in kept.items()}


def brute_force(maps: np.ndarray, allowed: np.ndarray, k: int):
    """For each unit: every picture's best allowed neuron, then a full sort by (value descending, picture ascending)."""
    for unit in range(maps.shape[1]):
        best = []
        for i, picture in enumerate(maps[:, unit]):
            neurons = [(-picture[y, x], y, x) for y, x in np.argwhere(allowed)]
            if neurons:
                value, y, x = min(neurons)
                best.append((value, i, y, x))
        yield sorted(best)[:k]


@pytest.mark.parametrize("batch", [1, 4, 23])
def test_top_neurons_equal_a_full_sort_also_where_values_tie(batch):
    net, x = small_net(), pictures()
    _, _, arrays, fields = run_pass(net, x, batch)
    for name, maps in activations(net, x).items():
        cross = fields[name].rows_cross[:, None] | fields[name].columns_cross[None]
        assert name == "9" or cross.any()
        for what, allowed in (("inside", ~cross), ("all", np.ones_like(cross))):
            value, image, position = (arrays[f"{name}/{what}_{part}"] for part in ("value", "image", "position"))
            for unit, expected in enumerate(brute_force(maps, allowed, 5)):
                assert image[unit].tolist() == [i for _, i, _, _ in expected]
                assert position[unit].tolist() == [[y, x] for _, _, y, x in expected]
                np.testing.assert_allclose(value[unit], [-v for v, _, _, _ in expected], rtol=1e-6)


def test_nothing_depends_on_the_batch_size():
    net, x = small_net(), pictures()
    logits, features, arrays, _ = run_pass(net, x, 1)
    for batch in (3, 8, 23):
        others = run_pass(net, x, batch)
        torch.testing.assert_close(others[0], logits, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(others[1], features, rtol=1e-12, atol=1e-12)
        for name, array in arrays.items():
            np.testing.assert_allclose(others[2][name], array, rtol=1e-6, err_msg=name)


def test_statistics_equal_numpys():
    net, x = small_net(), pictures()
    _, _, arrays, _ = run_pass(net, x, 6)
    for name, maps in activations(net, x).items():
        np.testing.assert_allclose(arrays[f"{name}/mean"], maps.mean((0, 2, 3)), rtol=1e-5)
        np.testing.assert_allclose(arrays[f"{name}/max"], maps.max((0, 2, 3)), rtol=1e-6)
        np.testing.assert_allclose(arrays[f"{name}/active"], (maps > 0).mean((0, 2, 3)), rtol=1e-6)
        assert (arrays[f"{name}/histogram"].sum(1) == len(x) * min(SAMPLES, maps[0, 0].size)).all()
        np.testing.assert_allclose(arrays[f"{name}/peak"], np.maximum(maps.max((2, 3)), 0).mean(0), rtol=1e-6)


def test_features_equal_a_plain_hook_and_hooks_are_gone():
    net, x = small_net(), pictures()
    kept = []
    handle = net[9].register_forward_pre_hook(lambda m, i: kept.append(i[0].clone()))
    logits = net(x)
    handle.remove()
    got_logits, features, _, _ = run_pass(net, x, 5)
    torch.testing.assert_close(features, kept[0], rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(got_logits, logits, rtol=1e-12, atol=1e-12)
    _, pooled, _, _ = run_pass(net, x, 5, feature=("3", "output"))
    np.testing.assert_allclose(pooled, activations(net, x)["3"].mean((2, 3)), rtol=1e-12, atol=1e-12)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in net.modules())


def test_running_out_of_memory_halves_the_batch_and_changes_nothing():
    net, x = small_net(), pictures()
    expected = run_pass(net, x, 8)[2]

    class Tight(nn.Linear):
        def forward(self, features):
            if len(features) > 3:
                raise torch.OutOfMemoryError("none left")
            return super().forward(features)

    net[9].__class__ = Tight
    fields = receptive_fields(small_net(), LAYERS, SIZE)
    with ForwardPass(net, fields, MAPS, 5, ("9", "input"), 8, len(x)) as step:
        for part in x.split(8):
            step(part)
    assert step.batch == 2
    for name in LAYERS:
        for key, array in layer_arrays(name, step.responses[name], fields[name]).items():
            np.testing.assert_allclose(array, expected[key], rtol=1e-6, err_msg=key)


def test_equal_scores_are_ranked_by_index():
    logits = torch.tensor([[1.0, 3.0, 3.0, 0.0, 3.0, 1.0]])
    assert best_classes(logits).tolist() == [[1, 2, 4, 0, 5]]


def test_accuracies_equal_sklearns_and_leave_unlabelled_pictures_out():
    generator = np.random.default_rng(0)
    scores = generator.random((200, 9))
    label = generator.integers(0, 9, 200)
    order = np.argsort(-scores, axis=1)[:, :5]
    right = [[] if c == 3 else [int(c)] for c in label]  # class 3 of the set has no output
    known = label != 3
    numbers = accuracies(order, right, ["reference"] * 200)
    for k, name in ((1, "top1"), (5, "top5")):
        expected = top_k_accuracy_score(label[known], scores[known], k=k, labels=range(9))
        assert numbers[name] == pytest.approx(expected)
    assert numbers["labelled"] == known.sum() and numbers["on"] == "all"
    none = accuracies(order, [[]] * 200, ["query"] * 200)
    assert none == {"labelled": 0, "on": "all", "roles": {"query": {"labelled": 0}}}


def test_any_of_several_labels_counts_and_query_pictures_are_judged_alone():
    order = np.array([[0, 1], [1, 2], [2, 0], [0, 2]])
    right = [[1], [2, 1], [0], [0]]
    roles = ["query", "query", "reference", "reference"]
    got = accuracies(order, right, roles)
    assert (got["labelled"], got["top1"], got["top5"], got["on"]) == (2, 0.5, 1.0, "query")
    assert got["roles"]["reference"] == {"labelled": 2, "top1": 0.5, "top5": 1.0}
    unlabelled = [[], [], [0], [0]]  # queries without labels cannot be evaluated
    assert accuracies(order, unlabelled, roles)["on"] == "all"
    set_of = SimpleNamespace(pictures=[SimpleNamespace(labels=(2, 0)), SimpleNamespace(labels=())])
    assert right_outputs(set_of, [5, 6, None]) == [[5], []]


def test_histograms_equal_numpys_where_every_neuron_is_sampled():
    maps = torch.randn(7, 3, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 10
    maps[0, 0] = 0
    maps[1, 0, 0, :2] = torch.tensor([float(EDGES[5]), -1e9])
    got = histogram(maps, 0, SAMPLES)
    for unit in range(3):
        open_ended = np.concatenate([[-np.inf], EDGES.astype(float), [np.inf]])
        assert got[unit].tolist() == np.histogram(maps[:, unit].numpy(), open_ended)[0].tolist()
    assert got.sum() == maps.numel()


def test_sampled_neurons_depend_on_the_picture_alone_and_cover_the_map():
    y, x = sampled(0, 40, 13, 9, SAMPLES)
    later = sampled(25, 15, 13, 9, SAMPLES)
    assert np.array_equal(y[25:], later[0]) and np.array_equal(x[25:], later[1])
    counts = np.zeros((13, 9), int)
    np.add.at(counts, (y, x), 1)
    even = 40 * SAMPLES / (13 * 9)
    assert counts.sum() == 40 * SAMPLES and counts.min() > even / 2 and counts.max() < even * 2


FACTORY = """
import torch
from torch import nn
def net():
    return nn.Sequential(nn.Conv2d(3, 8, 5, 2), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2),
                         nn.Conv2d(8, 6, 3, padding=1), nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(1),
                         nn.Flatten(), nn.Linear(6, 12))
"""


def write_model(make_job, index, tmp_path) -> dict:
    (tmp_path / "factory.py").write_text(FACTORY)
    block = {
        "factory": f"{tmp_path}/factory.py:net",
        "preprocess": {"mean": 0.5, "std": 0.25, "resize": None, "crop": 64},
        "image_set": "set",
    }
    config = {"kind": "demo", "count": 24}
    listed = [(row.name, row.labels[0]) for row in listing.rows(config)]
    classes = sorted({label for _, label in listed})
    index(tmp_path / "images.json", [(name, classes.index(label)) for name, label in listed], classes)
    network.main(make_job(block, set_classes=classes))
    return block


def test_job_leaves_features_predictions_and_the_same_bytes_twice(make_job, index, tmp_path):
    block = write_model(make_job, index, tmp_path)
    outputs = {name: tmp_path / name for name in ("result", "features", "logits", "untrained")}
    job = make_job(block, outputs=outputs, parameters={"batch": 7, "top": 4})
    job = type(job)(**vars(job) | {"parameters": {"batch": 7, "top": 4}})
    forward.main(job)
    got = result.read(outputs["result"])
    first = [path.read_bytes() for path in outputs.values()]
    model, image_set = loaded.load(job), images.read(job.inputs["images"], job.image_set)
    x = model.pictures(list(image_set.arrays(model.preprocess.geometry)))
    logits = model.logits(x)
    features = np.load(outputs["features"], mmap_mode="r")
    np.testing.assert_allclose(features, model.net[:7](model.normalise(x)).numpy(), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(np.load(outputs["logits"]), logits.numpy(), rtol=1e-4, atol=1e-5)
    before = result.read(outputs["untrained"]).arrays
    assert before["index"].tolist() == list(range(24)) and before["features"].shape == features.shape
    assert np.isfinite(before["features"]).all() and not np.allclose(before["features"], features, atol=1e-3)
    assert before["conv2/image"].shape == (6, 4) and before["conv2/image"].max() < 24
    order = best_classes(logits)
    assert got.arrays["top_classes"].tolist() == order.tolist()
    np.testing.assert_allclose(got.arrays["top_probabilities"], logits.softmax(1).gather(1, order), rtol=1e-4)
    right = got.arrays["label"]
    assert got.numbers["geometry"] == {"resize": None, "crop": 64, "interpolation": "bilinear"}
    assert all(around["rectified"] for around in got.numbers["around"].values())
    assert got.numbers["pictures"] == 24 and got.numbers["layers"] == ["conv1", "conv2"]
    assert got.numbers["top1"] == pytest.approx((logits.argmax(1).numpy() == right).mean())
    assert json.dumps(got.numbers)
    forward.main(job)
    assert first == [path.read_bytes() for path in outputs.values()]
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("shards", [2, 3, 9])  # of 8 batches; one of nine has none
def test_shards_merge_to_the_bytes_of_one_pass(make_job, index, tmp_path, shards):
    block, parameters = write_model(make_job, index, tmp_path), {"batch": 3, "top": 4}

    def left(name: str, **changes) -> list[Path]:
        outputs = {"result": tmp_path / f"{name}.npz"}
        outputs |= {what: tmp_path / f"{name}.{what}.npy" for what in ("features", "logits", "untrained")}
        job = make_job(block, outputs=outputs)
        inputs = job.inputs | changes.pop("inputs", {})
        forward.main(replace(job, inputs=inputs, **{"parameters": parameters} | changes))
        return list(outputs.values())

    whole = left("whole")
    parts = [left(f"part-{i}", parameters=parameters | {"shard": [i, shards]})[0] for i in range(shards)]
    together = left("together", inputs={f"shard-{i}": path for i, path in enumerate(parts)})
    for one, other in zip(whole, together, strict=True):
        assert one.read_bytes() == other.read_bytes(), one.name


def test_shards_are_whole_batches_and_every_picture_is_in_one():
    for pictures, batch, shards in ((24, 3, 5), (25, 4, 2), (7, 32, 3), (1000, 32, 7)):
        parts = [whole_batches(pictures, batch, i, shards) for i in range(shards)]
        assert [i for part in parts for i in part] == list(range(pictures))
        assert all(part.start % batch == 0 for part in parts if len(part))
        sizes = [-(-len(part) // batch) for part in parts]
        assert max(sizes) - min(sizes) <= 1
