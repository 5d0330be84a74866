"""A JupyterLab and a browser for each file of browser tests."""

from importlib.util import find_spec

import pytest
from browser.lab import jupyterlab


@pytest.fixture(scope="module")  # Playwright holds the event loop, which later tests need
def lab(root, require, chromium_path, chromium_args):
    require("the browser tests", find_spec("playwright"), "pip install playwright")
    with jupyterlab(root / "notebooks", chromium_path, chromium_args) as lab:
        yield lab
