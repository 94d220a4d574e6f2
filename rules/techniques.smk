# A rule for each row of techniques.yaml without a rule of its own.

# Entry in a row's `reads` → its name in the command, and its file.
READS = {
    "network": ("network", f"{RESULTS}/models/{{model}}/network.json"),
    "facts": ("network", f"{RESULTS}/models/{{model}}/network.json"),
    "images": ("images", of_image_set("images.json")),
    "thumbnails": ("thumbnails", of_image_set("thumbnails.npy")),
    "forward": ("forward", f"{RESULTS}/models/{{model}}/forward/result.npz"),
    "features": ("features", f"{RESULTS}/models/{{model}}/forward/features.npy"),
    "untrained": ("untrained", f"{RESULTS}/models/{{model}}/forward/untrained.npz"),
    "logits": ("logits", f"{RESULTS}/models/{{model}}/forward/logits.npy"),
    "tsne": ("tsne", f"{RESULTS}/models/{{model}}/sections/tsne/result.npz"),
}


def files_read(section, row):
    """The inputs of a technique, by name. For a network's own files and for pictures only the content counts."""
    reads = dict(READS[name] for name in row["reads"] if name in READS)
    if "network" in row["reads"]:
        reads["files"] = ancient(network_files)
    if "judge" in row["reads"]:
        reads |= {
            "network": by_loss_net(section, network_facts),
            "files": ancient(by_loss_net(section, network_files)),
        }
    if "pictures" in row["reads"]:
        reads["pictures"] = ancient(lambda w: given_pictures(section))
    return reads


def depends_on(section, row):
    """The params of a technique: its config, its code, and the content of the files that it reads."""
    params = {"job": job(section, *row.get("of_model", ())), "code": code_hash(f"cnnviz.{row['room']}.{section}")}
    if "network" in row["reads"]:
        params["files"] = network_hash
    if "judge" in row["reads"]:
        params |= {"job": by_loss_net(section, params["job"]), "files": by_loss_net(section, network_hash)}
    if "pictures" in row["reads"]:
        params["pictures"] = lambda w, input: " ".join(map(content_hash, input.pictures))
    return params


def megabytes(row):
    return lambda w, attempt: row.get("memory", 4000) * attempt


# A function instead of a loop body: a job evaluates its command later, and needs its own section and row then.
def technique(section, row):
    loads = {"network", "judge"} & set(row["reads"])
    device = row.get("device", DEVICE)
    named = [name for name in files_read(section, row) if name not in ("files", "pictures")]

    rule:
        name:
            section
        input:
            **files_read(section, row),
        output:
            f"{RESULTS}/models/{{model}}/sections/{section}/result.npz",
        log:
            f"{LOG}/{section}.log",
        benchmark:
            f"{BENCHMARK}/{section}.tsv"
        priority: 1 if section in EXPLAINING else 0  # two long jobs wait for these
        conda:
            "../environment.yaml"
        threads: row.get("threads", THREADS)
        resources:
            **({"gpu": GPU} if loads and device != "cpu" else {}),
            device=device,
            torch_threads=THREADS,
            mem_mb=megabytes(row),
            runtime=row["runtime"],
        params:
            **depends_on(section, row),
        shell:
            f"python -m cnnviz.{row['room']}.{section} --job {{params.job:q}} --code {{params.code}}"
            " --device {resources.device} --threads {resources.torch_threads}"
            f" --input {' '.join(f'{name}={{input.{name}:q}}' for name in named)} --output result={{output:q}}"
            " 2>&1 | tee {log:q}"


for section, row in TECHNIQUES.items():
    if row.get("rule") != "own":
        technique(section, row)
