"""Hashes change with the effect of code and with the content of files, and with nothing else."""

import os

import pytest

from cnnviz.run import fingerprint

PACKAGE = {
    "cnnviz/a.py": '"""Doc."""\nfrom cnnviz import b\n\n\ndef f(x):\n    """Says."""\n    return b.g(x) + 1\n',
    "cnnviz/b.py": "import math\n\n\ndef g(x):\n    return math.sin(x)\n",
    "cnnviz/c.py": "unrelated = 1\n",
    "cnnviz/__init__.py": '__version__ = "1"\n',
}


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Write PACKAGE (with changes) into a fresh folder and hash ``cnnviz.a`` there."""

    def hash_of(**changes: tuple[str, str]) -> str:
        for path, text in PACKAGE.items():
            old, new = changes.get(path[len("cnnviz/") : -len(".py")], ("", ""))
            assert old in text
            file = tmp_path / path
            file.parent.mkdir(exist_ok=True)
            file.write_text(text.replace(old, new, 1))
        for cached in (fingerprint.code_hash, fingerprint._parsed):
            cached.cache_clear()
        monkeypatch.setattr(fingerprint, "__file__", str(tmp_path / "cnnviz" / "run" / "fingerprint.py"))
        return fingerprint.code_hash("cnnviz.a")

    return hash_of


def test_code_changes_count_also_in_imported_modules(package):
    assert package(a=("+ 1", "+ 2")) != package()
    assert package(b=("sin", "cos")) != package()


def test_comments_docstrings_layout_and_other_modules_do_not_count(package):
    plain = package()
    assert package(a=("return", "# why\n    return")) == plain
    assert package(a=('"""Says."""', '"""Says more."""')) == plain
    assert package(a=('    """Says."""\n', "")) == plain
    assert package(b=("\n\n\n", "\n\n\n\n\n")) == plain
    assert package(c=("1", "2")) == plain
    assert package(__init__=('"1"', '"2"')) == plain


def test_every_technique_hashes_to_something_of_its_own():
    assert fingerprint.code_hash("cnnviz.attribution.saliency") != fingerprint.code_hash("cnnviz.views.saliency")


def test_content_hash_sees_a_changed_byte_and_no_touch(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fingerprint._memory.cache_clear()
    file = tmp_path / "weights.pt"
    file.write_bytes(b"abc")
    before = fingerprint.content_hash(file)
    os.utime(file, (1, 1))
    assert fingerprint.content_hash(file) == before
    file.write_bytes(b"abd")
    assert fingerprint.content_hash(file) != before
    fingerprint._memory.cache_clear()
