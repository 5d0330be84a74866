"""RunningStatisticsExplorer: what it shows is what a network trained that way would hold."""

import numpy as np
import pytest

from bnlib import BatchNorm, Trainer, accuracy, load_mnist, mlp, population_statistics
from bnlib.widgets import RunningStatisticsExplorer
from bnlib.widgets.running import BATCHES, MOMENTA, RATES

SMALL = {"steps": 40, "every": 10, "hidden": (12, 8), "sample": 300, "test_size": 200}


@pytest.fixture(scope="module")
def data():
    return load_mnist(pool=True, n_train=1500, n_test=300)


@pytest.fixture
def explorer(data):
    return RunningStatisticsExplorer(data, **SMALL)


def trained(data, momentum, batch_size=64, lr=0.1, steps=40):
    """The ordinary way: the layers keep their running statistics while they train."""
    net = mlp([196, 12, 8, 10], norm="batch", seed=0, dtype=np.float32)
    for bn in norms(net):
        bn.momentum = momentum
    Trainer(net, data, lr, batch_size, seed=0).advance(steps)
    return net


def norms(net):
    return [layer for layer in net.layers if isinstance(layer, BatchNorm)]


def buffers(net, name):
    return np.concatenate([getattr(bn, name) for bn in norms(net)])


@pytest.mark.parametrize("momentum", [0.1, 0.01, 0.9])
@pytest.mark.parametrize("batch_size", [64, 4])
def test_running_statistics_are_those_of_a_network_trained_with_that_momentum(
    explorer, data, momentum, batch_size
):
    explorer.controls["batch_size"].value = batch_size
    explorer.controls["momentum"].value = momentum
    net = trained(data, momentum, batch_size)
    np.testing.assert_allclose(explorer.running[-1, 0], buffers(net, "running_mean"), atol=1e-5)
    np.testing.assert_allclose(explorer.running[-1, 1], buffers(net, "running_var"), rtol=1e-4)
    images, labels = data.test_batch(200, np.float32)
    assert explorer.running_accuracy[-1] == pytest.approx(accuracy(net, images, labels), abs=0.011)


def test_population_statistics_are_those_of_the_training_images(explorer, data):
    net = population_statistics(trained(data, 0.1), data, batch_size=300, n=300)
    population = explorer.run.population[-1]
    np.testing.assert_allclose(population[0], buffers(net, "running_mean"), atol=1e-5)
    np.testing.assert_allclose(population[1], buffers(net, "running_var"), rtol=1e-4)
    images, labels = data.test_batch(200, np.float32)
    expected = accuracy(net, images, labels)
    assert explorer.population_accuracy[-1] == pytest.approx(expected, abs=0.011)


def test_running_statistics_start_at_zero_and_one(explorer):
    assert (explorer.running[0, 0] == 0).all() and (explorer.running[0, 1] == 1).all()


def test_a_small_momentum_lags_behind(explorer):
    def distance():
        return np.abs(explorer.running[-1, 0] - explorer.run.population[-1, 0]).mean()

    explorer.controls["momentum"].value = 0.1
    near = distance()
    explorer.controls["momentum"].value = 0.001
    assert distance() > 3 * near


def test_momentum_does_not_train_again_but_the_other_settings_do(explorer):
    run, png = explorer.run, explorer.png
    explorer.controls["momentum"].value = 0.001
    assert explorer.run is run
    assert explorer.png != png
    explorer.controls["learning_rate"].value = 0.3
    assert explorer.run is not run
    run = explorer.run
    explorer.controls["batch_size"].value = 32
    assert explorer.run is not run


def test_unit_and_layer_show_other_statistics(explorer):
    sentences = {explorer.sentence}
    for name, value in (("unit", 3), ("layer", 1)):
        explorer.controls[name].value = value
        column = explorer.controls["unit"].value + (
            0 if explorer.controls["layer"].value == 1 else 12
        )
        shown = explorer.running[-1, 0, column]
        assert f"running mean {shown:.2f} (" in explorer.sentence
        sentences.add(explorer.sentence)
    assert len(sentences) == 3


def test_every_control_over_its_whole_range(explorer):
    for name, values in {
        "momentum": MOMENTA,
        "batch_size": BATCHES,
        "learning_rate": RATES,
        "layer": [1, 2],
        "unit": [0, 7],
    }.items():
        for value in values:
            explorer.controls[name].value = value
            assert explorer.error is None
            assert np.isfinite(explorer.running_accuracy).all()
            assert "nan" not in explorer.sentence
            assert len(explorer.sentence) < 230  # two lines of the caption


@pytest.mark.parametrize("learning_rate", [1e12, 1e30, 1e200])
def test_a_network_that_diverges_is_shown_as_such(data, learning_rate):
    explorer = RunningStatisticsExplorer(data, **SMALL, learning_rate=learning_rate)
    assert explorer.run.diverged_at is not None
    assert explorer.error is None
    assert f"diverged at step {explorer.run.diverged_at}" in explorer.sentence
    explorer.controls["learning_rate"].value = 0.1
    assert "diverged" not in explorer.sentence


def test_the_summary_holds_on_every_processor(explorer):
    explorer.controls["learning_rate"].value = 0.3
    assert explorer.summary() == (
        "RunningStatisticsExplorer: momentum 0.1, batch size 64, learning rate 0.3: "
        "at least 50 % accuracy with the running statistics after 40 steps."
    )
    assert explorer._repr_mimebundle_()["text/plain"] == explorer.summary()


def test_steps_must_divide_into_frames(data):
    with pytest.raises(ValueError, match="divide evenly into frames"):
        RunningStatisticsExplorer(data, steps=45, every=10)
