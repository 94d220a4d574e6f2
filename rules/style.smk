rule style_transfer:
    input:
        network=f"{RESULTS}/models/{{model}}/network.json",
        files=ancient(network_files),
        content=ancient(lambda w: config["sections"]["style_transfer"]["content"]),
        style=ancient(lambda w: config["sections"]["style_transfer"]["style"]),
    output:
        f"{RESULTS}/models/{{model}}/sections/style_transfer/result.npz",
    log:
        f"{LOG}/style_transfer.log",
    benchmark:
        f"{BENCHMARK}/style_transfer.tsv"
    conda:
        "../environment.yaml"
    threads: THREADS
    resources:
        device=DEVICE,
        torch_threads=THREADS,
        gpu=GPU,
        mem_mb=lambda w, attempt: 6000 * attempt,
        runtime=120,
    params:
        job=job("style_transfer", "layers"),
        files=network_hash,
        pictures=lambda w, input: f"{content_hash(input.content)} {content_hash(input.style)}",
        code=code_hash("cnnviz.style.style_transfer"),
    shell:
        "python -m cnnviz.style.style_transfer --job {params.job:q} --code {params.code}"
        " --device {resources.device} --threads {resources.torch_threads}"
        " --input network={input.network} content={input.content} style={input.style} --output result={output} 2>&1 | tee {log}"
