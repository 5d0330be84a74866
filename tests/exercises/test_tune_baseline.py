"""Exercise 9.2: searches that stop too early, and those that look far enough."""

import pytest

from bnlib.exercises import tune_baseline


def rate_first(start):
    def search(run, rates, scales):
        rate = min(rates, key=lambda r: run(r, scales[start]))
        return rate, min(scales, key=lambda s: run(rate, s))

    return search


def scale_first(start):
    def search(run, rates, scales):
        scale = min(scales, key=lambda s: run(rates[start], s))
        return min(rates, key=lambda r: run(r, scale)), scale

    return search


def among(rates_at, scales_at):
    def search(run, rates, scales):
        grid = [(r, s) for r in rates[rates_at] for s in scales[scales_at]]
        return min(grid, key=lambda setting: run(*setting))

    return search


@pytest.mark.parametrize("start", range(6))
@pytest.mark.parametrize("order", [rate_first, scale_first])
def test_one_after_the_other_once_is_not_enough_from_any_start(order, start):
    result = tune_baseline.check(order(start))
    assert result.outcome == "not yet", result
    if order is rate_first:
        assert result.diagnosis.startswith(("one-after-the-other-once", "rate-then-scale"))


@pytest.mark.parametrize(
    ("search", "diagnosis"),
    [
        (among(slice(1, 5), slice(1, 5)), "edge-left-out"),
        (among(slice(None, None, 2), slice(None, None, 2)), "scale-then-rate"),
        (among(slice(1, None, 2), slice(1, None, 2)), "coarse-only"),
        (among(slice(3, None), slice(None)), "low-rates-left-out"),
    ],
)
def test_a_part_of_the_table_is_not_enough(search, diagnosis):
    assert tune_baseline.check(search).diagnosis == diagnosis
