# Pictures in the texture of others, as the network sees it: the model under study, or the loss net of the config.
rule texture_synthesis:
    input:
        network=by_loss_net("texture_synthesis", network_facts),
        files=ancient(by_loss_net("texture_synthesis", network_files)),
        pictures=ancient(lambda w: given_pictures("texture_synthesis")),
    output:
        f"{RESULTS}/models/{{model}}/sections/texture_synthesis/result.npz",
    log:
        f"{LOG}/texture_synthesis.log",
    benchmark:
        f"{BENCHMARK}/texture_synthesis.tsv"
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
        job=by_loss_net("texture_synthesis", job("texture_synthesis", "layers")),
        files=by_loss_net("texture_synthesis", network_hash),
        pictures=lambda w, input: " ".join(map(content_hash, input.pictures)),
        code=code_hash("cnnviz.style.texture_synthesis"),
    shell:
        "python -m cnnviz.style.texture_synthesis --job {params.job:q} --code {params.code}"
        " --device {resources.device} --threads {resources.torch_threads}"
        " --input network={input.network:q} --output result={output:q} 2>&1 | tee {log:q}"


rule style_transfer:
    input:
        network=by_loss_net("style_transfer", network_facts),
        files=ancient(by_loss_net("style_transfer", network_files)),
        pictures=ancient(lambda w: given_pictures("style_transfer")),
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
        runtime=240,
    params:
        job=by_loss_net("style_transfer", job("style_transfer", "layers")),
        files=by_loss_net("style_transfer", network_hash),
        pictures=lambda w, input: " ".join(map(content_hash, input.pictures)),
        code=code_hash("cnnviz.style.style_transfer"),
    shell:
        "python -m cnnviz.style.style_transfer --job {params.job:q} --code {params.code}"
        " --device {resources.device} --threads {resources.torch_threads}"
        " --input network={input.network:q} --output result={output:q} 2>&1 | tee {log:q}"
