# Pictures by gradient ascent.
rule class_visualization:
    input:
        network=f"{RESULTS}/models/{{model}}/network.json",
        files=ancient(network_files),
    output:
        f"{RESULTS}/models/{{model}}/sections/class_visualization/result.npz",
    log:
        f"{LOG}/class_visualization.log",
    benchmark:
        f"{BENCHMARK}/class_visualization.tsv"
    conda:
        "../environment.yaml"
    threads: THREADS
    resources:
        device=DEVICE,
        torch_threads=THREADS,
        gpu=GPU,
        mem_mb=lambda w, attempt: 6000 * attempt,
        runtime=240,
    params:
        job=job("class_visualization"),
        files=network_hash,
        code=code_hash("cnnviz.synthesis.class_visualization"),
    shell:
        "python -m cnnviz.synthesis.class_visualization --job {params.job:q} --code {params.code}"
        " --device {resources.device} --threads {resources.torch_threads}"
        " --input network={input.network} --output result={output} 2>&1 | tee {log}"
