"""Deconvnet: units with their strongest patches and the projections of these; then classes."""

from functools import partial

from cnnviz.views import papers
from cnnviz.views.kit import projections, section

WARNING = (
    "Of the picture only the places where max-pools found their maxima enter; the rest is the network's weights. So "
    "of a late unit much is a grid of small edges, whatever the patch shows, and a network without max-pools draws "
    "the same for every picture. Both this and guided backpropagation partly restore the picture instead of "
    "explaining a class (Nie et al. 2018), and class scores come back nearly alike for all classes, or not at all. "
    "Colours are directions of change, not the colours of things."
)

if __name__ == "__main__":
    section.run(
        partial(projections.view, do_not_conclude=WARNING),
        id="deconvnet",
        title="Deconvnet",
        question="What in its favourite patches does each unit respond to, by a deconvolutional network?",
        tour="What of a patch did a unit respond to?",
        how_to_read="On the left of each figure are a unit's strongest patches from real pictures; on the right, "
        "place for place, the neuron that won is run backwards to the pixels. Grey is 0. Look for the "
        "part that repeats: an edge, an eye, a letter. What stays grey plays no part. The last group does "
        "the same with the class scores of the probe pictures.",
        do_not_conclude=WARNING,
        equation="at y = max(0, x) the gradient g goes back as g · [g > 0]",
        papers=(papers.ZEILER_2014, papers.SIMONYAN_2014, papers.NIE_2018),
    )
