"""Conv2d and MaxPool2d. What all layers share: test_layers.py. The CNN: test_network.py."""

from itertools import product

import numpy as np
import pytest
from cases import check_gradients, close, convolution_of
from hypothesis import given
from hypothesis import strategies as st

from bnlib import convolution
from bnlib.convolution import Conv2d, MaxPool2d, im2col


def slow_pooling(x, kernel, stride, dy=None):
    """Maxima, and dx by the rule: all of the gradient to the first maximum, row by row."""
    (n, c, h, w), (kh, kw), (sh, sw) = x.shape, kernel, stride
    y = np.empty((n, c, (h - kh) // sh + 1, (w - kw) // sw + 1))
    dx = np.zeros(x.shape)
    for a, b, p, q in np.ndindex(y.shape):
        window = x[a, b, p * sh : p * sh + kh, q * sw : q * sw + kw]
        i, j = np.unravel_index(window.argmax(), window.shape)
        y[a, b, p, q] = window[i, j]
        if dy is not None:
            dx[a, b, p * sh + i, q * sw + j] += dy[a, b, p, q]
    return y, dx


@st.composite
def convolutions(draw):
    """A layer with random settings, and images that are just large enough or larger."""
    small, pairs = st.integers(1, 3), st.tuples(st.integers(1, 4), st.integers(1, 4))
    kernel, stride = draw(pairs), draw(pairs)
    padding = draw(st.tuples(st.integers(0, 2), st.integers(0, 2)))
    c, o, n, bias, seed = draw(small), draw(small), draw(small), draw(st.booleans()), draw(small)
    layer = Conv2d(c, o, kernel, stride, padding, bias, rng=seed)
    rng = np.random.default_rng(seed + 100)
    if bias:
        layer.bias[...] = rng.standard_normal(o)
    least = [max(1, k - 2 * p) for k, p in zip(kernel, padding, strict=True)]
    h, w = (draw(st.integers(s, s + 5)) for s in least)
    return layer, rng.standard_normal((n, c, h, w))


# -- Conv2d --------------------------------------------------------------------------------------


@given(convolutions())
def test_conv_is_the_sum_of_its_definition(case):
    layer, x = case
    bias = np.zeros(layer.out_channels) if layer.bias is None else layer.bias
    expected = convolution_of(x, layer.weight, bias, layer.stride, layer.padding)
    close(layer.forward(x), expected, 1e-12, scale=10)
    check_gradients(layer, x)


@pytest.mark.parametrize(("strip_bytes", "strips"), [(1, 7), (6000, 4), (10**9, 1)])
def test_strips_change_nothing(strip_bytes, strips, monkeypatch):
    # One row at a time, a few rows with a short last strip, everything at once.
    layer = Conv2d(2, 3, 3, stride=(2, 1), padding=1, rng=0)
    rng = np.random.default_rng(1)
    x = rng.standard_normal((4, 2, 13, 5))
    expected = convolution_of(x, layer.weight, layer.bias, (2, 1), (1, 1))
    monkeypatch.setattr(convolution, "STRIP_BYTES", strip_bytes)
    close(layer.forward(x), expected, 1e-12, scale=10)
    assert len(list(layer._strips())) == strips
    check_gradients(layer, x)


def test_im2col_has_the_windows_as_columns():
    x = np.random.default_rng(0).standard_normal((2, 5, 6, 3))
    columns = im2col(x, (3, 2), (2, 1))
    assert columns.shape == (2, 3, 2, 2, 5, 3)
    for p, q, n in np.ndindex(2, 5, 3):
        window = x[:, 2 * p : 2 * p + 3, q : q + 2, n]
        assert np.array_equal(columns[:, :, :, p, q, n], window)


# -- MaxPool2d -----------------------------------------------------------------------------------


@given(
    kernel=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    stride=st.none() | st.tuples(st.integers(1, 4), st.integers(1, 4)),
    extra=st.tuples(st.integers(0, 5), st.integers(0, 5)),
    levels=st.integers(1, 4),
    seed=st.integers(0, 99),
)
def test_pooling_and_its_gradient_with_ties(kernel, stride, extra, levels, seed):
    rng = np.random.default_rng(seed)
    x = rng.integers(-1, levels, (2, 3, kernel[0] + extra[0], kernel[1] + extra[1])) * 1.0
    layer = MaxPool2d(kernel, stride)
    y = layer.forward(x)
    dy = rng.standard_normal(y.shape)
    expected, expected_dx = slow_pooling(x, kernel, stride or kernel, dy)
    assert np.array_equal(y, expected)
    close(layer.backward(dy), expected_dx, 1e-13, scale=10)


def test_pooling_passes_a_nan_on():
    x = np.zeros((1, 1, 2, 2))
    for position in product(range(2), repeat=2):
        bad = x.copy()
        bad[0, 0][position] = np.nan
        assert np.isnan(MaxPool2d(2).forward(bad)).all()


# -- Errors say what was expected, what came and why -----------------------------------------------


@pytest.mark.parametrize(
    ("x", "error", "words"),
    [
        (np.zeros((2, 8, 8, 3)), ValueError, r"\(N, 3, H, W\), got \(2, 8, 8, 3\).*channels last"),
        (np.zeros((2, 4, 8, 8)), ValueError, r"Conv2d\(3, 2, 3\) expected .*\(2, 4, 8, 8\)"),
        (np.zeros((2, 8, 8)), ValueError, r"x\[:, None\]"),
        (np.zeros((2, 784)), ValueError, r'shape="image"'),
        (np.zeros((2, 3, 8, 8), np.float32), TypeError, "float64 weights, got x of dtype float32"),
        (np.zeros((2, 3, 2, 8)), ValueError, "pooled once too often"),
        (np.zeros((0, 3, 8, 8)), ValueError, r"got x of shape \(0, 3, 8, 8\)"),
    ],
)
def test_conv_explains_a_wrong_input(x, error, words):
    with pytest.raises(error, match=words):
        Conv2d(3, 2, 3).forward(x)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ((0, 2, 3), ValueError, "in_channels >= 1, a whole number, got 0"),
        ((2, 2, 0), ValueError, "kernel_size as an int >= 1 or a pair"),
        ((2, 2, (3, 3, 3)), ValueError, "kernel_size"),
        ((2, 2, 3, 0), ValueError, "stride"),
        ((2, 2, 3, 1, -1), ValueError, "padding as an int >= 0"),
        ((2, 2, 2.5), ValueError, "kernel_size"),
    ],
)
def test_conv_explains_a_wrong_setting(arguments, error, words):
    with pytest.raises(error, match=words):
        Conv2d(*arguments)
    with pytest.raises(TypeError, match="float32 or float64"):
        Conv2d(1, 1, 1, dtype=int)


def test_pooling_explains_a_wrong_input():
    for x in (np.zeros((2, 3, 1, 4)), np.zeros((3, 4, 4))):
        with pytest.raises(ValueError, match=r"MaxPool2d\(2\) expected x of shape \(N, C, H, W\)"):
            MaxPool2d(2).forward(x)
