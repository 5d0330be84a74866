"""Cards, hints, solutions, and how exercises are found."""

import re
import shutil
import subprocess
import sys
import tomllib
from html import escape

import numpy as np
import pytest
from exercises.programs import xh

from bnlib import exercises
from bnlib.exercises import standardize


def raises(x, eps):
    print("<b>printed</b>")
    raise ValueError("<script>alert('x')</script> & `more`")


CARDS = [
    (xh, "Correct", "solid"),
    (lambda x, eps: ..., "Not attempted yet", "dotted"),
    (lambda x, eps: x, "Not yet", "dashed"),
    (raises, "Error", "double"),
    (lambda x, eps: type("<img src=x>", (), {})(), "Not yet", "dashed"),
]


@pytest.mark.parametrize(("function", "word", "border"), CARDS)
def test_a_card_says_the_same_in_plain_text_and_html_without_colour(function, word, border):
    result = standardize.check(function)
    bundle = result._repr_mimebundle_()
    assert set(bundle) == {"text/plain", "text/html"}
    assert bundle["text/plain"] == str(result) == repr(result)
    assert result.headline == f"standardize · {word}"
    html = bundle["text/html"]
    assert result.headline in html
    outer, inner = re.findall(r'<div[^>]*style="([^"]*)"', html)[:2]
    assert "border:1px solid" in outer and "border-left" not in outer
    assert f"border-left:6px {border} currentColor" in inner
    assert "#" not in html.split(">")[0]
    assert not re.search("<(script|b|img)[ >]|`", html), "escaped, and code as code"
    for line in result.message.splitlines():
        assert line in bundle["text/plain"]
        assert re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(line)) in html


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
def test_the_example_is_the_designed_batch_and_correct_says_what_it_buys(name):
    exercise = exercises.available[name]
    args = exercise.example()
    assert len(args) == len(exercise.parameters)
    for array in args:
        if isinstance(array, np.ndarray):
            array[...] = 0.0  # a copy: the check does not notice
    result = exercise.check(exercise.answer)
    assert result.passed
    assert exercise.why in result.message
    assert exercise.why.endswith(".") and 40 < len(exercise.why) < 200
    wrong = exercise.mistakes[0]
    message = exercise.check(wrong.function).message
    found = re.search(rf"designed .*: {exercise.returns[0]}(\[.*?\])? is (\S+), expected", message)
    if found:
        output = wrong.function(*exercise.example())
        output = output[0] if isinstance(output, tuple) else output
        assert f"{output[tuple(eval(found[1] or '()'))]:.3g}" == found[2]
