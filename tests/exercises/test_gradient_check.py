"""Exercise 4.2: the check of gradient checks."""

import numpy as np
import pytest
from exercises import styles

from bnlib.exercises import gradient_check


def run(source):
    space = {"np": np}
    exec(compile(source, "<cell>", "exec"), space)
    return space["gradient_check"]


def entries(dy="np.random.default_rng(0).normal(size=forward(x).shape)", error="worst / size"):
    """A check entry by entry, with another dy or another error."""
    return run(f"""
def gradient_check(forward, backward, x):
    dy = {dy}
    dx, measured = backward(dy, x), np.zeros(x.shape)
    for i in np.ndindex(x.shape):
        step = np.zeros(x.shape)
        step[i] = 1e-5
        measured[i] = np.sum(dy * (forward(x + step) - forward(x - step))) / 2e-5
    worst, size = np.abs(dx - measured).max(), np.abs(measured).max()
    return {error}
""")


def test_the_helper_of_these_tests_is_correct():
    assert gradient_check.check(entries()).passed
    unseeded = "np.random.default_rng().normal(size=forward(x).shape)"
    assert gradient_check.check(entries(dy=unseeded)).passed


def of_another_loss(body):
    return run(f"""
def gradient_check(forward, backward, x):
    dy = np.random.default_rng(0).normal(size=forward(x).shape)
    dx, measured, h = backward(dy, x), np.zeros(x.shape), 1e-5
    for i in np.ndindex(x.shape):
        {body}
    return np.abs(dx - measured).max() / np.abs(measured).max()
""")


BY_ENTRY = "relative-entry-by-entry-with-a-floor"
ERRORS = {
    # the error that is returned, and the diagnosis if it has a name
    "1.0": "step-too-small",
    "np.random.default_rng(int(1e6 * abs(dx[0, 0]))).random()": "step-too-small",
    "abs((dx - measured).mean()) / size": None,
    "abs(np.linalg.norm(dx) / np.linalg.norm(measured) - 1)": None,
    "1 - np.sum(dx * measured) / (np.linalg.norm(dx) * np.linalg.norm(measured) + 1e-30)": None,
    "worst / size / 1000": None,
    "worst / size * 1e9": "mean-in-the-loss",
    "np.sqrt(np.square(dx - measured).mean()) / size": "mean-error",
    "np.abs(dx - measured).sum() / np.abs(measured).sum()": None,
    "float(worst / size > 1e-5)": None,
    "(np.abs(dx - measured) / np.maximum(1e-8, np.abs(dx) + np.abs(measured))).max()": BY_ENTRY,
    "(np.abs(dx - measured) / (np.abs(measured) + 1e-8)).max()": BY_ENTRY,
    "(np.abs(dx - measured).max(0) / np.abs(measured).max(0)).max()": BY_ENTRY,
}
WRONG = [
    *((entries(error=error), diagnosis) for error, diagnosis in ERRORS.items()),
    (entries(dy="forward(x)", error="worst / max(1e-3, size)"), None),
    *(  # named whatever dy was drawn
        (entries(f"np.random.default_rng({seed}).normal(size=forward(x).shape)", error), diagnosis)
        for seed in range(3)
        for error, diagnosis in {
            "(dx - measured).max() / size": "sign-of-the-difference",
            "(measured - dx).max() / size": "sign-of-the-difference-reversed",
            "abs(dx.sum() - measured.sum()) / abs(measured.sum())": "sums-compared-relative",
        }.items()
    ),
    (
        of_another_loss(
            "x[i] += h; a = np.sum(dy * forward(x)); x[i] -= h; b = np.sum(dy * forward(x)); "
            "measured[i] = (a - b) / (2 * h)"
        ),
        "slopes-halved",
    ),
    (
        of_another_loss(
            "s = np.zeros(x.shape); s[i] = 1e-5 * x[i]; measured[i] = (np.sum(dy * forward(x + s))"
            " - np.sum(dy * forward(x - s))) / (2 * s[i])"
        ),
        "step-relative-to-x",
    ),
    (
        run("""
def gradient_check(forward, backward, x):
    rng = np.random.default_rng(0)
    dy, v, h = rng.standard_normal(np.shape(forward(x))), rng.standard_normal(x.shape), 1e-5
    measured = np.sum(dy * (forward(x + h * v) - forward(x - h * v))) / (2 * h)
    return abs(np.sum(backward(dy, x) * v) - measured) / max(abs(measured), 1e-12)
"""),
        None,
    ),
]


@pytest.mark.parametrize(("function", "diagnosis"), WRONG)
def test_a_wrong_check_is_refused_with_numbers_and_a_question(function, diagnosis):
    result = gradient_check.check(function)
    assert (result.outcome, result.diagnosis) == ("not yet", diagnosis), result
    assert "1e-05" in result.message and "?" in result.message, result


@pytest.mark.parametrize("style", list(styles.of("gradient_check").values()))
def test_a_right_check_gets_the_counts(style):
    result = gradient_check.check(style)
    wrong = sum(row.probe.args["backward"].is_wrong for row in gradient_check.rows)
    assert wrong >= 10 and len(gradient_check.rows) - wrong >= 5
    assert f"all {wrong} wrong backward functions" in result.message, result


def test_the_suspects_are_what_they_are_called():
    """By central differences of each output: an independent judge."""
    for row in gradient_check.rows:
        forward, backward, x = row.probe.args.values()
        y = forward(x)
        dy = np.random.default_rng(77).normal(size=y.shape)
        measured = np.zeros(x.shape)
        for i in np.ndindex(x.shape):
            step = np.zeros(x.shape)
            step[i] = 1e-6
            measured[i] = np.sum(dy * (forward(x + step) - forward(x - step))) / 2e-6
        error = np.abs(backward(dy, x) - measured).max() / np.abs(measured).max()
        assert (error > 9e-5) == backward.is_wrong, (backward, error)
        assert error > 9e-5 or error < 1e-6, (backward, error)
        assert backward.between[0] <= error <= backward.between[1] or not backward.is_wrong


def test_cards_speak_of_verdicts_and_not_of_0_and_1():
    message = gradient_check.check(entries(error="0.0")).message
    assert "your check returns at most 1e-05 here, expected more." in message.lower()
    assert "error is" not in message


def test_an_error_shows_the_line_of_the_student():
    function = run("def gradient_check(forward, backward, x):\n    return forward(x) @ x.T.T.T.y")
    message = gradient_check.check(function).message
    assert "raised AttributeError" in message
    assert "backward = a backward function of BN that returns zeros" in message
    assert "function(*args)" not in message


@pytest.mark.parametrize("error", ["worst > 1e-5", "bool(worst > 1e-5)", "np.array(worst > 1e-5)"])
def test_a_verdict_in_place_of_a_number_is_refused(error):
    result = gradient_check.check(entries(error=error))
    assert result.outcome == "error"
    assert "expected a number" in result.message


def test_the_example_is_the_function_that_returns_zeros():
    forward, backward, x = gradient_check.example()
    assert not backward(forward(x), x).any()
    assert "zeros" in repr(backward)
