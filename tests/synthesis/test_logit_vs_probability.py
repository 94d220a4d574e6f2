"""By score or by probability: each is best by its own measure, and the probability lowers rivals."""

import numpy as np
import pytest
import torch

from cnnviz.ascent.class_scores import log_odds, odds, scores_of
from cnnviz.network import loaded, network
from cnnviz.network.loaded import Model
from cnnviz.run.job import perform
from cnnviz.run.result import read
from cnnviz.synthesis.logit_vs_probability import both, main, with_odds

NET = {
    "factory": "cnnviz/demo/nets.py:demo_net",
    "checkpoint": "cnnviz/demo/weights/biased.safetensors",
    "preprocess": {"mean": 0.5, "std": 0.25, "resize": [64, 64], "crop": None},
}


@pytest.fixture
def model(make_job) -> Model:
    network.main(make_job(NET))
    return loaded.load(make_job(NET, "logit_vs_probability", threads=1))


def test_log_odds_are_those_of_the_softmax_probability():
    scores = torch.randn(7, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 3
    targets = torch.tensor([0, 1, 2, 3, 4, 0, 1])
    p = scores.softmax(1).gather(1, targets[:, None])[:, 0]
    torch.testing.assert_close(log_odds(scores, targets), (p / (1 - p)).log())


def test_their_gradient_has_the_direction_of_the_probabilitys():
    scores = torch.randn(1, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64).requires_grad_()
    (of_odds,) = torch.autograd.grad(odds([2]).value({"": scores}).sum(), scores)
    p = scores.softmax(1)[0, 2]
    (of_p,) = torch.autograd.grad(p, scores)
    torch.testing.assert_close(of_odds * (p * (1 - p)).detach(), of_p)


def test_each_rises_on_its_own_terms_and_the_probability_lowers_rivals(model):
    targets = [0, 5, 8, 10]
    found = both(model, targets, [11, 12, 13, 14], 5, 64)
    logits, rivals = found["logits"], found["rivals"]
    assert (found["curves/logit"][:, 0, -1] > found["curves/logit"][:, 0, 0] + 5).all()
    assert (found["curves/odds"][:, 1, -1] > found["curves/odds"][:, 1, 0] + 5).all()
    assert np.median(logits[:, 0] - logits[:, 1]) > 0
    assert np.median(rivals[:, 0] - rivals[:, 1]) > 1  # logits
    assert (found["ranks"] == 1).all()
    np.testing.assert_allclose(found["logits"] - found["odds"], rivals)
    assert np.array_equal(found["curves/logit"][:, 0, 0], found["curves/logit"][:, 1, 0])  # the same start and view


def test_a_picture_depends_on_no_batch_mate(model):
    together = both(model, [3, 7], [1, 2], 5, 4)
    alone = both(model, [7], [2], 5, 4)
    assert np.abs(together["pictures"][1].astype(int) - alone["pictures"][0]).mean() < 0.05  # float32, rounded


def test_judge_equals_the_network(model):
    pictures = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), dtype=np.uint8)
    found = with_odds(model, pictures, [1, 4])
    with torch.no_grad():
        scores = model.logits(model.pictures(list(pictures))).double()
    # float32 rounds scores of about 10 by 1e-6, and p by as large a share of itself; from equal scores p is exact
    torch.testing.assert_close(scores_of(model, pictures), scores, rtol=1e-6, atol=2e-6)
    p = scores_of(model, pictures).softmax(1)
    np.testing.assert_allclose(found["probabilities"], [p[0, 1], p[1, 4]], rtol=1e-6)
    np.testing.assert_allclose(1 / (1 + np.exp(-found["odds"])), found["probabilities"], rtol=1e-6)


def test_classes_with_probabilities_of_their_own_make_no_difference(make_job):
    net = NET | {"outputs": {"kind": "sigmoid"}}
    network.main(make_job(net))
    job = make_job(net, "logit_vs_probability")
    perform(main, job)
    result = read(job.outputs["result"])
    assert result.status == "not_applicable" and "probability of its own" in result.reason
