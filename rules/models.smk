# A model's first job checks checkpoint, layers and classes before its other jobs run.
rule network:
    input:
        files=ancient(network_files),
    output:
        f"{RESULTS}/models/{{model}}/network.json",
    log:
        f"{LOG}/network.log",
    benchmark:
        f"{BENCHMARK}/network.tsv"
    priority: 100  # its errors, and those of `look`, must not wait for another model's explanations
    conda:
        "../environment.yaml"
    threads: THREADS
    resources:
        device=DEVICE,
        torch_threads=THREADS,
        mem_mb=lambda w, attempt: 4000 * attempt,
        runtime=20,
        # Checked here and used elsewhere. As params, every change of them would rerun this job.
        check=lambda w: json.dumps(choices(w)),
    params:
        job=job(
            "network",
            parameters=lambda w: {
                "checkpoint": network_hash(w),
                "set_classes": listing.classes(image_set_of(w)),
                "picture_size": picture_size(w),
            },
        ),
        code=code_hash("cnnviz.network.network"),
    shell:
        "python -m cnnviz.network.network --job {params.job:q} --code {params.code} --check {resources.check:q}"
        " --device {resources.device} --threads {resources.torch_threads}"
        " --output network={output:q} 2>&1 | tee {log:q}"


# The same facts with the layers as configured, for all that never opens the network.
rule model:
    input:
        f"{RESULTS}/models/{{model}}/network.json",
    output:
        f"{RESULTS}/models/{{model}}/model.json",
    log:
        f"{LOG}/model.log",
    benchmark:
        f"{BENCHMARK}/model.tsv"
    conda:
        "../environment.yaml"
    resources:
        mem_mb=lambda w, attempt: 500 * attempt,
        runtime=5,
    params:
        job=job("model", "layers", "feature_layer", parameters=lambda w: {}),
        code=code_hash("cnnviz.network.model"),
    shell:
        "python -m cnnviz.network.model --job {params.job:q} --code {params.code}"
        " --input network={input:q} --output model={output:q} 2>&1 | tee {log:q}"


# A glance at few labelled pictures, before hours of work: warnings that the terminal shows at once, and the pages.
rule look:
    input:
        network=f"{RESULTS}/models/{{model}}/network.json",
        files=ancient(network_files),
    output:
        f"{RESULTS}/models/{{model}}/look.json",
    log:
        f"{LOG}/look.log",
    benchmark:
        f"{BENCHMARK}/look.tsv"
    priority: 100
    conda:
        "../environment.yaml"
    threads: THREADS
    resources:
        device=DEVICE,
        torch_threads=THREADS,
        gpu=GPU,
        mem_mb=lambda w, attempt: 4000 * attempt,
        runtime=10,
    params:
        job=job("look", parameters=lambda w: {}),
        files=network_hash,
        pictures=lambda w: listing.fingerprint(image_set_of(w)),
        code=code_hash("cnnviz.check.look"),
    shell:
        "python -m cnnviz.check.look --job {params.job:q} --code {params.code}"
        " --device {resources.device} --threads {resources.torch_threads}"
        " --input network={input.network:q} --output look={output:q} 2>&1 | tee {log:q}"
