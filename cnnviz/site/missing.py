"""Everything that was skipped or failed, on one page: ``missing.html``, so that the gallery hides no gaps."""

from cnnviz.site import edition
from cnnviz.site.redact import redact
from cnnviz.site.stamp import Entry, Stamp
from cnnviz.slug import slug

PAGE = "missing.html"
MOST = 200  # largest number of pictures in a list; images.json has all


def words(models: list[Stamp], compared: list[Entry], indices: dict[str, dict], publish: str) -> dict:
    """The template's variables: unloaded, failed, not_applicable, unpublished, sets.

    compared: entries of the sections about all models. indices: image set → its images.json. The
    derived edition names no pictures; its logs and reasons are already without names.
    """
    of = [(model.title, model.id, entry) for model in models for entry in model.sections]
    of += [("All models", "", entry) for entry in compared]
    rows = [{"model": title, "anchor": anchor(id, entry.id), "entry": entry} for title, id, entry in of]
    sets = []
    for name, index in indices.items():
        for kind in ("skipped", "notes"):
            found = [{"name": p["name"], "reason": redact(p["reason"])} for p in index.get(kind, ())]
            if found:
                shown = found[:MOST] if publish == edition.EVERYTHING else []
                sets.append({"name": name, "kind": kind, "count": len(found), "of": len(index["pictures"])})
                sets[-1] |= {"anchor": f"{kind}-{slug(name)}", "pictures": shown}
        if beside := _beside(index, publish):
            sets.append({"name": name, "kind": "others", "count": len(beside), "anchor": f"others-{slug(name)}"})
            sets[-1] |= {"pictures": beside}
    return {
        "unloaded": [model for model in models if model.status == "missing"],
        "failed": [row for row in rows if row["entry"].status == "missing"],
        "not_applicable": [row for row in rows if row["entry"].status == "not_applicable"],
        "unpublished": [row for row in rows if row["entry"].notes],
        "sets": sets,
    }


def _beside(index: dict, publish: str) -> list[dict]:
    """Assumptions about a set's table or folder, and its files that are not pictures of the set, counted by kind."""
    told = [{"name": "read as", "reason": redact(words)} for words in index.get("told", ())]
    if publish != edition.EVERYTHING:
        told = []
    others = index.get("others", ())
    return told + [{"name": f"{o['count']} {o['kind']}", "reason": o["reason"] or "no pictures"} for o in others]


def anchor(model: str, section: str) -> str:
    """Anchor of a section on the page. model: its id, "" for sections about all."""
    return f"{slug(model or 'all')}-{slug(section)}"


def count(said: dict) -> int:
    """Number of entries of the page; pictures are counted by set."""
    return sum(map(len, said.values()))
