"""Facts about a network, and the config's choice of layers and feature vector, without opening the network.

``network.json`` holds facts that follow from the network alone. A change of the chosen layers must not rerun everything
that uses the network. So each job resolves its own choices from there; for the views and pages
:mod:`cnnviz.network.model` does it once.
"""

import json
import os
from pathlib import Path

from cnnviz.errors import UserError, unknown

SCHEMA = 1
# The trial's results for a file of an earlier version, which has none: see cnnviz.network.trial.
UNTRIED = {
    "batch": [1, None],
    "channels_last": False,
    "step": 1,
    "gradients": "",
    "no_gradient": [],
    "answers": [],
}
NO_SCORES_LAYER = {"scores_layer": ""}  # in a file of an earlier version: see cnnviz.network.trial.scores_layer


def read(path: str | os.PathLike) -> dict:
    """The facts in network.json or model.json. Raises UserError for another schema version."""
    facts = json.loads(Path(path).read_text("utf-8"))
    if facts["schema"] != SCHEMA:
        raise UserError(f"{path}: schema {facts['schema']}, this code reads {SCHEMA}; run the pipeline again")
    return {"trial": UNTRIED} | NO_SCORES_LAYER | facts


def find(facts: dict, name: str, key: str = "layer") -> dict:
    """The layer of a short or dotted name. Raises UserError with the valid ones, under the config's ``key``."""
    for layer in facts["layers"]:
        if name in (layer["name"], layer["module"]):
            return layer
    raise unknown(f"model {facts['id']}: {key}", name, [layer["name"] for layer in facts["layers"]])


def chosen(facts: dict, wanted: str | list[str]) -> list[str]:
    """Short names of the layers to show: the named ones, or about a dozen for "default"."""
    if wanted == "default":
        return facts["default_layers"]
    return [find(facts, name, "layers")["name"] for name in wanted]


def feature(facts: dict, wanted: str) -> dict:
    """The feature vector: its position (``at``: module, "input" or "output"), its name and its size.

    "auto" is the input of the last linear layer, or else the pooled last convolution. A layer's name is that layer's
    output, averaged over positions.
    """
    if wanted == "auto":
        return facts["feature"]
    layer = find(facts, wanted, "feature_layer")
    pooled = ", mean over positions" if layer["height"] * layer["width"] > 1 else ""
    return {"at": [layer["module"], "output"], "name": layer["name"] + pooled, "size": layer["units"]}
