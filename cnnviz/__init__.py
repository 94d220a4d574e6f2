"""cnnviz: turns trained convolutional networks into a static HTML gallery."""

__version__ = "0.1.0"
