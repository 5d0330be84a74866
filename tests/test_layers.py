"""What all layers have in common; then Dense, the nonlinearities, Dropout and Residual."""

import copy
import re

import numpy as np
import pytest
from cases import LAYERS, LAYOUTS, check_gradients, close, lay_out, snapshot
from hypothesis import given
from hypothesis import strategies as st

import bnlib
from bnlib.layers import ACTIVATIONS, Dense, Dropout, ReLU, Residual
from bnlib.norms import BatchNorm, Normalization

EACH = pytest.mark.parametrize("name", LAYERS)
MODES = pytest.mark.parametrize("mode", ["train", "eval"])


def layer_and_batch(name, dtype=np.float64):
    """A layer that has seen a batch and has other parameters than 1 and 0; x and dy."""
    make, x_shape, y_shape = LAYERS[name]
    layer, rng = make(dtype), np.random.default_rng(1)
    for array in layer.params.values():
        array += rng.normal(0.1, 0.5, array.shape)
    x, dy = rng.normal(1, 2, x_shape).astype(dtype), rng.standard_normal(y_shape).astype(dtype)
    layer.forward(x[::-1])
    return layer, x, dy


# -- All layers -----------------------------------------------------------------------------------


@EACH
@MODES
def test_gradients_agree_with_differences(name, mode):
    layer, x, _ = layer_and_batch(name)
    if (name, mode) == ("BatchRenorm", "train"):
        return  # r and d are constants in its gradient and not in a difference: test_norms.py
    if name == "Dropout":  # the same mask each time
        forward, state = layer.forward, layer.rng_state
        layer.forward = lambda x: setattr(layer, "rng_state", state) or forward(x)
    check_gradients(getattr(layer, mode)(), x)


@EACH
@MODES
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_dtype_is_kept(name, mode, dtype):
    layer, x, dy = layer_and_batch(name, dtype)
    arrays = [getattr(layer, mode)().forward(x), layer.backward(dy), *layer.params.values()]
    arrays += [*layer.grads.values(), *(b for k, b in layer.buffers.items() if "num" not in k)]
    assert {a.dtype for a in arrays} == {np.dtype(dtype)}


@EACH
@pytest.mark.parametrize("layout", LAYOUTS)
def test_arguments_are_left_alone_and_layouts_give_the_same_numbers(name, layout):
    (layer, x, dy), (twin, *_) = layer_and_batch(name), layer_and_batch(name)
    kept = lay_out(x, layout), lay_out(dy, layout)
    close(twin.forward(kept[0]), layer.forward(x), 1e-13)
    close(twin.backward(kept[1]), layer.backward(dy), 1e-12)
    for grad, expected in zip(twin.grads.values(), layer.grads.values()):
        close(grad, expected, 1e-12)
    assert np.array_equal(kept[0], x) and np.array_equal(kept[1], dy)


@EACH
def test_gradients_replace_the_old_ones_in_place(name):
    """`Sequential` lets all of them share one array."""
    layer, x, dy = layer_and_batch(name)
    arrays, before = dict(layer.grads), []
    for _ in range(2):
        back = layer.remember()
        layer.forward(x)
        before.append([layer.backward(dy).copy(), *(g.copy() for g in layer.grads.values())])
        back()  # running statistics, random numbers
    assert all(np.array_equal(a, b) for a, b in zip(*before, strict=True))
    assert all(layer.grads[k] is array for k, array in arrays.items())
    if isinstance(layer, Normalization):  # what forward kept is as large as x, and is let go
        with pytest.raises(RuntimeError, match="call forward first, once for each"):
            layer.backward(dy)


@EACH
def test_evaluation_mode_changes_nothing_and_treats_each_example_alone(name):
    layer, x, _ = layer_and_batch(name)
    assert layer.eval() is layer and not layer.training
    before = snapshot(layer)
    y = layer.forward(x)
    for i in range(len(x)):
        close(layer.forward(x[i : i + 1]), y[i : i + 1], 1e-13, scale=np.abs(y).max())
    assert snapshot(layer) == before
    assert layer.train() is layer and layer.training
    if not layer.buffers and name != "Dropout":
        assert np.array_equal(layer.forward(x), y)
    elif layer.buffers:
        layer.forward(x)
        assert snapshot(layer)["running_mean"] != before["running_mean"]


@EACH
def test_state_crosses_to_another_layer(name):
    layer, x, _ = layer_and_batch(name)
    state, other = layer.state_dict(), LAYERS[name][0](np.float64)
    arrays = dict(other.params)
    assert not any(grad.any() for grad in other.grads.values())
    other.load_state_dict(state)
    assert all(other.params[k] is array for k, array in arrays.items())
    assert np.array_equal(other.eval().forward(x), layer.eval().forward(x))
    before = snapshot(layer)
    for array in state.values():
        array[...] = 7  # copies: the layer does not see this
    if state:
        said = re.escape(str(layer)) + " expected .* missing"  # more of this: test_network.py
        with pytest.raises(KeyError, match=said):
            layer.load_state_dict({})
    assert snapshot(layer) == before
    assert str(layer) == str(other) != ""


@EACH
def test_backward_needs_forward_and_the_shape_of_y(name):
    """A dy of another shape is not broadcast."""
    with pytest.raises(RuntimeError, match=r"backward expected .* call forward first"):
        LAYERS[name][0](np.float64).backward(np.ones(LAYERS[name][2]))
    layer, _, dy = layer_and_batch(name)
    for bad in (dy[:1], dy[:, :1], dy[0], dy.ravel(), dy.T, np.ones(())):
        with pytest.raises(ValueError, match=r"expected dy of shape .*, the shape of y, got"):
            layer.backward(bad)
    with pytest.raises(TypeError, match="real numbers in dy"):
        layer.backward(dy.astype(complex))


@EACH
@MODES
def test_what_is_no_float_array_is_refused(name, mode):
    layer, x, _ = layer_and_batch(name)
    for bad in (x.astype(int), x.astype(object), x.tolist(), "abc", None):
        with pytest.raises(TypeError, match="expected x as a float32 or float64 array, got a"):
            getattr(layer, mode)().forward(bad)


@pytest.mark.parametrize(
    "make, fan_in",
    [
        (lambda **settings: Dense(400, 300, **settings), 400),
        (lambda **settings: bnlib.Conv2d(20, 50, (3, 5), **settings), 20 * 15),
    ],
)
def test_weights_start_with_the_given_spread_and_bias_0(make, fan_in):
    layer = make(rng=3)
    assert layer.weight.std() == pytest.approx(fan_in**-0.5, rel=0.03)
    assert abs(layer.weight.mean()) < 0.1 * fan_in**-0.5 and not layer.bias.any()
    assert make(std=2.0).weight.std() == pytest.approx(2.0, rel=0.03)
    assert np.array_equal(make(rng=3).weight, layer.weight)
    assert not np.array_equal(make(rng=4).weight, layer.weight)


# -- Dense ----------------------------------------------------------------------------------------


@given(n=st.integers(1, 6), fan_in=st.integers(1, 5), fan_out=st.integers(1, 5), bias=st.booleans())
def test_dense_is_a_matrix_product_and_a_shift(n, fan_in, fan_out, bias):
    rng = np.random.default_rng(0)
    layer, x = Dense(fan_in, fan_out, bias=bias), rng.standard_normal((n, fan_in))
    if bias:
        layer.bias[...] = rng.standard_normal(fan_out)
    expected = np.array([[row @ column for column in layer.weight.T] for row in x])
    close(layer.forward(x), expected + (layer.bias if bias else 0), 1e-12, scale=10)
    check_gradients(layer, x)
    assert np.array_equal(layer.state_dict()["weight"], layer.weight.T)  # PyTorch's shape


@pytest.mark.parametrize(
    "x, error, hint",
    [
        (np.ones((3, 7)), ValueError, r"expected x of shape \(N, 3\), got .*did you mean x\.T"),
        (np.ones((2, 1, 3, 3)), ValueError, r"got \(2, 1, 3, 3\): images need x\.reshape"),
        (np.ones((2, 4)), ValueError, "the batch is the first axis"),
        (np.ones(4), ValueError, "the batch is the first axis"),
        (np.ones((4, 3), np.float32), TypeError, "holds float64 weights, got x of dtype float32"),
    ],
)
def test_dense_refuses_a_wrong_x(x, error, hint):
    with pytest.raises(error, match=rf"Dense\(3, 2\) .*{hint}"):
        Dense(3, 2).forward(x)


@pytest.mark.parametrize(
    "settings, error, message",
    [
        ({"in_features": 0}, ValueError, "in_features >= 1, a whole number, got 0"),
        ({"out_features": 2.5}, ValueError, "out_features >= 1, a whole number, got 2.5"),
        ({"std": float("nan")}, ValueError, "std >= 0, got nan"),
        ({"dtype": int}, TypeError, "float32 or float64"),
        ({"std": 1e39, "dtype": np.float32}, ValueError, "a std whose weights float32 can hold"),
    ],
)
def test_dense_refuses_bad_settings(settings, error, message):
    with pytest.raises(error, match=message):
        Dense(**{"in_features": 3, "out_features": 2} | settings)


# -- Nonlinearities -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_activation_computes_its_function_at_extremes_too(name, dtype):
    layer = ACTIVATIONS[name]()
    x = np.array([[-3e4, -100, -1, 0, 1, 100, 3e4]], dtype)
    wide = x.astype(np.longdouble)
    with np.errstate(over="ignore"):
        expected = {"relu": np.maximum(wide, 0), "sigmoid": 1 / (1 + np.exp(-wide))}
    close(layer.forward(x), expected.get(name, np.tanh(wide)), 4 * np.finfo(dtype).eps)
    assert np.isfinite(layer.backward(np.ones_like(x))).all() and layer.name == name


def test_relu_has_gradient_0_at_0_and_is_saturated_where_it_is_off():
    layer = ReLU()
    layer.forward(np.array([[-1.0, 0.0, 2.0]]))
    assert layer.backward(np.full((1, 3), 5.0)).tolist() == [[0, 0, 5]]
    assert layer.saturated(np.array([-1.0, 0.0, 0.5])).tolist() == [True, True, False]


@pytest.mark.parametrize("name", ["sigmoid", "tanh"])
def test_saturated_is_where_the_derivative_is_below_5_percent_of_its_maximum(name):
    layer, x = ACTIVATIONS[name](), np.linspace(-8, 8, 3203)[None]
    layer.forward(x)
    derivative = layer.backward(np.ones_like(x))
    below = derivative < 0.05 * derivative.max()
    unclear = np.abs(np.abs(x) - layer.saturation_limit) < 0.01
    assert np.array_equal(layer.saturated(x)[~unclear], below[~unclear])
    assert below.any() and not below.all()


# -- Dropout --------------------------------------------------------------------------------------


@pytest.mark.parametrize("p", [0.0, 0.2, 0.9])
def test_dropout_keeps_a_share_and_the_expected_value(p):
    layer, x = Dropout(p, rng=1), np.full((400, 250), 3.0)
    y = layer.forward(x)
    kept = y != 0
    assert kept.mean() == pytest.approx(1 - p, abs=0.01)
    close(y[kept], np.full(kept.sum(), 3 / (1 - p)), 1e-14)
    dy = np.random.default_rng(0).standard_normal(x.shape)
    close(layer.backward(dy), dy * (y / 3), 1e-14)  # through the same mask


def test_dropout_draws_anew_each_time_from_its_seed_and_not_at_all_in_evaluation_mode():
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
    assert np.array_equal(layer.eval().forward(x), x) and np.array_equal(layer.backward(x), x)
    back()
    assert layer.training and np.array_equal(layer.forward(x), expected)
    state = layer.eval().rng_state
    layer.forward(x)
    assert layer.rng_state == state and layer.state_dict() == {} and repr(layer) == "Dropout(0.5)"


@pytest.mark.parametrize("p", [1, -0.1, np.nan, "0.5", None])
def test_dropout_refuses_another_share(p):
    with pytest.raises(ValueError, match=r"Dropout expected p in \[0, 1\).*, got"):
        Dropout(p)


# -- Residual -------------------------------------------------------------------------------------


def test_residual_has_the_arrays_and_modes_of_its_branch():
    inner, x = Residual([Dense(4, 4), Dropout()]), np.random.default_rng(0).random((5, 4))
    layer = Residual([Dense(4, 4), BatchNorm(4), inner]).eval()
    assert not any(leaf.training for _, leaf in layer.leaves()) and not layer.training
    assert all(leaf.training for _, leaf in layer.train().leaves()) and layer.training
    biases = ["branch.0.bias", "branch.1.bias", "branch.2.branch.0.bias"]
    assert [name for name in layer.state_dict() if "bias" in name] == biases
    assert repr(Residual([Dense(2, 2), ReLU()])) == "Residual(Dense(2, 2), ReLU())"
    back, mean = layer.remember(), layer.branch[1].running_mean.copy()
    layer.forward(x)
    layer.eval()
    back()
    assert np.array_equal(layer.branch[1].running_mean, mean)
    assert layer.training and layer.branch[2].training and layer.branch[2].branch[1].training


def test_a_branch_that_does_not_fit_is_refused_and_changes_nothing():
    layer = Residual([BatchNorm(4), Dense(4, 3)])
    before = snapshot(layer)
    with pytest.raises(ValueError, match=r"keeps the shape of x \(5, 4\), got \(5, 3\): both are"):
        layer.forward(np.random.default_rng(0).standard_normal((5, 4)))
    assert snapshot(layer) == before
    layer, x = Residual([BatchNorm(4), Dense(4, 4)]), np.random.default_rng(0).random((5, 4))
    layer.forward(x)
    layer.backward(x)
    layer.forward(x)
    with pytest.raises(ValueError, match="finite numbers in dy"):
        layer.backward(x * np.nan)  # the gradients of Dense are NaN by then
    assert not any(grad.any() for grad in layer.grads.values())
    with pytest.raises(ValueError, match="Residual expected at least one layer"):
        Residual([])
    with pytest.raises(TypeError, match=r"Residual expected layers, such as ReLU\(\), got a type"):
        Residual([ReLU])
