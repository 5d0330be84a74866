"""LiveFigure: what is shown, when it is redrawn, and that no exception gets lost."""

import base64
import doctest
import html
import io
import json
import re
import time
from concurrent.futures import ThreadPoolExecutor

import ipywidgets as widgets
import numpy as np
import pytest
from matplotlib import pyplot as plt
from PIL import Image

import bnlib.widgets.film
import bnlib.widgets.live
from bnlib import blas_threads
from bnlib.figures import COLORS
from bnlib.widgets import LiveFigure, checkbox, choices, menu, slider


class Bar(LiveFigure):
    """A bar of a given height and colour on a fixed axis."""

    size = (300, 200)

    def __init__(self):
        controls = {
            "height": slider("height", 0.5, 0.0, 1.0, 0.1),
            "title": menu("title", ["low", "high"], "low"),
            "go": widgets.Button(description="go"),
        }
        super().__init__(controls)

    def build(self, fig):
        self.ax = fig.subplots()
        self.ax.set(ylim=(0, 1))
        self.bars = self.ax.bar([0], [0.5], color=COLORS["with BN"])
        self.line = self.ax.axhline(0.9, color="black")
        self.seldom.append(self.line)
        return [[self.bars], self.line]

    def draw(self, height, title):
        if height > 0.95:
            raise ValueError("a <b>height</b> of 1")
        self.bars[0].set_height(height)
        if self.ax.get_title() != title:
            self.ax.set_title(title)  # static: must give a full draw
        return f'A {title} "bar" of height {height:.1f}.'


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
    assert bar.sentence == 'A low "bar" of height 0.8.'
    for height in (0.9, 0.1, 0.6):  # a smaller bar must not leave the larger one behind
        bar.controls["height"].value = height
    blitted = bar.png
    bar.rebuild()
    np.testing.assert_array_equal(pixels(blitted), pixels(bar.png))
    assert plt.get_fignums() == []


def test_what_does_not_change_is_not_drawn_again(bar, monkeypatch):
    draws, lines = [], []
    draw, draw_line = bar._canvas.draw, bar.line.draw
    monkeypatch.setattr(bar._canvas, "draw", lambda: (draws.append(1), draw()))
    monkeypatch.setattr(bar.line, "draw", lambda r: (lines.append(1), draw_line(r)))
    bar.controls["height"].value = 0.3
    assert not draws and not lines  # of the line the class says that it seldom changes
    before = bar.png
    bar.line.set_ydata([0.1, 0.1])
    bar.redraw()
    assert not draws and len(lines) == 1 and bar.png != before
    before = pixels(bar.png)
    bar.controls["title"].value = "high"  # something static
    assert len(draws) == 1
    assert (pixels(bar.png)[:30] != before[:30]).any()  # the title is up there


def test_what_a_browser_and_a_page_without_kernel_get(bar):
    bar.controls["height"].value = 0.2
    alt = "A low &quot;bar&quot; of height 0.2."
    tag = re.search(f'<img [^>]*alt="{alt}" width="300" height="200"[^>]*>', bar.picture.value)[0]
    assert base64.b64decode(re.search(r'src="data:image/png;base64,([^"]+)"', tag)[1]) == bar.png
    shows = re.search(r'data-shows="([^"]*)"', tag)[1]  # the settings that it belongs to
    assert json.loads(html.unescape(shows)) == {"height": 0.2, "title": "low"}
    assert Image.open(io.BytesIO(bar.png)).size == bar.size
    bundle = bar._repr_mimebundle_()
    assert bundle["text/plain"] == 'A low "bar" of height 0.2.'
    assert base64.b64decode(bundle["image/png"]) == bar.png
    assert bundle["text/html"].startswith(f' \n<img alt="{alt}"')  # exported HTML
    assert bundle["application/vnd.jupyter.widget-view+json"]["model_id"] == bar.model_id


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
    assert bar.sentence == 'A low "bar" of height 0.4.'

    def fail(_):
        raise RuntimeError("on click")

    bar.controls["go"].on_click(bar.guard(fail))
    bar.controls["go"].click()  # ipywidgets swallows and logs it; the widget must not
    assert "RuntimeError: on click" in bar._error_box.value


def test_draw_must_return_a_sentence_and_build_artists(monkeypatch):
    monkeypatch.setattr(Bar, "draw", lambda self, **_: None)
    with pytest.raises(TypeError, match="sentence"):
        Bar()
    monkeypatch.setattr(Bar, "build", lambda self, fig: None)
    with pytest.raises(TypeError, match=r"Bar\.build expected to return the artists"):
        Bar()


def test_observers_take_turns_whatever_thread_they_are_called_in(bar):
    inside, together = [], []

    def observer():
        inside.append(1)
        time.sleep(0.05)  # long enough for the others to come in, if they did not wait
        together.append(len(inside))
        inside.pop()

    guarded = bar.guard(observer)
    with ThreadPoolExecutor(3) as pool:
        for call in [pool.submit(guarded) for _ in range(3)]:
            call.result()
    assert together == [1, 1, 1]


def test_text_is_at_least_12_points_whatever_the_users_settings(bar):
    with plt.rc_context({"font.size": 6, "xtick.labelsize": 5}):
        bar.rebuild()
    sizes = [label.get_size() for label in [*bar.ax.get_xticklabels(), bar.ax.title]]
    assert min(sizes) >= 12


def test_controls_say_their_name_and_value_in_visible_text():
    kinds = [slider("gain", 1, 0, 5), slider("rate", 0.5, 0.0, 1.0), choices("batch", [2, 4], 4)]
    assert all(k.readout for k in kinds)
    kinds += [menu("norm", ["a", "b"], "a"), checkbox("fold")]
    assert [k.description for k in kinds] == ["gain", "rate", "batch", "norm", "fold"]
    assert isinstance(kinds[0], widgets.IntSlider) and isinstance(kinds[1], widgets.FloatSlider)
    assert slider("x", 1, 0, 5, 0.5).step == 0.5


def test_a_menu_takes_another_number_but_no_other_word():
    assert menu("rate", [0.1, 1.0], 0.3).options == (("0.1", 0.1), ("0.3", 0.3), ("1", 1.0))
    for options, value in ((["a", "b"], "c"), ({"one": 1}, 2), ([0.1, 1.0], "0.1")):
        with pytest.raises(ValueError, match=f"x expected one of .*, got {value!r}"):
            menu("x", options, value)


@pytest.mark.parametrize("module", [bnlib.widgets.live, bnlib.widgets.film])
def test_the_examples_in_the_docstrings_run(module):
    result = doctest.testmod(module)
    assert result.attempted > 0 and result.failed == 0


def test_work_is_done_on_one_blas_thread(monkeypatch):
    seen = []
    monkeypatch.setattr(Bar, "draw", lambda self, **_: seen.append(blas_threads()) or "A bar.")
    Bar().controls["height"].value = 0.2
    assert set(seen) <= {1, None}
