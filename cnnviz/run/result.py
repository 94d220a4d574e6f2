"""The result of a compute job: arrays, numbers, parameters and seed, in one file that is replaced atomically.

A result is a compressed ``.npz`` whose entry ``meta`` is JSON. The same input gives the same bytes: seconds, memory and
hosts are in Snakemake's ``benchmark:`` files.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cnnviz.run.atomic import replacing

SCHEMA = 1


@dataclass(frozen=True)
class Result:
    """Result of one technique on one model.

    arrays: name → array, as described in the technique's docstring. status: "ok", or "not_applicable" with a ``reason``
    for readers of the gallery. numbers: name → JSON value: small results, such as accuracies and objective values.
    parameters: the technique's config block, as it was used. seed: the seed of all random numbers. provenance: code (a
    hash), version (of cnnviz), packages (their versions), device, checkpoint (names and hashes).
    """

    arrays: dict[str, np.ndarray]
    status: str
    reason: str
    numbers: dict
    parameters: dict
    seed: int
    provenance: dict


def inherited(result: Result, name: str) -> dict:
    """Provenance of a result made from ``result``: its device, its checkpoint, and its code under ``name``."""
    own = ("code", "version", "packages")
    return {key: v for key, v in result.provenance.items() if key not in own} | {name: result.provenance["code"]}


def write(path: str | os.PathLike, result: Result) -> None:
    """Replaces the file at ``path`` by ``result``. Raises ValueError for an array named ``meta`` or with objects."""
    if "meta" in result.arrays:
        raise ValueError("'meta' is reserved for the result's JSON part")
    for name, array in result.arrays.items():
        if np.asarray(array).dtype.hasobject:
            raise ValueError(f"array '{name}' holds Python objects; results hold numbers and fixed-width strings")
    meta = {
        "schema": SCHEMA,
        "status": result.status,
        "reason": result.reason,
        "numbers": result.numbers,
        "parameters": result.parameters,
        "seed": result.seed,
        "provenance": result.provenance,
    }
    text = json.dumps(meta, sort_keys=True, allow_nan=False)
    with replacing(path) as temporary, open(temporary, "wb") as file:
        np.savez_compressed(file, meta=np.array(text), **result.arrays)


def read(path: str | os.PathLike) -> Result:
    """Reads a result, with its arrays in memory. Raises ValueError for another schema version."""
    with np.load(Path(path), allow_pickle=False) as file:
        meta = json.loads(str(file["meta"]))
        if meta["schema"] != SCHEMA:
            raise ValueError(f"{path}: schema {meta['schema']}, this code reads {SCHEMA}; run the pipeline again")
        arrays = {name: file[name] for name in file.files if name != "meta"}
    del meta["schema"]
    return Result(arrays=arrays, **meta)
