"""Guided backpropagation: units with their strongest patches and the pixels that activate the unit; then classes."""

from functools import partial

from cnnviz.views import papers
from cnnviz.views.kit import projections, section

WARNING = (
    "Guided backpropagation partly restores the picture, whatever the unit or class (Nie et al. 2018), and "
    "often looks the same with other weights in the upper layers (Adebayo et al. 2018). A crisp outline is no "
    "sign that the network recognises the object. Colours are directions of change."
)

if __name__ == "__main__":
    section.run(
        partial(projections.view, do_not_conclude=WARNING),
        id="guided_backprop",
        title="Guided backpropagation",
        question="What in its strongest patches does each unit respond to?",
        tour="The same with a sharper rule; sharper is not truer.",
        how_to_read="Above, a unit's strongest patches; below, what of each raises the unit, and the patch where that "
        "is strong. Look for what repeats. Compare the classes of a picture before you believe any.",
        do_not_conclude=WARNING,
        equation="at y = max(0, x) the gradient g goes back as g · [x > 0] · [g > 0]",
        papers=(papers.SPRINGENBERG_2015, papers.NIE_2018, papers.ADEBAYO_2018),
    )
