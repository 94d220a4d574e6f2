"""Five objectives on the demo's network: each picture has the highest value of its own."""

import numpy as np
import pytest
import torch

from cnnviz.network import loaded, network
from cnnviz.network.loaded import Model
from cnnviz.synthesis.objectives import five, make, measured, middle, most_used, relative

NET = {
    "factory": "cnnviz/demo/nets.py:demo_net",
    "checkpoint": "cnnviz/demo/weights/biased.safetensors",
    "preprocess": {"mean": 0.5, "std": 0.25, "resize": [64, 64], "crop": None},
}


@pytest.fixture
def model(make_job) -> Model:
    network.main(make_job(NET))
    return loaded.load(make_job(NET, "objectives", threads=1))  # as in the demo; tiny batches gain nothing from more


def test_each_picture_scores_highest_on_its_own_objective(model, make_job):
    """The demo's own settings: its wolf, its seeds, its steps."""
    job = make_job(NET, "objectives", model_id="biased")
    arrays, said = make(model, [11], job.seed_for("start"), job.seed_for("views"), job.parameters["steps"])
    assert said["objectives"] == ["neuron", "channel", "layer", "logit", "probability"]
    assert arrays["values"].shape == (6, 5)
    assert arrays["values"].argmax(0).tolist() == [0, 1, 2, 3, 4]
    np.testing.assert_allclose(np.diagonal(arrays["relative"]), 1)
    assert (arrays["curves"][:, -1] > arrays["curves"][:, 0]).all()


def test_the_unit_is_the_one_whose_contribution_is_largest(model):
    """Compared with each unit's own effect: the change of the score when its map grows, which is Σ f · ∂S/∂f."""
    x = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    at, target = middle(model), 3
    assert at.name == "conv3"

    def score(unit: int, grown: float) -> float:
        def grow(module, inputs, output):
            output = output.clone()
            output[:, unit] *= grown
            return output

        handle = model.module(at.name).register_forward_hook(grow)
        with torch.no_grad():
            value = float(model.logits(x)[0, target])
        handle.remove()
        return value

    model.net.double()  # fine enough for differences
    x = x.double()
    gains = [score(unit, 1 + 1e-5) - score(unit, 1) for unit in range(at.units)]
    assert most_used(model, at, target, x) == int(np.argmax(gains))
    assert not model.module(at.name)._forward_hooks


def test_values_are_the_networks_own(model):
    pictures = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), dtype=np.uint8)
    at = middle(model)
    values = measured(model, five(model, at, 7, 2, 3), pictures)
    maps = []
    handle = model.module(at.name).register_forward_hook(lambda module, inputs, output: maps.append(output.clone()))
    with torch.no_grad():
        scores = model.logits(model.pictures(list(pictures)))
    handle.remove()
    mine = maps[0].double().numpy()
    middle_at = mine.shape[2] // 2
    p = scores.double().softmax(1)[:, 2].numpy()
    columns = [
        mine[:, 7, middle_at, middle_at],
        mine[:, 7].mean((1, 2)),
        np.square(np.maximum(mine, 0)).mean((1, 2, 3)),
    ]
    np.testing.assert_allclose(values, np.stack([*columns, scores[:, 2], np.log(p / (1 - p))], 1), rtol=1e-4, atol=1e-5)


def test_relative_values():
    values = np.array([[4.0, 1.0], [2.0, 9.0], [0.0, 1.0]])
    np.testing.assert_allclose(relative(values), [[1, 0], [0.5, 1]])
