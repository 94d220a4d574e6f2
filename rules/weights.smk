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
        device="cpu",
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
        " --input network={input.network:q} --output result={output:q} 2>&1 | tee {log:q}"


rule layer_filters:
    input:
        network=f"{RESULTS}/models/{{model}}/network.json",
        files=ancient(network_files),
    output:
        f"{RESULTS}/models/{{model}}/sections/layer_filters/result.npz",
    log:
        f"{LOG}/layer_filters.log",
    benchmark:
        f"{BENCHMARK}/layer_filters.tsv"
    conda:
        "../environment.yaml"
    threads: THREADS
    resources:
        device="cpu",
        torch_threads=THREADS,
        mem_mb=lambda w, attempt: 4000 * attempt,
        runtime=20,
    params:
        job=job("layer_filters"),
        files=network_hash,
        code=code_hash("cnnviz.weights.layer_filters"),
    shell:
        "python -m cnnviz.weights.layer_filters --job {params.job:q} --code {params.code}"
        " --device {resources.device} --threads {resources.torch_threads}"
        " --input network={input.network:q} --output result={output:q} 2>&1 | tee {log:q}"


# Weights of a classifier of its own, fitted to the pictures; the network's predictions stand beside. No torch.
rule linear_templates:
    input:
        images=of_image_set("images.json"),
        thumbnails=of_image_set("thumbnails.npy"),
        forward=f"{RESULTS}/models/{{model}}/forward/result.npz",
    output:
        f"{RESULTS}/models/{{model}}/sections/linear_templates/result.npz",
    log:
        f"{LOG}/linear_templates.log",
    benchmark:
        f"{BENCHMARK}/linear_templates.tsv"
    conda:
        "../environment.yaml"
    threads: THREADS
    resources:
        device=DEVICE,
        torch_threads=THREADS,
        mem_mb=lambda w, attempt: 4000 * attempt,
        runtime=60,
    params:
        job=job("linear_templates"),
        code=code_hash("cnnviz.weights.linear_templates"),
    shell:
        "python -m cnnviz.weights.linear_templates --job {params.job:q} --code {params.code}"
        " --device {resources.device} --threads {resources.torch_threads}"
        " --input images={input.images:q} thumbnails={input.thumbnails:q} forward={input.forward:q}"
        " --output result={output:q} 2>&1 | tee {log:q}"
