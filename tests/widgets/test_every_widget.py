"""What holds for every widget: what it says to those who do not see it, and an impatient hand.

That all of it can be reached and changed by the keyboard: tests/browser.
BNLIB_RANDOM_EVENTS is how many events each widget gets; `.ci/run full` says 500.
"""

import asyncio
import html
import os
import re

import ipywidgets
import numpy as np
import pytest
from browser.conftest import WIDGETS
from contrast import faint, needs_its_theme

from bnlib import Recorder, cnn, compare, load_mnist, mlp
from bnlib import widgets as w
from bnlib.figures import style

EVENTS = int(os.environ.get("BNLIB_RANDOM_EVENTS", "30"))
# These retrain.
SLOW = {"lr", "learning_rate", "init_scale", "batch_size", "depth", "activation", "placement"}
# The same things, seen from elsewhere; the same norm, which has no groups.
SAYS_NO_MORE = {("ProjectionExplorer", "turn"), ("NormExplorer", "groups")}


def record(make, shape):
    data = load_mnist(pool=True, n_train=300, n_test=50, shape=shape)
    nets = {name: make(norm) for name, norm in (("without BN", None), ("with BN", "batch"))}
    recorder = Recorder(data, 2, 50, 50, channels=3, before_norm=True)
    runs = compare(nets, data, 8, 0.1, 16, recorder=recorder)
    return {name: run.recording for name, run in runs.items()}


data = load_mnist(pool=True, n_train=300, n_test=50)
x, labels = data.batch(slice(0, 20), np.float64)
MAKE = {
    "DistributionExplorer": lambda **start: w.DistributionExplorer(data, 4, 3, width=6, **start),
    "DistributionFilm": lambda: w.DistributionFilm(
        record(lambda norm: mlp([196, 6, 6, 10], norm), "flat")
    ),
    "ChannelFilm": lambda: w.ChannelFilm(
        record(lambda norm: cnn((1, 2, 3), norm, image_size=14), "image")
    ),
    "RunningStatisticsExplorer": lambda **start: w.RunningStatisticsExplorer(
        data, steps=8, every=4, hidden=(6, 6), sample=100, test_size=50, **start
    ),
    "TransformExplorer": lambda: w.TransformExplorer(x[:, 90:94], x, labels),
    "SignalExplorer": lambda **start: w.SignalExplorer(x[:8], labels[:8], **start),
    "JacobianExplorer": w.JacobianExplorer,
    "ProjectionExplorer": w.ProjectionExplorer,
    "NormExplorer": lambda: w.NormExplorer(x[:12].reshape(2, 6, 14, 14)),
    "LandscapeFilm": lambda **start: w.LandscapeFilm(
        data, steps=4, every=2, hidden=(6, 6), **start
    ),
}
# Where a teacher may open it.
STARTS = {
    "DistributionExplorer": {
        "learning_rate": 0.3, "init_scale": 0.6, "batch_size": 8, "depth": 2, "activation": "tanh",
        "placement": "after", "view": "before BN",
    },
    "RunningStatisticsExplorer": {"momentum": 0.01, "batch_size": 8, "learning_rate": 0.03},
    "SignalExplorer": {"depth": 9, "scale": 2.0, "activation": "tanh"},
    "JacobianExplorer": {"N": 8, "first": -4, "eps": 0.1},
    "ProjectionExplorer": {"third": -3, "eps": 1.0},
    "LandscapeFilm": {"lr": 0.3},
}  # fmt: skip


@pytest.fixture(scope="module", params=MAKE)
def widget(request):
    """Every widget, one after the other."""
    return MAKE[request.param]()


def test_all_widgets_are_tested():
    classes = {name: getattr(w, name) for name in w.__all__}
    made = {n for n, c in classes.items() if isinstance(c, type) and issubclass(c, w.LiveFigure)}
    assert made - {"LiveFigure", "Film"} == set(MAKE) == set(WIDGETS)


@pytest.mark.parametrize("name", STARTS)
def test_a_widget_that_opens_at_a_state_is_one_moved_there(name):
    opened, moved = MAKE[name](**STARTS[name]), MAKE[name]()
    for control, value in STARTS[name].items():
        assert moved.controls[control].value != value
        moved.controls[control].value = value
    assert opened.sentence == moved.sentence and opened.png == moved.png


@pytest.mark.parametrize("name", ["DistributionExplorer", "RunningStatisticsExplorer"])
def test_no_batch_size_is_offered_that_the_data_cannot_fill(name, monkeypatch):
    monkeypatch.setitem(globals(), "data", load_mnist(pool=True, n_train=65, n_test=10))
    options = MAKE[name]().controls["batch_size"].options
    assert [value for _, value in options] == [2, 4, 8, 16, 32, 64]


def has_content(sentence):
    """A sentence of several words with a number."""
    return len(sentence.split()) >= 8 and re.search(r"\d", sentence) and sentence.endswith(".")


def other_values(control):
    """Two values that a hand on the control could choose."""
    if hasattr(control, "options"):
        values = dict.fromkeys(value for _, value in control._options_full)
    elif hasattr(control, "min"):
        values = (control.min, control.max)
    else:
        values = (True, False)
    return [value for value in values if value != control.value][:2]


def test_the_alt_text_says_what_the_picture_shows_after_every_change(widget):
    assert has_content(widget.sentence), widget.sentence
    assert len(widget.summary().split()) >= 8 and widget.summary().endswith(".")
    if isinstance(widget, w.Film):
        alt = r'<img class="bnlib-picture" alt="([^"]*)"'
        alts = [html.unescape(re.findall(alt, p.value)[0]) for p in widget.stack.children]
        assert all(map(has_content, alts)), alts
        assert [a.split(" of ")[0].lower() for a in alts] == widget.labels  # one a frame
    name = type(widget).__name__
    for key, control in widget.controls.items():
        if not control.has_trait("value"):
            continue
        said, start = {widget.sentence}, control.value
        for value in (others := other_values(control)):
            control.value = value
            assert has_content(widget.sentence), (key, value, widget.sentence)
            said.add(widget.sentence)
        control.value = start
        assert others and (len(said) == 1 + len(others)) != ((name, key) in SAYS_NO_MORE), said


def test_text_and_lines_stand_out_and_every_colour_has_its_ground(widget):
    with style():
        assert list(faint(widget.figure)) == []
    widget.show_error(ValueError("of which the message is shown"))
    for part in parts(widget):
        if isinstance(part, ipywidgets.HTML):
            assert list(needs_its_theme(part.value)) == []
    widget.show_error(None)


def parts(widget):
    yield widget
    for child in getattr(widget, "children", ()):
        yield from parts(child)


def test_every_control_has_a_name_of_its_own(widget):
    names = [c.description.strip() for c in widget.controls.values()]
    names += [widget.slider.description] if isinstance(widget, w.Film) else []
    assert all(names) and len(set(names)) == len(names)


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


def test_random_events_raise_nothing_and_leave_nothing(widget):
    widget.rebuild()  # the tests above have drawn the figure themselves

    async def main():
        others, rng = asyncio.all_tasks(), np.random.default_rng(0)
        for _ in range(EVENTS):
            random_event(widget, rng)
            assert widget.error is None, widget.error
            await asyncio.sleep(0)
        async with asyncio.timeout(60):
            while left := asyncio.all_tasks() - others:  # a run that the last event began
                await asyncio.wait(left)
        assert widget.error is None
        # The picture is that of the settings, nothing is left of others: built anew it is the same.
        shown = widget.png
        widget.rebuild()
        assert widget.png == shown

    asyncio.run(main())
