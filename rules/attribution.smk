# Both jobs test the maps of all sections that explain pictures.
rule attribution_check:
    input:
        unpack(explained),
        network=f"{RESULTS}/models/{{model}}/network.json",
        images=of_image_set("images.json"),
        files=ancient(network_files),
    output:
        f"{RESULTS}/models/{{model}}/sections/attribution_check/result.npz",
    log:
        f"{LOG}/attribution_check.log",
    benchmark:
        f"{BENCHMARK}/attribution_check.tsv"
    priority: 1
    conda:
        "../environment.yaml"
    threads: THREADS
    resources:
        device=DEVICE,
        torch_threads=THREADS,
        gpu=GPU,
        mem_mb=lambda w, attempt: 4000 * attempt,
        runtime=120,
    params:
        job=job("attribution_check", "probes"),
        files=network_hash,
        explained=lambda w: [f"{section}={path}" for section, path in explained(w).items()],
        # it imports the methods by name, so their code must be listed, too
        methods=[code_hash(f"cnnviz.attribution.{section}") for section in EXPLAINING],
        code=code_hash("cnnviz.attribution.attribution_check"),
    shell:
        "python -m cnnviz.attribution.attribution_check --job {params.job:q} --code {params.code}"
        " --device {resources.device} --threads {resources.torch_threads}"
        " --input network={input.network:q} images={input.images:q} {params.explained} --output result={output:q}"
        " 2>&1 | tee {log:q}"


rule bias_probe:
    input:
        unpack(explained),
        network=f"{RESULTS}/models/{{model}}/network.json",
        images=of_image_set("images.json"),
        files=ancient(network_files),
    output:
        f"{RESULTS}/models/{{model}}/sections/bias_probe/result.npz",
    log:
        f"{LOG}/bias_probe.log",
    benchmark:
        f"{BENCHMARK}/bias_probe.tsv"
    priority: 1
    conda:
        "../environment.yaml"
    threads: THREADS
    resources:
        device=DEVICE,
        torch_threads=THREADS,
        gpu=GPU,
        mem_mb=lambda w, attempt: 4000 * attempt,
        runtime=120,
    params:
        job=job("bias_probe", "probes"),
        files=network_hash,
        explained=lambda w: [f"{section}={path}" for section, path in explained(w).items()],
        code=code_hash("cnnviz.attribution.bias_probe"),
    shell:
        "python -m cnnviz.attribution.bias_probe --job {params.job:q} --code {params.code}"
        " --device {resources.device} --threads {resources.torch_threads}"
        " --input network={input.network:q} images={input.images:q} {params.explained} --output result={output:q}"
        " 2>&1 | tee {log:q}"
