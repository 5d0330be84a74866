"""What can be checked: stubs, functions of all kinds, and parameters that do not fit."""

import functools
import gc
import warnings

import numpy as np
import pytest
from exercises.programs import xh

from bnlib import exercises
from bnlib.exercises import bn_backward, bn_forward, standardize


def only_dots(x, eps): ...


def only_a_docstring(x, eps):
    """To do."""


def only_pass(x, eps):
    pass


def not_implemented(x, eps):
    raise NotImplementedError


class Norm:
    scale = 1.0

    def stub(self, x, eps): ...

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


STUBS = [
    lambda x, eps: ...,
    only_dots,
    only_a_docstring,
    only_pass,
    not_implemented,
    Norm().stub,
    functools.partial(only_dots),
]


@pytest.mark.parametrize("stub", STUBS)
def test_a_stub_is_not_attempted(stub):
    assert standardize.check(stub).outcome == "not attempted"


def test_a_stub_of_several_outputs_is_not_attempted():
    assert bn_backward.check(lambda dy, x, gamma, eps: (..., ..., ...)).outcome == "not attempted"


@pytest.mark.parametrize(
    "function",
    [
        Norm().method,
        Norm.class_method,
        Norm.static_method,
        Norm(),
        functools.partial(with_more, 1.0),
        lambda *args: xh(*args),
        functools.wraps(xh)(lambda *args, **kwargs: xh(*args, **kwargs)),
        lambda batch, epsilon: xh(batch, epsilon),
        lambda eps, x: xh(eps, x),  # odd names, but the right order
    ],
)
def test_all_kinds_of_functions_are_accepted(function):
    assert standardize.check(function).passed


async def asynchronous(x, eps):
    return xh(x, eps)


def generator(x, eps):
    yield xh(x, eps)


NO_FUNCTION, NO_PARAMETERS = ("error", "not-callable"), ("error", "wrong-parameters")
NOT_FITTING = [
    # what is checked, outcome and diagnosis, what the message must contain
    (None, NO_FUNCTION, "a NoneType"),
    (2.5, NO_FUNCTION, "given a float"),
    ("standardize", NO_FUNCTION, "a str"),
    ([xh], NO_FUNCTION, "a list"),
    (np.zeros((6, 4)), NO_FUNCTION, "given an ndarray. Pass the function, not its result"),
    (lambda: 0, NO_PARAMETERS, "standardize(x, eps), by position: 2 arguments."),
    (lambda x: x, NO_PARAMETERS, "standardize(x, eps)"),
    (lambda x, eps, more: x, NO_PARAMETERS, "standardize(x, eps)"),
    (lambda *, x, eps: x, NO_PARAMETERS, "standardize(x, eps)"),
    (Norm.method, NO_PARAMETERS, "a parameter self"),
    (lambda eps, x: xh(x, eps), ("error", "argument-order"), "(eps, x)"),
    (asynchronous, ("error", "no-plain-function"), "async def"),
    (generator, ("error", "no-plain-function"), "`yield`"),
]


@pytest.mark.parametrize(("thing", "verdict", "says"), NOT_FITTING)
def test_what_does_not_fit_is_explained(thing, verdict, says):
    result = standardize.check(thing)
    assert (result.outcome, result.diagnosis) == verdict, result
    assert says in result.message, result


def test_callable_objects_and_builtins_are_called():
    returns_none = type("ReturnsNone", (), {"__call__": lambda self, x, eps: None})()
    assert standardize.check(returns_none).diagnosis == "forgot-return"
    assert "raised ValueError" in standardize.check(max).message  # which tells no parameters


def test_one_argument_is_not_two():
    assert "1 argument." in exercises.init_std.check(lambda: 1.0).message


def test_an_async_function_leaves_no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not standardize.check(lambda x, eps: asynchronous(x, eps)).passed
        gc.collect()


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
