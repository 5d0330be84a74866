"""What a check says about functions of the wrong form, and how it treats strange ones."""

import functools
import re
import shutil
import subprocess
import sys
import tomllib
import warnings

import numpy as np
import pytest

from bnlib import exercises
from bnlib.exercises import bn_backward, bn_forward, fold_bn, standardize, update_running


def right(x, eps):
    return (x - x.mean(0)) / np.sqrt(x.var(0) + eps)


def right_backward(dy, x, gamma, eps):
    std = np.sqrt(x.var(0) + eps)
    xhat = (x - x.mean(0)) / std
    dx = gamma / std * (dy - dy.mean(0) - xhat * (dy * xhat).mean(0))
    return dx, (dy * xhat).sum(0), dy.sum(0)


# ---------------------------------------------------------------- not attempted


def returns_dots(x, eps):
    return ...


def only_dots(x, eps): ...


def only_a_docstring(x, eps):
    """To do."""


def only_pass(x, eps):
    pass


def not_implemented(x, eps):
    raise NotImplementedError


@pytest.mark.parametrize(
    "stub", [returns_dots, only_dots, only_a_docstring, only_pass, not_implemented]
)
def test_a_stub_is_not_attempted(stub):
    assert standardize.check(stub).outcome == "not attempted"


def test_a_stub_of_several_outputs_is_not_attempted():
    assert bn_backward.check(lambda dy, x, gamma, eps: (..., ..., ...)).outcome == "not attempted"
    assert bn_backward.check(lambda dy, x, gamma, eps: (None, None, None)).passed is False


def test_a_method_stub_and_a_partial_stub_are_not_attempted():
    class Norm:
        def forward(self, x, eps): ...

    assert standardize.check(Norm().forward).outcome == "not attempted"
    assert standardize.check(functools.partial(only_dots)).outcome == "not attempted"


# ---------------------------------------------------------------- callables of all kinds


def test_lambdas_methods_partials_and_callable_objects_are_accepted():
    class Norm:
        scale = 1.0

        def method(self, x, eps):
            return right(x, eps) * self.scale

        @classmethod
        def class_method(cls, x, eps):
            return right(x, eps) * cls.scale

        @staticmethod
        def static_method(x, eps):
            return right(x, eps)

        def __call__(self, x, eps):
            return right(x, eps)

    def with_more(scale, x, eps=1e-5, axis=0, *, unused=None):
        return scale * right(x, eps)

    for function in (
        lambda x, eps: right(x, eps),
        Norm().method,
        Norm.class_method,
        Norm.static_method,
        Norm(),
        functools.partial(with_more, 1.0),
        lambda *args: right(*args),
        functools.lru_cache(lambda *args: None) and right,
        functools.wraps(right)(lambda *args, **kwargs: right(*args, **kwargs)),
    ):
        assert standardize.check(function).passed


@pytest.mark.parametrize("thing", [None, 3, 2.5, "standardize", np.zeros((6, 4)), [right], (1, 2)])
def test_something_that_is_no_function(thing):
    result = standardize.check(thing)
    assert (result.outcome, result.diagnosis) == ("error", "not-callable")
    assert type(thing).__name__ in result.message


def test_the_result_in_place_of_the_function_is_explained():
    message = standardize.check(right(np.eye(3), 0.1)).message
    assert "not its result" in message
    assert "check(standardize)" in message


# ---------------------------------------------------------------- arguments


@pytest.mark.parametrize(
    "function", [lambda: 0, lambda x: x, lambda x, eps, more: x, lambda *, x, eps: x]
)
def test_parameters_that_do_not_fit(function):
    result = standardize.check(function)
    assert (result.outcome, result.diagnosis) == ("error", "wrong-parameters")
    assert "standardize(x, eps)" in result.message


def test_a_method_without_its_object():
    class Norm:
        def forward(self, x, eps):
            return right(x, eps)

    result = standardize.check(Norm.forward)
    assert result.diagnosis == "wrong-parameters"
    assert "self" in result.message


def test_arguments_in_another_order():
    def bn(x, beta, gamma, eps):
        return gamma * right(x, eps) + beta

    assert bn_forward.check(bn).diagnosis == "gamma-beta-swapped"  # the catalogue knows this one

    def other(x, gamma, eps, beta):
        return gamma * right(x, eps) + beta

    result = bn_forward.check(other)
    assert result.diagnosis == "argument-order"
    assert "(x, gamma, eps, beta)" in result.message
    assert "(x, gamma, beta, eps)" in result.message

    def raises(eps, x):
        return right(x, eps)

    result = standardize.check(raises)
    assert result.diagnosis == "argument-order"
    assert result.outcome == "error"


def test_other_names_in_the_right_order_are_fine():
    assert standardize.check(lambda batch, epsilon: right(batch, epsilon)).passed
    assert standardize.check(lambda eps, x: right(eps, x)).passed  # odd, but right


# ---------------------------------------------------------------- outputs


def test_a_forgotten_return():
    def forgot(x, eps):
        xhat = right(x, eps)  # noqa: F841

    result = standardize.check(forgot)
    assert (result.outcome, result.diagnosis) == ("not yet", "forgot-return")
    assert "return xhat" in result.message


def test_the_wrong_number_of_arrays():
    result = standardize.check(lambda x, eps: (right(x, eps), None))
    assert result.diagnosis == "wrong-count"
    assert "a tuple of 2" in result.message
    result = standardize.check(lambda x, eps: (right(x, eps),))
    assert "comma" in result.message
    result = bn_backward.check(lambda *args: right_backward(*args)[:2])
    assert result.diagnosis == "wrong-count"
    assert "2 values" in result.message
    assert "3 arrays" in result.message
    result = bn_backward.check(lambda *args: right_backward(*args)[0])
    assert result.diagnosis == "wrong-count"
    assert "(6, 4)" in result.message


def test_a_part_that_is_still_missing_says_which_others_are_right():
    def partly(dy, x, gamma, eps):
        _, dgamma, dbeta = right_backward(dy, x, gamma, eps)
        return ..., dgamma, dbeta

    result = bn_backward.check(partly)
    assert (result.outcome, result.diagnosis) == ("not yet", "missing-output")
    assert "dx is still ..." in result.message
    assert "dgamma and dbeta" in result.message


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda y: y[:, 0], "(6,)"),
        (lambda y: y.T, "transpose"),
        (lambda y: y[None], "length 1"),
        (lambda y: y.ravel(), "arrangement"),
        (lambda y: y.mean(), "()"),
        (lambda y: y[:-1], "(5, 4)"),
    ],
)
def test_the_wrong_shape(change, says):
    result = standardize.check(lambda x, eps: change(right(x, eps)))
    assert (result.outcome, result.diagnosis) == ("not yet", "wrong-shape")
    assert says in result.message
    assert "expected (6, 4)" in result.message


@pytest.mark.parametrize("dtype", [int, np.int8])
def test_integers_are_rejected(dtype):
    result = standardize.check(lambda x, eps: right(x, eps).astype(dtype))
    assert (result.outcome, result.diagnosis) == ("not yet", "integer-output")


def test_an_integer_array_filled_with_floats_is_rejected():
    def fills(x, eps):
        out = np.zeros(x.shape, dtype=int)
        out[:] = right(x, eps)
        return out

    assert standardize.check(fills).diagnosis == "integer-output"


@pytest.mark.parametrize(
    "value", ["text", {"xhat": 1}, object(), [[1, 2], [3]], 1j, np.array([None]), iter([1])]
)
def test_something_that_is_no_array(value):
    result = standardize.check(lambda x, eps: value)
    assert result.outcome == "not yet"
    assert result.diagnosis in ("wrong-type", "wrong-shape")


def test_half_precision_is_rejected_and_single_precision_is_named():
    result = standardize.check(lambda x, eps: right(x, eps).astype(np.float16))
    assert result.diagnosis == "half-precision"
    result = standardize.check(lambda x, eps: right(x.astype(np.float32), eps))
    assert result.passed
    assert "float32" in result.message
    assert "returns float64" in standardize.check(lambda x, eps: right(np.float64(x), eps)).message


def test_nan_is_shown_with_its_place():
    result = standardize.check(lambda x, eps: np.log(right(x, eps)))
    assert result.outcome == "not yet"
    assert "is nan, expected" in result.message
    assert "not finite" in result.message


def test_nested_lists_are_accepted():
    assert standardize.check(lambda x, eps: right(x, eps).tolist()).passed
    assert bn_backward.check(lambda *args: [a.tolist() for a in right_backward(*args)]).passed


def test_masked_arrays_and_matrices_are_read_as_arrays():
    assert standardize.check(lambda x, eps: np.ma.array(right(x, eps))).passed


# ---------------------------------------------------------------- side effects


def test_a_changed_argument_is_reported():
    def in_place(x, eps):
        x -= x.mean(0)
        x /= np.sqrt((x**2).mean(0) + eps)
        return x

    result = standardize.check(in_place)
    assert (result.outcome, result.diagnosis) == ("not yet", "modifies-input")
    assert "argument x" in result.message

    def updates_in_place(running_mean, running_var, x, momentum):
        running_mean *= 1 - momentum
        running_mean += momentum * x.mean(0)
        running_var[:] = (1 - momentum) * running_var + momentum * x.var(0, ddof=1)
        return running_mean, running_var

    result = update_running.check(updates_in_place)
    assert result.diagnosis == "modifies-input"
    assert "running_mean and running_var" in result.message


def test_the_probes_survive_functions_that_write_into_everything():
    def destroys(W, b, gamma, beta, mean, var, eps):
        for array in (W, b, gamma, beta, mean, var):
            array[...] = np.nan
        return W, b

    assert fold_bn.check(destroys).diagnosis == "modifies-input"
    assert fold_bn.check(fold_bn.answer).passed


def test_random_numbers_are_reported():
    rng = np.random.default_rng(0)
    result = standardize.check(lambda x, eps: right(x, eps) + 1e-3 * rng.standard_normal(x.shape))
    assert result.diagnosis == "not-deterministic"


def test_something_kept_between_calls_is_reported():
    calls = []

    def counts(x, eps):
        calls.append(1)
        return right(x, eps) * (1 + 0.01 * (len(calls) > 20))

    assert not standardize.check(counts).passed
    kept = {}

    def caches(x, eps):
        return kept.setdefault("first", right(x, eps)) if x.shape == (6, 4) else right(x, eps)

    assert not standardize.check(caches).passed


def test_one_array_for_all_answers_is_reported():
    buffer = np.zeros((6, 4))

    def shares(x, eps):
        if x.shape != buffer.shape:
            return right(x, eps)
        buffer[:] = right(x, eps)
        return buffer

    assert standardize.check(shares).diagnosis == "shared-output"


def test_returning_an_argument_itself_is_judged_by_its_values():
    assert standardize.check(lambda x, eps: x).outcome == "not yet"


# ---------------------------------------------------------------- exceptions


def test_the_exception_is_shown_with_call_and_line_and_without_our_traceback():
    def broken(x, eps):
        mean = x.mean(axis=0)
        return (x - mean) / undefined_name  # noqa: F821

    result = standardize.check(broken)
    assert (result.outcome, result.diagnosis) == ("error", None)
    for part in (
        "standardize(x, eps) with x float64 (6, 4), eps = 0.1",
        "NameError: name 'undefined_name' is not defined",
        "return (x - mean) / undefined_name",
    ):
        assert part in result.message
    for word in ("Traceback", "contract.py", "engine.py", __file__):
        assert word not in result.message


def test_the_line_is_the_students_own_also_when_numpy_raises():
    def broken(x, eps):
        return np.linalg.inv(x.mean(0))

    message = standardize.check(broken).message
    assert "return np.linalg.inv(x.mean(0))" in message
    assert "LinAlgError" in message


def test_loops_over_something_that_is_no_array():
    def loops(x, eps):
        return [row for row in eps]

    result = standardize.check(loops)
    assert result.outcome == "error"
    assert "not iterable" in result.message


def test_dots_left_in_the_code_are_found():
    def half_done(x, eps):
        mean = ...
        return (x - mean) / eps

    result = standardize.check(half_done)
    assert result.outcome == "error"
    assert "`...` left" in result.message


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, GeneratorExit, RecursionError])
def test_no_exception_gets_out(error):
    calls = []

    def raises(x, eps):
        calls.append(1)
        raise error

    result = standardize.check(raises)
    assert result.outcome == "error"
    assert error.__name__ in result.message
    if not issubclass(error, Exception):
        assert len(calls) == 1, "an interrupted function is not called again"


def test_an_endless_recursion():
    def recurses(x, eps):
        return recurses(x, eps)

    assert "never stops" in standardize.check(recurses).message


def test_an_exception_on_some_inputs_only():
    def for_six_rows(x, eps):
        return right(x.reshape(6, -1), eps)

    result = standardize.check(for_six_rows)
    assert result.outcome == "error"
    assert result.message.startswith("Your function is right for the designed batch")
    assert "N = D" not in result.message.splitlines()[0]


def test_exceptions_that_cannot_be_shown():
    class Bad(Exception):
        def __str__(self):
            raise RuntimeError("no text")

    def raises(x, eps):
        raise Bad

    result = standardize.check(raises)
    assert result.outcome == "error"
    assert "cannot be shown as text" in result.message


def test_results_that_fight_back():
    class Hostile:
        def __array__(self, *args, **kwargs):
            raise RuntimeError("no array")

        def __len__(self):
            raise RuntimeError("no length")

    assert standardize.check(lambda x, eps: Hostile()).outcome == "not yet"
    assert bn_backward.check(lambda *args: Hostile()).outcome in ("not yet", "error")

    class HostileCallable:
        def __call__(self, x, eps):
            return right(x, eps)

        def __getattr__(self, name):
            raise RuntimeError("no attributes")

    assert standardize.check(HostileCallable()).outcome in ("correct", "error")


def test_addresses_and_endless_texts_are_not_shown():
    def raises(x, eps):
        raise ValueError(f"{object()} " + "long " * 10_000)

    message = standardize.check(raises).message
    assert "0x..." in message
    assert len(message) < 2000


# ---------------------------------------------------------------- printing and warnings


def test_what_the_function_prints_is_kept_off_the_screen_and_shown_once(capsys):
    def prints(x, eps):
        print("shape", x.shape)
        print("to stderr", file=sys.stderr)
        return right(x, eps)

    result = standardize.check(prints)
    assert result.passed
    assert result.message.count("shape (6, 4)") == 1
    assert "to stderr" in result.message
    assert capsys.readouterr() == ("", "")


def test_much_printing_is_cut():
    def prints(x, eps):
        for i in range(1000):
            print("line", i)
        return right(x, eps)

    message = standardize.check(prints).message
    assert "line 9" in message
    assert "line 11" not in message
    assert "(more lines)" in message


def test_warnings_go_into_the_message(capsys):
    def warns(x, eps):
        warnings.warn("look here", UserWarning, stacklevel=1)
        return np.sqrt(-np.abs(right(x, eps)))

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = standardize.check(warns)
    assert "look here" in result.message
    assert "invalid value encountered in sqrt" in result.message
    assert capsys.readouterr() == ("", "")


def test_numpys_own_settings_survive():
    before = np.geterr()

    def sets(x, eps):
        np.seterr(all="raise")
        return right(x, eps)

    standardize.check(sets)
    assert np.geterr() == before


# ---------------------------------------------------------------- special cases in student code


@pytest.mark.parametrize(
    "wrong_case",
    [
        lambda x, eps: x.shape[0] == x.shape[1],
        lambda x, eps: x.shape[1] == 1,
        lambda x, eps: x.shape[0] == 2,
        lambda x, eps: x.shape[0] == 3,
        lambda x, eps: x.shape[0] > 50,
        lambda x, eps: x.shape[1] > 10,
        lambda x, eps: x.dtype == np.float32,
        lambda x, eps: eps < 1e-4,
        lambda x, eps: eps > 1,
        lambda x, eps: x.var(0).min() == 0,
        lambda x, eps: x.var(0).max() < 1e-6,
        lambda x, eps: x.max() < 0,
        lambda x, eps: not x.flags.c_contiguous,
        lambda x, eps: x.shape[0] == 1,
        lambda x, eps: abs(x).max() > 1e3,
    ],
)
def test_a_function_that_is_wrong_in_one_case_only(wrong_case):
    result = standardize.check(lambda x, eps: right(x, eps) + 0.01 * wrong_case(x, eps))
    assert not result.passed
    assert "right on" in result.message
    assert "wrong for" in result.message


def test_two_faults_are_told_one_at_a_time():
    def two(dy, x, gamma, eps):
        std = np.sqrt(x.var(0) + eps)
        xhat = (x - x.mean(0)) / std
        dx = gamma / std * (dy - xhat * (dy * xhat).mean(0))
        return dx, (dy * xhat).mean(0) + 1.0, dy.sum(0)

    result = bn_backward.check(two)
    assert result.diagnosis == "mean-path-missing"
    assert "dgamma is wrong too: look again" in result.message
    assert "dbeta is right" in result.message


# ---------------------------------------------------------------- cards


def test_the_card_says_in_plain_text_what_it_says_in_html():
    for function in (right, only_dots, lambda x, eps: x, lambda x, eps: 1 / 0):
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
        for f in (right, only_dots, lambda x, eps: x, lambda x, eps: 1 / 0)
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
        "assert list(copied.available) == ['centre'] and copied.centre.check(copied.centre.answer)\n"
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
