# All units of a large network take hours, so each shard is a job of its own.
rule unit_visualization_shard:
    input:
        network=f"{RESULTS}/models/{{model}}/network.json",
        forward=f"{RESULTS}/models/{{model}}/forward/result.npz",
        files=ancient(network_files),
    output:
        f"{RESULTS}/models/{{model}}/unit_visualization/shard-{{shard}}-of-{SHARDS}.npz",
    log:
        f"{LOG}/unit_visualization.shard-{{shard}}.log",
    benchmark:
        f"{BENCHMARK}/unit_visualization.shard-{{shard}}.tsv"
    conda:
        "../environment.yaml"
    threads: THREADS
    resources:
        device=DEVICE,
        torch_threads=THREADS,
        gpu=GPU,
        mem_mb=lambda w, attempt: 6000 * attempt,
        runtime=480,
    params:
        job=units_job(shard=lambda w: w.shard),
        files=network_hash,
        code=code_hash("cnnviz.synthesis.unit_visualization"),
    shell:
        "python -m cnnviz.synthesis.unit_visualization --job {params.job:q} --code {params.code}"
        " --device {resources.device} --threads {resources.torch_threads}"
        " --input network={input.network:q} forward={input.forward:q} --output result={output:q} 2>&1 | tee {log:q}"


rule unit_visualization:
    input:
        network=f"{RESULTS}/models/{{model}}/network.json",
        forward=f"{RESULTS}/models/{{model}}/forward/result.npz",
        files=ancient(network_files),
        shards=expand(
            rules.unit_visualization_shard.output, shard=range(SHARDS) if SHARDS > 1 else [], allow_missing=True
        ),
    output:
        f"{RESULTS}/models/{{model}}/sections/unit_visualization/result.npz",
    log:
        f"{LOG}/unit_visualization.log",
    benchmark:
        f"{BENCHMARK}/unit_visualization.tsv"
    conda:
        "../environment.yaml"
    threads: THREADS
    resources:
        device=DEVICE,
        torch_threads=THREADS,
        gpu=GPU if SHARDS == 1 else 0,
        mem_mb=lambda w, attempt: 6000 * attempt,
        runtime=480 if SHARDS == 1 else 30,
    params:
        job=units_job(),
        shards=lambda w, input: [f"shard-{i}={path}" for i, path in enumerate(input.shards)],
        files=network_hash,
        code=code_hash("cnnviz.synthesis.unit_visualization"),
    shell:
        "python -m cnnviz.synthesis.unit_visualization --job {params.job:q} --code {params.code}"
        " --device {resources.device} --threads {resources.torch_threads}"
        " --input network={input.network:q} forward={input.forward:q} {params.shards}"
        " --output result={output:q} 2>&1 | tee {log:q}"
