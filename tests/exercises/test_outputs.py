"""Outputs of the wrong form: number, shape, type, entries that are missing."""

import re

import numpy as np
import pytest
from exercises.programs import F32, all_outputs, answer, dx_only, ref, xh

from bnlib import exercises
from bnlib.exercises import bn_backward, bn_forward, standardize


def forgot(x, eps):
    xhat = xh(x, eps)  # noqa: F841


def partly(*args):
    return ..., *ref(*args)[1:]


def of(change):
    """standardize with change(xhat) in place of xhat."""
    return all_outputs("standardize", change)


def ordered(name, *order):
    return lambda *args: tuple(answer(name)(*args)[i] for i in order)


def saturated(z):
    s = 1 / (1 + np.exp(-z))
    return s * (1 - s) < 0.05 * 0.25


FORMS = [
    # exercise, function, the diagnosis, what the message must contain
    ("standardize", forgot, "forgot-return", "return xhat"),
    ("standardize", of(lambda y: (y, None)), "wrong-count", "a tuple of 2"),
    ("standardize", of(lambda y: (y,)), "wrong-count", "comma"),
    ("bn_backward", lambda *args: ref(*args)[:2], "wrong-count", "2 values, expected 3 arrays"),
    ("bn_backward", lambda *args: ref(*args)[0], "wrong-count", "(6, 4)"),
    ("fold_bn", ordered("fold_bn", 1, 0), "outputs-order", "`return W2, b2`"),
    ("bn_backward", ordered("bn_backward", 2, 1, 0), "outputs-order", "`return dx, dgamma, dbeta`"),
    ("bn_backward", ordered("bn_backward", 1, 0, 2), "outputs-order", "in another order"),
    ("bn_backward", partly, "missing-output", "dx is still ...: what"),
    ("standardize", of(lambda y: y[:, 0]), "wrong-shape", "(6,), expected (6, 4). An axis is gone"),
    ("standardize", of(lambda y: y.mean()), "wrong-shape", "(), expected (6, 4)"),
    ("standardize", of(lambda y: y.T), "wrong-shape", "transpose"),
    ("standardize", of(lambda y: y[None]), "wrong-shape", "length 1"),
    ("standardize", of(lambda y: y.ravel()), "wrong-shape", "arrangement"),
    ("standardize", of(lambda y: y[:-1]), "wrong-shape", "Axis 0 has 5 entries and should have 6"),
    ("standardize", of(lambda y: y[:, 1:]), "wrong-shape", "Axis 1 has 3 entries and should have"),
    ("standardize", of(lambda y: np.vstack([y, y[:1]])), "wrong-shape", "Axis 0 has 7 entries"),
    (
        "bn_backward",
        lambda *args: (*ref(*args)[:2], args[0].sum(1)),
        "wrong-shape",
        "6 is N: the axis of the batch is left",
    ),
    ("standardize", of(lambda y: y.astype(np.int8)), "integer-output", "integers"),
    ("standardize", of(lambda y: y.astype(np.float16)), "half-precision", "float16"),
    ("standardize", of(lambda y: "text"), "wrong-type", "str"),
    ("standardize", of(lambda y: {"xhat": y}), "wrong-type", "dict"),
    ("standardize", of(lambda y: [[1, 2], [3]]), "wrong-type", "list"),
    ("standardize", of(lambda y: np.array([None])), "wrong-type", "an array of object"),
    ("standardize", of(lambda y: 1j), "wrong-type", "complex"),
    ("saturated_fraction", saturated, "boolean-output", "(32, 25), expected one number: which"),
    ("saturated_fraction", lambda z: z.mean() > 0, "boolean-output", "True"),
    ("bn_forward", lambda x, *rest: (x > 0).T, "boolean-output", "True"),
    ("bn_forward", lambda *args: True, "boolean-output", "True"),
    ("bn_backward", lambda dy, x, g, eps: (x > 0, g > 0, x > 0), "boolean-output", "True"),
    ("standardize", of(lambda y: np.ma.masked_where(y < 0, y)), "masked-output", "of the 24 ent"),
    ("standardize", of(lambda y: [*np.ma.masked_where(y < 0, y)]), "masked-output", "are masked"),
    ("saturated_fraction", lambda z: np.ma.masked, "masked-output", "masked"),
    ("standardize", of(np.log), None, "is nan, expected"),
    ("standardize", of(lambda y: np.log(y + 0.0)), None, "not finite. Which root or division"),
]


@pytest.mark.parametrize(("name", "function", "diagnosis", "says"), FORMS)
def test_a_wrong_form_is_named(name, function, diagnosis, says):
    result = exercises.available[name].check(function)
    assert (result.outcome, result.diagnosis) == ("not yet", diagnosis), result
    assert says in result.message, result
    assert "should be summed" not in result.message or "axis of the batch" in result.message
    assert "integers" not in result.message or diagnosis == "integer-output"
    assert "assigned" not in result.message


def test_single_precision_is_named():
    assert "float32" in standardize.check(lambda x, eps: xh(x.astype(F32), eps)).message
    assert "returns float64" in standardize.check(lambda x, eps: xh(np.float64(x), eps)).message


@pytest.mark.parametrize("kind", [list, np.ma.array, np.asmatrix, np.asarray])
def test_right_numbers_in_no_array_are_accepted_and_named(kind):
    result = standardize.check(of(kind))
    assert result.passed
    assert ("may ask for the shape of an array" in result.message) == (kind is not np.asarray)
    mixed = bn_backward.check(lambda *args: (kind(ref(*args)[0]), *ref(*args)[1:]))
    assert ("dx. The numbers are right" in mixed.message) == (kind is not np.asarray)


def fills_all_but_one_column(x, gamma, beta, eps):
    y = np.empty(x.shape)
    y[:, :-1] = (gamma * xh(x, eps) + beta)[:, :-1]
    return y


def fills_all_but_one_row(x, gamma, beta, eps):
    y = np.empty_like(x)
    y[1:] = gamma * xh(x, eps)[1:] + beta
    return y


@pytest.mark.parametrize("function", [fills_all_but_one_column, fills_all_but_one_row])
def test_entries_that_were_never_assigned_are_called_so(function):
    messages = {str(bn_forward.check(function)) for _ in range(2)}
    assert len(messages) == 1
    assert re.search(
        r"y\[0, \d\] is not a number, expected .*\d: was it, .* ever assigned", messages.pop()
    )


def test_what_is_computed_from_an_unassigned_entry_too():
    function = dx_only(lambda dy, x, *rest: dy + np.empty(x.shape[1]))
    assert "ever assigned" in bn_backward.check(function).message
