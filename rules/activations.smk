# ONE pass over the pictures: features, the strongest neurons of every unit, statistics, predictions.
rule forward:
    input:
        network=f"{RESULTS}/models/{{model}}/network.json",
        images=of_image_set("images.json"),
        files=ancient(network_files),
    output:
        result=f"{RESULTS}/models/{{model}}/forward/result.npz",
        features=f"{RESULTS}/models/{{model}}/forward/features.npy",
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
                "top": config["sections"].get("maximal_patches", {"patches": 9})["patches"],
            },
        ),
        files=network_hash,
        code=code_hash("cnnviz.activations.forward"),
    shell:
        "python -m cnnviz.activations.forward --job {params.job:q} --code {params.code}"
        " --device {resources.device} --threads {resources.torch_threads}"
        " --input network={input.network} images={input.images}"
        " --output result={output.result} features={output.features} 2>&1 | tee {log}"


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
