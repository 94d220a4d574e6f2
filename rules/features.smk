# The feature space: the vectors before the classifier (FC7 in AlexNet). CPU only, no torch.
rule nearest_neighbors:
    input:
        network=f"{RESULTS}/models/{{model}}/network.json",
        images=of_image_set("images.json"),
        thumbnails=of_image_set("thumbnails.npy"),
        features=f"{RESULTS}/models/{{model}}/forward/features.npy",
    output:
        f"{RESULTS}/models/{{model}}/sections/nearest_neighbors/result.npz",
    log:
        f"{LOG}/nearest_neighbors.log",
    benchmark:
        f"{BENCHMARK}/nearest_neighbors.tsv"
    conda:
        "../environment.yaml"
    threads: THREADS
    resources:
        device=DEVICE,
        torch_threads=THREADS,
        mem_mb=lambda w, attempt: 4000 * attempt,
        runtime=120,
    params:
        job=job("nearest_neighbors", "feature_layer", "probes"),
        code=code_hash("cnnviz.features.nearest_neighbors"),
    shell:
        "python -m cnnviz.features.nearest_neighbors --job {params.job:q} --code {params.code}"
        " --device {resources.device} --threads {resources.torch_threads}"
        " --input network={input.network:q} images={input.images:q} thumbnails={input.thumbnails:q} features={input.features:q}"
        " --output result={output:q} 2>&1 | tee {log:q}"


rule pca:
    input:
        network=f"{RESULTS}/models/{{model}}/network.json",
        images=of_image_set("images.json"),
        features=f"{RESULTS}/models/{{model}}/forward/features.npy",
    output:
        f"{RESULTS}/models/{{model}}/sections/pca/result.npz",
    log:
        f"{LOG}/pca.log",
    benchmark:
        f"{BENCHMARK}/pca.tsv"
    conda:
        "../environment.yaml"
    threads: THREADS
    resources:
        device=DEVICE,
        torch_threads=THREADS,
        mem_mb=lambda w, attempt: 4000 * attempt,
        runtime=60,
    params:
        job=job("pca", "feature_layer"),
        code=code_hash("cnnviz.features.pca"),
    shell:
        "python -m cnnviz.features.pca --job {params.job:q} --code {params.code}"
        " --device {resources.device} --threads {resources.torch_threads}"
        " --input network={input.network:q} images={input.images:q} features={input.features:q}"
        " --output result={output:q} 2>&1 | tee {log:q}"


rule tsne:
    input:
        network=f"{RESULTS}/models/{{model}}/network.json",
        images=of_image_set("images.json"),
        thumbnails=of_image_set("thumbnails.npy"),
        features=f"{RESULTS}/models/{{model}}/forward/features.npy",
    output:
        f"{RESULTS}/models/{{model}}/sections/tsne/result.npz",
    log:
        f"{LOG}/tsne.log",
    benchmark:
        f"{BENCHMARK}/tsne.tsv"
    conda:
        "../environment.yaml"
    threads: THREADS
    resources:
        device=DEVICE,
        torch_threads=THREADS,
        mem_mb=lambda w, attempt: 4000 * attempt,
        runtime=240,
    params:
        job=job("tsne", "feature_layer"),
        code=code_hash("cnnviz.features.tsne"),
    shell:
        "python -m cnnviz.features.tsne --job {params.job:q} --code {params.code}"
        " --device {resources.device} --threads {resources.torch_threads}"
        " --input network={input.network:q} images={input.images:q} thumbnails={input.thumbnails:q} features={input.features:q}"
        " --output result={output:q} 2>&1 | tee {log:q}"


rule tsne_grid:
    input:
        network=f"{RESULTS}/models/{{model}}/network.json",
        images=of_image_set("images.json"),
        features=f"{RESULTS}/models/{{model}}/forward/features.npy",
        tsne=f"{RESULTS}/models/{{model}}/sections/tsne/result.npz",
    output:
        f"{RESULTS}/models/{{model}}/sections/tsne_grid/result.npz",
    log:
        f"{LOG}/tsne_grid.log",
    benchmark:
        f"{BENCHMARK}/tsne_grid.tsv"
    conda:
        "../environment.yaml"
    threads: THREADS
    resources:
        device=DEVICE,
        torch_threads=THREADS,
        mem_mb=lambda w, attempt: 4000 * attempt,
        runtime=60,
    params:
        job=job("tsne_grid", "feature_layer"),
        code=code_hash("cnnviz.features.tsne_grid"),
    shell:
        "python -m cnnviz.features.tsne_grid --job {params.job:q} --code {params.code}"
        " --device {resources.device} --threads {resources.torch_threads}"
        " --input network={input.network:q} images={input.images:q} features={input.features:q} tsne={input.tsne:q}"
        " --output result={output:q} 2>&1 | tee {log:q}"
