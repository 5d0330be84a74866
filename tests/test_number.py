"""How numbers are written, and Number: the picture of a Text, in the place it is given."""

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from bnlib.figures.format import number, setting
from bnlib.figures.number import Number


def ink(artist_of):
    """Rows and columns of the dark pixels of a 200 x 60 px figure."""
    fig = Figure(figsize=(200 / 96, 60 / 96), dpi=96)
    canvas = FigureCanvasAgg(fig)
    artist_of(fig)
    canvas.draw()
    return np.nonzero(np.asarray(canvas.buffer_rgba())[..., 0] < 128)


@pytest.mark.parametrize("text", ["1.00", "0.03", "12", "4e+60", "-7.5", "12 %"])
def test_it_looks_like_a_text(text):
    def mine(fig):
        fig.add_artist(Number(100, 30)).set_text(text)

    def reference(fig):
        fig.text(100 / 200, 30 / 60, text, va="center_baseline", ha="center", fontsize=12)

    rows, columns = ink(mine)
    expected_rows, expected_columns = ink(reference)
    assert len(rows) == pytest.approx(len(expected_rows), rel=0.25)  # as much ink
    for here, theirs in ((columns, expected_columns), (rows, expected_rows)):
        assert abs(here.min() - theirs.min()) <= 2
        assert abs(here.max() - theirs.max()) <= 2


def test_an_empty_number_draws_nothing():
    def mine(fig):
        artist = fig.add_artist(Number(20, 30))
        artist.set_text("12")
        artist.set_text("")

    assert len(ink(mine)[0]) == 0


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.034, "0.03"), (1, "1.00"), (-0.001, "0.00"), (12.3, "12"), (850, "850"), (4e60, "4e60"),
     (-2.345, "-2.35"), (np.inf, "not finite"), (np.nan, "not finite")],
)  # fmt: skip
def test_measured_numbers_take_a_few_characters(value, text):
    assert number(value) == text


def test_small_numbers_are_written_where_they_matter():
    assert number(3.2e-6, smallest=0) == "3e-6" and number(0.0, smallest=0) == "0.00"


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.1, "0.1"), (3.0, "3"), (64, "64"), (1e-5, "1e-5"), (0, "0"), (0.003, "0.003")],
)
def test_settings_are_written_as_they_were_chosen(value, text):
    assert setting(value) == text
