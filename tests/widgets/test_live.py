"""LiveFigure: what is shown, when it is redrawn, and that no exception gets lost."""

import base64
import doctest
import html
import io
import json
import re

import ipywidgets as widgets
import numpy as np
import pytest
from PIL import Image

import bnlib.widgets.film
import bnlib.widgets.live
from bnlib import blas_threads
from bnlib.figures import COLORS
from bnlib.widgets import LiveFigure, checkbox, choices, menu, slider


class Bar(LiveFigure):
    """A bar of a given height and colour on a fixed axis."""

    size = (300, 200)

    def __init__(self, **kwargs):
        self.builds = self.full_draws = 0
        controls = {
            "height": slider("height", 0.5, 0.0, 1.0, 0.1),
            "title": menu("title", ["low", "high"], "low"),
            "go": widgets.Button(description="go"),
        }
        super().__init__(controls, **kwargs)

    def build(self, fig):
        self.builds += 1
        self.ax = fig.subplots()
        self.ax.set(ylim=(0, 1))
        self.bars = self.ax.bar([0], [0.5], color=COLORS["with BN"])
        return [[self.bars], self.ax.axhline(0.9, color="black")]

    def draw(self, height, title):
        if height > 0.95:
            raise ValueError("a <b>height</b> of 1")
        self.bars[0].set_height(height)
        if self.ax.get_title() != title:
            self.ax.set_title(title)  # static: must give a full draw
        return f"A {title} bar of height {height:.1f}."


def pixels(png):
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)


def blue(png):
    """How many pixels have exactly the colour of the bar."""
    return (pixels(png) == [0x00, 0x72, 0xB2]).all(axis=2).sum()


@pytest.fixture
def bar():
    return Bar()


def test_the_picture_follows_the_control(bar):
    small = blue(bar.png)
    bar.controls["height"].value = 0.8
    assert blue(bar.png) == pytest.approx(small * 0.8 / 0.5, rel=0.03)
    assert bar.sentence == "A low bar of height 0.8."
    assert bar.builds == 1


def test_blitting_equals_drawing_the_whole_figure(bar):
    for height in (0.9, 0.1, 0.6):  # a smaller bar must not leave the larger one behind
        bar.controls["height"].value = height
    blitted = bar.png
    bar.rebuild()
    assert bar.builds == 2
    np.testing.assert_array_equal(pixels(blitted), pixels(bar.png))


def test_only_a_static_change_draws_the_whole_figure(bar, monkeypatch):
    draws = []
    draw = bar._canvas.draw
    monkeypatch.setattr(bar._canvas, "draw", lambda: (draws.append(1), draw()))
    bar.controls["height"].value = 0.3
    assert not draws
    before = pixels(bar.png)
    bar.controls["title"].value = "high"
    assert len(draws) == 1
    assert (pixels(bar.png)[:30] != before[:30]).any()  # the title is up there
    bar.controls["height"].value = 0.4
    assert len(draws) == 1


def test_the_html_holds_the_png_and_the_sentence_as_alt_text(bar):
    bar.controls["height"].value = 0.2
    value = bar.picture.value
    assert re.search(r'<img [^>]*alt="A low bar of height 0\.2\."', value)
    data = re.search(r'src="data:image/png;base64,([^"]+)"', value)[1]
    assert base64.b64decode(data) == bar.png
    assert Image.open(io.BytesIO(bar.png)).size == bar.size
    assert 'width="300" height="200"' in value
    assert bar.picture.layout.width == "300px"


def test_the_sentence_is_escaped():
    class Sly(Bar):
        def draw(self, height, title):
            return '1 < 2 & "quoted"'

    assert 'alt="1 &lt; 2 &amp; &quot;quoted&quot;"' in Sly().picture.value


def test_mimebundle_has_view_sentence_and_picture(bar):
    bar.controls["height"].value = 0.7
    bundle = bar._repr_mimebundle_()
    assert bundle["text/plain"] == "A low bar of height 0.7."
    assert base64.b64decode(bundle["image/png"]) == bar.png
    assert bundle["text/html"].startswith(' \n<img alt="A low bar of height 0.7."')  # exported HTML
    view = bundle["application/vnd.jupyter.widget-view+json"]
    assert view["model_id"] == bar.model_id
    assert "A low bar" in repr(bar)


def test_an_exception_is_raised_and_shown_and_goes_away(bar):
    with pytest.raises(ValueError, match="height"):
        bar.controls["height"].value = 1.0
    assert isinstance(bar.error, ValueError)
    assert bar._error_box.layout.display == ""
    assert "a &lt;b&gt;height&lt;/b&gt; of 1" in bar._error_box.value
    assert "in draw, line" in bar._error_box.value
    bar.controls["height"].value = 0.4
    assert bar.error is None
    assert bar._error_box.layout.display == "none"
    assert bar.sentence == "A low bar of height 0.4."


def test_a_guarded_callback_behaves_alike(bar):
    def fail(_):
        raise RuntimeError("on click")

    with pytest.raises(RuntimeError, match="on click"):
        bar.guard(fail)(None)
    bar.show_error(None)
    bar.controls["go"].on_click(bar.guard(fail))
    bar.controls["go"].click()  # ipywidgets swallows and logs it; the widget must not
    assert isinstance(bar.error, RuntimeError)
    assert "RuntimeError: on click" in bar._error_box.value


def test_build_must_return_artists_and_draw_a_sentence():
    class NoArtists(Bar):
        def build(self, fig):
            super().build(fig)

    with pytest.raises(TypeError, match="return the dynamic artists"):
        NoArtists()

    class NoSentence(Bar):
        def draw(self, height, title):
            super().draw(height, title)

    with pytest.raises(TypeError, match="sentence"):
        NoSentence()


def test_a_picture_larger_than_a_projector_is_refused():
    with pytest.raises(ValueError, match=r"at most \(900, 480\)"):
        Bar(size=(1000, 300))


def test_pyplot_holds_no_figure(bar):
    from matplotlib import pyplot as plt

    assert plt.get_fignums() == []


def test_text_is_at_least_12_points_whatever_the_users_settings(bar):
    import matplotlib

    with matplotlib.rc_context({"font.size": 6, "xtick.labelsize": 5}):
        bar.rebuild()
    sizes = [label.get_size() for label in [*bar.ax.get_xticklabels(), bar.ax.title]]
    assert min(sizes) >= 12


def test_controls_say_their_name_and_value_in_visible_text():
    kinds = [
        slider("gain", 1, 0, 5),
        slider("rate", 0.5, 0.0, 1.0),
        choices("batch", [2, 4], 4),
        menu("norm", ["a", "b"], "a"),
        checkbox("fold"),
    ]
    assert [k.description for k in kinds] == ["gain", "rate", "batch", "norm", "fold"]
    assert all(k.readout for k in kinds[:3])
    assert isinstance(kinds[0], widgets.IntSlider)
    assert isinstance(kinds[1], widgets.FloatSlider)
    assert slider("x", 1, 0, 5, 0.5).step == 0.5


@pytest.mark.parametrize("module", [bnlib.widgets.live, bnlib.widgets.film])
def test_the_examples_in_the_docstrings_run(module):
    result = doctest.testmod(module)
    assert result.attempted > 0 and result.failed == 0


def test_a_picture_says_which_settings_it_belongs_to(bar):
    bar.controls["height"].value = 0.3
    shows = re.search(r'data-shows="([^"]*)"', bar.picture.value)[1]
    assert json.loads(html.unescape(shows)) == {"height": 0.3, "title": "low"}


def test_artists_that_seldom_change_are_drawn_only_then():
    class Layers(Bar):
        def build(self, fig):
            dynamic = super().build(fig)
            self.drawn = 0
            self.seldom.append(self.bars)
            draw = self.bars[0].draw
            self.bars[0].draw = lambda renderer: (
                setattr(self, "drawn", self.drawn + 1),
                draw(renderer),
            )
            self.line = dynamic[1]
            return dynamic

        def draw(self, height, title):
            if self.bars[0].get_height() != height:
                self.bars[0].set_height(height)
            self.line.set_ydata([0.05] * 2)
            return "A bar."

    layers = Layers()
    drawn = layers.drawn
    layers.redraw()
    assert layers.drawn == drawn
    layers.controls["height"].value = 0.9
    assert layers.drawn == drawn + 1
    before = pixels(layers.png)
    layers.rebuild()
    np.testing.assert_array_equal(before, pixels(layers.png))


def test_work_is_done_on_one_blas_thread(monkeypatch):
    seen = []
    monkeypatch.setattr(Bar, "draw", lambda self, **_: seen.append(blas_threads()) or "A bar.")
    Bar().controls["height"].value = 0.2
    assert set(seen) <= {1, None}
