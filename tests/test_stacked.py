"""Networks side by side in a stack do what each of them does alone."""

import numpy as np
import pytest

import bnlib
from bnlib.stacked import StackedDense, StackTrainer, stack
from bnlib.training import train

SIZES = [196, 12, 9, 10]
SCALES = [0.5, 1.0, 1.5, 2.0]
RATES = [0.05, 0.1, 0.2, 0.4]


@pytest.fixture(scope="module")
def data():
    return bnlib.load_mnist(pool=True, n_train=300, n_test=50)


def networks(**settings):
    return [bnlib.mlp(SIZES, init_scale=s, **settings) for s in SCALES]


def assert_same_network(a, b, tolerance=1e-9):
    for name, array in a.state_dict().items():
        error = np.abs(array - b.state_dict()[name]).max()
        assert error <= tolerance * (1 + np.abs(array).max()), (name, error)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shared", [True, False], ids=["one input", "an input each"])
def test_stacked_dense_is_several_dense(bias, shared):
    rng = np.random.default_rng(0)
    layers = [bnlib.Dense(5, 3, bias=bias, rng=seed) for seed in range(4)]
    together = StackedDense(4, 5, 3, bias)
    for k, layer in enumerate(layers):
        for name, p in layer.params.items():
            p[...] = rng.normal(size=p.shape)
            together.params[name][k] = p
    x = rng.normal(size=(7, 5 if shared else 20))
    dy = rng.normal(size=(7, 12))
    y = together.forward(x)
    inputs = [x] * 4 if shared else np.split(x, 4, axis=1)
    expected = np.concatenate([d.forward(v) for d, v in zip(layers, inputs)], axis=1)
    assert np.allclose(y, expected, rtol=0, atol=1e-13)
    dx = [d.backward(v) for d, v in zip(layers, np.split(dy, 4, axis=1))]
    if shared:
        together.backward_params(dy)
    else:
        assert np.allclose(together.backward(dy), np.concatenate(dx, axis=1), rtol=0, atol=1e-13)
    for k, layer in enumerate(layers):
        for name, g in layer.grads.items():
            assert np.allclose(together.grads[name][k], g, rtol=0, atol=1e-13)
    assert ("bias" in together.params) == bias


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"norm": "batch"},
        {"norm": "batch", "norm_position": "after", "activation": "tanh"},
        {"activation": "sigmoid", "dtype": np.float32},
    ],
    ids=str,
)
@pytest.mark.parametrize("optimizer", [{}, {"momentum": 0.9, "weight_decay": 1e-3}], ids=str)
def test_a_stack_trains_every_network_as_if_it_were_alone(data, settings, optimizer):
    # 25 steps of 30 from 300 images: more than two epochs, each in an order of its own.
    together = StackTrainer(networks(**settings), data, RATES, 30, seed=4, **optimizer)
    together.advance(25)
    # Rounding differs, and training magnifies it.
    tolerance = 1e-3 if settings.get("dtype") is np.float32 else 1e-9
    for net, lr, run in zip(networks(**settings), RATES, together.runs(), strict=True):
        alone = train(net, data, 25, lr, 30, seed=4, **optimizer)
        assert run.diverged_at is None and run.losses.shape == (25,)
        assert np.allclose(run.losses, alone.losses, rtol=tolerance, atol=0)
        assert_same_network(run.net, net, tolerance)
        assert run.net.dtype == settings.get("dtype", np.float64)


@pytest.mark.parametrize("norm", [None, "batch"])
def test_who_diverges_leaves_and_the_others_do_not_notice(data, norm):
    rates = [0.05, 1e150, 0.2, 1e40]
    together = StackTrainer(networks(norm=norm), data, rates, 30, momentum=0.5)
    together.advance(40)
    ends = []
    for net, lr, run in zip(networks(norm=norm), rates, together.runs(), strict=True):
        alone = train(net, data, 40, lr, 30, momentum=0.5)
        assert run.diverged_at == alone.diverged_at
        assert np.allclose(run.losses, alone.losses, rtol=1e-9, atol=0)
        ends.append(run.diverged_at)
        if run.diverged_at is None:
            assert_same_network(run.net, net)
        else:  # as they were before the step
            assert np.allclose(run.net.flat_params, net.flat_params, rtol=1e-9, atol=0)
    assert ends == [None, 1, None, 2]  # they left one after the other


def test_an_overflow_inside_batch_norm_is_found_in_the_network_that_has_it(data):
    nets = networks(norm="batch")
    nets[2].params["0.weight"][...] *= 1e200  # finite, but its square is not
    together = StackTrainer(nets, data, RATES, 30)
    together.advance(3)
    assert [run.diverged_at for run in together.runs()] == [None, None, 0, None]
    fresh = networks(norm="batch")[3]
    train(fresh, data, 3, RATES[3], 30)
    # The step was begun twice; the running statistics saw its batch once.
    assert_same_network(nets[3], fresh)
    assert nets[3].buffers["1.num_batches_tracked"] == 3


def test_all_diverged(data):
    together = StackTrainer(networks(), data, [1e300] * 4, 30)
    together.advance(40)
    ends = [run.diverged_at for run in together.runs()]
    assert None not in ends and together.diverged_at == max(ends)
    assert together.step_count == max(ends)
    together.advance(5)
    assert together.step_count == max(ends)


def test_networks_of_two_architectures_are_refused():
    with pytest.raises(ValueError, match="one architecture, got 2"):
        stack([bnlib.mlp([4, 3, 2]), bnlib.mlp([4, 3, 2], norm="batch")])


def test_batch_norms_with_other_settings_or_another_age_are_refused(data):
    one, other = (bnlib.mlp([4, 3, 2], norm="batch") for _ in range(2))
    other.layers[1].momentum = 0.5
    with pytest.raises(ValueError, match="same eps, momentum"):
        stack([one, other])
    one, other = (bnlib.mlp(SIZES, norm="batch") for _ in range(2))
    train(other, data, 1, 0.1, 30)
    with pytest.raises(ValueError, match="one age, got num_batches_tracked"):
        stack([one, other])


def test_a_layer_it_cannot_stack_is_named():
    with pytest.raises(TypeError, match="Conv2d"):
        stack([bnlib.cnn((1, 2), image_size=4)] * 2)


def test_calls_out_of_order_are_refused():
    with pytest.raises(RuntimeError, match="call forward first"):
        StackedDense(2, 3, 4).backward(np.zeros((5, 8)))
