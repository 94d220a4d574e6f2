"""Which pixels would change the score: the gradient of a logit with respect to the picture.

Saliency (Simonyan, Vedaldi, Zisserman 2013, arXiv:1312.6034):
    M = max over channels of |∂ S_c(x) / ∂ x|
SmoothGrad (Smilkov et al. 2017, arXiv:1706.03825):
    M = max over channels of |mean over i of ∂ S_c(x + ε_i) / ∂ x|,  ε_i ~ N(0, (σ (max x − min x))²)
Gradient × input (Shrikumar et al. 2016, arXiv:1605.01713):
    M = Σ over channels of z · ∂ S_c / ∂ z,  z the normalised picture

S_c is the logit of the class that the network predicts. Pictures are in [0, 1], RGB where there are three channels.

Leaves ``pictures`` (n, h, w, c) uint8 or float32, as the network saw them; ``gradient``, ``smoothgrad``, ``gradient_x_input``
(n, h, w) float32; ``index`` (n,) into the image set; ``target`` (n,), ``label`` (n,; −1 where unknown), ``logit``,
``probability`` (n,).
"""

from collections.abc import Callable

import numpy as np
import torch
from tqdm import tqdm

from cnnviz import images, models
from cnnviz.job import Job, run

Score = Callable[[torch.Tensor], torch.Tensor]


def gradient(logits: Score, x: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """∂ logits(x)[i, target[i]] / ∂ x[i], the shape of x (n, c, h, w). target: (n,) int64."""
    x = x.detach().requires_grad_(True)
    score = logits(x).gather(1, target[:, None]).sum()  # a picture's score depends on no other picture
    return torch.autograd.grad(score, x)[0]


def saliency(logits: Score, x: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Simonyan's map: (n, h, w), ≥ 0, in logits per unit of pixel value."""
    return gradient(logits, x, target).abs().amax(1)


def smoothgrad(
    logits: Score,
    x: torch.Tensor,
    target: torch.Tensor,
    *,
    samples: int,
    noise: float,
    generator: torch.Generator,
    batch: int = 32,
) -> torch.Tensor:
    """Smilkov's map of one picture x (1, c, h, w): (1, h, w), ≥ 0. ``noise`` is σ, a share of max x − min x.

    The generator lives on the CPU, so the same seed gives the same noise on every device.
    """
    sigma = noise * (x.max() - x.min())
    total = torch.zeros_like(x)
    for start in range(0, samples, batch):
        n = min(batch, samples - start)
        epsilon = torch.randn((n, *x.shape[1:]), generator=generator, dtype=x.dtype).to(x.device)
        total += gradient(logits, x + sigma * epsilon, target.expand(n)).sum(0, keepdim=True)
    return (total / samples).abs().amax(1)


def gradient_x_input(net: Score, z: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """(n, h, w), signed: what a linear network's logit would owe to each pixel; z: normalised pictures."""
    return (gradient(net, z, target) * z).sum(1)


def main(job: Job) -> None:
    model = models.load(job)
    image_set = images.read(job.inputs["images"], job.image_set)
    probes = image_set.probes(job.model["probes"])
    found: dict[str, list] = {name: [] for name in ("pictures", "gradient", "smoothgrad", "gradient_x_input")}
    found |= {name: [] for name in ("target", "label", "logit", "probability")}
    arrays = image_set.arrays(model.preprocess.geometry, probes, job.threads)
    for i, picture in zip(probes, tqdm(arrays, "saliency", len(probes), mininterval=1), strict=True):
        x = model.pictures([picture])
        with torch.no_grad():
            scores = model.logits(x)[0]
        target = scores.argmax()[None]
        label = image_set.pictures[i].label
        output = None if label is None else model.label_to_output[label]
        generator = torch.Generator().manual_seed(job.seed_for("smoothgrad", image_set.pictures[i].id))
        found["pictures"].append(picture)
        found["gradient"].append(saliency(model.logits, x, target)[0].cpu().numpy())
        smooth = smoothgrad(
            model.logits,
            x,
            target,
            samples=job.parameters["samples"],
            noise=job.parameters["noise"],
            generator=generator,
        )
        found["smoothgrad"].append(smooth[0].cpu().numpy())
        found["gradient_x_input"].append(gradient_x_input(model.net, model.normalise(x), target)[0].cpu().numpy())
        found["target"].append(int(target))
        found["label"].append(-1 if output is None else output)
        found["logit"].append(float(scores[target]))
        found["probability"].append(float(model.probabilities(scores)[target]))
    job.write(
        {name: np.array(values) for name, values in found.items()} | {"index": np.array(probes)},
        provenance=model.provenance,
    )


if __name__ == "__main__":
    run(main)
