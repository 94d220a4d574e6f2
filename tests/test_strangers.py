"""Five networks as in public tutorials pass ``check`` and ``report`` without changes.

A LeNet on grey digits, the discriminator of a DCGAN, a branch of a Siamese network, the encoder of a U-Net with its own
head, and a ResNet with a new last layer from a checkpoint. They are not trained. Their last layers are solved for, so
that each is right on every picture of its set, and a wrong answer is an error of preprocessing or labels.
"""

import json
import re

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image

from tests import forked
from tests.checkout import Checkout, only

TUTORIALS = '''
"""Networks as their tutorials write them."""
import torch
import torch.nn as nn
import torch.nn.functional as F


class LeNet(nn.Module):
    def __init__(self):
        super(LeNet, self).__init__()
        self.conv1 = nn.Conv2d(1, 6, 5)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.drop = nn.Dropout2d()
        self.fc1 = nn.Linear(16 * 5 * 5, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, 3)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), (2, 2))
        x = F.max_pool2d(F.relu(self.drop(self.conv2(x))), 2)
        x = x.view(-1, self.num_flat_features(x))
        x = F.relu(self.fc1(x))
        x = F.dropout(x, training=self.training)
        x = F.relu(self.fc2(x))
        return F.log_softmax(self.fc3(x), dim=1)

    def num_flat_features(self, x):
        number = 1
        for side in x.size()[1:]:
            number *= side
        return number


class Discriminator(nn.Module):
    def __init__(self, ngpu=1, nc=3, ndf=8):
        super().__init__()
        self.ngpu = ngpu
        self.main = nn.Sequential(
            nn.Conv2d(nc, ndf, 4, 2, 1, bias=False), nn.LeakyReLU(0.2, inplace=True),
            nn.Conv2d(ndf, ndf * 2, 4, 2, 1, bias=False), nn.BatchNorm2d(ndf * 2), nn.LeakyReLU(0.2, inplace=True),
            nn.Conv2d(ndf * 2, ndf * 4, 4, 2, 1, bias=False), nn.BatchNorm2d(ndf * 4), nn.LeakyReLU(0.2, inplace=True),
            nn.Conv2d(ndf * 4, ndf * 8, 4, 2, 1, bias=False), nn.BatchNorm2d(ndf * 8), nn.LeakyReLU(0.2, inplace=True),
            nn.Conv2d(ndf * 8, 1, 4, 1, 0, bias=False), nn.Sigmoid(),
        )

    def forward(self, input):
        return self.main(input)


class Arm(nn.Module):
    def __init__(self, size=8):
        super().__init__()
        self.cnn1 = nn.Sequential(
            nn.ReflectionPad2d(1), nn.Conv2d(3, 4, kernel_size=3), nn.ReLU(inplace=True), nn.BatchNorm2d(4),
            nn.ReflectionPad2d(1), nn.Conv2d(4, 8, kernel_size=3), nn.ReLU(inplace=True), nn.BatchNorm2d(8),
            nn.AdaptiveAvgPool2d(8),
        )
        self.fc1 = nn.Sequential(nn.Linear(8 * 8 * 8, 50), nn.ReLU(inplace=True), nn.Linear(50, size))

    def forward(self, x):
        output = self.cnn1(x)
        output = output.view(output.size()[0], -1)
        return F.normalize(self.fc1(output), p=2, dim=1)


class DoubleConv(nn.Module):
    def __init__(self, cin, cout):
        super().__init__()
        self.double_conv = nn.Sequential(
            nn.Conv2d(cin, cout, 3, padding=1, bias=False), nn.BatchNorm2d(cout), nn.ReLU(inplace=True),
            nn.Conv2d(cout, cout, 3, padding=1, bias=False), nn.BatchNorm2d(cout), nn.ReLU(inplace=True),
        )

    def forward(self, x):
        return self.double_conv(x)


class Down(nn.Module):
    def __init__(self, cin, cout):
        super().__init__()
        self.maxpool_conv = nn.Sequential(nn.MaxPool2d(2), DoubleConv(cin, cout))

    def forward(self, x):
        return self.maxpool_conv(x)


class Encoder(nn.Module):
    """The way down, one step up beside its skip connection, and a classifier: sides are multiples of 16."""

    def __init__(self, n_classes=3):
        super().__init__()
        self.inc = DoubleConv(3, 4)
        self.down1, self.down2, self.down3, self.down4 = Down(4, 8), Down(8, 8), Down(8, 16), Down(16, 16)
        self.up = nn.ConvTranspose2d(16, 16, 2, stride=2)
        self.outc = nn.Linear(32, n_classes)

    def forward(self, x):
        x1 = self.inc(x)
        x2 = self.down1(x1)
        x3 = self.down2(x2)
        x4 = self.down3(x3)
        x5 = self.down4(x4)
        x = torch.cat([x4, self.up(x5)], dim=1)
        features = x.reshape(x.shape[0], x.shape[1], x.shape[2] // 2, 2, -1).mean((2, 3, 4))
        return {"out": self.outc(features), "features": [x1, x2, x3, x4, x5]}


def lenet():
    return LeNet()


def discriminator(ngpu=1):
    netD = Discriminator(ngpu)
    if ngpu > 1:
        netD = nn.DataParallel(netD, list(range(ngpu)))
    return netD


def arm():
    return Arm()


def encoder(n_classes=3):
    return Encoder(n_classes)
'''
SHAPES = ("bar", "cross", "ring")
EACH = 8
SECTIONS = {"predictions": {}, "saliency": {"samples": 1, "steps": 2}}
RIGHT = ("lenet", "discriminator", "encoder", "resnet")


def drawn(shape: str, number: int, size: int) -> np.ndarray:
    """(size, size, 3) uint8: a bright shape on dark noise."""
    hand = np.random.default_rng([SHAPES.index(shape), number])
    picture = hand.integers(0, 60, (size, size, 3))
    y, x = np.mgrid[:size, :size] - size // 2 + hand.integers(-2, 3, (2, 1, 1))
    mark = {"bar": abs(y) < size / 10, "cross": abs(abs(x) - abs(y)) < size / 10}
    mark["ring"] = abs(np.hypot(x, y) - size / 3.3) < size / 12
    picture[mark[shape]] = hand.integers(150, 255, 3)
    return picture.astype(np.uint8)


def solve(net: torch.nn.Module, last: torch.nn.Module, x: torch.Tensor, wanted: torch.Tensor) -> None:
    """Gives the last layer, linear or a convolution over the whole map, the weights that are nearest to ``wanted``."""
    seen: list[torch.Tensor] = []
    handle = last.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].flatten(1)))
    with torch.no_grad():
        net.eval()(x)
        handle.remove()
        features = torch.cat([seen[0], torch.ones(len(x), 1)], 1) if last.bias is not None else seen[0]
        found = torch.linalg.lstsq(features.double(), wanted.double(), driver="gelsd").solution.T.float()
        if last.bias is not None:
            last.bias.copy_(found[:, -1])
            found = found[:, :-1]
        last.weight.copy_(found.reshape(last.weight.shape))


class Strangers(Checkout):
    """The five networks, the pictures, and a config as their users would write it."""

    def __init__(self, folder):
        preprocess = {"mean": 0.5, "std": 0.25, "resize": [64, 64], "crop": None}
        models = {
            "lenet": {
                "factory": "tutorials.py:lenet",
                "image_set": "digits",
                "preprocess": {"mean": 0.1307, "std": 0.3081, "resize": [32, 32], "crop": None},
            },
            "discriminator": {
                "factory": "tutorials.py:discriminator",
                "image_set": "faces",
                "outputs": {"kind": "binary", "returns": "probabilities"},
                "preprocess": preprocess | {"mean": [0.5] * 3, "std": [0.5] * 3},
            },
            "arm": {"factory": "tutorials.py:arm", "image_set": "shapes", "preprocess": preprocess},
            "encoder": {
                "factory": "tutorials.py:encoder",
                "image_set": "shapes",
                "outputs": {"select": "out"},
                "preprocess": preprocess,
            },
            "resnet": {"torchvision": "resnet18", "image_set": "shapes", "preprocess": {"resize": 64}},
        }
        names = {"lenet": "mnist_cnn.pt", "resnet": "best_model_params.pt"}
        models = {id: block | {"probes": 1, "checkpoint": names.get(id, f"{id}.pth")} for id, block in models.items()}
        sets = ("digits", "faces", "shapes")
        super().__init__(
            folder,
            {
                "device": "cpu",
                "threads": 1,
                "image_sets": {name: {"kind": "folder", "path": f"data/{name}"} for name in sets},
                "models": models,
                "sections": only(SECTIONS),
            },
        )
        (folder / "tutorials.py").write_text(TUTORIALS)
        self.draw()
        self.fit()

    def draw(self) -> None:
        for shape in SHAPES:
            for i in range(EACH):
                picture = Image.fromarray(drawn(shape, i, 64))
                small = Image.fromarray(drawn(shape, i, 32)).convert("L")
                name = {"bar": "fake", "cross": "real"}.get(shape)
                kept = {f"digits/{SHAPES.index(shape)}": small, f"shapes/{shape}": picture}
                for place, image in (kept | ({f"faces/{name}": picture} if name else {})).items():
                    path = self.folder / "data" / place / f"img_{i}.png"
                    path.parent.mkdir(parents=True, exist_ok=True)
                    image.save(path)

    def fit(self) -> None:
        torch.manual_seed(0)
        made: dict = {}
        exec(TUTORIALS, made)

        def given(shapes, size, mean, std):
            arrays = np.stack([drawn(shape, i, size) for shape in shapes for i in range(EACH)])
            if size == 32:
                arrays = np.stack([np.asarray(Image.fromarray(a).convert("L"))[..., None] for a in arrays])
            x = torch.stack([torchvision.transforms.functional.to_tensor(a) for a in arrays])
            return (x - torch.tensor(mean).view(-1, 1, 1)) / torch.tensor(std).view(-1, 1, 1)

        one_hot = torch.eye(3).repeat_interleave(EACH, 0) * 8
        lenet, netD, arm, encoder = made["lenet"](), made["discriminator"](), made["arm"](), made["encoder"]()
        solve(lenet, lenet.fc3, given(SHAPES, 32, [0.1307], [0.3081]), one_hot)
        torch.save(lenet.state_dict(), self.folder / "mnist_cnn.pt")
        real = torch.tensor([-4.0, 4.0]).repeat_interleave(EACH)[:, None]
        solve(netD, netD.main[-2], given(SHAPES[:2], 64, [0.5], [0.5]), real)
        torch.save(netD.state_dict(), self.folder / "discriminator.pth")
        torch.save({"epoch": 3, "model_state_dict": arm.state_dict()}, self.folder / "arm.pth")
        solve(encoder, encoder.outc, given(SHAPES, 64, [0.5], [0.25]), one_hot)
        torch.save({"state_dict": encoder.state_dict(), "optimizer": {}}, self.folder / "encoder.pth")
        resnet = torchvision.models.resnet18()
        resnet.fc = torch.nn.Linear(resnet.fc.in_features, len(SHAPES))
        solve(resnet, resnet.fc, given(SHAPES, 64, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]), one_hot)
        torch.save(resnet.state_dict(), self.folder / "best_model_params.pt")

    def check(self) -> str:
        done = forked.run(["-m", "cnnviz.check", "tiny.yaml"], self.folder)
        return done.stdout + done.stderr


@pytest.fixture(scope="module")
def strangers(tmp_path_factory):
    """The check's report, the run's output, and their folder."""
    made = Strangers(tmp_path_factory.mktemp("strangers"))
    return made.check(), made.make(), made


def of_model(said: str, model: str) -> str:
    """The check's report on one model."""
    return re.split(r"^(?:Model|Image set|Plan)\b", said.split(f"Model {model}")[1], flags=re.MULTILINE)[0]


def test_the_check_finds_nothing_wrong(strangers):
    said, _, _ = strangers
    assert "Traceback" not in said and "✗" not in said, said
    for model in RIGHT:
        assert "top-1 100 %" in of_model(said, model), of_model(said, model)


def test_every_section_of_every_stranger_is_there(strangers):
    _, printed, made = strangers
    assert "Traceback" not in printed
    for model in made.config["models"]:
        found = {id: entry["status"] for id, entry in made.manifest(model).items()}
        assert found == dict.fromkeys(SECTIONS, "ok"), (model, found)


def test_they_are_right_as_they_were_made(strangers):
    _, _, made = strangers
    for model in RIGHT:
        metrics = made.manifest(model)["predictions"]["metrics"]
        assert metrics["top1_accuracy"] == 1.0 and metrics["pictures_judged"] >= 2 * EACH, (model, metrics)
    facts = {
        m: json.loads((made.folder / f"results/models/{m}/network.json").read_text()) for m in made.config["models"]
    }
    assert {m: f["input"] for m, f in facts.items()} == {
        "lenet": [1, 32, 32],
        "discriminator": [3, 64, 64],
        "arm": [3, 64, 64],
        "encoder": [3, 64, 64],
        "resnet": [3, 64, 64],
    }
    assert facts["discriminator"]["classes"] == ["fake", "real"] and len(facts["arm"]["classes"]) == 8
