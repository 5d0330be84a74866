"""A JupyterLab and a browser for each file of browser tests, and a notebook with every widget.

And one with every widget, a card, a table and a figure, in projector mode.
"""

from importlib.util import find_spec

import nbformat
import pytest
from browser.lab import jupyterlab

ALL, PROJECTED = "all_widgets.ipynb", "projected.ipynb"
SETUP = """
import numpy as np
from bnlib import Recorder, compare, load_mnist, mlp
from bnlib.widgets import *
data = load_mnist(pool=True, n_train=2000, n_test=200)
x, labels = data.batch(slice(0, 64), np.float64)
def nets():
    return {name: mlp([data.num_features, 32, 32, 10], norm=norm)
            for name, norm in {"without BN": None, "with BN": "batch"}.items()}
runs = compare(nets(), data, 60, 0.1, 32, recorder=Recorder(data, channels=6, before_norm=True))
recordings = {name: run.recording for name, run in runs.items()}
"""
WIDGETS = {
    "DistributionExplorer": "DistributionExplorer()",
    "DistributionFilm": "DistributionFilm(recordings)",
    "ChannelFilm": "ChannelFilm(recordings, layer=1)",
    "RunningStatisticsExplorer": "RunningStatisticsExplorer(data)",
    "TransformExplorer": "TransformExplorer(x[:, 90:94], x, labels)",
    "SignalExplorer": "SignalExplorer(x, labels)",
    "JacobianExplorer": "JacobianExplorer()",
    "ProjectionExplorer": "ProjectionExplorer()",
    "NormExplorer": "NormExplorer(x[:24].reshape(4, 6, 14, 14))",
    "LandscapeFilm": "LandscapeFilm(data, steps=100)",
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
    every = (SETUP.strip(), *WIDGETS.values())
    projected = ("import bnlib\nbnlib.use_projector()", *every, *MORE)
    for name, sources in ((ALL, every), (PROJECTED, projected)):
        cells = [nbformat.v4.new_code_cell(source) for source in sources]
        cells.append(nbformat.v4.new_markdown_cell("Prose with `code`.", id="prose"))
        notebook = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})
        nbformat.write(notebook, folder / name)
    folders = [root / "notebooks", folder]
    with jupyterlab(folders, root / "share/jupyter/lab", chromium_path, chromium_args) as lab:
        yield lab
