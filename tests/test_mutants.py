"""The tests of functional.py and norms.py can fail: each mutant fails every test that it names.

The mutants are in mutants.py. A test that passes with a broken function is a defect of the test.
"""

import contextlib
import io
import itertools

import pytest
from mutants import MUTANTS

# A crash of these kinds says that the mutant is no program, not that a test found it out.
NOT_A_KILL = (SyntaxError, NameError, ImportError, AttributeError)


def run(test):
    """Call a test function once for every combination of its parameters."""
    test = getattr(test, "quick", test)
    marks = [m for m in getattr(test, "pytestmark", []) if m.name == "parametrize"]
    choices = []
    for mark in marks:
        names, values = [n.strip() for n in mark.args[0].split(",")], mark.args[1]
        choices.append([dict(zip(names, v if len(names) > 1 else [v])) for v in values])
    with contextlib.redirect_stdout(io.StringIO()):
        for combination in itertools.product(*choices):
            test(**{k: v for part in combination for k, v in part.items()})


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda m: f"{m.replaces}: {m.name}")
def test_mutant_is_killed(mutant):
    for test in mutant.killed_by:
        with mutant.in_place(), pytest.raises((Exception, pytest.fail.Exception)) as info:
            run(test)
        assert not isinstance(info.value, NOT_A_KILL), info.value


def test_there_are_many_mutants_each_with_tests_that_pass_without_it():
    assert len({(m.replaces, m.name) for m in MUTANTS}) == len(MUTANTS) >= 75
    assert all(m.killed_by for m in MUTANTS)
    for test in {test for m in MUTANTS for test in m.killed_by if not hasattr(test, "quick")}:
        run(test)  # those with a quick version are run as they are by pytest
