"""One call of a student's function on one probe, compared with the reference."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from .call import Attempt, attempt
from .compare import close, failing_entry, index, numbers
from .outputs import Problem, read_outputs
from .probes import Probe


@dataclass(frozen=True)
class Row:
    """A probe with the expected outputs by name, and the error that is allowed for each.

    single: some of them are judged as a float32 calculation (see single.py).
    """

    probe: Probe
    expected: dict[str, np.ndarray]
    tol: dict[str, float]
    single: bool = False

    def in_single(self, allowed: dict[str, float]) -> Row:
        """The same, with more allowed for the outputs that are calculated in float32."""
        tol = {name: max(tol, allowed.get(name, 0.0)) for name, tol in self.tol.items()}
        return replace(self, tol=tol, single=True)

    def right(self, name: str, value: np.ndarray) -> bool:
        """Is value the expected one, within the error that is allowed for that output?"""
        return close(value, self.expected[name], self.tol[name])


@dataclass
class Trial:
    """What the student's function did on a row's probe."""

    row: Row
    attempt: Attempt
    outputs: dict[str, np.ndarray] = field(default_factory=dict)
    problem: Problem | None = None
    wrong: tuple[str, ...] = ()  # names of the outputs that are wrong or missing

    @property
    def probe(self) -> Probe:
        return self.row.probe

    @property
    def failed(self) -> bool:
        """Something is wrong, and it is not a refusal of the input where that is sensible."""
        return bool(self.wrong) and not self.refused

    @property
    def refused(self) -> bool:
        """An error that is a sensible answer to this input."""
        error = self.attempt.error
        return (self.probe.may_raise and isinstance(error, ValueError | AssertionError)) or (
            self.probe.integers and isinstance(error, TypeError) and "dtype('int64')" in str(error)
        )

    @property
    def final(self) -> bool:
        """An interrupt, exit() or millions of numbers: better not to call the function again."""
        interrupted = self.attempt.error and not isinstance(self.attempt.error, Exception)
        return bool(interrupted) or (self.problem is not None and self.problem.id == "too-large")

    @property
    def nearly_right(self) -> bool:
        """To three digits: what float32 leaves on a probe that is not hard."""
        return all(
            name in self.outputs and close(self.outputs[name], want, 1e-3)
            for name, want in self.row.expected.items()
        )

    def equals(self, theirs: dict | None, names: set[str]) -> bool:
        """Are the outputs in names those of another function (None: it raises an exception)?"""
        if theirs is None or self.attempt.error is not None:
            return theirs is None and self.attempt.error is not None
        # Other roundings than ours; that it is not the right function is known already.
        least = 2e-3 if self.row.single else 1e-7
        tol = max(least, 10 * max(self.row.tol.values()))
        return all(
            n in self.outputs
            and close(_finite_or_nan(self.outputs[n]), _finite_or_nan(theirs[n]), tol)
            for n in names
        )

    @property
    def overwritten(self) -> bool:
        """The arrays that the call returned hold other numbers by now (outputs are copies)."""
        values = [self.attempt.value] if len(self.row.tol) == 1 else self.attempt.value
        return bool(self.outputs) and any(
            not close(np.asarray(self.outputs[n], float), np.asarray(value, float), 0.0)
            for n, value in zip(self.row.tol, values)
            if n in self.outputs and isinstance(value, np.ndarray)
        )


def _finite_or_nan(array):
    """Which of infinity and NaN comes out of a division by 0 is a matter of the order."""
    return np.where(np.isfinite(array), array, np.nan)


def run(function: Callable, row: Row) -> Trial:
    """Call function on the row's probe and compare."""
    names = tuple(row.tol)
    trial = Trial(row, attempt(function, row.probe.args), wrong=names)
    if trial.attempt.error is not None:
        return trial
    trial.outputs, trial.problem = read_outputs(trial.attempt.value, names, row.expected)
    if trial.final:
        trial.attempt.value = None
    out = trial.outputs
    trial.wrong = tuple(n for n in names if n not in out or not row.right(n, out[n]))
    if trial.problem and not trial.wrong:  # the right numbers in a wrong form
        trial.wrong = names
    return trial


def unsound(function: Callable, trials: list[Trial], earlier: list[Trial]) -> Problem | None:
    """Changed arguments, one array for all answers, another answer to the same question.

    earlier: the same calls, made before.
    """
    for trial in trials:
        if names := trial.attempt.changed:
            name, several = names[0], "s" * (len(names) > 1)
            return Problem(
                "modifies-input",
                f"Your function changes its argument{several} {' and '.join(names)} in place, for "
                f"{trial.probe.name}: "
                f"after the call the caller's array holds other numbers. Which line writes into "
                f"{name}? (`{name} -= ...` writes into the array, `{name} = {name} - ...` makes a "
                "new one.)",
            )
        if trial.overwritten:
            return Problem(
                "shared-output",
                f"The array that your function returned for {trial.probe.name} was overwritten "
                f"by later calls: they share one array. Where is it created?",
            )
    calls = {trial.probe.name: trial for trial in trials}
    pairs = [(old, calls[old.probe.name]) for old in earlier if old.probe.name in calls]
    for old, new in [*pairs, (trials[0], run(function, trials[0].row))]:
        for name, before in old.outputs.items():
            after = new.outputs.get(name)
            if after is None or not close(after, before, 1e-12):
                said = ""
                if after is not None and after.shape == before.shape:
                    at = failing_entry(after, before)
                    first, second = numbers(before[at], after[at])
                    said = f" {name}{index(at)} was {first} the first time and is now {second}."
                return Problem(
                    "not-deterministic",
                    f"Called again with the same arguments, your function gives another answer."
                    f"{said} Does it draw random numbers, or keep something between calls?",
                )
    return None
