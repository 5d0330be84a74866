"""One BLAS thread: inside the block, in every function that trains, whatever the environment."""

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import threadpoolctl
from test_training import DATA, Watched, net_for

import bnlib
from bnlib import threads
from bnlib.threads import blas_threads, one_blas_thread


@pytest.fixture(autouse=True)
def two_threads():
    """As on a machine where nobody has set anything."""
    if blas_threads() is None:
        pytest.skip("NumPy's BLAS is not one that threadpoolctl knows")
    with threadpoolctl.threadpool_limits(2, user_api="blas"):
        assert blas_threads() == 2
        yield


def test_one_inside_the_block_and_as_before_after_it():
    with one_blas_thread():
        assert blas_threads() == 1
        with one_blas_thread():
            assert blas_threads() == 1
        assert blas_threads() == 1
    assert blas_threads() == 2


def test_an_error_ends_the_block_too():
    with pytest.raises(ZeroDivisionError), one_blas_thread():
        raise ZeroDivisionError
    assert blas_threads() == 2


def test_the_block_of_another_python_thread_goes_on_when_mine_ends():
    entered, end, seen = threading.Event(), threading.Event(), []

    def other():
        with one_blas_thread():
            entered.set()
            end.wait(10)
            seen.append(blas_threads())
        seen.append(blas_threads())

    thread = threading.Thread(target=other)
    with one_blas_thread():
        thread.start()
        entered.wait(10)
    assert blas_threads() == 1  # the other's block is open
    end.set()
    thread.join()
    assert seen == [1, 2] and blas_threads() == 2


def test_a_python_thread_of_an_executor_is_limited_too():
    with one_blas_thread():  # the main thread has had its turn
        pass
    with ThreadPoolExecutor(1) as executor:
        seen = executor.submit(lambda: one_blas_thread()(blas_threads)()).result()
    assert seen == 1 and blas_threads() == 2


WORK = {
    "train": lambda net, data: bnlib.train(net, data, 2, 0.1, 20),
    "compare": lambda net, data: bnlib.compare({"a": net, "b": net_for("batch")}, data, 2, 0.1, 20),
    "advance": lambda net, data: bnlib.Trainer(net, data, 0.1, 20).advance(2),
}


@pytest.mark.parametrize("work", WORK.values(), ids=WORK.keys())
def test_training_works_in_one_thread(work):
    seen = []
    data = Watched(lambda count, x, labels: (seen.append(blas_threads()) or x, labels))
    work(net_for("batch"), data)
    assert set(seen) == {1} and len(seen) >= 2
    assert blas_threads() == 2


def test_measuring_works_in_one_thread(monkeypatch):
    seen = []
    forward = bnlib.Sequential.forward

    def watched(net, x):
        seen.append(blas_threads())
        return forward(net, x)

    monkeypatch.setattr(bnlib.Sequential, "forward", watched)
    monkeypatch.setattr(bnlib.Sequential, "__call__", watched)
    net = net_for("batch")
    net(DATA.batch(slice(0, 30))[0])
    assert seen == [2]
    bnlib.accuracy(net, *DATA.test_batch())
    bnlib.Recorder(DATA).record(net, 0, 1.0)
    bnlib.population_statistics(net, DATA, 20)
    assert len(seen) >= 6 and set(seen[1:]) == {1}


def test_the_number_in_training_is_looked_up_in_training(monkeypatch):
    assert bnlib.training_blas_threads() == 1
    monkeypatch.setattr(threads, "_set", lambda library, count: None)  # limits have no effect
    assert bnlib.training_blas_threads() == 2


def test_no_known_blas_is_no_error(monkeypatch):
    monkeypatch.setattr(threads, "_blas", lambda: [])
    with one_blas_thread():
        assert blas_threads() is None
    assert bnlib.training_blas_threads() is None


@pytest.mark.parametrize("count", ["2", None])
def test_one_line_sets_it_for_the_whole_process(count):
    program = (
        "import bnlib\n"
        "bnlib.use_one_blas_thread()\n"
        "bnlib.use_one_blas_thread()\n"
        "with bnlib.one_blas_thread(): pass\n"
        "print(bnlib.blas_threads())"
    )
    env = {k: v for k, v in os.environ.items() if not k.endswith("_NUM_THREADS")}
    env |= {} if count is None else {"OPENBLAS_NUM_THREADS": count}
    run = [sys.executable, "-c", program]
    assert subprocess.run(run, env=env, capture_output=True, text=True).stdout == "1\n"
