"""Exercises 3.1 to 3.3 and 10.1: integers, and a variance far from zero."""

import numpy as np
import pytest

from bnlib import exercises
from bnlib.exercises import stable_variance, standardize


def filled_by_column(name):
    def function(x, *args):
        right = exercises.available[name].answer(x, *args)
        y = np.zeros_like(x)
        for j in range(x.shape[1]):
            y[:, j] = right[:, j]
        return y

    return function


@pytest.mark.parametrize("name", ["standardize", "bn_forward", "bn_conv_forward"])
def test_an_array_like_an_x_of_integers_cuts_the_output(name):
    result = exercises.available[name].check(filled_by_column(name))
    assert result.diagnosis == "integer-output"
    assert "array of integers" in result.message


def test_another_mistake_comes_before_the_integers():
    def both(x, eps):
        xhat = np.zeros_like(x)
        xhat[:] = (x - x.mean(0)) / (x.std(0) + eps)
        return xhat

    assert standardize.check(both).diagnosis == "eps-outside-root"


def test_a_refusal_of_integers_is_a_sensible_answer():
    def in_place(x, eps):
        xhat = x.copy()
        xhat -= x.mean(0)
        return xhat / np.sqrt(x.var(0) + eps)

    assert standardize.check(in_place).passed


def one_pass_of(shifted):
    def function(x):
        d = shifted(x)
        return (d * d).mean(0) - d.mean(0) ** 2

    return function


def test_a_shift_that_is_rounded_to_thousands_is_found_out():
    rounded = one_pass_of(lambda x: x - np.round(x[0], -3))
    assert not stable_variance.check(rounded).passed


@pytest.mark.parametrize("shift", [lambda x: x.mean(), lambda x: x[0, 0], lambda x: np.median(x)])
def test_one_shift_for_all_features_has_a_name(shift):
    result = stable_variance.check(one_pass_of(lambda x: x - shift(x)))
    assert result.diagnosis == "one-shift-for-all-features"
