"""Calculations in float32 are right; few digits alone are not."""

import os
import re

import numpy as np
import pytest
from exercises.programs import F32, PER_CHANNEL, all_outputs, in_float32, xh

from bnlib import exercises
from bnlib.exercises import bn_forward, saturated_fraction, standardize, update_running

# Not those whose outputs are verdicts, which no rounding changes, and not the layers: what
# is wrapped and rounded here are functions.
NOT_ROUNDED = {"gradient_check", "tune_baseline", "BatchNormLayer", "NoisyBatchNorm"}
ALL = [name for name in exercises.available if name not in NOT_ROUNDED]
# Every third mistake; in `.ci/run full`, which asks for many random programs as well, all of them.
EVERY = 1 if "BNLIB_RANDOM_PROGRAMS" in os.environ else 3


@pytest.mark.parametrize("back", [False, True], ids=["returns float32", "returns float64"])
@pytest.mark.parametrize("name", ALL)
def test_a_calculation_in_float32_is_accepted(name, back):
    exercise = exercises.available[name]
    for function in (exercise.answer, exercise.reference):
        result = exercise.check(in_float32(function, back=back))
        assert result.passed, result


@pytest.mark.parametrize("name", ALL)
def test_a_right_result_that_is_converted_to_float32_is_accepted(name):
    result = exercises.available[name].check(all_outputs(name, lambda a: np.asarray(a, F32)))
    assert result.passed, result
    if "It " in result.message:
        assert "It returns float32 also where its input is float64" in result.message


def test_a_float32_output_of_a_careful_calculation_counts_on_all_inputs():
    result = standardize.check(lambda x, eps: F32(xh(x, eps)))
    assert result.passed
    assert f"all {len(standardize.rows)} test inputs" in result.message
    # centred in float64, all the rest in float32
    result = standardize.check(lambda x, eps: xh(F32(x - x.mean(0)), eps))
    assert result.passed


def test_a_share_has_no_dtype_to_keep():
    assert "float64" not in saturated_fraction.check(saturated_fraction.answer).message
    assert "float32" in bn_forward.check(bn_forward.answer).message


@pytest.mark.parametrize("name", ALL)
def test_all_totals_are_the_same_number(name):
    exercise = exercises.available[name]
    count = str(len(exercise.rows))
    functions = (
        exercise.answer,
        in_float32(exercise.answer),
        all_outputs(name, lambda a: np.asarray(a) * 1.3 + 0.1),
        all_outputs(name, lambda a: (np.asarray(a) * 1.3 + 0.1).astype(F32)),
        all_outputs(name, lambda a: np.round(a, 5)),
    )
    for function in functions:
        message = exercise.check(function).message
        totals = re.findall(r"(\d+) test inputs", message)
        assert totals or "tried" in message, message
        assert set(totals) <= {count}, message


def forward(statistics):
    """bn_forward with a mean and a variance of its own."""

    def function(x, gamma, beta, eps):
        mean, var = statistics(x)
        return gamma * (x - mean) / np.sqrt(var + eps) + beta

    return function


def one_pass(x, **keep):
    keep = keep or {"axis": 0}
    return x.mean(**keep), np.maximum((x * x).mean(**keep) - x.mean(**keep) ** 2, 0)


def one_pass_backward(dy, x, gamma, eps):
    mean, var = one_pass(x)
    std = np.sqrt(var + eps)
    z = (x - mean) / std
    dx = gamma / std * (dy - dy.mean(0) - z * (dy * z).mean(0))
    return dx, (dy * z).sum(0), dy.sum(0)


def one_pass_conv(x, gamma, beta, eps):
    mean, var = one_pass(x, **PER_CHANNEL)
    return gamma[:, None, None] * (x - mean) / np.sqrt(var + eps) + beta[:, None, None]


def one_pass_update(mean, var, x, m):
    new = one_pass(x)[1] * len(x) / (len(x) - 1)
    return (1 - m) * mean + m * x.mean(0), (1 - m) * var + m * new


ONE_PASS = {
    "standardize": lambda x, eps: (x - one_pass(x)[0]) / np.sqrt(one_pass(x)[1] + eps),
    "bn_forward": forward(one_pass),
    "bn_backward": one_pass_backward,
    "bn_conv_forward": one_pass_conv,
    "update_running": one_pass_update,
}


def converted(function, before, after):
    """function with its arrays converted to these dtypes, before and after the calculation."""

    def result(*args):
        found = function(*(a.astype(before) if isinstance(a, np.ndarray) else a for a in args))
        return tuple(a.astype(after) for a in found) if isinstance(found, tuple) else F32(found)

    return result


@pytest.mark.parametrize("name", list(ONE_PASS))
def test_a_one_pass_variance_in_float64_is_not_excused_by_a_float32_output(name):
    result = exercises.available[name].check(converted(ONE_PASS[name], np.float64, F32))
    assert result.diagnosis == "one-pass-variance", result
    assert "do not fit into a float32" not in result.message


@pytest.mark.parametrize("name", list(ONE_PASS))
def test_a_one_pass_variance_in_float32_is_named(name):
    result = exercises.available[name].check(converted(ONE_PASS[name], F32, F32))
    assert result.diagnosis == "one-pass-variance", result
    assert "float32 with means near 10,000" in result.message


def test_a_loop_that_fills_a_float32_array_is_held_to_large_means():
    def loops(x, gamma, beta, eps):
        y = np.zeros(x.shape, F32)
        for j, column in enumerate(x.T.tolist()):
            mean = sum(column) / len(column)
            var = sum(a * a for a in column) / len(column) - mean * mean
            y[:, j] = [gamma[j] * (a - mean) / (max(var, 0) + eps) ** 0.5 + beta[j] for a in column]
        return y

    assert bn_forward.check(loops).diagnosis == "one-pass-variance"


def test_converting_gamma_does_not_excuse_the_variance_of_x():
    def function(x, gamma, beta, eps):
        return F32(forward(one_pass)(x, gamma.astype(F32), beta, eps))

    assert bn_forward.check(function).diagnosis == "one-pass-variance"


def test_another_fault_in_float32_is_not_a_one_pass_variance():
    def function(mean, var, x, m):
        mean, var, x = F32(mean), F32(var), F32(x)
        m = m or 0.1  # momentum = 0 is taken for "not given"
        new_mean = (1 - m) * mean + m * x.mean(0)
        return new_mean, (1 - m) * var + m * x.var(0, ddof=1)

    result = update_running.check(function)
    assert (result.outcome, result.diagnosis) == ("not yet", None), result
    assert "momentum of 0" in result.message


def test_a_wrong_first_call_is_not_forgotten_when_float32_is_tried():
    for which in (1, 5):
        calls = []

        def function(x, eps, calls=calls, which=which):
            calls.append(1)
            return F32(xh(x, eps) * (len(calls) != which))

        assert standardize.check(function).diagnosis == "not-deterministic"


def test_rounded_arguments_are_not_called_float32():
    for decimals in (3, 4, 6):
        result = bn_forward.check(lambda x, g, b, eps, k=decimals: g * xh(np.round(x, k), eps) + b)
        assert result.outcome == "not yet"
        assert "fit into a float32" not in result.message


def test_gamma_that_is_not_used_does_not_count_as_float32():
    message = bn_forward.check(lambda x, gamma, beta, eps: 1.3 * xh(x, eps) + 0.1).message
    assert "not counted" not in message
    assert "float32" not in message


@pytest.mark.parametrize("decimals", [3, 4, 6, 8])
@pytest.mark.parametrize("name", ["standardize", "bn_forward", "bn_backward", "fold_bn_before"])
def test_rounding_is_called_rounding(name, decimals):
    result = exercises.available[name].check(all_outputs(name, lambda a: np.round(a, decimals)))
    assert f"is rounded to {decimals} decimal" in result.message, result
    assert "float32" not in result.message


@pytest.mark.parametrize("name", ALL)
def test_a_mistake_in_float32_is_named_as_well(name):
    """But for those that float32 itself hides, by overflow or by a division by 0."""
    exercise = exercises.available[name]
    mistakes = [m for m in exercise.mistakes if m.id not in ("overflow", "eps-missing")][::EVERY]
    found = [exercise.check(in_float32(m.function)).diagnosis for m in mistakes]
    missed = [m.id for m, diagnosis in zip(mistakes, found) if diagnosis != m.id]
    assert len(missed) <= 1, missed
