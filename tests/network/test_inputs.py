"""A network with an uncommon input format gets advice on how to convert pictures."""

import pytest
import torch
from torch import nn

from cnnviz.errors import UserError
from cnnviz.network import fixed_inputs, inputs


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, 4, 3), nn.Linear(4, 3)

    def scores(self, x):
        return self.fc(self.conv(x).relu().mean((2, 3)))


class Last(Net):
    def forward(self, x):
        return self.scores(x.permute(0, 3, 1, 2))


class Listed(Net):
    def forward(self, images):
        if not isinstance(images, list):
            raise TypeError("a list, please")
        return self.scores(torch.stack(images))


class Keyed(Net):
    def forward(self, batch):
        return self.scores(dict(batch)["pixel_values"])


class Beside(Net):
    def forward(self, x, age):
        return self.scores(x) + self.fc(age)


@pytest.mark.parametrize("form", [Last, Listed, Keyed])
def test_the_lines_in_the_message_make_a_network_that_fits(form):
    with pytest.raises(UserError) as raised:
        inputs.find(form(), (20, 24), "model m")
    message = str(raised.value)
    names = {form.__name__: form}
    exec(message[message.index("from torch") : message.index("Then write")], names)
    assert inputs.find(names["Turned"](), (20, 24), "model m").channels == 3


def test_numbers_beside_the_picture_that_do_not_fit_are_named(monkeypatch):
    monkeypatch.setattr(inputs, "SECONDS", 0.1)
    net = Beside()
    fixed_inputs.attach(net, {"age": [1, 2, 3]}, "model m")
    with pytest.raises(UserError, match=r"fixed inputs have the wrong sizes: inputs: gives it age of 3$"):
        inputs.find(net, (20, 24), "model m")
