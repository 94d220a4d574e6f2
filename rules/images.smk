# One pass over all pictures of a set: whether they are readable, their sizes and thumbnails.
rule images:
    output:
        index=f"{RESULTS}/image_sets/{{image_set}}/images.json",
        thumbnails=f"{RESULTS}/image_sets/{{image_set}}/thumbnails.npy",
    log:
        f"{RESULTS}/logs/image_sets/{{image_set}}.images.log",
    benchmark:
        f"{RESULTS}/benchmarks/image_sets/{{image_set}}.images.tsv"
    conda:
        "../environment.yaml"
    threads: THREADS
    resources:
        mem_mb=lambda w, attempt: 1500 * attempt,
        runtime=120,
    params:
        config=lambda w: json.dumps(config["image_sets"][w.image_set], sort_keys=True),
        fingerprint=lambda w: listing.fingerprint(config["image_sets"][w.image_set]),
        code=code_hash("cnnviz.pictures.images"),
    shell:
        "python -m cnnviz.pictures.images --config {params.config:q} --threads {threads} --fingerprint {params.fingerprint}"
        " --index {output.index:q} --thumbnails {output.thumbnails:q} 2>&1 | tee {log:q}"
