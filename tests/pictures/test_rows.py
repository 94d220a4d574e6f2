"""A limit keeps every class's share and takes no picture twice; classes are in the order of trained networks."""

import random
from collections import Counter

import pytest

from cnnviz.pictures.rows import Found, Row, doubtful_level, in_order, limited


def drawn(seed: int) -> tuple[list[Row], int]:
    """Rows of up to 9 classes, often very uneven, in any order, some of them queries; and a limit."""
    chance = random.Random(seed)
    n = chance.choice((1, 2, 3, 7, 32, 150, 600))
    names = [f"class {c}" for c in range(chance.randint(1, 9))]
    weights = [chance.random() ** 4 + 1e-3 for _ in names]
    rows = []
    for i in range(n):
        labels = tuple(dict.fromkeys(chance.choices(names, weights, k=chance.choice((0, 1, 1, 1, 2)))))
        rows.append(Row(f"{i}.png", labels, role=chance.choice(("reference", "reference", "query"))))
    return rows, chance.choice((1, 2, n - 1 or 1, n, n + 1, 300, 10 * n))


@pytest.mark.parametrize("seed", range(200))
def test_a_limit_takes_each_picture_once_and_every_class_in_proportion(seed):
    rows, limit = drawn(seed)
    taken = limited(rows, limit)
    assert len(taken) == min(limit, len(rows))
    assert len({row.name for row in taken}) == len(taken)
    assert [row for row in rows if row in set(taken)] == list(taken)  # the order stays
    share = len(taken) / len(rows)
    for group in (lambda row: row.role, lambda row: (row.role, row.labels)):
        every, some = Counter(map(group, rows)), Counter(map(group, taken))
        assert all(abs(some[key] - share * count) < 1 for key, count in every.items())


def test_without_a_limit_all_are_taken():
    rows = [Row(f"{i}.png") for i in range(5)]
    assert limited(rows, None) == tuple(rows) and limited([], 3) == ()


@pytest.mark.parametrize(
    ("names", "order"),
    [
        (["blue", "Yellow", "red", "Green"], "Green Yellow blue red"),  # capitals first
        (["b", "_a", "Z", "ä", "9"], "9 Z _a b ä"),
        (["1", "-1"], "-1 1"),
        (["10", "2", "-3", "0", "+1"], "-3 0 +1 2 10"),
        (["1.5", "0.25", "11"], "0.25 1.5 11"),
        (["10", "2", "none"], "10 2 none"),  # not all are numbers
        (["②", "①", "10"], "10 ① ②"),
        (["٣", "١"], "١ ٣"),
    ],
)
def test_classes_of_a_table_are_in_the_order_of_text_and_numbers_in_that_of_value(names, order):
    assert in_order([*names, *names], numbers=True) == tuple(order.split())


@pytest.mark.parametrize("names", [["10", "9", "1", "-1"], ["02", "1", "001"], ["a10", "a9", "A1"]])
def test_classes_of_folders_are_in_the_order_of_image_folder(names, tmp_path):
    from torchvision.datasets import ImageFolder

    for name in names:
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.png").touch()
    assert in_order(names, numbers=False) == tuple(ImageFolder(str(tmp_path)).classes)


@pytest.mark.parametrize(
    ("files", "advice"),
    [
        (["train/cat/1.png", "train/dog/2.png", "val/cat/3.png"], "{reference: [train], query: [val]}"),
        (["Test/1.png", "Train/2.png"], "{reference: [Train], query: [Test]}"),
        (["pictures/cat/1.png", "pictures/dog/2.png"], "path: data/pictures"),
        (["train/1.png", "train/2.png"], "path: data/train"),
        (["cat/1/a.png", "dog/1/b.png"], ""),
        (["cat/1/a.png", "cat/1/b.png"], ""),
        (["cat/1.png", "test/2.png"], ""),
        (["1.png"], ""),
    ],
)
def test_folders_one_level_too_high_are_told_from_classes(files, advice):
    rows = tuple(Row(file, tuple(file.split("/")[:-1][:1])) for file in files)
    told = doubtful_level("data", Found(rows, in_order([n for row in rows for n in row.labels], False), len(rows), ()))
    assert told.endswith(advice) if advice else told == ""
