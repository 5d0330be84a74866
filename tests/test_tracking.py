"""track: what it says of a momentum is what a network trained with that momentum holds."""

import numpy as np
import pytest
from cases import close, snapshot
from test_training import DATA, net_for

from bnlib import BatchNorm, accuracy, cnn, population_statistics, train
from bnlib.data import Data
from bnlib.tracking import track

SETTINGS = {"steps": 12, "lr": 0.2, "batch_size": 20, "seed": 3}
TEST = DATA.test_batch()


def norms(net):
    return [layer for layer in net.layers if isinstance(layer, BatchNorm)]


def statistics(net):
    return np.array(
        [
            np.concatenate([getattr(bn, k) for bn in norms(net)])
            for k in ("running_mean", "running_var")
        ]
    )


def trained(momentum, steps=12):
    """The ordinary way: the layers keep their running statistics while they train."""
    net = net_for("batch")
    for bn in norms(net):
        bn.momentum = momentum
    train(net, DATA, **SETTINGS | {"steps": steps})
    return net


@pytest.fixture(scope="module")
def run():
    return track(net_for("batch"), DATA, **SETTINGS, every=4, sample=60)


@pytest.mark.parametrize("momentum", [0.0, 0.1, 1.0, None])
@pytest.mark.parametrize("steps", [1, 12])
def test_running_is_what_a_network_trained_with_that_momentum_holds(run, momentum, steps):
    close(run.running(momentum)[steps], statistics(trained(momentum, steps)), 1e-12)
    assert run.running(momentum).shape == (13, 2, 16)
    assert (run.running(momentum)[0] == [[0.0], [1.0]]).all()


@pytest.mark.parametrize("momentum", [-0.1, 1.1, np.nan])
def test_a_momentum_out_of_range_is_refused(run, momentum):
    with pytest.raises(ValueError, match=r"momentum in \[0, 1\] or None, got"):
        run.running(momentum)


def test_frames_hold_weights_and_population_statistics(run):
    assert run.frames.tolist() == [0, 4, 8, 12] and run.diverged_at is None
    for frame, steps in enumerate(run.frames[1:], 1):
        net = trained(0.1, int(steps))
        close(run.weights[frame], net.flat_params, 1e-12)
        population_statistics(net, DATA, batch_size=60, n=60)
        close(run.population[frame], statistics(net), 1e-12)
    assert np.array_equal(run.weights[0], net_for("batch").flat_params)


@pytest.mark.parametrize("momentum", [0.1, 0.5])
def test_accuracies_are_those_of_the_networks(run, momentum):
    found = run.accuracies(run.running(momentum)[run.frames], *TEST)
    expected = [accuracy(trained(momentum, int(steps)), *TEST) for steps in run.frames[1:]]
    assert found[1:].tolist() == expected and found.shape == (4,)
    assert not np.array_equal(found, run.accuracies(run.population, *TEST))


def test_accuracies_leave_the_network_alone(run):
    before = snapshot(run.net)
    run.accuracies(run.population, *TEST)
    with pytest.raises(TypeError):
        run.accuracies(run.population, TEST[0], TEST[1].astype(float))
    assert snapshot(run.net) == before
    with pytest.raises(ValueError, match=r"statistics \(T, 2, U\) of shape \(4, 2, 16\), got"):
        run.accuracies(run.running(0.1), *TEST)


def test_the_network_is_trained_and_its_statistics_are_left_alone():
    net = net_for("batch").eval()
    before = statistics(net)
    track(net, DATA, **SETTINGS, every=5)
    assert np.array_equal(net.flat_params, trained(0.1).flat_params)
    assert np.array_equal(statistics(net), before)
    assert [bn.momentum for bn in norms(net)] == [0.1, 0.1] and not net.training


@pytest.mark.parametrize("lr", [1e60, 1e200, 1e300])
def test_a_run_that_diverges_says_when(lr):
    run = track(net_for("batch"), DATA, **SETTINGS | {"lr": lr}, every=4)
    assert run.diverged_at == len(run.batch) < 12
    assert np.isfinite(run.batch).all() and np.isfinite(run.population).all()
    assert run.running(0.1).shape == (len(run.batch) + 1, 2, 16)


def test_channels_of_a_cnn_are_units_too():
    images = np.random.default_rng(0).integers(0, 256, (30, 1, 8, 8)).astype(np.uint8)
    data = Data(images, np.arange(30) % 4, images, np.arange(30) % 4)
    net = cnn((1, 3, 5), norm="batch", image_size=8, num_classes=4)
    run = track(net, data, 2, 0.1, 10, every=1)
    assert run.batch.shape == (2, 2, 8) and run.population.shape == (3, 2, 8)
    assert run.accuracies(run.population, *data.test_batch()).shape == (3,)


@pytest.mark.parametrize("change", [{"steps": 0}, {"every": 0}, {"sample": 1}])
def test_settings_out_of_range_are_refused(change):
    net = net_for("batch")
    before = snapshot(net)
    with pytest.raises(ValueError, match=f"track expected {next(iter(change))} >= "):
        track(net, DATA, **SETTINGS | change)
    assert snapshot(net) == before


@pytest.mark.parametrize("momentum", [-0.1, 1.5, np.nan, "0.1"])
def test_a_momentum_that_is_no_weight_is_refused(momentum):
    with pytest.raises(ValueError, match=r"momentum in \[0, 1\] or None, got"):
        track(net_for("batch"), DATA, **SETTINGS).running(momentum)


def test_a_network_without_running_statistics_is_refused():
    with pytest.raises(ValueError, match="BatchNorm layers that keep statistics"):
        track(net_for(), DATA, **SETTINGS)
