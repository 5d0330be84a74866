"""Notebook 04: the gradient of batch normalization (Ioffe & Szegedy 2015, section 3)."""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np

from .engine import Exercise, Probe, properties
from .engine.probes import arguments, dense_probes


def bn_backward(dy, x, gamma, eps):
    """The gradients of batch normalization in training, y = gamma * xhat + beta.

    dy: array (N, D), the gradient of the loss with respect to y.  x: array (N, D), the input.
    gamma: array (D,).  eps: a small number > 0.
    Returns dx, array (N, D), and dgamma, dbeta, arrays (D,): the gradients of the loss.
    """
    n = len(x)
    mean = x.mean(axis=0)
    var = ((x - mean) ** 2).mean(axis=0)
    std = np.sqrt(var + eps)
    xhat = (x - mean) / std
    dbeta = dy.sum(axis=0)
    dgamma = (dy * xhat).sum(axis=0)
    dxhat = dy * gamma
    dvar = -0.5 * (dxhat * (x - mean)).sum(axis=0) * (var + eps) ** -1.5
    dmean = -(dxhat / std).sum(axis=0)  # var does not depend on mean: the deviations add up to 0
    dx = dxhat / std + dvar * 2 * (x - mean) / n + dmean / n  # directly, through var, through mean
    return dx, dgamma, dbeta


def _closed(dy, x, gamma, eps):
    deviations = x - np.add.reduce(x, 0) / len(x)
    inv_std = (np.einsum("nd,nd->d", deviations, deviations) / len(x) + eps) ** -0.5
    xhat = deviations * inv_std
    dgamma, dbeta = np.einsum("nd,nd->d", dy, xhat), np.einsum("nd->d", dy)
    # Without what dy has in common with the constant 1 and with xhat:
    return gamma * inv_std * (dy - dbeta / len(x) - xhat * dgamma / len(x)), dgamma, dbeta


bn_backward = Exercise(
    bn_backward,
    reference=_closed,
    returns=["dx", "dgamma", "dbeta"],
    probes=lambda: dense_probes(arguments("dy x gamma eps")),
    properties=properties.BACKWARD,
)


# ================================================================ gradient_check


def gradient_check(forward, backward, x):
    """The largest error of a backward function, relative to the largest entry of the gradient.

    forward: forward(x) gives y, of any shape.  x: array (N, D).
    backward: backward(dy, x) claims to give dx, array (N, D), for dy of the shape of y.
    Returns a number: above 1e-5 it says that backward is wrong, below that it is right.
    """
    dy = np.random.default_rng(4).normal(size=forward(x).shape)
    dx = backward(dy, x)
    measured, h = np.zeros(x.shape), 1e-5
    for i in np.ndindex(x.shape):
        step = np.zeros(x.shape)
        step[i] = h
        measured[i] = np.sum(dy * (forward(x + step) - forward(x - step))) / (2 * h)
    return np.abs(dx - measured).max() / np.abs(measured).max()


FOUND = 1e-5  # an error above this counts as found


class Suspect:
    """A function with a name that cards can show; as a backward function it is to be judged.

    ask: what to think about if the verdict is wrong.  between: of what size the returned error may
    be, where it is known: for the largest entries as for lengths, and over the measured gradient,
    the claimed one or both.
    """

    def __init__(self, name: str, function: Callable, ask: str = "", between=(FOUND, np.inf)):
        self.name, self.function, self.ask, self.between = name, function, ask, between
        self.is_wrong = ask != RIGHT

    def __call__(self, *args):
        return self.function(*args)

    def __format__(self, _) -> str:
        return self.name

    __repr__ = __str__ = lambda self: f"<{self.name}>"


DY = "For which dy is the right gradient not zero, and does each part of it count?"
ENTRIES = "Does each entry of x count, wherever it stands?"
LARGEST = "Do you return the largest error, and not a mean that the other entries make small?"
DISTANCE = "How far apart are x +- h?"
SIGN = "What happens to the sign of a difference?"
ANOTHER = "What is the largest difference here, divided by the largest entry of the gradient?"
SIZE = "Is the error measured against the size of the gradient?"
RIGHT = (
    "It is right. Is the right gradient zero for the dy of your check, is the difference a central "
    "one, divided by the whole distance, and is the step neither too large nor too small?"
)


def _batch_norm(gamma, beta, eps):
    """The function, and its right gradient."""

    def forward(x):
        return gamma * (x - x.mean(0)) / np.sqrt(x.var(0) + eps) + beta

    return forward, lambda dy, x: _closed(dy, x, gamma, eps)[0]


def _bn():
    """BN, an input, and one right and twelve wrong backward functions for it.

    The standard deviations are 0.3 or less, so that one-sided differences show; eps is small, so
    that dy = 1 and dy = y leave no gradient at all.
    """
    rng = np.random.default_rng(1502)
    gamma, beta, eps = np.array([1.5, -0.7, 0.4, 1.1]), np.array([0.2, -1.0, 0.6, 2.0]), 1e-8
    deviations = np.array([0.3, 0.1, 0.2, 0.05])
    x = deviations * rng.standard_normal((6, 4)) + rng.uniform(-1, 1, 4)

    forward, right = _batch_norm(gamma, beta, eps)

    def raised(i, j):
        """Always upwards, so that a difference with its sign says the same for every dy."""

        def wrong(dy, x):
            dx = right(dy, x)
            dx[i, j] += abs(dx[i, j])
            return dx

        return wrong

    found = (
        ("that returns zeros", lambda dy, x: 0 * x, DY),
        ("that is right", right, RIGHT),
        ("whose dx is 0.1 % too long", lambda dy, x: 1.001 * right(dy, x), SIZE, (4e-4, 2.5e-3)),
        ("with one entry of dx raised by its size, the last", raised(-1, -1), ENTRIES),
        ("with one entry of dx raised by its size, in the first row", raised(0, 2), ENTRIES),
        ("with the direct path only", lambda dy, x: gamma / np.sqrt(x.var(0) + eps) * dy, DY),
        ("with the wrong sign", lambda dy, x: -right(dy, x), SIGN),
        ("whose dx is too small by 1 everywhere", lambda dy, x: right(dy, x) - 1, SIGN),
        ("whose dx is too large by 1 everywhere", lambda dy, x: right(dy, x) + 1, SIGN),
        ("whose dx is twice as long", lambda dy, x: 2 * right(dy, x), DISTANCE),
        ("whose dx is 11 times as long", lambda dy, x: 11 * right(dy, x), SIZE, (0.4, 25.0)),
        ("with the examples in reverse order", lambda dy, x: right(dy, x)[::-1], ENTRIES),
        ("that returns dy", lambda dy, x: dy, DY),
    )
    for name, function, *ask in found:
        yield forward, Suspect(f"a backward function of BN {name}", function, *ask), x
    wide = np.random.default_rng(8).standard_normal((6, 4))  # here a step of 1e-3 is small
    yield forward, Suspect("a right backward function of BN, with other x", right, RIGHT), wide


def _two_examples():
    """BN of two examples, right: two columns of its gradient are nearly 0, beside rounding.

    xhat is +-1 if the variance is far above eps, whatever x is. An error measured against its own
    entry, or its own column, is large there.
    """
    gamma, eps = np.array([1.2, -0.8, 1.5, 0.9, 1.1]), 1e-2
    x = np.array([[0.13, 171.3, -0.21, 0.17, -187.1], [-0.07, -143.9, 0.03, 0.42, 201.9]])

    forward, right = _batch_norm(gamma, 0.0, eps)
    yield forward, Suspect("a right backward function of BN, with N = 2", right, RIGHT), x


def _others():
    """Functions that are not BN: another shape of y, other sizes, a gradient with a 0 in it."""
    rng = np.random.default_rng(3167)
    W, x = rng.standard_normal((4, 3)), rng.uniform(-1, 1, (6, 4))
    square = np.array([[0.06, 0.0, -0.04], [0.05, -0.07, 0.03]])

    def product(x):
        return x @ W

    def right(dy, x):
        return dy @ W.T

    def without_dy(dy, x):
        return np.ones_like(dy) @ W.T

    def with_its_mean(dy, x):
        return np.full_like(dy, dy.mean()) @ W.T

    large, small = (lambda x: 1e7 * product(x)), (lambda x: 1e-9 * product(x))
    for name, forward, backward, at, ask in (
        ("a right one of y = x @ W, with W (4, 3)", product, right, x, RIGHT),
        ("one of y = x @ W that does not use dy", product, without_dy, x, "Of which loss is dx?"),
        ("one of y = x @ W that uses the mean of dy", product, with_its_mean, x, DY),
        ("a right one of y = 1e7 * x @ W", large, lambda dy, x: 1e7 * right(dy, x), x, RIGHT),
        ("one of y = 1e-9 * x @ W that returns zeros", small, lambda dy, x: 0 * x, x, SIZE),
        ("a right one of y = x**2", np.square, lambda dy, x: 2 * x * dy, square, RIGHT),
        ("one of y = x**2 without the 2", np.square, lambda dy, x: x * dy, square, DY),
    ):
        yield forward, Suspect(name, backward, ask), at

    name = "a right one of y = the mean of sin(x) over axis 0"
    of_mean = Suspect(name, lambda dy, x: np.cos(x) * dy / len(x), RIGHT)
    yield (lambda x: np.sin(x).mean(0)), of_mean, x
    for sign, of in ((1, "the sum"), (-1, "minus the sum")):

        def exponentials(x, sign=sign):
            return sign * np.exp(x).sum(keepdims=True)

        def too_small(dy, x, sign=sign):
            return sign * np.exp(x) * (dy - 2 * sign * abs(dy))

        name = f"one of y = {of} of exp(x) whose dx is too small"
        yield exponentials, Suspect(name, too_small, SIGN), x


def _large():
    """A larger x with a small error in a single entry: a mean over all entries hides it."""
    x = np.random.default_rng(20).uniform(-1, 1, (20, 10))

    def right(dy, x):
        return dy * np.cos(x)

    def off_by_little(i, j):
        def wrong(dy, x):
            dx = right(dy, x)
            dx[i, j] += 1e-4 * np.abs(dx).max()
            return dx

        return wrong

    one = "one of y = sin(x) whose dx is"
    for name, backward, ask in (
        ("a right one of y = sin(x), with 200 entries", right, RIGHT),
        (f"{one} half as long as it should be", lambda dy, x: right(dy, x) / 2, DISTANCE),
        (f"{one} shifted by one row", lambda dy, x: np.roll(right(dy, x), 1, axis=0), ENTRIES),
    ):
        yield np.sin, Suspect(name, backward, ask), x
    for number in (0, 29, 58, 87, 116, 145, 174, 199):
        i, j = divmod(number, x.shape[1])
        name = f"one of y = sin(x) whose dx[{i}, {j}] is off by 1e-4 of the largest of 200 entries"
        yield np.sin, Suspect(name, off_by_little(i, j), LARGEST), x


def _suspects():
    return [
        Probe(suspect.name, {"forward": Suspect("its y", forward), "backward": suspect, "x": x})
        for forward, suspect, x in (*_bn(), *_two_examples(), *_others(), *_large())
    ]


def as_verdict(check):
    """The same function, with 1.0 (error found) or 0.0 (none) in place of the error it returns.

    2.0: found, but the number is far from the error.
    """

    @functools.wraps(check)
    def judged(forward, backward, x):
        error = check(forward, backward, x)
        if isinstance(error, bool) or getattr(error, "dtype", None) == np.bool:
            raise TypeError(f"expected a number, the largest relative error, got {error}")
        is_number = isinstance(error, float | int | np.number | np.ndarray) and np.ndim(error) == 0
        if not is_number or np.isnan(error):
            return error
        least, most = backward.between
        return float(error > FOUND) * (1.0 if least <= error <= most else 2.0)

    return judged


def _in_words(case):
    if case.got.error == case.want.error:
        return None
    returned = {
        0.0: f"at most {FOUND:g} here, expected more.",
        1.0: f"more than {FOUND:g} here, expected less.",
        2.0: f"more than {FOUND:g} here, as expected, but another number than the error.",
    }
    nan = f"nan here, expected {'more' if case.want.error else 'less'} than {FOUND:g}."
    return f"Your check returns {returned.get(float(case.got.error), nan)}"


def _with_a_question(case):
    said = _in_words(case)
    return said and f"{said} {ANOTHER if case.got.error == 2 else case.given.backward.ask}"


class JudgeOfChecks(Exercise):
    """An exercise whose solution is a check: what counts is which functions it calls wrong."""

    def agreement(self, trials) -> str:
        wrong = sum(row.probe.args["backward"].is_wrong for row in self.rows)
        return (
            f"It finds all {wrong} wrong backward functions and leaves the "
            f"{len(self.rows) - wrong} right ones in peace."
        )


gradient_check = JudgeOfChecks(
    gradient_check,
    reference=lambda forward, backward, x: backward.is_wrong * max(2 * FOUND, backward.between[0]),
    adapt=as_verdict,
    returns=["error"],
    probes=_suspects,
    properties=(_with_a_question,),
    last_word=_in_words,
)
