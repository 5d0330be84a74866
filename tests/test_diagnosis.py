"""diagnose finds nothing in sound networks, and names what is wrong with the others."""

import copy
import re
from itertools import product

import numpy as np
import pytest
from cases import snapshot

import bnlib
from bnlib import (
    BatchNorm,
    Dense,
    Dropout,
    Flatten,
    GhostNorm,
    InstanceNorm,
    MaxPool2d,
    ReLU,
    Residual,
    Sequential,
    Tanh,
    cnn,
    diagnose,
    mlp,
    population_statistics,
    train,
)

SIZES = {"narrow": [196, 32, 32, 10], "deep": [196, *[48] * 5, 10], "wide": [196, 200, 10]}


@pytest.fixture(scope="module")
def flat(mnist):
    return bnlib.load_mnist(pool=True)


@pytest.fixture(scope="module")
def images(mnist):
    return bnlib.load_mnist(pool=True, shape="image")


@pytest.fixture(scope="module")
def trained(flat):
    net = mlp(SIZES["narrow"], "batch")
    train(net, flat, 300, lr=0.1, batch_size=60)
    return net


@pytest.fixture
def net(trained):
    return copy.deepcopy(trained)


@pytest.mark.parametrize("k", range(9))
def test_sound_mlps(flat, k):
    """Every second one for a short time, in float32, at a large rate, in small batches."""
    size, activation = list(product(SIZES, ["relu", "sigmoid", "tanh"]))[k]
    short = k % 2
    net = mlp(SIZES[size], "batch", activation, seed=3 + short, dtype=(float, np.float32)[short])
    train(net, flat, (300, 100)[short], lr=(0.1, 0.3)[short], batch_size=(100, 32)[short])
    found = diagnose(net, flat)
    assert not found, found
    assert repr(found) == "Nothing found."


@pytest.mark.parametrize("activation", ["relu", "sigmoid"])
def test_sound_cnns(images, activation):
    net = cnn((1, 8, 16), "batch", activation, image_size=14, dtype=np.float32)
    train(net, images, 100, lr=0.1, batch_size=32)
    found = diagnose(net, images)
    assert not found, found
    assert not diagnose(net.eval(), images)


@pytest.mark.parametrize("norm", [None, "layer", "group", "rms", "ghost", "renorm"])
def test_sound_relatives(flat, norm):
    net = mlp(SIZES["narrow"], norm)
    train(net, flat, 100, lr=0.1, batch_size=64)
    found = diagnose(net, flat)
    assert not found, found


def residual(gamma=1.0):
    block = [Dense(32, 32, bias=False), BatchNorm(32), ReLU(), Dense(32, 32, bias=False, rng=1)]
    last = BatchNorm(32)
    last.gamma = gamma
    first = [Dense(196, 32, bias=False), BatchNorm(32), ReLU()]
    return Sequential([*first, Residual([*block, last]), ReLU(), Dense(32, 10)])


def test_sound_residual_networks(flat):
    for gamma in (1.0, 0.0):  # 0 as in Goyal et al. 2017
        net = residual(gamma)
        assert not diagnose(net, flat), diagnose(net, flat)
        train(net, flat, 200, lr=0.1, batch_size=60)
        # Some gammas that started at 0 are still near it: the path around the branch is not.
        assert (np.abs(net.layers[3].branch[4].gamma) < 0.05).any() == (gamma == 0)
        assert not diagnose(net, flat), diagnose(net, flat)


def test_a_new_network_has_nothing_to_lag_behind(flat, net):
    assert not diagnose(mlp(SIZES["deep"], "batch"), flat)
    for name, buffer in net.buffers.items():
        buffer[...] = name.endswith("running_var")
    assert diagnose(net, flat).ids == {"averages-lag"}


def test_weights_without_their_buffers_are_told_from_weights_set_by_hand(flat, net):
    fresh = mlp(SIZES["narrow"], "batch", seed=9)
    for name, weights in net.params.items():
        fresh.params[name][...] = weights
    assert norms(fresh)[0].buffers["num_batches_tracked"] == 0
    found = diagnose(fresh, flat)
    assert [(f.id, f.layer) for f in found] == [("averages-lag", "1"), ("averages-lag", "4")]
    by_hand = mlp(SIZES["narrow"], "batch")
    norms(by_hand)[0].gamma[...] = 0.04
    norms(by_hand)[1].beta[:2] = -20
    assert diagnose(by_hand, flat).ids == {"gamma-near-zero", "dead-channels"}


def test_the_worst_channel_is_not_better_than_the_median(flat, net):
    norms(net)[1].running_var = 20 * norms(net)[1].running_var
    lag = next(f for f in diagnose(net, flat) if f.id == "averages-lag")
    median, worst = re.search(r"a factor (\S+) \(worst (\S+)\)", lag.text).groups()
    assert 10 < float(median) <= float(worst)


def test_a_channel_that_never_varies_has_no_variance_to_be_wrong_about(flat, net):
    norms(net)[0].beta[...] = -30  # so that what the next layer receives is constant
    lag = [f for f in diagnose(net, flat) if f.id == "averages-lag"]
    assert all("a factor 1 (worst 1)" in f.text for f in lag)


def test_units_that_are_hardly_ever_active_in_front_of_bn(flat):
    """With BN behind the ReLUs a few units always die, in networks that learn well."""
    net = mlp([196, 64, 64, 64, 10], "batch", seed=12, norm_position="after")
    train(net, flat, 300, lr=0.1, batch_size=60)
    assert diagnose(net, flat) == []
    net.params["0.bias"][:40] = -100.0  # no image reaches these
    (found,) = (f for f in diagnose(net, flat) if f.layer == "2" and f.id == "eps-rules")
    assert "are (nearly) constant" in found.text
    assert "smaller eps" not in found.advice and "dead" in found.advice
    norms(net)[0].eps = 0.05
    (found,) = (f for f in diagnose(net, flat) if f.layer == "2" and f.id == "eps-rules")
    assert "For the others, use a smaller eps" in found.advice
    norms(net)[1].eps = 5.0
    found = [f for f in diagnose(net, flat) if (f.id, f.layer) == ("eps-rules", "5")]
    assert "constant" not in found[0].text
    assert "smaller eps" in found[0].advice


def test_changes_nothing(flat, net):
    x, _ = flat.batch(slice(0, 20))
    dy = np.random.default_rng(0).standard_normal((20, 10))
    twin = copy.deepcopy(net)
    net(x), twin(x)
    before = snapshot(net)
    diagnose(net, flat)
    assert net.training and all(leaf.training for _, leaf in net.leaves())
    assert snapshot(net) == before
    np.testing.assert_array_equal(net.backward(dy), twin.backward(dy))
    net.eval()
    diagnose(net, flat)
    assert not net.training and not any(leaf.training for _, leaf in net.leaves())


def norms(net):
    return [layer for _, layer in net.leaves() if isinstance(layer, BatchNorm)]


def dead(net):
    norms(net)[1].beta[[3, 5]] = -30


def constant_input(net):
    net.layers[0].weight[:, 4] = 0  # a channel without variance, and so dead when beta <= 0
    norms(net)[0].running_mean[4] = 0
    norms(net)[0].running_var[4] = 0
    norms(net)[0].beta[4] = 1


def large_eps(net):
    norms(net)[1].eps = 5.0


def small_gamma(net):
    norms(net)[0].gamma[7] = 1e-3


def forgotten(net):
    norms(net)[1].buffers["running_mean"] = np.zeros(32)
    norms(net)[1].buffers["running_var"] = np.ones(32)


def standard_deviation(net):
    norms(net)[0].running_var = np.sqrt(norms(net)[0].running_var)


def one_channel(net):
    norms(net)[0].running_mean[2] += 3 * np.sqrt(norms(net)[0].running_var[2])


def means_a_bit_off(net):
    norms(net)[0].running_mean += 0.8 * np.sqrt(norms(net)[0].running_var)


def variances_a_bit_off(net):
    norms(net)[0].running_var *= 2


def left_training(net):
    net.eval()
    norms(net)[1].train()


def flipped(net):
    norms(net)[0].momentum = 0.9


FAULTS = {
    dead: ("dead-channels", "4", 2),
    constant_input: ("eps-rules", "1", 0),
    large_eps: ("eps-rules", "4", None),
    small_gamma: ("gamma-near-zero", "1", 1e-3),
    forgotten: ("averages-lag", "4", None),
    standard_deviation: ("averages-lag", "1", None),
    one_channel: ("averages-lag", "1", None),
    means_a_bit_off: ("averages-lag", "1", None),
    variances_a_bit_off: ("averages-lag", "1", None),
    left_training: ("batch-statistics-in-eval", "4", 1),
    flipped: ("momentum-flipped", "1", 0.9),
}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_names_the_fault(flat, net, fault):
    fault(net)
    if fault in (small_gamma, dead, large_eps, constant_input):
        population_statistics(net, flat)  # what lies above now receives something else
    wanted, layer, number = FAULTS[fault]
    found = [f for f in diagnose(net, flat) if f.id == wanted]
    assert [f.layer for f in found][:1] == [layer]
    if number is not None:
        assert found[0].number == pytest.approx(number, abs=1e-12)
    everything = diagnose(net, flat)
    assert found[0].text in repr(everything) and found[0].advice
    if fault in (left_training, flipped, small_gamma, one_channel):
        assert everything.ids == {wanted}  # these bring no other findings


def test_a_bias_before_bn(flat):
    net = Sequential([Dense(196, 32), BatchNorm(32), ReLU(), Dense(32, 10)])
    train(net, flat, 100, lr=0.1, batch_size=60)
    found = diagnose(net, flat)
    assert [(f.id, f.layer) for f in found] == [("bias-before-bn", "1")]


def test_a_bias_before_a_branch_is_needed(flat):
    # The path around the branch uses it too.
    branch = Residual([BatchNorm(32), ReLU(), Dense(32, 32)])
    net = Sequential([Dense(196, 32), branch, Dense(32, 10)])
    train(net, flat, 100, lr=0.1, batch_size=60)
    assert not diagnose(net, flat)
    net = Sequential([bnlib.Conv2d(1, 2, 3), InstanceNorm(2, affine=True), Flatten()])
    assert diagnose(net, bnlib.load_mnist(pool=True, shape="image")).ids == {"bias-before-bn"}


def conv(*behind, bias=False, features):
    first = bnlib.Conv2d(1, 4, 3, padding=1, bias=bias, rng=1)
    return Sequential([first, *behind, Dense(features, 10, rng=2)])


def test_dead_channels_behind_what_keeps_channels_apart(flat, images):
    nets = {
        "pool": conv(BatchNorm(4), MaxPool2d(2), ReLU(), Flatten(), features=196),
        "flatten": conv(BatchNorm(4), Flatten(), ReLU(), features=784),
        "all": conv(BatchNorm(4), MaxPool2d(2), Dropout(0.2), Flatten(), ReLU(), features=196),
    }
    for which, net in nets.items():
        assert not diagnose(net, images), which
        norms(net)[0].beta[[1, 2]] = -20
        found = diagnose(net, images)
        assert [(f.id, f.layer, f.number) for f in found] == [("dead-channels", "1", 2)], which
    for activation in (ReLU(), Tanh()):
        net = Sequential([Dense(196, 40, bias=False), BatchNorm(40), Dropout(0.2), activation])
        net = Sequential([*net.layers, Dense(40, 10)])
        assert not diagnose(net, flat)
        norms(net)[0].beta[:3] = -20
        found = diagnose(net, flat)
        assert [(f.id, f.layer, f.number) for f in found] == [("dead-channels", "1", 3)]
    mixing = [Dense(196, 40, bias=False), BatchNorm(40), Dense(40, 40, bias=False), ReLU()]
    mixing = Sequential([*mixing, Dense(40, 10)])
    norms(mixing)[0].beta[:3] = -20
    assert not diagnose(mixing, flat)


def test_a_bias_that_reaches_bn_through_a_pooling_or_a_flatten(images):
    def found(*behind, features):
        net = conv(*behind, bias=True, features=features)
        net.layers[0].bias[...] = 0.5
        return [(f.id, f.layer) for f in diagnose(net, images) if f.id == "bias-before-bn"]

    pooled = found(MaxPool2d(2), BatchNorm(4), ReLU(), Flatten(), features=196)
    assert pooled == [("bias-before-bn", "2")]
    flat = found(MaxPool2d(2), Flatten(), BatchNorm(196), ReLU(), features=196)
    assert flat == [("bias-before-bn", "3")]
    assert not found(ReLU(), MaxPool2d(2), BatchNorm(4), Flatten(), features=196)
    assert not found(Dropout(0.2), BatchNorm(4), ReLU(), Flatten(), features=784)


class Stuck(BatchNorm):
    def eval(self):
        return self


@pytest.mark.parametrize("norm", [BatchNorm(32, track_running_stats=False), Stuck(32)])
def test_batch_statistics_in_evaluation_mode(flat, norm):
    net = Sequential([Dense(196, 32, bias=False), norm, ReLU(), Dense(32, 10)])
    train(net, flat, 100, lr=0.1, batch_size=60)
    found = diagnose(net, flat)
    assert [(f.id, f.layer) for f in found] == [("batch-statistics-in-eval", "1")]


def test_small_batches(flat, images, net):
    assert diagnose(net, flat, batch_size=4).ids == {"batch-too-small"}
    assert not diagnose(net, flat, batch_size=8)
    ghost = Sequential([Dense(196, 32, bias=False), GhostNorm(32, 4), ReLU(), Dense(32, 10)])
    train(ghost, flat, 200, lr=0.1, batch_size=60)
    assert "batch-too-small" in diagnose(ghost, flat).ids
    alone = cnn((1, 4), "batch", image_size=14)
    train(alone, images, 100, lr=0.01, batch_size=1)
    found = [f for f in diagnose(alone, images) if f.id == "batch-too-small"]
    assert [f.number for f in found] == [1]
    dense = mlp(SIZES["narrow"], "batch")
    train(dense, flat, 100, lr=0.01, batch_size=3)
    bnlib.accuracy(dense, *flat.test_batch(100, np.float64))  # looking does not change the answer
    dense.nonlinearity_inputs(flat.batch(slice(0, 50))[0])
    found = [f for f in diagnose(dense, flat) if f.id == "batch-too-small"]
    assert [f.number for f in found] == [3]


def test_not_finite(flat, net):
    net.params["3.weight"][0, 0] = np.nan
    found = diagnose(net, flat)
    assert [(f.id, f.layer, f.number) for f in found] == [("not-finite", "3", 1)]
    net.params["3.weight"][0, 0] = 1e308
    assert diagnose(net, flat).ids >= {"not-finite"}


def test_odd_calls(flat, net):
    with pytest.raises(TypeError, match="returns it, got ndarray"):
        diagnose(net, flat.x_train)
    with pytest.raises(ValueError, match="expected n"):
        diagnose(net, flat, n=1)
    with pytest.raises((TypeError, ValueError), match="batch_size"):
        diagnose(net, flat, batch_size=0)
