# ONE pass over the pictures: features, the strongest neurons of every unit, statistics, predictions.
rule forward:
    input:
        network=f"{RESULTS}/models/{{model}}/network.json",
        images=of_image_set("images.json"),
        files=ancient(network_files),
    output:
        result=f"{RESULTS}/models/{{model}}/forward/result.npz",
        features=f"{RESULTS}/models/{{model}}/forward/features.npy",
        logits=f"{RESULTS}/models/{{model}}/forward/logits.npy",
    log:
        f"{LOG}/forward.log",
    benchmark:
        f"{BENCHMARK}/forward.tsv"
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
        job=job(
            "forward",
            "layers",
            "feature_layer",
            parameters=lambda w: {
                "batch": config["batch"],
                "top": config["techniques"]["maximal_patches"]["patches"],
            },
        ),
        files=network_hash,
        code=code_hash("cnnviz.activations.forward"),
    shell:
        "python -m cnnviz.activations.forward --job {params.job:q} --code {params.code}"
        " --device {resources.device} --threads {resources.torch_threads}"
        " --input network={input.network} images={input.images}"
        " --output result={output.result} features={output.features} logits={output.logits} 2>&1 | tee {log}"


rule predictions:
    input:
        forward=f"{RESULTS}/models/{{model}}/forward/result.npz",
        logits=f"{RESULTS}/models/{{model}}/forward/logits.npy",
        network=f"{RESULTS}/models/{{model}}/network.json",
        images=of_image_set("images.json"),
    output:
        f"{RESULTS}/models/{{model}}/sections/predictions/result.npz",
    log:
        f"{LOG}/predictions.log",
    benchmark:
        f"{BENCHMARK}/predictions.tsv"
    conda:
        "../environment.yaml"
    resources:
        device=DEVICE,
        torch_threads=THREADS,
        mem_mb=lambda w, attempt: 2000 * attempt,
        runtime=20,
    params:
        job=job("predictions", "probes"),
        code=code_hash("cnnviz.activations.predictions"),
    shell:
        "python -m cnnviz.activations.predictions --job {params.job:q} --code {params.code}"
        " --device {resources.device} --threads {resources.torch_threads}"
        " --input forward={input.forward} logits={input.logits} network={input.network} images={input.images}"
        " --output result={output} 2>&1 | tee {log}"


rule activation_maps:
    input:
        network=f"{RESULTS}/models/{{model}}/network.json",
        images=of_image_set("images.json"),
        files=ancient(network_files),
    output:
        f"{RESULTS}/models/{{model}}/sections/activation_maps/result.npz",
    log:
        f"{LOG}/activation_maps.log",
    benchmark:
        f"{BENCHMARK}/activation_maps.tsv"
    conda:
        "../environment.yaml"
    threads: THREADS
    resources:
        device=DEVICE,
        torch_threads=THREADS,
        gpu=GPU,
        mem_mb=lambda w, attempt: 4000 * attempt,
        runtime=20,
    params:
        job=job("activation_maps", "probes", "layers"),
        files=network_hash,
        code=code_hash("cnnviz.activations.activation_maps"),
    shell:
        "python -m cnnviz.activations.activation_maps --job {params.job:q} --code {params.code}"
        " --device {resources.device} --threads {resources.torch_threads}"
        " --input network={input.network} images={input.images} --output result={output} 2>&1 | tee {log}"


rule maximal_patches:
    input:
        forward=f"{RESULTS}/models/{{model}}/forward/result.npz",
    output:
        f"{RESULTS}/models/{{model}}/sections/maximal_patches/result.npz",
    log:
        f"{LOG}/maximal_patches.log",
    benchmark:
        f"{BENCHMARK}/maximal_patches.tsv"
    conda:
        "../environment.yaml"
    resources:
        device=DEVICE,
        torch_threads=THREADS,
        mem_mb=lambda w, attempt: 2000 * attempt,
        runtime=20,
    params:
        job=job("maximal_patches"),
        code=code_hash("cnnviz.activations.maximal_patches"),
    shell:
        "python -m cnnviz.activations.maximal_patches --job {params.job:q} --code {params.code}"
        " --device {resources.device} --threads {resources.torch_threads}"
        " --input forward={input.forward} --output result={output} 2>&1 | tee {log}"


rule unit_statistics:
    input:
        forward=f"{RESULTS}/models/{{model}}/forward/result.npz",
    output:
        f"{RESULTS}/models/{{model}}/sections/unit_statistics/result.npz",
    log:
        f"{LOG}/unit_statistics.log",
    benchmark:
        f"{BENCHMARK}/unit_statistics.tsv"
    conda:
        "../environment.yaml"
    resources:
        device=DEVICE,
        torch_threads=THREADS,
        mem_mb=lambda w, attempt: 2000 * attempt,
        runtime=20,
    params:
        job=job("unit_statistics"),
        code=code_hash("cnnviz.activations.unit_statistics"),
    shell:
        "python -m cnnviz.activations.unit_statistics --job {params.job:q} --code {params.code}"
        " --device {resources.device} --threads {resources.torch_threads}"
        " --input forward={input.forward} --output result={output} 2>&1 | tee {log}"
