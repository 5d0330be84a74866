"""What can be checked: stubs, functions of all kinds, and parameters that do not fit."""

import functools
import gc
import warnings

import numpy as np
import pytest
from exercises.programs import xh

from bnlib import exercises
from bnlib.exercises import bn_backward, bn_forward, standardize


def returns_dots(x, eps):
    return ...


def only_dots(x, eps): ...


def only_a_docstring(x, eps):
    """To do."""


def only_pass(x, eps):
    pass


def not_implemented(x, eps):
    raise NotImplementedError


@pytest.mark.parametrize(
    "stub", [returns_dots, only_dots, only_a_docstring, only_pass, not_implemented]
)
def test_a_stub_is_not_attempted(stub):
    assert standardize.check(stub).outcome == "not attempted"


def test_a_stub_of_several_outputs_is_not_attempted():
    assert bn_backward.check(lambda dy, x, gamma, eps: (..., ..., ...)).outcome == "not attempted"
    assert bn_backward.check(lambda dy, x, gamma, eps: (None, None, None)).passed is False


def test_a_method_stub_and_a_partial_stub_are_not_attempted():
    class Norm:
        def forward(self, x, eps): ...

    assert standardize.check(Norm().forward).outcome == "not attempted"
    assert standardize.check(functools.partial(only_dots)).outcome == "not attempted"


def test_lambdas_methods_partials_and_callable_objects_are_accepted():
    class Norm:
        scale = 1.0

        def method(self, x, eps):
            return xh(x, eps) * self.scale

        @classmethod
        def class_method(cls, x, eps):
            return xh(x, eps) * cls.scale

        @staticmethod
        def static_method(x, eps):
            return xh(x, eps)

        def __call__(self, x, eps):
            return xh(x, eps)

    def with_more(scale, x, eps=1e-5, axis=0, *, unused=None):
        return scale * xh(x, eps)

    for function in (
        lambda x, eps: xh(x, eps),
        Norm().method,
        Norm.class_method,
        Norm.static_method,
        Norm(),
        functools.partial(with_more, 1.0),
        lambda *args: xh(*args),
        functools.lru_cache(lambda *args: None) and xh,
        functools.wraps(xh)(lambda *args, **kwargs: xh(*args, **kwargs)),
    ):
        assert standardize.check(function).passed


@pytest.mark.parametrize("thing", [None, 3, 2.5, "standardize", np.zeros((6, 4)), [xh], (1, 2)])
def test_something_that_is_no_function(thing):
    result = standardize.check(thing)
    assert (result.outcome, result.diagnosis) == ("error", "not-callable")
    assert type(thing).__name__ in result.message


def test_the_result_in_place_of_the_function_is_explained():
    message = standardize.check(xh(np.eye(3), 0.1)).message
    assert "not its result" in message
    assert "check(standardize)" in message


def test_an_async_function_is_named_and_leaves_no_warning():
    async def standardize(x, eps):
        return xh(x, eps)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = exercises.standardize.check(standardize)
        assert "async def" in result.message
        assert not exercises.standardize.check(lambda x, eps: standardize(x, eps)).passed
        gc.collect()


def test_a_generator_is_named():
    def standardize(x, eps):
        yield xh(x, eps)

    assert "`yield`" in exercises.standardize.check(standardize).message


@pytest.mark.parametrize(
    "function", [lambda: 0, lambda x: x, lambda x, eps, more: x, lambda *, x, eps: x]
)
def test_parameters_that_do_not_fit(function):
    result = standardize.check(function)
    assert (result.outcome, result.diagnosis) == ("error", "wrong-parameters")
    assert "standardize(x, eps)" in result.message


def test_a_method_without_its_object():
    class Norm:
        def forward(self, x, eps):
            return xh(x, eps)

    result = standardize.check(Norm.forward)
    assert result.diagnosis == "wrong-parameters"
    assert "self" in result.message


def test_arguments_in_another_order():
    def bn(x, beta, gamma, eps):
        return gamma * xh(x, eps) + beta

    assert bn_forward.check(bn).diagnosis == "gamma-beta-swapped"  # the catalogue knows this one

    def other(x, gamma, eps, beta):
        return gamma * xh(x, eps) + beta

    result = bn_forward.check(other)
    assert result.diagnosis == "argument-order"
    assert "(x, gamma, eps, beta)" in result.message
    assert "(x, gamma, beta, eps)" in result.message

    def raises(eps, x):
        return xh(x, eps)

    result = standardize.check(raises)
    assert result.diagnosis == "argument-order"
    assert result.outcome == "error"


def test_other_names_in_the_right_order_are_fine():
    assert standardize.check(lambda batch, epsilon: xh(batch, epsilon)).passed
    assert standardize.check(lambda eps, x: xh(eps, x)).passed  # odd, but right
