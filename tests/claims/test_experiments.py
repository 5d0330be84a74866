"""What the experiments are made of."""

import numpy as np
import pytest

from bnlib import mlp
from bnlib.claims import rate_scale_map, steps_to_target
from bnlib.claims.engine.experiments import (
    GUESSING,
    THREE,
    few_images,
    mnist,
    percent_right,
    trained_percent,
)
from bnlib.claims.noise_or_dropout import Dropout


def test_dropout_keeps_the_mean_in_training_and_everything_in_evaluation():
    layer, x = Dropout(0.2, np.random.default_rng(0)), np.ones((200, 500), np.float32)
    y = layer.forward(x)
    assert y.dtype == np.float32 and set(np.unique(y)) == {0, np.float32(1.25)}
    assert np.mean(y) == pytest.approx(1, abs=0.01)
    assert np.array_equal(layer.backward(3 * x), 3 * y)  # the same mask
    assert not np.array_equal(layer.forward(x), y)  # and a new one for every batch
    assert layer.eval().forward(x) is x


def test_few_images_are_drawn_by_the_seed():
    first, again, other = (few_images(seed, 50) for seed in (3, 3, 4))
    assert np.array_equal(first.x_train, again.x_train) and len(first.y_train) == 50
    assert not np.array_equal(first.x_train, other.x_train)
    everything = mnist(pool=True)
    i = int(np.flatnonzero((everything.x_train == first.x_train[7]).all(axis=1))[0])
    assert everything.y_train[i] == first.y_train[7]
    assert first.x_test is everything.x_test


def test_a_network_that_diverged_counts_as_guessing():
    data = few_images(0, 200)
    net = mlp(THREE, init_scale=30.0, dtype=np.float32)
    assert trained_percent(net, data, 20, 100.0, 0) == GUESSING
    net = mlp(THREE, norm="batch", dtype=np.float32)
    learned = trained_percent(net, data, 40, 0.3, 0, 50)
    assert learned == percent_right(net, data) > 50


def test_steps_are_those_of_the_first_look_at_the_target():
    few = steps_to_target.steps("batch", 0.3, 1.0, seed=0, limit=400)
    assert 20 < few < 400 and few % steps_to_target.EVERY == 0
    assert steps_to_target.steps("batch", 0.3, 1.0, seed=0, limit=10) == 10


def test_the_map_is_a_mean_over_the_seeds():
    cell, scales, rates = rate_scale_map.cell, rate_scale_map.SCALES, rate_scale_map.RATES
    rows = {
        seed: {cell("with", s, lr): seed + s + 10 * lr for s in scales for lr in rates}
        for seed in (100, 102)
    }
    expected = 101 + np.array(scales)[:, None] + 10 * np.array(rates)
    np.testing.assert_allclose(rate_scale_map.mean_map(rows, "with"), expected)
