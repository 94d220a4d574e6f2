"""Ranks the sections' findings for a model's page, the front page, and the comparison of two models.

The rules are the same for all sections. A question of trust comes first, found or not; then found before weakly found
or not found; then the larger effect (the distance of a number from its control, as a share of the largest possible
distance). Between models, the larger difference of effects comes first.
"""

from cnnviz.site.stamp import Entry, Stamp
from cnnviz.views.kit.findings import FOUND, STRENGTHS, Measured, difference
from cnnviz.views.kit.section import Section

MOST = 3  # largest number of findings at the top of a model's page
TRUST = ("bias_probe", "attribution_check")  # sections about trust, which the top of a model's page always answers


def listed(section: Section, page: str, folder: str) -> list[dict]:
    """A section's findings for the stamp, with their numbers, their figure and their section's page.

    ``figure``: file, size, alt and whether its pixels are enlarged, or None. ``tiles``: for a figure that is a row of
    tiles, each tile's position, label and number; the first tile comes first, then those with the largest numbers.
    """
    figures = {figure.id: figure for figure in section.figures}
    return [_listed(section, finding, figures.get(finding.figure), page, folder) for finding in section.findings]


def _listed(section: Section, finding, figure, page: str, folder: str) -> dict:
    measured = section.measured.get(finding.key)
    shown = figure and {
        "id": figure.id, "file": f"{folder}/{figure.file}", "width": figure.width, "height": figure.height,
        "alt": figure.alt, "pixelated": figure.pixelated,
    }  # fmt: skip
    return {
        "section": section.id,
        "title": section.title,
        "page": page,
        "key": finding.key,
        "says": finding.says,
        "strength": finding.strength,
        "interval": finding.interval,
        "control": finding.control,
        "basis": finding.basis,
        "caution": finding.caution,
        "effect": measured.effect if measured else None,
        "figure": shown,
        "tiles": tiles(finding.labels, measured.values) if figure and measured else [],
    }


def tiles(labels: tuple[str, ...], values: tuple[float, ...]) -> list[dict]:
    order = sorted(range(1, len(labels)), key=lambda i: -values[i])
    return [{"place": i, "label": labels[i], "value": values[i]} for i in (0, *order)] if labels else []


def strongest(entries: list[Entry]) -> list[dict]:
    """The findings of a model's sections, strongest first; one of each section comes before a second one of any."""
    found = [(rank, finding) for entry in entries for rank, finding in enumerate(entry.findings)]
    return [finding for rank, finding in sorted(found, key=lambda pair: (pair[0] > 0, _place(pair[1])))]


def trust(entries: list[Entry], top: list[dict]) -> list[dict]:
    """The first findings of the sections about trust, without those among ``top``, each with its section's question."""
    asked = {entry.id: entry for entry in entries if entry.id in TRUST and entry.findings}
    shown = {finding["section"] for finding in top}
    return [asked[id].findings[0] | {"question": asked[id].question} for id in TRUST if id in asked and id not in shown]


def _place(finding: dict) -> tuple:
    return not finding["caution"], STRENGTHS.index(finding["strength"]), -abs(finding["effect"] or 0)


def differences(a: Stamp, b: Stamp) -> list[dict]:
    """The differences between two models (stamps), largest first; of each section the largest one.

    Each: section, title, key, ``said`` of both in words, ``gap`` with its interval ``low`` … ``high``, and ``sure``,
    whether that interval excludes zero.
    """
    of = [{entry.id: entry for entry in model.sections if entry.measured} for model in (a, b)]
    largest = []
    for id in of[0].keys() & of[1].keys():
        one, other = (side[id].measured for side in of)
        rows = []
        for key in one.keys() & other.keys():
            gap, low, high = difference(Measured(**one[key]), Measured(**other[key]))
            said = [one[key]["short"], other[key]["short"]]
            row = {"key": key, "said": said, "gap": gap, "low": low, "high": high, "sure": low > 0 or high < 0}
            rows.append({"section": id, "title": of[0][id].title, "pages": [side[id].page for side in of]} | row)
        largest += sorted(rows, key=_apart)[:1]
    return sorted(largest, key=_apart)


def _apart(row: dict) -> tuple:
    return not row["sure"], -abs(row["gap"]), row["section"], row["key"]


def lead(models: list[Stamp]) -> dict | None:
    """The first finding on the front page: the one in which several models differ most, else the strongest.

    It is the finding, with ``model`` (its title), ``others``: (title, the same number in words), its ``interval`` with
    those of the others, and in ``tiles`` the numbers of all models; or None if nothing is found.
    """
    candidates = [
        (_lead_place(finding, model, models), i, finding)
        for i, model in enumerate(models)
        for finding in strongest(model.sections)
        if finding["strength"] == FOUND
    ]
    if not candidates:
        return None
    _, i, finding = min(candidates, key=lambda candidate: candidate[:2])
    others = [(m, _measured(m, finding)) for m in models if m is not models[i]]
    answered = [(m, found) for m, found in others if found]
    values = [(models[i], [t["value"] for t in finding["tiles"]])]
    # a model with other pictures may have other tiles
    alike = [(m, found["values"]) for m, found in answered if len(found["values"]) == len(finding["tiles"])]
    values += [(m, [of[t["place"]] for t in finding["tiles"]]) for m, of in alike]
    stated = [(m.title, found["interval"]) for m, found in answered if found["interval"]]
    intervals = [f"{interval} ({title})" for title, interval in [(models[i].title, finding["interval"]), *stated]]
    return finding | {
        "model": models[i].title,
        "interval": "; ".join(intervals) if stated else finding["interval"],
        "others": [{"title": m.title, "said": found["short"]} for m, found in answered],
        "tiles": [
            tile | {"models": [{"title": m.title, "value": of[n]} for m, of in values]}
            for n, tile in enumerate(finding["tiles"])
        ],
    }


def _lead_place(finding: dict, model: Stamp, models: list[Stamp]) -> tuple:
    """Sort key of a finding for the front page: by the model's distance to the others, then by its own strength."""
    own = _measured(model, finding)
    others = [found for m in models if m is not model and (found := _measured(m, finding))]
    apart = max((abs(own["effect"] - found["effect"]) for found in others), default=0.0) if own else 0.0
    return not finding["caution"], -apart, *_place(finding)


def _measured(model: Stamp, finding: dict) -> dict | None:
    of_section = [entry.measured for entry in model.sections if entry.id == finding["section"]]
    return of_section[0].get(finding["key"]) if of_section else None
