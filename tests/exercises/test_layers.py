"""Errors of layers, which have their causes elsewhere than in the line that raises them."""

import numpy as np
import pytest

from bnlib import BatchNorm, exercises
from bnlib.layers import Layer


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
        ("BatchNormLayer", 'self.add_param("gamma", ', "self.params.update(gamma=", "self.grads"),
    ],
)
def test_an_error_says_what_is_likely_behind_it(name, before, after, says):
    result = exercises.available[name].check(changed(name, before, after))
    assert result.outcome == "error"
    assert says in result.message


def test_a_function_that_numpy_does_not_have_is_no_attribute_of_the_layer():
    result = exercises.standardize.check(lambda x, eps: np.standardize(x))
    assert result.outcome == "error"
    assert "self." not in result.message
