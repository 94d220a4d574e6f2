"""Parts of a figure that a slider shows one at a time, or that a divider lays over another part.

The figure's file holds all of them, side by side. So a page without scripts shows the same pictures in a row.
"""

from dataclasses import dataclass, replace

Box = tuple[float, float, float, float]  # left, top, width, height


@dataclass(frozen=True)
class Stages:
    """Parts of one figure, in order.

    moves: what differs from part to part, "Step". labels: its value in each part, "48". boxes: of the parts, in CSS
    pixels of the figure as displayed; all of one size. numbers: what is measured of each part, in words, or (). below:
    name of a further part, and below_box; each of the others covers it right of a divider. opens: the part shown first,
    −1 for the last.
    """

    moves: str
    labels: tuple[str, ...]
    boxes: tuple[Box, ...]
    numbers: tuple[str, ...] = ()
    below: str = ""
    below_box: Box | None = None
    opens: int = -1

    @property
    def every(self) -> tuple[Box, ...]:
        """The boxes of all parts."""
        return (*self.boxes, *([self.below_box] if self.below else []))

    def __post_init__(self):
        count = len(self.boxes)
        if len(self.labels) != count or len(self.numbers) not in (0, count) or len(self.every) < 2 or not count:
            raise ValueError(f"{self.moves}: {count} boxes, {len(self.labels)} labels")
        if len({box[2:] for box in self.every}) > 1:
            raise ValueError(f"{self.moves}: parts of several sizes")

    def scaled(self, across: float, down: float) -> "Stages":
        """The same in a figure whose pixels are shown so many times as wide and as high."""

        def larger(box: Box) -> Box:
            x, y, width, height = box
            return tuple(round(v, 2) for v in (x * across, y * down, width * across, height * down))

        return replace(self, boxes=tuple(map(larger, self.boxes)), below_box=self.below_box and larger(self.below_box))


def series(moves: str, labels: list[str], boxes: list[Box], numbers: list[str] | None = None) -> tuple[Stages, ...]:
    """The stages of a figure; none where only one part is there."""
    return (Stages(moves, tuple(labels), tuple(boxes), tuple(numbers or ())),) if len(boxes) > 1 else ()


def covering(
    below: str,
    boxes: list[Box],
    labels: list[str],
    *,
    moves: str = "",
    numbers: list[str] | None = None,
    opens: int = -1,
) -> Stages:
    """Parts that each cover the first of ``boxes``, which is called ``below``. moves: "" for a single one."""
    return Stages(moves, tuple(labels), tuple(boxes[1:]), tuple(numbers or ()), below, boxes[0], opens)


def load(data: dict) -> Stages:
    """Stages as in section.json."""
    lists = {
        "labels": tuple(data["labels"]),
        "numbers": tuple(data["numbers"]),
        "boxes": tuple(map(tuple, data["boxes"])),
    }
    return Stages(**data | lists | {"below_box": tuple(data["below_box"]) if data["below_box"] else None})
