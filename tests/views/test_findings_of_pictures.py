"""What sections of made pictures say they found: on small results where the answer is known.

All of them hold for random weights, too, so that "found" would be too much: see :func:`findings.not_learned`.
"""

from types import SimpleNamespace

import numpy as np
import pytest

from cnnviz.views import (
    class_visualization,
    deepdream,
    diversity,
    feature_inversion,
    fooling_images,
    logit_vs_probability,
    multifaceted,
    objectives,
    published_settings,
    style_transfer,
    texture_synthesis,
)
from cnnviz.views import unit_visualization as units
from cnnviz.views.kit.findings import NOT, WEAK

CONTEXT = SimpleNamespace(
    image_set=SimpleNamespace(pictures=[SimpleNamespace(id=f"p{i}", name=f"p{i}", label=None) for i in range(30)]),
    model={"classes": [f"c{i}" for i in range(10)]},
    explained="class",
    kind="softmax",
)


def result(arrays, numbers=None, parameters=None):
    arrays = {name: np.asarray(values) for name, values in arrays.items()}
    return SimpleNamespace(arrays=arrays, numbers=numbers or {}, parameters=parameters or {})


@pytest.mark.parametrize(
    ("value", "strength"), [([2.0] * 20, WEAK), ([2.0] * 14 + [0.5] * 6, NOT), ([0.0] * 20, NOT), ([2.0], NOT)]
)
def test_units_are_excited_more_by_their_own_picture_than_by_real_ones(value, strength):
    layer = {"name": "a", "units": 20}
    arrays = {"a/value": value, "a/best": np.ones(len(value)), "a/lost": np.zeros(len(value), bool)}
    made = result(arrays, {"layers": [layer], "pictures": 9})
    finding, measured = units.found(made, CONTEXT)
    assert finding.strength == strength and finding.figure == "a-sheet-0"
    assert finding.says.startswith(f"In {sum(v > 1 for v in value)} of {len(value)} units")
    assert list(measured) == [finding.key]


def test_dead_units_have_no_times_as_much():
    arrays = {"a/value": [1.0, 2.0], "a/best": [0.0, 0.0], "a/lost": [False, False]}
    made = result(arrays, {"layers": [{"name": "a"}], "pictures": 9})
    assert units.found(made, CONTEXT)[0].says.endswith("more than any real picture.")


@pytest.mark.parametrize(
    ("fooled", "noise", "strength"),
    [(12, 0.0, WEAK), (12, 0.9, NOT), (6, 0.25, NOT), (0, 0.0, NOT), (5, 0.0, WEAK)],
)
def test_pictures_are_fooled_beyond_what_random_signs_do(fooled, noise, strength):
    made = result(
        {
            "found": [1] * fooled + [0] * (12 - fooled),
            "target": [1] * 12,
            "predicted": [0] * 12,
            "noise_changed": np.full((12, 2), 0.95),
            "noise_fooled": np.full((12, 2), noise),
            "l2": np.arange(12, 0, -1.0),
            "before": np.linspace(0.4, 0.9, 12)[:, None],
            "pictures": np.zeros((12, 2, 2, 1)),
            "index": np.arange(12),
        },
        parameters={"epsilon": 8},
    )
    finding, measured = fooling_images.found(made, CONTEXT)
    assert finding.strength == strength and f"{fooled} of 12" in finding.says and f"{noise:.0%}"[:-1] in finding.control
    assert measured["fooled within 8 levels"].effect == pytest.approx(fooled / 12 - round(12 * noise) / 12)
    assert finding.figure == f"p{(fooled or 12) - 1}"  # the surest before, of those that were fooled


def test_random_signs_are_told_apart_for_pictures_named_correctly_before_and_one_of_them_leads():
    arrays = {"found": [1] * 4, "target": [1] * 4, "predicted": [0] * 4, "index": range(4), "l2": [4, 3, 2, 1]}
    arrays |= {
        "noise_changed": [[0, 0], [0.2, 0], [1, 0], [1, 0]],
        "noise_fooled": np.zeros((4, 2)),
        "pictures": np.zeros((4, 2, 2, 1)),
        "before": np.linspace(0.4, 0.9, 4)[:, None],
    }
    pictures = [SimpleNamespace(id=f"p{i}", name=f"p{i}", label=int(i > 1)) for i in range(4)]
    model = CONTEXT.model | {"label_to_output": [0, 2]}
    context = SimpleNamespace(image_set=SimpleNamespace(pictures=pictures), model=model)
    finding, _ = fooling_images.found(result(arrays, parameters={"epsilon": 8}), context)
    assert finding.figure == "p1"
    assert "reach it in 0\u00a0% of draws" in finding.control
    assert "change the class in 55\u00a0%, and in 10\u00a0% for the 2 named correctly before" in finding.control


def inversion(error, flat=40.0, cross=None):
    error = np.asarray(error, float)
    arrays = {"pixel_error": error, "flat_error": np.full(len(error), flat), "index": np.arange(len(error))}
    layers = error.shape[1]
    arrays["cross"] = np.broadcast_to(0.02 if cross is None else cross, (len(error), layers, layers))
    return result(arrays, {"layers": [{"name": f"conv{k + 1}"} for k in range(layers)]})


def test_a_layer_whose_copy_is_nearer_than_a_flat_picture_is_found():
    finding, measured = feature_inversion.found(inversion([[10, 15, 60], [11, 14, 20], [9, 16, 40]]), CONTEXT)
    assert finding.strength == WEAK and "conv1 are 10 levels off, a flat picture 40." in finding.says
    assert "conv2 is the deepest layer" in finding.says and finding.figure == "p1"
    assert measured["pixels from conv1"].effect == pytest.approx(0.75)
    assert -1 <= measured["pixels from conv3"].low < 0 < measured["pixels from conv3"].high <= 1


@pytest.mark.parametrize(
    ("layer", "says"), [(0, "tell nothing about it"), (1, "conv1 is")], ids=["the first layer", "a later one"]
)
def test_a_layer_that_a_deeper_ones_copy_fits_better_is_said_not_to_have_converged(layer, says):
    cross = np.full((3, 3), 0.5)
    cross[range(3), range(3)] = 0.02
    cross[2, layer] = 0.01  # the picture from conv3, judged in this layer
    made = inversion([[10, 15, 60], [11, 14, 20], [9, 16, 40]], cross=cross)
    assert feature_inversion.unconverged(made) == [f"conv{layer + 1}"]
    finding, _ = feature_inversion.found(made, CONTEXT)
    assert f"did not converge for conv{layer + 1}" in finding.says and (finding.strength == NOT) == (layer == 0)
    cross[layer, layer], cross[2, layer] = 9e-4, 1e-4  # differences of 8-bit rounding
    assert not feature_inversion.unconverged(inversion([[10, 15, 60]] * 3, cross=cross))


@pytest.mark.parametrize("error", [[[10, 20]], [[60], [70]], [[10, 20], [100, 20]]])
def test_one_picture_or_a_worse_copy_shows_nothing(error):
    finding, _ = feature_inversion.found(inversion(error), CONTEXT)
    assert finding.strength == NOT and "no difference is sure" in finding.says


def test_a_flat_original_divides_by_no_zero():
    assert feature_inversion.found(inversion([[3.0, 5.0]] * 3, flat=0.0), CONTEXT)[0].strength == NOT


@pytest.mark.parametrize(
    ("wins", "n", "strength"), [(3, 6, NOT), (6, 6, WEAK), (20, 20, WEAK), (0, 20, WEAK), (1, 1, NOT)]
)
def test_which_objective_has_the_higher_log_odds(wins, n, strength):
    odds = np.stack([np.zeros(n), np.where(np.arange(n) < wins, 1.0, -1.0)], 1)
    (finding, rivals), measured = logit_vs_probability.found(result({"odds": odds, "rivals": -odds}), CONTEXT)
    assert finding.strength == rivals.strength == strength
    assert f"in {wins} of {n} classes" in finding.says
    assert measured["log odds"].effect == pytest.approx(2 * wins / n - 1)


@pytest.mark.parametrize(("best", "strength"), [(5, WEAK), (3, WEAK), (2, NOT), (0, NOT)])
def test_how_many_pictures_are_best_at_their_own_objective(best, strength):
    values = np.concatenate([np.eye(5), np.zeros((1, 5))])
    values[4 if best < 5 else 5, best:] = 0.5  # the last picture, or the start, which does not count
    values[range(best, 5), range(best, 5)] = 0.4
    values[3, 4] = 0.6
    finding, measured = objectives.found(result({"values": values, "relative": np.eye(5)}))
    assert finding.strength == strength and finding.says.startswith(f"{best} of 5 pictures")
    assert measured[finding.key].effect == pytest.approx((best / 5 - 0.2) / 0.8)


def diverse(alike, units=4, m=3, kept=1.0):
    likeness = np.full((units, m, m), alike) + np.linspace(0, 0.02, units)[:, None, None]
    return result(
        {
            "likeness": likeness,
            "plain_likeness": np.full((units, m, m), 0.95),
            "value": np.full((units, m), 2.0),
            "excitation": np.full((units, m), 3.0 * kept),
            "plain_excitation": np.full((units, m), 3.0),
            "best": np.linspace(1, 3, units),
            "unit": np.arange(units),
        },
        {"layer": "conv4"},
    )


@pytest.mark.parametrize(
    ("alike", "n", "kept", "strength", "says"),
    [
        (0.5, 4, 1, WEAK, "4 of 4 units have other facets: similarity 0.51, without the term 0.95, at 100"),
        (0.84, 4, 0.95, WEAK, "2 of 4"),  # the others fall by less than 0.1
        (0.5, 4, 0.85, NOT, "No other facet"),
        (0.94, 4, 1, NOT, "No other facet"),
        (0.2, 1, 1, NOT, "1 of 1 units"),  # one unit has no interval
    ],
)
def test_other_facets_are_less_alike_and_keep_the_activation(alike, n, kept, strength, says):
    finding, measured = diversity.found(diverse(alike, n, kept=kept), CONTEXT)
    assert finding.strength == strength and finding.figure == "conv4-unit-0000" and says in finding.says
    assert measured["similarity"].high <= 1


@pytest.mark.parametrize(("won", "n", "strength"), [(12, 12, WEAK), (3, 12, NOT), (4, 12, WEAK), (0, 1, NOT)])
def test_pictures_of_classes_are_named_as_their_class_more_often_than_by_chance(won, n, strength):
    ranks = np.where(np.arange(n) < won, 1, 2)
    (finding,), measured = class_visualization.found(result({"targets": np.arange(n), "ranks": ranks}), CONTEXT)
    assert finding.strength == strength and f"{won} of {n} pictures" in finding.says and "1 of 10" in finding.control
    assert measured[finding.key].effect == pytest.approx((won / n - 0.1) / 0.9)


def test_pictures_of_values_move_them():
    values = SimpleNamespace(model={"classes": ["age up", "age down"]}, kind="regression")
    made = result({"targets": [0, 1], "ranks": [1, 1], "scores": [[0, 5.0], [0, -1.0]]})
    (finding,), _ = class_visualization.found(made, values)
    assert finding.strength == NOT and "1 of 2 pictures move their value" in finding.says


def spectrum(peak, side=64):
    """Amplitudes of noise, with a peak at half a cycle a pixel: the grid of a stride of 2."""
    amplitudes = np.abs(np.fft.fftshift(np.fft.fft2(np.random.default_rng(3).normal(size=(side, side)))))
    amplitudes[0, 0] = peak * np.median(amplitudes)
    return amplitudes


@pytest.mark.parametrize(("peak", "strength"), [(20.0, WEAK), (5.0, WEAK), (2.0, NOT)])
def test_a_grid_in_the_gradients_stands_out_of_random_frequencies(peak, strength):
    made = result({"grid/spectrum": spectrum(peak)}, {"strides": {"2": {"peak": peak, "uneven": 1.0}}})
    (finding,), measured = published_settings.found(made, CONTEXT)
    assert finding.strength == strength and finding.figure == "grid"
    assert ("No grid" in finding.says) == (strength == NOT)
    assert -1 <= measured[finding.key].low <= measured[finding.key].effect <= measured[finding.key].high <= 1


@pytest.mark.parametrize("strides", [{}, {"2": {"peak": 0.0, "uneven": 1.0}}, {"16": {"peak": 9.0, "uneven": 1.0}}])
def test_nothing_is_said_of_a_grid_where_no_layer_strides_or_the_spectrum_is_too_small(strides):
    assert published_settings.found(result({"grid/spectrum": np.zeros((16, 16))}, {"strides": strides}), CONTEXT) == (
        (),
        {},
    )


def dreams(own, other, photos=4, layers=3):
    across = np.full((photos, layers, layers), other) * (1 + np.arange(photos)[:, None, None] / 50)
    across[:, np.arange(layers), np.arange(layers)] = own
    numbers = {"layers": [f"conv{k}" for k in range(layers)], "names": [f"p{i}" for i in range(photos)]}
    shown = {f"photo_{i}": np.full((8, 8, 3), 200 - 60 * i, np.uint8) for i in range(photos)}  # the last one is dark
    return result({"before": np.ones((photos, layers)), "across": across} | shown, numbers)


def test_dreams_lead_with_a_bright_plain_photo():
    bright, busy = np.full((8, 8, 3), 200, np.uint8), np.indices((8, 8)).sum(0)[..., None].repeat(3, 2) % 2 * 255
    assert deepdream.plain(bright) == 1 and deepdream.plain(bright // 9) == 0 and deepdream.plain(busy) < 0.1


@pytest.mark.parametrize(
    ("own", "other", "strength"), [(9.0, 2.0, WEAK), (3.0, 2.0, WEAK), (2.0, 2.0, NOT), (1.0, 3.0, NOT)]
)
def test_a_layer_grows_most_in_its_own_dream(own, other, strength):
    finding, measured = deepdream.found(dreams(own, other), CONTEXT)
    assert finding.strength == strength and f"grows {own:.1f} times" in finding.says and finding.figure == "p0"
    mean = other * np.exp(np.log(1 + np.arange(4) / 50).mean())
    assert measured[finding.key].effect == pytest.approx((own - mean) / (own + mean))


def test_one_layer_or_silent_ones_have_nothing_to_compare():
    silent = dreams(0.0, 0.0)
    silent.arrays["before"][:] = 0
    for made in (dreams(5.0, 2.0, layers=1), silent):
        finding, measured = deepdream.found(made, CONTEXT)
        assert finding.strength == NOT and not measured and "cannot be told" in finding.says
    assert deepdream.found(dreams(5.0, 2.0, photos=1), CONTEXT)[0].figure == "p0"


def facets(real, control, classes=4, each=2):
    near = np.linspace(0, 0.02, classes)[:, None]
    stable = np.stack([real - near, np.full((classes, 1), control)], 1).repeat(5, 2)
    names = [f"c{i}" for i in range(classes)]
    target = np.arange(classes).repeat(each)
    arrays = {"stability": stable, "target": target, "logits": 9.0 - target, "probabilities": np.ones(len(target))}
    return result(arrays, {"classes": names})


@pytest.mark.parametrize(
    ("real", "control", "n", "strength"),
    [(0.9, 0.5, 4, WEAK), (0.6, 0.5, 4, WEAK), (0.7, 0.7, 4, NOT), (0.9, 0.1, 1, NOT)],
)
def test_facets_are_more_stable_than_groups_of_one_cloud(real, control, n, strength):
    finding, measured = multifaceted.found(facets(real, control, n), CONTEXT)
    assert finding.strength == strength and finding.figure == "class-0"
    assert f"{n} of {n} classes have several facets" in finding.says
    assert -1 <= measured[finding.key].low <= measured[finding.key].high <= 1


def test_classes_of_one_facet_are_said_to_have_one():
    finding, _ = multifaceted.found(facets(0.9, 0.5, each=1), CONTEXT)
    assert finding.strength == NOT and "One facet only" in finding.says and "0.50" in finding.says


def test_a_class_of_one_facet_has_no_stability():
    finding, measured = multifaceted.found(facets(np.nan, np.nan), CONTEXT)
    assert finding.strength == NOT and not measured


def texture(left, layers=5, exemplars=2):
    """Every layer that is not matched keeps ``left`` of the noise's error."""
    relative = np.full((exemplars, layers + 2, layers), left)
    relative[:, -2], relative[:, -1] = 1, 0
    by_filters = np.full((exemplars, layers + 2), 0.3)
    return result({"relative": relative, "by_filters": by_filters}, {"layers": [f"conv{k}" for k in range(layers)]})


@pytest.mark.parametrize(("left", "hits", "strength"), [(0.1, 20, WEAK), (0.9, 0, NOT), (2.0, 0, NOT)])
def test_layers_that_were_not_matched_come_nearer(left, hits, strength):
    finding, measured = texture_synthesis.found(texture(left), CONTEXT)
    assert finding.strength == strength and f"In {hits} of 20 cases" in finding.basis and finding.key in measured
    assert "random filters" in finding.basis and "small forms" in finding.says and "30" in finding.says


def test_the_cover_is_the_texture_nearest_to_its_exemplar_in_all_layers():
    made = texture(0.5)
    made.arrays["relative"][1, 3, 2] = 0.1
    assert texture_synthesis._nearest(made) == "texture-1-3"


def test_one_layer_leaves_none_to_check():
    finding, measured = texture_synthesis.found(texture(0.1, layers=1), CONTEXT)
    assert finding.strength == NOT and not measured and "cannot be told" in finding.says


def style(left, losses=None, result_chroma=90, texture=0.4, keep=False):
    """Style errors that keep ``left`` a layer; errors of a row of weights: (content, style) each; of a style of 100."""
    arrays = {"style_losses": np.stack([np.ones(len(left)), left])}
    if losses is not None:
        arrays["variant_losses"] = losses
    for name, chroma in (("content", 20), ("style", 100), ("result", result_chroma)):
        arrays[name] = np.broadcast_to(np.uint8([50 + chroma, 50, 50]), (2, 2, 3))
    numbers = {"rows": {"weight": list(range(len(losses)))} if losses is not None else {}, "texture_error": texture}
    return result(arrays, numbers, {"keep_colour": keep})


@pytest.mark.parametrize(
    ("left", "strength"), [([0.01, 0.02, 0.01], WEAK), ([0.8, 0.82, 0.81], WEAK), ([1, 1, 1], NOT), ([0.1], NOT)]
)
def test_what_is_left_of_the_style_error(left, strength):
    (_, finding), measured = style_transfer.found(style(left), CONTEXT)
    assert finding.strength == strength and "is left" in finding.says
    assert measured[finding.key].effect == pytest.approx(1 - np.mean(left))


@pytest.mark.parametrize(
    ("chroma", "texture", "strength", "missing"),
    [(90, 0.4, WEAK, ""), (40, 0.4, NOT, "colour"), (180, 0.4, NOT, "colour"), (90, 0.9, NOT, "texture")],
)
def test_a_network_that_does_not_carry_the_style_says_so_and_names_another(chroma, texture, strength, missing):
    finding = style_transfer.reached(style([0.1], None, chroma, texture))
    assert finding.strength == strength and f"chroma is {chroma}\u00a0% of the style's" in finding.says
    assert "content picture, 20\u00a0% and 100\u00a0%" in finding.control
    assert finding.says.endswith(f"carry the {missing}: try a VGG as loss_net." if missing else "content picture's.")


def test_chroma_that_the_content_has_already_is_not_said():
    made = style([0.1])
    made.arrays["content"] = made.arrays["style"]
    finding = style_transfer.reached(made)
    assert finding.strength == WEAK and "chroma" not in finding.says and "texture error is 40" in finding.says
    made.arrays["result"] = np.full((2, 2, 3), 50, np.uint8)
    assert "chroma is 0" in style_transfer.reached(made).says  # lost chroma still counts


def test_a_start_from_noise_is_shown_where_the_content_came_out_of_it():
    for error, shown in ((0.55, ["start"]), (0.65, [])):
        made = style([0.1], np.array([[0.5, 0.1], [error, 0.1]]))
        made.numbers["rows"] = {"start": [0, 1]}
        assert style_transfer._rows(made) == shown


def test_kept_colours_are_not_measured():
    finding = style_transfer.reached(style([0.1], None, 40, keep=True))
    assert finding.strength == WEAK and "chroma" not in finding.says and finding.control.startswith("the content pic")


def test_more_weight_buys_style_and_costs_content():
    rising, flat = np.arange(11.0), np.zeros(11)
    *_, order = style_transfer.found(style([0.1, 0.1], np.stack([rising, -rising], 1)), CONTEXT)[0]
    assert order.strength == WEAK and "in 20 of 20 steps" in order.says
    *_, order = style_transfer.found(style([0.1, 0.1], np.stack([flat, flat], 1)), CONTEXT)[0]
    assert order.strength == NOT and "in 0 of 20 steps" in order.says
