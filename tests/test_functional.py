"""The normalizations of bnlib.functional: what a wrong one breaks, for all of them alike.

test_mutants.py puts wrong functions into the module: call what is in it by `functional`.name.
"""

import ast
from pathlib import Path

import numpy as np
import pytest
from cases import KINDS, LAYOUTS, SHAPES, Case, Kind, cases, close, given, lay_out, make_case
from hypothesis import example
from hypothesis import strategies as st

from bnlib import functional
from bnlib.views import NonFiniteError

ALL = pytest.mark.parametrize("kind", KINDS)


def each_kind(test):
    """A first example of every kind, so that none is left to chance."""
    for kind in KINDS:
        test = example(case=make_case(kind))(test)
    return test


# -- Against a slow reference (and against differences, as layers: test_layers.py) ----------------


@given(case=cases())
@each_kind
def test_equals_the_definition_and_the_chain_rule_in_stages(case):
    y, cache = case.forward()
    gradients = case.kind.backward(case.dy, cache)
    expected_y, _, *expected = case.reference()
    close(y, expected_y, 1e-11)
    size = np.abs(case.dy).max() * np.abs(case.gamma).max() / case.eps**0.5
    close(gradients[0], expected[0], 1e-11, scale=size)
    assert len(gradients) == 2 + case.kind.has_mean
    for gradient, wanted in zip(gradients[1:], expected[1:]):
        close(gradient, wanted, 1e-11, scale=np.abs(case.dy).sum())
    if case.kind.name == "batch_norm":
        axes = (0, *range(2, y.ndim))
        close(cache.mean, case.x.mean(axis=axes), 1e-12, scale=np.abs(case.x).max())
        close(cache.var, case.x.var(axis=axes), 1e-10)  # biased


@given(case=cases(), scale=st.sampled_from([0.1, 3.0, 50.0]), shift=st.floats(1, 9))
def test_scale_and_shift_of_a_group_do_not_matter(case, scale, shift):
    """f(a x + b) = f(x), exactly so when eps grows with a^2; dx shrinks by a and sums to 0."""
    y, cache = case.forward()
    moved, moved_cache = case.forward(x=scale * case.x + shift, eps=case.eps * scale**2)
    if case.kind.name == "batch_norm_inference" or not case.kind.has_mean:
        assert np.abs(moved - y).max() > 1e-3
        return
    close(moved, y, 1e-8)
    dx, moved_dx = (case.kind.backward(case.dy, c)[0] for c in (cache, moved_cache))
    size = np.abs(case.dy).sum() * np.abs(case.gamma).max() / case.eps**0.5
    close(moved_dx * scale, dx, 1e-8, scale=size)
    sums = np.bincount(case.kind.labels(dx.shape)[0].ravel(), dx.ravel())
    close(sums, 0 * sums, 1e-10, scale=size)


@ALL
def test_a_constant_group_gives_beta_with_finite_gradients(kind):
    case = make_case(kind)
    group, param = case.kind.labels(case.x.shape)
    constant = 0.1 if case.kind.has_mean else 0.0  # 0.1 is no binary fraction
    case.x[group == 1] = constant
    y, cache = case.forward()
    if case.kind.name != "batch_norm_inference":
        beta = case.beta.ravel()[param] if case.kind.has_mean else 0 * y
        close(y[group == 1], beta[group == 1], 1e-10, scale=1)
    assert all(np.isfinite(g).all() for g in case.kind.backward(case.dy, cache))


def test_the_default_eps_of_rms_norm_is_that_of_the_dtype():
    for dtype in (np.float32, np.float64):
        x, one = np.full((2, 2), 1e-9, dtype), np.ones(2)
        expected = 1e-9 / np.sqrt(1e-18 + np.finfo(dtype).eps)
        close(functional.rms_norm(x, one)[0], np.full((2, 2), expected), 1e-6)


# -- Precision and memory -------------------------------------------------------------------------


@given(case=cases(dtype=np.float32))
@each_kind
def test_float32_stays_float32(case):
    case.x = case.x.astype(np.float32)
    y, cache = case.forward(gamma=case.gamma.astype(np.float64))
    arrays = [y, *case.kind.backward(case.dy, cache)]
    if case.kind.name != "batch_norm_inference":
        arrays += [a for a in cache if isinstance(a, np.ndarray)]
    assert {a.dtype for a in arrays} == {np.dtype(np.float32)}


@pytest.mark.parametrize("shape", [(70, 5), (9, 3, 6, 4), (60, 3, 4)])
@pytest.mark.parametrize("loc", [0.0, 1e4, -1e4])
def test_float32_survives_a_large_mean(shape, loc):
    """The one-pass variance E[x^2] - E[x]^2 has no correct digit here."""
    case = make_case("batch_norm", shape, dtype=np.float32, loc=loc)
    y, cache = case.forward()
    expected, _, expected_dx, *_ = case.reference()
    close(cache.var, case.x.astype(np.float64).var(axis=(0, *range(2, y.ndim))), 1e-4)
    close(y, expected, 4e-3 if loc else 1e-5)
    close(case.kind.backward(case.dy, cache)[0], expected_dx, 4e-3 if loc else 1e-5)


@ALL
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_arguments_are_left_alone_and_layouts_give_the_same_numbers(kind, shape, layout):
    case, plain = (make_case(kind, shape, layout=name) for name in (layout, "C"))
    y, cache = case.forward()
    expected, plain_cache = plain.forward()
    close(y, expected, 1e-12)
    gradients = [g.copy() for g in case.kind.backward(case.dy, cache)]
    mixed = case.kind.backward(lay_out(case.dy, "C"), cache)
    for a, b, c in zip(gradients, case.kind.backward(plain.dy, plain_cache), mixed, strict=True):
        close(a, b, 1e-11)
        close(c, b, 1e-11)
    for name in ("x", "gamma", "beta", "dy"):
        assert np.array_equal(getattr(case, name), getattr(plain, name))
    y *= -1  # an in-place nonlinearity
    if kind != "given statistics":  # its backward pass is given x
        case.x[...] = 7  # the caller reuses its batch
    dx, *rest = case.kind.backward(case.dy, cache)
    for a, b in zip((dx, *rest), gradients, strict=True):
        assert np.array_equal(a, b)
    assert not np.shares_memory(dx, case.dy) and not np.shares_memory(dx, y)


# -- Errors ---------------------------------------------------------------------------------------

GOOD = np.arange(24.0).reshape(4, 6)
ONE6 = np.ones(6)
BATCH, LAYER, INSTANCE = (Kind(f"{n}_norm") for n in ("batch", "layer", "instance"))


def group(number):
    return Kind("group_norm", groups=number)


@ALL
@pytest.mark.parametrize("x", [[[1.0, 2.0]], None, *map(GOOD.astype, ("i8", "O", "f2", "c16"))])
def test_what_is_no_float_array_is_refused(kind, x):
    message = r"expected x as a float32 or float64 array, got a .*np\.asarray\(x, dtype=np\.float"
    with pytest.raises(TypeError, match=message):
        KINDS[kind].forward(x, ONE6, ONE6)


@pytest.mark.parametrize(
    "kind, x, message",
    [
        (BATCH, np.ones(6), r"\(N, D\) or \(N, C, \*spatial\).*, got \(6,\): the batch is the fir"),
        (BATCH, np.ones((0, 6)), r"N >= 1, got \(0, 6\)"),
        (BATCH, GOOD.T, r"gamma of shape \(4,\) for x of shape \(6, 4\), got \(6,\): .*x\.T"),
        (BATCH, np.ones((4, 5)), r"gamma of shape \(5,\).*axis 1"),
        (BATCH, np.ones((1, 6, 1)), r"more than one value per channel, got .*\(1, 6, 1\): .*eval"),
        (LAYER, GOOD.T, r"such as \(4,\) for x of shape \(6, 4\), got \(6,\): did you.* x.T"),
        (LAYER, np.ones((2, 6, 3, 3)), r"got \(6,\): one number a channel is what group_norm"),
        (LAYER, np.ones((2, 5)), r"got \(6,\): the statistics are taken over these axes"),
        (LAYER, np.ones((0, 6)), r"for x of shape \(0, 6\), got"),
        (group(2), GOOD.T, r"gamma of shape \(4,\) for x of shape \(6, 4\), .* x.T"),
        (INSTANCE, np.ones(6), r"\(N, D\) or \(N, C, \*spatial\).*, got \(6,\): the batch is"),
        (INSTANCE, np.ones((4, 0, 2)), r"with N >= 1, got \(4, 0, 2\)"),
        (INSTANCE, GOOD, r"more than one value in each group.*\(4, 6\): .* instance norm pos"),
        (group(6), GOOD, "more than one value in each group, got groups"),
        (group(4), GOOD, "divides the 6 channels, got 4: every group"),
        (group(2.0), GOOD, "num_groups >= 1, a whole number, got 2.0"),
    ],
)
def test_a_wrong_shape_is_refused_with_the_likely_cause(kind, x, message):
    with pytest.raises(ValueError, match=message):
        kind.forward(x, ONE6, ONE6)


@pytest.mark.parametrize("shape", [(4,), (6, 1), (), (1,)])
def test_vectors_of_the_wrong_shape_are_refused(shape):
    """Also those that NumPy would broadcast without a word."""
    good, bad = dict.fromkeys(("gamma", "beta", "mean", "var"), ONE6), np.ones(shape)
    for name in good:
        with pytest.raises(ValueError, match=rf"expected {name} of shape \(6,\) for x of"):
            functional.batch_norm_inference(GOOD, **good | {name: bad})
    with pytest.raises(ValueError, match=r"beta of shape \(6,\), that of gamma, got"):
        functional.layer_norm(GOOD, ONE6, bad)
    with pytest.raises(ValueError, match=r"gamma shaped like the last axes of x"):
        functional.layer_norm(GOOD, bad, bad)


@ALL
@pytest.mark.parametrize("eps", [-1e-5, np.nan, np.inf, "1e-5", [1e-5], 1e-5j])
def test_eps_must_be_a_number_of_at_least_0(kind, eps):
    with pytest.raises(ValueError, match="expected eps >= 0, a finite number, got"):
        make_case(kind).forward(eps=eps)
    for beyond in (1e-50, 1e39):
        make_case(kind).forward(eps=beyond)
        message = r"an eps that float32 can hold, got .* use 1e-5"
        with pytest.raises(ValueError, match=message), np.errstate(all="raise"):
            make_case(kind, dtype=np.float32).forward(eps=beyond)


@ALL
@pytest.mark.parametrize("constant", [0.1, 1e6 / 3, 1e-170])
def test_a_variance_of_0_needs_eps(kind, constant):
    """Also where rounding makes it a little more than 0."""
    case, plain = make_case(kind), make_case(kind)
    close(plain.forward(eps=0)[0], Case(**vars(plain) | {"eps": 0}).reference()[0], 1e-12)
    if kind == "given statistics":
        with pytest.raises(ValueError, match=r"var \+ eps > 0, got 0"):
            functional.batch_norm_inference(GOOD, ONE6, ONE6, ONE6, np.arange(6.0), 0)
        return
    group = case.kind.labels(case.x.shape)[0]
    number = 3 % (group.max() + 1)
    case.x[group == number] = constant if case.kind.has_mean else 0.0
    what = "variance" if case.kind.has_mean else "mean square"
    with pytest.raises(ValueError, match=rf"{case.kind.row} {number} has the {what} 0 .* eps is 0"):
        case.forward(eps=0)


def test_a_negative_variance_is_refused():
    with pytest.raises(ValueError, match=r"var >= 0 .*, got -1 .*is this a running mean"):
        functional.batch_norm_inference(GOOD, ONE6, ONE6, ONE6, np.arange(6.0) - 1)


@ALL
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nan_infinity_and_overflow_are_named_with_their_place(kind, bad):
    case = make_case(kind)
    _, cache = make_case(kind).forward()
    where = (1, 3, 4, 1)
    place = f"{case.kind.row} {case.kind.labels(case.x.shape)[0][where]}"
    case.x[where] = case.dy[where] = bad
    with pytest.raises(NonFiniteError, match=f"in x, got NaN or infinity in {place}: has"):
        case.forward()
    with pytest.raises(NonFiniteError, match=f"in dy, got .* in {place}: has"):
        case.kind.backward(case.dy, cache)
    if kind != "given statistics":
        case = make_case(kind)
        case.x[where] *= 1e200  # finite, but its square is not
        message = f"x holds numbers up to .* in {place}, .* the largest float64"
        with pytest.raises(NonFiniteError, match=message):
            case.forward()
    for name in ("gamma", "beta") if case.kind.has_mean else ("gamma",):
        vector = getattr(make_case(kind), name)
        vector.flat[2] = bad
        with pytest.raises(NonFiniteError, match=f"in {name}, got NaN or infinity in channel 2"):
            make_case(kind).forward(**{name: vector})
        with pytest.raises(TypeError, match=f"real numbers in {name}, got"):
            make_case(kind).forward(**{name: vector.astype(complex)})


@ALL
def test_gradients_that_overflow_are_refused(kind):
    case = make_case(kind)
    _, cache = case.forward(gamma=1e-9 * case.gamma)  # dx is small, the sums are not
    with pytest.raises(NonFiniteError, match="dy holds numbers up to"):
        case.kind.backward(np.full(case.dy.shape, 1.7e308) * np.sign(case.x), cache)


@ALL
@pytest.mark.parametrize("shape", [(2, 4, 5), (4, 4, 5, 3), (1, 4, 5, 3), (4, 2, 5, 3), ()])
def test_dy_of_the_wrong_shape_is_refused(kind, shape):
    _, cache = make_case(kind).forward()
    with pytest.raises(ValueError, match=r"dy of shape \(2, 4, 5, 3\), the shape of y, got"):
        KINDS[kind].backward(np.ones(shape), cache)


def test_the_mathematics_fits_a_screen():
    """Docstrings left out: batch norm and what it is built of 45 lines, a relative 25."""
    lines = {}
    for node in ast.parse(Path(functional.__file__).read_text()).body:
        if isinstance(node, ast.FunctionDef):
            doc = node.body[0]
            docstring = doc.end_lineno - doc.lineno + 1 if ast.get_docstring(node) else 0
            decorators = len(node.decorator_list)
            lines[node.name] = node.end_lineno - node.lineno + 1 + decorators - docstring
    batch = ("statistics", "project", "batch_norm", "batch_norm_backward")
    assert sum(lines[name] for name in batch) <= 45
    relatives = ("layer_norm", "group_norm", "instance_norm", "_normalize", "group_norm_backward")
    assert sum(lines[name] for name in relatives) <= 3 * 25
    assert lines["rms_norm"] + lines["rms_norm_backward"] <= 25
