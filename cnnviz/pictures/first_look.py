"""The first look at every picture of an image set: it is accepted, or left out for a reason, with notes."""

import functools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image, ImageOps

from cnnviz.errors import UserError
from cnnviz.pictures import pixels, sizes
from cnnviz.pictures.decoding import reason, visible
from cnnviz.pictures.rows import Row

THUMBNAIL = 64


@dataclass(frozen=True)
class Look:
    """Result of the first look at a picture: its facts besides the row, or the reason why it is left out.

    channels: number of the file's channels. thumbnail: (64, 64, 3) uint8. ends: see :func:`pixels.ends`.
    """

    row: Row
    reason: str = ""
    size: tuple[int, int] = (0, 0)
    channels: int = 0
    thumbnail: np.ndarray | None = None
    notes: tuple[str, ...] = ()
    ends: pixels.Ends | None = None


def at(config: dict, row: Row) -> Look:
    """Looks at one picture. Raises UserError if the set's loader fails."""
    try:
        stored, notes = pixels.stored_in(config, row.file or row.name)
        found = pixels.extent_of(stored, config.get("window"))
        channels = stored.shape[2] if isinstance(stored, np.ndarray) else len(stored.getbands())
        picture = pixels.shown(pixels.windowed(stored, config.get("window")), config.get("show"))
        thumbnail = np.asarray(ImageOps.fit(picture, (THUMBNAIL, THUMBNAIL), Image.Resampling.LANCZOS))
    except UserError:
        raise
    except Exception as error:  # decoders and loaders raise anything for a bad file, which is skipped and listed
        return Look(row, reason=reason(error))
    if row.box is not None:
        left, top, right, bottom = row.box
        if not (0 <= left < right <= picture.width and 0 <= top < bottom <= picture.height):
            notes.append(
                f"its box {list(row.box)} is ignored: it is outside the {picture.width} × {picture.height} pixels"
            )
            row = replace(row, box=None)
    if row.mask is not None:
        try:
            mask, _ = pixels.stored_in({key: config.get(key) for key in ("kind", "path", "root")}, row.mask)
            height, width = mask.shape[:2] if isinstance(mask, np.ndarray) else mask.size[::-1]
            if not sizes.alike((height, width), picture.size[::-1]):
                raise ValueError(
                    f"it has {width} × {height} pixels, the picture has {picture.width} × {picture.height}"
                )
        except Exception as error:
            notes.append(f"its mask {visible(row.mask)} is ignored: {reason(error)}")
            row = replace(row, mask=None)
    return Look(row, "", picture.size, channels, thumbnail, tuple(notes), found)


def at_all(config: dict, rows: Sequence[Row], thumbnails: np.ndarray, threads: int) -> list[Look]:
    """Looks at every picture. ``thumbnails`` then starts with those of the accepted pictures."""
    from cnnviz.run.progress import bar

    looks = []
    for look in bar(pixels.ahead(functools.partial(at, config), rows, threads), "pictures", len(rows)):
        if look.thumbnail is not None:
            thumbnails[len(looks)] = look.thumbnail
        looks.append(replace(look, thumbnail=None))
    looks = _of_one_kind(looks)
    for place, i in enumerate(i for i, look in enumerate(looks) if not look.reason):
        if place != i:
            thumbnails[place] = thumbnails[i]
    return looks


def _of_one_kind(looks: list[Look]) -> list[Look]:
    """Rejects the few pictures with another number of channels, since one network cannot take both.

    Grey and coloured pictures count as the same.
    """
    counts = Counter(3 if look.channels == 1 else look.channels for look in looks if not look.reason)
    usual = max(counts, key=lambda channels: (counts[channels], channels == 3), default=3)
    words = "1 or 3" if usual == 3 else str(usual)

    def judged(look: Look) -> Look:
        fits = look.reason or look.channels == usual or (look.channels == 1 and usual == 3)
        return (
            look
            if fits
            else replace(look, reason=f"it has {look.channels} channels, most pictures of this set have {words}")
        )

    return [judged(look) for look in looks]
