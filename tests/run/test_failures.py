"""A job with an unexpected error reports one sentence; its traceback is in its log only."""

import logging

import pytest

from cnnviz import errors
from cnnviz.run import failures
from cnnviz.site.redact import log_end

COMMAND = (
    'RuleException:\nCalledProcessError in file "rules/attribution.smk", line 65:\nCommand \'set -e; python -m '
    "cnnviz.attribution.saliency --job '{\"a\": 1}' 2>&1 | tee {log}' returned non-zero exit status 1."
)


def raising(error: Exception):
    with errors.reporting():
        raise error


@pytest.mark.parametrize(
    "error", [LookupError("planted\nin two lines"), RuntimeError("view size"), ZeroDivisionError(), KeyError("conv1")]
)
def test_an_error_becomes_a_sentence_and_its_traceback_goes_to_the_log(tmp_path, monkeypatch, capsys, error):
    log = tmp_path / "saliency.log"
    log.write_text("10 pictures\n")
    monkeypatch.setenv(errors.LOG, str(log))
    with pytest.raises(SystemExit):
        raising(error)
    said = capsys.readouterr().err
    assert said.startswith(f"error: {type(error).__name__}") and len(said.splitlines()) == 1 and str(log) in said
    assert "Traceback" in log.read_text() and log.read_text().startswith("10 pictures\n")


def test_without_a_log_it_is_said_where_an_error_came_from(monkeypatch, capsys):
    monkeypatch.delenv(errors.LOG, raising=False)
    with pytest.raises(SystemExit):
        raising(LookupError("planted"))
    said = capsys.readouterr().err
    assert "in raising (test_failures.py:" in said and len(said.splitlines()) == 1


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        (
            "tiny/saliency.log",
            "scores: 0%\rscores: 50%\nerror: LookupError: planted\n",
            "tiny · saliency failed: LookupError: planted",
        ),  # fmt: skip
        ("tiny/pca.view.log", "error: no", "tiny · pca, its figures failed: no"),
        ("image_sets/birds.log", "1%\rkilled by signal 9: why", "image_sets · birds failed: killed by signal 9: why"),
        (
            "tiny/network.log",
            "error: no state dict:\n\nimport torch\n\nThen write\n",
            "tiny · network failed: no state dict:",
        ),
        ("tiny/lime.log", "error: \x1b[2J\u202egpj", r"tiny · lime failed: \x1b[2J\u202egpj"),
        ("tiny/tsne.log", "", "tiny · tsne failed: its log is empty"),
    ],
)
def test_a_run_says_which_job_failed_why_and_where_its_log_is(tmp_path, file, text, said):
    log = tmp_path / "logs" / file
    log.parent.mkdir(parents=True)
    log.write_text(text)
    record = logging.LogRecord("snakemake", logging.ERROR, "", 0, COMMAND.replace("{log}", str(log)), (), None)
    assert failures._Sentence().filter(record)
    assert record.getMessage() == f"{said}\nIts log: {log}"
    other = logging.LogRecord("snakemake", logging.ERROR, "", 0, "Something else 100 %", (), None)
    assert failures._Sentence().filter(other) and other.getMessage() == "Something else 100 %"


def test_a_jobs_last_lines_are_repeated_without_tracebacks_and_bars(tmp_path):
    log = tmp_path / "logs/m/lime.log"
    log.parent.mkdir(parents=True)
    log.write_bytes(
        b"zero\none\n\ntwo\x1b[31m\nm: 0%\rm: 100%\nout of memory: 8 pictures at a time from here on\n"
        b"Traceback (most recent call last):\n  File x\nKeyError: 3\nerror: KeyError: 3\n"
    )
    three = ["    one", r"    two\x1b[31m", "    out of memory: 8 pictures at a time from here on"]
    assert failures.sentence(log).splitlines() == ["m · lime failed: KeyError: 3", *three, f"Its log: {log}"]


def test_ctrl_c_is_no_traceback(capsys):
    with pytest.raises(SystemExit) as end:
        raising(KeyboardInterrupt())
    assert end.value.code == 130 and capsys.readouterr().err == "stopped\n"


def test_a_page_shows_the_sentence_and_not_the_traceback(tmp_path):
    log = tmp_path / "a.log"
    log.write_text(
        "Traceback (most recent call last):\n  File x\nKeyError: 3\nerror: KeyError: 3. It was raised in x\n"
    )
    assert log_end(log) == "error: KeyError: 3. It was raised in x"
    log.write_text("one\ntwo\n")
    assert log_end(log) == "one\ntwo"
