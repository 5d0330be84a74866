"""Cards, hints, solutions, and how exercises are found."""

import re
import shutil
import subprocess
import sys
import tomllib

import numpy as np
import pytest
from exercises.programs import xh
from exercises.test_functions import only_dots

from bnlib import exercises
from bnlib.exercises import bn_forward, standardize


def test_the_card_says_in_plain_text_what_it_says_in_html():
    for function in (xh, only_dots, lambda x, eps: x, lambda x, eps: 1 / 0):
        result = standardize.check(function)
        bundle = result._repr_mimebundle_()
        assert set(bundle) == {"text/plain", "text/html"}
        assert bundle["text/plain"] == str(result) == repr(result)
        assert result.headline in bundle["text/html"]
        for line in result.message.splitlines():
            assert line in bundle["text/plain"]


def test_outcomes_can_be_told_without_colour():
    cards = [
        standardize.check(f)._repr_mimebundle_()["text/html"]
        for f in (xh, only_dots, lambda x, eps: x, lambda x, eps: 1 / 0)
    ]
    for card, word, border in zip(
        cards,
        ("Correct", "Not attempted yet", "Not yet", "Error"),
        ("solid", "dotted", "dashed", "double"),
        strict=True,
    ):
        assert word in card
        assert f"border-left:6px {border} currentColor" in card
        assert "#" not in card.split(">")[0]


def test_student_text_is_escaped():
    def raises(x, eps):
        print("<b>printed</b>")
        raise ValueError("<script>alert('x')</script> & more")

    bundle = standardize.check(raises)._repr_mimebundle_()
    assert "<script>" not in bundle["text/html"]
    assert "<b>" not in bundle["text/html"]
    assert "&lt;script&gt;" in bundle["text/html"]
    assert "<script>" in bundle["text/plain"]

    odd = type("<img src=x>", (), {})
    html = standardize.check(odd())._repr_mimebundle_()["text/html"]
    assert "<img" not in html
    html = standardize.check(lambda x, eps: odd())._repr_mimebundle_()["text/html"]
    assert "<img" not in html


def test_code_in_a_card_has_the_font_of_code():
    result = standardize.check(lambda x, eps: ...)
    card = result._repr_mimebundle_()
    assert "Replace the <code>...</code> in" in card["text/html"]
    assert "`" not in card["text/html"]
    assert "Replace the `...` in" in card["text/plain"]
    html = bn_forward.check(lambda *args: print("`<b>`") or args[0])._repr_mimebundle_()[
        "text/html"
    ]
    assert "<code>&lt;b&gt;</code>" in html


def test_the_left_border_is_inside_the_box():
    html = standardize.check(lambda x, eps: ...)._repr_mimebundle_()["text/html"]
    outer, inner = re.findall(r'<div[^>]*style="([^"]*)"', html)[:2]
    assert "border:1px solid" in outer
    assert "border-left" not in outer
    assert "border-left:6px dotted currentColor" in inner


def test_hint_and_solution_are_cards_and_strings():
    solution = standardize.solution()
    assert isinstance(solution, str)
    assert solution.startswith("def standardize(x, eps):")
    assert "<pre" in solution._repr_mimebundle_()["text/html"]
    hint = standardize.hint()
    assert hint == standardize.hint(1)
    assert hint in hint._repr_mimebundle_()["text/plain"]


def test_every_exercise_is_found_by_its_name():
    for name, exercise in exercises.available.items():
        assert getattr(exercises, name) is exercise
        assert name in exercises.__all__
        assert exercise.name == name
        assert f"{name}(" in repr(exercise)


def test_importing_the_exercises_makes_no_probes():
    code = (
        "import bnlib.exercises as e, sys; "
        "assert not any('rows' in vars(x) for x in e.available.values()); "
        "assert 'matplotlib.pyplot' not in sys.modules and 'ipywidgets' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.fixture
def section(root):
    """The section of CONTRIBUTING.md about exercises: its code blocks by language."""
    text = (root / "CONTRIBUTING.md").read_text(encoding="utf-8").split("## Adding an exercise")[1]
    blocks = re.findall(r"```(\w+)\n(.*?)```", text, flags=re.DOTALL)
    return {kind: [code for k, code in blocks if k == kind] for kind in ("python", "toml")}


def test_the_example_in_contributing_works(section, root, tmp_path):
    copied = tmp_path / "copied"
    ignore = shutil.ignore_patterns("__pycache__", "n*")
    shutil.copytree(root / "bnlib" / "exercises", copied, ignore=ignore)
    (copied / "n14_more.py").write_text(section["python"][0])
    (copied / "n14_more.toml").write_text(section["toml"][1])
    (tmp_path / "use.py").write_text(
        "import copied, numpy as np\n"
        "assert list(copied.available) == ['centre']\n"
        "assert copied.centre.check(copied.centre.answer).passed\n"
        "[rows] = copied.centre.mistakes\n"
        "assert copied.centre.check(rows.function).diagnosis == 'rows'\n"
        "result = copied.centre.check(lambda x: x - np.median(x, axis=0))\n"
        "assert (result.outcome, result.diagnosis) == ('not yet', None)\n"
        "assert 'has the mean' in result.message\n"
    )
    subprocess.run([sys.executable, "use.py"], check=True, cwd=tmp_path)


def test_the_mistake_in_contributing_is_a_true_one(section, root):
    [shown] = tomllib.loads(section["toml"][0])["mistake"]
    file = root / "bnlib" / "exercises" / "n03_forward.toml"
    assert shown in tomllib.loads(file.read_text(encoding="utf-8"))["mistake"]


@pytest.mark.parametrize("name", list(exercises.available))
def test_the_example_is_the_designed_batch_and_reproduces_a_failure_by_hand(name):
    exercise = exercises.available[name]
    args = exercise.example()
    assert len(args) == len(exercise.parameters)
    for array in args:
        if isinstance(array, np.ndarray):
            array[...] = 0.0  # a copy: the check does not notice
    assert exercise.check(exercise.answer).passed
    wrong = exercise.mistakes[0]
    message = exercise.check(wrong.function).message
    found = re.search(rf"designed .*: {exercise.returns[0]}(\[.*?\])? is (\S+), expected", message)
    if found:
        output = wrong.function(*exercise.example())
        output = output[0] if isinstance(output, tuple) else output
        assert f"{output[tuple(eval(found[1] or '()'))]:.3g}" == found[2]


@pytest.mark.parametrize("name", list(exercises.available))
def test_correct_says_in_one_sentence_what_it_buys(name):
    exercise = exercises.available[name]
    assert exercise.why in exercise.check(exercise.answer).message
    assert exercise.why.endswith(".") and 40 < len(exercise.why) < 200
