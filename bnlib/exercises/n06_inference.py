"""Notebook 06: normalising with the running statistics, and how they are collected."""

from __future__ import annotations

import itertools

import numpy as np

from .engine import Case, Exercise, Probe
from .engine.probes import betas, dense_probes, gammas

# ================================================================ bn_inference


def bn_inference(gamma, beta, running_mean, running_var, eps):
    """Batch normalization at test time, as a straight line for each feature.

    gamma, beta, running_mean, running_var: arrays (D,).  eps: a small number > 0.
    Returns slope, offset, arrays (D,): slope * x + offset is what batch normalization gives for
    an x of D numbers when its mean and variance are running_mean and running_var.
    """
    s = np.sqrt(running_var + eps)
    return gamma / s, beta - gamma * running_mean / s


def _inference(gamma, beta, running_mean, running_var, eps):
    slope = gamma * (running_var + eps) ** -0.5
    return slope, (0.0 - running_mean) * slope + beta  # the output for x = 0


def _inference_probes() -> list[Probe]:
    def arguments(rng, x, eps):
        d = x.shape[1]
        spread = x.std(0) + 0.001 * min(1.0, np.abs(x).max())
        return {
            "gamma": gammas(rng, d),
            "beta": betas(rng, d),
            "running_mean": x.mean(0) + spread * rng.uniform(0.3, 1.5, d),
            "running_var": spread**2 * rng.uniform(0.4, 3.0, d),
            "eps": eps,
        }

    def cancels(args):  # beta and mean * slope, nearly: then float32 has few digits left
        _, offset = _inference(**args)
        return np.abs(offset).max() < 0.1 * np.abs(args["beta"]).max()

    # Here is no batch: what differs in its size alone is left out.
    batches = ("layer of", "one outlier", "N = D", "inputs", "large layer")
    return [
        probe
        for probe in dense_probes(arguments, called=("layer", "gamma", "N = D"), one="right")
        if not (any(words in probe.name for words in batches) or cancels(probe.args))
    ]


def at_the_running_mean(case: Case) -> str | None:
    """For x = running_mean the output is beta."""
    slope, offset = case.got.slope, case.got.offset
    return case.differ(
        slope * case.given.running_mean + offset,
        case.given.beta,
        "For x = running_mean, your line gives {got} for feature {i}. There xhat is 0: expected "
        "beta[{i}] = {want}.",
    )


def rise(case: Case) -> str | None:
    """When x grows by the standard deviation, the output grows by gamma."""
    deviation = np.sqrt(case.given.running_var + case.given.eps)
    return case.differ(
        case.got.slope * deviation,
        case.given.gamma,
        "When x grows by sqrt(running_var + eps), which is {deviation} for feature {i}, xhat grows "
        "by 1. Your line rises by {got}, expected gamma[{i}] = {want}.",
        deviation=deviation,
    )


bn_inference = Exercise(
    bn_inference,
    reference=_inference,
    returns=["slope", "offset"],
    probes=_inference_probes,
    properties=(rise, at_the_running_mean),
)


# ================================================================ update_running


def update_running(running_mean, running_var, x, momentum):
    """One step of the running statistics, with PyTorch's conventions.

    running_mean, running_var: arrays (D,), the values so far.  x: array (N, D), the new batch.
    momentum: between 0 and 1, the weight of the new batch.
    Returns new_mean, new_var, arrays (D,).
    """
    new_mean = (1 - momentum) * running_mean + momentum * x.mean(axis=0)
    new_var = (1 - momentum) * running_var + momentum * x.var(axis=0, ddof=1)
    return new_mean, new_var


def _update(mean, var, x, m):
    batch_mean = np.einsum("nd->d", x) / len(x)
    batch_var = np.einsum("nd,nd->d", x - batch_mean, x - batch_mean) / (len(x) - 1)
    return mean + m * (batch_mean - mean), var + m * (batch_var - var)


def _update_probes() -> list[Probe]:
    momenta = itertools.cycle((0.3, 0.1, 0.9, 0.01, 0.5, 0.7, 0.999, 0.2, 0.05, 0.45))

    def arguments(rng, x, eps):
        d, spread = x.shape[1], np.sqrt(np.mean((x - x.mean(0)) ** 2))
        return {
            "running_mean": x.mean(0) + spread * betas(rng, d),
            "running_var": spread**2 * rng.uniform(0.1, 3.0, d),
            "x": x,
            "momentum": next(momenta),
        }

    return dense_probes(arguments, one="left out")


def old_weight(case: Case) -> str | None:
    """The old value has the weight 1 - momentum."""
    m = case.given.momentum
    for out, old in (("new_mean", "running_mean"), ("new_var", "running_var")):
        moved = getattr(case.call(**{old: getattr(case.given, old) + 1.0}), out)
        gain = moved - getattr(case.got, out)
        if said := case.differ(
            gain,
            np.full_like(gain, 1 - m),
            f"When {old} grows by 1, {out}[{{i}}] grows by {{got}}, expected 1 - momentum = "
            "{want}.",
        ):
            return said
    return None


def batch_weight(case: Case) -> str | None:
    """The batch's mean and variance have the weight momentum."""
    if case.probe.tag:  # x + 1 would be rounded
        return None
    x, m = case.given.x, case.given.momentum
    deviations = x - x.mean(0)
    var = (deviations**2).sum(0) / (len(x) - 1)
    return case.differ(
        case.call(x=x + 1.0).new_mean - case.got.new_mean,
        np.full(x.shape[1], m),
        "When all of x grows by 1, new_mean[{i}] grows by {got}, expected momentum = {want}.",
    ) or case.differ(
        case.call(x=x + (2**0.5 - 1) * deviations).new_var - case.got.new_var,
        m * var,
        "When the variance of the batch is doubled, new_var[{i}] grows by {got}, expected momentum "
        "* unbiased variance = {want} (momentum is {m}, the variance {var}).",
        m=f"{m:g}",
        var=var,
    )


def batch_statistics(case: Case) -> str | None:
    """With momentum = 1 the old value does not count: the result is the batch's statistic."""
    alone, x, n = case.call(momentum=1.0), case.given.x, len(case.given.x)
    return case.differ(
        alone.new_mean,
        x.mean(0),
        "With momentum = 1, new_mean[{i}] is {got}, expected the mean of that column of x, {want}.",
    ) or case.differ(
        alone.new_var,
        x.var(0, ddof=1),
        "With momentum = 1, new_var[{i}] is {got}, expected the unbiased variance of that column "
        f"of x, {{want}} (N = {n}: a sum of squared deviations over {n - 1}).",
    )


update_running = Exercise(
    update_running,
    reference=_update,
    returns=["new_mean", "new_var"],
    probes=_update_probes,
    properties=(old_weight, batch_statistics, batch_weight),
)
