"""Builds a network: torchvision or timm by name, or a Python factory, each with an optional checkpoint.

This is the only module that imports torchvision and timm, and only for networks that come from them. Networks return
different things; after :mod:`cnnviz.network.scores` all other code sees class scores (n, classes).
"""

import inspect
import re
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from cnnviz.errors import UserError, in_a_line, unknown
from cnnviz.network import checkpoints, fitting, fixed_inputs, forms, heads, kinds, name_matching
from cnnviz.network.scores import to_scores
from cnnviz.pictures.preprocess import complete, geometry
from cnnviz.run import user_code


@dataclass(frozen=True)
class Built:
    """A built network: frozen, in eval mode, returning class scores.

    described: what it is, in words. preprocess: the authors' preprocessing, as far as known. classes: names of its
    outputs, likewise.
    """

    net: nn.Module
    described: str
    preprocess: dict
    classes: tuple[str, ...] = ()


def build(config: dict, id: str, seed: int) -> Built:
    """The network of a model's config block. Raises UserError that states what is wrong and what is valid."""
    where = f"model {id}"
    path = config["checkpoint"]
    checkpoint = checkpoints.read(path, where, config["checkpoint_key"]) if path else None
    state = dict(checkpoint.state) if checkpoint else None
    generator_state = torch.random.get_rng_state()
    torch.manual_seed(seed)  # random weights must be the same in every job
    try:
        make = next(function for name, function in _BY_KEY.items() if name in config)
        built = make(config, where, state)
        given = config["preprocess"]
        size = geometry(complete(given, built.preprocess, 3)).size
        net = forms.initialised(
            forms.unwrapped(built.net, where),
            lambda: forms.unwrapped(make(config, where, state).net, where),
            *(size, given.get("input_channels"), state, where),
        )
    finally:
        torch.random.set_rng_state(generator_state)
    described = built.described
    if checkpoint:
        try:
            left_out = fitting.fit(net, state, where)
        except UserError as error:
            sibling = _sibling(config, state)
            more = (
                f"\nThe file fits another network of the same family: write  torchvision: {sibling}" if sibling else ""
            )
            raise UserError(f"{error}{more}") from error
        described += f", weights of {checkpoint.described}" + (f" ({left_out})" if left_out else "")
    net = forms.settled(net)
    fixed_inputs.attach(net, config.get("inputs"), where)
    net.register_forward_pre_hook(_own_copy, prepend=True)
    net.register_forward_hook(to_scores(config["outputs"], where))
    return replace(built, net=net, described=described)


def _own_copy(module: nn.Module, given: tuple) -> tuple:
    """Copies the input for a network that changes it in place, since callers use it again."""
    return tuple(value.clone() if isinstance(value, torch.Tensor) else value for value in given)


def _torchvision(config: dict, where: str, state: dict | None) -> Built:
    import torchvision.models as zoo

    name, weights = config["torchvision"], config["weights"]
    of_pixels = zoo.list_models(module=zoo.segmentation)
    valid = [*zoo.list_models(module=zoo), *of_pixels]
    if name not in valid:
        raise unknown(f"{where}: torchvision", name, valid)
    published = list(zoo.get_model_weights(name))
    arguments = dict(config["arguments"])
    if name in of_pixels:
        if config["outputs"]["kind"] != kinds.SEGMENTATION:
            raise UserError(f"{where}: {name} gives a class to each pixel; write  outputs: {{kind: segmentation}}")
        arguments.setdefault("weights_backbone", None)  # otherwise torchvision downloads some
        if state is not None and any(key.startswith("aux_classifier.") for key in state):
            arguments.setdefault("aux_loss", True)
    if name in ("googlenet", "inception_v3"):
        arguments.setdefault("init_weights", weights == "random" and state is None)
    if state is None and weights != "random":
        if weights not in ("DEFAULT", *(w.name for w in published)):
            raise unknown(f"{where}: weights", weights, ["random", "DEFAULT", *(w.name for w in published)])
        chosen = zoo.get_model_weights(name)[weights] if weights != "DEFAULT" else zoo.get_model_weights(name).DEFAULT
        try:
            net = zoo.get_model(name, weights=chosen, **arguments)
        except OSError as error:
            raise UserError(
                f"{where}: torchvision could not fetch the weights {weights} ({error}); "
                "run `make fetch` with an internet connection, give a local file as checkpoint, or weights: random"
            ) from error
        except Exception as error:  # networks raise anything for wrong arguments
            raise UserError(f"{where}: torchvision could not make {name}: {in_a_line(error)}") from error
        authors, classes = _torchvision_preprocess(chosen), tuple(chosen.meta["categories"])
        return Built(net, f"torchvision's {name}, weights {weights}", authors, classes)
    try:
        net = _fitting(lambda **more: zoo.get_model(name, weights=None, **arguments | more), arguments, state)
    except Exception as error:  # as above
        raise UserError(f"{where}: torchvision could not make {name}: {in_a_line(error)}") from error
    authors = _torchvision_preprocess(published[0]) if published else {}
    changed = _adapted(net, config, state, "torchvision.models.get_model", where)
    return Built(net, f"torchvision's {name}{changed}" + ("" if state else ", random weights"), authors)


def _torchvision_preprocess(weights) -> dict:
    how = weights.transforms()
    side = how.resize_size[0]
    return {
        "resize": side if hasattr(how, "crop_size") else [side, side],  # segmentation uses the whole picture
        "crop": how.crop_size[0] if hasattr(how, "crop_size") else None,
        "interpolation": how.interpolation.value,
        "mean": list(how.mean),
        "std": list(how.std),
    }


def _timm(config: dict, where: str, state: dict | None) -> Built:
    try:
        import timm
    except ImportError:
        raise UserError(f"{where}: timm: is a separate package; install it (pip install timm)") from None
    name, weights = config["timm"], config["weights"]
    if not timm.is_model(name):
        raise unknown(f"{where}: timm", name, timm.list_models())
    arguments = dict(config["arguments"])
    fetch = state is None and weights != "random"
    if fetch and weights != "DEFAULT":
        arguments["pretrained_cfg"] = weights
    try:
        net = _fitting(lambda **more: timm.create_model(name, pretrained=fetch, **arguments | more), arguments, state)
    except UserError:
        raise
    except Exception as error:  # the hub's client has a dozen error classes
        raise UserError(f"{where}: timm could not make {name}: {in_a_line(error)}") from error
    changed = _adapted(net, config, state, "timm.create_model", where)
    how = timm.data.resolve_data_config({}, model=net)
    crop = how["input_size"][-1]
    authors = {"resize": int(crop / how["crop_pct"]), "crop": crop} | {
        "interpolation": how["interpolation"] if how["interpolation"] in ("bilinear", "bicubic") else "bilinear",
        "mean": list(how["mean"]),
        "std": list(how["std"]),
    }
    weights = f", weights {weights}" if fetch else "" if state else ", random weights"
    return Built(net, f"timm's {name}{changed}{weights}", authors)


def _factory(config: dict, where: str, state: dict | None) -> Built:
    place, arguments, where = config["factory"], config["arguments"], f"{where}: factory"
    with forms.keeping_settings():
        function = user_code.function(place, where)
        if isinstance(function, nn.Module):
            made = function
        elif not callable(function):
            raise UserError(
                f"{where} {place} is not a function but {type(function).__name__}; name one that returns the network"
            )
        else:
            with user_code.guarded(place, where):
                made = _called(function, place, arguments, state, where)
    return Built(forms.of_factory(made, f"{where} {place}"), f"{place.rpartition(':')[2]}() of {_file_of(place)}", {})


def _file_of(place: str) -> str:
    path = place.rpartition(":")[0]
    return Path(path).name if path.endswith(".py") else path


def _called(function, place: str, arguments: dict, state: dict | None, where: str):
    """Return value of the user's function. Raises UserError if ``arguments`` do not match its parameters."""
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):  # not written in Python
        return function(**arguments)
    named = {name: p for name, p in parameters.items() if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    countable = "num_classes" in named and state is not None
    needed = [name for name, p in named.items() if p.default is p.empty and name not in arguments]
    if countable and needed == ["num_classes"]:
        return _fitting(lambda **more: function(**{"num_classes": 2} | arguments | more), arguments, state)
    if needed:
        raise UserError(f"{where} {place} needs a value for {needed[0]}; write arguments: {{{needed[0]}: …}}")
    if not any(p.kind is p.VAR_KEYWORD for p in parameters.values()) and (odd := arguments.keys() - named.keys()):
        raise unknown(f"{where} {place}: arguments", min(odd), named)
    return (
        _fitting(lambda **more: function(**arguments | more), arguments, state) if countable else function(**arguments)
    )


# Key of a model's block → what builds its network.
_BY_KEY = {"torchvision": _torchvision, "timm": _timm, "factory": _factory}


def _fitting(make, arguments: dict, state: dict | None) -> nn.Module:
    """``make(…)`` with the number of classes of a checkpoint's last layer, and without auxiliary heads that it lacks.

    Values in ``arguments`` are not changed.
    """
    if state is None:
        return make()
    shapes = _shapes(make)
    more = {}
    classes = name_matching.classes_in(state, shapes)
    if classes is not None and "num_classes" not in arguments:
        more["num_classes"] = classes
    if name_matching.lacks(state, shapes) and "aux_logits" not in arguments:
        more["aux_logits"] = False
    return make(**more)


def _shapes(make) -> dict[str, tuple[int, ...]]:
    """Name → shape in the network of ``make()``."""
    try:
        with torch.device("meta"):  # shapes without weights
            like = make()
    except Exception:  # the constructor reads values of its tensors
        like = make()
    return {name: tuple(tensor.shape) for name, tensor in like.state_dict().items()}


def _adapted(net: nn.Module, config: dict, state: dict | None, source: str, where: str) -> str:
    """Gives ``net`` the checkpoint's head and first convolution if they differ; returns the changes, in words."""
    if state is None:
        return ""
    named = [repr(config.get("torchvision") or config.get("timm"))]
    called = ", ".join([*named, *(f"{key}={value!r}" for key, value in config["arguments"].items())])
    changes = heads.adapt(net, state, f"{source}({called})", where, config["arguments"].get("num_classes"))
    return f" with {' and '.join(change.words for change in changes)}" if changes else ""


def _sibling(config: dict, state: dict) -> str | None:
    """The torchvision network of the same family that the checkpoint fits, or None."""
    if "torchvision" not in config:
        return None
    import torchvision.models as zoo

    family = re.match("[a-z]+", config["torchvision"])[0][:5]
    names = [name for name in zoo.list_models(module=zoo) if family in name]
    return next(
        (n for n in names if name_matching.fits(state, _shapes(lambda n=n: zoo.get_model(n, weights=None)))), None
    )
