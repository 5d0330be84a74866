"""DistributionExplorer: every control, the states of a run, latest wins, nothing swallowed."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace

import numpy as np
import pytest
from jupyter_client.manager import run_kernel
from PIL import Image

from bnlib import Recorder, compare, load_mnist, mlp, train
from bnlib.figures.format import number
from bnlib.widgets import DistributionExplorer, DistributionFilm


@pytest.fixture(scope="module")
def data():
    return load_mnist(pool=True, n_train=300, n_test=50)


@pytest.fixture(scope="module")
def make(data):
    """make(**settings): a small explorer, 30 steps and 4 frames."""

    def make(**settings):
        settings = {"steps": 30, "frames": 4, "width": 12, "batch_size": 16} | settings
        return DistributionExplorer(data, **settings)

    return make


@pytest.fixture(scope="module")
def trained(make):
    """One for all tests that only look at frames; its error is None at the end."""
    explorer = make()
    yield explorer
    assert explorer.error is None


def pages(explorer):
    return [page.value for page in explorer.stack.children]


async def until(condition, seconds=20):
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)


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


def test_a_film_is_saved_as_a_moving_picture_or_a_frame(make, tmp_path):
    explorer = make()
    with Image.open(explorer.save(tmp_path / "run.gif")) as gif:
        assert gif.n_frames == 4 and gif.size == explorer.size
    explorer.frame = 1
    assert explorer.save(tmp_path / "frame.png").read_bytes() == explorer.png
    assert sorted(path.name for path in tmp_path.iterdir()) == ["frame.png", "run.gif"]
    with pytest.raises(ValueError, match=r"ends in \.gif or \.png, got 'run.jpg'"):
        explorer.save("run.jpg")


def test_the_constructor_shows_a_finished_film(trained):
    assert trained.finished and not trained.running
    assert trained.frame == 3 and trained.slider.label == "step 30"
    assert trained.sentence.startswith("Step 30 of 30. Without BN: accuracy ")
    assert "With BN: accuracy " in trained.sentence
    assert "finished: step 30 of 30" in trained.status.value
    text = trained._repr_mimebundle_()["text/plain"]
    assert text.startswith("DistributionExplorer, 30 training steps: without BN ")
    assert "." not in text.rstrip(".")  # no decimals


def test_every_control_trains_what_compare_trains(make, data):
    explorer = make(train=False, seed=3, steps=10, frames=2)
    settings = {"depth": 2, "learning_rate": 0.3, "batch_size": 8, "init_scale": 0.6}
    for name, value in (settings | {"activation": "tanh", "placement": "after"}).items():
        before = pages(explorer)
        explorer.controls[name].value = value  # no event loop here: trains at once
        assert explorer.finished and explorer.frame == explorer.ready - 1
        assert not set(before) & set(pages(explorer)), name
    sizes, kinds = [data.num_features, 12, 12, 10], {"without BN": None, "with BN": "batch"}
    look = {"activation": "tanh", "init_scale": 0.6, "seed": 3, "norm_position": "after"}
    networks = {name: mlp(sizes, norm=norm, **look) for name, norm in kinds.items()}
    runs = compare(
        networks, data, 10, 0.3, 8, seed=3, recorder=Recorder(data, every=10, eval_size=50)
    )
    for name, run in runs.items():
        np.testing.assert_array_equal(explorer.recordings[name].loss, run.recording.loss)
        np.testing.assert_array_equal(explorer.recordings[name].histogram, run.recording.histogram)


def test_one_row_a_hidden_layer_one_column_a_network_in_fixed_places(make):
    explorer = make(steps=10, frames=2)
    places = [c.cursor.axes.get_position().bounds for c in explorer._curves.values()]
    for depth in (5, 1):
        explorer.controls["depth"].value = depth
        assert [*explorer.grid.panels] == [
            (name, row) for name in ("without BN", "with BN") for row in range(depth)
        ]
        assert places == [c.cursor.axes.get_position().bounds for c in explorer._curves.values()]
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
def test_a_panel_shows_its_units_over_the_whole_run(trained, view, name, prefix):
    trained.controls["view"].value = view
    assert trained.step_count == 30  # the same run, seen differently
    r, panel = trained.recordings[name], trained.grid.panels[name, 2]
    mean, std = (getattr(r, prefix + what)[:, 2] for what in ("mean", "std"))  # (T, K)
    lines = np.array(panel.lines.get_segments())
    np.testing.assert_allclose(lines[:, :, 1], mean.T)
    np.testing.assert_allclose(lines[0, :, 0] / trained.grid.run_px * 30, [0, 10, 20, 30])
    bands = [path.vertices[:8, 1] for path in panel.bands.get_paths()]
    np.testing.assert_allclose(bands, np.concatenate([mean - std, (mean + std)[::-1]]).T)


def test_all_units_are_the_pooled_distribution(trained):
    trained.controls["view"].value = "all units"
    trained.render(frame=3, **trained.values())
    r, panel = trained.recordings["without BN"], trained.grid.panels["without BN", 1]
    np.testing.assert_allclose(panel.lines.get_segments()[0][:, 1], r.percentiles[:, 1, 1])
    assert len(panel.shapes.get_paths()) == 1
    assert panel.numbers["std"].text == f"{r.std[-1, 1]:.2f}"
    trained.controls["view"].value = "single units"


def test_a_frame_shows_its_step(trained):
    trained.frame = 1
    assert trained.sentence.startswith("Step 10 of 30.")
    trained.render(frame=1, **trained.values())
    grid, r = trained.grid, trained.recordings["with BN"]
    panel = grid.panels["with BN", 2]
    assert panel.numbers["std"].text == f"{r.unit_std[1, 2]:.2f}"
    assert panel.numbers["moved"].text == number(r.unit_movement[1, 2], 0.0005)
    assert panel.numbers["dead"].text == f"{100 * r.dead[1, 2]:.0f} %"
    left, _, bottom, full = panel.bars["moved"]
    bar = next(b for b in grid._bars.get_paths() if np.allclose(b.vertices[0], (left, bottom)))
    height = bar.vertices[2, 1] - bottom
    assert height == pytest.approx(full * r.unit_movement[1, 2] / grid.full)
    # The distribution at the edge: its end bins, which hold all beyond the axis, are not drawn.
    shape = panel.shapes.get_paths()[0].vertices
    histogram = r.channel_histogram[1, 2, 0]
    assert shape[:, 1].min() == r.edges[1] and shape[:, 1].max() == r.edges[-2]
    widths = shape[1:-2:2, 0] - grid.run_px - 4
    np.testing.assert_allclose(widths / widths.max(), histogram[1:-1] / histogram[1:-1].max())
    marks = grid._cursor.get_xdata()[::3]
    np.testing.assert_allclose(
        marks, [p.ax.bbox.x0 + grid.run_px / 3 for p in grid.panels.values()]
    )
    # The curves beside the panels: thick up to the cursor, thin after it.
    for quantity, progress in trained._curves.items():
        assert progress.cursor.get_xdata()[0] == 10
        for name, (past, future) in progress.curves.items():
            values = getattr(trained.recordings[name], quantity)
            np.testing.assert_array_equal(past.get_xydata(), np.c_[[0, 10], values[:2]])
            np.testing.assert_array_equal(future.get_xydata(), np.c_[[10, 20, 30], values[1:]])


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
    explorer.render(frame=3, **explorer.values())
    line = explorer._curves["loss"].curves["without BN"][0]
    assert np.nanmax(np.r_[line.get_ydata(), 0]) <= 3 < r.loss.max()
    assert list(explorer._high["loss", "without BN"].get_xdata()) == list(r.steps[r.loss > 3])


# --- train, pause, step, reset --------------------------------------------------------------------


def enabled(explorer):
    return {name for name, button in explorer.buttons.items() if not button.disabled}


def test_step_and_reset(make):
    explorer = make(train=False)
    first = pages(explorer)[0]
    assert enabled(explorer) == {"Train", "Step", "Reset"}
    assert explorer.frame == 0 and explorer.ready == 1
    assert explorer.summary() == "DistributionExplorer, 0 of 30 training steps."
    explorer.buttons["Step"].click()
    assert explorer.step_count == 10 and explorer.frame == 1 and explorer.ready == 2
    assert explorer.sentence.startswith("Step 10 of 30.")
    assert "step 20: not computed yet" in pages(explorer)[2]
    assert "paused: step 10 of 30" in explorer.status.value
    explorer.slider.index = 0
    explorer.step(100)  # to the end; whoever has scrubbed back stays there
    assert explorer.finished and explorer.frame == 0 and explorer.ready == 4
    assert enabled(explorer) == {"Train", "Reset"}
    assert pages(explorer) == pages(make())
    explorer.buttons["Reset"].click()
    assert explorer.step_count == 0 and explorer.frame == 0 and explorer.ready == 1
    assert "not trained: step 0 of 30" in explorer.status.value
    assert all("not computed yet" in page for page in pages(explorer)[1:])
    assert pages(explorer)[0] == first  # same seed, same networks


def test_train_runs_live_and_gives_the_same_film(make, trained):
    async def main():
        explorer = make(train=False)
        explorer.buttons["Train"].click()
        assert explorer.running and enabled(explorer) == {"Pause", "Reset"}
        assert explorer.step_count == 0  # nothing is done before the loop runs
        await until(lambda: explorer.ready == 2)
        task = explorer.task
        assert explorer.frame == 1
        explorer.buttons["Pause"].click()
        assert enabled(explorer) == {"Train", "Step", "Reset"}
        await task
        assert explorer.step_count == 10 and "paused: step 10" in explorer.status.value
        explorer.buttons["Train"].click()
        task = explorer.task
        await until(lambda: not explorer.running)
        assert explorer.frame == 3 and enabled(explorer) == {"Train", "Reset"}
        await task  # it draws the earlier frames again
        assert pages(explorer) == pages(trained)
        explorer.buttons["Train"].click()  # a finished run starts again
        await until(lambda: explorer.step_count == 10)
        task = explorer.task
        explorer.buttons["Reset"].click()
        await task
        assert explorer.step_count == 0 and not explorer.running and explorer.ready == 1

    asyncio.run(main())


def test_a_live_run_draws_one_picture_at_a_time_the_last_frame_too(make, monkeypatch):
    """Between two of them the kernel answers; a Pause that comes too late does not keep it."""

    async def main():
        explorer, turn, drawn = make(train=False), 0, []
        draw = explorer.draw_frame
        monkeypatch.setattr(explorer, "draw_frame", lambda i: (drawn.append((turn, i)), draw(i)))
        explorer.train()
        while explorer.task:
            turn += 1
            if explorer.finished:
                explorer.pause()
            await asyncio.sleep(0)
        turns, frames = zip(*drawn, strict=True)
        assert frames == (1, 2, 3, 0, 1, 2) and len(set(turns)) == 6

    asyncio.run(main())


def test_a_live_run_stops_when_its_cell_runs_again():
    """In a kernel, which JupyterLab tells the cell that it runs."""
    make = "made.append(DistributionExplorer(data, 6000, 61, width=12, train=False))"
    look = "made[0].running, 0 < made[0].step_count < 6000, 'paused' in made[0].status.value"
    with run_kernel(kernel_name="python3") as kernel:

        def run(code, cell, then="None"):
            content = {"code": code, "silent": False, "user_expressions": {"then": then}}
            asked = kernel.session.msg("execute_request", content, metadata={"cellId": cell})
            kernel.shell_channel.send(asked)
            reply = {"parent_header": {}}
            while reply["parent_header"].get("msg_id") != asked["msg_id"]:
                reply = kernel.get_shell_msg(timeout=60)
            assert reply["content"]["status"] == "ok", reply["content"]
            return reply["content"]["user_expressions"]["then"]["data"]["text/plain"]

        run("from bnlib import load_mnist\nfrom bnlib.widgets import DistributionExplorer", "a")
        run("data, made = load_mnist(pool=True, n_train=300, n_test=50), []", "a")
        run(f"import asyncio\n{make}\nmade[0].train()", "mine")
        begun = "while not made[0].step_count: await asyncio.sleep(0.01)"
        assert run(begun, "another", look) == "(True, True, False)"
        assert run(make, "mine", look) == "(False, True, True)"


@pytest.mark.parametrize("stop", ["pause", "close"])
def test_a_live_run_stops_after_the_frame_under_way(make, stop):
    """A cell may ask for it while the run is busy in a subshell."""

    async def main():
        explorer = make(train=False)
        trainer = explorer.trainers["with BN"]
        advance = trainer.advance
        trainer.advance = lambda steps: (getattr(explorer, stop)(), advance(steps))
        explorer.train()
        await explorer.task
        assert explorer.step_count == 10 and not explorer.running

    asyncio.run(main())


def test_the_latest_setting_wins(make):
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
        await explorer.task
        assert asyncio.all_tasks() == others
        return explorer

    assert pages(asyncio.run(main())) == pages(make(learning_rate=1.0, depth=2))


def test_a_cell_and_a_subshell_may_both_move_a_control(make):
    """JupyterLab handles a widget's messages in another thread than cells."""
    explorer = make(steps=10, frames=2, width=6)

    def drive(name, values):
        for value in values:
            explorer.controls[name].value = value

    with ThreadPoolExecutor() as pool:
        list(pool.map(drive, ("learning_rate", "depth"), ([0.3, 1.0], [1, 2])))
    expected = make(steps=10, frames=2, width=6, learning_rate=1.0, depth=2)
    assert explorer.error is None and pages(explorer) == pages(expected)


def test_a_cell_that_resets_waits_for_the_frame_that_a_subshell_trains(make):
    explorer = make(train=False)
    busy, done = threading.Event(), threading.Event()
    trainer = explorer.trainers["with BN"]
    advance = trainer.advance
    trainer.advance = lambda steps: (busy.set(), done.wait(20), advance(steps))

    async def main():
        explorer.train()
        await explorer.task

    with ThreadPoolExecutor() as pool:
        subshell = pool.submit(asyncio.run, main())
        busy.wait(20)
        cell = pool.submit(explorer.reset)
        wait([cell], 0.3)  # long enough to have finished, if it did not wait
        done.set()
    assert subshell.result() is cell.result() is None  # neither has failed
    assert explorer.step_count == 0 and explorer.ready == 1 and not explorer.running
    assert pages(explorer) == pages(make(train=False))


# --- what can go wrong ----------------------------------------------------------------------------


def test_divergence_is_shown_not_raised(make):
    explorer = make(activation="relu", init_scale=5.0, depth=5, width=64, batch_size=64)
    at = explorer.recordings["without BN"].diverged_at
    assert at is not None and explorer.error is None
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


def test_an_exception_in_a_live_run_is_shown(make, monkeypatch):
    async def main():
        explorer = make(train=False)
        monkeypatch.setattr(explorer.trainers["with BN"], "advance", lambda steps: 1 / 0)
        explorer.train()
        with pytest.raises(ZeroDivisionError):
            await explorer.task
        assert isinstance(explorer.error, ZeroDivisionError)
        assert "ZeroDivisionError" in explorer._error_box.value
        assert not explorer.running
        explorer.buttons["Reset"].click()
        assert explorer.error is None
        explorer.train()
        await until(lambda: explorer.step_count == 10)
        explorer.task.cancel()  # as an interrupted kernel does
        await until(lambda: explorer.task is None)
        assert enabled(explorer) == {"Train", "Step", "Reset"} and explorer.error is None

    asyncio.run(main())


def test_settings_outside_the_lists_are_added_and_bad_ones_refused(make):
    explorer = make(learning_rate=0.05, batch_size=60, controls=["activation", "learning_rate"])
    assert ("0.05", 0.05) in explorer.controls["learning_rate"].options
    assert explorer.controls["learning_rate"].value == 0.05
    shown = [control.description for control in explorer.control_box.children]
    assert shown[:-1] == ["activation", "learning rate", "view"]  # then the status
    for bad in ({"steps": 31}, {"frames": 1}, {"frames": 62, "steps": 610}):
        with pytest.raises(ValueError, match="divide evenly"):
            make(**bad)
    with pytest.raises(ValueError, match="momentum"):
        make(controls=["momentum"])


# --- films of recordings --------------------------------------------------------------------------


def record(data, *sizes, every=1):
    sizes = [data.num_features, *sizes, 10]
    networks = {"without BN": mlp(sizes), "with BN": mlp(sizes, "batch")}
    recorder = Recorder(data, every, probe_size=20, eval_size=50, channels=4)
    runs = compare(networks, data, 80, 0.1, 16, recorder=recorder)
    return {name: run.recording for name, run in runs.items()}


def test_a_film_of_recordings(data):
    runs = record(data, 8)
    film = DistributionExplorer.from_recordings(runs)
    assert len(film.steps) == 61 and film.steps[0] == 0 and film.steps[-1] == 80
    assert film.sentence.startswith("Step 80 of 80.")
    assert "DistributionFilm, 80 training steps" in film.summary()
    short = DistributionFilm(runs, frames=5)
    assert short.steps == [0, 20, 40, 60, 80]
    short.frame = 2
    assert f"loss {runs['with BN'].loss[40]:.2f}" in short.sentence


def test_recordings_that_do_not_belong_together_are_refused(data):
    runs = record(data, 8, 8, every=20)
    bn = runs["with BN"]
    for recordings, message in (
        ({}, "side by side, got 0"),
        (dict.fromkeys("abcd", bn), "1 to 3 .* got 4"),
        ({"a": record(data, 8, every=20)["with BN"], "with BN": bn}, "as many hidden layers"),
        ({"a": replace(bn, channel_mean=None)}, r"single units.*'a'.*channels=8"),
        ({"a": record(data, 8, 8, every=40)["with BN"], "with BN": bn}, r"same steps.*'a'"),
    ):
        with pytest.raises(ValueError, match=message):
            DistributionFilm(recordings)
