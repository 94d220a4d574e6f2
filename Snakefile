# A trained CNN and a set of pictures become a published gallery. The includes are in the order the data flows.
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


# Everything that is asked for of a model.
OF_MODEL = [
    *rules.network.output,
    *rules.model.output,
    *rules.look.output,
    *rules.forward.output,
    *rules.model_pages.output,
    *expand([f"{SECTION}/result.npz", *rules.view.output], section=SECTIONS, allow_missing=True),
]


# Every file that a rule leaves, not the front page alone: of files it does not ask for, a deleted one goes unnoticed.
rule all:
    default_target: True
    input:
        rules.index.output,
        rules.first_layers.output if COMPARED else [],
        expand([*rules.images.output, *rules.picture_pages.output], image_set=gallery_config()["image_sets"]),
        expand(OF_MODEL, model=MODELS),


localrules:
    all,


# One run at a time; and a lost file that comes back with the same bytes makes nothing else run.
onstart:
    from cnnviz.run.alone import claim
    from cnnviz.run.lost import make_first

    if workflow.execution_settings.lock and not claim(RESULTS):  # with --nolock it is a part of another run
        sys.exit(
            f"error: another run is at work on {RESULTS}. Wait for its end, or choose other results: in the config"
        )
    make_first(workflow)


# What exists is shown, and what is missing is named with the end of its log. The next run does only what is missing.
onerror:
    from cnnviz.site.partial import partial as render_what_exists

    try:
        render_what_exists(RESULTS, [pages_config(model) for model in MODELS], gallery_config())
        print(f"\nSome jobs failed. The gallery of what exists: {SITE}/index.html")
    except (OSError, ValueError) as error:
        print(f"\nSome jobs failed, and the gallery of what exists could not be written: {error}")
    print("Mend the cause and run the same command again: only what is missing is made.")
