# The config, the paths of files, and the triggers of reruns.
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import yaml

sys.path.insert(0, str(workflow.basedir))
# Jobs run with the Python that runs Snakemake, even if its environment is not activated. A killed job cannot report
# its end, so the shell writes it into the log. The log's quoted name follows the command's last "| tee". A job writes
# tracebacks into the log itself, so tee has to append. The shell's own messages, all about killed commands, are discarded.
# Threads that spin while they wait would take the cores of other jobs. With huge pages torch on a CPU is 3 % faster.
shell.prefix(
    f'set -euo pipefail; exec 2> /dev/null; export PATH={shlex.quote(str(Path(sys.executable).parent))}:"$PATH"; '
    "export OMP_WAIT_POLICY=PASSIVE THP_MEM_ALLOC_ENABLE=1 CNNVIZ_LOG; "
    'eval "CNNVIZ_LOG=${{BASH_EXECUTION_STRING##*| tee }}"; tee() {{ command tee -a "$1"; }}; : > "$CNNVIZ_LOG"; '
    """trap 's=${{PIPESTATUS[0]-0}}; if [ "$s" -gt 128 ]; then n=$(kill -l "$s"); case $n in """
    """KILL) why="out of memory, or killed by a user";; INT) why="interrupted by Ctrl-C";; """
    """TERM) why="its time limit was reached, or it was killed by a user";; """
    """XCPU) why="its limit of processor time was reached";; """
    """XFSZ) why="a limit of the size of files was reached";; """
    """SEGV|BUS|ILL|FPE|ABRT|SYS|TRAP) why="a crash inside an operator of the network, or inside a library";; """
    """*) why="killed by a user";; esac; """
    """echo "killed by signal $((s - 128)) (SIG$n): $why" >> "$CNNVIZ_LOG"; fi' EXIT; """
)

from cnnviz.run.alone import remove_stale_locks
from cnnviz.config import complete, keep_weights, model_files
from cnnviz.errors import UserError
from cnnviz.run.fingerprint import code_hash, content_hash, folder_hash, source_hash
from cnnviz.run.failures import shorten_reports
from snakemake.exceptions import WorkflowError

shorten_reports()
if workflow.is_main_process:
    remove_stale_locks()

try:
    config = complete(config)

    from cnnviz.pictures import listing, sizes  # imported here, so that a wrong key is reported before numpy loads

    for model in config["models"].values():
        listing.check_probes(config["image_sets"][model["image_set"]], model["probes"])
except UserError as error:
    raise WorkflowError(str(error))

# Credits and licences of a set's pictures, for the site only; no computation depends on them.
TERMS = {name: {key: block.pop(key) for key in ("credit", "licence")} for name, block in config["image_sets"].items()}
RESULTS = config["results"]
keep_weights(config["cache"])  # sets an environment variable, which jobs inherit
SITE = f"{RESULTS}/site"
SECTION = f"{RESULTS}/models/{{model}}/sections/{{section}}"
LOG = f"{RESULTS}/logs/{{model}}"
BENCHMARK = f"{RESULTS}/benchmarks/{{model}}"
MODELS = list(config["models"])
SECTIONS = list(config["sections"])
# Fixed by the config, not by --cores: the number of threads changes the last digits of results.
THREADS = config["threads"]
DEVICE = config["device"]
GPU = 0 if DEVICE == "cpu" else 1

# Keys that build a network. All other keys of its block (probes, layers, …) rerun only the jobs that list them.
NETWORK = (
    "torchvision",
    "timm",
    "factory",
    "arguments",
    "inputs",
    "weights",
    "checkpoint",
    "checkpoint_key",
    "outputs",
    "preprocess",
    "classes",
)


wildcard_constraints:
    model="|".join(MODELS),
    section="|".join(SECTIONS) or "none",
    image_set="|".join(config["image_sets"]),


def job(section, *keys, parameters=None):
    """The config that a compute job depends on, as JSON: a change of it reruns the job.

    keys: keys of the model's block that the job reads besides the network's. The section's ``view`` is left out.
    """

    def text(wildcards):
        model = config["models"][wildcards.model]
        block = config["techniques"].get(section, {}) if parameters is None else parameters(wildcards)
        return json.dumps(
            {
                "model_id": wildcards.model,
                "section": section,
                "model": {k: model[k] for k in (*NETWORK, *keys) if k in model},
                "image_set": config["image_sets"][model["image_set"]],
                "parameters": {k: v for k, v in block.items() if k != "view"},
                "seed": config["seed"],
            },
            sort_keys=True,
        )

    return text


# The pass over many pictures takes as long as reading them, so it can be split into shards, too.
FORWARD_SHARDS = config["forward_shards"]


def forward_job(shard=None):
    """shard: as in units_job."""
    block = {"batch": config["batch"], "top": config["techniques"]["maximal_patches"]["patches"]}
    part = (lambda w: {"shard": [int(shard(w)), FORWARD_SHARDS]}) if shard else (lambda w: {})
    return job("forward", "layers", "feature_layer", parameters=lambda w: block | part(w))


# All units of a large network take hours: `shards: 8` makes eight jobs, each with its own file, and one that merges
# them into the same bytes. With one shard, that job does everything.
SHARDS = config["techniques"]["unit_visualization"]["shards"]


def units_job(shard=None):
    """shard: (wildcards → its number); None for all. The number of shards does not change the result."""
    block = {key: v for key, v in config["techniques"]["unit_visualization"].items() if key != "shards"}
    part = (lambda w: {"shard": [int(shard(w)), SHARDS]}) if shard else (lambda w: {})
    return job("unit_visualization", "layers", parameters=lambda w: block | part(w))


def network_files(wildcards):
    """A model's local files, for ancient() inputs: touching or copying one reruns nothing."""
    return list(model_files(config["models"][wildcards.model]))


def network_hash(wildcards):
    """Name and hash of each of a model's local files: a change of content reruns its jobs."""
    files = network_files(wildcards)
    hashes = ((source_hash if path.endswith(".py") else content_hash)(path) for path in files)
    return " ".join(f"{Path(path).name}:{digest[:16]}" for path, digest in zip(files, hashes))


def segments(wildcards):
    """Whether the model is a segmentation network."""
    return config["models"][wildcards.model]["outputs"]["kind"] == "segmentation"


def by_loss_net(section, function):
    """``function`` with the wildcards of the section's loss network: the model itself, or another one."""

    def of_loss_net(wildcards):
        loss_net = config["techniques"][section]["loss_net"] or wildcards.model
        return function(SimpleNamespace(model=loss_net))

    return of_loss_net


def network_facts(wildcards):
    return f"{RESULTS}/models/{wildcards.model}/network.json"


def given_pictures(section):
    """The files of the pictures that the section's parameters name."""
    block = config["techniques"][section]
    named = [block[key] for key in ("content", "style", "second_style") if block.get(key)]
    pictures = block.get("pictures", [])  # or a number of pictures of the image set
    return [given["path"] for given in (*named, *(pictures if isinstance(pictures, list) else []))]


def image_set_of(wildcards):
    return config["image_sets"][config["models"][wildcards.model]["image_set"]]


def picture_size(wildcards):
    """(height, width) of the set's pictures, for a factory's network whose config states no size; else None."""
    model = config["models"][wildcards.model]
    stated = {"resize", "crop"} & model["preprocess"].keys()
    return sizes.common(image_set_of(wildcards)) if "factory" in model and not stated else None


def choices(wildcards):
    """Names in the config that can be checked only with the network."""
    model = config["models"][wildcards.model]
    named = {name: b["classes"] for name, b in config["sections"].items() if isinstance(b.get("classes"), list)}
    return {"layers": model["layers"], "feature_layer": model["feature_layer"], "classes": named}


def of_image_set(name):
    return lambda wildcards: f"{RESULTS}/image_sets/{config['models'][wildcards.model]['image_set']}/{name}"


# Section → its row; the file explains the columns.
TECHNIQUES = yaml.safe_load(Path(workflow.basedir, "rules/techniques.yaml").read_text("utf-8"))
EXPLAINING = [name for name in SECTIONS if TECHNIQUES[name].get("explains") == "pictures"]


def explained(wildcards):
    """Section → its result, for each section that explains pictures."""
    return {s: f"{RESULTS}/models/{wildcards.model}/sections/{s}/result.npz" for s in EXPLAINING}


def pages_config(model):
    """Config of a model's pages, with all models for links between the same sections."""
    titles = {name: block["title"] or name for name, block in config["models"].items()}
    families = {}
    for section in SECTIONS:
        families.setdefault(TECHNIQUES[section]["room"].capitalize(), []).append(section)
    return {
        "model": model,
        "title": titles[model],
        "image_set": config["models"][model]["image_set"],
        "terms": TERMS[config["models"][model]["image_set"]],
        "sections": SECTIONS,
        "families": families,
        "models": [{"id": name, "title": title, "sections": SECTIONS} for name, title in titles.items()],
        **{key: config[key] for key in ("publish", "limits")},
    }


# Sections about all models → the section of each model that they compare.
COMPARED = {"first_layers": "first_layer_filters"} if "first_layer_filters" in SECTIONS and len(MODELS) > 1 else {}


def gallery_config():
    return {
        "title": config["title"],
        "subtitle": config["subtitle"],
        "models": MODELS,
        "image_sets": list(dict.fromkeys(m["image_set"] for m in config["models"].values())),
        "terms": TERMS,
        "publish": config["publish"],
        "compare": COMPARED,
    }


def same_config(wildcards):
    """Arguments that give a Snakemake inside a job this one's config and rerun triggers."""
    files, values = map(str, workflow.overwrite_configfiles), workflow.config_settings.config_args or []
    triggers = sorted(map(str, workflow.rerun_triggers))
    given = {"--configfile": [*files], "--config": values, "--rerun-triggers": triggers}
    return " ".join(f"{key} {shlex.join(words)}" for key, words in given.items() if words)


def unfinished(wildcards):
    """The models that have pending jobs: only these need an allocation."""
    if not workflow.is_main_process:  # already decided in the main process
        return []
    command = [sys.executable, "-m", "snakemake", "--summary", "--nolock", *shlex.split(same_config(wildcards))]
    told = subprocess.run(command, capture_output=True, text=True)
    if told.returncode:
        raise WorkflowError(told.stderr)
    rows = [line.split("\t") for line in told.stdout.splitlines()]
    pending = [row[0] for row in rows if row[-1] == "update pending" and row[2] != "model_pages"]
    return [model for model in MODELS if any(file.startswith(f"{RESULTS}/models/{model}/") for file in pending)]
