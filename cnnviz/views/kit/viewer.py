"""The maps of a figure as numbers, in a script that the gallery's viewer loads (``templates/assets/viewer.js``).

Pages opened from disk may not read data files, so the numbers are a script. Levels are 8 bits: a value is known to
1/510 of its map's range.
"""

import base64
import json

import numpy as np
from PIL import Image

from cnnviz.views.kit import colour
from cnnviz.views.kit.colour import Mapping
from cnnviz.views.kit.section import Context, fit

SIDE = 112  # largest side of a published map; larger maps are averaged over blocks of pixels


def write(
    context: Context,
    id: str,
    box: tuple[int, int, int, int],
    classes: list[str],
    said: list[str],
    methods: dict[str, tuple[np.ndarray, list[Mapping]]],
) -> str:
    """Adds the maps of the figure ``id`` to its section's files, and returns the script's name.

    box: left, top, width, height of the picture in pixels of the figure. classes: the name of each map's class; two
    networks are compared by it. said: the same with what is said of it.
    methods: title → maps (classes, height, width), and the mapping of each in the figure.
    """
    tables = {mapping.colours for _, mappings in methods.values() for mapping in mappings}
    tables |= {colour.GREY, colour.POSITIVE, colour.SIGNED}  # to choose from
    data = {
        "box": box,
        "classes": [fit(name) for name in classes],
        "said": [fit(text) for text in said],
        "methods": [
            {"title": title, "maps": [_packed(values, mapping) for values, mapping in zip(*method, strict=True)]}
            for title, method in methods.items()
        ],
        "tables": {name: _text(colour.table(name)) for name in sorted(tables)},
    }
    name = f"{id}.maps.js"
    # "<" could end the script, should a page ever hold it
    text = json.dumps(data, ensure_ascii=True, sort_keys=True, allow_nan=False).replace("<", "\\u003c")
    context.file(name, f"window.cnnvizMaps.set(document.currentScript, {text});\n".encode())
    return name


def _packed(values: np.ndarray, mapping: Mapping) -> dict:
    """One map: size, smallest and largest value, its levels, and its colours with their ends in the figure."""
    values = np.nan_to_num(np.asarray(values, np.float32))
    height, width = values.shape
    blocks = -(-max(height, width) // SIDE)
    mean = ""
    if blocks > 1:
        mean = f", mean of {'about ' * bool(width % blocks or height % blocks)}{blocks} × {blocks} pixels"
        size = (-(-width // blocks), -(-height // blocks))
        values = np.asarray(Image.fromarray(values).resize(size, Image.Resampling.BOX))
    low, high = float(values.min()), float(values.max())
    levels = np.rint((values - low) * (255 / (high - low) if high > low else 0)).astype(np.uint8)
    return {
        "size": levels.shape[::-1],
        "mean": mean,
        "low": low,
        "high": high,
        "levels": _text(levels),
        "colours": mapping.colours,
        "ends": np.nan_to_num([mapping.low, mapping.high]).tolist(),
    }


def _text(numbers: np.ndarray) -> str:
    return base64.b64encode(np.ascontiguousarray(numbers).tobytes()).decode()
