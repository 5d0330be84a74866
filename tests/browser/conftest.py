"""A JupyterLab and a browser for each file of browser tests; a notebook with all that is shown."""

from importlib.util import find_spec

import nbformat
import pytest
from browser.lab import jupyterlab

ALL = "all_widgets.ipynb"
SETUP = """
import numpy as np
from bnlib import Recorder, compare, load_mnist, mlp
from bnlib.widgets import *
data = load_mnist(pool=True, n_train=1000, n_test=100)
x, labels = data.batch(slice(0, 64), np.float64)
def nets():
    return {name: mlp([data.num_features, 32, 32, 10], norm=norm)
            for name, norm in {"without BN": None, "with BN": "batch"}.items()}
runs = compare(nets(), data, 60, 0.1, 32, recorder=Recorder(data, channels=6, before_norm=True))
recordings = {name: run.recording for name, run in runs.items()}
"""
WIDGETS = {
    "DistributionExplorer": "DistributionExplorer(data, steps=100, frames=11, width=32)",
    "DistributionFilm": "DistributionFilm(recordings)",
    "ChannelFilm": "ChannelFilm(recordings, layer=1)",
    "RunningStatisticsExplorer": "RunningStatisticsExplorer(data, steps=60)",
    "TransformExplorer": "TransformExplorer(x[:, 90:94], x, labels)",
    "SignalExplorer": "SignalExplorer(x, labels)",
    "JacobianExplorer": "JacobianExplorer()",
    "ProjectionExplorer": "ProjectionExplorer()",
    "NormExplorer": "NormExplorer(x[:24].reshape(4, 6, 14, 14))",
    "LandscapeFilm": "LandscapeFilm(data, steps=100, hidden=(20, 20))",
}
MORE = (
    "import bnlib.exercises\nbnlib.exercises.standardize.check(bnlib.exercises.standardize.answer)",
    "from bnlib.claims import ledger\nledger()[['stable_rate']]",
    "from bnlib import figures\nfigures.show(figures.units_over_time(recordings), 'Both learn.')",
)


@pytest.fixture(scope="module")  # Playwright holds the event loop, which later tests need
def lab(root, require, chromium_path, chromium_args, tmp_path_factory):
    require("the browser tests", find_spec("playwright"), "pip install playwright")
    folder = tmp_path_factory.mktemp("notebooks")
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    cells = [nbformat.v4.new_code_cell(s) for s in (SETUP.strip(), *WIDGETS.values(), *MORE)]
    cells.append(nbformat.v4.new_markdown_cell("Prose with `code`.", id="prose"))
    notebook = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})
    nbformat.write(notebook, folder / ALL)
    folders = [root / "notebooks", folder]
    with jupyterlab(folders, root / "share/jupyter/lab", chromium_path, chromium_args) as lab:
        yield lab
