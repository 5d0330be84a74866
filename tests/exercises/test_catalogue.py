"""Each exercise by itself: its stub, its solution, its mistakes and its properties."""

import copy
import itertools
import os
import re
import runpy
from functools import cache

import numpy as np
import pytest
from exercises import styles

import bnlib
from bnlib import exercises
from bnlib.exercises.engine.mistakes import Catalogue, read_mistakes
from bnlib.exercises.engine.trial import run

ALL = list(exercises.available.values())
MISTAKES = [pytest.param(e, m, id=f"{e.name}-{m.id}") for e in ALL for m in e.mistakes]
STYLES = [
    pytest.param(e, f, id=f"{e.name}-{name}") for e in ALL for name, f in styles.of(e.name).items()
]
# Without the catalogue every fourth mistake; in `.ci/run full`, which asks for many random
# programs as well, all of them.
EVERY = 1 if "BNLIB_RANDOM_PROGRAMS" in os.environ else 4

each_exercise = pytest.mark.parametrize("exercise", ALL, ids=[e.name for e in ALL])


def run_source(source, name):
    """As in a notebook: with NumPy, and what the earlier notebooks' exercises have made."""
    given = {"np": np, "Layer": bnlib.layers.Layer, "BatchNorm": bnlib.BatchNorm}
    space = given | {e.name: e.answer for e in ALL}
    exec(source, space)
    return space[name]


def last_line(exercise):
    return exercise.solution().strip().splitlines()[-1].strip()


@each_exercise
def test_the_stub_is_not_attempted(exercise):
    stub = run_source(exercise.stub, exercise.name)
    assert stub.__doc__ == exercise.answer.__doc__
    result = exercise.check(stub)
    assert (result.outcome, result.passed, result.diagnosis) == ("not attempted", False, None)
    assert "hint(1)" in result.message


@each_exercise
def test_the_solution_is_correct_and_its_source_can_be_run(exercise):
    result = exercise.check(run_source(exercise.solution(), exercise.name))
    assert (result.outcome, result.passed, result.diagnosis) == ("correct", True, None), result


@each_exercise
def test_the_reference_is_correct(exercise):
    assert exercise.check(exercise.reference).passed


@pytest.mark.parametrize(("exercise", "mistake"), MISTAKES)
def test_a_mistake_is_recognised_by_its_own_id(exercise, mistake):
    result = exercise.check(mistake.function)
    assert not result.passed
    assert result.diagnosis == mistake.id, result
    assert mistake.message in result.message
    assert re.search(r"\d", result.message.replace(mistake.message, "")), "no numbers"


@pytest.mark.parametrize(("exercise", "mistake"), MISTAKES[::EVERY])
def test_a_mistake_that_is_not_in_the_catalogue_is_not_accepted(exercise, mistake):
    result = without_catalogue(exercise).check(mistake.function)
    assert not result.passed
    assert result.diagnosis in (None, "wrong-shape", "wrong-count", "outputs-order"), result
    assert re.search(r"\d.*(expected|stays|sums to|raised)|expected.*\d", result.message), result
    assert "could not judge" not in result.message


@cache
def without_catalogue(exercise):
    bare = copy.copy(exercise)
    bare.catalogue = Catalogue([], None, {})
    return bare


@each_exercise
def test_messages_name_the_mistake_and_ask_a_question(exercise):
    ids = [m.id for m in exercise.mistakes]
    assert len(ids) == len(set(ids))
    for mistake in exercise.mistakes:
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", mistake.id)
        assert "?" in mistake.message
        if last_line(exercise) != f"return {', '.join(exercise.returns)}":
            assert last_line(exercise) not in mistake.message
        # one blank between words: the text is put together from several lines of source
        assert not re.search(r"  |[a-z][.?][A-Z]", mistake.message), mistake.message


@each_exercise
def test_the_probes_separate_all_mistakes_by_more_than_one_per_cent(exercise):
    rows = [r for r in exercise.rows if not r.probe.tag and not r.probe.may_raise]

    def outputs(mistake):
        return [exercise.catalogue.outputs(mistake, row)[0] for row in rows]

    def far_apart(a, b):
        if a is None or b is None:
            return a is not b
        for name in exercise.returns:
            if a[name].shape != b[name].shape or not np.array_equal(
                np.isfinite(a[name]), np.isfinite(b[name])
            ):
                return True
            finite = np.isfinite(a[name])
            distance = np.abs(a[name][finite] - b[name][finite]).max(initial=0.0)
            if distance > 0.01 * max(np.abs(a[name])[finite].max(initial=0.0), 1e-9):
                return True
        return False

    named = {m.id: outputs(m) for m in exercise.mistakes if not m.only_on}
    named["(correct)"] = [row.expected for row in rows]
    for (name, a), (other, b) in itertools.combinations(named.items(), 2):
        assert any(map(far_apart, a, b)), f"{name} and {other} look the same"


@each_exercise
def test_every_property_holds_for_the_solution_on_every_small_probe(exercise):
    names = exercise.returns
    for row in (r for r in exercise.rows if not r.probe.large):
        trial = run(exercise.adapt(exercise.answer), row)
        if trial.attempt.error is not None:
            continue
        case = exercise._case(exercise.adapt(exercise.answer), trial, names)
        for prop in exercise.properties:
            with np.errstate(all="ignore"):
                assert prop(case) is None, (prop.__name__, row.probe.name, prop(case))


@each_exercise
def test_hints_go_from_idea_to_code_and_do_not_contain_the_solution(exercise):
    hints = [exercise.hint(level) for level in (1, 2, 3)]
    assert len(set(hints)) == 3
    assert last_line(exercise) not in exercise.stub
    for level, hint in enumerate(hints, start=1):
        assert len(hint) > 40
        assert last_line(exercise) not in hint
        assert f"Hint {level} of 3" in repr(hint)
    for level in (0, 4, "1"):
        with pytest.raises(ValueError, match="expected level 1, 2 or 3"):
            exercise.hint(level)


@each_exercise
def test_checks_are_deterministic(exercise):
    for function in (exercise.answer, exercise.mistakes[0].function):
        assert str(exercise.check(function)) == str(exercise.check(function))


@pytest.mark.parametrize(("exercise", "function"), STYLES)
def test_a_correct_style_is_accepted(exercise, function):
    result = exercise.check(function)
    assert result.passed, result


def test_the_catalogue_loses_no_mistake_and_the_styles_no_exercise():
    """As many as at the time when they became data; more are welcome."""
    assert len(MISTAKES) >= 815
    assert min(len(e.mistakes) for e in ALL) >= 9
    assert min(len(styles.of(e.name)) for e in ALL) >= 2


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (('edit = { "a" = "b" }', "edit = {}"), None),
        (('"a"', '"not there"'), "'not there' does not stand in half"),
        (("say", "says"), "expected id, exercise, say and edit"),
        (('"b"', '"("'), "the edited source is no Python"),
        (("[[mistake]]", "[[mistake"), "half.toml is no valid TOML"),
        (('edit = { "a" = "b" }', 'edit = { "a" = "b" }\n[[mistake]]\nid = "one"\n'
          'exercise = ["half"]\nsay = "?"\nedit = {}'), "has a mistake of that id already"),
    ],
)  # fmt: skip
def test_an_entry_that_cannot_be_used_is_explained(tmp_path, change, says):
    (tmp_path / "half.py").write_text("def half(a):\n    return a / 2\n")
    entry = '[[mistake]]\nid = "one"\nexercise = ["half"]\nsay = "?"\nedit = { "a" = "b" }\n'
    (tmp_path / "half.toml").write_text(entry.replace(*change))
    half = runpy.run_path(str(tmp_path / "half.py"))["half"]
    if says is None:
        assert [m.id for m in read_mistakes(half)] == ["one"]
    else:
        with pytest.raises(ValueError, match=re.escape(says)):
            read_mistakes(half)
