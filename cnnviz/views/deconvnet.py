"""Deconvnet: units with their strongest patches and the projections of these; then classes."""

from functools import partial

from cnnviz.views import papers
from cnnviz.views.kit import projections, section

WARNING = (
    "Only the places of max-pooled maxima come from the picture; the rest is the network's weights. A late unit "
    "gives a grid of small edges, and a network without max-pooling draws the same for every picture. Deconvnet "
    "partly restores the picture and hardly explains a class (Nie et al. 2018). Colours are directions of "
    "change."
)

if __name__ == "__main__":
    section.run(
        partial(projections.view, do_not_conclude=WARNING),
        id="deconvnet",
        title="Deconvnet",
        question="What in its strongest patches does each unit respond to?",
        tour="What of a patch did a unit respond to?",
        how_to_read="Left, a unit's strongest patches; right, what the network run backwards makes of each. Grey plays "
        "no part; look for what repeats. Compare the classes of a picture before you believe any.",
        do_not_conclude=WARNING,
        equation="at y = max(0, x) the gradient g goes back as g · [g > 0]",
        papers=(papers.ZEILER_2014, papers.SIMONYAN_2014, papers.NIE_2018),
    )
