"""figures.backward_graph: every dependency of the forward pass is an arrow."""

import numpy as np
import pytest
from matplotlib import pyplot as plt
from matplotlib.text import Annotation

from bnlib import figures

DEPENDS = {
    r"$\mu_\mathcal{B}$": [r"$x_i$"],
    r"$\sigma^2_\mathcal{B}$": [r"$x_i$", r"$\mu_\mathcal{B}$"],
    r"$\hat{x}_i$": [r"$x_i$", r"$\mu_\mathcal{B}$", r"$\sigma^2_\mathcal{B}$"],
    r"$y_i$": [r"$\hat{x}_i$", r"$\gamma,\ \beta$"],
    "$L$": [r"$y_i$"],
}


@pytest.fixture
def ax():
    yield figures.backward_graph(slope="0").axes[0]
    plt.close("all")


def test_the_arrows_are_the_dependencies(ax):
    nodes = {t.get_position(): t.get_text() for t in ax.texts if not isinstance(t, Annotation)}
    arrows = [t for t in ax.texts if isinstance(t, Annotation) and t.arrow_patch]
    drawn = {(nodes[t.xyann], nodes[t.xy]) for t in arrows}
    assert drawn == {(start, end) for end, starts in DEPENDS.items() for start in starts}
    assert len(arrows) == len(drawn)
    dotted = [t for t in arrows if t.arrow_patch.get_linestyle() == ":"]
    assert [nodes[t.xy] for t in dotted] == [r"$\sigma^2_\mathcal{B}$"]
    assert "derivative 0" in [t.get_text() for t in ax.texts]


def test_the_backward_steps_run_from_right_to_left(ax):
    steps = {t.get_text()[0]: t.get_position()[0] for t in ax.texts if t.get_text()[1:2] == ":"}
    assert sorted(steps) == list("12345")
    assert np.all(np.diff([steps[k] for k in sorted(steps)]) < 0)


def test_text_is_large_enough_for_a_projector(ax):
    assert min(t.get_fontsize() for t in ax.texts) >= 12
