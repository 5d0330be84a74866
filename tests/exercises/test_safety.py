"""Nothing that a function does gets out of a check: exceptions, prints, changes, floods."""

import contextlib
import sys
import tracemalloc
import warnings

import numpy as np
import pytest
from exercises.programs import F32, ref, xh

from bnlib.exercises import bn_backward, bn_forward, fold_bn, init_std, standardize, update_running

# ---------------------------------------------------------------- changes


def in_place(x, eps):
    x -= x.mean(0)
    x /= np.sqrt((x**2).mean(0) + eps)
    return x


def updates_in_place(running_mean, running_var, x, momentum):
    running_mean *= 1 - momentum
    running_mean += momentum * x.mean(0)
    running_var[:] = (1 - momentum) * running_var + momentum * x.var(0, ddof=1)
    return running_mean, running_var


def destroys(*args):
    for array in args[:-1]:
        array[...] = np.nan
    return args[:2]


@pytest.mark.parametrize(
    ("exercise", "function", "names"),
    [
        (standardize, in_place, "its argument x in place"),
        (update_running, updates_in_place, "its arguments running_mean and running_var in place"),
        (fold_bn, destroys, "W and b and gamma and beta and mean and var"),
    ],
)
def test_a_changed_argument_is_reported_and_the_probes_survive(exercise, function, names):
    result = exercise.check(function)
    assert (result.outcome, result.diagnosis) == ("not yet", "modifies-input")
    assert names in result.message
    assert exercise.check(exercise.answer).passed


def test_random_numbers_are_reported():
    rng = np.random.default_rng(0)
    result = standardize.check(lambda x, eps: xh(x, eps) + 1e-3 * rng.standard_normal(x.shape))
    assert result.diagnosis == "not-deterministic"


def test_something_kept_between_calls_is_reported():
    calls = []

    def counts(x, eps):
        calls.append(1)
        return xh(x, eps) * (1 + 0.01 * (len(calls) > 20))

    assert not standardize.check(counts).passed
    kept = {}

    def caches(x, eps):
        return kept.setdefault("first", xh(x, eps)) if x.shape == (6, 4) else xh(x, eps)

    assert not standardize.check(caches).passed


def test_one_array_for_each_shape():
    kept = {}

    def function(x, gamma, beta, eps):
        y = kept.setdefault(x.shape, np.empty_like(x))
        y[...] = gamma * xh(x, eps) + beta
        return y

    result = bn_forward.check(function)
    assert result.diagnosis == "shared-output"
    assert "they share one array" in result.message


# ---------------------------------------------------------------- exceptions


def unknown_name(x, eps):
    mean = x.mean(axis=0)
    return (x - mean) / undefined_name  # noqa: F821


def numpy_raises(x, eps):
    return np.linalg.inv(x.mean(0))


def left_out(x, eps):
    return ...


def calls_what_is_left_out(x, eps):
    return 2 * left_out(x, eps)


def recurses(x, eps):
    return recurses(x, eps)


def halves(x, eps):
    return x.reshape(len(x), x.shape[1] / 2, -1)


def product(x, eps):
    return np.ones(3) @ x


def not_numpys(x, eps):
    return np.standardize(x)


RAISING = [
    (
        unknown_name,
        "standardize(x, eps) with x float64 (6, 4), eps = 0.1 raised NameError: name "
        "'undefined_name' is not defined",
        "return (x - mean) / undefined_name",
    ),
    (numpy_raises, "LinAlgError", "return np.linalg.inv(x.mean(0))"),
    (calls_what_is_left_out, "in your code, or in a function it calls", "return 2 * left_out"),
    (recurses, "never stops", "return recurses(x, eps)"),
    (halves, "`/` always gives a float", "x.shape[1] / 2"),
    (product, "the sizes 6 and 3 do not fit", "`@` is the matrix product"),
    (not_numpys, "AttributeError", "return np.standardize(x)"),
]


@pytest.mark.parametrize(("function", "says", "line"), RAISING)
def test_the_exception_is_shown_with_call_and_line_and_without_our_traceback(function, says, line):
    result = standardize.check(function)
    assert (result.outcome, result.diagnosis) == ("error", None)
    assert says in result.message
    assert line in result.message
    for word in ("Traceback", "call.py", "trial.py", "gufunc", "self.", __file__):
        assert word not in result.message


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, GeneratorExit, RecursionError])
def test_no_exception_gets_out_and_empty_is_numpys_own_again(error):
    calls, originals = [], (np.empty, np.empty_like)

    def raises(x, eps):
        calls.append(1)
        assert np.isnan(np.empty(3, F32)).all()
        assert np.empty(2, int).dtype == int
        raise error

    result = standardize.check(raises)
    assert result.outcome == "error"
    assert error.__name__ in result.message
    assert (np.empty, np.empty_like) == originals
    if not issubclass(error, Exception):
        assert len(calls) == 1, "an interrupted function is not called again"


def test_an_exception_on_some_inputs_only():
    result = standardize.check(lambda x, eps: xh(x.reshape(6, -1), eps))
    assert result.outcome == "error"
    assert result.message.startswith("Your function is right for the designed batch")
    assert "N = D" not in result.message.splitlines()[0]


def test_two_wrong_inputs_are_not_joined_by_but():
    message = standardize.check(lambda x, eps: 2 * xh(x, eps)[[0, 1, 2, 3, 4, 5]]).message
    assert "raised IndexError" in message
    assert message.startswith("Your function is wrong already for the designed batch")
    assert "But" not in message


@pytest.mark.parametrize("error", [RuntimeError, SystemExit, GeneratorExit])
def test_results_and_functions_that_fight_back(error):
    def fights(*args, **kwargs):
        raise error

    def leaves(self):
        raise SystemExit(self)  # the text of which is asked for, and leaves again

    silent = type("Silent", (Exception,), {"__str__": fights})
    fake = type("Fake", (), {"__array__": fights, "__len__": fights})
    says_no = type("SaysNo", (UserWarning,), {"__str__": leaves, "__repr__": leaves})
    endless = type("Endless", (list,), {"__len__": fights})
    no_attributes = type("Callable", (), {"__call__": lambda *a: xh(*a[1:]), "__getattr__": fights})

    def raises(x, eps):
        raise silent

    def refuses(x, eps):
        raise says_no

    def warns(x, eps):
        warnings.warn(says_no(), stacklevel=1)
        return x

    assert standardize.check(raises).outcome == "error"
    most = says_no()
    for function in (refuses, warns, lambda x, eps, more, most=most: x):
        message = "SystemExit got out"
        with contextlib.suppress(SystemExit):
            message = standardize.check(function).message
        assert "which cannot be shown as text" in message
        assert "could not judge" not in message
    assert standardize.check(lambda x, eps: fake()).diagnosis == "wrong-type"
    assert not bn_backward.check(lambda *args: fake()).passed
    assert not bn_backward.check(lambda *args: endless()).passed
    assert standardize.check(no_attributes()).outcome in ("correct", "error")


# ---------------------------------------------------------------- prints, warnings, floods


def test_what_the_function_prints_is_kept_off_the_screen_and_shown_once(capsys):
    def prints(x, eps):
        print("shape", x.shape)
        print("to stderr", file=sys.stderr)
        for i in range(200):
            print("line", i)
        sys.stdout.close()
        return xh(x, eps)

    result = standardize.check(prints)
    assert result.passed
    assert result.message.count("shape (6, 4)") == 1
    assert "to stderr" in result.message
    assert "line 7" in result.message
    assert "line 11" not in result.message
    assert "(more lines)" in result.message
    assert capsys.readouterr() == ("", "")


def test_addresses_and_endless_texts_are_not_shown():
    def raises(x, eps):
        raise ValueError(f"{object()} " + "long " * 10_000)

    message = standardize.check(raises).message
    assert "0x..." in message
    assert len(message) < 2000


def test_warnings_go_into_the_message_and_numpys_settings_survive(capsys):
    def warns(x, eps):
        warnings.warn("look here", UserWarning, stacklevel=1)
        y = np.sqrt(-np.abs(xh(x, eps)))
        np.seterr(all="raise")
        return y

    before = np.geterr()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = standardize.check(warns)
    assert "look here" in result.message
    assert "invalid value encountered in sqrt" in result.message
    assert capsys.readouterr() == ("", "")
    assert np.geterr() == before


def test_large_inputs_are_left_out_when_small_ones_fail():
    sizes = []

    def function(dy, x, gamma, eps):
        sizes.append(x.size)
        return 2 * dy, gamma, gamma

    result = bn_backward.check(function)
    assert max(sizes) <= 200
    assert "It is wrong on every input tried." in result.message


def test_a_simulation_is_not_asked_for_large_layers():
    largest = []

    def simulates(fan_in):
        largest.append(fan_in)
        return 1.02 * np.sqrt(2 / fan_in)

    assert not init_std.check(simulates).passed
    assert max(largest) <= 1000
    assert max(row.probe.args["fan_in"] for row in init_std.rows) <= 25_000


def test_printing_megabytes_keeps_none_of_them():
    def prints(x, eps):
        print("x" * 1_000_000)
        return xh(x, eps)

    standardize.check(xh)
    tracemalloc.start()
    result = standardize.check(prints)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert result.passed
    assert peak < 8e6, "it was 1 MB a call and copy, 75 calls"


@pytest.mark.parametrize(
    ("huge", "size"),
    [
        (np.broadcast_to(0.0, (4000, 4000)), "16,000,000"),
        ([[0.0] * 2000] * 2000, "4,000,000"),
        ("x" * 100_000, None),
    ],
)
def test_millions_of_numbers_are_told_after_one_call(huge, size):
    calls = []

    def function(x, eps):
        calls.append(1)
        return huge

    result = standardize.check(function)
    assert result.outcome == "not yet"
    assert len(result.message) < 2000
    if size:
        assert len(calls) == 1
        assert f"xhat has {size} entries, expected 24, of the shape (6, 4)" in result.message
    assert not bn_backward.check(lambda *args: (huge, *ref(*args)[1:])).passed
