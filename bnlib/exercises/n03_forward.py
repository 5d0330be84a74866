"""Notebook 02: standardise a batch, then scale and shift it (Ioffe & Szegedy 2015, Algorithm 1)."""

from dataclasses import replace

import numpy as np

from .engine import Exercise, Mistake, properties
from .engine.probes import betas, dense_probes, gammas

# ---------------------------------------------------------------- solutions


def standardize(x, eps):
    """Standardise each feature over the batch.

    x: array (N, D), the batch is the first axis.  eps: a small number > 0.
    Returns xhat, array (N, D): each column minus its mean, over sqrt(its variance + eps).
    """
    mean = x.mean(axis=0)
    var = ((x - mean) ** 2).mean(axis=0)  # the mean of the squares: N, not N - 1
    return (x - mean) / np.sqrt(var + eps)


def bn_forward(x, gamma, beta, eps):
    """Batch normalization in training: y = gamma * xhat + beta.

    x: array (N, D).  gamma, beta: arrays (D,), one number a feature.  eps: a small number > 0.
    Returns y, array (N, D).
    """
    mean = x.mean(axis=0)
    var = ((x - mean) ** 2).mean(axis=0)
    xhat = (x - mean) / np.sqrt(var + eps)
    return gamma * xhat + beta


# ---------------------------------------------------------------- references


def _standardize(x, eps):
    deviations = x - np.add.reduce(x, 0) / len(x)
    return deviations * (np.einsum("nd,nd->d", deviations, deviations) / len(x) + eps) ** -0.5


def _bn_forward(x, gamma, beta, eps):
    return np.einsum("nd,d->nd", _standardize(x, eps), gamma) + beta


# ---------------------------------------------------------------- mistakes


def _over(divisor):
    """(x - mean) over divisor(the squared deviations, their mean, eps)."""

    def wrong(x, eps):
        squares = (x - x.mean(0)) ** 2
        return (x - x.mean(0)) / divisor(squares, squares.mean(0), eps)

    return wrong


def _one_pass(x, eps):
    mean = x.mean(0)
    return (x - mean) / np.sqrt((x**2).mean(0) - mean**2 + eps)


def _rows(x, eps):
    return _standardize(x.T, eps).T


def _axis_1_without_keepdims(x, eps):
    return (x - x.mean(axis=1)) / np.sqrt(x.var(axis=1) + eps)


STANDARDIZE_MISTAKES = (
    Mistake(
        "features-axis",
        "You normalise each row: the mean and variance are taken over the features of one example. "
        "Batch normalization compares one feature between the examples of the batch. Which axis "
        "numbers the examples?",
        _rows,
    ),
    Mistake(
        "axis-without-keepdims",
        "The mean is taken over axis 1, and its N numbers are then subtracted along the D "
        "features: an error, or, when N = D, silently wrong numbers. How many means should there "
        "be, and which axis should disappear?",
        _axis_1_without_keepdims,
    ),
    Mistake(
        "global-statistics",
        "There is one mean and one variance for the whole array. What happens to a feature whose "
        "values are a hundred times larger than the others'? How many means do D features have?",
        lambda x, eps: (x - x.mean()) / np.sqrt(x.var() + eps),
    ),
    Mistake(
        "global-variance",
        "The means are taken feature by feature, but there is one variance for the whole array. "
        "What does var() or std() do when it is given no axis?",
        lambda x, eps: (x - x.mean(0)) / np.sqrt(x.var() + eps),
    ),
    Mistake(
        "eps-missing",
        "eps is not used. What does your code compute for a feature that has the same value in the "
        "whole batch?",
        _over(lambda s, var, eps: np.sqrt(var)),
    ),
    Mistake(
        "eps-outside-root",
        "eps is added after the square root. In the paper's Algorithm 1, is eps added to the "
        "standard deviation or to the variance?",
        _over(lambda s, var, eps: np.sqrt(var) + eps),
    ),
    Mistake(
        "eps-squared",
        "eps is squared before it is added to the variance. What is the unit of eps: that of the "
        "variance or that of the standard deviation?",
        _over(lambda s, var, eps: np.sqrt(var + eps**2)),
    ),
    Mistake(
        "eps-as-floor",
        "The variance is replaced by eps only where it is smaller. In the formula eps is added "
        "always: what is the divisor for a variance of 0.5 and an eps of 0.1?",
        _over(lambda s, var, eps: np.sqrt(np.maximum(var, eps))),
    ),
    Mistake(
        "eps-in-numerator",
        "eps is added to the numerator. Which part of the fraction can become zero and needs it?",
        lambda x, eps: (x - x.mean(0) + eps) / np.sqrt(x.var(0)),
    ),
    Mistake(
        "eps-hard-coded",
        "Your code uses eps = 1e-5 whatever eps it is given. Where does the parameter eps go?",
        _over(lambda s, var, eps: np.sqrt(var + 1e-5)),
    ),
    Mistake(
        "variance-not-root",
        "You divide by the variance. If x is measured in metres, what is the unit of your output, "
        "and what should it be? Which function is missing?",
        _over(lambda s, var, eps: var + eps),
    ),
    Mistake(
        "square-not-root",
        "The divisor is the square of (variance + eps). Did you want to square it, or to take "
        "something else of it?",
        _over(lambda s, var, eps: (var + eps) ** 2),
    ),
    Mistake(
        "root-twice",
        "The square root is taken twice: std() is a root already. What is the difference between "
        "var() and std()?",
        _over(lambda s, var, eps: np.sqrt(np.sqrt(var) + eps)),
    ),
    Mistake(
        "multiplied",
        "You multiply by the standard deviation. Do you want features of large spread to become "
        "larger or smaller?",
        lambda x, eps: (x - x.mean(0)) * np.sqrt(x.var(0) + eps),
    ),
    Mistake(
        "mean-not-subtracted",
        "The mean is not subtracted. Where are the centres of your output's columns, and where "
        "should they be?",
        lambda x, eps: x / np.sqrt(x.var(0) + eps),
    ),
    Mistake(
        "not-divided",
        "The mean is subtracted, but the spread is not changed. What should the variance of each "
        "column be?",
        lambda x, eps: x - x.mean(0),
    ),
    Mistake(
        "second-moment",
        "Your variance is the mean of x squared. From what should the distance be measured before "
        "it is squared?",
        lambda x, eps: (x - x.mean(0)) / np.sqrt((x**2).mean(0) + eps),
    ),
    Mistake(
        "unbiased-variance",
        "The variance is divided by N - 1 (the unbiased estimate). Which of the two does the paper "
        "use to normalise a batch, and where does it use the other one?",
        _over(lambda s, var, eps: np.sqrt(s.sum(0) / (len(s) - 1) + eps)),
    ),
    Mistake(
        "variance-not-averaged",
        "The squared deviations are summed, not averaged: your output shrinks as the batch grows. "
        "What is the variance a mean of?",
        _over(lambda s, var, eps: np.sqrt(s.sum(0) + eps)),
    ),
    Mistake(
        "absolute-deviation",
        "The spread is measured by absolute deviations. What is done to the deviations in a "
        "variance before they are averaged?",
        _over(lambda s, var, eps: np.sqrt(s).mean(0) + eps),
    ),
    Mistake(
        "median",
        "The centre is the median. For which statistic do the deviations sum to zero?",
        lambda x, eps: (x - np.median(x, 0)) / np.sqrt(x.var(0) + eps),
    ),
    Mistake(
        "one-pass-variance",
        "The variance loses its digits when the mean is large, because large numbers cancel in it "
        "(as in the mean of x squared minus the squared mean). How many digits has a float32, and "
        "what is left of them when x is near 10,000? What could be subtracted before squaring?",
        _one_pass,
        only_on="large mean",
        confirm=properties.variance_loses_digits,
    ),
)


def _then_affine(mistake: Mistake) -> Mistake:
    """A mistake of standardize, made inside bn_forward."""

    def wrong(x, gamma, beta, eps):
        return gamma * mistake.function(x, eps) + beta

    return replace(mistake, function=wrong)


def _with_xhat(formula):
    def wrong(x, gamma, beta, eps):
        return formula(_standardize(x, eps), gamma, beta)

    return wrong


FORWARD_MISTAKES = (
    *map(_then_affine, STANDARDIZE_MISTAKES),
    Mistake(
        "gamma-beta-missing",
        "The output is xhat itself: gamma and beta are not used. Why does the paper add them?",
        _with_xhat(lambda xhat, gamma, beta: xhat),
    ),
    Mistake(
        "gamma-missing",
        "gamma is not used. With what should xhat be multiplied?",
        _with_xhat(lambda xhat, gamma, beta: xhat + beta),
    ),
    Mistake(
        "beta-missing",
        "beta is not used. What is the mean of each column of y?",
        _with_xhat(lambda xhat, gamma, beta: gamma * xhat),
    ),
    Mistake(
        "gamma-beta-swapped",
        "gamma and beta have changed places. Which of them scales, and which shifts?",
        _with_xhat(lambda xhat, gamma, beta: beta * xhat + gamma),
    ),
    Mistake(
        "beta-scaled",
        "beta is added before the multiplication by gamma, so it is scaled as well. What is the "
        "order of scale and shift?",
        _with_xhat(lambda xhat, gamma, beta: gamma * (xhat + beta)),
    ),
    Mistake(
        "beta-subtracted",
        "beta is subtracted. What is its sign in y = gamma * xhat + beta?",
        _with_xhat(lambda xhat, gamma, beta: gamma * xhat - beta),
    ),
    Mistake(
        "gamma-absolute",
        "The sign of gamma is lost. gamma is learned: what if it becomes negative?",
        _with_xhat(lambda xhat, gamma, beta: np.abs(gamma) * xhat + beta),
    ),
    Mistake(
        "gamma-divides",
        "xhat is divided by gamma. Should a large gamma widen or narrow the output?",
        _with_xhat(lambda xhat, gamma, beta: xhat / gamma + beta),
    ),
    Mistake(
        "gamma-plus-one",
        "xhat is multiplied by 1 + gamma. Some libraries store gamma - 1; does this exercise?",
        _with_xhat(lambda xhat, gamma, beta: (1 + gamma) * xhat + beta),
    ),
    Mistake(
        "affine-first",
        "gamma and beta are applied before the batch is normalised. What does normalising do to a "
        "scale and a shift that came before it?",
        lambda x, gamma, beta, eps: _standardize(gamma * x + beta, eps),
    ),
    Mistake(
        "gamma-per-row",
        "gamma and beta are laid along the batch: one number for each example, which works only "
        "when N = D. To which axis of x do they belong?",
        _with_xhat(lambda xhat, gamma, beta: gamma[:, None] * xhat + beta[:, None]),
    ),
)


# ---------------------------------------------------------------- the exercises

standardize = Exercise(
    standardize,
    reference=_standardize,
    returns=["xhat"],
    mistakes=STANDARDIZE_MISTAKES,
    probes=lambda: dense_probes(lambda rng, x, eps: {"x": x, "eps": eps}),
    properties=properties.FORWARD,
    hints=(
        "Think of one column of x: N values of one feature. Move its centre to 0, then make its "
        "spread 1. All D columns can be done at once.",
        "1. The mean of each column: D numbers.  2. The deviations from it: (N, D).  3. The mean "
        "of their squares, again D numbers.  4. Deviations over the square root of (that + eps).",
        "mean = x.mean(axis=0) has the shape (D,) and is subtracted from each row of x by "
        "broadcasting. The same axis serves for the variance. eps goes inside np.sqrt.",
    ),
)

bn_forward = Exercise(
    bn_forward,
    reference=_bn_forward,
    returns=["y"],
    mistakes=FORWARD_MISTAKES,
    probes=lambda: dense_probes(
        lambda rng, x, eps: {
            "x": x,
            "gamma": gammas(rng, x.shape[1]),
            "beta": betas(rng, x.shape[1]),
            "eps": eps,
        }
    ),
    properties=properties.FORWARD,
    hints=(
        "You have xhat from the exercise before. Each feature then gets a scale and a shift of its "
        "own, which the network learns.",
        "1. xhat as in standardize.  2. Multiply column i by gamma[i].  3. Add beta[i] to it.",
        "gamma and beta have the shape (D,), so gamma * xhat multiplies each row of xhat by all of "
        "gamma: column i by gamma[i]. No loop is needed.",
    ),
)
