"""The static figures show what the Recording holds."""

import base64
import html
import io
import re
import subprocess
import sys

import nbformat
import numpy as np
import pytest
from contrast import faint
from matplotlib import pyplot as plt
from matplotlib.colors import same_color
from matplotlib.text import Annotation
from nbconvert import HTMLExporter
from PIL import Image

from bnlib import figures
from bnlib.convolution import im2col
from bnlib.figures.number import Number
from bnlib.figures.png import encode_png
from bnlib.functional import batch_norm


@pytest.fixture(autouse=True)
def close():
    yield
    plt.close("all")


x = np.random.default_rng(0).standard_normal((4, 3, 5, 5))
SEEDS = {"": [{"without, 0.1": 4.0, "with, 0.1": 8.0}]}
FIGURES = {
    "units_over_time": lambda r: figures.units_over_time(r, step=2),
    "batch_table": lambda r: figures.batch_table(x[:, :, 0, 0]),
    "backward_graph": lambda r: figures.backward_graph(),
    "feature_map_table": lambda r: figures.feature_map_table(x, images=x[:, :1], column=1),
    "im2col_table": lambda r: figures.im2col_table(np.arange(1.0, 21).reshape(4, 5), 3, 4),
    "seed_dots": lambda r: figures.seed_dots(SEEDS, {"rate": tuple(SEEDS[""][0])}, "error"),
}


@pytest.mark.parametrize("name", FIGURES)
def test_text_and_lines_stand_out_in_12_points_whatever_the_users_settings(name, recordings):
    with plt.rc_context({"font.size": 5, "legend.fontsize": 5, "axes.titlesize": 5}):
        before = dict(plt.rcParams)
        fig = FIGURES[name](recordings)
        assert dict(plt.rcParams) == before
    assert list(faint(fig)) == []
    texts = [t for t in fig.findobj(match=lambda a: hasattr(a, "get_fontsize")) if t.get_text()]
    assert texts and min(t.get_fontsize() for t in texts) >= 12


def test_importing_the_figures_imports_no_matplotlib():
    code = "import sys, bnlib.figures; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_batch_table_holds_x_its_statistics_and_xhat():
    x = np.random.default_rng(0).normal(2, 3, (5, 3))
    x[0, 0] = -0.001
    xhat, _ = batch_norm(x, np.ones(3), np.zeros(3), 0.1)
    texts = [t.get_text() for t in figures.batch_table(x, eps=0.1).axes[0].texts]
    cells = [t for t in texts if t.lstrip("-").replace(".", "").isdigit()]
    want = [*x.ravel(), *x.mean(axis=0), *x.var(axis=0), *xhat.ravel()]
    np.testing.assert_allclose([float(c) for c in cells], want, atol=0.00501)
    assert "-0.00" not in cells
    assert {"$x$: (5, 3)", "$\\mu_\\mathcal{B}$: (3,)", "$\\hat{x}$: (5, 3)"} <= set(texts)


def test_the_batch_table_frames_the_chosen_column_everywhere():
    ax = figures.batch_table(np.ones((4, 3)), images=np.zeros((4, 16)), column=2).axes[0]
    frames = [p for p in ax.patches if isinstance(p, plt.Rectangle)]
    right = 3 + 3  # where the table of xhat starts
    assert [f.get_x() for f in frames] == [2, 2, 2, right + 2]
    assert [f.get_height() for f in frames] == [4, 1, 1, 4]
    assert len(ax.images) == 4


# --- the graph of the backward pass ---------------------------------------------------------------

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
def graph():
    """The axes, text -> place of nodes and boxes, (start, end) -> arrow."""
    ax = figures.backward_graph().axes[0]
    drawn = [t for t in ax.texts if isinstance(t, Annotation)]
    places = {t.get_text(): t.get_position() for t in ax.texts if t not in drawn}
    names = {place: text for text, place in places.items()}
    arrows = {(names[t.xyann], names[t.xy]): t.arrow_patch for t in drawn}
    assert len(arrows) == len(drawn)
    return ax, places, arrows


def test_the_arrows_are_the_dependencies_dotted_the_lemma_black_the_ways_of_one_example(graph):
    arrows = graph[2]
    ways = {(start, end) for end, starts in DEPENDS.items() for start in starts}
    assert set(arrows) == ways
    assert [ends for ends, a in arrows.items() if a.get_linestyle() == ":"] == [(MEAN, VAR)]
    black = {ends for ends, a in arrows.items() if sum(a.get_edgecolor()[:3]) == 0}
    assert black == {(start, end) for start, end in ways if start in ("$x_1$", MEAN, VAR)}


def test_the_backward_steps_run_from_right_to_left_and_the_readers_has_a_question_mark(graph):
    places = graph[1]
    boxes = {text: place for text, place in places.items() if text[1:2] == ":"}
    assert [text[0] for text in sorted(boxes)] == list("12345")
    assert np.all(np.diff([boxes[text][0] for text in sorted(boxes)]) < 0)
    asked = [text for text in places if text.endswith("= ?")]
    nearest = min(boxes, key=lambda text: np.hypot(*np.subtract(boxes[text], places[VAR])))
    assert asked == [nearest]


def test_no_box_lies_over_an_arrow_or_a_node(graph):
    ax, places, arrows = graph
    ax.figure.canvas.draw()
    boxes = {t.get_text(): t.get_bbox_patch().get_window_extent() for t in ax.texts if t.get_text()}
    for start, end in arrows:
        points = ax.transData.transform(np.linspace(places[start], places[end], 200))
        for text, box in boxes.items():
            if text not in (start, end):
                assert not any(box.contains(*point) for point in points), (start, end, text)


# --------------------------------------------------------------------------------------------------


def test_the_feature_map_table_shows_every_map_and_each_channels_mean():
    axes = np.reshape(FIGURES["feature_map_table"](None).axes, (4, 4))
    for n, c in np.ndindex(4, 3):
        np.testing.assert_array_equal(axes[n, c + 1].get_images()[0].get_array(), x[n, c])
    assert axes[-1, 2].get_xlabel().startswith(f"{x[:, 1].mean():.2f}\n")
    assert {ax.spines["left"].get_linewidth() == 4 for ax in axes[:, 2]} == {True}
    assert {ax.spines["left"].get_linewidth() == 4 for ax in axes[:, 1]} == {False}


def test_the_im2col_table_is_what_im2col_returns():
    image = np.arange(1.0, 21).reshape(4, 5)
    fig = FIGURES["im2col_table"](None)
    columns = im2col(image[None, :, :, None], (3, 3)).reshape(9, 6)
    texts = [float(text.get_text()) for text in fig.axes[1].texts]
    np.testing.assert_array_equal(np.reshape(texts, (9, 6)), columns)
    frame = fig.axes[0].patches[-1]
    assert (frame.get_x(), frame.get_y()) == (0.5, 0.5)  # window 4: second row, second column


def test_units_over_time_draws_what_the_film_draws(recordings):
    fig = figures.units_over_time(recordings, step=2)
    assert len(fig.axes) == 4
    r = recordings["without BN"]
    lines = np.array(fig.axes[1].collections[1].get_segments())  # layer 2, without BN
    np.testing.assert_allclose(lines[:, :, 1], r.channel_mean[:, 1].T)
    numbers = [a.text for a in fig.artists if isinstance(a, Number)]
    assert f"{r.unit_std[2, 1]:.2f}" in numbers


def test_show_gives_a_figure_its_alt_text_in_a_notebook_and_in_exported_html(recordings):
    shown = figures.show(figures.units_over_time(recordings), 'Both learn & "BN" is ahead.')
    assert plt.get_fignums() == []
    output = nbformat.v4.new_output("display_data", shown._repr_mimebundle_())
    assert output.data["text/plain"] == repr(shown) == 'Both learn & "BN" is ahead.'
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("", outputs=[output])])
    page = HTMLExporter(template_name="basic").from_notebook_node(notebook)[0]
    alt = re.search(r"<img alt='([^']+)'", page)[1]
    assert html.unescape(alt) == shown.sentence
    picture = base64.b64decode(re.search(r'base64,([^"]+)"', output.data["text/html"])[1])
    assert Image.open(io.BytesIO(picture)).size == shown.size
    with pytest.raises(ValueError, match="expected a sentence"):
        figures.show(plt.figure(), " ")


def pixels(png):
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)


@pytest.mark.parametrize("code", sorted({*figures.COLORS.values(), *figures.INK.values()}))
def test_the_suite_palette_keeps_the_suites_colours_exactly(code):
    color = [int(code[i : i + 2], 16) for i in (1, 3, 5)]
    rgba = np.full((4, 4, 4), 255, np.uint8)
    rgba[:2, :, :3] = color
    result = pixels(encode_png(rgba))
    np.testing.assert_allclose(result[0, 0], color, atol=5 if len(set(color)) == 1 else 0)
    np.testing.assert_array_equal(result[3, 3], [255, 255, 255])


def test_the_adaptive_palette_keeps_a_colour_map():
    ramp = np.stack(np.meshgrid(np.arange(0, 256, 4), np.arange(0, 256, 4)), axis=-1)
    rgba = np.full((*ramp.shape[:2], 4), (0, 0, 60, 255), np.uint8)
    rgba[..., :2] = ramp
    suite = np.abs(pixels(encode_png(rgba, "suite")) - rgba[..., :3]).mean()
    adaptive = np.abs(pixels(encode_png(rgba, "adaptive")) - rgba[..., :3]).mean()
    assert adaptive < 8 < suite
    with pytest.raises(ValueError, match="rainbow"):
        encode_png(rgba, "rainbow")


def test_seed_dots_draw_every_seed_and_the_mean():
    rows = [{"without, 0.1": 4.0, "with, 0.1": 8.0}, {"without, 0.1": 6.0, "with, 0.1": 9.0}]
    groups = {"rate 0.1": ("without, 0.1", "with, 0.1"), "cured": ("with, other",)}
    fig = figures.seed_dots({"here": rows, "none yet": []}, groups, "error", log=True)
    here, empty = fig.axes
    for arm, expected in (("without BN", [4.0, 6.0]), ("with BN", [8.0, 9.0])):
        color = figures.COLORS[arm]
        dots = [line for line in here.get_lines() if line.get_color() == color]
        np.testing.assert_array_equal(dots[-1].get_ydata(), expected)
        means = [c for c in here.collections if same_color(c.get_edgecolor()[0][:3], color)]
        assert [c.get_segments()[0][0, 1] for c in means] == [np.mean(expected)]
    assert [t.get_text() for t in here.get_xticklabels()] == ["rate 0.1", "cured"]
    low, high = here.get_ylim()
    assert low < 4 and high > 9
    assert not empty.collections
