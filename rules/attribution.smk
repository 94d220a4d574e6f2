# Which pixels matter.
rule occlusion:
    input:
        network=f"{RESULTS}/models/{{model}}/network.json",
        images=of_image_set("images.json"),
        files=ancient(network_files),
    output:
        f"{RESULTS}/models/{{model}}/sections/occlusion/result.npz",
    log:
        f"{LOG}/occlusion.log",
    benchmark:
        f"{BENCHMARK}/occlusion.tsv"
    conda:
        "../environment.yaml"
    threads: THREADS
    resources:
        device=DEVICE,
        torch_threads=THREADS,
        gpu=GPU,
        mem_mb=lambda w, attempt: 4000 * attempt,
        runtime=60,
    params:
        job=job("occlusion", "probes"),
        files=network_hash,
        code=code_hash("cnnviz.attribution.occlusion"),
    shell:
        "python -m cnnviz.attribution.occlusion --job {params.job:q} --code {params.code}"
        " --device {resources.device} --threads {resources.torch_threads}"
        " --input network={input.network:q} images={input.images:q} --output result={output:q} 2>&1 | tee {log:q}"


rule saliency:
    input:
        network=f"{RESULTS}/models/{{model}}/network.json",
        images=of_image_set("images.json"),
        files=ancient(network_files),
    output:
        f"{RESULTS}/models/{{model}}/sections/saliency/result.npz",
    log:
        f"{LOG}/saliency.log",
    benchmark:
        f"{BENCHMARK}/saliency.tsv"
    conda:
        "../environment.yaml"
    threads: THREADS
    resources:
        device=DEVICE,
        torch_threads=THREADS,
        gpu=GPU,
        mem_mb=lambda w, attempt: 4000 * attempt,
        runtime=60,
    params:
        job=job("saliency", "probes"),
        files=network_hash,
        code=code_hash("cnnviz.attribution.saliency"),
    shell:
        "python -m cnnviz.attribution.saliency --job {params.job:q} --code {params.code}"
        " --device {resources.device} --threads {resources.torch_threads}"
        " --input network={input.network:q} images={input.images:q} --output result={output:q} 2>&1 | tee {log:q}"


rule deconvnet:
    input:
        network=f"{RESULTS}/models/{{model}}/network.json",
        images=of_image_set("images.json"),
        forward=f"{RESULTS}/models/{{model}}/forward/result.npz",
        files=ancient(network_files),
    output:
        f"{RESULTS}/models/{{model}}/sections/deconvnet/result.npz",
    log:
        f"{LOG}/deconvnet.log",
    benchmark:
        f"{BENCHMARK}/deconvnet.tsv"
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
        job=job("deconvnet", "probes", "layers"),
        files=network_hash,
        code=code_hash("cnnviz.attribution.deconvnet"),
    shell:
        "python -m cnnviz.attribution.deconvnet --job {params.job:q} --code {params.code}"
        " --device {resources.device} --threads {resources.torch_threads}"
        " --input network={input.network:q} images={input.images:q} forward={input.forward:q} --output result={output:q}"
        " 2>&1 | tee {log:q}"


rule guided_backprop:
    input:
        network=f"{RESULTS}/models/{{model}}/network.json",
        images=of_image_set("images.json"),
        forward=f"{RESULTS}/models/{{model}}/forward/result.npz",
        files=ancient(network_files),
    output:
        f"{RESULTS}/models/{{model}}/sections/guided_backprop/result.npz",
    log:
        f"{LOG}/guided_backprop.log",
    benchmark:
        f"{BENCHMARK}/guided_backprop.tsv"
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
        job=job("guided_backprop", "probes", "layers"),
        files=network_hash,
        code=code_hash("cnnviz.attribution.guided_backprop"),
    shell:
        "python -m cnnviz.attribution.guided_backprop --job {params.job:q} --code {params.code}"
        " --device {resources.device} --threads {resources.torch_threads}"
        " --input network={input.network:q} images={input.images:q} forward={input.forward:q} --output result={output:q}"
        " 2>&1 | tee {log:q}"


rule grad_cam:
    input:
        network=f"{RESULTS}/models/{{model}}/network.json",
        images=of_image_set("images.json"),
        files=ancient(network_files),
    output:
        f"{RESULTS}/models/{{model}}/sections/grad_cam/result.npz",
    log:
        f"{LOG}/grad_cam.log",
    benchmark:
        f"{BENCHMARK}/grad_cam.tsv"
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
        job=job("grad_cam", "probes"),
        files=network_hash,
        code=code_hash("cnnviz.attribution.grad_cam"),
    shell:
        "python -m cnnviz.attribution.grad_cam --job {params.job:q} --code {params.code}"
        " --device {resources.device} --threads {resources.torch_threads}"
        " --input network={input.network:q} images={input.images:q} --output result={output:q} 2>&1 | tee {log:q}"


rule attribution_check:
    input:
        unpack(explained),
        network=f"{RESULTS}/models/{{model}}/network.json",
        images=of_image_set("images.json"),
        files=ancient(network_files),
    output:
        f"{RESULTS}/models/{{model}}/sections/attribution_check/result.npz",
    log:
        f"{LOG}/attribution_check.log",
    benchmark:
        f"{BENCHMARK}/attribution_check.tsv"
    conda:
        "../environment.yaml"
    threads: THREADS
    resources:
        device=DEVICE,
        torch_threads=THREADS,
        gpu=GPU,
        mem_mb=lambda w, attempt: 4000 * attempt,
        runtime=120,
    params:
        job=job("attribution_check", "probes"),
        files=network_hash,
        explained=lambda w: [f"{section}={path}" for section, path in explained(w).items()],
        # it imports the methods by name, so their code has to be named too
        methods=[code_hash(f"cnnviz.attribution.{section}") for section in EXPLAINING],
        code=code_hash("cnnviz.attribution.attribution_check"),
    shell:
        "python -m cnnviz.attribution.attribution_check --job {params.job:q} --code {params.code}"
        " --device {resources.device} --threads {resources.torch_threads}"
        " --input network={input.network:q} images={input.images:q} {params.explained} --output result={output:q}"
        " 2>&1 | tee {log:q}"


rule bias_probe:
    input:
        unpack(explained),
        network=f"{RESULTS}/models/{{model}}/network.json",
        images=of_image_set("images.json"),
        files=ancient(network_files),
    output:
        f"{RESULTS}/models/{{model}}/sections/bias_probe/result.npz",
    log:
        f"{LOG}/bias_probe.log",
    benchmark:
        f"{BENCHMARK}/bias_probe.tsv"
    conda:
        "../environment.yaml"
    threads: THREADS
    resources:
        device=DEVICE,
        torch_threads=THREADS,
        gpu=GPU,
        mem_mb=lambda w, attempt: 4000 * attempt,
        runtime=120,
    params:
        job=job("bias_probe", "probes"),
        files=network_hash,
        explained=lambda w: [f"{section}={path}" for section, path in explained(w).items()],
        code=code_hash("cnnviz.attribution.bias_probe"),
    shell:
        "python -m cnnviz.attribution.bias_probe --job {params.job:q} --code {params.code}"
        " --device {resources.device} --threads {resources.torch_threads}"
        " --input network={input.network:q} images={input.images:q} {params.explained} --output result={output:q}"
        " 2>&1 | tee {log:q}"


rule saliency_segmentation:
    input:
        network=f"{RESULTS}/models/{{model}}/network.json",
        images=of_image_set("images.json"),
        files=ancient(network_files),
    output:
        f"{RESULTS}/models/{{model}}/sections/saliency_segmentation/result.npz",
    log:
        f"{LOG}/saliency_segmentation.log",
    benchmark:
        f"{BENCHMARK}/saliency_segmentation.tsv"
    conda:
        "../environment.yaml"
    threads: THREADS
    resources:
        device=DEVICE,
        torch_threads=THREADS,
        gpu=GPU,
        mem_mb=lambda w, attempt: 4000 * attempt,
        runtime=60,
    params:
        job=job("saliency_segmentation", "probes"),
        files=network_hash,
        code=code_hash("cnnviz.attribution.saliency_segmentation"),
    shell:
        "python -m cnnviz.attribution.saliency_segmentation --job {params.job:q} --code {params.code}"
        " --device {resources.device} --threads {resources.torch_threads}"
        " --input network={input.network:q} images={input.images:q} --output result={output:q} 2>&1 | tee {log:q}"


rule lime:
    input:
        network=f"{RESULTS}/models/{{model}}/network.json",
        images=of_image_set("images.json"),
        files=ancient(network_files),
    output:
        f"{RESULTS}/models/{{model}}/sections/lime/result.npz",
    log:
        f"{LOG}/lime.log",
    benchmark:
        f"{BENCHMARK}/lime.tsv"
    conda:
        "../environment.yaml"
    threads: THREADS
    resources:
        device=DEVICE,
        torch_threads=THREADS,
        gpu=GPU,
        mem_mb=lambda w, attempt: 4000 * attempt,
        runtime=60,
    params:
        job=job("lime", "probes"),
        files=network_hash,
        code=code_hash("cnnviz.attribution.lime"),
    shell:
        "python -m cnnviz.attribution.lime --job {params.job:q} --code {params.code}"
        " --device {resources.device} --threads {resources.torch_threads}"
        " --input network={input.network:q} images={input.images:q} --output result={output:q} 2>&1 | tee {log:q}"
