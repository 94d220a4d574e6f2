"""The browser, and the rendering, that the tests of pages share."""

import os
from pathlib import Path

import pytest

from tests.site import browser, synthetic


@pytest.fixture(scope="session")
def rendered(tmp_path_factory) -> tuple[Path, dict]:
    """(results folder, manifest) of one rendering that no test changes."""
    results = synthetic.make_results(tmp_path_factory.mktemp("results"))
    return results, synthetic.render(results)


@pytest.fixture(scope="session")
def site(rendered) -> Path:
    """The site of that rendering."""
    return rendered[0] / "site"


@pytest.fixture(scope="module")
def chrome():
    """A running Chromium; tests that use it are skipped without one, except in CI."""
    if browser.chromium() is None and not os.environ.get("CI"):
        pytest.skip("no Chromium here")
    assert browser.chromium(), "CI has to install Chromium"
    with browser.launched() as launched:
        yield launched
