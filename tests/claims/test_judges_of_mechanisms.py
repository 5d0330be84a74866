"""The judges of the claims about how BN works, on rows made up for each verdict they can give."""

import numpy as np
import pytest

from bnlib import claims
from bnlib.claims import (
    cnn_accuracy,
    figure_1_accuracy,
    figure_1_percentiles,
    gradient_explosion,
    landscape,
    missing_variance_path,
    shift_after_bn,
)
from bnlib.claims.engine.altered import (
    ConstantStatistics,
    ConstantVariance,
    NoisyBatchNorm,
    Scaled,
    with_norm,
)
from bnlib.claims.engine.judging import NOT_HERE, PARTLY, REPRODUCES, UNDECIDED
from bnlib.network import mlp
from bnlib.norms import BatchNorm


def figure_1(lines, without, same, own):
    """Every line of both arms, at the same rate and at their own."""
    return {
        f"{arm}, {rate}, {line}": value
        for line in lines
        for rate, with_bn in (("same rate", same), ("own rate", own))
        for arm, value in (("without", without), ("with", with_bn))
    }


def curves(same, own):
    return figure_1(figure_1_accuracy.LOOKS, 90, same, own)


def lines(same, own):
    return figure_1((*figure_1_percentiles.LINES, "mean"), 1, same, own)


def shifts(raw, standardised, gain_raw=0, gain_standardised=0):
    """Of every layer: 1 without BN, as given with it."""
    row = {}
    for images, with_bn, gain in (
        ("raw", raw, gain_raw),
        ("standardised", standardised, gain_standardised),
    ):
        for layer in range(1, shift_after_bn.DEPTH + 1):
            for place in ("before", "after"):
                row[f"{images}, without, {place}, {layer}"] = 1
                row[f"{images}, with, {place}, {layer}"] = with_bn
        row |= {f"{images}, without, accuracy": 90, f"{images}, with, accuracy": 90 + gain}
    return row


def by_rate(*gains):
    names = (*(f"{lr:g}" for lr in cnn_accuracy.SHOWN), "own rate")
    return {f"without, {name}": 96 for name in names} | {
        f"with, {name}": 96 + gain for name, gain in zip(names, gains, strict=True)
    }


def lengths(length, shortened, lengthened):
    return {
        "without, length": 10,
        "with, length": length,
        "without, length of without": 97,
        "without, length of with": 97 + lengthened,
        "with, length of with": 95,
        "with, length of without": 95 + shortened,
    }


def statistics(*gains, rates):
    return {f"running, {lr:g}": 95 for lr in rates} | {
        f"population, {lr:g}": 95 + gain for lr, gain in zip(rates, gains, strict=True)
    }


def single(same, own, alone=3):
    return {
        **{"without, same rate": 80, "without, own rate": 82},
        **{"with, same rate": 80 + same, "with, own rate": 82 + own},
        **{"with, running": 80, "with, alone": 80 + alone},
    }


def lags(a, b, c, plain=(0, 0)):
    """Costs early of three momenta; how much more the plain average has than 0.1, early, late."""
    row = {}
    for look, share, gain in zip(
        ("early", "middle", "late"), (1, 0.5, 0), (*plain[:1], 0, plain[1])
    ):
        row[f"population, {look}"] = 90
        for name, cost in (("0.1", a), ("0.01", b), ("0.001", c)):
            row[f"{name}, {look}"] = 90 - share * cost
        row[f"None, {look}"] = row[f"0.1, {look}"] + gain
    return row


def costs(sigmoid, relu):
    return {
        f"{activation}, {kind}{at}": value - (cost if kind == "constants" else 0)
        for activation, cost in (("sigmoid", sigmoid), ("relu", relu))
        for kind, value in (("none", 80), ("right", 92), ("constants", 92))
        for at in ("", ", large")
    }


def two_batches(names, batches, small, large):
    better, worse = names
    gains = zip(batches, (small, large))
    return {f"{arm}, {b}": 80 + g * (arm == better) for b, g in gains for arm in (better, worse)}


def flipped(small, large):
    return two_batches(("0.1", "0.9"), (4, 64), small, large)


def frozen(small, large):
    return two_batches(("frozen", "training"), (2, 16), small, large)


def variance(*cost):
    names = [(a, r) for a in missing_variance_path.ACTIVATIONS for r in missing_variance_path.RATES]
    return {f"{a}, right, {r}": 92 for a, r in names} | {
        f"{a}, variance, {r}": 92 - c for (a, r), c in zip(names, cost, strict=True)
    }


def sizes(bn, ln=91, gn=91):
    """Accuracy at batches of two; 92 at 32."""
    at = {2: (90, bn, ln, gn), 4: (90,) * 4, 8: (90,) * 4, 32: (90, 92, 91, 91)}
    return {
        f"{arm}, {n}": v for n, row in at.items() for arm, v in zip(("none", "BN", "LN", "GN"), row)
    }


def small_conv(none, bn):
    return {f"{arm}, 32": 90 for arm in ("none", "BN", "GN")} | {
        "none, 2": none, "BN, 2": bn, "GN, 2": 90}  # fmt: skip


def two_rates(first, second, gains, keys):
    return {f"{first}, {k}": 80 for k in keys} | {
        f"{second}, {k}": 80 + g for k, g in zip(keys, gains)
    }


def noisy(bn, noise, movement=0.5):
    accuracy = {"none, accuracy": 20, "BN, accuracy": bn, "noisy, accuracy": noise}
    return accuracy | {"none, movement": 0.1, "BN, movement": 0.01, "noisy, movement": movement}


def along(turn, spread, smooth=0.0):
    """By how many powers of ten each is smaller with BN."""
    less = {"range": spread, "turn": turn, "smoothness": smooth}
    return {
        f"{arm}, {name}, {lr:g}": 0 if arm == "without" else -value
        for arm in ("without", "with")
        for name, value in less.items()
        for lr in landscape.RATES
    }


def growths(linear, relu):
    factor = {"linear": linear, "relu": relu}
    return {
        f"{kind}, {n}": factor[kind] * gradient_explosion.theory(kind, n)
        for kind, n in gradient_explosion.CASES
    }


CASES = [  # claim, verdict, means of the numbers, noise of the seeds
    ("figure_1_accuracy", REPRODUCES, curves(94, 92), 0.1),
    ("figure_1_accuracy", PARTLY, curves(94, 90.5), 0.1),
    ("figure_1_accuracy", NOT_HERE, curves(90.5, 90.5), 0.1),
    ("figure_1_accuracy", UNDECIDED, curves(91.2, 91.2), 2),
    ("figure_1_percentiles", REPRODUCES, lines(0.5, 0.5), 0.01),
    ("figure_1_percentiles", PARTLY, lines(0.5, 1.2), 0.01),
    ("figure_1_percentiles", NOT_HERE, lines(1, 0.5), 0.01),
    ("shift_after_bn", REPRODUCES, shifts(0.05, 0.1), 0.001),
    ("shift_after_bn", PARTLY, shifts(0.05, 0.5), 0.001),
    ("shift_after_bn", NOT_HERE, shifts(0.5, 0.5), 0.001),
    ("shift_before_bn", REPRODUCES, shifts(0.2, 0.4), 0.001),
    ("shift_before_bn", PARTLY, shifts(0.2, 0.8), 0.001),
    ("shift_before_bn", NOT_HERE, shifts(0.8, 1.5), 0.001),
    ("shift_and_accuracy", REPRODUCES, shifts(0.1, 0.1, 3, 2), 0.2),
    ("shift_and_accuracy", PARTLY, shifts(0.1, 0.1, 3, 0), 0.2),
    ("shift_and_accuracy", NOT_HERE, shifts(0.1, 0.1, 0.5, 0), 0.2),
    ("cnn_accuracy", REPRODUCES, by_rate(1, 1, 1, 1), 0.1),
    ("cnn_accuracy", PARTLY, by_rate(1, 0, -1.5, 0), 0.1),
    ("cnn_accuracy", NOT_HERE, by_rate(0.2, 0, -1.5, 0), 0.1),
    ("cnn_last_layer", REPRODUCES, lengths(20, 2, -2), 0.1),
    ("cnn_last_layer", PARTLY, lengths(20, 2, 0), 0.1),
    ("cnn_last_layer", NOT_HERE, lengths(20, 0, -2), 0.1),
    ("cnn_last_layer", NOT_HERE, lengths(9, 2, -2), 0.1),
    ("cnn_running_averages", REPRODUCES, statistics(1, 1, rates=(0.05, 0.1)), 0.1),
    ("cnn_running_averages", PARTLY, statistics(0, 1, rates=(0.05, 0.1)), 0.1),
    ("cnn_running_averages", NOT_HERE, statistics(0.1, 0.1, rates=(0.05, 0.1)), 0.1),
    ("cnn_running_averages", UNDECIDED, statistics(0.4, 0.4, rates=(0.05, 0.1)), 1),
    ("population_statistics", REPRODUCES, statistics(1, 1, rates=(0.1, 1)), 0.1),
    ("population_statistics", PARTLY, statistics(0, 1, rates=(0.1, 1)), 0.1),
    ("population_statistics", NOT_HERE, statistics(0.1, 0.1, rates=(0.1, 1)), 0.1),
    ("population_statistics", UNDECIDED, statistics(0.4, 0.4, rates=(0.1, 1)), 1),
    ("cnn_batch_of_one", REPRODUCES, single(5, 5), 1),
    ("cnn_batch_of_one", PARTLY, single(5, 0), 1),
    ("cnn_batch_of_one", NOT_HERE, single(0, 0), 1),
    ("cnn_batch_of_one", UNDECIDED, single(2.5, 2.5), 3),
    ("averages_lag", REPRODUCES, lags(5, 20, 30), 1),
    ("averages_lag", PARTLY, lags(0, 20, 30), 1),
    ("averages_lag", NOT_HERE, lags(0, 1, 1), 0.1),
    ("cumulative_average", REPRODUCES, lags(5, 5, 5, (4, 1)), 0.1),
    ("cumulative_average", PARTLY, lags(5, 5, 5, (4, -1)), 0.1),
    ("cumulative_average", NOT_HERE, lags(5, 5, 5, (0, 1)), 0.1),
    ("sorted_batches", REPRODUCES, {"running": 95, "mixed": 92, "sorted": 20, "alone": 10}, 1),
    ("sorted_batches", PARTLY, {"running": 95, "mixed": 75, "sorted": 20, "alone": 10}, 1),
    ("sorted_batches", NOT_HERE, {"running": 95, "mixed": 94, "sorted": 93, "alone": 10}, 1),
    ("wrong_backward", REPRODUCES, {"none": 11, "right": 88, "constants": 80}, 2),
    ("wrong_backward", PARTLY, {"none": 11, "right": 88, "constants": 40}, 2),
    ("wrong_backward", NOT_HERE, {"none": 11, "right": 88, "constants": 13}, 2),
    ("wrong_backward_cost", REPRODUCES, costs(4, 5), 0.3),
    ("wrong_backward_cost", PARTLY, costs(0, 5), 0.3),
    ("wrong_backward_cost", NOT_HERE, costs(0, 1), 0.3),
    ("momentum_flipped", REPRODUCES, flipped(9, 4), 0.3),
    ("momentum_flipped", PARTLY, flipped(9, 0), 0.3),
    ("momentum_flipped", NOT_HERE, flipped(0, 0), 0.3),
    ("frozen_fine_tuning", REPRODUCES, frozen(9, 4), 0.3),
    ("frozen_fine_tuning", PARTLY, frozen(9, -4), 0.3),
    ("frozen_fine_tuning", NOT_HERE, frozen(0, -4), 0.3),
    ("batch_size", REPRODUCES, sizes(40), 0.3),
    ("batch_size", PARTLY, sizes(40, ln=80), 0.3),
    ("batch_size", NOT_HERE, sizes(92), 0.3),
    ("conv_batch_of_two", REPRODUCES, small_conv(90, 90), 0.3),
    ("conv_batch_of_two", PARTLY, small_conv(80, 80), 0.3),
    ("conv_batch_of_two", NOT_HERE, small_conv(90, 60), 0.3),
    ("ghost_batches", REPRODUCES, two_rates("batch", "ghost", (1, 1), ("0.1", "0.3")), 0.1),
    ("ghost_batches", PARTLY, two_rates("batch", "ghost", (1, 0), ("0.1", "0.3")), 0.1),
    ("ghost_batches", NOT_HERE, two_rates("batch", "ghost", (0, 0), ("0.1", "0.3")), 0.1),
    ("renorm_small_batches", REPRODUCES, two_rates("batch", "renorm", (9, 9), (2, 4)), 0.3),
    ("renorm_small_batches", PARTLY, two_rates("batch", "renorm", (9, 0), (2, 4)), 0.3),
    ("renorm_small_batches", NOT_HERE, two_rates("batch", "renorm", (0, 0), (2, 4)), 0.3),
    ("noisy_bn", REPRODUCES, noisy(90, 89), 0.01),
    ("noisy_bn", PARTLY, noisy(90, 80), 0.01),
    ("noisy_bn", NOT_HERE, noisy(90, 20), 0.01),
    ("noisy_bn", UNDECIDED, noisy(90, 89, movement=0.05), 0.001),
    ("landscape", REPRODUCES, along(0.5, 0.5), 0.01),
    ("landscape", PARTLY, along(0.5, 0.0), 0.01),
    ("landscape", NOT_HERE, along(0.0, 0.0), 0.01),
    ("smoothness", REPRODUCES, along(0, 0, 0.5), 0.01),
    ("smoothness", NOT_HERE, along(0.5, 0.5, 0), 0.01),
    ("smoothness", PARTLY, along(0, 0, 0.5) | {"with, smoothness, 0.1": 0.1}, 0.01),
    ("rank_collapse", REPRODUCES, {"without": 1, "with": 7}, 0.2),
    ("rank_collapse", NOT_HERE, {"without": 7, "with": 7}, 0.2),
    ("gradient_explosion", REPRODUCES, growths(1.01, 0.99), 0.001),
    ("gradient_explosion", PARTLY, growths(1.01, 0.95), 0.001),
    ("gradient_explosion", NOT_HERE, growths(1.04, 0.95), 0.001),
    ("missing_variance_path", REPRODUCES, variance(2, 2, 2, 2), 0.2),
    ("missing_variance_path", PARTLY, variance(0.3, 1, 0, 3), 0.2),
    ("missing_variance_path", NOT_HERE, variance(0.3, 0.3, 0, 0), 0.2),
]


@pytest.mark.parametrize("name, verdict, means, noise", CASES)
def test_judge_gives_the_verdict(name, verdict, means, noise, made_rows):
    claim, rows = claims.claims()[name], made_rows(means, noise)
    decide = claim.decide if verdict == UNDECIDED else claim.judge  # 400 times as long
    assert decide(rows).verdict == verdict


def test_every_verdict_but_undecided_is_tried():
    for name in {name for name, *_ in CASES} - {"rank_collapse"}:  # it has one part
        assert {case[1] for case in CASES if case[0] == name} >= {REPRODUCES, PARTLY, NOT_HERE}


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
