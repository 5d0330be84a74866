"""One JupyterLab and one browser for all browser tests."""

from importlib.util import find_spec

import pytest
from browser.lab import jupyterlab


@pytest.fixture(scope="session")
def lab(root, require, chromium_path, chromium_args):
    require("the browser tests", find_spec("playwright"), "pip install playwright")
    with jupyterlab(root / "notebooks", chromium_path, chromium_args) as lab:
        yield lab
