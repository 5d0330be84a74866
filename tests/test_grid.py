"""sweep(): the same in one process, in many and on a cluster, and nothing that is done is lost."""

import multiprocessing
import os
import signal
import threading
from concurrent.futures import Executor, Future, ProcessPoolExecutor

import numpy as np
import pytest

import bnlib
from bnlib.grid import SweepResult, sweep
from bnlib.network import NORMS

DATA = {"pool": True, "n_train": 600, "n_test": 100}
SIZES = [196, 20, 20, 10]
GRID = {"norm": [None, "batch"], "lr": [0.1, 1e12, 0.5], "init_scale": [0.5, 1.5, 0.7, 1.1]}
POINTS = 24
SHARED = {"steps": 60, "batch_size": 30, "seed": 3, "progress": False}
ARRAYS = ("loss", "accuracy", "diverged_at", "done")


@pytest.fixture(scope="module")
def expected():
    """The whole grid, in this process."""
    return sweep(DATA, SIZES, GRID, **SHARED)


def same(a, b):
    return all(np.array_equal(getattr(a, k), getattr(b, k), equal_nan=k != "done") for k in ARRAYS)


def test_every_point_is_a_run_of_train(expected):
    data = bnlib.load_mnist(**DATA)
    for i, norm in enumerate(GRID["norm"]):
        for j, lr in enumerate(GRID["lr"]):
            for k, scale in enumerate(GRID["init_scale"]):
                net = bnlib.mlp(SIZES, norm=norm, init_scale=scale, seed=3)
                run = bnlib.train(net, data, 60, lr, 30, seed=3)
                if run.diverged_at is None:
                    assert expected.loss[i, j, k] == np.mean(run.losses[-20:])
                    assert expected.accuracy[i, j, k] == bnlib.accuracy(net, *data.test_batch())
                    assert expected.diverged_at[i, j, k] == -1
                else:
                    assert expected.loss[i, j, k] == np.inf
                    assert np.isnan(expected.accuracy[i, j, k])
                    assert expected.diverged_at[i, j, k] == run.diverged_at
    assert expected.stopped is None and expected.done.all()
    # The grid has both outcomes, and its points differ: the comparisons above can fail.
    assert 0 < (expected.diverged_at >= 0).sum() < 12
    finite = expected.loss[np.isfinite(expected.loss)]
    assert len(set(finite.tolist())) == finite.size > 12


def test_every_norm_of_an_mlp_is_a_value_of_the_grid():
    norms = [norm for norm in NORMS if norm != "instance"]
    shared = SHARED | {"batch_size": 32}  # two ghost batches of 16
    result = sweep(DATA, SIZES, {"norm": norms}, lr=0.3, **shared)
    assert (result.accuracy > 0.4).all() and len(set(result.loss.tolist())) == len(norms) == 7
    with pytest.raises(ValueError, match="a norm for units, got norm='instance'"):
        sweep(DATA, SIZES, {"norm": ["instance"]}, lr=0.3, **SHARED)


def test_at_picks_a_part_of_the_grid(expected):
    assert expected.accuracy[expected.at(norm="batch")].shape == (3, 4)
    assert expected.loss[expected.at(norm=None, lr=0.5, init_scale=1.5)] == expected.loss[0, 2, 1]
    with pytest.raises(KeyError, match="beta"):
        expected.at(beta=1)
    with pytest.raises(ValueError, match=r"the grid has lr \[0.1, .*, got 7"):
        expected.at(lr=7)


class Watched(Executor):
    """Passes jobs on, and calls ``then`` once when ``count`` of them are done."""

    def __init__(self, executor, count, then):
        self.executor, self.count, self.then = executor, count, then
        self.lock = threading.Lock()

    def submit(self, function, *args):
        future = self.executor.submit(function, *args)
        future.add_done_callback(self.done)
        return future

    def done(self, _):
        with self.lock:
            self.count -= 1
            last = self.count == 0
        if last:
            self.then()


def test_a_killed_worker_process_costs_only_unfinished_runs(expected):
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, mp_context=context) as executor:

        def kill():
            os.kill(next(iter(executor._processes)), signal.SIGKILL)

        result = sweep(DATA, SIZES, GRID, executor=Watched(executor, 3, kill), **SHARED)
    assert 3 <= result.done.sum() < POINTS, result
    assert "worker killed" in result.stopped and "resume" in result.stopped
    assert np.isnan(result.loss[~result.done]).all()
    assert np.array_equal(result.loss[result.done], expected.loss[result.done])
    before = result.done.copy()
    assert same(sweep(DATA, SIZES, GRID, resume=result, **SHARED), expected)
    assert np.array_equal(result.done, before)  # resuming works on a copy


def test_a_dask_cluster_survives_a_killed_worker_and_gives_the_same_to_the_bit(expected, tmp_path):
    distributed = pytest.importorskip("distributed")
    settings = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
    settings |= {"host": "127.0.0.1", "local_directory": str(tmp_path), "silence_logs": 50}
    with (
        distributed.LocalCluster(**settings, processes=True) as cluster,
        distributed.Client(cluster) as client,
    ):
        pids = {w.process.pid for w in cluster.workers.values()}

        def kill():
            os.kill(min(pids), signal.SIGKILL)

        executor = Watched(client.get_executor(), 3, kill)
        result = sweep(DATA, SIZES, GRID, executor=executor, **SHARED)
        # The cluster itself starts another worker and runs the lost ones again.
        assert result.stopped is None and same(result, expected)
        assert set(client.run(os.getpid).values()) != pids


def test_an_interrupt_keeps_what_is_done_and_resume_does_the_rest(expected, monkeypatch, tmp_path):
    """Resumed from the result itself, and once it was saved and loaded."""
    run_one, calls = bnlib.grid.run_one, []

    def interrupted(*args):
        calls.append(args)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return run_one(*args)

    monkeypatch.setattr(bnlib.grid, "run_one", interrupted)
    result = sweep(DATA, SIZES, GRID, **SHARED)
    assert result.done.sum() == 4 and result.stopped.startswith("stopped by an interrupt")
    assert "4 of 24 runs done" in repr(result) and "resume" in repr(result)
    assert result.save(tmp_path / "part") == tmp_path / "part.npz"
    loaded = SweepResult.load(tmp_path / "part")
    assert same(loaded, result) and repr(loaded) == repr(result)
    assert (loaded.grid, loaded.settings) == (result.grid, result.settings)
    for part in (result, loaded):
        calls[:] = [None] * 5
        assert same(sweep(DATA, SIZES, GRID, resume=part, **SHARED), expected)
        assert len(calls) == 5 + POINTS - 4  # none twice
        assert part.done.sum() == 4  # resuming works on a copy


class Half(Executor):
    """Runs the first half of the jobs at once, leaves the rest in the queue."""

    def __init__(self):
        self.futures = []

    def submit(self, function, *args):
        self.futures.append(future := Future())
        if len(self.futures) <= POINTS // 2:
            future.set_result(function(*args))
        return future


def test_an_interrupt_with_an_executor_keeps_what_is_done_and_cancels_the_rest(monkeypatch):
    executor = Half()

    def impatient(futures):
        yield next(iter(futures))
        raise KeyboardInterrupt

    monkeypatch.setattr(bnlib.grid, "as_completed", impatient)
    result = sweep(DATA, SIZES, GRID, executor=executor, **SHARED)
    assert result.done.sum() == POINTS // 2 and "interrupt" in result.stopped
    assert [f.cancelled() for f in executor.futures] == [False] * 12 + [True] * 12


def test_an_executor_that_is_shut_down_loses_nothing_and_says_so(expected):
    executor = ProcessPoolExecutor(1)
    executor.shutdown()
    result = sweep(DATA, SIZES, GRID, executor=executor, resume=None, **SHARED)
    assert not result.done.any() and "shutdown" in result.stopped
    assert same(sweep(DATA, SIZES, GRID, resume=result, **SHARED), expected)


@pytest.mark.parametrize("executor", [None, Half()])
def test_an_error_in_a_run_is_raised(executor):
    with pytest.raises(ValueError, match=r"lr > 0, .*got -1"):
        sweep(DATA, SIZES, {"lr": [0.1, -1]}, executor=executor, **SHARED)


@pytest.mark.parametrize(
    ("grid", "shared", "words"),
    [
        ({}, {"lr": 1}, "at least one value"),
        ({"lr": []}, {}, "at least one value"),
        ({"learning_rate": [1]}, {}, r"got \['learning_rate'\]"),
        ({"lr": [1]}, {"epochs": 3}, r"got \['epochs'\]"),
        ({"lr": [1]}, {"lr": 1}, "leave one out"),
        ({"init_scale": [1]}, {}, r"needs \['lr'\]"),
        ({"lr": [1], "norm": [None, "bach"]}, {}, "norm expected one of"),
        ({"lr": [1]}, {"steps": 0}, "steps >= 1, a whole number, got 0"),
        ({"lr": [1]}, {"eval_size": 0}, "eval_size >= 1, a whole number, got 0"),
    ],
)
def test_a_wrong_setting_stops_before_the_first_run(grid, shared, words, monkeypatch):
    monkeypatch.setattr(bnlib.grid, "run_one", None)
    with pytest.raises(ValueError, match=words):
        sweep(DATA, SIZES, grid, **SHARED | shared)
    for value in ("batch", 0.1, None):
        with pytest.raises(TypeError, match="expected a list of values for norm, got"):
            sweep(DATA, SIZES, {"norm": value}, lr=0.1, **SHARED)


@pytest.mark.parametrize(
    "change, words",
    [
        ({"grid": [0.1]}, "a grid as a dict of name -> values, got list"),
        ({"data": None}, "a Data, or a dict of load_mnist's arguments, got NoneType"),
        ({"sizes": 100}, "a list of values for sizes, got 100"),
        ({"resume": True}, "resume as a SweepResult, got bool"),
        ({"executor": 4}, "executor with a submit, .*, got int"),
    ],
)
def test_arguments_of_another_kind_are_refused_in_words(change, words):
    with pytest.raises(TypeError, match=words):
        sweep(**{"data": DATA, "sizes": SIZES, "grid": {"lr": [0.1]}} | SHARED | change)


def test_resume_must_belong_to_the_same_sweep(expected):
    for arguments in (
        ({"pool": True}, SIZES, GRID, SHARED),
        (DATA, [196, 20, 10], GRID, SHARED),
        (DATA, SIZES, GRID | {"lr": [0.1, 0.2]}, SHARED),
        (DATA, SIZES, GRID, SHARED | {"steps": 61}),
    ):
        *positional, shared = arguments
        with pytest.raises(ValueError, match="same sweep"):
            sweep(*positional, resume=expected, **shared)


def test_data_itself_works_too_and_two_sets_are_told_apart():
    settings = {"lr": 0.1, "steps": 2, "batch_size": 30, "progress": False}
    data, same_images, other = (bnlib.load_mnist(**DATA | {"n_test": n}) for n in (100, 100, 99))
    result = sweep(data, SIZES, {"seed": [0, 1, 0]}, **settings)
    assert result.loss[0] == result.loss[2] != result.loss[1]
    assert same(result, sweep(DATA, SIZES, {"seed": [0, 1, 0]}, **settings))
    sweep(same_images, SIZES, {"seed": [0, 1, 0]}, resume=result, **settings)
    with pytest.raises(ValueError, match=r"same sweep.* differs in data"):
        sweep(other, SIZES, {"seed": [0, 1, 0]}, resume=result, **settings)


# -- Saving ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("load", [dict, bnlib.load_mnist], ids=["arguments", "Data"])
def test_types_of_numpy_survive_saving(tmp_path, load):
    data = load(**DATA)
    grid = {
        "dtype": [np.float32, np.float64], "lr": np.geomspace(0.1, 1, 2), "seed": np.arange(2),
    }  # fmt: skip
    settings = {"steps": np.int64(2), "batch_size": 30, "progress": False}
    result = sweep(data, SIZES, grid, **settings)
    result.save(tmp_path / "run")
    loaded = SweepResult.load(tmp_path / "run")
    assert loaded.grid == result.grid and loaded.settings == result.settings
    assert (
        loaded.loss[loaded.at(dtype=np.float32, seed=1)].tolist() == result.loss[0, :, 1].tolist()
    )
    assert same(sweep(data, SIZES, grid, resume=loaded, **settings), result)


CHANGES = {
    "an array missing": lambda arrays: arrays.pop("loss"),
    "an array too many": lambda arrays: arrays.update(other=np.ones(2)),
    "another shape": lambda arrays: arrays.update(accuracy=arrays["accuracy"][:1]),
    "another kind": lambda arrays: arrays.update(done=arrays["done"].astype(float)),
    "no description": lambda arrays: arrays.update(told=np.array("{")),
    "half a description": lambda arrays: arrays.update(told=np.array('{"grid": {}}')),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_a_file_that_is_not_a_sweep_result_is_refused(expected, tmp_path, change):
    expected.save(tmp_path / "run")
    with np.load(tmp_path / "run.npz") as archive:
        arrays = dict(archive)
    change(arrays)
    np.savez(tmp_path / "run.npz", **arrays)
    with pytest.raises(ValueError, match=r"expected a SweepResult with .*: was it saved by"):
        SweepResult.load(tmp_path / "run")


def test_progress_shows_a_bar_only_when_asked(capsys):
    for progress in (False, None, True):
        sweep(DATA, SIZES, {"lr": [0.1]}, steps=2, batch_size=30, progress=progress)
        out, err = capsys.readouterr()
        assert out == "" and ("1/1" in err) == bool(progress)
