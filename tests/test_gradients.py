"""gradcheck finds wrong gradients and passes right ones."""

import numpy as np
import pytest

from bnlib.functional import batch_norm, batch_norm_backward
from bnlib.gradients import gradcheck


def cube(x):
    return x**3


X = np.random.default_rng(0).standard_normal((4, 3)) + 3


def check_cube(factor=1.0, offset=0.0, **settings):
    return gradcheck(cube, lambda dy: {"x": factor * 3 * X**2 * dy + offset}, {"x": X}, **settings)


def test_a_right_gradient_passes():
    report = check_cube()
    assert report.passed
    (check,) = report.checks
    assert check.name == "x" and check.error < 1e-8
    assert check.analytic == pytest.approx(check.numeric, rel=1e-7)


@pytest.mark.parametrize(
    "wrong", [{"factor": 1.0001}, {"factor": -1}, {"factor": 0}, {"offset": 0.01}]
)
def test_a_wrong_gradient_fails(wrong):
    assert not check_cube(**wrong).passed


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
    x, shift, cache = np.random.default_rng(1).standard_normal((5, 3)), np.zeros(3), {}

    def forward(shift):
        y, cache["cache"] = batch_norm(x + shift, np.ones(3), np.zeros(3), 0.1)
        return y

    def backward(dy):
        return {"shift": batch_norm_backward(dy, cache["cache"])[0].sum(axis=0)}

    report = gradcheck(forward, backward, {"shift": shift}, tol=1e-4)
    assert report.passed, report


def test_batch_statistics_taken_as_constants_are_found():
    """The classic wrong backward: dx = gamma * inv_std * dy."""
    x, cache = np.random.default_rng(1).standard_normal((5, 3)), {}

    def forward(x):
        y, cache["cache"] = batch_norm(x, np.ones(3), np.zeros(3))
        return y

    report = gradcheck(forward, lambda dy: {"x": dy * cache["cache"].inv_std[:, 0]}, {"x": x})
    assert not report.passed


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
    x, cache = np.random.default_rng(0).standard_normal((8, 5)), {}

    def forward(x):
        y, cache["cache"] = batch_norm(x, np.ones(5), np.zeros(5))
        return y

    def backward(dy):
        assert not np.allclose(dy / x, (dy / x)[0, 0])
        return {"x": batch_norm_backward(dy, cache["cache"])[0]}

    assert gradcheck(forward, backward, {"x": x}).passed


@pytest.mark.parametrize("size", [1e-200, 1e-5, 1e150, 1e280])
def test_the_size_of_the_gradient_does_not_matter(size):
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
