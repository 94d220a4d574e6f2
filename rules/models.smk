# A model's first job: checkpoint, layers and classes are checked before anything else of it runs.
rule model:
    input:
        images=of_image_set("images.json"),
        files=ancient(network_files),
    output:
        f"{RESULTS}/models/{{model}}/model.json",
    log:
        f"{LOG}/model.log",
    benchmark:
        f"{BENCHMARK}/model.tsv"
    conda:
        "../environment.yaml"
    threads: THREADS
    resources:
        device=DEVICE,
        torch_threads=THREADS,
        mem_mb=lambda w, attempt: 4000 * attempt,
        runtime=20,
    params:
        job=job(
            "model",
            "layers",
            "feature_layer",
            "probes",
            parameters=lambda w: {
                "checkpoint": network_hash(w),
                "probes": config["models"][w.model]["probes"],
                "classes": {
                    name: block["classes"]
                    for name, block in config["sections"].items()
                    if isinstance(block.get("classes"), list)
                },
            },
        ),
        code=code_hash("cnnviz.models"),
    shell:
        "python -m cnnviz.models --job {params.job:q} --code {params.code}"
        " --device {resources.device} --threads {resources.torch_threads}"
        " --input images={input.images} --output model={output} 2>&1 | tee {log}"
