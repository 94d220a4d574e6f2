"""The pixels that activate a neuron, by running the network backwards as a deconvolutional network.

Zeiler & Fergus 2014, "Visualizing and Understanding Convolutional Networks" (arXiv:1311.2901): the signal goes from one
neuron back through transposed convolutions. A max-pool sends it to the position of its maximum. A ReLU is applied at
each ReLU. This is the gradient of the neuron with one change (Simonyan et al. 2014, §4). At y = max(0, x) a gradient g
becomes

    g · [g > 0]        instead of   g · [x > 0]

so only the max-pools' switches depend on the picture. The same neurons are also projected by guided backpropagation,
and on two other pictures, to tell what of it comes from the picture.
:mod:`cnnviz.attribution.projections` states shapes, units and the result.
"""

from functools import partial

from cnnviz.attribution.projections import method, project
from cnnviz.network.relu import DECONVNET, GUIDED
from cnnviz.run.job import run

METHODS = {"deconvnet": method(DECONVNET)}
main = partial(project, name="deconvnet", rule=DECONVNET, others=(GUIDED,))

if __name__ == "__main__":
    run(main)
