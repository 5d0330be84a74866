"""signal_profile: its numbers are those of the definition, and looking changes nothing."""

import numpy as np
import pytest
from cases import snapshot

from bnlib import mlp
from bnlib.losses import softmax_cross_entropy
from bnlib.network import cnn
from bnlib.profile import signal_profile


@pytest.fixture
def batch():
    rng = np.random.default_rng(1)
    return rng.standard_normal((12, 7)), rng.integers(0, 3, 12)


def test_it_is_the_definition_for_three_layers_of_relu(batch):
    h, labels = batch
    net = mlp([7, 5, 4, 6, 3], seed=3)
    profile = signal_profile(net, h, labels)
    net.flat_grads[...] = np.nan
    net.backward(softmax_cross_entropy(net(h), labels)[1])
    assert profile.std.shape == profile.gradient_norm.shape == (3,)
    for layer in range(3):
        h = np.maximum(h @ net.params[f"{2 * layer}.weight"], 0)
        assert profile.std[layer] == pytest.approx(np.sqrt(np.mean((h - h.mean()) ** 2)))
        assert profile.mean_square[layer] == pytest.approx(np.mean(h**2))
        unit = [np.sqrt(np.mean((column - column.mean()) ** 2)) for column in h.T]
        assert profile.unit_std[layer] == pytest.approx(np.mean(unit))
        gradient = net.grads[f"{2 * layer}.weight"]
        assert profile.gradient_norm[layer] == pytest.approx(np.linalg.norm(gradient))


@pytest.mark.parametrize("training", [True, False])
def test_looking_changes_neither_parameters_nor_statistics_nor_mode(batch, training):
    net = mlp([7, 5, 4, 3], norm="batch")
    if not training:
        net.eval()
    before = snapshot(net)
    found = signal_profile(net, *batch)
    assert snapshot(net) == before
    assert np.array_equal(found.std, signal_profile(mlp([7, 5, 4, 3], "batch"), *batch).std)
    assert net.training is training and all(a.training is training for a in net.layers)


def test_a_cnn_has_one_number_for_each_block():
    rng = np.random.default_rng(0)
    profile = signal_profile(
        cnn((1, 3, 4), norm="batch", image_size=8), rng.random((5, 1, 8, 8)), np.arange(5)
    )
    assert profile.std.shape == profile.gradient_norm.shape == (2,)
    assert (profile.gradient_norm > 0).all()
