"""The site from whatever exists: for Snakemake's ``onerror:``, so that one failed technique hides nothing else."""

from pathlib import Path
from tempfile import TemporaryDirectory

from cnnviz.site import index, model_pages, picture_pages
from cnnviz.site.stamp import Stamp, text
from cnnviz.views import first_layers


def partial(results: Path, models: list[dict], gallery: dict) -> None:
    """Render ``results/site``; what is missing is named with the end of its log.

    models: the ``--config`` of each model's pages. gallery: the ``--config`` of the index. What is rendered here is not
    what the next run's jobs would leave, so the files go by which Snakemake knows theirs: of the pages that are about
    more than one model always, of a model's where they have become others.
    """
    results = Path(results)
    (results / "site-size.json").unlink(missing_ok=True)
    stamps: dict[str, Stamp] = {}
    for config in models:
        id = config["model"]
        folder = results / "models" / id
        before = _stamp(folder)
        try:
            stamps[id] = model_pages.render(
                config, folder / "model.json", folder / "sections", results / "site", results / "logs" / id
            )
        finally:
            now = text(stamps[id]) if id in stamps else ""
            if now != before == _stamp(folder):  # else a job of another run has just left it
                (folder / "model_pages.json").unlink(missing_ok=True)
    images = {
        name: results / "image_sets" / name / "images.json"
        for name in dict.fromkeys(config.get("image_set") for config in models)
        if name
    }
    for name, path in images.items():
        (path.parent / "picture_pages.json").unlink(missing_ok=True)
        of_set = [stamps[config["model"]] for config in models if config.get("image_set") == name]
        picture_pages.publish(name, path, path.parent / "thumbnails.npy", of_set, results / "site")
    with TemporaryDirectory() as folder:  # not where Snakemake would find it and think it done
        titles = [{"id": config["model"], "title": config["title"] or config["model"]} for config in models]
        filters = {id: results / "models" / id / "sections" / "first_layer_filters" / "result.npz" for id in stamps}
        if "first_layers" in gallery.get("compare", ()):
            first_layers.write(titles, filters, Path(folder) / "first_layers")
        manifest = index.render(gallery, stamps, results / "site", results / "benchmarks", images, Path(folder))
        index.finish(manifest, results / "site" / "manifest.json", results / "site", Path(folder) / "size.json")


def _stamp(folder: Path) -> str:
    """The stamp of a model's pages that were rendered before; "" if there are none."""
    try:
        return (folder / "model_pages.json").read_text("utf-8")
    except (OSError, ValueError):
        return ""
