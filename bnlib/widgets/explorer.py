"""DistributionExplorer: train with and without BN, live, and watch the distributions move."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping

import ipywidgets as widgets
from IPython import get_ipython

from bnlib.data import Data, load_mnist
from bnlib.figures.panels import VIEWS
from bnlib.layers import ACTIVATIONS
from bnlib.network import NORMS, mlp
from bnlib.recording import Recorder
from bnlib.threads import one_blas_thread
from bnlib.training import Trainer
from bnlib.views import check_int
from bnlib.widgets.controls import menu
from bnlib.widgets.distributions import DistributionFilm
from bnlib.widgets.film import MAX_FRAMES

CHANNELS = 8  # units of each layer that are drawn one by one
NAMES = {"without BN": None, "with BN": "batch"}
RATES = [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0]
SCALES = [0.1, 0.3, 0.6, 1.0, 1.4, 2.0, 3.0, 5.0]
BATCHES = [2, 4, 8, 16, 32, 64, 128, 256]
DEPTHS = [1, 2, 3, 4, 5]
PLACES = {"before activation": "before", "after activation": "after"}


class DistributionExplorer(DistributionFilm):
    """Networks, identical but for their norm, trained on the same batches; the film of all.

    The constructor trains at once, so the cell shows a finished film. A changed setting starts a
    new run from the same initial weights; so does "Train" after the last step. While it runs the
    film grows, and can be scrubbed. "Pause" stops, "Step" makes the steps of one frame, "Reset"
    goes back to the untrained networks.

    Parameters
    ----------
    data : a `bnlib.data.Data`; default: 20,000 MNIST images pooled to 14x14, for speed
    steps, frames : length of a run and of its film; a frame every steps / (frames - 1) steps
    learning_rate, init_scale, activation, depth, batch_size, placement : where the controls
        start. Weights start as N(0, init_scale^2 / fan_in); placement of BN is "before" or
        "after" the activation
    controls : names of the controls to show, in order; default: all. The rest stay as they are
    width : units in each hidden layer
    seed : of the initial weights and the batches, the same for all networks
    train : False leaves the networks untrained, for a cell that lets the reader press "Train"
    norms : the networks, at most three, name -> norm of `bnlib.mlp`: for example
        {"with BN": "batch", "LN": "layer", "GN": "group"}, the names that have colours of their
        own. "before BN" then is in front of the norm
    view : as of `DistributionFilm`

    Raises ValueError for settings that `bnlib.mlp` or `bnlib.Trainer` refuses, frames that do not
    divide the steps, names that are no controls, and other norms.

    Trap: a run is short and is one seed. It shows *what happens*; how much BN helps, with tuned
    settings and several seeds, is measured in the notebooks.

    `step(frames)` trains at once, without the event loop; `recordings` holds what was recorded.
    For a run that is finished: `DistributionExplorer.from_recordings`.
    """

    def __init__(
        self,
        data: Data | None = None,
        steps: int = 300,
        frames: int = 31,
        *,
        learning_rate: float = 0.1,
        init_scale: float = 1.4,
        activation: str = "relu",
        depth: int = 3,
        batch_size: int = 64,
        placement: str = "before",
        controls: list[str] | None = None,
        width: int = 64,
        seed: int = 0,
        view: str = VIEWS[0],
        train: bool = True,
        norms: Mapping[str, str | None] = NAMES,
    ) -> None:
        if steps < 1 or not 2 <= frames <= MAX_FRAMES or steps % (frames - 1):
            raise ValueError(
                f"expected 2 to {MAX_FRAMES} frames and steps that divide evenly among them, as "
                f"300 steps and 31 frames (one every 10 steps), got {steps} steps, {frames} frames"
            )
        self.data = load_mnist(pool=True, n_train=20_000) if data is None else data
        self.total_steps, self.every = steps, steps // (frames - 1)
        self.width, self.seed, self.norms = width, seed, dict(norms)
        if not 1 <= len(self.norms) <= 3 or not set(self.norms.values()) <= set(NORMS):
            raise ValueError(
                f"norms expected 1 to 3 of {tuple(NORMS)} under names, such as "
                f'{{"with BN": "batch", "LN": "layer"}}, got {norms!r:.80}'
            )
        check_int("DistributionExplorer expected depth", depth)
        batches = [n for n in BATCHES if n <= len(self.data.x_train)]
        self.settings = {
            "learning_rate": menu("learning rate", RATES, learning_rate, 200),
            "init_scale": menu("initial scale", SCALES, init_scale, 190),
            "batch_size": menu("batch size", batches, batch_size, 180),
            "depth": menu("hidden layers", DEPTHS, depth, 180),
            "activation": menu("activation", list(ACTIVATIONS), activation, 190),
            "placement": menu("BN", PLACES, placement, 200),
        }
        shown = list(self.settings) if controls is None else list(controls)
        if unknown := set(shown) - set(self.settings):
            raise ValueError(f"controls expected some of {list(self.settings)}, got {unknown}")
        self.buttons = {
            "Train": self._button("Train", 66, self.train, "Train the networks, live"),
            "Pause": self._button("Pause", 70, self.pause, "Stop training; Train goes on"),
            "Step": self._button("Step", 60, self.step, f"Train for {self.every} steps"),
            "Reset": self._button("Reset", 68, self.reset, "Back to the untrained networks"),
        }
        self.status = widgets.HTML(layout=widgets.Layout(margin="0 0 0 12px"))
        self.task: asyncio.Task | None = None  # the live run: it ends when another is here, or none
        self._new_networks()
        if train:
            self._advance(frames - 1)
        super().__init__(
            self.recordings,
            steps=range(0, steps + 1, self.every),
            controls=self.settings,
            view=view,
            ready=frames if train else 1,
        )
        self.control_box.children = [self.controls[n] for n in [*shown, "view"]] + [self.status]
        self._show_state()
        self._stop_when_replaced()

    @staticmethod
    def from_recordings(recordings: Mapping, frames: int | None = None) -> DistributionFilm:
        """The film of finished runs, e.g. {"without BN": recording, "with BN": recording}."""
        return DistributionFilm(recordings, frames)

    @property
    def running(self) -> bool:
        """Whether a live run is under way."""
        return self.task is not None and not self.finished

    @property
    def finished(self) -> bool:
        return self.step_count == self.total_steps

    def train(self) -> None:
        """Train to the end, live; from the start if the run is finished.

        Without a running event loop (plain Python) it trains at once and returns when done.
        """
        if self.running:
            return
        if self.finished:
            self.reset()
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self.step(len(self.labels))
            return
        self.task = loop.create_task(self._train_live())
        self._show_state()

    def close(self) -> None:
        """Take the widget away; its run ends."""
        self.task = None
        super().close()

    def pause(self) -> None:
        """Stop the live run after the frame under way; `train` goes on from there."""
        if self.running:
            self.task = None
        self._show_state()

    def step(self, frames: int = 1) -> None:
        """Train for so many frames now, or to the end, and show them."""
        with self.lock:  # a live run may be in another thread than the cell that calls this
            self.task = None
            before = self.ready
            self._train(frames)
            for index in range(before if self.finished else 0):  # curves with what came after
                self.draw_frame(index)

    def reset(self) -> None:
        """Back to the untrained networks, with the present settings."""
        with self.lock:
            self.task = None
            rows = self.rows()
            self._new_networks()
            self.ready = 1
            if self.rows() == rows:
                self.redraw()
            else:
                self.rebuild()
            self._show_state()

    async def _train_live(self) -> None:
        """One picture at a time; between two, the kernel handles messages. Ends when replaced."""
        me, pictures = asyncio.current_task(), self._pictures()
        try:
            while True:
                # JupyterLab handles a widget's messages in another thread than cells.
                with self.lock, one_blas_thread():
                    if self.task is not me or next(pictures, me) is me:
                        return
                await asyncio.sleep(0.002)
        except Exception as error:
            if self.task is me:
                self.show_error(error)
            raise
        finally:
            if self.task is me:  # at the end, after an error, or when the kernel was interrupted
                self.task = None
                self._show_state()

    def _pictures(self) -> Iterator[None]:
        """Train and draw frame by frame, then the earlier ones again: now with what came after."""
        while not self.finished:
            self._train(1)
            yield
        for index in range(self.ready - 1):
            self.draw_frame(index)
            yield

    def _train(self, frames: int) -> None:
        """Train for so many frames, or to the end, draw them, and go there if nobody scrubbed."""
        follow, before = self.frame == self.ready - 1, self.ready
        self._advance(frames)
        self.ready = self.step_count // self.every + 1
        for index in range(before, self.ready):
            self.draw_frame(index)
        if follow:
            self.frame = self.ready - 1
        self._show_state()

    def _stop_when_replaced(self) -> None:
        """The notebook cell that made this widget runs again, and makes another one."""
        shell = get_ipython()
        parent = shell.get_parent() if hasattr(shell, "get_parent") else {}
        cell = parent.get("metadata", {}).get("cellId")

        def stop(info) -> None:
            if info.cell_id == cell:
                shell.events.unregister("pre_run_cell", stop)
                self.task = None
                self._show_state()

        if cell is not None:
            shell.events.register("pre_run_cell", stop)

    def _on_control(self, change) -> None:
        if change.owner is self.controls["view"]:  # the same run, seen differently
            self.redraw()
            return
        self.reset()
        self.train()

    def _new_networks(self) -> None:
        """Untrained networks with the present settings, and their first frame."""
        value = {name: control.value for name, control in self.settings.items()}
        sizes = [self.data.num_features, *[self.width] * value["depth"], 10]
        self.step_count = 0
        self.trainers = {}
        for name, norm in self.norms.items():
            net = mlp(
                sizes, norm, value["activation"], value["init_scale"], self.seed,
                norm_position=value["placement"],
            )  # fmt: skip
            recorder = Recorder(self.data, self.every, channels=CHANNELS, before_norm=True)
            self.trainers[name] = Trainer(
                net, self.data, value["learning_rate"], value["batch_size"], self.seed, recorder
            )
        self._advance(0)

    def _advance(self, frames: int) -> None:
        """Train for so many frames, or to the end; nothing is drawn."""
        steps = min(frames * self.every, self.total_steps - self.step_count)
        for trainer in self.trainers.values():
            trainer.advance(steps)
        self.step_count += steps
        self.recordings = {
            name: trainer.recorder.recording(trainer.diverged_at)
            for name, trainer in self.trainers.items()
        }

    def _button(self, name: str, width: int, action, tooltip: str) -> widgets.Button:
        button = widgets.Button(description=name, tooltip=tooltip, layout={"width": f"{width}px"})
        button.on_click(self.guard(lambda _: action()))
        return button

    def _children(self) -> list[widgets.Widget]:
        self.slider.layout.width = "390px"
        self.player.children = [*self.buttons.values(), *self.player.children]
        return super()._children()

    def _show_state(self) -> None:
        """Buttons that would do nothing are grey; a line of text says what is going on."""
        state = "training" if self.running else "finished" if self.finished else "paused"
        if state == "paused" and self.step_count == 0:
            state = "not trained"
        self.buttons["Train"].disabled = self.running
        self.buttons["Pause"].disabled = not self.running
        self.buttons["Step"].disabled = self.running or self.finished
        self.status.value = (
            f'<span role="status" style="font-size:16px">{state}: step {self.step_count:,} of '
            f"{self.total_steps:,}</span>"
        )

    def summary(self) -> str:
        if self.finished:
            return super().summary()
        return f"{type(self).__name__}, {self.step_count:,} of {self.total_steps:,} training steps."
