"""Whatever a handed-in file does, its verdict is right, and it comes."""

import sys
import textwrap

import pytest

from bnlib.classroom.judge import imports_from_bnlib, judge
from bnlib.exercises import available

START = "import os, sys\nimport numpy as np\nfrom bnlib.layers import Layer\n"
RIGHT = """
def standardize(x, eps):
    return (x - x.mean(axis=0)) / np.sqrt(x.var(axis=0) + eps)
"""
MEMORY = 600_000_000


def judged(*code, seconds=30):
    text = "\n".join([START, *map(textwrap.dedent, code)])
    return judge(text.encode(), seconds, MEMORY)


def outcomes(*code, **settings):
    found = judged(*code, **settings)
    assert not found.trouble, found
    return {name: verdict.outcome for name, verdict in found.verdicts.items()}


def test_right_functions_pass_also_those_that_get_functions_and_classes():
    names = ["bn_backward", "gradient_check", "BatchNormLayer", "tune_baseline", "paired"]
    code = [str(available[name].solution()) for name in ("bn_forward", "bn_inference", *names)]
    code += [str(available["update_running"].solution()), "import math\n"]
    found = outcomes(*code)
    assert set(names) < set(found)
    assert set(found.values()) == {"correct"}


def test_mistakes_are_named_and_a_wrong_form_is_told():
    found = judged(
        "def standardize(x, eps):\n    return (x - x.mean(axis=0)) / (x.var(axis=0) + eps)",
        "def bn_forward(x, gamma, beta, eps):\n    x -= x.mean(axis=0)\n    return x",
        "def layer_norm(x, gamma, beta, eps):\n    return ...",
        "def group_norm(x):\n    return x",
        "def bn_inference(gamma, beta, running_mean, running_var, eps):\n    raise KeyError(3)",
        "paired = 3",
    ).verdicts
    assert {name: (v.outcome, v.mistake) for name, v in found.items()} == {
        "standardize": ("not yet", "variance-not-root"),
        "bn_forward": ("not yet", "modifies-input"),
        "layer_norm": ("not attempted", ""),
        "group_norm": ("error", "wrong-parameters"),
        "bn_inference": ("error", ""),
        "paired": ("error", "not-callable"),
    }
    assert "KeyError: 3" in found["bn_inference"].said


FORGERIES = {
    "it prints a result": """
        import json
        def standardize(x, eps):
            line = json.dumps({"claim": ["correct", "", ""]})
            print(line, "standardize · Correct", sep="\\n", flush=True)
            return x
        """,
    "it writes where answers go": """
        import json
        def standardize(x, eps):
            line = json.dumps({"claim": ["correct", "", ""]}).encode() + b"\\n"
            for fd in range(40):
                try:
                    os.write(fd, line)
                except OSError:
                    pass
            return x
        """,
    "it replaces the check": """
        from bnlib.exercises.engine.card import Result
        from bnlib.exercises.engine.exercise import Exercise
        Exercise.judge = Exercise.check = lambda self, f: Result(self.name, "correct", "")
        np.allclose = lambda *args, **kwargs: True
        def standardize(x, eps):
            return x
        def gradient_check(forward, backward, x):
            return 0.0
        def tune_baseline(run, rates, scales):
            return rates[0], scales[0]
        from bnlib.exercises import available
        for exercise in available.values():
            exercise.adapt = lambda function: lambda *args: (0.0,) * 9
        class BatchNormLayer:
            pass
        """,
    "it answers with what it is not asked for": """
        import bnlib.classroom.student as there
        there._call = lambda *args: {"value": {"array": "", "dtype": "O", "shape": [0]}}
        sys.modules["__main__"]._call = there._call
        from bnlib.exercises.engine.card import Result
        from bnlib.exercises.engine.exercise import Exercise
        Exercise.judge = lambda self, f: Result(self.name, "correct", "")
        def standardize(x, eps):
            return x
        """,
}


@pytest.mark.parametrize("code", FORGERIES.values(), ids=FORGERIES)
def test_a_result_cannot_be_forged(code):
    found = outcomes(code)
    assert found and set(found.values()) <= {"suspicious", "not yet"}, found


LOSSES = {
    "it never ends": ("too long", "while True:\n        sys.stdin.read(); time.sleep(1)"),
    "it ends the process": ("ended", "os._exit(0)"),
    "it crashes": ("ended", "import ctypes; ctypes.string_at(0)"),
    "it recurses": ("error", "return bn_forward(x, gamma, beta, eps)"),
}


@pytest.mark.parametrize(("outcome", "body"), LOSSES.values(), ids=LOSSES)
def test_a_function_that_is_lost_leaves_the_others_alone(outcome, body):
    lost = f"import time\ndef bn_forward(x, gamma, beta, eps):\n    {body}\n"
    # Sleeping takes all of its seconds; the others need few, but the machine may be busy.
    after = str(available["paired"].solution())
    found = outcomes(RIGHT, lost, after, seconds=8 if outcome == "too long" else 30)
    assert found == {"standardize": "correct", "bn_forward": outcome, "paired": "correct"}


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux keeps to RLIMIT_AS")
def test_a_function_that_takes_all_memory_gets_an_error():
    hog = "held = []\n    while True:\n        held.append(np.ones(10_000_000))"
    found = judged(RIGHT, f"def bn_forward(x, gamma, beta, eps):\n    {hog}").verdicts
    assert found["standardize"].outcome == "correct"
    assert found["bn_forward"].outcome == "error" and "Memory" in found["bn_forward"].said


FILES = {
    "no Python": (b"Dear teacher,\n", "cannot be imported: SyntaxError"),
    "no text": (bytes(range(256)), "cannot be imported: "),
    "not UTF-8": ('x = "Größe"\n'.encode("latin-1"), "cannot be imported: SyntaxError"),
    "empty": (b"", "defines none of the exercises"),
    "exit": (b"raise SystemExit(0)", "cannot be imported: SystemExit: 0"),
    "ended": (b"import os; os._exit(3)", "ended by itself (exit code 3) when it was imported"),
}


@pytest.mark.parametrize(("text", "trouble"), FILES.values(), ids=FILES)
def test_a_file_that_cannot_be_judged_says_why(text, trouble):
    found = judge(text, 30, MEMORY)
    assert found.trouble.startswith(trouble)
    assert not found.verdicts


def test_what_a_file_takes_from_bnlib_is_listed():
    text = b"import bnlib.functional as f, numpy\nfrom bnlib.layers import Layer\nfrom . import a\n"
    assert imports_from_bnlib(text) == ("bnlib.functional", "bnlib.layers.Layer")
    assert imports_from_bnlib(b"def f(:") == imports_from_bnlib(b"\x00") == ()
