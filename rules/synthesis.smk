# Pictures by gradient ascent.
rule class_visualization:
    input:
        network=f"{RESULTS}/models/{{model}}/network.json",
        images=of_image_set("images.json"),
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
        job=job("class_visualization", "probes"),
        files=network_hash,
        code=code_hash("cnnviz.synthesis.class_visualization"),
    shell:
        "python -m cnnviz.synthesis.class_visualization --job {params.job:q} --code {params.code}"
        " --device {resources.device} --threads {resources.torch_threads}"
        " --input network={input.network:q} images={input.images:q} --output result={output:q} 2>&1 | tee {log:q}"


rule logit_vs_probability:
    input:
        network=f"{RESULTS}/models/{{model}}/network.json",
        files=ancient(network_files),
    output:
        f"{RESULTS}/models/{{model}}/sections/logit_vs_probability/result.npz",
    log:
        f"{LOG}/logit_vs_probability.log",
    benchmark:
        f"{BENCHMARK}/logit_vs_probability.tsv"
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
        job=job("logit_vs_probability"),
        files=network_hash,
        code=code_hash("cnnviz.synthesis.logit_vs_probability"),
    shell:
        "python -m cnnviz.synthesis.logit_vs_probability --job {params.job:q} --code {params.code}"
        " --device {resources.device} --threads {resources.torch_threads}"
        " --input network={input.network:q} --output result={output:q} 2>&1 | tee {log:q}"


rule objectives:
    input:
        network=f"{RESULTS}/models/{{model}}/network.json",
        files=ancient(network_files),
    output:
        f"{RESULTS}/models/{{model}}/sections/objectives/result.npz",
    log:
        f"{LOG}/objectives.log",
    benchmark:
        f"{BENCHMARK}/objectives.tsv"
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
        job=job("objectives"),
        files=network_hash,
        code=code_hash("cnnviz.synthesis.objectives"),
    shell:
        "python -m cnnviz.synthesis.objectives --job {params.job:q} --code {params.code}"
        " --device {resources.device} --threads {resources.torch_threads}"
        " --input network={input.network:q} --output result={output:q} 2>&1 | tee {log:q}"


rule unit_visualization_shard:
    input:
        network=f"{RESULTS}/models/{{model}}/network.json",
        forward=f"{RESULTS}/models/{{model}}/forward/result.npz",
        files=ancient(network_files),
    output:
        f"{RESULTS}/models/{{model}}/unit_visualization/shard-{{shard}}-of-{SHARDS}.npz",
    log:
        f"{LOG}/unit_visualization.shard-{{shard}}.log",
    benchmark:
        f"{BENCHMARK}/unit_visualization.shard-{{shard}}.tsv"
    conda:
        "../environment.yaml"
    threads: THREADS
    resources:
        device=DEVICE,
        torch_threads=THREADS,
        gpu=GPU,
        mem_mb=lambda w, attempt: 6000 * attempt,
        runtime=480,
    params:
        job=units_job(shard=lambda w: w.shard),
        files=network_hash,
        code=code_hash("cnnviz.synthesis.unit_visualization"),
    shell:
        "python -m cnnviz.synthesis.unit_visualization --job {params.job:q} --code {params.code}"
        " --device {resources.device} --threads {resources.torch_threads}"
        " --input network={input.network:q} forward={input.forward:q} --output result={output:q} 2>&1 | tee {log:q}"


rule unit_visualization:
    input:
        network=f"{RESULTS}/models/{{model}}/network.json",
        forward=f"{RESULTS}/models/{{model}}/forward/result.npz",
        files=ancient(network_files),
        shards=expand(
            rules.unit_visualization_shard.output, shard=range(SHARDS) if SHARDS > 1 else [], allow_missing=True
        ),
    output:
        f"{RESULTS}/models/{{model}}/sections/unit_visualization/result.npz",
    log:
        f"{LOG}/unit_visualization.log",
    benchmark:
        f"{BENCHMARK}/unit_visualization.tsv"
    conda:
        "../environment.yaml"
    threads: THREADS
    resources:
        device=DEVICE,
        torch_threads=THREADS,
        gpu=GPU if SHARDS == 1 else 0,
        mem_mb=lambda w, attempt: 6000 * attempt,
        runtime=480 if SHARDS == 1 else 30,
    params:
        job=units_job(),
        shards=lambda w, input: [f"shard-{i}={path}" for i, path in enumerate(input.shards)],
        files=network_hash,
        code=code_hash("cnnviz.synthesis.unit_visualization"),
    shell:
        "python -m cnnviz.synthesis.unit_visualization --job {params.job:q} --code {params.code}"
        " --device {resources.device} --threads {resources.torch_threads}"
        " --input network={input.network:q} forward={input.forward:q} {params.shards}"
        " --output result={output:q} 2>&1 | tee {log:q}"


rule diversity:
    input:
        network=f"{RESULTS}/models/{{model}}/network.json",
        forward=f"{RESULTS}/models/{{model}}/forward/result.npz",
        files=ancient(network_files),
    output:
        f"{RESULTS}/models/{{model}}/sections/diversity/result.npz",
    log:
        f"{LOG}/diversity.log",
    benchmark:
        f"{BENCHMARK}/diversity.tsv"
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
        job=job("diversity", "layers"),
        files=network_hash,
        code=code_hash("cnnviz.synthesis.diversity"),
    shell:
        "python -m cnnviz.synthesis.diversity --job {params.job:q} --code {params.code}"
        " --device {resources.device} --threads {resources.torch_threads}"
        " --input network={input.network:q} forward={input.forward:q}"
        " --output result={output:q} 2>&1 | tee {log:q}"


rule multifaceted:
    input:
        network=f"{RESULTS}/models/{{model}}/network.json",
        images=of_image_set("images.json"),
        features=f"{RESULTS}/models/{{model}}/forward/features.npy",
        logits=f"{RESULTS}/models/{{model}}/forward/logits.npy",
        files=ancient(network_files),
    output:
        f"{RESULTS}/models/{{model}}/sections/multifaceted/result.npz",
    log:
        f"{LOG}/multifaceted.log",
    benchmark:
        f"{BENCHMARK}/multifaceted.tsv"
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
        job=job("multifaceted", "feature_layer"),
        files=network_hash,
        code=code_hash("cnnviz.synthesis.multifaceted"),
    shell:
        "python -m cnnviz.synthesis.multifaceted --job {params.job:q} --code {params.code}"
        " --device {resources.device} --threads {resources.torch_threads}"
        " --input network={input.network:q} images={input.images:q} features={input.features:q} logits={input.logits:q}"
        " --output result={output:q} 2>&1 | tee {log:q}"


rule feature_inversion:
    input:
        network=f"{RESULTS}/models/{{model}}/network.json",
        images=of_image_set("images.json"),
        files=ancient(network_files),
    output:
        f"{RESULTS}/models/{{model}}/sections/feature_inversion/result.npz",
    log:
        f"{LOG}/feature_inversion.log",
    benchmark:
        f"{BENCHMARK}/feature_inversion.tsv"
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
        job=job("feature_inversion", "probes", "layers"),
        files=network_hash,
        code=code_hash("cnnviz.synthesis.feature_inversion"),
    shell:
        "python -m cnnviz.synthesis.feature_inversion --job {params.job:q} --code {params.code}"
        " --device {resources.device} --threads {resources.torch_threads}"
        " --input network={input.network:q} images={input.images:q} --output result={output:q} 2>&1 | tee {log:q}"


rule deepdream:
    input:
        network=f"{RESULTS}/models/{{model}}/network.json",
        images=of_image_set("images.json"),
        files=ancient(network_files),
        pictures=ancient(
            lambda w: [
                given["path"]
                for pictures in [config["techniques"]["deepdream"]["pictures"]]
                if isinstance(pictures, list)  # else so many of the image set's
                for given in pictures
            ]
        ),
    output:
        f"{RESULTS}/models/{{model}}/sections/deepdream/result.npz",
    log:
        f"{LOG}/deepdream.log",
    benchmark:
        f"{BENCHMARK}/deepdream.tsv"
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
        job=job("deepdream", "probes", "layers"),
        files=network_hash,
        pictures=lambda w, input: " ".join(map(content_hash, input.pictures)),
        code=code_hash("cnnviz.synthesis.deepdream"),
    shell:
        "python -m cnnviz.synthesis.deepdream --job {params.job:q} --code {params.code}"
        " --device {resources.device} --threads {resources.torch_threads}"
        " --input network={input.network:q} images={input.images:q} --output result={output:q} 2>&1 | tee {log:q}"
