"""What a student found: wrong code that was accepted, and messages that misled."""

import re

import numpy as np
import pytest

from bnlib import exercises
from bnlib.exercises import bn_backward, bn_forward, standardize

F32 = np.float32


def xh(x, eps):
    return (x - x.mean(0)) / np.sqrt(x.var(0) + eps)


def ref(dy, x, gamma, eps):
    std, z = np.sqrt(x.var(0) + eps), xh(x, eps)
    dx = gamma / std * (dy - dy.mean(0) - z * (dy * z).mean(0))
    return dx, (dy * z).sum(0), dy.sum(0)


def dx_only(change):
    """ref with dx replaced: change(dy, x, gamma, eps, std, xhat)."""

    def function(dy, x, gamma, eps):
        right = ref(dy, x, gamma, eps)
        return change(dy, x, gamma, eps, np.sqrt(x.var(0) + eps), xh(x, eps)), *right[1:]

    return function


def answer(name):
    return exercises.available[name].answer


def all_outputs(name, change):
    """The solution, with change(output) in place of each of its outputs."""

    def function(*args):
        found = answer(name)(*args)
        return tuple(map(change, found)) if isinstance(found, tuple) else change(found)

    return function


def argument(name, index, change):
    """The solution, with change(argument, all) in place of the argument with this index."""

    def function(*args):
        return answer(name)(*args[:index], change(args[index]), *args[index + 1 :])

    return function


def first_output(name, change):
    """The solution, with change(output, args) in place of its first output."""

    def function(*args):
        found = answer(name)(*args)
        if isinstance(found, tuple):
            return change(found[0], args), *found[1:]
        return change(found, args)

    return function


def remembers(name, key):
    """The solution, but it does not compute again what has the same key."""
    known = {}

    def function(*args):
        k = key(*args)
        if k not in known:
            known[k] = answer(name)(*args)
        return known[k]

    return function


ALL = list(exercises.available)
PARAMETERS = {n: list(e.parameters) for n, e in exercises.available.items()}
WITH_EPS = [n for n in ALL if "eps" in PARAMETERS[n]]
WITH_GAMMA = [n for n in ALL if "gamma" in PARAMETERS[n]]
WITH_BETA = [n for n in ALL if "beta" in PARAMETERS[n]]
WITH_BATCH = [n for n in ALL if "x" in PARAMETERS[n]]


def at(name, parameter, change):
    return argument(name, PARAMETERS[name].index(parameter), change)


def x_of(name, args):
    return args[PARAMETERS[name].index("x" if "x" in PARAMETERS[name] else "W")]


WRONG = {
    # A: few digits
    **{
        f"{n}-round-{k}": all_outputs(n, lambda a, k=k: np.round(a, k))
        for n in ALL
        for k in range(3, 9)
    },
    **{
        f"{n}-float32-{k}": all_outputs(n, f)
        for n in ALL
        for k, f in {
            "scaled-1e-4": lambda a: (np.asarray(a) * 1.0001).astype(F32),
            "scaled-1e-5": lambda a: (np.asarray(a) * 1.00001).astype(F32),
            "shifted": lambda a: (np.asarray(a) + 1e-4).astype(F32),
            "rounded": lambda a: np.round(a, 4).astype(F32),
            "scaled-as-float64": lambda a: (np.asarray(a) * 1.0001).astype(F32).astype(float),
        }.items()
    },
    **{  # not on a decimal grid, and finer than the limits of float32
        f"{n}-thirds": all_outputs(n, lambda a: np.round(np.asarray(a) * 3e6) / 3e6)
        for n in ("standardize", "bn_forward", "bn_backward", "bn_inference", "fold_bn")
    },
    "bn_backward-round-dx-7": first_output("bn_backward", lambda dx, args: np.round(dx, 7)),
    "bn_backward-float32-variance-path-1e-5": lambda *args: tuple(
        a.astype(F32)
        for a in dx_only(
            lambda dy, x, g, eps, std, z: (
                g / std * (dy - dy.mean(0) - (1 - 1e-5) * z * (dy * z).mean(0))
            )
        )(*args)
    ),
    # B: eps
    **{
        f"{n}-eps-{k}": at(n, "eps", f)
        for n in WITH_EPS
        for k, f in {
            "at-least-1e-5": lambda e: max(e, 1e-5),
            "at-least-1e-7": lambda e: max(e, 1e-7),
            "small-ignored": lambda e: e if e >= 1e-5 else 0.0,
            "tiny-ignored": lambda e: e if e >= 1e-7 else 0.0,
            "at-most-10": lambda e: min(e, 10.0),
            "at-most-100": lambda e: min(e, 100.0),
        }.items()
    },
    # C: gamma and beta
    **{
        f"{n}-gamma-{k}": at(n, "gamma", f)
        for n in WITH_GAMMA
        for k, f in {
            "clip": lambda g: np.clip(g, -3, 3),
            "large-is-1": lambda g: np.where(abs(g) > 10, 1, g),
            "huge-is-1": lambda g: np.where(abs(g) > 1000, 1, g),
            "at-least-0.1": lambda g: np.where(abs(g) < 0.1, np.sign(g) * 0.1, g),
            "small-is-0": lambda g: np.where(abs(g) < 0.3, 0, g),
            "tiny-is-0": lambda g: np.where(abs(g) < 1e-3, 0, g),
            "zero-is-1": lambda g: np.where(g == 0, 1, g),
        }.items()
    },
    **{
        f"{n}-beta-{k}": at(n, "beta", f)
        for n in WITH_BETA
        for k, f in {
            "zero-is-1": lambda b: np.where(b == 0, 1, b),
            "clip": lambda b: np.clip(b, -5, 5),
            "large-is-0": lambda b: np.where(abs(b) > 100, 0, b),
            "small-is-0": lambda b: np.where(abs(b) < 0.3, 0, b),
            "tiny-is-0": lambda b: np.where(abs(b) < 1e-3, 0, b),
        }.items()
    },
    # D: sizes
    **{
        f"{n}-{k}": first_output(n, lambda y, args, n=n, case=case: y + 0.01 * case(x_of(n, args)))
        for n in (*WITH_BATCH, "fold_bn")
        for k, case in {
            "more-than-100-rows": lambda x: len(x) > 100,
            "7-rows": lambda x: len(x) == 7,
            "more-than-40-columns": lambda x: x.shape[1] > 40,
            "square-more-than-16": lambda x: len(x) == x.shape[1] > 16,
        }.items()
    },
    **{
        f"{n}-columns-from-40-zero": first_output(
            n, lambda y, args: np.where(np.arange(y.shape[1]) < 40, y.T[..., :].T, 0)
        )
        for n in ("standardize", "bn_forward", "bn_backward", "bn_inference", "fold_bn")
    },
    **{
        f"{n}-remembers-a-corner": remembers(
            n, lambda *a, n=n: (x_of(n, a).shape, float(x_of(n, a).flat[0]), a[-1])
        )
        for n in (*WITH_BATCH, "fold_bn")
    },
    **{
        f"{n}-remembers-sums": remembers(
            n,
            lambda *a, n=n: (
                x_of(n, a).shape,
                float(x_of(n, a).flat[0]),
                *np.round(x_of(n, a).mean(0), 6).ravel()[:2],
            ),
        )
        for n in ("standardize", "bn_forward", "bn_backward", "bn_inference")
    },
    "standardize-ddof-over-100": lambda x, eps: (
        (x - x.mean(0)) / np.sqrt(x.var(0, ddof=int(len(x) > 100)) + eps)
    ),
    "standardize-x-if-7": lambda x, eps: x if len(x) == 7 else xh(x, eps),
    "standardize-transposed-over-16": lambda x, eps: (
        xh(x.T, eps).T if len(x) == x.shape[1] > 16 else xh(x, eps)
    ),
    "standardize-clip-10": lambda x, eps: np.clip(xh(x, eps), -10, 10),
    "bn_backward-dx-zero-over-100": first_output(
        "bn_backward", lambda dx, args: dx * (len(args[1]) <= 100)
    ),
    "bn_backward-clip-1e4": first_output("bn_backward", lambda dx, a: np.clip(dx, -1e4, 1e4)),
    "bn_backward-tiny-dy": first_output(
        "bn_backward", lambda dx, a: np.where(abs(dx) < 1e-6, 0, dx)
    ),
    "bn_conv_backward-clip-1e4": first_output(
        "bn_conv_backward", lambda dx, a: np.clip(dx, -1e4, 1e4)
    ),
    # the same weaknesses in other exercises
    "bn_inference-clip-100": first_output("bn_inference", lambda y, a: np.clip(y, -1e2, 1e2)),
    "bn_inference-mean-zero-is-1": at("bn_inference", "running_mean", lambda m: m + (m == 0)),
    "bn_inference-var-zero-is-1": at("bn_inference", "running_var", lambda v: v + (v == 0)),
    "update_running-momentum-small": at("update_running", "momentum", lambda m: max(m, 1e-3)),
    "update_running-momentum-large": at("update_running", "momentum", lambda m: min(m, 0.995)),
    "update_running-var-zero-is-1": at("update_running", "running_var", lambda v: v + (v == 0)),
    "update_running-clip": at("update_running", "running_mean", lambda m: np.clip(m, -1e4, 1e4)),
    "update_running-mean-zero-is-1": at("update_running", "running_mean", lambda m: m + (m == 0)),
    "fold_bn-b-zero": at("fold_bn", "b", lambda b: b + (b == 0)),
    "fold_bn-clip-weights": at("fold_bn", "W", lambda w: np.clip(w, -100, 100)),
    "init_std-at-least-0.01": first_output("init_std", lambda s, a: max(s, 0.01)),
    "init_std-256": first_output("init_std", lambda s, a: s * (1 + (a[0] == 256))),
    **{
        f"saturated_fraction-limit-{k}": lambda z, k=k: np.mean(abs(z) > k)
        for k in (4.36, 4.357, 4.3567, 4.3564, 4.356, 4.35)
    },
    "saturated_fraction-first-100": lambda z: np.mean(abs(z[:100]) > 4.35671),
}
WRONG = {k: f for k, f in WRONG.items() if k != "fold_bn-columns-from-40-zero"} | {
    "fold_bn-columns-from-40-zero": first_output(
        "fold_bn", lambda y, args: np.where(np.arange(y.shape[1]) < 40, y, 0)
    )
}


@pytest.mark.parametrize("which", list(WRONG))
def test_wrong_code_that_was_accepted_is_rejected_with_numbers(which):
    exercise = exercises.available[which.split("-")[0]]
    result = exercise.check(WRONG[which])
    assert not result.passed, which
    assert result.outcome == "not yet", result
    assert re.search(r"\d.*(expected|stays|goes from)|expected.*\d", result.message), result
    assert "right to about 7 digits" not in result.message


def in_float32(f, *, back=False):
    def function(*args):
        given = [a.astype(F32) if isinstance(a, np.ndarray) else a for a in args]
        found = f(*given)
        if not back:
            return found
        many = isinstance(found, tuple)
        return tuple(np.float64(a) for a in found) if many else np.float64(found)

    return function


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


def test_a_list_of_arrays_is_still_a_list_of_arrays():
    assert standardize.check(lambda x, eps: xh(x, eps).tolist()).passed


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
        assert totals, message
        assert set(totals) == {count}, message


# ---------------------------------------------------------------- messages 1 to 10

NAMED = {  # the wrong dx, and the id it now has
    "variance-spread-along-x": lambda dy, x, g, eps, std, z: (
        g / std * (dy - dy.mean(0)) - x * (dy * g * z).mean(0) / std**2
    ),
    "projection-along-x": lambda dy, x, g, eps, std, z: (
        g / std * (dy - dy.sum(0) / len(x) - x * (dy * z).sum(0) / len(x))
    ),
    "divided-by-features": lambda dy, x, g, eps, std, z: (
        g / std * (dy - dy.sum(0) / x.shape[1] - z * (dy * z).sum(0) / x.shape[1])
    ),
    "divided-by-size": lambda dy, x, g, eps, std, z: (
        g / std * (dy - dy.sum(0) / x.size - z * (dy * z).sum(0) / x.size)
    ),
    "direct-path-not-divided": lambda dy, x, g, eps, std, z: (
        g * dy - g / std * (dy.mean(0) + z * (dy * z).mean(0))
    ),
    "variance-path-not-averaged": lambda dy, x, g, eps, std, z: (
        g / std * (dy - dy.mean(0) - z * (dy * z).sum(0))
    ),
    "gamma-missing-in-variance-path": lambda dy, x, g, eps, std, z: (
        g / std * (dy - dy.mean(0)) - z * (dy * z).mean(0) / std
    ),
    "gamma-twice-in-variance-path": lambda dy, x, g, eps, std, z: (
        g / std * (dy - dy.mean(0) - g * z * (dy * z).mean(0))
    ),
}


@pytest.mark.parametrize("which", list(NAMED))
def test_the_likely_slips_of_the_backward_pass_have_names(which):
    result = bn_backward.check(dx_only(NAMED[which]))
    assert result.diagnosis == which, result
    assert "dgamma and dbeta are right" in result.message


def test_a_column_sum_does_not_blame_the_path_through_the_mean():
    result = bn_backward.check(
        dx_only(lambda dy, x, g, eps, std, z: ref(dy, x, g, eps)[0] + dy.mean(0) * x**2)
    )
    assert "column sums of dx are not zero" in result.message
    assert "one of them is wrong" in result.message
    assert "path through the mean complete" not in result.message


@pytest.mark.parametrize("factor", [0.999, 0.99999])
@pytest.mark.parametrize("from_eps", [0.0, 1.0])
def test_nearly_a_multiple_is_not_called_a_multiple(factor, from_eps):
    result = bn_backward.check(
        dx_only(
            lambda dy, x, g, eps, std, z: (
                g
                / std
                * (dy - dy.mean(0) - (factor if eps >= from_eps else 1) * z * (dy * z).mean(0))
            )
        )
    )
    assert result.outcome == "not yet"
    assert "is a multiple of" not in result.message
    assert "paths are complete" not in result.message


def test_one_array_is_not_called_six_values():
    message = bn_backward.check(lambda *args: ref(*args)[0]).message
    assert "one array of shape (6, 4), expected 3 arrays" in message
    assert "6 values" not in message


def with_globals(source, name, **variables):
    space = {"np": np, "xh": xh, **variables}
    exec(source, space)
    return space[name]


@pytest.mark.parametrize(
    ("line", "variables", "named"),
    [
        ("s = np.sqrt(x.var(0) + eps); n = N", {"N": 6}, "reads N: a variable"),
        ("s = np.sqrt(x.var(0) + e); n = len(x)", {"e": 0.1}, "reads e: a variable"),
        ("s = std; n = len(x)", {"std": np.full((1, 1), 1.3)}, "reads std: a variable"),
        ("s = np.sqrt(var + eps); n = N", {"N": 6, "var": 2.0}, "reads N, var: variables"),
    ],
)
def test_variables_of_the_notebook_are_named(line, variables, named):
    source = f"""
def bn_backward(dy, x, gamma, eps):
    z = xh(x, eps)
    {line}
    dx = gamma / s * (dy - dy.sum(0) / n - z * (dy * z).sum(0) / n)
    return dx, (dy * z).sum(0), dy.sum(0)
"""
    result = bn_backward.check(with_globals(source, "bn_backward", **variables))
    assert result.outcome == "not yet"
    assert named in result.message, result


def test_functions_modules_and_unused_variables_are_not_named():
    source = "def standardize(x, eps):\n    return xh(x, eps) + np.pi"
    result = standardize.check(with_globals(source, "standardize", N=6, mean=1.0))
    assert result.outcome == "not yet"
    assert "of the notebook" not in result.message
    # and a function that is right may use what it likes
    source = "def standardize(x, eps):\n    return xh(x, eps) * one"
    assert standardize.check(with_globals(source, "standardize", one=1.0)).passed
    source = "def standardize(x, eps):\n    return [xh(x, eps) * two for _ in range(1)][0]"
    result = standardize.check(with_globals(source, "standardize", two=2.0))
    assert "reads two" in result.message


@pytest.mark.parametrize("name", ["bn_backward", "bn_conv_backward"])
def test_a_one_pass_variance_in_the_backward_pass_is_named(name):
    axes = (0,) if name == "bn_backward" else (0, 2, 3)

    def one_pass(dy, x, gamma, eps):
        keep = {"axis": axes, "keepdims": True}
        gamma = gamma.reshape((-1,) + (1,) * (x.ndim - 2))
        std = ((x * x).mean(**keep) - x.mean(**keep) ** 2 + eps) ** 0.5
        z = (x - x.mean(**keep)) / std
        dx = gamma / std * (dy - dy.mean(**keep) - z * (dy * z).mean(**keep))
        return dx, (dy * z).sum(axes), dy.sum(axes)

    result = exercises.available[name].check(one_pass)
    assert result.diagnosis == "one-pass-variance", result
    assert "loses its digits" in result.message


def test_a_gamma_of_zero_that_is_replaced_is_named():
    result = bn_backward.check(lambda dy, x, g, eps: ref(dy, x, np.where(g == 0, 1, g), eps))
    assert "gamma[1] is 0" in result.message
    assert "path through the variance" not in result.message


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


@pytest.mark.parametrize("decimals", [3, 4, 6, 8])
@pytest.mark.parametrize("name", ["standardize", "bn_forward", "bn_backward", "bn_inference"])
def test_rounding_is_called_rounding(name, decimals):
    result = exercises.available[name].check(all_outputs(name, lambda a: np.round(a, decimals)))
    assert f"is rounded to {decimals} decimal" in result.message, result
    assert "float32" not in result.message


def test_gamma_that_is_not_used_does_not_count_as_float32():
    message = bn_forward.check(lambda x, gamma, beta, eps: 1.3 * xh(x, eps) + 0.1).message
    assert "not counted" not in message
    assert "float32" not in message


def test_the_same_entry_is_not_given_twice():
    for change in (lambda z: np.round(z, 5), lambda z: z + 1e-7):
        message = standardize.check(lambda x, eps, f=change: f(xh(x, eps))).message
        assert message.count("expected ") == 1, message


def test_the_texts_that_notebooks_store_stay_as_they_are():
    """The designed batch, its numbers and this mistake are in notebooks/00_start_here.ipynb."""
    result = standardize.check(lambda x, eps: (x - x.mean(axis=0)) / (x.var(axis=0) + eps))
    assert result.diagnosis == "variance-not-root"
    assert "(x of shape (6, 4), eps = 0.1): xhat[0, 0] is 1.1, expected 0.393" in result.message
