"""Notebook 04: normalising with the running statistics."""

import numpy as np

from .engine import Exercise, Mistake
from .probes import betas, dense_probes, gammas

# ---------------------------------------------------------------- solution, reference


def bn_inference(x, gamma, beta, running_mean, running_var, eps):
    """Batch normalization at test time: with the running statistics, not with those of x.

    x: array (N, D), also with N = 1.  gamma, beta, running_mean, running_var: arrays (D,).
    eps: a small number > 0.  Returns y, array (N, D).
    """
    xhat = (x - running_mean) / np.sqrt(running_var + eps)
    return gamma * xhat + beta


def _inference(x, gamma, beta, mean, var, eps):
    scale = gamma * (var + eps) ** -0.5
    return np.einsum("nd,d->nd", x - mean, scale) + beta


def _using(mean_of=None, var_of=None):
    """Other statistics: functions of (x, running value)."""

    def wrong(x, gamma, beta, mean, var, eps):
        m = mean_of(x, mean) if mean_of else mean
        v = var_of(x, var) if var_of else var
        return _inference(x, gamma, beta, m, v, eps)

    return wrong


def _inference_over(divisor):
    def wrong(x, gamma, beta, mean, var, eps):
        return gamma * (x - mean) / divisor(var, eps) + beta

    return wrong


def _inference_affine(formula):
    def wrong(x, gamma, beta, mean, var, eps):
        return formula((x - mean) / np.sqrt(var + eps), gamma, beta)

    return wrong


INFERENCE_MISTAKES = (
    Mistake(
        "batch-statistics",
        "The batch is normalised with its own mean and variance, as in training. What is then the "
        "output for a batch of one image, and whom does an image's prediction depend on?",
        _using(lambda x, m: x.mean(0), lambda x, v: x.var(0)),
    ),
    Mistake(
        "batch-mean",
        "The mean is that of the batch, the variance the running one. Which statistics are known "
        "for a single image?",
        _using(mean_of=lambda x, m: x.mean(0)),
    ),
    Mistake(
        "batch-variance",
        "The variance is that of the batch, the mean the running one. Which statistics are known "
        "for a single image?",
        _using(var_of=lambda x, v: x.var(0)),
    ),
    Mistake(
        "statistics-mixed",
        "The statistics are first updated with this batch (momentum 0.1), then used. May the "
        "test data change the model?",
        _using(lambda x, m: 0.9 * m + 0.1 * x.mean(0), lambda x, v: 0.9 * v + 0.1 * x.var(0)),
    ),
    Mistake(
        "mean-not-subtracted",
        "The running mean is not subtracted. What should y be for x = running_mean?",
        _using(mean_of=lambda x, m: 0.0),
    ),
    Mistake(
        "mean-added",
        "The running mean is added. What should y be for x = running_mean?",
        _using(mean_of=lambda x, m: -m),
    ),
    Mistake(
        "not-divided",
        "The spread is not normalised: running_var is not used. What is it kept for?",
        _inference_over(lambda var, eps: 1.0),
    ),
    Mistake(
        "mean-variance-swapped",
        "running_mean and running_var have changed places. Which one is subtracted?",
        lambda x, gamma, beta, mean, var, eps: _inference(x, gamma, beta, var, mean, eps),
    ),
    Mistake(
        "variance-not-root",
        "You divide by the running variance. If x is in metres, what is the unit of your xhat? "
        "Which function is missing?",
        _inference_over(lambda var, eps: var + eps),
    ),
    Mistake(
        "root-twice",
        "The square root is taken twice. Does running_var hold a variance or a standard deviation?",
        _inference_over(lambda var, eps: np.sqrt(np.sqrt(var) + eps)),
    ),
    Mistake(
        "multiplied",
        "You multiply by the standard deviation. Should features of large spread become larger or "
        "smaller?",
        lambda x, gamma, beta, mean, var, eps: gamma * (x - mean) * np.sqrt(var + eps) + beta,
    ),
    Mistake(
        "eps-missing",
        "eps is not used. The network was trained with it: what about a feature whose running "
        "variance is nearly zero?",
        _inference_over(lambda var, eps: np.sqrt(var)),
    ),
    Mistake(
        "eps-outside-root",
        "eps is added after the square root. To what does training add it?",
        _inference_over(lambda var, eps: np.sqrt(var) + eps),
    ),
    Mistake(
        "eps-as-floor",
        "The variance is replaced by eps only where it is smaller. In the formula eps is added "
        "always: what is the divisor for a variance of 0.5 and an eps of 0.1?",
        _inference_over(lambda var, eps: np.sqrt(np.maximum(var, eps))),
    ),
    Mistake(
        "eps-hard-coded",
        "Your code uses eps = 1e-5 whatever eps it is given. Where does the parameter eps go?",
        _inference_over(lambda var, eps: np.sqrt(var + 1e-5)),
    ),
    Mistake(
        "bessel-correction",
        "The running variance is multiplied by N / (N - 1). Was the correction not made when it "
        "was collected, and what has the size of the test batch to do with it?",
        _using(var_of=lambda x, v: v * len(x) / (len(x) - 1)),
    ),
    Mistake(
        "gamma-beta-missing",
        "The output is xhat itself: gamma and beta are not used. Did the network learn them for "
        "training only?",
        _inference_affine(lambda xhat, gamma, beta: xhat),
    ),
    Mistake(
        "gamma-missing",
        "gamma is not used. With what should xhat be multiplied?",
        _inference_affine(lambda xhat, gamma, beta: xhat + beta),
    ),
    Mistake(
        "beta-missing",
        "beta is not used. What should y be for x = running_mean?",
        _inference_affine(lambda xhat, gamma, beta: gamma * xhat),
    ),
    Mistake(
        "gamma-beta-swapped",
        "gamma and beta have changed places. Which of them scales, and which shifts?",
        _inference_affine(lambda xhat, gamma, beta: beta * xhat + gamma),
    ),
    Mistake(
        "beta-scaled",
        "beta is added before the multiplication by gamma, so it is scaled as well. What is the "
        "order of scale and shift?",
        _inference_affine(lambda xhat, gamma, beta: gamma * (xhat + beta)),
    ),
    Mistake(
        "gamma-absolute",
        "The sign of gamma is lost. gamma is learned: what if it has become negative?",
        _inference_affine(lambda xhat, gamma, beta: np.abs(gamma) * xhat + beta),
    ),
)


def _inference_arguments(rng, x, eps) -> dict:
    d = x.shape[1]
    spread = x.std(0) + 0.001
    return {
        "x": x,
        "gamma": gammas(rng, d),
        "beta": betas(rng, d),
        "running_mean": x.mean(0) + spread * rng.uniform(0.3, 1.5, d),
        "running_var": spread**2 * rng.uniform(0.4, 3.0, d),
        "eps": eps,
    }


def rows_are_independent(case):
    """At test time the output for one example does not depend on the others."""
    if len(case.given.x) < 2:
        return None
    x = case.given.x.copy()
    x[-1] += 1.0 + np.abs(x[-1])
    return case.differ(
        case.call(x=x).y[0],
        case.got.y[0],
        "Changing the last row of x changes row 0 of y: y[0, {i}] goes from {want} to {got}. At "
        "test time, should an example's output depend on the rest of its batch?",
    )


def at_the_running_mean(case):
    """For x = running_mean the output is beta."""
    x = np.broadcast_to(case.given.running_mean, case.given.x.shape)
    return case.differ(
        case.call(x=x).y[0],
        case.given.beta,
        "For x = running_mean, y in column {i} is {got}, expected beta[{i}] = {want}.",
    )


def slope(case):
    """One unit of x changes y by gamma / sqrt(running_var + eps)."""
    gamma, var, eps = case.given.gamma, case.given.running_var, case.given.eps
    return case.differ(
        case.call(x=case.given.x + 1.0).y[0] - case.got.y[0],
        gamma / np.sqrt(var + eps),
        "When x grows by 1, y in column {i} changes by {got}, expected gamma / sqrt(running_var + "
        "eps) = {want} (gamma is {gamma}, running_var {var}).",
        gamma=gamma,
        var=var,
    )


bn_inference = Exercise(
    bn_inference,
    reference=_inference,
    returns=["y"],
    mistakes=INFERENCE_MISTAKES,
    probes=lambda: dense_probes(_inference_arguments, one_may_raise=False),
    properties=(rows_are_independent, at_the_running_mean, slope),
    hints=(
        "The formula is that of bn_forward. Which two numbers a feature are now given, and need "
        "not be computed?",
        "1. xhat: x minus running_mean, over the root of running_var + eps.  2. y as before.",
        "No mean(), var() or std() is called at all: every statistic is an argument.",
    ),
)
