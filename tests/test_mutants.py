"""The tests of functional.py and norms.py can fail: each mutant fails every test that it names.

The mutants are in mutants.py. A test that passes with a broken module is a defect of the test.
"""

import contextlib
import io
import itertools

import pytest
from mutants import MUTANTS, fresh_copy

import bnlib.functional
import bnlib.norms

# A crash of these kinds says that the mutant is no program, not that a test found it out.
NOT_A_KILL = (SyntaxError, NameError, ImportError)


def run(test, lib):
    """Call a test function with the module, once for every combination of its parameters."""
    test = getattr(test, "quick", test)
    marks = [m for m in getattr(test, "pytestmark", []) if m.name == "parametrize"]
    choices = []
    for mark in marks:
        names, values = [n.strip() for n in mark.args[0].split(",")], mark.args[1]
        choices.append([dict(zip(names, v if len(names) > 1 else [v])) for v in values])
    with contextlib.redirect_stdout(io.StringIO()):
        for combination in itertools.product(*choices):
            test(lib, **{k: v for part in combination for k, v in part.items()})


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda m: f"{m.replaces}: {m.name}")
def test_mutant_is_killed(mutant):
    lib = mutant.build()
    assert mutant.killed_by
    for test in mutant.killed_by:
        with pytest.raises((Exception, pytest.fail.Exception)) as info:
            run(test, lib)
        assert not isinstance(info.value, NOT_A_KILL), info.value


@pytest.mark.parametrize("module", [bnlib.functional, bnlib.norms], ids=lambda m: m.__name__)
def test_an_unchanged_copy_passes(module):
    """So a mutant fails because of what is wrong in it and not because it is a copy."""
    of_layer = module is bnlib.norms
    tests = {t for m in MUTANTS if m.is_layer == of_layer for t in m.killed_by}
    for test in tests:
        run(test, fresh_copy(module))


def test_there_are_many_mutants_of_both_modules():
    assert len({(m.replaces, m.name) for m in MUTANTS}) == len(MUTANTS) >= 110
