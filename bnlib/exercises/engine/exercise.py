"""Exercises that say which mistake was made.

An `Exercise` knows a solution, a reference, named mistakes, probes (inputs) and properties.
`check(function)` asks four questions, in this order:

1. Form: can it be called, does it return the right number of float arrays of the right shape, does
   it leave its arguments alone, does it return the same again?  (function, call, outputs, trial)
2. Values: do the outputs equal the reference's on every probe? Only then it is correct. (compare)
   What is calculated in float32 is held to what float32 can give.                      (single)
3. If not: do they equal those of a named mistake? Then that is the diagnosis.        (mistakes)
4. If not: the first property that the outputs violate, with the numbers.     (compare, properties)
"""

from __future__ import annotations

import ast
import inspect
import os
import textwrap
import warnings
from collections.abc import Callable, Sequence
from functools import cached_property, partial
from types import SimpleNamespace

import numpy as np

from . import compare, sentences
from .call import attempt, describe_error, text_of
from .card import Result, Text
from .compare import CannotTell, Case, said_by
from .function import argument_order, check_function, is_untouched, reads_globals
from .mistakes import Catalogue, Mistake, read_mistakes, read_texts
from .my_bn import keep
from .outputs import read_outputs
from .probes import Probe
from .properties import variance_loses_digits
from .single import allowed, rounds
from .trial import Row, Trial, run, unsound


class Exercise:
    """One exercise: `check(function)`, `hint(level)`, `solution()`, `example()`, and the `stub`.

    solution: the function that students are shown on request; its name is the exercise's, its
    signature and docstring make the stub.  reference: the same values by other means, in float64.
    returns: names of the outputs.  probes: makes the inputs; the designed one comes first.
    properties: functions of a `Case` that return None, or a sentence with the violating numbers.
    feature: what a feature is called here.  hard: for mistakes with `only_on`, see `Catalogue`;
    "large mean" is there already, for a one-pass variance.
    adapt: where the learner writes something else than a function of arrays (a class, a search):
    makes of it the function of arrays that is judged, with the original as its ``__wrapped__``.
    last_word: where the outputs are verdicts, a property that says so in words. Those of numbers,
    like few_digits_lost, say nothing then.
    why: makes that sentence where it is read from the ledger.

    The sentences stand in the TOML file beside the solution's: the mistakes (see mistakes.py), and
    a table with the name of the exercise. hints: an idea, a plan, nearly the code.  why: what a
    correct solution buys.  wrong: what is said of an output that no property finds a fault in.
    """

    def __init__(
        self,
        solution: Callable,
        *,
        reference: Callable,
        returns: Sequence[str],
        probes: Callable[[], list[Probe]],
        properties: Sequence[Callable[[Case], str | None]] = (),
        feature: str = "feature",
        hard: dict[str, Callable[[Case], bool]] | None = None,
        adapt: Callable[[Callable], Callable] | None = None,
        last_word: Callable[[Case], str | None] | None = None,
        why: Callable[[], str] | None = None,
    ):
        self.name = solution.__name__
        self.adapt = adapt or (lambda function: function)
        self.adapted = adapt is not None
        self.called_with = tuple(inspect.signature(solution).parameters)
        judged = inspect.signature(self.adapt(solution), follow_wrapped=not self.adapted)
        self.parameters = tuple(judged.parameters)
        self.returns = tuple(returns)
        self.answer, self.reference, self._why = solution, reference, why
        self.log: list[tuple[str, object]] = []  # what was asked, for the report
        self._make_probes, self._own_properties = probes, tuple(properties)
        self._hard = {"large mean": variance_loses_digits} | (hard or {})
        self._feature, self._last_word = feature, last_word

    # ------------------------------------------------------------ what students call

    def check(self, function: Callable) -> Result:
        """Say whether function is correct, and if not, what is wrong with it. Never raises."""
        result = self.judge(function)
        self.log.append(("check", result))
        return result

    def judge(self, function: Callable) -> Result:
        """A check that does not count in the report."""
        try:
            with np.errstate(all="ignore"):
                return self._check(function)
        except (Exception, SystemExit, GeneratorExit) as error:  # only a very strange object
            reason = f"{type(error).__name__}: {text_of(error)}"
            said = f"The check could not judge this function ({reason})."
            return self._result("error", None, said)

    def keep(self, function: Callable, folder: str | os.PathLike = ".") -> Text:
        """Write a function that passes into my_bn.py (of this folder); see my_bn.py."""
        from .. import available

        return keep(function, self.name, available, folder)

    def example(self) -> tuple:
        """The designed batch, on which most messages show their numbers: the arguments in order.

        Copies: `bn_forward(*exercises.bn_forward.example())` is the call that the check makes.
        """
        args = self.rows[0].probe.args.values()
        return tuple(v.copy() if isinstance(v, np.ndarray) else v for v in args)

    def hint(self, level: int = 1) -> Text:
        """A hint: level 1 is an idea, level 2 a plan, level 3 nearly the code."""
        if level not in (1, 2, 3):
            raise ValueError(f"hint(level) expected level 1, 2 or 3, got {level!r}")
        self.log.append(("hint", level))
        return Text(self.texts["hints"][level - 1], f"{self.name} · Hint {level} of 3")

    def solution(self) -> Text:
        """The source code of a solution; a string, shown as a card."""
        self.log.append(("solution", None))
        return Text(self._source, f"{self.name} · Solution", is_code=True)

    @property
    def _source(self) -> str:
        return textwrap.dedent(inspect.getsource(self.answer))

    @property
    def stub(self) -> str:
        """The source code to start from: signature, docstring and `...` (of a class, by method)."""
        source = self._source
        defined = ast.parse(source).body[0]
        lines = source.splitlines()
        head = lines[: defined.body[0].end_lineno]
        if not isinstance(defined, ast.ClassDef):
            return "\n".join([*head, "    return ...  # your code\n"])
        for method in defined.body[1:]:
            is_init, first = method.name == "__init__", method.body[0].lineno - 1
            idle = "..." if is_init else "return ..."  # the call of super() is given
            head += ["", *lines[method.lineno - 1 : first + is_init]]
            head += [f"        {idle}  # your code"]
        return "\n".join([*head, ""])

    def __repr__(self) -> str:
        returns = "" if self.adapted else f" -> {', '.join(self.returns)}"
        return (
            f"Exercise {self.name}({', '.join(self.called_with)}){returns}: .check(function), "
            ".hint(level), .example(), .solution(), .keep(function)"
        )

    # ------------------------------------------------------------ computed once

    @cached_property
    def texts(self) -> dict:
        """hints, why and wrong, from the TOML file."""
        return read_texts(self.answer)

    @property
    def why(self) -> str:
        return self._why() if self._why else self.texts["why"]

    @cached_property
    def properties(self) -> tuple[Callable[[Case], str | None], ...]:
        """What is asked of wrong outputs, in this order, until one is violated."""
        if self._last_word:
            return *self._own_properties, self._last_word
        said = [
            partial(Case.wrong_entry, name=n, sentence=s) for n, s in self.texts["wrong"].items()
        ]
        last = compare.pattern_of_difference
        return *compare.OF_NUMBERS, *self._own_properties, *said, last

    @cached_property
    def catalogue(self) -> Catalogue:
        return Catalogue(read_mistakes(self.answer, self._feature), self._outputs, self._hard)

    @property
    def mistakes(self) -> list[Mistake]:
        """The mistakes that the check knows by name."""
        return self.catalogue.mistakes

    @cached_property
    def rows(self) -> list[Row]:
        """The probes with the reference's outputs: two to begin with, small ones, large ones."""
        probes = self._make_probes()
        return [
            Row(probe, self._expected(probe.args), dict.fromkeys(self.returns, probe.tol))
            for probe in probes[:2] + sorted(probes[2:], key=lambda probe: probe.large)
        ]

    def _expected(self, args: dict) -> dict[str, np.ndarray]:
        return self._outputs(self.reference, _in_float64(args))

    def _outputs(self, function, args: dict) -> dict[str, np.ndarray] | None:
        """The outputs of one of our own functions by name; None where it raises."""
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a variance of one value, and the like
            try:
                values = self.adapt(function)(*args.values())
            except Exception:
                return None
        values = values if len(self.returns) > 1 else [values]
        return {name: np.asarray(v) for name, v in zip(self.returns, values, strict=True)}

    # ------------------------------------------------------------ a check, step by step

    def _check(self, function) -> Result:
        if problem := check_function(function, self.name, self.called_with):
            return self._result("error", problem.id, problem.message)
        function = self.adapt(function)
        trials, earlier, single = [run(function, self.rows[0])], [], {}
        if is_untouched(trials[0].attempt, function):
            return self._result(
                "not attempted",
                None,
                f"Replace the `...` in {self.name} by your code, then run the check again. "
                f"For a start: bnlib.exercises.{self.name}.hint(1)",
            )
        trials = self._try_all(function, self.rows, trials)
        if any(t.failed for t in trials) and not trials[-1].final:
            single = rounds(partial(self._call, function), self._expected, trials)
        if single:
            trials, earlier = self._try_all(function, self._in_single(single)), trials
        if trials[-1].final:
            return self._malformed(function, trials[-1:])
        if problem := unsound(function, trials, earlier):
            return self._result("not yet", problem.id, problem.message)
        if any(t.failed and not t.probe.integers for t in trials):  # integers come last
            trials = [t for t in trials if not t.probe.integers]
        if not any(t.failed for t in trials):
            return self._correct(trials, bool(single))
        return (
            self._diagnosed(function, trials)
            or self._malformed(function, trials)
            or self._violated(function, trials)
        )

    def _call(self, function, args: dict) -> dict[str, np.ndarray] | None:
        """The outputs of the student's function; None if it raises or they have a wrong form."""
        done = attempt(function, args)
        if done.error is not None:
            return None
        outputs, problem = read_outputs(done.value, self.returns, self._expected(args))
        return None if problem else outputs

    def _in_single(self, rounded: dict[str, set[str]]) -> list[Row]:
        """The rows as they are judged in float32, without those that it cannot represent."""

        solve = partial(self._outputs, self.answer)
        rows = [(row, allowed(solve, row, rounded)) for row in self.rows]
        return [row.in_single(tol) for row, tol in rows if max(tol.values()) < 0.05]

    def _try_all(self, function, rows, tried=()) -> list[Trial]:
        """The trials of all rows, of which the first were tried already. If one fails, no large row
        is tried: a wrong function may be a slow one too. After a call not to be repeated, none is.
        """
        trials = list(tried)
        for row in rows[len(trials) :]:
            if trials[-1:] and trials[-1].final:
                break
            if not row.probe.large or not any(t.failed for t in trials):
                trials.append(run(function, row))
        return trials

    def agreement(self, trials) -> str:
        """What a correct function is told first."""
        names = () if self._last_word else self.returns
        return sentences.agreement(names, trials, self.rows)

    def _correct(self, trials, single: bool) -> Result:
        said = self.agreement(trials), self.why, sentences.precision(trials, single)
        kind = sentences.no_array(self.returns, trials[0])
        return self._result("correct", None, *said, kind, sentences.observed(trials[0]))

    def _diagnosed(self, function, trials) -> Result | None:
        """The catalogued mistake that gives the same outputs on every probe."""
        wrong = self._wrong_outputs(trials)
        designed = self._case(function, trials[0], self.returns)
        found = self.catalogue.diagnose(trials, wrong, designed)
        if found is None:
            return None
        mistake, names = found
        shown = [t for t in trials if t.failed and (t.attempt.error or {*t.wrong} & {*names})]
        shown = next((t for t in shown if mistake.only_on in t.probe.tags), shown[0])
        numbers = self._form(shown, diagnosed=True)
        if not numbers:
            entry = self.properties[-1](self._case(None, shown, names))
            numbers = f"In numbers, for {shown.probe.name}: {entry}"
        return self._result(
            "not yet" if shown.attempt.error is None else "error",
            mistake.id,
            mistake.message,
            numbers,
            self._others(wrong, names),
            reads_globals(function),
            sentences.observed(trials[0]),
        )

    def _form(self, trial: Trial, diagnosed: bool = False) -> str:
        """The exception of a trial, or what is wrong with the form of its outputs; or ""."""
        if trial.attempt.error is not None:
            return describe_error(trial.attempt.error, sentences.call(self.name, trial), diagnosed)
        return f"{trial.problem.message} (for {trial.probe.name})" if trial.problem else ""

    def _malformed(self, function, trials) -> Result | None:
        """An exception, or outputs of the wrong form, on some probe."""
        bad = next((t for t in trials if t.failed and (t.attempt.error or t.problem)), None)
        if bad is None:
            return None
        said = sentences.before(bad, trials[0]) + self._form(bad)
        if bad.attempt.error is not None:
            return self._undiagnosed(function, trials, "error", None, said)
        right = self._others(bad.wrong, bad.wrong)
        return self._undiagnosed(function, trials, "not yet", bad.problem.id, said, right)

    def _violated(self, function, trials) -> Result:
        """The first property that does not hold, with numbers."""
        failed, wrong = next(t for t in trials if t.failed), self._wrong_outputs(trials)
        case = self._case(function, failed, self.returns)
        found = next(filter(None, (said_by(p, case) for p in self.properties)))
        entry = self.properties[-1](case)
        first, _, relation = entry.partition(". ")
        example = relation if first.rstrip(".") in found else f"For example, {entry}"
        return self._undiagnosed(
            function,
            trials,
            "not yet",
            None,
            f"{found}\nThis is for {failed.probe.name}.",
            example if entry not in found else "",
            self._others(wrong, wrong),
            sentences.where(trials, self.rows),
            sentences.hard(trials),
        )

    def _others(self, wrong, named) -> str:
        """Of the other outputs. The names of verdicts are not the learner's: nothing of those."""
        return "" if self._last_word else sentences.other_outputs(self.returns, wrong, named)

    def _undiagnosed(self, function, trials, outcome, diagnosis, *said) -> Result:
        """What was found, with the reasons that a look at the function suggests."""
        if order := argument_order(function, self.called_with):
            diagnosis, said = order.id, (order.message, *said)
        observed = sentences.observed(trials[0])
        return self._result(outcome, diagnosis, *said, reads_globals(function), observed)

    def _wrong_outputs(self, trials) -> list[str]:
        return [name for name in self.returns if any(name in t.wrong for t in trials if t.failed)]

    def _case(self, function, trial: Trial, names) -> Case:
        """What a property looks at: arguments, outputs and expected outputs in names."""
        args = trial.probe.args

        def outputs_of(call):
            def with_changes(**changes):
                for k in changes.keys() & trial.probe.arrays:
                    changes[k] = np.asarray(changes[k], args[k].dtype)
                outputs = call(args | changes)
                if outputs is None:
                    raise CannotTell
                return _namespace(outputs, names)

            return with_changes

        return Case(
            trial.probe,
            SimpleNamespace(**_in_float64(args)),
            _namespace(trial.outputs, names),
            _namespace(trial.row.expected, names),
            outputs_of(partial(self._call, function)),
            outputs_of(self._expected),
            trial.row.tol,
        )

    def _result(self, outcome: str, diagnosis: str | None, *said: str) -> Result:
        return Result(self.name, outcome, "\n".join(filter(None, said)), diagnosis)


def _in_float64(args: dict) -> dict:
    return {k: v.astype(np.float64) if isinstance(v, np.ndarray) else v for k, v in args.items()}


def _namespace(outputs: dict, names) -> SimpleNamespace:
    chosen = {n: np.asarray(outputs[n], np.float64) for n in names if n in outputs}
    return SimpleNamespace(**chosen)
