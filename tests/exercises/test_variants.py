"""Random wrong programs are never called correct, and always get numbers."""

import re

import pytest
from exercises import variants

from bnlib import exercises

# How many an exercise; about one in twenty is correct by chance and does not count.
COUNT = {"init_std": 80, "saturated_fraction": 120, "bn_conv_forward": 150, "bn_conv_backward": 150}


@pytest.mark.parametrize("name", list(variants.INPUTS))
def test_no_random_wrong_program_is_accepted(name):
    exercise = exercises.available[name]
    wrong = 0
    for source, function in variants.variants(name, COUNT.get(name, 355), seed=3):
        result = exercise.check(function)
        if variants.is_equivalent(function, name):
            # Right on ordinary inputs. It may still be wrong on hard ones, but then says so.
            assert result.passed or re.search(r"\d", result.message), (source, result)
            continue
        wrong += 1
        assert not result.passed, source
        assert result.outcome in ("not yet", "error"), source
        assert re.search(r"\d", result.message), source
        assert "could not judge" not in result.message, source
    assert wrong >= 0.8 * COUNT.get(name, 355)


@pytest.mark.parametrize("name", list(variants.INPUTS))
def test_the_judge_of_equivalence_knows_right_from_wrong(name):
    exercise = exercises.available[name]
    assert variants.is_equivalent(exercise.answer, name)
    for mistake in exercise.mistakes:
        if not mistake.only_on:
            assert not variants.is_equivalent(mistake.function, name), mistake.id
