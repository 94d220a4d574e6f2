# One Slurm job a model, and Snakemake inside it: `snakemake allocations --workflow-profile profiles/slurm-models`.
import time

# Without a lock, since the models' runs make different files: what they share is made before, the front page after.
INSIDE = (
    "python -m snakemake --nolock --cores {threads} --resources gpu={resources.gpu} mem_mb={resources.mem_mb}"
    " {params.config} -- {params.targets:q} 2>&1 | tee {log:q}"
)


# Not `group:`, whose jobs are one job to Snakemake: when one task fails, what all others left is deleted and done again.
# Which models need one is asked before (`unfinished`). What there is to do is seen inside: the time makes them new jobs.
rule image_allocation:
    output:
        touch(f"{RESULTS}/allocations/images"),
    log:
        f"{RESULTS}/logs/allocations/images.log",
    benchmark:
        f"{RESULTS}/benchmarks/_allocations/images.tsv"
    conda:
        "../environment.yaml"
    threads: THREADS
    resources:
        gpu=0,
        mem_mb=lambda w, attempt: 2000 * attempt,
        runtime=120,
    params:
        config=same_config,
        targets=expand(rules.images.output, image_set=gallery_config()["image_sets"]),
        run=lambda w: time.time(),
    shell:
        INSIDE


rule model_allocation:
    input:
        f"{RESULTS}/allocations/images",
    output:
        touch(f"{RESULTS}/allocations/models/{{model}}"),
    log:
        f"{RESULTS}/logs/allocations/{{model}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/_allocations/{{model}}.tsv"
    conda:
        "../environment.yaml"
    threads: 8
    resources:
        gpu=GPU,
        mem_mb=lambda w, attempt: 24000 * attempt,
        runtime=1440,
    params:
        config=same_config,
        targets=lambda w: expand(OF_MODEL, model=w.model),
        run=lambda w: time.time(),
    shell:
        INSIDE


localrules:
    allocations,


rule allocations:
    input:
        lambda w: expand(f"{RESULTS}/allocations/models/{{model}}", model=unfinished(w)),
    output:
        touch(f"{RESULTS}/allocations/all"),
    log:
        f"{RESULTS}/logs/allocations/all.log",
    benchmark:
        f"{RESULTS}/benchmarks/_allocations/all.tsv"
    conda:
        "../environment.yaml"
    threads: THREADS
    resources:
        gpu=0,
        mem_mb=4000,
        runtime=120,
    params:
        config=same_config,
        targets="all",
        run=lambda w: time.time(),
    shell:
        INSIDE
