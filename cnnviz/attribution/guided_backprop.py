"""What in the picture excited a neuron: the gradient, letting through only what raises it all the way.

Springenberg, Dosovitskiy, Brox & Riedmiller 2015, "Striving for Simplicity: The All Convolutional Net"
(arXiv:1412.6806): the gradient's rule and the deconvnet's at once. At y = max(0, x) a gradient g goes on as

    g · [x > 0] · [g > 0]

so it follows the neurons that were active in this picture, and it needs no pooling switches to be sharp. Shapes,
units, and what the job leaves: :mod:`cnnviz.attribution.projections`.
"""

from functools import partial

from cnnviz.attribution.projections import method, project
from cnnviz.network.relu import GUIDED
from cnnviz.run.job import run

METHODS = {"guided_backprop": method(GUIDED)}
main = partial(project, name="guided_backprop", rule=GUIDED)

if __name__ == "__main__":
    run(main)
