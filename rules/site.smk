# Results → sections → pages. No torch from here on: figures, texts and pages are cheap.
rule view:
    input:
        result=f"{SECTION}/result.npz",
        model=f"{RESULTS}/models/{{model}}/model.json",
        images=of_image_set("images.json"),
        thumbnails=of_image_set("thumbnails.npy"),
    output:
        section=f"{SECTION}/section.json",
        figures=f"{SECTION}/figures.zip",
    log:
        f"{LOG}/{{section}}.view.log",
    benchmark:
        f"{BENCHMARK}/{{section}}.view.tsv"
    conda:
        "../environment.yaml"
    resources:
        mem_mb=lambda w, attempt: 2000 * attempt,
        runtime=30,
    params:
        show=lambda w: json.dumps(config["sections"][w.section]["view"], sort_keys=True),
        image_set=lambda w: json.dumps(
            config["image_sets"][config["models"][w.model]["image_set"]],
            sort_keys=True,
        ),
        code=lambda w: code_hash(f"cnnviz.views.{w.section}"),
    shell:
        "python -m cnnviz.views.{wildcards.section} --show {params.show:q} --image-set {params.image_set:q}"
        " --input result={input.result:q} model={input.model:q} images={input.images:q} thumbnails={input.thumbnails:q}"
        " --section {output.section:q} --figures {output.figures:q} 2>&1 | tee {log:q}"


rule model_pages:
    input:
        model=f"{RESULTS}/models/{{model}}/model.json",
        look=f"{RESULTS}/models/{{model}}/look.json",
        images=of_image_set("images.json"),
        forward=f"{RESULTS}/models/{{model}}/forward/result.npz",
        sections=expand(f"{SECTION}/section.json", section=SECTIONS, allow_missing=True),
        figures=expand(f"{SECTION}/figures.zip", section=SECTIONS, allow_missing=True),
    output:
        stamp=f"{RESULTS}/models/{{model}}/model_pages.json",
        page=f"{SITE}/models/{{model}}/index.html",
    log:
        f"{LOG}/model_pages.log",
    benchmark:
        f"{BENCHMARK}/model_pages.tsv"
    conda:
        "../environment.yaml"
    resources:
        mem_mb=lambda w, attempt: 2000 * attempt,
        runtime=30,
    params:
        config=lambda w: json.dumps(pages_config(w.model)),
        folder=lambda w, input: Path(input.model).parent,
        site=lambda w, output: Path(output.page).parents[2],
        logs=LOG,
        code=code_hash("cnnviz.site.model_pages"),
        templates=folder_hash("templates"),
    shell:
        "python -m cnnviz.site.model_pages --config {params.config:q} --model {input.model:q}"
        " --sections {params.folder:q}/sections --out {params.site:q} --stamp {output.stamp:q}"
        " --log-folder {params.logs:q} 2>&1 | tee {log:q}"


rule picture_pages:
    input:
        stamps=lambda w: [
            f"{RESULTS}/models/{name}/model_pages.json"
            for name in MODELS
            if config["models"][name]["image_set"] == w.image_set
        ],
        images=f"{RESULTS}/image_sets/{{image_set}}/images.json",
        thumbnails=f"{RESULTS}/image_sets/{{image_set}}/thumbnails.npy",
    output:
        f"{RESULTS}/image_sets/{{image_set}}/picture_pages.json",
    log:
        f"{RESULTS}/logs/image_sets/{{image_set}}.picture_pages.log",
    benchmark:
        f"{RESULTS}/benchmarks/image_sets/{{image_set}}.picture_pages.tsv"
    conda:
        "../environment.yaml"
    resources:
        mem_mb=lambda w, attempt: 2000 * attempt,
        runtime=30,
    params:
        site=SITE,
        code=code_hash("cnnviz.site.picture_pages"),
        templates=folder_hash("templates"),
    shell:
        "python -m cnnviz.site.picture_pages --image-set {wildcards.image_set:q} --stamps {input.stamps:q}"
        " --images {input.images:q} --thumbnails {input.thumbnails:q} --out {params.site:q}"
        " --stamp {output:q} 2>&1 | tee {log:q}"


# One section about all models. Its job computes and draws, since it only joins their weights.
rule first_layers:
    input:
        expand(f"{RESULTS}/models/{{model}}/sections/first_layer_filters/result.npz", model=MODELS),
    output:
        result=f"{RESULTS}/gallery/first_layers/result.npz",
        section=f"{RESULTS}/gallery/first_layers/section.json",
        figures=f"{RESULTS}/gallery/first_layers/figures.zip",
    log:
        f"{RESULTS}/logs/first_layers.log",
    benchmark:
        f"{RESULTS}/benchmarks/_index/first_layers.tsv"
    conda:
        "../environment.yaml"
    resources:
        mem_mb=lambda w, attempt: 1000 * attempt,
        runtime=10,
    params:
        # a function, since Snakemake would read {x} in a title as a wildcard
        models=lambda w: json.dumps(
            [{"id": name, "title": block["title"] or name} for name, block in config["models"].items()]
        ),
        results=lambda w, input: [f"{model}={path}" for model, path in zip(MODELS, input)],
        folder=lambda w, output: Path(output.section).parent,
        code=code_hash("cnnviz.views.first_layers"),
    shell:
        "python -m cnnviz.views.first_layers --models {params.models:q} --input {params.results:q}"
        " --folder {params.folder:q} 2>&1 | tee {log:q}"


rule index:
    input:
        compared=expand(
            f"{RESULTS}/gallery/{{section}}/{{file}}",
            section=COMPARED,
            file=["result.npz", "section.json", "figures.zip"],
        ),
        stamps=expand(f"{RESULTS}/models/{{model}}/model_pages.json", model=MODELS),
        images=[f"{RESULTS}/image_sets/{name}/images.json" for name in gallery_config()["image_sets"]],
        pictures=[f"{RESULTS}/image_sets/{name}/picture_pages.json" for name in gallery_config()["image_sets"]],
    output:
        page=f"{SITE}/index.html",
        manifest=f"{SITE}/manifest.json",
        size=f"{RESULTS}/site-size.json",
    log:
        f"{RESULTS}/logs/index.log",
    benchmark:
        f"{RESULTS}/benchmarks/index.tsv"
    conda:
        "../environment.yaml"
    resources:
        mem_mb=lambda w, attempt: 1000 * attempt,
        runtime=10,
    params:
        config=lambda w: json.dumps(gallery_config()),  # a function, since a title may contain {x}
        site=lambda w, output: Path(output.page).parent,
        gallery=lambda w: f"{RESULTS}/gallery",
        benchmarks=f"{RESULTS}/benchmarks",
        code=code_hash("cnnviz.site.index"),
        templates=folder_hash("templates"),
    shell:
        "python -m cnnviz.site.index --config {params.config:q} --stamps {input.stamps:q} --images {input.images:q}"
        " --gallery {params.gallery:q} --out {params.site:q} --manifest {output.manifest:q} --size {output.size:q}"
        " --benchmarks {params.benchmarks:q} 2>&1 | tee {log:q}"
