"""LiveFigure: a matplotlib figure inside a widget that redraws in milliseconds.

Why not a new pyplot figure for every slider position? Because building one takes 300 ms or more,
and the slider then stutters. A LiveFigure is built once. Everything that never changes (axes,
ticks, labels) is drawn once and kept as a bitmap, the *background*. For each new value only the
*dynamic* artists are drawn over a copy of it ("blitting"), and the result goes to the browser as a
small PNG with a palette. pyplot is not involved: no figure to close, no backend to choose.
"""

from __future__ import annotations

import html
import threading
import traceback
from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from pathlib import Path

import ipywidgets as widgets
import numpy as np
from matplotlib.artist import Artist
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from bnlib.figures.png import encode_png
from bnlib.figures.style import Picture, style
from bnlib.saving import whole_file
from bnlib.threads import one_blas_thread
from bnlib.widgets.picture import CAPTION_HEIGHT, front, picture_html

DPI = 96  # CSS counts 96 px to the inch, so a 12 pt font is 12 pt on the screen
MAX_SIZE = (900, 480)  # px, controls included: a small laptop, a projector


class LiveFigure(widgets.VBox):
    """Controls above a figure, the figure redrawn whenever a control changes.

    A new widget is a subclass with two methods:

    - ``build(fig)`` creates the axes and artists, and returns the *dynamic* artists (all that
      ``draw`` will change) in one list; nested lists and containers are flattened.
    - ``draw(**values)`` gets the value of every control by name, moves the artists, and returns
      one sentence that says in numbers what the picture shows. It becomes the picture's alt text,
      the caption below it, and the cell's output where there is no browser.

    >>> from bnlib.widgets import LiveFigure, slider
    >>> class Scaled(LiveFigure):
    ...     size = (700, 320)                           # px; at most MAX_SIZE with controls
    ...     def __init__(self, x):
    ...         self.x = x                              # what build and draw need comes first
    ...         super().__init__({"scale": slider("scale", 1.0, 0.2, 3, 0.1)})
    ...     def build(self, fig):
    ...         ax = fig.subplots()
    ...         ax.set(xlim=(-1, 1), ylim=(0, 20))
    ...         self.points = ax.plot(self.x, self.x, "o")[0]
    ...         return [self.points]
    ...     def draw(self, scale):
    ...         self.points.set_ydata([scale * x for x in self.x])
    ...         return f"Scale {scale:.1f}: the largest is {scale * max(self.x):.1f}."
    >>> widget = Scaled([1.0, 2.0, 4.0])
    >>> widget.controls["scale"].value = 2.0            # as a hand on the slider does
    >>> widget.sentence
    'Scale 2.0: the largest is 8.0.'

    Traps:

    - Dynamic artists are drawn above all static ones, ordered by zorder among themselves. Those of
      them that `build` also puts into the list ``self.seldom`` lie below the others, and are kept
      as a bitmap too until one of them changes.
    - Changing a *static* thing in ``draw`` (axis limits, a title) is noticed and correct, but then
      the whole figure is drawn anew: some 100 ms instead of 10. Fix limits in ``build`` if you can.
    - A different number of axes or artists: call ``self.rebuild()`` (it calls ``build`` again).
    - Colours outside the suite's palette (heat maps): set ``palette = "adaptive"`` in the class.

    An exception in ``build`` or ``draw`` is shown below the picture and raised again. ``summary()``
    is what strict nbval compares; override it where ``sentence`` has figures that another processor
    would round differently.
    """

    size: tuple[int, int] = (840, 430)  # 840 px fit a cell in a window of 1024 px
    palette: str = "suite"  # or "adaptive"

    def __init__(self, controls: Mapping[str, widgets.Widget] | None = None) -> None:
        self.controls = dict(controls or {})
        self.png, self.sentence = b"", ""
        self.error: BaseException | None = None
        self.lock = threading.RLock()
        inches = (self.size[0] / DPI, self.size[1] / DPI)
        self.figure = Figure(inches, DPI, layout="constrained")  # costs only full draws
        self._canvas = FigureCanvasAgg(self.figure)
        self._background = self._middle = None
        self._dynamic: list[Artist] = []
        self.seldom: list = []
        self.picture = widgets.HTML(layout=self._picture_layout())
        row = {"flex_flow": "row wrap", "align_items": "center"}
        wide = widgets.Layout(width=f"{MAX_SIZE[0]}px", max_width="100%", **row)
        self.control_box = widgets.Box(list(self.controls.values()), layout=wide)
        self._error_box = widgets.HTML(layout=widgets.Layout(display="none"))
        layout = widgets.Layout(max_width=f"{MAX_SIZE[0]}px")
        super().__init__([*self._children(), front()], layout=layout)
        self.add_class("bnlib-widget")
        for control in self.controls.values():
            if control.has_trait("value"):
                control.observe(self.guard(self._on_control), "value")
        self.guard(self.rebuild)()

    # --- what a subclass writes -------------------------------------------------------------------

    def build(self, fig: Figure) -> Iterable[Artist]:
        """Create axes and artists in `fig`; return those that `draw` changes."""
        raise NotImplementedError

    def draw(self, **values) -> str:
        """Move the artists to `values` (one a control); return the sentence for the picture."""
        raise NotImplementedError

    def summary(self) -> str:
        """The cell's text/plain output, which nbval compares: robust figures only."""
        return self.sentence

    # --- what a subclass may call -----------------------------------------------------------------

    def values(self) -> dict:
        """The current value of every control, by name (buttons have none)."""
        return {name: c.value for name, c in self.controls.items() if c.has_trait("value")}

    def rebuild(self) -> None:
        """Empty the figure, build it again, and show it."""
        self.figure.clear()
        self._background, self.seldom = None, []
        with style():
            dynamic = self.build(self.figure)
        if dynamic is None:
            raise TypeError(
                f"{type(self).__name__}.build expected to return the artists that draw changes, "
                "got None: is its return statement missing?"
            )
        for artist in _flatten([dynamic, self.seldom]):
            artist.set_animated(True)  # kept out of the background
        self.seldom = sorted(_flatten(self.seldom), key=Artist.get_zorder)
        often = [a for a in _flatten(dynamic) if a not in self.seldom]
        self._dynamic = sorted(often, key=Artist.get_zorder)
        self.redraw()

    def redraw(self) -> None:
        """Draw with the controls' current values and show the result."""
        self.png, self.sentence = self.render(**self.values())
        self.picture.value = picture_html(self.png, self.sentence, self.size, self._shown())

    def save(self, path: str | Path) -> Path:
        """Write the current picture to a file "….png"; returns its path."""
        return self._save(path, {".png": lambda: self.png})

    def _save(self, path: str | Path, contents: Mapping[str, Callable[[], bytes]]) -> Path:
        path = Path(path)
        if path.suffix not in contents:
            expected = " or ".join(contents)
            raise ValueError(f"save expected a name that ends in {expected}, got {str(path)!r}")
        with whole_file(path) as file:
            file.write(contents[path.suffix]())
        return path

    def render(self, **values) -> tuple[bytes, str]:
        """Draw `values`, return the PNG and the sentence; shows nothing."""
        with style():
            sentence = self.draw(**values)
        if not isinstance(sentence, str) or not sentence:
            raise TypeError(
                f"{type(self).__name__}.draw expected to return a sentence for people "
                f"who cannot see the picture, got {sentence!r}"
            )
        # An animated artist does not mark its figure as stale, a static one does.
        fresh = self._background is None or self.figure.stale
        renderer = self._canvas.get_renderer()
        if fresh:
            with style():
                self._canvas.draw()
            self._background = self._canvas.copy_from_bbox(self.figure.bbox)
        if fresh or any(artist.stale for artist in self.seldom):
            self._canvas.restore_region(self._background)
            for artist in self.seldom:
                artist.draw(renderer)
            self._middle = self._canvas.copy_from_bbox(self.figure.bbox)
        else:
            self._canvas.restore_region(self._middle)
        for artist in self._dynamic:
            artist.draw(renderer)
        return encode_png(np.asarray(self._canvas.buffer_rgba()), self.palette), sentence

    def guard(self, function: Callable) -> Callable:
        """Wrap an observer: its exception is shown in the widget, then raised again.

        Without it Jupyter writes the exception of an observer to a log that nobody reads. One
        observer at a time: JupyterLab has the messages of widgets handled in another thread than
        the cells (a subshell), and both may move the same control.
        """

        @wraps(function)
        def guarded(*args, **kwargs):
            try:
                with self.lock, one_blas_thread():
                    result = function(*args, **kwargs)
            except Exception as error:
                self.show_error(error)
                raise
            self.show_error(None)
            return result

        return guarded

    def show_error(self, error: BaseException | None) -> None:
        """Show `error` below the picture, or take the message away (None)."""
        self.error = error
        if error is None:
            self._error_box.value, self._error_box.layout.display = "", "none"
            return
        last = traceback.extract_tb(error.__traceback__)[-1:] or [None]
        where = f"\nin {last[0].name}, line {last[0].lineno}: {last[0].line}" if last[0] else ""
        text = html.escape(f"{type(error).__name__}: {error}{where}")
        self._error_box.value = (
            '<pre role="alert" style="border:2px solid #b00020; color:#b00020; '
            f'background:white; padding:6px; white-space:pre-wrap">{text}</pre>'
        )
        self._error_box.layout.display = ""

    # --- machinery --------------------------------------------------------------------------------

    def _children(self) -> list[widgets.Widget]:
        return [self.control_box, self.picture, self._error_box]

    def _on_control(self, change) -> None:
        self.redraw()

    def _shown(self) -> dict:
        """What the controls show, a menu's text or a number, by their label, for `front.js`."""
        shown = (c for c in self.controls.values() if c.has_trait("value"))
        return {c.description.strip(): getattr(c, "label", c.value) for c in shown}

    def _picture_layout(self) -> widgets.Layout:
        width, height = self.size
        # No fixed height: an unfolded caption makes room for itself.
        height = f"{height + CAPTION_HEIGHT}px"
        return widgets.Layout(width=f"{width}px", min_height=height, max_width="100%", margin="0")

    def _repr_mimebundle_(self, **kwargs):
        # Where there is no kernel (GitHub, an exported page): the picture, with the summary as alt.
        return (
            super()._repr_mimebundle_(**kwargs)
            | Picture(self.png, self.size, self.summary())._repr_mimebundle_()
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.summary()}>"


def _flatten(items) -> list[Artist]:
    if isinstance(items, Artist):
        return [items]
    return [artist for item in items for artist in _flatten(item)]
