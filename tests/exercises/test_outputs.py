"""Outputs of the wrong form: number, shape, type, entries that are missing."""

import re

import numpy as np
import pytest
from exercises.programs import ref, xh

from bnlib import exercises
from bnlib.exercises import bn_backward, bn_forward, saturated_fraction, standardize


def test_a_forgotten_return():
    def forgot(x, eps):
        xhat = xh(x, eps)  # noqa: F841

    result = standardize.check(forgot)
    assert (result.outcome, result.diagnosis) == ("not yet", "forgot-return")
    assert "return xhat" in result.message


def test_the_wrong_number_of_arrays():
    result = standardize.check(lambda x, eps: (xh(x, eps), None))
    assert result.diagnosis == "wrong-count"
    assert "a tuple of 2" in result.message
    result = standardize.check(lambda x, eps: (xh(x, eps),))
    assert "comma" in result.message
    result = bn_backward.check(lambda *args: ref(*args)[:2])
    assert result.diagnosis == "wrong-count"
    assert "2 values" in result.message
    assert "3 arrays" in result.message
    result = bn_backward.check(lambda *args: ref(*args)[0])
    assert result.diagnosis == "wrong-count"
    assert "(6, 4)" in result.message


@pytest.mark.parametrize(
    ("name", "order"), [("fold_bn", [1, 0]), ("bn_backward", [2, 1, 0]), ("bn_backward", [1, 0, 2])]
)
def test_outputs_in_another_order_are_called_so(name, order):
    exercise = exercises.available[name]
    result = exercise.check(lambda *args: tuple(exercise.answer(*args)[i] for i in order))
    assert result.diagnosis in ("outputs-order", "parameters-first")
    assert "in another order" in result.message
    assert f"return {', '.join(exercise.returns)}" in result.message


def test_a_part_that_is_still_missing_says_which_others_are_right():
    def partly(dy, x, gamma, eps):
        _, dgamma, dbeta = ref(dy, x, gamma, eps)
        return ..., dgamma, dbeta

    result = bn_backward.check(partly)
    assert (result.outcome, result.diagnosis) == ("not yet", "missing-output")
    assert "dx is still ..." in result.message
    assert "dgamma and dbeta" in result.message


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda y: y[:, 0], "(6,)"),
        (lambda y: y.T, "transpose"),
        (lambda y: y[None], "length 1"),
        (lambda y: y.ravel(), "arrangement"),
        (lambda y: y.mean(), "()"),
        (lambda y: y[:-1], "(5, 4)"),
    ],
)
def test_the_wrong_shape(change, says):
    result = standardize.check(lambda x, eps: change(xh(x, eps)))
    assert (result.outcome, result.diagnosis) == ("not yet", "wrong-shape")
    assert says in result.message
    assert "expected (6, 4)" in result.message


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda z: z[:-1], "Axis 0 has 5 entries and should have 6"),
        (lambda z: z[:, 1:], "Axis 1 has 3 entries and should have 4"),
        (lambda z: np.vstack([z, z[:1]]), "Axis 0 has 7 entries and should have 6"),
        (lambda z: z[:, 0], "An axis is gone"),
    ],
)
def test_a_lost_row_is_not_called_a_sum(change, says):
    result = standardize.check(lambda x, eps: change(xh(x, eps)))
    assert result.diagnosis == "wrong-shape"
    assert says in result.message
    assert "should be summed" not in result.message


def test_the_axis_that_is_left_is_named():
    result = bn_backward.check(lambda *args: (*ref(*args)[:2], args[0].sum(1)))
    assert result.diagnosis == "wrong-shape"
    assert "6 is N: the axis of the batch is left" in result.message


@pytest.mark.parametrize("dtype", [int, np.int8])
def test_integers_are_rejected(dtype):
    result = standardize.check(lambda x, eps: xh(x, eps).astype(dtype))
    assert (result.outcome, result.diagnosis) == ("not yet", "integer-output")


@pytest.mark.parametrize(
    "value", ["text", {"xhat": 1}, object(), [[1, 2], [3]], 1j, np.array([None]), iter([1])]
)
def test_something_that_is_no_array(value):
    result = standardize.check(lambda x, eps: value)
    assert result.outcome == "not yet"
    assert result.diagnosis in ("wrong-type", "wrong-shape")


def test_true_and_false_where_one_number_is_asked_for():
    def saturated(z):
        s = 1 / (1 + np.exp(-z))
        return s * (1 - s) < 0.05 * 0.25

    result = saturated_fraction.check(saturated)
    assert (
        "fraction is an array of True and False of shape (32, 25), expected one number: which "
        "share is True?"
    ) in result.message


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("bn_forward", lambda x, gamma, beta, eps: x[0] > 0),
        ("bn_forward", lambda x, gamma, beta, eps: True),
        ("bn_forward", lambda x, gamma, beta, eps: (x > 0).T),
        ("bn_forward", lambda x, gamma, beta, eps: x > 0),
        ("bn_backward", lambda dy, x, gamma, eps: (x > 0, gamma > 0, x > 0)),
        ("saturated_fraction", lambda z: z.mean() > 0),
    ],
)
def test_a_boolean_of_any_shape_is_a_comparison(name, function):
    result = exercises.available[name].check(function)
    assert (result.outcome, result.diagnosis) == ("not yet", "boolean-output")
    assert "True" in result.message
    assert "integers" not in result.message


def test_half_precision_is_rejected_and_single_precision_is_named():
    result = standardize.check(lambda x, eps: xh(x, eps).astype(np.float16))
    assert result.diagnosis == "half-precision"
    result = standardize.check(lambda x, eps: xh(x.astype(np.float32), eps))
    assert result.passed
    assert "float32" in result.message
    assert "returns float64" in standardize.check(lambda x, eps: xh(np.float64(x), eps)).message


def test_nested_lists_are_accepted():
    assert standardize.check(lambda x, eps: xh(x, eps).tolist()).passed
    assert bn_backward.check(lambda *args: [a.tolist() for a in ref(*args)]).passed


def test_masked_entries_count_as_missing():
    for masks in (
        lambda y: np.ma.masked_where(y < 0, y),
        lambda y: list(np.ma.masked_where(y < 0, y)),
    ):
        result = standardize.check(lambda x, eps, f=masks: f(xh(x, eps)))
        assert (result.outcome, result.diagnosis) == ("not yet", "masked-output")
        assert "of the 24 entries of xhat are masked" in result.message
    assert standardize.check(lambda x, eps: np.ma.array(xh(x, eps))).passed
    assert not saturated_fraction.check(lambda z: np.ma.masked).passed


def test_nan_is_shown_with_its_place():
    result = standardize.check(lambda x, eps: np.log(xh(x, eps)))
    assert result.outcome == "not yet"
    assert "is nan, expected" in result.message
    assert "not finite" in result.message


def fills_all_but_one_column(x, gamma, beta, eps):
    y = np.empty(x.shape)
    for j in range(x.shape[1] - 1):
        y[:, j] = gamma[j] * xh(x, eps)[:, j] + beta[j]
    return y


def fills_all_but_one_row(x, gamma, beta, eps):
    y = np.empty_like(x)
    y[1:] = gamma * xh(x, eps)[1:] + beta
    return y


@pytest.mark.parametrize("function", [fills_all_but_one_column, fills_all_but_one_row])
def test_entries_that_were_never_assigned_are_called_so(function):
    messages = {str(bn_forward.check(function)) for _ in range(3)}
    assert len(messages) == 1
    assert re.search(
        r"y\[0, \d\] is not a number, expected .*\d: was it, .* ever assigned", messages.pop()
    )


def test_what_is_computed_from_an_unassigned_entry_too():
    def function(dy, x, gamma, eps):
        dgamma = np.empty(x.shape[1])
        dgamma[1:] = (dy * xh(x, eps)).sum(0)[1:]
        return ref(dy, x, gamma, eps)[0] + 0 * dgamma, dgamma, dy.sum(0)

    assert "ever assigned" in bn_backward.check(function).message


def test_another_nan_is_not_called_unassigned():
    message = standardize.check(lambda x, eps: np.log(np.add(xh(x, eps), 0.0))).message
    assert "Which root or division" in message
    assert "assigned" not in message
