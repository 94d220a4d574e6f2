"""Reads the config, checks it against the schema in ``rules/schemas/``, and adds that schema's defaults.

Everything that can be checked without torch is checked here, before anything runs: keys, values, paths, names of image
sets.
"""

import argparse
import copy
import functools
import math
import os
from collections.abc import Iterable, Iterator
from itertools import permutations
from pathlib import Path

import yaml
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError, best_match
from jsonschema.validators import extend

from cnnviz.errors import UserError, quoted, reporting, unknown
from cnnviz.network.shards import parts
from cnnviz.run import user_code

ROOT = Path(__file__).parent.parent
SCHEMAS = ROOT / "rules" / "schemas"

# JSON schema accepts 32.0 as an integer, but code that counts with it does not.
_VALIDATOR = extend(
    Draft202012Validator,
    type_checker=Draft202012Validator.TYPE_CHECKER.redefine(
        "integer", lambda _, value: isinstance(value, int) and not isinstance(value, bool)
    ),
)


def complete(config: dict) -> dict:
    """A copy of ``config`` with every default. Raises UserError that states what is wrong and what is valid.

    ``sections`` of the result holds the sections that are on, in the gallery's order, each with all its parameters;
    ``techniques`` also those that are off, since a section may need what another one computes.
    """
    schema = whole_schema()
    if not isinstance(config, dict):
        raise UserError(f"the config: {type(config).__name__} instead of keys and values")
    _check_plain(config)
    config = copy.deepcopy(config)
    order = schema["properties"]["sections"]["properties"]
    sections = config.get("sections")
    off = set()
    if isinstance(sections, list):  # only these
        for name in sections:
            if name not in list(order):  # a name may be unhashable
                raise unknown("sections", name, order)
        off, config["sections"] = order.keys() - set(sections), {}
    elif isinstance(sections, dict):
        off = {name for name, block in sections.items() if block is False}
        config["sections"] = {
            n: {} if block is None or isinstance(block, bool) else block for n, block in sections.items()
        }
    errors = list(_VALIDATOR(schema).iter_errors(config))
    if errors:
        raise UserError(_explain(best_match(errors), schema))
    config = _with_defaults(_with_preset(config, presets(schema).get(config.get("preset"), {})), schema)
    _limit(config)
    config["techniques"] = config["sections"]
    config["sections"] = {name: config["sections"][name] for name in order if name not in off}
    for name, block in config["image_sets"].items():
        _check_image_set(f"image_sets.{name}", block)
    for name, block in config["models"].items():
        _check_model(f"models.{name}", block, list(config["image_sets"]))
    for name, block in config["sections"].items():
        _check_given(f"sections.{name}", block, order[name]["properties"], config["models"])
    return config


def _check_plain(value, path: tuple[str, ...] = ()) -> None:
    """Raises UserError for values that are not JSON: dates, sets, infinite numbers, keys that are not text."""
    where = ".".join(path) or "the config"
    if len(path) > 20:
        raise UserError(f"{'.'.join(path[:5])}: nested too deeply, or containing itself")
    if isinstance(value, dict):
        for key, inner in value.items():
            if not isinstance(key, str):
                raise UserError(f"{where}: the key {quoted(key)} is read as {type(key).__name__}; put it into quotes")
            _check_plain(inner, (*path, key))
    elif isinstance(value, list):
        for i, inner in enumerate(value):
            _check_plain(inner, (*path, str(i)))
    elif isinstance(value, float) and not math.isfinite(value):
        raise UserError(f"{where}: {value} is not a finite number")
    elif isinstance(value, int) and abs(value) >= 2**63:
        raise UserError(f"{where}: {quoted(value)} is too large a number; it has to be below 2 ** 63")
    elif not (value is None or isinstance(value, str | int | float)):
        raise UserError(
            f"{where}: {quoted(value)} is read as {type(value).__name__}; put it into quotes if a text is meant"
        )


def _with_preset(config: dict, preset: dict) -> dict:
    """``config`` with missing values from ``preset``, whose ``model`` applies to every model."""

    def merge(ours, theirs):
        if not (isinstance(ours, dict) and isinstance(theirs, dict)):
            return ours
        return theirs | {key: merge(value, theirs[key]) if key in theirs else value for key, value in ours.items()}

    preset = dict(preset)
    model = preset.pop("model", {})
    config = merge(config, preset)
    return config | {"models": {name: merge(block, model) for name, block in config["models"].items()}}


def _limit(config: dict) -> None:
    """Limits every number of images, probes, classes and units by ``limits``; lists of names are not changed."""

    def cap(block: dict, key: str, most: int | None) -> None:
        value = block.get(key)
        if most is not None and key in block and (value in (None, "all") or isinstance(value, int)):
            block[key] = min(value, most) if isinstance(value, int) else most

    limits = config["limits"]
    for block in config["image_sets"].values():
        cap(block, "count" if block["kind"] == "demo" else "limit", limits["images"])
    for block in config["models"].values():
        cap(block, "probes", limits["probes"])
    for name, block in config["sections"].items():
        # templates are fitted all at once, and fewer would make their task easier than the network's
        if name != "linear_templates":
            cap(block, "classes", limits["classes"])
        for part in (block, block["view"]):
            cap(part, "units", limits["units"])


@functools.cache
def whole_schema() -> dict:
    """The schema of the config as one tree, with its sections, a file for each room, in the gallery's order."""
    schema = _resolved(*_found("config.schema.yaml", {}))
    sections = schema["properties"]["sections"]
    sections["properties"] = {
        name: block for room in sections.pop("allOf") for name, block in room["properties"].items()
    }
    return schema


def presets(schema: dict) -> dict:
    """Preset → its values, a config whose ``model`` applies to every model."""
    properties = schema["properties"]
    sections = {name: block.get("x-presets", {}) for name, block in properties["sections"]["properties"].items()}
    return {
        preset: {
            "limits": properties["limits"]["x-presets"].get(preset, {}),
            "model": properties["models"]["additionalProperties"]["x-presets"].get(preset, {}),
            "sections": {name: changes[preset] for name, changes in sections.items() if preset in changes},
        }
        for preset in properties["preset"]["enum"]
    }


def _resolved(node, file: dict):
    """A part of a schema file with every ``$ref`` replaced by its target; keys beside the ``$ref`` take precedence."""
    if isinstance(node, list):
        return [_resolved(item, file) for item in node]
    if not isinstance(node, dict):
        return node
    node = {key: _resolved(value, file) for key, value in node.items() if key != "$defs"}
    if isinstance(node.get("$ref"), str):
        node = _resolved(*_found(node.pop("$ref"), file)) | node
    return node


def _found(reference: str, file: dict) -> tuple[dict, dict]:
    """The target of ``name.yaml#/path`` or ``#/path``, and the file with it. file: the file with the reference."""
    name, _, path = reference.partition("#/")
    found = file = _schema_file(name) if name else file
    for part in path.split("/") if path else ():
        found = found[part]
    return found, file


@functools.cache
def _schema_file(name: str) -> dict:
    # libyaml, if PyYAML has it, reads the thousand lines ten times as fast
    return yaml.load((SCHEMAS / name).read_text("utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader))


def _with_defaults(value, schema: dict):
    if not isinstance(value, dict):
        return value
    known = schema.get("properties", {})
    full = {}
    for key, rule in known.items():
        if key in value or "default" in rule:
            full[key] = _with_defaults(value.get(key, copy.deepcopy(rule.get("default"))), rule)
    for key in value.keys() - known.keys():
        full[key] = _with_defaults(value[key], schema.get("additionalProperties") or {})
    if "properties" not in schema and not isinstance(schema.get("additionalProperties"), dict):
        return value
    # keys without an order in the schema keep the user's: models appear in the gallery as listed
    return full if known else {key: full[key] for key in value}


def _explain(error: ValidationError, schema: dict) -> str:
    """One line for users: where the error is, what is wrong, what is valid."""
    where = ".".join(str(p) for p in error.absolute_path) or "the config"
    if error.validator in ("additionalProperties", "unevaluatedProperties"):
        valid = list(error.schema.get("properties", {}))
        wrong = [key for key in error.instance if key not in valid]
        return str(unknown(f"{where}: key", wrong[0], valid)) if wrong else f"{where}: {error.message}"
    if error.validator == "required":
        missing = [key for key in error.validator_value if key not in error.instance]
        return f"{where}: the key {missing[0]!r} is missing"
    if error.validator == "enum":
        return str(unknown(where, error.instance, error.validator_value))
    if error.validator == "pattern":
        described = error.schema.get("description", f"must match {error.validator_value}")
        return f"{where}: {quoted(error.instance)} is not valid: {described}"
    if error.validator == "type":
        wanted = error.validator_value
        wanted = wanted if isinstance(wanted, str) else " or ".join(wanted)
        described = f" ({error.schema['description']})" if "description" in error.schema else ""
        return f"{where}: {quoted(error.instance)} is not of type {wanted}{described}"
    return f"{where}: {error.message.replace(repr(error.instance), quoted(error.instance))}"


def _check_image_set(where: str, block: dict) -> None:
    if block["kind"] == "demo":
        return
    if "path" not in block:
        raise UserError(f"{where}: the key 'path' is missing")
    path = exists(f"{where}.path", block["path"])
    if block["kind"] == "folder" and not path.is_dir():
        raise UserError(f"{where}.path: {path} is a file; kind: folder needs a folder, kind: csv a table")
    if block["kind"] == "csv" and not path.is_file():
        table = next((p for p in (path / "metadata.csv", path / "metadata.jsonl") if p.is_file()), None)
        words = f"; write path: {table}" if table else ", kind: folder a folder"
        raise UserError(f"{where}.path: {path} is a folder; kind: csv needs a table{words}")
    if block["root"] is not None:
        if block["kind"] != "csv":
            raise UserError(f"{where}.root: for kind: csv only; the path of a folder is its root")
        if not exists(f"{where}.root", block["root"]).is_dir():
            raise UserError(f"{where}.root: {block['root']} is a file; a table's paths are relative to a folder")
    if block["masks"] is not None:
        if block["kind"] != "folder":
            raise UserError(f"{where}.masks: a folder of masks is for kind: folder; a table has a mask_column:")
        if not exists(f"{where}.masks", block["masks"]).is_dir():
            raise UserError(f"{where}.masks: {block['masks']} is a file, not a folder")
    if block["loader"]:
        _check_code(f"{where}.loader", block["loader"])
    if block["window"] and block["window"][0] == block["window"][1]:
        raise UserError(f"{where}.window: black and white are both {block['window'][0]}; give two different values")
    if block["roles"]:
        if block["kind"] != "folder":
            raise UserError(f"{where}.roles: subfolders are for kind: folder; a table has a role_column:")
        _check_roles(f"{where}.roles", path, block["roles"])


def _check_roles(where: str, path: Path, roles: dict[str, list[str]]) -> None:
    """Raises UserError if ``roles`` do not name different subfolders of the folder at ``path``."""
    folders = [folder.strip("/") for named in roles.values() for folder in named]
    for folder in folders:
        if Path(folder) == Path() or ".." in Path(folder).parts:
            raise UserError(f"{where}: {quoted(folder)} is not a folder inside {path}; name some of its subfolders")
        if not exists(where, f"{path}/{folder}").is_dir():
            raise UserError(f"{where}: {path}/{folder} is a file; name subfolders")
    twice = [a for a, b in permutations(folders, 2) if f"{a}/".startswith(f"{b}/")]
    if twice:
        raise UserError(f"{where}: {twice[0]} is named twice, or is inside another of these folders")


def _check_code(where: str, place: str) -> None:
    """Raises UserError if there is no file or module of ``file.py:function`` or ``module:function``."""
    path = place.rpartition(":")[0]
    if path.endswith(".py"):
        exists(where, path)
    else:
        user_code.located(place, where)


def _check_model(where: str, block: dict, image_sets: list[str]) -> None:
    sources = [key for key in ("torchvision", "timm", "factory") if key in block]
    if len(sources) != 1:
        raise UserError(
            f"{where}: give exactly one of torchvision:, timm: and factory: (there are {len(sources)}). A checkpoint "
            "holds weights only; one of these states the network that they belong to"
        )
    if "image_set" not in block:
        if len(image_sets) > 1:
            raise UserError(f"{where}: which image_set? Valid: {', '.join(image_sets)}")
        block["image_set"] = image_sets[0]
    if block["image_set"] not in image_sets:
        raise unknown(f"{where}: image_set", block["image_set"], image_sets)
    if "factory" in block:
        _check_code(where, block["factory"])
    for path in model_files(block):
        _watched(where, path)
    p = block["preprocess"]
    crop = p.get("crop", p.get("resize", 224))
    if not isinstance(p.get("resize"), list) and not isinstance(crop, int):
        raise UserError(
            f"{where}.preprocess: the input's size is not fixed: give resize: [height, width], or crop: pixels"
        )
    if isinstance(crop, float) and crop > 1:
        raise UserError(f"{where}.preprocess.crop: {crop} is neither whole pixels nor a share up to 1.0")


def _check_given(where: str, block: dict, rules: dict, models: Iterable[str]) -> None:
    """Converts a section's own pictures, given by path or as a block, to blocks; and checks its loss network.

    rules: the schema's rules for the section's keys.
    """

    def complete(key: str, value: str | dict, rule: dict, ours: bool) -> dict:
        value = _with_defaults({"path": value} if isinstance(value, str) else value, rule)
        if ours:
            value["path"] = os.path.relpath(ROOT / value["path"])
        _watched(key, value["path"])
        return value

    for key, rule in rules.items():
        given, of_each = block[key], rule.get("items", {})
        # default pictures are in the code's folder, not in the working directory
        ours = given == _with_defaults(rule.get("default"), rule)
        if given is not None and "path" in rule.get("properties", {}):
            block[key] = complete(f"{where}.{key}", given, rule, ours)
        elif isinstance(given, list) and "path" in of_each.get("properties", {}):
            block[key] = [complete(f"{where}.{key}.{i}", v, of_each, ours) for i, v in enumerate(given)]
    if block.get("loss_net") is not None and block["loss_net"] not in models:
        raise unknown(f"{where}.loss_net: model", block["loss_net"], models)


def model_files(block: dict) -> Iterator[str]:
    """The local files in a model's config block, and those that its factory imports."""
    if "factory" in block:
        path = block["factory"].rpartition(":")[0]
        own = [path] if path.endswith(".py") else []
        yield from dict.fromkeys([*own, *user_code.files(block["factory"])])
    if block["checkpoint"]:
        yield from parts(block["checkpoint"])
    yield from (v for v in block["arguments"].values() if isinstance(v, str) and os.path.isfile(v))
    if isinstance(block["classes"], str):
        yield block["classes"]
    given = block["inputs"]
    values = given.values() if isinstance(given, dict) else given or ()
    yield from (value for value in values if isinstance(value, str) and value != "picture")
    for key in ("mean", "std"):
        if isinstance(block["preprocess"].get(key), str):
            yield block["preprocess"][key]


def keep_weights(folder: str | None, fetching: bool = False) -> None:
    """Makes torch and the hub's client, before their import, keep published weights in ``folder``, if one is given.

    Unless weights are being fetched, missing weights are then an error, and nothing uses the internet.
    """
    if folder:
        os.environ["TORCH_HOME"] = os.path.abspath(f"{folder}/torch")
        os.environ["HF_HOME"] = os.path.abspath(f"{folder}/huggingface")
        os.environ["HF_HUB_OFFLINE"] = "0" if fetching else "1"


def exists(where: str, path: str) -> Path:
    """``path``, if it exists. Raises UserError with its folder's content; ``where`` is the key with this path."""
    found = Path(path)
    if not os.path.exists(found):  # unlike Path.exists it accepts any text, even very long ones
        parent = found.parent
        while not os.path.exists(parent):
            parent = parent.parent
        inside = sorted(p.name for p in parent.iterdir() if not p.name.startswith("."))[:200] if parent.is_dir() else []
        missing = found.relative_to(parent).parts[0]
        shown = path if len(path) < 200 and path.isprintable() else quoted(path)
        raise unknown(f"{where}: {shown} does not exist; in {parent}", missing, inside)
    return found


def _watched(where: str, path: str) -> None:
    """Raises UserError if Snakemake cannot use ``path`` as a job's input: it cannot escape braces."""
    exists(where, path)
    if "{" in path or "}" in path:
        raise UserError(f"{where}: {quoted(path)} has braces, which Snakemake cannot read in a path; rename it")


def read(path: Path):
    """Content of the YAML file at ``path``. Raises UserError if it cannot be read."""
    try:
        return yaml.safe_load(path.read_text("utf-8"))
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 text: {error}") from error
    except RecursionError as error:
        raise UserError(f"{path} is nested too deeply") from error
    except (yaml.YAMLError, ValueError, KeyError) as error:  # PyYAML also raises errors of int() and date()
        raise UserError(f"{path} is not valid YAML: {error}") from error


def main() -> None:
    """Checks a config in a tenth of Snakemake's starting time; with ``--where`` prints the gallery's path."""
    parser = argparse.ArgumentParser(description="Check a config before anything runs.")
    parser.add_argument("config")
    parser.add_argument("--where", action="store_true", help="print the gallery's path")
    options = parser.parse_args()
    with reporting():
        config = complete(read(exists("the config", options.config)))
    if options.where:
        print(f"\nThe gallery is ready. Open {config['results']}/site/index.html in a browser.")


if __name__ == "__main__":
    main()
