"""Number: the picture of a Text, in the place it is given."""

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from bnlib.widgets.number import Number


def ink(artist_of):
    """Rows and columns of the dark pixels of a 200 x 60 px figure."""
    fig = Figure(figsize=(200 / 96, 60 / 96), dpi=96)
    canvas = FigureCanvasAgg(fig)
    artist_of(fig)
    canvas.draw()
    return np.nonzero(np.asarray(canvas.buffer_rgba())[..., 0] < 128)


@pytest.mark.parametrize("text", ["1.00", "0.03", "12", "4e+60", "-7.5"])
def test_it_looks_like_a_text(text):
    def number(fig):
        fig.add_artist(Number(20, 30)).set_text(text)

    def reference(fig):
        fig.text(20 / 200, 30 / 60, text, va="center_baseline", fontsize=12)

    rows, columns = ink(number)
    expected_rows, expected_columns = ink(reference)
    assert len(rows) == pytest.approx(len(expected_rows), rel=0.25)  # as much ink
    for mine, theirs in ((columns, expected_columns), (rows, expected_rows)):
        assert abs(mine.min() - theirs.min()) <= 2
        assert abs(mine.max() - theirs.max()) <= 2


def test_an_empty_number_draws_nothing():
    def number(fig):
        artist = fig.add_artist(Number(20, 30))
        artist.set_text("12")
        artist.set_text("")

    assert len(ink(number)[0]) == 0
