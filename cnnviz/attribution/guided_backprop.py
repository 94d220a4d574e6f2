"""The pixels that activate a neuron: the gradient, restricted to positive gradients at every ReLU.

Springenberg, Dosovitskiy, Brox & Riedmiller 2015, "Striving for Simplicity: The All Convolutional Net"
(arXiv:1412.6806) combine the gradient's rule with the deconvnet's. At y = max(0, x) a gradient g becomes

    g · [x > 0] · [g > 0]

so it follows the neurons that are active in this picture. It gives sharp pictures without pooling switches.
:mod:`cnnviz.attribution.projections` states shapes, units and the result.
"""

from functools import partial

from cnnviz.attribution.projections import method, project
from cnnviz.network.relu import GUIDED
from cnnviz.run.job import run

METHODS = {"guided_backprop": method(GUIDED)}
main = partial(project, name="guided_backprop", rule=GUIDED)

if __name__ == "__main__":
    run(main)
