"""The browser that the tests of pages share."""

import os

import pytest

from tests.site import browser


@pytest.fixture(scope="module")
def chrome():
    """A running Chromium; tests that use it are skipped without one, except in CI."""
    if browser.chromium() is None and not os.environ.get("CI"):
        pytest.skip("no Chromium here")
    assert browser.chromium(), "CI has to install Chromium"
    with browser.launched() as launched:
        yield launched
