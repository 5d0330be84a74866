"""Folding BatchNorm away, and population statistics."""

import numpy as np
import pytest
from cases import close, snapshot
from test_training import DATA, net_for

from bnlib.convolution import Conv2d
from bnlib.inference import fold_batchnorm, population_statistics
from bnlib.layers import Dense, Residual
from bnlib.network import Sequential, mlp
from bnlib.norms import BatchNorm
from bnlib.training import train


def trained(**settings):
    """A network whose gamma, beta, running statistics and biases are all moved."""
    net = net_for("batch", activation="sigmoid", **settings)
    train(net, DATA, 30, 0.5, 20)
    return net


def kinds(net):
    return [type(layer).__name__ for layer in net.layers]


# -- fold_batchnorm -------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype, rel", [(np.float64, 1e-12), (np.float32, 1e-5)])
def test_a_folded_network_is_a_new_one_and_computes_the_same_in_eval_mode(dtype, rel):
    net = trained(dtype=dtype)
    before, x = snapshot(net), DATA.test_batch(50, dtype)[0]
    folded = fold_batchnorm(net)
    assert kinds(folded) == ["Dense", "Sigmoid", "Dense", "Sigmoid", "Dense"]
    y = folded(x)
    folded.flat_params[...] = 0
    assert snapshot(net) == before and net.training and not folded.training
    assert not any(np.shares_memory(p, net.flat_params) for p in folded.params.values())
    close(y, net.eval()(x), rel)
    assert folded.dtype == y.dtype == dtype


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(
    "make, shape",
    [
        (lambda bias: Dense(4, 3, bias, rng=1), (6, 4)),
        (lambda bias: Conv2d(2, 3, (3, 2), (2, 1), (1, 0), bias, rng=1), (3, 2, 6, 5)),
    ],
)
def test_two_batch_norms_in_a_row_fold_into_one_layer_of_any_settings(make, shape, bias):
    rng = np.random.default_rng(0)
    net = Sequential([make(bias), BatchNorm(3, eps=0.1), BatchNorm(3)])
    for name, v in (net.params | net.buffers).items():
        if not name.endswith("num_batches_tracked"):
            v[...] = rng.uniform(0.5, 2, v.shape) * rng.choice([-1, 1], v.shape)
        if name.endswith("running_var"):
            v[...] **= 2
    x, folded = rng.standard_normal(shape), fold_batchnorm(net)
    assert len(folded.layers) == 1
    close(folded(x), net.eval()(x), 1e-12, scale=10)


def test_a_batch_norm_after_a_nonlinearity_stays():
    net = trained(norm_position="after")
    folded = fold_batchnorm(net)
    assert kinds(folded) == kinds(net)
    x = DATA.test_batch()[0]
    assert np.array_equal(folded(x), net.eval()(x))


def test_the_branch_of_a_residual_is_folded_and_gets_its_statistics():
    def make():
        first = mlp([DATA.num_features, 8, 8], "batch", seed=1).layers
        return Sequential([*first, Residual(mlp([8, 8, 8], "batch", seed=2)), Dense(8, 10)])

    net = make()
    population_statistics(net, DATA, batch_size=20, n=40)
    norms = [layer for _, layer in net.leaves() if isinstance(layer, BatchNorm)]
    assert [int(bn.buffers["num_batches_tracked"]) for bn in norms] == [2, 2]
    x = DATA.batch(slice(0, 50), np.float64)[0]
    folded = fold_batchnorm(net)
    close(folded(x), net.eval()(x), 1e-12)
    assert not any(isinstance(layer, BatchNorm) for _, layer in folded.leaves())
    assert len(norms) == 2 and net.flat_params.size == make().flat_params.size


def test_folding_without_running_statistics_is_refused():
    with pytest.raises(
        ValueError, match=r"running statistics in BatchNorm\(3\), got track_running"
    ):
        fold_batchnorm(Sequential([Dense(4, 3), BatchNorm(3, track_running_stats=False)]))


# -- population_statistics ------------------------------------------------------------------------


def test_population_statistics_average_the_batches():
    net = trained()
    population_statistics(net, DATA, batch_size=20)
    first = net.layers[0]
    batches = [first.forward(DATA.batch(slice(i, i + 20))[0]) for i in (0, 20, 40)]
    bn = net.layers[1]
    close(bn.running_mean, np.mean([z.mean(axis=0) for z in batches], axis=0), 1e-12, scale=1)
    close(bn.running_var, np.mean([z.var(axis=0, ddof=1) for z in batches], axis=0), 1e-12)
    assert bn.buffers["num_batches_tracked"] == 3


def test_incomplete_batches_and_images_beyond_n_are_dropped():
    net, other = trained(), trained()
    population_statistics(net, DATA, batch_size=20, n=59)
    population_statistics(other, DATA, batch_size=20, n=40)
    assert snapshot(net) == snapshot(other)


def test_what_the_running_statistics_were_does_not_matter():
    net, spoiled = trained(), trained()
    spoiled.layers[1].running_mean[0], spoiled.layers[4].running_var[2] = np.nan, np.inf
    for each in (net, spoiled):
        population_statistics(each, DATA, batch_size=20)
    assert snapshot(net) == snapshot(spoiled)


@pytest.mark.parametrize("training", [True, False])
def test_only_the_running_statistics_change(training):
    net = trained()
    net.layers[1].momentum, net.layers[4].momentum = 0.3, 0.7
    if not training:
        net.eval()
    params, before = net.flat_params.copy(), snapshot(net)
    assert population_statistics(net, DATA, batch_size=30) is net
    assert np.array_equal(net.flat_params, params) and snapshot(net) != before
    assert (net.layers[1].momentum, net.layers[4].momentum) == (0.3, 0.7)
    assert net.training == training and all(layer.training == training for layer in net.layers)


@pytest.mark.parametrize("batch_size, n", [(1, None), (61, None), (20, 10), (20, 61)])
def test_bad_sizes_are_refused(batch_size, n):
    with pytest.raises(ValueError, match="2 <= batch_size <= n <= 60"):
        population_statistics(trained(), DATA, batch_size, n)
    with pytest.raises(TypeError, match=r"expected data as load_mnist\(\) returns it, got list"):
        population_statistics(trained(), [[0.0]])


def test_nothing_has_changed_after_an_error():
    class Broken:
        x_train = DATA.x_train

        def batch(self, indices, dtype):
            if indices.start:
                raise OSError("disk")
            return DATA.batch(indices, dtype)

    net = trained().eval()
    before = snapshot(net)
    with pytest.raises(OSError):
        population_statistics(net, Broken(), 20)
    assert net.layers[1].momentum == 0.1 and not net.training
    assert snapshot(net) == before


@pytest.mark.parametrize(
    "name, value",
    [*(("running_var", v) for v in (-1e-6, 0, np.inf)), ("running_mean", np.nan), ("gamma", 1e38)],
)
def test_what_would_fold_into_nan_or_infinity_is_refused(name, value):
    net = mlp([4, 3, 2], "batch", init_scale=100, dtype=np.float32)
    bn = net.layers[1]
    bn.eps = 1e-5 if value else 0
    (bn.params | bn.buffers)[name][1] = value
    with pytest.raises(ValueError, match=r"fold_batchnorm.* expected finite"):
        fold_batchnorm(net)
