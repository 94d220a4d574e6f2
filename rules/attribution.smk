rule saliency:
    input:
        network=f"{RESULTS}/models/{{model}}/network.json",
        images=of_image_set("images.json"),
        files=ancient(network_files),
    output:
        f"{RESULTS}/models/{{model}}/sections/saliency/result.npz",
    log:
        f"{LOG}/saliency.log",
    benchmark:
        f"{BENCHMARK}/saliency.tsv"
    conda:
        "../environment.yaml"
    threads: THREADS
    resources:
        device=DEVICE,
        torch_threads=THREADS,
        gpu=GPU,
        mem_mb=lambda w, attempt: 4000 * attempt,
        runtime=60,
    params:
        job=job("saliency", "probes"),
        files=network_hash,
        code=code_hash("cnnviz.attribution.saliency"),
    shell:
        "python -m cnnviz.attribution.saliency --job {params.job:q} --code {params.code}"
        " --device {resources.device} --threads {resources.torch_threads}"
        " --input network={input.network} images={input.images} --output result={output} 2>&1 | tee {log}"
