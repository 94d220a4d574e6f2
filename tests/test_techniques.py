"""Every technique on networks of odd channels, sizes, batches, types and gradients works, or states why not."""

import numpy as np
import pytest

from tests.every_section import LEAST, Run, arrays, listed
from tests.odd_nets import BATCHES, NUMBERS, SIZES

CHANNELS = (1, 3, 4, 13)
SIDES = {"any": (23, 23), "folded": (26, 18), "eighths": (24, 24), "fixed": (24, 20)}
COLOURED = ("texture_synthesis", "style_transfer")  # they use given pictures, which are coloured or grey
ALONE = ("linear_templates", "bias_probe")  # these depend on the pictures, not on a network's form
TECHNIQUES = [name for name in LEAST if name not in ALONE]
# Four groups of techniques. Each is tried on four networks, in which every value of each property comes once; all
# sixteen networks together hold every two values of different properties (an orthogonal array).
GROUPS = [TECHNIQUES[i::4] for i in range(4)]
NETWORKS = [(group, i) for group in range(4) for i in range(4)]


def properties(group: int, i: int) -> dict:
    """Properties of network ``i`` of a group: columns of the orthogonal array over the field of four elements."""
    times = [[0, 0, 0, 0], [0, 1, 2, 3], [0, 2, 3, 1], [0, 3, 1, 2]]  # 2 is its generator; addition is xor
    return {
        "channels": CHANNELS[i],
        "sizes": SIZES[i ^ group],
        "batch": BATCHES[times[2][i] ^ group],
        "numbers": NUMBERS[times[3][i] ^ group],
    }


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """pictures(channels, side) → an image set's block and the folder of its index, made once."""
    made = {}

    def of(channels, side, **more):
        key = (channels, side, *more.values())
        if key not in made:
            folder = tmp_path_factory.mktemp("set")
            made[key] = arrays(folder / "pictures", channels, side=side, **{"count": 12, "classes": 1} | more), folder
            listed(*made[key])
        return made[key]

    return of


def run(work, pictures, side=(24, 24), probes=1, set_of=None, **arguments):
    block, index = pictures(arguments.get("channels", 3), side, **set_of or {})
    kind = "OneUnit" if arguments.pop("one_unit", False) else "Odd"
    model = {
        "factory": f"tests/odd_nets.py:{kind}",
        "arguments": arguments | ({"side": list(side)} if kind == "Odd" else {}),
        "probes": probes,
        "preprocess": {"resize": list(side), "mean": 0.5, "std": 0.5, "input_channels": arguments.get("channels", 3)},
    }
    return Run(work, block, index, model)


def test_the_networks_hold_every_two_values():
    every = [properties(*network) for network in NETWORKS]
    for one in every[0]:
        for other in every[0]:
            if one != other:
                assert len({(p[one], p[other]) for p in every}) == 16
    for group in range(4):
        assert all(len({properties(group, i)[key] for i in range(4)}) == 4 for key in every[0])


@pytest.mark.parametrize("network", NETWORKS)
def test_techniques_on_odd_networks(tmp_path, pictures, network):
    group, i = network
    p = properties(group, i)
    made = run(tmp_path, pictures, SIDES[p["sizes"]], **p)
    for name in GROUPS[group]:
        left = made.section(name)
        if name in COLOURED and p["channels"] > 3:
            assert left.reason.startswith(f"This network takes {p['channels']} channels; the pictures have colours")
        else:
            assert left.status == "ok", f"{name}: {left.reason}"
            assert all(np.isfinite(a).all() for n, a in left.arrays.items() if n.startswith(("maps/", "projection")))


@pytest.mark.parametrize("batch", ["squeezed", "one", "eight"])
def test_a_fixed_batch_changes_no_result(tmp_path, pictures, batch):
    """The arrays equal those of the network without it; the last digits may differ, since the kernels do."""
    of = {}
    for kind in ("any", batch):
        (tmp_path / kind).mkdir()
        made = run(tmp_path / kind, pictures, batch=kind)
        names = ("saliency", "guided_backprop", "occlusion", "grad_cam", "unit_visualization", "multifaceted")
        of[kind] = {name: made.section(name).arrays for name in names} | {
            "features": {"": np.load(made.inputs["features"])}
        }
        of[kind]["forward"] = dict(np.load(made.inputs["forward"]))
    for name, found in of[batch].items():
        for array, values in found.items():
            if values.dtype.kind in "fiu":
                wanted = of["any"][name][array]
                far = (
                    1
                    if values.dtype == np.uint8
                    else 1e-3 * max(1e-3, np.nanmax(np.abs(np.float64(wanted)), initial=0))
                )
                np.testing.assert_allclose(np.float64(values), wanted, rtol=1e-2, atol=far, err_msg=f"{name}: {array}")


GRADIENTS = ("saliency", "guided_backprop", "class_visualization", "objectives", "multifaceted", "fooling_images")
OF_LAYERS = ("unit_visualization", "diversity", "feature_inversion", "deepdream", "texture_synthesis")
WITHOUT = ("activation_maps", "maximal_patches", "occlusion", "lime", "pca")


@pytest.mark.parametrize("between", ["no_grad", "inference_mode", "detach"])
def test_without_gradients_what_needs_them_says_so_and_all_else_works(tmp_path, pictures, between):
    made = run(tmp_path, pictures, between=between)
    for name in (*GRADIENTS, "grad_cam", *OF_LAYERS, *WITHOUT):
        made.section(name)
    for name in (*GRADIENTS, "grad_cam"):
        assert "no gradient with respect to the picture" in made.found[name]
    layers = {made.found[name] for name in OF_LAYERS}
    if between == "detach":  # of the scores: the layers before them have gradients
        assert layers == {"ok"}
    else:
        assert all("gradients of values of the layers" in reason for reason in layers)
    assert {made.found[name] for name in WITHOUT} == {"ok"}


ODD = {
    "one unit, one position": {"one_unit": True},
    "dead units": {"between": "dead"},
    "constant scores": {"between": "constant"},
    "answers otherwise each time": {"between": "dropout"},
    "two classes": {"classes": 2},
    "5000 classes": {"classes": 5000},
    "one picture": {"set_of": {"count": 1, "classes": 1}},
    "two pictures": {"set_of": {"count": 2}},
    "three pictures": {"set_of": {"count": 3}},
    "black pictures": {"set_of": {"count": 8, "black": True}},
}
ALL = [
    *("saliency", "saliency_segmentation", "guided_backprop", "grad_cam", "occlusion", "lime", "attribution_check"),
    *("predictions", "unit_statistics", "activation_maps", "maximal_patches", "fooling_images", "objectives", "pca"),
    *("class_visualization", "unit_visualization", "feature_inversion", "texture_synthesis", "nearest_neighbors"),
    *("tsne", "tsne_grid"),
]
FEW = {name: "needs at least" for name in ("nearest_neighbors", "pca", "tsne", "tsne_grid")}
REASONS = {
    "two classes": {"fooling_images": "two classes"},
    "one picture": FEW,
    "two pictures": FEW,
    "three pictures": {name: FEW[name] for name in ("tsne", "tsne_grid")},
}


@pytest.mark.parametrize("case", ODD)
def test_techniques_at_the_ends_of_what_there_is(tmp_path, pictures, case):
    made = run(tmp_path, pictures, probes=3, **ODD[case])
    for name in ALL:
        left = made.section(name)
        words = REASONS.get(case, {}).get(name, "")
        assert words in left.reason and (left.status == "ok") == (not words), f"{name}: {left.status} {left.reason}"
