"""Fooling images of a linear classifier, whose weakest direction is known, and the job's result."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from cnnviz.adversarial import fooling_images
from cnnviz.adversarial.fooling_images import fool, noisy, norms, targets
from cnnviz.ascent.loop import to_bytes
from cnnviz.errors import UserError
from cnnviz.network import loaded, network
from cnnviz.network.loaded import Layer, Model
from cnnviz.pictures import images, listing
from cnnviz.pictures.preprocess import Preprocess
from cnnviz.run import result

CLASSES, SIDE = 5, 32
SETTINGS = {"steps": 80, "step": 15 / 255, "epsilon": 8 / 255, "confidence": 0.9}


def linear(channels: int = 3, kind: str = "softmax") -> Model:
    """Scores: products of the picture with fixed noise patterns, scaled so that a small change decides."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(channels * SIDE * SIDE, CLASSES)).eval().requires_grad_(False)
    weight = torch.randn(net[1].weight.shape) * 0.3
    net[1].weight.data = weight - weight.mean(1, keepdim=True)  # brightness has no effect
    return Model(
        *("linear", net, Preprocess(resize=(SIDE, SIDE), inputs=channels)),
        *((Layer("fc1", "1", "Linear", CLASSES, 1, 1),), ("fc1",), ("1", "input"), "fc1", 3, tuple("abcde"), ()),
        *(torch.device("cpu"), {}, channels, kind),
    )


def originals(model: Model, n: int = 6) -> torch.Tensor:
    pictures = torch.rand(n, model.channels, SIDE, SIDE, generator=torch.Generator().manual_seed(1)) * 0.6 + 0.2
    return model.pictures(list(to_bytes(pictures)))


@pytest.mark.parametrize(("channels", "kind"), [(1, "softmax"), (3, "softmax"), (3, "sigmoid"), (5, "softmax")])
def test_the_8_bit_picture_is_the_target_within_epsilon_and_noise_of_the_same_size_is_not(channels, kind):
    model = linear(channels, kind)
    x = originals(model)
    before = model.logits(x)
    wanted = targets(model, before, [()] * len(x), [f"p{i}" for i in range(len(x))], "drawn")
    ascent = fool(model, x, wanted, **SETTINGS)
    fooled, plain = to_bytes(ascent.pictures), to_bytes(x)
    scores = model.logits(model.pictures(list(fooled)))
    assert scores.argmax(1).tolist() == wanted != before.argmax(1).tolist()
    assert (model.probabilities(scores).gather(1, torch.tensor(wanted)[:, None]) >= 0.9).all()
    assert (ascent.steps > 0).all() and (ascent.steps < 80).all()
    l2, linf = norms(plain, fooled)
    assert (linf > 0).all() and (linf <= 8).all()
    for i, picture in enumerate(plain):
        said = model.logits(model.pictures(list(noisy(picture, l2[i], linf[i], 8, np.random.default_rng(i))[1])))
        assert (said.argmax(1) == wanted[i]).float().mean() < 0.5


def test_an_unreachable_target_stays_within_bounds_and_uses_every_step():
    model = linear()
    x = originals(model, 2)
    ascent = fool(model, x, [0, 1], **SETTINGS | {"epsilon": 1 / 255, "steps": 5, "confidence": 1.0})
    assert ascent.steps.tolist() == [5, 5]
    assert norms(to_bytes(x), to_bytes(ascent.pictures))[1].max() <= 1


def test_pictures_of_a_batch_do_not_see_each_other():
    model = linear()
    x = originals(model, 3)
    together = fool(model, x, [0, 1, 2], **SETTINGS)
    for i in range(3):
        alone = fool(model, x[i : i + 1], [i], **SETTINGS)
        assert alone.steps[0] == together.steps[i]
        torch.testing.assert_close(alone.pictures[0], together.pictures[i], atol=1e-5, rtol=0)


def test_a_flat_score_is_reached_from_before_its_relu():
    """Class 1 is a ReLU of the redness minus a half, so it is flat on a dark picture."""
    conv = nn.Conv2d(3, 3, 1)
    conv.weight.data, conv.bias.data = torch.eye(3)[:, :, None, None] * 20, torch.tensor([-2.0, -11.0, -20.0])
    net = nn.Sequential(conv, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval().requires_grad_(False)
    model = Model(
        *("dead", net, Preprocess(resize=(8, 8)), (Layer("conv1", "0", "Conv2d", 3, 8, 8),), ("conv1",)),
        *(("0", "output"), "conv1", 3, tuple("abc"), (), torch.device("cpu"), {}),
    )
    x = model.pictures([np.full((8, 8, 3), 120, np.uint8)])
    ascent = fool(model, x, [1], steps=400, step=0.1, epsilon=1.0, confidence=0.7)
    assert int(model.logits(model.pictures(list(to_bytes(ascent.pictures)))).argmax()) == 1


def test_targets_are_wrong_classes_by_the_stated_rule():
    model = linear()
    scores = torch.tensor([[5.0, 4, 3, 2, 1], [5.0, 4, 3, 2, 1]])
    right, names = [(0,), (4, 1)], ["p", "q"]
    assert targets(model, scores, right, names, "least_likely") == [4, 3]
    assert targets(model, scores, right, names, "runner_up") == [1, 2]
    assert targets(model, scores, right, names, "c") == [2, 2]
    drawn = targets(model, scores, right, names, "drawn")
    assert drawn[0] in (1, 2, 3, 4) and drawn[1] in (2, 3)
    assert (
        targets(model, scores[1:], right[1:], names[1:], "drawn") == drawn[1:]
    )  # depends on the picture, not on its index
    assert targets(model, scores, right, names, "b") == [1, drawn[1]]  # for a correct class, the drawn one instead
    with pytest.raises(UserError, match="zebra"):
        targets(model, scores, right, names, "zebra")


def test_noise_has_the_norms_it_says():
    picture = np.full((32, 32, 3), 128, np.uint8)
    signs, normal = noisy(picture, 400.0, 8, 5, np.random.default_rng(0))
    assert (np.abs(signs.astype(int) - picture) == 8).all()
    np.testing.assert_allclose(norms(normal, np.stack([picture] * 5))[0], 400, rtol=0.02)


def test_the_job_on_the_demo_net_says_what_a_recount_of_the_bytes_says(make_job, tmp_path):
    block = {"factory": "cnnviz/demo/nets.py:demo_net", "checkpoint": "cnnviz/demo/weights/biased.safetensors"}
    block |= {"preprocess": {"mean": 0.5, "std": 0.25, "resize": [64, 64], "crop": None}, "probes": 4}
    parameters = {"target": "runner_up", "epsilon": 16, "step": 50, "steps": 60, "noise": 3}
    classes = listing.classes({"kind": "demo"})
    network.main(make_job(block, set_classes=classes))
    names = [f"{classes[i % 12]}-{i:04d}" for i in range(24)]
    pictures = [{"id": n, "name": n, "label": i % 12, "width": 64, "height": 64} for i, n in enumerate(names)]
    index = {"schema": images.SCHEMA, "classes": classes, "pictures": pictures, "skipped": []}
    (tmp_path / "images.json").write_text(json.dumps(index))
    job = make_job(block, "fooling_images", parameters=parameters)
    fooling_images.main(job)
    left = result.read(job.outputs["result"])
    model = loaded.load(job)
    arrays = left.arrays
    difference = arrays["fooled"].astype(float) - arrays["pictures"].astype(float)
    np.testing.assert_array_equal(arrays["linf"], np.abs(difference).max((1, 2, 3)))
    np.testing.assert_allclose(arrays["l2"], np.sqrt((difference**2).sum((1, 2, 3))))
    assert arrays["linf"].max() <= 16
    with torch.no_grad():
        said = model.logits(model.pictures(list(arrays["fooled"])))
    np.testing.assert_array_equal(arrays["found"], said.argmax(1))
    chosen = torch.from_numpy(np.stack([arrays["predicted"], arrays["target"]], 1))
    np.testing.assert_allclose(arrays["after"], said.softmax(1).gather(1, chosen), rtol=1e-4, atol=1e-6)
    assert (arrays["found"] == arrays["target"]).mean() >= 0.75
    assert (arrays["target"] != arrays["predicted"]).all()
    assert arrays["noise_fooled"].mean() < 0.1


@pytest.mark.parametrize(
    ("net", "pictures", "block"),
    [
        ("cifar_resnet20", "cifar10/*/00*.jpg", {"preprocess": {"resize": [32, 32]}}),
        (
            *("mobilenet_v1_025_128_dequant", "imagenet/*.jpg"),
            {"preprocess": {"range": 255, "mean": 127.5, "std": 127.5, "resize": [128, 128], "crop": 0.875}},
        ),
    ],
)
def test_nets_that_others_trained_name_95_of_100_photographs_as_told_within_8_levels(
    shared, make_job, net, pictures, block
):
    """With the config's defaults: to a drawn class, not a similar one."""
    files = sorted(shared.glob(pictures))[::5][:20]
    arguments = {"arch_json_path": f"{shared}/models/{net}.arch.json"}
    block = block | {"factory": f"{shared}/nets.py:load", "arguments": arguments}
    network.main(make_job(block))
    job = make_job(block, "fooling_images")
    model, p = loaded.load(job), job.parameters
    x = model.pictures([model.preprocess.geometry(Image.open(file).convert("RGB")) for file in files])
    x = model.pictures(list(to_bytes(x)))
    with torch.no_grad():
        wanted = targets(model, model.logits(x), [()] * len(x), [file.name for file in files], p["target"])
        settings = {"steps": p["steps"], "confidence": p["confidence"]}
        settings |= {"step": p["step"] / 255, "epsilon": p["epsilon"] / 255}
    assert p["epsilon"] == 8
    fooled = to_bytes(fool(model, x, wanted, **settings).pictures)
    with torch.no_grad():
        said = model.logits(model.pictures(list(fooled))).argmax(1)
    assert len(files) == 20 and norms(to_bytes(x), fooled)[1].max() <= 8
    assert (said == torch.tensor(wanted)).sum() >= 19


def test_right_answers_for_pictures_that_are_seen_well_come_first():
    from types import SimpleNamespace

    from cnnviz.views import fooling_images as view

    well = np.uint8(np.broadcast_to(np.linspace(40, 220, 6)[:, None, None], (6, 6, 3)))
    dark, plain = well // 8, np.full_like(well, 120)
    arrays = {"pictures": np.stack([dark, well, well, well, plain]), "index": np.arange(5)}
    arrays |= {"before": np.array([[0.9], [0.6], [0.8], [1.0], [0.9]]), "predicted": np.array([0, 1, 1, 0, 0])}
    arrays |= {"found": np.array([2, 2, 2, 2, 0]), "target": np.full(5, 2), "noise_changed": np.zeros((5, 2))}
    arrays["noise_changed"][3] = 1
    labels = [0, 1, 1, 1, 0]  # the fourth is named wrongly
    context = SimpleNamespace(
        image_set=SimpleNamespace(pictures=[SimpleNamespace(label=label) for label in labels]),
        model={"label_to_output": [0, 1, 2]},
    )
    left = SimpleNamespace(arrays=arrays | {"noise_fooled": np.zeros(5)}, parameters={"noise": 4})
    assert view._clearest_first(left, context).tolist() == [2, 1, 0, 4, 3]
    assert "change 0\u00a0%; of the others 100\u00a0%" in view._control(left, view._right(left, context))
