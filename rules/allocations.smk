# One Slurm job per model, with Snakemake inside: `snakemake allocations --workflow-profile profiles/slurm-models`.
import time

# A job's command. It needs no lock, since the models' runs make different files: files that they share are made before,
# and the front page after them. Snakemake inside a job plans its own tasks.
INSIDE = (
    "python -m snakemake --nolock --cores {threads} --resources gpu={resources.gpu} mem_mb={resources.mem_mb}"
    " {params.config} -- {params.targets:q} 2>&1 | tee {log:q}"
)


# Not `group:`, which Snakemake treats as one job: if one task fails, the outputs of all others are deleted. The time
# among the params makes each allocation a new job, even if an earlier run had the same one.
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


# Only the models with unfinished jobs get an allocation.
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
