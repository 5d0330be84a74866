"""Random events, as an impatient class makes them: nothing raised, nothing left.

BNLIB_RANDOM_EVENTS is how many each widget gets; `.ci/run full` says 500.
"""

import asyncio
import os

import numpy as np
import pytest

from bnlib import Recorder, compare, load_mnist, mlp
from bnlib import widgets as w

EVENTS = int(os.environ.get("BNLIB_RANDOM_EVENTS", "60"))
# These retrain.
SLOW = {"lr", "learning_rate", "init_scale", "batch_size", "depth", "activation", "placement"}


@pytest.fixture(scope="module")
def data():
    return load_mnist(pool=True, n_train=300, n_test=50)


@pytest.fixture(scope="module")
def recordings(data):
    nets = {
        n: mlp([196, 6, 6, 10], norm=k) for n, k in (("without BN", None), ("with BN", "batch"))
    }
    recorder = Recorder(data, 2, 50, 50, channels=3, before_norm=True)
    return {
        n: run.recording for n, run in compare(nets, data, 8, 0.1, 16, recorder=recorder).items()
    }


MAKE = {
    "DistributionExplorer": lambda data, r: w.DistributionExplorer(data, 4, 3, width=6),
    "DistributionFilm": lambda data, r: w.DistributionFilm(r),
    "ChannelFilm": lambda data, r: w.ChannelFilm(r),
    "RunningStatisticsExplorer": lambda data, r: w.RunningStatisticsExplorer(
        data, steps=8, every=4, hidden=(6, 6), sample=100, test_size=50
    ),
    "TransformExplorer": lambda data, r: w.TransformExplorer(data.x_train[:20, 90:94] / 255),
    "SignalExplorer": lambda data, r: w.SignalExplorer(data.x_train[:8] / 255, data.y_train[:8], 6),
    "JacobianExplorer": lambda data, r: w.JacobianExplorer(),
    "ProjectionExplorer": lambda data, r: w.ProjectionExplorer(),
    "NormExplorer": lambda data, r: w.NormExplorer(
        data.x_train[:24].reshape(4, 6, 14, 14) / 255 - 0.1
    ),
    "LandscapeFilm": lambda data, r: w.LandscapeFilm(data, steps=4, every=2, hidden=(6, 6)),
}


def random_event(widget, rng):
    """One thing that a hand can do: a control, a button, the time slider."""
    buttons = [c for c in widget.controls.values() if hasattr(c, "click")]
    buttons += getattr(widget, "buttons", {}).values()
    controls = {n: c for n, c in widget.controls.items() if hasattr(c, "value")}
    kinds = ["control"] * bool(controls) + ["button"] * bool(buttons)
    kinds += ["time"] * 6 * hasattr(widget, "slider")
    kind = rng.choice(kinds)
    if kind == "time":
        widget.slider.index = int(rng.integers(len(widget.labels)))
    elif kind == "button":
        button = buttons[rng.integers(len(buttons))]
        if not button.disabled:
            button.click()
    else:
        name = rng.choice(list(controls))
        if name in SLOW and rng.random() > 0.1:
            return
        control = controls[name]
        if hasattr(control, "options"):
            control.index = int(rng.integers(len(control.options)))
        elif isinstance(control.value, bool):
            control.value = not control.value
        else:
            value = rng.uniform(control.min, control.max)
            control.value = type(control.value)(round(value) if control.step == 1 else value)


@pytest.mark.parametrize("name", MAKE)
def test_random_events_raise_nothing_and_leave_nothing(name, data, recordings):
    async def main():
        others = asyncio.all_tasks()
        widget, rng = MAKE[name](data, recordings), np.random.default_rng(0)
        for _ in range(EVENTS):
            random_event(widget, rng)
            assert widget.error is None, widget.error
            await asyncio.sleep(0)
        async with asyncio.timeout(60):
            while left := asyncio.all_tasks() - others:  # a run that the last event began
                await asyncio.wait(left)
        assert widget.error is None
        # The picture is that of the settings: drawing them again changes nothing.
        shown = widget.png
        widget.redraw()
        assert widget.png == shown

    asyncio.run(main())
