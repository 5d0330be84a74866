"""Properties of normalised batches and of their gradients, with the numbers that violate them.

They hold for x (N, D) and for feature maps (N, C, H, W) alike: `rows` lays the latter out as one
row for each image and position, and one column for each channel. That is all the difference there
is between the two kinds of batch normalization.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace

import numpy as np

from .compare import Case, close


def rows(a: np.ndarray) -> np.ndarray:
    """(N, C, H, W) -> (N * H * W, C);  (N, D) stays as it is."""
    return np.moveaxis(a, 1, -1).reshape(-1, a.shape[1])


def in_layout_of(a, its_rows):
    """What rows(a) undoes: the rows as an array of the shape of a."""
    shape = np.moveaxis(a, 1, -1).shape
    return np.moveaxis(its_rows.reshape(shape), -1, 1)


def _words(case) -> dict:
    given = vars(case.given)
    dense = next(iter(given.values())).ndim == 2
    count = "N" if dense else "N * H * W"
    axes = "" if dense else ", and are its sums taken over axes 0, 2 and 3"
    output = "dx" if "dy" in given else "your output"
    words = {
        "column": "column" if dense else "channel",
        "output": "that" if hasattr(case.got, "instead_of_xhat") else output,
        "first": "[0, 0]" if dense else "[0, 0, 0, 0]",
        "count": count,
        "factor": "gamma^2 * " if "gamma" in given else "",
        "slope": "gamma" if "gamma" in given else "1",
        "mean": "beta" if "beta" in given else "0",
        "paths": "So the three paths must cancel: one of them is wrong. Does it use x - mean where "
        f"it should, the right std and the right {count}{axes}?",
        "path": f"path through the variance complete, with the right gamma, std and {count}{axes}",
    }
    if "xhat" in given:
        words["paths"] = "Which part of dy has to go so that the sum is 0?"
        words["path"] = "part of dy along xhat taken out, once and not more"
    return words


def _output(of):
    """The output of an exercise that has one; else the first."""
    return next(iter(vars(of).values()))


def columns_are_independent(case: Case) -> str | None:
    """A column of the output (y, xhat, dx) depends on that column of each batch that is given."""
    batches = {name: v for name, v in vars(case.given).items() if np.ndim(v) > 1}
    for name, other in batches.items():
        other = other.copy()
        other.flat[0] += 1.0 + abs(other.flat[0])
        said = other.shape[1] > 1 and case.differ(
            rows(_output(case.call(**{name: other})))[:, 1:],
            rows(_output(case.got))[:, 1:],
            f"Changing {name}{{first}}, which is in {{column}} 0, changes another {{column}} of "
            "{output}, from {want} to {got} in one entry: each {column} should depend on that "
            f"{{column}} of {name} alone. Is there a sum or a mean without its axis?",
            **_words(case),
        )
        if said:
            return said
    return None


# ---------------------------------------------------------------- of y (or xhat)


def positions_share_statistics(case: Case) -> str | None:
    """Numbers of a channel can change places between images and positions: y follows them."""
    x = case.given.x
    order = np.random.default_rng(0).permutation(rows(x).shape[0])

    def shuffled(a):
        return in_layout_of(a, rows(a)[order])

    return case.differ(
        _output(case.call(x=shuffled(x))),
        shuffled(_output(case.got)),
        "When the numbers of each channel change places between images and positions, their "
        "outputs should move along unchanged, but one changes from {want} to {got} (now at {at}): "
        "do all N * H * W numbers of a channel share one mean and one variance?",
    )


def column_means(case: Case) -> str | None:
    """The column means of xhat are 0, those of y are beta."""
    beta = getattr(case.given, "beta", np.zeros(case.given.x.shape[1]))
    return case.differ(
        rows(_output(case.got)).mean(0),
        beta,
        "The {column} means of {output} are not {mean}: {column} {i} has {got}, expected {want}.",
        **_words(case),
    )


def column_variances(case: Case) -> str | None:
    """The column variance of y is gamma^2 * var / (var + eps)."""
    var, eps = rows(case.given.x).var(0), case.given.eps
    gamma = getattr(case.given, "gamma", np.ones_like(var))
    return case.differ(
        rows(_output(case.got)).var(0),
        gamma**2 * var / (var + eps),
        "The variance of {column} {i} of {output} is {got}, expected {factor}var / (var + eps) "
        "= {want} (the variance of that {column} of x is {var}).",
        var=var,
        **_words(case),
    )


def straight_line(case: Case) -> str | None:
    """Within a column, the output is a straight line in x with slope gamma / sqrt(var + eps)."""
    x, got, want = (rows(a) for a in (case.given.x, _output(case.got), _output(case.want)))
    low, high, columns = x.argmin(0), x.argmax(0), np.arange(x.shape[1])
    run = x[high, columns] - x[low, columns]
    run = np.where(run == 0, 1.0, run)
    return case.differ(
        (got[high, columns] - got[low, columns]) / run,
        (want[high, columns] - want[low, columns]) / run,
        "From the smallest to the largest x of {column} {i}, {output} rises by {got} for each "
        "unit of x, expected {slope} / sqrt(var + eps) = {want}.",
        **_words(case),
    )


def variance_loses_digits(case: Case) -> bool:
    """Does the error grow little by little with the mean, as that of a one-pass variance does?

    Numbers near mean**2 cancel in it, so it is wrong by about mean**2 times the rounding error of
    one number: 1e-16, or 6e-8 in float32. Something that is cut off, or compared with a relative
    tolerance, is right up to some mean, and beyond it wrong all at once.
    """
    data = rows(case.given.x)
    columns = (data - data.mean(0)) / data.std(0)
    x = in_layout_of(case.given.x, columns)
    return grows_with_the_square(
        lambda mean, dtype: error_of(case, x=(x + mean).astype(dtype).astype(np.float64))
    )


def grows_with_the_square(error_at: Callable[[float, type], float]) -> bool:
    """Is error_at(mean, dtype), of numbers of size 1 around that mean, about mean**2 roundings?"""

    def error(mean, dtype=np.float64):  # the largest near that mean: rounding is a matter of luck
        return max(error_at(m, dtype) for m in mean * np.linspace(1.0, 1.3, 8))

    def grows(dtype):
        rounding = np.finfo(dtype).eps / 2
        expected = (1e-4, 1e-3, 1e-2)
        return all(0.05 < error(np.sqrt(e / rounding), dtype) / e < 10 for e in expected)

    return error(0.0) < 1e-5 and (grows(np.float64) or grows(np.float32))


def error_of(case: Case, **changed) -> float:
    """The largest error of the student's outputs with these arguments changed, relative to the
    largest entry (at least 1) of each output."""
    got, want = vars(case.call(**changed)), vars(case.reference(**changed))
    return max(
        float(np.abs(got[name] - right).max() / max(1.0, np.abs(right).max()))
        for name, right in want.items()
    )


FORWARD = (columns_are_independent, column_means, column_variances, straight_line)


# ---------------------------------------------------------------- of dx, dgamma, dbeta


def _normalised(case):
    """dy, gamma, var + eps and xhat of a backward exercise, laid out as rows."""
    given, dy = case.given, rows(case.given.dy)
    if hasattr(given, "xhat"):
        return dy, given.gamma, given.inv_std**-2, given.xhat
    x = rows(given.x)
    var = x.var(0) + given.eps
    return dy, given.gamma, var, (x - x.mean(0)) / np.sqrt(var)


def dbeta_is_a_sum(case: Case) -> str | None:
    return case.differ(
        case.got.dbeta,
        rows(case.given.dy).sum(0),
        "dbeta[{i}] is {got}, but {column} {i} of dy sums to {want}. beta[{i}] is added to each "
        "entry of that {column}.",
        **_words(case),
    )


def xhat_behind_dgamma(case: Case) -> str | None:
    """dgamma is the sum of dy * xhat: where dy is 1 in one row and else 0, it is that row of xhat.

    So the xhat that was used can be read from dgamma, and held against what is true of an xhat.
    """
    x, dy = case.given.x, rows(case.given.dy)
    if close(case.got.dgamma, case.want.dgamma, case.tol["dgamma"]) or len(dy) > 50:
        return None
    one_row = [np.zeros_like(dy) for _ in dy]
    for i, array in enumerate(one_row):
        array[i] = 1.0
    xhat = np.array([case.call(dy=in_layout_of(x, a)).dgamma for a in one_row])
    if not close((dy * xhat).sum(0), case.got.dgamma, 1e-9):
        return None
    want = _normalised(case)[-1]
    forward = replace(
        case,
        given=SimpleNamespace(x=x, eps=case.given.eps),
        got=SimpleNamespace(instead_of_xhat=in_layout_of(x, xhat)),
        want=SimpleNamespace(xhat=in_layout_of(x, want)),
    )
    said = column_means(forward) or column_variances(forward) or straight_line(forward)
    return said and f"Your dgamma is a sum of dy times something other than xhat. {said}"


def dgamma_is_a_sum(case: Case) -> str | None:
    return case.differ(
        case.got.dgamma,
        case.want.dgamma,
        "dgamma[{i}] is {got}, expected {want}: in {column} {i}, y = gamma[{i}] * xhat + "
        "beta[{i}], and each entry contributes.",
        **_words(case),
    )


def dx_is_linear_in_dy(case: Case) -> str | None:
    return case.differ(
        case.call(dy=2 * case.given.dy).dx,
        2 * case.got.dx,
        "dx is not proportional to dy: with dy doubled, dx{at} is {got}, expected twice the first, "
        "{want}.",
    )


def dx_sums_to_zero(case: Case) -> str | None:
    """Adding a constant to a column of x changes nothing, so the column sums of dx are zero."""
    largest = float(np.abs(case.want.dx).max(initial=1.0))  # what a sum of 0 is to be measured by
    return case.differ(
        rows(case.got.dx).sum(0),
        np.zeros(case.got.dx.shape[1]),
        "The {column} sums of dx are not zero: {column} {i} sums to {got}, expected 0. Adding a "
        "constant to a {column} of x changes no y. {paths}",
        10 * largest * case.tol["dx"],
        **_words(case),
    )


def dx_is_zero_where_gamma_is(case: Case) -> str | None:
    """Where gamma is 0, y does not depend on x, so dx is 0."""
    zero = case.given.gamma == 0
    if not zero.any():
        return None
    column = int(np.flatnonzero(zero)[0])
    got = rows(case.got.dx)[:, [column]]
    return case.differ(
        got,
        np.zeros_like(got),
        "gamma[{column_index}] is 0, so y does not depend on {column} {column_index} of x, but dx "
        "there has an entry of {got}, expected {want}. Is something done about a gamma of 0?",
        column_index=str(column),
        **_words(case),
    )


def dx_factor(case: Case) -> str | None:
    """If each column of dx is a multiple of the right one, the three paths are complete."""
    got, want = rows(case.got.dx), rows(case.want.dx)
    largest, columns = np.abs(want).argmax(0), np.arange(want.shape[1])
    top = want[largest, columns]
    factors = np.where(top == 0, 1.0, got[largest, columns] / np.where(top == 0, 1.0, top))
    if len(want) < 3 or not close(got, factors * want, 10 * case.tol["dx"]):
        return None
    _, gamma, var, _ = _normalised(case)
    return case.differ(
        factors,
        np.ones_like(factors),
        "Each {column} of dx is a multiple of the right one: {column} {i} is {got} times what is "
        "expected (gamma is {gamma} there, std {std}, and {count} = {n}). So the paths are "
        "complete: which factor is wrong?",
        gamma=gamma,
        std=np.sqrt(var),
        n=str(len(want)),
        **_words(case),
    )


def dx_against_xhat(case: Case) -> str | None:
    """<dx, xhat> = gamma / std * <dy, xhat> * eps / (var + eps), nearly zero for a small eps."""
    dy, gamma, var, xhat = _normalised(case)
    return case.differ(
        (rows(case.got.dx) * xhat).sum(0),
        gamma / np.sqrt(var) * (dy * xhat).sum(0) * (1 - (xhat**2).mean(0)),
        "The sum of dx * xhat over {column} {i} is {got}, expected gamma / std * sum(dy * xhat) * "
        "eps / (var + eps) = {want}. (Stretching a {column} of x hardly changes y: is the "
        "{path}?)",
        **_words(case),
    )


OF_DX = (columns_are_independent, dx_is_linear_in_dy, dx_factor, dx_sums_to_zero, dx_against_xhat)
BACKWARD = (
    *(dbeta_is_a_sum, xhat_behind_dgamma, dgamma_is_a_sum),
    *(columns_are_independent, dx_is_linear_in_dy, dx_is_zero_where_gamma_is),
    *(dx_factor, dx_sums_to_zero, dx_against_xhat),
)
