"""A small network with odd inputs and outputs, selected by its arguments."""

import torch
from torch import nn
from torch.nn import functional as F

SIZES = ("any", "folded", "eighths", "fixed")
BATCHES = ("any", "squeezed", "one", "eight")
NUMBERS = ("float32", "half", "autocast", "double")
BETWEEN = ("", "no_grad", "inference_mode", "detach", "dropout", "dead", "constant")


class Odd(nn.Module):
    """Two convolutions and a linear layer on the means of their maps; random weights, always the same.

    sizes: "folded" (space to depth: even sides), "eighths" (joins maps that were halved three times with the input, as
    U-Nets do: multiples of 8) or "fixed" (the number of positions is fixed, and view() needs contiguous memory). batch:
    "squeezed" loses a batch of one; "one" and "eight" are the only accepted batch sizes. numbers: its number type.
    between: the operation between its maps and its scores.
    """

    def __init__(self, channels=3, classes=4, sizes="any", batch="any", numbers="float32", between="", side=(24, 24)):
        super().__init__()
        torch.manual_seed(0)
        self.sizes, self.batch, self.numbers, self.between = sizes, batch, numbers, between
        self.places = (side[0] // 2) * (side[1] // 2)
        self.conv1 = nn.Conv2d(channels * (4 if sizes == "folded" else 1), 6, 3, padding=1)
        self.conv2, self.fc = nn.Conv2d(6, 8, 3, stride=2, padding=1), nn.Linear(8, classes)
        if between == "dead":
            self.conv1.bias.data.fill_(-1e3)
        if between == "constant":
            self.fc.weight.data.zero_()
        self.to({"half": torch.bfloat16, "double": torch.float64}.get(numbers, torch.float32))

    def forward(self, x):
        if self.numbers == "autocast":
            with torch.autocast("cpu", torch.bfloat16):
                return self.scores(x)
        return self.scores(x.to(self.fc.weight.dtype))

    def scores(self, x):
        if self.batch == "one":
            assert len(x) == 1, "one picture at a time"
        if self.between in ("no_grad", "inference_mode"):
            with getattr(torch, self.between)():
                x = self.means(self.maps(x))
        else:
            x = self.means(self.maps(x))
        x = F.dropout(x) if self.between == "dropout" else x
        x = self.fc(x)
        return x.detach() if self.between == "detach" else x

    def maps(self, x):
        if self.sizes == "folded":
            x = F.pixel_unshuffle(x, 2)
        if self.sizes == "eighths":
            small = F.max_pool2d(F.max_pool2d(F.max_pool2d(x, 2), 2), 2)
            x = x + F.interpolate(small, scale_factor=8)
        return torch.relu(self.conv2(torch.relu(self.conv1(x))))

    def means(self, maps):
        if self.sizes == "fixed":
            maps = maps.view(-1, 8 * self.places).view(len(maps), 8, -1, 1)
        if self.batch == "squeezed":
            return F.adaptive_avg_pool2d(maps, 1).squeeze()
        return maps.mean((2, 3)).view(8, 8) if self.batch == "eight" else maps.mean((2, 3))


class OneUnit(nn.Sequential):
    """A layer of one unit, one whose maps have one position, and one that outputs nothing."""

    def __init__(self, channels=3, classes=4):
        torch.manual_seed(0)
        super().__init__(
            nn.Conv2d(channels, 1, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(4), nn.Conv2d(1, 5, 4), nn.ReLU(), nn.Flatten(),
            nn.Linear(5, classes),
        )  # fmt: skip
