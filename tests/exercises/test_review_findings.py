"""What an adversarial review found: wrong code accepted, false diagnoses, slow or unsafe checks."""

import gc
import re
import sys
import time
import warnings

import numpy as np
import pytest
from exercises.test_student_findings import F32, dx_only, ref, xh

from bnlib import exercises
from bnlib.exercises import (
    bn_backward,
    bn_conv_backward,
    bn_conv_forward,
    bn_forward,
    fold_bn,
    init_std,
    saturated_fraction,
    standardize,
    update_running,
)

PER_CHANNEL = {"axis": (0, 2, 3), "keepdims": True}


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


# ---------------------------------------------------------------- A1, A2: float32


@pytest.mark.parametrize("name", list(ONE_PASS))
def test_a_one_pass_variance_in_float64_is_not_excused_by_a_float32_output(name):
    result = exercises.available[name].check(converted(ONE_PASS[name], np.float64, F32))
    assert result.diagnosis == "one-pass-variance", result
    assert "do not fit into a float32" not in result.message


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


def test_a_float32_output_of_a_careful_calculation_counts_on_all_inputs():
    result = standardize.check(lambda x, eps: F32(xh(x, eps)))
    assert result.passed
    assert f"all {len(standardize.rows)} test inputs" in result.message
    # centred in float64, all the rest in float32
    result = standardize.check(lambda x, eps: xh(F32(x - x.mean(0)), eps))
    assert result.passed


def test_a_wrong_first_call_is_not_forgotten_when_float32_is_tried():
    for which in (1, 5):
        calls = []

        def function(x, eps, calls=calls, which=which):
            calls.append(1)
            return F32(xh(x, eps) * (len(calls) != which))

        assert standardize.check(function).diagnosis == "not-deterministic"


@pytest.mark.parametrize("name", list(ONE_PASS))  # A10
def test_a_one_pass_variance_in_float32_is_named(name):
    result = exercises.available[name].check(converted(ONE_PASS[name], F32, F32))
    assert result.diagnosis == "one-pass-variance", result
    assert "float32 with means near 10,000" in result.message


def test_rounded_arguments_are_not_called_float32():
    for decimals in (3, 4, 6):
        result = bn_forward.check(
            lambda x, g, b, eps, k=decimals: g * xh(np.round(x, k), eps) + b  # b11
        )
        assert result.outcome == "not yet"
        assert "fit into a float32" not in result.message


# ---------------------------------------------------------------- A3: True and False


def test_true_and_false_where_one_number_is_asked_for():
    def saturated(z):
        s = 1 / (1 + np.exp(-z))
        return s * (1 - s) < 0.05 * 0.25

    result = saturated_fraction.check(saturated)
    assert (
        "fraction is an array of True and False of shape (32, 25), expected one number: which "
        "share is True?"
    ) in result.message


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("bn_forward", lambda x, gamma, beta, eps: x[0] > 0),
        ("bn_forward", lambda x, gamma, beta, eps: True),
        ("bn_forward", lambda x, gamma, beta, eps: (x > 0).T),
        ("bn_forward", lambda x, gamma, beta, eps: x > 0),
        ("bn_backward", lambda dy, x, gamma, eps: (x > 0, gamma > 0, x > 0)),
        ("saturated_fraction", lambda z: z.mean() > 0),
    ],
)
def test_a_boolean_of_any_shape_is_a_comparison(name, function):
    result = exercises.available[name].check(function)
    assert (result.outcome, result.diagnosis) == ("not yet", "boolean-output")
    assert "True" in result.message
    assert "integers" not in result.message


def test_unsigned_integers_of_the_wrong_shape_are_judged():
    assert bn_forward.check(lambda *args: np.ones(3, np.uint8)).diagnosis == "wrong-shape"


# ---------------------------------------------------------------- A4, A8: large numbers only


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


def test_a_guard_in_the_running_variance_is_not_a_one_pass_variance():
    def function(mean, var, x, m):
        new = 0 * var if np.allclose(x, x.mean(0)) else x.var(0, ddof=1)
        return (1 - m) * mean + m * x.mean(0), (1 - m) * var + m * new

    assert update_running.check(function).diagnosis is None


def test_another_fault_in_float32_is_not_a_one_pass_variance():
    def function(mean, var, x, m):
        mean, var, x = F32(mean), F32(var), F32(x)
        m = m or 0.1  # momentum = 0 is taken for "not given"
        new_mean = (1 - m) * mean + m * x.mean(0)
        return new_mean, (1 - m) * var + m * x.var(0, ddof=1)

    result = update_running.check(function)
    assert (result.outcome, result.diagnosis) == ("not yet", None), result
    assert "momentum of 0" in result.message


def test_other_variances_that_lose_their_digits_get_a_true_message():
    for var in (
        lambda x: (x * (x - x.mean(0))).mean(0),
        lambda x: (x**2).mean(0) - x.mean(0) ** 2,
        lambda x: (x**2).sum(0) / len(x) - (x.sum(0) / len(x)) ** 2,
    ):
        result = bn_forward.check(forward(lambda x, var=var: (x.mean(0), np.maximum(var(x), 0))))
        assert result.diagnosis == "one-pass-variance"
        assert "large numbers cancel in it" in result.message
        assert "you subtract" not in result.message


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


# ---------------------------------------------------------------- A5, A6: several wrong outputs


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


def test_an_xhat_that_is_not_centred_is_one_mistake():
    def function(dy, x, gamma, eps):
        std = np.sqrt(x.var(0) + eps)
        z = x / std
        dg, db = (dy * z).sum(0), dy.sum(0)
        return gamma / std * (dy - db / len(x) - z * dg / len(x)), dg, db

    assert bn_backward.check(function).diagnosis == "xhat-not-centred"


def test_a_scaled_bias_in_folding_does_not_judge_the_weights():
    def function(W, b, gamma, beta, mean, var, eps):
        s = gamma / np.sqrt(var + eps)
        return (W - mean) * s, b * s + beta

    message = fold_bn.check(function).message
    assert "another reason" not in message
    assert "W2 is wrong too" in message


# ---------------------------------------------------------------- A7: np.empty


def fills_all_but_one_column(x, gamma, beta, eps):
    y = np.empty(x.shape)
    for j in range(x.shape[1] - 1):
        y[:, j] = gamma[j] * xh(x, eps)[:, j] + beta[j]
    return y


def fills_all_but_one_row(x, gamma, beta, eps):
    y = np.empty_like(x)
    y[1:] = gamma * xh(x, eps)[1:] + beta
    return y


@pytest.mark.parametrize("function", [fills_all_but_one_column, fills_all_but_one_row])
def test_entries_that_were_never_assigned_are_called_so(function):
    messages = {str(bn_forward.check(function)) for _ in range(3)}
    assert len(messages) == 1
    assert re.search(
        r"y\[0, \d\] is not a number, expected .*\d: was it, .* ever assigned", messages.pop()
    )


def test_what_is_computed_from_an_unassigned_entry_too():
    def function(dy, x, gamma, eps):
        dgamma = np.empty(x.shape[1])
        dgamma[1:] = (dy * xh(x, eps)).sum(0)[1:]
        return ref(dy, x, gamma, eps)[0] + 0 * dgamma, dgamma, dy.sum(0)

    assert "ever assigned" in bn_backward.check(function).message


def test_another_nan_is_not_called_unassigned():
    message = standardize.check(lambda x, eps: np.log(np.add(xh(x, eps), 0.0))).message
    assert "Which root or division" in message
    assert "assigned" not in message


@pytest.mark.parametrize("error", [ValueError, SystemExit, KeyboardInterrupt])
def test_empty_is_numpys_own_again_after_a_call(error):
    originals = np.empty, np.empty_like

    def raises(x, eps):
        assert np.isnan(np.empty(3, F32)).all()
        assert np.empty(2, int).dtype == int
        raise error

    assert standardize.check(raises).outcome == "error"
    assert (np.empty, np.empty_like) == originals


# ---------------------------------------------------------------- A9: shared arrays


def test_one_array_for_each_shape():
    kept = {}

    def function(x, gamma, beta, eps):
        y = kept.setdefault(x.shape, np.empty_like(x))
        y[...] = gamma * xh(x, eps) + beta
        return y

    result = bn_forward.check(function)
    assert result.diagnosis == "shared-output"
    assert "calls with the same shape share one array" in result.message


def test_one_array_for_another_shape_than_the_first():
    kept = np.empty((5, 3))

    def function(x, eps):
        if x.shape != kept.shape:
            return xh(x, eps)
        kept[...] = xh(x, eps)
        return kept

    assert standardize.check(function).diagnosis == "shared-output"


# ---------------------------------------------------------------- A11: slow code


def finite_differences(dy, x, gamma, eps):
    dx = np.zeros(x.shape)
    for at in np.ndindex(x.shape):
        shift = np.zeros(x.shape)
        shift[at] = 1e-6
        dx[at] = (dy * gamma * (xh(x + shift, eps) - xh(x - shift, eps))).sum() / 2e-6
    return dx, (dy * xh(x, eps)).sum(0), dy.sum(0)


def test_large_inputs_are_left_out_when_small_ones_fail():
    sizes = []

    def function(dy, x, gamma, eps):
        sizes.append(x.size)
        return 2 * dy, gamma, gamma

    result = bn_backward.check(function)
    assert max(sizes) <= 200
    count = len(bn_backward.rows)
    assert re.search(rf"all \d\d smaller ones of {count} test inputs", result.message)


def test_a_numerical_derivative_is_told_in_time():
    bn_backward.check(bn_backward.answer)
    start = time.process_time()
    result = bn_backward.check(finite_differences)
    assert time.process_time() - start < 1.0  # 0.2 on the machine of the benchmark
    assert "or is it a numerical derivative" in result.message  # b9


def test_a_simulation_is_not_asked_for_large_layers():
    largest = []

    def simulates(fan_in):
        largest.append(fan_in)
        return 1.02 * np.sqrt(2 / fan_in)

    assert not init_std.check(simulates).passed
    assert max(largest) <= 1000
    assert max(row.probe.args["fan_in"] for row in init_std.rows) <= 25_000


# ---------------------------------------------------------------- A12: nothing gets out


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


def test_a_closed_stdout_does_no_harm(capsys):
    def closes(x, eps):
        print("before")
        sys.stdout.close()
        return xh(x, eps)

    result = standardize.check(closes)
    assert result.passed
    assert "before" in result.message
    assert capsys.readouterr() == ("", "")


def test_masked_entries_count_as_missing():
    for masks in (
        lambda y: np.ma.masked_where(y < 0, y),
        lambda y: list(np.ma.masked_where(y < 0, y)),
    ):
        result = standardize.check(lambda x, eps, f=masks: f(xh(x, eps)))
        assert (result.outcome, result.diagnosis) == ("not yet", "masked-output")
        assert "of the 24 entries of xhat are masked" in result.message
    assert standardize.check(lambda x, eps: np.ma.array(xh(x, eps))).passed
    assert not saturated_fraction.check(lambda z: np.ma.masked).passed


# ---------------------------------------------------------------- B


def test_a_gamma_that_is_missing_in_the_direct_path_is_named():  # b4
    result = bn_backward.check(
        dx_only(
            lambda dy, x, g, eps, std, z: (dy - g * dy.mean(0) - g * z * (dy * z).mean(0)) / std
        )
    )
    assert result.diagnosis == "gamma-missing-in-direct-path"


@pytest.mark.parametrize(
    ("name", "order"), [("fold_bn", [1, 0]), ("bn_backward", [2, 1, 0]), ("bn_backward", [1, 0, 2])]
)
def test_outputs_in_another_order_are_called_so(name, order):  # b5
    exercise = exercises.available[name]
    result = exercise.check(lambda *args: tuple(exercise.answer(*args)[i] for i in order))
    assert result.diagnosis in ("outputs-order", "parameters-first")
    assert "in another order" in result.message
    assert f"return {', '.join(exercise.returns)}" in result.message


def test_brackets_around_one_half():  # b7
    assert "`** 1/2`" in init_std.check(lambda fan_in: (2 / fan_in) ** 1 / 2).message


def conv_backward(dx):
    def function(dy, x, gamma, eps):
        std = np.sqrt(x.var(**PER_CHANNEL) + eps)
        z = (x - x.mean(**PER_CHANNEL)) / std
        right = (dy * z).sum((0, 2, 3)), dy.sum((0, 2, 3))
        return dx(dy, z, gamma[:, None, None] / std), *right

    return function


def test_the_number_of_entries_of_a_channel_is_not_called_n():  # b2
    def times_hw(dy, z, scale):
        all_paths = dy - dy.mean(**PER_CHANNEL) - z * (dy * z).mean(**PER_CHANNEL)
        return scale * all_paths * dy.shape[2] * dy.shape[3]

    message = bn_conv_backward.check(conv_backward(times_hw)).message
    assert "N * H * W = 30" in message
    assert "N = 30" not in message


@pytest.mark.parametrize("axes", [0, (2, 3)])
def test_sums_over_the_wrong_axes_are_asked_for(axes):  # b3
    keep = {"axis": axes, "keepdims": True}
    result = bn_conv_backward.check(
        conv_backward(
            lambda dy, z, scale: scale * (dy - dy.mean(**keep) - z * (dy * z).mean(**keep))
        )
    )
    assert "over axes 0, 2 and 3" in result.message
    assert "axes" not in bn_backward.check(dx_only(lambda dy, *rest: dy**2)).message


def test_the_power_of_the_standard_deviation_is_named():  # bS1
    def dx(dy, x, g, eps, std, z):
        dev, dxhat = x - x.mean(0), dy * g
        dvar = -0.5 * (dxhat * dev).sum(0) * std**-1.5
        return dxhat / std + dvar * 2 * dev / len(x) - (dxhat / std).mean(0)

    assert bn_backward.check(dx_only(dx)).diagnosis == "variance-power-of-std"


def test_the_last_hint_of_the_backward_pass_goes_on_where_the_second_stops():  # bS2
    hint = bn_backward.hint(3)
    assert "dx = dxhat / std + dvar * 2 * (x - mean) / len(x) + dmean / len(x)" in hint
    assert "test-time formula" in fold_bn.hint(3)  # bS3
    assert "batch of one" not in fold_bn.hint(3)


def test_dots_may_be_left_in_another_function():  # bS4
    def xhat_of_before(x, eps):
        return ...

    result = bn_forward.check(lambda x, g, b, eps: g * xhat_of_before(x, eps) + b)
    assert "in your code, or in a function it calls" in result.message


def test_a_share_has_no_dtype_to_keep():  # bS5
    assert "float64" not in saturated_fraction.check(saturated_fraction.answer).message
    assert "float32" in bn_forward.check(bn_forward.answer).message


def test_code_in_a_card_has_the_font_of_code():  # bS6
    result = standardize.check(lambda x, eps: ...)
    card = result._repr_mimebundle_()
    assert "Replace the <code>...</code> in" in card["text/html"]
    assert "`" not in card["text/html"]
    assert "Replace the `...` in" in card["text/plain"]
    html = bn_forward.check(lambda *args: print("`<b>`") or args[0])._repr_mimebundle_()[
        "text/html"
    ]
    assert "<code>&lt;b&gt;</code>" in html


def test_the_left_border_is_inside_the_box():  # bS7
    html = standardize.check(lambda x, eps: ...)._repr_mimebundle_()["text/html"]
    outer, inner = re.findall(r'<div[^>]*style="([^"]*)"', html)[:2]
    assert "border:1px solid" in outer
    assert "border-left" not in outer
    assert "border-left:6px dotted currentColor" in inner


@pytest.mark.parametrize("name", ["bn_backward", "bn_conv_backward"])
@pytest.mark.parametrize(
    ("std_of", "says"),
    [
        (lambda var, eps: np.sqrt(var + eps**2), "The variance of"),
        (lambda var, eps: var + eps, "The variance of"),
    ],
)
def test_a_wrong_xhat_is_read_from_dgamma(name, std_of, says):  # b1
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


@pytest.mark.parametrize(
    ("which", "h"),
    [
        ("unbiased-variance-throughout", lambda dev, eps: (dev**2).sum(0) / (len(dev) - 1)),
        ("eps-outside-root-throughout", None),
    ],
)
def test_the_gradients_of_another_forward_pass_are_named(which, h):  # b1
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


def test_the_axis_that_is_left_is_named():  # b6
    result = bn_backward.check(lambda *args: (*ref(*args)[:2], args[0].sum(1)))
    assert result.diagnosis == "wrong-shape"
    assert "6 is N: the axis of the batch is left" in result.message


def test_keyword_only_parameters_are_shown_as_such():  # b8
    result = bn_forward.check(lambda x, gamma, *, beta, eps: x)
    assert "(x, gamma, *, beta, eps)" in result.message


def test_variables_of_the_notebook_come_last():  # b12
    space = {"np": np, "AXIS": 0}
    source = "def standardize(x, eps):\n    return (x - x.mean(AXIS)) / np.sqrt(x.std(AXIS)) + eps"
    exec(source, space)
    lines = standardize.check(space["standardize"]).message.splitlines()
    assert "AXIS" not in lines[0]
    assert "reads AXIS" in lines[-1]


def test_two_wrong_inputs_are_not_joined_by_but():  # b13
    def function(x, eps):
        return 2 * xh(x, eps)[[0, 1, 2, 3, 4, 5]]

    message = standardize.check(function).message
    assert "raised IndexError" in message
    assert message.startswith("Your function is wrong already for the designed batch")
    assert "But" not in message


def test_statistics_without_keepdims_are_named():  # b14
    for right, found in ((True, "statistics-along-width"), (False, "all-along-width")):

        def function(x, gamma, beta, eps, right=right):
            if right:
                gamma, beta = gamma[:, None, None], beta[:, None, None]
            return gamma * (x - x.mean((0, 2, 3))) / np.sqrt(x.var((0, 2, 3)) + eps) + beta

        result = bn_conv_forward.check(function)
        assert result.diagnosis == found
        assert "keepdims" in result.message


def test_a_floor_in_folding_is_named():  # b15
    def function(W, b, gamma, beta, mean, var, eps):
        s = gamma / np.sqrt(np.maximum(var, eps))
        return W * s, (b - mean) * s + beta

    assert fold_bn.check(function).diagnosis == "eps-as-floor"


def test_grammar():  # b16
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
