"""batch_norm, its backward pass and its inference form: properties that a wrong one breaks.

Every test takes the module as ``lib``, so that test_mutants.py can hand it a broken copy.
"""

import ast
from pathlib import Path

import numpy as np
import pytest
from cases import (
    LAYOUTS,
    SHAPES,
    cases,
    close,
    given,
    lay_out,
    make_case,
    per_channel,
    reference_backward,
    reference_forward,
)
from hypothesis import strategies as st

import bnlib.functional
from bnlib.gradients import gradcheck
from bnlib.views import NonFiniteError

EPS32 = np.finfo(np.float32).eps


@pytest.fixture(scope="session")
def lib():
    return bnlib.functional


def forward(lib, case, **changes):
    arguments = {"x": case.x, "gamma": case.gamma, "beta": case.beta, "eps": case.eps} | changes
    return lib.batch_norm(**arguments)


# -- Against slow references ----------------------------------------------------------------------


@given(case=cases())
def test_forward_equals_the_definition(lib, case):
    y, cache = forward(lib, case)
    expected, _, mean, var = reference_forward(case.x, case.gamma, case.beta, case.eps)
    close(y, expected, 1e-10)
    close(cache.mean, mean, 1e-12, scale=np.abs(case.x).max())
    close(cache.var, var, 1e-10)
    close(cache.inv_std[:, 0], 1 / np.sqrt(var + case.eps), 1e-10)


@given(case=cases())
def test_backward_equals_the_chain_rule_in_stages(lib, case):
    _, cache = forward(lib, case)
    dx, dgamma, dbeta = lib.batch_norm_backward(case.dy, cache)
    expected_dx, expected_dgamma, expected_dbeta = reference_backward(
        case.dy, case.x, case.gamma, case.eps
    )
    size = per_channel(np.abs(case.gamma) * cache.inv_std[:, 0], case.x)
    close(dx, expected_dx, 1e-10, scale=np.abs(case.dy * size).max())
    close(dgamma, expected_dgamma, 1e-10, scale=np.abs(case.dy).sum())
    close(dbeta, expected_dbeta, 1e-12, scale=np.abs(case.dy).sum())


@given(case=cases(), seed=st.integers(0, 1000))
def test_inference_is_the_affine_map_of_the_given_statistics(lib, case, seed):
    rng = np.random.default_rng(seed)
    mean, var = rng.normal(0, 2, case.x.shape[1]), rng.uniform(0.1, 4, case.x.shape[1])
    y = lib.batch_norm_inference(case.x, case.gamma, case.beta, mean, var, case.eps)
    xhat = (case.x - per_channel(mean, case.x)) / np.sqrt(per_channel(var + case.eps, case.x))
    close(y, per_channel(case.gamma, y) * xhat + per_channel(case.beta, y), 1e-12)


@pytest.mark.parametrize("shape", SHAPES)
def test_gradients_agree_with_differences(lib, shape):
    case = make_case(shape, seed=1, eps=0.1)
    saved = {}

    def batch_norm(x, gamma, beta):
        y, saved["cache"] = lib.batch_norm(x, gamma, beta, case.eps)
        return y

    def backward(dy):
        gradients = lib.batch_norm_backward(dy, saved["cache"])
        return dict(zip(("x", "gamma", "beta"), gradients))

    report = gradcheck(
        batch_norm, backward, {"x": case.x, "gamma": case.gamma, "beta": case.beta}, tol=1e-7
    )
    assert report.passed, report


def test_a_batch_worked_out_by_hand(lib):
    """x = 1, 3 and eps = 3: mean 2, variance 1, root 2, xhat = -1/2, 1/2."""
    x = np.array([[1.0], [3.0]])
    y, cache = lib.batch_norm(x, np.array([4.0]), np.array([10.0]), eps=3.0)
    assert y.tolist() == [[8.0], [12.0]]
    assert (cache.mean, cache.var, cache.inv_std) == (2.0, 1.0, 0.5)
    # dbeta = 3, dgamma = (2 - 1) / 2; dx = 4 / 2 * (dy - 3/2 - xhat / 4)
    dx, dgamma, dbeta = lib.batch_norm_backward(np.array([[1.0], [2.0]]), cache)
    assert dx.tolist() == [[-0.75], [0.75]]
    assert (dgamma, dbeta) == (0.5, 3.0)


# -- What normalization means --------------------------------------------------------------------


@given(case=cases())
def test_each_channel_gets_mean_beta_and_the_spread_gamma(lib, case):
    y, cache = forward(lib, case)
    axes = (0, *range(2, y.ndim))
    scale = np.abs(y).max()
    close(y.mean(axis=axes), case.beta, 1e-12, scale=scale)
    shrunk = cache.var / (cache.var + case.eps)  # not quite 1, because of eps
    close(y.var(axis=axes), case.gamma**2 * shrunk, 1e-10, scale=scale**2)


@given(case=cases(), scale=st.sampled_from([0.01, 0.5, 3.0, 100.0]), shift=st.floats(-9, 9))
def test_y_does_not_see_scale_and_shift_of_x(lib, case, scale, shift):
    """BN(a x + b) = BN(x), exactly so when eps grows with a^2; and dx shrinks by a."""
    y, cache = forward(lib, case)
    moved, moved_cache = forward(lib, case, x=scale * case.x + shift, eps=case.eps * scale**2)
    close(moved, y, 1e-8)
    dx = lib.batch_norm_backward(case.dy, cache)[0]
    moved_dx = lib.batch_norm_backward(case.dy, moved_cache)[0]
    close(moved_dx * scale, dx, 1e-8, scale=np.abs(case.dy * cache.inv_std.max()).max())


@given(case=cases())
def test_channels_do_not_mix(lib, case):
    y, cache = forward(lib, case)
    gradients = lib.batch_norm_backward(case.dy, cache)
    for c in range(case.x.shape[1]):
        one = slice(c, c + 1)
        alone, alone_cache = lib.batch_norm(
            np.ascontiguousarray(case.x[:, one]), case.gamma[one], case.beta[one], case.eps
        )
        close(alone, y[:, one], 1e-10, scale=np.abs(y).max())
        dx, dgamma, dbeta = lib.batch_norm_backward(case.dy[:, one], alone_cache)
        scale = np.abs(case.dy).sum() * max(1, cache.inv_std.max())
        close(dx, gradients[0][:, one], 1e-10, scale=scale)
        close(dgamma, gradients[1][one], 1e-10, scale=scale)
        close(dbeta, gradients[2][one], 1e-10, scale=scale)


@pytest.mark.parametrize("shape", [(6, 3), (3, 4, 2), (2, 3, 2, 2)])
def test_a_constant_channel_becomes_beta_with_finite_gradients(lib, shape):
    case = make_case(shape)
    x = case.x.copy()
    x[:, 1] = 0.1  # not a binary fraction
    y, cache = forward(lib, case, x=x)
    close(y[:, 1], np.full_like(y[:, 1], case.beta[1]), 1e-10)
    assert cache.var[1] < 1e-30
    gradients = lib.batch_norm_backward(case.dy, cache)
    assert all(np.isfinite(g).all() for g in gradients)


# -- The gradient ---------------------------------------------------------------------------------


@given(case=cases())
def test_dx_sums_to_zero_over_the_batch(lib, case):
    """Shifting all of a channel changes nothing, so the gradient along that direction is 0."""
    _, cache = forward(lib, case)
    dx = lib.batch_norm_backward(case.dy, cache)[0]
    axes = (0, *range(2, dx.ndim))
    size = np.abs(case.dy).sum() * np.abs(case.gamma * cache.inv_std[:, 0]).max()
    close(dx.sum(axis=axes), np.zeros(len(case.gamma)), 1e-10, scale=size)


@given(case=cases(eps=(1e-5, 0.1, 2.0)))
def test_dx_along_xhat_is_what_eps_leaves_of_it(lib, case):
    """<dx, xhat> = gamma * inv_std * dgamma * eps / (var + eps): 0 as eps goes to 0."""
    _, cache = forward(lib, case)
    dx, dgamma, _ = lib.batch_norm_backward(case.dy, cache)
    xhat = reference_forward(case.x, case.gamma, case.beta, case.eps)[1]
    along = (dx * xhat).sum(axis=(0, *range(2, dx.ndim)))
    inv_std = 1 / np.sqrt(cache.var + case.eps)
    expected = case.gamma * inv_std * dgamma * case.eps / (cache.var + case.eps)
    size = np.abs(case.dy * xhat).sum() * (np.abs(case.gamma) * inv_std).max()
    close(along, expected, 1e-9, scale=size)


@pytest.mark.parametrize("features", [1, 3])
def test_two_examples_get_almost_no_gradient(lib, features):
    """With N = 2 the normalised values are +1 and -1 whatever x is, so dx goes to 0 with eps."""
    case = make_case((2, features), eps=1e-12)
    x = np.stack([np.arange(features) - 1.0, np.arange(features) + 1.0])
    _, cache = forward(lib, case, x=x)
    dx = lib.batch_norm_backward(case.dy, cache)[0]
    assert np.abs(dx).max() < 1e-10
    _, cache = forward(lib, case, x=x, eps=1.0)
    assert np.abs(lib.batch_norm_backward(case.dy, cache)[0]).max() > 1e-2


@pytest.mark.parametrize("shape", SHAPES)
def test_a_constant_upstream_gradient_gives_zero(lib, shape):
    """Why every other test uses a random one: a backward that returns zeros passes this."""
    case = make_case(shape)
    _, cache = forward(lib, case)
    ones = np.ones(shape) * per_channel(np.arange(1.0, shape[1] + 1), case.x)
    dx, dgamma, dbeta = lib.batch_norm_backward(ones, cache)
    close(dx, np.zeros(shape), 1e-12, scale=case.count * cache.inv_std.max())
    close(dgamma, np.zeros(shape[1]), 1e-12, scale=case.count)
    close(dbeta, case.count * np.arange(1.0, shape[1] + 1), 1e-12)


@given(case=cases(), a=st.floats(-3, 3))
def test_the_gradient_is_linear_in_dy(lib, case, a):
    _, cache = forward(lib, case)
    other = np.roll(case.dy, 1, axis=0) + 1
    first, second = (lib.batch_norm_backward(dy, cache) for dy in (case.dy, other))
    both = lib.batch_norm_backward(case.dy + a * other, cache)
    for total, part, rest in zip(both, first, second):
        scale = (np.abs(case.dy).sum() + 4 * np.abs(other).sum()) * max(1, cache.inv_std.max())
        close(total, part + a * rest, 1e-10, scale=scale)


# -- Inference ------------------------------------------------------------------------------------


@given(case=cases(), seed=st.integers(0, 99))
def test_inference_treats_each_example_alone(lib, case, seed):
    rng = np.random.default_rng(seed)
    mean, var = rng.normal(0, 2, case.x.shape[1]), rng.uniform(0.1, 4, case.x.shape[1])
    y = lib.batch_norm_inference(case.x, case.gamma, case.beta, mean, var, case.eps)
    order = rng.permutation(len(case.x))
    shuffled = lib.batch_norm_inference(case.x[order], case.gamma, case.beta, mean, var, case.eps)
    close(shuffled, y[order], 1e-14)
    one = lib.batch_norm_inference(case.x[:1], case.gamma, case.beta, mean, var, case.eps)
    close(one, y[:1], 1e-14)


@given(case=cases())
def test_inference_with_the_batch_statistics_equals_training(lib, case):
    y, cache = forward(lib, case)
    inferred = lib.batch_norm_inference(
        case.x, case.gamma, case.beta, cache.mean, cache.var, case.eps
    )
    close(inferred, y, 1e-9)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_frozen_gradients_agree_with_differences(lib, shape, layout):
    """With given statistics dx = gamma / sqrt(var + eps) * dy: nothing is projected out."""
    case = make_case(shape, seed=2, layout=layout)
    rng = np.random.default_rng(1)
    mean, var = rng.normal(0, 2, shape[1]), rng.uniform(0.1, 4, shape[1])

    def inference(x, gamma, beta):
        return lib.batch_norm_inference(x, gamma, beta, mean, var, case.eps)

    def backward(dy):
        gradients = lib.batch_norm_inference_backward(dy, case.x, case.gamma, mean, var, case.eps)
        return dict(zip(("x", "gamma", "beta"), gradients))

    report = gradcheck(
        inference, backward, {"x": case.x, "gamma": case.gamma, "beta": case.beta}, tol=1e-7
    )
    assert report.passed, report


def test_inference_accepts_a_variance_of_zero(lib):
    x = np.array([[1.0, 2.0]])
    one = np.ones(2)
    y = lib.batch_norm_inference(x, one, one, np.array([1.0, 0.0]), np.zeros(2), eps=4.0)
    assert y.tolist() == [[1.0, 2.0]]


# -- Precision and memory -------------------------------------------------------------------------


@given(case=cases(dtype=np.float32))
def test_float32_stays_float32(lib, case):
    y, cache = forward(lib, case)
    gradients = lib.batch_norm_backward(case.dy, cache)
    c = case.x.shape[1]
    inferred = lib.batch_norm_inference(
        case.x, case.gamma, case.beta, np.zeros(c), np.ones(c), case.eps
    )
    arrays = {"y": y, "inferred": inferred, "mean": cache.mean, "var": cache.var}
    arrays |= dict(zip(("dx", "dgamma", "dbeta"), gradients))
    assert {name: a.dtype for name, a in arrays.items()} == dict.fromkeys(arrays, np.float32)
    assert all(a.dtype != np.float64 for a in cache if isinstance(a, np.ndarray))


@pytest.mark.parametrize("shape", [(70, 5), (9, 3, 6, 4), (60, 3, 4)])
@pytest.mark.parametrize("loc", [0.0, 1e4, -1e4])
def test_float32_survives_a_large_mean(lib, shape, loc):
    """The one-pass variance E[x^2] - E[x]^2 has no correct digit here."""
    case = make_case(shape, dtype=np.float32, loc=loc, eps=1e-5)
    y, cache = forward(lib, case)
    expected, _, _, var = reference_forward(
        case.x.astype(np.float64), case.gamma, case.beta, case.eps
    )
    close(cache.var, var, 1e-4)
    close(y, expected, 4e-3 if loc else 1e-5)
    dx = lib.batch_norm_backward(case.dy, cache)[0]
    expected_dx = reference_backward(case.dy, case.x.astype(np.float64), case.gamma, case.eps)[0]
    close(dx, expected_dx, 4e-3 if loc else 1e-5)


@given(case=cases())
def test_arguments_are_left_alone(lib, case):
    before = [a.copy() for a in (case.x, case.gamma, case.beta, case.dy)]
    mean, var = np.zeros(len(case.gamma)), np.ones(len(case.gamma))
    _, cache = forward(lib, case)
    kept = [np.copy(field) for field in cache if isinstance(field, np.ndarray)]
    lib.batch_norm_backward(case.dy, cache)
    lib.batch_norm_inference(case.x, case.gamma, case.beta, mean, var, case.eps)
    for old, new in zip(before, (case.x, case.gamma, case.beta, case.dy)):
        assert np.array_equal(old, new)
    assert not mean.any() and (var == 1).all()
    for old, new in zip(kept, (field for field in cache if isinstance(field, np.ndarray))):
        assert np.array_equal(old, new)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_results_do_not_share_memory_with_what_the_caller_may_change(lib, shape, layout):
    case = make_case(shape, layout=layout)
    y, cache = forward(lib, case)
    expected = [g.copy() for g in lib.batch_norm_backward(case.dy, cache)]
    dy = case.dy.copy()
    y *= -1  # an in-place nonlinearity
    case.x[...] = 7  # the caller reuses its batch
    gradients = lib.batch_norm_backward(dy, cache)
    for gradient, before in zip(gradients, expected):
        close(gradient, before, 1e-12)
    gradients[0][...] = 5
    assert not np.shares_memory(gradients[0], dy)
    assert not np.shares_memory(gradients[0], y)


@pytest.mark.parametrize("shape", [(6, 3, 4, 5), (4, 4, 4, 4), (6, 3)])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_mixed_layouts_of_x_and_dy_give_the_same_numbers(lib, shape, layout):
    """The layout in memory is a matter of speed, never of the result."""
    case = make_case(shape)
    y, cache = forward(lib, case)
    expected = lib.batch_norm_backward(case.dy, cache)
    laid_out, laid_out_cache = forward(lib, case, x=lay_out(case.x, layout))
    close(laid_out, y, 1e-12)
    for dy in (case.dy, lay_out(case.dy, layout)):
        for kept in (cache, laid_out_cache):
            for a, b in zip(lib.batch_norm_backward(dy, kept), expected):
                close(a, b, 1e-11)


# -- The building blocks --------------------------------------------------------------------------


@given(groups=st.integers(1, 6), m=st.integers(1, 9), seed=st.integers(0, 999))
def test_statistics_of_each_row(lib, groups, m, seed):
    x = np.random.default_rng(seed).normal(3, 2, (groups, m))
    for rows in (x, np.asfortranarray(x)):
        mean, var, centred = lib.statistics(rows)
        close(mean, x.mean(axis=1, keepdims=True), 1e-13, scale=np.abs(x).max())
        close(var, x.var(axis=1, keepdims=True), 1e-12, scale=np.abs(x).max() ** 2)
        close(centred, x - x.mean(axis=1, keepdims=True), 1e-13, scale=10)


@given(groups=st.integers(1, 5), m=st.integers(2, 9), seed=st.integers(0, 999))
def test_project_takes_out_the_mean_and_the_part_along_xhat(lib, groups, m, seed):
    """P is a projection: what it leaves is orthogonal to 1 and xhat, and P P = P."""
    x, dy = np.random.default_rng(seed).normal(3, 2, (2, groups, m))
    _, var, centred = lib.statistics(x)
    inv_std = 1 / np.sqrt(var)
    kept = dy.copy()
    dx, along_one, along_xhat = lib.project(dy, centred, inv_std)
    close(along_one, dy.sum(axis=1, keepdims=True), 1e-12, scale=m * np.abs(dy).max())
    xhat = centred * inv_std
    close(along_xhat, (dy * xhat).sum(axis=1, keepdims=True), 1e-12, scale=m * np.abs(dy).max())
    close(dx.sum(axis=1), np.zeros(groups), 1e-12, scale=m * np.abs(dy).max())
    close((dx * xhat).sum(axis=1), np.zeros(groups), 1e-10, scale=m * np.abs(dy).max())
    close(lib.project(dx, centred, inv_std)[0], dx, 1e-10, scale=np.abs(dy).max())
    assert np.array_equal(dy, kept)


# -- Errors ---------------------------------------------------------------------------------------

GOOD = np.arange(12.0).reshape(4, 3)
ONE3 = np.ones(3)


@pytest.mark.parametrize(
    "x, error, message",
    [
        ([[1.0, 2.0], [3.0, 4.0]], TypeError, "float32 or float64 array, got a list"),
        (GOOD.astype(int), TypeError, r"got a int64 array: .*np\.asarray\(x, dtype=np\.float64\)"),
        (GOOD.astype(object), TypeError, "got a object array"),
        (GOOD.astype(np.float16), TypeError, "got a float16 array"),
        (GOOD.astype(complex), TypeError, "got a complex128 array"),
        (np.ones(3), ValueError, r"got \(3,\): the batch is the first axis"),
        (np.float64(3.0), TypeError, "got a float64"),
        (np.ones((0, 3)), ValueError, r"N >= 1, got \(0, 3\)"),
        (np.ones((4, 3, 0)), ValueError, r"got \(4, 3, 0\)"),
        (GOOD.T, ValueError, r"gamma of shape \(4,\) for x of shape \(3, 4\), got \(3,\): .*x\.T"),
        (np.ones((4, 5)), ValueError, r"gamma of shape \(5,\).*axis 1"),
        (np.ones((1, 3)), ValueError, "more than one value per channel, got x of shape"),
        (np.ones((1, 3, 1, 1)), ValueError, "more than one value per channel"),
    ],
)
def test_bad_x_is_refused(lib, x, error, message):
    with pytest.raises(error, match=message):
        lib.batch_norm(x, ONE3, ONE3)


@pytest.mark.parametrize("name", ["gamma", "beta", "mean", "var"])
@pytest.mark.parametrize("shape", [(4,), (3, 1), (), (1,)])
def test_a_vector_of_the_wrong_shape_is_refused(lib, name, shape):
    """Also those that NumPy would broadcast without a word."""
    vectors = dict.fromkeys(("gamma", "beta", "mean", "var"), ONE3) | {name: np.ones(shape)}
    with pytest.raises(
        ValueError, match=rf"expected {name} of shape \(3,\) for x of shape \(4, 3\)"
    ):
        lib.batch_norm_inference(GOOD, **vectors)


@pytest.mark.parametrize("eps", [-1e-5, float("nan"), float("inf"), None, "1e-5", [1e-5], 1e-5j])
def test_eps_must_be_a_number_of_at_least_0(lib, eps):
    for function, vectors in ((lib.batch_norm, 2), (lib.batch_norm_inference, 4)):
        with pytest.raises(ValueError, match="expected eps >= 0, a finite number, got"):
            function(GOOD, *[ONE3] * vectors, eps)


@pytest.mark.parametrize("eps", [1e-50, 1e39])
def test_an_eps_that_float32_cannot_hold_is_refused(lib, eps):
    lib.batch_norm(GOOD, ONE3, ONE3, eps)
    with pytest.raises(ValueError, match=r"an eps that float32 can hold, got .* use 1e-5"):
        lib.batch_norm(GOOD.astype(np.float32), ONE3, ONE3, eps)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_eps_0_gives_the_bare_quotient(lib, dtype):
    case = make_case((6, 3), dtype=dtype)
    y, cache = forward(lib, case, eps=0)
    expected = reference_forward(case.x, case.gamma, case.beta, 0)[0]
    close(y, expected, 1e-5 if dtype == np.float32 else 1e-13)
    dx = lib.batch_norm_backward(case.dy, cache)[0]
    along = (dx * (y - case.beta) / case.gamma).sum(axis=0)
    close(along, np.zeros(3), 1e-5 if dtype == np.float32 else 1e-13, scale=np.abs(case.dy).sum())


@pytest.mark.parametrize("values", [0.1, 0.0, 1e6 / 3, 1e-170])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_variance_of_0_needs_eps(lib, values, dtype):
    """Also where rounding makes it a little more than 0."""
    x = np.random.default_rng(0).standard_normal((60, 3)).astype(dtype)
    x[:, 1] = values
    with pytest.raises(ValueError, match=r"channel 1 has the variance 0 .* eps is 0"):
        lib.batch_norm(x, ONE3, ONE3, 0)
    with pytest.raises(ValueError, match=r"var \+ eps > 0, got 0"):
        lib.batch_norm_inference(x, ONE3, ONE3, ONE3, np.array([1.0, 0.0, 1.0]), 0)
    assert np.isfinite(lib.batch_norm(x, ONE3, ONE3)[0]).all()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_nan_or_infinity_anywhere_in_x_is_refused(lib, shape, bad, dtype):
    rng = np.random.default_rng(len(shape))
    c = shape[1]
    one, zero = np.ones(c), np.zeros(c)
    for _ in range(3):
        x = rng.standard_normal(shape).astype(dtype)
        where = tuple(rng.integers(shape))
        x[where] = bad
        with pytest.raises(NonFiniteError, match=f"NaN or infinity in channel {where[1]}: has"):
            lib.batch_norm(x, one, zero)
        with pytest.raises(NonFiniteError, match=f"NaN or infinity in channel {where[1]}: has"):
            lib.batch_norm_inference(x, one, zero, zero, one)


@pytest.mark.parametrize("size, dtype", [(1e30, np.float32), (1e200, np.float64)])
def test_an_overflowing_variance_is_refused(lib, size, dtype):
    x = np.array([[size], [-size]], dtype)  # finite, but its square is not
    message = f"x holds numbers up to {size:.3g} in channel 0, .* the largest {dtype.__name__}"
    with pytest.raises(NonFiniteError, match=message.replace("+", r"\+")):
        lib.batch_norm(x, np.ones(1), np.zeros(1))


def test_gradients_that_are_not_finite_are_refused(lib):
    _, cache = lib.batch_norm(GOOD, ONE3, ONE3)
    for bad in (np.nan, np.inf):
        dy = np.ones((4, 3))
        dy[2, 1] = bad
        with pytest.raises(NonFiniteError, match="in dy, got NaN or infinity in channel 1"):
            lib.batch_norm_backward(dy, cache)
        with pytest.raises(NonFiniteError, match="in dy, got NaN or infinity in channel 1"):
            lib.batch_norm_inference_backward(dy, GOOD, ONE3, ONE3, ONE3)


@pytest.mark.parametrize("name", ["gamma", "beta", "mean"])
def test_vectors_that_are_not_finite_are_named(lib, name):
    vectors = dict.fromkeys(("gamma", "beta", "mean", "var"), ONE3)
    with pytest.raises(NonFiniteError, match=f"in {name}, got NaN or infinity in channel 2"):
        lib.batch_norm_inference(GOOD, **vectors | {name: np.array([1, 1, np.nan])})
    with pytest.raises(TypeError, match=f"expected real numbers in {name}, got"):
        lib.batch_norm_inference(GOOD, **vectors | {name: 1j * ONE3})


def test_a_negative_variance_is_refused(lib):
    with pytest.raises(ValueError, match=r"var >= 0 .*, got -1 .*is this a running mean"):
        lib.batch_norm_inference(GOOD, ONE3, ONE3, ONE3, np.array([1.0, -1.0, 1.0]))


@pytest.mark.parametrize("shape", [(3, 4), (4,), (4, 3, 1), (1, 3), ()])
def test_dy_of_the_wrong_shape_is_refused(lib, shape):
    _, cache = lib.batch_norm(GOOD, ONE3, ONE3)
    with pytest.raises(ValueError, match=r"expected dy of shape \(4, 3\), the shape of y"):
        lib.batch_norm_backward(np.ones(shape), cache)


def test_the_mathematics_fits_a_screen():
    """statistics, project, batch_norm and its backward, docstrings left out: at most 45 lines."""
    tree = ast.parse(Path(bnlib.functional.__file__).read_text())
    names = {"statistics", "project", "batch_norm", "batch_norm_backward"}
    lines = 0
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name in names:
            names.remove(node.name)
            first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
            doc = node.body[0]
            lines += node.end_lineno - first + 1 - (doc.end_lineno - doc.lineno + 1)
    assert not names and lines <= 45
