"""Programs that others wrote: the mistake is named, and nothing false is said."""

import re

import numpy as np
import pytest
from exercises.programs import PER_CHANNEL, dx_only, ref, with_globals, xh

from bnlib import exercises, functional
from bnlib.exercises import (
    bn_backward,
    bn_conv_backward,
    bn_forward,
    group_norm,
    init_std,
    layer_norm,
    saturated_fraction,
    standardize,
    update_running,
)
from bnlib.exercises.engine.mistakes import edited

# ---------------------------------------------------------------- named


DX = "dxhat / std + dvar * 2 * (x - mean) / n + dmean / n"
CLOSED = "gamma / std * (dy - dy.mean(axis=0) - xhat * (dy * xhat).mean(axis=0))"
# dx in the closed form, which few edits of the catalogue use: the id, and what is wrong in it
NAMED = {
    "variance-spread-along-x": {"xhat * (dy": "x / std * (dy"},
    "projection-along-x": {"xhat * (dy": "x * (dy"},
    "divided-by-features": {".mean(axis=0)": ".sum(axis=0) / x.shape[1]"},
    "divided-by-size": {".mean(axis=0)": ".sum(axis=0) / x.size"},
    "direct-path-not-divided": {"(dy - ": "(dy * std - "},
    "variance-path-not-averaged": {"xhat).mean(": "xhat).sum("},
    "gamma-missing-in-variance-path": {
        " - xhat * (dy * xhat).mean(axis=0))": ") - xhat * (dy * xhat).mean(axis=0) / std"
    },
    "gamma-twice-in-variance-path": {"- xhat": "- gamma * xhat"},
}


@pytest.mark.parametrize("which", list(NAMED))
def test_the_likely_slips_of_the_backward_pass_have_names(which):
    closed = CLOSED
    for right, wrong in NAMED[which].items():
        closed = closed.replace(right, wrong)
    result = bn_backward.check(edited(bn_backward.answer, {DX: closed}))
    assert result.diagnosis == which, result
    assert "dgamma and dbeta are right" in result.message


def test_other_variances_that_lose_their_digits_get_a_true_message():
    for var in (
        lambda x: (x * (x - x.mean(0))).mean(0),
        lambda x: (x**2).mean(0) - x.mean(0) ** 2,
        lambda x: (x**2).sum(0) / len(x) - (x.sum(0) / len(x)) ** 2,
    ):

        def function(x, gamma, beta, eps, var=var):
            return gamma * (x - x.mean(0)) / np.sqrt(np.maximum(var(x), 0) + eps) + beta

        result = bn_forward.check(function)
        assert result.diagnosis == "one-pass-variance"
        assert "large numbers cancel in it" in result.message
        assert "you subtract" not in result.message


@pytest.mark.parametrize(
    ("which", "h"),
    [
        ("unbiased-variance-throughout", lambda dev, eps: (dev**2).sum(0) / (len(dev) - 1)),
        ("eps-outside-root-throughout", None),
    ],
)
def test_the_gradients_of_another_forward_pass_are_named(which, h):
    """Their dx by central differences is the catalogue's."""
    mistake = next(m for m in bn_backward.mistakes if m.id == which)

    def other_forward(x, eps):
        dev = x - x.mean(0)
        return dev / (np.sqrt(h(dev, eps) + eps) if h else x.std(0) + eps)

    args = bn_backward.rows[0].probe.args
    dy, x, gamma, eps = args.values()
    numeric = np.zeros(x.shape)
    for at in np.ndindex(x.shape):
        shift = np.zeros(x.shape)
        shift[at] = 1e-6
        change = other_forward(x + shift, eps) - other_forward(x - shift, eps)
        numeric[at] = (dy * gamma * change).sum() / 2e-6
    dx, dgamma, _ = mistake.function(dy, x, gamma, eps)
    np.testing.assert_allclose(dx, numeric, atol=1e-6)
    np.testing.assert_allclose(dgamma, (dy * other_forward(x, eps)).sum(0))


# ---------------------------------------------------------------- several outputs


def dx_from(dgamma, dbeta):
    """bn_backward whose dx is computed from its dgamma and dbeta: functions of (dy, x, xhat, g)."""

    def function(dy, x, gamma, eps):
        z, std = xh(x, eps), np.sqrt(x.var(0) + eps)
        dg, db = dgamma(dy, x, z, gamma), dbeta(dy, x, z, gamma)
        return gamma / std * (dy - db / len(x) - z * dg / len(x)), dg, db

    return function


def right_dbeta(dy, x, z, g):
    return dy.sum(0)


def right_dgamma(dy, x, z, g):
    return (dy * z).sum(0)


REUSED = {
    "dgamma-dbeta-averaged": dx_from(
        lambda dy, x, z, g: (dy * z).mean(0), lambda dy, x, z, g: dy.mean(0)
    ),
    "dgamma-sign": dx_from(lambda dy, x, z, g: -(dy * z).sum(0), right_dbeta),
    "dgamma-with-deviations": dx_from(
        lambda dy, x, z, g: (dy * (x - x.mean(0))).sum(0), right_dbeta
    ),
    "dgamma-with-y": dx_from(lambda dy, x, z, g: (dy * g * z).sum(0), right_dbeta),
    "dbeta-with-gamma": dx_from(right_dgamma, lambda dy, x, z, g: (dy * g).sum(0)),
}


@pytest.mark.parametrize("which", list(REUSED))
def test_a_dx_that_uses_a_wrong_dgamma_is_not_blamed(which):
    result = bn_backward.check(REUSED[which])
    assert result.diagnosis == which, result
    assert "dx is wrong too: look again once this is right" in result.message
    assert "another reason" not in result.message


def test_two_faults_are_told_one_at_a_time():
    def two(dy, x, gamma, eps):
        std = np.sqrt(x.var(0) + eps)
        xhat = (x - x.mean(0)) / std
        dx = gamma / std * (dy - xhat * (dy * xhat).mean(0))
        return dx, (dy * xhat).mean(0) + 1.0, dy.sum(0)

    result = bn_backward.check(two)
    assert result.diagnosis == "mean-path-missing"
    assert "dgamma is wrong too: look again" in result.message
    assert "dbeta is right" in result.message


def test_a_flipped_mean_says_nothing_about_the_variance():
    result = update_running.check(
        lambda mean, var, x, m: (
            m * mean + (1 - m) * x.mean(0),
            m * var + (1 - m) * x.std(0, ddof=1),
        )
    )
    assert result.diagnosis == "flipped-mean-only"
    assert "the variance" not in result.message
    assert "new_var is wrong too" in result.message


# ---------------------------------------------------------------- wrong for large numbers only


def guarded(guard):
    return lambda x, gamma, beta, eps: (
        gamma * np.where(guard(x), 0, x - x.mean(0)) / np.sqrt(x.var(0) + eps) + beta
    )


ONLY_LARGE = {
    "allclose": guarded(lambda x: np.allclose(x, x.mean(0))),
    "isclose": guarded(lambda x: np.isclose(x, x.mean(0)).all(0)),
    "relative": guarded(lambda x: x.std(0) < 1e-6 * abs(x.mean(0))),
    "clip": lambda x, g, b, eps: bn_forward.answer(np.clip(x, -1e6, 1e6), g, b, eps),
    "zero": lambda x, g, b, eps: bn_forward.answer(np.where(abs(x) > 1e7, 0, x), g, b, eps),
}


@pytest.mark.parametrize("which", list(ONLY_LARGE))
def test_what_fails_for_large_means_only_is_not_always_a_one_pass_variance(which):
    result = bn_forward.check(ONLY_LARGE[which])
    assert (result.outcome, result.diagnosis) == ("not yet", None), result
    assert "Only large means are a problem" in result.message
    assert "relative tolerance" in result.message


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


@pytest.mark.parametrize(
    "function",
    [
        lambda z: np.mean(
            (sigmoid(z) * (1 - sigmoid(z)) < 0.0125) & (sigmoid(z) * sigmoid(-z) > 0)
        ),
        lambda z: saturated_fraction.answer(z[abs(z) < 100]),
        lambda z: np.mean((abs(z) > 4.35655) & (abs(z) < 150)),
    ],
)
def test_what_fails_for_large_z_only_is_not_always_an_overflow(function):
    result = saturated_fraction.check(function)
    assert (result.outcome, result.diagnosis) == ("not yet", None), result
    assert "Only large z are a problem" in result.message
    assert "does not depend on z" not in result.message


@pytest.mark.parametrize("sign", [1, -1])
def test_an_overflow_in_any_form_is_named(sign):
    def one_root(z):
        e = np.exp(sign * z)
        return np.mean(e / (1 + e) ** 2 < 0.0125)

    def sigmoid_first(z):
        s = np.exp(sign * z) / (1 + np.exp(sign * z))
        return np.mean(s * (1 - s) < 0.0125)

    assert saturated_fraction.check(one_root).diagnosis == "overflow"
    assert saturated_fraction.check(sigmoid_first).diagnosis == "overflow"


# ---------------------------------------------------------------- properties


Q = "(x - mean) / np.sqrt(var + eps)"
V = "((x - mean) ** 2).mean(axis=0)"
Y = "gamma * xhat + beta"
OFFSET = "beta - gamma * running_mean / s"
MEAN, VAR = "momentum * x.mean(axis=0)", "momentum * x.var(axis=0, ddof=1)"
CASES = [
    # exercise, an edit of its solution that no catalogue has, what the message must contain
    ("standardize", {"return (x - mean)": "return (x - x[0])"}, ["column means", "0"]),
    ("standardize", {Q: f"np.tanh({Q})"}, ["column", "expected"]),
    ("standardize", {Q: f"np.clip({Q}, -4, 4)"}, ["one outlier", "right on"]),
    ("standardize", {"+ eps": "+ max(eps, 1e-3)"}, ["eps = 1e-05", "right on", "variance of"]),
    ("standardize", {Q: "np.nan_to_num((x - mean) / x.std(0))"}, ["does not change when eps"]),
    ("standardize", {Q: "(x - mean) / (np.sqrt(var + eps) + 1e-8)"}, ["nearly right"]),
    ("standardize", {V: "np.abs(x - mean).max(axis=0)"}, ["variance of column"]),
    ("standardize", {V: "((x - mean) ** 2).sum(axis=0) / 6"}, ["right on", "wrong"]),
    ("standardize", {"x.mean(axis=0)": "x.mean()"}, ["without its axis"]),
    ("bn_forward", {Y: "gamma**2 * xhat + beta"}, ["variance of column", "gamma^2"]),
    ("bn_forward", {Y: "gamma * xhat + beta.mean()"}, ["column means", "not beta"]),
    ("bn_forward", {Y: "gamma.mean() * xhat + beta"}, ["variance of column"]),
    ("bn_forward", {Y: "gamma * xhat + gamma * beta + beta"}, ["column means"]),
    ("bn_forward", {Y: "np.maximum(gamma * xhat + beta, 0)"}, ["column means"]),
    ("bn_forward", {Y: "gamma[::-1] * xhat + beta"}, ["variance of column"]),
    ("bn_forward", {Y: "gamma * xhat[::-1] + beta"}, ["rises by"]),
    ("stable_variance", {"(d * d)": "np.abs(d)"}, ["doubled", "four times"]),
    ("stable_variance", {"(d * d)": "(d * x)"}, ["1 added to every number"]),
    (
        "bn_backward",
        {DX: "(dxhat - dxhat.mean()) / std"},
        ["without its axis", "dgamma and dbeta are"],
    ),
    (
        "bn_backward",
        {"dvar * 2 * (x - mean)": "dvar * 2 * (x - mean) ** 2"},
        ["column sums of dx are not zero", "expected 0"],
    ),
    ("bn_backward", {"(x - mean) / n": "(x - mean) / (n - 1)"}, ["sum of dx * xhat", "variance"]),
    ("bn_backward", {"(dy * xhat).sum(axis=0)": "(dy * xhat).sum(axis=0) + 1"}, ["dgamma["]),
    (
        "bn_backward",
        {"dy.sum(axis=0)": "(dy * xhat).sum(axis=0)"},
        ["dbeta changes when x changes"],
    ),
    (
        "update_running",
        {"(1 - momentum) * running_var": "(1 - momentum) ** 2 * running_var"},
        ["running_var grows by 1", "0.49", "0.7"],
    ),
    ("update_running", {MEAN: f"momentum * {MEAN}"}, ["all of x grows by 1", "0.09", "0.3"]),
    ("update_running", {"ddof=1": "ddof=2"}, ["momentum = 1", "unbiased variance"]),
    ("bn_inference", {OFFSET: f"{OFFSET} + eps"}, ["For x = running_mean", "xhat is 0"]),
    ("bn_inference", {"gamma / s,": "gamma**2 / s,"}, ["Your line rises by", "gamma[1]"]),
    ("fold_bn", {"W * scale": "W * scale + beta"}, ["W2 changes when beta changes", "b2 is right"]),
    ("fold_bn", {"(b - mean)": "(b - mean @ W.T @ W)"}, ["b2", "W2 is right"]),
    ("fold_bn_before", {"@ W + b": "@ np.abs(W) + b"}, ["For x = mean", "b2"]),
    ("fold_bn_before", {"* W": "* np.abs(W)"}, ["x[0] grows by", "Yours grows by"]),
    (
        "bn_conv_forward",
        {"xhat = (x - mean)": "xhat = (x - x.mean(axis=(2, 3), keepdims=True))"},
        ["change places"],
    ),
    ("bn_conv_backward", {"var + eps": "var + 2 * eps"}, ["expected"]),
    ("init_std", {"2 / fan_in": "3 / fan_in"}, ["1.5", "expected 1"]),
    ("saturated_fraction", {"0.05": "0.0706"}, ["every z is 4"]),
    ("shift", {"std[0]": "1.1 * std[0]"}, ["Unit 0 alone", "moved is right"]),
    ("shift", {"mean - mean[0]": "mean - mean[0] - 0.1"}, ["At step 0", "0.1, expected 0"]),
    ("shift", {"mean - mean[0]": "mean - 0.9 * mean[0] - 0.1 * mean[-1]"}, ["At step 0"]),
]


@pytest.mark.parametrize(("name", "edits", "parts"), CASES)
def test_the_numbers_point_at_the_fault(name, edits, parts):
    exercise = exercises.available[name]
    result = exercise.check(edited(exercise.answer, edits))
    assert result.outcome == "not yet", result
    assert result.diagnosis is None, result
    for part in parts:
        assert part in result.message, result


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


def conv_backward(dx):
    def function(dy, x, gamma, eps):
        std = np.sqrt(x.var(**PER_CHANNEL) + eps)
        z = (x - x.mean(**PER_CHANNEL)) / std
        right = (dy * z).sum((0, 2, 3)), dy.sum((0, 2, 3))
        return dx(dy, z, gamma[:, None, None] / std), *right

    return function


@pytest.mark.parametrize("axes", [0, (2, 3)])
def test_sums_over_the_wrong_axes_are_asked_for(axes):
    keep = {"axis": axes, "keepdims": True}
    result = bn_conv_backward.check(
        conv_backward(
            lambda dy, z, scale: scale * (dy - dy.mean(**keep) - z * (dy * z).mean(**keep))
        )
    )
    assert "over axes 0, 2 and 3" in result.message
    assert "axes" not in bn_backward.check(dx_only(lambda dy, *rest: dy**2)).message


@pytest.mark.parametrize("name", ["bn_backward", "bn_conv_backward"])
@pytest.mark.parametrize(
    ("std_of", "says"),
    [
        (lambda var, eps: np.sqrt(var + eps**2), "The variance of"),
        (lambda var, eps: var + eps, "The variance of"),
    ],
)
def test_a_wrong_xhat_is_read_from_dgamma(name, std_of, says):
    def function(dy, x, gamma, eps):
        axes = (0, *range(2, x.ndim))
        keep = {"axis": axes, "keepdims": True}
        gamma = gamma.reshape((-1,) + (1,) * (x.ndim - 2))
        std = std_of(x.var(**keep), eps)
        z = (x - x.mean(**keep)) / std
        dx = gamma / std * (dy - dy.mean(**keep) - z * (dy * z).mean(**keep))
        return dx, (dy * z).sum(axes), dy.sum(axes)

    message = exercises.available[name].check(function).message
    assert "a sum of dy times something other than xhat" in message
    assert says in message
    assert "expected var / (var + eps) = " in message


def test_a_gamma_of_zero_that_is_replaced_is_named():
    result = bn_backward.check(lambda dy, x, g, eps: ref(dy, x, np.where(g == 0, 1, g), eps))
    assert "gamma[1] is 0" in result.message
    assert "path through the variance" not in result.message


def finite_differences(dy, x, gamma, eps):
    dx = np.zeros(x.shape)
    for at in np.ndindex(x.shape):
        shift = np.zeros(x.shape)
        shift[at] = 1e-6
        dx[at] = (dy * gamma * (xh(x + shift, eps) - xh(x - shift, eps))).sum() / 2e-6
    return dx, (dy * xh(x, eps)).sum(0), dy.sum(0)


def test_a_numerical_derivative_is_called_so():
    result = bn_backward.check(finite_differences)
    assert "or is it a numerical derivative" in result.message


# ---------------------------------------------------------------- variables of the notebook


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


def test_variables_of_the_notebook_come_last():
    space = {"np": np, "AXIS": 0}
    source = "def standardize(x, eps):\n    return (x - x.mean(AXIS)) / np.sqrt(x.std(AXIS)) + eps"
    exec(source, space)
    lines = standardize.check(space["standardize"]).message.splitlines()
    assert "AXIS" not in lines[0]
    assert "reads AXIS" in lines[-1]


# ---------------------------------------------------------------- wording


def test_grammar():
    assert "1 argument." in init_std.check(lambda: 1.0).message
    assert "given an ndarray" in standardize.check(np.zeros(3)).message
    assert "given a float" in standardize.check(1.5).message
    message = bn_forward.check(lambda x, g, b, eps: (g * xh(x, eps) + b) * (x.std(0) > 0.5)).message
    assert "is 0 times" not in message

    def writes(mean, var, x, m):
        mean *= 1 - m
        var *= 1 - m
        return mean, var

    assert "its arguments running_mean and running_var" in update_running.check(writes).message


def test_long_lists_are_shortened():
    row = next(r for r in standardize.rows if r.probe.args["x"].shape == (101, 2))

    def function(x, eps):
        return xh(x, eps) + 0.1 * ((np.arange(len(x)) > 9) & (len(x) == 101))[:, None]

    message = standardize.check(function).message
    assert row.probe.name in message
    assert "[10, 11, 12, 13, 14, 15, ...] of xhat are wrong" in message


def test_the_texts_that_notebooks_store_stay_as_they_are():
    """The designed batch, its numbers and this mistake are in notebooks/00_start_here.ipynb."""
    result = standardize.check(lambda x, eps: (x - x.mean(axis=0)) / (x.var(axis=0) + eps))
    assert result.diagnosis == "variance-not-root"
    assert "(x of shape (6, 4), eps = 0.1): xhat[0, 0] is 1.1, expected 0.393" in result.message


# ---------------------------------------------------------------- what was said badly


def test_a_matrix_product_that_does_not_fit_is_told_without_gufuncs():
    exercise = exercises.fold_bn
    result = exercise.check(edited(exercise.answer, {"W * scale": "scale @ W"}))
    assert (result.outcome, result.diagnosis) == ("error", "matrix-product")
    assert "the sizes 6 and 4 do not fit" in result.message
    assert "gufunc" not in result.message
    assert "is the matrix product:" not in result.message
    result = exercise.check(edited(exercise.answer, {"W * scale": "W * np.diag(scale)"}))
    assert result.diagnosis == "diagonal-not-multiplied"
    result = exercises.bn_forward.check(lambda x, gamma, beta, eps: gamma[:3] @ x)
    assert "`@` is the matrix product" in result.message


def test_a_sum_without_an_axis_says_the_word_axis():
    def function(dy, x, gamma, eps):
        std = np.sqrt(x.var(axis=0) + eps)
        dxhat = dy * gamma
        dvar = np.sum(dxhat * (x - x.mean(axis=0)) * -0.5 * std**-3)
        dmean = np.sum(-dxhat / std, axis=0)
        dx = dxhat / std + dvar * 2 * (x - x.mean(axis=0)) / len(x) + dmean / len(x)
        return dx, (dy * xh(x, eps)).sum(axis=0), dy.sum(axis=0)

    result = bn_backward.check(function)
    assert result.diagnosis == "variance-sum-without-axis"
    assert "no axis" in result.message


def test_missing_brackets_are_named():
    result = standardize.check(lambda x, eps: x - x.mean(0) / np.sqrt(x.var(0) + eps))
    assert result.diagnosis == "brackets-missing"


def test_layer_norm_is_not_told_of_groups():
    def scaled(mean, var):
        def function(x, gamma, beta, eps):
            xhat = x - mean * x.mean(1, keepdims=True)
            return gamma * xhat / np.sqrt(var * x.var(1, keepdims=True) + eps) + beta

        return function

    for function in (scaled(0.9, 1), scaled(1, 1.1)):
        result = layer_norm.check(function)
        assert re.search(r"in example \d it is", result.message), result
        assert "group" not in result.message
    assert not any("group" in m.message for m in layer_norm.mistakes)


@pytest.mark.parametrize(
    "var",
    [
        lambda x: x.var(1, ddof=1, keepdims=True),
        lambda x: x.std(1, ddof=1, keepdims=True) ** 2,
        lambda x: ((x - x.mean(1, keepdims=True)) ** 2).sum(1, keepdims=True) / (x.shape[1] - 1),
    ],
)
def test_nan_for_a_single_feature_does_not_hide_an_unbiased_variance(var):
    def function(x, gamma, beta, eps):
        return gamma * (x - x.mean(1, keepdims=True)) / np.sqrt(var(x) + eps) + beta

    assert layer_norm.check(function).diagnosis == "unbiased-variance"


def test_a_group_of_one_value_may_be_refused_but_not_be_wrong():
    def refuses(x, gamma, beta, eps):
        return functional.layer_norm(x, gamma, beta, eps)[0]

    assert layer_norm.check(refuses).passed
    wrong = layer_norm.check(
        lambda x, g, b, eps: x if x.shape[1] == 1 else layer_norm.answer(x, g, b, eps)
    )
    assert not wrong.passed and "a single feature" in wrong.message
    assert group_norm.check(lambda *args: functional.group_norm(*args)[0]).passed


def test_a_forgotten_keepdims_is_named_where_broadcasting_fails():
    def forgets(x, gamma, beta, eps):
        mu, var = x.mean(axis=1), x.var(axis=1)
        return gamma * (x - mu) / np.sqrt(var + eps) + beta

    result = layer_norm.check(forgets)
    assert (result.outcome, result.diagnosis) == ("error", "keepdims-forgotten")
    assert "could not be broadcast" in result.message and "(6,)" in result.message


def test_a_float_for_a_whole_number_is_explained():
    def halves(x, num_groups, gamma, beta, eps):
        return x.reshape(len(x), num_groups, x.shape[1] / num_groups, -1)

    result = group_norm.check(halves)
    assert result.outcome == "error"
    assert "`/` always gives a float" in result.message
