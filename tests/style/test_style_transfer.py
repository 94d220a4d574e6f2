"""Style transfer on a small network: properties of the losses."""

import numpy as np
import pytest
import torch
from PIL import Image

from cnnviz.ascent.objective_functions import read
from cnnviz.ascent.parametrisations import waves
from cnnviz.errors import UserError
from cnnviz.network import network
from cnnviz.run import result
from cnnviz.style import style_transfer
from cnnviz.style.sources import fitted, luminance, middle
from cnnviz.style.style_transfer import (
    Asked,
    Style,
    Variant,
    layers,
    likeness,
    losses,
    mixed,
    recoloured,
    rows,
    same_light,
    styles,
    transfer,
)
from cnnviz.style.texture_error import texture_error

AT, OVER = "conv3", ["conv1", "conv2"]
WEIGHTS = {"content_weight": 10.0, "style_weight": 100.0, "smoothness": 0.0}


@pytest.fixture(scope="module")
def pictures() -> tuple[torch.Tensor, torch.Tensor]:
    """Content: a bright square on dark. Style: short reddish strokes."""
    content = torch.full((1, 3, 32, 32), 0.2)
    content[:, :, 8:22, 10:26] = 0.8
    style = torch.rand(1, 3, 28, 40, generator=torch.Generator().manual_seed(3))
    style = torch.nn.functional.avg_pool2d(style, (1, 5), 1, (0, 2)) * torch.tensor([1.2, 0.8, 0.4]).reshape(1, 3, 1, 1)
    return content, style


def moved(model, pictures, start=None, **changes):
    content, style = pictures
    start = waves(content if start is None else start)
    return transfer(
        model, content, styles(model, style, OVER), start, content_layer=AT, **WEIGHTS | {"steps": 30} | changes
    )


def judged(model, x, pictures):
    found = losses(model, x, pictures[0], styles(model, pictures[1], OVER), AT)
    return tuple(float(values[0]) for values in found)


def test_from_noise_the_style_loss_falls_by_orders_and_the_content_loss_too(model, pictures):
    noise = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    content_before, style_before = judged(model, noise, pictures)
    content_after, style_after = judged(model, moved(model, pictures, noise).pictures, pictures)
    assert style_after < style_before / 30
    assert content_after < content_before


def test_from_content_the_style_loss_falls_by_orders_and_the_content_loss_stays_bounded(model, pictures):
    content_before, style_before = judged(model, pictures[0], pictures)
    content_after, style_after = judged(model, moved(model, pictures).pictures, pictures)
    assert content_before == 0
    assert style_after < style_before / 30
    assert 0 < content_after < 1


def test_without_style_the_content_is_left_alone(model, pictures):
    ascent = moved(model, pictures, style_weight=0.0, steps=5)
    torch.testing.assert_close(ascent.pictures, pictures[0])


def test_losses_are_those_of_the_definition(model, pictures):
    x = torch.rand(1, 3, 24, 30, generator=torch.Generator().manual_seed(1))
    content = torch.rand(1, 3, 24, 30, generator=torch.Generator().manual_seed(2))
    found = judged(model, x, (content, pictures[1]))
    ours, kept = (torch.relu(read(model, p, ["5"])["5"]) for p in (x, content))
    assert found[0] == pytest.approx(float(((ours - kept) ** 2).sum() / (kept**2).sum()), rel=1e-5)
    assert found[1] == pytest.approx(float(naive_error(model, x, content, pictures[1])), rel=1e-4)


def naive_error(model, x, content, style) -> torch.Tensor:
    """The style error by its definition, by torch's own mean and covariance; differentiable by x."""
    found = []
    for depth in (1, 4):  # conv1 and conv2, each before its ReLU
        maps = [model.net[:depth](model.normalise(p)).relu().flatten(2)[0] for p in (x, style, content)]
        for seen in (lambda f: f.mean(1), lambda f: f.cov(correction=0)):
            ours, wanted, before = map(seen, maps)
            found.append((ours - wanted).square().sum() / (before - wanted).square().sum())
    return sum(found) / len(found)


def test_the_style_error_is_1_for_the_content_and_0_for_the_style_in_every_layer(model, pictures):
    nearer = likeness(model, pictures[0], styles(model, pictures[1], OVER))
    for x, expected in zip(pictures, (-1, 0), strict=True):
        seen = read(model, x, ["0", "3"])
        assert {name: float(each.value(seen)) for name, each in nearer.items()} == pytest.approx(
            dict.fromkeys(OVER, expected), abs=1e-5
        )


def test_the_gradient_is_that_of_the_naive_error(model, pictures):
    content, style = pictures
    x = torch.rand(1, 3, 24, 30, generator=torch.Generator().manual_seed(1)).requires_grad_()
    outputs = {"0": model.net[:1](model.normalise(x)), "3": model.net[:4](model.normalise(x))}
    nearer = likeness(model, content, styles(model, style, OVER))
    (ours,) = torch.autograd.grad(-sum(each.value(outputs) for each in nearer.values()).sum() / 2, x)
    (naive,) = torch.autograd.grad(naive_error(model, x, content, style), x)
    torch.testing.assert_close(ours, naive, rtol=1e-3, atol=1e-6)


def test_content_and_style_that_are_alike_or_flat_divide_by_no_zero(model, pictures):
    flat = torch.full_like(pictures[0], 0.5)
    for content, style in ((pictures[1], pictures[1]), (flat, pictures[1]), (pictures[0], flat), (flat, flat)):
        assert np.isfinite(judged(model, content, (content, style))).all()
        assert moved(model, (content, style), steps=3).pictures.isfinite().all()


def chroma(x: torch.Tensor) -> np.ndarray:
    return (x.amax(1) - x.amin(1)).mean((1, 2)).numpy()


def test_with_more_weight_a_grey_picture_takes_the_chroma_of_a_loud_style(model, pictures):
    """Most of a Gram matrix is brightness, which the two share: matching it left the picture grey."""
    content, _ = pictures
    noise = 0.4 + 0.05 * torch.randn(1, 1, 32, 32, generator=torch.Generator().manual_seed(4))
    loud = (noise + torch.tensor([0.3, 0.0, -0.3]).reshape(1, 3, 1, 1)).clamp(0, 1)
    weights = torch.tensor([0.1, 1.0, 10.0, 100.0])
    start = content.expand(4, -1, -1, -1)
    made = moved(model, (content, loud), start, style_weight=weights, steps=40).pictures
    share = chroma(made) / chroma(loud)
    assert (np.diff(share) > 0).all() and share[0] < 0.4 and share[-1] > 0.8


def test_a_texture_error_is_1_for_the_content_and_0_for_the_style(pictures):
    content, style = pictures
    same = style.roll((5, 9), (2, 3))  # the same strokes elsewhere
    assert [float(texture_error(x, style, content)) for x in (content, style)] == pytest.approx([1, 0])
    assert float(texture_error(same, style, content)) < 0.1
    tiny = torch.rand(1, 3, 4, 5)
    assert texture_error(tiny, style, content[:, :, :4, :5]).isfinite().all()


def test_the_curves_are_the_losses(model, pictures):
    ascent = moved(model, pictures, steps=3)
    _, style = judged(model, pictures[0], pictures)
    curve = ascent.curves["style conv1"][0, 0] + ascent.curves["style conv2"][0, 0]
    assert -curve / 100 == pytest.approx(style, rel=1e-5)
    assert style == pytest.approx(1, abs=1e-5)


def test_a_dream_raises_its_layer_and_costs_style(model, pictures):
    dreams = torch.tensor([0.0, 30.0])
    start = pictures[0].expand(2, -1, -1, -1)
    ascent = moved(model, pictures, start, dream_layer="conv3", dream_weight=dreams)
    plain, dreamt = style_transfer.strength(model, ascent.pictures, "conv3")
    assert dreamt > 1.2 * plain
    assert not ascent.curves["dream"][:, 0].any()


def test_mixing_styles_is_weighing_losses(model, pictures):
    """Σ w_s ‖S - S_s‖² and ‖S - Σ w_s S_s‖² differ by a constant when the shares sum to 1."""
    given = [styles(model, x, OVER) for x in pictures]
    wanted = mixed(given, [0.3, 0.7])

    def apart(x, of):
        return (
            sum(w * (x - of(s["conv1"])).square().sum() for w, s in zip([0.3, 0.7], given, strict=True))
            - (x - of(wanted["conv1"])).square().sum()
        )

    some = [torch.rand(1, 12, 12, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1)]
    for of in (lambda s: s.covariance, lambda s: s.mean[:, None]):
        torch.testing.assert_close(apart(some[0], of), apart(some[1], of), rtol=1e-4, atol=1e-5)
    for name in OVER:
        same: Style = mixed(given, [1, 0])[name]
        torch.testing.assert_close(same.covariance, given[0][name].covariance)


@pytest.fixture
def parameters(make_job):
    """The section's parameters, with pictures small enough for this network and few steps."""

    def make(**changes):
        job = make_job({"torchvision": "alexnet"}, "style_transfer", parameters={"steps": 30} | changes)
        return job.parameters

    return make


def asked(model, p) -> Asked:
    return Asked(model, p, AT, OVER, "conv3", 5)


def test_along_the_row_of_weights_content_loss_rises_and_style_loss_falls_in_8_bits(model, parameters):
    p = parameters(ratios=[0.001, 0.01, 0.1, 1, 10])
    pictures, found, _ = asked(model, p).make(rows(p)["weight"], 32, 40)
    assert pictures.dtype == np.uint8 and len(pictures) == 5
    content, style = found[:, 0].tolist(), found[:, 1].tolist()
    assert content == sorted(content) and content[-1] > 3 * content[0]
    assert style == sorted(style, reverse=True) and style[-1] < style[0] / 3


def test_along_a_mix_one_styles_loss_rises_and_the_others_falls(model, parameters):
    p = parameters()
    _, found, _ = asked(model, p).make(rows(p)["share"], 32, 20)
    first, second = found[:, 1].tolist(), found[:, 2].tolist()
    assert first == sorted(first) and second == sorted(second, reverse=True)


def test_a_variant_does_not_depend_on_its_mates(model, parameters):
    p = parameters()
    several = [Variant(), Variant(weight=0.1), Variant(scale=0.5), Variant(share=0.25), Variant(start="noise")]
    together, found, _ = asked(model, p).make(several, 32, 3)
    for i, variant in enumerate(several):
        alone, judged_alone, _ = asked(model, p).make([variant], 32, 3)
        assert np.abs(together[i].astype(int) - alone[0]).max() <= 1  # float32 in batches of another size
        np.testing.assert_allclose(found[i], judged_alone[0], rtol=0.02)


def test_kept_colours_are_the_contents_and_the_light_is_the_styles(model, parameters):
    p = parameters()
    shown, found, _ = asked(model, p).make([Variant(colour="content")], 40, 15)
    content = model.pictures([fitted(p["content"], 40)])
    made = model.pictures(list(shown))
    inside = ((made > 0.02) & (made < 0.98)).all(1)  # colours outside the range are clipped
    chroma = [(x - luminance(x)).permute(0, 2, 3, 1)[inside] for x in (made, content)]
    torch.testing.assert_close(*chroma, rtol=0, atol=0.01)
    assert (luminance(made) - luminance(content)).abs().mean() > 0.02
    assert found[0, 1] < 1


def test_recolouring_and_matching_of_light():
    generator = torch.Generator().manual_seed(0)
    content = 0.4 + 0.2 * torch.rand(1, 3, 8, 8, generator=generator)
    light = 0.5 + 0.1 * torch.rand(1, 1, 8, 8, generator=generator)
    torch.testing.assert_close(luminance(recoloured(light, content)), light)
    torch.testing.assert_close(recoloured(luminance(content), content), content)
    matched = same_light(torch.rand(1, 1, 30, 20, generator=generator), luminance(content))
    torch.testing.assert_close(matched.mean(), luminance(content).mean())
    torch.testing.assert_close(matched.std(), luminance(content).std())


def test_rows_hold_the_main_picture_once_each_and_empty_lists_leave_them_out(parameters):
    p = parameters()
    assert all(Variant() in row for row in rows(p).values())
    p = parameters(ratios=[], style_sizes=[], dream=[], second_style=None)
    assert list(rows(p)) == ["start", "colour"]


def test_choice_of_layers(model):
    assert layers(model, "default", "default") == ("conv2", ["conv1", "conv2"])
    assert layers(model, "5", ["conv1", "3"]) == ("conv3", ["conv1", "conv2"])
    with pytest.raises(UserError, match="conv9"):
        layers(model, "conv9", "default")


def test_pictures_are_read_upright_at_their_size_and_cropped_to_their_box(tmp_path):
    image = Image.new("L", (80, 40), 10)
    image.paste(200, (0, 0, 40, 40))
    exif = Image.Exif()
    exif[0x0112] = 6  # rotated by 90 degrees for display
    image.save(tmp_path / "turned.png", exif=exif)
    given = {"path": tmp_path / "turned.png"}
    assert fitted(given, 60).shape == (60, 30, 3) and middle(given, (16, 24)).shape == (16, 24, 3)
    assert (fitted(given | {"box": [0, 0, 40, 40]}, 20) == 200).all()
    with pytest.raises(UserError, match="40 × 80"):
        fitted(given | {"box": [0, 0, 60, 40]}, 20)
    (tmp_path / "broken.png").write_bytes(b"no picture")
    with pytest.raises(UserError, match="broken.png"):
        fitted({"path": tmp_path / "broken.png"}, 60)


FIXED = """
from torch import nn

class Fixed(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 4, 3), nn.Linear(4, 2)
    def forward(self, x):
        assert x.shape[-1] == 32, "Wrong image height! Expected 32"
        return self.head(self.conv(x).relu().mean((2, 3)))
"""


def test_a_net_that_takes_its_own_size_only_sees_all_at_that_size(make_job, tmp_path):
    (tmp_path / "fixed.py").write_text(FIXED)
    block = {"factory": f"{tmp_path}/fixed.py:Fixed", "preprocess": {"resize": [32, 32], "crop": None}}
    network.main(make_job(block))
    job = make_job(block, "style_transfer", parameters={"size": 48, "steps": 1, "variant_size": 40, "variant_steps": 1})
    style_transfer.main(job)
    left = result.read(job.outputs["result"])
    assert left.status == "ok" and left.numbers["own_size"] == [32, 32] and "scale" not in left.numbers["rows"]
    assert {left.arrays[name].shape for name in ("content", "style", "result")} == {(32, 32, 3)}
    assert left.arrays["variants"].shape[1:] == (32, 32, 3) and np.isfinite(left.arrays["variant_losses"]).all()


def test_style_pictures_too_small_for_the_net_are_left_out(make_job, tmp_path):
    (tmp_path / "least.py").write_text(FIXED.replace('== 32, "Wrong image height! Expected 32"', '>= 32, "too small"'))
    block = {"factory": f"{tmp_path}/least.py:Fixed", "preprocess": {"resize": [32, 32], "crop": None}}
    network.main(make_job(block))
    wanted = {"size": 48, "steps": 1, "variant_size": 48, "variant_steps": 1}
    wanted |= {"style_sizes": [0.5, 1, 2], "second_style": None}
    job = make_job(block, "style_transfer", parameters=wanted)
    style_transfer.main(job)
    left = result.read(job.outputs["result"])
    assert [left.numbers["variants"][i]["scale"] for i in left.numbers["rows"]["scale"]] == [1, 2]
    rows = [left.numbers["rows"][name] for name in ("weight", "scale", "dream", "start", "colour")]
    seen = dict.fromkeys(i for row in rows for i in row)  # in the same order in every run
    order = {i: tuple(left.numbers["variants"][i][key] for key in ("colour", "start", "dream")) for i in seen}
    assert sorted(seen, key=order.get) == list(range(len(left.numbers["variants"])))
