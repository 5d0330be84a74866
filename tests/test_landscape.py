"""The loss along the gradient: the numbers are the definition's, and looking changes nothing."""

import numpy as np
import pytest

from bnlib import Trainer, load_mnist, mlp
from bnlib.landscape import follow, loss_along_gradient
from bnlib.losses import softmax_cross_entropy


@pytest.fixture
def batch():
    rng = np.random.default_rng(1)
    return rng.standard_normal((12, 7)), rng.integers(0, 3, 12)


@pytest.fixture(scope="module")
def data():
    return load_mnist(pool=True, n_train=300, n_test=50)


def test_along_the_gradient_is_the_definition_and_leaves_the_network_alone(batch):
    x, labels = batch
    net, distances = mlp([7, 5, 3], "batch", seed=3), np.array([0.1, 0.5])
    before, buffers = net.flat_params.copy(), {k: v.copy() for k, v in net.buffers.items()}
    along = loss_along_gradient(net, x, labels, distances)
    assert np.array_equal(net.flat_params, before)
    assert all(np.array_equal(net.buffers[k], v) for k, v in buffers.items())

    def look():
        loss, dlogits = softmax_cross_entropy(net(x), labels)
        net.backward(dlogits)
        return loss, net.flat_grads.copy()

    _, gradient = look()
    for i, distance in enumerate(distances):
        net.flat_params[...] = before - distance * gradient
        loss, there = look()
        change = np.linalg.norm(there - gradient)
        assert along.losses[i] == pytest.approx(loss)
        assert along.turned[i] == pytest.approx(change / np.linalg.norm(gradient))
        assert along.smoothness[i] == pytest.approx(along.turned[i] / distance)


def test_at_distance_zero_is_the_loss_here(batch):
    net = mlp([7, 5, 3], "batch", seed=3)
    along = loss_along_gradient(net, *batch, np.array([0.0, 0.1]))
    assert along.losses[0] == softmax_cross_entropy(net(batch[0]), batch[1])[0]
    assert along.turned[0] == 0 and np.isnan(along.smoothness[0])
    (losses, *_) = loss_along_gradient(net, *batch, np.array([0.1]))
    assert along.losses[1] == losses[0]


@pytest.mark.parametrize("norm", [None, "batch"])
def test_follow_trains_as_the_trainer_does_and_looks_in_between(data, norm):
    sizes, distances, lr = [196, 9, 8, 10], np.array([0.0, 0.5, 1.5]), 0.2
    net, other = (mlp(sizes, norm, seed=2) for _ in range(2))
    looks = follow(net, data, lr, 32, 5, steps=9, every=3, distances=distances, sample=40)
    trainer, (x, labels) = Trainer(other, data, lr, 32, 5), data.batch(slice(0, 40), np.float64)
    for i in range(4):
        along = loss_along_gradient(other, x, labels, lr * distances)
        assert np.array_equal(looks.losses[i], along.losses)
        assert np.array_equal(looks.turned[i], along.turned)
        assert looks.ranges[i] == max(along.losses) - min(along.losses)
        assert looks.turns[i] == max(along.turned)
        if i < 3:
            trainer.advance(3)
    assert looks.steps.tolist() == [0, 3, 6, 9] and looks.diverged_at is None
    assert np.array_equal(net.flat_params, other.flat_params)
    assert all(np.array_equal(net.buffers[k], v) for k, v in other.buffers.items())


def test_a_run_that_diverges_ends_there(data):
    looks = follow(mlp([196, 9, 10]), data, 1e200, 32, steps=8, every=2, sample=40)
    assert looks.diverged_at is not None and len(looks.steps) < 5
    assert np.isfinite(looks.losses).all() and looks.losses.shape == (len(looks.steps), 7)


@pytest.mark.parametrize(
    "setting, says",
    [
        ({"steps": 10, "every": 3}, "multiple of every, got 10 and 3"),
        ({"steps": 0}, "follow expected steps >= 1"),
        ({"every": 0}, "follow expected every >= 1"),
        ({"distances": [0.0]}, "rise from 0 or more"),
        ({"distances": [0.0, 1.0, 0.5]}, "rise from 0 or more"),
        ({"distances": [-0.5, 1.0]}, "rise from 0 or more"),
        ({"lr": 0.0}, "finite lr > 0"),
        ({"sample": 0}, "follow expected sample >= 1"),
    ],
)
def test_other_settings_are_refused_in_words(data, setting, says):
    with pytest.raises(ValueError, match=says):
        follow(mlp([196, 4, 10]), data, **{"lr": 0.1} | setting)


def test_distances_that_are_none_are_refused_in_words(batch):
    net = mlp([7, 5, 3])
    with pytest.raises(ValueError, match=r"distances \(k,\) with k >= 1, got shape \(0,\)"):
        loss_along_gradient(net, *batch, np.array([]))
    with pytest.raises(TypeError, match="real numbers in distances, got None"):
        loss_along_gradient(net, *batch, None)
