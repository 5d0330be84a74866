"""Film: frames drawn beforehand, linked in the browser, in step in Python."""

import base64
import json
import re
import tomllib

import pytest

from bnlib.widgets import Film, menu


class Cursor(Film):
    """A cursor that moves from left to right."""

    size = (300, 150)

    def __init__(self, count=5, **kwargs):
        self.drawn = []
        colors = {"color": menu("color", ["black", "gray"], "black")}
        super().__init__([f"step {i}" for i in range(count)], colors, **kwargs)

    def build(self, fig):
        ax = fig.subplots()
        ax.set(xlim=(-1, 10))
        self.line = ax.axvline(0)
        return [self.line]

    def draw(self, frame, color):
        self.drawn.append(frame)
        self.line.set_xdata([frame] * 2)
        self.line.set_color(color)
        return f"Frame {frame}, {color}."


def png_of(page):
    return base64.b64decode(re.search(r"base64,([^\"]+)", page.value)[1])


def test_every_frame_is_a_page_with_its_own_picture_and_alt_text():
    film = Cursor()
    assert film.drawn[0] == 4 and sorted(film.drawn) == [0, 1, 2, 3, 4]  # the visible one first
    pages = film.stack.children
    assert len({png_of(page) for page in pages}) == len(film.frame_bytes) == 5
    assert all(f'alt="Frame {i}, black."' in page.value for i, page in enumerate(pages))
    assert len({page.layout.model_id for page in pages}) == 1  # of one size: nothing jumps
    assert film.frame == film.slider.index == film.stack.selected_index == film.play.value == 4
    film.slider.index = 1  # as the browser reports it
    assert film.sentence == "Frame 1, black."
    bundle = film._repr_mimebundle_()
    assert bundle["text/plain"] == "Frame 1, black."
    assert base64.b64decode(bundle["image/png"]) == png_of(pages[1])
    film.drawn.clear()
    film.controls["color"].value = "gray"
    assert film.drawn[0] == 1 and sorted(film.drawn) == [0, 1, 2, 3, 4]
    assert all(f'alt="Frame {i}, gray."' in page.value for i, page in enumerate(pages))
    assert film.frame == 1 and film.sentence == "Frame 1, gray."


def test_a_film_under_way_shows_what_is_yet_to_come():
    film = Cursor(ready=1)
    assert film.drawn == [0] and film.frame == 0
    assert "step 3: not computed yet" in film.stack.children[3].value
    film.ready = 2
    film.draw_frame(1)
    film.frame = 1
    assert film.stack.selected_index == 1
    assert 'alt="Frame 1' in film.stack.children[1].value
    film.ready = 1  # it starts again
    film.redraw()
    assert film.frame == film.stack.selected_index == 0 and film.sentence == "Frame 0, black."
    assert ["not computed yet" in p.value for p in film.stack.children] == [False] + [True] * 4


def test_play_slider_and_page_are_linked_in_the_browser():
    film = Cursor()
    pairs = {
        (link.source[0], link.source[1], link.target[0], link.target[1]) for link in film.links
    }
    assert pairs == {
        (film.play, "value", film.slider, "index"),
        (film.slider, "index", film.stack, "selected_index"),
    }
    assert {link._model_name for link in film.links} == {"LinkModel"}
    # Nothing in Python draws when the hand moves: the browser does it alone.
    film.drawn.clear()
    film.slider.index = 1
    assert film.drawn == []


def test_bad_labels_are_refused():
    with pytest.raises(ValueError, match="at least 2 frames, got 1"):
        Cursor(count=1)
    with pytest.raises(ValueError, match="differ from each other, got 'a' twice"):
        Film(["a", "b", "a"])


def test_an_installed_bnlib_tells_jupyterlab_to_save_the_films(root):
    """Otherwise a notebook that is opened again shows no widgets."""
    project = tomllib.loads((root / "pyproject.toml").read_text())
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert wheel["shared-data"] == {"share/jupyter": "share/jupyter"}
    settings = root / "share/jupyter/lab/settings/overrides.d/bnlib.json"
    plugin = "@jupyter-widgets/jupyterlab-manager:plugin"
    assert json.loads(settings.read_text()) == {plugin: {"saveState": True}}
