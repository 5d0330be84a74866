"""DistributionExplorer: every control, the states of a run, latest wins, nothing swallowed."""

import asyncio
import threading
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from bnlib import Recorder, compare, load_mnist, mlp, train
from bnlib.figures.format import number
from bnlib.widgets import DistributionExplorer, DistributionFilm


@pytest.fixture(scope="module")
def data():
    return load_mnist(pool=True, n_train=600, n_test=100)


@pytest.fixture
def make(data):
    """make(**settings): a small explorer, 30 steps and 4 frames."""
    made = []

    def make(**settings):
        settings = {"steps": 30, "frames": 4, "width": 12, "batch_size": 16} | settings
        made.append(DistributionExplorer(data, **settings))
        return made[-1]

    yield make
    for explorer in made:
        assert explorer.error is None, explorer.error


def pages(explorer):
    return [page.value for page in explorer.stack.children]


async def until(condition, seconds=20):
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)


def test_the_constructor_shows_a_finished_film(make):
    explorer = make()
    assert explorer.finished and not explorer.running
    assert explorer.frame == 3 and explorer.slider.label == "step 30"
    assert explorer.sentence.startswith("Step 30 of 30. Without BN: accuracy ")
    assert "With BN: accuracy " in explorer.sentence
    assert len(explorer.frame_bytes) == 4
    assert explorer.status.value.count("finished: step 30 of 30") == 1


def test_it_trains_what_compare_trains_with_the_settings_of_the_controls(make, data):
    explorer = make(train=False, seed=3)
    settings = {"depth": 2, "learning_rate": 0.3, "batch_size": 8, "init_scale": 0.6}
    for name, value in (settings | {"activation": "tanh", "placement": "after"}).items():
        explorer.controls[name].value = value
    sizes, kinds = [data.num_features, 12, 12, 10], {"without BN": None, "with BN": "batch"}
    look = {"activation": "tanh", "init_scale": 0.6, "seed": 3, "norm_position": "after"}
    networks = {name: mlp(sizes, norm=norm, **look) for name, norm in kinds.items()}
    runs = compare(
        networks, data, 30, 0.3, 8, seed=3, recorder=Recorder(data, every=10, eval_size=100)
    )
    for name, run in runs.items():
        np.testing.assert_array_equal(explorer.recordings[name].steps, [0, 10, 20, 30])
        np.testing.assert_array_equal(explorer.recordings[name].loss, run.recording.loss)
        np.testing.assert_array_equal(explorer.recordings[name].histogram, run.recording.histogram)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("learning_rate", [0.001, 10.0]),
        ("init_scale", [0.1, 5.0]),
        ("batch_size", [2, 256]),
        ("depth", [1, 5]),
        ("activation", ["sigmoid", "tanh"]),
        ("placement", ["after", "before"]),
    ],
)
def test_every_control_changes_the_film(make, name, values):
    explorer = make()
    for value in values:
        before = pages(explorer)
        explorer.controls[name].value = value  # no event loop here: trains at once
        assert explorer.finished
        assert not set(before) & set(pages(explorer))
        assert explorer.frame == 3


def test_it_compares_the_norms_it_is_given(make, data):
    explorer = make(norms={"with BN": "batch", "LN": "layer", "GN": "group"}, width=16)
    assert [name for name, row in explorer.grid.panels if row == 0] == ["with BN", "LN", "GN"]
    assert "LN: accuracy" in explorer.sentence and "GN: accuracy" in explorer.sentence
    net = mlp([data.num_features, 16, 16, 16, 10], "layer", init_scale=1.4)
    recorder = Recorder(data, every=10, eval_size=100)
    run = train(net, data, 30, 0.1, 16, recorder=recorder)
    np.testing.assert_array_equal(explorer.recordings["LN"].loss, run.recording.loss)
    r = explorer.recordings["LN"]
    assert not np.array_equal(r.before_mean, r.channel_mean)  # seen from in front of the norm
    for norms, message in (
        ({}, "1 to 3 of"),
        ({"LN": "layr"}, "got {'LN': 'layr'}"),
        ({"IN": "instance"}, "a norm for units"),
    ):
        with pytest.raises(ValueError, match=message):
            make(norms=norms)


def test_one_row_a_hidden_layer_one_column_a_network(make):
    explorer = make(depth=4)
    assert len(explorer.grid.panels) == 8
    assert {name for name, _ in explorer.grid.panels} == {"without BN", "with BN"}
    explorer.controls["depth"].value = 1
    assert len(explorer.grid.panels) == 2


def test_all_panels_have_the_same_axes_which_stay_in_place(make):
    explorer = make(depth=3)
    cursors = [line.axes.get_position().bounds for line in explorer._cursors]
    for name, value in {"depth": 5, "activation": "sigmoid", "learning_rate": 10.0}.items():
        explorer.controls[name].value = value
        assert [line.axes.get_position().bounds for line in explorer._cursors] == cursors
        axes = [panel.ax for panel in explorer.grid.panels.values()]
        assert len({ax.get_xlim() for ax in axes}) == len({ax.get_ylim() for ax in axes}) == 1
        assert len({(round(ax.bbox.width), round(ax.bbox.height)) for ax in axes}) == 1


@pytest.mark.parametrize(
    ("view", "name", "prefix"),
    [
        ("single units", "with BN", "channel_"),
        ("before BN", "with BN", "before_"),
        ("before BN", "without BN", "channel_"),
    ],
)
def test_a_panel_shows_its_units_over_the_whole_run(make, view, name, prefix):
    explorer = make()
    explorer.controls["view"].value = view
    assert explorer.step_count == 30  # the same run, seen differently
    r, panel = explorer.recordings[name], explorer.grid.panels[name, 2]
    mean, std = (getattr(r, prefix + what)[:, 2] for what in ("mean", "std"))  # (T, K)
    lines = np.array(panel.lines.get_segments())
    np.testing.assert_allclose(lines[:, :, 1], mean.T)
    np.testing.assert_allclose(lines[0, :, 0] / explorer.grid.run_px * 30, [0, 10, 20, 30])
    bands = [path.vertices[:8, 1] for path in panel.bands.get_paths()]
    np.testing.assert_allclose(bands, np.concatenate([mean - std, (mean + std)[::-1]]).T)


def test_a_frame_shows_its_step(make):
    explorer = make()
    explorer.frame = 1
    assert explorer.sentence.startswith("Step 10 of 30.")
    explorer.render(frame=1, **explorer.values())
    r, panel = explorer.recordings["with BN"], explorer.grid.panels["with BN", 2]
    assert panel.numbers["std"].text == f"{r.unit_std[1, 2]:.2f}"
    assert panel.numbers["moved"].text == number(r.unit_movement[1, 2], 0.0005)
    assert panel.numbers["dead"].text == f"{100 * r.dead[1, 2]:.0f} %"
    left, bottom = panel.bars["moved"][0], panel.bars["moved"][2]
    bar = next(
        b for b in explorer.grid._bars.get_paths() if np.allclose(b.vertices[0], (left, bottom))
    )
    height = bar.vertices[2, 1] - bottom
    assert height == pytest.approx(
        panel.bars["moved"][3] * r.unit_movement[1, 2] / explorer.grid.full
    )
    # The distribution at the edge: its end bins, which hold all beyond the axis, are not drawn.
    shape = panel.shapes.get_paths()[0].vertices
    histogram = r.channel_histogram[1, 2, 0]
    assert shape[:, 1].min() == r.edges[1] and shape[:, 1].max() == r.edges[-2]
    widths = shape[1:-2:2, 0] - explorer.grid.run_px - 4
    np.testing.assert_allclose(widths / widths.max(), histogram[1:-1] / histogram[1:-1].max())
    assert [c.get_xdata()[0] for c in explorer._cursors] == [10, 10]
    marks = explorer.grid._cursor.get_xdata()[::3]
    np.testing.assert_allclose(
        marks, [p.ax.bbox.x0 + explorer.grid.run_px / 3 for p in explorer.grid.panels.values()]
    )


def test_all_units_are_the_pooled_distribution(make):
    explorer = make(view="all units")
    explorer.render(frame=3, **explorer.values())
    r, panel = explorer.recordings["without BN"], explorer.grid.panels["without BN", 1]
    np.testing.assert_allclose(panel.lines.get_segments()[0][:, 1], r.percentiles[:, 1, 1])
    assert len(panel.shapes.get_paths()) == 1
    assert panel.numbers["std"].text == f"{r.std[-1, 1]:.2f}"


def test_what_lies_beyond_an_axis_is_marked_not_drawn(make):
    explorer = make(init_scale=100.0)
    explorer.render(frame=0, **explorer.values())
    r, grid = explorer.recordings["without BN"], explorer.grid
    mean = r.channel_mean[:, 2]
    high, low = (mean > grid.limit).any(axis=1), (mean < -grid.limit).any(axis=1)
    assert grid.limit == 6 and high.any()
    for artist, there in zip(grid.panels["without BN", 2].beyond.artists, (high, low), strict=True):
        np.testing.assert_allclose(artist.get_xdata(), r.steps[there] * grid.run_px / 30)
    off = [len(artist.get_xdata()) for artist in grid.panels["without BN", 2].off.artists]
    assert off == [1, 1]
    assert [len(a.get_xdata()) for a in grid.panels["with BN", 0].off.artists] == [0, 0]
    assert r.loss.max() > 3
    explorer.render(frame=3, **explorer.values())
    line = explorer._curves["without BN", "loss", "past"]
    assert np.nanmax(np.r_[line.get_ydata(), 0]) <= 3
    assert list(explorer._high["without BN", "loss"].get_xdata()) == list(r.steps[r.loss > 3])


def test_curves_are_full_up_to_the_cursor_and_faint_after(make):
    explorer = make()
    explorer.render(frame=1, **explorer.values())
    for (name, quantity, part), line in explorer._curves.items():
        values = getattr(explorer.recordings[name], quantity)
        past = part == "past"
        x, y = ([0, 10], values[:2]) if past else ([10, 20, 30], values[1:])
        np.testing.assert_array_equal(line.get_xydata(), np.c_[x, y])


def test_a_film_is_saved_as_a_moving_picture_or_a_frame(make, tmp_path):
    explorer = make()
    with Image.open(explorer.save(tmp_path / "run.gif")) as gif:
        assert gif.n_frames == 4 and gif.size == explorer.size
    explorer.frame = 1
    assert explorer.save(tmp_path / "frame.png").read_bytes() == explorer.png
    assert sorted(path.name for path in tmp_path.iterdir()) == ["frame.png", "run.gif"]
    with pytest.raises(ValueError, match=r"ends in \.png, got 'run.jpg'"):
        explorer.save("run.jpg")


# --- train, pause, step, reset --------------------------------------------------------------------


def enabled(explorer):
    return {name for name, button in explorer.buttons.items() if not button.disabled}


def test_step_makes_the_steps_of_one_frame(make):
    explorer = make(train=False)
    assert enabled(explorer) == {"Train", "Step", "Reset"}
    assert explorer.frame == 0 and explorer.ready == 1
    explorer.buttons["Step"].click()
    assert explorer.step_count == 10
    assert explorer.frame == 1 and explorer.ready == 2
    assert explorer.sentence.startswith("Step 10 of 30.")
    assert "step 20: not computed yet" in pages(explorer)[2]
    assert "paused: step 10 of 30" in explorer.status.value


def test_step_n_stops_between_frames_and_goes_on(make):
    explorer = make(train=False)
    explorer.step(7)
    assert explorer.step_count == 7 and explorer.ready == 1
    explorer.step()
    assert explorer.step_count == 10 and explorer.frame == 1
    explorer.step(1000)
    assert explorer.step_count == 30 and explorer.finished
    assert enabled(explorer) == {"Train", "Reset"}
    with pytest.raises(ValueError, match="at least 0, got -1"):
        explorer.step(-1)


def test_reset_shows_the_untrained_networks(make):
    explorer = make()
    first = explorer.stack.children[0].value
    explorer.buttons["Reset"].click()
    assert explorer.step_count == 0 and explorer.frame == 0 and explorer.ready == 1
    assert "not trained: step 0 of 30" in explorer.status.value
    assert all("not computed yet" in page for page in pages(explorer)[1:])
    explorer.step(30)
    assert explorer.stack.children[0].value == first  # same seed, same networks


def test_scrubbing_back_is_not_undone_by_the_next_step(make):
    explorer = make(train=False)
    explorer.step(20)
    explorer.slider.index = 0
    explorer.step(10)
    assert explorer.frame == 0 and explorer.ready == 4


def test_train_runs_live_as_one_task_and_gives_the_same_film(make):
    whole = make()

    async def main():
        explorer = make(train=False)
        explorer.buttons["Train"].click()
        assert explorer.running and enabled(explorer) == {"Pause", "Reset"}
        assert explorer.step_count == 0  # nothing is done before the loop runs
        await until(lambda: explorer.ready == 2)
        assert explorer.frame == 1
        await until(lambda: not explorer.running)
        return explorer

    explorer = asyncio.run(main())
    assert pages(explorer) == pages(whole)
    assert explorer.frame == 3 and enabled(explorer) == {"Train", "Reset"}


def test_pause_stops_and_train_goes_on(make):
    async def main():
        explorer = make(train=False)
        explorer.buttons["Train"].click()
        await until(lambda: explorer.step_count == 10)
        explorer.buttons["Pause"].click()
        assert enabled(explorer) == {"Train", "Step", "Reset"}
        await explorer.task
        assert explorer.step_count == 10 and "paused: step 10" in explorer.status.value
        explorer.buttons["Step"].click()
        assert explorer.step_count == 20
        explorer.buttons["Train"].click()
        await until(lambda: not explorer.running)
        assert explorer.finished
        explorer.buttons["Train"].click()  # a finished run starts again
        assert explorer.step_count == 0 and explorer.running
        await until(lambda: not explorer.running)

    asyncio.run(main())


def test_reset_while_training_stops_it(make):
    async def main():
        explorer = make(train=False)
        explorer.train()
        await until(lambda: explorer.step_count == 10)
        explorer.buttons["Reset"].click()
        await explorer.task
        assert explorer.step_count == 0 and not explorer.running and explorer.ready == 1

    asyncio.run(main())


def test_the_latest_setting_wins(make):
    expected = make(learning_rate=1.0, depth=2)

    async def main():
        explorer = make(learning_rate=0.1, depth=3)
        others = asyncio.all_tasks()
        explorer.controls["learning_rate"].value = 1.0
        first = explorer.task
        await until(lambda: explorer.step_count == 10)
        explorer.controls["learning_rate"].value = 0.001
        explorer.controls["depth"].value = 2
        explorer.controls["learning_rate"].value = 1.0
        await asyncio.sleep(0.01)
        assert asyncio.all_tasks() - others == {explorer.task} != {first}
        await until(lambda: not explorer.running)
        await asyncio.sleep(0.02)
        assert asyncio.all_tasks() == others
        return explorer

    assert pages(asyncio.run(main())) == pages(expected)


def test_a_cell_and_a_subshell_may_both_move_a_control(make):
    """JupyterLab handles a widget's messages in another thread than cells."""
    explorer = make(steps=20, frames=3)

    def drive(name, values):
        for value in values:
            explorer.controls[name].value = value

    threads = [
        threading.Thread(target=drive, args=("learning_rate", [0.3, 1.0, 0.3, 1.0])),
        threading.Thread(target=drive, args=("depth", [1, 5, 1, 2])),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert explorer.finished
    expected = make(steps=20, frames=3, learning_rate=1.0, depth=2)
    assert pages(explorer) == pages(expected)


# --- what can go wrong ----------------------------------------------------------------------------


def test_divergence_is_shown_not_raised(make):
    explorer = make(activation="relu", init_scale=5.0, depth=5, width=64, batch_size=64)
    at = explorer.recordings["without BN"].diverged_at
    assert at is not None
    assert f"Without BN: diverged at step {at}." in explorer.sentence
    panel = explorer.grid.panels["without BN", 2]
    assert panel.message.get_text() == f"diverged at\nstep {at}"
    assert explorer.grid.panels["with BN", 2].message.get_text() == ""
    assert not panel.shapes.get_paths() and panel.numbers["std"].text == ""
    hatched = panel.gone.get_paths()[0].vertices[:, 0]
    assert hatched.min() == pytest.approx(at / 30 * explorer.grid.run_px)
    assert "without BN diverged" in explorer.summary()
    explorer.frame = 0
    assert "diverged" not in explorer.sentence


def test_an_exception_in_a_live_run_is_shown(data, monkeypatch):
    async def main():
        explorer = DistributionExplorer(data, 30, 4, width=12, batch_size=16, train=False)
        monkeypatch.setattr(explorer.trainers["with BN"], "advance", lambda steps: 1 / 0)
        explorer.train()
        with pytest.raises(ZeroDivisionError):
            await explorer.task
        assert isinstance(explorer.error, ZeroDivisionError)
        assert "ZeroDivisionError" in explorer._error_box.value
        assert not explorer.running
        explorer.buttons["Reset"].click()
        assert explorer.error is None
        explorer.step(10)
        assert explorer.step_count == 10

    asyncio.run(main())


def test_settings_outside_the_lists_are_added_and_bad_ones_refused(make):
    explorer = make(learning_rate=0.05, depth=7, batch_size=60)
    assert explorer.controls["learning_rate"].value == 0.05
    assert ("0.05", 0.05) in explorer.controls["learning_rate"].options
    assert len(explorer.grid.panels) == 14
    for bad in ({"steps": 31}, {"frames": 1}, {"frames": 62, "steps": 610}):
        with pytest.raises(ValueError, match="divide evenly"):
            make(**bad)
    with pytest.raises(ValueError, match="momentum"):
        make(controls=["momentum"])


def test_only_the_controls_asked_for_are_shown(make):
    explorer = make(controls=["activation", "learning_rate"])
    shown = [control.description for control in explorer.control_box.children]
    assert shown[:-1] == ["activation", "learning rate", "view"]  # then the status


def test_a_run_ends_with_its_widget(make, monkeypatch):
    """The cell runs again, or the widget is closed; another cell changes nothing."""

    class Shell:
        def __init__(self):
            self.events = self
            self.watchers = []

        def get_parent(self):
            return {"metadata": {"cellId": "mine"}}

        def register(self, event, watcher):
            assert event == "pre_run_cell"
            self.watchers.append(watcher)

        def unregister(self, event, watcher):
            self.watchers.remove(watcher)

    shell = Shell()
    monkeypatch.setattr("IPython.get_ipython", lambda: shell)

    async def main():
        others = asyncio.all_tasks()
        explorer = make(train=False)
        explorer.train()
        await until(lambda: explorer.step_count == 10)
        shell.watchers[0](SimpleNamespace(cell_id="another"))
        assert explorer.running
        shell.watchers[0](SimpleNamespace(cell_id="mine"))
        await explorer.task
        assert explorer.step_count == 10 and not shell.watchers
        explorer.train()
        await until(lambda: explorer.step_count == 20)
        explorer.close()
        await explorer.task
        assert explorer.step_count == 20 and not shell.watchers
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == others

    asyncio.run(main())


def test_summary_holds_robust_figures_only(make):
    explorer = make()
    text = explorer._repr_mimebundle_()["text/plain"]
    assert text.startswith("DistributionExplorer, 30 training steps: without BN ")
    assert "." not in text.rstrip(".")  # no decimals
    explorer.reset()
    assert explorer.summary() == "DistributionExplorer, 0 of 30 training steps."


# --- films of recordings --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def runs(data):
    networks = {
        name: mlp([data.num_features, 8, 8, 10], norm=norm)
        for name, norm in (("without BN", None), ("with BN", "batch"))
    }
    runs = compare(
        networks, data, 80, 0.1, 16, recorder=Recorder(data, 1, eval_size=100, channels=4)
    )
    return {name: run.recording for name, run in runs.items()}


def test_a_film_of_recordings(runs):
    film = DistributionExplorer.from_recordings(runs)
    assert isinstance(film, DistributionFilm)
    assert len(film.steps) == 61 and film.steps[0] == 0 and film.steps[-1] == 80
    assert film.sentence.startswith("Step 80 of 80.")
    assert "DistributionFilm, 80 training steps" in film.summary()
    short = DistributionFilm(runs, frames=5)
    assert short.steps == [0, 20, 40, 60, 80]
    short.frame = 2
    loss = runs["with BN"].loss[40]
    assert f"loss {loss:.2f}" in short.sentence


def test_recordings_that_do_not_belong_together_are_refused(runs, data):
    with pytest.raises(ValueError, match="side by side, got 0"):
        DistributionFilm({})

    def record(*sizes, every):
        net, recorder = (
            mlp([data.num_features, *sizes, 10]),
            Recorder(data, every, eval_size=100, channels=4),
        )
        return train(net, data, 8, 0.1, 16, recorder=recorder).recording

    with pytest.raises(ValueError, match="as many hidden layers"):
        DistributionFilm({"a": record(8, every=1), **runs})
    with pytest.raises(ValueError, match=r"single units.*'a'.*channels=8"):
        DistributionFilm({"a": replace(runs["with BN"], channel_mean=None)})
    with pytest.raises(ValueError, match=r"same steps.*'a'"):
        DistributionFilm({"a": record(8, 8, every=4), "with BN": runs["with BN"]})
