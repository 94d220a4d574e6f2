"""Deliberate mistakes are found in synthetic scores, and correct scores raise no suspicion."""

import numpy as np
import pytest
from scipy.special import softmax
from scipy.stats import binomtest

from cnnviz.check import suspicions

CLASSES = [f"class {letter}" for letter in "abcdefghij"]


def trained(n=200, classes=10, accuracy=0.75, seed=0):
    """(scores, labels) of a network with this accuracy, confident, with random errors."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % classes
    best = np.where(rng.random(n) < accuracy, labels, rng.integers(classes, size=n))
    scores = rng.normal(size=(n, classes))
    scores[np.arange(n), best] += 5
    return scores, [(int(label),) for label in labels]


def untrained(n=300, classes=10, seed=0):
    """Scores of an untrained network: its output differs slightly between the classes."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % classes
    scores = rng.normal(size=classes) * 2 + 0.7 * rng.normal(size=(classes, classes))[labels]
    return scores + rng.normal(size=(n, classes)), [(int(label),) for label in labels]


def test_hits_take_the_first_of_equal_scores_and_any_of_several_right_outputs():
    scores = np.array([[1.0, 1.0, 0.0], [0.0, 2.0, 1.0], [0.0, 2.0, 1.0], [3.0, 2.0, 1.0]])
    assert suspicions.hits(scores, [(0,), (0, 1), (2,), ()]).tolist() == [True, True, False, False]
    assert suspicions.hits(scores, [(1,), (2,), (0,), ()], best=2).tolist() == [True, True, False, False]


@pytest.mark.parametrize(
    ("gained", "lost", "same", "clear"),
    [
        *((10, 0, 190, True), (9, 0, 191, False), (60, 25, 115, True), (60, 45, 95, False)),
        *((30, 0, 970, False), (0, 30, 170, False), (0, 0, 200, False)),
    ],
)
def test_clearly_better_is_five_points_and_mcnemars_exact_test(gained, lost, same, clear):
    new = np.repeat([True, False, True], [gained, lost, same])
    old = np.repeat([False, True, True], [gained, lost, same])
    expected = gained and binomtest(gained, gained + lost, alternative="greater").pvalue < 0.001
    assert suspicions.clearly_better(new, old) == clear == bool(expected and gained - lost >= 0.05 * len(new))


def test_guessing_is_near_chance_and_a_little_knowledge_is_not():
    assert suspicions.near_chance(np.arange(200) < 20, 0.1)
    assert suspicions.near_chance(np.zeros(200, bool), 0.1)
    assert not suspicions.near_chance(np.arange(200) < 40, 0.1)


# ------------------------------------------------------------------------------------------------------------ outputs


def test_probabilities_and_what_only_claims_to_be_some():
    scores, _ = trained()
    probabilities = softmax(scores, axis=1)
    assert suspicions.odd_scores(scores, "softmax", "logits") == []
    assert "returns: probabilities" in suspicions.odd_scores(probabilities, "softmax", "logits")[0]
    assert suspicions.odd_scores(np.log(probabilities), "softmax", "probabilities") == []
    assert "leave that key out" in suspicions.odd_scores(np.log(scores.clip(1e-12)), "softmax", "probabilities")[0]


def test_probabilities_of_a_yes_or_no_net_and_of_one_that_names_several_classes():
    z = np.random.default_rng(0).normal(size=100) * 3
    p = 1 / (1 + np.exp(-z))
    assert suspicions.odd_scores(np.stack([-z / 2, z / 2], 1), "softmax", "logits") == []
    assert "probabilities" in suspicions.odd_scores(np.stack([-p / 2, p / 2], 1), "softmax", "logits")[0]
    assert suspicions.odd_scores(z.reshape(-1, 5), "sigmoid", "logits") == []
    assert "probabilities" in suspicions.odd_scores(p.reshape(-1, 5), "sigmoid", "logits")[0]
    assert suspicions.odd_scores(z.reshape(-1, 5), "sigmoid", "probabilities") == []
    cut = np.where(z > 0, 16.118, -16.118).reshape(-1, 5)
    assert "leave that key out" in suspicions.odd_scores(cut, "sigmoid", "probabilities")[0]


def test_scores_that_are_not_finite_or_do_not_depend_on_the_picture():
    scores, _ = trained()
    broken = scores.copy()
    broken[3:5, 0] = np.nan
    assert "2 of 200" in suspicions.odd_scores(broken, "softmax", "logits")[0]
    broken[:, [1, 3]] = -np.inf
    assert "outputs 1, 3 (counted from 0) are not finite" in suspicions.odd_scores(broken, "softmax", "logits")[0]
    assert "same for every picture" in suspicions.odd_scores(np.tile(scores[0], (50, 1)), "softmax", "logits")[0]


def test_mean_average_precision_of_a_perfect_and_of_a_reversed_ranking():
    right = [(0,), (0, 1), (1,), ()]
    scores = np.array([[3.0, 0.0], [2.0, 3.0], [0.0, 2.0], [-1.0, -1.0]])
    assert suspicions.mean_average_precision(scores, right) == 1
    assert suspicions.mean_average_precision(-scores, right) == pytest.approx((1 / 3 + 2 / 4) / 2)
    assert suspicions.mean_average_precision(scores, [(), (), (), ()]) is None


# ------------------------------------------------------------------------------------------------------------- labels


def order_found(scores, labels, mapping, set_classes=CLASSES, names=CLASSES, appearance=None):
    others = suspicions.orders(set_classes, appearance or set_classes, names, mapping)
    return suspicions.better_order(scores, labels, mapping, list(others))


def planted(scores, true):
    """The scores if class i had the output ``true[i]``."""
    moved = np.empty_like(scores)
    moved[:, true] = scores
    return moved


def test_a_shift_a_reversal_and_a_background_class_are_found():
    scores, labels = trained()
    own = list(range(10))
    for words, true in (
        ("one output later", [*range(1, 10), 0]),
        ("one output earlier", [9, *range(9)]),
        ("reversed", own[::-1]),
    ):
        found = order_found(planted(scores, true), labels, own)
        assert found[0] == words and found[2].mean() > 0.6
    numbers = [str(i) for i in own]
    behind = np.column_stack([np.full(len(scores), -9.0), scores])
    words, mapping, _ = order_found(behind, labels, own, numbers, [str(i) for i in range(11)])
    assert words == "one output later" and mapping == list(range(1, 11))
    words, mapping, _ = order_found(behind, labels, [None] * 10, CLASSES, [str(i) for i in range(11)])
    assert words.startswith("background first") and mapping == list(range(1, 11))


def test_numbers_sorted_as_text_are_found():
    scores, labels = trained(classes=12, n=240)
    numbers = [str(i) for i in range(1, 13)]
    true = [sorted(numbers).index(n) for n in numbers]
    words, mapping, _ = order_found(planted(scores, true), labels, list(range(12)), numbers, [*CLASSES, "k", "l"])
    assert "sorted as text" in words and mapping == true


def test_folders_of_numbers_in_the_order_of_value_are_found():
    scores, labels = trained(classes=12, n=240)
    folders = sorted(str(i) for i in range(1, 13))
    true = [int(n) - 1 for n in folders]
    words, mapping, _ = order_found(planted(scores, true), labels, list(range(12)), folders, folders)
    assert "by value" in words and mapping == true


def test_the_order_of_a_table_is_found():
    scores, labels = trained()
    table = [CLASSES[i] for i in (3, 1, 4, 0, 5, 9, 2, 6, 8, 7)]
    true = [table.index(name) for name in CLASSES]
    words, mapping, _ = order_found(planted(scores, true), labels, list(range(10)), appearance=table)
    assert "table" in words and mapping == true


@pytest.mark.parametrize("true", [[0, 1, 2, 5, 4, 3, 6, 7, 8, 9], [3, 7, 0, 9, 1, 8, 2, 6, 5, 4]])
def test_any_permutation_is_found_by_the_hungarian_method(true):
    scores, labels = trained(n=400, accuracy=0.7, seed=1)
    mapping, hit = suspicions.permutation(planted(scores, true), labels, list(range(10)))
    assert mapping == true and hit.mean() > 0.65
    calls = suspicions.mostly_called(planted(scores, true), labels, list(range(10)))
    assert {(label, output) for label, output, *_ in calls} == {(i, o) for i, o in enumerate(true) if i != o}
    assert all(count > total / 2 and total == 40 for *_, count, total in calls)


def test_there_may_be_more_classes_than_outputs():
    scores, labels = trained(n=200)
    assert suspicions.permutation(scores[:, :2], labels, [0, 1] + [None] * 8) is None
    behind = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, None]  # a class without an output
    more = [(10,) if i % 40 == 0 else label for i, label in enumerate(labels)]
    mapping, hit = suspicions.permutation(scores[:, ::-1], more, behind)
    assert mapping == [*range(10)][::-1] + [None] and hit.mean() > 0.6


def test_the_permutation_is_judged_on_pictures_it_was_not_fitted_to():
    rng = np.random.default_rng(0)
    scores, labels = rng.normal(size=(60, 10)) * 5, [(int(i) % 10,) for i in range(60)]
    assert suspicions.permutation(scores, labels, list(range(10))) is None


@pytest.mark.parametrize("accuracy", [0.2, 0.4, 0.6, 0.9, 1.0])
@pytest.mark.parametrize("seed", range(5))
def test_no_false_alarm_over_a_network_that_is_labelled_rightly(accuracy, seed):
    scores, labels = trained(accuracy=accuracy, seed=seed)
    own = list(range(10))
    assert order_found(scores, labels, own) is None
    assert suspicions.permutation(scores, labels, own) is None
    assert suspicions.sure_of_something_else(scores, labels, own) is None
    assert suspicions.mostly_called(scores, labels, own) == []


@pytest.mark.parametrize("seed", range(10))
def test_no_order_is_made_up_for_an_untrained_network(seed):
    scores, labels = untrained(seed=seed)
    own = list(range(10))
    assert order_found(scores, labels, own) is None
    assert suspicions.permutation(scores, labels, own) is None


def test_one_picture_a_class_is_too_few_for_a_permutation_but_a_sure_network_tells():
    scores, labels = trained(n=100, classes=100, accuracy=0.8)
    scores *= 2
    own, true = list(range(100)), np.random.default_rng(1).permutation(100).tolist()
    assert not suspicions.enough_for_permutation(labels)
    assert suspicions.permutation(planted(scores, true), labels, own) is None
    assert suspicions.sure_of_something_else(planted(scores, true), labels, own) > 0.3
    assert suspicions.sure_of_something_else(scores, labels, own) is None  # it is right
    assert suspicions.sure_of_something_else(planted(scores, true) / 10, labels, own) is None  # it is unsure
    same = np.tile(scores[0], (100, 1)) + np.random.default_rng(0).normal(size=(100, 100))
    assert suspicions.sure_of_something_else(same, labels, own) is None  # it gives the same answer for all pictures
    assert suspicions.sure_of_something_else(planted(scores, true)[:10], labels[:10], own) is None  # too few


def test_file_names_speak_for_the_predictions():
    names = ["tiger shark, Galeocerdo cuvieri", "ox", "golden retriever", "output 3"]
    files = ["a/003_tiger-shark.jpg", "Golden_Retriever 2.png", "fox.jpg", "tiger.jpg"]
    agree, luck = suspicions.named_rightly(files, names, [0, 2, 1, 0])
    assert agree == [0, 1] and luck == pytest.approx((2 + 1) / 4)


def test_a_known_order_gives_way_to_one_that_explains_clearly_more():
    true, labels = [1, 2, 3, 0], [(i % 4,) for i in range(80)]
    scores = np.eye(4)[[(i + 1) % 4 for i in range(80)]] * 5.0
    some = np.arange(80) % 4 < 3  # a shift by one is right for three of four classes
    fitted, hit = suspicions.permutation(scores, labels, list(range(4)))
    assert fitted == true and suspicions.explains_more(hit, hit & some)
    assert not suspicions.explains_more(hit, hit) and not suspicions.explains_more(hit[:40], some)
