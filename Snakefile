# A trained CNN and a set of pictures become a published gallery. The includes are in the order the data flows.
from snakemake.utils import min_version

min_version("9.0")

# The demo, unless --configfile names another config; --config seed=1 changes a value of either.
if not {"image_sets", "models"} & set(config):

    configfile: "config.yaml"


include: "rules/common.smk"
include: "rules/images.smk"
include: "rules/models.smk"
include: "rules/weights.smk"
include: "rules/activations.smk"
include: "rules/features.smk"
include: "rules/attribution.smk"
include: "rules/synthesis.smk"
include: "rules/style.smk"
include: "rules/adversarial.smk"
include: "rules/site.smk"
include: "rules/allocations.smk"


# Every section and every model's pages, not the front page alone: with that one, a deleted section would go unnoticed.
rule all:
    default_target: True
    input:
        f"{SITE}/index.html",
        f"{SITE}/manifest.json",
        expand(OF_MODEL, model=MODELS),
        expand(
            f"{RESULTS}/gallery/{{section}}/{{file}}",
            section=COMPARED,
            file=["result.npz", "section.json", "figures.zip"],
        ),


localrules:
    all,


# What exists is shown, and what is missing is named with the end of its log. The next run does only what is missing.
onerror:
    from cnnviz.site.partial import partial as render_what_exists

    render_what_exists(RESULTS, [pages_config(model) for model in MODELS], gallery_config())
    print(
        f"\nSome jobs failed. The gallery of what exists: {SITE}/index.html\n"
        "Mend the cause and run the same command again: only what is missing is made."
    )
