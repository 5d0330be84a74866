"""figures.batch_table: the numbers in the tables are those of batch normalization."""

import matplotlib

matplotlib.use("agg")

import numpy as np
from matplotlib import pyplot as plt

from bnlib import figures
from bnlib.functional import batch_norm


def texts(fig):
    return [t.get_text() for t in fig.axes[0].texts]


def test_the_tables_hold_x_its_statistics_and_xhat():
    x = np.random.default_rng(0).normal(2, 3, (5, 3))
    xhat, _ = batch_norm(x, np.ones(3), np.zeros(3), 0.1)
    fig = figures.batch_table(x, eps=0.1)
    cells = [t for t in texts(fig) if t.lstrip("-").replace(".", "").isdigit()]
    want = [*x.ravel(), *x.mean(axis=0), *x.var(axis=0), *xhat.ravel()]
    np.testing.assert_allclose([float(c) for c in cells], want, atol=0.0501)
    assert "-0.0" not in cells
    assert {"$x$: (5, 3)", "$\\mu_\\mathcal{B}$: (3,)", "$\\hat{x}$: (5, 3)"} <= set(texts(fig))
    plt.close(fig)


def test_the_frame_is_around_the_chosen_column_of_every_table():
    x = np.random.default_rng(0).normal(size=(4, 3))
    fig = figures.batch_table(x, images=np.zeros((4, 16)), column=2)
    frames = [p for p in fig.axes[0].patches if isinstance(p, plt.Rectangle)]
    right = 3 + 3  # where the table of xhat starts
    assert [f.get_x() for f in frames] == [2, 2, 2, right + 2]
    assert [f.get_height() for f in frames] == [4, 1, 1, 4]
    assert len(fig.axes[0].images) == 4
    plt.close(fig)
