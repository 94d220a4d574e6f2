"""Contact sheets of finished reports, to be looked at: ``python -m benchmarks.contact_sheets CONFIG … [--output DIR]``.

One PNG for each section: a row for each network with a few of the section's pictures, spread over its page from the
first to the last, all of one height. Drawings (SVG) are left out. The sheets are for eyes; ``docs/real-nets.md`` says
what they found.
"""

import argparse
import io
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from PIL import Image, ImageDraw

from benchmarks.real_nets import Report, reports
from cnnviz.views.kit import section

FIGURES = 8  # pictures of a section
HEIGHT, WIDTH, GAP = 320, 2400, 8  # of a row, the longest row, and between pictures, in pixels
TITLE = 24


def figures(report: Report, name: str) -> Iterator[Image.Image]:
    """A few of the section's pictures, spread over its page, as high as a row; none if it was not computed."""
    folder = report.folder / "sections" / name
    if not (folder / "figures.zip").exists():
        return
    with zipfile.ZipFile(folder / "figures.zip") as files:
        shown = [f.file for f in section.load(folder / "section.json").figures if not f.file.endswith(".svg")]
        for i in range(min(FIGURES, len(shown))):
            file = shown[i * (len(shown) - 1) // max(1, min(FIGURES, len(shown)) - 1)]
            picture = Image.open(io.BytesIO(files.read(file))).convert("RGB")
            yield picture.resize((max(1, round(picture.width * HEIGHT / picture.height)), HEIGHT))


def sheet(rows: dict[str, Sequence[Image.Image]]) -> Image.Image:
    """A titled row of pictures for each network, cut off at WIDTH."""
    every = Image.new("RGB", (WIDTH, len(rows) * (TITLE + HEIGHT + GAP)), "white")
    draw = ImageDraw.Draw(every)
    for i, (title, pictures) in enumerate(rows.items()):
        top, left = i * (TITLE + HEIGHT + GAP), 0
        draw.text((GAP, top + 4), title, "black")
        for picture in pictures:
            every.paste(picture, (left, top + TITLE))
            left += picture.width + GAP
    return every


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("configs", nargs="+", metavar="config", help="configs whose reports are finished")
    parser.add_argument("--output", type=Path, default=Path("results/contact-sheets"), help="the sheets' folder")
    options = parser.parse_args()
    every = [report for path in options.configs for report in reports(path)]
    names = sorted({path.parent.name for report in every for path in report.folder.glob("sections/*/figures.zip")})
    options.output.mkdir(parents=True, exist_ok=True)
    for name in names:
        rows = {report.id: pictures for report in every if (pictures := list(figures(report, name)))}
        if rows:
            sheet(rows).save(options.output / f"{name}.png")
            print(options.output / f"{name}.png")


if __name__ == "__main__":
    main()
