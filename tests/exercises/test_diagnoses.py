"""Programs that others wrote: the mistake is named, and nothing false is said."""

import numpy as np
import pytest
from exercises.programs import PER_CHANNEL, answer, at, dx_only, first_output, with_globals, xh

from bnlib import exercises, functional
from bnlib.exercises import bn_backward, bn_forward, group_norm, layer_norm, standardize
from bnlib.exercises.engine.mistakes import edited

# ---------------------------------------------------------------- programs


def edit(name, edits):
    return edited(answer(name), edits)


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


def closed(edits):
    """bn_backward in the closed form, with these edits."""
    text = CLOSED
    for right, wrong in edits.items():
        text = text.replace(right, wrong)
    return edit("bn_backward", {DX: text})


def forward(var, centred=lambda x: x - x.mean(0)):
    """bn_forward with a variance or deviations of its own."""
    return lambda x, gamma, beta, eps: gamma * centred(x) / np.sqrt(var(x) + eps) + beta


def guarded(guard):
    """bn_forward with 0 where the guard finds no deviation."""
    return forward(lambda x: x.var(0), lambda x: np.where(guard(x), 0, x - x.mean(0)))


def reuses(dgamma=lambda dy, x, z, g: (dy * z).sum(0), dbeta=lambda dy, x, z, g: dy.sum(0)):
    """bn_backward whose dx is computed from its dgamma and dbeta."""

    def function(dy, x, gamma, eps):
        z, std = xh(x, eps), np.sqrt(x.var(0) + eps)
        dg, db = dgamma(dy, x, z, gamma), dbeta(dy, x, z, gamma)
        return gamma / std * (dy - db / len(x) - z * dg / len(x)), dg, db

    return function


def two_faults(dy, x, gamma, eps):
    std = np.sqrt(x.var(0) + eps)
    xhat = (x - x.mean(0)) / std
    dx = gamma / std * (dy - xhat * (dy * xhat).mean(0))
    return dx, (dy * xhat).mean(0) + 1.0, dy.sum(0)


def flipped_mean(mean, var, x, m):
    return m * mean + (1 - m) * x.mean(0), m * var + (1 - m) * x.std(0, ddof=1)


def variance_sum_without_axis(dy, x, gamma, eps):
    std = np.sqrt(x.var(axis=0) + eps)
    dxhat = dy * gamma
    dvar = np.sum(dxhat * (x - x.mean(axis=0)) * -0.5 * std**-3)
    dmean = np.sum(-dxhat / std, axis=0)
    dx = dxhat / std + dvar * 2 * (x - x.mean(axis=0)) / len(x) + dmean / len(x)
    return dx, (dy * xh(x, eps)).sum(axis=0), dy.sum(axis=0)


def finite_differences(dy, x, gamma, eps, xhat=xh):
    """bn_backward by central differences, for the given xhat(x, eps)."""
    dx = np.zeros(x.shape)
    for i in np.ndindex(x.shape):
        step = np.zeros(x.shape)
        step[i] = 1e-6
        dx[i] = (dy * gamma * (xhat(x + step, eps) - xhat(x - step, eps))).sum() / 2e-6
    return dx, (dy * xhat(x, eps)).sum(0), dy.sum(0)


def nearly_a_multiple(factor, from_eps):
    return dx_only(
        lambda dy, x, g, eps, std, z: (
            g / std * (dy - dy.mean(0) - (factor if eps >= from_eps else 1) * z * (dy * z).mean(0))
        )
    )


def conv_sums_over(axes):
    keep = {"axis": axes, "keepdims": True}

    def function(dy, x, gamma, eps):
        std = np.sqrt(x.var(**PER_CHANNEL) + eps)
        z = (x - x.mean(**PER_CHANNEL)) / std
        dx = gamma[:, None, None] / std * (dy - dy.mean(**keep) - z * (dy * z).mean(**keep))
        return dx, (dy * z).sum((0, 2, 3)), dy.sum((0, 2, 3))

    return function


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def overflows(sign, in_one_step):
    def function(z):
        e = np.exp(sign * z)
        s = e / (1 + e)
        return np.mean((e / (1 + e) ** 2 if in_one_step else s * (1 - s)) < 0.0125)

    return function


def layer_norm_of(var, mean=1.0):
    """layer_norm with a variance of its own, and a multiple of the mean."""
    return lambda x, gamma, beta, eps: (
        gamma * (x - mean * x.mean(1, keepdims=True)) / np.sqrt(var(x) + eps) + beta
    )


def forgets_keepdims(x, gamma, beta, eps):
    return gamma * (x - x.mean(axis=1)) / np.sqrt(x.var(axis=1) + eps) + beta


def right_up_to(n):
    return lambda x, eps: xh(x, eps) + 0.1 * ((np.arange(len(x)) >= n) & (len(x) == 101))[:, None]


# ---------------------------------------------------------------- what is said of them

ONE_PASS = ("large numbers cancel in it", "-you subtract")
TOO = ("dx is wrong too: look again once this is right", "-another reason")
LARGE = ("Only large means are a problem", "relative tolerance")
LARGE_Z = ("Only large z are a problem", "-does not depend on z")
MULTIPLE = ("-is a multiple of", "-paths are complete")
SAID = [
    # exercise, program, diagnosis, what the message must contain (with a minus: must not)
    *(
        ("bn_backward", closed(edits), which, ("dgamma and dbeta are right",))
        for which, edits in NAMED.items()
    ),
    (
        "bn_backward",
        reuses(lambda dy, x, z, g: (dy * z).mean(0), lambda dy, x, z, g: dy.mean(0)),
        "dgamma-dbeta-averaged",
        TOO,
    ),
    ("bn_backward", reuses(lambda dy, x, z, g: -(dy * z).sum(0)), "dgamma-sign", TOO),
    (
        "bn_backward",
        reuses(lambda dy, x, z, g: (dy * (x - x.mean(0))).sum(0)),
        "dgamma-with-deviations",
        TOO,
    ),
    ("bn_backward", reuses(lambda dy, x, z, g: (dy * g * z).sum(0)), "dgamma-with-y", TOO),
    ("bn_backward", reuses(dbeta=lambda dy, x, z, g: (dy * g).sum(0)), "dbeta-with-gamma", TOO),
    (
        "bn_backward",
        two_faults,
        "mean-path-missing",
        ("dgamma is wrong too: look again", "dbeta is right"),
    ),
    ("bn_backward", variance_sum_without_axis, "variance-sum-without-axis", ("no axis",)),
    (
        "bn_backward",
        first_output("bn_backward", lambda dx, args: dx + args[0].mean(0) * args[1] ** 2),
        None,
        (
            "column sums of dx are not zero",
            "one of them is wrong",
            "-path through the mean complete",
        ),
    ),
    *(
        ("bn_backward", nearly_a_multiple(*by), None, MULTIPLE)
        for by in ((0.999, 0.0), (0.999, 1.0), (0.99999, 0.0), (0.99999, 1.0))
    ),
    (
        "bn_backward",
        at("bn_backward", "gamma", lambda g: np.where(g == 0, 1, g)),
        None,
        ("gamma[1] is 0", "-path through the variance"),
    ),
    ("bn_backward", finite_differences, None, ("or is it a numerical derivative",)),
    ("bn_backward", dx_only(lambda dy, *rest: dy**2), None, ("-axes",)),
    ("bn_conv_backward", conv_sums_over(0), None, ("over axes 0, 2 and 3",)),
    ("bn_conv_backward", conv_sums_over((2, 3)), None, ("over axes 0, 2 and 3",)),
    (
        "update_running",
        flipped_mean,
        "flipped-mean-only",
        ("-the variance", "new_var is wrong too"),
    ),
    (
        "bn_forward",
        forward(lambda x: np.maximum((x * (x - x.mean(0))).mean(0), 0)),
        "one-pass-variance",
        ONE_PASS,
    ),
    (
        "bn_forward",
        forward(lambda x: np.maximum((x**2).sum(0) / len(x) - (x.sum(0) / len(x)) ** 2, 0)),
        "one-pass-variance",
        ONE_PASS,
    ),
    ("bn_forward", guarded(lambda x: np.isclose(x, x.mean(0)).all(0)), None, LARGE),
    ("bn_forward", guarded(lambda x: x.std(0) < 1e-6 * abs(x.mean(0))), None, LARGE),
    ("bn_forward", at("bn_forward", "x", lambda x: np.clip(x, -1e6, 1e6)), None, LARGE),
    (
        "bn_forward",
        first_output("bn_forward", lambda y, args: y * (args[0].std(0) > 0.5)),
        None,
        ("-is 0 times",),
    ),
    (
        "saturated_fraction",
        lambda z: np.mean((sigmoid(z) * sigmoid(-z) < 0.0125) & (sigmoid(z) * sigmoid(-z) > 0)),
        None,
        LARGE_Z,
    ),
    ("saturated_fraction", lambda z: answer("saturated_fraction")(z[abs(z) < 100]), None, LARGE_Z),
    *(
        ("saturated_fraction", overflows(sign, in_one_step), "overflow", ())
        for sign in (1, -1)
        for in_one_step in (True, False)
    ),
    ("standardize", lambda x, eps: x - x.mean(0) / np.sqrt(x.var(0) + eps), "brackets-missing", ()),
    ("standardize", lambda x, eps: 2 * xh(x, eps), None, ("of xhat is 2 times the expected one",)),
    (
        "standardize",
        lambda x, eps: 2 * xh(x, eps) + 1e-7 * (x == x.max(0)),
        None,
        ("-times the expected",),
    ),
    ("standardize", right_up_to(10), None, ("[10, 11, 12, 13, 14, 15, ...] of xhat are wrong",)),
    (  # notebooks/00_start_here.ipynb stores this
        "standardize",
        lambda x, eps: (x - x.mean(axis=0)) / (x.var(axis=0) + eps),
        "variance-not-root",
        ("(x of shape (6, 4), eps = 0.1): xhat[0, 0] is 1.1, expected 0.393",),
    ),
    (
        "layer_norm",
        layer_norm_of(lambda x: x.var(1, keepdims=True), 0.9),
        None,
        ("in example ", " it is", "-group"),
    ),
    (
        "layer_norm",
        layer_norm_of(lambda x: 1.1 * x.var(1, keepdims=True)),
        None,
        ("in example ", " it is", "-group"),
    ),
    *(  # which gives NaN for a single feature
        ("layer_norm", layer_norm_of(var), "unbiased-variance", ("-group",))
        for var in (
            lambda x: x.var(1, ddof=1, keepdims=True),
            lambda x: (
                ((x - x.mean(1, keepdims=True)) ** 2).sum(1, keepdims=True) / (x.shape[1] - 1)
            ),
        )
    ),
]


@pytest.mark.parametrize(("name", "function", "diagnosis", "parts"), SAID)
def test_the_mistake_is_named_and_nothing_false_is_said(name, function, diagnosis, parts):
    result = exercises.available[name].check(function)
    assert (result.outcome, result.diagnosis) == ("not yet", diagnosis), result
    for part in parts:
        assert (part.lstrip("-") in result.message) == (part[0] != "-"), (part, result)


@pytest.mark.parametrize(
    ("odd", "said"),
    [(1, "It is right on {even} of {all} inputs tried"), (0, "It is wrong on {even} of {all} inp")],
)
def test_it_is_counted_on_how_many_inputs_a_function_is_right(odd, said):
    tried = [r.probe for r in bn_forward.rows if not (r.probe.large or r.probe.integers)]
    even = sum(len(probe.args["x"]) % 2 == 0 for probe in tried)
    result = bn_forward.check(
        first_output("bn_forward", lambda y, args: y + 1e3 * (len(args[0]) % 2 == odd))
    )
    assert said.format(even=even, all=len(tried)) in result.message, result


@pytest.mark.parametrize(
    ("name", "function", "diagnosis", "says"),
    [
        (
            "fold_bn",
            edit("fold_bn", {"W * scale": "scale @ W"}),
            "matrix-product",
            "the sizes 6 and 4 do not fit",
        ),
        ("layer_norm", forgets_keepdims, "keepdims-forgotten", "could not be broadcast"),
    ],
)
def test_a_mistake_that_raises_is_named(name, function, diagnosis, says):
    result = exercises.available[name].check(function)
    assert (result.outcome, result.diagnosis) == ("error", diagnosis)
    assert says in result.message
    assert "is the matrix product:" not in result.message


@pytest.mark.parametrize(
    ("which", "std"),
    [
        ("unbiased-variance-throughout", lambda x, eps: np.sqrt(x.var(0, ddof=1) + eps)),
        ("eps-outside-root-throughout", lambda x, eps: x.std(0) + eps),
    ],
)
def test_the_gradients_of_another_forward_pass_are_named(which, std):
    """Their dx by central differences is the catalogue's."""
    mistake = next(m for m in bn_backward.mistakes if m.id == which)
    args = bn_backward.example()
    numeric = finite_differences(*args, lambda x, eps: (x - x.mean(0)) / std(x, eps))
    for found, want in zip(mistake.function(*args), numeric):
        np.testing.assert_allclose(found, want, atol=1e-6)


def test_a_group_of_one_value_may_be_refused_but_not_be_wrong():
    assert layer_norm.check(lambda *args: functional.layer_norm(*args)[0]).passed
    wrong = layer_norm.check(
        lambda x, g, b, eps: x if x.shape[1] == 1 else layer_norm.answer(x, g, b, eps)
    )
    assert not wrong.passed and "a single feature" in wrong.message
    assert group_norm.check(lambda *args: functional.group_norm(*args)[0]).passed


# ---------------------------------------------------------------- properties


Q = "(x - mean) / np.sqrt(var + eps)"
V = "((x - mean) ** 2).mean(axis=0)"
Y = "gamma * xhat + beta"
OFFSET = "beta - gamma * running_mean / s"
MEAN, VAR = "momentum * x.mean(axis=0)", "momentum * x.var(axis=0, ddof=1)"
CASES = [
    # exercise, an edit of its solution that no catalogue has, what the message must contain
    ("standardize", {"return (x - mean)": "return (x - x[0])"}, ["column means", "0"]),
    ("standardize", {Q: f"np.clip({Q}, -4, 4)"}, ["one outlier", "right on"]),
    ("standardize", {"+ eps": "+ max(eps, 1e-3)"}, ["eps = 1e-05", "right on", "variance of"]),
    ("standardize", {Q: "np.nan_to_num((x - mean) / x.std(0))"}, ["does not change when eps"]),
    ("standardize", {Q: "(x - mean) / (np.sqrt(var + eps) + 1e-8)"}, ["nearly right"]),
    ("standardize", {V: "np.abs(x - mean).max(axis=0)"}, ["variance of column"]),
    ("standardize", {V: "((x - mean) ** 2).sum(axis=0) / 6"}, ["right on", "wrong"]),
    ("standardize", {"x.mean(axis=0)": "x.mean()"}, ["without its axis"]),
    ("bn_forward", {Y: "gamma**2 * xhat + beta"}, ["variance of column", "gamma^2"]),
    ("bn_forward", {Y: "gamma * xhat + beta.mean()"}, ["column means", "not beta"]),
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
    result = exercises.available[name].check(edit(name, edits))
    assert (result.outcome, result.diagnosis) == ("not yet", None), result
    for part in parts:
        assert part in result.message, result


@pytest.mark.parametrize("name", ["bn_backward", "bn_conv_backward"])
@pytest.mark.parametrize(
    "eps", [{"var + eps": "var + eps**2"}, {"np.sqrt(var + eps)": "(var + eps)"}]
)
def test_a_wrong_xhat_is_read_from_dgamma(name, eps):
    message = exercises.available[name].check(edit(name, eps)).message
    assert "a sum of dy times something other than xhat" in message
    assert "The variance of" in message
    assert "expected var / (var + eps) = " in message


# ---------------------------------------------------------------- variables of the notebook


@pytest.mark.parametrize(
    ("value", "variables", "said"),
    [
        ("(x - x.sum(0) / N) / np.sqrt(x.var(0) + eps)", {"N": 6}, "reads N: a variable"),
        ("xh(x, eps) * std", {"std": np.full((1, 1), 1.3)}, "reads std: a variable"),
        ("(x - x.sum(0) / N) / (v + eps)", {"N": 6, "v": 2.0}, "reads N, v: variables"),
        ("[xh(x, eps) * two for _ in range(1)][0]", {"two": 2.0}, "reads two"),
        ("xh(x, eps) + np.pi", {"N": 6, "mean": 1.0}, None),  # functions, modules, not used
    ],
)
def test_variables_of_the_notebook_are_named_last(value, variables, said):
    source = f"def standardize(x, eps):\n    return {value}"
    result = standardize.check(with_globals(source, "standardize", **variables))
    assert result.outcome == "not yet"
    *before, last = result.message.splitlines()
    assert "of the notebook" not in " ".join(before)
    assert said in last if said else "of the notebook" not in last


def test_a_function_that_is_right_may_read_what_it_likes():
    source = "def standardize(x, eps):\n    return xh(x, eps) * one"
    assert standardize.check(with_globals(source, "standardize", one=1.0)).passed
