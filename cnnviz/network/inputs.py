"""Input of a network: the number of channels, found by trying; and advice if no input works.

The first convolution among the modules does not determine it. A network may fold its picture, add coordinates to it or
repeat its grey, and the module defined first may be called last.
"""

import contextlib
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product

import torch
from torch import nn

from cnnviz.errors import UserError, in_a_line, words_of
from cnnviz.network import batches
from cnnviz.network.layers import Call, watched

MOST = 16  # largest number of channels to try
SIZES = (32, 28, 48, 64, 96, 128, 160, 192, 224, 227, 256, 299, 384)
KEYS = ("image", "images", "pixel_values", "img", "x", "input")  # common argument names
KINDS = "dtype|datatype|scalar type|promoting|should be the same|not implemented for '"  # in torch's messages
OTHER_NUMBERS = (
    "the network's forward() makes numbers of another type than its layers take, which is float32 here. Remove "
    ".half(), .bfloat16(), .double() and the like from it, or write .float() after them"
)
SECONDS = 3.0  # seconds to search for an accepted size, for the message


@dataclass(frozen=True)
class Attempt:
    """A pass of one black picture with this number of channels.

    calls: see layers.watched. error: the exception, if any. fits: whether it gave one row of scores. ran: whether it
    finished, with any output; a UserError is about the outputs.
    """

    channels: int
    calls: dict[str, Call]
    error: BaseException | None

    @property
    def ran(self) -> bool:
        return self.error is None or isinstance(self.error, UserError)

    @property
    def fits(self) -> bool:
        return self.error is None and "" in self.calls and self.calls[""].output[:1] == (1,)

    @property
    def numbers(self) -> list[int]:
        """Numbers in the exception: torch states the number of channels that a layer takes."""
        return list(dict.fromkeys(int(n) for n in re.findall(r"\d{1,9}", words_of(self.error) if self.error else "")))


def attempt(net: nn.Module, channels: int, size: tuple[int, int]) -> Attempt:
    """Runs the network on one black picture of ``size`` (height, width)."""
    device = next((p.device for p in net.parameters()), None)
    return Attempt(channels, *watched(net, torch.zeros(1, channels, *size, device=device)))


def find(
    net: nn.Module,
    size: tuple[int, int],
    where: str,
    stated: int | None = None,
    guess: int | None = None,
    pictures: Callable[[], int | None] = lambda: None,
) -> Attempt:
    """The first attempt that fits: with ``stated`` channels, or with likely numbers of channels.

    size: (height, width). guess: expected from the config. pictures: channels of the image set's pictures, None if
    unknown. If none fits, one that ran. Raises UserError, with what to write, if none did.
    """
    attempts: list[Attempt] = []

    def likely() -> Iterator[int]:
        own = pictures()
        yield from (c for c in (guess, own if own not in (1, 3) else None, 3, 1) if c)
        if any(tried.ran for tried in attempts):
            return
        yield from (n for tried in attempts[:2] for n in tried.numbers if 0 < n <= 1024)
        yield from range(2, MOST + 1)

    for channels in [stated] if stated else likely():
        if channels not in [tried.channels for tried in attempts]:
            attempts.append(attempt(net, channels, size))
            if attempts[-1].fits:
                return attempts[-1]
    best = max(attempts, key=lambda tried: (tried.ran, len(tried.calls))).channels
    if batches.fit(net, lambda count: torch.rand(count, best, *size)) != (1, None):  # it needs several at a time
        return attempt(net, best, size)
    ran = next((tried for tried in attempts if tried.ran), None)
    if ran is None or ("" in ran.calls and len(ran.calls[""].output) == 2):
        raise _refused(net, size, where, attempts if ran is None else [ran])
    if ran.error is not None:
        raise ran.error
    return ran


def _refused(net: nn.Module, size: tuple[int, int], where: str, attempts: list[Attempt]) -> UserError:
    """The error of the attempt that ran through the most modules."""
    furthest = max(attempts, key=lambda tried: len(tried.calls))
    shape = (furthest.channels, *size)
    if furthest.error is None:
        rows = furthest.calls[""].output[0]
        said = f"the network gives {rows} rows of scores for one picture of {shape}"
    elif re.search(KINDS, words_of(furthest.error)):
        return UserError(f"{where}: {OTHER_NUMBERS} ({in_a_line(furthest.error)})")
    else:
        said = f"the network does not take a picture of {shape}: {in_a_line(furthest.error)}"
    error = UserError(f"{where}: {said.rstrip('.')}. {_advice(net, size, furthest, attempts)}")
    error.__cause__ = furthest.error
    return error


def _otherwise(net: nn.Module, size: tuple[int, int], channels: int) -> str:
    """Advice for a network that takes pictures in another form than (n, channels, height, width); else ""."""
    x = torch.zeros(2, channels, *size, device=next((p.device for p in net.parameters()), None))
    forms = [
        ("with the channels last", "x.permute(0, 2, 3, 1)", x.permute(0, 2, 3, 1)),
        ("as a list of tensors", "list(x)", list(x)),
        *((f"in a dict, as {key!r}", f"{{{key!r}: x}}", {key: x}) for key in KEYS),
    ]
    for words, code, given in forms:
        with contextlib.suppress(Exception, SystemExit), torch.no_grad():
            scores = net(given)
            if isinstance(scores, torch.Tensor) and scores.ndim == 2 and len(scores) == 2:
                return (
                    f"It takes pictures {words}. Add these lines to the file of your network:\n\n"
                    "from torch import nn\nclass Turned(nn.Module):\n"
                    "    def __init__(self):\n        super().__init__()\n"
                    f"        self.net = {type(net).__name__}()  # as your script makes it\n\n"
                    f"    def forward(self, x):\n        return self.net({code})\n\n"
                    "Then write  factory: FILE:Turned  with the same checkpoint:"
                )
    return ""


def _advice(net: nn.Module, size: tuple[int, int], furthest: Attempt, attempts: list[Attempt]) -> str:
    error, words = furthest.error, words_of(furthest.error)
    if form := _otherwise(net, size, 3 if 3 in [tried.channels for tried in attempts] else furthest.channels):
        return form
    if re.search(r"nvidia|cuda", words, re.IGNORECASE):
        return "Its code requires a GPU; replace cuda by x.device"
    if re.search(r"conv[13]d|LSTM|GRU|RNN", words) or any(isinstance(module, nn.Conv3d) for module in net.modules()):
        return "It seems to be for signals, volumes or videos; only networks of pictures are supported"
    if isinstance(error, TypeError) and "argument" in words:
        return "Give a network whose forward takes a picture alone"
    if not isinstance(error, RuntimeError | ValueError | AssertionError | IndexError | None) or isinstance(
        error, NotImplementedError | RecursionError
    ):
        return "Fix that in its code"
    if found := _another(net, size, furthest, attempts):
        channels, (height, width) = found
        write = [f"resize: [{height}, {width}]"] * ((height, width) != size)
        write += [f"input_channels: {channels}"] * (channels != furthest.channels)
        also = f" and {channels} channel{'s' * (channels > 1)}" if channels != furthest.channels else ""
        return f"It takes {height} × {width} pixels{also}; write preprocess: {{{', '.join(write)}}}"
    if beside := getattr(net, "fixed_sizes", ""):
        return f"Perhaps the fixed inputs have the wrong sizes: inputs: gives it {beside}"
    return (
        "Write what it was trained on, such as preprocess: {resize: [32, 32]}, and input_channels: 4 inside the braces "
        "if its pictures have another number of channels than 1 or 3"
    )


def _another(
    net: nn.Module, size: tuple[int, int], furthest: Attempt, attempts: list[Attempt]
) -> tuple[int, tuple[int, int]] | None:
    """(channels, (height, width)) of an accepted input, if one is found in time."""
    counts = dict.fromkeys([furthest.channels, *(tried.channels for tried in attempts[:2]), 3, 1])
    rows = furthest.calls[""].output[0] if "" in furthest.calls else 1  # each row may be a part of the picture
    told = [*furthest.numbers, size[0] * size[1] * furthest.channels // max(1, rows)]
    squares = [(round((n / c) ** 0.5), c, n) for c in counts for n in told]
    sizes = [size, *((side, side) for side, c, n in squares if side * side * c == n and 8 <= side <= 512)]
    until, seen = time.monotonic() + SECONDS, {(tried.channels, size) for tried in attempts}
    for (height, width), count in product(dict.fromkeys([*sizes, *((side, side) for side in SIZES)]), counts):
        fresh = (count, (height, width)) not in seen and time.monotonic() < until
        if fresh and attempt(net, count, (height, width)).fits:
            return count, (height, width)
    return None
