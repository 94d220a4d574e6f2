import hashlib

import numpy as np
import pytest

from cnnviz.run import atomic, result
from cnnviz.run.result import Result
from cnnviz.slug import slug


def some(**arrays) -> Result:
    return Result(arrays, "ok", "", {"accuracy": 0.5}, {"k": 3}, 7, {"device": "cpu"})


def test_what_is_written_is_read(tmp_path):
    maps = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    result.write(tmp_path / "r.npz", some(maps=maps, names=np.array(["a", "ü"])))
    back = result.read(tmp_path / "r.npz")
    assert np.array_equal(back.arrays["maps"], maps) and back.arrays["names"].tolist() == ["a", "ü"]
    assert (back.numbers, back.parameters, back.seed, back.status) == ({"accuracy": 0.5}, {"k": 3}, 7, "ok")


def test_the_same_result_is_the_same_bytes(tmp_path):
    for name in ("a.npz", "b.npz"):
        result.write(tmp_path / name, some(x=np.arange(5)))
    digests = {hashlib.sha256((tmp_path / n).read_bytes()).hexdigest() for n in ("a.npz", "b.npz")}
    assert len(digests) == 1


@pytest.mark.parametrize("arrays", [{"meta": np.zeros(1)}, {"x": np.array([object()])}])
def test_what_could_not_be_read_back_is_refused(tmp_path, arrays):
    with pytest.raises(ValueError):
        result.write(tmp_path / "r.npz", some(**arrays))
    assert not list(tmp_path.iterdir())


def test_another_schema_is_refused(tmp_path, monkeypatch):
    result.write(tmp_path / "r.npz", some())
    monkeypatch.setattr(result, "SCHEMA", 2)
    with pytest.raises(ValueError, match="schema 1"):
        result.read(tmp_path / "r.npz")


def test_a_failing_writer_leaves_the_old_file_and_no_other(tmp_path):
    path = tmp_path / "out.txt"
    atomic.write_text(path, "good")
    with pytest.raises(RuntimeError), atomic.replacing(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "good" and list(tmp_path.iterdir()) == [path]


def test_slugs_are_safe_stable_and_unique_whatever_the_case():
    names = [
        "conv1",
        "Conv1",
        "CONV1",
        "layer1.0",
        "dir/a b.png",
        "dir-a-b.png",
        "ä",
        "日本",
        "../../etc",
        ".x",
        "",
        "a" * 200,
    ]
    slugs = [slug(n) for n in names]
    assert slugs[0] == "conv1" and slugs[3] == "layer1.0"
    assert len({s.lower() for s in slugs}) == len(names)
    for s in slugs:
        assert s.isascii() and s == s.lower() and "/" not in s and not s.startswith(".") and len(s) <= 80
