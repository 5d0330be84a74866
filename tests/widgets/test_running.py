"""RunningStatisticsExplorer: what it shows is what a network trained that way would hold."""

import numpy as np
import pytest

from bnlib import load_mnist, mlp
from bnlib.tracking import track
from bnlib.widgets import RunningStatisticsExplorer

SMALL = {"steps": 40, "every": 10, "hidden": (12, 8), "sample": 300, "test_size": 200}


@pytest.fixture(scope="module")
def data():
    return load_mnist(pool=True, n_train=1500, n_test=300)


@pytest.fixture(scope="module")
def explorer(data):
    return RunningStatisticsExplorer(data, **SMALL)


def test_it_shows_what_track_measures(explorer, data):
    explorer.controls["momentum"].value = 0.01
    net = mlp([196, 12, 8, 10], norm="batch", seed=0, dtype=np.float32)
    run = track(net, data, 40, 0.1, 64, every=10, sample=300)
    running, population = run.running(0.01), run.population
    column = 12 + explorer.controls["unit"].value  # layer 2
    for i in (0, 1):
        np.testing.assert_array_equal(explorer._running[i].get_ydata(), running[:, i, column])
        np.testing.assert_array_equal(explorer._population[i].get_ydata(), population[:, i, column])
        np.testing.assert_array_equal(explorer._batch[i].get_ydata(), run.batch[:, i, column])
    images, labels = data.test_batch(200, np.float32)
    accuracies = run.accuracies(running[run.frames], images, labels)
    np.testing.assert_array_equal(explorer._running[2].get_ydata(), accuracies)
    accuracies = run.accuracies(population, images, labels)
    np.testing.assert_array_equal(explorer._population[2].get_ydata(), accuracies)


def test_momentum_does_not_train_again_but_the_other_settings_do(explorer):
    explorer.controls["momentum"].value = 0.1
    run, png = explorer.run, explorer.png
    explorer.controls["momentum"].value = 0.001
    assert explorer.run is run
    assert explorer.png != png
    explorer.controls["momentum"].value = 0.1
    explorer.controls["learning_rate"].value = 0.3
    assert explorer.run is not run
    summary = explorer.summary()
    assert summary == (
        "RunningStatisticsExplorer: momentum 0.1, batch size 64, learning rate 0.3: "
        "at least 50 % accuracy with the running statistics after 40 steps."
    )
    assert explorer._repr_mimebundle_()["text/plain"] == summary
    run = explorer.run
    explorer.controls["batch_size"].value = 32
    assert explorer.run is not run


def test_unit_and_layer_show_other_statistics(explorer):
    explorer.controls["momentum"].value = 0.3
    for name, value, column in (("unit", 3, 15), ("layer", 1, 3)):
        before = explorer.sentence
        explorer.controls[name].value = value
        shown = explorer.averages[-1, 0, column]
        assert f"running mean {shown:.2f} (" in explorer.sentence != before


@pytest.mark.parametrize("learning_rate", [1e12, 1e200])
def test_a_network_that_diverges_is_shown_as_such(data, learning_rate):
    explorer = RunningStatisticsExplorer(data, **SMALL, learning_rate=learning_rate)
    assert explorer.run.diverged_at is not None
    assert explorer.error is None
    assert f"diverged at step {explorer.run.diverged_at}" in explorer.sentence
    assert "After 0 steps: running mean 0.00 (" in explorer.sentence
    assert ", variance 1.00 (" in explorer.sentence
    explorer.controls["learning_rate"].value = 0.1
    assert "diverged" not in explorer.sentence


def test_steps_must_divide_into_frames(data):
    with pytest.raises(ValueError, match="divide evenly into frames"):
        RunningStatisticsExplorer(data, steps=45, every=10)
