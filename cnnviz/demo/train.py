"""Trains the demo's two networks.

    python -m cnnviz.demo.train --output cnnviz/demo/weights/biased.safetensors
    python -m cnnviz.demo.train --unbiased --output cnnviz/demo/weights/unbiased.safetensors

Both are trained on the same objects in the same poses; only the backgrounds differ. In the biased set wolves are on
snow. In the unbiased set every class is on every background. The unbiased network is the control for every claim about
the bias.

Three choices improve the networks' visualisations, at little cost in accuracy:

- conv1 is initialised at a tenth of the usual scale and has its own heavy weight decay. So its filters are learnt, not
  remaining noise.
- Each batch is first moved a little (L2 norm `PERTURBATION`) in the direction that raises its loss (Goodfellow et al.
  2015, "Explaining and Harnessing Adversarial Examples", here with the L2 norm). Gradients with respect to the input
  then follow shapes rather than noise (Tsipras et al. 2019, "Robustness May Be at Odds with Accuracy").
- There are few epochs. With more, the rare wolves off the snow are memorised and the bias fades.

The same seed, number of threads and machine give the same bytes. Another processor may round differently.
"""

import argparse
import json
import os
import time
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from torch import Tensor
from torch.nn import functional as F
from tqdm import tqdm

from cnnviz.demo.nets import MEAN, SIZE, STD, DemoNet, demo_net, fold, training_net
from cnnviz.demo.scenes import BACKGROUNDS, CLASSES, draw

PICTURES = 4800
EPOCHS = 14
BATCH = 64
LEARNING_RATE = 2e-3
FIRST_LAYER_DECAY = 5.0
DECAY = 0.01
# L2 norm over a whole picture with values in [0, 1]. The control's test accuracy is .958 with 0.25, .954 with 0.5 and
# .894 with 1. Class pictures are hardly recognisable with the first; with the second most are.
PERTURBATION = 0.5
SHIFT = 3  # px, the largest random displacement

# Seeds of picture sets that no training seed can equal.
_HELD_OUT, _PASTED = 1_000_000, 1_000_001
_LARGEST_SEED = 999_999

WOLF, HUSKY = CLASSES.index("wolf"), CLASSES.index("husky")


def normalise(images: np.ndarray) -> Tensor:
    """(n, 64, 64, 3) uint8 RGB → (n, 3, 64, 64) float32, (x / 255 - MEAN) / STD."""
    x = torch.from_numpy(images).permute(0, 3, 1, 2).to(torch.float32) / 255
    return (x - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)


def picture_set(seed: int, count: int, *, biased: bool) -> tuple[Tensor, Tensor]:
    """`count` drawn pictures: normalised (count, 3, 64, 64) float32, and labels (count,) int64."""
    scenes = (draw(seed, i, biased=biased, size=SIZE) for i in range(count))
    pairs = [(scene.image, scene.label) for scene in tqdm(scenes, "drawing", count, unit="picture", mininterval=1)]
    return normalise(np.stack([image for image, _ in pairs])), torch.tensor([label for _, label in pairs])


def train(images: Tensor, labels: Tensor, *, seed: int, epochs: int = EPOCHS) -> DemoNet:
    """Trains a `training_net` and folds its batch normalisation into the weights.

    images: (n, 3, 64, 64) normalised, n ≥ 2. labels: (n,) int64. epochs: passes over them, > 0. Returns a `demo_net` in
    evaluation mode. Sets torch's global seed.
    """
    torch.manual_seed(seed)
    net = training_net().to(memory_format=torch.channels_last)
    batch = min(BATCH, len(images))
    steps = epochs * (len(images) // batch)
    first = net.features[0].weight
    others = [p for p in net.parameters() if p is not first]
    decays = [{"params": [first], "weight_decay": FIRST_LAYER_DECAY}, {"params": others, "weight_decay": DECAY}]
    optimizer = torch.optim.AdamW(decays, LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=steps, pct_start=0.2)
    random = torch.Generator().manual_seed(seed)
    net.train()
    with tqdm(total=steps, desc="training", unit="step", mininterval=1) as progress:
        for _ in range(epochs):
            order = torch.randperm(len(images), generator=random)
            for chosen in order[: steps // epochs * batch].split(batch):
                x, y = _mirror_and_shift(images[chosen], random), labels[chosen]
                x = _worsened(net, x, y)
                loss = F.cross_entropy(net(x), y)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
                progress.update()
                progress.set_postfix(loss=f"{loss.item():.3f}", refresh=False)
    return fold(net.eval().to(memory_format=torch.contiguous_format))


def _mirror_and_shift(x: Tensor, random: torch.Generator) -> Tensor:
    mirrored = torch.rand(len(x), generator=random) < 0.5
    x = torch.where(mirrored[:, None, None, None], x.flip(3), x)
    right, down = torch.randint(0, 2 * SHIFT + 1, (2,), generator=random).tolist()
    x = F.pad(x, (SHIFT,) * 4, mode="replicate")[:, :, down : down + SIZE, right : right + SIZE]
    return x.contiguous(memory_format=torch.channels_last)


def _worsened(net: DemoNet, x: Tensor, y: Tensor) -> Tensor:
    """`x` moved by PERTURBATION (L2, in units of [0, 1] pixels) up the loss's gradient."""
    x = x.requires_grad_(True)
    (gradient,) = torch.autograd.grad(F.cross_entropy(net(x), y), x)
    length = gradient.flatten(1).norm(dim=1).clamp_min(1e-12).view(-1, 1, 1, 1)
    step = PERTURBATION / torch.tensor(STD).view(3, 1, 1)
    return (x + step * gradient / length).detach()


@torch.no_grad()
def measure(net: DemoNet, *, held_out: int = 1200, pasted: int = 100) -> dict:
    """The page's numbers about a network, measured on pictures outside the training set.

    held_out: number of pictures with backgrounds independent of class. pasted: number of wolves, and of huskies, that
    are put on each background with everything else unchanged. Returns accuracy and accuracy_by_class in [0, 1], and
    p_wolf: for wolves and for huskies, background → mean probability of "wolf".
    """
    x, y = picture_set(_HELD_OUT, held_out, biased=False)
    right = net(x).argmax(dim=1) == y
    p_wolf: dict[str, dict[str, float]] = {"wolf": {}, "husky": {}}
    for name in tqdm(BACKGROUNDS, "pasting", unit="background", mininterval=1):
        for label in (WOLF, HUSKY):
            images = np.stack([draw(_PASTED, i, label=label, background=name).image for i in range(pasted)])
            p = net(normalise(images)).softmax(dim=1)[:, WOLF]
            p_wolf[CLASSES[label]][name] = round(p.mean().item(), 3)
    return {
        "accuracy": round(right.float().mean().item(), 4),
        "accuracy_by_class": {c: round(right[y == k].float().mean().item(), 3) for k, c in enumerate(CLASSES)},
        "held_out_pictures": held_out,
        "p_wolf": p_wolf,
        "pictures_per_background": pasted,
    }


def write(net: DemoNet, facts: dict, path: Path) -> None:
    """Writes float16 weights to `path` and `facts` to `path` with the ending .json, each atomically."""
    weights = {name: tensor.half().contiguous() for name, tensor in net.state_dict().items()}
    _replace(path.with_suffix(".json"), (json.dumps(facts, indent=1) + "\n").encode())
    _replace(path, safetensors.torch.save(weights))


def _replace(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        beside.write_bytes(content)
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def main(arguments: list[str] | None = None) -> None:
    """Command line: draws the pictures, trains, measures, writes."""
    parser = argparse.ArgumentParser(prog="python -m cnnviz.demo.train", description=__doc__.split("\n")[0])
    parser.add_argument("--output", type=Path, required=True, help="a .safetensors to write; figures go beside it")
    parser.add_argument("--unbiased", action="store_true", help="backgrounds independent of class: the control")
    parser.add_argument(
        "--seed", type=int, default=0, help="seed of pictures, weights and order (default: %(default)s)"
    )
    parser.add_argument("--pictures", type=int, default=PICTURES, help="training pictures (default: %(default)s)")
    parser.add_argument("--epochs", type=int, default=EPOCHS, help="passes over the pictures (default: %(default)s)")
    parser.add_argument("--held-out", type=int, default=1200, help="test pictures (default: %(default)s)")
    parser.add_argument("--pasted", type=int, default=100, help="dogs on each background (default: %(default)s)")
    parser.add_argument(
        "--threads", type=int, default=1, help="threads; the weights depend on it (default: %(default)s)"
    )
    options = parser.parse_args(arguments)
    if options.output.suffix != ".safetensors":
        parser.error(f"--output must end in .safetensors, not {options.output.name}")
    if not 0 <= options.seed <= _LARGEST_SEED:
        parser.error(f"--seed must be in 0…{_LARGEST_SEED}: larger seeds are those of test pictures")
    if min(options.pictures, options.held_out) < len(CLASSES):
        parser.error(f"--pictures and --held-out must be at least {len(CLASSES)}, one of each class")
    if min(options.epochs, options.pasted, options.threads) < 1:
        parser.error("--epochs, --pasted and --threads must be at least 1")

    torch.set_num_threads(options.threads)
    started = time.process_time()
    images, labels = picture_set(options.seed, options.pictures, biased=not options.unbiased)
    net = train(images, labels, seed=options.seed, epochs=options.epochs)
    shipped = demo_net()
    shipped.load_state_dict({name: tensor.half().float() for name, tensor in net.state_dict().items()})
    figures = measure(shipped, held_out=options.held_out, pasted=options.pasted)
    command = ["python", "-m", "cnnviz.demo.train", *(["--unbiased"] if options.unbiased else [])]
    for name in ("seed", "pictures", "epochs", "threads"):
        command += [f"--{name}", str(getattr(options, name))]
    facts = {
        "command": " ".join([*command, "--output", options.output.name]),
        "biased": not options.unbiased,
        "seed": options.seed,
        "pictures": options.pictures,
        "epochs": options.epochs,
        "perturbation_l2": PERTURBATION,
        "parameters": sum(p.numel() for p in net.parameters()),
        "classes": list(CLASSES),
        **figures,
    }
    write(shipped, facts, options.output)
    seconds = time.process_time() - started
    tqdm.write(f"accuracy {figures['accuracy']:.3f}, {seconds:.0f} CPU-seconds, wrote {options.output}")


if __name__ == "__main__":
    main()
