"""The demo's pictures for style transfer, drawn by this project's own code: a scene, a painterly pattern and a window.

    python -m cnnviz.demo.artwork --content content.png --style style.png --glass glass.png

The styles are our own compositions, made for Gatys' method. One has few colours and short strokes that follow a
swirling flow. The other has flat cold colours between dark lines. So hue, direction and scale are easy to recognise,
and to tell apart, in another picture.
"""

import argparse
import os
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from cnnviz.demo import grounds
from cnnviz.demo.shapes import KINDS, PALETTE, Colour, mix

_SAMPLES = 3


def content(size: int = 256) -> Image.Image:
    """A lake before hills on a bright day, with house, trees, boats, car, dog and flowers; (size, size) RGB."""
    fine = size * _SAMPLES
    rng = np.random.default_rng(11)
    x, y = np.meshgrid(np.linspace(0, 1, size), np.linspace(0, 1, size))
    picture, _ = grounds.paint("sky", rng, size)
    hills = [
        (0.37, 0.055, 5.0, (0.55, 0.64, 0.76)),
        (0.42, 0.045, 8.0, (0.38, 0.52, 0.47)),
        (0.46, 0.020, 11.0, (0.29, 0.46, 0.27)),
    ]
    for level, rise, waves, colour in hills:
        line = level + rise * (np.sin(waves * x + 5 * level * 10) + 0.5 * np.sin(2.3 * waves * x + 1)) / 1.5
        picture = _lay(picture, np.broadcast_to(np.array(colour), picture.shape), np.clip((y - line) * size, 0, 1))
    water, _ = grounds.paint("water", rng, size)
    picture = _lay(picture, water * 0.8 + 0.2 * picture[::-1], np.clip((y - 0.47) * size, 0, 1))
    shore = 0.64 - 0.10 * np.cos(2.2 * np.pi * (x - 0.16)) + 0.05 * x
    sand, _ = grounds.paint("sand", rng, size)
    grass, _ = grounds.paint("grass", rng, size)
    picture = _lay(picture, sand, np.clip((y - shore) * size, 0, 1))
    picture = _lay(picture, grass * 1.08, np.clip((y - shore - 0.025 - 0.01 * np.sin(31 * x)) * size / 3, 0, 1))

    # name, colour, x of the centre and y of the foot, half-width, random seed: from far to near
    things = [
        ("boat", "white", 0.46, 0.535, 0.055, 1),
        ("boat", "red", 0.66, 0.60, 0.12, 4),
        ("tree", "green", 0.07, 0.66, 0.15, 3),
        ("tree", "orange", 0.43, 0.74, 0.10, 9),
        ("house", "yellow", 0.235, 0.80, 0.18, 5),
        ("tree", "green", 0.93, 0.86, 0.20, 12),
        ("car", "red", 0.63, 0.88, 0.135, 8),
        ("husky", "grey", 0.40, 0.955, 0.085, 2),
        ("flower", "pink", 0.07, 0.985, 0.075, 6),
        ("flower", "yellow", 0.16, 1.0, 0.06, 7),
        ("mushroom", "red", 0.84, 0.985, 0.07, 10),
    ]
    for name, colour, cx, foot, half, seed in things:
        parts = KINDS[name].outlines(np.random.default_rng(seed), PALETTE[colour])
        every = np.concatenate([part.outline for part in parts])
        scale, shift = half, np.array([cx, foot - half * every[:, 1].max()])
        paint, relief = Image.new("RGBA", (fine, fine)), Image.new("L", (fine, fine))
        pens = ImageDraw.Draw(paint), ImageDraw.Draw(relief)
        for part in parts:
            outline = ((part.outline * scale + shift) * fine).ravel().tolist()
            pens[0].polygon(outline, fill=(*(int(255 * c) for c in part.colour), 255))
            pens[1].polygon(outline, fill=int(90 + 165 * part.height))
        layer = np.asarray(paint.convert("RGBa").reduce(_SAMPLES), dtype=np.float32) / 255
        height = relief.reduce(_SAMPLES).filter(ImageFilter.GaussianBlur(half * size * 0.10))
        height = np.asarray(height, dtype=np.float32) / 255
        shade = 1 + 2.2 * np.clip(np.gradient(height, axis=1) + np.gradient(height, axis=0), -0.2, 0.2)
        # The sun is on the left: shadows fall to the right, flat on the ground. Water shows the mirror image instead.
        blot = Image.new("L", (fine, fine))
        pen = ImageDraw.Draw(blot)
        for part in parts:
            above = foot - (part.outline * scale + shift)[:, 1]
            at = (part.outline * scale + shift)[:, 0] + (0.0 if name == "boat" else 0.55) * above
            fall = foot + 0.45 * above if name == "boat" else foot - 0.22 * above
            pen.polygon((np.column_stack([at, fall]) * fine).ravel().tolist(), fill=255)
        soft = blot.reduce(_SAMPLES).filter(ImageFilter.GaussianBlur(size / 150))
        picture = picture * (1 - 0.42 * np.asarray(soft, dtype=np.float32)[..., None] / 255)
        picture = picture * (1 - layer[..., 3:]) + layer[..., :3] * shade[..., None]
    return _image(picture)


def style(size: int = 256) -> Image.Image:
    """Short thick strokes along four whirls, plum, brick and ochre with teal at their centres; (size, size) RGB."""
    rng = np.random.default_rng(4)
    fine = size * 2
    canvas = Image.new("RGB", (fine, fine), (70, 20, 48))
    pen = ImageDraw.Draw(canvas)
    whirls = [(0.27, 0.30, 0.20, 1.0), (0.76, 0.22, 0.15, -1.0), (0.66, 0.70, 0.24, 1.0), (0.14, 0.80, 0.15, -1.0)]
    field: list[Colour] = [
        (0.30, 0.07, 0.20), (0.55, 0.12, 0.20), (0.80, 0.29, 0.16), (0.93, 0.55, 0.24), (0.48, 0.14, 0.34),
    ]  # fmt: skip
    heart: list[Colour] = [(0.07, 0.47, 0.47), (0.36, 0.76, 0.66), (0.97, 0.93, 0.76), (0.05, 0.24, 0.34)]

    def flow(p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(n, 2) points → unit directions of the strokes there, and closeness to the centre of a whirl, 0 … 1."""
        way = np.stack([np.ones(len(p)) * 0.55, 0.40 * np.sin(5.5 * p[:, 0] + 2.5 * p[:, 1])], axis=1)
        near = np.zeros(len(p))
        for x, y, r, sense in whirls:
            d = p - (x, y)
            pull = np.exp(-((d**2).sum(axis=1)) / (2 * (0.62 * r) ** 2))
            way += 4.0 * sense * pull[:, None] * np.stack([-d[:, 1], d[:, 0]], axis=1) / r
            near = np.maximum(near, pull)
        return way / np.maximum(np.linalg.norm(way, axis=1, keepdims=True), 1e-6), near

    # Three coats with finer and finer strokes. Each stroke follows the flow for a few short steps.
    for count, wide, steps in ((1500, 0.026, 9), (2200, 0.017, 8), (1800, 0.009, 8)):
        p = rng.uniform(-0.05, 1.05, (count, 2))
        path = [p]
        for _ in range(steps):
            way, _ = flow(path[-1])
            path.append(path[-1] + way * 0.011)
        _, near = flow(path[steps // 2])
        lines = (np.stack(path, axis=1) * fine).reshape(count, -1)
        rings = 0.5 + 0.5 * np.sin(16 * near + 0.5)
        for line, close, ring, luck, pick in zip(lines, near, rings, rng.random(count), rng.random(count), strict=True):
            colours = heart if luck < (close - 0.30) * 1.6 * (0.35 + 0.65 * ring) else field
            band = 0.75 * ring + 0.25 * pick if colours is field else pick
            colour = colours[min(int(band * len(colours)), len(colours) - 1)]
            colour = mix(colour, (1.0, 0.98, 0.92), 0.14 * rng.random())
            _stroke(pen, line, wide * fine * rng.uniform(0.7, 1.15), colour)
    # Paint has a relief: light from the upper left brightens the strokes' ridges.
    grey = np.asarray(canvas.convert("L").filter(ImageFilter.GaussianBlur(1.0)), dtype=np.float32) / 255
    ridge = np.clip(np.gradient(grey, axis=0) + np.gradient(grey, axis=1), -0.12, 0.12)
    picture = np.asarray(canvas, dtype=np.float32) / 255 * (1 + 0.8 * ridge[..., None])
    return _image(picture).resize((size, size), Image.Resampling.LANCZOS)


def glass(size: int = 256) -> Image.Image:
    """A leaded window: panes of cold colours, a few of yellow, between dark lines; (size, size) RGB."""
    rng = np.random.default_rng(7)
    fine = size * _SAMPLES
    y, x = np.mgrid[:fine, :fine].astype(np.float32) / fine
    # A pane is the points nearest to its seed, squeezed in height, so panes are upright. A grid keeps sizes similar.
    across, down = 11, 7
    seeds = np.stack(np.meshgrid(np.arange(-1, across + 1), np.arange(-1, down + 1)), axis=-1).reshape(-1, 2)
    seeds = (seeds + 0.5 + rng.uniform(-0.42, 0.42, seeds.shape) + (seeds[:, 1:] % 2) * (0.5, 0)) / (across, down)
    first, second = np.full(x.shape, np.inf, np.float32), np.full(x.shape, np.inf, np.float32)
    pane = np.zeros(x.shape, int)
    for i, (u, v) in enumerate(seeds):
        d = np.hypot((x - u) * across, (y - v) * down).astype(np.float32)
        pane = np.where(d < first, i, pane)
        first, second = np.minimum(first, d), np.minimum(second, np.maximum(first, d))
    colours: list[Colour] = [
        (0.05, 0.17, 0.45), (0.10, 0.38, 0.70), (0.36, 0.67, 0.86), (0.75, 0.90, 0.95), (0.06, 0.42, 0.36),
        (0.42, 0.70, 0.45), (0.97, 0.86, 0.35),
    ]  # fmt: skip
    picks = rng.choice(len(colours), len(seeds), p=(0.22, 0.22, 0.16, 0.14, 0.10, 0.10, 0.06))
    tones = np.array(colours)[picks] * rng.uniform(0.88, 1.1, (len(seeds), 1))
    # Old glass is uneven: each pane is lighter in its centre and has its own streaks.
    streaks = 0.05 * np.sin(90 * (x * 0.3 + y) + rng.uniform(0, 6.3, len(seeds))[pane])
    picture = tones[pane] * (1.12 - 0.35 * first + streaks)[..., None]
    lead = np.clip(((second - first) - 0.085) / 0.05, 0, 1)[..., None]
    ridge = np.clip(1 - np.abs(second - first) / 0.03, 0, 1)[..., None]  # light along the centre of the lead
    picture = picture * lead + (0.05 + 0.13 * ridge) * (1 - lead)
    return _image(picture).resize((size, size), Image.Resampling.LANCZOS)


def _stroke(pen: ImageDraw.ImageDraw, line: np.ndarray, wide: float, colour: Colour) -> None:
    """One round-ended stroke: a dark lower edge, the body, a thin light line along the upper edge."""
    d = wide * 0.16
    for offset, width, tone in ((d, wide, mix(colour, (0, 0, 0.05), 0.35)), (0.0, wide * 0.86, colour),
                                (-d * 1.2, wide * 0.2, mix(colour, (1, 1, 1), 0.28))):  # fmt: skip
        fill = tuple(int(255 * min(max(c, 0), 1)) for c in tone)
        shifted = (line + offset).tolist()
        pen.line(shifted, fill=fill, width=max(1, round(width)), joint="curve")
        for x, y in (shifted[:2], shifted[-2:]):
            pen.ellipse((x - width / 2, y - width / 2, x + width / 2, y + width / 2), fill=fill)


def _lay(below: np.ndarray, above: np.ndarray, cover: np.ndarray) -> np.ndarray:
    return below + (above - below) * cover[..., None]


def _image(picture: np.ndarray) -> Image.Image:
    return Image.fromarray((np.clip(picture, 0, 1) * 255 + 0.5).astype(np.uint8))


def save(picture: Image.Image, path: Path) -> None:
    """Writes a PNG beside `path`, then moves it to `path`, so that no incomplete picture is visible."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    picture.save(beside, format="PNG", optimize=True)
    os.replace(beside, path)


def main(arguments: list[str] | None = None) -> None:
    """Command line: draws the requested pictures."""
    parser = argparse.ArgumentParser(prog="python -m cnnviz.demo.artwork", description=__doc__.split("\n")[0])
    parser.add_argument("--content", type=Path, help="where to write the scene, a PNG")
    parser.add_argument("--style", type=Path, help="where to write the painterly pattern, a PNG")
    parser.add_argument("--glass", type=Path, help="where to write the leaded window, a PNG")
    parser.add_argument("--size", type=int, default=256, help="edge in pixels (default: %(default)s)")
    options = parser.parse_args(arguments)
    wanted = ((options.content, content), (options.style, style), (options.glass, glass))
    if not any(path for path, _ in wanted):
        parser.error("nothing to draw: give --content, --style, --glass or several of them")
    for path, draw in wanted:
        if path is not None:
            save(draw(options.size), path)


if __name__ == "__main__":
    main()
