"""Whatever a handed-in file does, its verdict is right, and it comes."""

import copy
import json
import os
import site
import sys
import textwrap
import time
from types import SimpleNamespace

import numpy as np
import pytest
from exercises import styles

from bnlib.classroom.judge import (
    Handed,
    Verdict,
    _verdict,
    decode,
    encode,
    imports_from_bnlib,
    judge,
)
from bnlib.classroom.student import _checked
from bnlib.exercises import available
from bnlib.exercises.engine.card import Result

START = """import os, sys
import numpy as np
import bnlib.classroom.student as there
from bnlib.layers import Layer
"""
RIGHT = """
def standardize(x, eps):
    return (x - x.mean(axis=0)) / np.sqrt(x.var(axis=0) + eps)
"""


def judged(*code, seconds=30):
    """What becomes of a file with this code; bytes are all of it."""
    text = code[0]
    if not isinstance(text, bytes):
        text = "\n".join([START, *map(textwrap.dedent, code)]).encode()
    handed = Handed("anna", "my_bn.py", text)
    for _ in judge(handed, seconds, 600_000_000):
        time.sleep(0.02)
    return handed


def outcomes(*code, **settings):
    found = judged(*code, **settings)
    assert not found.trouble, found
    return {name: verdict.outcome for name, verdict in found.verdicts.items()}


def test_right_functions_pass_also_those_that_get_functions_and_classes():
    names = ["bn_backward", "gradient_check", "BatchNormLayer", "tune_baseline", "paired"]
    code = [str(available[name].solution()) for name in ("bn_forward", "bn_inference", *names)]
    code += [str(available["update_running"].solution()), "from bnlib.layers import Layer\n"]
    in_place = """
        def standardize(x, eps):  # refuses whole numbers, and may
            x = x.copy()
            x -= x.mean(axis=0)
            return x / np.sqrt(x.var(axis=0) + eps)
        """
    found = outcomes(
        *[text.replace("run(lr, s", "run(lr, init_scale=s") for text in code], in_place
    )
    assert {*names, "standardize"} < set(found)
    assert set(found.values()) == {"correct"}


@pytest.mark.parametrize("name", available)
def test_a_right_function_in_any_style_is_no_suspect(name):
    """Without the process between: what a check says there and what is made of it here."""
    for style, function in styles.of(name).items():
        record = json.loads(json.dumps(_checked(copy.copy(available[name]), function)))
        verdict = _verdict(available[name], record)
        assert str(verdict) == "correct", f"{style}: {verdict.said}"


def test_mistakes_are_named_and_a_wrong_form_is_told():
    found = judged(
        "def standardize(x, eps):\n    return (x - x.mean(axis=0)) / (x.var(axis=0) + eps)",
        "def bn_forward(x, gamma, beta, eps):\n    x -= x.mean(axis=0)\n    return x",
        "def layer_norm(x, gamma, beta, eps):\n    return ...",
        "def group_norm(x):\n    return x",
        "def bn_inference(gamma, beta, running_mean, running_var, eps):\n    raise KeyError(3)",
        "paired = 3",
        "class BatchNormLayer:\n    pass",
    ).verdicts
    assert {name: str(verdict) for name, verdict in found.items()} == {
        "standardize": "not yet: variance-not-root",
        "bn_forward": "not yet: modifies-input",
        "layer_norm": "not attempted",
        "group_norm": "error: wrong-parameters",
        "bn_inference": "error",
        "paired": "error: not-callable",
        "BatchNormLayer": "error: wrong-parameters",
    }
    assert "KeyError: 3" in found["bn_inference"].said


PASSED = "lambda self, f: Result(self.name, 'correct', '')"
CLAIM = {"claim": ["correct", "", ""], "answers": []}
FORGERIES = {
    "it prints a result": f"""
        def standardize(x, eps):
            print({json.dumps(CLAIM)!r}, "standardize · Correct", sep="\\n", flush=True)
            return x
        """,
    "it writes where answers go": f"""
        def standardize(x, eps):
            with open("standardize.json", "w") as file:
                file.write({json.dumps(CLAIM)!r})
            os._exit(0)
        """,
    "it replaces the check": f"""
        from bnlib.exercises.engine.card import Result
        from bnlib.exercises.engine.exercise import Exercise
        Exercise.judge = Exercise.check = {PASSED}
        np.allclose = lambda *args, **kwargs: True
        def standardize(x, eps):
            return x
        """,
    "it replaces what is checked": """
        from bnlib.exercises import available
        for exercise in available.values():
            exercise.adapt = lambda function: lambda *args: (0.0,) * 9
        def gradient_check(forward, backward, x):
            return float(backward.is_wrong)
        def tune_baseline(run, rates, scales):
            return rates[0], scales[0]
        class BatchNormLayer:
            pass
        """,
    "it writes answers of its own": """
        zero = {"array": "AAAAAAAAAAA=", "dtype": "<f8", "shape": []}
        there._checked = lambda exercise, own: {
            "claim": ["correct", "", ""],
            "answers": [[[], 9 * [zero] if exercise.adapted else zero, ""]] * 999,
        }
        def standardize(x, eps):
            return x
        def gradient_check(forward, backward, x):
            return 0.0
        def tune_baseline(run, rates, scales):
            return rates[0], scales[0]
        class BatchNormLayer:
            pass
        """,
}


@pytest.mark.parametrize("code", FORGERIES.values(), ids=FORGERIES)
def test_a_result_cannot_be_forged(code):
    found = outcomes(code)
    assert found and set(found.values()) <= {"suspicious", "not yet", "error"}, found


GARBAGE = ["'[1]'", "'{\"claim\": 3}'", "'{'", "' ' * 9_000_000"]


@pytest.mark.parametrize("text", GARBAGE)
def test_what_is_no_answer_of_ours_is_suspicious(text):
    code = f"with open('standardize.json', 'w') as file:\n    file.write({text})"
    found = outcomes(RIGHT, str(available["paired"].solution()), code)
    assert found == {"standardize": "suspicious", "paired": "correct"}


def test_of_a_bad_result_only_what_a_check_can_say_is_taken():
    record = {"claim": ["very good", "<b>", 2000 * "x"], "answers": []}
    assert _verdict(available["paired"], record) == Verdict("error", "", 1000 * "x")


PLANTED = ["os.mkfifo('{}')", "os.symlink('/dev/zero', '{}')", "os.mkdir('{}')"]


@pytest.mark.skipif(sys.platform == "win32", reason="there are no pipes and devices in folders")
@pytest.mark.parametrize("code", PLANTED)
def test_what_is_no_file_is_suspicious_and_holds_nobody_up(code):
    found = outcomes(RIGHT, str(available["paired"].solution()), code.format("standardize.json"))
    assert found == {"standardize": "suspicious", "paired": "correct"}


def test_forged_calls_make_no_large_arrays_here():
    large = {"array": "", "dtype": "<f8", "shape": [0, 10**12]}
    calls = [[0, [large], {}], [0, [], {"x": large}], [0, [[large]], {}], [0, [0.5], {"eps": 1}]]
    seen = []

    def judge(replay):
        replay(lambda *args, **named: seen.append((args, named)))
        return Result("", "correct", "")

    exercise = SimpleNamespace(answer=None, judge=judge)
    record = {"claim": ["correct", "", ""], "answers": [[calls, 3, ""]]}
    assert str(_verdict(exercise, record)) == "correct"
    assert seen == [((0.5,), {"eps": 1})]


LOSSES = {
    "it never ends": ("too long", "while True:\n        time.sleep(1)"),
    "it ends the process": ("ended", "os._exit(0)"),
    "it ends its parent": ("ended", "os.kill(os.getppid(), 9); time.sleep(60)"),
    "it crashes": ("ended", "import ctypes; ctypes.string_at(0)"),
    "it recurses": ("error", "return bn_forward(x, gamma, beta, eps)"),
    "it takes all memory": ("error", "held = []\n    while True: held.append(np.ones(10**7))"),
}


@pytest.mark.parametrize(("outcome", "body"), LOSSES.values(), ids=LOSSES)
def test_a_function_that_is_lost_leaves_the_others_alone(outcome, body):
    if "memory" in body and sys.platform != "linux":
        pytest.skip("only Linux keeps to RLIMIT_AS")
    lost = f"import time\ndef bn_forward(x, gamma, beta, eps):\n    {body}\n"
    # Sleeping takes all of its seconds; the others need few, but the machine may be busy.
    after = str(available["paired"].solution())
    found = outcomes(RIGHT, lost, after, seconds=8 if outcome == "too long" else 30)
    assert found == {"standardize": "correct", "bn_forward": outcome, "paired": "correct"}


def test_a_file_has_three_times_the_seconds_of_a_function():
    code = [f"def {name}(*args):\n    import time; time.sleep(60)" for name in available]
    found = outcomes(*code, seconds=1)
    assert set(found.values()) == {"too long", "not judged"}


def test_these_seconds_end_too_where_each_import_takes_its_own(tmp_path):
    code = f"""
        import time
        if os.path.exists({str(tmp_path / "again")!r}):
            time.sleep(60)
        open({str(tmp_path / "again")!r}, "w")
        """
    functions = [f"def {name}(*args):\n    os._exit(0)" for name in available]
    found = outcomes(code, *functions, seconds=1)
    assert list(found.values())[-1] == "not judged"


WRITES = "import os\nopen('my_bn.json', 'w').write('{}')\nos._exit(0)\n"
FILES = {
    "no Python": (b"Dear teacher,\n", "cannot be imported: SyntaxError"),
    "no text": (bytes(range(256)), "cannot be imported: "),
    "not UTF-8": ('x = "Größe"\n'.encode("latin-1"), "cannot be imported: SyntaxError"),
    "empty": (b"", "defines none of the exercises"),
    "exit": (b"raise SystemExit(0)", "cannot be imported: SystemExit: 0"),
    "ended": (b"import os; os._exit(3)", "ended by itself (exit code 3) when it was imported"),
    "forged names": (WRITES.format('{"names": 3}').encode(), "wrote something else than answers"),
    "forged trouble": (
        WRITES.format(json.dumps({"trouble": 1000 * "x"})).encode(),
        "cannot be imported: xxx",
    ),
}


@pytest.mark.parametrize(("text", "trouble"), FILES.values(), ids=FILES)
def test_a_file_that_cannot_be_judged_says_why(text, trouble):
    found = judged(text)
    assert found.trouble.startswith(trouble) and len(found.trouble) <= 300
    assert not found.verdicts


STARTS = {
    "another process": """
        import subprocess
        try:
            child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
            left.write_text(str(child.pid))
        except OSError:  # where no second process is allowed
            pass
        """,
    "a session of its own": """
        import time
        left.write_text(str(os.getpid()))
        getattr(os, "setsid", int)()
        time.sleep(600)
        """,
}


@pytest.mark.parametrize("code", STARTS.values(), ids=STARTS)
def test_all_that_a_file_has_started_is_ended(code, tmp_path):
    left = tmp_path / "pid"
    judged(f"from pathlib import Path\nleft = Path({str(left)!r})", code, seconds=8)
    for _ in range(100):  # a killed process is there until somebody asks how it ended
        if not left.exists() or not _runs(int(left.read_text())):
            return
        time.sleep(0.1)
    pytest.fail("a process that a file has started goes on")


def test_packages_are_found_where_they_are_for_the_instructor(monkeypatch):
    monkeypatch.setattr(site, "USER_BASE", "/srv/teacher/.local")
    found = judged("raise SystemExit(os.environ['PYTHONUSERBASE'])")
    assert found.trouble.endswith("SystemExit: /srv/teacher/.local")


def _runs(pid):
    try:
        os.kill(pid, 0)
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_what_a_file_takes_from_bnlib_is_listed():
    text = b"import bnlib.functional as f, numpy\nfrom bnlib.layers import Layer\nfrom . import a\n"
    assert imports_from_bnlib(text) == ("bnlib.functional", "bnlib.layers.Layer")
    assert imports_from_bnlib(b"def f(:") == imports_from_bnlib(b"\x00") == ()


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64, np.bool_])
@pytest.mark.parametrize("shape", [(2, 3), (), (0, 4)])
def test_answers_keep_dtype_shape_and_every_bit(dtype, shape):
    array = np.asarray(np.random.default_rng(0).standard_normal(shape).astype(dtype))
    given = array, 0.1, float("inf"), None, (3,), [4]
    back, *rest = decode(json.loads(json.dumps(encode(given))))
    assert back.dtype == array.dtype and back.shape == shape and back.tobytes() == array.tobytes()
    assert rest == [*given[1:]]


def test_nothing_but_numbers_is_written_or_read():
    strange = ..., np.array([object()]), np.zeros(10**6)
    assert encode(strange) == ["<ellipsis>", "<ndarray>", "<ndarray>"]
    assert decode(encode(memoryview(np.arange(2.0)))).tolist() == [0, 1], "as the check reads it"
    bad = [("O", "", [0]), ("<f8", "AAAA", [1]), ("<f8", "", [10**12]), ("<f8", "%", [0])]
    for dtype, data, shape in bad:
        with pytest.raises((ValueError, TypeError)):
            decode({"array": data, "dtype": dtype, "shape": shape})
