"""Static figures, and the one palette of the whole suite.

`recordings.py` draws `bnlib.Recording`s, `lessons.py` the diagrams of the notebooks, `style.py`
holds colours, fonts and `show`. Each function returns the matplotlib Figure; in a notebook end the
cell with `show(figure, "what it shows, in one sentence")`: that sentence becomes its alt text.
"""

from bnlib.figures.lessons import (
    backward_graph,
    batch_table,
    feature_map_table,
    im2col_table,
    seed_dots,
)
from bnlib.figures.recordings import units_over_time
from bnlib.figures.style import COLORS, INK, RC, STYLES, look, show, style

__all__ = [
    "COLORS",
    "INK",
    "RC",
    "STYLES",
    "backward_graph",
    "batch_table",
    "feature_map_table",
    "im2col_table",
    "look",
    "seed_dots",
    "show",
    "style",
    "units_over_time",
]
