"""Softmax cross-entropy."""

import numpy as np
import pytest
from cases import close
from hypothesis import given
from hypothesis import strategies as st

from bnlib.losses import softmax_cross_entropy


def make(n, k, seed=0, scale=1.0):
    rng = np.random.default_rng(seed)
    return scale * rng.standard_normal((n, k)), rng.integers(0, k, n)


@given(n=st.integers(1, 6), k=st.integers(1, 5), seed=st.integers(0, 999))
def test_loss_is_the_mean_negative_log_probability(n, k, seed):
    logits, labels = make(n, k, seed, scale=3.0)
    loss, dlogits = softmax_cross_entropy(logits, labels)
    probability = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert loss == pytest.approx(-np.mean(np.log(probability[np.arange(n), labels])), abs=1e-12)
    expected = probability.copy()
    expected[np.arange(n), labels] -= 1
    close(dlogits, expected / n, 1e-12, scale=1)
    assert isinstance(loss, float) and np.array_equal(logits, make(n, k, seed, scale=3.0)[0])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_huge_logits_do_not_overflow(dtype):
    logits = np.array([[3e4, 0, -3e4], [-3e4, 3e4, 0]], dtype)
    loss, dlogits = softmax_cross_entropy(logits, [1, 1])
    assert loss == pytest.approx(1.5e4)
    assert dlogits.tolist() == [[0.5, -0.5, 0], [0, 0, 0]]
    assert dlogits.dtype == dtype


@pytest.mark.parametrize(
    "logits, labels, error, message",
    [
        (np.ones(3), [0, 1, 2], ValueError, r"logits \(N, K\) and labels \(N,\), got \(3,\)"),
        (np.ones((3, 2)), [0, 1], ValueError, r"got \(3, 2\) and \(2,\)"),
        (np.ones((2, 2)), np.eye(2, dtype=int), ValueError, r"got \(2, 2\) and \(2, 2\)"),
        (np.ones((2, 2)), [0.0, 1.0], TypeError, "integer labels, got float64"),
        (np.ones((2, 2)), [0, 2], ValueError, r"labels in \[0, 2\), got 0 to 2"),
        ([[1.0, 2.0]], [0], TypeError, "expected logits as a float32 or float64 array, got a list"),
        (np.ones((0, 2)), np.ones(0, int), ValueError, r"got \(0, 2\) and \(0,\)"),
        (np.ones((2, 2)), [[0], [0, 1]], TypeError, "real numbers in labels"),
        (np.ones((2, 2)), [-1, 0], ValueError, r"labels in \[0, 2\), got -1 to 0"),
    ],
)
def test_bad_arguments_are_refused(logits, labels, error, message):
    with pytest.raises(error, match=message):
        softmax_cross_entropy(logits, labels)
