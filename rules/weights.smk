rule first_layer_filters:
    input:
        network=f"{RESULTS}/models/{{model}}/network.json",
        files=ancient(network_files),
    output:
        f"{RESULTS}/models/{{model}}/sections/first_layer_filters/result.npz",
    log:
        f"{LOG}/first_layer_filters.log",
    benchmark:
        f"{BENCHMARK}/first_layer_filters.tsv"
    conda:
        "../environment.yaml"
    threads: THREADS
    resources:
        device=DEVICE,
        torch_threads=THREADS,
        mem_mb=lambda w, attempt: 4000 * attempt,
        runtime=20,
    params:
        job=job("first_layer_filters"),
        files=network_hash,
        code=code_hash("cnnviz.weights.first_layer_filters"),
    shell:
        "python -m cnnviz.weights.first_layer_filters --job {params.job:q} --code {params.code}"
        " --device {resources.device} --threads {resources.torch_threads}"
        " --input network={input.network} --output result={output} 2>&1 | tee {log}"
