"""The first notebook in Notebook 7, which looks at every key before the page's widgets do.

pip install notebook && pytest -n 0 tests/doors/test_notebook7.py
"""

import sys
from importlib.util import find_spec

import pytest
from browser.lab import browse, serve
from browser.test_start_here import NAME, Widget

# Notebook 7.6 itself, in an empty notebook too.
ITS_OWN = "page error: Cannot read properties of undefined (reading 'schema')"


@pytest.fixture(scope="module")  # Playwright holds the event loop
def notebook7(root, require, chromium_path, chromium_args):
    require("Notebook 7", find_spec("notebook"), "pip install notebook")
    command = [sys.executable, "-m", "notebook"]
    with (
        serve([root / "notebooks"], command) as port,
        browse(port, chromium_path, chromium_args, "notebooks/{}") as lab,
    ):
        yield lab


def test_the_film_and_the_settings_move_by_keyboard(notebook7):
    with notebook7.open(NAME) as notebook:
        notebook.run_all()
        widget = Widget(notebook)
        assert "Step 300 of 300" in widget.picture[1]
        keys = ("ArrowLeft", "ArrowDown", "ArrowRight", "ArrowUp", "Home", "End")
        steps = [widget.press(key)[1].split(" of ")[0] for key in keys]
        assert steps == ["Step 290", "Step 280", "Step 290", "Step 300", "Step 0", "Step 300"]

        widget.next_learning_rate()
        assert set(notebook.problems()) <= {ITS_OWN}
