"""A student on Binder: the film moves, and no work is lost with the server.

In an environment made from binder/requirements.txt, after binder/postBuild:

    pytest -n 0 tests/doors/test_binder.py
"""

import contextlib
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from browser.lab import browse, serve
from browser.test_start_here import NAME, Widget

OWN_CODE = """
# my own answer
import numpy as np, bnlib
def standardize(x, eps):
    return (x - x.mean(axis=0)) / np.sqrt(x.var(axis=0) + eps)
bnlib.exercises.standardize.keep(standardize)
"""
SOURCES = """() => window.jupyterapp.shell.currentWidget.content.widgets
  .map(cell => cell.model.sharedModel.getSource())"""


class Binder:
    """A server as repo2docker starts it, from a clean copy of the notebooks, and the browser.

    `lose_the_server` ends it; a new one, with none of the first one's files, takes its address.
    """

    def __init__(self, root, chromium_path, chromium_args):
        self.root, self.chromium = root, (chromium_path, chromium_args)
        self.running = contextlib.ExitStack()

    def _serve(self):
        jupyter = Path(sys.executable).with_name("jupyter")
        command = [self.root / "binder/start", jupyter, "lab"]
        repository = "https://example.org/bnlib"  # BinderHub sets it; the storage goes by it
        server = serve([self.root / "notebooks"], command, BINDER_REPO_URL=repository)
        return self.running.enter_context(server)

    def __enter__(self):
        self._browsing = browse(self._serve(), *self.chromium)
        self.lab = self._browsing.__enter__()
        return self

    def __exit__(self, *exception):
        self._browsing.__exit__(*exception)
        self.running.close()

    def lose_the_server(self):
        self.running.close()
        self.lab.wire.target = self._serve()


@pytest.fixture
def binder(root, require, chromium_path, chromium_args):
    require("Binder", find_spec("jupyter_offlinenotebook"), "an environment without Binder's lock")
    with Binder(root, chromium_path, chromium_args) as binder:
        yield binder


def test_the_film_moves_and_work_outlives_the_server(binder, tmp_path):
    with binder.lab.open(NAME) as notebook:
        page = notebook.page
        page.set_default_timeout(60_000)  # a busy machine
        notebook.run_all()
        widget = Widget(notebook)
        assert widget.press("ArrowLeft")[1].startswith("Step 290 of 300")

        assert "my_bn.py" in notebook.run(OWN_CODE)
        page.get_by_title("Save to browser storage").click()
        page.get_by_role("button", name="OK").click()
        page.evaluate("window.jupyterapp.commands.execute('filebrowser:activate')")
        page.locator(".jp-DirListing-item", has_text="my_bn.py").click(button="right")
        with page.expect_download() as download:
            page.get_by_role("menuitem", name="Download", exact=True).click()
        download.value.save_as(tmp_path / "my_bn.py")
        assert notebook.problems() == []

        binder.lose_the_server()
        notebook.load()
        assert OWN_CODE not in page.evaluate(SOURCES)
        assert "No module named 'my_bn'" in notebook.run("import my_bn")
        page.get_by_title("Restore from browser storage").click()
        page.get_by_role("button", name="OK").click()
        notebook.wait("the student's cell", lambda: OWN_CODE in page.evaluate(SOURCES))

        page.evaluate("window.jupyterapp.commands.execute('filebrowser:activate')")
        with page.expect_file_chooser() as chooser:
            page.get_by_role("button", name="Upload Files").click()
        chooser.value.set_files(tmp_path / "my_bn.py")
        page.get_by_role("tab", name="my_bn.py").wait_for()  # JupyterLab shows what was uploaded
        page.get_by_role("tab", name=NAME).click()
        source = "import my_bn\nprint(my_bn.standardize(my_bn.np.array([[1.0], [3.0]]), 0.0).T)"
        assert notebook.run(source) == "[[-1.  1.]]\n"

        notebook.run_all()  # until then its widgets miss the kernel that is gone
        assert Widget(notebook).press("ArrowLeft")[1].startswith("Step 290 of 300")
        gone = "console: Error: widget model not found"
        assert [it for it in notebook.problems() if not it.startswith(gone)] == []
