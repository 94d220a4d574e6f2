"""Five objectives of one network in one row, and every picture by all five measures."""

import numpy as np

from cnnviz.network.class_names import short
from cnnviz.run.result import Result
from cnnviz.views import papers
from cnnviz.views.kit import colour, curves, panels, section
from cnnviz.views.kit.colour import number
from cnnviz.views.kit.section import Context, Subject


def view(result: Result, context: Context) -> dict:
    arrays, numbers = result.arrays, result.numbers
    layer, unit = numbers["layer"], numbers["unit"]
    of_class = short(numbers["class"])
    pictures = colour.rgb(arrays["pictures"], context.image_set.config.get("show"))
    values, relative = arrays["values"], arrays["relative"]
    own = np.diagonal(values[:-1])
    what = {
        "neuron": f"the neuron of unit {unit} in the middle of {layer}",
        "channel": f"unit {unit} everywhere in {layer}",
        "layer": f"all of {layer}, Σ f² as DeepDream has it",
        "logit": f"the score of {of_class}"
        + (", before the last ReLU, where it was flat at the start" if numbers["fallback"] else ""),
        "probability": f"the probability of {of_class}, as log odds",
    }
    asked = [what[name] for name in numbers["objectives"]]
    names = [context.score if name == "logit" else name for name in numbers["objectives"]]
    subjects = (
        Subject("layer", layer),
        Subject("unit", str(unit), layer),
        Subject("class", numbers["class"]),
    )
    content, width, height = panels.sheet([*zip(names, pictures, strict=True)], across=len(names))
    steps = result.parameters["steps"]
    reached = "; ".join(f"{words}: {number(values[-1, j])} → {number(own[j])}" for j, words in enumerate(asked))
    wins = (values[:-1].argmax(0) == np.arange(len(names))).astype(float)
    figures = [
        context.figure(
            "row",
            "row.svg",
            content,
            width,
            height,
            alt=f"Synthetic pictures made from the same noise for {', '.join(names)}, side by side.",
            caption=f"What is asked for, from left to right, and what it came to from the start to the {steps}th step: "
            f"{reached}. The layer is the middle one of those shown; the unit is the one that speaks most for "
            f"{of_class} there.",
            mapping="the pictures themselves: levels 0 … 255 are what was optimised",
            data="pictures",
            subjects=subjects,
            from_dataset=False,
        )
    ]
    climbed = arrays["curves"] - arrays["curves"][:, :1]
    best = np.abs(climbed).max(1, keepdims=True)
    climbed = climbed / np.where(best > 0, best, 1)
    figures.append(
        context.figure(
            "curves",
            "curves.svg",
            curves.svg(dict(zip(names, climbed, strict=True)), across="step", up="gain, of its largest"),
            curves.WIDTH,
            curves.HEIGHT,
            alt=f"Gains of {len(names)} objectives against step; each ends at {climbed[:, -1].min():.2g} or more of "
            "its largest gain.",
            caption="How each objective rose while it was climbed, as a share of its largest gain: under random views "
            "in the first half of the steps, hence the ups and downs, and as it is in the second.",
            mapping="linear axes; 0 is the start",
            data="curves",
            subjects=subjects,
            from_dataset=False,
        )
    )
    grid = tuple((name, *(round(float(v), 2) for v in relative[i])) for i, name in enumerate(names))
    plain = tuple(
        (name, *(float(f"{v:.4g}") for v in row)) for name, row in zip((*names, "start"), values, strict=True)
    )
    columns = ("picture made for", *(f"judged by {name}" for name in names))
    return {
        "figures": tuple(figures),
        "tables": (
            section.Table(
                "relative",
                "Each 8-bit picture (row) by each objective (column): 0 is the noise they start from, 1 what the "
                "picture made for that objective reaches. Above 1: another picture does better by it.",
                columns,
                grid,
            ),
            section.Table("values", "The same in each objective's own unit.", columns, plain),
        ),
        "metrics": (section.Metric("best_by_their_own_objective", float(wins.mean()), "share", "higher"),),
    }


if __name__ == "__main__":
    section.run(
        view,
        id="objectives",
        title="Objectives",
        question="One neuron, one channel, a layer or a class: how does what is asked for change the picture?",
        tour="A neuron, a unit, a layer, a class: what is climbed decides what is seen.",
        how_to_read="All pictures start from the same noise and see the same views. A neuron draws its pattern once, "
        "in the middle; its channel repeats it everywhere; the layer brings out whatever it has; the class composes "
        "parts into a thing. In the table a row is a picture, and a column asks how much of an objective it has.",
        do_not_conclude="One unit of one layer stands for no other. A number of one column says nothing beside one of "
        "another column. Each picture is one peak of many: where another picture does better by its objective, a "
        "longer ascent from another start might not.",
        equation="f_u(y₀, x₀) · mean f_u · mean f² · S_c · log p_c/(1 − p_c)",
        papers=(papers.OLAH_2017, papers.MORDVINTSEV_2015),
    )
