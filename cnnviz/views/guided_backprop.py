"""Guided backpropagation: units with their strongest patches and the pixels that activate the unit; then classes."""

from functools import partial

from cnnviz.views import papers
from cnnviz.views.kit import projections, section

WARNING = (
    "Guided backpropagation partly restores the picture, whatever the unit or class (Nie et al. 2018): with other "
    "weights in the upper layers it often looks much the same (Adebayo et al. 2018), and so it does for different "
    "classes of one picture. A crisp outline is no sign that the network recognises the thing. Colours are directions "
    "of change, not the colours of things."
)

if __name__ == "__main__":
    section.run(
        partial(projections.view, do_not_conclude=WARNING),
        id="guided_backprop",
        title="Guided backpropagation",
        question="What in its favourite patches does each unit respond to, by guided backpropagation?",
        tour="The same with a sharper rule; sharper is not truer.",
        how_to_read="On the left of each figure are a unit's strongest patches from real pictures; on the right, "
        "place for place, what of each raises the neuron that won, by way of active neurons only. Grey is "
        "0. Look for the part that repeats: a stripe, an eye, a mouth. What stays grey plays no part. "
        "The last group does the same with the class scores of the probe pictures: compare the classes of "
        "one picture before you believe any of them.",
        do_not_conclude=WARNING,
        equation="at y = max(0, x) the gradient g goes back as g · [x > 0] · [g > 0]",
        papers=(papers.SPRINGENBERG_2015, papers.NIE_2018, papers.ADEBAYO_2018),
    )
