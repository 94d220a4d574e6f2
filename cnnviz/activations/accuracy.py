"""Top-1 and top-5 accuracy, over all labelled pictures and for each role."""

from collections.abc import Sequence

import numpy as np

from cnnviz.pictures import images


def right_outputs(image_set: images.ImageSet, label_to_output: Sequence[int | None]) -> list[list[int]]:
    """The outputs of each picture's labels, in the order of the labels."""
    found = ([label_to_output[label] for label in picture.labels] for picture in image_set.pictures)
    return [[output for output in outputs if output is not None] for outputs in found]


def accuracies(top_classes: np.ndarray, right: list[list[int]], roles: list[str]) -> dict:
    """labelled (pictures), top1 and top5 (fractions of them), on ("query" or "all"), and roles: the same for each role.

    top_classes: (n, 5) outputs. right: correct outputs of each picture; a prediction is correct if it is one of them.
    If some pictures are queries and others are not, only the queries count.
    """
    hits = np.array([[output in outputs for output in best] for best, outputs in zip(top_classes, right, strict=True)])
    known, role = np.array([bool(outputs) for outputs in right]), np.array(roles)

    def shares(chosen: np.ndarray) -> dict:
        counted = {"labelled": int(chosen.sum())}
        if chosen.any():
            counted |= {"top1": float(hits[chosen, 0].mean()), "top5": float(hits[chosen].any(1).mean())}
        return counted

    by_role = {name: shares(known & (role == name)) for name in sorted(set(roles))}
    split = len(by_role) > 1 and by_role.get("query", {}).get("labelled", 0) > 0
    whole = by_role["query"] | {"on": "query"} if split else shares(known) | {"on": "all"}
    return whole | {"roles": by_role}
