"""Notebook 13: statistics of a batch that several workers share."""

from __future__ import annotations

import numpy as np

from .engine import Case, Exercise, Probe, properties

# ================================================================ sync_statistics


def sync_statistics(counts, means, variances):
    """Count, mean and variance of all values, from those of k workers.

    counts: array (k,), how many values each worker has.  means, variances: arrays (k, C), of each
    worker's own values; the variances are divided by the count, not by the count - 1.
    Returns count, a number, and mean and var, arrays (C,), of all values together.
    """
    count = counts.sum()
    share = counts[:, None] / count
    mean = (share * means).sum(axis=0)
    var = (share * (variances + (means - mean) ** 2)).sum(axis=0)
    return count, mean, var


def _sync(counts, means, variances):
    """One worker after the other (Chan, Golub & LeVeque 1979)."""
    n, mean, total = counts[0], means[0], counts[0] * variances[0]
    for m, other, var in zip(counts[1:], means[1:], variances[1:]):
        step = other - mean
        total = total + m * var + step**2 * n * m / (n + m)
        mean = mean + step * m / (n + m)
        n = n + m
    return n, mean, total / n


def _workers() -> list[Probe]:
    rng = np.random.default_rng(13)

    def shares(counts, channels, apart=1.0, around=0.0):
        k = len(counts)
        return {
            "counts": np.array(counts, float),
            "means": around + apart * rng.standard_normal((k, channels)),
            "variances": rng.uniform(0.2, 3.0, (k, channels)),
        }

    probes = [
        Probe("3 workers of 2, 3 and 7 values", shares([2, 3, 7], 2)),
        Probe("a single worker", shares([5], 3)),
        Probe("2 workers, as many as channels", shares([4, 12], 2)),
        Probe("4 workers with the same count", shares([8] * 4, 3)),
        Probe("one worker with one value", shares([1, 9, 6], 3)),
        Probe("workers that saw different things", shares([3, 10, 4, 2], 5, apart=5.0)),
        Probe("a mean that is large", shares([5, 2, 8], 3, around=50.0), tol=1e-8),
        Probe("as many workers as channels", shares([2, 5, 11], 3)),
        Probe("one channel", shares([6, 1, 3, 4], 1)),
    ]
    probes += [
        Probe(f"{k} workers, {c} channels", shares(rng.integers(2, 40, k), c))
        for k, c in ((2, 3), (5, 2), (7, 4), (3, 6), (8, 3), (6, 6))
    ]
    probes += [
        Probe("counts that are nearly equal", shares([3, 4, 3], 3, apart=3.0)),
        Probe("hundreds of values each, nearly equal", shares([300, 301, 298, 302], 2, apart=3.0)),
        Probe("12 workers", shares(rng.integers(2, 40, 12), 3)),
        Probe("33 workers", shares(rng.integers(1, 300, 33), 2)),
        Probe("100,000 values and more each", shares([100_000, 250_000, 90_001], 2)),
        Probe("workers that hardly vary", _hardly_varying(shares([4, 3, 8], 3)), tol=1e-13),
        # 3 channels would do to see what overflows. 100 are for a program that makes an array of
        # all the values: NumPy refuses at once what would take terabytes. Multiples of 1024, so
        # that the counts and their sum are float32 numbers.
        Probe(
            "2,000,000,000 values each",
            shares(1024 * np.array([1_953_125, 1_860_000, 2_050_781]), 100),
        ),
    ]
    single = _in_float32(shares([4, 9, 2], 3))
    far_single = _in_float32(shares([4, 9, 2], 3, around=1e4))
    far = shares([5, 2, 8], 3, around=1e8)
    return [
        *probes,
        Probe("float32", single, tol=1e-4),
        Probe("float32 with means near 10,000", far_single, tol=0.1, tag="large mean"),
        Probe("means near 100,000,000", far, tol=1e-5, tag="large mean"),
    ]


def _in_float32(given: dict) -> dict:
    return {name: v.astype(np.float32) for name, v in given.items()}


def _hardly_varying(given: dict) -> dict:
    """Channel 0 is one number everywhere, the others vary by a thousandth."""
    means, variances = 1e-3 * given["means"], 1e-6 * given["variances"]
    means[:, 0], variances[:, 0] = 1.3, 0.0
    return given | {"means": means, "variances": variances}


def _loses_digits(case: Case) -> bool:
    """Does the error grow with the square of the means, as where large squares are subtracted?"""
    means = case.given.means - case.given.means.mean(axis=0)
    return properties.grows_with_the_square(
        lambda mean, dtype: properties.error_of(
            case, means=(means + mean).astype(dtype).astype(np.float64)
        )
    )


def moving_all_moves_the_mean(case: Case) -> str | None:
    """Add 2 to all values: the mean grows by 2, the variance stays."""
    means = case.given.means + 2
    return case.differ(
        case.call(means=means).mean - case.got.mean,
        0 * case.got.mean + 2,
        "When all values grow by 2, mean {i} grows by {got}, expected {want}.",
    ) or case.stays(
        "var",
        "When all values grow by 2, var {i} goes from {want} to {got}, expected no change.",
        means=means,
    )


def split_in_two(case: Case) -> str | None:
    """A worker cut into two halves that saw the same: nothing changes."""
    counts, means, variances = case.given.counts, case.given.means, case.given.variances
    return case.stays(
        "mean var",
        "When the first worker is cut into two halves with its mean and variance, {name} {i} goes "
        "from {want} to {got}, expected no change.",
        counts=np.concatenate([[counts[0] / 2, counts[0] / 2], counts[1:]]),
        means=np.concatenate([means[:1], means]),
        variances=np.concatenate([variances[:1], variances]),
    )


sync_statistics = Exercise(
    sync_statistics,
    reference=_sync,
    returns=["count", "mean", "var"],
    probes=_workers,
    properties=(moving_all_moves_the_mean, split_in_two),
    hard={"large mean": _loses_digits},
    feature="channel",
)
