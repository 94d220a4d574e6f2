# Makes a gallery from trained CNNs and sets of pictures. The includes are in the order of the data flow.
from snakemake.utils import min_version

min_version("9.0")

# The demo, unless --configfile names another config; --config seed=1 changes a value of either.
if not {"image_sets", "models"} & set(config):

    configfile: "config.yaml"


include: "rules/common.smk"
include: "rules/images.smk"
include: "rules/models.smk"
include: "rules/techniques.smk"
include: "rules/activations.smk"
include: "rules/attribution.smk"
include: "rules/synthesis.smk"
include: "rules/site.smk"
include: "rules/allocations.smk"


# All requested files of a model.
OF_MODEL = [
    *rules.network.output,
    *rules.model.output,
    *rules.look.output,
    *rules.forward.output,
    *rules.model_pages.output,
    *expand([f"{SECTION}/result.npz", *rules.view.output], section=SECTIONS, allow_missing=True),
]


# Every file of every rule, not only the front page: Snakemake does not notice deleted files that nothing requests.
rule all:
    default_target: True
    input:
        rules.index.output,
        rules.first_layers.output if COMPARED else [],
        expand([*rules.images.output, *rules.picture_pages.output], image_set=gallery_config()["image_sets"]),
        expand(OF_MODEL, model=MODELS),


localrules:
    all,


# Allows one run at a time. A missing file that is made again with the same bytes reruns nothing else.
onstart:
    import compileall
    from cnnviz.run.alone import claim
    from cnnviz.run.lost import make_first

    if workflow.execution_settings.lock and not claim(RESULTS):  # with --nolock this is a part of another run
        sys.exit(f"error: another run is using {RESULTS}. Wait for its end, or set other results: in the config")
    make_first(workflow)
    # Each job is a process: without bytecode, also where Python itself may not write it, each compiles what it imports.
    compileall.compile_dir(f"{workflow.basedir}/cnnviz", quiet=2)


# Renders the existing results and lists the missing ones with the end of their logs. The next run makes only these.
onerror:
    from cnnviz.site.partial import partial as render_what_exists

    try:
        render_what_exists(RESULTS, [pages_config(model) for model in MODELS], gallery_config())
        print(f"\nSome jobs failed. The gallery of what exists: {SITE}/index.html")
    except (OSError, ValueError) as error:
        print(f"\nSome jobs failed, and the gallery of what exists could not be written: {error}")
    print("Fix the cause and run the same command again: it makes only what is missing.")
