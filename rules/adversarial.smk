# Pictures made to mislead the network.
rule fooling_images:
    input:
        network=f"{RESULTS}/models/{{model}}/network.json",
        images=of_image_set("images.json"),
        files=ancient(network_files),
    output:
        f"{RESULTS}/models/{{model}}/sections/fooling_images/result.npz",
    log:
        f"{LOG}/fooling_images.log",
    benchmark:
        f"{BENCHMARK}/fooling_images.tsv"
    conda:
        "../environment.yaml"
    threads: THREADS
    resources:
        device=DEVICE,
        torch_threads=THREADS,
        gpu=GPU,
        mem_mb=lambda w, attempt: 6000 * attempt,
        runtime=60,
    params:
        job=job("fooling_images", "probes"),
        files=network_hash,
        code=code_hash("cnnviz.adversarial.fooling_images"),
    shell:
        "python -m cnnviz.adversarial.fooling_images --job {params.job:q} --code {params.code}"
        " --device {resources.device} --threads {resources.torch_threads}"
        " --input network={input.network:q} images={input.images:q} --output result={output:q} 2>&1 | tee {log:q}"
