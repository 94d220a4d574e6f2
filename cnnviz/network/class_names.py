"""Names of the outputs, and the output of each class of the image set.

A class finds its output by its name. Only if no class of the set has the name of an output, numbers and then the order
are used. If some names match, the others are other classes or other spellings, and the order would silently give them
wrong outputs. No output is used twice. Classes without an output are listed with the reason.
"""

import difflib
import functools
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cnnviz.errors import UserError, unknown
from cnnviz.network import class_lists
from cnnviz.network.class_lists import WNID

IMAGENET = 1000  # number of classes of networks with outputs in the order of WordNet ids
MOST_REASONS = 10  # largest number of classes with a search for similar names
MOST_NAMES = 5000
_NO_WNIDS = (
    "it is a WordNet id, and the names of the outputs have none. Write classes: with a list of both, such as "
    "synset_words.txt (lines like: n01440764 tench) or imagenet_class_index.json of Keras"
)


@dataclass(frozen=True)
class Outputs:
    """Names of a network's outputs.

    names: of each output, as shown. every: all names of each. offset: number of first outputs that stand for no class.
    source: source of the names: "config", "weights", "set" (the image set's) or "" (numbers).
    """

    names: tuple[str, ...]
    every: tuple[tuple[str, ...], ...]
    offset: int
    source: str


@dataclass(frozen=True)
class Matching:
    """The outputs of the image set's classes.

    outputs: of each class, or None. way: how they were found: "name", "number", "number from 1", "wnid", "order", "set"
    (the outputs are named after the set) or "" (not at all). unmatched: (class, why it has no output) pairs.
    """

    outputs: tuple[int | None, ...]
    way: str
    unmatched: tuple[tuple[str, str], ...]


def of_outputs(
    config: str | Sequence | None, of_set: Sequence[str], outputs: int, published: Sequence[str], how: dict, where: str
) -> Outputs:
    """The names of a network's outputs: from a list, a file, the published weights, the image set, or numbers.

    config: the model's ``classes:``. how: its ``outputs:``. A list as long as all outputs names those before the first
    class (``offset``), too. Raises UserError for a list of another length.
    """
    offset, source = how["offset"], "config"
    if config is not None:
        names = class_lists.read(config, where) if isinstance(config, str) else [[str(name)] for name in config]
    elif len(published) == outputs - offset:
        names, source = [[name] for name in published], "weights"
    elif len(of_set) == outputs - offset:
        names, source = [[name] for name in of_set], "set"
    else:
        names, source = [[name] for name in _unnamed(outputs - offset, how)], ""
    if how["kind"] == "segmentation" and (len(names), outputs, offset) == (1, 2, 0):  # the one map's class and the rest
        names = [["background"], *names]
    if len(names) == outputs:
        names, before = names[offset:], names[:offset]
    else:
        before = [[f"output {i}"] for i in range(offset)]
    if len(names) != outputs - offset:
        raise UserError(f"{where}: {_other_length(config, len(names), outputs, offset)}")
    every = [*before, *names]
    return Outputs(distinct([n[-1] or str(i) for i, n in enumerate(every)]), tuple(map(tuple, every)), offset, source)


def distinct(names: Sequence[str]) -> tuple[str, ...]:
    """The names, with the output's number behind those that several outputs have: "crane (134)" and "crane (517)".

    ImageNet has two such pairs. Names whose first parts are equal count as the same, as captions show these alone.
    """
    names = list(names)
    while repeated := {name for name, count in Counter(map(short, names)).items() if count > 1}:
        for i, name in enumerate(names):
            first, comma, rest = name.partition(",")
            if first.strip() in repeated:
                names[i] = f"{first.strip()} ({i}){comma}{rest}"
    return tuple(names)


def _other_length(config, count: int, outputs: int, offset: int) -> str:
    hint = ""
    if count == outputs - 1:
        hint = "; if output 0 is a background class, write outputs: {offset: 1}"
    elif offset:
        hint = f", {offset} of which stand for no class (outputs.offset)"
    file = f" ({config})" if isinstance(config, str) else ""
    return f"classes{file} lists {count} names, the network has {outputs} outputs{hint}"


def _unnamed(count: int, how: dict) -> list[str]:
    if how["kind"] == "binary" and count == 2:
        return ["no", "yes"]
    if how["kind"] == "segmentation" and count == 2:
        return ["background", "foreground"]
    return [str(i) for i in range(count)]


# -------------------------------------------------------------------------------------------------------- ways to write


@functools.lru_cache(1 << 16)
def plain(name: str) -> str:
    """A name without case, accents' form and the separators of folder names: ``golden_retriever``."""
    # without invisible characters, such as the byte order mark
    text = "".join(c for c in name if unicodedata.category(c) != "Cf")
    text = unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())
    return " ".join(re.sub(r"_|-(?!\s*\d+(\.\d+)?\s*$)|(?<=\w)-", " ", text).split())  # −1 and 1 are different classes


def _exact(name: str) -> str:
    return " ".join(unicodedata.normalize("NFC", name).split())


def _joined(name: str) -> str:
    """The name without word separators: "Jack-o'-lantern", "jack o lantern" and "JackOLantern" are equal."""
    return re.sub(r"[\s.'’/]+", "", plain(name))


def _core(name: str) -> str:
    """The name without a number or WordNet id in front: ``001.Black_footed_Albatross``, ``n02085620-Chihuahua``."""
    return _joined(re.sub(r"^(?:[0-9]+|n[0-9]{8})[\W_]+", "", name) or name)


def short(name: str, most: int | None = None) -> str:
    """The first of several names of one class, as in "tench, Tinca tinca", with at most ``most`` letters."""
    name = name.split(",")[0].strip()
    return name if most is None else cut(name, most)


def cut(text: str, most: int) -> str:
    """At most ``most`` letters of a text; "…" is the last one if some are cut."""
    return text if len(text) <= most else text[: most - 1] + "…"


# (of a name of the class, of a name of the output → all keys), from the strictest to the loosest
_LEVELS: tuple[tuple[Callable[[str], str], Callable[[str], list[str]]], ...] = (
    (_exact, lambda name: [_exact(name)]),
    (plain, lambda name: [plain(name)]),
    (plain, lambda name: [plain(short(name))]),
    (plain, lambda name: [plain(part) for part in name.split(",")]),
    (_joined, lambda name: [_joined(part) for part in (name, short(name))]),
    (_core, lambda name: [_core(part) for part in (name, short(name))]),
)


def find(what: str, name: str | int, names: Sequence[str]) -> int:
    """The output of a class, given by one of its names (the first of several outputs), or by number.

    names: as shown, see :func:`distinct`. Raises UserError, starting with ``what``, that lists the valid ones.
    """
    plainly = [re.sub(r" \([0-9]+\)(?=,|$)", "", of) for of in names]  # without the numbers of distinct()
    for of_outputs in (names, plainly):
        for own, keys in _LEVELS[:4]:
            wanted = own(str(name))
            for output, of in enumerate(of_outputs):
                if wanted in keys(of):
                    return output
    if re.fullmatch("[0-9]+", str(name)) and int(name) < len(names):
        return int(name)
    raise unknown(what, str(name), names)


# ------------------------------------------------------------------------------------------------- classes to outputs


def match(classes: Sequence[str], outputs: Outputs) -> Matching:
    """The output of each class of the image set."""
    count, offset = len(outputs.names), outputs.offset
    if outputs.source == "set":
        return Matching(tuple(range(offset, count)), "set", ())
    by_name = _by_name(classes, outputs.every) if outputs.source or count - offset == 2 else [None] * len(classes)
    if any(output is not None for output in by_name) or _shared(classes, outputs):
        return Matching(tuple(by_name), "name", _unmatched(classes, by_name, outputs))
    numbers = [_value(name) for name in classes]
    if classes and None not in numbers:
        return _by_number(classes, numbers, outputs)
    if all(map(WNID.match, classes)) and count - offset == IMAGENET:
        return _by_wnid(classes, outputs)
    if classes and len(classes) == count - offset:
        return Matching(tuple(range(offset, count)), "order", ())
    nothing = (None,) * len(classes)
    return Matching(nothing, "", _unmatched(classes, nothing, outputs))


def _by_name(classes: Sequence[str], every: Sequence[Sequence[str]]) -> list[int | None]:
    """The output of each class that alone has its name; None if two classes or two outputs have one name."""
    found: list[int | None] = [None] * len(classes)
    for own, keys in _LEVELS:
        named: dict[str, set[int]] = {}
        for output, names in enumerate(every):
            for key in {key for name in names for key in keys(name)} - {""}:
                named.setdefault(key, set()).add(output)
        wanting: dict[int, list[int]] = {}
        for i, name in enumerate(classes):
            if found[i] is None and len(of := named.get(own(name), ())) == 1:
                wanting.setdefault(*of, []).append(i)
        for output, places in wanting.items():
            if len(places) == 1 and output not in found:
                found[places[0]] = output
    return found


def _shared(classes: Sequence[str], outputs: Outputs) -> bool:
    """Whether a class has a name of an output, even if several classes or outputs have it."""
    if not outputs.source and len(outputs.names) - outputs.offset != 2:
        return False
    of_outputs = {plain(part) for names in outputs.every for name in names for part in (name, short(name))}
    return any(plain(name) in of_outputs and _value(name) is None for name in classes)


def _value(name: str) -> int | None:
    """An integer in a label's spelling: "7", "007", "-1", and "7.0" of a table with gaps. ① is not one."""
    found = re.fullmatch(r"\s*([+-]?[0-9]+)(?:\.0*)?\s*", name)
    return int(found[1]) if found else None


def _by_number(classes: Sequence[str], numbers: list[int], outputs: Outputs) -> Matching:
    """The output of that number; counted from 1 if the largest number equals the number of outputs; else in order."""
    count, offset = len(outputs.names), outputs.offset
    room = count - offset
    if min(numbers) >= 0 and max(numbers) < room:
        way, found = "number", [offset + number for number in numbers]
    elif min(numbers) >= 1 and max(numbers) == room:
        way, found = "number from 1", [offset + number - 1 for number in numbers]
    elif len(classes) == room:
        way, found = "order", list(range(offset, count))
    else:
        way, found = "number", [offset + number if 0 <= number < room else None for number in numbers]
    once = [output if output is None or output not in found[:i] else None for i, output in enumerate(found)]
    return Matching(tuple(once), way, _unmatched(classes, once, outputs))


def _by_wnid(classes: Sequence[str], outputs: Outputs) -> Matching:
    """ImageNet folders of WordNet ids for outputs without ids: the order is known if all exist, or with timm."""
    ids = sorted(WNID.match(name)[0] for name in classes)
    if len(set(ids)) < IMAGENET:
        try:
            from timm.data import ImageNetInfo

            ids = ImageNetInfo().label_names()
        except Exception:  # an optional package, which may be broken
            return Matching((None,) * len(classes), "", tuple((name, _NO_WNIDS) for name in classes))
    place = {id: outputs.offset + i for i, id in enumerate(ids)}
    found = [place.get(WNID.match(name)[0]) for name in classes]
    return Matching(tuple(found), "wnid", _unmatched(classes, found, outputs))


def _unmatched(classes: Sequence[str], found: Sequence[int | None], outputs: Outputs) -> tuple[tuple[str, str], ...]:
    without = [name for name, output in zip(classes, found, strict=True) if output is None]
    taken = {output: name for name, output in zip(classes, found, strict=True) if output is not None}
    return tuple((name, _why(name, taken, outputs) if i < MOST_REASONS else "") for i, name in enumerate(without))


def _why(name: str, taken: dict[int, str], outputs: Outputs) -> str:
    """Why a class has no output, as far as known."""
    if not outputs.source:
        room = len(outputs.names) - outputs.offset
        if _value(name) is not None:
            return f"the outputs are 0 to {room - 1}"
        return "the outputs have no names: list them under classes:"
    called = [i for i, names in enumerate(outputs.every) if plain(name) in [plain(short(n)) for n in names]]
    if len(called) > 1:
        return f"{len(called)} outputs have that name"
    if called:
        other = taken.get(called[0])
        return f"its output is that of {other!r}" if other is not None else "another class has the same name"
    if len(outputs.names) > MOST_NAMES:
        return "no output has that name"
    near = {plain(part): part.strip() for names in outputs.every for part in (names[-1], short(names[-1]))}
    close = difflib.get_close_matches(plain(name), near, n=1, cutoff=0.6)
    return f"no output has that name; the nearest is {near[close[0]]!r}" if close else "no output has that name"
