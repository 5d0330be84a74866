"""Wrong programs are never called correct, and always get numbers."""

import os
import re

import numpy as np
import pytest
from exercises import variants
from exercises.programs import (
    F32,
    FUNCTIONS,
    PARAMETERS,
    all_outputs,
    answer,
    at,
    dx_only,
    first_output,
    xh,
)

from bnlib import exercises
from bnlib.exercises import standardize


def x_of(name, args):
    return args[PARAMETERS[name].index("x" if "x" in PARAMETERS[name] else "W")]


def alike(x, i, k):
    """These axes are as long, others are not."""
    return x.shape[i] == x.shape[k] and len({*x.shape}) > 1


def remembers(name, key):
    """The solution, but it does not compute again what has the same key and last number."""
    known = {}

    def function(*args):
        k = *key(x_of(name, args)), float(np.ravel(args[-1])[0])
        if k not in known:
            known[k] = answer(name)(*args)
        return known[k]

    return function


def float32_floor(name, floor):
    """The solution, with a floor under eps if the arrays are float32."""

    def function(*args):
        single = any(getattr(a, "dtype", None) == F32 for a in args)
        return answer(name)(*args[:-1], max(args[-1], floor) if single else args[-1])

    return function


def zero_where(name, axes):
    """The solution, but 0 where all numbers along these axes of x are 0."""
    return first_output(
        name, lambda y, args: np.where((args[0] == 0).all(axes, keepdims=True), 0.0, y)
    )


def without_zeros(x, gamma, beta, eps):
    """Layer norm that takes 0 for padding."""
    there = x != 0
    n = np.maximum(there.sum(1, keepdims=True), 1)
    mean = x.sum(1, keepdims=True) / n
    var = ((x - mean) ** 2 * there).sum(1, keepdims=True) / n
    return gamma * (x - mean) / np.sqrt(var + eps) + beta


def ddof_over_500(x, num_groups, gamma, beta, eps):
    z = x.reshape(len(x), num_groups, -1)
    var = z.var(2, ddof=int(z.shape[2] > 500), keepdims=True)
    xhat = ((z - z.mean(2, keepdims=True)) / np.sqrt(var + eps)).reshape(x.shape)
    return gamma[:, None, None] * xhat + beta[:, None, None]


def layer_norm_ddof_over_500(x, gamma, beta, eps):
    var = x.var(1, ddof=int(x.shape[1] > 500), keepdims=True)
    return gamma * (x - x.mean(1, keepdims=True)) / np.sqrt(var + eps) + beta


def one_pass(counts, means, variances):
    n = counts.sum()
    mean = counts @ means / n
    return n, mean, counts @ (variances + means**2) / n - mean**2


def products_in_int32(counts, means, variances):
    """One worker after the other; the product of two counts leaves int32 above 46,000 each."""
    c = counts.astype(np.int32)
    n, mean, total = c[0], means[0], c[0] * variances[0]
    for m, mu, v in zip(c[1:], means[1:], variances[1:]):
        step = mu - mean
        total = total + m * v + step**2 * ((n * m).astype(np.int32) / (n + m))
        mean, n = mean + step * (m / (n + m)), n + m
    return counts.sum(), mean, total / n


def plain_if(near):
    """Averages over the workers where their counts are near each other."""
    return lambda c, m, v: (
        (c.sum(), m.mean(0), v.mean(0) + m.var(0))
        if near(c)
        else answer("sync_statistics")(c, m, v)
    )


def output(name, k, change):
    """The solution with change(output number k) in its place."""

    def function(*args):
        found = list(answer(name)(*args))
        found[k] = change(found[k])
        return tuple(found)

    return function


DENSE = ("standardize", "bn_forward", "bn_backward", "bn_inference", "fold_bn", "fold_bn_before")
WITH_BATCH = [n for n in FUNCTIONS if {"x", "W"} & {*PARAMETERS[n]}]
# A: few digits. Thirds: not on a decimal grid, and finer than the limits of float32.
OUTPUTS = {
    **{f"rounded to {k}": lambda a, k=k: np.round(a, k) for k in (3, 5, 7, 8)},
    "scaled by 1e-4, float32": lambda a: (np.asarray(a) * 1.0001).astype(F32),
    "scaled by 1e-5, float32": lambda a: (np.asarray(a) * 1.00001).astype(F32),
    "shifted, float32": lambda a: (np.asarray(a) + 1e-4).astype(F32),
    "scaled, float32 as float64": lambda a: (np.asarray(a) * 1.0001).astype(F32).astype(float),
}
# B: an argument that is cut off, or taken for "not given".
ARGUMENTS = {
    "eps": {
        "at least 1e-5": lambda e: max(e, 1e-5),
        "at least 1e-7": lambda e: max(e, 1e-7),
        "tiny ignored": lambda e: e if e >= 1e-7 else 0.0,
        "at most 100": lambda e: min(e, 100.0),
    },
    "gamma": {
        "clipped": lambda g: np.clip(g, -3, 3),
        "huge is 1": lambda g: np.where(abs(g) > 1000, 1, g),
        "at least 0.1": lambda g: np.where(abs(g) < 0.1, np.sign(g) * 0.1, g),
        "tiny is 0": lambda g: np.where(abs(g) < 1e-3, 0, g),
        "zero is 1": lambda g: np.where(g == 0, 1, g),
    },
    "beta": {
        "zero is 1": lambda b: np.where(b == 0, 1, b),
        "large is 0": lambda b: np.where(abs(b) > 100, 0, b),
        "tiny is 0": lambda b: np.where(abs(b) < 1e-3, 0, b),
    },
    "running_mean": {
        "zero is 1": lambda m: m + (m == 0),
        "clipped": lambda m: np.clip(m, -1e4, 1e4),
    },
    "running_var": {
        "zero is 1": lambda v: v + (v == 0),
        "at least 1e-12": lambda v: np.maximum(v, 1e-12),
    },
    "var": {f"at least {k}": lambda v, k=k: np.maximum(v, k) for k in (1e-4, 1e-8, 1e-12)},
    "momentum": {
        "at least 0.001": lambda m: max(m, 1e-3),
        "at most 0.995": lambda m: min(m, 0.995),
    },
    "b": {"zero is 1": lambda b: b + (b == 0)},
    "W": {"clipped": lambda w: np.clip(w, -100, 100)},
    "floor": {f"at least {k}": lambda f, k=k: max(f, k) for k in (1e-5, 1e-3, 0.05)},
}
# C: sizes and dtypes of x.
SIZES = {
    "more than 100 rows": lambda x: len(x) > 100,
    "7 rows": lambda x: len(x) == 7,
    "more than 40 columns": lambda x: x.shape[1] > 40,
    "square, more than 16": lambda x: len(x) == x.shape[1] > 16,
    "float32": lambda x: x.dtype == F32,
}
# D: a batch that is known already.
KEYS = {
    "a corner": lambda x: (x.shape, x.flat[0]),
    "sums": lambda x: (x.shape, x.flat[0], *np.round(x.mean(0), 6).ravel()[:2]),
}
WRONG = {
    **{f"{n}: {k}": all_outputs(n, f) for n in FUNCTIONS for k, f in OUTPUTS.items()},
    **{
        f"{n}: {p} {k}": at(n, p, f)
        for n in FUNCTIONS
        for p in PARAMETERS[n]
        for k, f in ARGUMENTS.get(p, {}).items()
    },
    **{
        f"{n}: {k}": first_output(n, lambda y, args, n=n, case=case: y + 0.01 * case(x_of(n, args)))
        for n in WITH_BATCH
        for k, case in SIZES.items()
    },
    **{f"{n}: remembers {k}": remembers(n, key) for n in WITH_BATCH for k, key in KEYS.items()},
    **{
        f"{n}: float32, eps at least {floor}": float32_floor(n, floor)
        for n in FUNCTIONS
        if "eps" in PARAMETERS[n]
        for floor in (1e-5, 1e-7)
    },
    **{
        f"{n}: in thirds": all_outputs(n, lambda a: np.round(np.asarray(a) * 3e6) / 3e6)
        for n in DENSE
    },
    **{
        f"{n}: columns from 40 are 0": first_output(
            n, lambda y, args: np.where(np.arange(y.shape[-1]) < 40, y, 0)
        )
        for n in DENSE
    },
    **{
        f"update_running: var at least {least}": output(
            "update_running", 1, lambda v, least=least: np.maximum(v, least)
        )
        for least in (1e-5, 1e-12)
    },
    **{
        f"saturated_fraction: limit {k}": lambda z, k=k: np.mean(abs(z) > k)
        for k in (4.36, 4.3567, 4.3564, 4.35)
    },
    **{
        f"sync_statistics: in {dtype}": output(
            "sync_statistics", 0, lambda n, dtype=dtype: np.asarray(n).astype(dtype)
        )
        for dtype in ("int8", "int16", "int32")
    },
    **{
        f"sync_statistics: first {k} workers": lambda c, m, v, k=k: answer("sync_statistics")(
            c[:k], m[:k], v[:k]
        )
        for k in (8, 32)
    },
    **{
        f"sync_statistics: var at least {least}": output(
            "sync_statistics", 2, lambda v, least=least: np.maximum(v, least)
        )
        for least in (1e-5, 1e-12)
    },
    "standardize: ddof over 100": lambda x, eps: (
        (x - x.mean(0)) / np.sqrt(x.var(0, ddof=int(len(x) > 100)) + eps)
    ),
    "standardize: transposed over 16": lambda x, eps: (
        xh(x.T, eps).T if len(x) == x.shape[1] > 16 else xh(x, eps)
    ),
    **{
        f"standardize: var at least {least}": lambda x, eps, least=least: (
            (x - x.mean(0)) / np.sqrt(np.maximum(x.var(0), least) + eps)
        )
        for least in (1e-3, 1e-5, 1e-7, 1e-9, 1e-11, 1e-13)
    },
    **{
        f"{n}: axes {i} and {k} alike": first_output(
            n, lambda y, args, n=n, i=i, k=k: y + 0.01 * alike(x_of(n, args), i, k)
        )
        for n in ("bn_conv_forward", "bn_conv_backward", "group_norm")
        for i, k in ((0, 1), (1, 2), (1, 3))
    },
    "standardize: clipped": lambda x, eps: np.clip(xh(x, eps), -10, 10),
    "standardize: tiny std is 1": lambda x, eps: (
        (x - x.mean(0)) / np.where(np.sqrt(x.var(0) + eps) < 1e-6, 1, np.sqrt(x.var(0) + eps))
    ),
    **{
        f"{n}: clipped": first_output(n, lambda dx, args: np.clip(dx, -1e4, 1e4))
        for n in ("bn_backward", "bn_conv_backward")
    },
    "bn_backward: only dx rounded": first_output("bn_backward", lambda dx, args: np.round(dx, 7)),
    "bn_backward: tiny dx is 0": first_output(
        "bn_backward", lambda dx, args: np.where(abs(dx) < 1e-6, 0, dx)
    ),
    "bn_backward: path through the variance, float32": lambda *args: tuple(
        a.astype(F32)
        for a in dx_only(
            lambda dy, x, g, eps, std, z: (
                g / std * (dy - dy.mean(0) - (1 - 1e-5) * z * (dy * z).mean(0))
            )
        )(*args)
    ),
    "bn_inference: clipped": all_outputs("bn_inference", lambda a: np.clip(a, -1e2, 1e2)),
    "fold_bn: memory order": at("fold_bn", "W", lambda W: W.ravel("K").reshape(W.shape)),
    "init_std: at least 0.01": first_output("init_std", lambda s, args: max(s, 0.01)),
    "init_std: 256": first_output("init_std", lambda s, args: s * (1 + (args[0] == 256))),
    "saturated_fraction: first 100": lambda z: np.mean(abs(z[:100]) > 4.35671),
    "shift: first 50 units": lambda mean, std, floor: answer("shift")(
        mean[:, :50], std[:, :50], floor
    ),
    "shift: at most 10": all_outputs("shift", lambda a: np.minimum(a, 10)),
    "layer_norm: zero examples are zero": zero_where("layer_norm", (1,)),
    "layer_norm: zeros are no values": without_zeros,
    "layer_norm: ddof over 500": layer_norm_ddof_over_500,
    "group_norm: zero images are zero": zero_where("group_norm", (1, 2, 3)),
    "group_norm: zero channels are zero": zero_where("group_norm", (2, 3)),
    "group_norm: ddof over 500": ddof_over_500,
    "sync_statistics: one pass": one_pass,
    "sync_statistics: one pass, clipped": lambda *args: (
        *one_pass(*args)[:2],
        np.maximum(one_pass(*args)[2], 0),
    ),
    "sync_statistics: products in int32": products_in_int32,
    "sync_statistics: plain if counts differ by 2": plain_if(lambda c: np.ptp(c) <= 2),
    "sync_statistics: plain if counts are alike": plain_if(
        lambda c: np.allclose(c, c[0], rtol=0.02)
    ),
}


@pytest.mark.parametrize("which", list(WRONG))
def test_wrong_code_that_was_accepted_is_rejected_with_numbers(which):
    exercise = exercises.available[which.split(":")[0]]
    result = exercise.check(WRONG[which])
    assert result.outcome == "not yet", result
    assert re.search(r"\d.*(expected|stays|goes from)|expected.*\d", result.message), result
    assert "right to about 7 digits" not in result.message


@pytest.mark.parametrize(
    "wrong_case",
    [
        lambda x, eps: x.shape[0] == x.shape[1],
        lambda x, eps: x.shape[1] == 1,
        lambda x, eps: x.shape[0] == 2,
        lambda x, eps: x.shape[0] == 3,
        lambda x, eps: eps > 1,
        lambda x, eps: x.var(0).min() == 0,
        lambda x, eps: x.var(0).max() < 1e-6,
        lambda x, eps: x.max() < 0,
        lambda x, eps: not x.flags.c_contiguous,
        lambda x, eps: x.shape[0] == 1,
        lambda x, eps: abs(x).max() > 1e3,
    ],
)
def test_a_function_that_is_wrong_in_one_case_only(wrong_case):
    result = standardize.check(lambda x, eps: xh(x, eps) + 0.01 * wrong_case(x, eps))
    assert not result.passed
    assert "right on" in result.message
    assert "wrong for" in result.message


@pytest.mark.parametrize("name", WITH_BATCH)
def test_a_batch_whose_axes_are_all_as_long_is_tried_second(name):
    """Any axis fits there. That probe is named where all is right, and where it alone is wrong."""
    exercise = exercises.available[name]
    result = exercise.check(
        first_output(name, lambda y, args: y + 0.01 * (len({*x_of(name, args).shape}) == 1))
    )
    second = exercise.rows[1].probe.name
    assert f"but wrong for {second}" in result.message
    assert f"among them {second}" in exercise.check(exercise.answer).message


# How many random programs a check gets; `.ci/run full` says 355.
PROGRAMS = int(os.environ.get("BNLIB_RANDOM_PROGRAMS", "40"))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_no_random_wrong_program_is_accepted(name):
    exercise, wrong = exercises.available[name], 0
    for source, function in variants.variants(name, PROGRAMS, seed=3):
        result = exercise.check(function)
        assert "could not judge" not in result.message, source
        # What is right on ordinary inputs may still be wrong on hard ones, but then says so.
        right = variants.is_equivalent(function, name)
        assert (right and result.passed) or re.search(r"\d", result.message), (source, result)
        assert right or result.outcome in ("not yet", "error"), source
        wrong += not right
    assert wrong >= 10


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_judge_of_equivalence_knows_right_from_wrong(name):
    exercise = exercises.available[name]
    assert variants.is_equivalent(exercise.answer, name)
    for mistake in exercise.mistakes:
        if not mistake.only_on:
            assert not variants.is_equivalent(mistake.function, name), mistake.id
