"""LIME, compared with the ``lime`` package: ``python -m benchmarks.lime``.

AlexNet with random weights at 224 px, 400 samples, the same superpixels, batches, filling and classes, two threads.
The package computes probabilities with the same model. Both sides alternate and the fastest of a few runs counts. A
bare forward over the same number of pictures in memory is listed, too: LIME cannot be faster than that by batching
alone.
"""

import time

import torch
from lime import lime_image
from skimage.data import chelsea
from skimage.transform import resize

from benchmarks.ascent import alexnet
from cnnviz.attribution.lime import BATCH, explain, superpixels

SAMPLES, SUPERPIXELS = 400, 60
CLASSES = [281, 285, 0]
BAR = 0.5


def measure(repeats: int = 2) -> list[tuple[str, float, float]]:
    """(what, our time / theirs, the upper limit)."""
    torch.set_num_threads(2)
    lime_image.tqdm = iter  # no progress bar
    model = alexnet()
    model.net.requires_grad_(False)
    picture = resize(chelsea(), (224, 224)).astype("float32")
    x = model.pictures([picture])
    segments = superpixels(x, SUPERPIXELS)
    batch = torch.rand(BATCH, 3, 224, 224).contiguous(memory_format=torch.channels_last)

    def predict(pictures):
        with torch.inference_mode():
            return model.probabilities(model.logits(model.pictures(pictures))).numpy()

    def ours():
        generator, targets = torch.Generator().manual_seed(0), torch.tensor(CLASSES)
        return explain(
            model, x, targets, segments, samples=SAMPLES, hide="mean_colour", generator=generator, precision="auto"
        )

    def theirs():
        return lime_image.LimeImageExplainer(random_state=0).explain_instance(
            picture,
            predict,
            labels=CLASSES,
            top_labels=None,
            num_samples=SAMPLES,
            batch_size=BATCH,
            segmentation_fn=lambda picture: segments.numpy(),
        )

    def bare():
        with torch.inference_mode():
            for _ in range(SAMPLES // BATCH):
                model.net(batch)

    best = dict.fromkeys((ours, theirs, bare), float("inf"))
    for _ in range(repeats):
        for side in best:
            began = time.perf_counter()
            side()
            best[side] = min(best[side], time.perf_counter() - began)
    seconds = f"({best[ours]:.1f} s / {best[theirs]:.1f} s)"
    return [
        (f"LIME, AlexNet 224 px, {SAMPLES} samples / lime package {seconds}", best[ours] / best[theirs], BAR),
        (f"LIME / bare forward of {SAMPLES} pictures ({best[bare]:.1f} s)", best[ours] / best[bare], 1),
    ]


if __name__ == "__main__":
    for what, ratio, bar in measure():
        print(f"{what}: {ratio:.2f} (bar {bar})")
