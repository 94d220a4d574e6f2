"""What in the picture excited a neuron, by running the network backwards as a deconvolutional network.

Zeiler & Fergus 2014, "Visualizing and Understanding Convolutional Networks" (arXiv:1311.2901): from one neuron back
through the transposed convolutions, through each max-pool to where its maximum was, and through a ReLU at each ReLU.
That is the gradient of the neuron with one change (Simonyan et al. 2013, §4): at y = max(0, x) a gradient g goes on as

    g · [g > 0]        instead of   g · [x > 0]

so nothing of the picture enters but the pools' switches. Shapes, units, and what the job leaves:
:mod:`cnnviz.attribution.projections`.
"""

from functools import partial

from cnnviz.attribution.projections import method, project
from cnnviz.network.relu import DECONVNET
from cnnviz.run.job import run

METHODS = {"deconvnet": method(DECONVNET)}
main = partial(project, name="deconvnet", rule=DECONVNET)

if __name__ == "__main__":
    run(main)
