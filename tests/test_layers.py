"""Dense, the nonlinearities, Dropout and Residual."""

import copy

import numpy as np
import pytest
from cases import close
from hypothesis import given
from hypothesis import strategies as st

from bnlib.gradients import gradcheck
from bnlib.layers import ACTIVATIONS, Dense, Dropout, ReLU, Residual, Sigmoid, Tanh
from bnlib.norms import BatchNorm, LayerNorm

FUNCTIONS = {
    "relu": lambda x: np.where(x > 0, x, 0),
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "tanh": lambda x: (np.exp(x) - np.exp(-x)) / (np.exp(x) + np.exp(-x)),
}


def layers():
    """One of each, new."""
    return [Dense(3, 3), ReLU(), Sigmoid(), Tanh(), Dropout(), Residual([Dense(3, 3)])]


def check_layer(layer, x):
    """gradcheck of a layer with respect to its input and all parameters."""

    def forward(x, **params):
        for name, value in params.items():
            layer.params[name][...] = value
        return layer.forward(x)

    def backward(dy):
        return {"x": layer.backward(dy), **layer.grads}

    return gradcheck(forward, backward, {"x": x} | {k: v.copy() for k, v in layer.params.items()})


# -- Dense ----------------------------------------------------------------------------------------


@given(
    n=st.integers(1, 6),
    fan_in=st.integers(1, 5),
    fan_out=st.integers(1, 5),
    bias=st.booleans(),
    seed=st.integers(0, 999),
)
def test_dense_is_a_matrix_product_and_a_shift(n, fan_in, fan_out, bias, seed):
    rng = np.random.default_rng(seed)
    layer = Dense(fan_in, fan_out, bias=bias, rng=seed)
    if bias:
        layer.bias[...] = rng.standard_normal(fan_out)
    x = rng.standard_normal((n, fan_in))
    expected = np.array([[row @ column for column in layer.weight.T] for row in x])
    close(layer.forward(x), expected + (layer.bias if bias else 0), 1e-12, scale=10)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(5, 3, 4), (3, 3, 3), (1, 4, 2), (40, 6, 1)])
def test_dense_gradients_agree_with_differences(shape, bias):
    n, fan_in, fan_out = shape
    layer = Dense(fan_in, fan_out, bias=bias, rng=1)
    report = check_layer(layer, np.random.default_rng(2).standard_normal((n, fan_in)))
    assert report.passed and len(report.checks) == (3 if bias else 2), report


def test_dense_gradients_replace_the_old_ones_in_place():
    layer = Dense(3, 4)
    arrays = dict(layer.grads)
    x, dy = np.ones((2, 3)), np.ones((2, 4))
    for _ in range(2):
        layer.forward(x)
        layer.backward(dy)
    assert all(layer.grads[name] is arrays[name] for name in arrays)
    assert (layer.grads["weight"] == 2).all() and (layer.grads["bias"] == 2).all()


def test_dense_weights_start_with_the_given_spread_and_bias_0():
    layer = Dense(400, 300, rng=3)
    assert layer.weight.shape == (400, 300)
    assert layer.weight.std() == pytest.approx(400**-0.5, rel=0.02)
    assert abs(layer.weight.mean()) < 1e-3
    assert not layer.bias.any()
    assert Dense(400, 300, std=2.0).weight.std() == pytest.approx(2.0, rel=0.02)
    assert np.array_equal(Dense(4, 3, rng=5).weight, Dense(4, 3, rng=5).weight)
    assert not np.array_equal(Dense(4, 3, rng=5).weight, Dense(4, 3, rng=6).weight)


def test_dense_state_has_the_shape_of_pytorch():
    layer = Dense(3, 5, rng=1)
    state = layer.state_dict()
    assert {name: v.shape for name, v in state.items()} == {"weight": (5, 3), "bias": (5,)}
    assert np.array_equal(state["weight"], layer.weight.T)
    other = Dense(3, 5, rng=2)
    weight = other.weight
    other.load_state_dict(state)
    assert other.weight is weight and np.array_equal(weight, layer.weight)
    state["weight"][...] = 0
    assert layer.weight.all()


@pytest.mark.parametrize(
    "shape, hint",
    [
        ((3, 7), r"did you mean x\.T"),
        ((2, 1, 3, 3), r"images need x\.reshape"),
        ((2, 4), "the batch is the first axis"),
        ((4,), "the batch is the first axis"),
    ],
)
def test_dense_refuses_a_wrong_shape(shape, hint):
    with pytest.raises(
        ValueError, match=rf"Dense\(3, 2\) expected x of shape \(N, 3\), got .*{hint}"
    ):
        Dense(3, 2).forward(np.ones(shape))


def test_dense_refuses_another_dtype():
    with pytest.raises(TypeError, match="float64 weights, got x of dtype"):
        Dense(3, 2).forward(np.ones((4, 3), np.float32))


@pytest.mark.parametrize("layer", layers(), ids=str)
@pytest.mark.parametrize("x", [np.ones((4, 3), int), np.ones((4, 3), object), [[1.0] * 3], "abc"])
def test_what_is_no_float_array_is_refused_in_words(layer, x):
    with pytest.raises(TypeError, match="expected x as a float32 or float64 array, got a"):
        layer.forward(x)


@pytest.mark.parametrize("layer", layers(), ids=str)
@pytest.mark.parametrize("shape", [(3,), (1, 3), (4, 1), (4, 4), (3, 4), ()])
def test_a_dy_of_another_shape_is_not_broadcast(layer, shape):
    layer.forward(np.ones((4, 3)))
    with pytest.raises(ValueError, match=r"expected dy of shape \(4, 3\), the shape of y, got"):
        layer.backward(np.ones(shape))
    with pytest.raises(TypeError, match="real numbers in dy"):
        layer.backward(np.ones((4, 3), complex))


@pytest.mark.parametrize(
    "settings, error, message",
    [
        ({"in_features": 0}, ValueError, "in_features >= 1, a whole number, got 0"),
        ({"out_features": 2.5}, ValueError, "out_features >= 1, a whole number, got 2.5"),
        ({"std": float("nan")}, ValueError, "std >= 0, got nan"),
        ({"dtype": int}, TypeError, "float32 or float64"),
    ],
)
def test_dense_refuses_bad_settings(settings, error, message):
    with pytest.raises(error, match=message):
        Dense(**{"in_features": 3, "out_features": 2} | settings)


@pytest.mark.parametrize("layer", layers(), ids=str)
def test_backward_before_forward_is_refused(layer):
    with pytest.raises(RuntimeError, match="call forward first"):
        layer.backward(np.ones((2, 3)))


# -- Nonlinearities -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ACTIVATIONS)
@given(seed=st.integers(0, 999), scale=st.sampled_from([0.1, 1.0, 5.0]))
def test_activation_computes_its_function(name, seed, scale):
    x = scale * np.random.default_rng(seed).standard_normal((4, 3))
    close(ACTIVATIONS[name]().forward(x), FUNCTIONS[name](x), 1e-14, scale=max(1, scale * 4))


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("shape", [(5, 3), (4, 4), (2, 3, 4, 5)])
def test_activation_gradient_agrees_with_differences(name, shape):
    x = np.random.default_rng(1).standard_normal(shape)
    x += 0.1 * np.sign(x)  # away from the kink of ReLU
    report = check_layer(ACTIVATIONS[name](), x)
    assert report.passed, report


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_activation_at_extremes_is_finite_and_keeps_the_dtype(name, dtype):
    layer = ACTIVATIONS[name]()
    x = np.array([[-3e4, -100, -1, 0, 1, 100, 3e4]], dtype)
    kept = x.copy()
    y = layer.forward(x)
    dx = layer.backward(np.ones_like(x))
    assert np.isfinite(y).all() and np.isfinite(dx).all()
    assert y.dtype == dx.dtype == dtype
    assert np.array_equal(x, kept)


def test_relu_has_gradient_0_at_0():
    layer = ReLU()
    layer.forward(np.array([[-1.0, 0.0, 2.0]]))
    assert layer.backward(np.full((1, 3), 5.0)).tolist() == [[0, 0, 5]]


@pytest.mark.parametrize("name", ["sigmoid", "tanh"])
def test_saturated_is_where_the_derivative_is_below_5_percent_of_its_maximum(name):
    layer = ACTIVATIONS[name]()
    x = np.linspace(-8, 8, 3203)[None]
    layer.forward(x)
    derivative = layer.backward(np.ones_like(x))
    below = derivative < 0.05 * derivative.max()
    unclear = np.abs(np.abs(x) - layer.saturation_limit) < 0.01
    assert np.array_equal(layer.saturated(x)[~unclear], below[~unclear])
    assert below.any() and not below.all()


def test_relu_is_saturated_where_it_is_off():
    assert ReLU().saturated(np.array([-1.0, 0.0, 0.5])).tolist() == [True, True, False]


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation_has_a_name_and_nothing_to_learn(name):
    layer = ACTIVATIONS[name]()
    assert layer.name == name
    assert layer.params == layer.buffers == layer.state_dict() == {}
    assert repr(layer) == f"{type(layer).__name__}()"


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation_gradient_does_not_change_dy_or_the_cache(name):
    rng = np.random.default_rng(0)
    layer, dy = ACTIVATIONS[name](), rng.standard_normal((3, 4))
    kept = dy.copy()
    layer.forward(rng.standard_normal((3, 4)))
    first = layer.backward(dy)
    assert np.array_equal(layer.backward(dy), first) and np.array_equal(dy, kept)


# -- Dropout --------------------------------------------------------------------------------------


@pytest.mark.parametrize("p", [0.0, 0.2, 0.9])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dropout_keeps_a_share_and_the_expected_value(p, dtype):
    layer, x = Dropout(p, rng=1), np.full((400, 250), 3, dtype)
    y = layer.forward(x)
    assert y.dtype == dtype and (x == 3).all()
    kept = y != 0
    assert kept.mean() == pytest.approx(1 - p, abs=0.01)
    close(y[kept], np.full(kept.sum(), 3 / (1 - p)), 1e-6)
    dy = np.random.default_rng(0).standard_normal(x.shape).astype(dtype)
    dx = layer.backward(dy)
    assert dx.dtype == dtype and np.array_equal(dx, dy * (y / 3))  # through the same mask


def test_dropout_draws_anew_each_time_from_its_seed():
    x = np.ones((8, 9))
    layer, same, other = Dropout(0.5, rng=1), Dropout(0.5, rng=1), Dropout(0.5, rng=2)
    first, second = layer.forward(x), layer.forward(x)
    assert not np.array_equal(first, second)
    assert np.array_equal(same.forward(x), first) and np.array_equal(same.forward(x), second)
    assert not np.array_equal(other.forward(x), first)
    twin = copy.deepcopy(layer)
    assert np.array_equal(twin.forward(x), layer.forward(x))
    back, expected = layer.remember(), copy.deepcopy(layer).forward(x)
    layer.forward(x)
    layer.eval()
    back()
    assert layer.training and np.array_equal(layer.forward(x), expected)


def test_dropout_in_evaluation_mode_passes_all_on():
    layer, x = Dropout(0.5).eval(), np.random.default_rng(0).standard_normal((5, 4))
    state = layer.rng_state
    assert np.array_equal(layer.forward(x), x) and np.array_equal(layer.backward(x), x)
    assert layer.rng_state == state and layer.state_dict() == {} and repr(layer) == "Dropout(0.5)"


@pytest.mark.parametrize("p", [1, 1.0, -0.1, 2, np.nan, "0.5", None])
def test_dropout_refuses_another_share(p):
    with pytest.raises(ValueError, match=r"Dropout expected p in \[0, 1\).*, got"):
        Dropout(p)


# -- Residual -------------------------------------------------------------------------------------


def test_residual_adds_its_branch_to_x():
    dense, x = Dense(3, 3, rng=1), np.random.default_rng(0).standard_normal((5, 3))
    layer = Residual([dense, Tanh()])
    close(layer.forward(x), x + np.tanh(x @ dense.weight + dense.bias), 1e-14)
    dense.weight[...] = dense.bias[...] = 0  # the branch says nothing: y = x
    assert np.array_equal(layer.forward(x), x)


@pytest.mark.parametrize("norm", [BatchNorm, LayerNorm])
def test_residual_gradients_agree_with_differences(norm):
    branch = [
        Dense(4, 6, bias=False),
        norm(6, eps=0.1),
        Tanh(),
        Residual([Dense(6, 6)]),
        Dense(6, 4),
    ]
    report = check_layer(Residual(branch), np.random.default_rng(2).standard_normal((7, 4)))
    assert report.passed and len(report.checks) == 8, report


def test_residual_has_the_arrays_and_modes_of_its_branch():
    layer = Residual([Dense(4, 4, rng=1), BatchNorm(4), Residual([Dense(4, 4), Dropout()])])
    x = np.random.default_rng(0).standard_normal((5, 4))
    layer.forward(x)
    other = Residual([Dense(4, 4, rng=2), BatchNorm(4), Residual([Dense(4, 4, rng=3), Dropout()])])
    other.load_state_dict(layer.state_dict())
    assert np.array_equal(other.eval().forward(x), layer.eval().forward(x))
    assert not any(leaf.training for _, leaf in layer.leaves()) and not layer.training
    assert all(leaf.training for _, leaf in layer.train().leaves()) and layer.training
    assert {name: v.shape for name, v in layer.state_dict().items() if "bias" in name} == {
        "branch.0.bias": (4,),
        "branch.1.bias": (4,),
        "branch.2.branch.0.bias": (4,),
    }
    assert repr(Residual([Dense(2, 2), ReLU()])) == "Residual(Dense(2, 2), ReLU())"
    back, mean = layer.remember(), layer.branch[1].running_mean.copy()
    layer.forward(x)
    layer.eval()
    back()
    assert np.array_equal(layer.branch[1].running_mean, mean)
    assert layer.training and layer.branch[2].training and layer.branch[2].branch[1].training


def test_a_branch_that_does_not_fit_is_refused_and_changes_nothing():
    layer = Residual([BatchNorm(4), Dense(4, 3)])
    before = layer.state_dict()
    with pytest.raises(ValueError, match=r"keeps the shape of x \(5, 4\), got \(5, 3\): both are"):
        layer.forward(np.random.default_rng(0).standard_normal((5, 4)))
    assert all(np.array_equal(v, before[name]) for name, v in layer.state_dict().items())
    with pytest.raises(ValueError, match="Residual expected at least one layer"):
        Residual([])
    with pytest.raises(TypeError, match=r"Residual expected layers, such as ReLU\(\), got a type"):
        Residual([ReLU])
