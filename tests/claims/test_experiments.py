"""What the experiments are made of."""

import numpy as np
import pytest

from bnlib import mlp
from bnlib.claims import (
    dropout_before_bn,
    gamma_zero_residual,
    only_gamma_beta,
    rate_scale_map,
    steps_to_target,
)
from bnlib.claims.engine.altered import (
    ConstantStatistics,
    ConstantVariance,
    NoisyBatchNorm,
    PartialSGD,
    Scaled,
    for_each,
    with_norm,
)
from bnlib.claims.engine.experiments import (
    FIVE,
    GUESSING,
    THREE,
    few_images,
    mnist,
    percent_right,
    trained_percent,
)
from bnlib.norms import BatchNorm


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


class TestAlteredLayers:
    def test_wrong_backwards_leave_out_their_paths_and_nothing_else(self):
        rng = np.random.default_rng(0)
        x, dy = rng.standard_normal((2, 7, 3))
        kinds = {kind: kind(3) for kind in (BatchNorm, ConstantVariance, ConstantStatistics)}
        dx = {}
        for kind, layer in kinds.items():
            layer.gamma = np.array([0.5, 2.0, -1.0])
            assert np.array_equal(layer.forward(x), kinds[BatchNorm].forward(x))
            dx[kind] = layer.backward(dy.copy())
            assert np.allclose(layer.grads["gamma"], (dy * (x - x.mean(0)) / x.std(0)).sum(0), 1e-4)
            assert np.allclose(layer.grads["beta"], dy.sum(0))
        slope = layer.gamma / np.sqrt(x.var(axis=0) + layer.eps)
        xhat = (x - x.mean(axis=0)) / np.sqrt(x.var(axis=0) + layer.eps)
        assert np.allclose(dx[ConstantStatistics], slope * dy)
        assert np.allclose(dx[ConstantVariance], slope * (dy - dy.mean(axis=0)))
        through_variance = slope * xhat * (dy * xhat).mean(axis=0)
        assert np.allclose(dx[BatchNorm], dx[ConstantVariance] - through_variance)

    def test_noise_is_that_of_a_unit_and_has_its_gradient(self):
        rng = np.random.default_rng(0)
        x, dy = rng.standard_normal((2, 7, 3))
        layer, plain = NoisyBatchNorm(3), BatchNorm(3)
        y, xhat = layer.forward(x), plain.forward(x)
        assert np.allclose((y - y.mean(0)) / layer.scale, xhat - xhat.mean(0))
        assert np.allclose(layer.backward(dy), plain.backward(dy * layer.scale))
        assert np.ptp(y.mean(0)) > 0.1 and not np.allclose(layer.forward(x), y)
        assert np.array_equal(layer.eval().forward(x[:1]), layer.forward(x[:1]))

    def test_with_norm_keeps_all_but_the_norms(self):
        net = mlp([4, 5, 5, 3], "batch", seed=1, dtype=np.float32)
        changed = with_norm(net, ConstantVariance)
        assert sum(isinstance(layer, ConstantVariance) for layer in changed.layers) == 2
        assert np.array_equal(net.flat_params, changed.flat_params)
        assert changed.dtype == np.float32

    def test_scaled_scales_both_ways(self):
        layer, x = Scaled(0.25), np.ones((2, 3), np.float32)
        assert (layer.forward(x) == 0.25).all() and (layer.backward(x) == 0.25).all()
        assert layer.forward(x).dtype == np.float32


class TestOnlyGammaBeta:
    @pytest.mark.parametrize("arm", only_gamma_beta.ARMS)
    def test_each_arm_trains_as_many_numbers_as_it_says(self, arm):
        net = mlp(FIVE, "batch", dtype=np.float32)
        trained = only_gamma_beta.trained(net, arm, 5)
        assert trained.sum() == only_gamma_beta.ARMS[arm]
        assert set(np.unique(trained)) <= {0, 1} and trained.shape == net.flat_params.shape

    def test_two_weights_enter_each_hidden_unit_and_differ_from_seed_to_seed(self):
        net = mlp([6, 5, 4, 3], "batch", dtype=np.float32)
        trained = only_gamma_beta.trained(net, "two weights a unit", 5)
        assert (trained[:30].reshape(6, 5).sum(axis=0) == 2).all()
        assert trained[30:40].sum() == 0  # gamma and beta of the first BN
        assert (trained[40:60].reshape(5, 4).sum(axis=0) == 2).all()
        assert trained[60:].sum() == 0  # the second BN and the last layer
        other = only_gamma_beta.trained(net, "two weights a unit", 6)
        assert not np.array_equal(trained, other)


class TestDropoutBeforeBN:
    def test_the_arms_differ_in_the_places_of_dropout_alone(self):
        in_front, behind = (
            dropout_before_bn.network(arm, 0.5, 3) for arm in ("in front", "behind")
        )
        assert np.array_equal(in_front.flat_params, behind.flat_params)
        count = {
            net: [type(layer).__name__ for layer in net.layers].count("Dropout")
            for net in (in_front, behind)
        }
        assert count == {in_front: 3, behind: 1}
        assert str(behind.layers[-2]) == str(in_front.layers[-2]) == "Dropout(0.5)"

    def test_ratio_is_one_where_running_and_real_variance_agree(self):
        net = dropout_before_bn.network("in front", 0.5, 3)
        x, _ = mnist(pool=True).batch(slice(0, 500), np.float32)
        net.eval()
        for layer in net.layers:  # each BN gets the very statistics of x, layer by layer
            if "running_var" in layer.buffers:
                layer.running_mean, layer.running_var = x.mean(axis=0), x.var(axis=0)
                last = layer
            x = layer.forward(x)
        x, _ = mnist(pool=True).batch(slice(0, 500), np.float32)
        assert dropout_before_bn.variance_ratio(net, x) == pytest.approx(1, abs=1e-4)
        last.running_var = 4 * last.running_var
        assert dropout_before_bn.variance_ratio(net, x) == pytest.approx(0.25, abs=1e-4)


class TestGammaZero:
    def test_blocks_start_as_the_identity_on_the_same_weights(self):
        one, zero = (gamma_zero_residual.network(gamma, 3) for gamma in (1.0, 0.0))
        x, _ = mnist(pool=True).batch(slice(0, 60), np.float32)
        first = x
        for layer in zero.layers[:3]:
            first = layer.forward(first)
        assert np.array_equal(zero(x), zero.layers[-1].forward(first))
        assert not np.allclose(one(x), zero(x), atol=0.1)
        assert all(
            np.array_equal(p, zero.params[name])
            for name, p in one.params.items()
            if not name.endswith("branch.4.gamma")
        )


class TestPartialSGD:
    def test_trains_and_decays_only_what_it_is_told(self):
        net = mlp([3, 4, 2], "batch", seed=1)
        before = {name: p.copy() for name, p in net.params.items()}
        gammas = for_each(net, lambda name, p: name.endswith("gamma"))
        weights = for_each(net, lambda name, p: name.endswith("weight"))
        net.flat_grads[...] = 1
        PartialSGD(net, 0.1, trained=gammas + weights, decay=0.5 * weights).step()
        for name, p in net.params.items():
            was = before[name]
            if name.endswith("weight"):
                np.testing.assert_allclose(p, was - 0.1 * (1 + 0.5 * was))
            elif name.endswith("gamma"):
                np.testing.assert_allclose(p, was - 0.1)
            else:
                assert np.array_equal(p, was)

    def test_for_each_follows_the_order_of_the_flat_array(self):
        net = mlp([3, 4, 2], "batch", seed=1)
        assert np.array_equal(for_each(net, lambda name, p: p), net.flat_params)
