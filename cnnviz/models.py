"""From a config block to a frozen network with its layers, its preprocessing and its classes.

The doors: torchvision by name, or a Python factory (``file.py:function``), each with a checkpoint if wanted. The only
file that imports torchvision, and only for models that come from it.

``python -m cnnviz.models`` is a model's first job: it checks checkpoint, layers and classes, and leaves
``network.json``.
"""

import contextlib
import importlib.util
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from cnnviz import atomic
from cnnviz import facts as known
from cnnviz.errors import UserError, unknown
from cnnviz.job import Job, run
from cnnviz.preprocess import Preprocess

MOST_LAYERS = 12


@dataclass(frozen=True)
class Layer:
    """A place in the network. name: short (``conv1``, ``fc7``); module: dotted; what comes out of it, for one picture:

    units, height, width (1 × 1 for a linear layer). kind: the module's class, such as ``Conv2d``.
    """

    name: str
    module: str
    kind: str
    units: int
    height: int
    width: int


@dataclass(frozen=True)
class Model:
    """A network ready to be looked at: in eval mode, parameters frozen, on its device.

    layers: all that have a name, in execution order. chosen: names of those the report shows.
    feature: (module, "input" or "output") whose flattened value is the feature vector.
    classes: a name for each output. label_to_output: for each class of the image set its output, or None.
    """

    id: str
    net: nn.Module
    preprocess: Preprocess
    layers: tuple[Layer, ...]
    chosen: tuple[str, ...]
    feature: tuple[str, str]
    feature_name: str
    feature_size: int
    classes: tuple[str, ...]
    label_to_output: tuple[int | None, ...]
    device: torch.device
    provenance: dict

    def normalise(self, x: torch.Tensor) -> torch.Tensor:
        """RGB in [0, 1], (n, 3, h, w) → what the network takes: channel order, range, mean, std. Differentiable.

        A mean picture (shape (3, h, w)) is resized where x has another size.
        """
        p = self.preprocess
        if p.channels == "BGR":
            x = x.flip(1)
        mean, std = (self._constant(v, x) for v in (p.mean, p.std))
        return (x * p.range - mean) / std

    def bounds(self) -> tuple[torch.Tensor, torch.Tensor]:
        """The values that black and white have in the network's input, (1, 3, 1 or h, 1 or w) each."""
        h, w = self.preprocess.size
        black = torch.zeros(1, 3, h, w, device=self.device)
        return self.normalise(black), self.normalise(black + 1)

    def logits(self, x: torch.Tensor) -> torch.Tensor:
        """Class scores (n, classes) of pictures x in [0, 1]."""
        return self.net(self.normalise(x))

    def pictures(self, arrays: Sequence[np.ndarray]) -> torch.Tensor:
        """(h, w, 3) uint8 arrays → (n, 3, h, w) float32 in [0, 1] on the model's device."""
        stacked = torch.from_numpy(np.stack(arrays)).to(self.device, non_blocking=True)
        return stacked.permute(0, 3, 1, 2).float().div_(255)

    def layer(self, name: str) -> Layer:
        """The layer of that short or dotted name. Raises UserError naming the valid ones."""
        for layer in self.layers:
            if name in (layer.name, layer.module):
                return layer
        raise unknown(f"model {self.id}: layer", name, [layer.name for layer in self.layers])

    def module(self, name: str) -> nn.Module:
        """The module of a layer's short or dotted name."""
        return self.net.get_submodule(self.layer(name).module)

    def output(self, name: str) -> int:
        """The output index of a class given by name (or by the first of several names, or by index)."""
        return _output(f"model {self.id}: class", name, self.classes)

    def _constant(self, value: np.ndarray, x: torch.Tensor) -> torch.Tensor:
        tensor = torch.as_tensor(value, dtype=x.dtype, device=x.device)
        if tensor.ndim == 3 and tensor.shape[1:] != x.shape[2:]:
            tensor = nn.functional.interpolate(tensor[None], x.shape[2:], mode="bilinear", antialias=True)[0]
        return tensor.reshape(1, -1, 1, 1) if tensor.ndim == 1 else tensor


def load(job: Job) -> Model:
    """The model of a job, from its config block and the ``network.json`` that the model's first job left.

    ``chosen`` and ``feature`` are the config's where the job's block has those keys, else the network's own. Sets
    torch's threads and global seed.
    """
    _prepare_torch(job)
    facts = known.read(job.inputs["network"])
    feature = known.feature(facts, job.model.get("feature_layer", "auto"))
    device = pick_device(job.device)
    net, _ = _build(job.model, job.model_id, job.seed)
    return Model(
        id=job.model_id,
        net=net.to(device),
        preprocess=preprocess(job.model["preprocess"]),
        layers=tuple(Layer(**{k: layer[k] for k in Layer.__dataclass_fields__}) for layer in facts["layers"]),
        chosen=tuple(known.chosen(facts, job.model.get("layers", "default"))),
        feature=tuple(feature["at"]),
        feature_name=feature["name"],
        feature_size=feature["size"],
        classes=tuple(facts["classes"]),
        label_to_output=tuple(facts["label_to_output"]),
        device=device,
        provenance={
            "checkpoint": facts["checkpoint"],
            "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
            "torch": torch.__version__,
        },
    )


def pick_device(wanted: str) -> torch.device:
    """``auto``: the GPU with the most free memory, else the CPU. Several local jobs so spread over several GPUs."""
    if wanted == "auto":
        wanted = "cuda" if torch.cuda.is_available() else "cpu"
    if wanted == "cuda":
        free = [torch.cuda.mem_get_info(i)[0] for i in range(torch.cuda.device_count())]
        if not free:
            raise UserError("device: cuda was asked for, but torch sees no GPU; use auto or cpu")
        wanted = f"cuda:{max(range(len(free)), key=free.__getitem__)}"
    return torch.device(wanted)


def preprocess(config: dict) -> Preprocess:
    """The config block as data; a mean or std may be a number, a list of three, or a ``.npy`` picture."""

    def constant(value) -> np.ndarray:
        if isinstance(value, str):
            value = np.load(value, allow_pickle=False).astype(np.float32)
            if value.ndim == 3 and value.shape[2] == 3:
                value = value.transpose(2, 0, 1)
        array = np.asarray(value, dtype=np.float32)
        if array.shape not in ((), (3,)) and not (array.ndim == 3 and array.shape[0] == 3):
            raise UserError(
                f"preprocess: mean and std are a number, three numbers or a (3, h, w) array, not {array.shape}"
            )
        return array

    resize = config["resize"]
    return Preprocess(
        resize=tuple(resize) if isinstance(resize, list) else resize,
        crop=config["crop"],
        interpolation=config["interpolation"],
        channels=config["channels"],
        range=float(config["range"]),
        mean=constant(config["mean"]),
        std=constant(config["std"]),
    )


# ------------------------------------------------------------------------------------------------ the model's first job


def main(job: Job) -> None:
    _prepare_torch(job)
    net, described = _build(job.model, job.model_id, job.seed)
    where = f"model {job.model_id}"
    prepared = preprocess(job.model["preprocess"])
    x = torch.zeros(1, 3, *prepared.size)
    trace = _trace(net, x, where)
    layers = _name_layers(net, trace)

    outputs = trace[""].output[1]
    of_set = tuple(job.parameters["set_classes"])
    classes = _classes(job.model["classes"], of_set, outputs, where)
    facts = {
        "schema": known.SCHEMA,
        "id": job.model_id,
        "described": described,
        "checkpoint": job.parameters["checkpoint"],
        "parameters": sum(p.numel() for p in net.parameters()),
        "input": [3, *prepared.size],
        "layers": [vars(layer) for layer in layers],
        "default_layers": _default_layers(layers),
        "feature": _feature(layers, trace, outputs),
        "classes": classes,
        "label_to_output": [_match(name, i, of_set, classes) for i, name in enumerate(of_set)],
        "torch": torch.__version__,
    }
    known.chosen(facts, job.check.get("layers", "default"))
    known.feature(facts, job.check.get("feature_layer", "auto"))
    for section, names in job.check.get("classes", {}).items():
        for name in names:
            _output(f"{where}: {section}.classes", name, classes)
    atomic.write_text(job.outputs["network"], json.dumps(facts, indent=1))
    vector = facts["feature"]
    print(
        f"{described}: {facts['parameters']:,} parameters, {len(layers)} layers, "
        f"features of {vector['size']} ({vector['name']})"
    )


@dataclass(frozen=True)
class _Call:
    order: int
    input: tuple[int, ...]
    output: tuple[int, ...]


def _trace(net: nn.Module, x: torch.Tensor, where: str) -> dict[str, _Call]:
    """Module name → the shapes and the order of its (last) call in one forward pass of ``x``."""
    calls: dict[str, _Call] = {}

    def note(name: str):
        def hook(module, inputs, output):
            if inputs and isinstance(inputs[0], torch.Tensor) and isinstance(output, torch.Tensor):
                calls.pop(name, None)
                calls[name] = _Call(len(calls), tuple(inputs[0].shape), tuple(output.shape))

        return hook

    handles = [module.register_forward_hook(note(name)) for name, module in net.named_modules()]
    try:
        with torch.no_grad():
            net(x)
    except RuntimeError as error:
        raise UserError(f"{where}: the network does not take a picture of {tuple(x.shape[1:])}: {error}") from error
    finally:
        for handle in handles:
            handle.remove()
    if "" not in calls or len(calls[""].output) != 2:
        got = calls[""].output if "" in calls else "no tensor"
        raise UserError(f"{where}: the network must return class scores (n, classes), not {got}")
    return calls


def _name_layers(net: nn.Module, trace: dict[str, _Call]) -> list[Layer]:
    """Convolutions and linear layers in execution order with short names; blocks that hold several by dotted name."""
    modules = dict(net.named_modules())
    called = [name for name in trace if name]
    convs = [n for n in called if isinstance(modules[n], nn.Conv2d)]
    linears = [n for n in called if isinstance(modules[n], nn.Linear) and len(trace[n].output) == 2]
    classic = len(linears) == 3 and trace[linears[0]].order > max((trace[n].order for n in convs), default=0)
    first = 6 if classic else 1  # AlexNet's and VGG's fc6, fc7, fc8
    short = {n: f"conv{i}" for i, n in enumerate(convs, 1)} | {n: f"fc{i}" for i, n in enumerate(linears, first)}
    blocks = [
        n
        for n in called
        if n not in short
        and len(trace[n].output) == 4
        and not isinstance(modules[n], nn.Sequential | nn.ModuleList)
        and sum(c.startswith(f"{n}.") for c in convs) > 1
    ]
    layers = []
    for name in [n for n in called if n in short or n in blocks]:
        shape = trace[name].output
        height, width = shape[2:] if len(shape) == 4 else (1, 1)
        layers.append(Layer(short.get(name, name), name, type(modules[name]).__name__, shape[1], height, width))
    return layers


def _default_layers(layers: list[Layer]) -> list[str]:
    """All convolutions where there are few; else the first one and the blocks, thinned evenly to a dozen."""
    convs = [layer for layer in layers if layer.kind == "Conv2d"]
    if len(convs) > 16:
        blocks = [layer for layer in layers if layer.kind not in ("Conv2d", "Linear")]
        inner = [b for b in blocks if not any(o is not b and b.module.startswith(f"{o.module}.") for o in blocks)]
        if inner:
            in_block = [c for c in convs if not any(c.module.startswith(f"{b.module}.") for b in inner)]
            outside = {c.name for c in in_block if "downsample" not in c.module}
            kept = [layer for layer in layers if layer in inner or layer.name in outside]
        else:
            kept = convs
        while len(kept) > MOST_LAYERS:
            step = (len(kept) - 1) / (MOST_LAYERS - 1)
            kept = [kept[round(i * step)] for i in range(MOST_LAYERS)]
        return [layer.name for layer in kept]
    return [layer.name for layer in convs]


def _feature(layers: list[Layer], trace: dict[str, _Call], outputs: int) -> dict:
    """The feature vector where the config does not choose: see facts.feature."""
    linears = [layer for layer in layers if layer.kind == "Linear"]
    if linears:
        last = linears[-1]
        name = f"{linears[-2].name}, as {last.name} takes it in" if len(linears) > 1 else f"the input of {last.name}"
        return {"at": [last.module, "input"], "name": name, "size": math.prod(trace[last.module].input[1:])}
    convs = [layer for layer in layers if layer.kind == "Conv2d"]
    if not convs:
        raise UserError("the network has neither a linear layer nor a convolution; give a feature_layer")
    last = [layer for layer in convs if layer.units != outputs][-1:] or convs[-1:]  # not the one that gives the scores
    blocks = [b for b in layers if b.kind not in ("Conv2d", "Linear") and last[0].module.startswith(f"{b.module}.")]
    layer = (blocks or last)[0]
    return {"at": [layer.module, "output"], "name": f"{layer.name}, mean over positions", "size": layer.units}


# --------------------------------------------------------------------------------------------------------- the doors


def _build(config: dict, where: str, seed: int) -> tuple[nn.Module, str]:
    """The network of a config block, frozen and in eval mode, and what it is, in words."""
    where = f"model {where}"
    generator_state = torch.random.get_rng_state()
    torch.manual_seed(seed)  # random weights must be the same in every job
    try:
        if "torchvision" in config:
            net, described = _torchvision(config, where)
        else:
            net, described = _factory(config, where)
    finally:
        torch.random.set_rng_state(generator_state)
    if config.get("checkpoint"):
        _load_weights(net, config["checkpoint"], where)
        described += f", weights of {Path(config['checkpoint']).name}"
    return net.float().eval().requires_grad_(False), described


def _torchvision(config: dict, where: str) -> tuple[nn.Module, str]:
    import torchvision.models as zoo

    name, weights = config["torchvision"], config["weights"]
    valid = zoo.list_models(module=zoo)
    if name not in valid:
        raise unknown(f"{where}: torchvision", name, valid)
    arguments = dict(config["arguments"])
    if name in ("googlenet", "inception_v3"):
        arguments.setdefault("init_weights", weights == "random")
    if config.get("checkpoint") or weights == "random":
        net = zoo.get_model(name, weights=None, **arguments)
        return net, f"torchvision's {name}" + ("" if config.get("checkpoint") else ", random weights")
    known = zoo.get_model_weights(name)
    if weights not in ("DEFAULT", *(w.name for w in known)):
        raise unknown(f"{where}: weights", weights, ["random", "DEFAULT", *(w.name for w in known)])
    try:
        net = zoo.get_model(name, weights=known[weights] if weights != "DEFAULT" else known.DEFAULT, **arguments)
    except OSError as error:
        raise UserError(
            f"{where}: torchvision could not fetch the weights {weights} ({error}); "
            "give a local file as checkpoint, or weights: random"
        ) from error
    return net, f"torchvision's {name}, weights {weights}"


def _factory(config: dict, where: str) -> tuple[nn.Module, str]:
    path, _, name = config["factory"].rpartition(":")
    spec = importlib.util.spec_from_file_location(f"cnnviz_factory_{Path(path).stem}", path)
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        if not hasattr(module, name):
            functions = [n for n, v in vars(module).items() if callable(v) and not n.startswith("_")]
            raise unknown(f"{where}: factory {path}", name, functions)
        net = getattr(module, name)(**config["arguments"])
    except UserError:
        raise
    except Exception as error:  # the user's own code: whatever it raises is theirs to read
        raise UserError(f"{where}: factory {config['factory']} failed: {type(error).__name__}: {error}") from error
    if not isinstance(net, nn.Module):
        raise UserError(f"{where}: factory {config['factory']} returned {type(net).__name__}, not a torch.nn.Module")
    return net, f"{name}() of {Path(path).name}"


def _load_weights(net: nn.Module, path: str, where: str) -> None:
    """Load a state dict (``torch.save``, or safetensors). No code of the file is ever executed."""
    if path.endswith(".safetensors"):
        from safetensors.torch import load_file

        try:
            state = load_file(path)
        except Exception as error:  # safetensors has its own exception classes
            raise UserError(f"{where}: checkpoint {path} cannot be read: {error}") from error
    else:
        import pickle

        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
        except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
            raise UserError(
                f"{where}: checkpoint {path} is no plain state dict, and is not opened otherwise since that could run "
                "code. Convert it where you trust it:  import torch;  net = torch.load(FILE, weights_only=False);  "
                f"torch.save(net.state_dict(), 'weights.pt')   ({str(error).splitlines()[0]})"
            ) from error
    if not (isinstance(state, dict) and state and all(isinstance(v, torch.Tensor) for v in state.values())):
        raise UserError(f"{where}: checkpoint {path} holds no state dict (name → tensor)")
    own = net.state_dict()
    optional = {k for k in own if k.endswith("num_batches_tracked")}
    missing, extra = sorted(own.keys() - state.keys() - optional), sorted(state.keys() - own.keys())
    wrong = [k for k in own.keys() & state.keys() if own[k].shape != state[k].shape]
    if missing or extra or wrong:
        shapes = [
            f"{k}: {tuple(state[k].shape)} in the file, {tuple(own[k].shape)} in the network" for k in sorted(wrong)
        ]
        parts = [
            f"{len(names)} {what} ({', '.join(names[:4])}{', …' if len(names) > 4 else ''})"
            for what, names in (("missing", missing), ("not in the network", extra), ("of another shape", shapes))
            if names
        ]
        raise UserError(f"{where}: checkpoint {path} does not fit the network: " + "; ".join(parts))
    net.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in state.items()}, strict=False)


# -------------------------------------------------------------------------------------------------- classes and labels


def _classes(config, of_set: tuple[str, ...], outputs: int, where: str) -> list[str]:
    """A name for each output: listed, from a file, from the image set where the counts agree, else numbers."""
    if isinstance(config, str):
        text = Path(config).read_text("utf-8")
        names = _class_names(json.loads(text)) if config.endswith(".json") else text.split("\n")
        config = [str(n).strip() for n in names if str(n).strip()]
    if config is None:
        return list(of_set) if len(of_set) == outputs else [str(i) for i in range(outputs)]
    if len(config) != outputs:
        raise UserError(f"{where}: classes lists {len(config)} names, the network has {outputs} outputs")
    return list(config)


def _class_names(data) -> list[str]:
    """Names from the usual JSON forms: a list, {index: name}, {index: [id, name]}, or a list of objects with a name."""
    if isinstance(data, dict):
        data = [data[k] for k in sorted(data, key=int)]
    return [d["name"] if isinstance(d, dict) else d[-1] if isinstance(d, list) else d for d in data]


def _match(name: str, position: int, of_set: tuple[str, ...], classes: Sequence[str]) -> int | None:
    """The output that a class of the image set stands for: by name, by number, or by position where counts agree."""
    lower = [c.casefold() for c in classes]
    for candidates in (lower, [c.split(",")[0].strip() for c in lower]):
        if name.casefold() in candidates:
            return candidates.index(name.casefold())
    if all(n.isdigit() for n in of_set):
        return int(name) if int(name) < len(classes) else None
    return position if len(of_set) == len(classes) else None


def _output(what: str, name: str | int, classes: Sequence[str]) -> int:
    lower = [c.casefold() for c in classes]
    for candidates in (lower, [c.split(",")[0].strip() for c in lower]):
        if str(name).casefold() in candidates:
            return candidates.index(str(name).casefold())
    if str(name).isdigit() and int(name) < len(classes):
        return int(name)
    raise unknown(what, str(name), classes)


def _prepare_torch(job: Job) -> None:
    torch.set_num_threads(job.threads)
    torch.manual_seed(job.seed)
    torch.backends.cudnn.benchmark = False
    with contextlib.suppress(AttributeError):
        torch.backends.cuda.matmul.allow_tf32 = False  # what is published stays fp32
        torch.backends.cudnn.allow_tf32 = False


if __name__ == "__main__":
    run(main)
