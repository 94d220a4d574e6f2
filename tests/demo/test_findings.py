"""Every finding on the demo's two networks, beside what is known of them, and on the same network before training.

The truth: the biased network took its wolves from snow, its twin did not, and the third one has random weights. Each
kind of finding is listed once below, with what it has to say of each.
"""

import re

import numpy as np
import pytest
import torch
from torch import nn

from cnnviz.demo import scenes
from cnnviz.demo.nets import demo_net
from cnnviz.views.kit.findings import FOUND, NOT, UNMEASURED, WEAK
from tests.every_section import Run, listed

COUNT = 240  # pictures, 20 of each class
PROBES = 8
TWO = {"targets": ["predicted", "runner_up"]}
FEW = {
    "activation_maps": {"pictures": 2},
    "maximal_patches": {"patches": 6, "view": {"units": 1}},
    "deconvnet": TWO | {"units": 2, "patches": 2},
    "guided_backprop": TWO | {"units": 2, "patches": 2},
    "grad_cam": TWO,
    "tsne": {"iterations": 300},
    "occlusion": TWO | {"window": 0.25, "stride": 0.125},
    "saliency": {"targets": ["predicted"], "samples": 3, "steps": 8},
    "saliency_segmentation": {"targets": ["predicted"], "iterations": 2},
    "lime": {"targets": ["predicted"], "superpixels": 30, "samples": 240},
    "attribution_check": {"steps": 5, "randomised": 1, "blocks": 2, "resamples": 300, "not_randomised": ["lime"]},
    "bias_probe": {"resamples": 300, "pictures": 10, "placements": 1},
    "multifaceted": {"facets": 2, "steps": 6, "classes": 2},
    "class_visualization": {"steps": 12, "settings_classes": 1, "settings_share": 0.01},
    "logit_vs_probability": {"classes": 4, "steps": 12},
    "objectives": {"steps": 16},
    "unit_visualization": {"units": 3, "steps": 16, "view": {"units": 1}},
    "diversity": {"units": 2, "pictures": 3, "steps": 8},
    "feature_inversion": {"pictures": 3, "layers": 2, "steps": 24},
    "deepdream": {"pictures": 2, "layers": 2, "size": 64, "steps": 4, "octaves": 1},
    "fooling_images": {"steps": 24, "noise": 4, "epsilon": 16, "step": 50, "target": "runner_up"},
    "texture_synthesis": {"size": 48, "steps": 10},
    "style_transfer": {"size": 48, "steps": 10, "variant_size": 32, "variant_steps": 4}
    | {"ratios": [0.1, 1, 10], "mix": [0.5], "style_sizes": [1]},
    **dict.fromkeys(("predictions", "first_layer_filters", "layer_filters", "linear_templates"), {}),
    **dict.fromkeys(("unit_statistics", "nearest_neighbors", "pca", "tsne_grid"), {}),
}
FOUND_OR_WEAK, WEAK_OR_NOT, ANY = {FOUND, WEAK}, {WEAK, NOT}, {FOUND, WEAK, NOT}
# What a kind of finding may be on the biased network, on its twin, and before training.
LEARNED = FOUND_OR_WEAK, FOUND_OR_WEAK, {NOT}
BIAS = {FOUND}, WEAK_OR_NOT, {NOT}
OBJECT = ANY, ANY, {NOT, UNMEASURED}  # of few pictures; without training hardly one is named correctly
ALWAYS = WEAK_OR_NOT, WEAK_OR_NOT, WEAK_OR_NOT  # random weights do so too, so it is never said to be found
# Section → kind of finding → that, and why some hold before training.
TRUTH = {
    "predictions": {
        "accuracy": LEARNED,
        "largest confusion": BIAS,
        "probability less accuracy": (ANY, ANY, ANY),  # the sureness of this network, whatever its weights
    },
    "bias_probe": {".* on .*": BIAS},
    "linear_templates": {"network less templates": LEARNED},
    "first_layer_filters": {"smoothness of the first layer": LEARNED},
    "layer_filters": {"patterns of .*": LEARNED},
    "nearest_neighbors": {"neighbours of the same class": LEARNED},
    "pca": {"same class in the plane": LEARNED},
    "tsne": {"classes on the map": LEARNED},
    "tsne_grid": {"same class on the grid": LEARNED},
    "maximal_patches": {"patches of one class: .*": LEARNED},
    "saliency": {".*on the object": OBJECT},
    "occlusion": {".*on the object": OBJECT},
    "saliency_segmentation": {"outline against a start from the middle": OBJECT},
    "lime": {".*on the object": OBJECT, "LIME's fit": ALWAYS},  # near a picture, many networks are nearly linear
    # two classes, and two units, have other weights, also random ones
    "grad_cam": {".*on the object": OBJECT, ".* of two classes": ALWAYS},
    "deconvnet": {".*on the object": OBJECT, ".* of two classes": ALWAYS, ".* of one neuron": ALWAYS},
    "guided_backprop": {".*on the object": OBJECT, ".* of two classes": ALWAYS, ".* of one unit: .*": ALWAYS},
    # random weights are what the methods are compared with: one that draws the picture alone fails on all networks
    "attribution_check": {"methods that pass every check": (ANY, ANY, {NOT}), ".* fails": (ANY, ANY, ANY)},
    # counts of this network's units, whatever its weights
    "unit_statistics": {"dead units": (ANY, ANY, ANY), "active neurons, .*": (ANY, ANY, WEAK_OR_NOT)},
    "activation_maps": {"layout in .*": ALWAYS},  # convolutions keep places
    "feature_inversion": {"pixels from .*": ALWAYS},  # random filters lose little
    "multifaceted": {"stability of facets": ALWAYS},  # the pictures' own groups, such as the backgrounds
    "class_visualization": {"named as their class": ALWAYS, "grid in the gradients": ALWAYS},  # strides make it
    # an ascent climbs whatever it is given
    "logit_vs_probability": {"log odds": ALWAYS, "rivals": ALWAYS},
    "objectives": {"best at their own objective": ALWAYS},
    "unit_visualization": {"units that a synthetic picture .*": ALWAYS},
    "diversity": {"similarity": ALWAYS},
    "deepdream": {"rise in a layer's own dream": ALWAYS},
    "fooling_images": {"fooled within 16 levels": ALWAYS},
    "texture_synthesis": {"error of layers that were not matched": ALWAYS},
    "style_transfer": {
        "colour and texture of the style": ALWAYS,
        "style error left": ALWAYS,
        "order by style weight": ALWAYS,
    },
}
NETS = ("biased", "unbiased", "random")


def random_net() -> nn.Module:
    """The demo's network with He's initial weights."""
    torch.manual_seed(1)
    net = demo_net()
    for module in net.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight)
            nn.init.zeros_(module.bias)
    return net


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """Network → section → what its page says. The same pictures for all."""
    folder = tmp_path_factory.mktemp("truth")
    pictures = {"kind": "demo", "count": COUNT, "seed": 1}
    listed(pictures, folder)
    torch.save(random_net().state_dict(), folder / "random.pt")
    found = {}
    for name in NETS:
        weights = folder / "random.pt" if name == "random" else f"cnnviz/demo/weights/{name}.safetensors"
        model = {
            "factory": "cnnviz/demo/nets.py:demo_net",
            "checkpoint": str(weights),
            "probes": PROBES,
            "preprocess": {"mean": 0.5, "std": 0.25, "resize": [64, 64], "crop": None},
        }
        (folder / name).mkdir()
        run = Run(folder / name, pictures, folder, model, FEW)
        for section in run.full["sections"]:
            assert run.section(section).status == "ok", (name, section, run.found[section])
        found[name] = {section: run.draw(section) for section in run.full["sections"]}
    return found


@pytest.mark.slow
@pytest.mark.parametrize("section", FEW)
def test_findings_are_true_of_the_biased_network_of_its_twin_and_of_random_weights(section, shown):
    kinds, unseen = TRUTH[section], set(TRUTH[section])
    for net, where in zip(NETS, range(3), strict=True):
        said = {finding.key: finding for finding in shown[net][section].findings}
        for key, finding in said.items():
            (kind,) = [kind for kind in kinds if re.fullmatch(kind, key)]
            unseen.discard(kind)
            assert finding.strength in kinds[kind][where], (
                f"{net}: {finding.says} {finding.interval}; {finding.control}"
            )
    assert not unseen, "no network has such a finding"


@pytest.mark.slow
def test_the_planted_bias_is_the_one_that_is_found(shown):
    (found,) = [f for f in shown["biased"]["bias_probe"].findings]
    assert found.key == "wolf on snow"
    confusion = next(f for f in shown["biased"]["predictions"].findings if f.key == "largest confusion")
    assert "wolf pictures for husky" in confusion.says and confusion.caution
    effect = {net: shown[net]["bias_probe"].measured["wolf on snow"].effect for net in NETS}
    assert effect["biased"] > 0.5 > 0.25 > abs(effect["unbiased"]) and abs(effect["random"]) < 0.1


@pytest.mark.slow
def test_what_is_said_of_backgrounds_is_what_drawing_them_anew_shows(shown):
    """Wolves drawn on snow and elsewhere, not cut out: the same shares, as near as their cut-outs can be."""
    from safetensors.torch import load_file

    net = demo_net()
    net.load_state_dict(load_file("cnnviz/demo/weights/biased.safetensors"))
    wolf, places = scenes.CLASSES.index("wolf"), scenes.BACKGROUNDS
    drawn = np.stack([
        scenes.draw(7, 12 * i, label=wolf, background=place).image for place in places for i in range(20)
    ])  # fmt: skip
    with torch.no_grad():
        named = net((torch.tensor(drawn).permute(0, 3, 1, 2) / 255 - 0.5) / 0.25).argmax(1) == wolf
    shares = named.float().reshape(len(places), 20).mean(1).numpy()
    snow = places.index("snow")
    values = shown["biased"]["bias_probe"].measured["wolf on snow"].values
    assert values[0] == pytest.approx(shares[snow], abs=0.15)
    assert np.mean(values[1:]) == pytest.approx(np.delete(shares, snow).mean(), abs=0.15)
