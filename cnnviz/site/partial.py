"""Renders the site from the existing results: for Snakemake's ``onerror:``, so that one failure hides nothing else."""

from pathlib import Path
from tempfile import TemporaryDirectory

from cnnviz.site import index, model_pages, picture_pages
from cnnviz.site.stamp import Stamp, text
from cnnviz.views import first_layers


def partial(results: Path, models: list[dict], gallery: dict) -> None:
    """Renders ``results/site``; missing sections are listed with the end of their logs.

    models: the ``--config`` of each model's pages. gallery: the ``--config`` of the index. The rendered files differ
    from those of the next run's jobs. So the files by which Snakemake recognises finished pages are removed: always
    those of pages about several models, and a model's if its pages changed.
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
            if now != before == _stamp(folder):  # otherwise a job of another run has just written it
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
    with TemporaryDirectory() as folder:  # not in a place where Snakemake would take it for finished
        titles = [{"id": config["model"], "title": config["title"] or config["model"]} for config in models]
        filters = {id: results / "models" / id / "sections" / "first_layer_filters" / "result.npz" for id in stamps}
        if "first_layers" in gallery.get("compare", ()):
            first_layers.write(titles, filters, Path(folder) / "first_layers")
        manifest = index.render(gallery, stamps, results / "site", results / "benchmarks", images, Path(folder))
        index.finish(manifest, results / "site" / "manifest.json", results / "site", Path(folder) / "size.json")


def _stamp(folder: Path) -> str:
    """The stamp of a model's pages from an earlier rendering; "" if there is none."""
    try:
        return (folder / "model_pages.json").read_text("utf-8")
    except (OSError, ValueError):
        return ""
