"""Film: frames drawn beforehand, scrubbed without the kernel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import ipywidgets as widgets

from bnlib.figures.png import encode_gif
from bnlib.widgets.live import LiveFigure
from bnlib.widgets.picture import CAPTION_HEIGHT, picture_html

MAX_FRAMES = 61  # of the films of training: a changed setting draws them all, in a second or less


class Film(LiveFigure):
    """A LiveFigure over training time: every frame is a picture that the browser already has.

    The frames are the pages of a `Stack`; its page, the slider and the Play button are linked in
    the browser (`jslink`). So a hand on the slider waits for nobody: it works while the kernel
    computes, at any distance from the server, and after the kernel has been shut down. (The browser
    still tells the kernel where the slider stands, in a few hundred bytes; no answer is needed.)

    A new film is a subclass with `build(fig)` as in LiveFigure and `draw(frame, **values)`:

    >>> from bnlib.widgets import Film
    >>> class Decay(Film):
    ...     def __init__(self, losses):
    ...         self.losses = losses
    ...         super().__init__([f"step {10 * i}" for i in range(len(losses))])
    ...     def build(self, fig):
    ...         ax = fig.subplots()
    ...         ax.plot(self.losses)
    ...         return [ax.axvline(0, color="black")]       # the cursor, as self._dynamic[0]
    ...     def draw(self, frame):
    ...         self._dynamic[0].set_xdata([frame] * 2)
    ...         return f"Step {10 * frame}: loss {self.losses[frame]:.2f}."
    >>> film = Decay([1.0, 0.5, 0.25])
    >>> film.sentence, film.frame
    ('Step 20: loss 0.25.', 2)
    >>> film.frame = 1
    >>> film.sentence
    'Step 10: loss 0.50.'

    labels: one a frame, shown beside the slider. ready: how many frames can be drawn now (default:
    all); the last of them is shown first. A film of a run that is still under way has fewer:
    count up ``ready`` and `draw_frame` the next one; the others show that they are yet to come.

    A changed control draws every frame again, the visible one first.
    """

    def __init__(
        self,
        labels: Sequence[str],
        controls: Mapping[str, widgets.Widget] | None = None,
        *,
        ready: int | None = None,
    ) -> None:
        labels = list(labels)
        if len(labels) < 2:
            raise ValueError(
                f"{type(self).__name__} expected at least 2 frames, got {len(labels)}: "
                "use a LiveFigure for a single picture"
            )
        if len(set(labels)) < len(labels):
            raise ValueError(
                "labels expected to differ from each other, got "
                f"{next(x for x in labels if labels.count(x) > 1)!r} twice"
            )
        self.labels = labels
        self.ready = len(labels) if ready is None else ready
        self._frames: list[tuple[bytes, str] | None] = [None] * len(labels)
        start = self.ready - 1
        layout, style = self._picture_layout(), widgets.HTML().style
        self._pages = [widgets.HTML(layout=layout, style=style) for _ in labels]
        self.stack = widgets.Stack(self._pages, selected_index=start, layout=layout)
        self.slider = widgets.SelectionSlider(
            options=labels,
            index=start,
            description="time",
            layout=widgets.Layout(width="560px", max_width="70%", margin="2px 0 2px 14px"),
            style={"description_width": "initial"},
        )
        self.play = widgets.Play(
            min=0, max=len(labels) - 1, value=start, interval=150, show_repeat=False
        )
        self.player = widgets.HBox(
            [self.play, self.slider], layout=widgets.Layout(align_items="center", max_width="100%")
        )
        # In the browser: Play <-> slider <-> page. Python only learns of it.
        self.links = (
            widgets.jslink((self.play, "value"), (self.slider, "index")),
            widgets.jslink((self.slider, "index"), (self.stack, "selected_index")),
        )
        self.slider.observe(self._on_frame, "index")
        super().__init__(controls)

    @property
    def frame(self) -> int:
        """The index of the frame shown; assign to it to go there."""
        return self.slider.index

    @frame.setter
    def frame(self, index: int) -> None:
        index = range(len(self.labels))[index]
        # All three: without a browser (a test, an export) nothing else would move the other two.
        self.slider.index = self.stack.selected_index = self.play.value = index

    def redraw(self) -> None:
        """Draw every frame that is ready again, the visible one first."""
        self._frames = [None] * len(self.labels)
        first = min(self.frame, self.ready - 1)
        self.draw_frame(first)
        self.frame = first
        for index in range(len(self.labels)):
            if index >= self.ready:
                self._pages[index].value = self._not_yet(index)
            elif index != first:
                self.draw_frame(index)

    def draw_frame(self, index: int) -> None:
        """Draw frame `index` into its page, without going there."""
        png, sentence = self.render(frame=index, **self.values())
        self._frames[index] = png, sentence
        self._pages[index].value = picture_html(png, sentence, self.size, self._shown())
        if index == self.frame:
            self._on_frame()

    def save(self, path: str | Path) -> Path:
        """Write "….gif", all frames that are ready as a moving picture, or "….png", this frame."""
        pngs = [frame[0] for frame in self._frames if frame]
        return self._save(path, {".gif": lambda: encode_gif(pngs), ".png": lambda: self.png})

    @property
    def frame_bytes(self) -> list[int]:
        """The size of every frame's PNG that is ready."""
        return [len(f[0]) for f in self._frames if f]

    def _on_frame(self, change=None) -> None:
        """The current picture and sentence are those of the frame shown."""
        shown = self._frames[self.frame]
        if shown:
            self.png, self.sentence = shown

    def _not_yet(self, index: int) -> str:
        height = self.size[1] + CAPTION_HEIGHT
        return (
            f'<div role="img" aria-label="{self.labels[index]}: not computed yet" style="'
            f"height:{height}px; display:flex; align-items:center; justify-content:center; "
            'font-size:18px; color:var(--jp-content-font-color1, black)">'
            f"{self.labels[index]}: not computed yet</div>"
        )

    def _children(self) -> list[widgets.Widget]:
        return [self.control_box, self.stack, self.player, self._error_box]
