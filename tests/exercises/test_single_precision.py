"""Calculations in float32 are right; few digits alone are not."""

import os
import re

import numpy as np
import pytest
from exercises.programs import F32, FUNCTIONS, all_outputs, at, in_float32, xh

from bnlib import exercises
from bnlib.exercises import bn_forward, saturated_fraction, standardize, update_running

# Every eighth mistake; in `.ci/run full`, which asks for many random programs as well, all of them.
EVERY = 1 if "BNLIB_RANDOM_PROGRAMS" in os.environ else 8


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_calculation_in_float32_is_accepted(name):
    exercise = exercises.available[name]
    for function in (
        in_float32(exercise.answer),
        in_float32(exercise.reference, back=True),
        all_outputs(name, lambda a: np.asarray(a, F32)),  # right, and converted in the end
    ):
        result = exercise.check(function)
        assert result.passed, result
        assert result.message.count("It ") == result.message.count(
            "float32 also where its input is float64"
        )


def test_a_float32_output_of_a_careful_calculation_counts_on_all_inputs():
    result = standardize.check(lambda x, eps: F32(xh(x, eps)))
    assert result.passed
    assert f"all {len(standardize.rows)} test inputs" in result.message
    # centred in float64, all the rest in float32
    assert standardize.check(lambda x, eps: xh(F32(x - x.mean(0)), eps)).passed


def test_a_share_has_no_dtype_to_keep():
    assert "float64" not in saturated_fraction.check(saturated_fraction.answer).message
    assert "float32" in bn_forward.check(bn_forward.answer).message


@pytest.mark.parametrize("name", ["standardize", "update_running", "bn_conv_backward"])
def test_all_totals_are_the_same_number(name):
    exercise = exercises.available[name]
    for function in (
        exercise.answer,
        in_float32(exercise.answer),
        all_outputs(name, lambda a: (np.asarray(a) * 1.3 + 0.1).astype(F32)),
        all_outputs(name, lambda a: np.round(a, 5)),
    ):
        message = exercise.check(function).message
        totals = re.findall(r"(\d+) test inputs", message)
        assert totals or "tried" in message, message
        assert set(totals) <= {str(len(exercise.rows))}, message


def one_pass(name):
    return next(m for m in exercises.available[name].mistakes if m.id == "one-pass-variance")


@pytest.mark.parametrize(
    "name", ["standardize", "bn_forward", "bn_backward", "bn_conv_forward", "update_running"]
)
def test_a_one_pass_variance_is_not_excused_by_float32(name):
    exercise, function = exercises.available[name], one_pass(name).function

    def converted(*args):
        found = function(*args)
        return tuple(map(F32, found)) if isinstance(found, tuple) else F32(found)

    result = exercise.check(converted)
    assert result.diagnosis == "one-pass-variance", result
    assert "do not fit into a float32" not in result.message
    result = exercise.check(in_float32(function))
    assert result.diagnosis == "one-pass-variance", result
    assert "float32 with means near 10,000" in result.message


def test_converting_gamma_does_not_excuse_the_variance_of_x():
    def function(x, gamma, beta, eps):
        return F32(one_pass("bn_forward").function(x, gamma.astype(F32), beta, eps))

    assert bn_forward.check(function).diagnosis == "one-pass-variance"


def test_another_fault_in_float32_is_not_a_one_pass_variance():
    not_given = at("update_running", "momentum", lambda momentum: momentum or 0.1)
    result = update_running.check(in_float32(not_given))
    assert (result.outcome, result.diagnosis) == ("not yet", None), result
    assert "momentum of 0" in result.message


@pytest.mark.parametrize("which", [1, 5])
def test_a_wrong_first_call_is_not_forgotten_when_float32_is_tried(which):
    calls = []

    def function(x, eps):
        calls.append(1)
        return F32(xh(x, eps) * (len(calls) != which))

    assert standardize.check(function).diagnosis == "not-deterministic"


@pytest.mark.parametrize("decimals", [3, 4, 6])
def test_rounded_arguments_are_not_called_float32(decimals):
    result = bn_forward.check(at("bn_forward", "x", lambda x: np.round(x, decimals)))
    assert result.outcome == "not yet"
    assert "fit into a float32" not in result.message


def test_gamma_that_is_not_used_does_not_count_as_float32():
    message = bn_forward.check(lambda x, gamma, beta, eps: 1.3 * xh(x, eps) + 0.1).message
    assert "not counted" not in message
    assert "float32" not in message


@pytest.mark.parametrize("decimals", [3, 6, 8])
@pytest.mark.parametrize("name", ["standardize", "bn_backward"])
def test_rounding_is_called_rounding(name, decimals):
    result = exercises.available[name].check(all_outputs(name, lambda a: np.round(a, decimals)))
    assert f"is rounded to {decimals} decimal" in result.message, result
    assert "float32" not in result.message


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_mistake_in_float32_is_named_as_well(name):
    """But for those that float32 itself hides, by overflow or by a division by 0."""
    exercise = exercises.available[name]
    mistakes = [m for m in exercise.mistakes if m.id not in ("overflow", "eps-missing")][::EVERY]
    found = [exercise.check(in_float32(m.function)).diagnosis for m in mistakes]
    missed = [m.id for m, diagnosis in zip(mistakes, found) if diagnosis != m.id]
    assert len(missed) <= 1, missed
