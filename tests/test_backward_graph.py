"""figures.backward_graph: every dependency of the forward pass is an arrow."""

import numpy as np
import pytest
from matplotlib import pyplot as plt
from matplotlib.text import Annotation

from bnlib import figures

MEAN, VAR = r"$\mu_\mathcal{B}$", r"$\sigma^2_\mathcal{B}$"
DEPENDS = {
    MEAN: ["$x_1$", "$x_2$"],
    VAR: ["$x_1$", "$x_2$", MEAN],
    r"$\hat{x}_1$": ["$x_1$", MEAN, VAR],
    r"$\hat{x}_2$": ["$x_2$", MEAN, VAR],
    "$y_1$": [r"$\hat{x}_1$", r"$\gamma,\beta$"],
    "$y_2$": [r"$\hat{x}_2$", r"$\gamma,\beta$"],
    "$L$": ["$y_1$", "$y_2$"],
}


@pytest.fixture
def ax():
    yield figures.backward_graph().axes[0]
    plt.close("all")


def texts(ax):
    """text -> place of nodes and boxes."""
    return {t.get_text(): t.get_position() for t in ax.texts if not isinstance(t, Annotation)}


def arrows(ax):
    """(start, end) -> arrow."""
    names = {place: text for text, place in texts(ax).items()}
    drawn = [t for t in ax.texts if isinstance(t, Annotation)]
    found = {(names[t.xyann], names[t.xy]): t.arrow_patch for t in drawn}
    assert len(found) == len(drawn)
    return found


def test_the_arrows_are_the_dependencies(ax):
    assert set(arrows(ax)) == {(start, end) for end, starts in DEPENDS.items() for start in starts}


def test_the_arrow_of_the_lemma_is_dotted_and_no_other(ax):
    dotted = [ends for ends, arrow in arrows(ax).items() if arrow.get_linestyle() == ":"]
    assert dotted == [(MEAN, VAR)]


def test_black_are_the_ways_of_one_example_to_every_xhat(ax):
    black = {ends for ends, arrow in arrows(ax).items() if sum(arrow.get_edgecolor()[:3]) == 0}
    ways = {("$x_1$", end) for end, starts in DEPENDS.items() if "$x_1$" in starts}
    assert black == ways | {(start, end) for start, end in arrows(ax) if start in (MEAN, VAR)}


def test_the_backward_steps_run_from_right_to_left(ax):
    steps = {text[0]: place[0] for text, place in texts(ax).items() if text[1:2] == ":"}
    assert sorted(steps) == list("12345")
    assert np.all(np.diff([steps[k] for k in sorted(steps)]) < 0)


def test_the_question_mark_stands_at_the_readers_node(ax):
    found = texts(ax)
    asked = [place for text, place in found.items() if text.endswith("= ?")]
    boxes = [place for text, place in found.items() if text[1:2] == ":"]
    assert len(asked) == 1
    assert min(boxes, key=lambda place: np.hypot(*np.subtract(place, found[VAR]))) == asked[0]


def test_no_box_lies_over_an_arrow_or_a_node(ax):
    ax.figure.canvas.draw()
    boxes = {t.get_text(): t.get_bbox_patch().get_window_extent() for t in ax.texts if t.get_text()}
    places = texts(ax)
    for (start, end), _ in arrows(ax).items():
        line = np.linspace(places[start], places[end], 200)
        points = ax.transData.transform(line)
        for text, box in boxes.items():
            if text not in (start, end):
                assert not any(box.contains(*point) for point in points), (start, end, text)


def test_text_is_large_enough_for_a_projector(ax):
    assert min(t.get_fontsize() for t in ax.texts) >= 12
