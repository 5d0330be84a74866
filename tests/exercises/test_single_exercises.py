"""Layers and searches, integers and shifts: what is special about single exercises."""

import numpy as np
import pytest
from exercises.programs import answer

from bnlib import BatchNorm, exercises
from bnlib.exercises import stable_variance, standardize, tune_baseline
from bnlib.layers import Layer

# ---------------------------------------------------------------- layers: the cause is elsewhere


def changed(name, before, after):
    """The solution with a part of its source replaced."""
    source = exercises.available[name].solution()
    assert source.count(before) >= 1
    space = {"np": np, "Layer": Layer, "BatchNorm": BatchNorm}
    space |= {e.name: e.answer for e in exercises.available.values()}
    exec(source.replace(before, after), space)
    return space[name]


@pytest.mark.parametrize(
    ("name", "before", "after", "says"),
    [
        ("NoisyBatchNorm", "self.rng = rng", "pass", "nothing has set self.rng. Should __init__"),
        ("BatchNormLayer", "super().__init__()", "pass", "by super()?"),
        (
            "BatchNormLayer",
            'mean, var = self.buffers["running_',
            'mean, var = self.buffers["',
            "kept",
        ),
        ("BatchNormLayer", "self.x = x", "pass", "nothing has set self.x."),
        (
            "BatchNormLayer",
            "return bn_forward(",
            "bn_forward(",
            "forward in training returned None",
        ),
        ("BatchNormLayer", 'self.add_param("gamma", ', "self.params.update(gamma=", "self.grads"),
    ],
)
def test_an_error_says_what_is_likely_behind_it(name, before, after, says):
    result = exercises.available[name].check(changed(name, before, after))
    assert result.outcome == "error"
    assert says in result.message


@pytest.mark.parametrize(
    ("layer", "says"),
    [
        (exercises.BatchNormLayer.answer, "with `class BatchNormLayer(BatchNorm)`?"),
        (
            changed("NoisyBatchNorm", "super().__init__(num_features)", "pass"),
            "start with `super().__init__(num_features)`?",
        ),
    ],
)
def test_a_class_that_does_not_build_on_the_right_one_is_told_how(layer, says):
    assert says in exercises.NoisyBatchNorm.check(layer).message


def test_a_layer_that_stops_updating_after_two_batches_is_refused():
    class BatchNormLayer(exercises.BatchNormLayer.answer):
        seen = 0

        def forward(self, x):
            self.seen += self.training
            kept = {name: array.copy() for name, array in self.buffers.items()}
            y = super().forward(x)
            if self.seen > 2:
                self.buffers.update(kept)
            return y

    result = exercises.BatchNormLayer.check(BatchNormLayer)
    assert not result.passed
    assert "running_mean" in result.message


# ---------------------------------------------------------------- integers, shifts


def filled_by_column(name):
    def function(x, *args):
        right = answer(name)(x, *args)
        y = np.zeros_like(x)
        for j in range(x.shape[1]):
            y[:, j] = right[:, j]
        return y

    return function


@pytest.mark.parametrize("name", ["standardize", "bn_forward", "bn_conv_forward"])
def test_an_array_like_an_x_of_integers_cuts_the_output(name):
    result = exercises.available[name].check(filled_by_column(name))
    assert result.diagnosis == "integer-output"
    assert "array of integers" in result.message


def test_another_mistake_comes_before_the_integers():
    def both(x, eps):
        xhat = np.zeros_like(x)
        xhat[:] = (x - x.mean(0)) / (x.std(0) + eps)
        return xhat

    assert standardize.check(both).diagnosis == "eps-outside-root"


def one_pass(shifted):
    return lambda x: (shifted(x) ** 2).mean(0) - shifted(x).mean(0) ** 2


def test_a_shift_that_is_rounded_to_thousands_is_found_out():
    assert not stable_variance.check(one_pass(lambda x: x - np.round(x[0], -3))).passed


@pytest.mark.parametrize("shift", [np.mean, np.median, lambda x: x[0, 0]])
def test_one_shift_for_all_features_has_a_name(shift):
    result = stable_variance.check(one_pass(lambda x: x - shift(x)))
    assert result.diagnosis == "one-shift-for-all-features"


# ---------------------------------------------------------------- searches that stop too early


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


# ---------------------------------------------------------------- searches, and what they say


def by_luck(rng):
    def search(run, rates, scales):
        tried = rng.permutation([(r, s) for r in rates for s in scales])[:20]
        return tuple(min(tried, key=lambda setting: run(*setting)))

    return search


def reverses(run, rates, scales):
    rates.reverse()
    return tune_baseline.answer(run, rates[::-1], scales)


@pytest.mark.parametrize(
    ("search", "says"),
    [
        (by_luck(np.random.default_rng(0)), "draw random numbers"),
        (reverses, "got a changed list"),
        (lambda *args: print(tune_baseline.answer(*args)), "got None: does your search end with"),
    ],
)
def test_a_search_by_luck_one_that_changes_its_lists_and_one_without_return(search, says):
    for _ in range(5):  # what luck finds would be good enough in one check of three
        result = tune_baseline.check(search)
        assert not result.passed
        assert says in result.message


@pytest.mark.parametrize("search", [tune_baseline.answer, rate_first(2), tune_baseline.reference])
def test_the_names_of_the_verdicts_are_not_the_learners(search):
    text = f"{tune_baseline!r}\n{tune_baseline.check(search)}"
    assert not [name for name in tune_baseline.returns if name in text]
