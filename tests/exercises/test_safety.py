"""Nothing that a function does gets out of a check: exceptions, prints, changes, floods."""

import sys
import tracemalloc
import warnings

import numpy as np
import pytest
from exercises.programs import F32, ref, xh

from bnlib.exercises import bn_backward, bn_forward, fold_bn, init_std, standardize, update_running

# ---------------------------------------------------------------- changes


def test_a_changed_argument_is_reported():
    def in_place(x, eps):
        x -= x.mean(0)
        x /= np.sqrt((x**2).mean(0) + eps)
        return x

    result = standardize.check(in_place)
    assert (result.outcome, result.diagnosis) == ("not yet", "modifies-input")
    assert "argument x" in result.message

    def updates_in_place(running_mean, running_var, x, momentum):
        running_mean *= 1 - momentum
        running_mean += momentum * x.mean(0)
        running_var[:] = (1 - momentum) * running_var + momentum * x.var(0, ddof=1)
        return running_mean, running_var

    result = update_running.check(updates_in_place)
    assert result.diagnosis == "modifies-input"
    assert "running_mean and running_var" in result.message


def test_the_probes_survive_functions_that_write_into_everything():
    def destroys(W, b, gamma, beta, mean, var, eps):
        for array in (W, b, gamma, beta, mean, var):
            array[...] = np.nan
        return W, b

    assert fold_bn.check(destroys).diagnosis == "modifies-input"
    assert fold_bn.check(fold_bn.answer).passed


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


def test_the_exception_is_shown_with_call_and_line_and_without_our_traceback():
    def broken(x, eps):
        mean = x.mean(axis=0)
        return (x - mean) / undefined_name  # noqa: F821

    result = standardize.check(broken)
    assert (result.outcome, result.diagnosis) == ("error", None)
    for part in (
        "standardize(x, eps) with x float64 (6, 4), eps = 0.1",
        "NameError: name 'undefined_name' is not defined",
        "return (x - mean) / undefined_name",
    ):
        assert part in result.message
    for word in ("Traceback", "contract.py", "engine.py", __file__):
        assert word not in result.message


def test_the_line_is_the_students_own_also_when_numpy_raises():
    def broken(x, eps):
        return np.linalg.inv(x.mean(0))

    message = standardize.check(broken).message
    assert "return np.linalg.inv(x.mean(0))" in message
    assert "LinAlgError" in message


def test_dots_may_be_left_in_another_function():
    def xhat_of_before(x, eps):
        return ...

    result = bn_forward.check(lambda x, g, b, eps: g * xhat_of_before(x, eps) + b)
    assert "in your code, or in a function it calls" in result.message


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, GeneratorExit, RecursionError])
def test_no_exception_gets_out(error):
    calls = []

    def raises(x, eps):
        calls.append(1)
        raise error

    result = standardize.check(raises)
    assert result.outcome == "error"
    assert error.__name__ in result.message
    if not issubclass(error, Exception):
        assert len(calls) == 1, "an interrupted function is not called again"


def test_an_endless_recursion():
    def recurses(x, eps):
        return recurses(x, eps)

    assert "never stops" in standardize.check(recurses).message


def test_an_exception_on_some_inputs_only():
    def for_six_rows(x, eps):
        return xh(x.reshape(6, -1), eps)

    result = standardize.check(for_six_rows)
    assert result.outcome == "error"
    assert result.message.startswith("Your function is right for the designed batch")
    assert "N = D" not in result.message.splitlines()[0]


def test_two_wrong_inputs_are_not_joined_by_but():
    def function(x, eps):
        return 2 * xh(x, eps)[[0, 1, 2, 3, 4, 5]]

    message = standardize.check(function).message
    assert "raised IndexError" in message
    assert message.startswith("Your function is wrong already for the designed batch")
    assert "But" not in message


def test_results_that_fight_back():
    class Hostile:
        def __array__(self, *args, **kwargs):
            raise RuntimeError("no array")

        def __len__(self):
            raise RuntimeError("no length")

    assert standardize.check(lambda x, eps: Hostile()).outcome == "not yet"
    assert bn_backward.check(lambda *args: Hostile()).outcome in ("not yet", "error")

    class HostileCallable:
        def __call__(self, x, eps):
            return xh(x, eps)

        def __getattr__(self, name):
            raise RuntimeError("no attributes")

    assert standardize.check(HostileCallable()).outcome in ("correct", "error")


@pytest.mark.parametrize("error", [SystemExit, GeneratorExit])
def test_exit_in_an_odd_place_does_not_leave_the_check(error):
    class Silent(Exception):
        def __str__(self):
            raise error

    class Fake:
        def __array__(self, *args, **kwargs):
            raise error

    class Endless(list):
        def __len__(self):
            raise error

    def raises(x, eps):
        raise Silent

    assert standardize.check(raises).outcome == "error"
    assert standardize.check(lambda x, eps: Fake()).diagnosis == "wrong-type"
    assert not bn_backward.check(lambda *args: Endless()).passed


@pytest.mark.parametrize("error", [ValueError, SystemExit, KeyboardInterrupt])
def test_empty_is_numpys_own_again_after_a_call(error):
    originals = np.empty, np.empty_like

    def raises(x, eps):
        assert np.isnan(np.empty(3, F32)).all()
        assert np.empty(2, int).dtype == int
        raise error

    assert standardize.check(raises).outcome == "error"
    assert (np.empty, np.empty_like) == originals


# ---------------------------------------------------------------- prints, warnings, floods


def test_what_the_function_prints_is_kept_off_the_screen_and_shown_once(capsys):
    def prints(x, eps):
        print("shape", x.shape)
        print("to stderr", file=sys.stderr)
        return xh(x, eps)

    result = standardize.check(prints)
    assert result.passed
    assert result.message.count("shape (6, 4)") == 1
    assert "to stderr" in result.message
    assert capsys.readouterr() == ("", "")


def test_much_printing_is_cut():
    def prints(x, eps):
        for i in range(1000):
            print("line", i)
        return xh(x, eps)

    message = standardize.check(prints).message
    assert "line 9" in message
    assert "line 11" not in message
    assert "(more lines)" in message


def test_a_closed_stdout_does_no_harm(capsys):
    def closes(x, eps):
        print("before")
        sys.stdout.close()
        return xh(x, eps)

    result = standardize.check(closes)
    assert result.passed
    assert "before" in result.message
    assert capsys.readouterr() == ("", "")


def test_addresses_and_endless_texts_are_not_shown():
    def raises(x, eps):
        raise ValueError(f"{object()} " + "long " * 10_000)

    message = standardize.check(raises).message
    assert "0x..." in message
    assert len(message) < 2000


def test_warnings_go_into_the_message(capsys):
    def warns(x, eps):
        warnings.warn("look here", UserWarning, stacklevel=1)
        return np.sqrt(-np.abs(xh(x, eps)))

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = standardize.check(warns)
    assert "look here" in result.message
    assert "invalid value encountered in sqrt" in result.message
    assert capsys.readouterr() == ("", "")


def test_numpys_own_settings_survive():
    before = np.geterr()

    def sets(x, eps):
        np.seterr(all="raise")
        return xh(x, eps)

    standardize.check(sets)
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
        (lambda x: np.broadcast_to(0.0, (4000, 4000)), "16,000,000"),
        (lambda x: [[0.0] * 2000] * 2000, "4,000,000"),
        (lambda x: "x" * 10_000_000, None),
    ],
)
def test_millions_of_numbers_are_told_after_one_call(huge, size):
    calls = []

    def function(x, eps):
        calls.append(1)
        return huge(x)

    result = standardize.check(function)
    assert result.outcome == "not yet"
    assert len(result.message) < 2000
    if size:
        assert len(calls) == 1
        assert f"xhat has {size} entries, expected 24, of the shape (6, 4)" in result.message
    assert not bn_backward.check(lambda *args: (huge(args[0]), *ref(*args)[1:])).passed
