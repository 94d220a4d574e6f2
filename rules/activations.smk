# ONE pass over the pictures: features, the strongest neurons of every unit, statistics, predictions. With
# forward_shards, each shard covers a part of the pictures, and `forward` merges them.
rule forward_shard:
    input:
        network=f"{RESULTS}/models/{{model}}/network.json",
        images=of_image_set("images.json"),
        files=ancient(network_files),
    output:
        result=temp(f"{RESULTS}/models/{{model}}/forward/shard-{{shard}}-of-{FORWARD_SHARDS}.npz"),
        features=temp(f"{RESULTS}/models/{{model}}/forward/shard-{{shard}}-of-{FORWARD_SHARDS}.features.npy"),
        logits=temp(f"{RESULTS}/models/{{model}}/forward/shard-{{shard}}-of-{FORWARD_SHARDS}.logits.npy"),
    log:
        f"{LOG}/forward.shard-{{shard}}.log",
    benchmark:
        f"{BENCHMARK}/forward.shard-{{shard}}.tsv"
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
        job=forward_job(shard=lambda w: w.shard),
        files=network_hash,
        code=code_hash("cnnviz.activations.forward"),
    shell:
        "python -m cnnviz.activations.forward --job {params.job:q} --code {params.code}"
        " --device {resources.device} --threads {resources.torch_threads}"
        " --input network={input.network:q} images={input.images:q}"
        " --output result={output.result:q} features={output.features:q} logits={output.logits:q} 2>&1 | tee {log:q}"


rule forward:
    input:
        network=f"{RESULTS}/models/{{model}}/network.json",
        images=of_image_set("images.json"),
        files=ancient(network_files),
        shards=[
            expand(file, shard=range(FORWARD_SHARDS) if FORWARD_SHARDS > 1 else [], allow_missing=True)
            for file in rules.forward_shard.output
        ],
    output:
        result=f"{RESULTS}/models/{{model}}/forward/result.npz",
        features=f"{RESULTS}/models/{{model}}/forward/features.npy",
        logits=f"{RESULTS}/models/{{model}}/forward/logits.npy",
        untrained=f"{RESULTS}/models/{{model}}/forward/untrained.npz",
    log:
        f"{LOG}/forward.log",
    benchmark:
        f"{BENCHMARK}/forward.tsv"
    conda:
        "../environment.yaml"
    threads: THREADS
    resources:
        device=DEVICE if FORWARD_SHARDS == 1 else "cpu",
        torch_threads=THREADS,
        gpu=GPU if FORWARD_SHARDS == 1 else 0,
        mem_mb=lambda w, attempt: 6000 * attempt,
        runtime=240,
    params:
        job=forward_job(),
        # the result only; features and logits are beside it
        shards=lambda w, input: [f"shard-{i}={p}" for i, p in enumerate(input.shards[:FORWARD_SHARDS])],
        files=network_hash,
        code=code_hash("cnnviz.activations.forward"),
    shell:
        "python -m cnnviz.activations.forward --job {params.job:q} --code {params.code}"
        " --device {resources.device} --threads {resources.torch_threads}"
        " --input network={input.network:q} images={input.images:q} {params.shards}"
        " --output result={output.result:q} features={output.features:q} logits={output.logits:q}"
        " untrained={output.untrained:q} 2>&1 | tee {log:q}"


# It reads the result of the forward pass. A segmentation network is run on each picture again.
rule predictions:
    input:
        forward=f"{RESULTS}/models/{{model}}/forward/result.npz",
        logits=f"{RESULTS}/models/{{model}}/forward/logits.npy",
        network=f"{RESULTS}/models/{{model}}/network.json",
        images=of_image_set("images.json"),
        files=ancient(lambda w: network_files(w) if segments(w) else []),
    output:
        f"{RESULTS}/models/{{model}}/sections/predictions/result.npz",
    log:
        f"{LOG}/predictions.log",
    benchmark:
        f"{BENCHMARK}/predictions.tsv"
    conda:
        "../environment.yaml"
    threads: lambda w: THREADS if segments(w) else 1
    resources:
        device=DEVICE,
        torch_threads=THREADS,
        gpu=lambda w: GPU if segments(w) else 0,
        mem_mb=lambda w, attempt: (6000 if segments(w) else 2000) * attempt,
        runtime=lambda w: 240 if segments(w) else 20,
    params:
        job=job("predictions", "probes"),
        files=lambda w: network_hash(w) if segments(w) else "",
        code=code_hash("cnnviz.activations.predictions"),
    shell:
        "python -m cnnviz.activations.predictions --job {params.job:q} --code {params.code}"
        " --device {resources.device} --threads {resources.torch_threads}"
        " --input forward={input.forward:q} logits={input.logits:q} network={input.network:q} images={input.images:q}"
        " --output result={output:q} 2>&1 | tee {log:q}"
