"""gradcheck finds wrong gradients and passes right ones."""

import numpy as np
import pytest

from bnlib.functional import batch_norm, batch_norm_backward
from bnlib.gradients import gradcheck


def cube(x):
    return x**3


X = np.random.default_rng(0).standard_normal((4, 3)) + 3
CACHE = {}


def check_cube(factor=1.0, **settings):
    return gradcheck(cube, lambda dy: {"x": factor * 3 * X**2 * dy}, {"x": X}, **settings)


def normalize(x, eps=1e-5):
    d = x.shape[1]
    y, CACHE["latest"] = batch_norm(x, np.ones(d), np.zeros(d), eps)
    return y


def test_a_right_gradient_passes():
    report = check_cube()
    assert report.passed
    (check,) = report.checks
    assert check.name == "x" and check.error < 1e-8
    assert check.analytic == pytest.approx(check.numeric, rel=1e-7)


@pytest.mark.parametrize("factor", [1.01, np.nan])
def test_one_wrong_element_is_found(factor):
    def backward(dy):
        dx = 3 * X**2 * dy
        dx[2, 1] *= factor
        return {"x": dx}

    x = X.copy()
    assert not gradcheck(cube, backward, {"x": x}).passed
    assert np.array_equal(x, X)


def test_the_report_names_function_argument_and_both_values():
    text = str(check_cube(factor=2))
    assert "gradcheck of cube: FAILED" in text
    line = text.splitlines()[1].split()
    assert line[:2] == ["x", "WRONG"]
    assert float(line[3]) == pytest.approx(2 * float(line[5]), rel=1e-5)
    assert "gradcheck of cube: passed" in repr(check_cube())
    assert " ok " in str(check_cube())


def test_only_the_wrong_argument_is_marked():
    x, w = X, np.arange(3.0)
    report = gradcheck(
        lambda x, w: x * w, lambda dy: {"x": dy * w, "w": (dy * x).sum(0) + 1}, {"x": x, "w": w}
    )
    assert not report.passed
    assert [check.error < report.tol for check in report.checks] == [True, False]
    assert [check.name for check in report.checks] == ["x", "w"]
    report = gradcheck(lambda x, w: x * w, lambda dy: {"x": dy * w}, {"x": x, "w": w})
    assert report.passed and len(report.checks) == 1  # w has no gradient: it is not checked


def test_a_true_gradient_of_zero_passes():
    """Adding a constant before batch norm changes nothing."""

    def backward(dy):
        return {"shift": batch_norm_backward(dy, CACHE["latest"])[0].sum(axis=0)}

    shift = {"shift": np.zeros(3)}
    report = gradcheck(lambda shift: normalize(X + shift, 0.1), backward, shift, tol=1e-4)
    assert report.passed, report


def test_batch_statistics_taken_as_constants_are_found():
    """The classic wrong backward: dx = gamma * inv_std * dy."""
    wrong = gradcheck(normalize, lambda dy: {"x": dy * CACHE["latest"].inv_std[:, 0]}, {"x": X})
    assert not wrong.passed


@pytest.mark.parametrize("wrong", [2, 9])
def test_the_worst_direction_counts(wrong):
    """The first call is for y, the others are two for each of four directions."""
    calls = []

    def forward(x):
        calls.append(1)
        return x**3 + 1e-4 * (len(calls) == wrong)

    assert not gradcheck(forward, lambda dy: {"x": 3 * X**2 * dy}, {"x": X}).passed
    assert len(calls) == 9


@pytest.mark.parametrize("value", [X.astype(np.float32), X.astype(int), [1.0]])
def test_anything_but_float64_is_refused(value):
    with pytest.raises(TypeError, match="gradcheck expected float64 for x"):
        gradcheck(cube, lambda dy: {"x": dy}, {"x": value})


def test_what_is_no_array_and_no_dict_is_refused_in_words():
    with pytest.raises(TypeError, match="real numbers in what forward returns, got"):
        gradcheck(lambda x: (x, {}), lambda dy: {"x": dy}, {"x": X})  # y and a cache
    with pytest.raises(TypeError, match="inputs as a dict of name -> array, got ndarray"):
        gradcheck(cube, lambda dy: {"x": dy}, X)


@pytest.mark.parametrize(
    "gradients, message",
    [
        ({}, r"gradients for some of \['x'\], got \[\]"),
        ({"z": X}, r"got \['z'\]"),
        ({"x": X[0]}, r"to have its shape \(4, 3\), got \(3,\)"),
    ],
)
def test_gradients_of_wrong_name_or_shape_are_refused(gradients, message):
    with pytest.raises(ValueError, match=message):
        gradcheck(cube, lambda dy: gradients, {"x": X})


def test_the_upstream_gradient_is_not_what_the_caller_drew_for_x():
    """x from default_rng(seed), dy proportional to it: the direction in which dx is 0."""
    x = np.random.default_rng(0).standard_normal((8, 5))

    def backward(dy):
        assert not np.allclose(dy / x, (dy / x)[0, 0])
        return {"x": batch_norm_backward(dy, CACHE["latest"])[0]}

    assert gradcheck(normalize, backward, {"x": x}).passed


@pytest.mark.parametrize("size", [1, 1e-200, 1e-5, 1e150, 1e280])
def test_a_wrong_gradient_fails_whatever_its_size(size):
    def check(factor):
        return gradcheck(
            lambda x: size * x**3, lambda dy: {"x": factor * size * 3 * X**2 * dy}, {"x": X}
        )

    assert check(1).passed
    for factor in (1.0001, -1, 0, 2):
        assert not check(factor).passed


@pytest.mark.parametrize("values", [1e301, np.nan, np.inf])
def test_what_is_beyond_all_differences_is_refused(values):
    with pytest.raises(ValueError, match="finite float64 numbers below 1e300"):
        gradcheck(lambda x: x + values, lambda dy: {"x": dy}, {"x": X})
    with pytest.raises(ValueError, match=r"a step of 1e-05 counts, got x up to"):
        gradcheck(cube, lambda dy: {"x": dy}, {"x": np.full((4, 3), values)})


@pytest.mark.parametrize(
    "settings",
    [{"directions": 0}, {"directions": 2.0}, {"step": 0}, {"tol": np.nan}, {"seed": -1}],
)
def test_bad_settings_are_refused(settings):
    with pytest.raises(ValueError, match=f"{next(iter(settings))} >"):
        check_cube(**settings)
