"""What the length of the weights in front of BN means: nothing, but for eps (notebook 11)."""

import numpy as np
import pytest

from bnlib.functional import batch_norm, batch_norm_backward
from bnlib.losses import softmax_cross_entropy
from bnlib.network import mlp
from bnlib.norms import BatchNorm

IN_FRONT = ("0.weight", "3.weight")  # of a BN; the last layer's weights are not


def network(eps, seed=0):
    net = mlp([20, 16, 16, 5], "batch", seed=seed)
    for layer in net.layers:
        if isinstance(layer, BatchNorm):
            layer.eps = eps
    return net


def batches(n, seed=1):
    rng = np.random.default_rng(seed)
    return [(rng.normal(1, 2, (32, 20)), rng.integers(0, 5, 32)) for _ in range(n)]


def loss_and_gradients(net, batch):
    loss, dlogits = softmax_cross_entropy(net(batch[0]), batch[1])
    net.backward(dlogits)
    return loss, {name: g.copy() for name, g in net.grads.items()}


def decayed_and_grown(eps, steps=100, lr=0.1, decay=0.3):
    """Losses with weight decay, and with the rate that grows instead (Li & Arora 2020)."""
    both, a = [], 1 - lr * decay
    for grows in (False, True):
        net, losses = network(eps), []
        for t, batch in enumerate(batches(steps)):
            loss, grads = loss_and_gradients(net, batch)
            losses.append(loss)
            for name, w in net.params.items():
                in_front = name in IN_FRONT
                w *= a if in_front and not grows else 1.0
                w -= lr * (a ** (-2 * t - 1) if in_front and grows else 1.0) * grads[name]
        both.append(losses)
    return np.array(both)


@pytest.mark.parametrize("scale", [1e-3, 3.0, 1e4])
@pytest.mark.parametrize("name", IN_FRONT)
def test_a_scale_leaves_the_loss_and_divides_the_gradient(name, scale):
    net, (batch,) = network(eps=0), batches(1)
    loss, before = loss_and_gradients(net, batch)
    net.params[name][...] *= scale
    scaled, after = loss_and_gradients(net, batch)
    assert scaled == pytest.approx(loss, rel=1e-12)
    np.testing.assert_allclose(after[name] * scale, before[name], rtol=0, atol=1e-12)


def test_the_last_layer_is_not_scale_invariant():
    net, (batch,) = network(eps=0), batches(1)
    loss, _ = loss_and_gradients(net, batch)
    net.params["6.weight"][...] *= 3
    assert abs(loss_and_gradients(net, batch)[0] - loss) > 0.1


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("name", IN_FRONT)
def test_the_gradient_is_at_right_angles_and_a_step_makes_the_weights_longer(name, seed):
    net, (batch,) = network(0, seed), batches(1, seed)
    _, grads = loss_and_gradients(net, batch)
    w, g = net.params[name], grads[name]
    assert abs((w * g).sum()) <= 1e-13 * np.linalg.norm(w) * np.linalg.norm(g)
    grown = ((w - 0.7 * g) ** 2).sum() - (w**2).sum()
    assert grown == pytest.approx(0.7**2 * (g**2).sum(), rel=1e-10)


def test_weight_decay_in_front_of_bn_is_a_growing_rate():
    decayed, grown = decayed_and_grown(eps=0)
    assert np.ptp(decayed) > 0.5  # it learns something
    np.testing.assert_allclose(decayed, grown, rtol=0, atol=1e-10)


def test_eps_breaks_that():
    decayed, grown = decayed_and_grown(eps=1e-3)
    assert abs(decayed - grown).max() > 1e-3


@pytest.mark.parametrize("n", [3, 8, 64])
def test_the_length_of_dx_is_what_the_two_directions_leave(n):
    """Santurkar et al. 2018, Theorem 4.1, for one layer and with equality (eps = 0)."""
    rng = np.random.default_rng(n)
    x, dy, gamma = rng.normal(3, 2, (n, 6)), rng.normal(size=(n, 6)), rng.normal(1, 0.5, 6)
    xhat = (x - x.mean(axis=0)) / x.std(axis=0)
    dx = batch_norm_backward(dy, batch_norm(x, gamma, np.zeros(6), eps=0)[1])[0]
    left = (dy**2).sum(0) - dy.sum(0) ** 2 / n - (xhat * dy).sum(0) ** 2 / n
    np.testing.assert_allclose((dx**2).sum(0), (gamma / x.std(axis=0)) ** 2 * left, rtol=1e-12)
