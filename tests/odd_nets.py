"""Networks that take pictures or give scores in unusual ways, as small as they can be. Each is right about nothing."""

import torch
from torch import nn
from torch.nn import functional as F


class Plain(nn.Module):
    """Takes any size. dtype: its scores'."""

    def __init__(self, channels=3, classes=4, dtype="float32"):
        super().__init__()
        torch.manual_seed(0)
        self.dtype = getattr(torch, dtype)
        self.conv1, self.conv2 = nn.Conv2d(channels, 6, 3, padding=1), nn.Conv2d(6, 8, 3, stride=2, padding=1)
        self.fc = nn.Linear(8, classes)

    def maps(self, x):
        return torch.relu(self.conv2(torch.relu(self.conv1(x))))

    def scores(self, x):
        return self.fc(self.maps(x).mean((2, 3)))

    def forward(self, x):
        return self.scores(x).to(self.dtype)


class Autocast(Plain):
    """Calculates with 16 bits inside."""

    def forward(self, x):
        with torch.autocast("cpu", torch.bfloat16):
            return super().forward(x)


class Half(Plain):
    """Weights of 16 bits, and a cast of what comes in."""

    def __init__(self, **more):
        super().__init__(**more)
        self.half()

    def forward(self, x):
        return super().forward(x.half()).half()


class Double(Plain):
    def __init__(self, **more):
        super().__init__(**more)
        self.double()

    def forward(self, x):
        return super().forward(x.double()).double()


class Encoder(Plain):
    """Joins what it halved three times to what it did not, as U-Nets do: sides are multiples of 8."""

    def maps(self, x):
        small = x
        for _ in range(3):
            small = F.max_pool2d(small, 2)
        return super().maps(x + F.interpolate(small, scale_factor=8))


class Folding(Plain):
    """Space to depth: even sides only."""

    def __init__(self, channels=3, **more):
        super().__init__(channels=4 * channels, **more)

    def maps(self, x):
        return super().maps(F.pixel_unshuffle(x, 2))


class Fixed(Plain):
    """One size only: the number of places is written down, and what is flattened must be contiguous."""

    def __init__(self, side=24, width=None, **more):
        super().__init__(**more)
        self.places = (side // 2) * ((width or side) // 2)

    def scores(self, x):
        x = self.maps(x).view(-1, 8 * self.places)
        return self.fc(x.view(len(x), 8, -1).mean(2))


class Squeezing(Plain):
    def scores(self, x):
        return self.fc(F.adaptive_avg_pool2d(self.maps(x), 1).squeeze())


class Single(Plain):
    def scores(self, x):
        assert len(x) == 1, "one picture at a time"
        return super().scores(x)


class Eight(Plain):
    def scores(self, x):
        return self.fc(self.maps(x).view(8, 8, -1).mean(2))


class NoGrad(Plain):
    def maps(self, x):
        with torch.no_grad():
            return super().maps(x)


class Inference(Plain):
    def scores(self, x):
        with torch.inference_mode():
            return super().scores(x)


class Detached(Plain):
    def scores(self, x):
        return super().scores(x).detach()


class Dropping(Plain):
    def scores(self, x):
        return self.fc(F.dropout(self.maps(x).mean((2, 3))))


class OneUnit(nn.Sequential):
    """A layer of one unit, and one whose maps have one position."""

    def __init__(self, channels=3, classes=4):
        torch.manual_seed(0)
        super().__init__(
            nn.Conv2d(channels, 1, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(4), nn.Conv2d(1, 5, 4), nn.ReLU(), nn.Flatten(),
            nn.Linear(5, classes),
        )  # fmt: skip


class Dead(Plain):
    """Nothing comes through its first ReLU: the scores are the same for every picture."""

    def __init__(self, **more):
        super().__init__(**more)
        self.conv1.bias.data.fill_(-1e3)


class Constant(Plain):
    def __init__(self, **more):
        super().__init__(**more)
        self.fc.weight.data.zero_()
